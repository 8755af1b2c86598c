/*
 * Balancing. See balance.h.
 *
 * All policies walk all sites: upstreams have few endpoints, and a walk of
 * plain memory is cheaper than keeping a heap in order for each lease.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/balance.h"

#include <math.h>

#include "pool/lease.h"
#include "pool/shards.h"
#include "pool/site.h"

/* Weights are looked at a hundred times finer than they are configured: one
   that starts slowly has a tenth of its own. */
enum { FINE = 100, SLOW_LEAST = 10 };

/* Who is looked at. */
struct among {
	enum tier tier;
	const struct endpoint *avoid;
	bool resting;                   /* also those that rest */
};

static inline struct site *
site_of(struct list *l)
{
	return container_of(l, struct site, link);
}

static inline bool
is_among(const struct site *site, const struct among *m)
{
	return site->endpoint != m->avoid && (site->rest_until_ns == 0 ||
	    m->resting || !site_rests(site)) && site_tier(site) == m->tier;
}

/* --------------------------------------------------------- weight and load */

/* Part of the weight in percent: it has come up a while ago. */
static unsigned
share_of_slow_start(const struct site *site, int64_t since_ns)
{
	const struct conf_upstream *conf = site->pool->conf;
	int64_t age_us = (site->pool->worker->now_ns - since_ns) / 1000;

	if (age_us < 0)                 /* another thread's clock */
		age_us = 0;
	if (conf->slow_start_ms >= CONF_OFF ||
	    age_us / 1000 >= conf->slow_start_ms)
		return FINE;
	return SLOW_LEAST + (unsigned)((FINE - SLOW_LEAST) * age_us /
	    (conf->slow_start_ms * 1000));
}

static uint64_t
weight_of(const struct site *site)
{
	const struct endpoint *e = site->endpoint;
	uint64_t weight = atomic_load_explicit(&e->weight,
	    memory_order_relaxed);
	int64_t since_ns = atomic_load_explicit(&e->up_since_ns,
	    memory_order_relaxed);

	return weight * (likely(since_ns == 0) ? FINE :
	    share_of_slow_start(site, since_ns));
}

/* Leases that it carries or is about to, on all workers. */
static uint64_t
load_of(const struct site *site)
{
	const struct endpoint *e = site->endpoint;

	return (uint64_t)atomic_load_explicit(&e->leased,
	    memory_order_relaxed) + atomic_load_explicit(&e->opening,
	    memory_order_relaxed);
}

/* Load with one more, and the weight that it is for. */
struct burden {
	uint64_t load, weight;
};

static inline struct burden
burden_of(const struct site *site)
{
	return (struct burden){ load_of(site) + 1, weight_of(site) };
}

static inline bool
is_lighter(const struct burden *a, const struct burden *b)
{
	return a->load * b->weight < b->load * a->weight;
}

/* ----------------------------------------------- round robin, least loaded */

/*
 * Smooth weighted round robin over the sites that bear no more than `least`:
 * each gains its weight, the one with most wins and pays the sum. At light load
 * least_conn ties all the time, and this is what spreads it then.
 */
static inline struct site *
take_turn(struct pool *p, const struct among *m, const struct burden *least)
{
	struct site *winner = NULL;
	struct list *l, *tmp;
	int64_t sum = 0;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);
		struct burden burden = { 0, 0 };

		if (!is_among(site, m))
			continue;
		if (least != NULL) {
			burden = burden_of(site);
			if (is_lighter(least, &burden))
				continue;
		} else
			burden.weight = weight_of(site);
		site->turn += (int64_t)burden.weight;
		sum += (int64_t)burden.weight;
		if (winner == NULL || site->turn > winner->turn)
			winner = site;
	}
	if (winner != NULL)
		winner->turn -= sum;
	return winner;
}

static struct site *
least_loaded(struct pool *p, const struct among *m)
{
	struct burden least = { UINT32_MAX, 1 };
	struct site *winner;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites)
		if (is_among(site_of(l), m)) {
			struct burden burden = burden_of(site_of(l));

			if (is_lighter(&burden, &least))
				least = burden;
		}
	/* Other workers may have loaded it since. */
	winner = take_turn(p, m, &least);
	return winner != NULL ? winner : take_turn(p, m, NULL);
}

