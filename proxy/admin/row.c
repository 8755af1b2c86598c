/*
 * Rows of the census. See row.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/row.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/admin/json.h"

/* ------------------------------------------------------------- on the lanes */

/* Room for one more; NULL when out of memory. */
static void *
one_more(void **v, size_t n, size_t *room, size_t size)
{
	if (n == *room) {
		size_t more = *room > 0 ? *room * 2 : 64;
		void *to = reallocarray(*v, more, size);

		if (to == NULL)
			return NULL;
		*v = to;
		*room = more;
	}
	return (char *)*v + n * size;
}

#define ONE_MORE(r, what, n, room) \
	one_more((void **)&(r)->what, (r)->n, &(r)->room, sizeof(*(r)->what))

static int
add_holder(struct rows *r, const struct holder *h, int64_t since_ms)
{
	struct row_holder *to = ONE_MORE(r, holders, n_holders, holders_room);
	struct process_end *end = ONE_MORE(r, ends, n_ends, ends_room);
	char *listener = strdup(h->listener);

	if (to == NULL || end == NULL || listener == NULL) {
		free(listener);
		return -1;
	}
	*end = (struct process_end){ .peer = h->peer, .here = h->here,
	    .pid = h->pid, .uid = h->uid };
	*to = (struct row_holder){ .listener = listener, .client = h->client,
	    .brief = h->brief, .since_ms = since_ms, .closed = h->closed,
	    .end = r->n_ends++ };
	r->n_holders++;
	return 0;
}

/* A client that keeps a connection has a lease for that besides those of his
   requests: the requests say more. */
static bool
is_told_of(const struct holder *h, const void *const *told, size_t n)
{
	while (h->brief.len == 0 && n > 0)
		if (told[--n] == h->who)
			return true;
	return false;
}

static int
add_holders(struct rows *r, struct row *row, const struct upconn *u,
    int64_t now_ns)
{
	const void *told[ROW_HOLDERS_MOST];
	const struct list *l;

	row->holder = r->n_holders;
	/* Newest first: what asks for nothing is older than what does. */
	for (l = u->riders.prev; l != &u->riders; l = l->prev) {
		const struct lease *lease =
		    container_of(l, const struct lease, ride);
		struct holder h = { .pid = -1, .uid = -1 };

		row->leaked = row->leaked || (lease->leaked &&
		    u->pool->conf->pool.leak_after_ms < CONF_OFF);
		if (lease->ops->tell == NULL)
			continue;
		row->all_holders++;
		if (row->n_holders == ROW_HOLDERS_MOST)
			continue;
		lease->ops->tell(lease, &h);
		if (is_told_of(&h, told, row->n_holders)) {
			row->all_holders--;
			continue;
		}
		if (add_holder(r, &h, (now_ns - lease->since_ns) /
		    NS_PER_MS) < 0)
			return -1;
		told[row->n_holders++] = h.who;
	}
	return 0;
}

static int
add_row(struct rows *r, const struct upconn *u, const char *upstream,
    bool has_left, int64_t now_ns)
{
	struct row *row = ONE_MORE(r, v, n, room);

	if (row == NULL)
		return -1;
	*row = (struct row){
		.upstream = upstream,
		.has_left = has_left,
		.endpoint = endpoint_keep(u->shelf->site->endpoint),
		.mark_why = u->mark_why,
		.pin_names = u->pool->upstream->peer->pins,
		.pin_whys = u->pin_whys,
		.state = u->state,
		.mark = u->mark,
		.id = u->id,
		.uses = u->uses,
		.brief = u->brief,
		.age_ms = (now_ns - u->born_ns) / NS_PER_MS,
		.state_ms = (now_ns - u->since_ns) / NS_PER_MS
	};
	r->n++;
	return add_holders(r, row, u, now_ns);
}

int
rows_add_pool(struct rows *r, const struct pool *p, bool has_left,
    int64_t now_ns)
{
	char **name = ONE_MORE(r, names, n_names, names_room);
	const struct list *l;

	if (name == NULL || (*name = strdup(p->upstream->name)) == NULL)
		return -1;
	r->n_names++;
	for (l = p->upconns.next; l != &p->upconns; l = l->next)
		if (add_row(r, container_of(l, struct upconn, all), *name,
		    has_left, now_ns) < 0)
			return -1;
	return 0;
}

