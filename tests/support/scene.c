/*
 * A scene for tests of pool/. See scene.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/scene.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/adapt.h"
#include "pool/share.h"

void
scene_begin(struct scene *s, unsigned workers, unsigned ends)
{
	unsigned i;

	memset(s, 0, sizeof(*s));
	connects_are_slow = false;
	s->descriptors = open_descriptors();
	turns_begin(&s->turns, workers);
	s->n_ends = ends;
	for (i = 0; i < ends; i++) {
		char name[16];

		snprintf(name, sizeof(name), "end%u", i);
		far_end_open(&s->ends[i]);
		s->endpoints[i] = endpoint_new(name, name, &s->ends[i].addr, 1,
		    UINT_MAX);
		assert_non_null(s->endpoints[i]);
	}
	s->conf.pool = (struct conf_pool){ .span = CONF_SPAN_REQUEST,
		.max = 100, .max_idle = 1000, .max_per_endpoint = CONF_OFF,
		.failover_hold_ms = CONF_OFF, .max_per_user = CONF_OFF, .max_per_database = CONF_OFF,
		.max_waiting = 1000, .queue_timeout_ms = 2000,
		.idle_timeout_ms = CONF_OFF, .max_lifetime_ms = CONF_OFF,
		.tcp_keepalive_ms = CONF_OFF, .leak_after_ms = CONF_OFF,
		.shared = 1, .max_pinned = 100 };
	s->conf.timeouts.connect_ms = 1000;
	s->conf.balance = CONF_ROUND_ROBIN;
}

/* What its connections have of their own. */
struct common {
	bool is_full;
};

/* Nothing is on its way on one that nobody has: then there is room. */
static unsigned
common_room(const struct upconn *u)
{
	return !((const struct common *)(u + 1))->is_full ||
	    list_empty(&u->riders);
}

static void
common_bytes(struct upconn *u)
{
	struct list *l, *next;

	if (u->state != UPCONN_LEASED)
		return;
	u->busy = true;
	list_each(l, next, &u->riders) {
		struct lease *lease = container_of(l, struct lease, ride);

		lease->ops->input(lease);
	}
	buf_clear(&u->conn.w->blocks, &u->conn.in);
	if (u->conn.eof)
		upconn_lost(u, 0);
	share_dealt_with(u);
}

void
scene_share(struct scene *s)
{
	s->conf.pool.span = CONF_SPAN_OWED;
	s->peer.state_size = sizeof(struct common);
	s->peer.room = common_room;
	s->peer.bytes = common_bytes;
}

void
scene_room(struct upconn *u, bool room)
{
	((struct common *)upconn_state_of(u))->is_full = !room;
}

void
scene_start(struct scene *s)
{
	struct worker *workers[TURNS_MOST];
	unsigned i;

	for (i = 0; i < s->turns.n; i++)
		workers[i] = &s->turns.workers[i];
	s->upstream = upstream_new("scene", &s->peer, workers, s->turns.n);
	assert_non_null(s->upstream);
	scene_reload(s, false);
	scene_set_roster(s, (1u << s->n_ends) - 1);
	scene_run(s);
}

void
scene_reload(struct scene *s, bool identity_changed)
{
	unsigned i;

	upstream_set_max(s->upstream, (unsigned)s->conf.pool.max,
	    s->conf.pool.adapt);
	atomic_store(&s->upstream->pins_most,
	    (unsigned)s->conf.pool.max_pinned);
	for (i = 0; i < s->turns.n; i++)
		pool_configure(scene_pool(s, i), &s->conf, identity_changed,
		    NULL);
	books_check(s->upstream, false);
}

void
scene_set_roster(struct scene *s, unsigned bits)
{
	struct roster *r = roster_new((size_t)__builtin_popcount(bits));
	unsigned i, n = 0;

	assert_non_null(r);
	for (i = 0; i < s->n_ends; i++)
		if (bits & (1u << i))
			r->v[n++] = endpoint_keep(s->endpoints[i]);
	for (i = 0; i < s->turns.n; i++)
		pool_set_roster(scene_pool(s, i), roster_keep(r));
	roster_drop(r);
	books_check(s->upstream, false);
}

void
scene_end(struct scene *s)
{
	unsigned i;

	for (i = 0; i < s->turns.n; i++)
		pool_retire(scene_pool(s, i));
	scene_pass(s, 5000);
	assert_int_equal(atomic_load(&s->upstream->open), 0);
	for (i = 0; i < s->turns.n; i++) {
		assert_true(list_empty(&scene_pool(s, i)->upconns));
		assert_true(list_empty(&scene_pool(s, i)->asks));
		assert_true(list_empty(&scene_pool(s, i)->pin_asks));
		assert_true(list_empty(&scene_pool(s, i)->parked));
	}
	assert_int_equal(atomic_load(&s->upstream->pins), 0);
	upstream_free(s->upstream);
	for (i = 0; i < s->n_ends; i++) {
		assert_int_equal(atomic_load(&s->endpoints[i]->open), 0);
		assert_int_equal(atomic_load(&s->endpoints[i]->refs), 1);
		endpoint_drop(s->endpoints[i]);
		far_end_close(&s->ends[i]);
	}
	turns_end(&s->turns);
	assert_int_equal(open_descriptors(), s->descriptors);
}

struct pool *
scene_pool(struct scene *s, unsigned worker)
{
	return s->upstream->pools[worker];
}

void
scene_run(struct scene *s)
{
	turns_run(&s->turns);
	books_check(s->upstream, true);
	books_check_nobody_forgotten(s->upstream);
}

