/*
 * The keys of a whole request one by one, and what a reply has of each: for
 * gets of many keys over several endpoints (split.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_KEYS_H
#define PROXY_MEMCACHED_KEYS_H

#include "proxy/proto/memcached/reply.h"

struct memcached_keys {
	const char *bytes;              /* the request's first */
	uint32_t at, end, left;
	struct memcached_span only;
};

/* head: the request's first bytes, all of its line, or in the binary protocol
   up to the end of its key. Kept, not copied. */
void memcached_keys_init(struct memcached_keys *k,
    const struct memcached_request *r, const char *head);
/* In their order, with repetitions. False after the last one. */
bool memcached_keys_next(struct memcached_keys *k, struct memcached_span *key);

/*
 * What a key of a request with key_base64 is to the server, so that it goes
 * where the same key goes that is written plainly. out has room for len bytes;
 * returns the length, SIZE_MAX = not base64: the server says so too.
 */
size_t memcached_key_decode(const char *key, size_t len, char *out);

/*
 * Of a reply to a get: the size of the block that begins at `reply`, if it is
 * this key's; 0 = it is not, or nothing is left but END. reply has been found in
 * order (reply.h) and is in one piece for len bytes, all of it or at least
 * MEMCACHED_REPLY_KEPT.
 *
 * memcached answers keys in their order, leaves out those it does not have and
 * answers repeated ones each time. So a joint reply is made without a search:
 * for each key of the request, what its part's reply has of it; then END.
 */
size_t memcached_block_size(const char *reply, size_t len, const char *key,
    size_t key_len);

#endif