/* -------------------------------------------------------------- random two */

/* One drawn by weight, but not `except`; NULL when there is no other. */
static struct site *
draw(struct pool *p, const struct among *m, const struct site *except)
{
	struct site *drawn = NULL;
	struct list *l, *tmp;
	uint64_t sum = 0, at;

	list_each(l, tmp, &p->sites)
		if (site_of(l) != except && is_among(site_of(l), m))
			sum += weight_of(site_of(l));
	/* A 32-bit fraction of the sum: weights add up to less than 2^32. */
	at = (pool_roll(p) >> 32) * sum >> 32;
	list_each(l, tmp, &p->sites) {
		uint64_t weight;

		if (site_of(l) == except || !is_among(site_of(l), m))
			continue;
		/* The last one also if somebody has lowered a weight. */
		drawn = site_of(l);
		weight = weight_of(drawn);
		if (at < weight)
			break;
		at -= weight;
	}
	return drawn;
}

/* The less loaded of two: almost as even as the least loaded of all, but many
   sidecars do not run after the same endpoint. */
static struct site *
random_two(struct pool *p, const struct among *m)
{
	struct site *one = draw(p, m, NULL);
	struct site *other = one != NULL ? draw(p, m, one) : NULL;

	struct burden a, b;

	if (other == NULL)
		return one;
	a = burden_of(one);
	b = burden_of(other);
	return is_lighter(&b, &a) ? other : one;
}

/* ------------------------------------------------------------- source hash */

static uint64_t
mixed(uint64_t z)
{
	/* the finalizer of splitmix64, by S. Vigna, public domain */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/*
 * Rendezvous hashing with weights: each site has a score for each client, and
 * the highest wins. When a site goes only its own clients move, and a weight
 * says what part of all clients is its.
 */
static double
score_of(const struct site *site, uint64_t client)
{
	uint64_t z = mixed(site->hash ^ mixed(client));
	double uniform = ((double)(z >> 11) + 0.5) * 0x1p-53;

	return (double)weight_of(site) / -log(uniform);
}

/*
 * Bounded load: the best score of those that would not have more than a quarter
 * above their share of all load, this one included, and are not full; else the
 * best of all.
 */
static struct site *
source_hash(struct pool *p, const struct among *m, uint64_t client)
{
	struct site *best = NULL, *fit = NULL;
	double score, best_score = 0, fit_score = 0;
	uint64_t load = 1, weight = 0;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites)
		if (is_among(site_of(l), m)) {
			load += load_of(site_of(l));
			weight += weight_of(site_of(l));
		}
	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);

		if (!is_among(site, m))
			continue;
		score = score_of(site, client);
		if (best == NULL || score > best_score)
			best = site, best_score = score;
		/* load + 1 <= ceil(1.25 * share), in whole numbers */
		if (load_of(site) * 4 * weight < 5 * load * weight_of(site) &&
		    !site_is_full(site) && (fit == NULL || score > fit_score))
			fit = site, fit_score = score;
	}
	return fit != NULL ? fit : best;
}

/* ---------------------------------------------------------------- key hash */

static struct site *
usable_shard(struct pool *p, uint32_t hash)
{
	struct endpoint *e = p->shards == NULL ? NULL :
	    shards_find(p->shards, hash);
	struct site *site = e == NULL ? NULL : pool_site_of(p, e);
	enum tier tier = site == NULL ? TIER_NONE : site_tier(site);

	return tier < TIER_HELD && (tier == TIER_PRIMARY ||
	    tier == pool_tier(p)) ? site : NULL;
}

