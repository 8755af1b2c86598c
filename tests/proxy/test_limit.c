/*
 * proxy/limit: rates are what they say over hours, bursts come whole, and the
 * longest prefix says who comes in. Buckets of clients: test_limit_clients.c.
 *
 * Time is a number here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/limit.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define HOUR (3600 * SECOND)
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

/* The tokens that a rate makes in a time, exactly. */
static double
made(const struct conf_limit *l, int64_t ns)
{
	return (double)l->most * (double)ns / ((double)l->per_ms * 1e6);
}

/* ------------------------------------------------------------- one bucket */

static const struct conf_limit rates[] = {
	{ .most = 7, .per_ms = 3600000, .burst = 1 },
	{ .most = 1, .per_ms = 3600000, .burst = 3 },
	{ .most = 1000, .per_ms = 3600000, .burst = 17 },
	{ .most = 6000, .per_ms = 60000, .burst = 100 },
	{ .most = 7, .per_ms = 60000, .burst = 2 },
	{ .most = 1, .per_ms = 1000, .burst = 1 },
	{ .most = 3, .per_ms = 1000, .burst = 1 },
	{ .most = 100, .per_ms = 1000, .burst = 1 },
	{ .most = 999, .per_ms = 1000, .burst = 5 },
	{ .most = 5000, .per_ms = 1000, .burst = 500 },
	{ .most = 30000, .per_ms = 1000, .burst = 500 },
	{ .most = 333333, .per_ms = 1000, .burst = 1 },
	{ .most = 999983, .per_ms = 1000, .burst = 100000 }
};

/* Who asks again as soon as he may gets the rate, neither more nor less. */
static void
greedy_taker_gets_the_rate(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rates); i++) {
		const struct conf_limit *l = &rates[i];
		_Atomic int64_t full = 0;
		int64_t now = BOOT, end = BOOT;
		int64_t wait;
		double want, got = 0;

		/* Hours, or as many as 300,000 tokens take. */
		end += (int64_t)(300000.0 / (double)l->most *
		    (double)l->per_ms * 1e6);
		while (now <= end) {
			wait = bucket_take(&full, l, now, 1);
			got += wait == 0;
			now += wait;
		}
		want = (double)l->burst + made(l, end - BOOT);
		if (got > want + 1e-6 || got < want * 0.999 - 1)
			fail_msg("%lld/%lld ms: %.0f, wanted %.1f",
			    (long long)l->most, (long long)l->per_ms, got,
			    want);
	}
}

/* At random moments, three times as often as the rate. */
static void
random_taker_gets_the_rate(void **state)
{
	struct conf_limit l = rate(30000, 1000, 200);
	_Atomic int64_t full = 0;
	int64_t now = BOOT;
	unsigned long got = 0;
	double want;

	(void)state;
	while (now < BOOT + 60 * SECOND) {
		got += bucket_take(&full, &l, now, 1) == 0;
		now += (int64_t)(roll() % 22222);
	}
	want = 200 + made(&l, now - BOOT);
	assert_true((double)got <= want);
	assert_true((double)got >= want * 0.999);
}

static unsigned
take_all(_Atomic int64_t *full, const struct conf_limit *l, int64_t now)
{
	unsigned n = 0;

	while (bucket_take(full, l, now, 1) == 0)
		n++;
	return n;
}

static void
burst_comes_at_once_and_whole(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rates); i++) {
		const struct conf_limit *l = &rates[i];
		_Atomic int64_t full = 0;

		assert_int_equal(take_all(&full, l, BOOT), l->burst);
		/* However long nobody asks, it is never more. */
		assert_int_equal(take_all(&full, l, BOOT + 1000000 * HOUR),
		    l->burst);
		assert_int_equal(bucket_take(&full, l, BOOT + 2000000 * HOUR,
		    (uint64_t)l->burst), 0);
		/* Rounded up singly they would have come to 0.1 % more. */
		assert_in_range(take_all(&full, l, BOOT + 2000000 * HOUR), 0,
		    l->burst / 1000);
	}
}

