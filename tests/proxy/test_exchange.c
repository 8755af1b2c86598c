/*
 * Exchanges on a whole lane: HTTP clients on one side, a scripted upstream on
 * the other, time as the test says. What it is about is whose the upstream
 * connection is at each moment.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange.h"
#include "tests/support/lane_scene.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ONE "pool = { max = 1; };"

static struct lane_scene s;

static unsigned
connects(void)
{
	return (unsigned)count_read(&s.pool->connects);
}

static unsigned
outcomes(enum outcome what)
{
	return (unsigned)count_read(&s.door->outcomes[what]);
}

static unsigned
failures(enum fail why)
{
	return (unsigned)count_read(&s.door->failures[why]);
}

/* What came there begins so. */
static void
hears(int fd, const char *begin)
{
	const char *heard = lane_scene_hear(fd);

	if (heard == NULL || strncmp(heard, begin, strlen(begin)) != 0 ||
	    (begin[0] == '\0' && heard[0] != '\0'))
		fail_msg("\"%s\" and not \"%s\"", heard == NULL ? "(end)" :
		    heard, begin);
}

static void
hears_the_end(int fd)
{
	assert_null(lane_scene_hear(fd));
}

static void
connections_are(unsigned idle, unsigned leased)
{
	assert_int_equal(atomic_load(&s.pool->idle), idle);
	assert_int_equal(atomic_load(&s.pool->leased), leased);
}

static void
leave(int client)
{
	close(client);
	lane_scene_run(&s);
}

