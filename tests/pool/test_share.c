/*
 * pool/share: many leases on one connection; who waits for it, who does not, and
 * when it takes nobody any more.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/share.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* One worker, so many endpoints and connections. */
static void
begin(unsigned ends, int64_t max)
{
	scene_begin(&s, 1, ends);
	scene_share(&s);
	s.conf.pool.max = max;
	scene_start(&s);
}

/* ------------------------------------------------------------------ together */

static void
any_number_ride_on_one_connection(void **state)
{
	struct client c[50];
	unsigned i;

	(void)state;
	begin(1, 100);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	clients_are(c, NELEMS(c), CLIENT_HOLDS);
	for (i = 1; i < NELEMS(c); i++)
		assert_ptr_equal(c[i].lease->u, c[0].lease->u);
	assert_int_equal(scene_riders(c[0].lease->u), 50);
	assert_int_equal(scene_connects(&s), 1);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->leased), 1);
	assert_int_equal(count_read(&scene_pool(&s, 0)->requests), 50);
	assert_int_equal(count_read(&scene_pool(&s, 0)->reused), 49);
	clients_return(c, NELEMS(c));
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	/* And again. */
	client_share(&c[0], &s, "");
	client_share(&c[1], &s, "");
	assert_ptr_equal(c[0].lease->u, c[1].lease->u);
	clients_return(c, 2);
	assert_int_equal(scene_connects(&s), 1);
	scene_end(&s);
}

static void
other_keys_ride_elsewhere(void **state)
{
	struct client ann, bob, eve, ann2;

	(void)state;
	begin(1, 100);
	client_share(&ann, &s, "ann");
	client_share(&bob, &s, "bob");
	client_share(&eve, &s, "anna");
	client_share(&ann2, &s, "ann");
	assert_ptr_not_equal(ann.lease->u, bob.lease->u);
	assert_ptr_not_equal(ann.lease->u, eve.lease->u);
	assert_ptr_equal(ann.lease->u, ann2.lease->u);
	assert_int_equal(scene_connects(&s), 3);
	client_return(&ann);
	client_return(&bob);
	client_return(&eve);
	client_return(&ann2);
	scene_end(&s);
}

static void
who_is_alone_shares_with_nobody(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	client_part(&b, &s, false);
	client_share(&c, &s, "");
	assert_true(b.lease->u->alone);
	assert_false(a.lease->u->alone);
	assert_ptr_not_equal(a.lease->u, b.lease->u);
	assert_ptr_equal(a.lease->u, c.lease->u);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* --------------------------------------------------------------- being opened */

static void
all_wait_for_the_one_that_is_opened_and_are_granted_in_order(void **state)
{
	struct client c[20];
	unsigned i;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	assert_int_equal(scene_connects(&s), 1);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->waiting), 20);
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_HOLDS);
	for (i = 0; i < NELEMS(c); i++) {
		assert_int_equal(c[i].turn, i + 1);
		assert_ptr_equal(c[i].lease->u, c[0].lease->u);
	}
	assert_int_equal(scene_connects(&s), 1);
	clients_return(c, NELEMS(c));
	scene_end(&s);
}

static void
ask_with_the_key_of_another_waits_for_none_that_is_not_its_own(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	client_share(&a, &s, "ann");
	client_share(&b, &s, "bob");
	assert_non_null(a.ask.opening);
	assert_non_null(b.ask.opening);
	assert_ptr_not_equal(a.ask.opening, b.ask.opening);
	scene_run(&s);
	assert_ptr_not_equal(a.lease->u, b.lease->u);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
who_vanishes_while_it_is_opened_leaves_it_to_the_others(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	client_share(&c, &s, "");
	client_cancel(&a);      /* it was opened for this one */
	client_cancel(&b);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 1);
	client_return(&c);
	scene_end(&s);
}

static void
failed_opening_refuses_each_who_waits_for_it_once(void **state)
{
	struct client c[10];
	unsigned i;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	far_end_refuse(&s.ends[0]);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	/* Refused twice would be found by client_of's state. */
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_REFUSED);
	for (i = 0; i < NELEMS(c); i++) {
		assert_int_equal(c[i].refusal, REFUSAL_CONNECT_FAILED);
		assert_int_equal(c[i].ask.error, ECONNREFUSED);
		assert_ptr_equal(c[i].ask.failed, s.endpoints[0]);
	}
	assert_int_equal(scene_connects(&s), 1);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_CONNECT_FAILED]), 1);
	scene_end(&s);
}

