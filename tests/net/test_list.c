/*
 * net/list: intrusive lists keep their order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct item {
	char name;
	struct list link;
};

static struct item items[8];
static struct list head, other;

static void
begin(void)
{
	unsigned i;

	list_init(&head);
	list_init(&other);
	for (i = 0; i < NELEMS(items); i++) {
		items[i].name = (char)('a' + i);
		list_init(&items[i].link);
	}
}

/* Names in order, and backwards the same. */
static void
is(const struct list *l, const char *names)
{
	const struct list *at;
	size_t n = strlen(names), i;

	for (at = l->next, i = 0; at != l; at = at->next, i++) {
		assert_true(i < n);
		assert_int_equal(container_of(at, const struct item,
		    link)->name, names[i]);
	}
	assert_int_equal(i, n);
	for (at = l->prev; at != l; at = at->prev)
		assert_int_equal(container_of(at, const struct item,
		    link)->name, names[--i]);
	assert_int_equal(i, 0);
	assert_int_equal(list_empty(l), n == 0);
}

static void
appended_comes_last_and_prepended_first(void **state)
{
	(void)state;
	begin();
	is(&head, "");
	assert_null(list_first(&head));
	assert_null(list_last(&head));
	list_append(&head, &items[1].link);
	list_append(&head, &items[2].link);
	list_prepend(&head, &items[0].link);
	is(&head, "abc");
	assert_ptr_equal(list_first(&head), &items[0].link);
	assert_ptr_equal(list_last(&head), &items[2].link);
	/* After an element that is not the head. */
	list_prepend(&items[1].link, &items[3].link);
	is(&head, "abdc");
}

static void
removed_twice_is_removed_once(void **state)
{
	(void)state;
	begin();
	list_append(&head, &items[0].link);
	list_append(&head, &items[1].link);
	assert_true(list_linked(&items[0].link));
	list_remove(&items[0].link);
	list_remove(&items[0].link);
	assert_false(list_linked(&items[0].link));
	is(&head, "b");
	list_remove(&items[1].link);
	is(&head, "");
}

static void
spliced_list_is_empty_and_its_items_come_last(void **state)
{
	unsigned i;

	(void)state;
	begin();
	list_splice(&head, &other);
	is(&head, "");
	for (i = 0; i < 6; i++)
		list_append(i < 3 ? &head : &other, &items[i].link);
	list_splice(&head, &other);
	is(&head, "abcdef");
	is(&other, "");
	list_splice(&other, &head);
	is(&other, "abcdef");
	is(&head, "");
}

static void
loop_body_may_remove_its_own(void **state)
{
	struct list *l, *tmp;
	unsigned i, seen = 0;

	(void)state;
	begin();
	for (i = 0; i < 6; i++)
		list_append(&head, &items[i].link);
	list_each(l, tmp, &head) {
		if (seen++ % 2 == 0)
			list_remove(l);
	}
	assert_int_equal(seen, 6);
	is(&head, "bdf");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appended_comes_last_and_prepended_first),
		cmocka_unit_test(removed_twice_is_removed_once),
		cmocka_unit_test(spliced_list_is_empty_and_its_items_come_last),
		cmocka_unit_test(loop_body_may_remove_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
