/*
 * Pools of one upstream on workers in threads of their own, in real time: under
 * bursts that contend for a few connections, the cap holds at every moment and
 * nobody is forgotten, also while endpoints go up and down. What
 * ThreadSanitizer has to look at.
 *
 * A lost wake-up shows as soon as all fall quiet but one, so each worker pauses
 * between its bursts.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/lease.h"
#include "pool/share.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

enum {
	WORKERS_MOST = 3, ENDS = 2, CLIENTS = 5, BURSTS = 600,
	PATIENCE_MS = 20000
};

struct side;

struct visitor {
	struct side *side;
	struct ask ask;
	struct lease *lease;
	struct deadline deadline;
};

/* One thread's. */
struct side {
	struct worker worker;
	pthread_t thread;
	struct pool *pool;
	struct visitor visitors[CLIENTS];
	struct deadline pause, look;
	unsigned left, bursts, served, granted, refused, wrong, over_cap;
	uint64_t dice;
};

static struct side sides[WORKERS_MOST];
static unsigned n_sides;
static struct upstream *upstream;
static struct endpoint *endpoints[ENDS];
static unsigned n_ends;
static _Atomic unsigned suspicions;
static struct far_end far_end;
static struct conf_upstream conf;
static enum conf_balance balance;
static struct peer_ops peer;
static bool shares;                     /* pool.mode = "shared" */
static _Atomic unsigned done;

static unsigned
roll(struct side *s, unsigned n)
{
	s->dice = s->dice * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((s->dice >> 33) % n);
}

/* ----------------------------------------------------------------- visitors */

static void
served(struct visitor *v)
{
	struct side *s = v->side;

	s->served++;
	if (--s->left > 0)
		return;
	if (++s->bursts == BURSTS)
		atomic_fetch_add(&done, 1);
	else
		deadline_set(&s->worker, &s->pause, roll(s, 3));
}

static void
give_back(struct visitor *v)
{
	struct endpoint *e = v->lease->u->shelf->site->endpoint;

	if (roll(v->side, 20) == 0) {
		upconn_mark(v->lease->u, MARK_BROKEN, "test");
		endpoint_fault(e, FAULT_RESET, 0);
	} else if (roll(v->side, 4) == 0)
		endpoint_ok(e);
	if (!upconn_may_go_on(v->lease->u))
		upconn_mark(v->lease->u, MARK_BROKEN, "test");
	lease_return(&v->lease);
	served(v);
}

static void
holds(struct visitor *v)
{
	struct side *s = v->side;

	v->lease = v->ask.lease;
	s->granted++;
	if (atomic_load(&upstream->open) > (unsigned)conf.pool.max)
		s->over_cap++;
	/* Some hold it for a while. */
	deadline_set(&s->worker, &v->deadline, roll(s, 4) == 0 ? 1 : 0);
}

static void
held(struct deadline *d)
{
	give_back(container_of(d, struct visitor, deadline));
}

static void
granted(struct ask *a)
{
	holds(a->holder);
}

static void
refused(struct ask *a, enum refusal why)
{
	struct visitor *v = a->holder;

	v->side->refused++;
	v->side->wrong += why != REFUSAL_NO_ENDPOINT && why != REFUSAL_HELD;
	served(v);
}

static void
ignored(struct lease *l)
{
	(void)l;
}

/* Of many each has to leave. */
static void
gone(struct lease *l, int error)
{
	struct visitor *v = l->holder;

	(void)error;
	if (!shares)
		return;
	deadline_clear(&v->deadline);
	lease_return(&v->lease);
	served(v);
}

static unsigned
room(const struct upconn *u)
{
	(void)u;
	return 1;
}

static void
bytes(struct upconn *u)
{
	if (u->state != UPCONN_LEASED)
		return;
	u->busy = true;
	if (u->conn.eof)
		upconn_lost(u, 0);
	share_dealt_with(u);
}

static const struct lease_ops visitor_ops = {
	.granted = granted,
	.refused = refused,
	.input = ignored,
	.drained = ignored,
	.gone = gone
};

static void
come(struct visitor *v)
{
	v->ask = (struct ask){ .pool = v->side->pool, .ops = &visitor_ops,
		.holder = v, .hash = roll(v->side, 20) };
	v->ask.share = shares && roll(v->side, 3) > 0;
	v->ask.lasts = shares && !v->ask.share && roll(v->side, 2) == 0;
	switch (lease_ask(&v->ask)) {
	case ASK_GRANTED:
		holds(v);
		return;
	case ASK_WAITS:
		return;
	case ASK_REFUSED:
		refused(&v->ask, v->ask.refusal);
		return;
	}
}

