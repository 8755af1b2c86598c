/*
 * The table of failures: whoever reads a row finds what it needs there.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/fail.h"
#include "proxy/proto/http/http.h"
#include "tests/support/lane_scene.h"

static void
every_failure_has_a_name_of_its_own(void **state)
{
	unsigned i, j;

	(void)state;
	for (i = 0; i < N_FAILS; i++) {
		const char *name = fail_rows[i].name;

		assert_non_null(name);
		assert_true(name[0] != '\0');
		/* A value of a label, a word of a log line. */
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"),
		    strlen(name));
		for (j = 0; j < i; j++)
			assert_string_not_equal(name, fail_rows[j].name);
	}
}

static void
every_failure_says_what_it_is_without_a_full_stop(void **state)
{
	unsigned i, j;

	(void)state;
	assert_string_equal(fail_rows[FAIL_NONE].text, "");
	for (i = FAIL_NONE + 1; i < N_FAILS; i++) {
		const char *text = fail_rows[i].text;

		assert_non_null(text);
		assert_true(strlen(text) > 10);
		assert_true(text[strlen(text) - 1] != '.');
		assert_null(strpbrk(text, "\r\n"));
		for (j = 0; j < i; j++)
			assert_string_not_equal(text, fail_rows[j].text);
	}
}

static void
those_that_nobody_can_be_told_have_no_status(void **state)
{
	static const enum fail untold[] = {
		FAIL_NONE, FAIL_IDLE_TIMEOUT, FAIL_CLIENT_STALLED,
		FAIL_CLIENT_GONE, FAIL_CANCELLED, FAIL_TRANSACTION_IDLE,
		FAIL_TUNNEL_TIMEOUT, FAIL_HANDSHAKE, FAIL_HANDSHAKE_TIMEOUT,
		FAIL_TLS_ON_PLAINTEXT, FAIL_CLIENT_WASTES,
		FAIL_PROXY_HEADER, FAIL_PROXY_TIMEOUT, FAIL_AUTH
	};
	unsigned i, j;

	(void)state;
	for (i = 0; i < N_FAILS; i++) {
		bool told = true;

		for (j = 0; j < NELEMS(untold); j++)
			told = told && untold[j] != i;
		if (told)
			assert_in_range(fail_rows[i].status, 400, 599);
		else
			assert_int_equal(fail_rows[i].status, 0);
	}
}

/* RFC 9110 15: whose fault is it? */
static void
client_gets_4xx_for_its_own_faults_only(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < N_FAILS; i++) {
		if (fail_rows[i].status == 0)
			continue;
		if (i < FAIL_NO_ENDPOINT)
			assert_in_range(fail_rows[i].status, 400, 499);
		else
			assert_in_range(fail_rows[i].status, 500, 599);
	}
}

static void
every_refusal_is_a_failure_of_its_own(void **state)
{
	static const enum fail of[N_REFUSALS] = {
		[REFUSAL_NO_ENDPOINT] = FAIL_NO_ENDPOINT,
		[REFUSAL_HELD] = FAIL_UPSTREAM_LIMITED,
		[REFUSAL_QUEUE_FULL] = FAIL_QUEUE_FULL,
		[REFUSAL_QUEUE_TIMEOUT] = FAIL_QUEUE_TIMEOUT,
		[REFUSAL_CONNECT_FAILED] = FAIL_CONNECT_FAILED,
		[REFUSAL_CONNECT_TIMEOUT] = FAIL_CONNECT_TIMEOUT,
		[REFUSAL_NO_DESCRIPTORS] = FAIL_NO_DESCRIPTORS,
		[REFUSAL_PINNED] = FAIL_PINNED,
		[REFUSAL_LOGIN] = FAIL_LOGIN,
		[REFUSAL_TLS] = FAIL_TLS,
		[REFUSAL_UNFIT] = FAIL_UNFIT
	};
	unsigned i;

	(void)state;
	for (i = REFUSAL_NONE + 1; i < N_REFUSALS; i++) {
		/* A refusal that is new has no row above. */
		assert_int_not_equal(of[i], FAIL_NONE);
		assert_int_equal(fail_of_refusal((enum refusal)i), of[i]);
	}
	/* A lease that cannot be had for no reason of the pool's. */
	assert_int_equal(fail_of_refusal(REFUSAL_NONE), FAIL_NO_MEMORY);
}

static void
http_has_a_reason_for_every_status(void **state)
{
	static struct lane_scene s;
	unsigned i;
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	for (i = 0; i < N_FAILS; i++) {
		const struct fail_row *row = &fail_rows[i];
		struct session *session = lane_scene_session(&s);
		char want[128], body[256];
		struct exchange *x;
		const char *heard;

		if (row->status == 0)
			continue;
		x = exchange_new(session);
		assert_non_null(x);
		http_of(x)->head = (struct http_head *)(void *)
		    http_of(x)->inline_head;
		http_head_init(http_of(x)->head, 10, 1000);
		assert_int_equal(http_write_failure(x, row->status, row->name,
		    row->text), 0);
		conn_send(&session->conn);
		exchange_drop(x, (enum fail)i);
		lane_scene_run(&s);
		heard = lane_scene_hear(client);
		assert_non_null(heard);
		snprintf(want, sizeof(want), "HTTP/1.1 %u Error\r\n",
		    row->status);
		assert_null(strstr(heard, want));
		/* The body says which it was, whole. */
		snprintf(body, sizeof(body), "\r\n\r\n%u %s: %s\n", row->status,
		    row->name, row->text);
		assert_non_null(strstr(heard, body));
		snprintf(want, sizeof(want), "\r\nContent-Length: %zu\r\n",
		    strlen(body) - 4);
		assert_non_null(strstr(heard, want));
		assert_string_equal(strstr(heard, body), body);
		assert_int_equal(count_read(&s.door->failures[i]), 1);
	}
	close(client);
	lane_scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_has_a_name_of_its_own),
		cmocka_unit_test(
		    every_failure_says_what_it_is_without_a_full_stop),
		cmocka_unit_test(those_that_nobody_can_be_told_have_no_status),
		cmocka_unit_test(client_gets_4xx_for_its_own_faults_only),
		cmocka_unit_test(every_refusal_is_a_failure_of_its_own),
		cmocka_unit_test(http_has_a_reason_for_every_status)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
