/*
 * Leases held beyond leak_after: each is told of once, counted while it lasts,
 * and of many at a time only some are told.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/leak.h"
#include "tests/support/scene.h"

enum { CLIENTS = LEAKS_TOLD + 4 };

static void
told(void *arg, const struct lease *l)
{
	assert_true(l->leaked);
	++*(unsigned *)arg;
}

static void
begin(struct scene *s, unsigned *n_told)
{
	scene_begin(s, 1, 1);
	s->conf.pool.max = CLIENTS;
	s->conf.pool.leak_after_ms = 10000;
	scene_start(s);
	s->upstream->leaked = told;
	s->upstream->leaked_arg = n_told;
	*n_told = 0;
}

static void
each_is_told_once_and_counted_while_it_lasts(void **state)
{
	struct client a, b;
	unsigned n_told;
	struct scene s;
	struct pool *p;

	(void)state;
	begin(&s, &n_told);
	p = scene_pool(&s, 0);
	client_come(&a, &s, 0);
	scene_pass(&s, 8000);
	client_come(&b, &s, 0);
	assert_int_equal(atomic_load(&p->leaks), 0);
	scene_pass(&s, 4000);
	assert_int_equal(atomic_load(&p->leaks), 1);
	assert_int_equal(n_told, 1);
	assert_true(a.lease->leaked);
	assert_false(b.lease->leaked);
	scene_pass(&s, 8000);
	assert_int_equal(atomic_load(&p->leaks), 2);
	assert_int_equal(n_told, 2);
	client_return(&a);
	scene_pass(&s, 2000);
	assert_int_equal(atomic_load(&p->leaks), 1);
	assert_int_equal(count_read(&p->leaked), 2);
	/* The same connection, another lease. */
	client_come(&a, &s, 0);
	scene_pass(&s, 2000);
	assert_int_equal(n_told, 2);
	s.conf.pool.leak_after_ms = CONF_OFF;
	scene_reload(&s, false);
	scene_pass(&s, 20000);
	assert_int_equal(atomic_load(&p->leaks), 0);
	assert_int_equal(n_told, 2);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
of_many_at_a_time_some_are_told(void **state)
{
	struct client c[CLIENTS];
	unsigned n_told, i;
	struct scene s;

	(void)state;
	begin(&s, &n_told);
	for (i = 0; i < CLIENTS; i++)
		client_come(&c[i], &s, 0);
	scene_pass(&s, 14000);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->leaks), CLIENTS);
	assert_int_equal(count_read(&scene_pool(&s, 0)->leaked), CLIENTS);
	assert_int_equal(n_told, LEAKS_TOLD);
	clients_return(c, CLIENTS);
	scene_end(&s);
}

static void
who_rides_on_an_old_connection_is_no_leak(void **state)
{
	struct client a, b;
	unsigned n_told = 0;
	struct scene s;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.leak_after_ms = 10000;
	scene_start(&s);
	s.upstream->leaked = told;
	s.upstream->leaked_arg = &n_told;
	client_init(&a, &s, 0);
	client_init(&b, &s, 0);
	client_share(&a, &s, "k");
	scene_run(&s);
	scene_pass(&s, 8000);
	client_share(&b, &s, "k");
	scene_run(&s);
	assert_ptr_equal(a.lease->u, b.lease->u);
	scene_pass(&s, 4000);
	assert_int_equal(n_told, 1);
	assert_true(a.lease->leaked);
	assert_false(b.lease->leaked);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
what_has_left_the_file_is_looked_at_while_it_is_leased(void **state)
{
	struct client a, b;
	unsigned n_told;
	struct scene s;
	struct pool *p;

	(void)state;
	begin(&s, &n_told);
	p = scene_pool(&s, 0);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	scene_pass(&s, 4000);
	pool_retire(p);
	scene_pass(&s, 4000);
	assert_int_equal(n_told, 0);
	client_return(&b);
	assert_true(deadline_armed(&p->upkeep));
	scene_pass(&s, 6000);
	assert_int_equal(n_told, 1);
	assert_true(a.lease->leaked);
	/* A pool that has nothing any more is freed: nothing may be armed. */
	client_return(&a);
	assert_false(deadline_armed(&p->upkeep));
	assert_int_equal(upstream_open(s.upstream), 0);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_told_once_and_counted_while_it_lasts),
		cmocka_unit_test(of_many_at_a_time_some_are_told),
		cmocka_unit_test(who_rides_on_an_old_connection_is_no_leak),
		cmocka_unit_test(
		    what_has_left_the_file_is_looked_at_while_it_is_leased)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
