/*
 * pool/pool: reloads, rosters, retirement and the end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
begin(unsigned ends, int64_t max)
{
	scene_begin(&s, 1, ends);
	s.conf.pool.max = max;
	scene_start(&s);
}

/* So many leases at once; then the first `back` of them are returned. */
static void
come(struct client *c, unsigned n, unsigned back)
{
	unsigned i;

	for (i = 0; i < n; i++)
		client_come(&c[i], &s, 0);
	for (i = 0; i < back; i++)
		client_return(&c[i]);
}

/* ------------------------------------------------------------------ reloads */

static void
lowering_max_closes_surplus(void **state)
{
	struct client c[6];

	(void)state;
	begin(1, 10);
	come(c, 6, 3);
	s.conf.pool.max = 4;
	scene_reload(&s, false);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_equal(atomic_load(&s.upstream->open), 4);
	/* Leased ones when they come home. */
	s.conf.pool.max = 2;
	scene_reload(&s, false);
	assert_int_equal(atomic_load(&s.upstream->open), 3);
	client_return(&c[3]);
	assert_int_equal(atomic_load(&s.upstream->open), 2);
	client_return(&c[4]);
	client_return(&c[5]);
	assert_int_equal(atomic_load(&s.upstream->open), 2);
	assert_int_equal(scene_discards(&s, DISCARD_SURPLUS), 4);
	scene_end(&s);
}

static void
raising_max_serves_who_waits(void **state)
{
	struct client c[5];
	unsigned i;

	(void)state;
	begin(1, 1);
	come(c, 5, 0);
	assert_int_equal(c[1].state, CLIENT_WAITS);
	s.conf.pool.max = 4;
	scene_reload(&s, false);
	for (i = 0; i < 4; i++)
		assert_int_equal(c[i].state, CLIENT_HOLDS);
	assert_int_equal(c[4].state, CLIENT_WAITS);
	client_cancel(&c[4]);
	for (i = 0; i < 4; i++)
		client_return(&c[i]);
	scene_end(&s);
}

/* An ask of another key waits while leases are out; max falls to what is idle
   by then. */
static void
lowering_max_leaves_nobody_behind(void **state)
{
	struct client a[2], b[2];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 2;
	scene_start(&s);
	for (i = 0; i < 2; i++) {
		client_init(&a[i], &s, 0);
		a[i].ask.key = "a", a[i].ask.key_len = 1;
		client_ask(&a[i]);
	}
	for (i = 0; i < 2; i++) {
		client_init(&b[i], &s, 0);
		b[i].ask.key = "b", b[i].ask.key_len = 1;
		client_ask(&b[i]);
		assert_int_equal(b[i].state, CLIENT_WAITS);
	}
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	client_return(&a[0]);
	client_return(&a[1]);
	scene_run(&s);
	assert_int_equal(b[0].state, CLIENT_HOLDS);
	assert_int_equal(b[1].state, CLIENT_WAITS);
	client_return(&b[0]);
	assert_int_equal(b[1].state, CLIENT_HOLDS);
	client_return(&b[1]);
	scene_end(&s);
}

static void
untouched_reload_keeps_connections(void **state)
{
	struct client c[3];

	(void)state;
	begin(1, 10);
	come(c, 3, 3);
	scene_reload(&s, false);
	scene_set_roster(&s, 1);
	scene_pass(&s, 1000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

static void
changed_identity_closes_idle_now_and_leased_on_return(void **state)
{
	struct client c[3];

	(void)state;
	begin(1, 10);
	come(c, 3, 2);
	scene_reload(&s, true);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(c[2].state, CLIENT_HOLDS);
	client_return(&c[2]);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	assert_int_equal(scene_discards(&s, DISCARD_IDENTITY), 3);
	client_come(&c[0], &s, 0);
	client_return(&c[0]);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_end(&s);
}

/* One that was connecting as the reload came is of the old identity. */
static void
changed_identity_is_seen_while_connecting(void **state)
{
	struct client c;

	(void)state;
	begin(1, 10);
	connects_are_slow = true;
	client_init(&c, &s, 0);
	client_ask(&c);
	scene_reload(&s, true);
	turns_run(&s.turns);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(c.lease->u->identity, scene_pool(&s, 0)->identity);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&c);
	scene_end(&s);
}

/* ------------------------------------------------------------------- roster */

static void
roster_change_closes_idle_of_gone_endpoint(void **state)
{
	struct client c[4];
	unsigned i;

	(void)state;
	begin(2, 10);
	come(c, 4, 2);
	scene_set_roster(&s, 1u << 1);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_equal(scene_discards(&s, DISCARD_ENDPOINT_GONE), 1);
	/* The leased one lives to its end and keeps its site. */
	assert_non_null(pool_site_of(scene_pool(&s, 0), s.endpoints[0]));
	client_return(&c[2]);
	client_return(&c[3]);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 0);
	assert_null(pool_site_of(scene_pool(&s, 0), s.endpoints[0]));
	for (i = 0; i < 4; i++) {
		client_come(&c[i], &s, 0);
		assert_ptr_equal(c[i].lease->u->shelf->site->endpoint,
		    s.endpoints[1]);
	}
	for (i = 0; i < 4; i++)
		client_return(&c[i]);
	scene_end(&s);
}

