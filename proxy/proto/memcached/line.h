/*
 * Inside of the reader of request.h: its text half, a line, and what the two
 * share. Nobody else includes this.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_LINE_H
#define PROXY_MEMCACHED_LINE_H

#include "proxy/proto/memcached/request.h"

/* r->state */
enum {
	MEMCACHED_STATE_START,
	MEMCACHED_STATE_LINE,
	MEMCACHED_STATE_VALUE,          /* r->left bytes, the last two CR LF */
	MEMCACHED_STATE_SWALLOW,        /* r->left bytes of a refused request */
	MEMCACHED_STATE_HEADER,
	MEMCACHED_STATE_BODY            /* r->left bytes behind a binary
					   header */
};

/* r->faults */
enum {
	MEMCACHED_FAULT_BYTES = 1,      /* NUL, control characters: what
					   memcached makes of them depends on
					   where they are */
	MEMCACHED_FAULT_KEY = 2,        /* over 250 bytes */
	MEMCACHED_FAULT_NUMBER = 4,     /* memcached refuses it, and reads on
					   behind the line, even if a value was
					   to follow */
	MEMCACHED_FAULT_ODD = 8,        /* memcached takes it: 64 bits for 32,
					   a sign */
	MEMCACHED_FAULT_LENGTH = 16,    /* the same, of the length of what
					   follows */
	MEMCACHED_FAULT_CHUNK = 32      /* no CR LF behind the value */
};

/* Feed a line's bytes: PARSE_MORE with r->head set is a line with r->left
   bytes behind it. */
enum parse memcached_line_feed(struct memcached_request *r, const char *bytes,
    size_t len, size_t *used) MUST_CHECK;

/* r->error = text, or "" after noreply. PARSE_DONE. */
enum parse memcached_line_refuse(struct memcached_request *r,
    const char *text);

#endif
