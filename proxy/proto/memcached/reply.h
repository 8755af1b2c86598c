/*
 * memcached's replies as they stand on the wire: where one ends, given what was
 * asked, and whether the client is to see it. Knows no connections.
 *
 * The reader believes nothing that does not fit: a reply that is not one to
 * this request (another word, key, opcode or opaque) or that lies in
 * its lengths is PARSE_BAD, for on a shared connection it may be someone
 * else's. ERROR, CLIENT_ERROR and SERVER_ERROR may stand for any text reply.
 *
 * A reply may come before the request has been sent whole: "SERVER_ERROR object
 * too large for cache" does; the server swallows the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_REPLY_H
#define PROXY_MEMCACHED_REPLY_H

#include "proxy/proto/memcached/request.h"

enum {
	MEMCACHED_WORD_MAX = 16,        /* a reply's word, with its NUL */
	MEMCACHED_REPLY_LINE_MAX = 8192,        /* STAT lines hold paths */
	MEMCACHED_REPLY_KEPT = 384      /* above any line that is looked at
					   beyond its word */
};

/* What is to be remembered of a request until its reply is whole. */
struct memcached_ask {
	uint8_t command, shape, quiet;  /* as in memcached_request */
	uint8_t wire;
	uint8_t opcode;                 /* the client's, and what was sent */
	uint8_t loud;
	uint32_t opaque;
	uint32_t key;                   /* of a text get of one key, of which
					   nothing else comes back: its mark */
};

/* head: the request's first bytes, all of its head. */
void memcached_ask_init(struct memcached_ask *a,
    const struct memcached_request *r, const char *head);

/* One reply, being read. Embedded; no end needed. */
struct memcached_reply {
	uint64_t size;                  /* bytes fed so far; all of it when
					   PARSE_DONE */
	struct memcached_ask ask;
	/* Text: the first word of the line last read, cut, terminated:
	   "STORED", "END", "VALUE", "HD", "SERVER_ERROR", "42". When PARSE_DONE
	   that of VALUES is END or the error's. */
	char word[MEMCACHED_WORD_MAX];
	uint16_t status;                /* binary */
	bool told;                      /* word, status are known: is the first
					   line whole, the first header */
	bool is_error;                  /* ERROR, CLIENT_ERROR, SERVER_ERROR;
					   binary: a status that is none of a
					   key's (there, not there, not so) */
	uint32_t values;                /* VALUE blocks so far */
	uint64_t value;                 /* length of the data being read or just
					   read; to see a large one come */
	/* The reader's own. */
	uint64_t left;
	uint32_t line;                  /* bytes so far of the line, header */
	uint8_t state;
	bool bad_end;                   /* no CR LF behind the data */
	char last;                      /* the byte before, in a line */
	char kept[MEMCACHED_REPLY_KEPT];        /* of a line in pieces */
};

void memcached_reply_init(struct memcached_reply *r,
    const struct memcached_ask *a);

/*
 * Feed the next bytes. PARSE_DONE: the reply is whole, *used of the bytes were
 * its. PARSE_BAD: close that connection.
 */
enum parse memcached_reply_feed(struct memcached_reply *r, const char *bytes,
    size_t len, size_t *used) MUST_CHECK;

/*
 * Of a whole reply: is it for the client? False for the ordinary result of a
 * quiet request, and for all of noreply.
 */
bool memcached_reply_wanted(const struct memcached_reply *r);

/*
 * Of one that is not whole: is it known already that it will be wanted, so that
 * its bytes may be passed on as they come? Always if it is not quiet.
 */
bool memcached_reply_streams(const struct memcached_reply *r);

/* Bytes of a reply, from `at` on, as the client knows it: with the opcode that it
   has sent. In place, and after they have been fed. */
void memcached_reply_restore(const struct memcached_ask *a, uint64_t at,
    char *bytes, size_t len);

#endif
