/*
 * net/tls_watch: when files count as changed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/weir-watch-XXXXXX";
static char one[64], other[64];
static struct tls_watch w;

static void
put(const char *path, const char *text)
{
	char fresh[80];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	f = fopen(fresh, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, path), 0);
}

static int
begin(void **state)
{
	(void)state;
	put(one, "1");
	put(other, "2");
	assert_int_equal(tls_watch_add(&w, one), 0);
	assert_int_equal(tls_watch_add(&w, other), 0);
	assert_int_equal(tls_watch_add(&w, NULL), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	tls_watch_fini(&w);
	return 0;
}

static void
nothing_changes_by_itself(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 200; i++)
		assert_false(tls_watch_look(&w));
}

static void
what_has_come_to_rest_has_changed_once(void **state)
{
	(void)state;
	put(one, "3");
	assert_false(tls_watch_look(&w));
	put(other, "4");
	assert_false(tls_watch_look(&w));
	assert_true(tls_watch_look(&w));
	assert_false(tls_watch_look(&w));
}

static void
permission_is_a_change(void **state)
{
	(void)state;
	assert_int_equal(chmod(one, 0600), 0);
	assert_int_equal(chmod(one, 0640), 0);
	assert_false(tls_watch_look(&w));
	assert_true(tls_watch_look(&w));
}

static void
what_is_gone_has_changed(void **state)
{
	(void)state;
	assert_int_equal(unlink(one), 0);
	assert_false(tls_watch_look(&w));
	assert_true(tls_watch_look(&w));
}

static void
what_was_refused_is_tried_again_later_and_no_more_when_it_was_not(void **state)
{
	unsigned i;

	(void)state;
	put(one, "5");
	assert_false(tls_watch_look(&w));
	assert_true(tls_watch_look(&w));
	tls_watch_refused(&w);
	for (i = 0; i < 59; i++)
		assert_false(tls_watch_look(&w));
	assert_true(tls_watch_look(&w));
	for (i = 0; i < 200; i++)
		assert_false(tls_watch_look(&w));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_changes_by_itself),
		TEST(what_has_come_to_rest_has_changed_once),
		TEST(permission_is_a_change),
		TEST(what_is_gone_has_changed),
		TEST(what_was_refused_is_tried_again_later_and_no_more_when_it_was_not)
	};
	int failed;

	if (mkdtemp(folder) == NULL)
		return 1;
	snprintf(one, sizeof(one), "%s/one", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(one);
	(void)unlink(other);
	(void)rmdir(folder);
	return failed;
}