static void
endpoint_that_comes_back_takes_its_connections_home(void **state)
{
	struct client c;

	(void)state;
	begin(2, 10);
	client_come(&c, &s, 0);
	scene_set_roster(&s, 1u << 1);
	scene_set_roster(&s, 3);
	client_return(&c);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_end(&s);
}

static void
new_endpoint_serves_who_waits(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[0]->most, 1);
	scene_start(&s);
	scene_set_roster(&s, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_set_roster(&s, 3);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* All places are taken by idle connections of an endpoint that it avoids and
   leased ones of another that is full: it takes what it avoids. With a third
   endpoint that has room it takes a place there. */
static void
new_endpoint_is_for_who_avoids_the_others(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 3);
	s.conf.pool.max = 2;
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	scene_set_roster(&s, 3);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_ptr_equal(a.lease->u->shelf->site->endpoint, s.endpoints[0]);
	client_return(&a);
	client_init(&c, &s, 0);
	c.ask.avoid = s.endpoints[0];
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_ptr_equal(c.lease->u->shelf->site->endpoint, s.endpoints[0]);
	client_return(&c);
	scene_set_roster(&s, 7);
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_ptr_equal(c.lease->u->shelf->site->endpoint, s.endpoints[2]);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

static void
last_endpoint_that_goes_refuses_who_waits(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	scene_set_roster(&s, 0);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_REFUSED);
	assert_int_equal(b.refusal, REFUSAL_NO_ENDPOINT);
	scene_end(&s);
}

/* --------------------------------------------------------------- retirement */

static void
retired_pool_keeps_nothing_but_serves_who_waits(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 2);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_come(&c, &s, 0);
	client_return(&b);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_come(&b, &s, 0);
	pool_retire(scene_pool(&s, 0));
	scene_run(&s);
	/* Nothing of the old is given, a new one is opened. */
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	client_return(&b);
	client_return(&c);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	assert_int_equal(scene_discards(&s, DISCARD_RETIRED), 3);
	scene_end(&s);
}

