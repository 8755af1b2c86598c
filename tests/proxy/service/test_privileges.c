/*
 * Whom weir becomes when a name of the file has gone since it was loaded.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/service/privileges.h"

static char unknown[] = "no-such-name-here", known[] = "root";

static void
refused(char *user, char *group, const char *sentence)
{
	struct conf conf = { .user = user, .group = group };
	char why[256] = "";

	if (geteuid() != 0)
		skip();
	assert_int_equal(privileges_drop(&conf, NULL, why, sizeof(why)), -1);
	assert_string_equal(why, sentence);
	assert_int_equal(geteuid(), 0);
}

static void
a_user_that_has_gone_is_an_error(void **state)
{
	(void)state;
	refused(unknown, NULL,
	    "cannot become user no-such-name-here: not known");
	refused(unknown, known,
	    "cannot become user no-such-name-here: not known");
}

static void
a_group_that_has_gone_is_too(void **state)
{
	(void)state;
	refused(NULL, unknown,
	    "cannot become group no-such-name-here: not known");
	refused(known, unknown,
	    "cannot become group no-such-name-here: not known");
}

static void
nobody_else_is_asked_for(void **state)
{
	const struct conf conf = { 0 };
	char why[256] = "";

	(void)state;
	assert_int_equal(privileges_drop(&conf, NULL, why, sizeof(why)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_that_has_gone_is_an_error),
		cmocka_unit_test(a_group_that_has_gone_is_too),
		cmocka_unit_test(nobody_else_is_asked_for)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
