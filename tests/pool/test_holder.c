/*
 * What is shown of a request: its beginning, and of a request line no query.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/err.h"
#include "pool/holder.h"

static const struct {
	const char *came, *shown;
	bool is_line;
} rows[] = {
	{ "GET /a/b HTTP/1.1\r\nHost: x", "GET /a/b", true },
	{ "GET /a?token=s HTTP/1.1\r\n", "GET /a", true },
	{ "\r\n\r\nPUT / HTTP/1.1\r\n", "PUT /", true },
	{ "GET /x\r\nsecret", "GET /x", true },
	{ "GET /\x01\x7f\xc3 HTTP/1.1", "GET /???", true },
	{ "SELECT a ? b", "SELECT a ? b", false },
	{ "", "", true },
	{ "", "", false },
	/* 70 bytes, of which 62 are kept. */
	{ "GET /3456789012345678901234567890123456789012345678901234567890?s=1",
	    "GET /345678901234567890123456789012345678901234567890123456789",
	    true }
};

static void
shown_is_the_beginning_without_the_query(void **state)
{
	char out[BRIEF_MOST + 1];
	struct brief b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		brief_put(&b, rows[i].came, strlen(rows[i].came),
		    rows[i].is_line);
		brief_print(&b, out);
		if (i + 1 < NELEMS(rows))
			assert_string_equal(out, rows[i].shown);
		else
			assert_int_equal(strlen(out), BRIEF_MOST);
	}
}

static void
of_nothing_nothing_is_shown(void **state)
{
	char out[BRIEF_MOST + 1];
	const struct brief b = { 0 };

	(void)state;
	brief_print(&b, out);
	assert_string_equal(out, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown_is_the_beginning_without_the_query),
		cmocka_unit_test(of_nothing_nothing_is_shown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
