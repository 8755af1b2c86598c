/*
 * Percentiles are of the last minute, by name, whatever was counted before.
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

#include "proxy/history.h"

enum { MS = 1000000 };

/* A view of one listener and one upstream; the histograms are the test's. */
struct world {
	struct history *history;
	struct hist latency, queue;
	struct view_listener listener;
	struct view_upstream upstream;
	struct view view;
};

static int
setup(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.history = history_new();
	assert_non_null(w.history);
	w.listener.name = "web";
	w.upstream.name = "app";
	w.view.listeners = &w.listener;
	w.view.upstreams = &w.upstream;
	w.view.n_listeners = w.view.n_upstreams = 1;
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	history_free(w->history);
	return 0;
}

static void
look(struct world *w)
{
	memset(&w->listener.latency, 0, sizeof(w->listener.latency));
	memset(&w->upstream.queue, 0, sizeof(w->upstream.queue));
	hist_sum_add(&w->listener.latency.all, &w->latency);
	hist_sum_add(&w->upstream.queue.all, &w->queue);
	history_times(w->history, "latency", w->listener.name,
	    &w->listener.latency);
	history_times(w->history, "queue", w->upstream.name,
	    &w->upstream.queue);
}

static void
steps(struct world *w, unsigned n)
{
	for (; n > 0; n--) {
		look(w);
		history_record(w->history, &w->view);
	}
}

static void
add(struct hist *h, unsigned n, int64_t ns)
{
	for (; n > 0; n--)
		hist_add(h, ns);
}

static void
assert_near(uint64_t got, uint64_t wanted)
{
	/* Fine buckets are 12.5 % wide at most. */
	assert_in_range(got, wanted - wanted / 8, wanted + wanted / 8);
}

static void
without_any_history_all_counts(void **state)
{
	struct world *w = *state;

	add(&w->latency, 99, 1 * MS);
	add(&w->latency, 1, 50 * MS);
	look(w);
	assert_near(w->listener.latency.window.p50, 1000);
	assert_near(w->listener.latency.window.p90, 1000);
	assert_int_equal(w->listener.latency.window.max, 50000);
	memset(&w->listener.latency.window, 0, sizeof(struct view_times));
	history_times(NULL, "latency", "web", &w->listener.latency);
	assert_near(w->listener.latency.window.p50, 1000);
}

static void
nothing_at_all_is_0(void **state)
{
	struct world *w = *state;

	steps(w, HISTORY_STEPS * 2);
	look(w);
	assert_int_equal(w->listener.latency.window.p50, 0);
	assert_int_equal(w->listener.latency.window.max, 0);
}

static void
young_counts_from_the_start(void **state)
{
	struct world *w = *state;

	add(&w->latency, 10, 8 * MS);
	steps(w, HISTORY_STEPS - 1);
	look(w);
	assert_near(w->listener.latency.window.p50, 8000);
}

static void
a_minute_later_it_is_forgotten(void **state)
{
	struct world *w = *state;

	add(&w->latency, 1000, 80 * MS);
	steps(w, HISTORY_STEPS);
	look(w);
	assert_int_equal(w->listener.latency.window.max, 0);
	add(&w->latency, 10, 2 * MS);
	look(w);
	assert_near(w->listener.latency.window.p50, 2000);
	assert_near(w->listener.latency.window.p999, 2000);
	assert_near(w->listener.latency.window.max, 2000);
	/* What the counters have does not change. */
	assert_int_equal(w->listener.latency.all.count, 1010);
}

static void
the_window_moves_step_by_step(void **state)
{
	struct world *w = *state;
	unsigned i;

	/* In the step before the i-th snapshot: one of i ms. */
	for (i = 1; i <= 3 * HISTORY_STEPS; i++) {
		add(&w->latency, 1, (int64_t)i * MS);
		steps(w, 1);
	}
	look(w);
	/* The oldest snapshot kept is number 2n + 1: later ones count. */
	assert_int_equal(w->listener.latency.window.max,
	    3 * HISTORY_STEPS * 1000);
	assert_in_range(w->listener.latency.window.p50,
	    (2 * HISTORY_STEPS + 2) * 1000, (3 * HISTORY_STEPS - 2) * 1000);
}

static void
kinds_and_names_do_not_mix(void **state)
{
	struct world *w = *state;

	w->upstream.name = "web";
	add(&w->latency, 100, 5 * MS);
	steps(w, HISTORY_STEPS);
	add(&w->queue, 100, 3 * MS);
	look(w);
	assert_int_equal(w->listener.latency.window.p50, 0);
	assert_near(w->upstream.queue.window.p50, 3000);
}

