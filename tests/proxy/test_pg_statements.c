/*
 * proto/postgres/statements: who has which statement, and for how long; what a
 * connection has, by age.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/statements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dice.h"

enum { IDS = 40, STEPS = 100000 };

static struct pg_statement *
get(struct pg_statements *all, const char *body, bool is_new)
{
	bool made;
	struct pg_statement *st = pg_statement_get(all, body, strlen(body),
	    &made);

	assert_non_null(st);
	assert_int_equal(made, is_new);
	assert_int_equal(st->len, strlen(body));
	assert_memory_equal(st->body, body, st->len);
	return st;
}

/* -------------------------------------------------------------- of a lane */

static void
the_same_text_is_the_same_statement(void **state)
{
	struct pg_statements all;
	struct pg_statement *a, *b, *c;

	(void)state;
	pg_statements_init(&all, 0);
	a = get(&all, "SELECT 1", true);
	b = get(&all, "SELECT 1", false);
	c = get(&all, "SELECT 2", true);
	assert_ptr_equal(a, b);
	assert_int_equal(a->refs, 2);
	assert_true(c->id != a->id);
	pg_statement_drop(&all, a);
	pg_statement_drop(&all, b);
	pg_statement_drop(&all, c);
	/* Nobody has it, and it is there for who comes next. */
	assert_ptr_equal(get(&all, "SELECT 1", false), a);
	pg_statement_drop(&all, a);
	pg_statements_fini(&all);
}

static void
an_unnamed_one_is_nobody_elses(void **state)
{
	struct pg_statements all;
	struct pg_statement *a, *b;

	(void)state;
	pg_statements_init(&all, 0);
	a = pg_statement_own(&all, "SELECT 1", 8);
	assert_non_null(a);
	b = get(&all, "SELECT 1", true);
	assert_true(a->id != b->id);
	pg_statement_drop(&all, a);
	pg_statement_drop(&all, b);
	pg_statement_drop(&all, NULL);
	pg_statements_fini(&all);
}

static void
a_retired_one_is_not_given_again(void **state)
{
	struct pg_statements all;
	struct pg_statement *a, *b;

	(void)state;
	pg_statements_init(&all, 0);
	a = get(&all, "SELECT *", true);
	pg_statement_retire(&all, a);
	pg_statement_retire(&all, a);
	b = get(&all, "SELECT *", true);
	assert_ptr_not_equal(a, b);
	assert_true(a->retired && !b->retired && a->id != b->id);
	pg_statement_drop(&all, a);
	pg_statement_drop(&all, b);
	pg_statements_fini(&all);
}

static void
names_at_servers_differ_between_lanes(void **state)
{
	struct pg_statements one, two;
	char a[PG_SERVER_NAME], b[PG_SERVER_NAME];
	struct pg_statement *x, *y;

	(void)state;
	pg_statements_init(&one, 0);
	pg_statements_init(&two, 1);
	x = get(&one, "SELECT 1", true);
	y = get(&two, "SELECT 1", true);
	pg_statement_name(x->id, a);
	pg_statement_name(y->id, b);
	assert_string_not_equal(a, b);
	pg_statement_name(UINT64_MAX, a);
	assert_string_equal(a, "weir_ffffffffffffffff");
	pg_statement_drop(&one, x);
	pg_statement_drop(&two, y);
	pg_statements_fini(&one);
	pg_statements_fini(&two);
}

/* What nobody has does not grow without end; what somebody has stays. */
static void
those_that_nobody_has_are_few(void **state)
{
	static char body[64 * 1024];
	struct pg_statements all;
	struct pg_statement *kept, *st;
	unsigned i;
	bool is_new;

	(void)state;
	pg_statements_init(&all, 0);
	kept = get(&all, "kept", true);
	for (i = 0; i < 5000; i++) {
		size_t len = (size_t)snprintf(body, sizeof(body), "%u", i);

		st = pg_statement_get(&all, body, len, &is_new);
		assert_true(st != NULL && is_new);
		pg_statement_drop(&all, st);
		assert_in_range(HASH_COUNT(all.by_body), 1, 1001);
	}
	/* The last ones are there, the first ones are not. */
	pg_statement_drop(&all, get(&all, "4999", false));
	pg_statement_drop(&all, get(&all, "0", true));
	for (i = 0; i < 200; i++) {
		memset(body, 'a' + (int)(i % 26), sizeof(body));
		body[0] = (char)i;
		st = pg_statement_get(&all, body, sizeof(body), &is_new);
		assert_true(st != NULL && is_new);
		pg_statement_drop(&all, st);
		assert_in_range(all.idle_bytes, 0, 4 * 1024 * 1024);
	}
	assert_ptr_equal(get(&all, "kept", false), kept);
	pg_statement_drop(&all, kept);
	pg_statement_drop(&all, kept);
	pg_statements_fini(&all);
}

