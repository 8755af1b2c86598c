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

/* -------------------------------------------------------------- slow start */

static unsigned
visits_of_first(unsigned n)
{
	unsigned first = 0, i;
	struct ask a = { .avoid = NULL };

	for (i = 0; i < n; i++)
		first += balance_pick(scene_pool(&s, 0), &a)->endpoint ==
		    s.endpoints[0];
	return first;
}

static void
endpoint_that_came_up_gets_its_share_slowly(void **state)
{
	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.slow_start_ms = 10000;
	scene_start(&s);
	/* From the beginning: no slow start. */
	assert_int_equal(visits_of_first(200), 100);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, true, s.turns.now_ns);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, false, s.turns.now_ns);
	/* 10 to 100, 55 to 100, 100 to 100 */
	assert_in_range(visits_of_first(1100), 99, 101);
	scene_pass(&s, 5000);
	assert_in_range(visits_of_first(1550), 549, 551);
	scene_pass(&s, 5000);
	assert_in_range(visits_of_first(200), 99, 101);
	/* Both came up together: equal from the beginning. */
	atomic_store(&s.endpoints[0]->up_since_ns, s.turns.now_ns);
	atomic_store(&s.endpoints[1]->up_since_ns, s.turns.now_ns);
	assert_in_range(visits_of_first(200), 99, 101);
	/* Off. */
	atomic_store(&s.endpoints[1]->up_since_ns, 0);
	s.conf.slow_start_ms = CONF_OFF;
	assert_in_range(visits_of_first(200), 99, 101);
	scene_end(&s);
}

static void
slow_start_holds_back_also_the_least_loaded(void **state)
{
	struct client c[11];
	unsigned i, n = 0;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.balance = CONF_LEAST_CONN;
	s.conf.slow_start_ms = 10000;
	scene_start(&s);
	atomic_store(&s.endpoints[0]->up_since_ns, s.turns.now_ns);
	for (i = 0; i < 11; i++) {
		client_come(&c[i], &s, 0);
		n += end_of(&c[i]) == 0;
	}
	assert_int_equal(n, 1);
	for (i = 0; i < 11; i++)
		client_return(&c[i]);
	scene_end(&s);
}

/* -------------------------------------------------------------- random two */

enum { DRAWS = 30000 };

/* How often each is picked, with the dice as they always fall. */
static void
draw(unsigned n[SCENE_ENDS])
{
	struct ask a = { .avoid = NULL };
	struct pool *p = scene_pool(&s, 0);
	unsigned i, e;

	p->dice = 42;
	memset(n, 0, SCENE_ENDS * sizeof(n[0]));
	for (i = 0; i < DRAWS; i++) {
		const struct site *site = balance_pick(p, &a);

		for (e = 0; s.endpoints[e] != site->endpoint; e++)
			;
		n[e]++;
	}
}

static void
random_two_spreads_evenly(void **state)
{
	unsigned n[SCENE_ENDS], i;

	(void)state;
	begin(3, CONF_RANDOM_TWO);
	draw(n);
	for (i = 0; i < 3; i++)
		assert_in_range(n[i], DRAWS / 3 - 300, DRAWS / 3 + 300);
	scene_end(&s);
}

/*
 * Loads 0 < 1 < 2 < 3 of four equal ones: of two that are drawn the less loaded
 * wins, so the shares are the chances to be the least of a pair: 3/6, 2/6, 1/6
 * and 0.
 */
static void
random_two_takes_the_less_loaded_of_two(void **state)
{
	unsigned n[SCENE_ENDS], i;

	(void)state;
	begin(4, CONF_RANDOM_TWO);
	for (i = 0; i < 4; i++)
		atomic_store(&s.endpoints[i]->leased, i);
	draw(n);
	for (i = 0; i < 4; i++) {
		assert_in_range(n[i] + 300, (3 - i) * DRAWS / 6,
		    (3 - i) * DRAWS / 6 + 600);
		atomic_store(&s.endpoints[i]->leased, 0);
	}
	assert_int_equal(n[3], 0);
	scene_end(&s);
}

/*
 * Weights 1, 1, 2 and loads as the weights say, so that all are equal in load
 * and the first one drawn has it: shares of a quarter, a quarter, a half.
 */
static void
random_two_draws_by_weight(void **state)
{
	unsigned n[SCENE_ENDS], i;

	(void)state;
	begin(3, CONF_RANDOM_TWO);
	atomic_store(&s.endpoints[2]->weight, 2);
	for (i = 0; i < 3; i++)
		atomic_store(&s.endpoints[i]->leased, i == 2 ? 3 : 1);
	draw(n);
	for (i = 0; i < 3; i++) {
		assert_in_range(n[i], DRAWS / 4 * (1 + i / 2) - 300,
		    DRAWS / 4 * (1 + i / 2) + 300);
		atomic_store(&s.endpoints[i]->leased, 0);
	}
	scene_end(&s);
}

static void
random_two_of_one_is_that_one(void **state)
{
	unsigned n[SCENE_ENDS];

	(void)state;
	begin(2, CONF_RANDOM_TWO);
	atomic_store(&s.endpoints[0]->bars, BAR_CHECK);
	draw(n);
	assert_int_equal(n[1], DRAWS);
	atomic_store(&s.endpoints[1]->bars, BAR_CHECK);
	assert_null(balance_pick(scene_pool(&s, 0), NULL));
	scene_end(&s);
}

/* Two workers, or two sidecars, must not run after the same endpoint. */
static void
pools_have_dice_of_their_own(void **state)
{
	(void)state;
	scene_begin(&s, 2, 1);
	scene_start(&s);
	assert_int_not_equal(pool_roll(scene_pool(&s, 0)),
	    pool_roll(scene_pool(&s, 1)));
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
		cmocka_unit_test(endpoint_that_came_up_gets_its_share_slowly),
		cmocka_unit_test(slow_start_holds_back_also_the_least_loaded),
		cmocka_unit_test(random_two_spreads_evenly),
		cmocka_unit_test(random_two_takes_the_less_loaded_of_two),
		cmocka_unit_test(random_two_draws_by_weight),
		cmocka_unit_test(random_two_of_one_is_that_one),
		cmocka_unit_test(pools_have_dice_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
