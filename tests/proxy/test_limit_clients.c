/*
 * proxy/limit: what it keeps for each client. A flood of addresses neither
 * resets a bucket nor costs memory; nobody is granted more than an exact model
 * without bounds would grant him; threads get no more than one alone.
 *
 * Time is a number here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/limit.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
/* A machine that has been up for a while. */
#define BOOT (INT64_C(86400) * SECOND + 12345)

static uint64_t dice = 88172645463325252u;

static uint64_t
roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

static struct conf_limit
rate(int64_t most, int64_t per_ms, int64_t burst)
{
	return (struct conf_limit){ .most = most, .per_ms = per_ms,
	    .burst = burst };
}

/* ------------------------------------------------------- buckets of many */

static struct client_key
key64(uint64_t prefix)
{
	struct addr_ip a = { .family = AF_INET6 };

	memcpy(a.ip, &prefix, sizeof(prefix));
	/* The half that must not count. */
	a.ip[15] = (uint8_t)roll();
	return client_key_of(&a);
}

/* Bytes that the heap has given out; 0 where a sanitizer keeps its own. */
static size_t
heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void
clients_have_buckets_of_their_own(void **state)
{
	struct bucket_table *t = bucket_table_new(4096);
	struct conf_limit l = rate(10, 1000, 5);
	unsigned i, j;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 100; i++) {
		struct client_key k = key64(i);

		for (j = 0; j < 5; j++)
			assert_int_equal(bucket_table_take(t, &k, &l, BOOT, 1),
			    0);
		assert_int_equal(bucket_table_take(t, &k, &l, BOOT, 1),
		    100 * MS);
	}
	for (i = 0; i < 100; i++) {
		struct client_key k = key64(i);

		assert_int_equal(bucket_table_take(t, &k, &l,
		    BOOT + 200 * MS, 1), 0);
		assert_int_equal(bucket_table_take(t, &k, &l,
		    BOOT + 200 * MS, 1), 0);
		assert_int_equal(bucket_table_take(t, &k, &l,
		    BOOT + 200 * MS, 1), 100 * MS);
	}
	bucket_table_free(t);
}

static void
table_owes_as_a_bucket_does(void **state)
{
	struct bucket_table *t = bucket_table_new(64);
	struct conf_limit l = rate(1000000, 1000, 10000);
	struct client_key a = key64(1), b = key64(2);
	_Atomic int64_t full_a = 0, full_b = 0;
	int64_t now = BOOT;
	unsigned i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 1000; i++) {
		uint64_t n = roll() % 5000;

		assert_int_equal(bucket_table_owe(t, &a, &l, now, n),
		    bucket_owe(&full_a, &l, now, n));
		n /= 7;
		assert_int_equal(bucket_table_owe(t, &b, &l, now, n),
		    bucket_owe(&full_b, &l, now, n));
		now += (int64_t)(roll() % (4 * MS));
	}
	bucket_table_free(t);
}

/*
 * A million strangers, each from a /64 of his own. The client that had used
 * up his burst keeps trying between them.
 */
static void
flood_resets_nobody_and_costs_no_memory(void **state)
{
	struct bucket_table *t = bucket_table_new(16384);
	struct conf_limit l = rate(100, 1000, 20);
	struct client_key mine = key64(~UINT64_C(0));
	unsigned i, got = 0, strangers = 0;
	int64_t now = BOOT;
	size_t before;

	(void)state;
	assert_non_null(t);
	before = heap();
	for (i = 0; i < 1000000; i++) {
		struct client_key k = key64(i);

		strangers += bucket_table_take(t, &k, &l, now, 1) == 0;
		got += bucket_table_take(t, &mine, &l, now, 1) == 0;
		now += 10000;           /* 100,000 a second */
	}
	assert_int_equal(heap(), before);
	/* 10 s: 1000 and his burst. */
	assert_true(got <= 1020);
	assert_true(got >= 1000);
	/* They owe 10 ms each: 1000 at a time, so none of them meets another's
	   debt. */
	assert_int_equal(strangers, 1000000);
	bucket_table_free(t);
}

/* So slow a rate that the table is full for good: strangers share its debts,
   and together they get what its entries give. */
static void
flood_of_a_full_table_is_bounded_in_all(void **state)
{
	enum { ENTRIES = 1024 };
	struct bucket_table *t = bucket_table_new(ENTRIES);
	struct conf_limit l = rate(10, 3600000, 2);
	struct client_key mine = key64(~UINT64_C(0));
	unsigned i, got = 0, strangers = 0;

	(void)state;
	assert_non_null(t);
	while (bucket_table_take(t, &mine, &l, BOOT, 1) == 0)
		got++;
	assert_int_equal(got, 2);
	for (i = 0; i < 1000000; i++) {
		struct client_key k = key64(i);

		strangers += bucket_table_take(t, &k, &l, BOOT, 1) == 0;
		assert_true(bucket_table_take(t, &mine, &l, BOOT, 1) > 0);
	}
	assert_int_equal(strangers, 2 * ENTRIES - 2);
	bucket_table_free(t);
}

