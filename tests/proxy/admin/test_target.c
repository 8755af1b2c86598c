/*
 * Paths with names in them, and queries: what is taken out of them and what is
 * not taken for anything.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/admin/target.h"

#define PATTERN "/upstreams/NAME/endpoints/ENDPOINT"

static void
a_plain_path_fits_itself_only(void **state)
{
	(void)state;
	assert_true(target_fits("/stats", "/stats"));
	assert_true(target_fits("/", "/"));
	assert_false(target_fits("/", ""));
	assert_false(target_fits("/stats", "/stat"));
	assert_false(target_fits("/stats", "/stats/"));
	assert_false(target_fits("/stats", "/stats/stream"));
	assert_false(target_fits("/stats", ""));
}

static void
names_are_taken_out_of_a_path(void **state)
{
	static const struct { const char *path, *name, *endpoint; } rows[] = {
		{ "/upstreams/app/endpoints/127.0.0.1:3000", "app",
		    "127.0.0.1:3000" },
		{ "/upstreams/app/endpoints/unix:/run/app.sock", "app",
		    "unix:/run/app.sock" },
		{ "/upstreams/app/endpoints/unix%3A%2Frun%2Fapp.sock", "app",
		    "unix:/run/app.sock" },
		{ "/upstreams/a%20b%2fc/endpoints/%5b::1%5D:1", "a b/c",
		    "[::1]:1" },
		{ "/upstreams/a/endpoints//endpoints/", "a", "/endpoints/" },
		{ "/upstreams/%C3%BC/endpoints/%ff", "\xc3\xbc", "\xff" }
	};
	char out[64];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		assert_true(target_fits(PATTERN, rows[i].path));
		assert_int_equal(target_part(PATTERN, rows[i].path, 0, out,
		    sizeof(out)), 0);
		assert_string_equal(out, rows[i].name);
		assert_int_equal(target_part(PATTERN, rows[i].path, 1, out,
		    sizeof(out)), 0);
		assert_string_equal(out, rows[i].endpoint);
	}
	assert_int_equal(target_part(PATTERN, rows[0].path, 2, out,
	    sizeof(out)), -1);
}

static void
an_empty_name_does_not_fit(void **state)
{
	static const char *const bad[] = { "/upstreams", "/upstreams/",
		"/upstreams/app", "/upstreams/app/endpoints",
		"/upstreams/app/endpoints/", "/upstreams//endpoints/x",
		"/upstreams/endpoints/x", "/Upstreams/app/endpoints/x", "/",
		"" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++)
		if (target_fits(PATTERN, bad[i]))
			fail_msg("%s fits", bad[i]);
}

static void
what_is_not_rightly_encoded_is_no_name(void **state)
{
	static const char *const bad[] = { "%", "%2", "%zz", "%2g", "a%",
		"%00", "a%00b", "% 1" };
	char path[64], out[16];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++) {
		snprintf(path, sizeof(path), "/upstreams/%s/endpoints/x",
		    bad[i]);
		if (target_part(PATTERN, path, 0, out, sizeof(out)) == 0)
			fail_msg("%s is taken as %s", path, out);
	}
	/* Nor is what has no room. */
	assert_int_equal(target_part("/NAME", "/123456789012345", 0, out,
	    sizeof(out)), 0);
	assert_int_equal(target_part("/NAME", "/1234567890123456", 0, out,
	    sizeof(out)), -1);
}

static void
values_are_found_by_their_whole_key(void **state)
{
	static const char query[] = "state=down&weight=2&estate=x&pretty&"
	    "for=10%6d&&odd=%zz%&empty=&a=b=c";
	static const struct { const char *key, *value; } rows[] = {
		{ "state", "down" }, { "weight", "2" }, { "pretty", "" },
		{ "for", "10m" }, { "odd", "%zz%" }, { "empty", "" },
		{ "a", "b=c" }, { "estate", "x" }, { "stat", NULL },
		{ "states", NULL }, { "down", NULL }, { "", NULL }
	};
	char out[16];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		const char *got = target_query(query, rows[i].key, out,
		    sizeof(out));

		if (rows[i].value == NULL)
			assert_null(got);
		else {
			assert_non_null(got);
			assert_string_equal(got, rows[i].value);
		}
	}
	assert_string_equal(target_query("k=123456", "k", out, 4), "123");
	assert_null(target_query("", "k", out, sizeof(out)));
}

static void
a_word_that_nobody_reads_is_found(void **state)
{
	static const char *const known[] = { "state", "for", NULL };
	static const struct { const char *query, *stray; } rows[] = {
		{ "", NULL }, { "state=up", NULL }, { "for=1m&state=up", NULL },
		{ "pretty&state=up", NULL }, { "&&state=up&", NULL },
		{ "stat=up", "stat" }, { "state=up&fro=1m", "fro" },
		{ "state=up&state=down", "state" }, { "x", "x" },
		{ "state=up&pretty&pretty", "pretty" },
		{ "=up", "" }, { "averyveryverylongword=1", "averyve" }
	};
	char out[8];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		const char *got = target_stray(rows[i].query, known, out,
		    sizeof(out));

		if (rows[i].stray == NULL && got != NULL)
			fail_msg("%s: %s", rows[i].query, got);
		if (rows[i].stray != NULL) {
			assert_non_null(got);
			assert_string_equal(got, rows[i].stray);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_path_fits_itself_only),
		cmocka_unit_test(names_are_taken_out_of_a_path),
		cmocka_unit_test(an_empty_name_does_not_fit),
		cmocka_unit_test(what_is_not_rightly_encoded_is_no_name),
		cmocka_unit_test(values_are_found_by_their_whole_key),
		cmocka_unit_test(a_word_that_nobody_reads_is_found)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
