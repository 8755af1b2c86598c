/*
 * memcached's requests as they stand on the wire: where one ends, what it asks
 * for and which keys it names, in the text protocol, its meta commands and the
 * binary protocol; and how it is written for an upstream that others share.
 * Knows no connections and no replies (reply.h).
 *
 * The reader is fed bytes as they come, in pieces of any size, each byte once;
 * nothing is copied or kept but positions. It is as strict as memcached 1.6.18
 * where that is safe. Where another reader could see another end of a request
 * (odd numbers, control characters, NUL, a word where "noreply" stands), the
 * request is refused and never repaired.
 *
 * ASCII authentication (memcached -Y) is a set that means something else as
 * the first one of a connection. It is not looked for: whoever shares the
 * upstream's connections cannot log in on them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_REQUEST_H
#define PROXY_MEMCACHED_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"
#include "proxy/proto/memcached/commands.h"

enum { MEMCACHED_WORD_KEPT = 24 };

/* Which protocol a connection speaks; its first byte tells (protocol.txt). */
enum memcached_wire {
	MEMCACHED_UNTOLD,
	MEMCACHED_TEXT,
	MEMCACHED_BINARY
};

/* Bytes, counted from the request's first one. */
struct memcached_span {
	uint32_t at, len;
};

/*
 * One request, being read. Embedded; no end needed. Its head is its line, or
 * its binary header; behind it come body bytes (a value with its CR LF; or
 * extras, key and value). All fields but size are complete once head is not 0,
 * long before the body is there.
 */
struct memcached_request {
	uint64_t size;                  /* bytes fed so far; all of it when
					   PARSE_DONE */
	uint32_t head;                  /* 0 = not whole yet */
	uint64_t body;
	uint64_t value;                 /* of the body; without CR LF */
	uint8_t wire;                   /* enum memcached_wire; hand it to the
					   next one's init */
	uint8_t command;                /* enum memcached_command */
	uint8_t how;                    /* enum memcached_how */
	uint8_t shape;                  /* enum memcached_shape, of its reply */
	uint8_t quiet;                  /* enum memcached_quiet */
	bool rewrite;                   /* the head does not go upstream as it
					   is: memcached_head_write() */
	bool key_base64;                /* meta flag b: for hashing decode it,
					   memcached_key_decode() */
	uint32_t keys;                  /* how many it names */
	struct memcached_span key;      /* the first; in a binary request only
					   readable when it has been fed */
	/* Not to go upstream: the client is to be told this in the request's
	   turn (memcached_error_write()) and nothing else. "" = in silence.
	   NULL = in order. Static. Of how ALONE it is NULL and refusal is
	   what to say where that is not wanted. */
	const char *error, *refusal;
	uint16_t status;                /* of error, in the binary protocol */
	/* Binary only. */
	uint8_t opcode;
	uint32_t opaque;                /* in the wire's byte order */
	/* The reader's own. */
	const struct memcached_text *row;
	uint64_t left;
	uint32_t word_at;               /* of the word being read */
	uint16_t words;
	uint8_t state, faults, flags, kept;
	char word[MEMCACHED_WORD_KEPT];
};

void memcached_request_init(struct memcached_request *r,
    enum memcached_wire wire);

/*
 * Feed the next bytes. *used says how many belong to this request.
 * PARSE_DONE: it is whole; or refused (r->error) and swallowed as memcached
 * swallows it, and the next request begins behind it. PARSE_BAD: after
 * r->error ("" = nothing) the client is to be closed.
 *
 * A value that does not end in CR LF is seen only at its end: error is then
 * set with PARSE_DONE, and whoever has begun to send the request on must close
 * that connection.
 */
enum parse memcached_request_feed(struct memcached_request *r,
    const char *bytes, size_t len, size_t *used) MUST_CHECK;

#endif
