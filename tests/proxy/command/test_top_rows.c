/*
 * What `weir top` makes of two frames: rates, states, an order, and lines that
 * fit a terminal and obey nothing that stands in a name.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/command/top_page.h"
#include "proxy/command/top_rows.h"

/* An upstream with one endpoint. */
static json_t *
upstream(const char *name, int requests, int failures, const char *state,
    int waiting)
{
	return json_pack("{s:s,s:s,s:b,s:i,s:{s:i,s:i,s:i,s:i,s:i,s:i},"
	    "s:{s:i},s:[{s:s,s:s,s:{s:i},s:s}]}", "name", name, "protocol",
	    "http", "ready", 1, "requests_total", requests, "pool", "max", 8,
	    "cap", 8, "leased", 8, "open", 8, "pinned", 2, "waiting", waiting,
	    "first_byte_us", "p99", requests, "endpoints", "name", "e",
	    "state", state, "failures_total", "reset", failures, "last_error",
	    "no\x1b[2Jway");
}

/* Takes the upstreams over. */
static json_t *
frame(int pid, double uptime_s, json_t *a, json_t *b)
{
	return json_pack("{s:i,s:f,s:b,s:[],s:[o,o]}", "pid", pid, "uptime_s",
	    uptime_s, "ready", 1, "listeners", "upstreams", a, b);
}

static void
rates_are_growth_by_time_between_frames(void **state)
{
	struct top_frames f = { .now = NULL };
	struct top_row *rows;
	size_t n;

	(void)state;
	top_frames_take(&f, frame(1, 10, upstream("a", 100, 7, "up", 0),
	    upstream("b", 5, 0, "up", 0)));
	rows = top_rows(&f, &n);
	assert_int_equal(n, 2);
	assert_true(rows[0].requests_per_s < 0);        /* not known */
	free(rows);
	top_frames_take(&f, frame(1, 12, upstream("a", 150, 8, "up", 0),
	    upstream("c", 9, 0, "up", 0)));
	rows = top_rows(&f, &n);
	assert_true(rows[0].requests_per_s == 25);
	assert_true(rows[0].failures_per_s == 0.5);
	assert_true(rows[1].requests_per_s < 0);        /* was not there */
	free(rows);
	/* Another process counts from 0, and is no minus. */
	top_frames_take(&f, frame(2, 13, upstream("a", 3, 0, "up", 0),
	    upstream("b", 1, 0, "up", 0)));
	assert_null(f.before);
	rows = top_rows(&f, &n);
	assert_true(rows[0].requests_per_s < 0);
	free(rows);
	top_frames_take(&f, NULL);
	assert_null(f.now);
}

static void
the_state_is_the_worst_there_is(void **state)
{
	struct top_frames f = { .now = NULL };
	struct top_row *rows;
	size_t n;

	(void)state;
	top_frames_take(&f, frame(1, 1, upstream("a", 0, 0, "down", 3),
	    upstream("b", 0, 0, "up", 3)));
	rows = top_rows(&f, &n);
	assert_string_equal(rows[0].state, "DOWN");
	assert_string_equal(rows[1].state, "FULL");
	assert_true(rows[0].bad && rows[1].bad);
	free(rows);
	top_frames_take(&f, frame(1, 2, upstream("a", 0, 0, "up", 0),
	    upstream("b", 0, 0, "up", 0)));
	rows = top_rows(&f, &n);
	assert_string_equal(rows[0].state, "ok");
	assert_false(rows[0].bad);
	free(rows);
	top_frames_take(&f, NULL);
}

static void
rows_come_in_the_order_that_was_asked_for(void **state)
{
	struct top_frames f = { .now = NULL };
	struct top_row *rows;
	size_t n;

	(void)state;
	top_frames_take(&f, frame(1, 1, upstream("a", 10, 0, "up", 1),
	    upstream("b", 10, 0, "up", 0)));
	top_frames_take(&f, frame(1, 2, upstream("a", 11, 5, "up", 1),
	    upstream("b", 20, 0, "up", 2)));
	rows = top_rows(&f, &n);
	top_rows_sort(rows, n, SORT_REQUESTS);
	assert_string_equal(rows[0].name, "b");
	top_rows_sort(rows, n, SORT_FAILURES);
	assert_string_equal(rows[0].name, "a");
	top_rows_sort(rows, n, SORT_WAITING);
	assert_string_equal(rows[0].name, "b");
	top_rows_sort(rows, n, SORT_LATENCY);
	assert_string_equal(rows[0].name, "b");
	top_rows_sort(rows, n, SORT_NAME);
	assert_string_equal(rows[0].name, "a");
	free(rows);
	top_frames_take(&f, NULL);
}

static void
lines_fit_and_are_tame(void **state)
{
	struct top_frames f = { .now = NULL };
	struct top_page page = { .lines = NULL };
	struct troubles troubles;
	json_t *connections = json_loads("{\"connections\":[{\"id\":7,"
	    "\"upstream\":\"a\",\"endpoint\":\"e\",\"state\":\"leased\","
	    "\"holders\":[{\"client\":\"127.0.0.1:5\",\"request\":\"GET /\","
	    "\"process\":{\"pid\":9,\"name\":\"php\\u0007\"}}]}]}", 0, NULL);
	struct top_row *rows;
	size_t n, i;
	bool held = false;

	(void)state;
	assert_non_null(connections);
	top_frames_take(&f, frame(1, 1, upstream("a", 10, 0, "down", 1),
	    upstream("b", 10, 0, "up", 0)));
	rows = top_rows(&f, &n);
	page_clear(&page);
	troubles_find(&troubles, &f, rows, n);
	page_program(&page, &f, &troubles);
	page_overview(&page, &f, rows, n, &(struct top_chosen){ .name = "b" });
	page_upstream(&page, &f, &rows[0], connections);
	page_help(&page);
	for (i = 0; i < page.n; i++) {
		const char *text = page.lines[i].text, *c;

		/* Who holds a connection may be cut off. */
		assert_true(strlen(text) <= 80 || strstr(text, "[9]"));
		for (c = text; *c != '\0'; c++)
			assert_in_range(*c, 0x20, 0x7e);
		held = held || strstr(text, " php?[9] :5 GET /");
	}
	assert_true(held);
	assert_true(page.chosen < page.n);
	assert_non_null(strstr(page.lines[page.chosen].text, "b "));
	page_fini(&page);
	free(rows);
	json_decref(connections);
	top_frames_take(&f, NULL);
}

