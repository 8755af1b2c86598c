/*
 * proto/postgres/settings: lists against tables, their references and bounds.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dice.h"

enum { LISTS = 4, NAMES = 12, STEPS = 100000 };

static void
change(struct pg_settings **s, const char *name, const char *value)
{
	assert_int_equal(pg_settings_change(s, name, value), 0);
}

static void
none_is_empty(void **state)
{
	const char *name, *value;
	uint32_t at = 0;

	(void)state;
	assert_null(pg_settings_find(NULL, "a"));
	assert_false(pg_settings_next(NULL, &at, &name, &value));
	assert_null(pg_settings_keep(NULL));
	pg_settings_drop(NULL);
	assert_true(pg_settings_equal(NULL, NULL));
}

static void
what_is_set_is_found_by_its_name_in_any_case(void **state)
{
	struct pg_settings *s = NULL;

	(void)state;
	change(&s, "TimeZone", "UTC");
	change(&s, "a.b", "");
	assert_string_equal(pg_settings_find(s, "timezone"), "UTC");
	assert_string_equal(pg_settings_find(s, "A.B"), "");
	assert_null(pg_settings_find(s, "TimeZon"));
	assert_null(pg_settings_find(s, "UTC"));
	change(&s, "TIMEZONE", "CET");
	assert_string_equal(pg_settings_find(s, "TimeZone"), "CET");
	change(&s, "timezone", NULL);
	assert_null(pg_settings_find(s, "TimeZone"));
	change(&s, "a.b", NULL);
	assert_null(s);
}

static void
others_keep_the_list_that_they_have(void **state)
{
	struct pg_settings *a = NULL, *b = NULL, *same;

	(void)state;
	change(&a, "x", "1");
	pg_settings_set(&b, a);
	assert_ptr_equal(a, b);
	same = a;
	change(&a, "x", "1");
	change(&a, "y", NULL);
	assert_ptr_equal(a, same);
	change(&a, "x", "2");
	assert_string_equal(pg_settings_find(b, "x"), "1");
	assert_false(pg_settings_equal(a, b));
	pg_settings_set(&b, a);
	pg_settings_set(&b, b);
	assert_ptr_equal(a, b);
	pg_settings_set(&a, NULL);
	assert_string_equal(pg_settings_find(b, "x"), "2");
	pg_settings_set(&b, NULL);
}

static void
equal_ones_may_differ_in_order_and_spelling(void **state)
{
	struct pg_settings *a = NULL, *b = NULL;

	(void)state;
	change(&a, "x", "1");
	change(&a, "y", "2");
	change(&b, "Y", "2");
	assert_false(pg_settings_equal(a, b));
	assert_false(pg_settings_equal(a, NULL));
	assert_false(pg_settings_equal(NULL, b));
	change(&b, "X", "1");
	assert_true(pg_settings_equal(a, b));
	change(&b, "x", "3");
	assert_false(pg_settings_equal(a, b));
	/* As long, and with the same bytes in other places. */
	change(&a, "x", "2");
	change(&b, "x", "2");
	change(&a, "y", "1");
	assert_false(pg_settings_equal(a, b));
	pg_settings_set(&a, NULL);
	pg_settings_set(&b, NULL);
}

static void
a_text_becomes_a_list(void **state)
{
	static const char text[] = "a\0" "1\0" "b\0\0" "c\0" "3";
	struct pg_settings *s = pg_settings_of(text, sizeof(text));

	(void)state;
	assert_non_null(s);
	assert_string_equal(pg_settings_find(s, "a"), "1");
	assert_string_equal(pg_settings_find(s, "b"), "");
	assert_string_equal(pg_settings_find(s, "c"), "3");
	pg_settings_drop(s);
	s = pg_settings_of(NULL, 0);
	assert_non_null(s);
	assert_null(pg_settings_find(s, "a"));
	pg_settings_drop(s);
}