static unsigned refusals;

static void
ask_again_once(struct client *c)
{
	if (c->state != CLIENT_REFUSED)
		return;
	refusals++;
	c->then = NULL;
	switch (lease_ask(&c->ask)) {
	case ASK_WAITS:
		c->state = CLIENT_WAITS;
		return;
	case ASK_GRANTED:
	case ASK_REFUSED:
		fail_msg("it is slow");
	}
}

/* Also the one that it was opened for. */
static void
who_asks_again_when_refused_has_another_try(void **state)
{
	struct client c[3];
	unsigned i;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	far_end_refuse(&s.ends[0]);
	refusals = 0;
	for (i = 0; i < NELEMS(c); i++) {
		client_share(&c[i], &s, "");
		c[i].then = ask_again_once;
	}
	turns_step(&s.turns, 0);
	assert_int_equal(refusals, 3);
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	assert_int_equal(scene_connects(&s), 2);
	far_end_welcome(&s.ends[0]);
	scene_run(&s);
	/* The second try was begun before. */
	clients_are(c, NELEMS(c), CLIENT_REFUSED);
	scene_end(&s);
}

static void
who_could_ride_elsewhere_is_not_refused(void **state)
{
	struct client a, b, c, d;

	(void)state;
	begin(2, 100);
	connects_are_slow = true;
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	client_share(&c, &s, "");
	client_share(&d, &s, "");
	assert_non_null(a.ask.opening);
	assert_non_null(b.ask.opening);
	upconn_broken(a.ask.opening, FAULT_CONNECT_FAILED, ECONNREFUSED);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(c.state, CLIENT_WAITS);
	assert_int_equal(d.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(d.state, CLIENT_HOLDS);
	client_return(&b);
	client_return(&c);
	client_return(&d);
	scene_end(&s);
}

static void
timed_out_opening_refuses_all(void **state)
{
	struct client c[3];

	(void)state;
	begin(1, 100);
	far_end_clog(&s.ends[0]);
	client_share(&c[0], &s, "");
	client_share(&c[1], &s, "");
	client_share(&c[2], &s, "");
	scene_pass(&s, 999);
	clients_are(c, 3, CLIENT_WAITS);
	scene_pass(&s, 1);
	clients_are(c, 3, CLIENT_REFUSED);
	assert_int_equal(c[0].refusal, REFUSAL_CONNECT_TIMEOUT);
	assert_int_equal(c[1].refusal, REFUSAL_CONNECT_TIMEOUT);
	assert_int_equal(c[2].refusal, REFUSAL_CONNECT_TIMEOUT);
	scene_end(&s);
}

static bool
never_greeted(struct upconn *u)
{
	(void)u;
	return false;
}

static void
turned_away_is_told_in_the_servers_words_and_blames_nobody(void **state)
{
	struct client c[3];
	unsigned i, fault;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.peer.greet = never_greeted;
	scene_start(&s);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "ann");
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	upconn_turned_away(scene_upconn(&s, 0, 0), "WRONGPASS");
	for (i = 0; i < NELEMS(c); i++) {
		assert_int_equal(c[i].state, CLIENT_REFUSED);
		assert_int_equal(c[i].refusal, REFUSAL_LOGIN);
		assert_string_equal(c[i].ask.said, "WRONGPASS");
	}
	for (fault = 0; fault < N_FAULTS; fault++)
		assert_int_equal(atomic_load(&s.endpoints[0]->faults[fault]),
		    0);
	/* Nor does it rest: the next one tries at once. */
	client_share(&c[0], &s, "bob");
	assert_non_null(c[0].ask.opening);
	assert_null(c[0].ask.said);
	scene_run(&s);
	upconn_ready(scene_upconn(&s, 0, 0));
	assert_int_equal(c[0].state, CLIENT_HOLDS);
	client_return(&c[0]);
	scene_end(&s);
}

/* -------------------------------------------------------------------- no room */

