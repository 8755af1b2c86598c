/*
 * pool/transfer: several workers, one upstream. They take turns in this thread,
 * so what passes between them does so when the test says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pool/upkeep.h"
#include "tests/support/scene.h"

static struct scene s;

static void
begin(unsigned workers, int64_t max)
{
	scene_begin(&s, workers, 1);
	s.conf.pool.max = max;
	scene_start(&s);
}

static void
idle_connection_goes_to_who_asks_elsewhere(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(2, 1);
	client_come(&a, &s, 0);
	u = a.lease->u;
	client_return(&a);
	client_init(&b, &s, 1);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(b.lease->u, u);
	assert_ptr_equal(u->conn.w, &s.turns.workers[1]);
	assert_int_equal(scene_connects(&s), 1);
	/* And it is heard there. */
	far_end_say(scene_far_fd(&s, u), "x", 1);
	scene_run(&s);
	assert_int_equal(b.inputs, 1);
	client_return_as(&b, MARK_BROKEN);
	scene_end(&s);
}

static void
own_waiter_comes_first_within_ten_ms(void **state)
{
	struct client holder, other, own;

	(void)state;
	begin(2, 1);
	client_come(&holder, &s, 0);
	client_come(&other, &s, 1);
	scene_pass(&s, 10);
	client_come(&own, &s, 0);
	client_return(&holder);
	scene_run(&s);
	assert_int_equal(own.state, CLIENT_HOLDS);
	assert_int_equal(other.state, CLIENT_WAITS);
	/* No longer anybody here. */
	client_return(&own);
	scene_run(&s);
	assert_int_equal(other.state, CLIENT_HOLDS);
	client_return(&other);
	scene_end(&s);
}

static void
elder_on_other_worker_gets_the_connection_after_10_ms(void **state)
{
	struct client holder, other, own;
	struct upconn *u;

	(void)state;
	begin(2, 1);
	client_come(&holder, &s, 0);
	u = holder.lease->u;
	client_come(&other, &s, 1);
	scene_pass(&s, 11);
	client_come(&own, &s, 0);
	client_return(&holder);
	assert_int_equal(own.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(other.state, CLIENT_HOLDS);
	assert_ptr_equal(other.lease->u, u);
	assert_int_equal(own.state, CLIENT_WAITS);
	client_return(&other);
	scene_run(&s);
	assert_int_equal(own.state, CLIENT_HOLDS);
	client_return(&own);
	assert_int_equal(scene_connects(&s), 1);
	scene_end(&s);
}

static void
slots_travel_counted(void **state)
{
	struct client holder, other, late;

	(void)state;
	begin(2, 1);
	client_come(&holder, &s, 0);
	client_come(&other, &s, 1);
	client_return_as(&holder, MARK_BROKEN);
	/* On its way: nobody can take it. */
	assert_int_equal(atomic_load(&s.upstream->open), 1);
	assert_int_equal(scene_count(&s, UPCONN_LEASED), 0);
	client_init(&late, &s, 0);
	client_ask(&late);
	assert_int_equal(late.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(other.state, CLIENT_HOLDS);
	assert_int_equal(late.state, CLIENT_WAITS);
	assert_int_equal(scene_connects(&s), 2);
	client_cancel(&late);
	client_return(&other);
	scene_end(&s);
}

/* Whoever it was sent to has gone when it arrives. */
static void
slot_that_nobody_wants_any_more_is_free_again(void **state)
{
	struct client holder, other, late;

	(void)state;
	begin(2, 1);
	client_come(&holder, &s, 0);
	client_come(&other, &s, 1);
	client_return_as(&holder, MARK_BROKEN);
	client_cancel(&other);
	scene_run(&s);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	/* Or somebody else waits by then. */
	client_come(&holder, &s, 0);
	client_come(&other, &s, 1);
	client_return_as(&holder, MARK_BROKEN);
	client_init(&late, &s, 0);
	client_ask(&late);
	client_cancel(&other);
	scene_run(&s);
	assert_int_equal(late.state, CLIENT_HOLDS);
	client_return(&late);
	scene_end(&s);
}

static void
connection_that_nobody_wants_any_more_stays_where_it_arrives(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 1);
	client_return(&a);
	client_cancel(&b);
	scene_run(&s);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->idle), 0);
	assert_int_equal(atomic_load(&scene_pool(&s, 1)->idle), 1);
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 1);
	client_return(&a);
	scene_end(&s);
}

