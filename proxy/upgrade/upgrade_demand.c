/*
 * Demand across an upgrade. See upgrade_demand.h.
 *
 * The numbers are raw, and the object says how many buckets of each kind there
 * are: in a version that has others nothing can be added, and it is counted
 * anew.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_demand.h"

#include <stdlib.h>
#include <string.h>

#include "pool/demand.h"
#include "proxy/advisor.h"
#include "proxy/live.h"

/* On the wire. */
struct wanted {
	uint64_t asks, found_most;
	uint64_t held_count, held_sum_us, held_max_us;
	uint64_t found[DEMAND_BUCKETS];
	uint64_t fine[HIST_FINE], published[HIST_PUBLISHED + 1];
};

_Static_assert(sizeof(struct wanted) == (5 + DEMAND_BUCKETS + HIST_FINE +
    HIST_PUBLISHED + 1) * sizeof(uint64_t), "there is nothing between");

/* ------------------------------------------------------------------- telling */

static void
spell(const struct demand_sum *sum, struct wanted *w)
{
	w->asks = sum->asks;
	w->found_most = sum->found_most;
	w->held_count = sum->held.count;
	w->held_sum_us = sum->held.sum_us;
	w->held_max_us = sum->held.max_us;
	memcpy(w->found, sum->found, sizeof(w->found));
	memcpy(w->fine, sum->held.fine, sizeof(w->fine));
	memcpy(w->published, sum->held.published, sizeof(w->published));
}

void
demand_tell(struct runtime *rt, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg)
{
	struct demand_sum sum = { 0 };
	struct wanted w;
	struct list *l;
	double seconds;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf == NULL)
			continue;
		seconds = advisor_window(lu, &sum);
		if (seconds <= 0 || sum.asks == 0)
			continue;
		spell(&sum, &w);
		say(arg, json_pack("{s:s,s:s,s:s,s:I,s:i,s:i,s:i}", "is",
		    "demand", "upstream", lu->upstream->name, "protocol",
		    lu->conf->proto->name, "ms", (json_int_t)(seconds * 1e3),
		    "found", DEMAND_BUCKETS, "fine", HIST_FINE, "published",
		    HIST_PUBLISHED + 1), &w, sizeof(w));
	}
}

/* -------------------------------------------------------------------- taking */

/* To the first lane, whose numbers they become, and back to main. */
struct demand_mail {
	struct mail mail;
	struct live_upstream *lu;       /* main's */
	struct pool *pool;
	double seconds;
	struct wanted wanted;
};

static void
demand_dropped(struct mail *m)
{
	free(container_of(m, struct demand_mail, mail));
}

/* Only now: what main remembers is to be with it. */
static void
demand_home(struct worker *w, struct mail *m)
{
	struct demand_mail *dm = container_of(m, struct demand_mail, mail);

	(void)w;
	advisor_was_added(dm->lu, dm->seconds);
	free(dm);
}

static void
add(counter *c, const uint64_t *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i] != 0)
			count_add(&c[i], v[i]);
}

static void
lift(counter *c, uint64_t to)
{
	uint64_t is = count_read(c);

	if (to > is)
		count_add(c, to - is);
}

static void
demand_arrived(struct worker *w, struct mail *m)
{
	struct demand_mail *dm = container_of(m, struct demand_mail, mail);
	const struct wanted *from = &dm->wanted;
	struct demand *to = &dm->pool->demand;

	(void)w;
	count_add(&to->asks, from->asks);
	add(to->found, from->found, DEMAND_BUCKETS);
	lift(&to->found_most, from->found_most);
	count_add(&to->held.count, from->held_count);
	count_add(&to->held.sum_us, from->held_sum_us);
	lift(&to->held.max_us, from->held_max_us);
	add(to->held.fine, from->fine, HIST_FINE);
	add(to->held.published, from->published, HIST_PUBLISHED + 1);
	m->deliver = demand_home;
	worker_post(&dm->lu->runtime->main, m);
}

static struct live_upstream *
upstream_of(struct runtime *rt, const struct message *m)
{
	const char *name = message_text(m, "upstream");
	const char *protocol = message_text(m, "protocol");
	struct live_upstream *lu = NULL;

	while ((lu = live_upstream_named(rt, name, lu)) != NULL)
		if (lu->conf != NULL &&
		    strcmp(lu->conf->proto->name, protocol) == 0)
			return lu;
	return NULL;
}

void
demand_take(struct runtime *rt, const struct message *m)
{
	int64_t ms = message_number(m, "ms", 0, MESSAGE_LONG_MS, 0);
	struct live_upstream *lu = upstream_of(rt, m);
	struct demand_mail *dm;

	if (lu == NULL || ms == 0 || m->raw_len != sizeof(dm->wanted) ||
	    message_number(m, "found", 0, INT32_MAX, 0) != DEMAND_BUCKETS ||
	    message_number(m, "fine", 0, INT32_MAX, 0) != HIST_FINE ||
	    message_number(m, "published", 0, INT32_MAX, 0) !=
	    HIST_PUBLISHED + 1)
		return;
	dm = malloc(sizeof(*dm));
	if (dm == NULL)
		return;
	dm->mail = (struct mail){ .deliver = demand_arrived,
	    .drop = demand_dropped };
	dm->lu = lu;
	dm->pool = lu->upstream->pools[0];
	dm->seconds = (double)ms / 1e3;
	memcpy(&dm->wanted, m->raw, sizeof(dm->wanted));
	worker_post(&rt->lanes[0]->worker, &dm->mail);
}