static void
refusal_says_exactly_when_to_come_again(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rates); i++) {
		const struct conf_limit *l = &rates[i];
		_Atomic int64_t full = 0;
		int64_t wait;

		take_all(&full, l, BOOT);
		wait = bucket_take(&full, l, BOOT, 1);
		assert_true(wait > 0);
		/* Asking in vain costs nothing. */
		assert_int_equal(bucket_take(&full, l, BOOT + wait - 1, 1), 1);
		assert_int_equal(bucket_take(&full, l, BOOT + wait, 1), 0);
	}
}

static void
more_than_a_burst_is_there_when_the_bucket_is_full(void **state)
{
	struct conf_limit l = rate(10, 1000, 5);
	_Atomic int64_t full = 0;

	(void)state;
	assert_int_equal(bucket_take(&full, &l, BOOT, 8), 0);
	/* 8 tokens take 800 ms; then it is full. */
	assert_int_equal(bucket_take(&full, &l, BOOT, 8), 800 * MS);
	assert_int_equal(bucket_take(&full, &l, BOOT, 5), 800 * MS);
	assert_int_equal(bucket_take(&full, &l, BOOT, 1), 400 * MS);
	assert_int_equal(bucket_take(&full, &l, BOOT + 800 * MS, 8), 0);
}

static void
clock_that_is_behind_is_given_nothing_more(void **state)
{
	struct conf_limit l = rate(1000, 1000, 10);
	_Atomic int64_t full = 0;

	(void)state;
	assert_int_equal(take_all(&full, &l, BOOT), 10);
	/* Another worker's loop turn began earlier. */
	assert_int_equal(take_all(&full, &l, BOOT - 5 * SECOND), 0);
	assert_int_equal(take_all(&full, &l, BOOT + 3 * MS), 3);
}

/* Someone saw that 10/h was a slip of the pen, and reloads. */
static void
debt_of_a_lower_rate_does_not_outlive_it(void **state)
{
	struct conf_limit slow = rate(10, 3600000, 100);
	struct conf_limit fast = rate(1000, 1000, 10);
	_Atomic int64_t full = 0;
	int64_t ready;

	(void)state;
	assert_int_equal(take_all(&full, &slow, BOOT), 100);
	assert_int_equal(take_all(&full, &fast, BOOT), 0);
	assert_int_equal(take_all(&full, &fast, BOOT + SECOND), 10);

	full = BOOT + 10 * HOUR;
	assert_true(bucket_reserve(&full, &fast, BOOT, 50 * MS, &ready) < 0);
	assert_int_equal(bucket_reserve(&full, &fast, BOOT + SECOND, 50 * MS,
	    &ready), 0);
}

static void
rate_of_nothing_grants_nothing(void **state)
{
	struct conf_limit l = rate(0, 1000, 1);
	struct bucket_table *t = bucket_table_new(8);
	struct client_key k = { 1, 4 };
	_Atomic int64_t full = 0;
	int64_t ready = 0;

	(void)state;
	assert_non_null(t);
	assert_true(bucket_take(&full, &l, BOOT, 1) > 1000 * HOUR);
	assert_true(bucket_take(&full, &l, BOOT + 1000 * HOUR, 1) > 0);
	assert_true(bucket_table_take(t, &k, &l, BOOT, 1) > 0);
	assert_int_equal(bucket_reserve(&full, &l, BOOT, CONF_OFF, &ready),
	    -1);
	assert_true(ready > 1000 * HOUR);
	bucket_table_free(t);
}

/* ---------------------------------------------------------------- in debt */

