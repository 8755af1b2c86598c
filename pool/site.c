/*
 * Sites: which may take new work. See site.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/site.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

enum { REST_FIRST_MS = 100, REST_MOST_MS = 10000 };

static inline struct site *
site_of(struct list *l)
{
	return container_of(l, struct site, link);
}

/* ------------------------------------------------------------------- tiers */

enum tier
site_tier_of_other(const struct site *site)
{
	const struct endpoint *e = site->endpoint;
	unsigned bars = atomic_load_explicit(&e->bars, memory_order_relaxed);
	int64_t until = atomic_load_explicit(&e->hold_until_ns,
	    memory_order_relaxed);
	bool backup = atomic_load_explicit(&e->backup, memory_order_relaxed);
	bool held = until > site->pool->worker->now_ns;

	if (!site->current)
		return TIER_NONE;
	if (bars == 0)
		return held ? TIER_HELD : backup ? TIER_BACKUP : TIER_PRIMARY;
	if (held || (bars & (BAR_DRAIN | BAR_DOWN | BAR_DEMOTED)) != 0 ||
	    site->pool->conf->when_all_down != CONF_ALL_DOWN_TRY)
		return TIER_NONE;
	return backup ? TIER_TRY_BACKUP : TIER_TRY;
}

enum tier
pool_tier(const struct pool *p)
{
	enum tier lowest = TIER_NONE;
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		enum tier tier = site_tier(container_of(l, const struct site,
		    link));

		if (tier == TIER_PRIMARY)
			return tier;
		if (tier < lowest)
			lowest = tier;
	}
	return lowest;
}

bool
site_takes(const struct site *site)
{
	enum tier tier = site_tier(site);

	return tier == TIER_PRIMARY ||
	    (tier < TIER_HELD && tier == pool_tier(site->pool));
}

int64_t
pool_held_ns(const struct pool *p)
{
	int64_t shortest = 0;
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);
		int64_t left = atomic_load_explicit(
		    &site->endpoint->hold_until_ns, memory_order_relaxed) -
		    p->worker->now_ns;

		if (site_tier(site) == TIER_HELD && left > 0 &&
		    (shortest == 0 || left < shortest))
			shortest = left;
	}
	return shortest;
}

bool
tier_has_room(const struct pool *p, enum tier tier)
{
	const struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		const struct site *site =
		    container_of(l, const struct site, link);

		if (site_tier(site) == tier && site_has_room(site))
			return true;
	}
	return false;
}

bool
pool_wants_a_place(const struct pool *p)
{
	enum tier tier = pool_tier(p);

	return tier < TIER_HELD && upstream_is_full(p->upstream) &&
	    tier_has_room(p, tier);
}

/* -------------------------------------------------------------------- rest */

void
site_rest(struct site *site)
{
	struct pool *p = site->pool;

	if (!site_rests(site))
		site->rest_until_ns = p->worker->now_ns + pool_backoff_ns(p,
		    site->rests++, REST_FIRST_MS, REST_MOST_MS);
}

void
site_connected(struct site *site)
{
	site->rest_until_ns = 0;
	site->rests = 0;
}

/* ----------------------------------------------------------------- looking */

/* Of the name alone where it has one address: then clients keep to it when the
   address changes. */
static uint64_t
hash_of(const struct site *site)
{
	const char *text = site->endpoint->resolved;
	struct list *l, *tmp;

	list_each(l, tmp, &site->pool->sites) {
		const struct site *other = site_of(l);

		if (other != site && other->current &&
		    other->name_hash == site->name_hash)
			return XXH64(text, strlen(text), site->name_hash);
	}
	return site->name_hash;
}

void
pool_hash_sites(struct pool *p)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		const char *name = site_of(l)->endpoint->name;

		site_of(l)->name_hash = XXH64(name, strlen(name), 0);
	}
	list_each(l, tmp, &p->sites)
		site_of(l)->hash = hash_of(site_of(l));
}

void
pool_look_at_sites(struct pool *p)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);
		bool usable = site->current && atomic_load_explicit(
		    &site->endpoint->bars, memory_order_relaxed) == 0;

		site->came_back = usable && !site->was_usable;
		site->was_usable = usable;
		if (!site->came_back)
			continue;
		site_connected(site);
		site->warm_after_ns = 0;
		site->warm_failures = 0;
	}
}
