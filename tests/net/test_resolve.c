/*
 * net/resolve (and with it net/dns) against a scripted DNS server. Nothing
 * here waits for a fixed time: loops run until a condition holds, or fail.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <ev.h>

#include "tests/support/dns_server.h"

enum { TEXT_SIZE = 1024, PATIENCE_MS = 40 * 1000 };

/* One test's loop, resolver and server. */
struct bench {
	struct ev_loop *loop;
	struct dns_server *server;
	struct resolver *resolver;
};

/* What a follow was told. */
struct heard {
	unsigned calls, errors;
	size_t   n;
	char     addrs[TEXT_SIZE];      /* parted by spaces */
	char     error[TEXT_SIZE];
	struct follow *end;             /* ended from inside the call */
};

static void
hear(void *arg, const struct addr *addrs, size_t n, const char *error)
{
	struct heard *h = arg;
	char one[ADDR_TEXT_MAX];
	size_t i, len = 0;

	h->calls++;
	h->errors += error != NULL;
	h->n = n;
	h->addrs[0] = '\0';
	for (i = 0; i < n && len + sizeof(one) + 1 < TEXT_SIZE; i++)
		len += (size_t)snprintf(h->addrs + len, TEXT_SIZE - len,
		    "%s%s", i ? " " : "", addr_print(&addrs[i], one));
	snprintf(h->error, sizeof(h->error), "%s", error ? error : "");
	if (h->end != NULL)
		follow_end(h->end);
	h->end = NULL;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ONE);
}

/* Run the loop for a moment; fail when the test takes too long in all. */
static void
turn(struct bench *b, int64_t since)
{
	ev_timer t;

	ev_timer_init(&t, tick, 0.01, 0.);
	ev_now_update(b->loop);
	ev_timer_start(b->loop, &t);
	ev_run(b->loop, 0);
	ev_timer_stop(b->loop, &t);
	if (now_ms() - since > PATIENCE_MS)
		fail_msg("waited for too long");
}

#define until(b, condition) do {                                             \
	int64_t since_ = now_ms();                                            \
	while (!(condition))                                                  \
		turn((b), since_);                                            \
} while (0)

static void
options_set(struct bench *b, enum resolve_families families, int64_t max_ttl_ms)
{
	struct resolver_options o = {
		.families = families, .max_ttl_ms = max_ttl_ms,
		.servers = dns_server_address(b->server)
	};

	resolver_set(b->resolver, &o);
}

static int
bench_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct resolver_options o = { .families = RESOLVE_ANY,
		.max_ttl_ms = 60 * 1000 };

	assert_non_null(b);
	b->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	b->server = dns_server_start();
	o.servers = dns_server_address(b->server);
	b->resolver = resolver_new(b->loop, &o);
	assert_non_null(b->loop);
	assert_non_null(b->resolver);
	*state = b;
	return 0;
}

static int
bench_down(void **state)
{
	struct bench *b = *state;

	resolver_free(b->resolver);
	dns_server_stop(b->server);
	ev_loop_destroy(b->loop);
	free(b);
	return 0;
}

static struct follow *
follow(struct bench *b, const char *host, struct heard *h)
{
	struct follow *f = resolver_follow(b->resolver, host, 80, hear, h);

	assert_non_null(f);
	return f;
}

static struct follow *
follow_srv(struct bench *b, const char *service, struct heard *h)
{
	struct follow *f = resolver_follow_srv(b->resolver, service, hear, h);

	assert_non_null(f);
	return f;
}

/* ------------------------------------------------------------------- hosts */

