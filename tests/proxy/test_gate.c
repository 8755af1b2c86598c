/*
 * The gate: in which order limits are held against a client, what one who is
 * refused has taken (nothing from anybody else), and that every count is what
 * it was after a refusal.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/pressure.h"
#include "tests/support/lane_scene.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* As gate_connection() names the file's limits. */
enum {
	CONNECTIONS = CONF_LIMIT_CONNECTIONS,
	OF_CLIENT = CONF_LIMIT_CONNECTIONS_PER_CLIENT,
	RATE = CONF_LIMIT_CONNECTION_RATE,
	RATE_OF_CLIENT = CONF_LIMIT_CONNECTION_RATE_PER_CLIENT
};

static struct lane_scene s;
static bool counted, flood;
static int64_t retry_after_ns;

/* As main does before a snapshot runs. */
static void
provide(void)
{
	assert_int_equal(gate_provide(s.listener,
	    &s.rt.gen->conf->listeners[0]), 0);
}

static void
begin(const char *listener_keys)
{
	lane_scene_begin(&s, "http", listener_keys, "");
	provide();
}

static void
reload(const char *listener_keys)
{
	lane_scene_load(&s, listener_keys, "");
	provide();
	lane_scene_run(&s);
}

static struct addr_ip
ip(unsigned n)
{
	struct addr_ip a = { .family = AF_INET,
	    .ip = { 10, 0, (uint8_t)(n >> 8), (uint8_t)n } };

	return a;
}

/* Some client comes; which limit refuses it, or N_LIMITS. */
static int
comes(const struct addr_ip *a)
{
	counted = true;
	retry_after_ns = -1;
	flood = true;
	return (int)gate_connection(s.door, a, &counted, &retry_after_ns,
	    &flood);
}

static int
client_comes(unsigned n)
{
	struct addr_ip a = ip(n);

	return comes(&a);
}

static void
client_leaves(unsigned n, bool was_counted)
{
	struct addr_ip a = ip(n);

	gate_left(s.door, &a, was_counted);
}

static unsigned
limited(int name)
{
	return (unsigned)count_read(&s.door->limited[name]);
}

static unsigned
shadowed(int name)
{
	return (unsigned)count_read(&s.door->shadowed[name]);
}

static unsigned
inside(void)
{
	return (unsigned)atomic_load(&s.listener->active);
}

/* How many connections client n is said to have. */
static unsigned
inside_of(unsigned n)
{
	struct client_table *t = atomic_load(&s.listener->clients);
	struct addr_ip a = ip(n);
	struct client_key k = client_key_of(&a);
	uint64_t many = client_table_enter(t, &k);

	assert_true(many > 0);
	client_table_leave(t, &k);
	return (unsigned)many - 1;
}

/* What is kept of all: how full the bucket is. */
static int64_t
bucket(int name)
{
	return atomic_load(&s.listener->full_ns[name]);
}

/* ------------------------------------------------------------- connections */

static void
without_limits_everybody_comes_in_and_is_not_told_apart(void **state)
{
	unsigned i;

	(void)state;
	begin("");
	for (i = 0; i < 1000; i++) {
		assert_int_equal(client_comes(1), N_LIMITS);
		assert_false(counted);
	}
	assert_int_equal(inside(), 1000);
	assert_null(atomic_load(&s.listener->clients));
	for (i = 0; i < CONF_N_LIMITS; i++)
		assert_null(atomic_load(&s.listener->buckets[i]));
	for (i = 0; i < 1000; i++)
		client_leaves(1, false);
	lane_scene_end(&s);
}

static void
last_place_is_given_and_comes_back(void **state)
{
	(void)state;
	begin("limits = { connections = 2; };");
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_int_equal(client_comes(2), N_LIMITS);
	assert_int_equal(client_comes(3), CONNECTIONS);
	assert_int_equal(client_comes(1), CONNECTIONS);
	assert_int_equal(retry_after_ns, 0);
	assert_false(flood);
	assert_int_equal(limited(CONNECTIONS), 2);
	assert_int_equal(inside(), 2);
	client_leaves(2, false);
	assert_int_equal(client_comes(3), N_LIMITS);
	client_leaves(1, false);
	client_leaves(3, false);
	lane_scene_end(&s);
}

