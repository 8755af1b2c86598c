/*
 * The page /slow. See slow.h.
 *
 * As a census it outlives its caller: it is freed when the caller is done with
 * it and every letter has come back or was dropped.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/slow.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/slow.h"
#include "proxy/why.h"

/* A lane's share: the lane fills it, then only main looks at it. */
struct part {
	struct mail mail;
	struct gathering *all;
	struct lane *lane;
	bool back;                      /* main's: it has been filled */
	unsigned n;
	struct slow_entry *v;           /* room for SLOW_MOST */
};

struct gathering {
	struct awaited awaited;
	struct caller *caller;          /* main's; NULL = nobody waits */
	unsigned missing;               /* main's: parts not back */
	_Atomic unsigned refs;          /* letters out, and main */
	size_t n_parts;
	struct part parts[];
};

static void
drop(struct gathering *all)
{
	size_t i;

	if (atomic_fetch_sub(&all->refs, 1) != 1)
		return;
	for (i = 0; i < all->n_parts; i++)
		free(all->parts[i].v);
	free(all);
}

/* -------------------------------------------------------------------- JSON */

/* A key is set to what could not be made: then there is no memory for the whole
   either, which json_spell() says. */
static void
put(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static void
put_us(json_t *o, const char *key, int64_t ns)
{
	put(o, key, json_integer(ns / 1000));
}

static json_t *
pool_json(const struct slow_pool *p)
{
	json_t *o = json_object();

	put(o, "max", json_integer(p->max));
	put(o, "open", json_integer(p->open));
	put(o, "idle", json_integer(p->idle));
	put(o, "leased", json_integer(p->leased));
	put(o, "waiting", json_integer(p->waiting));
	put(o, "pinned", json_integer(p->pinned));
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
	put(o, "at", json_real(at_s));
	put(o, "id", json_text(e->id));
	put(o, "trace", json_text(e->trace));
	put(o, "listener", json_text(e->listener));
	put(o, "upstream", json_text(e->upstream));
	put(o, "endpoint", json_text(e->endpoint));
	put(o, "client", json_text(addr_ip_print(&e->client, true, client)));
	put(o, "request", json_text(e->request));
	put(o, "status", json_integer(e->status));
	put(o, "outcome", json_text(outcome_names[e->outcome]));
	put(o, "failure", json_text(e->why == FAIL_NONE ? "" :
	    fail_rows[e->why].name));
	put_times(o, e);
	put(o, "reused", json_boolean(e->reused));
	put(o, "retries", json_integer(e->retries));
	put(o, "pool", pool_json(&e->pool));
	put(o, "cause", json_text(r->cause));
	put(o, "why", json_text(why));
	return o;
}

/* ----------------------------------------------------------------- on main */

static void
forget(struct awaited *what)
{
	struct gathering *all = container_of(what, struct gathering, awaited);

	all->caller->awaited = NULL;
	all->caller = NULL;
	drop(all);
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
sort(const struct gathering *all, size_t *n, bool *complete)
{
	const struct slow_entry **v;
	size_t i, k;

	v = malloc((all->n_parts * SLOW_MOST + 1) * sizeof(*v));
	if (v == NULL)
		return NULL;
	for (i = 0; i < all->n_parts; i++) {
		const struct part *p = &all->parts[i];

		*complete = *complete && p->back;
		for (k = 0; p->back && k < p->n; k++)
			v[(*n)++] = &p->v[k];
	}
	qsort(v, *n, sizeof(*v), newest_first);
	return v;
}

static void
tell(struct gathering *all)
{
	struct caller *c = all->caller;
	int64_t now_ns = c->admin->rt->main.now_ns;
	double now_s = wall_s();
	json_t *o = json_object(), *rows = json_array();
	bool complete = true;
	size_t n = 0, i;
	const struct slow_entry **v = sort(all, &n, &complete);

	for (i = 0; i < n; i++)
		(void)json_array_append_new(rows, entry_json(v[i],
		    now_s - (double)(now_ns - v[i]->at_ns) / 1e9));
	put(o, "kept", json_integer((json_int_t)all->n_parts * SLOW_MOST));
	/* false: a lane was too busy to answer. */
	put(o, "complete", json_boolean(complete));
	put(o, "exchanges", rows);
	forget(&all->awaited);
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
came_back(struct worker *w, struct mail *m)
{
	struct part *p = container_of(m, struct part, mail);
	struct gathering *all = p->all;

	(void)w;
	p->back = true;
	if (--all->missing == 0 && all->caller != NULL)
		tell(all);
	drop(all);
}

/* ------------------------------------------------------------ on the lanes */

static void
dropped(struct mail *m)
{
	drop(container_of(m, struct part, mail)->all);
}

static void
gather(struct worker *w, struct mail *m)
{
	struct part *p = container_of(m, struct part, mail);

	p->n = slow_copy(p->lane->slow, w->now_ns, p->v);
	m->deliver = came_back;
	worker_post(&p->lane->runtime->main, m);
}

/* ---------------------------------------------------------------- the page */

/* NULL when out of memory. */
static struct gathering *
gathering_new(struct runtime *rt)
{
	struct gathering *all = calloc(1, sizeof(*all) +
	    rt->n_lanes * sizeof(all->parts[0]));
	size_t i;

	if (all == NULL)
		return NULL;
	all->awaited = (struct awaited){ late, forget };
	all->n_parts = rt->n_lanes;
	all->missing = (unsigned)rt->n_lanes;
	atomic_init(&all->refs, 1);
	for (i = 0; i < rt->n_lanes; i++) {
		struct part *p = &all->parts[i];

		p->all = all;
		p->lane = rt->lanes[i];
		p->mail.deliver = gather;
		p->mail.drop = dropped;
		p->v = malloc(SLOW_MOST * sizeof(p->v[0]));
		if (p->v == NULL) {
			drop(all);
			return NULL;
		}
	}
	return all;
}

void
slow_get(struct caller *c)
{
	struct gathering *all = gathering_new(c->admin->rt);
	size_t i;

	if (all == NULL) {
		caller_reply_error(c, 503, "out of memory");
		return;
	}
	all->caller = c;
	atomic_fetch_add(&all->refs, (unsigned)all->n_parts);
	for (i = 0; i < all->n_parts; i++)
		worker_post(&all->parts[i].lane->worker, &all->parts[i].mail);
	caller_wait(c, &all->awaited);
}