static void
first_answer_is_sorted_and_has_no_repetition(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f;
	size_t n;

	dns_server_say(b->server, "app.test", DNS_A, 60,
	    "192.0.2.9 192.0.2.1 192.0.2.9 10.0.0.1");
	dns_server_say(b->server, "app.test", DNS_AAAA, 60, "2001:db8::1");
	f = follow(b, "app.test", &h);
	assert_int_equal(h.calls, 0);
	assert_int_equal(follow_age_ms(f), -1);
	until(b, h.calls > 0);
	assert_string_equal(h.addrs, "10.0.0.1:80 192.0.2.1:80 192.0.2.9:80 "
	    "[2001:db8::1]:80");
	assert_int_equal(h.errors, 0);
	assert_string_equal(follow_name(f), "app.test");
	assert_string_equal(follow_last_error(f), "");
	assert_true(follow_age_ms(f) >= 0 && follow_age_ms(f) < PATIENCE_MS);
	assert_true(follow_next_ms(f) > 0 && follow_next_ms(f) <= 60 * 1000);
	assert_non_null(follow_addrs(f, &n));
	assert_int_equal(n, 4);
}

static void
change_is_told_and_sameness_is_not(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.1 192.0.2.2");
	follow(b, "app.test", &h);
	until(b, dns_server_asked(b->server, "app.test", DNS_A) == 2);
	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.2 192.0.2.1");
	until(b, dns_server_asked(b->server, "app.test", DNS_A) == 3);
	assert_int_equal(h.calls, 1);
	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.2 192.0.2.3");
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "192.0.2.2:80 192.0.2.3:80");
	assert_int_equal(h.errors, 0);
}

static void
ttl_of_nothing_is_a_second(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	int64_t began = now_ms();

	dns_server_say(b->server, "app.test", DNS_A, 0, "192.0.2.1");
	follow(b, "app.test", &h);
	until(b, dns_server_asked(b->server, "app.test", DNS_A) == 3);
	assert_true(now_ms() - began >= 2 * RESOLVE_TTL_MIN_MS - 20);
}

static void
long_ttl_ends_at_the_bound(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	options_set(b, RESOLVE_ANY, 1000);
	dns_server_say(b->server, "app.test", DNS_A, 86400, "192.0.2.1");
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	dns_server_say(b->server, "app.test", DNS_A, 86400, "192.0.2.2");
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "192.0.2.2:80");
}

static void
ttl_of_an_alias_counts(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "alias.test", DNS_CNAME, 1, "blue.test");
	dns_server_say(b->server, "blue.test", DNS_A, 3600, "192.0.2.1");
	dns_server_say(b->server, "green.test", DNS_A, 3600, "192.0.2.2");
	follow(b, "alias.test", &h);
	until(b, h.calls == 1);
	assert_string_equal(h.addrs, "192.0.2.1:80");
	dns_server_say(b->server, "alias.test", DNS_CNAME, 1, "green.test");
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "192.0.2.2:80");
}

/* Told of when it begins and when it is over, once each. */
static void
failure_keeps_what_is_known(void **state)
{
	static const int codes[] = { DNS_SERVFAIL, DNS_NXDOMAIN, DNS_REFUSED };
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f;
	size_t i, n;

	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.1");
	f = follow(b, "app.test", &h);
	until(b, h.calls == 1);
	for (i = 0; i < NELEMS(codes); i++) {
		dns_server_fail(b->server, "app.test", DNS_A, codes[i]);
		dns_server_fail(b->server, "app.test", DNS_AAAA, codes[i]);
		until(b, follow_last_error(f)[0] != '\0');
		follow_addrs(f, &n);
		assert_int_equal(n, 1);
		assert_int_equal(h.n, 0);
		dns_server_fail(b->server, "app.test", DNS_AAAA, DNS_NXDOMAIN);
		dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.1");
		until(b, follow_last_error(f)[0] == '\0');
		assert_int_equal(h.errors, i + 1);
		assert_int_equal(h.calls, 1 + 2 * (i + 1));
		assert_string_equal(h.addrs, "192.0.2.1:80");
	}
	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.7");
	until(b, h.calls == 8);
	assert_string_equal(h.addrs, "192.0.2.7:80");
}

