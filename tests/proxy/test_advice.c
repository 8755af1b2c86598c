/*
 * Advice against a simulation: requests come and hold a connection for a while,
 * once with as many connections as they like, which is what is measured, and
 * once with a candidate's number of them, in the order in which they come.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/err.h"
#include "proxy/advice.h"

enum { REQUESTS = 40000 };

/* --------------------------------------------------------------- the traffic */

struct request {
	double at_s, held_s;
};

static uint64_t dice;

static double
uniform(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return ((double)(dice >> 11) + 0.5) / 9007199254740992.0;
}

static double
exponential(double mean)
{
	return -mean * log(uniform());
}

struct traffic {
	double per_s, held_s;
	bool steady;                    /* held for exactly that long */
	unsigned burst;                 /* so many come at one moment */
};

static void
make(struct request *r, const struct traffic *t)
{
	double at = 0;
	unsigned i;

	dice = 88172645463325252u;
	for (i = 0; i < REQUESTS; i++) {
		if (i % t->burst == 0)
			at += exponential(t->burst / t->per_s);
		r[i].at_s = at;
		r[i].held_s = t->steady ? t->held_s : exponential(t->held_s);
	}
}

/* ------------------------------------------------------------ the simulation */

/* The heap's smallest is first: when connections are free, or leases end. */
static void
sift(double *v, size_t n, size_t i)
{
	for (;;) {
		size_t least = i, k;

		for (k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++)
			if (v[k] < v[least])
				least = k;
		if (least == i)
			return;
		double was = v[i];
		v[i] = v[least];
		v[least] = was;
		i = least;
	}
}

static void
rise(double *v, size_t i)
{
	while (i > 0 && v[i] < v[(i - 1) / 2]) {
		double was = v[i];

		v[i] = v[(i - 1) / 2];
		v[(i - 1) / 2] = was;
		i = (i - 1) / 2;
	}
}

/* What pools would have counted. */
static double
measure(struct demand_sum *d, const struct request *r)
{
	static double ends[REQUESTS];
	struct hist *held = calloc(1, sizeof(*held));
	size_t n = 0;
	unsigned i;

	assert_non_null(held);
	memset(d, 0, sizeof(*d));
	for (i = 0; i < REQUESTS; i++) {
		while (n > 0 && ends[0] <= r[i].at_s) {
			ends[0] = ends[--n];
			sift(ends, n, 0);
		}
		d->found[demand_bucket((unsigned)n)]++;
		d->asks++;
		ends[n] = r[i].at_s + r[i].held_s;
		rise(ends, n++);
		hist_add(held, (int64_t)(r[i].held_s * 1e9));
	}
	hist_sum_add(&d->held, held);
	free(held);
	return r[REQUESTS - 1].at_s;
}

static struct advice_row
simulate(const struct request *r, unsigned max)
{
	static double free_at[ADVICE_MAX_MOST];
	double waited = 0;
	unsigned queued = 0, i;

	memset(free_at, 0, max * sizeof(free_at[0]));
	for (i = 0; i < REQUESTS; i++) {
		double begins = r[i].at_s;

		if (free_at[0] > begins) {
			queued++;
			waited += free_at[0] - begins;
			begins = free_at[0];
		}
		free_at[0] = begins + r[i].held_s;
		sift(free_at, max, 0);
	}
	return (struct advice_row){ .max = max,
	    .queued_share = (double)queued / REQUESTS,
	    .queue_us = queued > 0 ? (uint64_t)(waited / queued * 1e6) : 0 };
}

/* -------------------------------------------------------------------- claims */

static const struct traffic traffics[] = {
	{ 120, 0.0021, false, 1 },
	{ 1000, 0.008, false, 1 },
	{ 1000, 0.008, true, 1 },
	{ 5000, 0.02, false, 1 },
	{ 40, 0.5, false, 1 },
	{ 10, 0.005, true, 20 },
	{ 200, 0.005, false, 20 },
	{ 100, 0.1, false, 5 }
};

static struct request requests[REQUESTS];

/* What is advised is enough, and not much more than that: where the advice has
   one in a hundred wait, hardly more do, and with three quarters of it more. */
static void
advised_max_is_enough_and_not_much_more(void **state)
{
	struct demand_sum d;
	struct advice a;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(traffics); i++) {
		double seconds;
		unsigned less;

		make(requests, &traffics[i]);
		seconds = measure(&d, requests);
		advice_make(&a, &d, seconds, 64);
		assert_true(a.known);
		assert_true(a.max > 0);
		assert_true(simulate(requests, a.max).queued_share <= 0.015);
		less = a.max - (a.max + 3) / 4;
		if (less > 0)
			assert_true(simulate(requests, less).queued_share >
			    0.01);
	}
}

/* Where few wait: shares within a quarter of the truth, or two in a thousand;
   times within a half, and, since requests that came together and last equally
   long end together, one holding time. */
