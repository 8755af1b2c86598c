/*
 * Text of JSON is what jansson would have made of it, byte by byte.
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

#include <cmocka.h>

#include "proxy/admin/spell.h"
#include "tests/support/dice.h"

enum { FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY };

static void
same(json_t *j)
{
	char *ours = spell_compact(j), *theirs = json_dumps(j, FLAGS);

	assert_non_null(ours);
	assert_non_null(theirs);
	assert_string_equal(ours, theirs);
	free(ours);
	free(theirs);
	json_decref(j);
}

static void
each_kind_of_value(void **state)
{
	static const json_int_t integers[] = { 0, 1, -1, 9, 10, 1234567890,
		INT64_MAX, INT64_MIN };
	static const double reals[] = { 0, 1, -1, 0.1, 1e300, 1.5e-9, 12.5,
		123456789012345678.0, 1.0 / 3 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(integers) / sizeof(*integers); i++)
		same(json_integer(integers[i]));
	for (i = 0; i < sizeof(reals) / sizeof(*reals); i++)
		same(json_real(reals[i]));
	same(json_true());
	same(json_false());
	same(json_null());
	same(json_object());
	same(json_array());
	same(json_string(""));
}

static void
each_letter_of_strings_and_keys(void **state)
{
	char text[] = "a?b";
	int c;

	(void)state;
	for (c = 1; c < 0x80; c++) {
		json_t *o = json_object();

		text[1] = (char)c;
		json_object_set_new(o, text, json_string(text));
		same(o);
	}
	same(json_string("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x98"));
	same(json_stringn("a\0b", 3));
}

static json_t *
grown(uint64_t *d, unsigned depth)
{
	json_t *j;
	char key[16];
	unsigned n;

	switch (dice_up_to(d, depth > 0 ? 5 : 3)) {
	case 0:
		return json_integer((json_int_t)dice_roll(d));
	case 1:
		return json_real((double)dice_roll(d) / 1e7);
	case 2:
		return json_null();
	case 3:
		snprintf(key, sizeof(key), "%llx\n",
		    (unsigned long long)dice_roll(d) & 0xffff);
		return json_string(key);
	case 4:
		j = json_array();
		for (n = dice_up_to(d, 4); n > 0; n--)
			json_array_append_new(j, grown(d, depth - 1));
		return j;
	default:
		j = json_object();
		for (n = dice_up_to(d, 39); n > 0; n--) {
			snprintf(key, sizeof(key), "k%u", n * 7 % 40);
			json_object_set_new(j, key, grown(d, depth - 1));
		}
		return j;
	}
}

static void
trees_at_random(void **state)
{
	uint64_t d = 1;
	unsigned i;

	(void)state;
	for (i = 0; i < 500; i++)
		same(grown(&d, 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_value),
		cmocka_unit_test(each_letter_of_strings_and_keys),
		cmocka_unit_test(trees_at_random)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