/* ------------------------------------------------------------ of a client */

static void
a_name_keeps_its_statement(void **state)
{
	struct pg_names names = { 0 };
	struct pg_statements all;
	struct pg_statement *st;
	struct pg_name *n;

	(void)state;
	pg_statements_init(&all, 0);
	st = get(&all, "SELECT 1", true);
	n = pg_name_add(&names, "s", st);
	assert_non_null(n);
	assert_int_equal(st->refs, 2);
	pg_statement_drop(&all, st);
	assert_ptr_equal(pg_name_find(&names, "s"), n);
	assert_ptr_equal(pg_name_find(&names, "s")->st, st);
	assert_null(pg_name_find(&names, "S"));
	assert_true(names.bytes > 8);
	pg_names_clear(&all, &names);
	assert_int_equal(names.bytes, 0);
	assert_null(pg_name_find(&names, "s"));
	pg_statements_fini(&all);
}

static void
a_name_that_was_taken_out_can_be_put_back(void **state)
{
	struct pg_names names = { 0 };
	struct pg_statements all;
	struct pg_statement *st;
	struct pg_name *n, *other;
	size_t bytes;

	(void)state;
	pg_statements_init(&all, 0);
	st = get(&all, "SELECT 1", true);
	n = pg_name_add(&names, "s", st);
	other = pg_name_add(&names, "", st);
	assert_true(n != NULL && other != NULL);
	pg_statement_drop(&all, st);
	bytes = names.bytes;
	pg_name_take(&names, n);
	assert_null(pg_name_find(&names, "s"));
	assert_true(names.bytes < bytes);
	assert_int_equal(pg_name_put_back(&names, n), 0);
	assert_ptr_equal(pg_name_find(&names, "s"), n);
	assert_int_equal(names.bytes, bytes);
	pg_name_take(&names, n);
	pg_name_free(&all, n);
	assert_int_equal(st->refs, 1);
	pg_names_clear(&all, &names);
	pg_statements_fini(&all);
}

/* -------------------------------------------------------- of a connection */

/* Ids that the model has, longest unused first. */
struct line {
	uint64_t ids[IDS];
	unsigned n;
};

static bool
line_remove(struct line *l, uint64_t id)
{
	unsigned i;

	for (i = 0; i < l->n && l->ids[i] != id; i++)
		;
	if (i == l->n)
		return false;
	l->n--;
	memmove(l->ids + i, l->ids + i + 1, (l->n - i) * sizeof(*l->ids));
	return true;
}

static void
sets_behave_as_lines_do(void **state)
{
	uint64_t dice = dice_number("SEED", 1), id;
	struct line line = { .n = 0 };
	struct pg_prepared_set set;
	unsigned step;
	bool there;

	(void)state;
	pg_prepared_init(&set);
	for (step = 0; step < STEPS; step++) {
		id = 1 + dice_up_to(&dice, IDS - 1);
		switch (dice_up_to(&dice, 3)) {
		case 0:
			pg_prepared_remove(&set, id);
			(void)line_remove(&line, id);
			break;
		case 1:
			there = line_remove(&line, id);
			assert_int_equal(pg_prepared_use(&set, id), there);
			if (there)
				line.ids[line.n++] = id;
			break;
		default:
			(void)line_remove(&line, id);
			line.ids[line.n++] = id;
			assert_int_equal(pg_prepared_add(&set, id), 0);
		}
		if (dice_up_to(&dice, 999) == 0) {
			pg_prepared_clear(&set);
			line.n = 0;
		}
		assert_int_equal(set.n, line.n);
		assert_int_equal(pg_prepared_oldest(&set), line.n > 0 ?
		    line.ids[0] : 0);
	}
	while (line.n > 0) {
		id = pg_prepared_oldest(&set);
		assert_int_equal(id, line.ids[0]);
		(void)line_remove(&line, id);
		pg_prepared_remove(&set, id);
	}
	assert_int_equal(set.n, 0);
	pg_prepared_clear(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_text_is_the_same_statement),
		cmocka_unit_test(an_unnamed_one_is_nobody_elses),
		cmocka_unit_test(a_retired_one_is_not_given_again),
		cmocka_unit_test(names_at_servers_differ_between_lanes),
		cmocka_unit_test(those_that_nobody_has_are_few),
		cmocka_unit_test(a_name_keeps_its_statement),
		cmocka_unit_test(a_name_that_was_taken_out_can_be_put_back),
		cmocka_unit_test(sets_behave_as_lines_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
