/*
 * RESP2 and RESP3 as they stand on the wire: where a command or a reply ends,
 * and what its first words are. Knows nothing of what a command means.
 *
 * Both readers are fed bytes as they come, in pieces of any size, each byte
 * once; nothing is copied or kept but positions. Protocol facts: Redis
 * protocol specification ("RESP"), and networking.c of Redis 7.0 for what its
 * server refuses and in which words.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_RESP_H
#define PROXY_REDIS_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

enum {
	RESP_ARGS_KEPT = 4,             /* first arguments remembered */
	RESP_WORD_MAX = 24,             /* a reply's first word */
	RESP_INLINE_MAX = 64 * 1024,    /* PROTO_INLINE_MAX_SIZE */
	RESP_ARGC_MAX = 1024 * 1024,    /* arguments of one command */
	RESP_BULK_MAX = 512 * 1024 * 1024       /* proto-max-bulk-len */
};

/* Beyond reason in a reply: a bulk may be larger than what Redis takes by
   default (DUMP, or another proto-max-bulk-len). */
#define RESP_REPLY_BULK_MAX UINT32_MAX
#define RESP_ELEMENTS_MAX UINT32_MAX    /* of one aggregate; pairs of a map */
#define RESP_PENDING_MAX (UINT64_C(1) << 40)

/* A number of the wire, being read: digits as Redis has them (string2ll): no
   plus, no leading zero, no "-0", nothing beyond 64 bits. The readers' own. */
struct resp_number {
	uint64_t value;                 /* without its sign */
	bool begun;                     /* there is a digit */
	bool minus;
};

/* Bytes, counted from the command's first one. */
struct resp_span {
	uint32_t at, len;
};

/* ----------------------------------------------------------------- commands */

/* One command, being read. Embedded; no end needed. */
struct resp_command {
	uint64_t size;                  /* bytes fed so far; all of it when
					   PARSE_DONE */
	uint32_t argc;                  /* announced by "*N"; when PARSE_DONE
					   also of an inline command. 0: an
					   empty line or "*0", to be dropped */
	uint32_t args;                  /* of them complete; stays 0 of an
					   inline command */
	bool is_inline;                 /* not "*": resp_inline_write() */
	/* The first arguments whose bytes have all been fed: so many as args
	   says, the others are not set; of an inline command none. */
	struct resp_span arg[RESP_ARGS_KEPT];
	const char *error;              /* PARSE_BAD: Redis's own words, without
					   "-ERR " and line end */
	char error_text[64];            /* where error points if it is not
					   static */
	/* The reader's own. */
	uint64_t line_at;               /* where the line being read began */
	uint64_t left;                  /* of a bulk with its CR LF */
	struct resp_number number;
	uint32_t length;                /* of the bulk being read */
	uint8_t state;
	uint8_t word_len;               /* of an inline command's first word */
	char word[6];
};

void resp_command_init(struct resp_command *c);

/*
 * Feed the next bytes. *used says how many belong to this command: all of them
 * unless PARSE_DONE. After PARSE_BAD the client is to be told and closed.
 *
 * Refused is what Redis 7.0 refuses, and when it does (a bad length when its
 * line has come, or after 64 KiB without one); and what two readers might
 * understand differently: a CR without LF, a bulk that CR LF does not end.
 */
enum parse resp_command_feed(struct resp_command *c, const char *bytes,
    size_t len, size_t *used) MUST_CHECK;

/* The arguments of a whole multibulk command, one after the other. Stops at
   what is not one, and never reads beyond len. */
struct resp_args {
	const char *bytes;              /* the command's first */
	size_t len, at;
};

void resp_args_init(struct resp_args *a, const char *bytes, size_t len);
/* False after the last one. */
bool resp_args_next(struct resp_args *a, struct resp_span *arg);

/*
 * A whole inline command (with its line end) as a multibulk one, which is what
 * goes upstream. Quotes and escapes as Redis has them (sdssplitargs). Returns
 * the length, *argc the arguments (0: an empty line, and nothing is written);
 * SIZE_MAX: unbalanced quotes, or out is too small (len * 16 + 64 is always
 * enough).
 */
size_t resp_inline_write(const char *line, size_t len, char *out, size_t size,
    uint32_t *argc);

/* ------------------------------------------------------------------ replies */

/* One reply, being read; of a server that may lie. */
struct resp_reply {
	uint64_t size;                  /* bytes fed so far */
	char type;                      /* of the reply itself, not of an
					   attribute before it: + - : $ * _ # ,
					   ( ! = % ~ >; 0 = not known yet */
	bool is_null;                   /* "$-1", "*-1", "_" */
	/* Of "+", "-", "!", and of the first element of an aggregate if it is
	   one of these or "$": its first word (up to a space or control byte),
	   cut at RESP_WORD_MAX - 1, terminated. "" when there is none. Complete
	   when the element is. */
	char word[RESP_WORD_MAX];
	int64_t number;                 /* the last integer read at the top or
					   directly inside the top aggregate
					   (of ["subscribe", "ch", 3]: 3) */
	uint64_t elements;              /* of an aggregate: announced (a map's
					   pairs count twice) */
	/* The reader's own. */
	uint64_t pending;               /* elements due yet, at all depths: no
					   depth costs anything */
	uint64_t top_left;              /* of them those of the reply's own
					   level: while nothing nested is being
					   read, both are the same */
	uint64_t left;                  /* of a bulk with its CR LF */
	struct resp_number value;
	uint8_t state;
	uint8_t word_len;
	char part;                      /* type of the element being read */
	bool worded;                    /* its first word is wanted */
	uint8_t level;                  /* the reply itself, of it, deeper */
};

void resp_reply_init(struct resp_reply *r);

/*
 * Feed the next bytes. PARSE_DONE: the reply, with all in it, is complete, and
 * *used of the bytes were its. PARSE_BAD: not RESP, or a length beyond reason:
 * close that connection. Streamed strings and aggregates ("$?", "*?") are
 * refused: no server of Redis sends them.
 */
enum parse resp_reply_feed(struct resp_reply *r, const char *bytes,
    size_t len, size_t *used) MUST_CHECK;

#endif