static void
client_with_too_many_takes_nothing_from_others(void **state)
{
	int64_t before;

	(void)state;
	begin("limits = { connections = 3; connections_per_client = 2; "
	    "connection_rate = { rate = \"10/h\"; burst = 3; }; "
	    "connection_rate_per_client = { rate = \"10/h\"; burst = 9; }; };");
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_true(counted);
	assert_int_equal(client_comes(1), N_LIMITS);
	before = bucket(RATE);
	assert_int_equal(client_comes(1), OF_CLIENT);
	assert_false(counted);
	assert_int_equal(client_comes(1), OF_CLIENT);
	assert_int_equal(limited(OF_CLIENT), 2);
	assert_int_equal(inside(), 2);
	assert_int_equal(inside_of(1), 2);
	assert_int_equal(bucket(RATE), before);
	/* The third place and the third token are another's. */
	assert_int_equal(client_comes(2), N_LIMITS);
	/* Of two limits it is the client's own that is named. */
	assert_int_equal(client_comes(1), OF_CLIENT);
	assert_int_equal(limited(CONNECTIONS), 0);
	client_leaves(1, true);
	client_leaves(1, true);
	client_leaves(2, true);
	assert_int_equal(inside_of(1), 0);
	assert_int_equal(inside_of(2), 0);
	lane_scene_end(&s);
}

static void
client_that_comes_too_often_takes_nothing_from_others(void **state)
{
	int64_t before;

	(void)state;
	begin("limits = { connections_per_client = 5; "
	    "connection_rate = { rate = \"60/h\"; burst = 2; }; "
	    "connection_rate_per_client = { rate = \"60/h\"; burst = 1; }; };");
	assert_int_equal(client_comes(1), N_LIMITS);
	before = bucket(RATE);
	assert_int_equal(client_comes(1), RATE_OF_CLIENT);
	assert_false(counted);
	assert_true(retry_after_ns > 59 * NS_PER_S);
	assert_true(retry_after_ns <= 60 * NS_PER_S);
	assert_int_equal(inside(), 1);
	assert_int_equal(inside_of(1), 1);
	assert_int_equal(bucket(RATE), before);
	assert_int_equal(client_comes(2), N_LIMITS);
	/* It may come again when it was told to. */
	lane_scene_pass(&s, 60000);
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_int_equal(limited(RATE_OF_CLIENT), 1);
	client_leaves(1, true);
	client_leaves(1, true);
	client_leaves(2, true);
	lane_scene_end(&s);
}

static void
refused_for_all_it_is_not_counted_as_its_clients(void **state)
{
	int64_t before;

	(void)state;
	begin("limits = { connections = 1; connections_per_client = 2; "
	    "connection_rate = { rate = \"60/h\"; burst = 2; }; };");
	assert_int_equal(client_comes(1), N_LIMITS);
	before = bucket(RATE);
	assert_int_equal(client_comes(2), CONNECTIONS);
	assert_false(counted);
	assert_int_equal(inside(), 1);
	assert_int_equal(inside_of(2), 0);
	/* Nor does it cost a token that somebody else could have. */
	assert_int_equal(bucket(RATE), before);
	client_leaves(1, true);
	assert_int_equal(client_comes(2), N_LIMITS);
	client_leaves(2, true);
	/* Now the rate of all is spent. */
	assert_int_equal(client_comes(3), RATE);
	assert_false(counted);
	assert_true(retry_after_ns > 0);
	assert_int_equal(inside(), 0);
	assert_int_equal(inside_of(3), 0);
	assert_int_equal(limited(CONNECTIONS), 1);
	assert_int_equal(limited(RATE), 1);
	lane_scene_end(&s);
}

