/*
 * Faults by hand. See inject.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/inject.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/clock.h"
#include "net/log.h"
#include "net/patient.h"
#include "proxy/exchange.h"
#include "proxy/live.h"
#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade.h"

/* ------------------------------------------------------------------ on main */

static uint64_t
all_hits(const struct upstream *up)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		n += count_read(&up->pools[i]->injected);
	return n;
}

uint64_t
inject_hits(const struct live_upstream *lu)
{
	return all_hits(lu->upstream) - lu->injection.hits_before;
}

static void
time_is_up(struct deadline *d)
{
	inject_end(container_of(d, struct live_upstream, injection.deadline));
}

void
inject_init(struct live_upstream *lu)
{
	deadline_init(&lu->injection.deadline, time_is_up);
}

static void
publish(struct upstream *up, const struct inject_wish *wish)
{
	atomic_store(&up->inject.what, wish->what);
	atomic_store(&up->inject.delay_ns, wish->delay_ms * NS_PER_MS);
	atomic_store(&up->inject.per_million, wish->per_million);
}

static void
log_begin(const struct live_upstream *lu)
{
	static const char *const whats[] = {
		[INJECT_NOTHING] = "",
		[INJECT_ERROR] = "fail",
		[INJECT_RESET] = "have their client reset"
	};
	const struct inject_wish *wish = &lu->injection.wish;
	char who[400], delay[64] = "";

	snprintf(who, sizeof(who), "upstream %s", lu->upstream->name);
	if (wish->delay_ms > 0)
		snprintf(delay, sizeof(delay), "wait %lld ms%s",
		    (long long)wish->delay_ms,
		    wish->what != INJECT_NOTHING ? " and " : "");
	log_warn(who, "by hand: %g %% of its exchanges %s%s, for %lld s",
	    wish->per_million / 1e4, delay, whats[wish->what],
	    (long long)(wish->for_ms + 999) / 1000);
}

/* To a lane: who was held there until then by this upstream's fault goes on. */
struct spare_mail {
	struct mail mail;
	const struct upstream *upstream;        /* compared only: it may be gone */
	int64_t until_ns;
};

static void
spare_dropped(struct mail *m)
{
	free(container_of(m, struct spare_mail, mail));
}

/* Deadlines are moved, and pass later: nothing ends during the walk. */
static void
spare_door(struct door *d, const struct spare_mail *sm)
{
	struct list *s, *x, *tmp, *next;

	list_each(s, tmp, &d->sessions)
		list_each(x, next, &container_of(s, struct session,
		    link)->exchanges) {
			struct exchange *held = container_of(x,
			    struct exchange, link);

			if (held->ask.pool != NULL &&
			    held->ask.pool->upstream == sm->upstream &&
			    held->routed_ns <= sm->until_ns)
				exchange_spare(held);
		}
}

static void
spare_arrived(struct worker *w, struct mail *m)
{
	struct lane *lane = w->owner;
	struct list *l, *tmp;

	list_each(l, tmp, &lane->doors)
		spare_door(container_of(l, struct door, link),
		    container_of(m, struct spare_mail, mail));
	spare_dropped(m);
}

/* After the end was published. A lane's time is that of the beginning of its
   turn, so whoever was hit before is older than this. */
static void
spare_held(const struct live_upstream *lu)
{
	struct runtime *rt = lu->runtime;
	int64_t now_ns = clock_ns();
	size_t i;

	for (i = 0; i < rt->n_lanes; i++) {
		struct spare_mail *sm = patient_zeroed(sizeof(*sm));

		if (sm == NULL)
			return;
		sm->mail.deliver = spare_arrived;
		sm->mail.drop = spare_dropped;
		sm->upstream = lu->upstream;
		sm->until_ns = now_ns;
		worker_post(&rt->lanes[i]->worker, &sm->mail);
	}
}

void
inject_begin(struct live_upstream *lu, const struct inject_wish *wish)
{
	struct worker *main = &lu->runtime->main;
	struct injection *in = &lu->injection;
	bool instead = in->wish.per_million != 0;

	in->wish = *wish;
	in->until_ns = main->now_ns + wish->for_ms * NS_PER_MS;
	in->hits_before = all_hits(lu->upstream);
	deadline_set_ns(main, &in->deadline, wish->for_ms * NS_PER_MS);
	publish(lu->upstream, wish);
	if (instead)
		spare_held(lu);
	log_begin(lu);
	upgrade_ordered(lu);
}

void
inject_end(struct live_upstream *lu)
{
	struct injection *in = &lu->injection;
	char who[400];

	deadline_clear(&in->deadline);
	if (in->wish.per_million == 0)
		return;
	in->wish = (struct inject_wish){ 0 };
	publish(lu->upstream, &in->wish);
	spare_held(lu);
	snprintf(who, sizeof(who), "upstream %s", lu->upstream->name);
	log_warn(who, "by hand: no more faults; %llu exchanges were hit",
	    (unsigned long long)inject_hits(lu));
	upgrade_ordered(lu);
}

static bool
is_so(const struct live_upstream *lu, const struct inject_wish *wish)
{
	const struct inject_wish *is = &lu->injection.wish;
	int64_t off_ns = lu->injection.until_ns - lu->runtime->main.now_ns -
	    wish->for_ms * NS_PER_MS;

	return is->delay_ms == wish->delay_ms && is->what == wish->what &&
	    is->per_million == wish->per_million &&
	    off_ns > -NS_PER_S && off_ns < NS_PER_S;
}

void
inject_copy(struct live_upstream *lu, const struct inject_wish *wish)
{
	if (wish->per_million == 0)
		inject_end(lu);
	else if (!is_so(lu, wish))
		inject_begin(lu, wish);
}

/* ---------------------------------------------------------------- on a lane */

bool
inject_draw(struct pool *p, struct injected *in)
{
	struct upstream *up = p->upstream;

	if (pool_roll(p) % INJECT_ALL >= atomic_load_explicit(
	    &up->inject.per_million, memory_order_relaxed))
		return false;
	in->delay_ns = atomic_load_explicit(&up->inject.delay_ns,
	    memory_order_relaxed);
	in->what = (enum inject_what)atomic_load_explicit(&up->inject.what,
	    memory_order_relaxed);
	/* It may just have ended. */
	if (in->delay_ns == 0 && in->what == INJECT_NOTHING)
		return false;
	count_add(&p->injected, 1);
	return true;
}
