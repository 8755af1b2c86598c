/*
 * proto/postgres/probe: what it asks, message by message, and what it makes of
 * answers, in one piece and in pieces of every size.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/postgres/postgres.h"
#include "tests/support/probe_talk.h"

#define OK "R\0\0\0\x08\0\0\0\0"
#define CLEARTEXT "R\0\0\0\x08\0\0\0\3"
#define KEY "K\0\0\0\x0c\0\0\x10\x01" "abcd"
#define READY "Z\0\0\0\5I"
#define ENCODING "S\0\0\0\x19" "client_encoding\0UTF8\0"
#define NOTICE "N\0\0\0\x0eSINFO\0M?\0\0"
#define WELCOME OK ENCODING KEY READY
/* RowDescription of a column "x", DataRow, CommandComplete */
#define COLUMNS "T\0\0\0\x1a\0\1x\0\0\0\0\0\0\0\0\0\0\x10\0\1" \
	"\xff\xff\xff\xff\0\0"
#define ROW(value) "D\0\0\0\x0b\0\1\0\0\0\1" value
#define DONE "C\0\0\0\x0dSELECT 1\0"
#define STANDBY COLUMNS ROW("t") DONE READY
#define PRIMARY COLUMNS ROW("f") DONE READY
#define REFUSED(size, code, text) \
	"E\0\0\0" size "SFATAL\0C" code "\0M" text "\0\0"
#define STARTING REFUSED("\x19", "57P03", "soon")
#define BAD_PASSWORD REFUSED("\x17", "28P01", "no")

#define QUERY "Q\0\0\0\x2aSELECT pg_catalog.pg_is_in_recovery()\0"
#define TERMINATE "X\0\0\0\4"
/* What a literal has, without its own end. */
#define BYTES(literal) literal, sizeof(literal) - 1

static struct probe_talk talk;
static struct conf_upstream conf;
static struct pg_upstream_conf own;
static char postgres[] = "postgres", monitor[] = "monitor", secret[] = "s3cret";

static int
set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(&own, 0, sizeof(own));
	conf.proto = &proto_postgres.conf;
	conf.own = &own;
	own.check_database = postgres;
	probe_talk_begin(&talk, &pg_probe, &conf);
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
asks(const char *wanted, size_t len)
{
	probe_talk_asks(&talk, "p:5432", wanted, len);
}

#define STARTUP(size, user, database) "\0\0\0" size "\0\3\0\0user\0" user \
	"\0database\0" database "\0application_name\0weir check\0\0"

static void
who_asks_stands_in_the_file(void **state)
{
	(void)state;
	asks(BYTES(STARTUP("\x41", "weir", "postgres")));
	own.user = postgres;
	asks(BYTES(STARTUP("\x45", "postgres", "postgres")));
	own.check_user = monitor;
	own.check_database = monitor;
	asks(BYTES(STARTUP("\x43", "monitor", "monitor")));
}

/* health.type may be "postgres" where the protocol is tcp. */
static void
an_upstream_of_another_protocol_is_asked_by_nobody_in_particular(void **state)
{
	static const struct conf_proto tcp = { .name = "tcp" };

	/* Whatever is there is not a struct pg_upstream_conf. */
	static char other[sizeof(own)];

	(void)state;
	memset(other, 0x5a, sizeof(other));
	conf.proto = &tcp;
	conf.own = other;
	asks(BYTES(STARTUP("\x41", "weir", "postgres")));
}

/* ------------------------------------------------------------------ answers */

static enum probe_verdict
hear(const char *text, size_t len, size_t piece, bool eof,
    char why[PROBE_WHY_MAX])
{
	return probe_talk_hear(&talk, text, len, piece, eof, why);
}

static void
says(const char *text, size_t len, enum probe_verdict wanted,
    const char *wanted_why)
{
	probe_talk_says(&talk, text, len, wanted, wanted_why);
}

/* It has said that, after its question. */
static void
has_said(const char *wanted, size_t len)
{
	assert_int_equal(talk.said.len, len);
	if (len > 0)
		assert_memory_equal(buf_flat(&talk.store, &talk.said, len),
		    wanted, len);
}

