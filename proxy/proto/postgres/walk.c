/*
 * The console's walk over the lanes: their clients and connections, one by one
 * or counted by upstream, database and user. Runs on each lane in turn, and no
 * longer at a time than other clients should wait.
 *
 * Column names are PgBouncer's, whose meaning they have; what weir does not
 * know or does not do is 0 or NULL. Those behind them are weir's own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/proto/postgres/seeded.h"

#include "proxy/lane.h"
#include "proxy/proto/postgres/console.h"
#include "proxy/proto/postgres/question.h"

enum {
	COUNTED_MOST = 1024,            /* clients counted in a turn, */
	LISTED_MOST = 256               /* and listed */
};

const struct pg_column pg_pools_columns[] = {
	{ "database", PG_COLUMN_TEXT }, { "user", PG_COLUMN_TEXT },
	{ "cl_active", PG_COLUMN_NUMBER }, { "cl_waiting", PG_COLUMN_NUMBER },
	{ "cl_active_cancel_req", PG_COLUMN_NUMBER },
	{ "cl_waiting_cancel_req", PG_COLUMN_NUMBER },
	{ "sv_active", PG_COLUMN_NUMBER },
	{ "sv_active_cancel", PG_COLUMN_NUMBER },
	{ "sv_being_canceled", PG_COLUMN_NUMBER },
	{ "sv_idle", PG_COLUMN_NUMBER }, { "sv_used", PG_COLUMN_NUMBER },
	{ "sv_tested", PG_COLUMN_NUMBER }, { "sv_login", PG_COLUMN_NUMBER },
	{ "maxwait", PG_COLUMN_NUMBER }, { "maxwait_us", PG_COLUMN_NUMBER },
	{ "pool_mode", PG_COLUMN_TEXT },
	{ "sv_pinned", PG_COLUMN_NUMBER }, { "upstream", PG_COLUMN_TEXT },
	{ .name = NULL }
};

const struct pg_column pg_lists_columns[] = {
	{ "list", PG_COLUMN_TEXT }, { "items", PG_COLUMN_NUMBER },
	{ .name = NULL }
};

#define SOCKET_COLUMNS \
	{ "type", PG_COLUMN_TEXT }, { "user", PG_COLUMN_TEXT }, \
	{ "database", PG_COLUMN_TEXT }, { "state", PG_COLUMN_TEXT }, \
	{ "addr", PG_COLUMN_TEXT }, { "port", PG_COLUMN_NUMBER }, \
	{ "local_addr", PG_COLUMN_TEXT }, { "local_port", PG_COLUMN_NUMBER }, \
	{ "connect_time", PG_COLUMN_TEXT }, \
	{ "request_time", PG_COLUMN_TEXT }, \
	{ "wait", PG_COLUMN_NUMBER }, { "wait_us", PG_COLUMN_NUMBER }, \
	{ "close_needed", PG_COLUMN_NUMBER }, { "ptr", PG_COLUMN_TEXT }, \
	{ "link", PG_COLUMN_TEXT }, { "remote_pid", PG_COLUMN_NUMBER }, \
	{ "tls", PG_COLUMN_TEXT }, { "application_name", PG_COLUMN_TEXT }, \
	{ "pins", PG_COLUMN_TEXT }, { "upstream", PG_COLUMN_TEXT }, \
	{ "worker", PG_COLUMN_NUMBER }, { .name = NULL }

const struct pg_column pg_clients_columns[] = { SOCKET_COLUMNS };
const struct pg_column pg_servers_columns[] = { SOCKET_COLUMNS };

/* --------------------------------------------------------------- who it is */

/* Whose a client or a connection is. */
struct whose {
	const char *upstream, *database, *user, *mode;
};

static const char *
mode_of(const struct conf_upstream *up)
{
	return up->pool.span == CONF_SPAN_SESSION ? "session" : "transaction";
}

static struct whose
whose_client(const struct session *s)
{
	const struct pg_session *ps = pg_session(s);
	const struct conf_upstream *up = s->door->conf->upstream;

	if (ps->phase == PG_CONSOLE)
		return (struct whose){ NULL, "weir",
		    pg_console_user(ps->console), "statement" };
	return (struct whose){ up->name, pg_key_database(ps->key),
	    pg_key_user(ps->key), mode_of(up) };
}

static struct whose
whose_conn(const struct upconn *u)
{
	const struct shelf *sh = u->shelf;
	const struct pg_key *key = (const void *)sh->key;
	bool keyed = sh->key_len > sizeof(*key);

	return (struct whose){ u->pool->upstream->name,
	    keyed ? pg_key_database(key) : "", keyed ? pg_key_user(key) : "",
	    mode_of(u->pool->conf) };
}

