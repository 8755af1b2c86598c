/*
 * pool/failover: who comes while the primary is gone waits for the next one,
 * for so long.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/failover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;
static unsigned told;

static void
demoted(void *arg, struct endpoint *e)
{
	(void)arg;
	(void)e;
	told++;
}

static void
begin(unsigned ends, int64_t hold_ms)
{
	told = 0;
	scene_begin(&s, 1, ends);
	s.conf.pool.failover_hold_ms = hold_ms;
	s.conf.pool.queue_timeout_ms = 60000;
	scene_start(&s);
	s.upstream->demoted = demoted;
}

/* As main does it. */
static void
bar(unsigned end, enum endpoint_bar which, bool on)
{
	(void)endpoint_bar(s.endpoints[end], which, on, s.turns.now_ns);
	pool_set_roster(scene_pool(&s, 0),
	    roster_keep(scene_pool(&s, 0)->roster));
}

static void
demoted_one_loses_its_idle_connections_and_newcomers_wait(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 5000);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return(&b);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	assert_int_equal(told, 1);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	assert_int_equal(told, 1);
	bar(0, BAR_DEMOTED, true);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	/* Who has one goes on, and nobody gets it after him. */
	client_return(&a);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_pass(&s, 1000);
	assert_int_equal(c.state, CLIENT_WAITS);
	/* A check has found it, or another, to be the one. */
	bar(0, BAR_DEMOTED, false);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

static void
another_that_is_usable_is_used_at_once(void **state)
{
	struct client a;

	(void)state;
	begin(2, 5000);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_ptr_equal(a.lease->u->shelf->site->endpoint, s.endpoints[1]);
	client_return(&a);
	scene_end(&s);
}

static void
when_the_time_has_passed_they_fail_as_ever(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 5000);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	client_come(&a, &s, 0);
	scene_pass(&s, 4900);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 200);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	/* And nobody waits again so soon. */
	client_come(&b, &s, 0);
	assert_int_equal(b.refusal, REFUSAL_NO_ENDPOINT);
	scene_end(&s);
}

static void
refused_connects_are_tried_again(void **state)
{
	struct client a, b;
	unsigned i;

	(void)state;
	begin(1, 5000);
	far_end_refuse(&s.ends[0]);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(told, 1);
	for (i = 0; i < 10; i++)
		scene_pass(&s, 100);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(b.state, CLIENT_WAITS);
	far_end_welcome(&s.ends[0]);
	for (i = 0; i < 30 && a.state == CLIENT_WAITS; i++)
		scene_pass(&s, 100);
	assert_int_equal(a.state, CLIENT_HOLDS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
one_that_a_check_has_out_is_waited_for(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 5000);
	bar(1, BAR_CHECK, true);
	client_come(&a, &s, 0);
	bar(0, BAR_CHECK, true);
	client_return(&a);
	/* Nobody was refused there yet. */
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(told, 1);
	scene_pass(&s, 4900);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(b.state, CLIENT_WAITS);
	bar(1, BAR_CHECK, false);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_return(&a);
	scene_run(&s);
	client_return(&b);
	scene_end(&s);
}

static void
one_that_no_check_finds_again_fails_them_in_the_end(void **state)
{
	struct client a;

	(void)state;
	begin(1, 5000);
	bar(0, BAR_CHECK, true);
	client_come(&a, &s, 0);
	scene_pass(&s, 4900);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 200);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	client_come(&a, &s, 0);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	scene_end(&s);
}

static void
one_that_is_out_by_hand_is_not_waited_for(void **state)
{
	struct client a;

	(void)state;
	begin(1, 5000);
	bar(0, BAR_CHECK, true);
	bar(0, BAR_DOWN, true);
	client_come(&a, &s, 0);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	assert_int_equal(told, 0);
	scene_end(&s);
}

static void
refused_ones_fail_in_the_end(void **state)
{
	struct client a;
	unsigned i;

	(void)state;
	begin(1, 2000);
	far_end_refuse(&s.ends[0]);
	client_come(&a, &s, 0);
	for (i = 0; i < 30 && a.state == CLIENT_WAITS; i++)
		scene_pass(&s, 100);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	far_end_welcome(&s.ends[0]);
	scene_end(&s);
}