/*
 * A meter for each client that knows all: exact (in tokens times the time of
 * one), without bound of memory. What it holds after a grant may never be
 * more than a burst: so in every span of time the client was given at most
 * rate * span + burst.
 */
struct meter {
	int64_t level, at;
};

static void
nobody_is_granted_more_than_an_exact_model(void **state)
{
	enum { CLIENTS = 3000 };
	static struct meter meters[CLIENTS];
	struct bucket_table *t = bucket_table_new(256);
	/* Less than any of them asks for: all are in debt all the time. */
	struct conf_limit l = rate(3, 1000, 7);
	int64_t token = l.per_ms * MS, now = BOOT;
	unsigned i, granted = 0, refused = 0;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < CLIENTS; i++)
		meters[i] = (struct meter){ 0, BOOT };
	for (i = 0; i < 3000000; i++) {
		/* Some are much more eager than others. */
		unsigned who = (unsigned)(roll() % CLIENTS);
		struct client_key k;
		struct meter *m;

		who = roll() % 2 == 0 ? who : who % 40;
		k = key64(who);
		m = &meters[who];
		now += (int64_t)(roll() % 40000);
		if (bucket_table_take(t, &k, &l, now, 1) > 0) {
			refused++;
			continue;
		}
		granted++;
		m->level -= (now - m->at) * l.most;
		if (m->level < 0)
			m->level = 0;
		m->level += token;
		m->at = now;
		if (m->level > l.burst * token)
			fail_msg("client %u has %.3f tokens of %lld", who,
			    (double)m->level / (double)token,
			    (long long)l.burst);
	}
	/* Both happen a lot, or this shows nothing. */
	assert_true(granted > 20000 && refused > 20000);
	bucket_table_free(t);
}

static void
table_has_the_size_it_was_asked_for(void **state)
{
	size_t before = heap(), used;
	struct bucket_table *t = bucket_table_new(65536);

	(void)state;
	assert_non_null(t);
	used = heap() - before;
	if (before != 0)
		assert_in_range(used, 65536 * 16, 65536 * 16 + 16384);
	bucket_table_free(t);
	t = bucket_table_new(1);
	assert_non_null(t);
	bucket_table_free(t);
	assert_null(bucket_table_new(SIZE_MAX));
	assert_null(bucket_table_new(SIZE_MAX / 16));
}

/* ---------------------------------------------------------------- threads */

enum { THREADS = 4 };

static struct {
	pthread_barrier_t together;
	struct conf_limit limit;
	_Atomic int64_t full;
	struct bucket_table *table;
	struct client_table *clients;
	unsigned steps;
} shared;

struct hand {
	pthread_t thread;
	unsigned number;
	unsigned long bucket, table, wrong;
};

/* The same clock for all, but read at slightly different moments. */
static void *
hammer(void *arg)
{
	struct hand *h = arg;
	struct client_key k = { 5, 4 };
	unsigned i;

	pthread_barrier_wait(&shared.together);
	for (i = 0; i < shared.steps; i++) {
		int64_t now = BOOT + (int64_t)i * 10000;

		h->bucket += bucket_take(&shared.full, &shared.limit, now,
		    1) == 0;
		h->table += bucket_table_take(shared.table, &k, &shared.limit,
		    now, 1) == 0;
	}
	return NULL;
}