/* The exchange of a client that waits for a connection; else NULL. */
static const struct exchange *
waits_with(const struct session *s)
{
	const struct exchange *x = exchange_first(s);

	return x != NULL && x->lease == NULL ? x : NULL;
}

/* ---------------------------------------------------------------- the walk */

/* Some more of the lane's clients. True: that was the last. */
static bool
walk_clients(struct pg_question *q, struct lane *lane, uint32_t most,
    void (*take)(struct pg_question *q, const struct session *s))
{
	const struct pg_lane *own = lane->own[FAMILY_POSTGRES];
	uint32_t n;

	for (n = 0; n < most && q->slot < own->n_slots; n++, q->slot++) {
		const struct session *s = own->slots[q->slot];
		const struct pg_session *ps = s != NULL ? pg_session(s) : NULL;

		if (s != NULL && !s->closed &&
		    (ps->key != NULL || ps->phase == PG_CONSOLE))
			take(q, s);
	}
	return q->slot >= own->n_slots;
}

static void
walk_conns(struct pg_question *q, struct lane *lane,
    void (*take)(struct pg_question *q, struct upconn *u))
{
	const struct generation *gen = lane->gen;
	size_t n = gen != NULL ? gen->conf->n_upstreams : 0, i;
	struct list *l;

	for (i = 0; i < n; i++) {
		struct pool *p = gen->upstreams[i]->pools[lane->worker.index];

		if (gen->conf->upstreams[i].proto != &proto_postgres.conf)
			continue;
		for (l = p->upconns.next; l != &p->upconns; l = l->next)
			take(q, container_of(l, struct upconn, all));
	}
}

/* ---------------------------------------------------------------- counting */

struct pg_tally {
	UT_hash_handle hh;
	uint64_t cl_active, cl_waiting;
	uint64_t sv_active, sv_idle, sv_tested, sv_login, sv_pinned;
	int64_t waits_ns;               /* the one who waits longest */
	const char *upstream, *database, *user; /* in text; NULL: the console */
	const char *mode;
	size_t len;
	char text[];                    /* each with its end */
};

void
pg_tallies_free(struct pg_tally **all)
{
	struct pg_tally *t, *next;

	HASH_ITER(hh, *all, t, next) {
		HASH_DEL(*all, t);
		free(t);
	}
}

static struct pg_tally *
tally_new(const struct whose *w)
{
	const char *upstream = w->upstream != NULL ? w->upstream : "";
	size_t a = strlen(upstream) + 1, b = strlen(w->database) + 1;
	size_t c = strlen(w->user) + 1;
	struct pg_tally *t = calloc(1, sizeof(*t) + a + b + c);

	if (t == NULL)
		return NULL;
	memcpy(t->text, upstream, a);
	memcpy(t->text + a, w->database, b);
	memcpy(t->text + a + b, w->user, c);
	t->upstream = w->upstream != NULL ? t->text : NULL;
	t->database = t->text + a;
	t->user = t->text + a + b;
	t->mode = w->mode;
	t->len = a + b + c;
	return t;
}

/* NULL when out of memory, which is remembered. */
static struct pg_tally *
tally_of(struct pg_question *q, const struct whose *w)
{
	struct pg_tally *t, *fresh = tally_new(w);

	if (fresh == NULL) {
		q->rows.short_of_memory = true;
		return NULL;
	}
	HASH_FIND(hh, q->tallies, fresh->text, fresh->len, t);
	if (t != NULL) {
		free(fresh);
		return t;
	}
	HASH_ADD_KEYPTR(hh, q->tallies, fresh->text, fresh->len, fresh);
	if (fresh->hh.tbl != NULL)
		return fresh;
	free(fresh);
	q->rows.short_of_memory = true;
	return NULL;
}

static void
count_client(struct pg_question *q, const struct session *s)
{
	const struct whose w = whose_client(s);
	const struct exchange *x = waits_with(s);
	struct pg_tally *t = tally_of(q, &w);
	int64_t ns;

	if (t == NULL)
		return;
	if (x == NULL) {
		t->cl_active++;
		return;
	}
	t->cl_waiting++;
	ns = s->conn.w->now_ns - x->begun_ns;
	if (ns > t->waits_ns)
		t->waits_ns = ns;
}

static void
count_conn(struct pg_question *q, struct upconn *u)
{
	const struct whose w = whose_conn(u);
	struct pg_tally *t = tally_of(q, &w);

	if (t == NULL)
		return;
	t->sv_pinned += u->pinned;
	switch (u->state) {
	case UPCONN_CONNECTING:
	case UPCONN_GREETING:
		t->sv_login++;
		break;
	case UPCONN_IDLE:
		t->sv_idle++;
		break;
	case UPCONN_LEASED:
		t->sv_active++;
		break;
	case UPCONN_WASHING:
		t->sv_tested++;
		break;
	case UPCONN_CLOSED:
		break;
	}
}

