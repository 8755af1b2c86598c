/*
 * The last minutes: points in their order, a ring that forgets the oldest, names
 * that come and go.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/admin/trend.h"
#include "tests/proxy/admin/sample.h"

static struct sample sample;

static int
setup(void **state)
{
	sample_init(&sample);
	*state = trend_new();
	return *state != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	trend_free(*state);
	return 0;
}

/* A number of the first upstream, oldest first; -1 = null. */
static long long
point(const json_t *j, const char *key, size_t i)
{
	const json_t *row = json_array_get(json_object_get(j, "upstreams"), 0);
	const json_t *p = json_array_get(json_object_get(row, key), i);

	assert_non_null(p);
	return json_is_null(p) ? -1 : (long long)json_integer_value(p);
}

static size_t
points(const json_t *j)
{
	return json_array_size(json_object_get(j, "at"));
}

static void
there_are_no_points_at_first(void **state)
{
	json_t *j = trend_json(*state);

	assert_int_equal(points(j), 0);
	assert_int_equal(json_array_size(json_object_get(j, "upstreams")), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "step_s")),
	    HISTORY_STEP_S);
	json_decref(j);
}

static void
the_oldest_point_goes_when_all_places_are_taken(void **state)
{
	json_t *j;
	unsigned i;

	for (i = 0; i < TREND_POINTS + 7; i++) {
		sample.upstream.requests = 1000 + i;
		sample.upstream.queue.window.p99 = i;
		trend_record(*state, &sample.view, 50 + i);
	}
	j = trend_json(*state);
	assert_int_equal(points(j), TREND_POINTS);
	for (i = 0; i < TREND_POINTS; i++) {
		assert_int_equal(point(j, "requests_total", i), 1007 + i);
		assert_int_equal(point(j, "queue_p99_us", i), 7 + i);
		assert_int_equal(json_integer_value(json_array_get(
		    json_object_get(j, "at"), i)), 57 + i);
	}
	json_decref(j);
}

static void
a_name_that_comes_later_has_no_points_before(void **state)
{
	size_t n = sample.view.n_upstreams;
	json_t *j;

	sample.view.n_upstreams = 0;
	trend_record(*state, &sample.view, 1);
	sample.view.n_upstreams = n;
	trend_record(*state, &sample.view, 2);
	j = trend_json(*state);
	assert_int_equal(point(j, "open", 0), -1);
	assert_int_equal(point(j, "open", 1), sample.upstream.open);
	json_decref(j);
}

/* It comes back with counters of its own. */
static void
a_name_that_leaves_is_forgotten(void **state)
{
	size_t n = sample.view.n_upstreams;
	json_t *j;

	trend_record(*state, &sample.view, 1);
	sample.view.n_upstreams = 0;
	trend_record(*state, &sample.view, 2);
	j = trend_json(*state);
	assert_int_equal(json_array_size(json_object_get(j, "upstreams")), 0);
	assert_int_equal(json_array_size(json_object_get(j, "listeners")),
	    sample.view.n_listeners);
	json_decref(j);
	sample.view.n_upstreams = n;
	trend_record(*state, &sample.view, 3);
	j = trend_json(*state);
	assert_int_equal(point(j, "open", 0), -1);
	assert_int_equal(point(j, "open", 1), -1);
	assert_int_equal(point(j, "open", 2), sample.upstream.open);
	json_decref(j);
}

static void
failures_are_added_up(void **state)
{
	const json_t *row;
	json_t *j;

	memset(sample.listeners[0].failures, 0,
	    sizeof(sample.listeners[0].failures));
	sample.listeners[0].failures[FAIL_QUEUE_FULL] = 3;
	sample.listeners[0].failures[FAIL_NO_ENDPOINT] = 4;
	trend_record(*state, &sample.view, 1);
	j = trend_json(*state);
	row = json_array_get(json_object_get(j, "listeners"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "name")),
	    sample.listeners[0].name);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(row,
	    "failures_total"), 0)), 7);
	json_decref(j);
}

static long long
reason(const json_t *j, const char *rows, const char *group, const char *key,
    size_t i)
{
	const json_t *row = json_array_get(json_object_get(j, rows), 0);

	return (long long)json_integer_value(json_array_get(json_object_get(
	    json_object_get(json_object_get(row, "by_reason"), group), key),
	    i));
}

