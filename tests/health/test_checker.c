/*
 * health/checker: endpoints whose far ends do as they are told, a clock that is
 * the test's, and a probe of three letters: it asks "?" and takes "y" for well
 * and "n" for ill.
 *
 * SPDX-License-Identifier: MIT
 */
#include "health/checker.h"

#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/log.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

enum { ENDS = 4, INTERVAL = 1000, TIMEOUT = 300, STEP = 10 };

static struct world {
	struct turns turns;
	struct conf_upstream conf;
	struct far_end ends[ENDS];
	char says[ENDS];                /* 'y', 'n', '.' nothing, 'x' RST, 'f'
					   FIN */
	struct endpoint *e[ENDS];
	struct roster *roster;
	struct checker *checker;
	unsigned changes;
	unsigned descriptors;
} w;

/* -------------------------------------------------------------------- probe */

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	unsigned *asked = state;

	assert_ptr_equal(conf, &w.conf);
	assert_non_null(e);
	/* Zeroed for each check. */
	assert_int_equal((*asked)++, 0);
	return buf_append(store, out, "?", 1);
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, bool eof,
    char why[PROBE_WHY_MAX])
{
	const unsigned *asked = state;
	size_t len;
	char said;

	(void)eof;
	assert_ptr_equal(conf, &w.conf);
	assert_int_equal(*asked, 1);
	if (in->len == 0)
		return PROBE_MORE;
	said = *buf_front(in, &len);
	if (said == '.')
		return PROBE_MORE;
	buf_drop(store, in, 1);
	snprintf(why, PROBE_WHY_MAX, "it said %c", said);
	return said == 'y' ? PROBE_OK : PROBE_BAD;
}

static const struct probe_ops probe = {
	.state_size = sizeof(unsigned), .ask = ask, .answer = answer
};

/* -------------------------------------------------------------------- world */

static void
changed(void *arg)
{
	assert_ptr_equal(arg, &w);
	w.changes++;
}

static void
make_roster(unsigned n)
{
	unsigned i;

	roster_drop(w.roster);
	w.roster = roster_new(n);
	assert_non_null(w.roster);
	for (i = 0; i < n; i++)
		w.roster->v[i] = endpoint_keep(w.e[i]);
}

static void
configure(const struct probe_ops *ops)
{
	assert_int_equal(checker_configure(w.checker, &w.conf, ops, w.roster),
	    0);
}

static int
set_up(void **state)
{
	char name[ADDR_TEXT_MAX];
	unsigned i;

	(void)state;
	memset(&w, 0, sizeof(w));
	connects_are_slow = false;
	w.descriptors = open_descriptors();
	turns_begin(&w.turns, 1);
	w.conf.health.on = true;
	w.conf.health.interval_ms = INTERVAL;
	w.conf.health.timeout_ms = TIMEOUT;
	w.conf.health.rise = 2;
	w.conf.health.fall = 3;
	w.conf.outlier.eject_for_ms = 10000;
	w.conf.outlier.max_ejected = 0.5;
	w.checker = checker_new(&w.turns.workers[0], "app", changed, &w);
	assert_non_null(w.checker);
	for (i = 0; i < ENDS; i++) {
		far_end_open(&w.ends[i]);
		w.says[i] = 'y';
		addr_print(&w.ends[i].addr, name);
		w.e[i] = endpoint_new(name, name, &w.ends[i].addr, 1,
		    UINT_MAX);
		assert_non_null(w.e[i]);
	}
	return 0;
}

static int
tear_down(void **state)
{
	unsigned i;

	(void)state;
	checker_free(w.checker);
	roster_drop(w.roster);
	turns_end(&w.turns);
	for (i = 0; i < ENDS; i++) {
		/* Nobody else has it any more. */
		assert_int_equal(atomic_load(&w.e[i]->refs), 1);
		endpoint_drop(w.e[i]);
		far_end_close(&w.ends[i]);
	}
	assert_int_equal(open_descriptors(), w.descriptors);
	return 0;
}

/* One far end does what it says: answers a question, or hangs up. */
static void
serve(unsigned i)
{
	struct far_end *f = &w.ends[i];
	unsigned k = 0;
	char heard[8];
	int n;

	far_end_accept(f);
	while (k < f->n) {
		int fd = f->fds[k];

		n = far_end_hear(fd, heard, sizeof(heard));
		if (n < 0 || (n > 0 && w.says[i] == 'x'))
			far_end_reset(f, fd);
		else if (n > 0 && w.says[i] == 'f')
			far_end_hang_up(f, fd);
		else {
			if (n > 0 && w.says[i] != '.')
				far_end_say(fd, &w.says[i], 1);
			k++;
		}
	}
}

static void
serve_all(void)
{
	unsigned i;

	for (i = 0; i < ENDS; i++)
		serve(i);
}

static void
pass(int64_t ms)
{
	for (; ms > 0; ms -= STEP) {
		turns_pass(&w.turns, ms < STEP ? ms : STEP);
		serve_all();
		turns_run(&w.turns);
	}
	serve_all();
}

static unsigned
bars(unsigned i)
{
	return atomic_load(&w.e[i]->bars);
}

static unsigned
asked(unsigned i)
{
	serve(i);
	return w.ends[i].accepted;
}

/* Until the next result of end 0. */
static void
one_check(void)
{
	uint64_t before = w.e[0]->health.checks;
	int64_t waited;

	for (waited = 0; w.e[0]->health.checks == before; waited += STEP) {
		assert_true(waited < 2 * INTERVAL);
		pass(STEP);
	}
}

static void
starts(unsigned n, const struct probe_ops *ops)
{
	make_roster(n);
	configure(ops);
}

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
	pass(2 * INTERVAL);
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
		TEST(to_be_connected_to_is_enough_without_a_probe),
		TEST(a_connect_that_takes_its_time_is_waited_for),
		TEST(the_first_result_decides_at_once),
		TEST(a_refusal_that_comes_later_is_one_too),
		TEST(fall_bad_ones_in_a_row_bring_down_and_rise_good_ones_up),
		TEST(silence_is_a_timeout_of_the_whole_check),
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
		TEST(another_probe_begins_anew),
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
		TEST(mail_about_one_that_has_left_is_nothing)
	};

	log_set(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
