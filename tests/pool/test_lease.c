/*
 * pool/lease: who gets a connection, in which order, and who is refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* One worker, one endpoint, so many connections. */
static void
begin(int64_t max)
{
	scene_begin(&s, 1, 1);
	s.conf.pool.max = max;
	scene_start(&s);
}

/* -------------------------------------------------------------------- order */

static void
first_ask_is_granted_at_once(void **state)
{
	struct client c;

	(void)state;
	begin(1);
	client_init(&c, &s, 0);
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_false(c.lease->reused);
	assert_int_equal(c.lease->waited_ns, 0);
	client_return(&c);
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_true(c.lease->reused);
	assert_int_equal(scene_connects(&s), 1);
	assert_int_equal(count_read(&scene_pool(&s, 0)->requests), 2);
	assert_int_equal(count_read(&scene_pool(&s, 0)->reused), 1);
	client_return(&c);
	scene_end(&s);
}

static void
returned_lease_goes_to_oldest_asker(void **state)
{
	struct client c[4];
	unsigned i;

	(void)state;
	begin(1);
	for (i = 0; i < 4; i++) {
		client_come(&c[i], &s, 0);
		scene_pass(&s, 10);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(c[i].state, CLIENT_HOLDS);
		assert_int_equal(c[i + 1].state, CLIENT_WAITS);
		client_return(&c[i]);
		assert_int_equal(c[i + 1].state, CLIENT_HOLDS);
		assert_int_equal(c[i + 1].lease->waited_ns, 30 * NS_PER_MS);
		scene_pass(&s, 10);
	}
	client_return(&c[3]);
	assert_int_equal(scene_connects(&s), 1);
	assert_int_equal(count_read(&scene_pool(&s, 0)->waiting_max), 3);
	scene_end(&s);
}

static void
nobody_overtakes(void **state)
{
	struct client a, b, late;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	/* A place becomes free while b waits: the new connection is b's, also
	   when somebody asks before it is made. */
	connects_are_slow = true;
	client_return_as(&a, MARK_BROKEN);
	client_init(&late, &s, 0);
	client_ask(&late);
	assert_int_equal(late.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(late.state, CLIENT_WAITS);
	client_return(&b);
	assert_int_equal(late.state, CLIENT_HOLDS);
	client_return(&late);
	scene_end(&s);
}

/* The connection opened for the second is ready first: the first has it. */
static void
first_that_is_ready_goes_to_the_first_asker(void **state)
{
	struct client a, b, holder;

	(void)state;
	begin(3);
	client_come(&holder, &s, 0);
	connects_are_slow = true;
	client_init(&a, &s, 0);
	client_ask(&a);
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&holder);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_true(a.lease->reused);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	/* What was opened for a is there for the next. */
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	client_return(&a);
	client_return(&b);
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

static void
newest_idle_connection_goes_first(void **state)
{
	struct client c[3], next;
	struct upconn *newest;
	unsigned i;

	(void)state;
	begin(3);
	for (i = 0; i < 3; i++)
		client_come(&c[i], &s, 0);
	client_return(&c[2]);
	client_return(&c[0]);
	newest = c[1].lease->u;
	client_return(&c[1]);
	client_come(&next, &s, 0);
	assert_ptr_equal(next.lease->u, newest);
	client_return(&next);
	scene_end(&s);
}

static void
connection_is_reused_only_for_an_equal_key(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	begin(3);
	client_init(&a, &s, 0);
	a.ask.key = "ann", a.ask.key_len = 3;
	client_ask(&a);
	u = a.lease->u;
	client_return(&a);
	client_init(&b, &s, 0);
	b.ask.key = "anna", b.ask.key_len = 4;
	client_ask(&b);
	assert_ptr_not_equal(b.lease->u, u);
	client_ask(&a);
	assert_ptr_equal(a.lease->u, u);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
connection_is_reused_only_for_an_equal_preface(void **state)
{
	static const char *const keys[] = { "kONE\0\3", "kTWO\0\3", "k" };
	struct client c[NELEMS(keys)];
	struct upconn *u[NELEMS(keys)];
	unsigned i, round;

	(void)state;
	begin(NELEMS(keys));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < NELEMS(keys); i++) {
			client_init(&c[i], &s, 0);
			c[i].ask.key = keys[i], c[i].ask.key_len = 1;
			c[i].ask.preface_len = i < 2 ? 5 : 0;
			client_ask(&c[i]);
			assert_int_equal(c[i].state, CLIENT_HOLDS);
			if (round == 0)
				u[i] = c[i].lease->u;
			assert_ptr_equal(c[i].lease->u, u[i]);
			/* The protocol sees its own. */
			assert_int_equal(u[i]->shelf->key_len, 1);
		}
		clients_return(c, NELEMS(keys));
	}
	scene_end(&s);
}