static void
what_is_told_of_a_max_is_near_the_truth(void **state)
{
	struct demand_sum d;
	size_t i;
	unsigned max;

	(void)state;
	for (i = 0; i < NELEMS(traffics); i++) {
		double held_us = traffics[i].held_s * 1e6, seconds;

		make(requests, &traffics[i]);
		seconds = measure(&d, requests);
		for (max = 1; max <= 256; max += max / 8 + 1) {
			struct advice_row told = advice_of(&d, seconds, max);
			struct advice_row is = simulate(requests, max);

			if (is.queued_share > 0.1)
				continue;
			assert_true(told.queued_share >=
			    is.queued_share / 1.25 - 0.002);
			assert_true(told.queued_share <=
			    is.queued_share * 1.25 + 0.002);
			if (is.queued_share < 0.003)
				continue;
			assert_true((double)told.queue_us + held_us >=
			    (double)is.queue_us / 1.5);
			assert_true((double)told.queue_us <=
			    (double)is.queue_us * 1.5);
		}
	}
}

static void
what_cannot_keep_up_says_so(void **state)
{
	struct demand_sum d;
	struct advice_row row;
	struct advice a;
	double seconds;

	(void)state;
	make(requests, &traffics[1]);
	seconds = measure(&d, requests);
	row = advice_of(&d, seconds, 7);
	assert_true(row.queued_share >= 1);
	assert_true(row.queue_us == UINT64_MAX);
	advice_make(&a, &d, seconds, 7);
	assert_int_equal(a.rows[0].max, 7);
	/* So much that no max would do. */
	d.found[DEMAND_BUCKETS - 1] = d.asks;
	advice_make(&a, &d, seconds / 10000, 7);
	assert_int_equal(a.max, 0);
}

/* Ten clients, each of which waits for its answer before it asks again. */
static void
nobody_waits_where_there_is_a_place_for_each(void **state)
{
	struct demand_sum d = { .asks = 2000 };
	struct advice_row row;
	struct advice a;

	(void)state;
	d.found[9] = d.asks;
	d.held.count = d.asks;
	d.held.sum_us = d.asks * 50000;
	row = advice_of(&d, 10, 10);
	assert_true(row.queued_share == 0);
	row = advice_of(&d, 10, 9);
	assert_true(row.queued_share > 0.9);
	assert_true(row.queue_us <= 50000 / 9 + 1);
	advice_make(&a, &d, 10, 64);
	assert_int_equal(a.max, 10);
	advice_make(&a, &d, 10, 5);
	assert_int_equal(a.max, 10);
	/* First max, then what of it is kept open. */
	assert_int_equal(a.min_idle, 0);
}

/* Two hundred, who are in a bucket of 192 to 207. */
static void
nothing_is_advised_beyond_what_there_was(void **state)
{
	struct demand_sum d = { .asks = 2000, .found_most = 199 };
	struct advice a;

	(void)state;
	d.found[demand_bucket(199)] = d.asks;
	d.held.count = d.asks;
	d.held.sum_us = d.asks * 50000;
	advice_make(&a, &d, 10, 400);
	assert_int_equal(a.max, 200);
	assert_int_equal(a.busy_max, 200);
	assert_true(a.min_idle > 0 && a.min_idle <= 200);
	advice_make(&a, &d, 10, 32);
	assert_int_equal(a.max, 200);
	assert_int_equal(a.min_idle, 0);
}

static void
little_seen_is_no_advice(void **state)
{
	struct demand_sum d = { .asks = ADVICE_ASKS_LEAST - 1 };
	struct advice a;

	(void)state;
	d.found[0] = d.asks;
	d.held.count = d.asks;
	advice_make(&a, &d, 10, 64);
	assert_false(a.known);
	d.asks = 10000;
	d.held.count = 0;
	advice_make(&a, &d, 10, 64);
	assert_false(a.known);
}

static void
rows_are_in_order_and_have_what_there_is(void **state)
{
	struct demand_sum d;
	struct advice a;
	double seconds;
	unsigned i;
	bool now = false, advised = false;

	(void)state;
	make(requests, &traffics[1]);
	seconds = measure(&d, requests);
	advice_make(&a, &d, seconds, 64);
	for (i = 0; i < a.n_rows; i++) {
		now = now || a.rows[i].max == 64;
		advised = advised || a.rows[i].max == a.max;
		if (i == 0)
			continue;
		assert_true(a.rows[i].max > a.rows[i - 1].max);
		assert_true(a.rows[i].queued_share <=
		    a.rows[i - 1].queued_share);
	}
	assert_true(now && advised);
	assert_true(a.min_idle >= 1 && a.min_idle <= a.max);
	assert_true(fabs(a.arrivals_per_s - 1000) < 50);
	assert_true(fabs(a.busy_mean - 8) < 0.5);
	assert_true(a.busy_max > 12);
	assert_true(a.held_mean_us > 7000 && a.held_mean_us < 9000);
	assert_true(a.held_p99_us > 30000 && a.held_p99_us < 45000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(advised_max_is_enough_and_not_much_more),
		cmocka_unit_test(what_is_told_of_a_max_is_near_the_truth),
		cmocka_unit_test(what_cannot_keep_up_says_so),
		cmocka_unit_test(
		    nobody_waits_where_there_is_a_place_for_each),
		cmocka_unit_test(nothing_is_advised_beyond_what_there_was),
		cmocka_unit_test(little_seen_is_no_advice),
		cmocka_unit_test(rows_are_in_order_and_have_what_there_is)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
