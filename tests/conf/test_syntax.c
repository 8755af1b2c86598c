/*
 * conf/syntax: which mistake was made in the order of words, and on which line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

static const struct row rows[] = {
	{ ROW_FILE, "a = ( \"x\", );\n",
	    "weir.conf:1: a comma before \")\", expected none after the "
	    "last element" },
	{ ROW_FILE,
	    "a = (\n"
	    "  { b = 1; },\n"
	    ");\n"
	    "c = 1;\n",
	    "weir.conf:2: a comma before \")\", expected none after the "
	    "last element" },
	{ ROW_FILE, "a = [ 1, ];\n",
	    "weir.conf:1: a comma before \"]\", expected none after the "
	    "last element" },
	{ ROW_FILE, "a = { b = 1,, };\n",
	    "weir.conf:1: \",\" where a key is expected, as in key = value" },
	{ ROW_FILE, "a = http;\n",
	    "weir.conf:1: http needs quotes, expected \"http\"" },
	{ ROW_FILE, "a = 10s;\n",
	    "weir.conf:1: 10s needs quotes, expected \"10s\"" },
	{ ROW_FILE, "a = 127.0.0.1:80;\n",
	    "weir.conf:1: 127.0.0.1:80 needs quotes, expected "
	    "\"127.0.0.1:80\"" },
	{ ROW_FILE, "a = /tmp/x;\n",
	    "weir.conf:1: /tmp/x needs quotes, expected \"/tmp/x\"" },
	{ ROW_FILE, "a = ( 1 2 );\n",
	    "weir.conf:1: a comma is missing between two elements of the "
	    "\"(\" of line 1" },
	{ ROW_FILE,
	    "a = (\n"
	    "  { b = 1; }\n"
	    "  { b = 2; } );\n",
	    "weir.conf:2: a comma is missing between two elements of the "
	    "\"(\" of line 1" },
	{ ROW_FILE, "a = ( \"x\"; \"y\" );\n",
	    "weir.conf:1: \";\" in a list, expected \",\" between its "
	    "elements" },
	{ ROW_FILE, "a = [ { } ];\n",
	    "weir.conf:1: \"{\" between [ and ], expected ( and ) around "
	    "groups and lists" },
	{ ROW_FILE,
	    "a = 1;\n"
	    "b = {\n"
	    "  c = 1;\n",
	    "weir.conf:2: the \"{\" that opens here is never closed, "
	    "expected \"}\"" },
	{ ROW_FILE,
	    "a = (\n"
	    " 1, 2 };\n",
	    "weir.conf:2: \"}\" before the \"(\" of line 1 is closed, "
	    "expected \")\"" },
	{ ROW_FILE, "a = 1; }\n",
	    "weir.conf:1: \"}\" closes nothing" },
	{ ROW_FILE, "a 5;\n",
	    "weir.conf:1: \"=\" is missing after a" },
	{ ROW_FILE, "a = ;\n",
	    "weir.conf:1: \";\" where a value is missing" },
	{ ROW_FILE, "a =\n",
	    "weir.conf:1: a value is missing at the end of the file" },
	{ ROW_FILE, "a\n",
	    "weir.conf:1: \"=\" is missing after a" },
	{ ROW_FILE, "5 = 3;\n",
	    "weir.conf:1: \"5\" where a key is expected, as in key = value" },
	{ ROW_FILE, "a = 1; false = 2;\n",
	    "weir.conf:1: \"false\" where a key is expected, as in key = "
	    "value" },
	{ ROW_FILE, "a = 1 true;\n",
	    "weir.conf:1: \"true\" where a key is expected, as in key = "
	    "value" },
	{ ROW_FILE, "a = { TRUE };\n",
	    "weir.conf:1: \"TRUE\" where a key is expected, as in key = "
	    "value" },
	{ ROW_FILE, "\"a\" = 3;\n",
	    "weir.conf:1: \"a\" where a key is expected, as in key = value" },
	{ ROW_FILE, "a = { = 3; };\n",
	    "weir.conf:1: \"=\" where a key is expected, as in key = value" },
	{ ROW_FILE, "a = 1;; b = 2;\n",
	    "weir.conf:1: \";\" where a key is expected, as in key = value" },
	{ ROW_FILE, "a = 1 2;\n",
	    "weir.conf:1: \"2\" after a value, expected \";\" and the next "
	    "key" },
	{ ROW_FILE, "a = ( , 1 );\n",
	    "weir.conf:1: \",\" where a value is missing" },
	{ ROW_FILE, "a = { b = };\n",
	    "weir.conf:1: \"}\" where a value is missing" },
	{ ROW_FILE,
	    "a = 1;\n"
	    "b = \"x;\n"
	    "c = 2;\n",
	    "weir.conf:2: the string that begins here is never closed, "
	    "expected \"" },
	{ ROW_FILE,
	    "a = 1;\n"
	    "/* b = 2;\n",
	    "weir.conf:2: the comment that begins here is never closed, "
	    "expected */" },
	{ ROW_FILE,
	    "a = 1;\n"
	    "b = { c = 1;\n"
	    "  c = 2; };\n",
	    "weir.conf:3: c is given twice in one group, first on line 2" },
	{ ROW_FILE,
	    "a = 1;\n"
	    "b = 2;\n"
	    "a = 3;\n",
	    "weir.conf:3: a is given twice in one group, first on line 1" },
	{ ROW_FILE, "a = [ 1, \"x\" ];\n",
	    "weir.conf:1: elements of different types between [ and ], "
	    "expected ( and )" },
	{ ROW_FILE, "a = 4294967297;\n",
	    "weir.conf:1: the number 4294967297 is out of range, expected "
	    "at most 2147483647" },
	{ ROW_FILE, "a = -99999999999;\n",
	    "weir.conf:1: the number -99999999999 is out of range, expected "
	    "at most 2147483647" },
	{ ROW_FILE, "a = 0xfffffffff;\n",
	    "weir.conf:1: the number 0xfffffffff is out of range, expected "
	    "at most 2147483647" },
	{ ROW_FILE, "a = 99999999999999999999L;\n",
	    "weir.conf:1: the number 99999999999999999999L is out of range, "
	    "expected at most 2147483647" },
	{ ROW_FILE, "a = \"\\x00\";\n",
	    "weir.conf:1: a string holds \\x00, expected no NUL bytes" },
	{ ROW_FILE,
	    "a = "
	    "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("
	    "((((((())))))))))))))))))))))))))))))))))))))))))))))))))))))))"
	    "))))))))))))));\n",
	    "weir.conf:1: nested too deep, expected at most 64 levels" },
	{ ROW_FILE, "a = 1; @include \"x\"\n",
	    "weir.conf:1: \"@\" is out of place, expected @include \"file\" "
	    "on a line of its own" },
	{ ROW_FILE, "@import \"x\"\n",
	    "weir.conf:1: \"@\" is out of place, expected @include \"file\" "
	    "on a line of its own" },
	{ ROW_FILE,
	    "\n"
	    "@include \"/nonexistent/x.conf\"\n",
	    "weir.conf:2: cannot include /nonexistent/x.conf: No such file "
	    "or directory, expected a readable file" },
	{ ROW_FILE, "@include \"/\"\n",
	    "weir.conf:1: cannot include /: it is a folder, expected a "
	    "readable file" },
	{ ROW_FILE, "@include \"/dev/zero\"\n",
	    "weir.conf:1: cannot include /dev/zero: it is a pipe "
	    "or device, expected a readable file" },
};

