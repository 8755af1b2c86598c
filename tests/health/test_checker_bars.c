/*
 * health/checker: changes made by hand, and ejection of what fails in a row.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/health/world.h"

/* ------------------------------------------------------------------ by hand */

static void
hand(unsigned i, enum endpoint_bar bar, bool on, bool forced)
{
	if (bar != 0)
		(void)endpoint_bar(w.e[i], bar, on, w.turns.now_ns);
	checker_hand(w.checker, w.e[i], forced);
}

static void
down_by_hand_is_not_checked_and_then_at_once(void **state)
{
	unsigned before;

	(void)state;
	starts(1, &probe);
	one_check();
	hand(0, BAR_DOWN, true, false);
	before = asked(0);
	pass(10 * INTERVAL);
	assert_int_equal(asked(0), before);
	assert_int_equal(bars(0), BAR_DOWN);
	w.says[0] = 'n';
	hand(0, BAR_DOWN, false, false);
	pass(STEP);
	assert_int_equal(asked(0), before + 1);
	/* It was long ago that it was well. */
	assert_int_equal(bars(0), BAR_CHECK);
}

static void
drained_by_hand_is_checked_all_the_same(void **state)
{
	(void)state;
	starts(1, &probe);
	hand(0, BAR_DRAIN, true, false);
	pass(INTERVAL * 5 / 2);
	assert_in_range(asked(0), 2, 3);
	assert_int_equal(bars(0), BAR_DRAIN);
}

static void
forced_up_it_stays_usable_whatever_is_found(void **state)
{
	(void)state;
	w.says[0] = 'n';
	starts(1, &probe);
	one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	hand(0, 0, false, true);
	assert_int_equal(bars(0), 0);
	pass(5 * INTERVAL);
	assert_int_equal(bars(0), 0);
	assert_string_equal(w.e[0]->health.last, "it said n");
	assert_true(asked(0) > 4);
	/* No more: what was found holds again. */
	hand(0, 0, false, false);
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(w.changes, 1);
}

static void
forced_up_it_is_not_ejected_and_no_longer_is(void **state)
{
	(void)state;
	w.conf.outlier.failures = 5;
	starts(4, NULL);
	pass(INTERVAL / 2);
	checker_suspect(w.checker, w.e[0]);
	turns_run(&w.turns);
	assert_int_equal(bars(0), BAR_EJECTED);
	hand(0, 0, false, true);
	assert_int_equal(bars(0), 0);
	checker_suspect(w.checker, w.e[0]);
	turns_run(&w.turns);
	assert_int_equal(bars(0), 0);
	assert_int_equal(atomic_load(&w.e[0]->ejections), 1);
}

/* ----------------------------------------------------------------- ejection */

static void
suspect(unsigned i)
{
	atomic_store(&w.e[i]->failing, 5);
	checker_suspect(w.checker, w.e[i]);
	turns_run(&w.turns);
	assert_int_equal(atomic_load(&w.e[i]->failing), 0);
}

static void
without_checks(unsigned n, double most)
{
	w.conf.health.on = false;
	w.conf.outlier.failures = 5;
	w.conf.outlier.max_ejected = most;
	starts(n, NULL);
}

static void
eject_after_is_what_the_file_says(void **state)
{
	(void)state;
	without_checks(2, 0.5);
	assert_int_equal(atomic_load(&w.e[0]->eject_after), 5);
	w.conf.outlier.failures = 0;
	configure(NULL);
	assert_int_equal(atomic_load(&w.e[0]->eject_after), 0);
}

static void
a_suspect_is_out_for_its_time(void **state)
{
	(void)state;
	without_checks(3, 0.5);
	suspect(0);
	assert_int_equal(bars(0), BAR_EJECTED);
	assert_int_equal(atomic_load(&w.e[0]->ejections), 1);
	assert_int_equal(w.changes, 1);
	/* What was under way fails too, and that is no news. */
	suspect(0);
	assert_int_equal(atomic_load(&w.e[0]->ejections), 1);
	pass(9990);
	assert_int_equal(bars(0), BAR_EJECTED);
	pass(20);
	assert_int_equal(bars(0), 0);
	assert_int_equal(w.changes, 2);
}

