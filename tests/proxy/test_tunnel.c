/*
 * Tunnels: bytes go both ways as they come, each side may end by itself, and
 * what cannot be delivered is not read. Raw TCP, and an HTTP upgrade.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange.h"
#include "tests/support/lane_scene.h"

enum { FLOOD = 16 * 1024 * 1024 };

static struct lane_scene s;
static int client, far;

static void
begin(const char *listener_keys, const char *upstream_keys)
{
	lane_scene_begin(&s, "tcp", listener_keys, upstream_keys);
	client = lane_scene_client(&s, "127.0.0.1");
	far = lane_scene_far(&s, 0);
}

static void
end(void)
{
	close(client);
	lane_scene_end(&s);
}

static bool
is_over(void)
{
	return lane_scene_session(&s) == NULL &&
	    atomic_load(&s.pool->leased) == 0;
}

static void
hears(int fd, const char *text)
{
	const char *heard = lane_scene_hear(fd);

	assert_non_null(heard);
	assert_string_equal(heard, text);
}

/* How a connection ended: 0 = FIN, else what recv() says. */
static int
how_ended(int fd)
{
	char bytes[16];

	return recv(fd, bytes, sizeof(bytes), 0) == 0 ? 0 : errno;
}

static void
bytes_pass_both_ways(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, client, "to");
	hears(far, "to");
	lane_scene_say(&s, far, "fro");
	lane_scene_say(&s, far, " and more");
	hears(client, "fro and more");
	assert_int_equal(s.far.accepted, 1);
	end();
}

static void
server_that_speaks_first_is_heard(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, far, "220 hello\r\n");
	hears(client, "220 hello\r\n");
	end();
}

static void
client_may_end_and_still_read(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, client, "question");
	far_end_shut(client);
	lane_scene_run(&s);
	hears(far, "question");
	assert_int_equal(how_ended(far), 0);
	assert_false(is_over());
	lane_scene_say(&s, far, "answer");
	hears(client, "answer");
	far_end_hang_up(&s.far, far);
	lane_scene_run(&s);
	assert_int_equal(how_ended(client), 0);
	assert_true(is_over());
	assert_int_equal(count_read(&s.door->outcomes[OUTCOME_DONE]), 1);
	end();
}

static void
server_may_end_and_still_read(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, far, "all");
	far_end_shut(far);
	lane_scene_run(&s);
	hears(client, "all");
	assert_int_equal(how_ended(client), 0);
	assert_false(is_over());
	lane_scene_say(&s, client, "thanks");
	hears(far, "thanks");
	far_end_shut(client);
	lane_scene_run(&s);
	assert_true(is_over());
	assert_int_equal(how_ended(far), 0);
	assert_int_equal(count_read(&s.door->outcomes[OUTCOME_DONE]), 1);
	end();
}

static void
tunnelled_connection_is_never_used_again(void **state)
{
	int other;

	(void)state;
	begin("", "");
	far_end_shut(far);
	far_end_shut(client);
	lane_scene_run(&s);
	assert_true(is_over());
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	other = lane_scene_client(&s, "127.0.0.1");
	assert_int_equal(s.far.accepted, 1);
	assert_int_not_equal(lane_scene_far(&s, 1), far);
	assert_int_equal(s.far.accepted, 2);
	close(other);
	end();
}

static void
reset_of_the_server_is_no_end_for_the_client(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, far, "half");
	hears(client, "half");
	far_end_reset(&s.far, far);
	lane_scene_run(&s);
	assert_true(is_over());
	assert_int_equal(
	    count_read(&s.door->failures[FAIL_UPSTREAM_RESET]), 1);
	end();
}

static void
cut_client_cuts_the_server_off(void **state)
{
	(void)state;
	begin("", "");
	lane_scene_say(&s, client, "half");
	hears(far, "half");
	session_reset(lane_scene_session(&s));
	lane_scene_run(&s);
	assert_true(is_over());
	assert_int_equal(how_ended(far), ECONNRESET);
	end();
}

static void
silence_in_both_directions_ends_it(void **state)
{
	(void)state;
	begin("", "timeouts = { tunnel = \"10s\"; };");
	lane_scene_pass(&s, 9999);
	lane_scene_say(&s, far, "x");
	lane_scene_pass(&s, 9999);
	lane_scene_say(&s, client, "y");
	lane_scene_pass(&s, 9999);
	assert_false(is_over());
	lane_scene_pass(&s, 1);
	assert_true(is_over());
	assert_int_equal(
	    count_read(&s.door->failures[FAIL_TUNNEL_TIMEOUT]), 1);
	end();
}

