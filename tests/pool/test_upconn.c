/*
 * pool/upconn: a connection's states, greeting and washing, and what it hears
 * while idle.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upconn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
begin(int64_t max)
{
	scene_begin(&s, 1, 1);
	s.conf.pool.max = max;
	scene_start(&s);
}

static void
say(const struct upconn *u, const char *text)
{
	far_end_say(scene_far_fd(&s, u), text, strlen(text));
}

/* A lease and back: one idle connection, which is returned. */
static struct upconn *
idle_one(void)
{
	struct client c;

	client_come(&c, &s, 0);
	client_return(&c);
	return scene_upconn(&s, 0, 0);
}

/* ----------------------------------------------------------------- greeting */

/*
 * A protocol for tests: greets and washes by writing "?" and is done when "!"
 * comes; "x" is a refusal. Or it is done at once, or fails at once.
 */
enum how { WRITES, AT_ONCE, FAILS_AT_ONCE };

static enum how how;
static unsigned greeted, washed, goodbyes;

/* True: it is ready. */
static bool
polite(struct upconn *u)
{
	switch (how) {
	case WRITES:
		assert_int_equal(buf_append(&u->conn.w->blocks, &u->conn.out,
		    "?", 1), 0);
		conn_send(&u->conn);
		return false;
	case AT_ONCE:
		return true;
	case FAILS_AT_ONCE:
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
		return false;
	}
	return false;
}

static bool
polite_greet(struct upconn *u)
{
	greeted++;
	assert_int_equal(u->state, UPCONN_GREETING);
	return polite(u);
}

static void
polite_wash(struct upconn *u)
{
	washed++;
	assert_int_equal(u->state, UPCONN_WASHING);
	if (polite(u))
		upconn_ready(u);
}

static void
polite_bytes(struct upconn *u)
{
	size_t len;
	char first;

	if (u->conn.in.len == 0)
		return;
	first = *buf_front(&u->conn.in, &len);
	buf_drop(&u->conn.w->blocks, &u->conn.in, 1);
	if (u->state == UPCONN_IDLE)
		return;
	if (first == '!')
		upconn_ready(u);
	else
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
}

static void
polite_bye(struct upconn *u)
{
	goodbyes++;
	assert_int_equal(buf_append(&u->conn.w->blocks, &u->conn.out, ".", 1),
	    0);
	conn_flush(&u->conn);
}

static void
begin_polite(int64_t max, enum how plan)
{
	scene_begin(&s, 1, 1);
	s.conf.pool.max = max;
	s.peer = (struct peer_ops){ .state_size = 64, .greet = polite_greet,
		.wash = polite_wash, .bytes = polite_bytes,
		.bye = polite_bye };
	greeted = washed = goodbyes = 0;
	how = plan;
	scene_start(&s);
}

/* Comes, and is greeted by a server that agrees. */
static void
come_politely(struct client *c)
{
	client_come(c, &s, 0);
	if (c->state == CLIENT_WAITS && how == WRITES) {
		say(c->ask.opening, "!");
		scene_run(&s);
	}
	assert_int_equal(c->state, CLIENT_HOLDS);
}

/* The server has gone, and takes nothing any more: it is closed once. */
static void
goodbye_that_fails_is_no_second_end(void **state)
{
	struct client c;
	struct upconn *u;
	char heard[8];

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	u = c.lease->u;
	how = AT_ONCE;
	client_return(&c);
	assert_int_equal(u->state, UPCONN_IDLE);
	assert_int_equal(shutdown(conn_fd(&u->conn), SHUT_WR), 0);
	assert_int_equal(far_end_hear(scene_far_fd(&s, u), heard, 8), 1);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, u));
	scene_run(&s);
	assert_int_equal(goodbyes, 1);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 1);
	scene_end(&s);
}