static void
while_it_lasts_each_second_is_a_try(void **state)
{
	const struct site *site;
	struct client a;
	unsigned i;

	(void)state;
	begin(1, 15000);
	far_end_refuse(&s.ends[0]);
	client_come(&a, &s, 0);
	for (i = 0; i < 80; i++)
		scene_pass(&s, 100);
	assert_int_equal(a.state, CLIENT_WAITS);
	site = container_of(list_first(&scene_pool(&s, 0)->sites),
	    const struct site, link);
	assert_in_range(site->rests, 8, 16);    /* so many have failed */
	far_end_welcome(&s.ends[0]);
	for (i = 0; i < 13 && a.state == CLIENT_WAITS; i++)
		scene_pass(&s, 100);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_return(&a);
	scene_end(&s);
}

/* 0 is the primary, then 1, then 0 again. */
static void
switch_over(int64_t between_ms)
{
	struct client a, b;
	unsigned i;

	begin(2, 5000);
	bar(1, BAR_CHECK, true);
	client_come(&a, &s, 0);
	client_return(&a);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_WAITS);
	bar(1, BAR_CHECK, false);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_return(&a);
	bar(0, BAR_CHECK, true);
	bar(0, BAR_DEMOTED, false);
	scene_pass(&s, between_ms);
	pool_demoted(scene_pool(&s, 0), s.endpoints[1]);
	assert_int_equal(told, 2);
	client_come(&b, &s, 0);
	for (i = 0; i < 49; i++) {
		assert_int_equal(b.state, CLIENT_WAITS);
		scene_pass(&s, 100);
	}
	bar(0, BAR_CHECK, false);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

static void
next_failover_is_waited_out_as_long_as_the_first(void **state)
{
	(void)state;
	switch_over(4000);              /* before the hold would have ended */
	switch_over(6000);
	switch_over(60000);
}

static void
one_that_is_demoted_at_once_was_not_the_primary(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 5000);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	scene_pass(&s, 2000);
	bar(0, BAR_DEMOTED, false);
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_HOLDS);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	/* What the old one says yet begins nothing. */
	scene_pass(&s, 1500);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	client_return(&a);
	client_come(&b, &s, 0);
	scene_pass(&s, 1000);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_pass(&s, 1000);
	assert_int_equal(b.refusal, REFUSAL_NO_ENDPOINT);
	client_come(&b, &s, 0);
	assert_int_equal(b.refusal, REFUSAL_NO_ENDPOINT);
	scene_end(&s);
}

static void
without_the_key_nothing_waits(void **state)
{
	struct client a;

	(void)state;
	begin(1, CONF_OFF);
	pool_demoted(scene_pool(&s, 0), s.endpoints[0]);
	assert_int_equal(told, 0);
	far_end_refuse(&s.ends[0]);
	client_come(&a, &s, 0);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	far_end_welcome(&s.ends[0]);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    demoted_one_loses_its_idle_connections_and_newcomers_wait),
		cmocka_unit_test(another_that_is_usable_is_used_at_once),
		cmocka_unit_test(when_the_time_has_passed_they_fail_as_ever),
		cmocka_unit_test(refused_connects_are_tried_again),
		cmocka_unit_test(one_that_a_check_has_out_is_waited_for),
		cmocka_unit_test(
		    one_that_no_check_finds_again_fails_them_in_the_end),
		cmocka_unit_test(one_that_is_out_by_hand_is_not_waited_for),
		cmocka_unit_test(refused_ones_fail_in_the_end),
		cmocka_unit_test(while_it_lasts_each_second_is_a_try),
		cmocka_unit_test(
		    next_failover_is_waited_out_as_long_as_the_first),
		cmocka_unit_test(
		    one_that_is_demoted_at_once_was_not_the_primary),
		cmocka_unit_test(without_the_key_nothing_waits)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