static void
revived_pool_keeps_connections_again(void **state)
{
	struct client c;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.min_idle = 2;
	scene_start(&s);
	pool_retire(scene_pool(&s, 0));
	scene_pass(&s, 1000);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	pool_revive(scene_pool(&s, 0));
	scene_reload(&s, false);
	scene_pass(&s, 1000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	client_come(&c, &s, 0);
	client_return(&c);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	scene_end(&s);
}

/* Its endpoint had gone before: being retired does not bring it back. */
static void
retired_pool_gives_nothing_of_a_gone_endpoint(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 10);
	connects_are_slow = true;
	client_init(&a, &s, 0);
	client_ask(&a);
	client_init(&b, &s, 0);
	client_ask(&b);
	scene_set_roster(&s, 1u << 1);
	pool_retire(scene_pool(&s, 0));
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(a.lease->u->shelf->site->endpoint, s.endpoints[1]);
	assert_ptr_equal(b.lease->u->shelf->site->endpoint, s.endpoints[1]);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static bool
greet_until_told(struct upconn *u)
{
	(void)u;
	return false;
}

/* It was opened for somebody who has left; who still waits has another key. */
static void
retired_pool_keeps_nothing_that_fits_nobody(void **state)
{
	struct client a, b;
	struct upconn *orphan;

	(void)state;
	scene_begin(&s, 1, 1);
	s.peer.greet = greet_until_told;
	scene_start(&s);
	client_init(&a, &s, 0);
	a.ask.key = "a", a.ask.key_len = 1;
	client_ask(&a);
	client_init(&b, &s, 0);
	b.ask.key = "b", b.ask.key_len = 1;
	client_ask(&b);
	scene_run(&s);
	orphan = a.ask.opening;
	client_cancel(&a);
	pool_retire(scene_pool(&s, 0));
	upconn_ready(orphan);
	scene_run(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(scene_discards(&s, DISCARD_RETIRED), 1);
	upconn_ready(b.ask.opening);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
closing_all_closes_what_is_leased_and_opening(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 10);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return(&b);
	connects_are_slow = true;
	client_init(&c, &s, 0);
	c.ask.fresh = true;
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_cancel(&c);
	/* The holder of a is gone by then: it does not return it. */
	pool_close_all(scene_pool(&s, 0));
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

/* A closing that makes room may be taken by one who gives back at once. */
static struct client quick;

static void
quick_granted(struct ask *a)
{
	quick.lease = a->lease;
	quick.state = CLIENT_HOLDS;
	quick.turn++;
	lease_return(&quick.lease);
}

static void
quick_refused(struct ask *a, enum refusal why)
{
	(void)a, (void)why;
	quick.state = CLIENT_REFUSED;
}

static void
closing_many_while_grants_give_back_at_once(void **state)
{
	static const struct lease_ops ops = { .granted = quick_granted,
		.refused = quick_refused };
	struct client c[6];
	unsigned i;

	(void)state;
	begin(1, 6);
	come(c, 6, 0);
	client_init(&quick, &s, 0);
	quick.ask.ops = &ops;
	quick.ask.fresh = true;
	assert_int_equal(lease_ask(&quick.ask), ASK_WAITS);
	/* Each return now makes it idle, or makes room and a grant. */
	for (i = 0; i < 6; i++)
		client_return(&c[i]);
	assert_int_equal(quick.turn, 1);
	s.conf.pool.max_idle = 1;
	scene_reload(&s, false);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_end(&s);
}

/* ------------------------------------------------------------ retry budget */

static unsigned
retries_allowed(unsigned most)
{
	unsigned n = 0;

	while (n < most && pool_budget_retry(scene_pool(&s, 0)))
		n++;
	return n;
}

static void
requests(unsigned n)
{
	while (n-- > 0)
		pool_budget_request(scene_pool(&s, 0));
}

static void
retries_are_a_share_of_the_requests_and_three(void **state)
{
	struct pool *p;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.retry.budget = 0.2;
	scene_start(&s);
	p = scene_pool(&s, 0);
	assert_int_equal(retries_allowed(100), 3);
	assert_int_equal(count_read(
	    &p->limited[UPSTREAM_LIMIT_RETRY_BUDGET]), 1);
	requests(50);
	assert_int_equal(retries_allowed(100), 10);
	assert_int_equal(count_read(
	    &p->limited[UPSTREAM_LIMIT_RETRY_BUDGET]), 2);
	/* None beyond the three, whatever comes. */
	s.conf.retry.budget = 0;
	requests(1000);
	assert_int_equal(retries_allowed(100), 0);
	/* All of them, and three. */
	s.conf.retry.budget = 1;
	assert_int_equal(retries_allowed(2000), 1050 + 3 - 13);
	scene_end(&s);
}

/* The newest span and the one before it. */
static void
retry_budget_looks_back_on_two_spans(void **state)
{
	struct pool *p;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.retry.budget = 0.5;
	scene_start(&s);
	p = scene_pool(&s, 0);
	turns_leap(&s.turns, 10000 - s.turns.now_ns / NS_PER_MS % 10000);
	requests(20);
	assert_int_equal(retries_allowed(100), 13);
	scene_pass(&s, 10000);
	assert_int_equal(retries_allowed(100), 0);
	requests(4);
	assert_int_equal(retries_allowed(100), 2);
	/* What is older is forgotten, on both sides. */
	scene_pass(&s, 10000);
	assert_int_equal(p->budget.requests[0] + p->budget.requests[1], 24);
	assert_int_equal(retries_allowed(100), 3 + 2 - 2);
	requests(20);
	scene_pass(&s, 20000);
	assert_int_equal(retries_allowed(100), 3);
	requests(20);
	scene_pass(&s, 30000);
	assert_int_equal(retries_allowed(100), 3);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowering_max_closes_surplus),
		cmocka_unit_test(raising_max_serves_who_waits),
		cmocka_unit_test(lowering_max_leaves_nobody_behind),
		cmocka_unit_test(untouched_reload_keeps_connections),
		cmocka_unit_test(
		    changed_identity_closes_idle_now_and_leased_on_return),
		cmocka_unit_test(changed_identity_is_seen_while_connecting),
		cmocka_unit_test(roster_change_closes_idle_of_gone_endpoint),
		cmocka_unit_test(
		    endpoint_that_comes_back_takes_its_connections_home),
		cmocka_unit_test(new_endpoint_serves_who_waits),
		cmocka_unit_test(new_endpoint_is_for_who_avoids_the_others),
		cmocka_unit_test(last_endpoint_that_goes_refuses_who_waits),
		cmocka_unit_test(
		    retired_pool_keeps_nothing_but_serves_who_waits),
		cmocka_unit_test(revived_pool_keeps_connections_again),
		cmocka_unit_test(retired_pool_gives_nothing_of_a_gone_endpoint),
		cmocka_unit_test(retired_pool_keeps_nothing_that_fits_nobody),
		cmocka_unit_test(closing_all_closes_what_is_leased_and_opening),
		cmocka_unit_test(closing_many_while_grants_give_back_at_once),
		cmocka_unit_test(retries_are_a_share_of_the_requests_and_three),
		cmocka_unit_test(retry_budget_looks_back_on_two_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