/* Its server agrees to TLS that the file does not ask for any more. */
static void
tls_that_has_been_taken_away_is_begun_anew_without(void **state)
{
	struct client c;
	struct upconn *u;

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	u = c.ask.opening;
	assert_non_null(u);
	upconn_secure(u);
	assert_int_equal(scene_discards(&s, DISCARD_IDENTITY), 1);
	scene_run(&s);
	assert_non_null(c.ask.opening);
	say(c.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_end(&s);
}

static void
greeting_comes_before_the_first_lease(void **state)
{
	struct client c;
	struct upconn *u;
	char heard[8];

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	u = c.ask.opening;
	assert_int_equal(u->state, UPCONN_GREETING);
	assert_int_equal(((char *)upconn_state_of(u))[63], 0);
	assert_int_equal(far_end_hear(scene_far_fd(&s, u), heard, 8), 1);
	assert_int_equal(heard[0], '?');
	say(u, "!");
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_false(c.lease->reused);
	client_return(&c);
	client_come(&c, &s, 0);
	assert_int_equal(greeted, 1);
	client_return(&c);
	scene_end(&s);
	assert_int_equal(goodbyes, 1);
}

static void
greeting_over_a_slow_connect(void **state)
{
	struct client c;

	(void)state;
	begin_polite(1, WRITES);
	connects_are_slow = true;
	come_politely(&c);
	client_return(&c);
	scene_end(&s);
}

/* peer.h: greet() ends now or later. */
static void
greeting_may_be_over_at_once(void **state)
{
	struct client c;

	(void)state;
	for (int slow = 0; slow < 2; slow++) {
		begin_polite(1, AT_ONCE);
		connects_are_slow = slow;
		client_come(&c, &s, 0);
		assert_int_equal(c.state, CLIENT_HOLDS);
		assert_int_equal(greeted, 1);
		client_return(&c);
		scene_end(&s);
	}
}

static void
greeting_that_fails_at_once_is_told_to_the_asker(void **state)
{
	struct client c;

	(void)state;
	for (int slow = 0; slow < 2; slow++) {
		begin_polite(1, FAILS_AT_ONCE);
		connects_are_slow = slow;
		client_come(&c, &s, 0);
		assert_int_equal(c.state, CLIENT_REFUSED);
		assert_int_equal(c.refusal, REFUSAL_CONNECT_FAILED);
		assert_int_equal(atomic_load(&s.upstream->open), 0);
		scene_end(&s);
	}
}

static void
warm_connections_are_greeted_at_once(void **state)
{
	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.min_idle = 3;
	s.peer.greet = polite_greet;
	how = AT_ONCE;
	scene_start(&s);
	scene_pass(&s, 10);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

static void
broken_greeting_is_told_to_the_asker(void **state)
{
	struct client c;

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	say(c.ask.opening, "x");
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(c.refusal, REFUSAL_CONNECT_FAILED);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_BAD_ANSWER]), 1);
	assert_string_equal(atomic_load(&s.endpoints[0]->last_error),
	    "bad_answer");

	client_come(&c, &s, 0);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, c.ask.opening));
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(atomic_load(&s.endpoints[0]->faults[FAULT_RESET]) +
	    atomic_load(&s.endpoints[0]->faults[FAULT_CLOSED]), 1);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
slow_greeting_is_a_connect_timeout(void **state)
{
	struct client c;

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	scene_pass(&s, 999);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(c.refusal, REFUSAL_CONNECT_TIMEOUT);
	scene_end(&s);
}

