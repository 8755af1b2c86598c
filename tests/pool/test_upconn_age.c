/*
 * pool/upconn: when a connection is too old to be used again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upconn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
lifetime_is_spread(void **state)
{
	int64_t shortest = INT64_MAX, longest = 0;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.min_idle = 100;
	s.conf.pool.max_lifetime_ms = 10000;
	scene_start(&s);
	scene_pass(&s, 10);
	for (i = 0; i < 100; i++) {
		const struct upconn *u = scene_upconn(&s, 0, i);
		int64_t ms = (u->retire_ns - u->born_ns) / NS_PER_MS;

		assert_in_range(ms, 9000, 11000);
		shortest = ms < shortest ? ms : shortest;
		longest = ms > longest ? ms : longest;
	}
	assert_true(shortest < 9300 && longest > 10700);
	/* So they do not go all at once, but they all go. */
	s.conf.pool.min_idle = 0;
	scene_reload(&s, false);
	scene_pass(&s, 10000);
	assert_in_range(scene_count(&s, UPCONN_IDLE), 20, 80);
	scene_pass(&s, 2500);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(scene_discards(&s, DISCARD_LIFETIME), 100);
	scene_end(&s);
}

static void
leased_connection_retires_when_it_comes_home(void **state)
{
	struct client c;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max_lifetime_ms = 1000;
	scene_start(&s);
	client_come(&c, &s, 0);
	scene_pass(&s, 5000);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	assert_int_equal(scene_discards(&s, DISCARD_LIFETIME), 1);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
max_requests_retires(void **state)
{
	struct client c;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max_requests = 3;
	scene_start(&s);
	for (i = 0; i < 7; i++) {
		client_come(&c, &s, 0);
		client_return(&c);
	}
	assert_int_equal(scene_connects(&s), 3);
	assert_int_equal(scene_discards(&s, DISCARD_MAX_REQUESTS), 2);
	scene_end(&s);
}

/* The place of one that retires goes to who waits. */
static void
retirement_serves_who_waits(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	s.conf.pool.max_requests = 1;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	client_return(&b);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lifetime_is_spread),
		cmocka_unit_test(leased_connection_retires_when_it_comes_home),
		cmocka_unit_test(max_requests_retires),
		cmocka_unit_test(retirement_serves_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
