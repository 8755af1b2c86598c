/*
 * Who passes the guard of the admin port: tables of Host, Origin and token.
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

#include "proxy/admin/guard.h"

static char token[] = "s3cret-token";
static char internal[] = "weir.internal";
static char *hosts[] = { internal };

struct setting {
	bool with_token, probe, exposed;
};

static const struct setting usual = { false, false, false };
static const struct setting locked = { true, false, true };

/* The verdict on a request with these field lines. */
static enum verdict
judge(const struct setting *s, const char *fields)
{
	struct conf conf = { .admin = { .hosts = hosts, .n_hosts = 1,
	    .token = s->with_token ? token : NULL } };
	struct http_head *h = malloc(HTTP_HEAD_SIZE(64));
	enum verdict verdict;
	char head[4096];
	int len;

	assert_non_null(h);
	len = snprintf(head, sizeof(head), "GET /stats HTTP/1.1\r\n%s\r\n",
	    fields);
	assert_in_range(len, 1, sizeof(head) - 1);
	http_head_init(h, 64, 8192);
	assert_int_equal(http_request_parse(h, head, (size_t)len), PARSE_DONE);
	verdict = guard_judge(&conf, s->probe, s->exposed, h, head);
	free(h);
	return verdict;
}

/* Is a request with this field for the weir of that file? */
static bool
is_meant(const char *file, const char *field)
{
	struct http_head *h = malloc(HTTP_HEAD_SIZE(64));
	char head[512];
	bool meant;
	int len;

	assert_non_null(h);
	len = snprintf(head, sizeof(head), "POST /stop HTTP/1.1\r\n"
	    "Host: localhost\r\n%s\r\n", field);
	assert_in_range(len, 1, sizeof(head) - 1);
	http_head_init(h, 64, 8192);
	assert_int_equal(http_request_parse(h, head, (size_t)len), PARSE_DONE);
	meant = guard_is_meant(file, h, head);
	free(h);
	return meant;
}

static void
who_names_another_file_is_not_meant(void **state)
{
	(void)state;
	assert_true(is_meant("/a/b.conf", ""));
	assert_true(is_meant(NULL, ""));
	assert_true(is_meant("/a/b.conf", "weir-file: /a/b.conf\r\n"));
	assert_true(is_meant("/a/b c.conf", "Weir-File:  /a/b c.conf \r\n"));
	assert_false(is_meant("/a/b.conf", "Weir-File: /a/b.con\r\n"));
	assert_false(is_meant("/a/b.conf", "Weir-File: /a/b.conf2\r\n"));
	assert_false(is_meant("/a/b.conf", "Weir-File: /A/b.conf\r\n"));
	assert_false(is_meant("/a/b.conf", "Weir-File:\r\n"));
	assert_false(is_meant("/a/b.conf", "Weir-File: /a/b.conf\r\n"
	    "Weir-File: /other\r\n"));
	assert_false(is_meant(NULL, "Weir-File: /a/b.conf\r\n"));
}

static void
hosts_that_pass(void **state)
{
	static const char *const good[] = { "localhost", "LOCALHOST",
		"localhost:9901", "127.0.0.1", "127.0.0.1:9901", "10.1.2.3:1",
		"[::1]", "[::1]:9901", "[2001:db8::1]", "weir.internal",
		"Weir.Internal:80", "255.255.255.255" };
	char line[256];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(good); i++) {
		snprintf(line, sizeof(line), "Host: %s\r\n", good[i]);
		if (judge(&usual, line) != VERDICT_PASS)
			fail_msg("%s is refused", good[i]);
	}
}

static void
foreign_hosts_are_refused(void **state)
{
	static const char *const bad[] = { "evil.test", "evil.test:9901",
		"localhost.evil.test", "127.0.0.1.evil.test", "1.2.3",
		"0x7f.1", "127.1", "1.2.3.4.5", "256.1.1.1", "localhost.",
		"weir.internal.evil.test", "weir", "xweir.internal", "2130706433",
		"" };
	char line[256];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++) {
		snprintf(line, sizeof(line), "Host: %s\r\n", bad[i]);
		if (judge(&usual, line) != VERDICT_HOST)
			fail_msg("%s passes", bad[i]);
	}
}

static void
origin_has_to_be_the_host(void **state)
{
	static const struct { const char *origin; enum verdict verdict; } rows[] =
	{
		{ "http://127.0.0.1:9901", VERDICT_PASS },
		{ "https://127.0.0.1:9901", VERDICT_PASS },
		{ "HTTP://127.0.0.1:9901", VERDICT_PASS },
		{ "http://127.0.0.1", VERDICT_ORIGIN },
		{ "http://127.0.0.1:1", VERDICT_ORIGIN },
		{ "http://127.0.0.1:99010", VERDICT_ORIGIN },
		{ "http://localhost:9901", VERDICT_ORIGIN },
		{ "http://evil.test", VERDICT_ORIGIN },
		{ "https://127.0.0.1:9901.evil.test", VERDICT_ORIGIN },
		{ "null", VERDICT_ORIGIN },
		{ "ftp://127.0.0.1:9901", VERDICT_ORIGIN },
		{ "", VERDICT_ORIGIN }
	};
	char fields[512];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		snprintf(fields, sizeof(fields),
		    "Host: 127.0.0.1:9901\r\nOrigin: %s\r\n", rows[i].origin);
		if (judge(&usual, fields) != rows[i].verdict)
			fail_msg("Origin: %s", rows[i].origin);
	}
	assert_int_equal(judge(&usual, "Host: 127.0.0.1:9901\r\n"
	    "Origin: http://127.0.0.1:9901\r\nOrigin: http://evil.test\r\n"),
	    VERDICT_ORIGIN);
}

