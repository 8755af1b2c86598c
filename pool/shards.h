/*
 * Which endpoint of a roster has a key: the ring of balance = "key_hash", with
 * what is usable now.
 *
 * One belongs to one thread. Each pool has its own, because rosters reach the
 * workers one by one and a request must find its ring and its sites agree; it
 * costs 1.3 KB for each endpoint. The admin port makes one to tell where a key
 * goes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_SHARDS_H
#define POOL_SHARDS_H

#include "conf/conf.h"
#include "pool/endpoint.h"

struct pool;
struct upconn;
struct shards;

/*
 * conf->balance must be CONF_KEY_HASH; conf is needed only during the call,
 * roster is kept. `old` may lend its ring if nothing differs, and is freed in
 * any case; NULL = there is none. NULL when out of memory.
 */
struct shards *shards_new(const struct conf_upstream *conf,
    struct roster *roster, struct shards *old) MUST_CHECK;
void shards_free(struct shards *sh);

/*
 * A bar or a weight may have changed: true when that may have moved keys. When
 * memory is short there is no ring, and nobody has any key, until a later look
 * can make it.
 */
bool shards_look(struct shards *sh);

/*
 * Who has the keys of this hash, usable or not. NULL when nobody has: nothing is
 * usable, or its name has no address yet. With ring = "random" the hash is a
 * number that was drawn.
 */
struct endpoint *shards_find(const struct shards *sh, uint32_t hash);

/* Is what would go to e, one of the roster's, let go there now? */
bool shards_takes(const struct shards *sh, const struct endpoint *e);

/* ------------------------------------------------------------ of a pool */

/* On its worker: the configuration or the roster is new ... */
void pool_shard(struct pool *p);
/* ... or a bar or weight may be. */
void pool_look_at_shards(struct pool *p);

/*
 * For protocols that have several keys in one request: the endpoint of the keys
 * of this hash; never looked into, only compared. NULL when nobody has them, or
 * anybody (ring = "random").
 */
const struct endpoint *pool_endpoint_of_key(const struct pool *p,
    uint32_t hash);

/* For requests that concern every endpoint: the next that has keys, from *at on,
   which begins with 0; *hash is one that goes there. False: no more. None at all
   where keys go anywhere. */
bool pool_next_shard(const struct pool *p, size_t *at, uint32_t *hash);

/* Somebody waits who cannot have u, which is idle: would its place help? */
bool pool_shard_needs_place(const struct pool *p, const struct upconn *u);

#endif
