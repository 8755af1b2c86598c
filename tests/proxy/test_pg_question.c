/*
 * proto/postgres/question: which command a text is, and what a table of
 * commands promises.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/question.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char named[PG_UPSTREAM_MOST];
static bool empty;

static const char *
words_of(const char *text)
{
	const struct pg_command *c = pg_command_find(text, named, &empty);

	return c != NULL ? c->words : "none";
}

static void
case_and_space_do_not_matter(void **state)
{
	(void)state;
	assert_string_equal(words_of("SHOW POOLS"), "SHOW POOLS");
	assert_string_equal(words_of("  show\t\n pools ; ; "), "SHOW POOLS");
	assert_string_equal(words_of("ReLoad;"), "RELOAD");
	assert_string_equal(named, "");
}

static void
some_name_an_upstream(void **state)
{
	(void)state;
	assert_string_equal(words_of("PAUSE"), "PAUSE");
	assert_string_equal(named, "");
	assert_string_equal(words_of("pause Main;"), "PAUSE");
	assert_string_equal(named, "Main");
	assert_string_equal(words_of("RESUME \"a b\""), "RESUME");
	assert_string_equal(named, "a b");
}

static void
others_are_none(void **state)
{
	static const char *const texts[] = {
		"SELECT 1", "SHOW", "SHOWPOOLS", "SHOW POOLS x", "SHOW POOLSX",
		"SHOW POOLS; SHOW STATS", "PAUSED", "PAUSE \"\"", "PAUSE a\"b",
		"PAUSE \"", "RELOAD x", "\"SHOW POOLS\"", "-- SHOW POOLS"
	};
	char text[1000];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(texts); i++) {
		assert_string_equal(words_of(texts[i]), "none");
		assert_false(empty);
	}
	memset(text, 'x', sizeof(text));
	memcpy(text, "PAUSE ", 6);
	for (i = 120; i < sizeof(text); i++) {
		char last = text[i];

		text[i] = '\0';
		assert_string_equal(words_of(text), i - 6 < PG_UPSTREAM_MOST ?
		    "PAUSE" : "none");
		text[i] = last;
	}
}

static void
no_words_are_none_and_empty(void **state)
{
	static const char *const texts[] = { "", " ", ";", " ;\n; " };

	(void)state;
	for (size_t i = 0; i < NELEMS(texts); i++) {
		assert_string_equal(words_of(texts[i]), "none");
		assert_true(empty);
	}
}

/* Whatever is answered has a way, and rows have columns that fit. */
static void
each_command_can_be_carried_out(void **state)
{
	static struct block_store store;
	const struct pg_command *c;
	struct buf out = { 0 };

	(void)state;
	block_store_init(&store);
	for (c = pg_commands; c->words != NULL; c++) {
		assert_true(c->on_lane != NULL || c->on_main != NULL);
		assert_true(c->sum == NULL || c->on_lane != NULL);
		assert_non_null(c->help);
		assert_non_null(c->tag);
		assert_true(c->changes == (c->columns == NULL));
		assert_int_equal(pg_put_columns(&store, &out, c->columns), 0);
		assert_string_equal(words_of(c->words), c->words);
	}
	buf_clear(&store, &out);
	block_store_fini(&store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(case_and_space_do_not_matter),
		TEST(some_name_an_upstream),
		TEST(others_are_none),
		TEST(no_words_are_none_and_empty),
		TEST(each_command_can_be_carried_out)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