static void
mistakes_are_named(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

/* Unknown keys, but in good order: libconfig has read them. */
static void
good_order_is_left_to_libconfig(void **state)
{
	static const char *const good[] = {
		"a=1", "a:1", "a=1,", "a={};", "a={},", "a=();", "a=[];",
		"a={b=1 c=2}", "a={b=1,c=2,}", "a=\"x\" \"y\"",
		"a=(\"x\" \"y\",1)", "a=[1,2]", "a=[\"x\" \"y\",\"z\"]",
		"a=TRUE b=False", "a=-5 b=+5 c=0x1F d=5L e=99999999999LL",
		"a=1.5 b=.5 c=5. d=1e3 e=-1.5E-3 f=2147483647",
		"a=1 # x = \"\n", "a=1 // x\n", "/* \" */ a=1", "a=\"/* # //\"",
		"a=\"\\\" \\\\\"", "a=\"x\ny\"", "# @include \"x\"\na=1",
		"a=\"\n@include \\\"x\\\"\"", "*a-b_c=1",
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(good); i++) {
		char *errors = errors_of("weir.conf", good[i]);

		if (strstr(errors, "unknown key \"") == NULL)
			fail_msg("%s brings %s", good[i], errors);
		free(errors);
	}
}

/* 256 keys in a group, and one more; at the top, and in one within. */
static void
keys_of_a_group_are_counted(void **state)
{
	static const char *const around[][2] = { { "", "" },
		{ "a = 1; b = ( { c = 1; }, { ", " } );" } };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const char *why = "weir.conf:2: more than 256 keys in one "
		    "group, expected fewer";
		char *text, *errors;
		size_t n;
		FILE *out = open_memstream(&text, &n);

		assert_non_null(out);
		fputs(around[i / 2][0], out);
		for (int k = 0; k < 256; k++)
			fprintf(out, "k%d = 1; ", k);
		fprintf(out, "\n%s%s", i % 2 == 0 ? "" : "more = 1; ",
		    around[i / 2][1]);
		fclose(out);
		errors = errors_of("weir.conf", text);
		if ((strcmp(errors, why) == 0) != (i % 2 == 1))
			fail_msg("%zu brings %s", i, errors);
		free(errors);
		free(text);
	}
}

/* One place too late is one place too many in a file of a hundred lines. */
static void
mistake_in_an_included_file_is_its_line(void **state)
{
	char *folder = temp_folder(), *main_conf, *part, *errors, *expected;

	(void)state;
	main_conf = put_text(folder, "main.conf", "workers = 1;\n"
	    "@include \"part.conf\"\nuser = ;\n");
	part = put_text(folder, "part.conf", "\n# part\nlog = { level = "
	    "info; };\n");
	assert_true(asprintf(&expected, "%s:3: info needs quotes, expected "
	    "\"info\"", part) > 0);
	errors = errors_of(main_conf, NULL);
	assert_string_equal(errors, expected);
	free(errors);
	free(expected);
	drop_file(part);
	part = put_text(folder, "part.conf", "workers = 2;");
	assert_true(asprintf(&expected, "%s:1: workers is given twice in one "
	    "group, first on %s:1", part, main_conf) > 0);
	drop_file(main_conf);
	main_conf = put_text(folder, "main.conf", "workers = 1;\n"
	    "@include \"part.conf\"\n");
	errors = errors_of(main_conf, NULL);
	assert_string_equal(errors, expected);
	free(errors);
	free(expected);
	drop_file(part);
	drop_file(main_conf);
	drop_file(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(good_order_is_left_to_libconfig),
		cmocka_unit_test(keys_of_a_group_are_counted),
		cmocka_unit_test(mistake_in_an_included_file_is_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