static void
answer_without_records_keeps_what_is_known(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f;

	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.1");
	f = follow(b, "app.test", &h);
	until(b, h.calls == 1);
	dns_server_say(b->server, "app.test", DNS_A, 1, "");
	until(b, dns_server_asked(b->server, "app.test", DNS_A) == 4);
	assert_true(follow_last_error(f)[0] != '\0');
	assert_int_equal(h.calls, 2);
	assert_int_equal(h.errors, 1);
	follow_set_age(f, 5000);
	assert_in_range(follow_age_ms(f), 5000, 5000 + PATIENCE_MS);
}

/* Told of the first failure only; asked at 0, about 1 s and about 3 s. */
static void
name_that_appears_later_is_found(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f = follow(b, "late.test", &h);
	int64_t began = now_ms();

	until(b, h.calls == 1);
	assert_int_equal(h.errors, 1);
	assert_int_equal(h.n, 0);
	assert_true(strlen(h.error) > 0);
	until(b, dns_server_asked(b->server, "late.test", DNS_A) == 2);
	dns_server_say(b->server, "late.test", DNS_A, 60, "192.0.2.1");
	until(b, h.calls == 2);
	assert_true(now_ms() - began >= 3000 - 20);
	assert_int_equal(dns_server_asked(b->server, "late.test", DNS_A), 3);
	assert_string_equal(h.addrs, "192.0.2.1:80");
	assert_int_equal(h.errors, 1);
	assert_string_equal(follow_last_error(f), "");
	assert_true(follow_next_ms(f) > 30 * 1000);
}

static void
families_are_those_asked_for(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	dns_server_say(b->server, "app.test", DNS_AAAA, 60, "2001:db8::1");
	options_set(b, RESOLVE_IPV4, 60 * 1000);
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	assert_string_equal(h.addrs, "192.0.2.1:80");
	assert_int_equal(dns_server_asked(b->server, "app.test", DNS_AAAA), 0);
	options_set(b, RESOLVE_IPV6, 60 * 1000);
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "[2001:db8::1]:80");
	options_set(b, RESOLVE_ANY, 60 * 1000);
	until(b, h.calls == 3);
	assert_string_equal(h.addrs, "192.0.2.1:80 [2001:db8::1]:80");
}

/* c-ares calls it a success when only one of A and AAAA was answered. */
static void
family_that_goes_is_believed_the_second_time(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "app.test", DNS_A, 1, "192.0.2.1");
	dns_server_say(b->server, "app.test", DNS_AAAA, 1, "2001:db8::1");
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	dns_server_fail(b->server, "app.test", DNS_AAAA, DNS_SERVFAIL);
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "192.0.2.1:80");
	assert_true(dns_server_asked(b->server, "app.test", DNS_A) >= 3);
}

static void
same_options_ask_nothing(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 }, other = { .calls = 0 };

	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	dns_server_say(b->server, "other.test", DNS_A, 60, "192.0.2.2");
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	options_set(b, RESOLVE_ANY, 60 * 1000);
	follow(b, "other.test", &other);
	until(b, other.calls == 1);
	assert_int_equal(dns_server_asked(b->server, "app.test", DNS_A), 1);
}

static void
bad_servers_are_refused(void **state)
{
	struct bench *b = *state;
	struct resolver_options o = { .max_ttl_ms = 1000, .servers = "no:where" };
	struct heard h = { .calls = 0 };

	assert_null(resolver_new(b->loop, &o));
	resolver_set(b->resolver, &o);
	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	assert_int_equal(h.n, 1);
}

static void
localhost_needs_no_server(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f;

	options_set(b, RESOLVE_IPV4, 60 * 1000);
	f = follow(b, "localhost", &h);
	assert_int_equal(h.calls, 0);
	until(b, h.calls == 1);
	assert_non_null(strstr(h.addrs, "127.0.0.1:80"));
	assert_int_equal(dns_server_asked(b->server, "localhost", DNS_A), 0);
	/* No TTL: the bound is what there is. */
	assert_true(follow_next_ms(f) > 50 * 1000);
}

