/*
 * conf/text: files, their includes in place, and which line came from where.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/problems.h"
#include "conf/text.h"
#include "tests/conf/rows.h"

static struct problems problems;

/* What keeps a file from being read, or "". */
static const char *
trouble(const char *path, const char *given)
{
	static char first[1024];
	struct text t;

	problems_fini(&problems);
	first[0] = '\0';
	if (text_read(&t, path, given, &problems) == -1) {
		assert_int_equal(problems.n, 1);
		snprintf(first, sizeof(first), "%s:%d: %s",
		    text_file_of(&t, problems.v[0].line),
		    text_line_of(&t, problems.v[0].line), problems.v[0].text);
	}
	problems_fini(&problems);
	text_fini(&t);
	return first;
}

static void
includes_stand_in_place(void **state)
{
	char *folder = temp_folder(), *a, *b, *c;
	struct text t;

	(void)state;
	a = put_text(folder, "a.conf", "one\n  @include \"b.conf\" two\nthree");
	b = put_text(folder, "b.conf", "b1\n@include \"c.conf\"\n");
	c = put_text(folder, "c.conf", "c1 # no line break");
	assert_int_equal(text_read(&t, a, NULL, &problems), 0);
	assert_string_equal(t.bytes, "one\n \nb1\nc1 # no line break\n\n two\n"
	    "three\n");
	assert_int_equal(t.n_lines, 7);
	assert_string_equal(text_file_of(&t, 1), a);
	assert_string_equal(text_file_of(&t, 3), b);
	assert_int_equal(text_line_of(&t, 3), 1);
	assert_string_equal(text_file_of(&t, 4), c);
	assert_int_equal(text_line_of(&t, 4), 1);
	assert_string_equal(text_file_of(&t, 6), a);
	assert_int_equal(text_line_of(&t, 6), 2);
	assert_int_equal(text_line_of(&t, 7), 3);
	text_fini(&t);
	drop_file(a);
	drop_file(b);
	drop_file(c);
	drop_file(folder);
}

/* conf.d/a.conf says "b.conf" and means conf.d/b.conf. */
static void
included_files_are_seen_from_their_includer(void **state)
{
	char *folder = temp_folder(), *sub, *a, *b, *c;
	struct text t;

	(void)state;
	assert_true(asprintf(&sub, "%s/conf.d", folder) > 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	a = put_text(folder, "a.conf", "@include \"conf.d/b.conf\"\n");
	b = put_text(sub, "b.conf", "@include \"c.conf\"\n");
	c = put_text(sub, "c.conf", "here\n");
	assert_int_equal(text_read(&t, a, NULL, &problems), 0);
	assert_string_equal(t.bytes, "here\n\n\n");
	assert_string_equal(text_file_of(&t, 1), c);
	text_fini(&t);
	drop_file(a);
	drop_file(b);
	drop_file(c);
	drop_file(sub);
	drop_file(folder);
}

static void
given_text_includes_files_beside_its_path(void **state)
{
	char *folder = temp_folder(), *b, *path;
	struct text t;

	(void)state;
	b = put_text(folder, "b.conf", "b\n");
	assert_true(asprintf(&path, "%s/not-there.conf", folder) > 0);
	assert_int_equal(text_read(&t, path, "@include \"b.conf\"\n",
	    &problems), 0);
	assert_string_equal(t.bytes, "b\n\n");
	text_fini(&t);
	free(path);
	drop_file(b);
	drop_file(folder);
}

static void
circles_are_told(void **state)
{
	char *folder = temp_folder(), *a, *b, *expected;

	(void)state;
	a = put_text(folder, "a.conf", "@include \"b.conf\"\n");
	b = put_text(folder, "b.conf", "\n@include \"a.conf\"\n");
	assert_true(asprintf(&expected, "%s:2: cannot include %s: it includes "
	    "itself, expected a readable file", b, a) > 0);
	assert_string_equal(trouble(a, NULL), expected);
	free(expected);
	drop_file(a);
	drop_file(b);
	drop_file(folder);
}

static void
includes_have_a_depth(void **state)
{
	char *folder = temp_folder(), *paths[20], name[32], text[64];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%d.conf", i);
		snprintf(text, sizeof(text), "@include \"%d.conf\"\n", i + 1);
		paths[i] = put_text(folder, name, text);
	}
	assert_non_null(strstr(trouble(paths[0], NULL), "/15.conf:1: cannot "
	    "include "));
	assert_non_null(strstr(trouble(paths[0], NULL), "includes are nested "
	    "too deep"));
	for (int i = 0; i < 20; i++)
		drop_file(paths[i]);
	drop_file(folder);
}