static void
burst(struct deadline *d)
{
	struct side *s = container_of(d, struct side, pause);
	unsigned n = 1 + roll(s, CLIENTS), i;

	s->left = n;
	for (i = 0; i < n; i++)
		come(&s->visitors[i]);
}

/* ------------------------------------------------------------------ threads */

static void
look(struct deadline *d)
{
	struct side *s = container_of(d, struct side, look);

	if (atomic_load(&done) < n_sides) {
		deadline_set(&s->worker, d, 5);
		return;
	}
	pool_close_all(s->pool);
	worker_stop(&s->worker);
}

static struct roster *
new_roster(void)
{
	struct roster *r = roster_new(n_ends);
	unsigned i;

	if (r == NULL)
		abort();
	for (i = 0; i < n_ends; i++)
		r->v[i] = endpoint_keep(endpoints[i]);
	return r;
}

static void *
live(void *arg)
{
	struct side *s = arg;
	unsigned i;

	pool_configure(s->pool, &conf, false, new_roster());
	for (i = 0; i < CLIENTS; i++) {
		s->visitors[i].side = s;
		deadline_init(&s->visitors[i].deadline, held);
	}
	deadline_init(&s->pause, burst);
	deadline_init(&s->look, look);
	deadline_set(&s->worker, &s->pause, 0);
	deadline_set(&s->worker, &s->look, 5);
	worker_run(&s->worker);
	return NULL;
}

/* What main does when a bar has changed. */
struct look {
	struct mail mail;
	struct pool *pool;
	struct roster *roster;
};

static void
look_again(struct worker *w, struct mail *m)
{
	struct look *look_at = container_of(m, struct look, mail);

	(void)w;
	pool_set_roster(look_at->pool, look_at->roster);
	free(look_at);
}

static void
look_dropped(struct mail *m)
{
	struct look *look_at = container_of(m, struct look, mail);

	roster_drop(look_at->roster);
	free(look_at);
}

static void
flap(unsigned n)
{
	struct endpoint *e = endpoints[n % n_ends];
	struct roster *r = new_roster();
	struct timespec now;
	int64_t now_ns;
	unsigned i;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
	/* Each is down for one of four, so that both are, now and then. */
	(void)endpoint_bar(e, n % 3 == 0 ? BAR_CHECK : BAR_EJECTED,
	    n % 8 < 2, now_ns);
	(void)endpoint_bar(e, n % 3 == 0 ? BAR_EJECTED : BAR_CHECK, false,
	    now_ns);
	if (n % 50 == 0)
		atomic_store(&e->hold_until_ns, now_ns + 3 * NS_PER_MS);
	for (i = 0; i < n_sides; i++) {
		struct look *look_at = malloc(sizeof(*look_at));

		assert_non_null(look_at);
		*look_at = (struct look){ .pool = sides[i].pool,
			.roster = roster_keep(r),
			.mail = { .deliver = look_again,
			    .drop = look_dropped } };
		worker_post(&sides[i].worker, &look_at->mail);
	}
	roster_drop(r);
}

static void
suspect(void *arg, struct endpoint *e)
{
	(void)arg, (void)e;
	atomic_fetch_add(&suspicions, 1);
}

static void
begin(unsigned workers, int64_t max, int64_t min_idle)
{
	struct worker *w[WORKERS_MOST];
	unsigned i;

	signal(SIGPIPE, SIG_IGN);
	memset(sides, 0, sizeof(sides));
	memset(&conf, 0, sizeof(conf));
	atomic_store(&done, 0);
	n_sides = workers;
	far_end_open(&far_end);
	for (i = 0; i < n_ends; i++) {
		struct endpoint *e = endpoint_new(i == 0 ? "one" : "other",
		    "end", &far_end.addr, 1, UINT32_MAX);

		assert_non_null(e);
		e->suspect = suspect;
		atomic_store(&e->eject_after, 2);
		endpoints[i] = e;
	}
	atomic_store(&suspicions, 0);
	conf.balance = balance;
	conf.slow_start_ms = 20;
	conf.pool = (struct conf_pool){ .span = CONF_SPAN_REQUEST, .max = max,
		.failover_hold_ms = CONF_OFF,
		.max_idle = max, .min_idle = min_idle, .max_waiting = 1000,
		.max_per_endpoint = CONF_OFF,
		.queue_timeout_ms = PATIENCE_MS,
		.idle_timeout_ms = CONF_OFF, .max_lifetime_ms = 50,
		.tcp_keepalive_ms = CONF_OFF, .leak_after_ms = CONF_OFF };
	conf.timeouts.connect_ms = PATIENCE_MS;
	peer = (struct peer_ops){ 0 };
	if (shares) {
		conf.pool.span = CONF_SPAN_OWED;
		conf.pool.shared = 1;
		peer.room = room;
		peer.bytes = bytes;
	}
	for (i = 0; i < workers; i++) {
		assert_int_equal(worker_init(&sides[i].worker, i, NULL), 0);
		w[i] = &sides[i].worker;
		sides[i].dice = 20240 + i;
	}
	upstream = upstream_new("threads", &peer, w, workers);
	assert_non_null(upstream);
	atomic_store(&upstream->most, (unsigned)max);
	atomic_store(&upstream->pins_most, 1);
	for (i = 0; i < workers; i++)
		sides[i].pool = upstream->pools[i];
}

