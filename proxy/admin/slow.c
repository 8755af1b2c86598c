/*
 * The page /slow. See slow.h; how lanes are asked is in proxy/gather.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/slow.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/gather.h"
#include "proxy/slow.h"
#include "proxy/why.h"

struct part {
	struct gather_part letter;
	unsigned n;
	struct slow_entry *v;           /* room for SLOW_MOST */
};

struct gathering {
	struct gather all;              /* held by main */
	struct awaited awaited;
	struct caller *caller;          /* main's; NULL = nobody waits */
	size_t n_parts;
	struct part parts[];
};

/* -------------------------------------------------------------------- JSON */

static void
put_us(json_t *o, const char *key, int64_t ns)
{
	json_put(o, key, json_integer(ns / 1000));
}

static json_t *
pool_json(const struct slow_pool *p)
{
	json_t *o = json_object();

	json_put(o, "max", json_integer(p->max));
	json_put(o, "open", json_integer(p->open));
	json_put(o, "idle", json_integer(p->idle));
	json_put(o, "leased", json_integer(p->leased));
	json_put(o, "waiting", json_integer(p->waiting));
	json_put(o, "pinned", json_integer(p->pinned));
	return o;
}

static void
put_times(json_t *o, const struct slow_entry *e)
{
	put_us(o, "total_us", e->total_ns);
	put_us(o, "arrive_us", e->arrive_ns);
	put_us(o, "pause_us", e->pause_ns);
	put_us(o, "queue_us", e->queue_ns);
	put_us(o, "connect_us", e->connect_ns);
	put_us(o, "tls_us", e->tls_ns);
	put_us(o, "upload_us", e->upload_ns);
	put_us(o, "first_byte_us", e->first_ns);
	put_us(o, "client_us", e->client_ns);
	put_us(o, "idle_us", e->idle_ns);
	put_us(o, "transfer_us", e->transfer_ns);
}

static json_t *
entry_json(const struct slow_entry *e, double at_s)
{
	const struct why_rule *r = why_rule(e);
	char why[WHY_TEXT], client[ADDR_TEXT_MAX];
	json_t *o = json_object();

	why_say(r, e, why);
	json_put(o, "at", json_real(at_s));
	json_put(o, "id", json_text(e->id));
	json_put(o, "trace", json_text(e->trace));
	json_put(o, "listener", json_text(e->listener));
	json_put(o, "upstream", json_text(e->upstream));
	json_put(o, "endpoint", json_text(e->endpoint));
	json_put(o, "client", json_text(addr_ip_print(&e->client, true,
	    client)));
	json_put(o, "request", json_text(e->request));
	json_put(o, "user", json_text(e->user));
	json_put(o, "database", json_text(e->database));
	json_put(o, "status", json_integer(e->status));
	json_put(o, "outcome", json_text(outcome_names[e->outcome]));
	json_put(o, "failure", json_text(e->why == FAIL_NONE ? "" :
	    fail_rows[e->why].name));
	json_put(o, "said", json_text(e->said));
	put_times(o, e);
	json_put(o, "reused", json_boolean(e->reused));
	json_put(o, "retries", json_integer(e->retries));
	json_put(o, "pool", pool_json(&e->pool));
	json_put(o, "cause", json_text(r->cause));
	json_put(o, "why", json_text(why));
	return o;
}

/* ----------------------------------------------------------------- on main */

static void
forget(struct awaited *what)
{
	struct gathering *g = container_of(what, struct gathering, awaited);

	g->caller->awaited = NULL;
	g->caller = NULL;
	gather_drop(&g->all);
}

static int
newest_first(const void *a, const void *b)
{
	const struct slow_entry *const *x = a, *const *y = b;

	return ((*x)->at_ns < (*y)->at_ns) - ((*x)->at_ns > (*y)->at_ns);
}

static double
wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* NULL when out of memory. */
static const struct slow_entry **
sort(const struct gathering *g, size_t *n, bool *complete)
{
	const struct slow_entry **v;
	size_t i, k;

	v = malloc((g->n_parts * SLOW_MOST + 1) * sizeof(*v));
	if (v == NULL)
		return NULL;
	for (i = 0; i < g->n_parts; i++) {
		const struct part *p = &g->parts[i];

		*complete = *complete && p->letter.back;
		for (k = 0; p->letter.back && k < p->n; k++)
			v[(*n)++] = &p->v[k];
	}
	qsort(v, *n, sizeof(*v), newest_first);
	return v;
}

static void
tell(struct gathering *g)
{
	struct caller *c = g->caller;
	int64_t now_ns = c->admin->rt->main.now_ns;
	double now_s = wall_s();
	json_t *o = json_object(), *rows = json_array();
	bool complete = true;
	size_t n = 0, i;
	const struct slow_entry **v = sort(g, &n, &complete);

	for (i = 0; i < n; i++)
		(void)json_array_append_new(rows, entry_json(v[i],
		    now_s - (double)(now_ns - v[i]->at_ns) / 1e9));
	json_put(o, "kept", json_integer((json_int_t)g->n_parts * SLOW_MOST));
	/* false: a lane was too busy to answer. */
	json_put(o, "complete", json_boolean(complete));
	json_put(o, "exchanges", rows);
	forget(&g->awaited);
	if (v != NULL)
		caller_reply_json(c, 200, o);
	else {
		json_decref(o);
		caller_reply_error(c, 503, "out of memory");
	}
	free(v);
}

static void
late(struct awaited *what)
{
	tell(container_of(what, struct gathering, awaited));
}

static void
whole(struct gather *all)
{
	struct gathering *g = container_of(all, struct gathering, all);

	if (g->caller != NULL)
		tell(g);
}

static void
release(struct gather *all)
{
	struct gathering *g = container_of(all, struct gathering, all);
	size_t i;

	for (i = 0; i < g->n_parts; i++)
		free(g->parts[i].v);
	free(g);
}

/* On a lane. */
static void
visit(struct worker *w, struct gather_part *letter)
{
	struct part *p = container_of(letter, struct part, letter);

	p->n = slow_copy(letter->lane->slow, w->now_ns, p->v);
}

/* ---------------------------------------------------------------- the page */

static const struct gather_ops ops = { visit, whole, release };

/* NULL when out of memory. */
static struct gathering *
gathering_new(size_t n_parts)
{
	struct gathering *g = calloc(1, sizeof(*g) +
	    n_parts * sizeof(g->parts[0]));
	size_t i;

	if (g == NULL)
		return NULL;
	gather_init(&g->all, &ops);
	g->awaited = (struct awaited){ late, forget };
	g->n_parts = n_parts;
	for (i = 0; i < n_parts; i++) {
		g->parts[i].v = malloc(SLOW_MOST * sizeof(g->parts[i].v[0]));
		if (g->parts[i].v == NULL) {
			gather_drop(&g->all);
			return NULL;
		}
	}
	return g;
}

void
slow_get(struct caller *c)
{
	struct runtime *rt = c->admin->rt;
	struct gathering *g = gathering_new(rt->n_lanes);
	size_t i;

	if (g == NULL) {
		caller_reply_error(c, 503, "out of memory");
		return;
	}
	g->caller = c;
	for (i = 0; i < g->n_parts; i++)
		gather_ask(&g->all, &g->parts[i].letter, rt->lanes[i]);
	caller_wait(c, &g->awaited);
}
