/*
 * Upkeep. See upkeep.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upkeep.h"

#include <errno.h>
#include <string.h>

#include "pool/adapt.h"
#include "pool/balance.h"
#include "pool/handover.h"
#include "pool/leak.h"
#include "pool/quota.h"
#include "pool/shards.h"
#include "pool/site.h"

enum {
	TICK_MOST_MS = 1000, TICK_LEAST_MS = 20, WARM_SOON_MS = 5,
	BACKOFF_FIRST_MS = 100, BACKOFF_MOST_MS = 30000,
	HABIT_LEAST_MS = 50,            /* a younger EOF is a refusal, not a
					   habit */
	HABIT_FOR_MS = 600000           /* then it may show another one */
};

/* -------------------------------------------------------- the idle timeout */

int64_t
upkeep_idle_ms(const struct upconn *u)
{
	const struct pool *p = u->pool;
	int64_t ms = p->conf->pool.idle_timeout_ms;

	if (u->idle_hint_ms > 0 && u->idle_hint_ms < ms)
		ms = u->idle_hint_ms;
	if (p->habit.learned_ms > 0 && p->habit.learned_ms < ms)
		ms = p->habit.learned_ms;
	return ms;
}

static enum discard
idle_overdue(const struct upconn *u)
{
	int64_t ms = upkeep_idle_ms(u);
	enum discard why = upconn_overdue(u);

	if (why != N_DISCARDS)
		return why;
	if (ms < CONF_OFF && u->pool->worker->now_ns - u->since_ns >=
	    ms * NS_PER_MS)
		return DISCARD_IDLE_TIMEOUT;
	return N_DISCARDS;
}

void
upkeep_learn(struct pool *p, int64_t closes_ms)
{
	p->habit.learned_ms = closes_ms - closes_ms / 10;
	atomic_store_explicit(&p->closes_ms, closes_ms, memory_order_relaxed);
	p->habit.until_ns = p->worker->now_ns + HABIT_FOR_MS * NS_PER_MS;
}

/*
 * Three closings at about the same age, at different moments, are a habit: a
 * keep-alive timeout of the server's. (A restart closes all at one moment, at
 * all ages.) From then on connections are retired a tenth sooner.
 */
void
upkeep_closed_by_server(struct upconn *u)
{
	struct pool *p = u->pool;
	int64_t now_ms = p->worker->now_ns / NS_PER_MS;
	int64_t age_ms = now_ms - u->since_ns / NS_PER_MS;
	int64_t low = age_ms, high = age_ms;
	unsigned i, n = p->habit.n;

	if (u->uses == 0)
		upkeep_failed(u->shelf->site);
	if (age_ms < HABIT_LEAST_MS)
		return;
	if (n > 0 && now_ms - p->habit.at_ns[(n - 1) % 3] / NS_PER_MS <
	    HABIT_LEAST_MS)
		return;
	p->habit.age_ms[n % 3] = age_ms;
	p->habit.at_ns[n % 3] = p->worker->now_ns;
	p->habit.n = ++n;
	if (n < 3)
		return;
	for (i = 0; i < 3; i++) {
		if (p->habit.age_ms[i] < low)
			low = p->habit.age_ms[i];
		if (p->habit.age_ms[i] > high)
			high = p->habit.age_ms[i];
	}
	if (high - low > high / 10 + 10)
		return;
	upkeep_learn(p, low);
}

/* --------------------------------------------------------------- keep warm */

void
upkeep_failed(struct site *site)
{
	struct pool *p = site->pool;

	/* A thousand that fail at one moment are one failure. */
	if (p->worker->now_ns >= site->warm_after_ns)
		site->warm_after_ns = p->worker->now_ns + pool_backoff_ns(p,
		    site->warm_failures++, BACKOFF_FIRST_MS, BACKOFF_MOST_MS);
}

void
upkeep_useful(struct site *site)
{
	site->warm_failures = 0;
}

static unsigned
idle_everywhere(const struct pool *p)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < p->upstream->n_pools; i++)
		n += atomic_load_explicit(&p->upstream->pools[i]->idle,
		    memory_order_relaxed);
	return n;
}

/* Would one more be let live? Not while anybody waits, here or in another process
   that takes over or is taken over from. */
static bool
may_warm(struct pool *p)
{
	return idle_everywhere(p) + atomic_load(&p->opening) <
	    p->conf->pool.max_idle && list_empty(&p->asks) &&
	    pool_elder(p) == NULL && !adapt_rests(p) &&
	    !upstream_is_awaited(p->upstream);
}

static bool
backs_off(const struct site *site)
{
	return site_rests(site) ||
	    site->warm_after_ns > site->pool->worker->now_ns;
}

/* What is kept warm. */
struct warm {
	const void *key;
	size_t len;
};

/* The one of that number; false: there are no more. */
static bool
warm_at(const struct upstream *up, const struct conf_upstream *conf, size_t i,
    struct warm *k)
{
	*k = (struct warm){ NULL, 0 };
	if (up->peer->warm_key == NULL)
		return i == 0;
	k->key = up->peer->warm_key(conf, i, &k->len);
	return k->key != NULL;
}

