/*
 * proto/memcached/probe: what it asks, and what it makes of answers, in one
 * piece and in pieces of every size.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/probe_talk.h"

static struct probe_talk talk;
static struct conf_upstream conf;

static int
set_up(void **state)
{
	(void)state;
	probe_talk_begin(&talk, &memcached_probe, &conf);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	probe_talk_end(&talk);
	return 0;
}

static void
it_asks_for_the_version(void **state)
{
	(void)state;
	assert_int_equal(memcached_probe.state_size, 0);
	probe_talk_asks(&talk, "m:11211", "version\r\n", 9);
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
a_version_is_well(void **state)
{
	(void)state;
	says("VERSION 1.6.18\r\n", PROBE_OK, "");
	says("VERSION 1.6.18\r\nmore", PROBE_OK, "");
	says("VERSION x y\r\n", PROBE_OK, "");
}

static void
an_error_is_told_in_the_servers_words(void **state)
{
	(void)state;
	says("ERROR\r\n", PROBE_BAD, "ERROR");
	says("ERROR Too many open connections\r\n", PROBE_BAD,
	    "ERROR Too many open connections");
	says("CLIENT_ERROR unauthenticated\r\n", PROBE_BAD,
	    "CLIENT_ERROR unauthenticated");
	says("SERVER_ERROR out of memory\x1b\xff\r\n", PROBE_BAD,
	    "SERVER_ERROR out of memory??");
	says("SERVER_ERROR 0123456789012345678901234567890123456789012345678901"
	    "234567890\r\n", PROBE_BAD, "SERVER_ERROR "
	    "01234567890123456789012345678901234567890123456789");
}

static void
what_is_not_memcached_is_said_to_be_so(void **state)
{
	(void)state;
	says("HTTP/1.1 400 Bad Request\r\n\r\n", PROBE_BAD, "not memcached");
	says("-ERR unknown command\r\n", PROBE_BAD, "not memcached");
	says("VERSION \r\n", PROBE_BAD, "not memcached");
	says("VERSION\r\n", PROBE_BAD, "not memcached");
	says("version 1.6\r\n", PROBE_BAD, "not memcached");
	says("VERSION 1.6\n", PROBE_BAD, "not memcached");
	says("ERRORS\r\n", PROBE_BAD, "not memcached");
	says("\r\n", PROBE_BAD, "not memcached");
	says("\n", PROBE_BAD, "not memcached");
}

static void
an_end_before_the_line_is_whole_is_bad(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("", 0, 1, true, why), PROBE_BAD);
	assert_string_equal(why, "closed without an answer");
	says("VERSION 1.6.18\r", PROBE_BAD, "closed inside the answer");
	says("V", PROBE_BAD, "closed inside the answer");
}

static void
half_a_line_is_waited_for(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("VERSION 1.6.18\r", 15, 4, false, why),
	    PROBE_MORE);
}

static void
a_line_is_bounded(void **state)
{
	size_t pieces[] = { 1, 100, 1000 }, i;
	char text[1000], why[PROBE_WHY_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "VERSION ", 8);
	for (i = 0; i < NELEMS(pieces); i++) {
		assert_int_equal(hear(text, 255, pieces[i], false, why),
		    PROBE_MORE);
		assert_int_equal(hear(text, sizeof(text), pieces[i], false,
		    why), PROBE_BAD);
		assert_string_equal(why, "answer too long");
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_asks_for_the_version),
		TEST(a_version_is_well),
		TEST(an_error_is_told_in_the_servers_words),
		TEST(what_is_not_memcached_is_said_to_be_so),
		TEST(an_end_before_the_line_is_whole_is_bad),
		TEST(half_a_line_is_waited_for),
		TEST(a_line_is_bounded)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
