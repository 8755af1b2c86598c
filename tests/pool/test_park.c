/*
 * pool/park: while an upstream is paused nothing new begins, what is under way
 * ends, and afterwards all are served in their order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/park.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* As main does it: the flag, and every pool is told. */
static void
set_paused(bool on)
{
	unsigned i;

	atomic_store(&s.upstream->paused, on);
	for (i = 0; i < s.turns.n; i++)
		pool_set_roster(scene_pool(&s, i),
		    roster_keep(scene_pool(&s, i)->roster));
	books_check(s.upstream, false);
}

static void
new_ones_wait_and_leases_go_on(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	client_come(&a, &s, 0);
	set_paused(true);
	client_come(&b, &s, 0);
	client_come(&c, &s, 0);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->waiting), 2);
	/* What comes home goes to its shelf, and to nobody. */
	client_return(&a);
	scene_pass(&s, 100);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_equal(b.state, CLIENT_WAITS);
	set_paused(false);
	scene_run(&s);
	assert_int_equal(b.turn, 2);
	assert_int_equal(b.lease->waited_ns, 100 * NS_PER_MS);
	assert_int_equal(c.turn, 3);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

static void
who_waits_already_keeps_his_turn(void **state)
{
	struct client holder, c[3];

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&holder, &s, 0);
	client_come(&c[0], &s, 0);
	client_come(&c[1], &s, 0);
	set_paused(true);
	client_come(&c[2], &s, 0);
	client_return(&holder);
	scene_run(&s);
	clients_are(c, 3, CLIENT_WAITS);
	set_paused(false);
	scene_run(&s);
	assert_int_equal(c[0].state, CLIENT_HOLDS);
	clients_are(&c[1], 2, CLIENT_WAITS);
	client_return(&c[0]);
	scene_run(&s);
	assert_int_equal(c[1].state, CLIENT_HOLDS);
	client_return(&c[1]);
	scene_run(&s);
	assert_int_equal(c[2].state, CLIENT_HOLDS);
	client_return(&c[2]);
	assert_int_equal(scene_connects(&s), 1);
	scene_end(&s);
}

/* Told by the flag alone, before main's letter has come. */
static void
one_that_asks_before_the_letter_comes_is_behind_the_others(void **state)
{
	struct client holder, first, late;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&holder, &s, 0);
	client_come(&first, &s, 0);
	atomic_store(&s.upstream->paused, true);
	client_come(&late, &s, 0);
	client_return(&holder);
	atomic_store(&s.upstream->paused, false);
	set_paused(false);
	scene_run(&s);
	assert_int_equal(first.state, CLIENT_HOLDS);
	assert_int_equal(late.state, CLIENT_WAITS);
	client_return(&first);
	scene_run(&s);
	client_return(&late);
	scene_end(&s);
}

static void
what_is_opening_is_kept(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	connects_are_slow = true;
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_non_null(a.ask.opening);
	set_paused(true);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	set_paused(false);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 1);
	client_return(&a);
	scene_end(&s);
}

static void
queue_timeout_runs_from_the_beginning(void **state)
{
	struct client holder, a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&holder, &s, 0);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	scene_pass(&s, 1000);
	set_paused(true);
	scene_pass(&s, 990);
	assert_int_equal(a.state, CLIENT_WAITS);
	client_cancel(&b);
	scene_pass(&s, 20);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_QUEUE_TIMEOUT);
	/* And after it, what is left of it. */
	client_come(&a, &s, 0);
	scene_pass(&s, 1500);
	set_paused(false);
	scene_pass(&s, 490);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 20);
	assert_int_equal(a.refusal, REFUSAL_QUEUE_TIMEOUT);
	client_return(&holder);
	scene_end(&s);
}

static void
max_waiting_counts_them_on_all_workers(void **state)
{
	struct client c[3];

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max_waiting = 2;
	scene_start(&s);
	set_paused(true);
	client_come(&c[0], &s, 0);
	client_come(&c[1], &s, 1);
	client_come(&c[2], &s, 0);
	clients_are(c, 2, CLIENT_WAITS);
	assert_int_equal(c[2].state, CLIENT_REFUSED);
	assert_int_equal(c[2].refusal, REFUSAL_QUEUE_FULL);
	set_paused(false);
	scene_run(&s);
	clients_are(c, 2, CLIENT_HOLDS);
	clients_return(c, 2);
	scene_end(&s);
}

static void
workers_serve_the_oldest_first(void **state)
{
	struct client first, second;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 1;
	scene_start(&s);
	set_paused(true);
	client_come(&first, &s, 1);
	scene_pass(&s, 50);
	client_come(&second, &s, 0);
	set_paused(false);
	scene_run(&s);
	/* Though worker 0 is told first. */
	assert_int_equal(first.state, CLIENT_HOLDS);
	assert_int_equal(second.state, CLIENT_WAITS);
	client_return(&first);
	scene_run(&s);
	assert_int_equal(second.state, CLIENT_HOLDS);
	client_return(&second);
	scene_end(&s);
}

static void
riders_end_and_newcomers_wait(void **state)
{
	struct client rider, more, newcomer, pinned;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.max_pinned = 1;
	scene_start(&s);
	client_share(&rider, &s, "");
	scene_run(&s);
	assert_int_equal(rider.state, CLIENT_HOLDS);
	set_paused(true);
	client_share(&newcomer, &s, "");
	client_part(&pinned, &s, true);
	scene_run(&s);
	assert_int_equal(newcomer.state, CLIENT_WAITS);
	assert_int_equal(pinned.state, CLIENT_WAITS);
	/* Who has a lease may have more of the same. */
	client_follow(&more, &s, rider.lease->u);
	assert_int_equal(more.state, CLIENT_HOLDS);
	client_return(&rider);
	client_return(&more);
	scene_run(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	set_paused(false);
	scene_run(&s);
	assert_int_equal(newcomer.state, CLIENT_HOLDS);
	assert_int_equal(pinned.state, CLIENT_HOLDS);
	assert_true(pinned.lease->u->alone);
	client_return(&newcomer);
	client_return(&pinned);
	scene_end(&s);
}

static void
retired_pool_lets_them_go_when_it_is_over(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	set_paused(true);
	client_come(&a, &s, 0);
	/* Its name has left the file. */
	atomic_store(&s.upstream->paused, false);
	pool_retire(scene_pool(&s, 0));
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_return(&a);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ones_wait_and_leases_go_on),
		cmocka_unit_test(who_waits_already_keeps_his_turn),
		cmocka_unit_test(
		    one_that_asks_before_the_letter_comes_is_behind_the_others),
		cmocka_unit_test(what_is_opening_is_kept),
		cmocka_unit_test(queue_timeout_runs_from_the_beginning),
		cmocka_unit_test(max_waiting_counts_them_on_all_workers),
		cmocka_unit_test(workers_serve_the_oldest_first),
		cmocka_unit_test(riders_end_and_newcomers_wait),
		cmocka_unit_test(retired_pool_lets_them_go_when_it_is_over)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