static void
end(void)
{
	unsigned i, total = 0, granted_total = 0, refused_total = 0;

	for (i = 0; i < n_sides; i++)
		worker_fini(&sides[i].worker);
	assert_int_equal(atomic_load(&upstream->open), 0);
	assert_int_equal(atomic_load(&upstream->pins), 0);
	upstream_free(upstream);
	for (i = 0; i < n_ends; i++) {
		assert_int_equal(atomic_load(&endpoints[i]->open), 0);
		assert_int_equal(atomic_load(&endpoints[i]->leased), 0);
		assert_int_equal(atomic_load(&endpoints[i]->opening), 0);
		assert_int_equal(atomic_load(&endpoints[i]->refs), 1);
		endpoint_drop(endpoints[i]);
	}
	far_end_close(&far_end);
	for (i = 0; i < n_sides; i++) {
		assert_int_equal(sides[i].wrong, 0);
		assert_int_equal(sides[i].over_cap, 0);
		total += sides[i].served;
		granted_total += sides[i].granted;
		refused_total += sides[i].refused;
	}
	assert_true(total > n_sides * BURSTS);
	if (n_ends == 1)
		assert_int_equal(refused_total, 0);
	/* It was about something. */
	assert_true(granted_total > total / 4);
	assert_true(atomic_load(&suspicions) > 0);
}

static void
contend(unsigned workers, int64_t max, int64_t min_idle)
{
	unsigned before = open_descriptors(), flaps = 0, i;

	begin(workers, max, min_idle);
	for (i = 0; i < workers; i++)
		assert_int_equal(pthread_create(&sides[i].thread, NULL, live,
		    &sides[i]), 0);
	while (atomic_load(&done) < workers) {
		far_end_tidy(&far_end);
		if (n_ends > 1)
			flap(flaps++);
		usleep(1000);
	}
	for (i = 0; i < workers; i++)
		assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
	end();
	assert_int_equal(open_descriptors(), before);
}

static void
steady(unsigned workers, int64_t max, int64_t min_idle)
{
	n_ends = 1;
	balance = CONF_ROUND_ROBIN;
	contend(workers, max, min_idle);
}

static void
flapping(unsigned workers, int64_t max, enum conf_balance by)
{
	n_ends = ENDS;
	balance = by;
	contend(workers, max, 2);
}

static void
one_connection_serves_two_threads(void **state)
{
	(void)state;
	steady(2, 1, 0);
}

static void
few_connections_serve_two_threads(void **state)
{
	(void)state;
	steady(2, 3, 2);
}

static void
few_connections_serve_three_threads(void **state)
{
	(void)state;
	steady(3, 2, 1);
}

static void
flapping_endpoints_serve_or_refuse_two_threads(void **state)
{
	(void)state;
	flapping(2, 3, CONF_LEAST_CONN);
	flapping(2, 2, CONF_RANDOM_TWO);
}

static void
flapping_endpoints_forget_no_bound_ask(void **state)
{
	(void)state;
	flapping(2, 1, CONF_SOURCE_HASH);
	flapping(2, 3, CONF_SOURCE_HASH);
}

static void
shared_connections_serve_two_threads(void **state)
{
	(void)state;
	shares = true;
	steady(2, 3, 0);
	steady(2, 5, 1);
	flapping(2, 4, CONF_ROUND_ROBIN);
	shares = false;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_serves_two_threads),
		cmocka_unit_test(few_connections_serve_two_threads),
		cmocka_unit_test(few_connections_serve_three_threads),
		cmocka_unit_test(
		    flapping_endpoints_serve_or_refuse_two_threads),
		cmocka_unit_test(flapping_endpoints_forget_no_bound_ask),
		cmocka_unit_test(shared_connections_serve_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