static void
second_request_takes_the_connection_of_the_first(void **state)
{
	int client, other;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	other = lane_scene_client(&s, "127.0.0.1");
	assert_int_equal(connects(), 0);
	lane_scene_say(&s, client, GET("/1"));
	connections_are(0, 1);
	hears(lane_scene_far(&s, 0), "GET /1 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(client, "HTTP/1.1 200 OK\r\n");
	connections_are(1, 0);
	lane_scene_say(&s, other, GET("/2"));
	hears(lane_scene_far(&s, 0), "GET /2 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(other, "HTTP/1.1 200 OK\r\n");
	hears(client, "");
	assert_int_equal(connects(), 1);
	assert_int_equal(outcomes(OUTCOME_2XX), 2);
	assert_int_equal(count_read(&s.door->requests), 2);
	leave(client);
	leave(other);
	assert_int_equal(outcomes(OUTCOME_CLIENT_ABORT), 0);
	lane_scene_end(&s);
}

static void
who_waits_is_served_when_the_one_before_is_done(void **state)
{
	int first, second;

	(void)state;
	lane_scene_begin(&s, "http", "", ONE);
	first = lane_scene_client(&s, "127.0.0.1");
	second = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, first, GET("/1"));
	lane_scene_say(&s, second, GET("/2"));
	assert_int_equal(atomic_load(&s.pool->waiting), 1);
	hears(lane_scene_far(&s, 0), "GET /1 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	assert_int_equal(atomic_load(&s.pool->waiting), 0);
	hears(lane_scene_far(&s, 0), "GET /2 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(first, "HTTP/1.1 200 OK\r\n");
	hears(second, "HTTP/1.1 200 OK\r\n");
	assert_int_equal(connects(), 1);
	leave(first);
	leave(second);
	lane_scene_end(&s);
}

static void
client_that_leaves_the_queue_is_asked_for_nothing(void **state)
{
	int first, second, third;

	(void)state;
	lane_scene_begin(&s, "http", "", ONE);
	first = lane_scene_client(&s, "127.0.0.1");
	second = lane_scene_client(&s, "127.0.0.1");
	third = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, first, GET("/1"));
	lane_scene_say(&s, second, GET("/2"));
	lane_scene_say(&s, third, GET("/3"));
	leave(second);
	assert_int_equal(atomic_load(&s.pool->waiting), 1);
	assert_int_equal(outcomes(OUTCOME_CLIENT_ABORT), 1);
	hears(lane_scene_far(&s, 0), "GET /1 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(lane_scene_far(&s, 0), "GET /3 ");
	leave(first);
	leave(third);
	lane_scene_end(&s);
}

static void
full_queue_and_long_wait_are_told(void **state)
{
	int first, second, third;

	(void)state;
	lane_scene_begin(&s, "http", "", "pool = { max = 1; max_waiting = 1; "
	    "queue_timeout = \"3s\"; };");
	first = lane_scene_client(&s, "127.0.0.1");
	second = lane_scene_client(&s, "127.0.0.1");
	third = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, first, GET("/1"));
	lane_scene_say(&s, second, GET("/2"));
	lane_scene_say(&s, third, GET("/3"));
	hears(third, "HTTP/1.1 503 ");
	assert_int_equal(failures(FAIL_QUEUE_FULL), 1);
	lane_scene_pass(&s, 2999);
	hears(second, "");
	lane_scene_pass(&s, 1);
	hears(second, "HTTP/1.1 503 ");
	assert_int_equal(failures(FAIL_QUEUE_TIMEOUT), 1);
	assert_int_equal(outcomes(OUTCOME_5XX), 2);
	/* Both may go on, and the first is none the worse. */
	hears(lane_scene_far(&s, 0), "GET /1 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(first, "HTTP/1.1 200 OK\r\n");
	lane_scene_say(&s, third, GET("/4"));
	hears(lane_scene_far(&s, 0), "GET /4 ");
	leave(first);
	leave(second);
	leave(third);
	lane_scene_end(&s);
}

static void
refused_connect_is_told(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	far_end_refuse(&s.far);
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, GET("/"));
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(failures(FAIL_CONNECT_FAILED), 1);
	far_end_welcome(&s.far);
	lane_scene_say(&s, client, GET("/again"));
	hears(lane_scene_far(&s, 0), "GET /again ");
	leave(client);
	lane_scene_end(&s);
}

/* One request on a connection that is then used again. */
static int
warmed_up(void)
{
	int client = lane_scene_client(&s, "127.0.0.1");

	lane_scene_say(&s, client, GET("/first"));
	hears(lane_scene_far(&s, 0), "GET /first ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(client, "HTTP/1.1 200 OK\r\n");
	return client;
}

static void
safe_request_on_a_dying_connection_is_asked_once_more(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = warmed_up();
	lane_scene_say(&s, client, GET("/2"));
	hears(lane_scene_far(&s, 0), "GET /2 ");
	far_end_hang_up(&s.far, lane_scene_far(&s, 0));
	lane_scene_run(&s);
	hears(client, "");
	hears(lane_scene_far(&s, 0), "GET /2 ");
	assert_int_equal(connects(), 2);
	assert_int_equal(count_read(&s.pool->retries), 1);
	assert_int_equal(atomic_load(
	    &s.roster->v[0]->faults[FAULT_CLOSED]), 0);
	/* Once: a fresh connection that dies is the upstream's answer. */
	far_end_reset(&s.far, lane_scene_far(&s, 0));
	lane_scene_run(&s);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(connects(), 2);
	assert_int_equal(failures(FAIL_UPSTREAM_RESET), 1);
	assert_int_equal(count_read(&s.door->requests), 2);
	leave(client);
	lane_scene_end(&s);
}

static void
unsafe_request_is_never_asked_twice(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = warmed_up();
	lane_scene_say(&s, client, POST);
	hears(lane_scene_far(&s, 0), "POST /p ");
	far_end_hang_up(&s.far, lane_scene_far(&s, 0));
	lane_scene_run(&s);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(connects(), 1);
	assert_int_equal(failures(FAIL_UPSTREAM_CLOSED), 1);
	leave(client);
	lane_scene_end(&s);
}

static void
begun_answer_is_not_asked_for_again(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = warmed_up();
	lane_scene_say(&s, client, GET("/2"));
	lane_scene_say(&s, lane_scene_far(&s, 0), "HTTP/1.1 2");
	far_end_hang_up(&s.far, lane_scene_far(&s, 0));
	lane_scene_run(&s);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(connects(), 1);
	leave(client);
	lane_scene_end(&s);
}

static void
late_answer_is_a_504_and_its_connection_gone(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "",
	    "timeouts = { response = \"5s\"; stall = \"2s\"; };");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, GET("/"));
	lane_scene_pass(&s, 4999);
	hears(client, "");
	lane_scene_pass(&s, 1);
	hears(client, "HTTP/1.1 504 ");
	connections_are(0, 0);
	assert_int_equal(failures(FAIL_RESPONSE_TIMEOUT), 1);
	hears(lane_scene_far(&s, 0), "GET / ");
	hears_the_end(lane_scene_far(&s, 0));
	/* In the middle of an answer there is nothing to say any more. */
	lane_scene_say(&s, client, GET("/2"));
	lane_scene_say(&s, lane_scene_far(&s, 1),
	    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	hears(client, "HTTP/1.1 200 OK\r\n");
	lane_scene_pass(&s, 2000);
	hears_the_end(client);
	assert_int_equal(failures(FAIL_STALLED), 1);
	connections_are(0, 0);
	leave(client);
	lane_scene_end(&s);
}

static void
connection_of_a_client_that_left_is_not_used_again(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, GET("/"));
	lane_scene_say(&s, lane_scene_far(&s, 0),
	    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	connections_are(0, 1);
	/* Its socket is closed with bytes unread: writing to it fails. */
	close(client);
	lane_scene_say(&s, lane_scene_far(&s, 0), "four");
	connections_are(0, 0);
	assert_int_equal(outcomes(OUTCOME_CLIENT_ABORT), 1);
	assert_int_equal(failures(FAIL_CLIENT_GONE), 1);
	lane_scene_end(&s);
}

static void
answer_before_the_end_of_the_request_ends_both(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, "POST / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 100\r\n\r\nsome");
	hears(lane_scene_far(&s, 0), "POST / ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	assert_non_null(strstr(lane_scene_hear(client),
	    "\r\nConnection: close\r\n"));
	connections_are(0, 0);
	assert_int_equal(outcomes(OUTCOME_2XX), 1);
	leave(client);
	lane_scene_end(&s);
}

