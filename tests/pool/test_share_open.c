/*
 * pool/share: when a connection is open to all of its key, and when it takes
 * nobody any more; from one holder to many, and its end.
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

/* ------------------------------------------------------ from holder to holder */

static void
one_that_goes_from_one_to_many_is_not_alone(void **state)
{
	struct client a, b, c, d;
	struct upconn *u;

	(void)state;
	begin(1, 1);
	client_part(&a, &s, false);
	a.lease->u->conn.paused = false;
	u = a.lease->u;
	upconn_pin(u, 0);
	client_share(&b, &s, "");
	client_share(&c, &s, "");
	clients_are(&b, 1, CLIENT_WAITS);
	client_return(&a);
	assert_ptr_equal(b.lease->u, u);
	assert_ptr_equal(c.lease->u, u);
	assert_false(u->alone);
	assert_false(u->pinned);
	assert_true(list_linked(&u->shared));
	client_share(&d, &s, "");
	assert_ptr_equal(d.lease->u, u);
	client_return(&b);
	client_return(&c);
	client_return(&d);
	scene_end(&s);
}

static void
one_that_goes_from_many_to_one_is_alone(void **state)
{
	struct client a, b, c, d;
	struct upconn *u;

	(void)state;
	begin(1, 1);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	u = a.lease->u;
	client_part(&c, &s, false);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&b);
	assert_ptr_equal(c.lease->u, u);
	assert_true(u->alone);
	assert_false(list_linked(&u->shared));
	client_share(&d, &s, "");
	assert_int_equal(d.state, CLIENT_WAITS);
	client_return(&c);
	assert_ptr_equal(d.lease->u, u);
	client_return(&d);
	scene_end(&s);
}

