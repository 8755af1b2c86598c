/*
 * The gate, for requests: what one who asks too often is told, when, and what
 * he has taken of others (nothing).
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/lane_scene.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* As gate.h names the file's limits. */
enum {
	REQUESTS = CONF_LIMIT_REQUEST_RATE,
	REQUESTS_OF_CLIENT = CONF_LIMIT_REQUEST_RATE_PER_CLIENT
};

static struct lane_scene s;

static void
begin(const char *listener_keys)
{
	lane_scene_begin(&s, "http", listener_keys, "");
	/* As main does before a snapshot runs. */
	assert_int_equal(gate_provide(s.listener,
	    &s.rt.gen->conf->listeners[0]), 0);
}

static unsigned
limited(int name)
{
	return (unsigned)count_read(&s.door->limited[name]);
}

static int64_t
bucket(int name)
{
	return atomic_load(&s.listener->full_ns[name]);
}

enum { LATE_MS = 100 };         /* whoever is told late is told by then */

/* One request on a connection of its own: what the client is told. */
static const char *
asks(const char *address, int *fd)
{
	*fd = lane_scene_client(&s, address);
	lane_scene_say(&s, *fd, GET("/"));
	lane_scene_pass(&s, LATE_MS);
	return lane_scene_hear(*fd);
}

static void
asks_and_leaves(const char *address, bool served)
{
	int client;
	const char *heard = asks(address, &client);

	assert_non_null(heard);
	if (served)
		assert_string_equal(heard, "");         /* it is under way */
	else
		assert_non_null(strstr(heard, "HTTP/1.1 429 "));
	close(client);
	lane_scene_run(&s);
}

static void
client_that_asks_too_often_takes_nothing_from_others(void **state)
{
	int64_t before;

	(void)state;
	begin("limits = { request_rate = { rate = \"60/h\"; burst = 3; }; "
	    "request_rate_per_client = { rate = \"60/h\"; burst = 2; }; };");
	asks_and_leaves("10.0.0.1", true);
	asks_and_leaves("10.0.0.1", true);
	before = bucket(REQUESTS);
	asks_and_leaves("10.0.0.1", false);
	asks_and_leaves("10.0.0.1", false);
	assert_int_equal(limited(REQUESTS_OF_CLIENT), 2);
	assert_int_equal(bucket(REQUESTS), before);
	asks_and_leaves("10.0.0.2", true);
	/* Now all together have asked too often. */
	asks_and_leaves("10.0.0.3", false);
	assert_int_equal(limited(REQUESTS), 1);
	assert_int_equal(limited(REQUESTS_OF_CLIENT), 2);
	assert_int_equal(count_read(&s.door->failures[FAIL_LIMITED]), 3);
	/* Of what is refused nothing goes further. */
	assert_int_equal(count_read(&s.door->requests), 3);
	lane_scene_end(&s);
}

static void
refusal_says_when_to_come_again(void **state)
{
	int client;

	(void)state;
	begin("limits = { request_rate_per_client = { rate = \"60/h\"; "
	    "burst = 1; }; };");
	assert_string_equal(asks("10.0.0.1", &client), "");
	close(client);
	lane_scene_run(&s);
	assert_non_null(strstr(asks("10.0.0.1", &client),
	    "\r\nRetry-After: 60\r\n"));
	/* The connection goes on, and it is right about the time. */
	lane_scene_pass(&s, 59000 - 2 * LATE_MS);
	lane_scene_say(&s, client, GET("/"));
	lane_scene_pass(&s, LATE_MS);
	assert_non_null(strstr(lane_scene_hear(client),
	    "\r\nRetry-After: 1\r\n"));
	lane_scene_pass(&s, 1000);
	lane_scene_say(&s, client, GET("/"));
	assert_string_equal(lane_scene_hear(client), "");
	close(client);
	lane_scene_run(&s);
	lane_scene_end(&s);
}

/* What he sends after it waits, too; and he may give up. */
static void
flood_of_requests_is_told_late(void **state)
{
	int client;

	(void)state;
	begin("limits = { request_rate_per_client = { rate = \"60/h\"; "
	    "burst = 1; }; };");
	asks_and_leaves("10.0.0.1", true);
	client = lane_scene_client(&s, "10.0.0.1");
	lane_scene_say(&s, client, GET("/"));
	assert_non_null(strstr(lane_scene_hear(client), "HTTP/1.1 429 "));
	/* Of three at once the second is not looked at before the first is
	   told. */
	lane_scene_say(&s, client, GET("/") GET("/") GET("/"));
	assert_string_equal(lane_scene_hear(client), "");
	assert_int_equal(limited(REQUESTS_OF_CLIENT), 2);
	lane_scene_pass(&s, LATE_MS);
	assert_non_null(strstr(lane_scene_hear(client), "HTTP/1.1 429 "));
	assert_true(limited(REQUESTS_OF_CLIENT) >= 3);
	/* Nor does anything hold who leaves; the one who is served may have
	   closed his own side only. */
	close(client);
	lane_scene_run(&s);
	assert_int_equal(count_read(&s.door->active), 1);
	lane_scene_pass(&s, LATE_MS);
	/* Others are told at once. */
	asks_and_leaves("10.0.0.2", true);
	client = lane_scene_client(&s, "10.0.0.2");
	lane_scene_say(&s, client, GET("/"));
	assert_non_null(strstr(lane_scene_hear(client), "HTTP/1.1 429 "));
	close(client);
	lane_scene_run(&s);
	lane_scene_end(&s);
}

static void
one_client_is_a_64_of_addresses(void **state)
{
	(void)state;
	begin("limits = { request_rate_per_client = { rate = \"1/h\"; "
	    "burst = 1; }; };");
	asks_and_leaves("2001:db8::1", true);
	asks_and_leaves("2001:db8::2:3", false);
	asks_and_leaves("2001:db8:0:1::1", true);
	/* An IPv4 client is one address, however it is written. */
	asks_and_leaves("10.0.0.1", true);
	asks_and_leaves("::ffff:10.0.0.1", false);
	asks_and_leaves("10.0.0.2", true);
	/* And a Unix socket's client is nobody. */
	asks_and_leaves("unix", true);
	asks_and_leaves("unix", true);
	assert_int_equal(limited(REQUESTS_OF_CLIENT), 2);
	lane_scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    client_that_asks_too_often_takes_nothing_from_others),
		cmocka_unit_test(refusal_says_when_to_come_again),
		cmocka_unit_test(flood_of_requests_is_told_late),
		cmocka_unit_test(one_client_is_a_64_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
