/*
 * The commands of memcached: a row for each of the text protocol (with the
 * meta commands) and a row for each opcode of the binary one: what is read of
 * them, how they may travel and what their replies look like. Nothing here
 * reads bytes.
 *
 * Facts: memcached's protocol.txt ("protocol.txt"), its wiki page of the binary
 * protocol, and proto_text.c and proto_bin.c of memcached 1.6.18 for what a
 * server does where those are silent ("memcached 1.6.18").
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_COMMANDS_H
#define PROXY_MEMCACHED_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MEMCACHED_HEADER = 24,          /* of a binary packet */
	MEMCACHED_KEY_MAX = 250,
	MEMCACHED_LINE_MAX = 2048,      /* with its line end */
	MEMCACHED_LONG_LINE_MAX = 64 * 1024,    /* get, gets: memcached alone
					   has no limit for these two */
	MEMCACHED_VALUE_MAX = INT32_MAX - 2,    /* what memcached reads at all;
					   what it stores (-I) it says itself */
	MEMCACHED_META_TOKENS_MAX = 19  /* MFLAG_MAX_OPT_LENGTH, less its
					   terminator */
};

/* Index into memcached_command_names. */
enum memcached_command {
	MEMCACHED_UNKNOWN,
	MEMCACHED_GET, MEMCACHED_GETS, MEMCACHED_GAT, MEMCACHED_GATS,
	MEMCACHED_SET, MEMCACHED_ADD, MEMCACHED_REPLACE, MEMCACHED_APPEND,
	MEMCACHED_PREPEND, MEMCACHED_CAS,
	MEMCACHED_DELETE, MEMCACHED_INCR, MEMCACHED_DECR, MEMCACHED_TOUCH,
	MEMCACHED_MG, MEMCACHED_MS, MEMCACHED_MD, MEMCACHED_MA, MEMCACHED_ME,
	MEMCACHED_MN, MEMCACHED_NOOP,
	MEMCACHED_VERSION, MEMCACHED_VERBOSITY, MEMCACHED_STATS,
	MEMCACHED_FLUSH_ALL, MEMCACHED_QUIT,
	MEMCACHED_SLABS, MEMCACHED_LRU, MEMCACHED_LRU_CRAWLER,
	MEMCACHED_CACHE_MEMLIMIT, MEMCACHED_EXTSTORE, MEMCACHED_REFRESH_CERTS,
	MEMCACHED_WATCH, MEMCACHED_SHUTDOWN, MEMCACHED_SASL,
	MEMCACHED_N_COMMANDS
};

extern const char *const memcached_command_names[MEMCACHED_N_COMMANDS + 1];

/* How a request may travel. */
enum memcached_how {
	MEMCACHED_SHARED,               /* among those of others */
	MEMCACHED_ALONE,                /* not: what it brings is not framed
					   against hostile keys, or it wants a
					   connection on which nothing is owed.
					   On a lease of its own that is closed
					   after it; or refused with refusal */
	MEMCACHED_OURS,                 /* answered by weir in its turn:
					   memcached_answer_write() */
	MEMCACHED_REFUSED               /* the request's error says it */
};

/* What a request is answered with. */
enum memcached_shape {
	MEMCACHED_ONE_LINE,
	MEMCACHED_VALUES,               /* VALUE blocks, then END */
	MEMCACHED_META,                 /* a line; VA has data behind it */
	MEMCACHED_STAT,                 /* lines until END; or one line */
	MEMCACHED_DUMP,                 /* lines until END or EN; or one line */
	MEMCACHED_PACKET,               /* one binary packet */
	MEMCACHED_PACKETS               /* until an empty one, or one that is
					   an error */
};

/* When a quiet request's reply is not passed on. */
enum memcached_quiet {
	MEMCACHED_LOUD,                 /* never: it is not quiet */
	MEMCACHED_NOREPLY,              /* always. Errors too: memcached 1.6.18
					   says nothing after it has understood
					   "noreply", and its clients read
					   nothing, so that a line would be
					   taken for the next one's */
	MEMCACHED_NO_EN,                /* mg q */
	MEMCACHED_NO_HD,                /* ms q, md q */
	MEMCACHED_NO_HD_VA,             /* ma q */
	MEMCACHED_NO_MISS,              /* GETQ, GETKQ, GATQ, GATKQ */
	MEMCACHED_NO_SUCCESS            /* SETQ and all others */
};

/* What the words of a text line are; the reader's. */
enum memcached_line {
	MEMCACHED_LINE_FREE,            /* no keys */
	MEMCACHED_LINE_KEYS,            /* get */
	MEMCACHED_LINE_GAT,             /* exptime, keys */
	MEMCACHED_LINE_KEY,             /* key, then what the server reads */
	MEMCACHED_LINE_STORE,           /* key flags exptime bytes */
	MEMCACHED_LINE_CAS,             /* the same and a number */
	MEMCACHED_LINE_META,            /* key flag* */
	MEMCACHED_LINE_META_STORE       /* key bytes flag* */
};

struct memcached_text {
	const char *name;
	uint8_t len;
	uint8_t command;                /* enum memcached_command */
	uint8_t line;                   /* enum memcached_line */
	uint8_t shape;                  /* enum memcached_shape */
	uint8_t how;                    /* enum memcached_how */
	uint8_t least, most;            /* words, with the name; else "ERROR".
					   most 0 = any number */
	uint8_t noreply;                /* words from which a last "noreply"
					   counts; 0 = never */
	uint8_t quiet;                  /* what a meta "q" means */
	bool long_line;
	const char *refusal;            /* of ALONE and REFUSED, memcached's own
					   words for "not here", with CR LF */
};

/* What may be in a binary request; the lengths that memcached demands, and
   body = extras + key wherever no value is named: memcached 1.6.18 does not
   look at that for TOUCH, GAT and STAT and then reads on at another place. */
struct memcached_opcode {
	uint8_t command;                /* MEMCACHED_UNKNOWN: no such opcode */
	uint8_t loud;                   /* its opcode that is always answered */
	uint8_t quiet;                  /* enum memcached_quiet */
	uint8_t shape, how;
	uint8_t extras;
	bool extras_optional;           /* or none */
	bool has_key;                   /* needs one; STAT may have one */
	bool may_have_key;
	bool has_value;
};

/* NULL = not known. */
const struct memcached_text *memcached_text_find(const char *name, size_t len);
/*
 * The row for a container's subcommand, where it differs from the container's
 * own, which is returned otherwise.
 */
const struct memcached_text *memcached_text_sub(
    const struct memcached_text *row, const char *name, size_t len);

/* Never NULL. */
const struct memcached_opcode *memcached_opcode_find(uint8_t opcode);

#endif
