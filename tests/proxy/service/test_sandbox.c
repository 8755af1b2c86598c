/*
 * Places that the sandbox leaves open, by their names.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proxy/service/sandbox.h"

static char run[] = "/run/weir", logs[] = "/var/log/weir", root[] = "/";

static const struct sandbox_place given[] = {
	{ run, SANDBOX_SOCKETS }, { logs, SANDBOX_FILES }
};

static bool
permitted(const char *dir, unsigned uses)
{
	struct sandbox_place wanted = { (char *)(uintptr_t)dir, uses };

	return places_lacking(given, 2, &wanted, 1) == NULL;
}

static void
what_is_in_a_place_is_permitted(void **state)
{
	(void)state;
	assert_true(permitted("/run/weir", SANDBOX_SOCKETS));
	assert_true(permitted("/run/weir/deep/er", SANDBOX_SOCKETS));
	assert_true(permitted("/var/log/weir", SANDBOX_FILES));
}

static void
what_only_begins_like_one_is_not(void **state)
{
	(void)state;
	assert_false(permitted("/run/weird", SANDBOX_SOCKETS));
	assert_false(permitted("/run", SANDBOX_SOCKETS));
	assert_false(permitted("/", SANDBOX_FILES));
}

static void
another_use_is_not(void **state)
{
	(void)state;
	assert_false(permitted("/run/weir", SANDBOX_FILES));
	assert_false(permitted("/var/log/weir", SANDBOX_FILES |
	    SANDBOX_SOCKETS));
}

static void
in_the_root_is_everything(void **state)
{
	const struct sandbox_place all = { root, SANDBOX_FILES };
	const struct sandbox_place wanted = { logs, SANDBOX_FILES };

	(void)state;
	assert_null(places_lacking(&all, 1, &wanted, 1));
}

static void
the_one_that_is_lacking_is_told(void **state)
{
	static char other[] = "/srv";
	const struct sandbox_place wanted[] = {
		{ run, SANDBOX_SOCKETS }, { other, SANDBOX_FILES }
	};

	(void)state;
	assert_ptr_equal(places_lacking(given, 2, wanted, 2), &wanted[1]);
	assert_ptr_equal(places_lacking(NULL, 0, wanted, 2), &wanted[0]);
	assert_null(places_lacking(NULL, 0, NULL, 0));
}

/* Is it among them, with just those uses? */
static bool
among(const struct sandbox_place *v, size_t n, const char *dir, unsigned uses)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(v[i].dir, dir) == 0)
			return v[i].uses == uses;
	return false;
}

static void
of_two_layers_the_narrower_counts(void **state)
{
	static char deep[] = "/run/weir/deep", near[] = "/run/weird";
	const unsigned both = SANDBOX_FILES | SANDBOX_SOCKETS;
	const struct sandbox_place a[] = {
		{ run, both }, { logs, SANDBOX_FILES }, { near, both }
	};
	const struct sandbox_place b[] = {
		{ deep, SANDBOX_SOCKETS }, { logs, both }
	};
	const struct sandbox_place other = { logs, SANDBOX_SOCKETS };
	struct sandbox_place *v = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(places_common(a, 3, b, 2, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_true(among(v, n, deep, SANDBOX_SOCKETS));
	assert_true(among(v, n, logs, SANDBOX_FILES));
	places_free(v, n);
	v = NULL;
	n = 0;
	assert_int_equal(places_common(b, 2, a, 3, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_true(among(v, n, deep, SANDBOX_SOCKETS));
	assert_true(among(v, n, logs, SANDBOX_FILES));
	places_free(v, n);
	v = NULL;
	n = 0;
	assert_int_equal(places_common(a, 3, &other, 1, &v, &n), 0);
	assert_int_equal(n, 0);
	places_free(v, n);
}

static void
the_loader_is_the_one_that_was_used(void **state)
{
	char path[PATH_MAX];
	struct stat named, used;
	Dl_info info;

	(void)state;
	landlock_loader(path);
	assert_int_equal(path[0], '/');
	assert_int_equal(stat(path, &named), 0);
	/* getauxval(3): where the kernel has put it. */
	assert_int_not_equal(dladdr((void *)getauxval(AT_BASE), &info), 0);
	assert_int_equal(stat(info.dli_fname, &used), 0);
	assert_int_equal(named.st_ino, used.st_ino);
	assert_int_equal(named.st_dev, used.st_dev);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_a_place_is_permitted),
		cmocka_unit_test(what_only_begins_like_one_is_not),
		cmocka_unit_test(another_use_is_not),
		cmocka_unit_test(in_the_root_is_everything),
		cmocka_unit_test(the_one_that_is_lacking_is_told),
		cmocka_unit_test(of_two_layers_the_narrower_counts),
		cmocka_unit_test(the_loader_is_the_one_that_was_used)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
