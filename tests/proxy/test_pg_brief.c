/*
 * Of a statement its first words are shown, and no value.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/err.h"
#include "proxy/proto/postgres/brief.h"

static const char *const rows[][2] = {
	{ "SELECT * FROM users WHERE id = 5", "SELECT * FROM users WHERE id" },
	{ "select a.b, t2.c\n\tfrom  \"t\"", "select a.b, t2.c from \"t\"" },
	{ "SELECT 5", "SELECT" },
	{ "SELECT a,5", "SELECT a," },
	{ "SELECT 'secret'", "SELECT" },
	{ "SELECT $$secret$$", "SELECT" },
	{ "INSERT INTO t (a) VALUES ('x')", "INSERT INTO t" },
	{ "ALTER USER bob PASSWORD 'secret'", "ALTER USER bob PASSWORD" },
	{ "SET app.token TO secret", "SET app.token TO" },
	{ "set app.token to secret", "set app.token to" },
	{ "SET app.token = secret", "SET app.token" },
	{ "/* by: me, secret */ -- and\n /**/ BEGIN", "BEGIN" },
	{ "/* secret", "" },
	{ "-- secret", "" },
	{ "-", "" },
	{ "", "" },
	{ "COMMIT;", "COMMIT" },
	{ "SELECT aaaaaaaaaa, bbbbbbbbbb, cccccccccc, dddddddd, e",
	    "SELECT aaaaaaaaaa, bbbbbbbbbb, cccccccccc, dddd" },
	{ "\xff\xfe", "" }
};

static void
values_are_not_shown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		struct pg_brief b = { .len = 99 };

		pg_brief_note(&b, rows[i][0], strlen(rows[i][0]));
		assert_int_equal(b.len, strlen(rows[i][1]));
		assert_memory_equal(b.text, rows[i][1], b.len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_not_shown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
