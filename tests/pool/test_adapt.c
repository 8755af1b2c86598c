/*
 * pool/adapt: a server that has too many clients is asked for fewer connections,
 * and who waits gets one all the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/adapt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;
static unsigned room;                   /* connections that the server takes */

/* With bytes: those that it had until now, and this one. */
static bool
greet(struct upconn *u)
{
	unsigned open = scene_count(&s, UPCONN_LEASED) +
	    scene_count(&s, UPCONN_IDLE);

	if (open < room)
		return true;
	if (!upconn_crowded(u))
		upconn_turned_away(u, "too many clients");
	return false;
}

static void
begin(unsigned workers, bool adapts)
{
	scene_begin(&s, workers, 1);
	s.peer.greet = greet;
	s.conf.pool.max = 8;
	s.conf.pool.adapt = adapts;
	s.conf.pool.queue_timeout_ms = 10000;
	room = 100;
	scene_start(&s);
}

static unsigned
cap(void)
{
	return atomic_load(&s.upstream->most);
}

static void
refusal_halves_the_cap_and_who_waits_is_served(void **state)
{
	struct client c[3];

	(void)state;
	begin(1, true);
	room = 2;
	client_come(&c[0], &s, 0);
	client_come(&c[1], &s, 0);
	client_come(&c[2], &s, 0);
	clients_are(c, 2, CLIENT_HOLDS);
	assert_int_equal(c[2].state, CLIENT_WAITS);
	assert_int_equal(cap(), 4);
	client_return(&c[0]);
	scene_run(&s);
	assert_int_equal(c[2].state, CLIENT_HOLDS);
	/* Nobody is to blame. */
	assert_int_equal(atomic_load(&s.endpoints[0]->failing), 0);
	client_return(&c[1]);
	client_return(&c[2]);
	scene_end(&s);
}

static void
it_is_lowered_once_a_second_and_never_below_one(void **state)
{
	struct client c;
	unsigned i;

	(void)state;
	begin(1, true);
	room = 0;
	client_come(&c, &s, 0);
	assert_int_equal(cap(), 4);
	/* It is tried again, with pauses. */
	scene_pass(&s, 400);
	assert_int_equal(cap(), 4);
	assert_true(scene_connects(&s) > 1 && scene_connects(&s) < 8);
	for (i = 0; i < 50; i++)
		scene_pass(&s, 100);
	assert_int_equal(c.state, CLIENT_WAITS);
	assert_int_equal(cap(), 1);
	room = 1;
	for (i = 0; i < 20 && c.state == CLIENT_WAITS; i++)
		scene_pass(&s, 100);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

static void
it_grows_back_step_by_step(void **state)
{
	struct client c[2];
	unsigned i, before;

	(void)state;
	begin(2, true);
	room = 1;
	client_come(&c[0], &s, 0);
	client_come(&c[1], &s, 1);
	assert_int_equal(cap(), 4);
	room = 100;
	client_return(&c[0]);
	scene_pass(&s, 100);
	assert_int_equal(c[1].state, CLIENT_HOLDS);
	for (i = 0; i < 60 && cap() < 8; i++) {
		before = cap();
		scene_pass(&s, 200);
		assert_true(cap() - before <= 1);
	}
	assert_int_equal(cap(), 8);
	assert_true(i >= 4 * 4);
	scene_pass(&s, 5000);
	assert_int_equal(cap(), 8);
	client_return(&c[1]);
	scene_end(&s);
}

/* Ticks until one place has been left free, and the cap has grown again. */
static void
full_pool_yields_a_place_to_find_out(void **state)
{
	struct client c[9];
	unsigned i;

	(void)state;
	begin(1, true);
	room = 8;
	for (i = 0; i < 9; i++)
		client_come(&c[i], &s, 0);
	clients_are(c, 8, CLIENT_HOLDS);
	for (i = 0; i < 40 && cap() == 8; i++)
		scene_pass(&s, 250);
	assert_int_equal(cap(), 7);
	client_return(&c[0]);
	scene_run(&s);
	assert_int_equal(c[8].state, CLIENT_WAITS);
	assert_int_equal(atomic_load(&s.upstream->open), 7);
	/* For longer than others rest; then it is taken again. */
	scene_pass(&s, 1500);
	assert_int_equal(c[8].state, CLIENT_WAITS);
	for (i = 0; i < 4; i++)
		scene_pass(&s, 250);
	assert_int_equal(c[8].state, CLIENT_HOLDS);
	assert_int_equal(cap(), 8);
	/* The next time somebody else has been waiting for it. */
	for (i = 0; i < 40 && cap() == 8; i++)
		scene_pass(&s, 250);
	assert_int_equal(cap(), 7);
	client_return(&c[1]);
	room = 7;
	client_come(&c[0], &s, 0);
	for (i = 0; i < 16 && cap() > 4; i++)
		scene_pass(&s, 250);
	assert_int_equal(cap(), 4);
	client_cancel(&c[0]);
	for (i = 2; i < 9; i++)
		client_return(&c[i]);
	assert_int_equal(atomic_load(&s.upstream->open), 4);
	scene_end(&s);
}

static void
who_has_few_keeps_them(void **state)
{
	struct client c[2];
	unsigned i;

	(void)state;
	begin(1, true);
	client_come(&c[0], &s, 0);
	client_come(&c[1], &s, 0);
	client_return(&c[0]);
	client_return(&c[1]);
	for (i = 0; i < 40; i++) {
		scene_pass(&s, 250);
		assert_int_equal(cap(), 8);
	}
	assert_int_equal(scene_connects(&s), 2);
	scene_end(&s);
}

static void
queue_timeout_ends_it(void **state)
{
	struct client c;
	unsigned i;

	(void)state;
	begin(1, true);
	room = 0;
	client_come(&c, &s, 0);
	for (i = 0; i < 120; i++)
		scene_pass(&s, 100);
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(c.refusal, REFUSAL_QUEUE_TIMEOUT);
	scene_end(&s);
}

static void
without_adapt_it_is_a_refusal_as_any(void **state)
{
	struct client c;

	(void)state;
	begin(1, false);
	room = 0;
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(c.refusal, REFUSAL_LOGIN);
	assert_int_equal(cap(), 8);
	scene_end(&s);
}

static void
reload_keeps_what_was_found_out(void **state)
{
	struct client c;

	(void)state;
	begin(1, true);
	room = 0;
	client_come(&c, &s, 0);
	assert_int_equal(cap(), 4);
	s.conf.pool.max = 20;
	scene_reload(&s, false);
	assert_int_equal(cap(), 4);
	s.conf.pool.max = 3;
	scene_reload(&s, false);
	assert_int_equal(cap(), 3);
	s.conf.pool.adapt = false;
	s.conf.pool.max = 5;
	scene_reload(&s, false);
	assert_int_equal(cap(), 5);
	client_cancel(&c);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    refusal_halves_the_cap_and_who_waits_is_served),
		cmocka_unit_test(
		    it_is_lowered_once_a_second_and_never_below_one),
		cmocka_unit_test(it_grows_back_step_by_step),
		cmocka_unit_test(full_pool_yields_a_place_to_find_out),
		cmocka_unit_test(who_has_few_keeps_them),
		cmocka_unit_test(queue_timeout_ends_it),
		cmocka_unit_test(without_adapt_it_is_a_refusal_as_any),
		cmocka_unit_test(reload_keeps_what_was_found_out)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