/* The oldest of each worker are served in the order of their ages. */
static void
askers_of_two_workers_are_served_by_age(void **state)
{
	struct client holder, c[6];
	unsigned i, j;

	(void)state;
	begin(2, 1);
	client_come(&holder, &s, 0);
	for (i = 0; i < 6; i++) {
		client_come(&c[i], &s, i % 2);
		scene_pass(&s, 20);
	}
	client_return(&holder);
	for (i = 0; i < 6; i++) {
		scene_run(&s);
		for (j = 0; j < 6; j++)
			assert_int_equal(c[j].state, j < i ? CLIENT_AWAY :
			    j == i ? CLIENT_HOLDS : CLIENT_WAITS);
		client_return(&c[i]);
	}
	assert_int_equal(scene_connects(&s), 1);
	scene_end(&s);
}

static void
many_places_at_once_reach_all_workers(void **state)
{
	struct client c[9];
	unsigned i;

	(void)state;
	begin(3, 1);
	for (i = 0; i < 9; i++) {
		client_come(&c[i], &s, i % 3);
		scene_pass(&s, 20);
	}
	s.conf.pool.max = 9;
	scene_reload(&s, false);
	scene_run(&s);
	for (i = 0; i < 9; i++) {
		assert_int_equal(c[i].state, CLIENT_HOLDS);
		client_return(&c[i]);
	}
	scene_end(&s);
}

/* ------------------------------------------------------- trouble on the way */

static void
connection_that_dies_on_the_way_leaves_its_place(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 1);
	client_init(&a, &s, 0);
	a.ask.key = "k", a.ask.key_len = 1;
	client_ask(&a);
	client_init(&b, &s, 1);
	b.ask.key = "k", b.ask.key_len = 1;
	client_ask(&b);
	scene_run(&s);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, a.lease->u));
	client_return(&a);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&b);
	scene_end(&s);
}

/* Keys come from clients: none may leave a shelf behind. */
static void
dead_on_arrival_leaves_no_shelf(void **state)
{
	struct client a, b;
	struct site *site;

	(void)state;
	begin(2, 1);
	client_init(&a, &s, 0);
	a.ask.key = "k", a.ask.key_len = 1;
	client_ask(&a);
	client_init(&b, &s, 1);
	b.ask.key = "k", b.ask.key_len = 1;
	client_ask(&b);
	scene_run(&s);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, a.lease->u));
	client_return(&a);
	client_cancel(&b);
	scene_run(&s);
	site = pool_site_of(scene_pool(&s, 1), s.endpoints[0]);
	assert_null(shelf_find(site, "k", 1));
	scene_end(&s);
}

static void
connection_of_another_key_gives_its_place(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 1);
	client_init(&a, &s, 0);
	a.ask.key = "a", a.ask.key_len = 1;
	client_ask(&a);
	client_return(&a);
	client_init(&b, &s, 1);
	b.ask.key = "b", b.ask.key_len = 1;
	client_ask(&b);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	client_return(&b);
	scene_end(&s);
}

/* A reload has come to one worker and not yet to the other. */
static void
old_identity_is_not_taken_from_another_worker(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 1);
	pool_configure(scene_pool(&s, 1), &s.conf, true, NULL);
	client_return(&a);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	assert_int_equal(b.lease->u->identity, scene_pool(&s, 1)->identity);
	pool_configure(scene_pool(&s, 0), &s.conf, true, NULL);
	client_return(&b);
	scene_end(&s);
}

static void
connection_of_a_gone_endpoint_is_not_taken(void **state)
{
	struct client a, b;
	struct roster *r;

	(void)state;
	scene_begin(&s, 2, 2);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 1);
	r = roster_new(1);
	assert_non_null(r);
	r->v[0] = endpoint_keep(a.lease->u->shelf->site->endpoint ==
	    s.endpoints[0] ? s.endpoints[1] : s.endpoints[0]);
	pool_set_roster(scene_pool(&s, 1), r);
	client_return(&a);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(b.lease->u->shelf->site->endpoint, r->v[0]);
	client_return(&b);
	scene_end(&s);
}