static void
a_name_that_left_starts_anew(void **state)
{
	struct world *w = *state;

	add(&w->latency, 100, 5 * MS);
	steps(w, HISTORY_STEPS);
	w->view.n_listeners = 0;
	history_record(w->history, &w->view);
	w->view.n_listeners = 1;
	memset(&w->latency, 0, sizeof(w->latency));
	add(&w->latency, 1, 7 * MS);
	look(w);
	assert_near(w->listener.latency.window.p50, 7000);
}

static void
counters_that_went_back_start_anew(void **state)
{
	struct world *w = *state;

	add(&w->latency, 100, 5 * MS);
	steps(w, HISTORY_STEPS);
	memset(&w->latency, 0, sizeof(w->latency));
	add(&w->latency, 10, 7 * MS);
	look(w);
	assert_near(w->listener.latency.window.p50, 7000);
	steps(w, 1);
	look(w);
	assert_near(w->listener.latency.window.p50, 7000);
}

static void
order_of_percentiles_holds(void **state)
{
	struct world *w = *state;
	const struct view_times *t = &w->listener.latency.window;
	uint64_t x = 88172645463325252u;
	unsigned i;

	for (i = 0; i < 5000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		hist_add(&w->latency, (int64_t)(x % (1000 * (uint64_t)MS)));
		if (i % 100 == 0)
			steps(w, 1);
		look(w);
		assert_true(t->p50 <= t->p90 && t->p90 <= t->p99 &&
		    t->p99 <= t->p999 && t->p999 <= t->max);
		assert_true(t->max <= w->listener.latency.all.max_us);
	}
}

struct passing {
	struct history *to;
	json_t *steps;                  /* in its place, if not NULL */
	size_t cut;
};

static void
pass_on(void *arg, json_t *j, const void *raw, size_t raw_len)
{
	struct passing *p = arg;
	void *copy = malloc(raw_len + 1);

	assert_non_null(j);
	memcpy(copy, raw, raw_len);
	if (p->steps != NULL)
		(void)json_object_set(j, "steps", p->steps);
	history_take(p->to, j, copy, raw_len - (raw_len > 0 ? p->cut : 0));
	json_decref(j);
	free(copy);
}

static void
give_over(struct world *w, json_t *steps_said, size_t cut)
{
	struct passing p = { history_new(), steps_said, cut };

	history_tell(w->history, pass_on, &p);
	history_free(w->history);
	w->history = p.to;
	json_decref(steps_said);
}

static void
another_weir_goes_on_with_it(void **state)
{
	struct world *w = *state;
	unsigned i;

	for (i = 1; i <= HISTORY_STEPS + 5; i++) {
		add(&w->latency, 1, (int64_t)i * MS);
		steps(w, 1);
		give_over(w, NULL, 0);
	}
	add(&w->latency, 100, 90 * MS);
	look(w);
	assert_near(w->listener.latency.window.p50, 90000);
	steps(w, HISTORY_STEPS);
	look(w);
	assert_int_equal(w->listener.latency.window.max, 0);
	steps(w, 1);
	add(&w->latency, 1, 3 * MS);
	look(w);
	assert_near(w->listener.latency.window.max, 3000);
}

static void
of_what_makes_no_sense_nothing_is_known(void **state)
{
	struct world *w = *state;

	add(&w->latency, 10, 5 * MS);
	steps(w, HISTORY_STEPS);
	give_over(w, json_integer(HISTORY_STEPS + 1), 0);
	look(w);
	assert_near(w->listener.latency.window.p50, 5000);
	steps(w, HISTORY_STEPS);
	give_over(w, json_string("many"), 0);
	look(w);
	assert_near(w->listener.latency.window.p50, 5000);
	steps(w, HISTORY_STEPS);
	give_over(w, NULL, 1);
	look(w);
	assert_near(w->listener.latency.window.p50, 5000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_any_history_all_counts),
		TEST(nothing_at_all_is_0),
		TEST(young_counts_from_the_start),
		TEST(a_minute_later_it_is_forgotten),
		TEST(the_window_moves_step_by_step),
		TEST(kinds_and_names_do_not_mix),
		TEST(a_name_that_left_starts_anew),
		TEST(counters_that_went_back_start_anew),
		TEST(order_of_percentiles_holds),
		TEST(another_weir_goes_on_with_it),
		TEST(of_what_makes_no_sense_nothing_is_known)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