unsigned
upkeep_warm_total(const struct upstream *up, const struct conf_upstream *conf)
{
	struct warm k;
	size_t n = 0;

	while (warm_at(up, conf, n, &k))
		n++;
	return (unsigned)((uint64_t)conf->pool.min_idle * n);
}

static bool
is_of(const struct upconn *u, const struct warm *k)
{
	return u->shelf->key_len == k->len && u->shelf->preface_len == 0 &&
	    memcmp(u->shelf->key, k->key, k->len) == 0;
}

static bool
is_coming(const struct upconn *u)
{
	return u->state == UPCONN_CONNECTING || u->state == UPCONN_GREETING ||
	    u->state == UPCONN_WASHING;
}

/* Those of the key that are idle or will be, at the site or, with NULL, at all;
   of the idle ones no more than `most` are counted at each. */
static unsigned
warm_there(struct pool *p, const struct site *at, const struct warm *k,
    unsigned most)
{
	const struct list *l, *i;
	unsigned n = 0, here;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		struct site *site = container_of(l, struct site, link);
		const struct shelf *sh = at == NULL || at == site ?
		    shelf_find(site, k->key, k->len) : NULL;

		here = 0;
		for (i = sh != NULL ? sh->idle.next : NULL; sh != NULL &&
		    i != &sh->idle && here < most; i = i->next)
			here++;
		n += here;
	}
	if (atomic_load(&p->opening) == 0)
		return n;
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		n += is_coming(u) && (at == NULL || u->shelf->site == at) &&
		    is_of(u, k);
	}
	return n;
}

/* Where all are alike, whoever they are of. */
static unsigned
warm_count(struct pool *p, const struct site *at, const struct warm *k,
    unsigned most)
{
	if (k->key != NULL)
		return warm_there(p, at, k, most);
	return at != NULL ? at->idle :
	    atomic_load(&p->idle) + atomic_load(&p->opening);
}

/* Places for one more, there. */
static bool
take_places(struct site *site, const struct warm *k,
    struct quota *quota[POOL_GROUPS])
{
	struct pool *p = site->pool;

	if (!endpoint_slot_take(site->endpoint))
		return false;
	if (upstream_slot_take(p->upstream)) {
		if (quota_take_if_free(p, k->key, k->len, quota))
			return true;
		upstream_slot_free(p->upstream);
	}
	endpoint_slot_free(site->endpoint);
	return false;
}

/* One more, there. */
static bool
warm_one(struct site *site, const struct warm *k)
{
	struct quota *quota[POOL_GROUPS];
	struct pool *p = site->pool;
	struct upconn *u;
	int error;

	if (!take_places(site, k, quota))
		return false;
	u = upconn_open(site, k->key, k->len, NULL);
	if (u != NULL)
		memcpy(u->quota, quota, sizeof(quota));
	if (u != NULL && upconn_is_made(u))
		upconn_ready(u);
	if (u != NULL)
		return true;
	error = errno;
	upstream_slot_free(p->upstream);
	endpoint_slot_free(site->endpoint);
	quota_free(p->upstream, p, quota);
	if (conn_is_shortage(error)) {
		upkeep_failed(site);    /* nobody's fault */
		return false;
	}
	site_rest(site);
	endpoint_fault(site->endpoint, FAULT_CONNECT_FAILED, error);
	return false;
}

static bool
keeps_warm(const struct pool *p)
{
	return p->conf != NULL && p->conf->pool.min_idle > 0 && !p->retired &&
	    p->roster != NULL && !atomic_load_explicit(&p->upstream->leaving,
	    memory_order_relaxed);
}

/* Our part of min_idle, less what is going to come from another process. */
static unsigned
wanted_here(const struct pool *p)
{
	int64_t coming = handover_coming(p->upstream, p->conf);
	int64_t least = p->conf->pool.min_idle;

	return pool_share(p, coming < least ? least - coming : 0);
}

/* False: nor is there a place for others. */
static bool
warm_up(struct pool *p, const struct warm *k, unsigned want)
{
	unsigned n, have = warm_count(p, NULL, k, want);

	for (n = 0; n < want && have < want && may_warm(p); n++) {
		struct site *site = balance_pick_warm(p);

		if (site == NULL)
			return false;
		/* Where it fails there is a pause: another may do. */
		if (warm_one(site, k))
			have++;
		else if (!backs_off(site))
			return true;
	}
	return true;
}

void
upkeep_warm(struct pool *p)
{
	struct warm k;
	unsigned want;
	size_t i;

	if (!keeps_warm(p))
		return;
	want = wanted_here(p);
	for (i = 0; warm_at(p->upstream, p->conf, i, &k) &&
	    warm_up(p, &k, want); i++)
		;
}