static json_t *
with_listener(int pid, double uptime_s, int requests, int fives, int resets,
    int limited)
{
	json_t *j = frame(pid, uptime_s, upstream("a", requests, 0, "up", 0),
	    upstream("b", 0, 0, "up", 0));

	(void)json_array_append_new(json_object_get(j, "listeners"), json_pack(
	    "{s:s,s:i,s:{s:i},s:{s:i,s:i},s:{s:i}}", "name", "web",
	    "requests_total", requests, "outcomes_total", "5xx", fives + resets,
	    "failures_total", "client_abort", 1000 * requests,
	    "upstream_reset", resets, "limited_total", "rate", limited));
	(void)json_object_set_new(json_array_get(json_object_get(j,
	    "upstreams"), 0), "server_errors_total", json_pack(
	    "{s:i,s:i,s:i}", "502", 7, "500", fives, "ERR", 9 * requests));
	(void)json_object_set_new(json_array_get(json_object_get(j,
	    "upstreams"), 0), "errors_of_server", json_pack("[s,s]", "502",
	    "500"));
	return j;
}

/* The first trouble after another frame; "" = none. */
static const char *
trouble(struct top_frames *f, json_t *now, struct troubles *t)
{
	struct top_row *rows;
	size_t n;

	top_frames_take(f, now);
	rows = top_rows(f, &n);
	troubles_find(t, f, rows, n);
	free(rows);
	return t->n > 0 ? t->text[0] : "";
}

/* Of clients that left nothing is said, nor of errors that are not the server's;
   what there was before the minute, or in another process, is forgotten. */
static void
what_was_wrong_within_the_last_minute_is_named(void **state)
{
	struct top_frames f = { .now = NULL };
	struct troubles t;

	(void)state;
	assert_string_equal(trouble(&f, with_listener(1, 10, 900, 400, 50, 70),
	    &t), "");
	assert_string_equal(trouble(&f, with_listener(1, 17, 1000, 400, 50, 70),
	    &t), "");
	assert_string_equal(trouble(&f, with_listener(1, 18, 1010, 410, 52, 70),
	    &t), "web: 2 of 110 requests failed in the last 8 s "
	    "(upstream_reset 2)");
	assert_int_equal(t.n, 2);
	assert_string_equal(t.text[1], "a: servers answered 10 of 110 requests "
	    "with errors in the last 8 s (500 10)");
	assert_string_equal(trouble(&f, with_listener(1, 19, 1900, 410, 53, 75),
	    &t), "a: servers answered 10 of 1000 requests with errors in the "
	    "last 9 s (500 10)");
	/* A share of less than a hundredth is no disaster. */
	assert_int_equal(t.n, 3);
	assert_string_equal(t.text[1],
	    "web: 3 of 1000 requests failed in the last 9 s "
	    "(upstream_reset 3)");
	assert_string_equal(t.text[2],
	    "web: limits refused 5 in the last 9 s (rate 5)");
	/* A minute later. */
	assert_string_equal(trouble(&f, with_listener(1, 76, 1900, 410, 53, 75),
	    &t), "a: servers answered 10 of 900 requests with errors in the "
	    "last minute (500 10)");
	assert_string_equal(trouble(&f, with_listener(1, 82, 1900, 410, 53, 75),
	    &t), "");
	/* Counters that were lost are no minus; another process begins anew. */
	assert_string_equal(trouble(&f, with_listener(1, 83, 3, 0, 0, 0), &t),
	    "");
	assert_string_equal(trouble(&f, with_listener(2, 84, 99, 99, 99, 99),
	    &t), "");
	assert_string_equal(trouble(&f, with_listener(2, 85, 109, 109, 99, 99),
	    &t), "a: servers answered 10 of 10 requests with errors in the "
	    "last 1 s (500 10)");
	top_frames_take(&f, NULL);
}

/* A weir of another version: less than is known here. */
static void
an_empty_frame_is_a_frame(void **state)
{
	struct top_frames f = { .now = NULL };
	struct top_page page = { .lines = NULL };
	struct troubles troubles;
	struct top_row *rows;
	size_t n;

	(void)state;
	top_frames_take(&f, json_object());
	rows = top_rows(&f, &n);
	assert_int_equal(n, 0);
	page_clear(&page);
	troubles_find(&troubles, &f, rows, n);
	page_program(&page, &f, &troubles);
	page_overview(&page, &f, rows, n, &(struct top_chosen){ .name = "" });
	page_told(&page, &f, &troubles);
	page_listener(&page, &f, "x");
	page_slow(&page, f.now);
	assert_true(page.n > 4);
	page_fini(&page);
	free(rows);
	top_frames_take(&f, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_growth_by_time_between_frames),
		cmocka_unit_test(the_state_is_the_worst_there_is),
		cmocka_unit_test(rows_come_in_the_order_that_was_asked_for),
		cmocka_unit_test(lines_fit_and_are_tame),
		cmocka_unit_test(
		    what_was_wrong_within_the_last_minute_is_named),
		cmocka_unit_test(an_empty_frame_is_a_frame)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
