/*
 * pool/lease: leases that last in shared mode, of which there are max_pinned.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* So many may be pinned, of ten. */
static void
begin(int64_t max_pinned)
{
	scene_begin(&s, 1, 1);
	scene_share(&s);
	s.conf.pool.max = 10;
	s.conf.pool.max_pinned = max_pinned;
	scene_start(&s);
}

static void
pins_are(unsigned n)
{
	assert_int_equal(atomic_load(&s.upstream->pins), n);
}

static void
next_one_waits_until_one_is_given_back(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_true(a.lease->u->alone);
	assert_true(a.lease->u->pins);
	pins_are(1);
	client_part(&b, &s, true);
	client_part(&c, &s, true);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->waiting), 2);
	scene_pass(&s, 100);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(b.lease->waited_ns, 100 * NS_PER_MS);
	assert_int_equal(c.state, CLIENT_WAITS);
	pins_are(1);
	client_return(&b);
	scene_pass(&s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	pins_are(0);
	assert_int_equal(scene_connects(&s), 1);
	scene_end(&s);
}

static void
nobody_else_is_kept_waiting(void **state)
{
	struct client a, b, moment, sharer;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_part(&moment, &s, false);
	assert_int_equal(moment.state, CLIENT_HOLDS);
	assert_true(moment.lease->u->alone);
	assert_false(moment.lease->u->pins);
	client_share(&sharer, &s, "");
	assert_int_equal(sharer.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&moment);
	client_return(&sharer);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	scene_pass(&s, 0);
	client_return(&b);
	scene_end(&s);
}

static void
nobody_overtakes_who_waits_to_be_pinned(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	client_return(&a);      /* the place is there, and b not told yet */
	client_part(&c, &s, true);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_cancel(&c);
	client_return(&b);
	scene_end(&s);
}

static void
who_waits_too_long_is_refused(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	scene_pass(&s, 1000);
	client_part(&c, &s, true);
	scene_pass(&s, 999);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(b.state, CLIENT_REFUSED);
	assert_int_equal(b.refusal, REFUSAL_PINNED);
	assert_int_equal(c.state, CLIENT_WAITS);
	pins_are(1);
	client_return(&a);
	scene_pass(&s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

static void
without_pins_or_patience_it_is_refused_at_once(void **state)
{
	struct client a, b;

	(void)state;
	begin(0);
	client_part(&a, &s, true);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_PINNED);
	s.conf.pool.max_pinned = 1;
	s.conf.pool.queue_timeout_ms = 0;
	scene_reload(&s, false);
	client_part(&a, &s, true);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_part(&b, &s, true);
	assert_int_equal(b.refusal, REFUSAL_PINNED);
	client_return(&a);
	scene_end(&s);
}

static void
full_queue_refuses_at_once(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	s.conf.pool.max_waiting = 1;
	scene_reload(&s, false);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_part(&c, &s, true);
	assert_int_equal(c.refusal, REFUSAL_PINNED);
	client_cancel(&b);
	client_part(&c, &s, true);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_cancel(&c);
	client_return(&a);
	scene_end(&s);
}

static void
who_vanishes_takes_no_pin(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	client_part(&c, &s, true);
	client_cancel(&b);
	client_cancel(&b);      /* twice is fine */
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->waiting), 1);
	client_return(&a);
	scene_pass(&s, 3000);
	assert_int_equal(b.state, CLIENT_AWAY);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	pins_are(0);
	scene_end(&s);
}

/* It had its pin, and waited for a place. */
static void
who_vanishes_from_the_queue_gives_its_pin_back(void **state)
{
	struct client blocker, a, b;

	(void)state;
	begin(1);
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	client_part(&blocker, &s, false);
	client_part(&a, &s, true);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_true(a.ask.pins);
	pins_are(1);
	client_part(&b, &s, true);
	assert_true(b.ask.awaits_pin);
	client_cancel(&a);
	pins_are(0);
	scene_pass(&s, 0);
	assert_true(b.ask.pins);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&blocker);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

static void
refused_opening_gives_the_pin_back(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	far_end_refuse(&s.ends[0]);
	client_part(&a, &s, true);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	pins_are(0);
	connects_are_slow = true;
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_true(b.ask.awaits_pin);
	pins_are(1);
	upconn_broken(a.ask.opening, FAULT_CONNECT_FAILED, ECONNREFUSED);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	/* The next has its own try. */
	far_end_welcome(&s.ends[0]);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	pins_are(0);
	scene_end(&s);
}

