/*
 * proto/http/probe: what it asks, byte by byte, and what it makes of answers,
 * in one piece and in pieces of every size.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/probe_talk.h"

static struct probe_talk talk;
static struct conf_upstream conf;
static char path[] = "/healthz?deep=1";

static int
set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	conf.health.path = path;
	conf.health.expect.v[0].from = 200;
	conf.health.expect.v[0].to = 399;
	conf.health.expect.n = 1;
	probe_talk_begin(&talk, &http_probe, &conf);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	probe_talk_end(&talk);
	return 0;
}

/* --------------------------------------------------------------------- asks */

static void
asks(const char *authority, const char *wanted)
{
	probe_talk_asks(&talk, authority, wanted, strlen(wanted));
}

static void
it_asks_the_endpoint_by_its_own_name(void **state)
{
	(void)state;
	asks("app.internal:3000", "GET /healthz?deep=1 HTTP/1.1\r\n"
	    "Host: app.internal:3000\r\nUser-Agent: weir/" WEIR_VERSION "\r\n"
	    "Connection: close\r\n\r\n");
}

static void
or_by_the_name_in_the_file(void **state)
{
	static char host[] = "status.test";

	(void)state;
	conf.health.host = host;
	asks("app.internal:3000", "GET /healthz?deep=1 HTTP/1.1\r\n"
	    "Host: status.test\r\nUser-Agent: weir/" WEIR_VERSION "\r\n"
	    "Connection: close\r\n\r\n");
}

/* ------------------------------------------------------------------ answers */

static enum probe_verdict
hear(const char *text, size_t len, size_t piece, bool eof,
    char why[PROBE_WHY_MAX])
{
	enum probe_verdict got = probe_talk_hear(&talk, text, len, piece, eof,
	    why);

	assert_int_equal(talk.said.len, 0);
	return got;
}

static void
says(const char *text, enum probe_verdict wanted, const char *wanted_why)
{
	probe_talk_says(&talk, text, strlen(text), wanted, wanted_why);
	assert_int_equal(talk.said.len, 0);
}

static void
an_expected_status_is_well(void **state)
{
	(void)state;
	says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 204 No Content\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 399 \r\nTransfer-Encoding: chunked\r\n\r\n",
	    PROBE_OK, "");
}

static void
another_status_is_named(void **state)
{
	(void)state;
	says("HTTP/1.1 500 Oops\r\n\r\n", PROBE_BAD, "status 500");
	says("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc",
	    PROBE_BAD, "status 404");
	says("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n"
	    "Upgrade: x\r\n\r\n", PROBE_BAD, "status 101");
}

static void
the_file_says_which_are_expected(void **state)
{
	(void)state;
	conf.health.expect.v[0].from = conf.health.expect.v[0].to = 204;
	conf.health.expect.v[1].from = 401;
	conf.health.expect.v[1].to = 403;
	conf.health.expect.n = 2;
	says("HTTP/1.1 200 OK\r\n\r\n", PROBE_BAD, "status 200");
	says("HTTP/1.1 204 None\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 400 Bad\r\n\r\n", PROBE_BAD, "status 400");
	says("HTTP/1.1 401 Who\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 403 No\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 404 Where\r\n\r\n", PROBE_BAD, "status 404");
}

static void
interim_answers_are_passed_over(void **state)
{
	(void)state;
	says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
	    "Link: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", PROBE_OK, "");
	says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n",
	    PROBE_BAD, "status 503");
	says("HTTP/1.1 100 Continue\r\n\r\n", PROBE_BAD,
	    "closed without an answer");
}

static void
what_is_not_http_is_said_to_be_so(void **state)
{
	(void)state;
	says("SSH-2.0-OpenSSH_9.2\r\n", PROBE_BAD, "not HTTP");
	says("\x15\x03\x01", PROBE_BAD, "not HTTP");
	says("HTTP/3.0 200 OK\r\n\r\n", PROBE_BAD, "not HTTP");
	says("HTTP/1.1 2x0 OK\r\n\r\n", PROBE_BAD, "not HTTP");
}

static void
a_bad_head_is_no_answer(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	says("HTTP/1.1 200 OK\r\nA\r\n\r\n", PROBE_BAD,
	    "bad answer: field line without colon");
	assert_int_equal(hear("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	    "Content-Length: 2\r\n\r\n", 56, 56, true, why), PROBE_BAD);
	assert_int_equal(strncmp(why, "bad answer: ", 12), 0);
}

static void
an_end_before_the_head_is_whole_is_bad(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("", 0, 1, true, why), PROBE_BAD);
	assert_string_equal(why, "closed without an answer");
	says("HTTP/1.1 200 OK\r\n", PROBE_BAD, "closed inside the answer");
	says("H", PROBE_BAD, "closed inside the answer");
}

static void
half_a_head_is_waited_for(void **state)
{
	char why[PROBE_WHY_MAX];
	const char *text = "HTTP/1.1 200 OK\r\nA: b\r\n";

	(void)state;
	assert_int_equal(hear(text, strlen(text), 3, false, why), PROBE_MORE);
}

/* A head, or interim heads, of `len` bytes and no end. */
static enum probe_verdict
hear_much(const char *begin, const char *again, size_t len, size_t piece,
    char why[PROBE_WHY_MAX])
{
	char *text = malloc(len);
	size_t at = strlen(begin), n;
	enum probe_verdict got;

	assert_non_null(text);
	memcpy(text, begin, at);
	while (at < len) {
		n = strlen(again) < len - at ? strlen(again) : len - at;
		memcpy(text + at, again, n);
		at += n;
	}
	got = hear(text, len, piece, false, why);
	free(text);
	return got;
}

static void
a_head_is_bounded(void **state)
{
	char why[PROBE_WHY_MAX];
	size_t pieces[] = { 100, 4096, 100000 }, i;

	(void)state;
	for (i = 0; i < NELEMS(pieces); i++) {
		assert_int_equal(hear_much("HTTP/1.1 200 OK\r\nA: ", "x",
		    16383, pieces[i], why), PROBE_MORE);
		assert_int_equal(hear_much("HTTP/1.1 200 OK\r\nA: ", "x",
		    16384, pieces[i], why), PROBE_BAD);
		assert_string_equal(why, "bad answer: head too large");
		assert_int_equal(hear_much("", "HTTP/1.1 100 C\r\n\r\n",
		    200000, pieces[i], why), PROBE_BAD);
	}
}

static void
a_hundred_fields_are_read_and_no_more(void **state)
{
	char text[16 * 1024], why[PROBE_WHY_MAX];
	unsigned fields, i;
	int at;

	(void)state;
	for (fields = 100; fields <= 101; fields++) {
		at = sprintf(text, "HTTP/1.1 200 OK\r\n");
		for (i = 0; i < fields; i++)
			at += sprintf(text + at, "X-%u: y\r\n", i);
		at += sprintf(text + at, "\r\n");
		assert_int_equal(hear(text, (size_t)at, 1000, false, why),
		    fields == 100 ? PROBE_OK : PROBE_BAD);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_asks_the_endpoint_by_its_own_name),
		TEST(or_by_the_name_in_the_file),
		TEST(an_expected_status_is_well),
		TEST(another_status_is_named),
		TEST(the_file_says_which_are_expected),
		TEST(interim_answers_are_passed_over),
		TEST(what_is_not_http_is_said_to_be_so),
		TEST(a_bad_head_is_no_answer),
		TEST(an_end_before_the_head_is_whole_is_bad),
		TEST(half_a_head_is_waited_for),
		TEST(a_head_is_bounded),
		TEST(a_hundred_fields_are_read_and_no_more)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