/* ---------------------------------------------------------- through a proxy */

/* The header of one that gate_arrival() has let in is there. */
static int
arrives(unsigned n)
{
	struct addr_ip a = ip(n);

	counted = true;
	retry_after_ns = -1;
	flood = true;
	return (int)gate_arrived(s.door, &a, &counted, &retry_after_ns, &flood);
}

static void
proxys_connections_count_before_their_clients_are_known(void **state)
{
	(void)state;
	begin("limits = { connections = 2; connections_per_client = 1; "
	    "connection_rate = { rate = \"60/h\"; burst = 9; }; };");
	assert_int_equal(gate_arrival(s.door), N_LIMITS);
	assert_int_equal(gate_arrival(s.door), N_LIMITS);
	assert_int_equal(gate_arrival(s.door), CONNECTIONS);
	assert_int_equal(limited(CONNECTIONS), 1);
	assert_int_equal(inside(), 2);
	assert_int_equal(bucket(RATE), 0);
	assert_int_equal(arrives(1), N_LIMITS);
	assert_true(counted);
	assert_int_equal(inside(), 2);
	assert_int_equal(inside_of(1), 1);
	/* Another of his: it is still in, and has still to leave. */
	assert_int_equal(arrives(1), OF_CLIENT);
	assert_false(counted);
	assert_true(flood);
	assert_int_equal(inside(), 2);
	assert_int_equal(inside_of(1), 1);
	client_leaves(1, false);
	client_leaves(1, true);
	assert_int_equal(inside(), 0);
	assert_int_equal(inside_of(1), 0);
	lane_scene_end(&s);
}

static void
client_of_a_proxy_that_is_refused_has_taken_nothing(void **state)
{
	int64_t before;

	(void)state;
	begin("deny = ( \"10.0.1.0/24\" ); limits = { "
	    "connections_per_client = 5; "
	    "connection_rate = { rate = \"60/h\"; burst = 2; }; "
	    "connection_rate_per_client = { rate = \"60/h\"; burst = 1; }; };");
	assert_int_equal(arrives(0x101), LIMIT_DENIED);
	assert_int_equal(limited(LIMIT_DENIED), 1);
	assert_int_equal(inside_of(0x101), 0);
	assert_int_equal(bucket(RATE), 0);
	assert_int_equal(arrives(1), N_LIMITS);
	before = bucket(RATE);
	assert_int_equal(arrives(1), RATE_OF_CLIENT);
	assert_false(counted);
	assert_true(retry_after_ns > 0);
	assert_int_equal(inside_of(1), 1);
	assert_int_equal(bucket(RATE), before);
	assert_int_equal(arrives(2), N_LIMITS);
	/* The rate of all is spent. */
	assert_int_equal(arrives(3), RATE);
	assert_false(counted);
	assert_int_equal(inside_of(3), 0);
	atomic_store(&s.rt.pressure_level, PRESSURE_FULL);
	assert_int_equal(arrives(4), LIMIT_MEMORY);
	assert_int_equal(gate_arrival(s.door), LIMIT_MEMORY);
	atomic_store(&s.rt.pressure_level, PRESSURE_NONE);
	/* What gate_arrival() would have counted. */
	atomic_fetch_add(&s.listener->active, 2);
	client_leaves(1, true);
	client_leaves(2, true);
	lane_scene_end(&s);
}

/* -------------------------------------------------------------- all of them */

#define ALL_OF_THEM "connections = 9; connections_per_client = 9; " \
    "connection_rate = { rate = \"60/h\"; burst = 9; }; " \
    "connection_rate_per_client = { rate = \"60/h\"; burst = 1; };"

