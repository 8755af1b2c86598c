/*
 * net/deadline: what passes, when, in which order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/turns.h"

static struct turns t;
static char passed[64];
static unsigned n_passed;

struct alarm {
	struct deadline deadline;
	char name;
	int64_t passed_ns;
	int64_t again_ms;               /* arms itself anew */
	struct deadline *clears;
};

static void
rang(struct deadline *d)
{
	struct alarm *a = container_of(d, struct alarm, deadline);

	assert_false(deadline_armed(d));
	a->passed_ns = t.now_ns;
	if (n_passed < sizeof(passed) - 1)
		passed[n_passed] = a->name;
	n_passed++;
	passed[n_passed < sizeof(passed) ? n_passed : 0] = '\0';
	if (a->clears != NULL)
		deadline_clear(a->clears);
	if (a->again_ms > 0)
		deadline_set(&t.workers[0], d, a->again_ms);
}

static struct alarm
alarm_of(char name)
{
	return (struct alarm){ .name = name };
}

static void
set(struct alarm *a, int64_t in_ms)
{
	if (a->deadline.passed == NULL)
		deadline_init(&a->deadline, rang);
	deadline_set(&t.workers[0], &a->deadline, in_ms);
}

static void
begin(void)
{
	turns_begin(&t, 1);
	n_passed = 0;
	passed[0] = '\0';
}

static void
deadlines_pass_at_their_time_and_not_before(void **state)
{
	struct alarm a = alarm_of('a');
	int64_t start;

	(void)state;
	begin();
	start = t.now_ns;
	set(&a, 100);
	assert_true(deadline_armed(&a.deadline));
	turns_pass(&t, 99);
	assert_string_equal(passed, "");
	turns_pass(&t, 1);
	assert_string_equal(passed, "a");
	assert_true(a.passed_ns == start + 100 * NS_PER_MS);
	turns_pass(&t, 1000);
	assert_string_equal(passed, "a");
	turns_end(&t);
}

static void
deadlines_pass_in_the_order_of_their_times(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b'), c = alarm_of('c'),
	    d = alarm_of('d');

	(void)state;
	begin();
	set(&a, 300);
	set(&b, 100);
	set(&c, 200);
	turns_pass(&t, 50);
	set(&d, 100);
	turns_pass(&t, 500);
	assert_string_equal(passed, "bdca");
	turns_end(&t);
}

static void
equal_ones_pass_in_the_order_of_arming(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b'), c = alarm_of('c');

	(void)state;
	begin();
	set(&b, 100);
	set(&a, 100);
	set(&c, 100);
	/* Armed anew it is the last. */
	set(&b, 100);
	turns_pass(&t, 100);
	assert_string_equal(passed, "acb");
	turns_end(&t);
}

static void
armed_anew_it_passes_only_then(void **state)
{
	struct alarm a = alarm_of('a');

	(void)state;
	begin();
	set(&a, 100);
	turns_pass(&t, 90);
	set(&a, 100);
	turns_pass(&t, 99);
	assert_string_equal(passed, "");
	/* And sooner. */
	set(&a, 10);
	turns_pass(&t, 10);
	assert_string_equal(passed, "a");
	turns_end(&t);
}

static void
cleared_ones_never_pass(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b');

	(void)state;
	begin();
	set(&a, 100);
	set(&b, 100);
	deadline_clear(&a.deadline);
	deadline_clear(&a.deadline);
	assert_false(deadline_armed(&a.deadline));
	turns_pass(&t, 1000);
	assert_string_equal(passed, "b");
	/* Also by one that passes in the same turn. */
	a.clears = &b.deadline;
	set(&a, 100);
	set(&b, 100);
	turns_pass(&t, 100);
	assert_string_equal(passed, "ba");
	turns_end(&t);
}

static void
off_disarms(void **state)
{
	struct alarm a = alarm_of('a');

	(void)state;
	begin();
	set(&a, 100);
	set(&a, INT64_MAX);
	assert_false(deadline_armed(&a.deadline));
	turns_pass(&t, 1000);
	assert_string_equal(passed, "");
	turns_end(&t);
}

static void
nought_passes_in_the_next_turn(void **state)
{
	struct alarm a = alarm_of('a');

	(void)state;
	begin();
	set(&a, 0);
	assert_string_equal(passed, "");
	turns_run(&t);
	assert_string_equal(passed, "a");
	turns_end(&t);
}

static void
callbacks_may_arm_again(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b');

	(void)state;
	begin();
	a.again_ms = 100;
	b.again_ms = 250;
	set(&a, 100);
	set(&b, 250);
	turns_pass(&t, 1000);
	/* At 500 ms and at 1 s both are due, the shorter duration first. */
	assert_string_equal(passed, "aabaaabaabaaab");
	turns_end(&t);
}

/* Touched a thousand times, it notes only when it was touched last. */
static void
moment_of_the_touch_is_what_counts(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b');
	int64_t touched;

	(void)state;
	begin();
	touched = t.now_ns;
	deadline_init(&a.deadline, rang);
	turns_pass(&t, 60);
	set(&b, 100);
	deadline_set_since(&t.workers[0], &a.deadline, 100, touched);
	turns_pass(&t, 39);
	assert_string_equal(passed, "");
	turns_pass(&t, 1);
	assert_string_equal(passed, "a");
	turns_pass(&t, 60);
	assert_string_equal(passed, "ab");
	/* So long ago that it has passed already. */
	deadline_set_since(&t.workers[0], &a.deadline, 100, touched);
	turns_run(&t);
	assert_string_equal(passed, "aba");
	turns_end(&t);
}