/* A server that speaks first has spoken to a warm connection. */
static void
greeting_travels_along(void **state)
{
	struct client a;
	struct upconn *u;
	size_t len;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.min_idle = 1;
	s.conf.pool.max = 1;
	scene_start(&s);
	u = scene_upconn(&s, 0, 0);
	far_end_say(scene_far_fd(&s, u), "220 hello", 9);
	scene_run(&s);
	client_come(&a, &s, 1);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_ptr_equal(a.lease->u, u);
	assert_memory_equal(buf_front(&u->conn.in, &len), "220 hello", 9);
	client_return_as(&a, MARK_BROKEN);
	scene_end(&s);
}

static void
greeting_that_ends_on_the_way_is_forgotten(void **state)
{
	struct client a;
	struct upconn *u;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.min_idle = 1;
	s.conf.pool.max = 1;
	scene_start(&s);
	u = scene_upconn(&s, 0, 0);
	far_end_say(scene_far_fd(&s, u), "220 hello", 9);
	scene_run(&s);
	client_init(&a, &s, 1);
	client_ask(&a);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, u));
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(a.lease->u->conn.in.len, 0);
	client_return_as(&a, MARK_BROKEN);
	scene_end(&s);
}

/* The first that had an idle one needs it itself by the time it is asked. */
static void
wish_finds_the_worker_that_has_one(void **state)
{
	struct client a, b, c, held[2];
	unsigned i;

	(void)state;
	begin(3, 2);
	for (i = 0; i < 2; i++)
		client_come(&held[i], &s, i + 1);
	for (i = 0; i < 2; i++)
		client_return(&held[i]);
	client_init(&a, &s, 0);
	client_ask(&a);
	client_init(&b, &s, 1);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_HOLDS);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	/* And with none left, it waits for what comes back. */
	client_come(&c, &s, 2);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&b);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&c);
	scene_end(&s);
}

static void
warming_leaves_places_to_who_waits_elsewhere(void **state)
{
	struct client holder, other;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 1;
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	client_come(&holder, &s, 0);
	client_come(&other, &s, 1);
	client_return_as(&holder, MARK_BROKEN);
	scene_pass(&s, 10);
	assert_int_equal(other.state, CLIENT_HOLDS);
	client_return(&other);
	scene_end(&s);
}

/* There is more than one place, and only one is sent at a time. */
static void
warming_takes_none_of_many_places_others_wait_for(void **state)
{
	struct client holder, c[2];
	unsigned i;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 1;
	s.conf.pool.min_idle = 4;
	scene_start(&s);
	client_come(&holder, &s, 0);
	for (i = 0; i < 2; i++)
		client_come(&c[i], &s, 1);
	/* The reload has come to the first worker only. */
	connects_are_slow = true;
	s.conf.pool.max = 3;
	atomic_store(&s.upstream->most, 3);
	pool_configure(scene_pool(&s, 0), &s.conf, false, NULL);
	scene_run(&s);
	assert_int_equal(count_read(&scene_pool(&s, 0)->connects), 1);
	for (i = 0; i < 2; i++) {
		assert_int_equal(c[i].state, CLIENT_HOLDS);
		client_return(&c[i]);
	}
	client_return(&holder);
	scene_end(&s);
}

/* max_waiting counts who waits for a place, of all workers; not those for whom
   a connection is being opened. */
static void
queue_is_as_long_as_all_workers_make_it(void **state)
{
	struct client c[5];
	unsigned i;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 3;
	s.conf.pool.max_waiting = 1;
	scene_start(&s);
	connects_are_slow = true;
	for (i = 0; i < 4; i++) {
		client_init(&c[i], &s, 0);
		client_ask(&c[i]);
		assert_int_equal(c[i].state, CLIENT_WAITS);
	}
	client_init(&c[4], &s, 1);
	client_ask(&c[4]);
	assert_int_equal(c[4].state, CLIENT_REFUSED);
	assert_int_equal(c[4].refusal, REFUSAL_QUEUE_FULL);
	scene_run(&s);
	for (i = 0; i < 4; i++)
		client_return(&c[i]);
	scene_end(&s);
}

/* Two places, both taken on the second worker: an idle one at the first
   endpoint, which is barred, and a leased one at the other, which is full. */