static void
denied_networks_cost_nothing_at_all(void **state)
{
	(void)state;
	begin("deny = ( \"10.0.1.0/24\" ); limits = { " ALL_OF_THEM " };");
	assert_int_equal(client_comes(0x101), LIMIT_DENIED);
	assert_int_equal(client_comes(0x101), LIMIT_DENIED);
	assert_false(counted);
	assert_int_equal(retry_after_ns, 0);
	assert_int_equal(limited(LIMIT_DENIED), 2);
	assert_int_equal(inside(), 0);
	assert_int_equal(inside_of(0x101), 0);
	assert_int_equal(bucket(RATE), 0);
	/* Its own token is there yet when the file thinks better of it. */
	reload("limits = { " ALL_OF_THEM " };");
	assert_int_equal(client_comes(0x101), N_LIMITS);
	client_leaves(0x101, true);
	lane_scene_end(&s);
}

static void
want_of_memory_costs_nothing_at_all(void **state)
{
	int client;

	(void)state;
	begin("deny = ( \"10.0.1.0/24\" ); limits = { " ALL_OF_THEM " };");
	atomic_store(&s.rt.pressure_level, PRESSURE_TIGHT);
	assert_int_equal(client_comes(1), N_LIMITS);
	client_leaves(1, true);
	atomic_store(&s.rt.pressure_level, PRESSURE_FULL);
	assert_int_equal(client_comes(2), LIMIT_MEMORY);
	assert_false(counted);
	assert_int_equal(retry_after_ns, 0);
	assert_int_equal(inside_of(2), 0);
	/* Who may never come in is told nothing of it. */
	assert_int_equal(client_comes(0x101), LIMIT_DENIED);
	atomic_store(&s.rt.pressure_level, PRESSURE_NONE);
	assert_int_equal(client_comes(2), N_LIMITS);
	client_leaves(2, true);
	assert_int_equal(limited(LIMIT_MEMORY), 1);
	/* Those who are in already: no request, but they stay. */
	client = lane_scene_client(&s, "10.0.0.7");
	atomic_store(&s.rt.pressure_level, PRESSURE_FULL);
	lane_scene_say(&s, client, GET("/"));
	assert_non_null(strstr(lane_scene_hear(client), "HTTP/1.1 503 "));
	assert_int_equal(count_read(&s.door->failures[FAIL_OVERLOADED]), 1);
	assert_int_equal(limited(LIMIT_MEMORY), 2);
	assert_int_equal(s.far.accepted, 0);
	atomic_store(&s.rt.pressure_level, PRESSURE_NONE);
	lane_scene_say(&s, client, GET("/again"));
	assert_non_null(strstr(lane_scene_hear(lane_scene_far(&s, 0)),
	    "GET /again "));
	close(client);
	lane_scene_run(&s);
	lane_scene_end(&s);
}

static void
client_without_address_is_held_to_the_limits_of_all_alone(void **state)
{
	struct addr_ip nobody = { .family = 0 };

	(void)state;
	begin("allow = ( \"10.0.0.0/8\" ); limits = { connections = 3; "
	    "connections_per_client = 1; connection_rate_per_client = "
	    "{ rate = \"1/h\"; burst = 1; }; };");
	assert_int_equal(comes(&nobody), N_LIMITS);
	assert_false(counted);
	assert_int_equal(comes(&nobody), N_LIMITS);
	assert_int_equal(comes(&nobody), N_LIMITS);
	assert_int_equal(comes(&nobody), CONNECTIONS);
	gate_left(s.door, &nobody, false);
	gate_left(s.door, &nobody, false);
	gate_left(s.door, &nobody, false);
	lane_scene_end(&s);
}

static void
shadow_counts_and_lets_in(void **state)
{
	unsigned i;

	(void)state;
	begin("limits = { connections = { max = 1; shadow = true; }; "
	    "connections_per_client = { max = 2; shadow = true; }; "
	    "connection_rate = { rate = \"1/h\"; burst = 3; shadow = true; }; "
	    "connection_rate_per_client = { rate = \"1/h\"; burst = 4; "
	    "shadow = true; }; };");
	for (i = 0; i < 5; i++) {
		assert_int_equal(client_comes(1), N_LIMITS);
		assert_true(counted);
	}
	assert_int_equal(shadowed(CONNECTIONS), 4);
	assert_int_equal(shadowed(OF_CLIENT), 3);
	assert_int_equal(shadowed(RATE), 2);
	assert_int_equal(shadowed(RATE_OF_CLIENT), 1);
	for (i = 0; i < N_LIMITS; i++)
		assert_int_equal(limited((int)i), 0);
	assert_int_equal(inside(), 5);
	assert_int_equal(inside_of(1), 5);
	for (i = 0; i < 5; i++)
		client_leaves(1, true);
	assert_int_equal(inside_of(1), 0);
	lane_scene_end(&s);
}

