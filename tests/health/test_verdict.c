/*
 * health/verdict: every run of results there is up to a length, against a model
 * that looks back over all of them; and what ejections add up to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "health/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S 1000000000LL

enum { RESULTS = 12 };

/* ------------------------------------------------------------------- checks */

static bool
all_equal(const bool *results, unsigned n, bool good)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (results[i] != good)
			return false;
	return true;
}

/* What is known after n results, told from all of them and nothing kept: up as
   the first was, until `rise` or `fall` in a row said otherwise. */
static bool
model(const bool *results, unsigned n, unsigned rise, unsigned fall)
{
	bool up = results[0];
	unsigned i;

	for (i = 1; i < n; i++) {
		unsigned need = up ? fall : rise;

		/* The first result itself is never against. */
		if (i >= need && all_equal(&results[i + 1 - need], need, !up))
			up = !up;
	}
	return up;
}

static void
play(unsigned bits, unsigned rise, unsigned fall)
{
	struct verdict v = { 0 };
	bool results[RESULTS], was = false;
	unsigned i;

	for (i = 0; i < RESULTS; i++) {
		bool decided, up;

		results[i] = (bits >> i & 1) != 0;
		decided = verdict_take(&v, results[i], rise, fall);
		up = model(results, i + 1, rise, fall);
		assert_true(v.known);
		assert_int_equal(v.up, up);
		assert_int_equal(decided, i == 0 || up != was);
		was = up;
	}
}

static void
every_run_of_twelve_results_is_judged_like_the_model(void **state)
{
	unsigned bits, rise, fall;

	(void)state;
	for (rise = 1; rise <= 4; rise++)
		for (fall = 1; fall <= 4; fall++)
			for (bits = 0; bits < 1u << RESULTS; bits++)
				play(bits, rise, fall);
}

static void
nothing_is_known_before_the_first_result(void **state)
{
	struct verdict v = { 0 };

	(void)state;
	assert_false(v.known);
	assert_true(verdict_take(&v, false, 2, 3));
	assert_true(v.known);
	assert_false(v.up);
}

static void
a_result_as_expected_ends_the_row_against_it(void **state)
{
	struct verdict v = { 0 };
	int i;

	(void)state;
	assert_true(verdict_take(&v, true, 2, 3));
	for (i = 0; i < 100; i++) {
		assert_false(verdict_take(&v, false, 2, 3));
		assert_false(verdict_take(&v, false, 2, 3));
		assert_false(verdict_take(&v, true, 2, 3));
	}
	assert_true(v.up);
	assert_false(verdict_take(&v, false, 2, 3));
	assert_false(verdict_take(&v, false, 2, 3));
	assert_true(verdict_take(&v, false, 2, 3));
	assert_false(v.up);
	assert_false(verdict_take(&v, true, 2, 3));
	assert_false(verdict_take(&v, false, 2, 3));
	assert_false(verdict_take(&v, true, 2, 3));
	assert_true(verdict_take(&v, true, 2, 3));
}

/* ---------------------------------------------------------------- ejections */

static void
each_ejection_in_a_row_is_longer_up_to_thirty_times(void **state)
{
	struct ejection x = { 0 };
	int64_t now = 5 * S;
	int i;

	(void)state;
	for (i = 1; i <= 40; i++) {
		int64_t ms = ejection_begin(&x, 1000, now);

		assert_int_equal(ms, 1000 * (i < 30 ? i : 30));
		assert_true(x.out);
		now += ms * (S / 1000);
		ejection_end(&x, now);
		assert_false(x.out);
		now += 1;
	}
}

static void
a_row_is_forgotten_after_as_long_in_as_out(void **state)
{
	struct ejection x = { 0 };
	int64_t now = 0;

	(void)state;
	assert_int_equal(ejection_begin(&x, 1000, now), 1000);
	ejection_end(&x, now += S);
	assert_int_equal(ejection_begin(&x, 1000, now += S - 1), 2000);
	ejection_end(&x, now += 2 * S);
	assert_int_equal(ejection_begin(&x, 1000, now + 2 * S - 1000000),
	    3000);
	now += 2 * S - 1000000 + 3 * S;
	ejection_end(&x, now);
	assert_int_equal(ejection_begin(&x, 1000, now + 3 * S), 1000);
}

static void
the_first_ejection_has_no_row_behind_it_at_any_time(void **state)
{
	int64_t times[] = { 0, 1, S, INT64_MAX / 2 };
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct ejection x = { 0 };

		assert_int_equal(ejection_begin(&x, 10000, times[i]), 10000);
	}
}

static void
a_time_beyond_all_times_does_not_overflow(void **state)
{
	struct ejection x = { 0 };
	int64_t ms;
	int i;

	(void)state;
	for (i = 0; i < 40; i++) {
		ms = ejection_begin(&x, INT64_MAX, 0);
		assert_true(ms > 0);
		assert_true(ms <= INT64_MAX / 1000000);
		ejection_end(&x, 0);
	}
}

static void
at_most_the_share_is_ejected_but_one_always_may(void **state)
{
	size_t n, ejected;

	(void)state;
	for (n = 2; n <= 200; n++)
		for (ejected = 0; ejected + 2 <= n; ejected++) {
			size_t usable = n - ejected;

			/* Whole percents, so that the model needs no
			   fractions. */
			for (unsigned p = 0; p <= 100; p++) {
				size_t most = n * p / 100;

				if (most == 0)
					most = 1;
				assert_int_equal(ejection_allowed(n, ejected,
				    usable, p / 100.0), ejected < most);
			}
		}
}

static void
the_last_usable_endpoint_is_never_ejected(void **state)
{
	size_t n;

	(void)state;
	for (n = 1; n < 100; n++) {
		assert_false(ejection_allowed(n, 0, 1, 1.0));
		assert_false(ejection_allowed(n, n - 1, 1, 1.0));
		assert_false(ejection_allowed(n, 0, 0, 1.0));
	}
	assert_true(ejection_allowed(2, 0, 2, 0.0));
	assert_true(ejection_allowed(3, 1, 2, 1.0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_run_of_twelve_results_is_judged_like_the_model),
		cmocka_unit_test(nothing_is_known_before_the_first_result),
		cmocka_unit_test(a_result_as_expected_ends_the_row_against_it),
		cmocka_unit_test(
		    each_ejection_in_a_row_is_longer_up_to_thirty_times),
		cmocka_unit_test(a_row_is_forgotten_after_as_long_in_as_out),
		cmocka_unit_test(
		    the_first_ejection_has_no_row_behind_it_at_any_time),
		cmocka_unit_test(a_time_beyond_all_times_does_not_overflow),
		cmocka_unit_test(
		    at_most_the_share_is_ejected_but_one_always_may),
		cmocka_unit_test(the_last_usable_endpoint_is_never_ejected)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
