/*
 * What goes out for a request (request.h): its head as an upstream that others
 * share is to see it, and what weir itself answers.
 *
 * Every request that goes upstream has exactly one reply: "noreply" and the
 * meta flag q are left out, and quiet opcodes become their loud ones. What of
 * the replies the client is to see is reply.h's to say.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_WRITE_H
#define PROXY_MEMCACHED_WRITE_H

#include "proxy/proto/memcached/request.h"

enum {
	MEMCACHED_ANSWER_MAX = 128      /* of error and answer */
};

/*
 * The head of a request that is in order, from its r->head bytes, into out,
 * which has room for r->head + 1. Returns its length. Behind it go r->body
 * bytes as they came. Needed only if r->rewrite: else the head is right as it
 * is. Words stand apart by one space, and the line ends in CR LF.
 */
size_t memcached_head_write(const struct memcached_request *r,
    const char *head, char *out);

/* r->error as it goes to the client; returns its length, at most
   MEMCACHED_ANSWER_MAX, 0 = it is told nothing. */
size_t memcached_error_write(const struct memcached_request *r, char *out);

/* The same for text that is not memcached's ("SERVER_ERROR weir: ..."): line
   is without CR LF and at most 100 bytes. A binary client is sent it with
   status; one that has said noreply nothing. */
size_t memcached_failure_write(const struct memcached_request *r,
    uint16_t status, const char *line, char *out);

/* The answer to what has how OURS: mn, NOOP, and QUIT, after which the client
   is closed. 0 = none. */
size_t memcached_answer_write(const struct memcached_request *r, char *out);

#endif