/* A client leaves as it came in, whatever the file says by then. */
static void
reload_keeps_the_counts_right(void **state)
{
	(void)state;
	begin("");
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_false(counted);
	reload("limits = { connections = 3; connections_per_client = 1; };");
	/* Who came before is not known, but is one of all. */
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_true(counted);
	assert_int_equal(client_comes(1), OF_CLIENT);
	client_leaves(1, false);
	assert_int_equal(client_comes(1), OF_CLIENT);
	reload("");
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_false(counted);
	client_leaves(1, true);
	client_leaves(1, false);
	reload("limits = { connections_per_client = 1; };");
	assert_int_equal(inside_of(1), 0);
	assert_int_equal(client_comes(1), N_LIMITS);
	client_leaves(1, counted);
	lane_scene_end(&s);
}

/* What a listener remembers is not lost, nor had anew, by a reload. */
static void
reload_gives_nobody_a_fresh_bucket(void **state)
{
	static const char keys[] = "limits = { connection_rate_per_client = "
	    "{ rate = \"1/h\"; burst = 2; }; };";
	struct bucket_table *before;

	(void)state;
	begin(keys);
	before = atomic_load(&s.listener->buckets[RATE_OF_CLIENT]);
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_int_equal(client_comes(1), N_LIMITS);
	reload(keys);
	assert_ptr_equal(atomic_load(&s.listener->buckets[RATE_OF_CLIENT]),
	    before);
	assert_int_equal(client_comes(1), RATE_OF_CLIENT);
	reload("");
	reload(keys);
	assert_int_equal(client_comes(1), RATE_OF_CLIENT);
	client_leaves(1, false);
	client_leaves(1, false);
	lane_scene_end(&s);
}

/* Refusals have a bucket like that of what comes in: a client that is refused
   more often than he may come is told late, and so is he alone. */
static void
who_floods_is_told_late(void **state)
{
	int i;

	(void)state;
	begin("limits = { connections_per_client = 9; "
	    "connection_rate = { rate = \"60/h\"; burst = 5; }; "
	    "connection_rate_per_client = { rate = \"60/h\"; burst = 2; }; };");
	for (i = 0; i < 6; i++) {
		assert_int_equal(client_comes(1), i < 2 ? N_LIMITS :
		    RATE_OF_CLIENT);
		assert_int_equal(flood, i >= 4);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(client_comes(2), i < 2 ? N_LIMITS :
		    RATE_OF_CLIENT);
		assert_false(flood);
	}
	/* For want of a place for anybody nobody is to blame. */
	assert_int_equal(client_comes(3), N_LIMITS);
	assert_int_equal(client_comes(3), RATE);
	assert_false(flood);
	/* To be refused does not make it longer until he may come again. */
	lane_scene_pass(&s, 60000);
	assert_int_equal(client_comes(1), N_LIMITS);
	assert_false(flood);
	for (i = 1; i <= 100; i++)
		assert_in_range(gate_flood_ms(s.door), 1, 100);
	client_leaves(1, true);
	client_leaves(1, true);
	client_leaves(1, true);
	client_leaves(2, true);
	client_leaves(2, true);
	client_leaves(3, true);
	lane_scene_end(&s);
}

static void
want_of_descriptors_is_counted(void **state)
{
	(void)state;
	begin("limits = { " ALL_OF_THEM " };");
	gate_refused(s.door, LIMIT_DESCRIPTORS);
	assert_int_equal(limited(LIMIT_DESCRIPTORS), 1);
	assert_int_equal(inside(), 0);
	lane_scene_end(&s);
}

