/*
 * Pools of one upstream on workers in threads of their own, in real time: under
 * bursts that contend for a few connections, the cap holds at every moment and
 * nobody is forgotten. What ThreadSanitizer has to look at.
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
#include <unistd.h>

#include <cmocka.h>

#include "pool/lease.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

enum { WORKERS_MOST = 3, CLIENTS = 5, BURSTS = 600, PATIENCE_MS = 20000 };

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
	unsigned left, bursts, served, refused, over_cap;
	uint64_t dice;
};

static struct side sides[WORKERS_MOST];
static unsigned n_sides;
static struct upstream *upstream;
static struct endpoint *endpoint;
static struct far_end far_end;
static struct conf_upstream conf;
static const struct peer_ops peer;
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
	if (roll(v->side, 20) == 0)
		upconn_mark(v->lease->u, MARK_BROKEN, "test");
	lease_return(&v->lease);
	served(v);
}

static void
holds(struct visitor *v)
{
	struct side *s = v->side;

	v->lease = v->ask.lease;
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

	(void)why;
	v->side->refused++;
	served(v);
}

static void
ignored(struct lease *l)
{
	(void)l;
}

static void
gone(struct lease *l, int error)
{
	(void)l, (void)error;
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
		.holder = v };
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

static void *
live(void *arg)
{
	struct side *s = arg;
	struct roster *r = roster_new(1);
	unsigned i;

	if (r == NULL)
		abort();
	r->v[0] = endpoint_keep(endpoint);
	pool_configure(s->pool, &conf, false);
	pool_set_roster(s->pool, r);
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
	endpoint = endpoint_new("end", "end", &far_end.addr, 1, UINT32_MAX);
	assert_non_null(endpoint);
	conf.pool = (struct conf_pool){ .span = CONF_SPAN_REQUEST, .max = max,
		.max_idle = max, .min_idle = min_idle, .max_waiting = 1000,
		.max_per_endpoint = CONF_OFF,
		.queue_timeout_ms = PATIENCE_MS,
		.idle_timeout_ms = CONF_OFF, .max_lifetime_ms = 50,
		.tcp_keepalive_ms = CONF_OFF };
	conf.timeouts.connect_ms = PATIENCE_MS;
	for (i = 0; i < workers; i++) {
		assert_int_equal(worker_init(&sides[i].worker, i, NULL), 0);
		w[i] = &sides[i].worker;
		sides[i].dice = 20240 + i;
	}
	upstream = upstream_new("threads", &peer, w, workers);
	assert_non_null(upstream);
	atomic_store(&upstream->most, (unsigned)max);
	for (i = 0; i < workers; i++)
		sides[i].pool = upstream->pools[i];
}

static void
end(void)
{
	unsigned i, total = 0;

	for (i = 0; i < n_sides; i++)
		worker_fini(&sides[i].worker);
	assert_int_equal(atomic_load(&upstream->open), 0);
	assert_int_equal(atomic_load(&endpoint->open), 0);
	assert_int_equal(atomic_load(&endpoint->leased), 0);
	assert_int_equal(atomic_load(&endpoint->opening), 0);
	upstream_free(upstream);
	assert_int_equal(atomic_load(&endpoint->refs), 1);
	endpoint_drop(endpoint);
	far_end_close(&far_end);
	for (i = 0; i < n_sides; i++) {
		assert_int_equal(sides[i].refused, 0);
		assert_int_equal(sides[i].over_cap, 0);
		total += sides[i].served;
	}
	assert_true(total > n_sides * BURSTS);
}

static void
contend(unsigned workers, int64_t max, int64_t min_idle)
{
	unsigned before = open_descriptors(), i;

	begin(workers, max, min_idle);
	for (i = 0; i < workers; i++)
		assert_int_equal(pthread_create(&sides[i].thread, NULL, live,
		    &sides[i]), 0);
	while (atomic_load(&done) < workers) {
		far_end_tidy(&far_end);
		usleep(1000);
	}
	for (i = 0; i < workers; i++)
		assert_int_equal(pthread_join(sides[i].thread, NULL), 0);
	end();
	assert_int_equal(open_descriptors(), before);
}

static void
one_connection_serves_two_threads(void **state)
{
	(void)state;
	contend(2, 1, 0);
}

static void
few_connections_serve_two_threads(void **state)
{
	(void)state;
	contend(2, 3, 2);
}

static void
few_connections_serve_three_threads(void **state)
{
	(void)state;
	contend(3, 2, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_serves_two_threads),
		cmocka_unit_test(few_connections_serve_two_threads),
		cmocka_unit_test(few_connections_serve_three_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
