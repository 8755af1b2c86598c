/*
 * proxy/proto/http/trace: which traceparents are valid, what weir makes, and what
 * may be a request's id.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define VALID "00-" TRACE "-" SPAN "-01"

static const char *const good[] = {
	VALID,
	"00-" TRACE "-" SPAN "-00",
	"00-" TRACE "-" SPAN "-ff",     /* flags that nobody knows yet */
	"00-00000000000000000000000000000001-0000000000000001-01",
	"cc-" TRACE "-" SPAN "-01",
	"cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like",
	"01-" TRACE "-" SPAN "-01-",
	"fe-" TRACE "-" SPAN "-01"
};

static const char *const bad[] = {
	"", "00", "-", "00-" TRACE, "00-" TRACE "-" SPAN, "00-" TRACE "-" SPAN
	"-", "00-" TRACE "-" SPAN "-0",
	"00-" TRACE "-" SPAN "-01-",    /* version 00 ends there */
	"00-" TRACE "-" SPAN "-01-x", "00-" TRACE "-" SPAN "-011",
	"01-" TRACE "-" SPAN "-011", "cc-" TRACE "-" SPAN "-01.x",
	"ff-" TRACE "-" SPAN "-01",     /* no version */
	"ff-" TRACE "-" SPAN "-01-x",
	"FE-" TRACE "-" SPAN "-01", "0-" TRACE "-" SPAN "-011",
	"000-" TRACE "-" SPAN "-01", " 00-" TRACE "-" SPAN "-01",
	"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
	"00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
	"00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-010",
	"00-" TRACE "-00F067aa0ba902b7-01", "00-" TRACE "-" SPAN "-0A",
	"00-" TRACE "-" SPAN "-0x", "00-" TRACE "-" SPAN "-.0",
	"00-00000000000000000000000000000000-" SPAN "-01",
	"00-" TRACE "-0000000000000000-01",
	"00_" TRACE "-" SPAN "-01", "00-" TRACE "_" SPAN "-01",
	"00-" TRACE "-" SPAN "_01", "00--" TRACE SPAN "-01"
};

static void
valid_ones_are_told_from_others(void **state)
{
	char longer[400];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(good); i++)
		if (!trace_parent_is_valid(good[i], strlen(good[i])))
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < NELEMS(bad); i++)
		if (trace_parent_is_valid(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "01-" TRACE "-" SPAN "-01-", 56);
	assert_true(trace_parent_is_valid(longer, 255));
	assert_false(trace_parent_is_valid(longer, 256));
}

/* Of one byte more or less, or another one, nothing remains but what the byte
   may be. */
static void
each_byte_counts(void **state)
{
	char text[TRACE_PARENT_LEN];
	unsigned i, c;

	(void)state;
	for (i = 0; i < TRACE_PARENT_LEN; i++)
		for (c = 0; c < 256; c++) {
			bool dash = i == 2 || i == 35 || i == 52;
			bool hex = (c >= '0' && c <= '9') ||
			    (c >= 'a' && c <= 'f');

			memcpy(text, VALID, sizeof(text));
			text[i] = (char)c;
			assert_int_equal(trace_parent_is_valid(text,
			    sizeof(text)), dash ? c == '-' : hex);
			/* Nothing is read behind its end. */
			assert_false(trace_parent_is_valid(text, i));
		}
}

static void
made_ones_are_valid_and_differ(void **state)
{
	enum { MANY = 2000 };
	static char ids[MANY][TRACE_MADE];
	struct trace_dice dice, other;
	unsigned i, k;

	(void)state;
	trace_dice_init(&dice);
	trace_dice_init(&other);
	assert_memory_not_equal(&dice, &other, sizeof(dice));
	for (i = 0; i < MANY; i++) {
		trace_parent_make(i % 2 ? &dice : &other, ids[i]);
		trace_id_make(i % 2 ? &dice : &other,
		    ids[i] + TRACE_PARENT_LEN);
		assert_true(trace_parent_is_valid(ids[i], TRACE_PARENT_LEN));
		assert_memory_equal(ids[i] + 52, "-01", 3);
		assert_true(trace_id_is_fit(ids[i] + TRACE_PARENT_LEN,
		    TRACE_REQUEST_ID_LEN));
		for (k = 0; k < i; k++) {
			assert_memory_not_equal(ids[i] + 3, ids[k] + 3, 32);
			assert_memory_not_equal(ids[i] + TRACE_PARENT_LEN,
			    ids[k] + TRACE_PARENT_LEN, TRACE_REQUEST_ID_LEN);
		}
	}
}

static void
no_id_is_all_zero(void **state)
{
	/* What it says first, from this state, is 0. */
	struct trace_dice dice = { { 0, 1, 0, 0 } };
	char out[TRACE_PARENT_LEN];

	(void)state;
	trace_parent_make(&dice, out);
	assert_true(trace_parent_is_valid(out, sizeof(out)));
}

static void
ids_of_requests_are_short_and_visible(void **state)
{
	char text[TRACE_REQUEST_ID_MOST + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(trace_id_is_fit(text, 1));
	assert_true(trace_id_is_fit(text, TRACE_REQUEST_ID_MOST));
	assert_false(trace_id_is_fit(text, TRACE_REQUEST_ID_MOST + 1));
	assert_false(trace_id_is_fit(text, 0));
	assert_true(trace_id_is_fit("Root=1-67891233-abcdef012345678912", 34));
	assert_false(trace_id_is_fit("a b", 3));
	assert_false(trace_id_is_fit("a\tb", 3));
	assert_false(trace_id_is_fit("a\x7f", 2));
	assert_false(trace_id_is_fit("\xc3\xa4", 2));
}

static void
names_of_fields_are_checked(void **state)
{
	static const char *const fit[] = { "off", "X-Request-Id", "x_id",
		"X-Correlation-ID" };
	static const char *const unfit[] = { "", "a b", "a:", "\xc3\xa4",
		"Traceparent", "VIA", "x-forwarded-for",
		"X-23456789012345678901234567890123456789x" };
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(fit); i++)
		assert_int_equal(trace_name_check(fit[i], &why), 0);
	for (i = 0; i < NELEMS(unfit); i++) {
		why = NULL;
		assert_int_equal(trace_name_check(unfit[i], &why), -1);
		assert_non_null(why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_ones_are_told_from_others),
		cmocka_unit_test(each_byte_counts),
		cmocka_unit_test(made_ones_are_valid_and_differ),
		cmocka_unit_test(no_id_is_all_zero),
		cmocka_unit_test(ids_of_requests_are_short_and_visible),
		cmocka_unit_test(names_of_fields_are_checked)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
