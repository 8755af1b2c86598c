/*
 * conf/sent: a text that is sent is read as its files would be.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/sent.h"

#include <limits.h>

#include "conf/problems.h"
#include "tests/conf/rows.h"

static struct problems problems;

/* What it is sent as, of files that are good. */
static char *
made(const char *path)
{
	struct conf_errors errors;
	char *text = sent_make(path, &errors);

	if (text == NULL)
		fail_msg("%s", errors.v[0]);
	assert_int_equal(errors.n, 0);
	return text;
}

static void
lines_are_those_of_the_files(void **state)
{
	char *folder = temp_folder(), *a, *b, *c, *sent;
	struct text whole, t;

	(void)state;
	a = put_text(folder, "a.conf",
	    "one = 1;\n  @include \"b.conf\"\nthree = 3;");
	b = put_text(folder, "b.conf", "b1 = 1;\n@include \"c.conf\"\nb3 = 3;");
	c = put_text(folder, "c.conf", "c1 = 1; # no line break");
	sent = made(a);
	assert_int_equal(text_read(&whole, a, NULL, &problems), 0);
	assert_int_equal(sent_read(&t, "/etc/weir/weir.conf", a, sent,
	    &problems), 0);
	assert_string_equal(t.bytes, whole.bytes);
	assert_int_equal(t.n_lines, whole.n_lines);
	for (int i = 1; i <= (int)t.n_lines; i++) {
		assert_string_equal(text_file_of(&t, i),
		    text_file_of(&whole, i));
		assert_int_equal(text_line_of(&t, i), text_line_of(&whole, i));
	}
	text_fini(&t);
	text_fini(&whole);
	free(sent);
	drop_file(a);
	drop_file(b);
	drop_file(c);
	drop_file(folder);
}

static void
relative_paths_start_where_the_taker_has_the_file(void **state)
{
	static const struct { const char *name, *file, *base; } rows[] = {
		{ "/tmp/new.conf", "/tmp/new.conf", "/etc/weir/weir.conf" },
		{ "/tmp/new.conf", "/tmp/d/tls.conf", "/etc/weir/d/tls.conf" },
		{ "/tmp/new.conf", "/opt/tls.conf", "/opt/tls.conf" },
		{ "new.conf", "new.conf", "/etc/weir/weir.conf" },
		{ "new.conf", "d/tls.conf", "/etc/weir/d/tls.conf" },
		{ "new.conf", "/opt/tls.conf", "/opt/tls.conf" },
	};
	char text[256];
	struct text t;

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		snprintf(text, sizeof(text), "#@ 7 \"%s\"\na = 1;\n",
		    rows[i].file);
		assert_int_equal(sent_read(&t, "/etc/weir/weir.conf",
		    rows[i].name, text, &problems), 0);
		assert_string_equal(text_base_of(&t, 1), rows[i].base);
		assert_string_equal(text_file_of(&t, 1), rows[i].file);
		assert_int_equal(text_line_of(&t, 1), 7);
		text_fini(&t);
	}
}

/* A mark that is none is a comment, as it is to libconfig. */
static void
what_is_no_mark_stays(void **state)
{
	static const char *const texts[] = { "#@ 0 \"x\"\n", "#@ x \"x\"\n",
	    "#@ 12 x\"\n", "#@ 12 \"x\n", "#@ 12 \"\"\n", "#@\n",
	    "#@ 12 \"\n", "#@ \n", " #@ 1 \"x\"\n",
	    "#@ 99999999999999999999 \"x\"\n" };
	struct text t;

	(void)state;
	for (size_t i = 0; i < NELEMS(texts); i++) {
		assert_int_equal(sent_read(&t, "a", "a", texts[i], &problems),
		    0);
		assert_string_equal(t.bytes, texts[i]);
		assert_int_equal(t.n_files, 1);
		text_fini(&t);
	}
}