static void
more_than_the_cap_is_dropped(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	char four[200 * 16], six[130 * 24];
	size_t i, len;

	for (i = len = 0; i < 200; i++)
		len += (size_t)sprintf(four + len, "192.0.2.%zu ", i);
	for (i = len = 0; i < 130; i++)
		len += (size_t)sprintf(six + len, "2001:db8::%zx ", i);
	dns_server_say(b->server, "many.test", DNS_A, 60, four);
	dns_server_say(b->server, "many.test", DNS_AAAA, 60, six);
	follow(b, "many.test", &h);
	until(b, h.calls == 1);
	assert_int_equal(h.n, RESOLVE_ADDRS_MAX);
}

static void
silence_holds_up_nobody(void **state)
{
	struct bench *b = *state;
	struct heard mute = { .calls = 0 }, h = { .calls = 0 };
	struct follow *f;

	dns_server_fail(b->server, "mute.test", DNS_A, DNS_SILENCE);
	dns_server_fail(b->server, "mute.test", DNS_AAAA, DNS_SILENCE);
	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	f = follow(b, "mute.test", &mute);
	follow(b, "app.test", &h);
	until(b, h.calls == 1);
	assert_int_equal(mute.calls, 0);
	assert_int_equal(follow_next_ms(f), 0);
	/* Asked again after a second, and the late answer is taken. */
	until(b, dns_server_asked(b->server, "mute.test", DNS_A) == 2);
	dns_server_say(b->server, "mute.test", DNS_A, 60, "192.0.2.2");
	dns_server_say(b->server, "mute.test", DNS_AAAA, 60, "");
	until(b, mute.calls == 1);
	assert_string_equal(mute.addrs, "192.0.2.2:80");
}

static void
nonsense_names_fail_and_nothing_else(void **state)
{
	struct bench *b = *state;
	char longest[1200], label[80];
	const char *names[] = { "", ".", "..", "a..b", longest, label, "\xff\x01",
		"\\", "\\300.test" };
	struct heard h[NELEMS(names)] = { { .calls = 0 } };
	size_t i;

	for (i = 0; i + 2 < sizeof(longest); i += 2)
		memcpy(longest + i, "a.", 3);
	memset(label, 'a', sizeof(label));
	label[sizeof(label) - 1] = '\0';
	for (i = 0; i < NELEMS(names); i++)
		follow(b, names[i], &h[i]);
	for (i = 0; i < NELEMS(names); i++) {
		until(b, h[i].calls == 1);
		assert_int_equal(h[i].errors, 1);
	}
}

/* --------------------------------------------------------------------- SRV */

static void
service_gives_its_lowest_priority_with_ports(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "_redis._tcp.test", DNS_SRV, 60,
	    "20 5 6379 spare.test 10 5 6380 b.test 10 5 6379 a.test "
	    "10 1 6379 a.test");
	dns_server_say(b->server, "a.test", DNS_A, 60, "192.0.2.1 192.0.2.2");
	dns_server_say(b->server, "b.test", DNS_A, 60, "192.0.2.1");
	dns_server_say(b->server, "spare.test", DNS_A, 60, "192.0.2.99");
	follow_srv(b, "_redis._tcp.test", &h);
	until(b, h.calls == 1);
	assert_string_equal(h.addrs,
	    "192.0.2.1:6379 192.0.2.1:6380 192.0.2.2:6379");
	assert_int_equal(dns_server_asked(b->server, "spare.test", DNS_A), 0);
}