static void
it_logs_in_asks_and_takes_its_leave(void **state)
{
	(void)state;
	own.user = monitor;
	says(BYTES(WELCOME PRIMARY), PROBE_OK, "");
	has_said(BYTES(QUERY TERMINATE));
	says(BYTES(NOTICE WELCOME NOTICE STANDBY), PROBE_OK, "");
	has_said(BYTES(QUERY TERMINATE));
}

static void
a_password_is_given_where_it_is_asked_for(void **state)
{
	(void)state;
	own.user = monitor;
	says(BYTES(CLEARTEXT WELCOME PRIMARY), PROBE_BAD, "login: the server "
	    "asks for a password, and there is none");
	own.password = secret;
	says(BYTES(CLEARTEXT WELCOME PRIMARY), PROBE_OK, "");
	has_said(BYTES("p\0\0\0\x0bs3cret\0" QUERY TERMINATE));
	/* Each user has its own. */
	own.check_user = postgres;
	says(BYTES(CLEARTEXT WELCOME PRIMARY), PROBE_BAD, "login: the server "
	    "asks for a password, and there is none");
}

static void
a_refusal_is_told_in_the_servers_words(void **state)
{
	(void)state;
	own.user = monitor;
	says(BYTES(STARTING), PROBE_BAD, "login: 57P03 soon");
	says(BYTES(BAD_PASSWORD), PROBE_BAD, "login: 28P01 no");
	says(BYTES(CLEARTEXT), PROBE_BAD, "login: the server asks for a "
	    "password, and there is none");
	says(BYTES(WELCOME REFUSED("\x17", "57P01", "go")), PROBE_BAD,
	    "query: 57P01 go");
	says(BYTES(REFUSED("\x16", "57P03", "\xff")), PROBE_BAD,
	    "login: 57P03 ?");
}

/* Without a login, a server that is well enough to say no is well. */
static void
who_is_nobody_takes_a_no_for_an_answer(void **state)
{
	(void)state;
	says(BYTES(BAD_PASSWORD), PROBE_OK, "");
	has_said(BYTES(""));
	says(BYTES(REFUSED("\x17", "28000", "no")), PROBE_OK, "");
	says(BYTES(REFUSED("\x17", "3D000", "no")), PROBE_OK, "");
	says(BYTES(CLEARTEXT), PROBE_OK, "");
	says(BYTES(NOTICE CLEARTEXT), PROBE_OK, "");
	says(BYTES("R\0\0\0\x08\0\0\0\7"), PROBE_OK, "");
	has_said(BYTES(""));
	/* Nor is anything else asked of one that lets everybody in. */
	says(BYTES(WELCOME PRIMARY), PROBE_OK, "");
	has_said(BYTES(QUERY TERMINATE));
	says(BYTES(STARTING), PROBE_BAD, "login: 57P03 soon");
	says(BYTES(REFUSED("\x17", "57P01", "no")), PROBE_BAD,
	    "login: 57P01 no");
	says(BYTES(REFUSED("\x17", "53300", "no")), PROBE_FULL,
	    "login: 53300 no");
}

static void
the_target_has_to_be_the_one_wanted(void **state)
{
	(void)state;
	own.user = monitor;
	own.target = PG_TARGET_PRIMARY;
	says(BYTES(WELCOME PRIMARY), PROBE_OK, "");
	says(BYTES(WELCOME STANDBY), PROBE_BAD, "a standby, not a primary");
	own.target = PG_TARGET_STANDBY;
	says(BYTES(WELCOME PRIMARY), PROBE_BAD, "a primary, not a standby");
	says(BYTES(WELCOME STANDBY), PROBE_OK, "");
	own.user = NULL;
	says(BYTES(WELCOME PRIMARY), PROBE_BAD, "a primary, not a standby");
	says(BYTES(WELCOME STANDBY), PROBE_OK, "");
	says(BYTES(BAD_PASSWORD), PROBE_BAD,
	    "target is not known: there is no check_user");
	says(BYTES(CLEARTEXT), PROBE_BAD,
	    "target is not known: there is no check_user");
}

