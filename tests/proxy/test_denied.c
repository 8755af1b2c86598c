/*
 * proxy/denied: what stands for a name, and how many lines there are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/denied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
names_are_printable_and_without_blanks(void **state)
{
	static const struct {
		const char *name, *shown;
	} rows[] = {
		{ "app", "app" }, { "", "\"\"" }, { "a b", "a\\x20b" },
		{ "a\nb", "a\\x0ab" }, { "\\x20", "\\x5cx20" },
		{ "j\xc3\xb6\x7f", "j\\xc3\\xb6\\x7f" }
	};
	char out[DENIED_NAME], name[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(denied_name(rows[i].name, out),
		    rows[i].shown);
	/* The longest there can be fills it to its end. */
	memset(name, '\x01', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(strlen(denied_name(name, out)), DENIED_NAME - 1);
	assert_string_equal(out + DENIED_NAME - 4, "...");
	name[64] = '\0';
	assert_int_equal(strlen(denied_name(name, out)), DENIED_NAME - 4);
}

static void
so_many_in_a_span_and_the_rest_is_counted(void **state)
{
	struct denied_pace p = { 0 };
	unsigned i, left_out = 9;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_true(denied_is_told(&p, 3, 100, 1000 + i, &left_out));
		assert_int_equal(left_out, 0);
	}
	for (i = 0; i < 7; i++)
		assert_false(denied_is_told(&p, 3, 100, 1099, &left_out));
	assert_true(denied_is_told(&p, 3, 100, 1100, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(denied_is_told(&p, 3, 100, 1101, &left_out));
	assert_int_equal(left_out, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_printable_and_without_blanks),
		cmocka_unit_test(so_many_in_a_span_and_the_rest_is_counted)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