/* Bytes, read in pieces of any size by someone who pauses as he is told. */
static void
bandwidth_is_kept(int64_t bytes_per_s, int64_t burst, uint64_t piece)
{
	struct conf_limit l = rate(bytes_per_s, 1000, burst);
	_Atomic int64_t full = 0;
	int64_t now = BOOT;
	double got = 0, want;
	unsigned i;

	for (i = 0; i < 300000; i++) {
		uint64_t n = 1 + roll() % piece;

		now += bucket_owe(&full, &l, now, n);
		got += (double)n;
	}
	want = made(&l, now - BOOT) + (double)burst;
	if (got > want * 1.000001 + (double)burst / 1000 + 1 ||
	    got < want * 0.999 - (double)piece)
		fail_msg("%lld bytes/s: %.0f, wanted %.0f",
		    (long long)bytes_per_s, got, want);
}

static void
owing_keeps_the_bandwidth(void **state)
{
	(void)state;
	bandwidth_is_kept(1000, 1000, 4096);
	bandwidth_is_kept(1 << 20, 65536, 65536);
	bandwidth_is_kept(1 << 20, 1 << 20, 100);
	bandwidth_is_kept(INT64_C(1) << 30, 1 << 20, 65536);
	bandwidth_is_kept(INT64_C(10) << 30, INT64_C(1) << 30, 262144);
}

static void
owing_within_the_burst_is_no_pause(void **state)
{
	struct conf_limit l = rate(1000, 1000, 500);
	_Atomic int64_t full = 0;

	(void)state;
	assert_int_equal(bucket_owe(&full, &l, BOOT, 200), 0);
	assert_int_equal(bucket_owe(&full, &l, BOOT, 300), 0);
	assert_int_equal(bucket_owe(&full, &l, BOOT, 1), 1 * MS);
	assert_int_equal(bucket_owe(&full, &l, BOOT, 999), 1000 * MS);
	assert_int_equal(bucket_owe(&full, &l, BOOT + 1000 * MS, 0), 0);
}

static void
debt_does_not_overflow(void **state)
{
	struct conf_limit l = rate(1, 3600000, INT64_MAX);
	struct conf_limit one = rate(1, 3600000, 1);
	_Atomic int64_t full = 0;
	int64_t ready = -1;
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_true(bucket_owe(&full, &one, BOOT, UINT64_MAX) > HOUR);
	assert_true(full > BOOT);
	for (i = 0; i < 10; i++)
		if (bucket_reserve(&full, &one, BOOT, CONF_OFF, &ready) == -1)
			assert_true(ready > HOUR);
	assert_true(full > BOOT);
	full = 0;
	for (i = 0; i < 10; i++)
		assert_int_equal(bucket_take(&full, &l, BOOT, 1000), 0);
	assert_int_equal(bucket_take(&full, &l, BOOT, UINT64_MAX) > 0, 1);
	assert_true(full > BOOT);
}

/* ----------------------------------------------------------- reservations */

static void
reservations_come_in_order_at_the_rate(void **state)
{
	struct conf_limit l = rate(100, 1000, 3);
	_Atomic int64_t full = 0;
	int64_t ready = -1;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(bucket_reserve(&full, &l, BOOT, 50 * MS,
		    &ready), 0);
	for (i = 1; i <= 5; i++)
		assert_int_equal(bucket_reserve(&full, &l, BOOT, 50 * MS,
		    &ready), i * 10 * MS);
	assert_int_equal(ready, -1);
	/* The sixth would wait too long, and has taken nothing. */
	for (i = 0; i < 3; i++) {
		assert_int_equal(bucket_reserve(&full, &l, BOOT, 50 * MS,
		    &ready), -1);
		assert_int_equal(ready, 60 * MS);
	}
	assert_int_equal(bucket_reserve(&full, &l, BOOT + 10 * MS, 50 * MS,
	    &ready), 50 * MS);
	assert_int_equal(bucket_reserve(&full, &l, BOOT + 10 * MS, 0, &ready),
	    -1);
	assert_int_equal(ready, 60 * MS);
}