#define NOT_ITS_ANSWER "query: not the answer of PostgreSQL"

static void
what_is_no_answer_is_said_to_be_so(void **state)
{
	(void)state;
	own.user = monitor;
	says(BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), PROBE_BAD,
	    "login: the answer is not PostgreSQL's");
	says(BYTES("R\0\0\0\3"), PROBE_BAD,
	    "login: the answer is not PostgreSQL's");
	says(BYTES(WELCOME COLUMNS DONE READY), PROBE_BAD, "query: no answer");
	says(BYTES(WELCOME READY), PROBE_BAD, "query: no answer");
	says(BYTES(WELCOME COLUMNS ROW("x")), PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME COLUMNS ROW("t") ROW("t")), PROBE_BAD,
	    NOT_ITS_ANSWER);
	says(BYTES(WELCOME COLUMNS "D\0\0\0\6\0\0"), PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME COLUMNS "D\0\0\0\x0a\0\1\xff\xff\xff\xff"),
	    PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME COLUMNS ROW("t") DONE "Z\0\0\0\5T"), PROBE_BAD,
	    NOT_ITS_ANSWER);
	says(BYTES(WELCOME "Z\0\0\0\4"), PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME "E\0\0\0\5S"), PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME "G\0\0\0\7\0\0\0"), PROBE_BAD, NOT_ITS_ANSWER);
	says(BYTES(WELCOME "T\xff\xff\xff\xff"), PROBE_BAD, NOT_ITS_ANSWER);
}

static void
an_end_before_the_answer_is_whole_is_bad(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_int_equal(hear("", 0, 1, true, why), PROBE_BAD);
	assert_string_equal(why, "closed without an answer");
	says(BYTES("R"), PROBE_BAD, "closed inside the answer");
	says(BYTES(OK), PROBE_BAD, "closed before the answer");
	says(BYTES(OK "Z\0\0"), PROBE_BAD, "closed inside the answer");
	says(BYTES(WELCOME), PROBE_BAD, "closed before the answer");
	says(BYTES(WELCOME COLUMNS "D\0\0\0\x0b"), PROBE_BAD,
	    "closed inside the answer");
	says(BYTES(WELCOME COLUMNS ROW("t") DONE), PROBE_BAD,
	    "closed before the answer");
	assert_int_equal(hear(BYTES(WELCOME COLUMNS), 3, false, why),
	    PROBE_MORE);
}

static void
answers_are_bounded(void **state)
{
	static const char notice[] = "N\0\0\0\x0eSINFO\0M?\0";
	size_t n = sizeof(notice), at = sizeof(WELCOME) - 1, i;
	size_t len = 70 * 1024;
	char why[PROBE_WHY_MAX], *text = malloc(len + n);

	(void)state;
	assert_non_null(text);
	memcpy(text, WELCOME, at);
	for (i = at; i < len; i += n)
		memcpy(text + i, notice, n);
	assert_int_equal(hear(text, len, 100, false, why), PROBE_BAD);
	assert_string_equal(why, "answer too long");
	assert_int_equal(hear(text, 60 * 1024, 100, false, why), PROBE_MORE);
	assert_int_equal(hear(BYTES(WELCOME "T\0\1\0\0"), 100, false, why),
	    PROBE_BAD);
	assert_string_equal(why, "answer too long");
	free(text);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(who_asks_stands_in_the_file),
		TEST(
		an_upstream_of_another_protocol_is_asked_by_nobody_in_particular
		),
		TEST(it_logs_in_asks_and_takes_its_leave),
		TEST(a_password_is_given_where_it_is_asked_for),
		TEST(a_refusal_is_told_in_the_servers_words),
		TEST(who_is_nobody_takes_a_no_for_an_answer),
		TEST(the_target_has_to_be_the_one_wanted),
		TEST(what_is_no_answer_is_said_to_be_so),
		TEST(an_end_before_the_answer_is_whole_is_bad),
		TEST(answers_are_bounded)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
