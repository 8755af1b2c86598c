/*
 * conf/expand: variables and secrets in strings.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/expand.h"
#include "conf/text.h"
#include "tests/conf/rows.h"

static const struct row rows[] = {
	{ ROW_TOP, "user = \"${WEIR_TEST_UNSET}\";",
	    "weir.conf:1: user: the environment has no WEIR_TEST_UNSET, "
	    "expected it set, or a default as in ${WEIR_TEST_UNSET:-default}" },
	{ ROW_TOP, "user = \"${WEIR TEST}\";",
	    "weir.conf:1: user: \"${WEIR TEST}\" is not understood, "
	    "expected ${NAME}, ${NAME:-default}, ${file:/path}, or $${ for "
	    "a plain ${" },
	{ ROW_TOP, "user = \"${}\";",
	    "weir.conf:1: user: \"${}\" is not understood, expected "
	    "${NAME}, ${NAME:-default}, ${file:/path}, or $${ for a plain ${" },
	{ ROW_TOP, "user = \"${WEIR_TEST_SET\";",
	    "weir.conf:1: user: \"${\" without \"}\", expected ${NAME}, or "
	    "$${ for a plain ${" },
	{ ROW_TOP, "user = \"${file:/nonexistent/x}\";",
	    "weir.conf:1: user: cannot read /nonexistent/x: No such file or "
	    "directory, expected a readable file of at most 1 MiB" },
	{ ROW_TOP, "user = \"${file:/}\";",
	    "weir.conf:1: user: cannot read /: it is a folder, expected a "
	    "readable file of at most 1 MiB" },
	{ ROW_TOP, "user = \"${file:/dev/zero}\";",
	    "weir.conf:1: user: cannot read /dev/zero: it is a pipe or "
	    "device, expected a readable file of at most 1 MiB" },
	{ ROW_TOP, "workers = \"${WEIR_TEST_SET}\";",
	    "weir.conf:1: workers: \"abc\" is not understood, expected a "
	    "number such as 10" },
	{ ROW_TOP, "workers = \"${WEIR_TEST_UNSET:-300}\";",
	    "weir.conf:1: workers: 300 is out of range, expected 0 to 256" },
	{ ROW_TOP, "workers = \"${file:/proc/version}\";",
	    "weir.conf:1: workers: \"(hidden)\" is not understood, expected "
	    "a number such as 10" },
	{ ROW_TOP, "log = { access = \"${file:/proc/sys/kernel/ostype}\"; };",
	    "weir.conf:1: log.access: \"(hidden)\": expected "
	    "\"off\", \"stdout\", \"stderr\", \"syslog\" or a path, which "
	    "needs a \"/\", such as \"./access.log\"" },
};

static void
what_cannot_be_expanded_is_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
expands_to(const char *text, const char *expected)
{
	char why[EXPAND_WHY_MAX];
	bool hidden = false;
	char *out = expand(text, "weir.conf", &hidden, why);

	if (out == NULL)
		fail_msg("%s: %s", text, why);
	assert_string_equal(out, expected);
	assert_false(hidden);
	free(out);
}

static void
variables_are_replaced(void **state)
{
	(void)state;
	setenv("WEIR_TEST_SET", "abc", 1);
	setenv("WEIR_TEST_EMPTY", "", 1);
	setenv("WEIR_TEST_DOLLARS", "${WEIR_TEST_SET}", 1);
	unsetenv("WEIR_TEST_UNSET");
	expands_to("", "");
	expands_to("plain $ } { text", "plain $ } { text");
	expands_to("${WEIR_TEST_SET}", "abc");
	expands_to("<${WEIR_TEST_SET}${WEIR_TEST_SET}>", "<abcabc>");
	expands_to("${WEIR_TEST_EMPTY}", "");
	expands_to("${WEIR_TEST_UNSET:-x y}", "x y");
	expands_to("${WEIR_TEST_UNSET:-}", "");
	expands_to("${WEIR_TEST_SET:-x}", "abc");
	expands_to("${WEIR_TEST_EMPTY:-x}", "x");
	expands_to("$${WEIR_TEST_SET}", "${WEIR_TEST_SET}");
	expands_to("$$${WEIR_TEST_SET}", "$${WEIR_TEST_SET}");
	expands_to("$", "$");
	expands_to("$$", "$$");
}

/* What a variable holds is not looked at again: no second round. */
static void
replacements_are_left_alone(void **state)
{
	(void)state;
	setenv("WEIR_TEST_DOLLARS", "${WEIR_TEST_SET}", 1);
	expands_to("${WEIR_TEST_DOLLARS}", "${WEIR_TEST_SET}");
}

