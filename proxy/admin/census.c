/*
 * Counting connections. See census.h; how lanes are asked is in proxy/gather.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/census.h"

#include <stdlib.h>
#include <string.h>

#include "pool/upconn.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/admin/row.h"
#include "proxy/gather.h"
#include "proxy/live.h"

struct part {
	struct gather_part letter;
	bool short_of_memory;
	bool killed;                    /* it had the one to be closed */
	struct rows rows;
	size_t end;                     /* main's: of its first holder among the
					   search's ends */
};

/* An upstream as main knew it when the lanes were asked. */
struct counted {
	const struct upstream *upstream;
	bool has_left;                  /* the file */
};

struct census {
	struct gather all;              /* held by main, and by the search */
	struct awaited awaited;
	struct caller *caller;          /* main's; NULL = nobody waits */
	bool found;                     /* main's: the search is over */
	char *upstream;                 /* of the one to be closed; NULL = any */
	uint64_t id;                    /* of that one; 0 = they are listed */
	struct process_search search;   /* for all holders, part after part */
	struct counted *upstreams;
	size_t n_upstreams;
	size_t n_parts;
	struct part parts[];
};

static void
release(struct gather *all)
{
	struct census *census = container_of(all, struct census, all);
	size_t i;

	for (i = 0; i < census->n_parts; i++)
		rows_fini(&census->parts[i].rows);
	free(census->search.ends);
	free(census->upstreams);
	free(census->upstream);
	free(census);
}

/* ------------------------------------------------------------ on the lanes */

static struct upconn *
find(const struct pool *pool, uint64_t id)
{
	const struct list *l;

	for (l = pool->upconns.next; l != &pool->upconns; l = l->next) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->id == id)
			return u;
	}
	return NULL;
}

static void
kill_it(struct part *p, const struct census *census, const struct pool *pool)
{
	struct upconn *u;

	if (p->killed || (census->upstream != NULL &&
	    strcmp(census->upstream, pool->upstream->name) != 0))
		return;
	u = find(pool, census->id);
	if (u == NULL)
		return;
	p->killed = true;
	upconn_kill(u);
}

static void
visit(struct worker *w, struct gather_part *letter)
{
	struct part *p = container_of(letter, struct part, letter);
	const struct census *census = container_of(letter->all, struct census,
	    all);
	size_t i;

	for (i = 0; i < census->n_upstreams && !p->short_of_memory; i++) {
		const struct counted *at = &census->upstreams[i];
		struct pool *pool = at->upstream->pools[w->index];

		if (census->id != 0)
			kill_it(p, census, pool);
		else if (rows_add_pool(&p->rows, pool, at->has_left,
		    w->now_ns) < 0)
			p->short_of_memory = true;
	}
}

/* ----------------------------------------------------------------- on main */

/* What was found of its holders; until something was, what the lane knew. */
static const struct process_end *
ends_of(const struct census *census, const struct part *p)
{
	return census->found ? census->search.ends + p->end : p->rows.ends;
}

static void
forget(struct awaited *what)
{
	struct census *census = container_of(what, struct census, awaited);

	census->caller->awaited = NULL;
	census->caller = NULL;
	gather_drop(&census->all);
}

static json_t *
list(struct census *census)
{
	json_t *o = json_object(), *rows = json_array();
	bool complete = true;
	size_t i, k;

	for (i = 0; i < census->n_parts; i++) {
		const struct part *p = &census->parts[i];

		if (!p->letter.back || p->short_of_memory)
			complete = false;
		for (k = 0; p->letter.back && k < p->rows.n; k++)
			(void)json_array_append_new(rows, row_json(&p->rows,
			    &p->rows.v[k], p->letter.lane->worker.index,
			    ends_of(census, p)));
	}
	/* false: a lane was too busy to answer, or short of memory. */
	json_put(o, "complete", json_boolean(complete));
	json_put(o, "connections", rows);
	return o;
}

static void
tell_killed(struct census *census, struct caller *c)
{
	bool killed = false, all = true;
	size_t i;

	for (i = 0; i < census->n_parts; i++) {
		const struct part *p = &census->parts[i];

		killed = killed || (p->letter.back && p->killed);
		all = all && p->letter.back;
	}
	forget(&census->awaited);
	if (killed)
		caller_reply_json(c, 200, json_pack("{s:s}", "result", "ok"));
	else if (all)
		caller_reply_error(c, 404, "there is no such connection: weir "
		    "connections lists them");
	else
		caller_reply_error(c, 503, "a worker did not answer in time");
}