void
scene_pass(struct scene *s, int64_t ms)
{
	turns_pass(&s->turns, ms);
	scene_run(s);
}

struct far_end *
scene_far_end(struct scene *s, const struct upconn *u)
{
	unsigned i;

	for (i = 0; i < s->n_ends; i++)
		if (s->endpoints[i] == u->shelf->site->endpoint)
			return &s->ends[i];
	fail_msg("a connection to nowhere");
	return NULL;
}

int
scene_far_fd(struct scene *s, const struct upconn *u)
{
	return far_end_of(scene_far_end(s, u), conn_fd(&u->conn));
}

struct upconn *
scene_upconn(struct scene *s, unsigned worker, unsigned n)
{
	struct list *head = &scene_pool(s, worker)->upconns, *l;

	for (l = head->next; l != head; l = l->next)
		if (n-- == 0)
			return container_of(l, struct upconn, all);
	return NULL;
}

uint64_t
scene_connects(struct scene *s)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < s->turns.n; i++)
		sum += count_read(&scene_pool(s, i)->connects);
	return sum;
}

unsigned
scene_count(struct scene *s, enum upconn_state state)
{
	unsigned sum = 0, i, n;
	struct upconn *u;

	for (i = 0; i < s->turns.n; i++)
		for (n = 0; (u = scene_upconn(s, i, n)) != NULL; n++)
			sum += u->state == state;
	return sum;
}

uint64_t
scene_discards(struct scene *s, enum discard why)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < s->turns.n; i++)
		sum += count_read(&scene_pool(s, i)->discards[why]);
	return sum;
}

/* ----------------------------------------------------------------- clients */

static struct client *
client_of(struct ask *a)
{
	return container_of(a, struct client, ask);
}

static void
holds(struct client *c)
{
	c->state = CLIENT_HOLDS;
	c->lease = c->ask.lease;
	c->turn = ++c->scene->grants;
	assert_ptr_equal(c->lease->holder, c);
}

static void
granted(struct ask *a)
{
	struct client *c = client_of(a);

	assert_int_equal(c->state, CLIENT_WAITS);
	holds(c);
	if (c->then != NULL)
		c->then(c);
}

static void
refused(struct ask *a, enum refusal why)
{
	struct client *c = client_of(a);

	assert_int_equal(c->state, CLIENT_WAITS);
	c->state = CLIENT_REFUSED;
	c->refusal = why;
	if (c->then != NULL)
		c->then(c);
}

static void
input(struct lease *l)
{
	((struct client *)l->holder)->inputs++;
}

static void
drained(struct lease *l)
{
	(void)l;
}

static void
gone(struct lease *l, int error)
{
	struct client *c = l->holder;

	(void)error;
	c->goners++;
	/* Of many each has to leave. */
	if (l->u->pool->upstream->peer->room != NULL) {
		c->state = CLIENT_AWAY;
		lease_return(&c->lease);
	}
}

static const struct lease_ops client_ops = {
	.granted = granted,
	.refused = refused,
	.input = input,
	.drained = drained,
	.gone = gone
};

void
client_init(struct client *c, struct scene *s, unsigned worker)
{
	memset(c, 0, sizeof(*c));
	c->scene = s;
	c->ask.pool = scene_pool(s, worker);
	c->ask.ops = &client_ops;
	c->ask.holder = c;
}

void
client_ask(struct client *c)
{
	/* A callback from inside the call would find this state. */
	c->state = CLIENT_AWAY;
	switch (lease_ask(&c->ask)) {
	case ASK_GRANTED:
		holds(c);
		break;
	case ASK_WAITS:
		c->state = CLIENT_WAITS;
		break;
	case ASK_REFUSED:
		c->state = CLIENT_REFUSED;
		c->refusal = c->ask.refusal;
		break;
	}
	books_check(c->scene->upstream, false);
}

void
client_come(struct client *c, struct scene *s, unsigned worker)
{
	client_init(c, s, worker);
	client_ask(c);
	scene_run(s);
}

void
client_share(struct client *c, struct scene *s, const char *key)
{
	client_init(c, s, 0);
	c->ask.share = true;
	c->ask.key = key;
	c->ask.key_len = strlen(key);
	client_ask(c);
}

void
client_follow(struct client *c, struct scene *s, struct upconn *u)
{
	client_init(c, s, 0);
	c->ask.share = true;
	c->ask.with = u;
	client_ask(c);
}

void
client_part(struct client *c, struct scene *s, bool lasts)
{
	client_init(c, s, 0);
	c->ask.lasts = lasts;
	client_ask(c);
}

void
client_cancel(struct client *c)
{
	ask_cancel(&c->ask);
	c->state = CLIENT_AWAY;
	books_check(c->scene->upstream, false);
}

void
client_return(struct client *c)
{
	c->state = CLIENT_AWAY;
	lease_return(&c->lease);
	assert_null(c->lease);
	books_check(c->scene->upstream, false);
}

void
client_return_as(struct client *c, enum mark mark)
{
	upconn_mark(c->lease->u, mark, "test");
	client_return(c);
}

void
clients_return(struct client *c, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		client_return(&c[i]);
}

void
clients_are(const struct client *c, unsigned n, enum client_state state)
{
	unsigned i;

	for (i = 0; i < n; i++)
		assert_int_equal(c[i].state, state);
}

unsigned
scene_riders(const struct upconn *u)
{
	const struct list *l;
	unsigned n = 0;

	for (l = u->riders.next; l != &u->riders; l = l->next)
		n++;
	return n;
}