static void
run_hands(struct hand hands[THREADS], void *(*work)(void *))
{
	unsigned i;

	memset(hands, 0, THREADS * sizeof(hands[0]));
	pthread_barrier_init(&shared.together, NULL, THREADS);
	for (i = 0; i < THREADS; i++) {
		hands[i].number = i;
		assert_int_equal(pthread_create(&hands[i].thread, NULL, work,
		    &hands[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(hands[i].thread, NULL);
	pthread_barrier_destroy(&shared.together);
}

/* In a moment without end: the burst and not one more. */
static void
threads_share_one_burst_exactly(void **state)
{
	struct hand hands[THREADS];
	unsigned long bucket, table;
	unsigned i, round;

	(void)state;
	for (round = 0; round < 20; round++) {
		shared.full = 0;
		/* 1/h: what comes in while they run is nothing. */
		shared.limit = rate(1, 3600000, 5000);
		shared.steps = 4000;
		shared.table = bucket_table_new(16);
		assert_non_null(shared.table);
		run_hands(hands, hammer);
		for (bucket = table = 0, i = 0; i < THREADS; i++) {
			bucket += hands[i].bucket;
			table += hands[i].table;
		}
		assert_int_equal(bucket, 5000);
		assert_int_equal(table, 5000);
		bucket_table_free(shared.table);
	}
}

static void
threads_share_one_rate(void **state)
{
	struct hand hands[THREADS];
	unsigned long bucket = 0, table = 0;
	unsigned i;

	(void)state;
	shared.full = 0;
	shared.limit = rate(20000, 1000, 50);
	shared.steps = 50000;           /* 0.5 s */
	shared.table = bucket_table_new(16);
	assert_non_null(shared.table);
	run_hands(hands, hammer);
	for (i = 0; i < THREADS; i++) {
		bucket += hands[i].bucket;
		table += hands[i].table;
	}
	assert_in_range(bucket, 9990, 10050);
	assert_in_range(table, 9990, 10050);
	bucket_table_free(shared.table);
}

static void *
flood(void *arg)
{
	struct hand *h = arg;
	unsigned i;

	pthread_barrier_wait(&shared.together);
	for (i = 0; i < shared.steps; i++) {
		struct client_key k = { i * 2654435761u % 997, 4 };

		h->table += bucket_table_take(shared.table, &k, &shared.limit,
		    BOOT, 1) == 0;
	}
	return NULL;
}

/* Few sets, so that they meet in the same ones all the time: 64 entries give
   64 bursts. */
static void
threads_share_a_full_table_exactly(void **state)
{
	struct hand hands[THREADS];
	unsigned long got = 0;
	unsigned i;

	(void)state;
	shared.limit = rate(1, 3600000, 3);
	shared.steps = 20000;
	shared.table = bucket_table_new(64);
	assert_non_null(shared.table);
	run_hands(hands, flood);
	for (i = 0; i < THREADS; i++)
		got += hands[i].table;
	assert_int_equal(got, 64 * 3);
	bucket_table_free(shared.table);
}

/* ----------------------------------------------------------- connections */

static void *
come_and_go(void *arg)
{
	struct hand *h = arg;
	unsigned i, k;

	pthread_barrier_wait(&shared.together);
	for (i = 0; i < shared.steps; i++) {
		struct client_key own = { 100 + h->number, 4 };
		struct client_key all = { 7, 4 };
		uint64_t n = client_table_enter(shared.clients, &all);

		h->wrong += n == 0 || n > THREADS;
		for (k = 1; k <= 3; k++)
			h->wrong += client_table_enter(shared.clients,
			    &own) != k;
		for (k = 0; k < 3; k++)
			client_table_leave(shared.clients, &own);
		client_table_leave(shared.clients, &all);
	}
	return NULL;
}

static void
connections_are_counted_by_client(void **state)
{
	struct client_table *t = client_table_new();
	struct client_key a = key64(1), b = key64(2);
	unsigned i;

	(void)state;
	assert_non_null(t);
	for (i = 1; i <= 10; i++)
		assert_int_equal(client_table_enter(t, &a), i);
	assert_int_equal(client_table_enter(t, &b), 1);
	client_table_leave(t, &a);
	assert_int_equal(client_table_enter(t, &a), 10);
	for (i = 0; i < 10; i++)
		client_table_leave(t, &a);
	assert_int_equal(client_table_enter(t, &a), 1);
	/* Those who are still there go with the table. */
	client_table_free(t);
	client_table_free(NULL);
}

static void
connections_cost_memory_only_while_they_last(void **state)
{
	struct client_table *t = client_table_new();
	size_t before = heap();
	unsigned i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 100000; i++) {
		struct client_key k = key64(i);

		assert_int_equal(client_table_enter(t, &k), 1);
	}
	if (before != 0)
		assert_true(heap() > before + 100000 * 32);
	for (i = 0; i < 100000; i++) {
		struct client_key k = key64(i);

		client_table_leave(t, &k);
	}
	/* malloc counts what a thread keeps for itself as given out. */
	assert_in_range(heap(), before, before + 65536);
	client_table_free(t);
}

static void
threads_count_connections_exactly(void **state)
{
	struct hand hands[THREADS];
	struct client_key all = { 7, 4 };
	unsigned i;

	(void)state;
	shared.clients = client_table_new();
	assert_non_null(shared.clients);
	shared.steps = 20000;
	run_hands(hands, come_and_go);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(hands[i].wrong, 0);
	assert_int_equal(client_table_enter(shared.clients, &all), 1);
	client_table_free(shared.clients);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_have_buckets_of_their_own),
		cmocka_unit_test(table_owes_as_a_bucket_does),
		cmocka_unit_test(flood_resets_nobody_and_costs_no_memory),
		cmocka_unit_test(flood_of_a_full_table_is_bounded_in_all),
		cmocka_unit_test(nobody_is_granted_more_than_an_exact_model),
		cmocka_unit_test(table_has_the_size_it_was_asked_for),
		cmocka_unit_test(threads_share_one_burst_exactly),
		cmocka_unit_test(threads_share_one_rate),
		cmocka_unit_test(threads_share_a_full_table_exactly),
		cmocka_unit_test(connections_are_counted_by_client),
		cmocka_unit_test(connections_cost_memory_only_while_they_last),
		cmocka_unit_test(threads_count_connections_exactly)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