bool
pg_walk_pools(struct pg_question *q, struct lane *lane)
{
	if (q->slot == 0)
		walk_conns(q, lane, count_conn);
	return walk_clients(q, lane, COUNTED_MOST, count_client);
}

static int
compare(const struct pg_tally *a, const struct pg_tally *b)
{
	int order = strcmp(a->database, b->database);

	return order != 0 ? order : strcmp(a->user, b->user);
}

void
pg_sum_pools(struct pg_question *q)
{
	struct pg_rows *r = &q->rows;
	const struct pg_tally *t;

	HASH_SORT(q->tallies, compare);
	for (t = q->tallies; t != NULL; t = t->hh.next) {
		const uint64_t numbers[] = {
			t->cl_active, t->cl_waiting, 0, 0,
			t->sv_active, 0, 0, t->sv_idle, 0, t->sv_tested,
			t->sv_login, (uint64_t)(t->waits_ns / NS_PER_S),
			(uint64_t)(t->waits_ns % NS_PER_S / 1000)
		};

		pg_rows_begin(r);
		pg_rows_text(r, t->database);
		pg_rows_text(r, t->user);
		for (size_t i = 0; i < NELEMS(numbers); i++)
			pg_rows_number(r, numbers[i]);
		pg_rows_text(r, t->mode);
		pg_rows_number(r, t->sv_pinned);
		pg_rows_text(r, t->upstream);
		pg_rows_end(r);
	}
}

/* How many different ones there are of what each tally says. */
static uint64_t
different(const struct pg_tally *all, size_t offset)
{
	const struct pg_tally *t, *earlier;
	uint64_t n = 0;

	for (t = all; t != NULL; t = t->hh.next) {
		const char *name = *(char *const *)((const char *)t + offset);

		for (earlier = all; earlier != t; earlier = earlier->hh.next)
			if (strcmp(*(char *const *)((const char *)earlier +
			    offset), name) == 0)
				break;
		n += earlier == t;
	}
	return n;
}

static void
put_item(struct pg_rows *r, const char *list, uint64_t items)
{
	pg_rows_begin(r);
	pg_rows_text(r, list);
	pg_rows_number(r, items);
	pg_rows_end(r);
}

void
pg_sum_lists(struct pg_question *q)
{
	uint64_t clients = 0, idle = 0, conns = 0, pools = 0;
	const struct pg_tally *t;
	struct pg_rows *r = &q->rows;

	for (t = q->tallies; t != NULL; t = t->hh.next) {
		pools++;
		clients += t->cl_active + t->cl_waiting;
		idle += t->sv_idle;
		conns += t->sv_active + t->sv_tested + t->sv_login;
	}
	put_item(r, "databases", different(q->tallies,
	    offsetof(struct pg_tally, database)));
	put_item(r, "users", different(q->tallies,
	    offsetof(struct pg_tally, user)));
	put_item(r, "pools", pools);
	put_item(r, "free_clients", 0);
	put_item(r, "used_clients", clients);
	put_item(r, "login_clients", 0);
	put_item(r, "free_servers", idle);
	put_item(r, "used_servers", conns);
}

/* ----------------------------------------------------------------- listing */

/* Without one, as of a Unix socket: no port. */
static void
put_addr(struct pg_rows *r, const struct addr_ip *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->family == 0 || a->family == AF_UNIX)
		pg_rows_text(r, a->family == 0 ? NULL : "unix");
	else
		pg_rows_text(r, addr_ip_print(a, false, text));
	pg_rows_number(r, a->port);
}

static void
put_local(struct pg_rows *r, const struct conn *c)
{
	struct addr a = { .len = sizeof(a.ss) };
	struct addr_ip ip = { .family = 0 };

	if (c->open && getsockname(conn_fd(c), &a.sa, &a.len) == 0)
		addr_to_ip(&a, &ip);
	put_addr(r, &ip);
}