static void
service_is_followed_by_its_own_ttl(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 1, "0 0 1 a.test");
	dns_server_say(b->server, "a.test", DNS_A, 3600, "192.0.2.1");
	dns_server_say(b->server, "b.test", DNS_A, 3600, "192.0.2.2");
	follow_srv(b, "_x._tcp.test", &h);
	until(b, h.calls == 1);
	assert_string_equal(h.addrs, "192.0.2.1:1");
	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 1,
	    "0 0 1 a.test 0 0 2 b.test");
	until(b, h.calls == 2);
	assert_string_equal(h.addrs, "192.0.2.1:1 192.0.2.2:2");
}

static void
failing_target_keeps_its_own_addresses(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct follow *f;

	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 1,
	    "0 0 1 a.test 0 0 1 b.test");
	dns_server_say(b->server, "a.test", DNS_A, 1, "192.0.2.1");
	dns_server_say(b->server, "b.test", DNS_A, 1, "192.0.2.2");
	f = follow_srv(b, "_x._tcp.test", &h);
	until(b, h.calls == 1);
	dns_server_fail(b->server, "b.test", DNS_A, DNS_NXDOMAIN);
	until(b, follow_last_error(f)[0] != '\0');
	assert_memory_equal(follow_last_error(f), "b.test: ", 8);
	assert_int_equal(h.calls, 2);
	assert_int_equal(h.errors, 1);
	dns_server_say(b->server, "a.test", DNS_A, 1, "192.0.2.3");
	until(b, h.calls == 3);
	assert_string_equal(h.addrs, "192.0.2.2:1 192.0.2.3:1");
	/* Gone from the service: gone from the answer. */
	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 1, "0 0 1 a.test");
	until(b, h.calls == 4);
	assert_string_equal(h.addrs, "192.0.2.3:1");
	assert_string_equal(follow_last_error(f), "");
}

static void
service_with_many_targets_asks_for_all(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	char name[32], ip[32], srv[60 * 40];
	size_t i, len = 0;

	for (i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "t%zu.test", i);
		snprintf(ip, sizeof(ip), "192.0.2.%zu", i);
		dns_server_say(b->server, name, DNS_A, 60, ip);
		len += (size_t)sprintf(srv + len, "0 0 7 %s ", name);
	}
	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 60, srv);
	follow_srv(b, "_x._tcp.test", &h);
	until(b, h.calls == 1);
	assert_int_equal(h.n, 60);
}

static void
service_that_is_not_offered_is_an_error(void **state)
{
	struct bench *b = *state;
	struct heard none = { .calls = 0 }, missing = { .calls = 0 };

	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 60, "0 0 0 .");
	follow_srv(b, "_x._tcp.test", &none);
	follow_srv(b, "_y._tcp.test", &missing);
	until(b, none.calls == 1 && missing.calls == 1);
	assert_int_equal(none.errors, 1);
	assert_int_equal(missing.errors, 1);
}

/* Cut after the question; before it c-ares waits for a better message. */
static void
cut_messages_are_survived(void **state)
{
	struct bench *b = *state;
	size_t cut;

	dns_server_say(b->server, "_x._tcp.test", DNS_SRV, 60,
	    "0 0 1 a.test 0 0 2 b.test");
	dns_server_say(b->server, "c.test", DNS_A, 60, "192.0.2.1 192.0.2.2");
	for (cut = 30; cut < 96; cut++) {
		struct heard h = { .calls = 0 }, srv = { .calls = 0 };
		struct follow *f = follow(b, "c.test", &h);
		struct follow *g = follow_srv(b, "_x._tcp.test", &srv);

		dns_server_cut(b->server, cut);
		until(b, h.calls == 1 && srv.calls == 1);
		assert_true(h.n == 0 || h.n == 2);
		follow_end(f);
		follow_end(g);
	}
}

/* --------------------------------------------------------------------- end */