static void
bytes_behind_an_answer_cost_the_connection(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, GET("/"));
	lane_scene_say(&s, lane_scene_far(&s, 0), OK "HTTP/1.1 200 OK\r\n");
	hears(client, "HTTP/1.1 200 OK\r\n");
	connections_are(0, 0);
	assert_int_equal(count_read(&s.pool->discards[DISCARD_NOT_CLEAN]), 1);
	leave(client);
	lane_scene_end(&s);
}

static void
session_mode_keeps_the_connection_for_its_client(void **state)
{
	int client, other;

	(void)state;
	lane_scene_begin(&s, "http", "",
	    "pool = { mode = \"session\"; max = 2; };");
	client = warmed_up();
	connections_are(0, 1);
	other = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, other, GET("/other"));
	hears(lane_scene_far(&s, 1), "GET /other ");
	lane_scene_say(&s, lane_scene_far(&s, 1), OK);
	lane_scene_say(&s, client, GET("/2"));
	hears(lane_scene_far(&s, 0), "GET /2 ");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	assert_int_equal(connects(), 2);
	connections_are(0, 2);
	leave(other);
	connections_are(1, 1);
	/* Bytes that nobody asked for between two requests end it. */
	hears(client, "HTTP/1.1 200 OK\r\n");
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(client, "");
	connections_are(1, 0);
	leave(client);
	lane_scene_end(&s);
}

static void
exchange_ends_under_the_snapshot_that_it_began_with(void **state)
{
	int client;

	(void)state;
	lane_scene_begin(&s, "http", "",
	    "timeouts = { response = \"5s\"; };");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, GET("/1"));
	lane_scene_load(&s, "", "timeouts = { response = \"1s\"; };");
	lane_scene_run(&s);
	assert_int_equal(lane_scene_generations(&s), 2);
	lane_scene_pass(&s, 4000);
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	hears(client, "HTTP/1.1 200 OK\r\n");
	assert_int_equal(lane_scene_generations(&s), 1);
	assert_int_equal(s.rt.gen->number, 2);
	/* The connection stays warm, and the next one goes by the new. */
	lane_scene_say(&s, client, GET("/2"));
	assert_int_equal(connects(), 1);
	lane_scene_pass(&s, 1000);
	hears(client, "HTTP/1.1 504 ");
	leave(client);
	lane_scene_end(&s);
}

static void
exchange_that_waits_holds_its_snapshot_too(void **state)
{
	int first, second;

	(void)state;
	lane_scene_begin(&s, "http", "", ONE);
	first = lane_scene_client(&s, "127.0.0.1");
	second = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, first, GET("/1"));
	lane_scene_say(&s, second, GET("/2"));
	lane_scene_load(&s, "", ONE);
	lane_scene_run(&s);
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	assert_int_equal(lane_scene_generations(&s), 2);
	leave(second);
	assert_int_equal(lane_scene_generations(&s), 2);
	lane_scene_say(&s, lane_scene_far(&s, 0), OK);
	assert_int_equal(lane_scene_generations(&s), 1);
	leave(first);
	lane_scene_end(&s);
}

#define TEST(f) cmocka_unit_test(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_request_takes_the_connection_of_the_first),
		TEST(who_waits_is_served_when_the_one_before_is_done),
		TEST(client_that_leaves_the_queue_is_asked_for_nothing),
		TEST(full_queue_and_long_wait_are_told),
		TEST(refused_connect_is_told),
		TEST(safe_request_on_a_dying_connection_is_asked_once_more),
		TEST(unsafe_request_is_never_asked_twice),
		TEST(begun_answer_is_not_asked_for_again),
		TEST(late_answer_is_a_504_and_its_connection_gone),
		TEST(connection_of_a_client_that_left_is_not_used_again),
		TEST(answer_before_the_end_of_the_request_ends_both),
		TEST(bytes_behind_an_answer_cost_the_connection),
		TEST(session_mode_keeps_the_connection_for_its_client),
		TEST(exchange_ends_under_the_snapshot_that_it_began_with),
		TEST(exchange_that_waits_holds_its_snapshot_too)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
