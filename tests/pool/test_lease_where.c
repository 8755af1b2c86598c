/*
 * pool/lease: at which endpoint an ask is served: the one that it is bound to,
 * not the one to avoid, and what it is told of one that failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pool/balance.h"
#include "tests/support/scene.h"

static struct scene s;

static void
begin_hash(unsigned workers, unsigned ends, int64_t max)
{
	scene_begin(&s, workers, ends);
	s.conf.pool.max = max;
	s.conf.balance = CONF_SOURCE_HASH;
	scene_start(&s);
}

static unsigned
end_of(const struct client *c)
{
	unsigned i;

	assert_int_equal(c->state, CLIENT_HOLDS);
	for (i = 0; s.endpoints[i] != c->lease->u->shelf->site->endpoint; i++)
		;
	return i;
}

/* A client hash that goes to this endpoint while nothing is loaded. */
static uint64_t
hash_for(unsigned end)
{
	struct ask a = { .hash = 0 };

	while (balance_pick(scene_pool(&s, 0), &a)->endpoint !=
	    s.endpoints[end])
		a.hash++;
	return a.hash;
}

static void
come(struct client *c, unsigned worker, uint64_t hash)
{
	client_init(c, &s, worker);
	c->ask.hash = hash;
	client_ask(c);
	scene_run(&s);
}

static void
look_again(void)
{
	scene_set_roster(&s, (1u << s.n_ends) - 1);
}

/* ------------------------------------------------------------------- bound */

static void
client_comes_back_to_its_endpoint(void **state)
{
	uint64_t to[3];
	struct client c;
	unsigned i, n;

	(void)state;
	begin_hash(1, 3, 10);
	for (i = 0; i < 3; i++)
		to[i] = hash_for(i);
	for (n = 0; n < 5; n++)
		for (i = 0; i < 3; i++) {
			come(&c, 0, to[i]);
			assert_int_equal(end_of(&c), i);
			assert_ptr_equal(c.ask.bound, s.endpoints[i]);
			client_return(&c);
		}
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

/* Of a full pool the place is its, not the connection to another endpoint. */
static void
bound_ask_takes_the_place_of_an_idle_connection(void **state)
{
	struct client c;

	(void)state;
	begin_hash(1, 2, 1);
	come(&c, 0, hash_for(0));
	client_return(&c);
	come(&c, 0, hash_for(1));
	assert_int_equal(end_of(&c), 1);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	client_return(&c);
	scene_end(&s);
}

static void
returned_connection_goes_to_the_first_that_is_bound_to_it(void **state)
{
	struct client held[2], there, here;
	uint64_t to[2];

	(void)state;
	begin_hash(1, 2, 2);
	to[0] = hash_for(0);
	to[1] = hash_for(1);
	come(&held[0], 0, to[0]);
	come(&held[1], 0, to[1]);
	come(&there, 0, to[1]);
	come(&here, 0, to[0]);
	assert_int_equal(there.state, CLIENT_WAITS);
	assert_ptr_equal(there.ask.bound, s.endpoints[1]);
	assert_ptr_equal(here.ask.bound, s.endpoints[0]);
	client_return(&held[0]);
	assert_int_equal(there.state, CLIENT_WAITS);
	assert_int_equal(end_of(&here), 0);
	assert_true(here.lease->reused);
	/* With nobody else for it, its place is given to who waits. */
	client_return(&here);
	assert_int_equal(end_of(&there), 1);
	assert_false(there.lease->reused);
	client_return(&there);
	client_return(&held[1]);
	scene_end(&s);
}

static void
bound_ask_goes_elsewhere_when_its_endpoint_is_full(void **state)
{
	struct client c[3];
	uint64_t to;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.balance = CONF_SOURCE_HASH;
	atomic_store(&s.endpoints[0]->most, 1);
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	to = hash_for(0);
	come(&c[0], 0, to);
	come(&c[1], 0, to);
	assert_int_equal(end_of(&c[0]), 0);
	assert_int_equal(end_of(&c[1]), 1);
	/* Both are full: it waits for its own, but takes the other. */
	come(&c[2], 0, to);
	assert_ptr_equal(c[2].ask.bound, s.endpoints[0]);
	client_return(&c[1]);
	assert_int_equal(end_of(&c[2]), 1);
	assert_true(c[2].lease->reused);
	client_return(&c[2]);
	/* It is free again: back home. */
	client_return(&c[0]);
	come(&c[0], 0, to);
	assert_int_equal(end_of(&c[0]), 0);
	client_return(&c[0]);
	scene_end(&s);
}

/* All places are taken at the other endpoint; then its own goes down. */
static void
waiting_ask_is_bound_anew_when_its_endpoint_goes_down(void **state)
{
	struct client held, c, next;
	uint64_t to[2];

	(void)state;
	begin_hash(1, 2, 1);
	to[0] = hash_for(0);
	to[1] = hash_for(1);
	come(&held, 0, to[1]);
	come(&c, 0, to[0]);
	come(&next, 0, to[0]);
	assert_ptr_equal(c.ask.bound, s.endpoints[0]);
	assert_ptr_equal(next.ask.bound, s.endpoints[0]);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, true, s.turns.now_ns);
	look_again();
	assert_ptr_equal(c.ask.bound, s.endpoints[1]);
	assert_ptr_equal(next.ask.bound, s.endpoints[1]);
	client_return(&held);
	assert_int_equal(end_of(&c), 1);
	assert_true(c.lease->reused);
	client_return(&c);
	assert_int_equal(end_of(&next), 1);
	client_return(&next);
	/* So do new ones, and back. */
	come(&c, 0, to[0]);
	assert_int_equal(end_of(&c), 1);
	client_return(&c);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, false, s.turns.now_ns);
	look_again();
	come(&c, 0, to[0]);
	assert_int_equal(end_of(&c), 0);
	client_return(&c);
	scene_end(&s);
}

