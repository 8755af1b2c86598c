/*
 * Snapshots in use. See generation.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/generation.h"

#include <stdlib.h>
#include <time.h>

#include "net/patient.h"
#include "proxy/access_fields.h"

struct generation *
generation_new(struct runtime *rt, struct conf *conf)
{
	struct generation *g;

	g = calloc(1, sizeof(*g) + rt->n_lanes * sizeof(g->users[0]));
	if (g == NULL)
		return NULL;
	g->upstreams = calloc(conf->n_upstreams + 1, sizeof(*g->upstreams));
	g->access = access_plan_new(conf);
	if (g->upstreams == NULL || g->access == NULL) {
		access_plan_free(g->access);
		free(g->upstreams);
		free(g);
		return NULL;
	}
	g->conf = conf;
	g->runtime = rt;
	g->at_s = (int64_t)time(NULL);
	list_init(&g->link);
	atomic_init(&g->lanes, (unsigned)rt->n_lanes);
	return g;
}

void
generation_free(struct generation *g)
{
	if (g == NULL)
		return;
	list_remove(&g->link);
	conf_free(g->held);
	conf_free(g->conf);
	access_plan_free(g->access);
	free(g->upstreams);
	free(g);
}

struct upstream *
generation_upstream(const struct generation *g,
    const struct conf_upstream *conf)
{
	return g->upstreams[conf - g->conf->upstreams];
}

/* ------------------------------------------------- the last lane lets it go */

struct farewell {
	struct mail mail;
	struct generation *gen;
};

static void
farewell_arrived(struct worker *w, struct mail *m)
{
	struct farewell *f = container_of(m, struct farewell, mail);

	(void)w;
	generation_free(f->gen);
	free(f);
}

static void
farewell_dropped(struct mail *m)
{
	/* The runtime frees all generations when it ends. */
	free(container_of(m, struct farewell, mail));
}

void
generation_done(struct lane *lane, struct generation *g)
{
	struct farewell *f;

	if (atomic_fetch_sub(&g->lanes, 1) != 1)
		return;
	f = patient_alloc(sizeof(*f));
	if (f == NULL)
		return;         /* kept until the end: a leak of one snapshot */
	f->mail.deliver = farewell_arrived;
	f->mail.drop = farewell_dropped;
	f->gen = g;
	worker_post(&lane->runtime->main, &f->mail);
}

void
generation_switch(struct lane *lane, struct generation *g)
{
	struct generation *old = lane->gen;

	lane->gen = g;
	if (old != NULL && old->users[lane->worker.index] == 0)
		generation_done(lane, old);
}
