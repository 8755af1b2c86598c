/*
 * proto/redis/probe: what it asks, byte by byte, and what it makes of answers,
 * in one piece and in pieces of every size.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/redis/redis.h"
#include "tests/support/probe_talk.h"

static struct probe_talk talk;
static struct conf_upstream conf;
static struct redis_upstream_conf own;
static char user[] = "weir", password[] = "s\r\n3cret", nothing[] = "";

static int
set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(&own, 0, sizeof(own));
	conf.proto = &proto_redis.conf;
	conf.own = &own;
	probe_talk_begin(&talk, &redis_probe, &conf);
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
asks(const char *wanted)
{
	probe_talk_asks(&talk, "r:6379", wanted, strlen(wanted));
}

static void
it_asks_ping(void **state)
{
	(void)state;
	asks("*1\r\n$4\r\nPING\r\n");
}

static void
it_logs_in_when_the_file_says_how(void **state)
{
	(void)state;
	own.password = password;
	asks("*2\r\n$4\r\nAUTH\r\n$8\r\ns\r\n3cret\r\n*1\r\n$4\r\nPING\r\n");
	own.user = user;
	asks("*3\r\n$4\r\nAUTH\r\n$4\r\nweir\r\n$8\r\ns\r\n3cret\r\n"
	    "*1\r\n$4\r\nPING\r\n");
	own.password = NULL;
	asks("*3\r\n$4\r\nAUTH\r\n$4\r\nweir\r\n$0\r\n\r\n"
	    "*1\r\n$4\r\nPING\r\n");
	own.user = NULL;
	own.password = nothing;
	asks("*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n");
}

static void
it_asks_for_the_role_only_if_one_is_wanted(void **state)
{
	(void)state;
	own.role = REDIS_ROLE_MASTER;
	asks("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nROLE\r\n");
	own.role = REDIS_ROLE_REPLICA;
	own.password = nothing;
	asks("*2\r\n$4\r\nAUTH\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n"
	    "*1\r\n$4\r\nROLE\r\n");
}

/* health.type may be "redis" where the protocol is tcp. */
static void
an_upstream_of_another_protocol_is_only_pinged(void **state)
{
	static const struct conf_proto tcp = { .name = "tcp" };

	/* Whatever is there is not a struct redis_upstream_conf. */
	static char other[sizeof(own)];

	(void)state;
	memset(other, 0x5a, sizeof(other));
	conf.proto = &tcp;
	conf.own = other;
	asks("*1\r\n$4\r\nPING\r\n");
	conf.proto = &proto_redis.conf;
	conf.own = NULL;
	asks("*1\r\n$4\r\nPING\r\n");
	conf.proto = NULL;
	conf.own = other;
	asks("*1\r\n$4\r\nPING\r\n");
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
a_ping_answered_is_well(void **state)
{
	(void)state;
	says("+PONG\r\n", PROBE_OK, "");
}

static void
an_error_is_told_in_the_servers_words(void **state)
{
	(void)state;
	says("-LOADING Redis is loading the dataset in memory\r\n", PROBE_BAD,
	    "PING: LOADING Redis is loading the dataset in memory");
	says("-MASTERDOWN Link with MASTER is down and "
	    "replica-serve-stale-data is set to 'no'.\r\n", PROBE_BAD,
	    "PING: MASTERDOWN Link with MASTER is down and replica-serve-sta");
	says("-NOAUTH Authentication required.\r\n", PROBE_BAD,
	    "PING: NOAUTH Authentication required.");
	says("-BUSY Redis is busy\r\n", PROBE_BAD, "PING: BUSY Redis is busy");
	says("-A\x1b[31m\xff\r\n", PROBE_BAD, "PING: A?[31m?");
	says("-\r\n", PROBE_BAD, "PING: ");
}

static void
full_is_not_bad(void **state)
{
	(void)state;
	says("-ERR max number of clients reached\r\n", PROBE_FULL,
	    "PING: ERR max number of clients reached");
	says("-ERR max number of clients + cluster connections reached\r\n",
	    PROBE_FULL, "PING: ERR max number of clients + cluster "
	    "connections reached");
	says("-ERR max\r\n", PROBE_BAD, "PING: ERR max");
	says("-ERR\r\n", PROBE_BAD, "PING: ERR");
}

static void
a_login_refused_is_bad(void **state)
{
	(void)state;
	own.user = user;
	own.password = password;
	says("+OK\r\n+PONG\r\n", PROBE_OK, "");
	says("-WRONGPASS invalid username-password pair or user is disabled."
	    "\r\n-NOAUTH Authentication required.\r\n", PROBE_BAD,
	    "AUTH: WRONGPASS invalid username-password pair or user is disab");
	says("-ERR AUTH <password> called without any password\r\n+PONG\r\n",
	    PROBE_BAD, "AUTH: ERR AUTH <password> called without any password");
	says("+OK\r\n-LOADING x\r\n", PROBE_BAD, "PING: LOADING x");
	/* Each answer is that of its own question. */
	says("+PONG\r\n+PONG\r\n", PROBE_BAD, "AUTH: not the answer of Redis");
	says("+OK\r\n+OK\r\n", PROBE_BAD, "PING: not the answer of Redis");
}

static void
the_role_has_to_be_the_one_wanted(void **state)
{
#define MASTER "*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n" \
	"*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n"
#define REPLICA "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n" \
	"$9\r\nconnected\r\n:3167038\r\n"
	(void)state;
	own.role = REDIS_ROLE_MASTER;
	says("+PONG\r\n" MASTER, PROBE_OK, "");
	says("+PONG\r\n" REPLICA, PROBE_BAD, "a replica, not a master");
	says("-LOADING x\r\n" MASTER, PROBE_BAD, "PING: LOADING x");
	own.role = REDIS_ROLE_REPLICA;
	says("+PONG\r\n" MASTER, PROBE_BAD, "a master, not a replica");
	says("+PONG\r\n" REPLICA, PROBE_OK, "");
	says("+PONG\r\n*2\r\n$8\r\nsentinel\r\n*0\r\n", PROBE_BAD,
	    "ROLE: neither master nor replica");
	says("+PONG\r\n+slave\r\n", PROBE_BAD,
	    "ROLE: neither master nor replica");
	says("+PONG\r\n*1\r\n$6\r\nslaves\r\n", PROBE_BAD,
	    "ROLE: neither master nor replica");
	says("+PONG\r\n*0\r\n", PROBE_BAD, "ROLE: neither master nor replica");
	says("+PONG\r\n-NOPERM this user has no permissions\r\n", PROBE_BAD,
	    "ROLE: NOPERM this user has no permissions");
	says("+PONG\r\n", PROBE_BAD, "closed before the answer");
}

static void
what_is_not_redis_is_said_to_be_so(void **state)
{
	(void)state;
	says("HTTP/1.1 400 Bad Request\r\n\r\n", PROBE_BAD, "not Redis");
	says("ERROR\r\n", PROBE_BAD, "not Redis");
	says("\x15\x03\x01", PROBE_BAD, "not Redis");
	says(":1\r\n", PROBE_BAD, "PING: not the answer of Redis");
	says("$4\r\nPONG\r\n", PROBE_BAD, "PING: not the answer of Redis");
	says("+PONGS\r\n", PROBE_BAD, "PING: not the answer of Redis");
}

static void
an_end_before_the_answer_is_whole_is_bad(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("", 0, 1, true, why), PROBE_BAD);
	assert_string_equal(why, "closed without an answer");
	says("+PONG\r", PROBE_BAD, "closed inside the answer");
	says("-LOADING", PROBE_BAD, "closed inside the answer");
	own.password = password;
	says("+OK\r\n", PROBE_BAD, "closed before the answer");
}

