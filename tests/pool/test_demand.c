/*
 * What asks find, and how long leases are held: counted once for each, in
 * buckets that have no gap; not in shared mode.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/demand.h"
#include "tests/support/scene.h"

static void
buckets_have_no_gap(void **state)
{
	unsigned n, b;

	(void)state;
	for (n = 0; n < 40000; n++) {
		b = demand_bucket(n);
		assert_true(b < DEMAND_BUCKETS);
		assert_true(demand_first(b) <= n);
		if (b + 1 < DEMAND_BUCKETS)
			assert_true(n < demand_first(b + 1));
		assert_int_equal(demand_bucket(demand_first(b)), b);
	}
	assert_int_equal(demand_bucket(UINT32_MAX), DEMAND_BUCKETS - 1);
}

static uint64_t
found(struct scene *s, unsigned n)
{
	return count_read(&scene_pool(s, 0)->demand.found[demand_bucket(n)]);
}

static void
each_ask_counts_what_it_finds(void **state)
{
	struct client c[4];
	struct demand_sum sum = { 0 }, before;
	struct scene s;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 2;
	scene_start(&s);
	for (i = 0; i < 4; i++)
		client_come(&c[i], &s, 0);
	/* Two hold, two wait. */
	for (i = 0; i < 4; i++)
		assert_int_equal(found(&s, i), 1);
	demand_sum_add(&sum, &scene_pool(&s, 0)->demand);
	assert_int_equal(sum.asks, 4);
	assert_int_equal(sum.held.count, 0);
	before = sum;
	scene_pass(&s, 100);
	clients_return(c, 2);
	scene_run(&s);
	clients_return(&c[2], 2);
	client_come(&c[0], &s, 0);
	assert_int_equal(found(&s, 0), 2);
	client_return(&c[0]);
	sum = (struct demand_sum){ 0 };
	demand_sum_add(&sum, &scene_pool(&s, 0)->demand);
	demand_sum_less(&sum, &before);
	assert_int_equal(sum.asks, 1);
	assert_int_equal(sum.held.count, 5);
	assert_true(sum.held.sum_us >= 200000 && sum.held.sum_us < 400000);
	scene_end(&s);
}

static void
of_several_workers_some_asks_look_at_all(void **state)
{
	struct client c[100];
	struct demand_sum sum = { 0 };
	struct scene s;
	uint64_t looked = 0, most = 0;
	unsigned i;

	(void)state;
	scene_begin(&s, 2, 1);
	scene_start(&s);
	for (i = 0; i < 100; i++)
		client_come(&c[i], &s, i % 2);
	for (i = 0; i < 2; i++)
		demand_sum_add(&sum, &scene_pool(&s, i)->demand);
	assert_int_equal(sum.asks, 100);
	for (i = 0; i < DEMAND_BUCKETS; i++) {
		looked += sum.found[i];
		if (sum.found[i] > 0)
			most = demand_first(i);
	}
	assert_true(looked > 2 && looked < 50);
	/* More than one worker has. */
	assert_true(most > 50);
	clients_return(c, 100);
	scene_end(&s);
}

static void
shared_connections_are_not_counted(void **state)
{
	struct client c;
	struct scene s;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	scene_start(&s);
	client_init(&c, &s, 0);
	client_share(&c, &s, "k");
	scene_run(&s);
	client_return(&c);
	assert_int_equal(count_read(&scene_pool(&s, 0)->demand.asks), 0);
	assert_int_equal(count_read(&scene_pool(&s, 0)->demand.held.count), 0);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_have_no_gap),
		cmocka_unit_test(each_ask_counts_what_it_finds),
		cmocka_unit_test(of_several_workers_some_asks_look_at_all),
		cmocka_unit_test(shared_connections_are_not_counted)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