/* Its cap is what it waited for, and now it has gone up elsewhere. */
static void
waiting_ask_is_bound_anew_when_another_has_room(void **state)
{
	struct client c[3];
	uint64_t to;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.balance = CONF_SOURCE_HASH;
	atomic_store(&s.endpoints[0]->most, 1);
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	to = hash_for(0);
	come(&c[0], 0, to);
	come(&c[1], 0, to);
	come(&c[2], 0, to);
	assert_int_equal(c[2].state, CLIENT_WAITS);
	atomic_store(&s.endpoints[1]->most, 2);
	look_again();
	assert_int_equal(end_of(&c[2]), 1);
	client_return(&c[0]);
	client_return(&c[1]);
	client_return(&c[2]);
	scene_end(&s);
}

/* Who comes while others wait is bound, too; nobody takes what is not its. */
static void
latecomers_are_bound(void **state)
{
	struct client held[2], c[3];
	uint64_t to[2];
	unsigned i;

	(void)state;
	begin_hash(1, 2, 2);
	to[0] = hash_for(0);
	to[1] = hash_for(1);
	come(&held[0], 0, to[0]);
	come(&held[1], 0, to[1]);
	for (i = 0; i < 3; i++)
		come(&c[i], 0, to[i == 2]);
	assert_ptr_equal(c[2].ask.bound, s.endpoints[1]);
	client_return(&held[1]);
	assert_int_equal(end_of(&c[2]), 1);
	assert_int_equal(c[0].state, CLIENT_WAITS);
	client_return(&held[0]);
	assert_int_equal(end_of(&c[0]), 0);
	client_return(&c[0]);
	assert_int_equal(end_of(&c[1]), 0);
	client_return(&c[1]);
	client_return(&c[2]);
	assert_int_equal(scene_connects(&s), 2);
	scene_end(&s);
}