static void
one_opened_for_many_goes_to_who_asked_first(void **state)
{
	struct client first, a, b, c;

	(void)state;
	begin(1, 2);
	client_part(&first, &s, false);
	connects_are_slow = true;
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	client_part(&c, &s, false);
	client_return(&first);  /* a is the oldest */
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(a.lease->u, b.lease->u);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_true(c.lease->u->alone);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* ------------------------------------------------------------- open and closed */

static void
closed_to_newcomers_and_open_again(void **state)
{
	struct client a, b, c;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	share_end(u);
	share_end(u);
	client_share(&b, &s, "");
	assert_ptr_not_equal(b.lease->u, u);
	/* There is one already. */
	share_again(u);
	assert_false(list_linked(&u->shared));
	client_return(&b);
	share_again(u);
	share_again(u);
	assert_true(list_linked(&u->shared));
	client_share(&c, &s, "");
	assert_ptr_equal(c.lease->u, u);
	client_return(&a);
	client_return(&c);
	scene_end(&s);
}

static void
closed_one_is_not_opened_again_for_who_has_it_alone(void **state)
{
	struct client a;

	(void)state;
	begin(1, 100);
	client_part(&a, &s, false);
	share_again(a.lease->u);
	assert_false(list_linked(&a.lease->u->shared));
	client_return(&a);
	scene_end(&s);
}

/* Its large reply has passed while the pool was full. */
static void
who_waited_is_granted_when_it_is_open_again(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(1, 1);
	client_share(&a, &s, "");
	u = a.lease->u;
	share_end(u);
	client_share(&b, &s, "");
	assert_int_equal(b.state, CLIENT_WAITS);
	u->busy = true;         /* as a protocol has it while it reads */
	share_again(u);
	share_dealt_with(u);
	assert_ptr_equal(b.lease->u, u);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
who_waited_for_room_goes_elsewhere_when_it_is_closed(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	u = a.lease->u;
	scene_room(u, false);
	client_share(&b, &s, "");
	assert_int_equal(b.state, CLIENT_WAITS);
	share_end(u);
	turns_pass(&s.turns, 0);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_not_equal(b.lease->u, u);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
two_that_are_shared_carry_as_many(void **state)
{
	struct client c[10];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.shared = 2;
	scene_start(&s);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	assert_int_equal(scene_connects(&s), 2);
	assert_int_equal(scene_riders(scene_upconn(&s, 0, 0)), 5);
	assert_int_equal(scene_riders(scene_upconn(&s, 0, 1)), 5);
	clients_return(c, NELEMS(c));
	scene_end(&s);
}

static void
second_shared_one_that_has_no_place_is_done_without(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.shared = 2;
	s.conf.pool.max = 2;
	scene_start(&s);
	client_part(&a, &s, false);
	client_share(&b, &s, "");
	client_share(&c, &s, "");
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_ptr_equal(b.lease->u, c.lease->u);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* Round robin would have the next one at the other endpoint. */
static void
in_a_full_pool_any_endpoint_will_do(void **state)
{
	struct client a, b, c, waits;

	(void)state;
	begin(2, 1);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(a.lease->u, b.lease->u);
	client_part(&waits, &s, false);
	client_share(&c, &s, "");
	assert_int_equal(waits.state, CLIENT_WAITS);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_cancel(&waits);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* -------------------------------------------------------------------- overdue */

/* b came before it was due, c after. */
static void
takes_nobody_and_closes_with_the_last(void (*age)(struct upconn *u),
    enum discard why)
{
	struct client a, b, c;
	struct upconn *u;

	client_share(&a, &s, "");
	u = a.lease->u;
	client_follow(&b, &s, u);          /* round robin would have it elsewhere */
	age(u);
	assert_int_equal(u->state, UPCONN_LEASED);
	client_share(&c, &s, "");
	if (c.state == CLIENT_HOLDS)
		assert_ptr_not_equal(c.lease->u, u);
	client_return(&a);
	assert_int_equal(u->state, UPCONN_LEASED);
	client_return(&b);
	assert_int_equal(u->state, UPCONN_CLOSED);
	assert_int_equal(scene_discards(&s, why), 1);
	if (c.state == CLIENT_HOLDS)
		client_return(&c);
	scene_end(&s);
}

static void
live_long(struct upconn *u)
{
	(void)u;
	scene_pass(&s, 1200);
}

static void
old_one_takes_nobody(void **state)
{
	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.max_lifetime_ms = 1000;
	scene_start(&s);
	takes_nobody_and_closes_with_the_last(live_long, DISCARD_LIFETIME);
}

static void
change_identity(struct upconn *u)
{
	(void)u;
	scene_reload(&s, true);
}

static void
one_of_an_old_configuration_takes_nobody(void **state)
{
	(void)state;
	begin(1, 100);
	takes_nobody_and_closes_with_the_last(change_identity,
	    DISCARD_IDENTITY);
}

static void
bar_endpoint(struct upconn *u)
{
	(void)endpoint_bar(u->shelf->site->endpoint, BAR_DOWN, true,
	    s.turns.now_ns);
	scene_set_roster(&s, 3);
}

static void
one_at_a_barred_endpoint_takes_nobody(void **state)
{
	(void)state;
	begin(2, 100);
	takes_nobody_and_closes_with_the_last(bar_endpoint,
	    DISCARD_ENDPOINT_DOWN);
}

static void
see_no_more(struct upconn *u)
{
	upconn_mark(u, MARK_DIRTY, "test");
	u->doom = DISCARD_SERVER_SAID;
}

static void
one_that_is_to_be_washed_takes_nobody(void **state)
{
	(void)state;
	begin(1, 100);
	takes_nobody_and_closes_with_the_last(see_no_more,
	    DISCARD_SERVER_SAID);
}

/* Pins hold all that it may have now. */
static void
lowered_max_keeps_nobody_from_riding(void **state)
{
	struct client pins[3], a, b;

	(void)state;
	begin(1, 10);
	client_part(&pins[0], &s, true);
	client_part(&pins[1], &s, true);
	client_part(&pins[2], &s, true);
	client_share(&a, &s, "");
	s.conf.pool.max = 2;
	scene_reload(&s, false);
	client_share(&b, &s, "");
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(b.lease->u, a.lease->u);
	clients_return(pins, 3);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* It was full, and they began to wait before. */
static void
overdue_one_that_has_room_again_takes_nobody(void **state)
{
	struct client a, b, blocker[2];
	struct upconn *u;

	(void)state;
	begin(1, 2);
	client_share(&a, &s, "");
	u = a.lease->u;
	client_part(&blocker[0], &s, false);
	client_part(&blocker[1], &s, false);     /* first in the queue */
	scene_room(u, false);
	client_share(&b, &s, "");
	scene_reload(&s, true);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_room(u, true);
	share_grant(u);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(blocker[1].state, CLIENT_HOLDS);
	client_return(&blocker[0]);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(b.lease->u->identity, scene_pool(&s, 0)->identity);
	client_return(&b);
	client_return(&blocker[1]);
	scene_end(&s);
}

static void
no_more_ride_than_max_requests(void **state)
{
	struct client c[5];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.max_requests = 2;
	scene_start(&s);
	connects_are_slow = true;
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	scene_run(&s);
	scene_pass(&s, 10);
	clients_are(c, NELEMS(c), CLIENT_HOLDS);
	assert_ptr_equal(c[0].lease->u, c[1].lease->u);
	assert_ptr_equal(c[2].lease->u, c[3].lease->u);
	assert_ptr_not_equal(c[1].lease->u, c[2].lease->u);
	assert_int_equal(scene_connects(&s), 3);
	clients_return(c, NELEMS(c));
	scene_end(&s);
}

/* What waits is served, and together. */
static void
retired_pool_serves_those_who_wait_on_one(void **state)
{
	struct client c[3];
	unsigned i;

	(void)state;
	begin(1, 100);
	connects_are_slow = true;
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	pool_retire(scene_pool(&s, 0));
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 1);
	clients_return(c, NELEMS(c));
	scene_end(&s);
}

/* ----------------------------------------------------------------------- ends */

static void
lost_one_is_told_to_each_rider(void **state)
{
	struct client c[5], next;
	struct upconn *u;
	unsigned i;

	(void)state;
	begin(1, 100);
	for (i = 0; i < NELEMS(c); i++)
		client_share(&c[i], &s, "");
	u = c[0].lease->u;
	upconn_lost(u, ECONNRESET);
	clients_are(c, NELEMS(c), CLIENT_AWAY);
	for (i = 0; i < NELEMS(c); i++)
		assert_int_equal(c[i].goners, 1);
	assert_int_equal(u->state, UPCONN_CLOSED);
	client_share(&next, &s, "");
	assert_ptr_not_equal(next.lease->u, u);
	client_return(&next);
	scene_end(&s);
}

static void
reset_and_end_are_told_to_each_rider(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(1, 100);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	u = a.lease->u;
	far_end_reset(&s.ends[0], scene_far_fd(&s, u));
	scene_run(&s);
	assert_int_equal(a.goners, 1);
	assert_int_equal(b.goners, 1);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	u = a.lease->u;
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, u));
	scene_run(&s);
	assert_int_equal(a.goners, 1);
	assert_int_equal(b.goners, 1);
	assert_int_equal(scene_connects(&s), 2);
	scene_end(&s);
}

/* All who rode on it ask at once, for none that may be as old. */
static void
those_who_lost_one_share_a_fresh_one(void **state)
{
	struct client c[5], old;
	unsigned i;

	(void)state;
	begin(1, 100);
	client_share(&old, &s, "");
	scene_pass(&s, 10);
	connects_are_slow = true;
	for (i = 0; i < NELEMS(c); i++) {
		client_init(&c[i], &s, 0);
		c[i].ask.share = c[i].ask.fresh = true;
		client_ask(&c[i]);
	}
	clients_are(c, NELEMS(c), CLIENT_WAITS);
	scene_run(&s);
	clients_are(c, NELEMS(c), CLIENT_HOLDS);
	assert_ptr_not_equal(c[0].lease->u, old.lease->u);
	for (i = 1; i < NELEMS(c); i++)
		assert_ptr_equal(c[i].lease->u, c[0].lease->u);
	assert_int_equal(scene_connects(&s), 2);
	clients_return(c, NELEMS(c));
	client_return(&old);
	scene_end(&s);
}

/* ----------------------------------------------------------------------- warm */

static void
one_is_kept_warm_beside_the_shared_one(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 20);
	assert_int_equal(scene_connects(&s), 1);
	client_share(&a, &s, "");
	client_share(&b, &s, "");
	assert_int_equal(scene_connects(&s), 1);
	scene_pass(&s, 20);
	assert_int_equal(scene_connects(&s), 2);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	/* Who wants one alone gets that, without a connect. */
	client_part(&c, &s, false);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	assert_false(c.lease->reused);
	client_return(&a);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_goes_from_one_to_many_is_not_alone),
		cmocka_unit_test(one_that_goes_from_many_to_one_is_alone),
		cmocka_unit_test(one_opened_for_many_goes_to_who_asked_first),
		cmocka_unit_test(closed_to_newcomers_and_open_again),
		cmocka_unit_test(
		    closed_one_is_not_opened_again_for_who_has_it_alone),
		cmocka_unit_test(who_waited_is_granted_when_it_is_open_again),
		cmocka_unit_test(
		    who_waited_for_room_goes_elsewhere_when_it_is_closed),
		cmocka_unit_test(two_that_are_shared_carry_as_many),
		cmocka_unit_test(
		    second_shared_one_that_has_no_place_is_done_without),
		cmocka_unit_test(in_a_full_pool_any_endpoint_will_do),
		cmocka_unit_test(old_one_takes_nobody),
		cmocka_unit_test(one_of_an_old_configuration_takes_nobody),
		cmocka_unit_test(one_at_a_barred_endpoint_takes_nobody),
		cmocka_unit_test(one_that_is_to_be_washed_takes_nobody),
		cmocka_unit_test(lowered_max_keeps_nobody_from_riding),
		cmocka_unit_test(overdue_one_that_has_room_again_takes_nobody),
		cmocka_unit_test(no_more_ride_than_max_requests),
		cmocka_unit_test(retired_pool_serves_those_who_wait_on_one),
		cmocka_unit_test(lost_one_is_told_to_each_rider),
		cmocka_unit_test(reset_and_end_are_told_to_each_rider),
		cmocka_unit_test(those_who_lost_one_share_a_fresh_one),
		cmocka_unit_test(one_is_kept_warm_beside_the_shared_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