/* "!" and FIN in one: it agreed and left. */
static void
connection_that_ends_with_its_greeting_is_not_used(void **state)
{
	struct client c;
	int far;

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	far = scene_far_fd(&s, c.ask.opening);
	far_end_say(far, "!", 1);
	far_end_shut(far);
	scene_run(&s);
	if (c.state == CLIENT_HOLDS) {
		/* The bytes were read first: its holder hears of the end. */
		assert_int_equal(c.inputs, 1);
		assert_true(c.lease->u->conn.eof);
		client_return(&c);
	}
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

/* The second's connection is ready first, and the first's has it: then what was
   opening for the first is the second's. */
static void
askers_exchange_what_is_opening_for_them(void **state)
{
	struct client a, b;
	struct upconn *slow;

	(void)state;
	scene_begin(&s, 1, 1);
	s.peer = (struct peer_ops){ .greet = polite_greet,
		.bytes = polite_bytes };
	s.conf.pool.queue_timeout_ms = 100;
	how = WRITES;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	slow = a.ask.opening;
	/* Both have waited longer than the queue allows. */
	scene_pass(&s, 500);
	say(b.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_ptr_equal(b.ask.opening, slow);
	assert_int_equal(scene_pool(&s, 0)->unserved, 0);
	say(slow, "!");
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* What was opening for the first is where the second must not go. */
static void
asker_that_cannot_exchange_has_another_opened(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	s.peer = (struct peer_ops){ .greet = polite_greet,
		.bytes = polite_bytes };
	how = WRITES;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_init(&b, &s, 0);
	b.ask.avoid = a.ask.opening->shelf->site->endpoint;
	client_ask(&b);
	scene_run(&s);
	say(b.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_non_null(b.ask.opening);
	assert_ptr_not_equal(b.ask.opening->shelf->site->endpoint, b.ask.avoid);
	say(b.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* In request mode a server has no business to say more than that. */
static void
bytes_left_after_a_greeting_are_a_bad_answer(void **state)
{
	struct client c;

	(void)state;
	begin_polite(1, WRITES);
	client_come(&c, &s, 0);
	say(c.ask.opening, "!stray");
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_BAD_ANSWER]), 1);
	scene_end(&s);
}

/* ------------------------------------------------------------------ washing */

static void
dirty_is_washed(void **state)
{
	struct client c, next;
	struct upconn *u;

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	client_come(&next, &s, 0);
	u = c.lease->u;
	client_return_as(&c, MARK_DIRTY);
	assert_int_equal(u->state, UPCONN_WASHING);
	scene_run(&s);
	assert_int_equal(next.state, CLIENT_WAITS);
	say(u, "!");
	scene_run(&s);
	assert_int_equal(washed, 1);
	assert_int_equal(next.state, CLIENT_HOLDS);
	assert_ptr_equal(next.lease->u, u);
	assert_int_equal(u->mark, MARK_CLEAN);
	assert_null(u->mark_why);
	client_return(&next);
	assert_int_equal(u->state, UPCONN_IDLE);
	scene_end(&s);
}

static void
wash_may_be_over_at_once(void **state)
{
	struct client c;

	(void)state;
	begin_polite(1, AT_ONCE);
	client_come(&c, &s, 0);
	client_return_as(&c, MARK_DIRTY);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	client_come(&c, &s, 0);
	how = FAILS_AT_ONCE;
	client_return_as(&c, MARK_DIRTY);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
dirty_without_a_wash_is_closed(void **state)
{
	struct client c;

	(void)state;
	begin(1);
	client_come(&c, &s, 0);
	client_return_as(&c, MARK_DIRTY);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
wash_deadline_closes(void **state)
{
	struct client c, next;

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	client_return_as(&c, MARK_DIRTY);
	client_come(&next, &s, 0);
	scene_pass(&s, 999);
	assert_int_equal(scene_count(&s, UPCONN_WASHING), 1);
	assert_int_equal(next.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(scene_count(&s, UPCONN_WASHING), 0);
	/* Its place goes to who waits, who is greeted anew. */
	say(next.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(next.state, CLIENT_HOLDS);
	assert_false(next.lease->reused);
	client_return(&next);
	scene_end(&s);
}

/* One byte more than the answer to the wash: whose is it? */
static void
bytes_left_after_a_wash_close(void **state)
{
	struct client c, next;
	struct upconn *u;

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	client_come(&next, &s, 0);
	u = c.lease->u;
	client_return_as(&c, MARK_DIRTY);
	say(u, "!stray");
	scene_run(&s);
	assert_int_equal(next.state, CLIENT_WAITS);
	assert_int_equal(scene_discards(&s, DISCARD_NOT_CLEAN), 1);
	say(next.ask.opening, "!");
	scene_run(&s);
	assert_int_equal(next.state, CLIENT_HOLDS);
	assert_int_equal(next.lease->u->conn.in.len, 0);
	client_return(&next);
	scene_end(&s);
}

static void
held_connection_is_closed_after_its_wash(void **state)
{
	struct client c;
	struct upconn *u;

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	u = c.lease->u;
	u->holds++;
	client_return_as(&c, MARK_DIRTY);
	say(u, "!");
	scene_run(&s);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

/* --------------------------------------------------------------------- idle */

static void
bytes_on_idle_discard(void **state)
{
	struct client c;

	(void)state;
	begin(1);
	say(idle_one(), "unasked");
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_UNASKED_BYTES), 1);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(c.lease->u->conn.in.len, 0);
	client_return(&c);
	assert_int_equal(atomic_load(&s.endpoints[0]->faults[FAULT_RESET]), 0);
	scene_end(&s);
}

static void
bytes_that_the_protocol_knows_do_not_discard(void **state)
{
	struct client c;
	struct upconn *u;

	(void)state;
	begin_polite(1, WRITES);
	come_politely(&c);
	u = c.lease->u;
	client_return(&c);
	say(u, "n");
	scene_run(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	say(u, "nn");
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_UNASKED_BYTES), 1);
	scene_end(&s);
}

static void
end_and_reset_on_idle_discard(void **state)
{
	(void)state;
	begin(1);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, idle_one()));
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 1);
	far_end_reset(&s.ends[0], scene_far_fd(&s, idle_one()));
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 2);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
greeting_waits_in_session_mode(void **state)
{
	struct client c;
	struct upconn *u;
	size_t len;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 10);
	u = scene_upconn(&s, 0, 0);
	say(u, "220 hello");
	scene_run(&s);
	assert_int_equal(u->state, UPCONN_IDLE);
	client_come(&c, &s, 0);
	assert_ptr_equal(c.lease->u, u);
	assert_int_equal(u->conn.in.len, 9);
	assert_memory_equal(buf_front(&u->conn.in, &len), "220 hello", 9);
	/* Once leased, no byte is waited with. */
	buf_clear(&s.turns.workers[0].blocks, &u->conn.in);
	client_return(&c);
	say(u, "more");
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_UNASKED_BYTES), 1);
	scene_end(&s);
}