static void
bound_ask_gets_the_place_of_another_worker(void **state)
{
	struct client a, b;
	uint64_t to[2];

	(void)state;
	begin_hash(2, 2, 1);
	to[0] = hash_for(0);
	to[1] = hash_for(1);
	come(&a, 0, to[0]);
	client_return(&a);
	come(&b, 1, to[1]);
	assert_int_equal(end_of(&b), 1);
	assert_int_equal(scene_connects(&s), 2);
	come(&a, 0, to[1]);
	client_return(&b);
	scene_run(&s);
	assert_int_equal(end_of(&a), 1);
	assert_true(a.lease->reused);
	client_return(&a);
	scene_end(&s);
}

/* A reload to another policy: it is bound no more. */
static void
other_policy_unbinds_who_waits(void **state)
{
	struct client held, c;
	uint64_t to[2];

	(void)state;
	begin_hash(1, 2, 1);
	to[0] = hash_for(0);
	to[1] = hash_for(1);
	come(&held, 0, to[0]);
	come(&c, 0, to[1]);
	s.conf.balance = CONF_LEAST_CONN;
	scene_reload(&s, false);
	client_return(&held);
	assert_int_equal(end_of(&c), 0);
	assert_true(c.lease->reused);
	client_return(&c);
	scene_end(&s);
}

/* ------------------------------------------------------------------- avoid */

static void
avoided_endpoint_is_taken_when_others_have_no_room(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[0]->most, 1);
	scene_start(&s);
	client_come(&a, &s, 0);
	assert_int_equal(end_of(&a), 0);
	client_init(&b, &s, 0);
	b.ask.avoid = s.endpoints[1];
	client_ask(&b);
	scene_run(&s);
	assert_int_equal(end_of(&b), 1);
	/* Room: not at all. */
	client_return(&a);
	client_init(&c, &s, 0);
	c.ask.avoid = s.endpoints[1];
	client_ask(&c);
	assert_int_equal(end_of(&c), 0);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* Both endpoints are full; the first in the queue avoids one of them. */
static void
avoiding_blocks_nobody_in_the_queue(void **state)
{
	struct client held[2], first, second;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[0]->most, 1);
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	for (i = 0; i < 2; i++)
		client_come(&held[i], &s, 0);
	client_init(&first, &s, 0);
	first.ask.avoid = s.endpoints[0];
	client_ask(&first);
	client_come(&second, &s, 0);
	assert_int_equal(first.state, CLIENT_WAITS);
	client_return(&held[0]);
	assert_int_equal(end_of(&first), 0);
	client_return(&first);
	assert_int_equal(end_of(&second), 0);
	client_return(&second);
	client_return(&held[1]);
	assert_int_equal(scene_connects(&s), 2);
	scene_end(&s);
}

/* The other is there, but takes no work. */
static void
avoided_endpoint_is_taken_when_it_is_the_only_usable_one(void **state)
{
	struct client c;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 2);
	scene_start(&s);
	for (i = 0; i < 3; i++) {
		atomic_store(&s.endpoints[1]->bars, i == 0 ? BAR_DRAIN : 0);
		atomic_store(&s.endpoints[1]->hold_until_ns, i == 1 ?
		    s.turns.now_ns + NS_PER_S : 0);
		atomic_store(&s.endpoints[1]->backup, i == 2);
		client_init(&c, &s, 0);
		c.ask.avoid = s.endpoints[0];
		client_ask(&c);
		assert_int_equal(end_of(&c), 0);
		client_return(&c);
	}
	scene_end(&s);
}

/* ------------------------------------------------------------ where it was */

