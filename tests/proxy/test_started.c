/*
 * How a weir calls the file that it was started with, and who finds it to be his.
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
#include <unistd.h>

#include <cmocka.h>

#include "proxy/started.h"

static void
is_called(const char *path, const char *expected)
{
	char *value = started_with(path);

	assert_non_null(value);
	assert_string_equal(value, expected);
	free(value);
}

static void
the_path_is_absolute_and_fit_for_a_field(void **state)
{
	char here[4096], *joined;

	(void)state;
	is_called(NULL, "(built in)");
	is_called("/etc/weir/weir.conf", "/etc/weir/weir.conf");
	is_called("/a b/100%/c", "/a b/100%25/c");
	is_called("/a\r\nX: y\x7f", "/a%0D%0AX: y%7F");
	is_called("/caf\xc3\xa9.conf ", "/caf%C3%A9.conf%20");
	assert_non_null(getcwd(here, sizeof(here)));
	assert_true(asprintf(&joined, "%s/x.conf", here) > 0);
	is_called("x.conf", joined);
	is_called("././x.conf", joined);
	free(joined);
}

static void
a_path_too_long_for_a_head_is_none(void **state)
{
	char path[5000];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_null(started_with(path));
}

/* Made in a folder of its own, which is where we are then. */
static void
one_file_by_two_paths_is_the_same(void **state)
{
	char folder[] = "/tmp/test_started.XXXXXX", odd[] = "o%d\xc3\xa9.conf";
	char *value;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	f = fopen(odd, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(symlink(odd, "link.conf"), 0);
	value = started_with(odd);
	assert_non_null(value);
	assert_true(started_same(value, odd));
	assert_true(started_same(value, "link.conf"));
	assert_false(started_same(value, "none.conf"));
	assert_false(started_same(value, "/dev/null"));
	assert_false(started_same("(built in)", odd));
	assert_false(started_same("o%25d%C3%A9.conf", odd));
	/* It is not there: then the path alone tells. */
	assert_int_equal(unlink(odd), 0);
	assert_true(started_same(value, odd));
	assert_false(started_same(value, "link.conf"));
	free(value);
	assert_int_equal(unlink("link.conf"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_is_absolute_and_fit_for_a_field),
		cmocka_unit_test(a_path_too_long_for_a_head_is_none),
		cmocka_unit_test(one_file_by_two_paths_is_the_same)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