/* More durations at once than there are lists. */
static void
many_durations_all_pass_at_their_time(void **state)
{
	enum { MANY = WORKER_DURATIONS * 3 };
	static struct alarm a[MANY];
	int64_t start, late;
	unsigned i;

	(void)state;
	begin();
	start = t.now_ns;
	memset(a, 0, sizeof(a));
	for (i = 0; i < MANY; i++)
		set(&a[i], 10 + (i * 37) % MANY * 10);
	turns_pass(&t, MANY * 10 + 10);
	assert_int_equal(n_passed, MANY);
	for (i = 0; i < MANY; i++) {
		late = a[i].passed_ns - start -
		    (10 + (int64_t)(i * 37) % MANY * 10) * NS_PER_MS;
		assert_true(late == 0);
	}
	turns_end(&t);
}

/* New durations that come and go do not use up the lists. */
static void
lists_that_have_run_empty_are_taken_over(void **state)
{
	struct alarm a = alarm_of('a');
	unsigned i;

	(void)state;
	begin();
	for (i = 1; i < 1000; i++) {
		set(&a, i);
		turns_pass(&t, i);
		assert_int_equal(n_passed, i);
	}
	assert_true(t.workers[0].n_durations <= WORKER_DURATIONS);
	turns_end(&t);
}

/* The process was stopped for 30 s: what came meanwhile is read first. */
static void
late_turn_expires_nothing_at_first(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b');

	(void)state;
	begin();
	set(&a, 1000);
	set(&b, 20000);
	turns_pass(&t, 900);
	turns_leap(&t, 30000);
	assert_string_equal(passed, "");
	assert_true(deadline_armed(&a.deadline));
	turns_pass(&t, 1999);
	assert_string_equal(passed, "");
	turns_pass(&t, 1);
	assert_string_equal(passed, "ab");
	turns_end(&t);
}

/* Up to half a second is no stop. */
static void
slow_turn_expires_what_is_due(void **state)
{
	struct alarm a = alarm_of('a');

	(void)state;
	begin();
	set(&a, 1000);
	turns_leap(&t, 1500);
	assert_string_equal(passed, "a");
	set(&a, 1000);
	turns_leap(&t, 1501);
	assert_string_equal(passed, "a");
	turns_pass(&t, 500);
	assert_string_equal(passed, "a");
	turns_pass(&t, 1);
	assert_string_equal(passed, "aa");
	turns_end(&t);
}

static void
set_long_ago(struct alarm *a, int64_t in_ms)
{
	deadline_init(&a->deadline, rang);
	deadline_set_since(&t.workers[0], &a->deadline, in_ms,
	    t.now_ns - 30000 * NS_PER_MS);
}

static struct alarm late;

static void
set_late(struct deadline *d)
{
	(void)d;
	set_long_ago(&late, 500);
}

/* One that is due before it is set is no sign that the process was stopped. */
static void
deadline_of_long_ago_keeps_nobody_waiting(void **state)
{
	struct alarm a = alarm_of('a'), b = alarm_of('b');

	(void)state;
	begin();
	set_long_ago(&a, 500);
	turns_pass(&t, 0);
	assert_string_equal(passed, "a");
	/* Set when those of its duration have been looked at. */
	late = alarm_of('l');
	deadline_init(&b.deadline, set_late);
	set(&b, 1000);
	turns_pass(&t, 1000);
	assert_string_equal(passed, "al");
	turns_end(&t);
}

static void
model_of_many_deadlines_agrees(void **state)
{
	enum { MANY = 200, STEPS = 4000 };
	static const int64_t durations[] = { 1, 5, 10, 100, 250, 1000, 1001,
		30000 };
	static struct alarm a[MANY];
	static int64_t due_ns[MANY];
	unsigned i, step;

	(void)state;
	begin();
	srand(20240);
	memset(a, 0, sizeof(a));
	for (step = 0; step < STEPS; step++) {
		int64_t ms = durations[rand() % (int)NELEMS(durations)];

		i = (unsigned)rand() % MANY;
		if (rand() % 4 == 0) {
			if (due_ns[i] != 0)
				deadline_clear(&a[i].deadline);
			due_ns[i] = 0;
		} else if (rand() % 3 > 0) {
			set(&a[i], ms);
			due_ns[i] = t.now_ns + ms * NS_PER_MS;
		} else
			turns_pass(&t, rand() % 20);
		for (i = 0; i < MANY; i++) {
			if (due_ns[i] == 0)
				continue;
			if (due_ns[i] > t.now_ns) {
				assert_true(deadline_armed(&a[i].deadline));
				continue;
			}
			if (deadline_armed(&a[i].deadline))
				continue;       /* due this moment */
			assert_true(a[i].passed_ns == due_ns[i]);
			due_ns[i] = 0;
		}
	}
	turns_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlines_pass_at_their_time_and_not_before),
		cmocka_unit_test(deadlines_pass_in_the_order_of_their_times),
		cmocka_unit_test(equal_ones_pass_in_the_order_of_arming),
		cmocka_unit_test(armed_anew_it_passes_only_then),
		cmocka_unit_test(cleared_ones_never_pass),
		cmocka_unit_test(off_disarms),
		cmocka_unit_test(nought_passes_in_the_next_turn),
		cmocka_unit_test(callbacks_may_arm_again),
		cmocka_unit_test(moment_of_the_touch_is_what_counts),
		cmocka_unit_test(many_durations_all_pass_at_their_time),
		cmocka_unit_test(lists_that_have_run_empty_are_taken_over),
		cmocka_unit_test(late_turn_expires_nothing_at_first),
		cmocka_unit_test(deadline_of_long_ago_keeps_nobody_waiting),
		cmocka_unit_test(slow_turn_expires_what_is_due),
		cmocka_unit_test(model_of_many_deadlines_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