static void
failed_names_the_endpoint_to_avoid_next(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	scene_start(&s);
	far_end_refuse(&s.ends[0]);
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	assert_ptr_equal(a.ask.failed, s.endpoints[0]);
	a.ask.avoid = a.ask.failed;
	client_ask(&a);
	assert_int_equal(end_of(&a), 1);
	assert_null(a.ask.failed);
	/* Also of one that was refused later. */
	far_end_refuse(&s.ends[1]);
	connects_are_slow = true;
	client_come(&b, &s, 0);
	assert_int_equal(b.refusal, REFUSAL_CONNECT_FAILED);
	assert_ptr_equal(b.ask.failed, s.endpoints[1]);
	client_return(&a);
	scene_end(&s);
}

static void
clogged_endpoint_is_named_after_the_timeout(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	scene_pass(&s, 1000);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_TIMEOUT);
	assert_ptr_equal(a.ask.failed, s.endpoints[0]);
	scene_end(&s);
}

/* Refused from inside, it asks once more at the other endpoint. */
static struct client again;

static void
again_granted(struct ask *a)
{
	again.lease = a->lease;
	again.state = CLIENT_HOLDS;
}

static void
again_refused(struct ask *a, enum refusal why)
{
	assert_int_equal(why, REFUSAL_CONNECT_FAILED);
	assert_null(a->avoid);
	a->avoid = a->failed;
	if (lease_ask(a) == ASK_GRANTED)
		again_granted(a);
}

static void
refused_asker_is_served_elsewhere_from_inside(void **state)
{
	static const struct lease_ops ops = { .granted = again_granted,
		.refused = again_refused };
	struct client held;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.max = 2;
	scene_start(&s);
	far_end_refuse(&s.ends[1]);
	client_come(&held, &s, 0);
	connects_are_slow = true;
	client_init(&again, &s, 0);
	again.ask.ops = &ops;
	assert_int_equal(lease_ask(&again.ask), ASK_WAITS);
	scene_run(&s);
	assert_int_equal(end_of(&again), 0);
	lease_return(&again.lease);
	client_return(&held);
	scene_end(&s);
}

static void
first_lease_knows_how_long_connecting_took(void **state)
{
	struct client c;

	(void)state;
	scene_begin(&s, 1, 1);
	scene_start(&s);
	connects_are_slow = true;
	client_init(&c, &s, 0);
	client_ask(&c);
	turns_leap(&s.turns, 30);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_false(c.lease->reused);
	assert_int_equal(c.lease->u->connect_ns, 30 * NS_PER_MS);
	client_return(&c);
	scene_pass(&s, 10);
	client_come(&c, &s, 0);
	assert_true(c.lease->reused);
	assert_int_equal(c.lease->u->connect_ns, 30 * NS_PER_MS);
	client_return(&c);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_comes_back_to_its_endpoint),
		cmocka_unit_test(
		    bound_ask_takes_the_place_of_an_idle_connection),
		cmocka_unit_test(
		    returned_connection_goes_to_the_first_that_is_bound_to_it),
		cmocka_unit_test(
		    bound_ask_goes_elsewhere_when_its_endpoint_is_full),
		cmocka_unit_test(
		    waiting_ask_is_bound_anew_when_its_endpoint_goes_down),
		cmocka_unit_test(
		    waiting_ask_is_bound_anew_when_another_has_room),
		cmocka_unit_test(latecomers_are_bound),
		cmocka_unit_test(bound_ask_gets_the_place_of_another_worker),
		cmocka_unit_test(other_policy_unbinds_who_waits),
		cmocka_unit_test(
		    avoided_endpoint_is_taken_when_others_have_no_room),
		cmocka_unit_test(avoiding_blocks_nobody_in_the_queue),
		cmocka_unit_test(
		    avoided_endpoint_is_taken_when_it_is_the_only_usable_one),
		cmocka_unit_test(failed_names_the_endpoint_to_avoid_next),
		cmocka_unit_test(clogged_endpoint_is_named_after_the_timeout),
		cmocka_unit_test(refused_asker_is_served_elsewhere_from_inside),
		cmocka_unit_test(first_lease_knows_how_long_connecting_took),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
