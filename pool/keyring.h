/*
 * Which of several servers has a key: the same one as twemproxy (nutcracker
 * 0.5.0) with the same servers, hash, distribution and hash_tag.
 *
 * A ring is made of labels and weights and knows nothing of connections; it is
 * made anew when one of these changes, or which of the servers count.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_KEYRING_H
#define POOL_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"

#define KEYRING_NONE SIZE_MAX

/* A server; what twemproxy has as "host:port:weight name". */
struct keyring_node {
	const char *label;
	unsigned    weight;             /* >= 1 */
	bool        usable;             /* false = as if it were not there */
};

/* Immutable: indexes into the nodes that it was made of. */
struct keyring;

/*
 * Labels should differ: of two that are alike the first one has all keys. Needs
 * v only during the call. NULL when out of memory.
 */
struct keyring *keyring_new(enum conf_key_ring ring,
    const struct keyring_node *v, size_t n) MUST_CHECK;
void keyring_free(struct keyring *r);

/*
 * The index of the node that has the keys of this hash; KEYRING_NONE when no
 * node is usable. On a random ring the hash is what was drawn, not a key's.
 */
size_t keyring_find(const struct keyring *r, uint32_t hash);

/* The other way round: a hash of those that the node has. False when it has
   none. Looks at every point. */
bool keyring_hash_of(const struct keyring *r, size_t node, uint32_t *hash);

/* A key's hash, of the part that tag leaves of it, by u->key_hash. */
uint32_t keyring_hash(const struct conf_upstream *u, const void *key,
    size_t len);

/*
 * The label of a configured endpoint, as twemproxy has it: its name; without
 * one its "host:port" as written, but only the host where the port is 11211.
 * Malloc'd; NULL when out of memory.
 */
char *keyring_label(const struct conf_endpoint *e) MUST_CHECK;

#endif