static void
each_who_asks_is_refused_while_nothing_is_usable(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	client_part(&c, &s, true);
	scene_set_roster(&s, 0);
	client_return(&a);
	scene_pass(&s, 0);
	assert_int_equal(b.refusal, REFUSAL_NO_ENDPOINT);
	assert_int_equal(c.refusal, REFUSAL_NO_ENDPOINT);
	pins_are(0);
	scene_end(&s);
}

static void
pin_ends_when_the_lease_goes_to_somebody_else(void **state)
{
	struct client a, b, c, moment;
	struct upconn *u;

	(void)state;
	begin(1);
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	client_part(&a, &s, true);
	u = a.lease->u;
	client_part(&moment, &s, false);
	client_part(&b, &s, true);
	client_return(&a);
	/* It never lay idle. */
	assert_ptr_equal(moment.lease->u, u);
	assert_true(u->alone);
	assert_false(u->pins);
	scene_pass(&s, 0);
	assert_true(b.ask.pins);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&moment);
	assert_ptr_equal(b.lease->u, u);
	assert_true(u->pins);
	client_share(&c, &s, "");
	client_return(&b);
	assert_ptr_equal(c.lease->u, u);
	assert_false(u->pins);
	pins_are(0);
	client_return(&c);
	scene_end(&s);
}

static void
lost_one_gives_its_pin_back(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	far_end_reset(&s.ends[0], scene_far_fd(&s, a.lease->u));
	scene_run(&s);
	assert_int_equal(a.goners, 1);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

/* One that waits with its connection and must do without it. */
static void
follower_that_lasts_takes_a_pin_of_its_own(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(2);
	client_part(&a, &s, true);
	u = a.lease->u;
	scene_room(u, false);
	client_init(&b, &s, 0);
	b.ask.lasts = true;
	b.ask.with = u;
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_false(b.ask.pins);
	pins_are(1);
	client_return_as(&a, MARK_BROKEN);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_true(b.lease->u->pins);
	pins_are(1);
	client_return(&b);
	pins_are(0);
	scene_end(&s);
}

static void
raised_limit_is_for_those_who_wait(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	s.conf.pool.max_pinned = 2;
	scene_reload(&s, false);
	scene_pass(&s, 0);
	assert_int_equal(b.state, CLIENT_HOLDS);
	pins_are(2);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
lowered_limit_holds_for_those_who_come(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(2);
	client_part(&a, &s, true);
	client_part(&b, &s, true);
	s.conf.pool.max_pinned = 1;
	scene_reload(&s, false);
	pins_are(2);
	client_part(&c, &s, true);
	client_return(&a);
	scene_pass(&s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&b);
	scene_pass(&s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

/* Nobody tells the other worker: it looks. */
static void
pin_that_ends_on_another_worker_is_found(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 2, 1);
	scene_share(&s);
	s.conf.pool.max_pinned = 1;
	scene_start(&s);
	client_part(&a, &s, true);
	client_init(&b, &s, 1);
	b.ask.lasts = true;
	client_ask(&b);
	scene_pass(&s, 30);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	scene_pass(&s, 10);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	pins_are(0);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(next_one_waits_until_one_is_given_back),
		cmocka_unit_test(nobody_else_is_kept_waiting),
		cmocka_unit_test(nobody_overtakes_who_waits_to_be_pinned),
		cmocka_unit_test(who_waits_too_long_is_refused),
		cmocka_unit_test(
		    without_pins_or_patience_it_is_refused_at_once),
		cmocka_unit_test(full_queue_refuses_at_once),
		cmocka_unit_test(who_vanishes_takes_no_pin),
		cmocka_unit_test(
		    who_vanishes_from_the_queue_gives_its_pin_back),
		cmocka_unit_test(refused_opening_gives_the_pin_back),
		cmocka_unit_test(
		    each_who_asks_is_refused_while_nothing_is_usable),
		cmocka_unit_test(pin_ends_when_the_lease_goes_to_somebody_else),
		cmocka_unit_test(lost_one_gives_its_pin_back),
		cmocka_unit_test(follower_that_lasts_takes_a_pin_of_its_own),
		cmocka_unit_test(raised_limit_is_for_those_who_wait),
		cmocka_unit_test(lowered_limit_holds_for_those_who_come),
		cmocka_unit_test(pin_that_ends_on_another_worker_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
