/*
 * pool/balance: which endpoint gets a new lease.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
begin(unsigned ends, enum conf_balance balance)
{
	scene_begin(&s, 1, ends);
	s.conf.balance = balance;
	scene_start(&s);
}

static unsigned
end_of(const struct client *c)
{
	unsigned i;

	for (i = 0; s.endpoints[i] != c->lease->u->shelf->site->endpoint; i++)
		;
	return i;
}

/* One after the other, each giving back before the next: the letters of the
   endpoints that they went to. */
static const char *
visits(unsigned n)
{
	static char letters[64];
	struct client c;
	unsigned i;

	assert_true(n < sizeof(letters));
	for (i = 0; i < n; i++) {
		client_come(&c, &s, 0);
		letters[i] = (char)('a' + end_of(&c));
		client_return(&c);
	}
	letters[n] = '\0';
	return letters;
}

static void
round_robin_takes_turns(void **state)
{
	(void)state;
	begin(3, CONF_ROUND_ROBIN);
	assert_string_equal(visits(9), "abcabcabc");
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

/* As nginx does: 5 1 1 is aabacaa, not aaaaabc. */
static void
round_robin_is_smooth_and_weighted(void **state)
{
	(void)state;
	begin(3, CONF_ROUND_ROBIN);
	atomic_store(&s.endpoints[0]->weight, 5);
	assert_string_equal(visits(14), "aabacaaaabacaa");
	scene_end(&s);
}

static void
least_conn_alternates_also_at_light_load(void **state)
{
	(void)state;
	begin(2, CONF_LEAST_CONN);
	assert_string_equal(visits(8), "abababab");
	scene_end(&s);
}

static void
least_conn_fills_where_there_is_least(void **state)
{
	struct client c[6];
	unsigned i, n[3] = { 0, 0, 0 };

	(void)state;
	begin(3, CONF_LEAST_CONN);
	for (i = 0; i < 6; i++) {
		client_come(&c[i], &s, 0);
		n[end_of(&c[i])]++;
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(n[i], 2);
	/* Both of one endpoint come home: the next two go there. */
	for (i = 0; i < 6; i++)
		if (end_of(&c[i]) == 1)
			client_return(&c[i]);
	for (i = 0; i < 6; i++) {
		if (c[i].state != CLIENT_AWAY)
			continue;
		client_come(&c[i], &s, 0);
		assert_int_equal(end_of(&c[i]), 1);
	}
	for (i = 0; i < 6; i++)
		client_return(&c[i]);
	scene_end(&s);
}

static void
least_conn_counts_for_each_weight(void **state)
{
	struct client c[8];
	unsigned i, n[2] = { 0, 0 };

	(void)state;
	begin(2, CONF_LEAST_CONN);
	atomic_store(&s.endpoints[0]->weight, 3);
	for (i = 0; i < 8; i++) {
		client_come(&c[i], &s, 0);
		n[end_of(&c[i])]++;
	}
	assert_int_equal(n[0], 6);
	assert_int_equal(n[1], 2);
	for (i = 0; i < 8; i++)
		client_return(&c[i]);
	scene_end(&s);
}

/* What connects is load, too: a burst does not all go to one endpoint. */
static void
least_conn_counts_what_is_opening(void **state)
{
	struct client c[6];
	unsigned i;

	(void)state;
	begin(2, CONF_LEAST_CONN);
	connects_are_slow = true;
	for (i = 0; i < 6; i++) {
		client_init(&c[i], &s, 0);
		client_ask(&c[i]);
	}
	assert_int_equal(atomic_load(&s.endpoints[0]->opening), 3);
	assert_int_equal(atomic_load(&s.endpoints[1]->opening), 3);
	scene_run(&s);
	for (i = 0; i < 6; i++)
		client_return(&c[i]);
	scene_end(&s);
}

static void
avoided_endpoint_is_passed_over(void **state)
{
	struct ask a = { .since_ns = 0 };
	struct pool *p;
	unsigned i;

	(void)state;
	begin(3, CONF_ROUND_ROBIN);
	p = scene_pool(&s, 0);
	a.avoid = s.endpoints[1];
	for (i = 0; i < 10; i++)
		assert_ptr_not_equal(balance_pick(p, &a)->endpoint,
		    s.endpoints[1]);
	scene_set_roster(&s, 1u << 1);
	assert_ptr_equal(balance_pick(p, &a)->endpoint, s.endpoints[1]);
	scene_set_roster(&s, 0);
	assert_null(balance_pick(p, NULL));
	assert_null(balance_pick_warm(p));
	scene_end(&s);
}

static void
endpoint_max_is_respected(void **state)
{
	struct client c[6];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.max = 10;
	atomic_store(&s.endpoints[0]->most, 1);
	atomic_store(&s.endpoints[1]->most, 3);
	scene_start(&s);
	for (i = 0; i < 6; i++)
		client_come(&c[i], &s, 0);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 1);
	assert_int_equal(atomic_load(&s.endpoints[1]->open), 3);
	assert_int_equal(c[4].state, CLIENT_WAITS);
	/* The place that comes free is the endpoint's. */
	client_return_as(&c[0], MARK_BROKEN);
	assert_int_equal(c[4].state, CLIENT_HOLDS);
	assert_int_equal(c[5].state, CLIENT_WAITS);
	client_return(&c[1]);
	assert_int_equal(c[5].state, CLIENT_HOLDS);
	for (i = 2; i < 6; i++)
		client_return(&c[i]);
	scene_end(&s);
}

static void
endpoint_slots_are_counted(void **state)
{
	struct endpoint *e;

	(void)state;
	begin(1, CONF_ROUND_ROBIN);
	e = s.endpoints[0];
	atomic_store(&e->most, 2);
	assert_true(endpoint_slot_take(e));
	assert_true(endpoint_slot_take(e));
	assert_false(endpoint_slot_take(e));
	endpoint_slot_free(e);
	assert_true(endpoint_slot_take(e));
	endpoint_slot_free(e);
	endpoint_slot_free(e);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_takes_turns),
		cmocka_unit_test(round_robin_is_smooth_and_weighted),
		cmocka_unit_test(least_conn_alternates_also_at_light_load),
		cmocka_unit_test(least_conn_fills_where_there_is_least),
		cmocka_unit_test(least_conn_counts_for_each_weight),
		cmocka_unit_test(least_conn_counts_what_is_opening),
		cmocka_unit_test(avoided_endpoint_is_passed_over),
		cmocka_unit_test(endpoint_max_is_respected),
		cmocka_unit_test(endpoint_slots_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