static void
tell(struct census *census)
{
	struct caller *c = census->caller;
	json_t *o;

	if (census->id != 0) {
		tell_killed(census, c);
		return;
	}
	o = list(census);
	forget(&census->awaited);
	caller_reply_json(c, 200, o);
}

static void
found(struct worker *w, struct mail *m)
{
	struct process_search *s = container_of(m, struct process_search, over);
	struct census *census = container_of(s, struct census, search);

	(void)w;
	census->found = true;
	if (census->caller != NULL)
		tell(census);
	gather_drop(&census->all);
}

static void
search_dropped(struct mail *m)
{
	struct process_search *s = container_of(m, struct process_search, over);

	gather_drop(&container_of(s, struct census, search)->all);
}

/* False when there is nobody to look for, or no memory for it. */
static bool
search(struct census *census)
{
	struct runtime *rt = census->caller->admin->rt;
	size_t n = 0, i;

	for (i = 0; i < census->n_parts; i++) {
		census->parts[i].end = n;
		n += census->parts[i].rows.n_ends;
	}
	census->search.ends = n > 0 ? calloc(n, sizeof(struct process_end)) :
	    NULL;
	if (census->search.ends == NULL)
		return false;
	for (i = 0; i < census->n_parts; i++) {
		const struct part *p = &census->parts[i];

		if (p->rows.n_ends > 0)
			memcpy(census->search.ends + p->end, p->rows.ends,
			    p->rows.n_ends * sizeof(*p->rows.ends));
	}
	census->search.n = n;
	census->search.over = (struct mail){ .deliver = found,
	    .drop = search_dropped };
	gather_keep(&census->all);
	process_search(rt->finder, &rt->main, &census->search);
	return true;
}

static void
whole(struct gather *all)
{
	struct census *census = container_of(all, struct census, all);

	if (census->caller != NULL && !search(census))
		tell(census);
}

static void
late(struct awaited *what)
{
	tell(container_of(what, struct census, awaited));
}

static const struct gather_ops ops = { visit, whole, release };

static void
ask_all(struct census *census, struct runtime *rt)
{
	size_t i;

	for (i = 0; i < rt->n_lanes; i++)
		gather_ask(&census->all, &census->parts[i].letter,
		    rt->lanes[i]);
}

/*
 * All that may have connections: also what is held until a reload is confirmed,
 * and what has left the file and is not rid of them yet. One that a roll call
 * goes round for has none, and may be freed before the lanes read our letters;
 * those that are posted by now come to them before any roll call.
 */
static int
take_upstreams(struct census *census, const struct runtime *rt)
{
	const struct list *l;
	size_t n = 0;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		n++;
	census->upstreams = calloc(n + 1, sizeof(*census->upstreams));
	if (census->upstreams == NULL)
		return -1;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);

		if (lu->going || lu->rolls > 0)
			continue;
		census->upstreams[census->n_upstreams++] = (struct counted){
		    lu->upstream, !lu->stays };
	}
	return 0;
}

static struct census *
census_new(struct caller *c)
{
	struct runtime *rt = c->admin->rt;
	struct census *census;

	census = calloc(1, sizeof(*census) +
	    rt->n_lanes * sizeof(census->parts[0]));
	if (census == NULL)
		return NULL;
	census->awaited = (struct awaited){ late, forget };
	census->caller = c;
	census->n_parts = rt->n_lanes;
	gather_init(&census->all, &ops);
	if (take_upstreams(census, rt) < 0) {
		free(census);
		return NULL;
	}
	return census;
}

struct awaited *
census_begin(struct caller *c)
{
	struct census *census = census_new(c);

	if (census == NULL)
		return NULL;
	ask_all(census, c->admin->rt);
	return &census->awaited;
}

struct awaited *
census_kill(struct caller *c, const char *upstream, uint64_t id)
{
	struct census *census = census_new(c);

	if (census == NULL)
		return NULL;
	census->id = id;
	census->upstream = upstream != NULL ? strdup(upstream) : NULL;
	if (upstream != NULL && census->upstream == NULL) {
		gather_drop(&census->all);
		return NULL;
	}
	ask_all(census, c->admin->rt);
	return &census->awaited;
}