static void
reserving_keeps_the_rate(void **state)
{
	struct conf_limit l = rate(333, 1000, 10);
	_Atomic int64_t full = 0;
	int64_t now, last = 0, ready;
	double got = 0, want;

	(void)state;
	for (now = BOOT; now < BOOT + 600 * SECOND; now += MS) {
		int64_t wait = bucket_reserve(&full, &l, now, 2 * SECOND,
		    &ready);

		if (wait < 0)
			continue;
		got++;
		assert_true(wait <= 2 * SECOND);
		assert_true(now + wait >= last);
		last = now + wait;
	}
	want = 10 + made(&l, last - BOOT);
	assert_true(got <= want + 1e-3);
	assert_true(got >= want * 0.999 - 1);
}

/* ------------------------------------------------------------ who it is */

static struct addr_ip
ip(const char *text)
{
	struct addr a = { 0 };
	struct addr_ip out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.ss;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.ss;

	if (strchr(text, ':') != NULL) {
		v6->sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		a.len = sizeof(*v6);
	} else {
		v4->sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
		a.len = sizeof(*v4);
	}
	addr_to_ip(&a, &out);
	return out;
}

static bool
same_client(const char *one, const char *two)
{
	struct addr_ip a = ip(one), b = ip(two);
	struct client_key ka = client_key_of(&a), kb = client_key_of(&b);

	assert_false(client_key_is_nobody(&ka));
	assert_false(client_key_is_nobody(&kb));
	return ka.a == kb.a && ka.b == kb.b;
}

static void
client_is_an_ipv4_address_or_a_64(void **state)
{
	struct addr_ip a = { .family = AF_UNIX };
	struct client_key k = client_key_of(&a);

	(void)state;
	assert_true(client_key_is_nobody(&k));
	a.family = 0;
	k = client_key_of(&a);
	assert_true(client_key_is_nobody(&k));

	assert_true(same_client("10.0.0.1", "10.0.0.1"));
	assert_true(same_client("10.0.0.1", "::ffff:10.0.0.1"));
	assert_false(same_client("10.0.0.1", "10.0.0.2"));
	assert_false(same_client("0.0.0.0", "::"));
	assert_true(same_client("2001:db8::1", "2001:db8::ffff:0:0:2"));
	assert_false(same_client("2001:db8::1", "2001:db8:0:1::1"));
	assert_true(same_client("::1", "::2"));
	assert_false(same_client("10.0.0.1", "a00:1::"));
}

static void
client_is_a_text(void **state)
{
	struct client_key a = client_key_text("alice", 5);
	struct client_key b = client_key_text("alice ", 5);
	struct client_key c = client_key_text("alicf", 5);
	struct client_key none = client_key_text("", 0);

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
	assert_false(client_key_is_nobody(&none));
	assert_memory_not_equal(&a, &none, sizeof(a));
}

/* -------------------------------------------------------- allow and deny */

static struct conf_nets
nets(struct addr_net *out, const char *text)
{
	struct conf_nets n = { out, 0 };
	char copy[256], *word, *rest = copy;

	strcpy(copy, text);
	while ((word = strsep(&rest, " ")) != NULL)
		if (*word != '\0')
			assert_int_equal(addr_net_parse(word, &out[n.n++]), 0);
	return n;
}