/* The wall clock's, of a moment of the worker's; 0: unknown. */
static void
put_time(struct pg_rows *r, const struct worker *w, int64_t ns)
{
	time_t then = time(NULL) - (time_t)((w->now_ns - ns) / NS_PER_S);
	char text[48];
	struct tm tm;

	if (ns == 0 || gmtime_r(&then, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		pg_rows_text(r, NULL);
	else
		pg_rows_text(r, text);
}

static void
put_id(struct pg_rows *r, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, id);
	pg_rows_text(r, id != 0 ? text : "");
}

static void
put_pins(struct pg_rows *r, unsigned pins)
{
	char text[256] = "";
	size_t at = 0;
	unsigned i;

	for (i = 0; i < PG_N_PINS; i++)
		if ((pins & 1u << i) != 0 && at < sizeof(text))
			at += (size_t)snprintf(text + at, sizeof(text) - at,
			    "%s%s", at > 0 ? "," : "", pg_pins[i]);
	pg_rows_text(r, text);
}

static const char *
application_of(const struct pg_session *ps)
{
	const char *name = pg_settings_find(ps->phase == PG_CONSOLE ?
	    ps->startup : ps->settings, "application_name");

	return name != NULL ? name : "";
}

/* The connection that it has now; NULL. */
static const struct upconn *
conn_of(const struct session *s)
{
	const struct exchange *x = exchange_first(s);

	if (x != NULL && x->lease != NULL)
		return x->lease->u;
	return s->kept != NULL ? s->kept->u : NULL;
}

static void
put_whose(struct pg_rows *r, const char *type, const struct whose *w,
    const char *state)
{
	pg_rows_text(r, type);
	pg_rows_text(r, w->user);
	pg_rows_text(r, w->database);
	pg_rows_text(r, state);
}

static void
list_client(struct pg_question *q, const struct session *s)
{
	const struct exchange *x = exchange_first(s), *waits = waits_with(s);
	const struct pg_session *ps = pg_session(s);
	const struct upconn *u = conn_of(s);
	const struct whose w = whose_client(s);
	const struct worker *worker = s->conn.w;
	struct pg_rows *r = &q->rows;
	int64_t ns = waits != NULL ? worker->now_ns - waits->begun_ns : 0;

	pg_rows_begin(r);
	put_whose(r, "C", &w, waits != NULL ? "waiting" : "active");
	put_addr(r, &s->client);
	put_local(r, &s->conn);
	put_time(r, worker, 0);
	put_time(r, worker, x != NULL ? x->begun_ns : 0);
	pg_rows_number(r, (uint64_t)(ns / NS_PER_S));
	pg_rows_number(r, (uint64_t)(ns % NS_PER_S / 1000));
	pg_rows_number(r, session_is_leaving(s));
	put_id(r, pg_slot_pid(s));
	put_id(r, u != NULL ? u->id : 0);
	pg_rows_number(r, 0);
	pg_rows_text(r, "");
	pg_rows_text(r, application_of(ps));
	put_pins(r, ps->pins);
	pg_rows_text(r, w.upstream);
	pg_rows_number(r, worker->index);
	pg_rows_end(r);
}

bool
pg_walk_clients(struct pg_question *q, struct lane *lane)
{
	return walk_clients(q, lane, LISTED_MOST, list_client);
}

static const char *
state_of(const struct upconn *u)
{
	switch (u->state) {
	case UPCONN_CONNECTING:
	case UPCONN_GREETING:
		return "new";
	case UPCONN_IDLE:
		return "idle";
	case UPCONN_LEASED:
		return "active";
	case UPCONN_WASHING:
		return "tested";
	case UPCONN_CLOSED:
		break;
	}
	return "closed";
}

static void
list_conn(struct pg_question *q, struct upconn *u)
{
	const struct pg_upconn *pu = pg_upconn(u);
	const struct exchange *x = pu->exchange;
	const struct session *s = x != NULL ? x->s : NULL;
	const struct whose w = whose_conn(u);
	const struct worker *worker = u->pool->worker;
	struct pg_rows *r = &q->rows;
	struct addr_ip ip;

	addr_to_ip(&u->shelf->site->endpoint->addr, &ip);
	pg_rows_begin(r);
	put_whose(r, "S", &w, state_of(u));
	put_addr(r, &ip);
	put_local(r, &u->conn);
	put_time(r, worker, u->born_ns);
	put_time(r, worker, u->since_ns);
	pg_rows_number(r, 0);
	pg_rows_number(r, 0);
	pg_rows_number(r, u->mark == MARK_BROKEN);
	put_id(r, u->id);
	put_id(r, s != NULL ? pg_slot_pid(s) : 0);
	pg_rows_number(r, pu->login.pid);
	pg_rows_text(r, "");
	pg_rows_text(r, s != NULL ? application_of(pg_session(s)) : "");
	put_pins(r, s != NULL ? pg_session(s)->pins : 0);
	pg_rows_text(r, w.upstream);
	pg_rows_number(r, worker->index);
	pg_rows_end(r);
}

bool
pg_walk_servers(struct pg_question *q, struct lane *lane)
{
	walk_conns(q, lane, list_conn);
	return true;
}