static void
other_key_is_evicted_when_full(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(2);
	client_init(&a, &s, 0);
	a.ask.key = "a", a.ask.key_len = 1;
	client_ask(&a);
	client_init(&b, &s, 0);
	b.ask.key = "b", b.ask.key_len = 1;
	client_ask(&b);
	client_return(&b);
	scene_pass(&s, 10);
	client_return(&a);
	scene_pass(&s, 10);
	/* b's has been unused for longest. */
	client_init(&c, &s, 0);
	c.ask.key = "c", c.ask.key_len = 1;
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	client_ask(&a);
	assert_true(a.lease->reused);
	/* While all are leased, the next to come home makes room. */
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 2);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* ---------------------------------------------------------- special wishes */

static void
fresh_ask_gets_no_used_connection(void **state)
{
	struct client a, b;

	(void)state;
	begin(2);
	client_come(&a, &s, 0);
	client_return(&a);
	client_init(&b, &s, 0);
	b.ask.fresh = true;
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	client_return(&b);
	scene_end(&s);
}

/* With the pool full of used ones it gets the place of one: a used connection
   that is idle serves it no better than none. */
static void
fresh_ask_takes_the_place_of_an_idle_connection(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_return(&a);
	client_init(&b, &s, 0);
	b.ask.fresh = true;
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	client_return(&b);
	scene_end(&s);
}

static void
fresh_ask_takes_the_place_of_a_returned_connection(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_init(&b, &s, 0);
	b.ask.fresh = true;
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_false(b.lease->reused);
	client_return(&b);
	scene_end(&s);
}

static void
avoided_endpoint_is_not_given(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_init(&b, &s, 0);
	b.ask.avoid = a.lease->u->shelf->site->endpoint;
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_not_equal(b.lease->u->shelf->site->endpoint, b.ask.avoid);
	client_return(&b);
	/* The same with the avoided one's connection idle already. */
	b.ask.avoid = s.endpoints[0] == b.ask.avoid ? s.endpoints[1] :
	    s.endpoints[0];
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_not_equal(b.lease->u->shelf->site->endpoint, b.ask.avoid);
	client_return(&b);
	scene_end(&s);
}

static void
avoided_endpoint_is_given_when_it_is_the_only_one(void **state)
{
	struct client a;

	(void)state;
	begin(1);
	client_init(&a, &s, 0);
	a.ask.avoid = s.endpoints[0];
	client_ask(&a);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_return(&a);
	scene_end(&s);
}

/* ---------------------------------------------------------------- vanishing */

static void
vanished_ask_takes_no_lease(void **state)
{
	struct client a, gone_one, c;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_come(&gone_one, &s, 0);
	client_come(&c, &s, 0);
	client_cancel(&gone_one);
	client_return(&a);
	assert_int_equal(gone_one.state, CLIENT_AWAY);
	assert_int_equal(c.state, CLIENT_HOLDS);
	scene_pass(&s, 5000);
	assert_int_equal(gone_one.state, CLIENT_AWAY);
	client_return(&c);
	ask_cancel(&gone_one.ask);      /* twice is fine */
	scene_end(&s);
}

static void
connection_opened_for_a_vanished_ask_is_kept(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	connects_are_slow = true;
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_int_equal(a.state, CLIENT_WAITS);
	client_cancel(&a);
	/* It waits for the one place, where that connection is coming. */
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_AWAY);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 1);
	client_return(&b);
	scene_end(&s);
}