static void
begin_beside_a_barred_one(struct client *holder)
{
	struct client c;

	scene_begin(&s, 2, 2);
	s.conf.pool.max = 2;
	scene_start(&s);
	scene_set_roster(&s, 1);
	client_come(&c, &s, 1);
	client_return(&c);
	scene_set_roster(&s, 3);
	atomic_store(&s.endpoints[1]->most, 1);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, true, s.turns.now_ns);
	client_come(holder, &s, 1);
	assert_ptr_equal(holder->lease->u->shelf->site->endpoint,
	    s.endpoints[1]);
}

/* What is idle was left alone while somebody elsewhere came first. */
static void
who_comes_first_now_looks_around_again(void **state)
{
	struct client holder, elder, c;

	(void)state;
	begin_beside_a_barred_one(&holder);
	client_come(&elder, &s, 0);
	scene_pass(&s, 20);
	client_come(&c, &s, 1);
	assert_int_equal(c.state, CLIENT_WAITS);
	/* The place of the idle one would do now, but nobody says so. */
	atomic_store(&s.endpoints[1]->most, 2);
	client_cancel(&elder);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	client_return(&c);
	client_return(&holder);
	scene_end(&s);
}

/* The first worker was told before the second, which has the connection. */
static void
bar_that_ends_gives_what_is_idle_to_who_waits_elsewhere(void **state)
{
	struct client holder, c;

	(void)state;
	begin_beside_a_barred_one(&holder);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, false, s.turns.now_ns);
	pool_set_roster(scene_pool(&s, 1),
	    roster_keep(scene_pool(&s, 1)->roster));
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&c);
	client_return(&holder);
	scene_end(&s);
}

/* Mail that is still under way when a worker has ended. */
static void
mail_left_over_gives_back_what_it_carries(void **state)
{
	struct client a, b, c;
	struct upconn *u;

	(void)state;
	begin(2, 2);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_come(&c, &s, 1);
	u = a.lease->u;
	client_return(&a);
	assert_null(u->pool);
	client_return_as(&b, MARK_BROKEN);
	client_cancel(&c);
	assert_int_equal(atomic_load(&s.upstream->open), 2);
	pool_close_all(scene_pool(&s, 0));
	pool_close_all(scene_pool(&s, 1));
	upkeep_stop(scene_pool(&s, 0));
	upkeep_stop(scene_pool(&s, 1));
	turns_end(&s.turns);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 0);
	upstream_free(s.upstream);
	assert_int_equal(atomic_load(&s.endpoints[0]->refs), 1);
	endpoint_drop(s.endpoints[0]);
	far_end_close(&s.ends[0]);
	assert_int_equal(open_descriptors(), s.descriptors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_connection_goes_to_who_asks_elsewhere),
		cmocka_unit_test(own_waiter_comes_first_within_ten_ms),
		cmocka_unit_test(
		    elder_on_other_worker_gets_the_connection_after_10_ms),
		cmocka_unit_test(slots_travel_counted),
		cmocka_unit_test(slot_that_nobody_wants_any_more_is_free_again),
		cmocka_unit_test(
		    connection_that_nobody_wants_any_more_stays_where_it_arrives
		    ),
		cmocka_unit_test(askers_of_two_workers_are_served_by_age),
		cmocka_unit_test(many_places_at_once_reach_all_workers),
		cmocka_unit_test(
		    connection_that_dies_on_the_way_leaves_its_place),
		cmocka_unit_test(dead_on_arrival_leaves_no_shelf),
		cmocka_unit_test(connection_of_another_key_gives_its_place),
		cmocka_unit_test(old_identity_is_not_taken_from_another_worker),
		cmocka_unit_test(connection_of_a_gone_endpoint_is_not_taken),
		cmocka_unit_test(greeting_travels_along),
		cmocka_unit_test(greeting_that_ends_on_the_way_is_forgotten),
		cmocka_unit_test(wish_finds_the_worker_that_has_one),
		cmocka_unit_test(warming_leaves_places_to_who_waits_elsewhere),
		cmocka_unit_test(
		    warming_takes_none_of_many_places_others_wait_for),
		cmocka_unit_test(queue_is_as_long_as_all_workers_make_it),
		cmocka_unit_test(who_comes_first_now_looks_around_again),
		cmocka_unit_test(
		    bar_that_ends_gives_what_is_idle_to_who_waits_elsewhere),
		cmocka_unit_test(mail_left_over_gives_back_what_it_carries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