static void
what_is_too_much_changes_nothing(void **state)
{
	static char value[PG_SETTINGS_MOST + 1];
	struct pg_settings *s = NULL;

	(void)state;
	change(&s, "x", "1");
	memset(value, 'v', sizeof(value) - 1);
	assert_int_equal(pg_settings_change(&s, "y", value), -1);
	value[PG_SETTINGS_MOST - 8] = '\0';
	assert_int_equal(pg_settings_change(&s, "y", value), 0);
	assert_int_equal(pg_settings_change(&s, "zzzz", "1234"), -1);
	assert_string_equal(pg_settings_find(s, "x"), "1");
	assert_string_equal(pg_settings_find(s, "y"), value);
	assert_null(pg_settings_find(s, "zzzz"));
	/* What comes in the place of another needs no more room. */
	value[PG_SETTINGS_MOST - 9] = '\0';
	assert_int_equal(pg_settings_change(&s, "Y", value), 0);
	assert_string_equal(pg_settings_find(s, "y"), value);
	assert_false(pg_settings_fit(s, "x", "2"));
	assert_true(pg_settings_fit(s, "y", "2"));
	pg_settings_set(&s, NULL);
}

/* --------------------------------------------------------------- the model */

struct table {
	unsigned value[NAMES];          /* 0 = has none */
};

static void
is(const struct pg_settings *s, const struct table *t)
{
	const char *name, *value;
	uint32_t at = 0;
	unsigned seen = 0, wanted = 0, i;

	for (i = 0; i < NAMES; i++)
		wanted += t->value[i] != 0;
	while (pg_settings_next(s, &at, &name, &value)) {
		i = (unsigned)atoi(name + 1);
		assert_in_range(i, 0, NAMES - 1);
		assert_int_equal(strtoul(value + 1, NULL, 10), t->value[i]);
		seen++;
	}
	assert_int_equal(seen, wanted);
	assert_int_equal(s == NULL, wanted == 0);
}

static bool
same(const struct table *a, const struct table *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void
lists_behave_as_tables_do(void **state)
{
	struct pg_settings *lists[LISTS] = { NULL };
	struct table tables[LISTS] = { 0 };
	uint64_t dice = dice_number("SEED", 1);
	unsigned step, i, from, which;
	char name[16], value[16];

	(void)state;
	for (step = 0; step < STEPS; step++) {
		i = dice_up_to(&dice, LISTS - 1);
		from = dice_up_to(&dice, LISTS - 1);
		if (dice_chance(&dice, 10)) {
			pg_settings_set(&lists[i], lists[from]);
			tables[i] = tables[from];
		} else {
			which = dice_up_to(&dice, NAMES - 1);
			snprintf(name, sizeof(name), "%c%u",
			    dice_chance(&dice, 50) ? 'n' : 'N', which);
			tables[i].value[which] = dice_up_to(&dice, 3);
			snprintf(value, sizeof(value), "v%u",
			    tables[i].value[which]);
			change(&lists[i], name, tables[i].value[which] != 0 ?
			    value : NULL);
		}
		is(lists[i], &tables[i]);
		assert_int_equal(pg_settings_equal(lists[i], lists[from]),
		    same(&tables[i], &tables[from]));
	}
	for (i = 0; i < LISTS; i++)
		pg_settings_set(&lists[i], NULL);
}

static void
no_more_names_fit_than_can_be_compared(void **state)
{
	struct pg_settings *s = NULL;
	char name[16];
	unsigned i;

	(void)state;
	for (i = 0; i < PG_SETTINGS_NAMES; i++) {
		snprintf(name, sizeof(name), "a.n%u", i);
		assert_true(pg_settings_fit(s, name, "1"));
		change(&s, name, "1");
	}
	assert_false(pg_settings_fit(s, "a.more", "1"));
	assert_true(pg_settings_fit(s, "A.N7", "2"));
	pg_settings_set(&s, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_empty),
		cmocka_unit_test(what_is_set_is_found_by_its_name_in_any_case),
		cmocka_unit_test(others_keep_the_list_that_they_have),
		cmocka_unit_test(equal_ones_may_differ_in_order_and_spelling),
		cmocka_unit_test(a_text_becomes_a_list),
		cmocka_unit_test(what_is_too_much_changes_nothing),
		cmocka_unit_test(no_more_names_fit_than_can_be_compared),
		cmocka_unit_test(lists_behave_as_tables_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
