/*
 * net/escape: whatever goes in, one line comes out that means the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/escape.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef char *escape_fn(char *, const char *, size_t);

/* Nothing is written beyond what is promised. */
static const char *
escaped(escape_fn *f, const char *text, size_t len)
{
	static char out[64 * 1024];
	char *end;

	assert_true(len * ESCAPE_GROWTH + 2 < sizeof(out));
	out[len * ESCAPE_GROWTH] = '#';
	end = f(out, text, len);
	assert_true(end <= out + len * ESCAPE_GROWTH);
	assert_int_equal(out[len * ESCAPE_GROWTH], '#');
	*end = '\0';
	return out;
}

static const char *
json(const char *text)
{
	return escaped(escape_json, text, strlen(text));
}

static const char *
ascii(const char *text)
{
	return escaped(escape_ascii, text, strlen(text));
}

static const char *
plain(const char *text)
{
	return escaped(escape_plain, text, strlen(text));
}

static void
ordinary_text_stays(void **state)
{
	const char *text = "GET /a/b?c=d&e=%20 HTTP/1.1 ~!@#$^*()_+{}|:<>?";
	size_t from;

	(void)state;
	/* Every length modulo the word that is looked at. */
	for (from = 0; from < 20; from++) {
		assert_string_equal(json(text + from), text + from);
		assert_string_equal(ascii(text + from), text + from);
		assert_string_equal(plain(text + from), text + from);
	}
	assert_string_equal(json(""), "");
}

static void
control_characters_are_spelled_out(void **state)
{
	(void)state;
	assert_string_equal(json("a\r\nb\tc\x1b[2J\x7f"),
	    "a\\u000d\\u000ab\\u0009c\\u001b[2J\\u007f");
	assert_string_equal(plain("12345678\n"), "12345678\\u000a");
	assert_string_equal(ascii("a\nb\x1b\x7f"), "a\\x0ab\\x1b\\x7f");
	assert_string_equal(escaped(escape_json, "a\0b", 3), "a\\u0000b");
	/* C1 controls and what else some take for the end of a line. */
	assert_string_equal(json("\xc2\x9b\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"),
	    "\\u009b\\u0085\\u2028\\u2029");
}

static void
quotes_cannot_end_a_string(void **state)
{
	(void)state;
	assert_string_equal(json("a\"b\\c"), "a\\\"b\\\\c");
	assert_string_equal(ascii("a\"b\\c"), "a\\\"b\\\\c");
	assert_string_equal(plain("a\"b\\c"), "a\"b\\c");
}

static void
utf8_stays_in_json_and_not_in_ascii(void **state)
{
	const char *text = "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f";

	(void)state;
	assert_string_equal(json(text), text);
	assert_string_equal(plain(text), text);
	assert_string_equal(ascii("\xc3\xa9"), "\\xc3\\xa9");
}

/* RFC 3629 4: too long, surrogates, beyond the last, cut off, out of place. */
static void
what_is_no_utf8_is_spelled_out(void **state)
{
	(void)state;
	assert_string_equal(json("\xff"), "\\u00ff");
	assert_string_equal(json("\x80"), "\\u0080");
	assert_string_equal(json("\xc0\xaf"), "\\u00c0\\u00af");
	assert_string_equal(json("\xe0\x80\xaf"), "\\u00e0\\u0080\\u00af");
	assert_string_equal(json("\xed\xa0\x80"), "\\u00ed\\u00a0\\u0080");
	assert_string_equal(json("\xf4\x90\x80\x80"),
	    "\\u00f4\\u0090\\u0080\\u0080");
	assert_string_equal(json("\xf8\x88"), "\\u00f8\\u0088");
	assert_string_equal(json("\xe2\x82"), "\\u00e2\\u0082");
	assert_string_equal(json("\xc3" "a"), "\\u00c3a");
}

/* jansson refuses invalid UTF-8 and raw control characters in strings. */
static void
any_bytes_make_valid_json_on_one_line(void **state)
{
	char in[100], doc[1024];
	int i;

	(void)state;
	srand(3);
	for (i = 0; i < 200000; i++) {
		size_t len = (size_t)rand() % sizeof(in), k;
		const char *out;
		json_t *o;

		for (k = 0; k < len; k++)
			in[k] = rand() % 3 == 0 ? (char)('a' + rand() % 26) :
			    (char)rand();
		out = escaped(escape_json, in, len);
		assert_null(strpbrk(out, "\r\n\x1b\x7f"));
		snprintf(doc, sizeof(doc), "[\"%s\"]", out);
		o = json_loads(doc, JSON_ALLOW_NUL, NULL);
		if (o == NULL)
			fail_msg("no JSON: %s", doc);
		json_decref(o);
		out = escaped(escape_ascii, in, len);
		for (; *out != '\0'; out++)
			assert_true(*out >= 0x20 && *out < 0x7f);
	}
}

static void
what_is_kept_is_tame(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "plain \"text\" \\", "plain \"text\" \\" },
		{ "a\033[31m\r\nb\177", "a [31m  b " },
		{ "\xc2\x9b" "31m", "  31m" },          /* U+009B, CSI */
		{ "\xe2\x80\xa8.", "   ." },           /* U+2028 */
		{ "\xff\xc2.\xed\xa0\x80", "??.???" },
		{ "Gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80 \xe2\x82\xac",
		    "Gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80 \xe2\x82\xac" }
	};
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		strcpy(text, pairs[i][0]);
		escape_tame(text);
		assert_string_equal(text, pairs[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_text_stays),
		cmocka_unit_test(what_is_kept_is_tame),
		cmocka_unit_test(control_characters_are_spelled_out),
		cmocka_unit_test(quotes_cannot_end_a_string),
		cmocka_unit_test(utf8_stays_in_json_and_not_in_ascii),
		cmocka_unit_test(what_is_no_utf8_is_spelled_out),
		cmocka_unit_test(any_bytes_make_valid_json_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