static void
files_are_seen_from_the_file_that_names_them(void **state)
{
	char *folder = temp_folder(), why[EXPAND_WHY_MAX], *conf, *out;
	char *secret = put_text(folder, "secret", "two\nlines\r\n\n");
	bool hidden = false;

	(void)state;
	assert_true(asprintf(&conf, "%s/weir.conf", folder) > 0);
	out = expand("<${file:secret}>", conf, &hidden, why);
	assert_non_null(out);
	assert_string_equal(out, "<two\nlines>");
	assert_true(hidden);
	free(out);
	free(conf);
	drop_file(secret);
	drop_file(folder);
}

static void
files_that_are_no_text_are_refused(void **state)
{
	char *folder = temp_folder(), why[EXPAND_WHY_MAX], *conf;
	char *nul = put_file(folder, "nul", "a\0b", 3);
	bool hidden;

	(void)state;
	assert_true(asprintf(&conf, "%s/weir.conf", folder) > 0);
	assert_null(expand("${file:nul}", conf, &hidden, why));
	assert_non_null(strstr(why, "it holds a NUL byte, so it is no text"));
	free(conf);
	drop_file(nul);
	drop_file(folder);
}

static void
secrets_have_a_size(void **state)
{
	char *folder = temp_folder(), why[EXPAND_WHY_MAX], *path, *out;
	char *bytes = malloc(SECRET_MAX_BYTES + 1);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'x', SECRET_MAX_BYTES + 1);
	path = put_file(folder, "secret", bytes, SECRET_MAX_BYTES + 1);
	assert_null(secret_read("weir.conf", path, why));
	assert_non_null(strstr(why, "it is too large"));
	drop_file(path);
	path = put_file(folder, "secret", bytes, SECRET_MAX_BYTES);
	out = secret_read("weir.conf", path, why);
	assert_non_null(out);
	assert_int_equal(strlen(out), SECRET_MAX_BYTES);
	free(out);
	free(bytes);
	drop_file(path);
	drop_file(folder);
}

/* Forty times a megabyte of secret is not what anybody means. */
static void
expanded_texts_have_a_size(void **state)
{
	char *folder = temp_folder(), why[EXPAND_WHY_MAX], *path, text[4096];
	char *bytes = malloc(SECRET_MAX_BYTES);
	size_t n = 0;
	bool hidden;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'x', SECRET_MAX_BYTES);
	path = put_file(folder, "secret", bytes, SECRET_MAX_BYTES);
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "${file:%s}",
		    path);
	assert_null(expand(text, "weir.conf", &hidden, why));
	assert_string_equal(why, "the expanded text is too long, expected at "
	    "most 4 MiB");
	free(bytes);
	drop_file(path);
	drop_file(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_expanded_is_told),
		cmocka_unit_test(variables_are_replaced),
		cmocka_unit_test(replacements_are_left_alone),
		cmocka_unit_test(files_are_seen_from_the_file_that_names_them),
		cmocka_unit_test(files_that_are_no_text_are_refused),
		cmocka_unit_test(secrets_have_a_size),
		cmocka_unit_test(expanded_texts_have_a_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
