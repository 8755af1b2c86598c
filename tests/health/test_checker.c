/*
 * health/checker: what a check finds, when it comes, and what reloads do to it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/health/world.h"

/* ------------------------------------------------------------------ results */

static void
to_be_connected_to_is_enough_without_a_probe(void **state)
{
	(void)state;
	starts(1, NULL);
	pass(STEP);
	assert_int_equal(asked(0), 1);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(w.e[0]->health.checks, 1);
	assert_int_equal(w.e[0]->health.failures, 0);
	assert_int_equal(bars(0), 0);
	/* And it does not stay. */
	assert_int_equal(w.ends[0].n, 0);
}

static void
a_connect_that_takes_its_time_is_waited_for(void **state)
{
	(void)state;
	connects_are_slow = true;
	starts(1, &probe);
	pass(STEP);
	pass(STEP);
	assert_string_equal(w.e[0]->health.last, "ok");
}

static void
a_goodbye_that_nobody_hears_changes_nothing(void **state)
{
	(void)state;
	w.says[0] = 'g';
	starts(1, &probe);
	pass(STEP);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(bars(0), 0);
}

static void
the_first_result_decides_at_once(void **state)
{
	(void)state;
	far_end_refuse(&w.ends[0]);
	starts(2, &probe);
	pass(INTERVAL / 2);
	assert_int_equal(bars(0), BAR_CHECK);
	assert_string_equal(w.e[0]->health.last, "connection refused");
	assert_int_equal(w.e[0]->health.failures, 1);
	assert_int_equal(bars(1), 0);
	assert_string_equal(w.e[1]->health.last, "ok");
	assert_int_equal(w.changes, 1);
}

static void
a_refusal_that_comes_later_is_one_too(void **state)
{
	(void)state;
	connects_are_slow = true;
	far_end_refuse(&w.ends[0]);
	starts(1, &probe);
	pass(STEP);
	pass(STEP);
	assert_string_equal(w.e[0]->health.last, "connection refused");
	assert_int_equal(bars(0), BAR_CHECK);
}

static void
fall_bad_ones_in_a_row_bring_down_and_rise_good_ones_up(void **state)
{
	(void)state;
	starts(1, &probe);
	one_check();
	w.says[0] = 'n';
	one_check();
	one_check();
	assert_int_equal(bars(0), 0);
	assert_string_equal(w.e[0]->health.last, "it said n");
	w.says[0] = 'y';
	one_check();
	w.says[0] = 'n';
	one_check();
	one_check();
	assert_int_equal(bars(0), 0);
	assert_int_equal(w.changes, 0);
	one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(w.changes, 1);
	w.says[0] = 'y';
	one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	one_check();
	assert_int_equal(bars(0), 0);
	assert_int_equal(w.changes, 2);
	assert_int_equal(w.e[0]->health.checks, 9);
	assert_int_equal(w.e[0]->health.failures, 5);
}

static void
full_one_stays_what_it_was(void **state)
{
	unsigned i;

	(void)state;
	w.says[0] = 'b';
	starts(1, &probe);
	one_check();
	assert_int_equal(bars(0), 0);
	w.says[0] = 'y';
	one_check();
	w.says[0] = 'b';
	for (i = 0; i < 5; i++)
		one_check();
	assert_int_equal(bars(0), 0);
	assert_string_equal(w.e[0]->health.last, "it said b");
	assert_int_equal(w.e[0]->health.failures, 0);
	w.says[0] = 'n';
	for (i = 0; i < 3; i++)
		one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	w.says[0] = 'b';
	for (i = 0; i < 5; i++)
		one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(w.changes, 1);
}

static void
silence_is_a_timeout_of_the_whole_check(void **state)
{
	(void)state;
	w.says[0] = '.';
	starts(1, &probe);
	pass(TIMEOUT - 2 * STEP);
	assert_string_equal(w.e[0]->health.last, "");
	pass(4 * STEP);
	assert_string_equal(w.e[0]->health.last, "timeout");
	assert_int_equal(bars(0), BAR_CHECK);
	assert_in_range(w.e[0]->health.latency_us, TIMEOUT * 1000,
	    (TIMEOUT + STEP) * 1000);
}