/* ------------------------------------------------------------------ refusal */

static void
queue_full_is_refused_at_once(void **state)
{
	struct client a, b, c, d;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	s.conf.pool.max_waiting = 2;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_come(&c, &s, 0);
	client_init(&d, &s, 0);
	client_ask(&d);
	assert_int_equal(d.state, CLIENT_REFUSED);
	assert_int_equal(d.refusal, REFUSAL_QUEUE_FULL);
	client_cancel(&b);
	client_ask(&d);
	assert_int_equal(d.state, CLIENT_WAITS);
	client_cancel(&c);
	client_cancel(&d);
	client_return(&a);
	scene_end(&s);
}

static void
queue_of_none_refuses_who_would_wait(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	s.conf.pool.max_waiting = 0;
	scene_start(&s);
	/* To wait for one's own connect is not to queue. */
	connects_are_slow = true;
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_HOLDS);
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(b.refusal, REFUSAL_QUEUE_FULL);
	client_return(&a);
	scene_end(&s);
}

static void
queue_timeout_refuses(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	scene_pass(&s, 1000);
	client_come(&c, &s, 0);
	scene_pass(&s, 999);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(b.state, CLIENT_REFUSED);
	assert_int_equal(b.refusal, REFUSAL_QUEUE_TIMEOUT);
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	/* Somebody waited for 2 s and then 0 s. */
	assert_int_equal(count_read(&scene_pool(&s, 0)->exhausted_us),
	    2000000);
	scene_end(&s);
}

static void
queue_timeout_off_waits_for_ever(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	s.conf.pool.queue_timeout_ms = CONF_OFF;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	scene_pass(&s, 3600 * 1000);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

/* A connect has its own timeout, which may be the longer one. */
static void
queue_timeout_does_not_end_a_connect(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.timeouts.connect_ms = 5000;
	scene_start(&s);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	scene_pass(&s, 4999);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_TIMEOUT);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_CONNECT_TIMEOUT]), 1);
	scene_end(&s);
}

/* It waited longer than the queue allows while one was being opened for it,
   which somebody older got. */
static void
asker_that_lost_its_connection_has_waited_long_enough(void **state)
{
	struct client a, b, holder;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.timeouts.connect_ms = 5000;
	s.conf.pool.max = 2;
	scene_start(&s);
	client_come(&holder, &s, 0);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	scene_pass(&s, 3000);
	client_come(&b, &s, 0);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 1999);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	/* a's connect has failed, and the place was tried for b. */
	assert_int_equal(a.refusal, REFUSAL_CONNECT_TIMEOUT);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&holder);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

static void
connect_refused_is_told_to_the_asker(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	far_end_refuse(&s.ends[0]);
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	assert_int_equal(a.ask.error, ECONNREFUSED);
	connects_are_slow = true;
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_REFUSED);
	assert_int_equal(b.refusal, REFUSAL_CONNECT_FAILED);
	assert_int_equal(b.ask.error, ECONNREFUSED);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_CONNECT_FAILED]), 2);
	scene_end(&s);
}