static void
ended_follow_hears_nothing(void **state)
{
	struct bench *b = *state;
	struct heard never = { .calls = 0 }, flight = { .calls = 0 };
	struct heard own = { .calls = 0 }, other = { .calls = 0 };
	struct heard victim = { .calls = 0 };
	struct follow *f;

	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	dns_server_fail(b->server, "mute.test", DNS_A, DNS_SILENCE);
	dns_server_fail(b->server, "mute.test", DNS_AAAA, DNS_SILENCE);
	follow_end(NULL);
	follow_end(follow(b, "app.test", &never));
	f = follow(b, "mute.test", &flight);
	until(b, dns_server_asked(b->server, "mute.test", DNS_A) == 1);
	follow_end(f);
	dns_server_say(b->server, "mute.test", DNS_A, 60, "192.0.2.1");
	dns_server_say(b->server, "mute.test", DNS_AAAA, 60, "");
	own.end = follow(b, "app.test", &own);
	/* Both are in the hosts file, so both end their rounds together. */
	follow(b, "localhost", &other);
	other.end = follow(b, "localhost", &victim);
	until(b, own.calls == 1 && other.calls == 1 &&
	    dns_server_asked(b->server, "mute.test", DNS_A) == 2);
	assert_int_equal(never.calls + flight.calls + victim.calls, 0);
}

static void
resolver_goes_with_questions_open(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };
	struct resolver_options o = { .max_ttl_ms = 1000 };
	struct resolver *r;

	dns_server_fail(b->server, "mute.test", DNS_A, DNS_SILENCE);
	dns_server_fail(b->server, "_x._tcp.test", DNS_SRV, DNS_SILENCE);
	o.servers = dns_server_address(b->server);
	r = resolver_new(b->loop, &o);
	assert_non_null(r);
	assert_non_null(resolver_follow(r, "mute.test", 1, hear, &h));
	assert_non_null(resolver_follow_srv(r, "_x._tcp.test", hear, &h));
	until(b, dns_server_asked(b->server, "mute.test", DNS_A) == 1 &&
	    dns_server_asked(b->server, "_x._tcp.test", DNS_SRV) == 1);
	resolver_free(r);
	resolver_free(NULL);
	assert_int_equal(h.calls, 0);
}

static void
options_may_change_with_questions_open(void **state)
{
	struct bench *b = *state;
	struct heard h = { .calls = 0 };

	dns_server_fail(b->server, "app.test", DNS_A, DNS_SILENCE);
	follow(b, "app.test", &h);
	until(b, dns_server_asked(b->server, "app.test", DNS_A) == 1);
	dns_server_say(b->server, "app.test", DNS_A, 60, "192.0.2.1");
	options_set(b, RESOLVE_IPV4, 60 * 1000);
	until(b, h.calls == 1);
	assert_string_equal(h.addrs, "192.0.2.1:80");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_up, bench_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_answer_is_sorted_and_has_no_repetition),
		TEST(change_is_told_and_sameness_is_not),
		TEST(ttl_of_nothing_is_a_second),
		TEST(long_ttl_ends_at_the_bound),
		TEST(ttl_of_an_alias_counts),
		TEST(failure_keeps_what_is_known),
		TEST(answer_without_records_keeps_what_is_known),
		TEST(name_that_appears_later_is_found),
		TEST(families_are_those_asked_for),
		TEST(family_that_goes_is_believed_the_second_time),
		TEST(same_options_ask_nothing),
		TEST(bad_servers_are_refused),
		TEST(localhost_needs_no_server),
		TEST(more_than_the_cap_is_dropped),
		TEST(silence_holds_up_nobody),
		TEST(nonsense_names_fail_and_nothing_else),
		TEST(service_gives_its_lowest_priority_with_ports),
		TEST(service_is_followed_by_its_own_ttl),
		TEST(failing_target_keeps_its_own_addresses),
		TEST(service_with_many_targets_asks_for_all),
		TEST(service_that_is_not_offered_is_an_error),
		TEST(cut_messages_are_survived),
		TEST(ended_follow_hears_nothing),
		TEST(resolver_goes_with_questions_open),
		TEST(options_may_change_with_questions_open)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