/* Questions and answers by turns, within one deadline. */
static void
a_check_may_be_a_talk_of_several_rounds(void **state)
{
	(void)state;
	w.says[0] = 'm';
	starts(1, &probe);
	pass(4 * STEP);
	assert_string_equal(w.e[0]->health.last, "");
	w.says[0] = 'y';
	pass(4 * STEP);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(w.ends[0].accepted, 1);
	w.says[0] = 'm';
	one_check();
	assert_string_equal(w.e[0]->health.last, "timeout");
}

static void
a_connect_without_an_answer_is_a_timeout(void **state)
{
	(void)state;
	far_end_clog(&w.ends[0]);
	starts(1, NULL);
	pass(TIMEOUT - 2 * STEP);
	assert_string_equal(w.e[0]->health.last, "");
	pass(4 * STEP);
	assert_string_equal(w.e[0]->health.last, "timeout");
}

static void
an_end_without_an_answer_is_bad(void **state)
{
	(void)state;
	w.says[0] = 'f';
	w.says[1] = 'x';
	starts(2, &probe);
	pass(INTERVAL / 2);
	assert_string_equal(w.e[0]->health.last, "closed without an answer");
	assert_string_equal(w.e[1]->health.last, "connection reset by peer");
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(bars(1), BAR_CHECK);
}

static void
an_answer_without_end_is_cut(void **state)
{
	static char dots[16 * 1024];
	unsigned i;

	(void)state;
	memset(dots, '.', sizeof(dots));
	w.says[0] = '.';
	starts(1, &probe);
	turns_pass(&w.turns, STEP);
	far_end_accept(&w.ends[0]);
	for (i = 0; i < 6 && w.e[0]->health.checks == 0; i++) {
		(void)send(w.ends[0].fds[0], dots, sizeof(dots),
		    MSG_NOSIGNAL);
		turns_run(&w.turns);
	}
	assert_string_equal(w.e[0]->health.last, "answer too long");
}

