/*
 * pool/shelf: shelves by key, and none without memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* uthash takes its memory from here: with this file's own copy of shelf.c it
   can be let fail. */
static bool exhausted;

static void *
scarce(size_t size)
{
	return exhausted ? NULL : malloc(size);
}

#define uthash_malloc(size) scarce(size)
#include "pool/shelf.c"

#include "tests/support/scene.h"

static struct scene s;

static struct site *
begin(void)
{
	exhausted = false;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	return pool_site_of(scene_pool(&s, 0), s.endpoints[0]);
}

static void
shelf_is_found_by_its_key(void **state)
{
	struct site *site = begin();
	struct shelf *a, *b;

	(void)state;
	assert_null(shelf_find(site, "a", 1));
	a = shelf_get(site, "a", 1, 0);
	b = shelf_get(site, "b", 1, 0);
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(shelf_get(site, "a", 1, 0), a);
	assert_ptr_equal(shelf_find(site, "b", 1), b);
	assert_ptr_equal(shelf_find(site, NULL, 0), site->keyless);
	a->open = b->open = 1;
	site->open = 2;
	shelf_left(a);
	assert_null(shelf_find(site, "a", 1));
	shelf_left(b);
	assert_null(site->keyed);
	scene_end(&s);
}

/* A preface is no part of the protocol's key, and never taken for one. */
static void
shelves_of_two_prefaces_are_two(void **state)
{
	struct site *site = begin();
	struct shelf *bare, *one, *other, *keyless;

	(void)state;
	bare = shelf_get(site, "key", 3, 0);
	one = shelf_get(site, "keyONE\0\3", 3, 5);
	other = shelf_get(site, "keyTWO\0\3", 3, 5);
	keyless = shelf_get(site, "ONE\0\3", 0, 5);
	assert_true(bare != one && one != other && other != bare);
	assert_true(keyless != site->keyless && shelf_is_keyed(keyless));
	assert_ptr_equal(shelf_find(site, "key", 3), bare);
	assert_ptr_equal(shelf_find(site, "keyONE\0\3", 8), one);
	assert_ptr_equal(shelf_get(site, "keyTWO\0\3", 3, 5), other);
	assert_int_equal(one->key_len, 3);
	assert_int_equal(one->preface_len, 5);
	assert_memory_equal(one->key, "keyONE", 6);
	bare->open = one->open = other->open = keyless->open = 1;
	site->open = 4;
	shelf_left(bare);
	shelf_left(one);
	shelf_left(other);
	shelf_left(keyless);
	assert_null(site->keyed);
	scene_end(&s);
}

static void
without_memory_there_is_no_shelf(void **state)
{
	struct site *site = begin();
	struct client c;

	(void)state;
	exhausted = true;
	assert_null(shelf_get(site, "a", 1, 0));
	assert_null(shelf_find(site, "a", 1));
	/* And whoever asks is told. */
	client_init(&c, &s, 0);
	c.ask.key = "a", c.ask.key_len = 1;
	client_ask(&c);
	assert_int_equal(c.refusal, REFUSAL_NO_DESCRIPTORS);
	assert_int_equal(c.ask.error, ENOMEM);
	exhausted = false;
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

/* The table of a thousand keys grows, or does not. */
static void
without_memory_the_others_stay(void **state)
{
	enum { KEYS = 1000 };
	static struct shelf *made[KEYS];
	struct site *site = begin();
	unsigned i, n = 0;

	(void)state;
	for (i = 0; i < KEYS; i++) {
		exhausted = i > 0;
		made[i] = shelf_get(site, &i, sizeof(i), 0);
		n += made[i] != NULL;
	}
	exhausted = false;
	assert_true(n > 0);
	for (i = 0; i < KEYS; i++)
		assert_ptr_equal(shelf_find(site, &i, sizeof(i)), made[i]);
	for (i = 0; i < KEYS; i++) {
		if (made[i] == NULL)
			continue;
		made[i]->open++;
		site->open++;
		shelf_left(made[i]);
	}
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shelf_is_found_by_its_key),
		cmocka_unit_test(shelves_of_two_prefaces_are_two),
		cmocka_unit_test(without_memory_there_is_no_shelf),
		cmocka_unit_test(without_memory_the_others_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