static void
the_next_time_it_is_out_for_longer(void **state)
{
	(void)state;
	without_checks(3, 0.5);
	suspect(0);
	pass(10010);
	suspect(0);
	pass(19990);
	assert_int_equal(bars(0), BAR_EJECTED);
	pass(20);
	assert_int_equal(bars(0), 0);
	/* And after good behaviour not. */
	pass(20010);
	suspect(0);
	pass(10010);
	assert_int_equal(bars(0), 0);
	assert_int_equal(atomic_load(&w.e[0]->ejections), 3);
}

static void
no_more_than_the_share_are_out(void **state)
{
	(void)state;
	without_checks(4, 0.5);
	suspect(0);
	suspect(1);
	suspect(2);
	assert_int_equal(bars(0), BAR_EJECTED);
	assert_int_equal(bars(1), BAR_EJECTED);
	assert_int_equal(bars(2), 0);
	assert_int_equal(atomic_load(&w.e[2]->ejections), 0);
}

static void
the_last_usable_one_stays(void **state)
{
	(void)state;
	without_checks(3, 1.0);
	(void)endpoint_bar(w.e[2], BAR_DRAIN, true, w.turns.now_ns);
	suspect(0);
	suspect(1);
	assert_int_equal(bars(0), BAR_EJECTED);
	assert_int_equal(bars(1), 0);
}

static void
one_that_asked_for_a_pause_stands_in_for_nobody(void **state)
{
	(void)state;
	without_checks(2, 1.0);
	atomic_store(&w.e[1]->hold_until_ns, w.turns.now_ns + NS_PER_S);
	suspect(0);
	assert_int_equal(bars(0), 0);
	pass(1000);
	suspect(0);
	assert_int_equal(bars(0), BAR_EJECTED);
}

static void
one_alone_is_never_ejected(void **state)
{
	(void)state;
	without_checks(1, 1.0);
	suspect(0);
	assert_int_equal(bars(0), 0);
}

static void
when_nothing_else_is_usable_nobody_stays_ejected(void **state)
{
	(void)state;
	w.conf.outlier.failures = 5;
	starts(2, &probe);
	pass(INTERVAL / 2);
	checker_suspect(w.checker, w.e[0]);
	turns_run(&w.turns);
	assert_int_equal(bars(0), BAR_EJECTED);
	far_end_refuse(&w.ends[1]);
	pass(4 * INTERVAL);
	assert_int_equal(bars(1), BAR_CHECK);
	assert_int_equal(bars(0), 0);
}

static void
the_last_that_is_left_in_the_roster_does_not_stay_ejected(void **state)
{
	(void)state;
	without_checks(2, 0.5);
	suspect(0);
	assert_int_equal(bars(0), BAR_EJECTED);
	make_roster(1);
	configure(NULL);
	assert_int_equal(bars(0), 0);
}

static void
ejection_that_is_switched_off_ends(void **state)
{
	(void)state;
	without_checks(3, 0.5);
	suspect(0);
	w.conf.outlier.failures = 0;
	configure(NULL);
	assert_int_equal(bars(0), 0);
	checker_suspect(w.checker, w.e[0]);
	turns_run(&w.turns);
	assert_int_equal(bars(0), 0);
	pass(20000);
	assert_int_equal(w.changes, 1);
}

static void
with_keys(unsigned n)
{
	w.conf.balance = CONF_KEY_HASH;
	w.conf.outlier.failures = 5;
	w.conf.outlier.max_ejected = 1.0;
	starts(n, &probe);
	pass(INTERVAL / 2);
	checker_suspect(w.checker, w.e[0]);
	turns_run(&w.turns);
	assert_int_equal(bars(0), BAR_EJECTED);
}

/* Passed checks before its time is over do not shorten it. */
static void
one_with_keys_comes_back_by_a_passed_check(void **state)
{
	unsigned changes;

	(void)state;
	with_keys(3);
	w.conf.health.fall = 100;
	pass(5000);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(bars(0), BAR_EJECTED);
	w.says[0] = 'n';
	pass(30000);
	assert_int_equal(bars(0), BAR_EJECTED);
	changes = w.changes;
	w.says[0] = 'y';
	one_check();
	assert_int_equal(bars(0), 0);
	assert_int_equal(w.changes, changes + 1);
}

