/*
 * pool/cap: two processes count in one table (here it is mapped twice), and when
 * one has gone, what it had is free.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/cap.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/upstream.h"

static struct cap_table old, new;

/* An upstream of no workers that counts there. */
static struct upstream *
upstream(struct cap_table *t, unsigned most, int number)
{
	static const struct peer_ops peer;
	struct upstream *up = upstream_new("app", &peer, NULL, 0);

	assert_non_null(up);
	up->cap = cap_take(t, number);
	assert_non_null(up->cap);
	up->side = t->side;
	atomic_store(&up->most, most);
	return up;
}

static void
begin(struct upstream **a, struct upstream **b, unsigned most)
{
	cap_table_init(&old);
	assert_non_null(old.v);
	assert_int_equal(cap_table_join(&new, dup(old.fd), 1), 0);
	*a = upstream(&old, most, -1);
	*b = upstream(&new, most, cap_number(&old, (*a)->cap));
}

static void
end(struct upstream *a, struct upstream *b)
{
	upstream_free(a);
	upstream_free(b);
	cap_table_fini(&old);
	cap_table_fini(&new);
}

static void
both_together_have_no_more_than_the_cap(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 3);
	assert_true(upstream_slot_take(a));
	assert_true(upstream_slot_take(b));
	assert_true(upstream_slot_take(a));
	assert_false(upstream_slot_take(a));
	assert_false(upstream_slot_take(b));
	assert_true(upstream_is_full(b));
	assert_int_equal(upstream_open(b), 3);
	assert_int_equal(upstream_elsewhere(b), 2);
	assert_int_equal(upstream_elsewhere(a), 1);
	upstream_slot_free(a);
	assert_true(upstream_slot_take(b));
	assert_false(upstream_slot_take(a));
	assert_int_equal(atomic_load(&a->open), 1);
	assert_int_equal(atomic_load(&b->open), 2);
	end(a, b);
}

static void
one_that_goes_over_takes_its_place_along(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 1);
	assert_true(upstream_slot_take(a));
	upstream_slot_send(a);
	/* On its way it is counted, and nobody can take its place. */
	assert_int_equal(upstream_open(a), 1);
	assert_false(upstream_slot_take(a));
	assert_false(upstream_slot_take(b));
	upstream_slot_receive(b);
	assert_int_equal(atomic_load(&b->open), 1);
	assert_int_equal(upstream_open(b), 1);
	assert_int_equal(upstream_elsewhere(b), 0);
	upstream_slot_free(b);
	assert_int_equal(upstream_open(a), 0);
	assert_true(upstream_slot_take(a));
	end(a, b);
}

static void
what_the_other_had_is_free_when_it_has_gone(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 4);
	assert_true(upstream_slot_take(a));
	assert_true(upstream_slot_take(a));
	assert_true(upstream_slot_take(b));
	/* One is on its way to it, and lost. */
	upstream_slot_send(a);
	atomic_store(&b->cap->waiting[1], 7);
	atomic_store(&b->cap->leased[1], 1);
	assert_int_equal(upstream_leased_elsewhere(a), 1);
	assert_int_equal(upstream_leased_elsewhere(b), 0);
	cap_bury(&old);
	assert_int_equal(upstream_leased_elsewhere(a), 0);
	assert_int_equal(upstream_open(a), 1);
	assert_int_equal(atomic_load(&a->open), 1);
	assert_int_equal(atomic_load(&a->cap->waiting[1]), 0);
	end(a, b);
}

static void
one_bucket_is_both_ones(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 1);
	atomic_store(upstream_rate(a), 100);
	assert_int_equal(atomic_load(upstream_rate(b)), 100);
	/* What b had been promised and not come for is for who comes next. */
	upstream_promise(a, 20);
	upstream_promise(b, 50);
	upstream_promise(b, -10);
	cap_bury(&old);
	assert_int_equal(atomic_load(upstream_rate(a)), 60);
	cap_bury(&old);
	assert_int_equal(atomic_load(upstream_rate(a)), 60);
	/* Who has the entry next has nothing to do with it. */
	cap_give(&old, a->cap);
	assert_ptr_equal(cap_take(&old, -1), a->cap);
	assert_int_equal(atomic_load(upstream_rate(a)), 0);
	end(a, b);
}

static void
one_that_could_not_be_sent_is_ours_again(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 2);
	assert_true(upstream_slot_take(a));
	upstream_slot_send(a);
	upstream_slot_keep(a);
	assert_int_equal(atomic_load(&a->open), 1);
	assert_int_equal(upstream_elsewhere(b), 1);
	assert_int_equal(upstream_elsewhere(a), 0);
	upstream_slot_free(a);
	assert_int_equal(upstream_open(b), 0);
	end(a, b);
}

/* The dead one lives: nothing wraps, and what the other one has stays counted. */
static void
one_who_is_buried_alive_does_no_harm(void **state)
{
	struct upstream *a, *b;

	(void)state;
	begin(&a, &b, 3);
	assert_true(upstream_slot_take(a));
	assert_true(upstream_slot_take(b));
	cap_bury(&old);
	assert_int_equal(upstream_open(a), 1);
	upstream_slot_free(b);
	assert_int_equal(upstream_open(a), 1);
	assert_int_equal(upstream_elsewhere(a), 0);
	upstream_slot_free(a);
	assert_int_equal(upstream_open(a), 0);
	assert_true(upstream_slot_take(b));
	upstream_slot_free(b);
	end(a, b);
}

static void
entries_are_given_once(void **state)
{
	struct cap_table t;
	struct cap *a, *b;
	unsigned n = 2;

	(void)state;
	cap_table_init(&t);
	a = cap_take(&t, -1);
	b = cap_take(&t, -1);
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	assert_null(cap_take(&t, cap_number(&t, a)));
	assert_null(cap_take(&t, CAP_MOST));
	cap_give(&t, a);
	/* Somebody else counts in it yet. */
	assert_true(cap_count(a, 1, 1));
	assert_ptr_not_equal(cap_take(&t, -1), a);
	n++;
	cap_discount(a, 1);
	assert_ptr_equal(cap_take(&t, -1), a);
	while (cap_take(&t, -1) != NULL)
		n++;
	assert_int_equal(n, CAP_MOST);
	cap_table_fini(&t);
	assert_null(cap_take(&t, -1));
}

static void
what_is_no_such_table_is_refused(void **state)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	struct cap_table t;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(cap_table_join(&t, fd, 1), -1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);       /* taken over */
	assert_int_equal(cap_table_join(&t, open("/dev/null", O_RDWR), 1), -1);
	cap_table_init(&old);
	assert_int_equal(cap_table_join(&t, dup(old.fd), 2), -1);
	cap_table_fini(&old);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_together_have_no_more_than_the_cap),
		cmocka_unit_test(one_that_goes_over_takes_its_place_along),
		cmocka_unit_test(what_the_other_had_is_free_when_it_has_gone),
		cmocka_unit_test(one_bucket_is_both_ones),
		cmocka_unit_test(one_that_could_not_be_sent_is_ours_again),
		cmocka_unit_test(one_who_is_buried_alive_does_no_harm),
		cmocka_unit_test(entries_are_given_once),
		cmocka_unit_test(what_is_no_such_table_is_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