/* Its part of each, there. */
static void
warm_site(struct site *site)
{
	struct pool *p = site->pool;
	unsigned n, want = balance_warm_share(site);
	struct warm k;
	size_t i;

	for (i = 0; warm_at(p->upstream, p->conf, i, &k); i++)
		for (n = warm_count(p, site, &k, want); n < want &&
		    may_warm(p) && warm_one(site, &k); n++)
			;
}

void
upkeep_warm_returned(struct pool *p)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = container_of(l, struct site, link);

		if (!site->came_back)
			continue;
		site->came_back = false;
		if (keeps_warm(p) && site_takes(site))
			warm_site(site);
	}
}

static void
warm_now(struct deadline *d)
{
	upkeep_warm(container_of(d, struct pool, warming));
}

void
upkeep_warm_soon(struct pool *p)
{
	if (keeps_warm(p) && !deadline_armed(&p->warming))
		deadline_set(p->worker, &p->warming, WARM_SOON_MS);
}

/* ----------------------------------------------------------------- surplus */

void
upkeep_trim(struct pool *p)
{
	struct list *l, *tmp;
	int64_t most = p->conf->pool.max_idle;
	bool nested = p->serving;

	if (idle_everywhere(p) <= most)
		return;
	/* As in pool_close_idle(): places are dealt out afterwards. */
	p->serving = true;
	list_each(l, tmp, &p->upconns) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->state == UPCONN_IDLE)
			upconn_close(u, DISCARD_SURPLUS);
		if (idle_everywhere(p) <= most)
			break;
	}
	p->serving = nested;
	pool_serve(p);
}

/* -------------------------------------------------------------------- tick */

static bool
is_backing_off(const struct pool *p)
{
	const struct list *l;

	for (l = p->sites.next; keeps_warm(p) && l != &p->sites; l = l->next)
		if (backs_off(container_of(l, const struct site, link)))
			return true;
	return false;
}

static int64_t
tick_ms(const struct pool *p)
{
	int64_t ms = TICK_MOST_MS * 4;

	if (p->conf == NULL)
		return TICK_MOST_MS;
	if (p->conf->pool.idle_timeout_ms < ms)
		ms = p->conf->pool.idle_timeout_ms;
	if (p->conf->pool.max_lifetime_ms < ms)
		ms = p->conf->pool.max_lifetime_ms;
	if (p->habit.learned_ms > 0 && p->habit.learned_ms < ms)
		ms = p->habit.learned_ms;
	if (p->conf->pool.leak_after_ms < ms)
		ms = p->conf->pool.leak_after_ms;
	if (p->conf->pool.adapt && TICK_MOST_MS < ms)
		ms = TICK_MOST_MS;
	if (is_backing_off(p))
		ms = ms < BACKOFF_FIRST_MS * 4 ? ms : BACKOFF_FIRST_MS * 4;
	ms /= 4;
	return ms < TICK_LEAST_MS ? TICK_LEAST_MS : ms;
}

/* Connections that live a second and more are watched; the setting up is not
   worth four system calls to those that do not. */
static void
keep_alive(struct pool *p)
{
	int64_t ms = p->conf->pool.tcp_keepalive_ms;
	int64_t old = p->worker->now_ns - NS_PER_S;
	struct list *l;

	if (ms >= CONF_OFF)
		return;
	/* All: one from another worker may stand behind younger ones. */
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->kept_alive || u->born_ns > old || u->conn.connecting)
			continue;
		u->kept_alive = true;
		conn_keepalive(&u->conn, (int)((ms + 999) / 1000));
	}
}

static void
tick(struct deadline *d)
{
	struct pool *p = container_of(d, struct pool, upkeep);

	if (p->habit.learned_ms > 0 && p->worker->now_ns > p->habit.until_ns) {
		p->habit.learned_ms = 0;
		p->habit.n = 0;
		atomic_store_explicit(&p->closes_ms, 0, memory_order_relaxed);
	}
	if (p->retired) {
		leak_look(p);
		upkeep_watch(p);
		return;
	}
	if (p->conf != NULL) {
		keep_alive(p);
		adapt_tick(p);
		leak_look(p);
		/* Memory may have been short for a ring. */
		pool_look_at_shards(p);
		pool_close_idle(p, idle_overdue);
		p->quota_due = true;    /* memory may have been short */
		/* Of a hold that began and ended elsewhere nobody tells. */
		pool_ask_around(p);
		upkeep_warm(p);
	}
	deadline_set(p->worker, &p->upkeep, tick_ms(p));
}

void
upkeep_start(struct pool *p)
{
	deadline_init(&p->upkeep, tick);
	deadline_init(&p->warming, warm_now);
}

void
upkeep_stop(struct pool *p)
{
	deadline_clear(&p->upkeep);
	deadline_clear(&p->warming);
}

void
upkeep_watch(struct pool *p)
{
	if (list_empty(&p->lent))
		deadline_clear(&p->upkeep);
	else if (!deadline_armed(&p->upkeep))
		deadline_set(p->worker, &p->upkeep, tick_ms(p));
}