/* Neither load, nor rest, nor what an ask would rather avoid moves a key. */
static struct site *
key_hash(struct pool *p, uint64_t hash)
{
	uint32_t of_ring = p->conf->key_hash.ring == CONF_RING_RANDOM ?
	    (uint32_t)(pool_roll(p) >> 32) : (uint32_t)hash;
	struct site *site = usable_shard(p, of_ring);

	/* A bar may have come that nobody has told this worker of yet. */
	if (site == NULL && p->shards != NULL && shards_look(p->shards))
		site = usable_shard(p, of_ring);
	return site;
}

/* ----------------------------------------------------------------- picking */

static struct site *
pick_among(struct pool *p, const struct among *m, const struct ask *a)
{
	switch (p->conf->balance) {
	case CONF_ROUND_ROBIN:
		return take_turn(p, m, NULL);
	case CONF_LEAST_CONN:
		return least_loaded(p, m);
	case CONF_RANDOM_TWO:
		return random_two(p, m);
	case CONF_SOURCE_HASH:
		return source_hash(p, m, a != NULL ? a->hash : 0);
	case CONF_KEY_HASH:
		break;                  /* knows no tiers: balance_pick() */
	}
	return NULL;
}

static struct site *
pick_of_tier(struct pool *p, const struct ask *a, enum tier tier)
{
	struct among m = { .tier = tier,
		.avoid = a != NULL ? a->avoid : NULL };
	struct site *picked = pick_among(p, &m, a);

	if (likely(picked != NULL))
		return picked;
	m.resting = true;
	picked = pick_among(p, &m, a);
	if (picked != NULL || m.avoid == NULL)
		return picked;
	m.avoid = NULL;
	return pick_among(p, &m, a);
}

struct site *
balance_pick(struct pool *p, const struct ask *a)
{
	struct site *only, *picked;
	enum tier tier;
	unsigned tries;

	if (p->conf->balance == CONF_KEY_HASH)
		return key_hash(p, a != NULL ? a->hash : 0);
	if (list_empty(&p->sites))
		return NULL;
	only = site_of(p->sites.next);
	if (only->link.next == &p->sites)
		return site_tier(only) < TIER_HELD ? only : NULL;
	/* A bar may come while this looks: then another tier's turn has. */
	for (tries = 0; tries < 3; tries++) {
		tier = pool_tier(p);
		if (tier >= TIER_HELD)
			return NULL;
		picked = pick_of_tier(p, a, tier);
		if (likely(picked != NULL))
			return picked;
	}
	return NULL;
}

/* ----------------------------------------------------------------- warming */

static bool
is_to_be_warm(const struct site *site)
{
	return site_tier(site) <= TIER_BACKUP && site_takes(site);
}

struct site *
balance_pick_warm(struct pool *p)
{
	int64_t now_ns = p->worker->now_ns;
	struct site *best = NULL;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = site_of(l);
		struct endpoint *e = site->endpoint;

		if (!is_to_be_warm(site) || !site_has_room(site) ||
		    site_rests(site) || site->warm_after_ns > now_ns)
			continue;
		if (best == NULL ||
		    (uint64_t)atomic_load(&e->open) *
		    atomic_load(&best->endpoint->weight) <
		    (uint64_t)atomic_load(&best->endpoint->open) *
		    atomic_load(&e->weight))
			best = site;
	}
	return best;
}

unsigned
balance_warm_share(const struct site *site)
{
	struct pool *p = site->pool;
	uint64_t sum = 0;
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites)
		if (is_to_be_warm(site_of(l)))
			sum += atomic_load(&site_of(l)->endpoint->weight);
	if (sum == 0 || !is_to_be_warm(site))
		return 0;
	return pool_share(p, (int64_t)((uint64_t)p->conf->pool.min_idle *
	    atomic_load(&site->endpoint->weight) / sum));
}

/* ------------------------------------------------------------------ places */

bool
endpoint_slot_take(struct endpoint *e)
{
	unsigned open = atomic_load(&e->open);

	do {
		if (open >= atomic_load(&e->most))
			return false;
	} while (!atomic_compare_exchange_weak(&e->open, &open, open + 1));
	return true;
}

void
endpoint_slot_free(struct endpoint *e)
{
	atomic_fetch_sub(&e->open, 1);
}