static void
what_this_machine_lacks_is_no_result(void **state)
{
	struct rlimit was, none;

	(void)state;
	starts(1, &probe);
	one_check();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns_pass(&w.turns, 10 * INTERVAL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(w.e[0]->health.checks, 1);
	assert_int_equal(w.e[0]->health.failures, 0);
	assert_int_equal(bars(0), 0);
	one_check();
	assert_int_equal(w.e[0]->health.failures, 0);
	assert_int_equal(asked(0), 2);
}

/* ------------------------------------------------------------------- timing */

static void
first_checks_are_spread_over_a_tenth_of_the_interval(void **state)
{
	unsigned i;

	(void)state;
	starts(ENDS, NULL);
	turns_pass(&w.turns, 0);
	turns_pass(&w.turns, 1);
	assert_int_equal(asked(0), 1);
	assert_int_equal(asked(ENDS - 1), 0);
	turns_pass(&w.turns, INTERVAL / 10);
	for (i = 0; i < ENDS; i++)
		assert_int_equal(asked(i), 1);
}

static void
checks_come_every_interval_give_or_take_a_tenth(void **state)
{
	int64_t last = 0, least = INT64_MAX, most = 0, t;
	unsigned n = 0;

	(void)state;
	starts(1, NULL);
	for (t = 0; n < 200; t += STEP) {
		pass(STEP);
		if (w.e[0]->health.checks == n)
			continue;
		assert_int_equal(w.e[0]->health.checks, ++n);
		if (n > 1 && t - last < least)
			least = t - last;
		if (n > 1 && t - last > most)
			most = t - last;
		last = t;
	}
	assert_in_range(least, INTERVAL * 9 / 10 - STEP, INTERVAL * 93 / 100);
	assert_in_range(most, INTERVAL * 107 / 100, INTERVAL * 11 / 10 + STEP);
}

static void
an_endpoint_has_one_check_at_a_time(void **state)
{
	int64_t t;

	(void)state;
	w.conf.health.timeout_ms = INTERVAL * 5 / 2;
	w.says[0] = '.';
	starts(1, &probe);
	for (t = 0; t < 12 * INTERVAL; t += STEP) {
		pass(STEP);
		assert_true(w.ends[0].n <= 1);
	}
	/* Each takes two and a half intervals: three. */
	assert_in_range(asked(0), 4, 5);
}

static void
turning_checks_off_and_on_does_not_multiply_them(void **state)
{
	int64_t t;

	(void)state;
	starts(1, &probe);
	for (t = 0; t < 10 * INTERVAL; t += 5 * STEP) {
		w.conf.health.on = !w.conf.health.on;
		configure(&probe);
		pass(5 * STEP);
	}
	assert_in_range(asked(0), 5, 11);
}

static void
reloads_do_not_hold_checks_up(void **state)
{
	int64_t t;

	(void)state;
	starts(1, &probe);
	for (t = 0; t < 10 * INTERVAL; t += 5 * STEP) {
		make_roster(1);
		configure(&probe);
		pass(5 * STEP);
	}
	assert_in_range(asked(0), 9, 12);
}

static void
another_interval_holds_from_the_last_check_on(void **state)
{
	struct conf_upstream was;

	(void)state;
	w.conf.health.interval_ms = 100 * INTERVAL;
	starts(1, &probe);
	one_check();
	pass(INTERVAL / 2);
	/* The snapshot before is another one. */
	was = w.conf;
	assert_int_equal(checker_configure(w.checker, &was, &probe, w.roster),
	    0);
	w.conf.health.interval_ms = INTERVAL;
	configure(&probe);
	pass(INTERVAL * 4 / 10);
	assert_int_equal(asked(0), 1);
	pass(INTERVAL * 2 / 10);
	assert_int_equal(asked(0), 2);
}

static void
a_stopped_process_hears_the_answer_that_came_meanwhile(void **state)
{
	(void)state;
	w.says[0] = '.';
	starts(1, &probe);
	turns_pass(&w.turns, STEP);
	far_end_accept(&w.ends[0]);
	far_end_say(w.ends[0].fds[0], "y", 1);
	turns_leap(&w.turns, 30000);
	turns_run(&w.turns);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(w.e[0]->health.failures, 0);
}

static void
what_failed_because_the_process_was_stopped_is_no_result(void **state)
{
	(void)state;
	w.says[0] = w.says[1] = '.';
	starts(2, &probe);
	turns_pass(&w.turns, STEP * 6);
	serve_all();
	/* One loses patience, the other one is silent. */
	far_end_hang_up(&w.ends[1], w.ends[1].fds[0]);
	turns_leap(&w.turns, 30000);
	assert_int_equal(w.e[0]->health.checks, 0);
	assert_int_equal(w.e[1]->health.checks, 0);
	/* From now on whoever is asked answers; the old question is not heard
	   again. */
	w.says[0] = w.says[1] = 'y';
	/* After a stop nothing expires for two seconds. */
	pass(2000 + 2 * INTERVAL);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_string_equal(w.e[1]->health.last, "ok");
	assert_int_equal(w.e[0]->health.failures, 0);
	assert_int_equal(w.e[1]->health.failures, 0);
}

/* ------------------------------------------------------------ configuration */

static void
health_port_is_asked_instead_of_the_endpoint_s(void **state)
{
	struct sockaddr_in other;

	(void)state;
	memcpy(&other, &w.ends[3].addr.ss, sizeof(other));
	w.conf.health.port = ntohs(other.sin_port);
	starts(1, &probe);
	pass(INTERVAL / 2);
	assert_int_equal(asked(0), 0);
	assert_int_equal(asked(3), 1);
	assert_string_equal(w.e[0]->health.last, "ok");
}

static void
checks_that_are_switched_off_take_their_bar_away(void **state)
{
	(void)state;
	w.says[0] = 'n';
	starts(1, &probe);
	one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	w.conf.health.on = false;
	configure(NULL);
	assert_int_equal(bars(0), 0);
	assert_string_equal(w.e[0]->health.last, "");
	pass(5 * INTERVAL);
	assert_int_equal(asked(0), 1);
	w.conf.health.on = true;
	configure(&probe);
	pass(STEP);
	/* What was known is not: the first one decides again. */
	assert_int_equal(asked(0), 2);
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(w.e[0]->health.checks, 2);
}

static void
what_is_known_of_endpoints_that_stay_is_kept(void **state)
{
	(void)state;
	w.says[0] = w.says[1] = 'n';
	starts(2, &probe);
	pass(INTERVAL / 2);
	assert_int_equal(bars(0), BAR_CHECK);
	assert_int_equal(bars(1), BAR_CHECK);
	w.says[0] = w.says[2] = 'y';
	make_roster(3);
	configure(&probe);
	assert_int_equal(bars(0), BAR_CHECK);
	one_check();
	assert_int_equal(bars(0), BAR_CHECK);
	one_check();
	assert_int_equal(bars(0), 0);
	assert_int_equal(bars(1), BAR_CHECK);
	assert_string_equal(w.e[2]->health.last, "ok");
}

static void
an_endpoint_that_left_is_checked_no_more(void **state)
{
	unsigned before;

	(void)state;
	w.says[1] = '.';
	starts(2, &probe);
	pass(INTERVAL / 4);
	before = asked(1);
	assert_int_equal(before, 1);
	make_roster(1);
	configure(&probe);
	/* Also not any longer: its check was under way. */
	pass(STEP);
	assert_int_equal(w.ends[1].n, 0);
	assert_int_equal(atomic_load(&w.e[1]->refs), 1);
	pass(5 * INTERVAL);
	assert_int_equal(asked(1), before);
	assert_int_equal(w.e[1]->health.checks, 0);
}

static void
an_upstream_that_left_is_checked_no_more(void **state)
{
	(void)state;
	w.says[0] = '.';
	w.says[1] = 'n';
	starts(2, &probe);
	pass(INTERVAL / 4);
	checker_leave(w.checker);
	pass(5 * INTERVAL);
	assert_int_equal(asked(0), 1);
	assert_int_equal(asked(1), 1);
	assert_int_equal(w.ends[0].n, 0);
	/* And it may come back. */
	w.says[0] = w.says[1] = 'y';
	configure(&probe);
	pass(INTERVAL / 2);
	assert_int_equal(bars(0), 0);
	assert_int_equal(bars(1), 0);
	assert_int_equal(asked(0), 2);
}

static void
another_probe_begins_anew(void **state)
{
	(void)state;
	w.says[0] = '.';
	starts(1, &probe);
	pass(TIMEOUT / 2);
	configure(NULL);
	pass(2 * INTERVAL);
	assert_string_equal(w.e[0]->health.last, "ok");
	assert_int_equal(w.e[0]->health.failures, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_goodbye_that_nobody_hears_changes_nothing),
		TEST(to_be_connected_to_is_enough_without_a_probe),
		TEST(a_connect_that_takes_its_time_is_waited_for),
		TEST(the_first_result_decides_at_once),
		TEST(a_refusal_that_comes_later_is_one_too),
		TEST(fall_bad_ones_in_a_row_bring_down_and_rise_good_ones_up),
		TEST(full_one_stays_what_it_was),
		TEST(silence_is_a_timeout_of_the_whole_check),
		TEST(a_check_may_be_a_talk_of_several_rounds),
		TEST(a_connect_without_an_answer_is_a_timeout),
		TEST(an_end_without_an_answer_is_bad),
		TEST(an_answer_without_end_is_cut),
		TEST(what_this_machine_lacks_is_no_result),
		TEST(first_checks_are_spread_over_a_tenth_of_the_interval),
		TEST(checks_come_every_interval_give_or_take_a_tenth),
		TEST(an_endpoint_has_one_check_at_a_time),
		TEST(turning_checks_off_and_on_does_not_multiply_them),
		TEST(reloads_do_not_hold_checks_up),
		TEST(another_interval_holds_from_the_last_check_on),
		TEST(a_stopped_process_hears_the_answer_that_came_meanwhile),
		TEST(what_failed_because_the_process_was_stopped_is_no_result),
		TEST(health_port_is_asked_instead_of_the_endpoint_s),
		TEST(checks_that_are_switched_off_take_their_bar_away),
		TEST(what_is_known_of_endpoints_that_stay_is_kept),
		TEST(an_endpoint_that_left_is_checked_no_more),
		TEST(an_upstream_that_left_is_checked_no_more),
		TEST(another_probe_begins_anew)
	};

	log_set(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