/* Ten files of a line each may name 10^10 bytes: stop before memory does. */
static void
included_bombs_end(void **state)
{
	char *folder = temp_folder(), *paths[10], name[32], text[512];

	(void)state;
	for (int i = 0; i < 10; i++) {
		size_t n = 0;

		for (int k = 0; k < 10; k++)
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    "@include \"%d.conf\"\n", i + 1);
		if (i == 9)
			snprintf(text, sizeof(text), "a = 1;\n");
		snprintf(name, sizeof(name), "%d.conf", i);
		paths[i] = put_text(folder, name, text);
	}
	assert_non_null(strstr(trouble(paths[0], NULL), "there are more than "
	    "1000 of them"));
	for (int i = 0; i < 10; i++)
		drop_file(paths[i]);
	drop_file(folder);
}

static void
files_have_a_size(void **state)
{
	char *folder = temp_folder(), *bytes = malloc(TEXT_MAX_BYTES + 1);
	char *big, *include;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, '\n', TEXT_MAX_BYTES + 1);
	big = put_file(folder, "big.conf", bytes, TEXT_MAX_BYTES + 1);
	assert_non_null(strstr(trouble(big, NULL), "big.conf:0: cannot be "
	    "read: it is too large"));
	drop_file(big);
	big = put_file(folder, "big.conf", bytes, TEXT_MAX_BYTES / 2 + 1);
	include = put_text(folder, "a.conf", "@include \"big.conf\"\n"
	    "@include \"big.conf\"\n");
	assert_non_null(strstr(trouble(include, NULL), "the configuration does "
	    "not fit in memory, expected at most 16 MiB"));
	free(bytes);
	drop_file(big);
	drop_file(include);
	drop_file(folder);
}

static void
nul_bytes_are_no_text(void **state)
{
	char *folder = temp_folder(), *path;

	(void)state;
	path = put_file(folder, "a.conf", "a = 1;\0b = 2;", 13);
	assert_non_null(strstr(trouble(path, NULL), "cannot be read: it holds "
	    "a NUL byte"));
	drop_file(path);
	drop_file(folder);
}

/* What editors put in front. */
static void
utf8_mark_is_skipped(void **state)
{
	struct text t;

	(void)state;
	assert_int_equal(text_read(&t, "a.conf", "\xef\xbb\xbf" "a = 1;",
	    &problems), 0);
	assert_string_equal(t.bytes, "a = 1;\n");
	text_fini(&t);
}

/* A reload must not hang on what somebody put at the path, nor read it as empty
   because the start has read it. */
static void
pipes_and_devices_are_no_files(void **state)
{
	char *folder = temp_folder(), *path;
	const char *why = "";
	char *bytes;

	(void)state;
	assert_true(asprintf(&path, "%s/pipe", folder) > 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(file_read(path, 100, &why));
	assert_string_equal(why, "it is a pipe or device");
	assert_null(file_read("/dev/zero", 100, &why));
	assert_string_equal(why, "it is a pipe or device");
	bytes = file_read("/dev/null", 100, &why);
	assert_non_null(bytes);
	assert_string_equal(bytes, "");
	free(bytes);
	drop_file(path);
	drop_file(folder);
}

/* Nor for good on a pipe whose writer is silent; one that is slow is waited for. */
static void
pipes_whose_writer_does_not_end_are_given_up(void **state)
{
	char *folder = temp_folder(), *path;
	int fd;

	(void)state;
	assert_true(asprintf(&path, "%s/pipe", folder) > 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a = 1;\n", 7), 7);
	assert_non_null(strstr(trouble(path, NULL), "its writer does not end"));
	close(fd);
	drop_file(path);
	drop_file(folder);
}

static void
lines_of_other_files_are_named_with_them(void **state)
{
	char *folder = temp_folder(), *a, *b, name[LINE_NAME_MAX], *expected;
	struct text t;

	(void)state;
	a = put_text(folder, "a.conf", "1\n@include \"b.conf\"\n2\n");
	b = put_text(folder, "b.conf", "1\n");
	assert_int_equal(text_read(&t, a, NULL, &problems), 0);
	assert_string_equal(text_line_name(&t, 4, 1, name), "line 3");
	assert_true(asprintf(&expected, "%s:1", b) > 0);
	assert_string_equal(text_line_name(&t, 2, 1, name), expected);
	text_fini(&t);
	free(expected);
	drop_file(a);
	drop_file(b);
	drop_file(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(includes_stand_in_place),
		cmocka_unit_test(included_files_are_seen_from_their_includer),
		cmocka_unit_test(given_text_includes_files_beside_its_path),
		cmocka_unit_test(circles_are_told),
		cmocka_unit_test(includes_have_a_depth),
		cmocka_unit_test(included_bombs_end),
		cmocka_unit_test(files_have_a_size),
		cmocka_unit_test(nul_bytes_are_no_text),
		cmocka_unit_test(utf8_mark_is_skipped),
		cmocka_unit_test(pipes_and_devices_are_no_files),
		cmocka_unit_test(pipes_whose_writer_does_not_end_are_given_up),
		cmocka_unit_test(lines_of_other_files_are_named_with_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