/* What never was is not there, and takes no memory. */
static void
a_reason_is_known_from_when_it_was_0(void **state)
{
	const char *failure = fail_rows[FAIL_QUEUE_TIMEOUT].name;
	json_t *j;

	memset(sample.listeners[0].failures, 0,
	    sizeof(sample.listeners[0].failures));
	memset(sample.listeners[0].limited, 0,
	    sizeof(sample.listeners[0].limited));
	memset(sample.upstream.limited, 0, sizeof(sample.upstream.limited));
	trend_record(*state, &sample.view, 1);
	sample.listeners[0].failures[FAIL_QUEUE_TIMEOUT] = 14;
	sample.upstream.limited[1] = 3;
	trend_record(*state, &sample.view, 6);
	j = trend_json(*state);
	assert_int_equal(reason(j, "listeners", "failures_total", failure, 0),
	    0);
	assert_int_equal(reason(j, "listeners", "failures_total", failure, 1),
	    14);
	assert_int_equal(reason(j, "upstreams", "limited_total",
	    upstream_limit_names[1], 1), 3);
	assert_null(json_object_get(json_object_get(json_array_get(
	    json_object_get(j, "listeners"), 0), "by_reason"),
	    "limited_total"));
	json_decref(j);
}

struct passing {
	struct trend *to;
	const char *name;               /* a member that is other than it should
					   be; NULL = none */
	int value;
};

static void
pass_on(void *arg, json_t *j, const void *raw, size_t raw_len)
{
	struct passing *p = arg;
	void *copy = malloc(raw_len + 1);

	assert_non_null(j);
	if (raw_len > 0)
		memcpy(copy, raw, raw_len);
	if (p->name != NULL && json_object_get(j, p->name) != NULL)
		(void)json_object_set_new(j, p->name, json_integer(p->value));
	trend_take(p->to, j, copy, raw_len);
	json_decref(j);
	free(copy);
}

static struct trend *
given_over(const struct trend *t, const char *name, int value)
{
	struct passing p = { trend_new(), name, value };

	assert_non_null(p.to);
	trend_tell(t, pass_on, &p);
	return p.to;
}

static void
another_weir_goes_on_with_it(void **state)
{
	size_t n = sample.view.n_upstreams;
	json_t *had, *has;
	unsigned i;

	for (i = 0; i < 2 * TREND_POINTS; i++) {
		struct trend *next = given_over(*state, NULL, 0);

		had = trend_json(*state);
		has = trend_json(next);
		assert_true(json_equal(had, has));
		json_decref(had);
		json_decref(has);
		trend_free(*state);
		*state = next;
		sample.view.n_upstreams = i < TREND_POINTS + 9 ? 0 : n;
		sample.listeners[0].requests = 1000 + i;
		sample.listeners[0].failures[i % N_FAILS] += i;
		trend_record(*state, &sample.view, 50 + i);
	}
	has = trend_json(*state);
	assert_int_equal(points(has), TREND_POINTS);
	assert_int_equal(point(has, "open", 8), -1);
	assert_int_equal(point(has, "open", 9), sample.upstream.open);
	json_decref(has);
}

static void
what_makes_no_sense_is_passed_over(void **state)
{
	static const struct {
		const char *name;
		int value;
		size_t points, rows;
	} cases[] = {
		{ "at", 0, 0, 0 }, { "step_s", 1, 0, 0 },
		{ "points", 4, 3, 0 }, { "points", -1, 3, 0 },
		{ "points", 2, 3, 0 }, { "name", 5, 3, 0 },
		{ "numbers", 5, 3, 0 }
	};
	size_t i;

	for (i = 0; i < 3; i++)
		trend_record(*state, &sample.view, 50 + (int64_t)i);
	for (i = 0; i < NELEMS(cases); i++) {
		struct trend *next = given_over(*state, cases[i].name,
		    cases[i].value);
		json_t *has = trend_json(next);

		assert_int_equal(points(has), cases[i].points);
		assert_int_equal(json_array_size(json_object_get(has,
		    "upstreams")), cases[i].rows);
		json_decref(has);
		trend_free(next);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_are_no_points_at_first,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_oldest_point_goes_when_all_places_are_taken, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_name_that_comes_later_has_no_points_before, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(a_name_that_leaves_is_forgotten,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(failures_are_added_up, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    a_reason_is_known_from_when_it_was_0, setup, teardown),
		cmocka_unit_test_setup_teardown(another_weir_goes_on_with_it,
		    setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_makes_no_sense_is_passed_over, setup, teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
