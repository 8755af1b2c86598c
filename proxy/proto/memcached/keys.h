/*
 * The keys of a whole request one by one, and a get of many keys over several
 * endpoints: a line for each group of keys, and their replies put together.
 * Which key goes where is the caller's to say.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_KEYS_H
#define PROXY_MEMCACHED_KEYS_H

#include "proxy/proto/memcached/request.h"

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

/* -------------------------------------------------------------------- split */

/* The line for some of a get's keys, being written; room for r->head + 1. */
struct memcached_part {
	char *out;
	size_t len;
};

/* Begins "get", "gats 100": what stands before r's first key. head as above. */
void memcached_part_init(struct memcached_part *p,
    const struct memcached_request *r, const char *head, char *out);
void memcached_part_add(struct memcached_part *p, const char *key, size_t len);
/* At least one key has been added. p->len is then the line's length. */
void memcached_part_end(struct memcached_part *p);

/* --------------------------------------------------------------------- join */

/*
 * One part's whole reply, as reply.h has found it in order, being taken apart.
 * memcached answers keys in their order, leaves out those it does not have and
 * answers repeated ones each time. So the joint reply is made without a search:
 * for each key of the request, memcached_blocks_take() at the reply of its
 * part; then "END\r\n". A part whose reply is an error (reply.h: word is not
 * END) answers for the whole request.
 */
struct memcached_blocks {
	const char *bytes;
	size_t len, at;
};

void memcached_blocks_init(struct memcached_blocks *b, const char *reply,
    size_t len);
/* If the next block is this key's, its length, and *block is where it is;
   0 = the server does not have that key. */
size_t memcached_blocks_take(struct memcached_blocks *b, const char *key,
    size_t len, const char **block);
/* After the last key: has everything been taken? If not, the server has
   answered what it was not asked, and nothing of it is to be believed. */
bool memcached_blocks_empty(const struct memcached_blocks *b);

#endif