/* ------------------------------------------------------------------- crowds */

enum { CROWD = 12, VISITS = 20000, MOST = 20, MOST_OF_CLIENT = 4 };

static uint64_t dice = 88172645463325252u;

static uint64_t
roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

/* Clients that came in, and how each was counted. */
static struct {
	unsigned n;
	bool counted[MOST_OF_CLIENT + 8];
} guests[CROWD];
static unsigned refusals;

static void
somebody_comes(unsigned who, unsigned all)
{
	int why = client_comes(who);

	if (why != N_LIMITS) {
		refusals++;
		assert_false(counted);
		return;
	}
	assert_true(all < MOST);
	assert_true(guests[who].n < MOST_OF_CLIENT);
	guests[who].counted[guests[who].n++] = counted;
}

static void
somebody_leaves(unsigned who)
{
	if (guests[who].n == 0)
		return;
	guests[who].n--;
	client_leaves(who, guests[who].counted[guests[who].n]);
}

static unsigned
all_limited(void)
{
	unsigned i, n = 0;

	for (i = 0; i < N_LIMITS; i++)
		n += limited((int)i);
	return n;
}

static void
counts_balance_whatever_comes(void **state)
{
	unsigned i, who, all = 0;

	(void)state;
	memset(guests, 0, sizeof(guests));
	refusals = 0;
	begin("deny = ( \"10.0.0.11\" ); limits = { connections = 20; "
	    "connections_per_client = 4; "
	    "connection_rate = { rate = \"200/s\"; burst = 5; }; "
	    "connection_rate_per_client = { rate = \"30/s\"; burst = 3; }; "
	    "};");
	for (i = 0; i < VISITS; i++) {
		who = (unsigned)(roll() % CROWD);
		if (roll() % 3 != 0)
			somebody_comes(who, all);
		else
			somebody_leaves(who);
		for (who = all = 0; who < CROWD; who++)
			all += guests[who].n;
		assert_int_equal(inside(), all);
		assert_int_equal(all_limited(), refusals);
		who = (unsigned)(roll() % CROWD);
		assert_int_equal(inside_of(who), guests[who].n);
		s.lane->worker.now_ns += (int64_t)(roll() % (4 * NS_PER_MS));
	}
	/* Each of them has had its turn. */
	assert_true(limited(LIMIT_DENIED) > 100);
	assert_true(limited(CONNECTIONS) > 100);
	assert_true(limited(OF_CLIENT) > 100);
	assert_true(limited(RATE) > 10);
	assert_true(limited(RATE_OF_CLIENT) > 100);
	for (who = 0; who < CROWD; who++)
		while (guests[who].n > 0)
			somebody_leaves(who);
	for (who = 0; who < CROWD; who++)
		assert_int_equal(inside_of(who), 0);
	lane_scene_end(&s);
}

#define TEST(f) cmocka_unit_test(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_limits_everybody_comes_in_and_is_not_told_apart),
		TEST(last_place_is_given_and_comes_back),
		TEST(client_with_too_many_takes_nothing_from_others),
		TEST(client_that_comes_too_often_takes_nothing_from_others),
		TEST(refused_for_all_it_is_not_counted_as_its_clients),
		TEST(proxys_connections_count_before_their_clients_are_known),
		TEST(client_of_a_proxy_that_is_refused_has_taken_nothing),
		TEST(denied_networks_cost_nothing_at_all),
		TEST(want_of_memory_costs_nothing_at_all),
		TEST(client_without_address_is_held_to_the_limits_of_all_alone),
		TEST(shadow_counts_and_lets_in),
		TEST(reload_keeps_the_counts_right),
		TEST(reload_gives_nobody_a_fresh_bucket),
		TEST(who_floods_is_told_late),
		TEST(want_of_descriptors_is_counted),
		TEST(counts_balance_whatever_comes)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