static void
long_greeting_waits_in_bounded_memory(void **state)
{
	static char text[100000];
	struct client c;
	struct upconn *u;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.span = CONF_SPAN_SESSION;
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 10);
	u = scene_upconn(&s, 0, 0);
	far_end_say(scene_far_fd(&s, u), text, sizeof(text));
	scene_run(&s);
	assert_int_equal(u->state, UPCONN_IDLE);
	assert_true(u->conn.in.len >= 16 * 1024);
	assert_true(u->conn.in.held <= CONN_HIGH / 2);
	/* Its first client hears the rest. */
	client_come(&c, &s, 0);
	assert_ptr_equal(c.lease->u, u);
	assert_int_equal(u->conn.in.len, sizeof(text));
	client_return_as(&c, MARK_BROKEN);
	scene_end(&s);
}

static void
greeting_is_unasked_in_request_mode(void **state)
{
	struct upconn *u;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 10);
	u = scene_upconn(&s, 0, 0);
	say(u, "220 hello");
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_UNASKED_BYTES), 1);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goodbye_that_fails_is_no_second_end),
		cmocka_unit_test(
		    tls_that_has_been_taken_away_is_begun_anew_without),
		cmocka_unit_test(greeting_comes_before_the_first_lease),
		cmocka_unit_test(greeting_over_a_slow_connect),
		cmocka_unit_test(greeting_may_be_over_at_once),
		cmocka_unit_test(
		    greeting_that_fails_at_once_is_told_to_the_asker),
		cmocka_unit_test(warm_connections_are_greeted_at_once),
		cmocka_unit_test(broken_greeting_is_told_to_the_asker),
		cmocka_unit_test(slow_greeting_is_a_connect_timeout),
		cmocka_unit_test(askers_exchange_what_is_opening_for_them),
		cmocka_unit_test(asker_that_cannot_exchange_has_another_opened),
		cmocka_unit_test(bytes_left_after_a_greeting_are_a_bad_answer),
		cmocka_unit_test(
		    connection_that_ends_with_its_greeting_is_not_used),
		cmocka_unit_test(dirty_is_washed),
		cmocka_unit_test(wash_may_be_over_at_once),
		cmocka_unit_test(dirty_without_a_wash_is_closed),
		cmocka_unit_test(wash_deadline_closes),
		cmocka_unit_test(bytes_left_after_a_wash_close),
		cmocka_unit_test(held_connection_is_closed_after_its_wash),
		cmocka_unit_test(bytes_on_idle_discard),
		cmocka_unit_test(bytes_that_the_protocol_knows_do_not_discard),
		cmocka_unit_test(end_and_reset_on_idle_discard),
		cmocka_unit_test(greeting_waits_in_session_mode),
		cmocka_unit_test(long_greeting_waits_in_bounded_memory),
		cmocka_unit_test(greeting_is_unasked_in_request_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