static void
without_room_askers_wait_and_are_granted_in_order(void **state)
{
	struct client a, c[5];
	struct upconn *u;
	unsigned i;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	scene_room(u, false);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	client_cancel(&c[2]);
	scene_room(u, true);
	share_grant(u);
	assert_int_equal(c[2].state, CLIENT_AWAY);
	assert_int_equal(c[0].turn, 2);
	assert_int_equal(c[1].turn, 3);
	assert_int_equal(c[3].turn, 4);
	assert_int_equal(c[4].turn, 5);
	assert_int_equal(scene_connects(&s), 1);
	scene_run(&s);
	client_return(&a);
	client_return(&c[0]);
	client_return(&c[1]);
	client_return(&c[3]);
	client_return(&c[4]);
	scene_end(&s);
}

static void
fill_up(struct client *c)
{
	scene_room(c->lease->u, false);
}

static void
grant_ends_where_the_room_does(void **state)
{
	struct client a, b, c;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	scene_room(u, false);
	client_share(&b, &s, "");
	b.then = fill_up;
	client_share(&c, &s, "");
	scene_room(u, true);
	share_grant(u);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_room(u, true);
	share_grant(u);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

static void
leave_at_once(struct client *c)
{
	c->state = CLIENT_AWAY;
	lease_return(&c->lease);
}

/* Who is granted gives it back inside granted(), the last one too. */
static void
those_who_leave_at_once_do_not_send_it_home_too_early(void **state)
{
	struct client a, b, c, d;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	client_share(&c, &s, "");
	a.then = b.then = leave_at_once;
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	u = c.lease->u;
	assert_int_equal(scene_riders(u), 1);
	client_return(&c);
	assert_int_equal(u->state, UPCONN_IDLE);
	client_share(&d, &s, "");
	assert_ptr_equal(d.lease->u, u);
	client_return(&d);
	scene_end(&s);
}

static void
queue_timeout_refuses_who_waits_for_room(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	scene_room(a.lease->u, false);
	client_share(&b, &s, "");
	scene_pass(&s, 1999);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(b.refusal, REFUSAL_QUEUE_TIMEOUT);
	client_return(&a);
	scene_end(&s);
}

/* A place is not what those wait for who wait for room. */
static void
who_waits_for_room_keeps_nobody_from_a_free_place(void **state)
{
	struct client a, b, c, d;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	scene_room(a.lease->u, false);
	client_share(&b, &s, "");
	assert_int_equal(b.state, CLIENT_WAITS);
	client_part(&c, &s, false);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_share(&d, &s, "bob");
	assert_int_equal(d.state, CLIENT_HOLDS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	client_return(&c);
	client_return(&d);
	scene_end(&s);
}

static void
who_waits_for_room_lets_a_place_that_comes_free_pass(void **state)
{
	struct client a, b, c, d;

	(void)state;
	begin(1, 2);
	client_share(&a, &s, "");
	client_part(&c, &s, false);
	scene_room(a.lease->u, false);
	client_share(&b, &s, "");
	client_part(&d, &s, false);
	assert_int_equal(d.state, CLIENT_WAITS);
	client_return_as(&c, MARK_BROKEN);
	assert_int_equal(d.state, CLIENT_HOLDS);
	scene_room(a.lease->u, true);
	share_grant(a.lease->u);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	client_return(&d);
	scene_end(&s);
}

/* ----------------------------------------------------------------------- with */

static void
follower_gets_that_one_whatever_else(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.shared = 2;
	scene_start(&s);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	assert_ptr_not_equal(a.lease->u, b.lease->u);
	share_end(b.lease->u);  /* closed to newcomers */
	client_follow(&c, &s, b.lease->u);
	assert_ptr_equal(c.lease->u, b.lease->u);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

static void
follower_waits_for_room_where_it_is_with(void **state)
{
	struct client a, b, other;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	share_end(u);
	client_share(&other, &s, "");
	assert_ptr_not_equal(other.lease->u, u);
	scene_room(u, false);
	client_follow(&b, &s, u);
	assert_int_equal(b.state, CLIENT_WAITS);
	/* Another one with room is not it. */
	share_grant(other.lease->u);
	scene_pass(&s, 10);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_room(u, true);
	share_grant(u);
	assert_ptr_equal(b.lease->u, u);
	client_return(&a);
	client_return(&b);
	client_return(&other);
	scene_end(&s);
}

/* What is to be washed is good for who has it. */
static void
follower_of_a_dirty_one_is_granted(void **state)
{
	struct client a, b, c;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_part(&a, &s, false);
	u = a.lease->u;
	upconn_mark(u, MARK_DIRTY, "test");
	client_follow(&b, &s, u);
	assert_ptr_equal(b.lease->u, u);
	scene_room(u, false);
	client_follow(&c, &s, u);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_room(u, true);
	share_grant(u);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	assert_int_equal(u->state, UPCONN_CLOSED);
	scene_end(&s);
}

/* The bug: it was granted on it when it was somebody else's already. */
static void
follower_does_not_follow_to_the_next_holder(void **state)
{
	struct client a, b, next;
	struct upconn *u;

	(void)state;
	begin(1, 1);
	client_part(&a, &s, false);
	u = a.lease->u;
	scene_room(u, false);
	client_follow(&b, &s, u);
	client_part(&next, &s, false);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_int_equal(next.state, CLIENT_WAITS);
	assert_int_equal(scene_pool(&s, 0)->followers, 1);
	/* The order of the queue: b was there first, and is as anybody now. */
	client_return(&a);
	assert_null(b.ask.with);
	assert_int_equal(scene_pool(&s, 0)->followers, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(next.state, CLIENT_WAITS);
	client_return(&b);
	assert_int_equal(next.state, CLIENT_HOLDS);
	client_return(&next);
	scene_end(&s);
}

static void
follower_of_one_that_closes_waits_like_anybody(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	scene_room(u, false);
	client_follow(&b, &s, u);
	client_return_as(&a, MARK_BROKEN);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_not_equal(b.lease->u, u);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&b);
	scene_end(&s);
}

static void
vanished_follower_is_not_counted(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	scene_room(a.lease->u, false);
	client_follow(&b, &s, a.lease->u);
	assert_int_equal(scene_pool(&s, 0)->followers, 1);
	client_cancel(&b);
	assert_int_equal(scene_pool(&s, 0)->followers, 0);
	client_return(&a);
	scene_end(&s);
}

static void
joined_lease_outlives_the_first(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	client_init(&b, &s, 0);
	b.lease = lease_join(u, a.lease->ops, &b);
	assert_non_null(b.lease);
	b.state = CLIENT_HOLDS;
	client_return(&a);
	assert_int_equal(u->state, UPCONN_LEASED);
	client_return(&b);
	assert_int_equal(u->state, UPCONN_IDLE);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_ride_on_one_connection),
		cmocka_unit_test(other_keys_ride_elsewhere),
		cmocka_unit_test(who_is_alone_shares_with_nobody),
		cmocka_unit_test(
		    all_wait_for_the_one_that_is_opened_and_are_granted_in_order),
		cmocka_unit_test(
		    ask_with_the_key_of_another_waits_for_none_that_is_not_its_own),
		cmocka_unit_test(
		    who_vanishes_while_it_is_opened_leaves_it_to_the_others),
		cmocka_unit_test(
		    failed_opening_refuses_each_who_waits_for_it_once),
		cmocka_unit_test(who_asks_again_when_refused_has_another_try),
		cmocka_unit_test(who_could_ride_elsewhere_is_not_refused),
		cmocka_unit_test(timed_out_opening_refuses_all),
		cmocka_unit_test(
		    turned_away_is_told_in_the_servers_words_and_blames_nobody),
		cmocka_unit_test(
		    without_room_askers_wait_and_are_granted_in_order),
		cmocka_unit_test(grant_ends_where_the_room_does),
		cmocka_unit_test(
		    those_who_leave_at_once_do_not_send_it_home_too_early),
		cmocka_unit_test(queue_timeout_refuses_who_waits_for_room),
		cmocka_unit_test(
		    who_waits_for_room_keeps_nobody_from_a_free_place),
		cmocka_unit_test(
		    who_waits_for_room_lets_a_place_that_comes_free_pass),
		cmocka_unit_test(follower_gets_that_one_whatever_else),
		cmocka_unit_test(follower_waits_for_room_where_it_is_with),
		cmocka_unit_test(follower_of_a_dirty_one_is_granted),
		cmocka_unit_test(follower_does_not_follow_to_the_next_holder),
		cmocka_unit_test(
		    follower_of_one_that_closes_waits_like_anybody),
		cmocka_unit_test(vanished_follower_is_not_counted),
		cmocka_unit_test(joined_lease_outlives_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