/* It is asked when its time is over, not an interval later. */
static void
one_with_keys_is_checked_when_its_time_is_over(void **state)
{
	(void)state;
	with_keys(2);
	pass(9990);
	assert_int_equal(bars(0), BAR_EJECTED);
	pass(20);
	assert_int_equal(bars(0), 0);
}

/* No other endpoint has its keys: that those are down is no reason. */
static void
one_with_keys_stays_out_when_all_are(void **state)
{
	(void)state;
	with_keys(2);
	far_end_refuse(&w.ends[1]);
	w.says[0] = 'n';
	w.conf.health.fall = 3;
	pass(4 * INTERVAL);
	assert_int_equal(bars(1), BAR_CHECK);
	assert_int_equal(bars(0), BAR_EJECTED | BAR_CHECK);
	pass(10000);
	assert_int_equal(bars(0), BAR_EJECTED | BAR_CHECK);
	w.says[0] = 'y';
	pass(3 * INTERVAL);
	assert_int_equal(bars(0), 0);
}

static void
one_with_keys_does_not_wait_for_checks_that_ended(void **state)
{
	(void)state;
	with_keys(2);
	w.says[0] = 'n';
	w.conf.health.fall = 100;
	pass(12000);
	assert_int_equal(bars(0), BAR_EJECTED);
	w.conf.health.on = false;
	configure(NULL);
	assert_int_equal(bars(0), 0);
}

/* Nor while a hand keeps it down; then the first check decides. */
static void
one_with_keys_waits_for_the_hand_too(void **state)
{
	(void)state;
	with_keys(2);
	(void)endpoint_bar(w.e[0], BAR_DOWN, true, w.turns.now_ns);
	checker_hand(w.checker, w.e[0], false);
	pass(15000);
	assert_int_equal(bars(0), BAR_EJECTED | BAR_DOWN);
	(void)endpoint_bar(w.e[0], BAR_DOWN, false, w.turns.now_ns);
	checker_hand(w.checker, w.e[0], false);
	one_check();
	assert_int_equal(bars(0), 0);
}

static void
mail_about_one_that_has_left_is_nothing(void **state)
{
	(void)state;
	without_checks(3, 0.5);
	checker_suspect(w.checker, w.e[2]);
	make_roster(2);
	configure(NULL);
	turns_run(&w.turns);
	assert_int_equal(bars(2), 0);
	checker_suspect(w.checker, w.e[0]);
	checker_leave(w.checker);
	turns_run(&w.turns);
	assert_int_equal(bars(0), 0);
	assert_int_equal(w.changes, 0);
	/* Nobody reads this one any more. */
	checker_suspect(w.checker, w.e[1]);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(down_by_hand_is_not_checked_and_then_at_once),
		TEST(drained_by_hand_is_checked_all_the_same),
		TEST(forced_up_it_stays_usable_whatever_is_found),
		TEST(forced_up_it_is_not_ejected_and_no_longer_is),
		TEST(eject_after_is_what_the_file_says),
		TEST(a_suspect_is_out_for_its_time),
		TEST(the_next_time_it_is_out_for_longer),
		TEST(no_more_than_the_share_are_out),
		TEST(the_last_usable_one_stays),
		TEST(one_that_asked_for_a_pause_stands_in_for_nobody),
		TEST(one_alone_is_never_ejected),
		TEST(when_nothing_else_is_usable_nobody_stays_ejected),
		TEST(the_last_that_is_left_in_the_roster_does_not_stay_ejected),
		TEST(ejection_that_is_switched_off_ends),
		TEST(one_with_keys_comes_back_by_a_passed_check),
		TEST(one_with_keys_is_checked_when_its_time_is_over),
		TEST(one_with_keys_stays_out_when_all_are),
		TEST(one_with_keys_does_not_wait_for_checks_that_ended),
		TEST(one_with_keys_waits_for_the_hand_too),
		TEST(mail_about_one_that_has_left_is_nothing)
	};

	log_set(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