static void
token_has_to_be_the_token(void **state)
{
	static const struct { const char *field; enum verdict verdict; } rows[] =
	{
		{ "Authorization: Bearer s3cret-token\r\n", VERDICT_PASS },
		{ "authorization: bearer s3cret-token\r\n", VERDICT_PASS },
		{ "", VERDICT_TOKEN },
		{ "Authorization: Bearer \r\n", VERDICT_TOKEN },
		{ "Authorization: Bearer s3cret-toke\r\n", VERDICT_TOKEN },
		{ "Authorization: Bearer s3cret-token2\r\n", VERDICT_TOKEN },
		{ "Authorization: Bearer s3cret-tokens3cret-token\r\n",
		    VERDICT_TOKEN },
		{ "Authorization: Bearer S3CRET-TOKEN\r\n", VERDICT_TOKEN },
		{ "Authorization: Basic s3cret-token\r\n", VERDICT_TOKEN },
		{ "Authorization: s3cret-token\r\n", VERDICT_TOKEN },
		{ "Authorization: Bearer s3cret-token\r\n"
		    "Authorization: Bearer wrong\r\n", VERDICT_TOKEN },
		{ "X-Authorization: Bearer s3cret-token\r\n", VERDICT_TOKEN }
	};
	char fields[512];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		snprintf(fields, sizeof(fields), "Host: localhost\r\n%s",
		    rows[i].field);
		if (judge(&locked, fields) != rows[i].verdict)
			fail_msg("%s", rows[i].field);
	}
}

static void
an_exposed_bind_without_token_lets_nobody_in(void **state)
{
	const struct setting s = { false, false, true };

	(void)state;
	assert_int_equal(judge(&s, "Host: localhost\r\n"), VERDICT_TOKEN);
	assert_int_equal(judge(&s, "Host: localhost\r\n"
	    "Authorization: Bearer \r\n"), VERDICT_TOKEN);
}

static void
a_configured_token_holds_on_loopback_too(void **state)
{
	const struct setting s = { true, false, false };

	(void)state;
	assert_int_equal(judge(&s, "Host: localhost\r\n"), VERDICT_TOKEN);
	assert_int_equal(judge(&s, "Host: localhost\r\n"
	    "Authorization: Bearer s3cret-token\r\n"), VERDICT_PASS);
}

static void
probes_need_neither_host_nor_token(void **state)
{
	const struct setting s = { true, true, true };

	(void)state;
	assert_int_equal(judge(&s, "Host: pod.test\r\n"), VERDICT_PASS);
	assert_int_equal(judge(&s, "Host: pod.test\r\n"
	    "Origin: http://evil.test\r\n"), VERDICT_ORIGIN);
}

static void
exposed_is_what_others_reach(void **state)
{
	static const struct { const char *bind; bool exposed; } rows[] = {
		{ "127.0.0.1:1", false }, { "127.9.9.9:1", false },
		{ "[::1]:1", false }, { "unix:/tmp/x", false },
		{ "0.0.0.0:1", true }, { "[::]:1", true },
		{ "10.0.0.1:1", true }, { "[2001:db8::1]:1", true },
		{ "128.0.0.1:1", true }, { "[::ffff:127.0.0.1]:1", false },
		{ "[::ffff:10.0.0.1]:1", true }
	};
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		struct addr_text text;
		struct addr addr;

		assert_int_equal(addr_text_parse(rows[i].bind, false, &text,
		    &why), 0);
		assert_int_equal(addr_from_text(&text, &addr), 0);
		addr_text_fini(&text);
		if (guard_is_exposed(&addr) != rows[i].exposed)
			fail_msg("%s", rows[i].bind);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_names_another_file_is_not_meant),
		cmocka_unit_test(hosts_that_pass),
		cmocka_unit_test(foreign_hosts_are_refused),
		cmocka_unit_test(origin_has_to_be_the_host),
		cmocka_unit_test(token_has_to_be_the_token),
		cmocka_unit_test(an_exposed_bind_without_token_lets_nobody_in),
		cmocka_unit_test(a_configured_token_holds_on_loopback_too),
		cmocka_unit_test(probes_need_neither_host_nor_token),
		cmocka_unit_test(exposed_is_what_others_reach)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
