/*
 * net/pile: free lists reuse, and are bounded.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/pile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
object_put_back_is_the_next_one(void **state)
{
	struct pile p;
	void *a, *b;

	(void)state;
	pile_init(&p, 100, 4);
	a = pile_get(&p);
	b = pile_get(&p);
	assert_non_null(a);
	assert_non_null(b);
	memset(a, 0xff, 100);
	memset(b, 0xff, 100);
	pile_put(&p, a);
	pile_put(&p, b);
	assert_ptr_equal(pile_get(&p), b);
	assert_ptr_equal(pile_get(&p), a);
	pile_put(&p, a);
	pile_put(&p, b);
	pile_fini(&p);
}

static void
pile_keeps_only_so_many(void **state)
{
	struct pile p;
	void *objects[10];
	unsigned i;

	(void)state;
	pile_init(&p, 64, 3);
	for (i = 0; i < 10; i++) {
		objects[i] = pile_get(&p);
		assert_non_null(objects[i]);
	}
	assert_int_equal(p.kept, 0);
	for (i = 0; i < 10; i++)
		pile_put(&p, objects[i]);
	assert_int_equal(p.kept, 3);
	assert_ptr_equal(pile_get(&p), objects[2]);
	assert_int_equal(p.kept, 2);
	pile_put(&p, objects[2]);
	pile_fini(&p);
	assert_int_equal(p.kept, 0);
	assert_null(p.first);
}

static void
pile_of_none_keeps_nothing(void **state)
{
	struct pile p;
	void *object;

	(void)state;
	pile_init(&p, 64, 0);
	object = pile_get(&p);
	assert_non_null(object);
	pile_put(&p, object);
	assert_null(p.first);
	pile_fini(&p);
}

/* The chain is kept in the objects: they have room for a pointer. */
static void
tiny_objects_have_room_for_the_chain(void **state)
{
	struct pile p;
	void *a, *b;

	(void)state;
	pile_init(&p, 1, 2);
	a = pile_get(&p);
	b = pile_get(&p);
	assert_non_null(a);
	assert_non_null(b);
	pile_put(&p, a);
	pile_put(&p, b);
	assert_ptr_equal(pile_get(&p), b);
	pile_put(&p, b);
	pile_fini(&p);
}

static void
zeroed_is_zeroed_also_when_reused(void **state)
{
	static const char zeros[64];
	struct pile p;
	void *object;

	(void)state;
	pile_init(&p, 64, 1);
	object = pile_get(&p);
	assert_non_null(object);
	memset(object, 0xff, 64);
	pile_put(&p, object);
	object = pile_get_zeroed(&p);
	assert_memory_equal(object, zeros, 64);
	pile_put(&p, object);
	pile_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_put_back_is_the_next_one),
		cmocka_unit_test(pile_keeps_only_so_many),
		cmocka_unit_test(pile_of_none_keeps_nothing),
		cmocka_unit_test(tiny_objects_have_room_for_the_chain),
		cmocka_unit_test(zeroed_is_zeroed_also_when_reused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