static const struct {
	const char *allow, *deny, *client;
	bool comes_in;
} doors[] = {
	{ "", "", "10.1.2.3", true },
	{ "", "", "2001:db8::1", true },
	/* only deny: everybody else may */
	{ "", "10.0.0.0/8", "10.1.2.3", false },
	{ "", "10.0.0.0/8", "11.1.2.3", true },
	{ "", "10.0.0.0/8", "2001:db8::1", true },
	{ "", "0.0.0.0/0", "11.1.2.3", false },
	{ "", "0.0.0.0/0", "::1", true },
	/* any allow: nobody else may */
	{ "10.0.0.0/8", "", "10.1.2.3", true },
	{ "10.0.0.0/8", "", "::ffff:10.1.2.3", true },
	{ "10.0.0.0/8", "", "11.1.2.3", false },
	{ "10.0.0.0/8", "", "::1", false },
	{ "10.0.0.0/8 ::1", "10.6.6.6", "::1", true },
	/* the longest prefix */
	{ "10.0.0.0/8 ::1", "10.6.6.6", "10.6.6.6", false },
	{ "10.0.0.0/8 ::1", "10.6.6.6", "10.6.6.7", true },
	{ "10.6.6.6", "10.0.0.0/8", "10.6.6.6", true },
	{ "10.6.6.6", "10.0.0.0/8", "10.6.6.7", false },
	{ "10.0.0.0/8 10.6.6.6", "10.6.0.0/16", "10.6.6.6", true },
	{ "10.6.6.6 10.0.0.0/8", "10.6.0.0/16", "10.6.6.7", false },
	{ "10.6.6.6 10.0.0.0/8", "10.6.0.0/16", "10.7.6.7", true },
	/* deny wins a tie */
	{ "10.0.0.0/8", "10.0.0.0/8", "10.1.1.1", false },
	{ "0.0.0.0/0", "0.0.0.0/0", "10.1.1.1", false },
	{ "::/0", "::/0", "::1", false },
	{ "0.0.0.0/0", "10.0.0.0/8", "11.1.1.1", true },
	{ "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::7", false },
	{ "2001:db8::/32", "2001:db8:1::/48", "2001:db8:2::7", true }
};

static void
longest_prefix_says_who_comes_in(void **state)
{
	struct addr_net a[8], d[8];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(doors); i++) {
		struct conf_nets allow = nets(a, doors[i].allow);
		struct conf_nets deny = nets(d, doors[i].deny);
		struct addr_ip client = ip(doors[i].client);

		if (limit_admits(&allow, &deny, &client) != doors[i].comes_in)
			fail_msg("allow %s, deny %s: %s", doors[i].allow,
			    doors[i].deny, doors[i].client);
	}
}

static void
client_of_a_unix_socket_comes_in(void **state)
{
	struct addr_net a[8], d[8];
	struct conf_nets allow = nets(a, "10.0.0.0/8");
	struct conf_nets deny = nets(d, "0.0.0.0/0 ::/0");
	struct addr_ip client = { .family = AF_UNIX };

	(void)state;
	assert_true(limit_admits(&allow, &deny, &client));
	client.family = 0;
	assert_true(limit_admits(&allow, &deny, &client));
}

static void
every_limit_has_a_name(void **state)
{
	unsigned i, k;

	(void)state;
	for (i = 0; i < N_LIMITS; i++) {
		assert_non_null(limit_names[i]);
		for (k = 0; k < i; k++)
			assert_string_not_equal(limit_names[i],
			    limit_names[k]);
	}
	assert_string_equal(limit_names[CONF_LIMIT_REQUEST_RATE_PER_CLIENT],
	    "request_rate_per_client");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greedy_taker_gets_the_rate),
		cmocka_unit_test(random_taker_gets_the_rate),
		cmocka_unit_test(burst_comes_at_once_and_whole),
		cmocka_unit_test(refusal_says_exactly_when_to_come_again),
		cmocka_unit_test(
		    more_than_a_burst_is_there_when_the_bucket_is_full),
		cmocka_unit_test(clock_that_is_behind_is_given_nothing_more),
		cmocka_unit_test(debt_of_a_lower_rate_does_not_outlive_it),
		cmocka_unit_test(rate_of_nothing_grants_nothing),
		cmocka_unit_test(owing_keeps_the_bandwidth),
		cmocka_unit_test(owing_within_the_burst_is_no_pause),
		cmocka_unit_test(debt_does_not_overflow),
		cmocka_unit_test(reservations_come_in_order_at_the_rate),
		cmocka_unit_test(reserving_keeps_the_rate),
		cmocka_unit_test(client_is_an_ipv4_address_or_a_64),
		cmocka_unit_test(client_is_a_text),
		cmocka_unit_test(longest_prefix_says_who_comes_in),
		cmocka_unit_test(client_of_a_unix_socket_comes_in),
		cmocka_unit_test(every_limit_has_a_name)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
