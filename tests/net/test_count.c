/*
 * net/count: counters and histograms.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct hist h;
static struct hist_sum sum;

static void
begin(void)
{
	memset(&h, 0, sizeof(h));
	memset(&sum, 0, sizeof(sum));
}

static void
add_us(int64_t us)
{
	hist_add(&h, us * 1000);
}

static void
counters_go_up_and_down(void **state)
{
	counter c = 5;

	(void)state;
	count_add(&c, 10);
	assert_int_equal(count_read(&c), 15);
	count_sub(&c, 6);
	assert_int_equal(count_read(&c), 9);
}

static void
published_buckets_hold_up_to_their_bound(void **state)
{
	unsigned i;

	(void)state;
	begin();
	for (i = 0; i < HIST_PUBLISHED; i++) {
		add_us(hist_bounds_us[i]);
		add_us(hist_bounds_us[i] + 1);
	}
	/* "le" is less or equal: each bound in its own, the next above it. */
	assert_int_equal(count_read(&h.published[0]), 1);
	for (i = 1; i < HIST_PUBLISHED; i++)
		assert_int_equal(count_read(&h.published[i]), 2);
	assert_int_equal(count_read(&h.published[HIST_PUBLISHED]), 1);
	assert_int_equal(count_read(&h.count), 2 * HIST_PUBLISHED);
}

static void
bounds_go_up(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(hist_bounds_us[0], 100);
	assert_int_equal(hist_bounds_us[HIST_PUBLISHED - 1], 60000000);
	for (i = 1; i < HIST_PUBLISHED; i++)
		assert_true(hist_bounds_us[i] > hist_bounds_us[i - 1]);
}

static void
quantile_of_one_value_is_near_it(void **state)
{
	static const int64_t values[] = { 0, 1, 7, 8, 9, 15, 16, 17, 100, 999,
		1000, 4096, 123456, 1000000, 59999999, 200000000 };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint64_t us = (uint64_t)values[i], got;

		begin();
		add_us(values[i]);
		hist_sum_add(&sum, &h);
		got = hist_quantile(&sum, 0.5);
		/* Fine buckets are 12.5 % wide. */
		assert_in_range(got, us - us / 8, us + us / 8 + 1);
		assert_int_equal(sum.max_us, us);
		assert_int_equal(sum.sum_us, us);
		assert_int_equal(sum.count, 1);
	}
}

static void
quantiles_of_an_even_spread(void **state)
{
	int64_t us;

	(void)state;
	begin();
	for (us = 1; us <= 10000; us++)
		add_us(us);
	hist_sum_add(&sum, &h);
	assert_in_range(hist_quantile(&sum, 0.5), 4900, 5100);
	assert_in_range(hist_quantile(&sum, 0.9), 8900, 9100);
	assert_in_range(hist_quantile(&sum, 0.99), 9800, 10240);
	assert_in_range(hist_quantile(&sum, 1.0), 9900, 10240);
	assert_in_range(hist_quantile(&sum, 0.0), 0, 1);
}

static void
quantiles_never_fall_as_the_share_rises(void **state)
{
	uint64_t seed = 1, last = 0;
	unsigned i;

	(void)state;
	begin();
	for (i = 0; i < 5000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		add_us((int64_t)((seed >> 33) >> (seed >> 60)));
	}
	hist_sum_add(&sum, &h);
	for (i = 0; i <= 1000; i++) {
		uint64_t now = hist_quantile(&sum, i / 1000.);

		assert_true(now >= last);
		last = now;
	}
}

static void
nothing_has_the_quantile_nought(void **state)
{
	(void)state;
	begin();
	hist_sum_add(&sum, &h);
	assert_int_equal(hist_quantile(&sum, 0.99), 0);
}

static void
times_beyond_all_buckets_are_counted(void **state)
{
	(void)state;
	begin();
	hist_add(&h, INT64_MAX);
	hist_add(&h, -5);
	hist_sum_add(&sum, &h);
	assert_int_equal(sum.count, 2);
	assert_int_equal(sum.max_us, INT64_MAX / 1000);
	assert_int_equal(sum.fine[HIST_FINE - 1], 1);
	assert_int_equal(sum.fine[0], 1);
	assert_true(hist_quantile(&sum, 1.0) >= 1u << 27);
}

static void
windows_are_differences(void **state)
{
	static struct hist_sum earlier;
	unsigned i;

	(void)state;
	begin();
	memset(&earlier, 0, sizeof(earlier));
	for (i = 0; i < 100; i++)
		add_us(1000000);
	hist_sum_add(&earlier, &h);
	for (i = 0; i < 100; i++)
		add_us(50);
	hist_sum_add(&sum, &h);
	hist_sum_less(&sum, &earlier);
	assert_int_equal(sum.count, 100);
	assert_int_equal(sum.sum_us, 5000);
	assert_in_range(hist_quantile(&sum, 0.99), 44, 57);
	assert_int_equal(sum.published[0], 100);
}

static void
workers_add_up(void **state)
{
	static struct hist two;
	unsigned i;

	(void)state;
	begin();
	memset(&two, 0, sizeof(two));
	for (i = 0; i < 10; i++) {
		add_us(10);
		hist_add(&two, 20 * 1000 * 1000);
	}
	hist_sum_add(&sum, &h);
	hist_sum_add(&sum, &two);
	assert_int_equal(sum.count, 20);
	assert_int_equal(sum.max_us, 20000);
	assert_int_equal(sum.sum_us, 200100);
	assert_in_range(hist_quantile(&sum, 0.25), 9, 11);
	assert_in_range(hist_quantile(&sum, 0.75), 17500, 22500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_go_up_and_down),
		cmocka_unit_test(published_buckets_hold_up_to_their_bound),
		cmocka_unit_test(bounds_go_up),
		cmocka_unit_test(quantile_of_one_value_is_near_it),
		cmocka_unit_test(quantiles_of_an_even_spread),
		cmocka_unit_test(quantiles_never_fall_as_the_share_rises),
		cmocka_unit_test(nothing_has_the_quantile_nought),
		cmocka_unit_test(times_beyond_all_buckets_are_counted),
		cmocka_unit_test(windows_are_differences),
		cmocka_unit_test(workers_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
