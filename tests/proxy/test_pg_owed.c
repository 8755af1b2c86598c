/*
 * proto/postgres/owed: the ring of what is owed against a flat list.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/owed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dice.h"

enum { MOST = 300, STEPS = 200000 };

static void
push(struct pg_owed_queue *q, uint64_t id)
{
	struct pg_owed *o = pg_owed_push(q);

	assert_non_null(o);
	o->id = id;
}

static void
is(struct pg_owed_queue *q, const uint64_t *ids, uint32_t n)
{
	uint32_t i;

	assert_int_equal(q->n, n);
	for (i = 0; i < n; i++)
		assert_int_equal(pg_owed_at(q, i)->id, ids[i]);
	if (n == 0)
		assert_null(pg_owed_first(q));
	else
		assert_ptr_equal(pg_owed_first(q), pg_owed_at(q, 0));
}

static void
the_oldest_goes_first(void **state)
{
	static const uint64_t two_three[] = { 2, 3 };
	struct pg_owed_queue q = { 0 };

	(void)state;
	is(&q, NULL, 0);
	push(&q, 1);
	push(&q, 2);
	push(&q, 3);
	pg_owed_pop(&q);
	is(&q, two_three, 2);
	pg_owed_fini(&q);
	is(&q, NULL, 0);
}

/* The place of one that has gone is taken by another. */
static void
a_new_one_is_zeroed(void **state)
{
	struct pg_owed_queue q = { 0 };
	static const struct pg_owed zeroed;
	unsigned i;

	(void)state;
	for (i = 0; i < 3 * PG_OWED_INLINE; i++) {
		struct pg_owed *o = pg_owed_push(&q);

		assert_non_null(o);
		assert_memory_equal(o, &zeroed, sizeof(zeroed));
		memset(o, 0xff, sizeof(*o));
		pg_owed_pop(&q);
	}
	pg_owed_fini(&q);
}

static void
few_need_no_memory_of_their_own(void **state)
{
	struct pg_owed_queue q = { 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < PG_OWED_INLINE; i++)
		push(&q, i);
	assert_null(q.more);
	push(&q, i);
	assert_non_null(q.more);
	for (i = 0; i <= PG_OWED_INLINE; i++)
		assert_int_equal(pg_owed_at(&q, i)->id, i);
	pg_owed_fini(&q);
	assert_null(q.more);
}

/* Wherever the ring begins, and wherever it is cut. */
static void
it_behaves_as_a_list_does(void **state)
{
	struct pg_owed_queue q = { 0 };
	uint64_t ids[MOST], dice = dice_number("SEED", 1), next = 1;
	uint32_t n = 0, at, step;

	(void)state;
	for (step = 0; step < STEPS; step++) {
		if (n == 0 || (n < MOST && dice_chance(&dice,
		    step / 1000 % 2 == 0 ? 60 : 40))) {
			push(&q, next);
			ids[n++] = next++;
		} else {
			at = dice_chance(&dice, 70) ? 0 :
			    dice_up_to(&dice, n - 1);
			if (at == 0 && dice_chance(&dice, 50))
				pg_owed_pop(&q);
			else
				pg_owed_take_out(&q, at);
			n--;
			memmove(ids + at, ids + at + 1,
			    (n - at) * sizeof(*ids));
		}
		assert_int_equal(q.n, n);
		if (n > 0)
			assert_int_equal(pg_owed_first(&q)->id, ids[0]);
		if (step % 16 == 0)
			is(&q, ids, n);
	}
	pg_owed_fini(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_goes_first),
		cmocka_unit_test(a_new_one_is_zeroed),
		cmocka_unit_test(few_need_no_memory_of_their_own),
		cmocka_unit_test(it_behaves_as_a_list_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