void
rows_fini(struct rows *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		endpoint_drop(r->v[i].endpoint);
	for (i = 0; i < r->n_holders; i++)
		free(r->holders[i].listener);
	for (i = 0; i < r->n_names; i++)
		free(r->names[i]);
	free(r->v);
	free(r->holders);
	free(r->ends);
	free(r->names);
}

/* ------------------------------------------------------------------ on main */

static json_t *
brief_json(const struct brief *a)
{
	char text[BRIEF_MOST + 1];

	brief_print(a, text);
	return json_text(text);
}

static json_t *
process_json(const struct process_end *e)
{
	json_t *o;

	if (e->pid <= 0)
		return json_null();
	o = json_object();
	json_put(o, "pid", json_integer(e->pid));
	json_put(o, "name", json_text(e->name));
	return o;
}

static json_t *
addr_json(const struct addr_ip *a)
{
	char text[ADDR_TEXT_MAX];

	return a->family == 0 ? json_null() :
	    json_text(addr_ip_print(a, true, text));
}

static json_t *
holder_json(const struct row_holder *h, const struct process_end *e)
{
	char client[ADDR_TEXT_MAX];
	json_t *o = json_object();

	json_put(o, "client", json_text(addr_ip_print(&h->client, true,
	    client)));
	json_put(o, "listener", json_text(h->listener));
	json_put(o, "since_ms", json_integer(h->since_ms));
	json_put(o, "request", brief_json(&h->brief));
	json_put(o, "client_closed", json_boolean(h->closed));
	json_put(o, "peer", addr_json(&e->peer));
	json_put(o, "here", addr_json(&e->here));
	json_put(o, "process", process_json(e));
	json_put(o, "uid", e->uid < 0 ? json_null() : json_integer(e->uid));
	return o;
}

/* "multi,watch" */
static json_t *
pins_json(const struct row *row)
{
	char text[512] = "";
	size_t at = 0;
	unsigned i;

	for (i = 0; row->pin_names != NULL && row->pin_names[i] != NULL &&
	    at < sizeof(text); i++)
		if ((row->pin_whys & UINT32_C(1) << i) != 0)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
			    "%s%s", at > 0 ? "," : "", row->pin_names[i]);
	return json_text(text);
}

/* Of what is under way; of what was last, where nothing is. */
static json_t *
last_request(const struct rows *r, const struct row *row)
{
	size_t i;

	for (i = 0; i < row->n_holders; i++)
		if (r->holders[row->holder + i].brief.len > 0)
			return brief_json(&r->holders[row->holder + i].brief);
	return brief_json(&row->brief);
}

json_t *
row_json(const struct rows *r, const struct row *row, unsigned worker,
    const struct process_end *ends)
{
	static const char *const marks[] = {
		[MARK_CLEAN] = "clean",
		[MARK_DIRTY] = "dirty",
		[MARK_BROKEN] = "broken"
	};
	json_t *o = json_object(), *holders = json_array();
	size_t i;

	json_put(o, "id", json_integer((json_int_t)row->id));
	json_put(o, "upstream", json_text(row->upstream));
	json_put(o, "has_left", json_boolean(row->has_left));
	json_put(o, "endpoint", json_text(row->endpoint->name));
	json_put(o, "resolved", json_text(row->endpoint->resolved));
	json_put(o, "worker", json_integer(worker));
	json_put(o, "state", json_text(upconn_state_names[row->state]));
	json_put(o, "age_ms", json_integer(row->age_ms));
	json_put(o, "state_ms", json_integer(row->state_ms));
	json_put(o, "uses", json_integer((json_int_t)row->uses));
	json_put(o, "mark", json_text(marks[row->mark]));
	json_put(o, "mark_reason",
	    json_text(row->mark_why != NULL ? row->mark_why : ""));
	json_put(o, "pinned", pins_json(row));
	json_put(o, "leaked", json_boolean(row->leaked));
	json_put(o, "last_request", last_request(r, row));
	json_put(o, "holders_total",
	    json_integer((json_int_t)row->all_holders));
	for (i = 0; i < row->n_holders; i++) {
		const struct row_holder *h = &r->holders[row->holder + i];

		(void)json_array_append_new(holders, holder_json(h,
		    &ends[h->end]));
	}
	json_put(o, "holders", holders);
	return o;
}