static void
half_an_answer_is_waited_for(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("+PONG\r", 6, 4, false, why), PROBE_MORE);
	own.password = password;
	assert_int_equal(hear("+OK\r\n", 5, 2, false, why), PROBE_MORE);
}

/* A role, or a line, without an end. */
static void
answers_are_bounded(void **state)
{
	static const char *const begins[] = {
		"+PONG\r\n*3\r\n$6\r\nmaster\r\n:1\r\n*100000\r\n", "+PONG",
		"-LOADING ", "+PONG\r\n$100000000\r\n"
	};
	size_t pieces[] = { 100, 4096, 100000 }, i, j, at;
	enum { LONG = 70 * 1024 };
	char why[PROBE_WHY_MAX], *text = malloc(LONG);

	(void)state;
	assert_non_null(text);
	own.role = REDIS_ROLE_MASTER;
	for (i = 0; i < NELEMS(begins); i++) {
		at = strlen(begins[i]);
		memcpy(text, begins[i], at);
		for (j = 0; at < LONG; at++, j++)
			text[at] = i == 0 ? ":1\r\n"[j % 4] : 'x';
		for (j = 0; j < NELEMS(pieces); j++) {
			assert_int_equal(hear(text, LONG, pieces[j], false,
			    why), PROBE_BAD);
			assert_string_equal(why, "answer too long");
			assert_int_equal(hear(text, 60 * 1024, pieces[j], false,
			    why), PROBE_MORE);
		}
	}
	free(text);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_asks_ping),
		TEST(it_logs_in_when_the_file_says_how),
		TEST(it_asks_for_the_role_only_if_one_is_wanted),
		TEST(an_upstream_of_another_protocol_is_only_pinged),
		TEST(a_ping_answered_is_well),
		TEST(an_error_is_told_in_the_servers_words),
		TEST(full_is_not_bad),
		TEST(a_login_refused_is_bad),
		TEST(the_role_has_to_be_the_one_wanted),
		TEST(what_is_not_redis_is_said_to_be_so),
		TEST(an_end_before_the_answer_is_whole_is_bad),
		TEST(half_an_answer_is_waited_for),
		TEST(answers_are_bounded)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