/* Of a path the system takes PATH_MAX bytes, with its NUL. */
static void
a_name_longer_than_any_path_is_no_mark(void **state)
{
	char *text = malloc(PATH_MAX + 32);
	struct text t;

	(void)state;
	assert_non_null(text);
	for (int len = PATH_MAX - 1; len <= PATH_MAX; len++) {
		memset(text, 'x', PATH_MAX + 32);
		memcpy(text, "#@ 7 \"", 6);
		strcpy(text + 6 + len, "\"\na = 1;\n");
		assert_int_equal(sent_read(&t, "a", "a", text, &problems), 0);
		assert_int_equal(t.n_files, len < PATH_MAX ? 2 : 1);
		assert_int_equal(text_line_of(&t, 1), len < PATH_MAX ? 7 : 1);
		text_fini(&t);
	}
	free(text);
}

static void
is_refused(const char *text, const char *why)
{
	struct conf_input in = { .path = "/etc/weir.conf", .name = "new.conf",
	    .text = text, .protos = fake_protos };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);

	assert_null(c);
	assert_true(errors.n > 0);
	assert_string_equal(errors.v[errors.n - 1], why);
	conf_errors_fini(&errors);
}

static void
nothing_is_included_for_who_sends(void **state)
{
	(void)state;
	is_refused("workers = 1;\n@include \"/etc/passwd\"\n", "new.conf:2: "
	    "@include in a text that is sent, expected the other file's text "
	    "in its place, as `weir plan` puts it there");
	is_refused("#@ 3 \"d/x.conf\"\na = \"open", "d/x.conf:3: the string "
	    "that begins here is never closed, expected \"");
	is_refused("workers = 1;\n#@ 9 \"d/x.conf\"\nworkres = 1;", "d/x.conf:"
	    "9: unknown key \"workres\", did you mean \"workers\"?");
}

/* The environment is the taker's, as files are. */
static void
what_variables_stand_for_is_hidden(void **state)
{
	(void)state;
	setenv("WEIR_TEST_SENT", "hunter2", 1);
	is_refused("\nworkers = \"${WEIR_TEST_SENT}\";", "new.conf:2: workers: "
	    "\"(hidden)\" is not understood, expected a number such as "
	    "10");
	is_refused("listeners = ( { name = \"${WEIR_TEST_SENT}\"; bind = "
	    "\"x\"; } );", "new.conf:1: listeners.(hidden).upstream: is "
	    "missing, expected the name of an upstream");
	is_refused("\nworkers = \"${WEIR_TEST_NOT_SET}\";", "new.conf:2: "
	    "workers: the environment has no WEIR_TEST_NOT_SET, expected it "
	    "set, or a default as in ${WEIR_TEST_NOT_SET:-default}");
	unsetenv("WEIR_TEST_SENT");
}

static void
what_cannot_be_sent_is_said_as_check_does(void **state)
{
	char *folder = temp_folder(), *a, *want;
	struct conf_errors errors;

	(void)state;
	a = put_text(folder, "a.conf", "\n@include \"missing\"\n");
	assert_null(sent_make(a, &errors));
	assert_int_equal(errors.n, 1);
	want = errors_of(a, NULL);
	assert_string_equal(errors.v[0], want);
	free(want);
	conf_errors_fini(&errors);
	drop_file(a);
	drop_file(folder);
}

static void
what_is_too_long_is_not_sent(void **state)
{
	char *folder = temp_folder(), *a;
	char *text = malloc(SENT_MAX_BYTES + 1);
	struct conf_errors errors;

	(void)state;
	assert_non_null(text);
	memset(text, '#', SENT_MAX_BYTES);
	text[SENT_MAX_BYTES] = '\0';
	a = put_text(folder, "a.conf", text);
	assert_null(sent_make(a, &errors));
	assert_non_null(strstr(errors.v[0], "is too long to be sent"));
	conf_errors_fini(&errors);
	free(text);
	drop_file(a);
	drop_file(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_those_of_the_files),
		cmocka_unit_test(
		    relative_paths_start_where_the_taker_has_the_file),
		cmocka_unit_test(a_name_longer_than_any_path_is_no_mark),
		cmocka_unit_test(what_is_no_mark_stays),
		cmocka_unit_test(what_variables_stand_for_is_hidden),
		cmocka_unit_test(nothing_is_included_for_who_sends),
		cmocka_unit_test(what_cannot_be_sent_is_said_as_check_does),
		cmocka_unit_test(what_is_too_long_is_not_sent)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
