/*
 * An endpoint as one worker sees it: may it take new work now, has it room, and
 * does it rest because connecting failed?
 *
 * Bars and holds are written by other threads at any time, so all of this is
 * true for the moment; pool_set_roster() is called when a bar has changed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_SITE_H
#define POOL_SITE_H

#include "net/worker.h"
#include "pool/pool.h"

/* Only sites of the pool's lowest tier take new work, and only if that is below
   TIER_HELD. */
enum tier {
	TIER_PRIMARY,
	TIER_BACKUP,
	TIER_TRY,                       /* when_all_down = "try": only checks or
					   failures are against it */
	TIER_TRY_BACKUP,
	TIER_HELD,                      /* usable, but asked for a pause */
	TIER_NONE
};

/* The tier of one that is not TIER_PRIMARY. */
enum tier site_tier_of_other(const struct site *site);

/* Asked for each lease: four relaxed loads where all is well. */
static inline enum tier
site_tier(const struct site *site)
{
	const struct endpoint *e = site->endpoint;

	if (likely(site->current && atomic_load_explicit(&e->bars,
	    memory_order_relaxed) == 0 && atomic_load_explicit(
	    &e->hold_until_ns, memory_order_relaxed) == 0 &&
	    !atomic_load_explicit(&e->backup, memory_order_relaxed)))
		return TIER_PRIMARY;
	return site_tier_of_other(site);
}

/* The lowest of all its sites. */
enum tier pool_tier(const struct pool *p);

/* Does new work go there now? */
bool site_takes(const struct site *site);

/* For how long yet is the one held that is so for the shortest? 0 = none is. */
int64_t pool_held_ns(const struct pool *p);

/* Has the endpoint a place under its own cap? */
static inline bool
site_has_room(const struct site *site)
{
	return atomic_load(&site->endpoint->open) <
	    atomic_load(&site->endpoint->most);
}

/* Its cap is in the way: no place, and none that could be made here. */
static inline bool
site_is_full(const struct site *site)
{
	return site->idle == 0 && !site_has_room(site);
}

/* One of the tier that has room. */
bool tier_has_room(const struct pool *p, enum tier tier);

/* Would one more place under the upstream's cap be of use: there is none, and
   an endpoint that takes new work has room? */
bool pool_wants_a_place(const struct pool *p);

static inline bool
site_rests(const struct site *site)
{
	return site->rest_until_ns > site->pool->worker->now_ns;
}

/* Connecting there failed: it rests, longer each time in a row. Many that fail
   at one moment are one failure. */
void site_rest(struct site *site);

/* A connection was made and greeted. */
void site_connected(struct site *site);

/* The roster is new: what source_hash knows its sites by. */
void pool_hash_sites(struct pool *p);

/* The roster is new, or a bar has changed: note which are usable again. They
   begin anew, without rest. */
void pool_look_at_sites(struct pool *p);

#endif