/* One that waits is told, and the next has its own try. */
static void
failed_connect_refuses_only_its_own_asker(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	connects_are_slow = true;
	far_end_refuse(&s.ends[0]);
	client_come(&b, &s, 0);
	client_come(&c, &s, 0);
	client_return_as(&a, MARK_BROKEN);
	turns_step(&s.turns, 0);
	assert_int_equal(b.state, CLIENT_REFUSED);
	assert_int_equal(c.state, CLIENT_WAITS);
	far_end_welcome(&s.ends[0]);
	client_cancel(&c);
	scene_run(&s);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

static void
without_endpoints_everybody_is_refused(void **state)
{
	struct client a;

	(void)state;
	begin(1);
	scene_set_roster(&s, 0);
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	scene_end(&s);
}

/* ----------------------------------------------------------- out of sockets */

static struct rlimit
descriptors_end_here(void)
{
	struct rlimit before, now;
	int next = dup(0);

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

static void
without_descriptors_a_leased_one_is_waited_for(void **state)
{
	struct rlimit before;
	struct client a, b;

	(void)state;
	begin(2);
	client_come(&a, &s, 0);
	before = descriptors_end_here();
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	client_return(&b);
	scene_end(&s);
}

static void
without_descriptors_and_leases_the_ask_is_refused(void **state)
{
	struct rlimit before;
	struct client a;

	(void)state;
	begin(2);
	before = descriptors_end_here();
	client_init(&a, &s, 0);
	client_ask(&a);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(a.state, CLIENT_REFUSED);
	assert_int_equal(a.refusal, REFUSAL_NO_DESCRIPTORS);
	assert_int_equal(a.ask.error, EMFILE);
	scene_end(&s);
}

/* ---------------------------------------------------------- dead unnoticed */

/* In session mode a lease cannot be tried again: the socket is looked at. */
static void
session_gets_no_connection_that_died_this_moment(void **state)
{
	struct client c;
	struct upconn *u;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 10);
	u = scene_upconn(&s, 0, 0);
	assert_int_equal(u->state, UPCONN_IDLE);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, u));
	/* No turn has told the pool. */
	client_init(&c, &s, 0);
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_true(conn_is_quiet(&c.lease->u->conn));
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 1);
	client_return_as(&c, MARK_BROKEN);
	scene_end(&s);
}

/* The pool is full of one that has died unnoticed, at the other endpoint. */
static void
place_of_a_dead_connection_elsewhere_is_used(void **state)
{
	struct client a, b;
	struct upconn *u;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&a, &s, 0);
	u = a.lease->u;
	client_return(&a);
	far_end_hang_up(scene_far_end(&s, u), scene_far_fd(&s, u));
	client_init(&b, &s, 0);
	client_ask(&b);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_ptr_equal(b.lease->u->shelf->site->endpoint, s.endpoints[1]);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 1);
	client_return_as(&b, MARK_BROKEN);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_ask_is_granted_at_once),
		cmocka_unit_test(returned_lease_goes_to_oldest_asker),
		cmocka_unit_test(nobody_overtakes),
		cmocka_unit_test(first_that_is_ready_goes_to_the_first_asker),
		cmocka_unit_test(newest_idle_connection_goes_first),
		cmocka_unit_test(connection_is_reused_only_for_an_equal_key),
		cmocka_unit_test(connection_is_reused_only_for_an_equal_preface),
		cmocka_unit_test(other_key_is_evicted_when_full),
		cmocka_unit_test(fresh_ask_gets_no_used_connection),
		cmocka_unit_test(
		    fresh_ask_takes_the_place_of_an_idle_connection),
		cmocka_unit_test(
		    fresh_ask_takes_the_place_of_a_returned_connection),
		cmocka_unit_test(avoided_endpoint_is_not_given),
		cmocka_unit_test(
		    avoided_endpoint_is_given_when_it_is_the_only_one),
		cmocka_unit_test(vanished_ask_takes_no_lease),
		cmocka_unit_test(connection_opened_for_a_vanished_ask_is_kept),
		cmocka_unit_test(queue_full_is_refused_at_once),
		cmocka_unit_test(queue_of_none_refuses_who_would_wait),
		cmocka_unit_test(queue_timeout_refuses),
		cmocka_unit_test(queue_timeout_off_waits_for_ever),
		cmocka_unit_test(queue_timeout_does_not_end_a_connect),
		cmocka_unit_test(
		    asker_that_lost_its_connection_has_waited_long_enough),
		cmocka_unit_test(connect_refused_is_told_to_the_asker),
		cmocka_unit_test(failed_connect_refuses_only_its_own_asker),
		cmocka_unit_test(without_endpoints_everybody_is_refused),
		cmocka_unit_test(
		    without_descriptors_a_leased_one_is_waited_for),
		cmocka_unit_test(
		    without_descriptors_and_leases_the_ask_is_refused),
		cmocka_unit_test(
		    session_gets_no_connection_that_died_this_moment),
		cmocka_unit_test(place_of_a_dead_connection_elsewhere_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