/* Write until weir takes no more; how much that was. */
static size_t
flood(int fd, uint32_t *seed)
{
	static char bytes[32 * 1024];
	size_t sum = 0, i;
	ssize_t n;

	while (sum < FLOOD) {
		uint32_t next = *seed;

		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)((next++ * 2654435761u) >> 24);
		n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		if (n > 0) {
			sum += (size_t)n;
			*seed += (uint32_t)n;
		}
		lane_scene_run(&s);
		if (n < 0)
			return sum;
	}
	fail_msg("nothing stops the flood");
	return sum;
}

/* All of it comes out, as it went in. */
static void
ebb(int fd, size_t sum)
{
	static char bytes[32 * 1024];
	uint32_t next = 0;
	unsigned dry = 0;
	int n, i;

	while (sum > 0) {
		n = far_end_hear(fd, bytes, sizeof(bytes));
		assert_true(n >= 0);
		for (i = 0; i < n; i++)
			if (bytes[i] != (char)((next++ * 2654435761u) >> 24))
				fail_msg("byte %u is another", next - 1);
		sum -= (size_t)n;
		dry = n == 0 ? dry + 1 : 0;
		assert_in_range(dry, 0, 1000);
		lane_scene_run(&s);
	}
}

static void
slow_reader_pauses_its_writer(int from, int to)
{
	uint32_t seed = 0;
	struct exchange *x = exchange_first(lane_scene_session(&s));
	size_t sum = flood(from, &seed);

	assert_true(x->s->conn.out.held + x->s->conn.in.held +
	    x->lease->u->conn.out.held + x->lease->u->conn.in.held <=
	    CONN_HIGH * 3);
	ebb(to, sum);
	/* And it goes on afterwards. */
	lane_scene_say(&s, from, "more");
	hears(to, "more");
}

static void
slow_server_pauses_the_client(void **state)
{
	(void)state;
	begin("", "");
	slow_reader_pauses_its_writer(client, far);
	end();
}

static void
slow_client_pauses_the_server(void **state)
{
	(void)state;
	begin("", "");
	slow_reader_pauses_its_writer(far, client);
	end();
}

static void
end_comes_after_what_was_still_to_be_written(void **state)
{
	uint32_t seed = 0;
	size_t sum;

	(void)state;
	begin("", "");
	sum = flood(client, &seed);
	far_end_shut(client);
	far_end_shut(far);
	lane_scene_run(&s);
	assert_false(is_over());
	ebb(far, sum);
	assert_int_equal(how_ended(far), 0);
	assert_true(is_over());
	end();
}

static void
upgraded_request_becomes_a_tunnel(void **state)
{
	(void)state;
	lane_scene_begin(&s, "http", "", "");
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, "GET /ws HTTP/1.1\r\nHost: a\r\n"
	    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	far = lane_scene_far(&s, 0);
	assert_non_null(strstr(lane_scene_hear(far),
	    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"));
	/* What comes behind the heads is the tunnel's already. */
	lane_scene_say(&s, client, "early");
	lane_scene_say(&s, far, "HTTP/1.1 101 Switching\r\n"
	    "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
	hears(client, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n\r\nfirst");
	hears(far, "early");
	assert_int_equal(atomic_load(&s.pool->pinned), 1);
	lane_scene_say(&s, client, "GET / HTTP/1.1\r\n\r\n");
	hears(far, "GET / HTTP/1.1\r\n\r\n");
	far_end_shut(client);
	far_end_shut(far);
	lane_scene_run(&s);
	assert_true(is_over());
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	assert_int_equal(count_read(&s.door->outcomes[OUTCOME_1XX]), 1);
	end();
}

#define TEST(f) cmocka_unit_test(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_pass_both_ways),
		TEST(server_that_speaks_first_is_heard),
		TEST(client_may_end_and_still_read),
		TEST(server_may_end_and_still_read),
		TEST(tunnelled_connection_is_never_used_again),
		TEST(reset_of_the_server_is_no_end_for_the_client),
		TEST(cut_client_cuts_the_server_off),
		TEST(silence_in_both_directions_ends_it),
		TEST(slow_server_pauses_the_client),
		TEST(slow_client_pauses_the_server),
		TEST(end_comes_after_what_was_still_to_be_written),
		TEST(upgraded_request_becomes_a_tunnel)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
