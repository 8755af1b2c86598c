/*
 * Counting connections. See census.h.
 *
 * A census outlives its caller: it is freed when the caller is done with it and
 * every letter has come back or was dropped, in whichever thread that happens.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/census.h"

#include <stdlib.h>
#include <string.h>

#include "pool/upconn.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"

/* One connection, as its lane saw it. */
struct row {
	const char *upstream;           /* in part->names */
	struct endpoint *endpoint;      /* a reference */
	const char *mark_why;           /* static text, or NULL */
	enum upconn_state state;
	enum mark mark;
	uint64_t id, uses;
	int64_t age_ms, state_ms;
};

/* A lane's share: the lane fills it, then only main looks at it. */
struct part {
	struct mail mail;
	struct census *census;
	struct lane *lane;
	bool back;                      /* main's: it has been filled */
	bool short_of_memory;
	char **names;  size_t n_names;
	struct row *rows; size_t n_rows, room;
};

struct census {
	struct awaited awaited;
	struct caller *caller;          /* main's; NULL = nobody waits */
	unsigned missing;               /* main's: parts not back */
	_Atomic unsigned refs;          /* letters out, and main */
	size_t n_parts;
	struct part parts[];
};

static void
part_fini(struct part *p)
{
	size_t i;

	for (i = 0; i < p->n_rows; i++)
		endpoint_drop(p->rows[i].endpoint);
	for (i = 0; i < p->n_names; i++)
		free(p->names[i]);
	free(p->rows);
	free(p->names);
}

static void
census_drop(struct census *census)
{
	size_t i;

	if (atomic_fetch_sub(&census->refs, 1) != 1)
		return;
	for (i = 0; i < census->n_parts; i++)
		part_fini(&census->parts[i]);
	free(census);
}

/* ------------------------------------------------------------ on the lanes */

static int
add_row(struct part *p, const struct upconn *u, const char *upstream,
    int64_t now_ns)
{
	if (p->n_rows == p->room) {
		size_t room = p->room > 0 ? p->room * 2 : 64;
		struct row *rows = reallocarray(p->rows, room, sizeof(*rows));

		if (rows == NULL)
			return -1;
		p->rows = rows;
		p->room = room;
	}
	p->rows[p->n_rows++] = (struct row){
		.upstream = upstream,
		.endpoint = endpoint_keep(u->shelf->site->endpoint),
		.mark_why = u->mark_why,
		.state = u->state,
		.mark = u->mark,
		.id = u->id,
		.uses = u->uses,
		.age_ms = (now_ns - u->born_ns) / NS_PER_MS,
		.state_ms = (now_ns - u->since_ns) / NS_PER_MS
	};
	return 0;
}

static int
add_pool(struct part *p, const struct pool *pool, int64_t now_ns)
{
	char *name = strdup(pool->upstream->name);
	const struct list *l;

	if (name == NULL)
		return -1;
	p->names[p->n_names++] = name;
	for (l = pool->upconns.next; l != &pool->upconns; l = l->next)
		if (add_row(p, container_of(l, struct upconn, all), name,
		    now_ns) < 0)
			return -1;
	return 0;
}

static void
came_back(struct worker *w, struct mail *m);

static void
dropped(struct mail *m)
{
	census_drop(container_of(m, struct part, mail)->census);
}

/* Upstreams of the lane's present snapshot: what has left the file closes by
   itself and can no longer be named. */
static void
count(struct worker *w, struct mail *m)
{
	struct part *p = container_of(m, struct part, mail);
	struct generation *gen = p->lane->gen;
	size_t n = gen != NULL ? gen->conf->n_upstreams : 0, i;

	p->names = calloc(n + 1, sizeof(p->names[0]));
	if (p->names == NULL)
		p->short_of_memory = true;
	for (i = 0; i < n && !p->short_of_memory; i++)
		if (add_pool(p, gen->upstreams[i]->pools[w->index],
		    w->now_ns) < 0)
			p->short_of_memory = true;
	m->deliver = came_back;
	worker_post(&p->lane->runtime->main, m);
}

/* ----------------------------------------------------------------- on main */

static json_t *
row_json(const struct row *r, unsigned worker)
{
	static const char *const marks[] = {
		[MARK_CLEAN] = "clean",
		[MARK_DIRTY] = "dirty",
		[MARK_BROKEN] = "broken"
	};
	json_t *o = json_object();

	(void)json_object_set_new(o, "id", json_integer((json_int_t)r->id));
	(void)json_object_set_new(o, "upstream", json_text(r->upstream));
	(void)json_object_set_new(o, "endpoint", json_text(r->endpoint->name));
	(void)json_object_set_new(o, "resolved",
	    json_text(r->endpoint->resolved));
	(void)json_object_set_new(o, "worker", json_integer(worker));
	(void)json_object_set_new(o, "state",
	    json_text(upconn_state_names[r->state]));
	(void)json_object_set_new(o, "age_ms", json_integer(r->age_ms));
	(void)json_object_set_new(o, "state_ms", json_integer(r->state_ms));
	(void)json_object_set_new(o, "uses", json_integer((json_int_t)r->uses));
	(void)json_object_set_new(o, "mark", json_text(marks[r->mark]));
	(void)json_object_set_new(o, "mark_reason",
	    json_text(r->mark_why != NULL ? r->mark_why : ""));
	return o;
}

static void
forget(struct awaited *what)
{
	struct census *census = container_of(what, struct census, awaited);

	census->caller->awaited = NULL;
	census->caller = NULL;
	census_drop(census);
}

static void
tell(struct census *census)
{
	json_t *o = json_object(), *rows = json_array();
	struct caller *c = census->caller;
	bool complete = true;
	size_t i, k;

	for (i = 0; i < census->n_parts; i++) {
		const struct part *p = &census->parts[i];

		if (!p->back || p->short_of_memory)
			complete = false;
		for (k = 0; p->back && k < p->n_rows; k++)
			(void)json_array_append_new(rows, row_json(&p->rows[k],
			    p->lane->worker.index));
	}
	/* false: a lane was too busy to answer, or short of memory. */
	(void)json_object_set_new(o, "complete", json_boolean(complete));
	(void)json_object_set_new(o, "connections", rows);
	forget(&census->awaited);
	caller_reply_json(c, 200, o);
}

static void
came_back(struct worker *w, struct mail *m)
{
	struct part *p = container_of(m, struct part, mail);
	struct census *census = p->census;

	(void)w;
	p->back = true;
	if (--census->missing == 0 && census->caller != NULL)
		tell(census);
	census_drop(census);
}

static void
late(struct awaited *what)
{
	tell(container_of(what, struct census, awaited));
}

struct awaited *
census_begin(struct caller *c)
{
	struct runtime *rt = c->admin->rt;
	struct census *census;
	size_t i;

	census = calloc(1, sizeof(*census) +
	    rt->n_lanes * sizeof(census->parts[0]));
	if (census == NULL)
		return NULL;
	census->awaited = (struct awaited){ late, forget };
	census->caller = c;
	census->n_parts = rt->n_lanes;
	census->missing = (unsigned)rt->n_lanes;
	atomic_init(&census->refs, (unsigned)rt->n_lanes + 1);
	for (i = 0; i < rt->n_lanes; i++) {
		struct part *p = &census->parts[i];

		p->census = census;
		p->lane = rt->lanes[i];
		p->mail.deliver = count;
		p->mail.drop = dropped;
		worker_post(&p->lane->worker, &p->mail);
	}
	return &census->awaited;
}
