/*
 * proxy/why: each rule fits what it is for, says what to change, and names keys
 * that there are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/schema.h"
#include "pool/endpoint.h"

#define MS NS_PER_MS
/* Of one that took two seconds at upstream app. */
#define SLOW(...)                                                       \
	{ .total_ns = 2000 * MS, .outcome = OUTCOME_2XX, .status = 200, \
	  .listener = "web", .upstream = "app", .endpoint = "b:80",     \
	  .last_error = "connection refused", .pool = { .max = 16,      \
	  .most = 16, .open = 16, .leased = 16, .waiting = 8,           \
	  .max_pinned = 9, .max_waiting = 100, .endpoints = 2,          \
	  .usable = 2 }, __VA_ARGS__ }
#define FAILED(reason, ...)                                             \
	SLOW(.why = reason, .outcome = OUTCOME_FAILED, .status = 503,   \
	    __VA_ARGS__)
#define AT_MAX .open_then = 16, .behind = 8, .waited_for = SLOW_WAIT_PLACE
#define POOL(...) .pool = { .max = 16, .most = 16, .endpoints = 2, __VA_ARGS__ }

/* A sample says what is unlike the others. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* What is kept of an exchange, and what is said about it: its cause and a part
   of the sentence. */
static const struct sample {
	struct slow_entry e;
	const char *cause, *says;
} samples[] = {
	{ SLOW(.outcome = OUTCOME_5XX, .status = 500), "server_error",
	    "answered 500 itself" },
	{ SLOW(.said = "grpc-status 14, UNAVAILABLE"), "server_error",
	    "answered the call with grpc-status 14, UNAVAILABLE, and" },
	{ SLOW(.total_ns = 4 * MS, .first_ns = 4 * MS), "quick",
	    "took 4 ms: nothing to change" },
	{ SLOW(.lasts = true, .queue_ns = 4 * MS, .transfer_ns = 1900 * MS),
	    "quick", "nothing to change" },
	{ SLOW(.pause_ns = 1900 * MS, .retries = 2), "retries",
	    "spent 1.9 s of 2.0 s in pauses before 2 tries more" },
	{ SLOW(.pause_ns = 1900 * MS, .hit = true), "fault",
	    "by hand (weir fault)" },
	{ SLOW(.pause_ns = 1900 * MS), "limit",
	    "raise upstreams.app.limits.request_rate or send less" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_PAUSED), "paused",
	    "paused by hand: weir resume app" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_FAILOVER),
	    "failover", "for a primary, which app had not" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_PIN), "pinned",
	    "one of the 9 connections that clients may have alone: raise "
	    "upstreams.app.pool.max_pinned" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_QUOTA), "quota",
	    "max_per_user or max_per_database" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_RIDE), "ride",
	    "raise upstreams.app.pool.shared" },
	{ SLOW(.queue_ns = 1900 * MS, .waited_for = SLOW_WAIT_CONNECT),
	    "connect", "upstreams.app.pool.min_idle (now 0)" },
	{ SLOW(.queue_ns = 1900 * MS, .open_then = 10, POOL(.most = 10)),
	    "server_full", "for one of 10 connections: the servers of app "
	    "take no more, of 16" },
	{ SLOW(.queue_ns = 1900 * MS, AT_MAX), "pool_full",
	    "waited 1.9 s of 2.0 s for one of 16 connections, all taken, among "
	    "8 that waited: raise upstreams.app.pool.max (24 would have been "
	    "enough at that moment; weir stats advises by the last minutes), "
	    "or look at what holds them: weir connections app --leased" },
	/* A session may last as long as it likes: that it waited is said. */
	{ SLOW(.lasts = true, .queue_ns = 300 * MS, .total_ns = 60000 * MS,
	    AT_MAX), "pool_full", "waited 300 ms of 60.0 s" },
	{ SLOW(.queue_ns = 1900 * MS, .open_then = 4,
	    .waited_for = SLOW_WAIT_PLACE), "endpoint_full",
	    "with 4 of 16 connections open" },
	{ SLOW(.connect_ns = 1900 * MS, POOL(.min_idle = 3)), "connect",
	    "though 3 are kept open" },
	{ SLOW(.connect_ns = 1900 * MS, .queue_ns = 100 * MS), "connect",
	    "spent 1.9 s of 2.0 s connecting to b:80" },
	{ SLOW(.tls_ns = 1900 * MS, .connect_ns = 9 * MS), "tls",
	    "in the TLS handshake with b:80" },
	{ SLOW(.arrive_ns = 1900 * MS), "client_sends",
	    "listeners.web.timeouts.header" },
	{ SLOW(.upload_ns = 1900 * MS), "client_sends",
	    "listeners.web.timeouts.body" },
	{ SLOW(.first_ns = 1900 * MS), "server_slow",
	    "took 1.9 s of 2.0 s to begin its answer: that is the time of b:80, "
	    "not weir's" },
	{ SLOW(.client_ns = 1900 * MS), "client_reads",
	    "did not take its answer for 1.9 s" },
	{ SLOW(.idle_ns = 1900 * MS, .first_ns = MS), "client_idles",
	    "upstreams.app.timeouts.transaction_idle" },
	{ SLOW(.transfer_ns = 1900 * MS), "server_sends",
	    "1.9 s of 2.0 s to send the rest" },
	{ SLOW(.retries = 1, .first_ns = 9 * MS), "retries",
	    "a try that was lost before 1 try" },
	{ SLOW(.first_ns = 9 * MS), "mixed", "nothing took longest" },

	{ FAILED(FAIL_BAD_REQUEST), "client", "what is not valid" },
	{ FAILED(FAIL_TOO_LARGE), "client", "raise listeners.web.max_body" },
	{ FAILED(FAIL_METHOD), "client", "does not forward" },
	{ FAILED(FAIL_HANDSHAKE), "client", "in listener web" },
	{ FAILED(FAIL_HANDSHAKE_TIMEOUT), "client",
	    "listeners.web.timeouts.handshake" },
	{ FAILED(FAIL_HEADER_TIMEOUT), "client",
	    "listeners.web.timeouts.header" },
	{ FAILED(FAIL_BODY_TIMEOUT), "client", "listeners.web.timeouts.body" },
	{ FAILED(FAIL_IDLE_TIMEOUT), "client", "listeners.web.timeouts.idle" },
	{ FAILED(FAIL_NO_ROUTE), "route", "add one to listeners.web.routes" },
	{ FAILED(FAIL_TLS_ON_PLAINTEXT), "client",
	    "give listeners.web a group tls" },
	{ FAILED(FAIL_CLIENT_STALLED), "client_reads", "not b:80" },
	{ FAILED(FAIL_CLIENT_GONE, .queue_ns = 1900 * MS), "client_gone",
	    "of which it waited 1.9 s for a connection" },
	{ FAILED(FAIL_CLIENT_GONE, .total_ns = 301 * MS, .queue_ns = 300 * MS,
	    AT_MAX), "pool_full", "left after waiting 300 ms for one of 16 "
	    "connections, all taken: raise upstreams.app.pool.max" },
	/* That more of them would be of use is not known. */
	{ FAILED(FAIL_CLIENT_GONE, .queue_ns = 1900 * MS, .open_then = 16,
	    .waited_for = SLOW_WAIT_PAUSED), "client_gone",
	    "of which it waited 1.9 s" },
	{ FAILED(FAIL_CLIENT_GONE, .queue_ns = 1900 * MS, .open_then = 3,
	    .waited_for = SLOW_WAIT_CONNECT), "client_gone",
	    "upstreams.app.pool.min_idle (now 0)" },
	{ FAILED(FAIL_CLIENT_GONE, .first_ns = 1900 * MS), "client_gone",
	    "the server took 1.9 s without an answer" },
	{ FAILED(FAIL_CLIENT_GONE, .client_ns = 1800 * MS,
	    .first_ns = 200 * MS), "client_gone", "left after 2.0 s: nothing" },
	/* As at the end of a measurement: that more connections would have kept
	   them is not so. */
	{ FAILED(FAIL_CLIENT_GONE, .total_ns = 190 * MS, .queue_ns = 150 * MS,
	    .first_ns = 40 * MS, AT_MAX), "client_gone",
	    "left by itself after 190 ms; neither weir nor the server" },
	{ FAILED(FAIL_CLIENT_WASTES, .client = { .ip = { 10, 0, 0, 9 },
	    .family = AF_INET }), "client", "what 10.0.0.9 is" },
	{ FAILED(FAIL_CANCELLED), "client", "cancelled it after 2.0 s" },
	{ FAILED(FAIL_TRANSACTION_IDLE, .idle_ns = 1000 * MS), "client_idles",
	    "open for 1.0 s" },
	{ FAILED(FAIL_LIMITED), "limit", "listeners.web.limits" },
	{ FAILED(FAIL_AUTH, .user = "a b", .database = "shop",
	    .said = "wrong password"), "client", "in as user a\\x20b of "
	    "database shop: wrong password" },
	{ FAILED(FAIL_AUTH, .user = "a b", .said = "wrong password"), "client",
	    "in as user a\\x20b: wrong password" },
	{ FAILED(FAIL_PROXY_HEADER), "client",
	    "listeners.web.proxy_protocol.from" },
	{ FAILED(FAIL_PROXY_TIMEOUT), "client",
	    "listeners.web.proxy_protocol.from" },

	{ FAILED(FAIL_NO_ENDPOINT, .pool = { .max = 16 }), "dns",
	    "weir dns app" },
	{ FAILED(FAIL_NO_ENDPOINT, POOL(.bars = BAR_DRAIN | BAR_DOWN)),
	    "by_hand", "all 2 endpoints of app are down or drained by hand" },
	{ FAILED(FAIL_NO_ENDPOINT, .pool = { .endpoints = 1,
	    .bars = BAR_DOWN }), "by_hand",
	    "the only endpoint of app is down or drained by hand: weir endpoint "
	    "app ENDPOINT conf" },
	{ FAILED(FAIL_NO_ENDPOINT, POOL(.bars = BAR_DRAIN | BAR_CHECK)),
	    "down", "by health checks" },
	{ FAILED(FAIL_NO_ENDPOINT, POOL(.bars = BAR_EJECTED)), "ejected",
	    "upstreams.app.outlier.max_ejected" },
	{ FAILED(FAIL_NO_ENDPOINT, POOL(.usable = 2)), "down",
	    "no endpoint of app is usable" },
	{ FAILED(FAIL_UPSTREAM_LIMITED), "limit",
	    "upstreams.app.limits.request_rate" },
	{ FAILED(FAIL_QUEUE_FULL), "pool_full",
	    "8 waited already for one of 16 connections, all taken: raise "
	    "upstreams.app.pool.max (24 would have been enough at that moment; "
	    "weir stats advises by the last minutes), or pool.max_waiting (now "
	    "100)" },
	{ FAILED(FAIL_QUEUE_TIMEOUT, .waited_for = SLOW_WAIT_PAUSED), "paused",
	    "weir resume app" },
	{ FAILED(FAIL_QUEUE_TIMEOUT, .waited_for = SLOW_WAIT_FAILOVER),
	    "failover", "for a primary" },
	{ FAILED(FAIL_QUEUE_TIMEOUT, .waited_for = SLOW_WAIT_QUOTA), "quota",
	    "max_per_user" },
	{ FAILED(FAIL_QUEUE_TIMEOUT, .open_then = 10, POOL(.most = 10)),
	    "server_full", "lower upstreams.app.pool.max" },
	{ FAILED(FAIL_QUEUE_TIMEOUT, .queue_ns = 2000 * MS, AT_MAX),
	    "pool_full", "waited 2.0 s of 2.0 s for one of 16 connections, all "
	    "taken: raise upstreams.app.pool.max (24 would have been" },
	/* Some have come back since: that is said as it is. */
	{ FAILED(FAIL_QUEUE_TIMEOUT, AT_MAX, POOL(.leased = 15)),
	    "pool_full", "16 connections, 15 taken" },
	{ FAILED(FAIL_QUEUE_TIMEOUT), "endpoint_full",
	    "endpoints.max, pool.max_per_endpoint" },
	{ FAILED(FAIL_CONNECT_FAILED), "connect",
	    "b:80 could not be connected to (connection refused)" },
	{ FAILED(FAIL_CONNECT_TIMEOUT), "connect",
	    "upstreams.app.timeouts.connect" },
	{ FAILED(FAIL_NO_DESCRIPTORS), "shortage", "LimitNOFILE" },
	{ FAILED(FAIL_PINNED), "pinned",
	    "all of the 9 connections that they may have alone" },
	{ FAILED(FAIL_LOGIN, .user = "app", .database = "shop",
	    .said = "3D000 no such"), "login", "b:80 refused the login that "
	    "user app needs for database shop: 3D000 no such;" },
	{ FAILED(FAIL_LOGIN, .user = "app", .said = "WRONGPASS no"), "login",
	    "b:80 refused the login of user app: WRONGPASS no;" },
	{ FAILED(FAIL_LOGIN, .said = "NOAUTH no"), "login",
	    "b:80 refused the login: NOAUTH no; what weir logs in with is the "
	    "group's of upstreams.app" },
	{ FAILED(FAIL_LOGIN), "login", "b:80 refused the login: user," },
	{ FAILED(FAIL_TLS, .last_error = "expired"), "tls",
	    "no TLS with b:80 (expired)" },
	{ FAILED(FAIL_UNFIT), "protocol", "upstreams.app.http.version" },
	{ FAILED(FAIL_NO_MEMORY), "shortage", "raise max_memory" },

	{ FAILED(FAIL_REFUSED), "server_full", "overloaded, or shutting" },
	{ FAILED(FAIL_NO_SOCKET), "protocol", "no WebSockets over HTTP/2" },
	{ FAILED(FAIL_UPSTREAM_CLOSED, .reused = true), "closed_idle",
	    "upstreams.app.pool.idle_timeout below the server's keep-alive" },
	{ FAILED(FAIL_UPSTREAM_CLOSED), "server_died", "did it crash" },
	{ FAILED(FAIL_UPSTREAM_RESET, .reused = true), "closed_idle",
	    "b:80 reset a connection that had been used" },
	{ FAILED(FAIL_UPSTREAM_RESET), "server_died", "reset a new connection" },
	{ FAILED(FAIL_BAD_RESPONSE), "protocol", "b:80 answered is not valid" },
	{ FAILED(FAIL_RESPONSE_TIMEOUT, .first_ns = 1000 * MS), "server_slow",
	    "had not begun its answer after 1.0 s" },
	{ FAILED(FAIL_STALLED), "server_sends", "upstreams.app.timeouts.stall" },
	{ FAILED(FAIL_REPLY_TOO_LARGE), "split", "fewer keys at once" },
	{ FAILED(FAIL_TOTAL_TIMEOUT, .queue_ns = 1900 * MS), "pool_full",
	    "raise upstreams.app.pool.max" },
	{ FAILED(FAIL_TOTAL_TIMEOUT, .first_ns = 1000 * MS,
	    .transfer_ns = 999 * MS), "server_slow",
	    "took 1.0 s to begin its answer and 999 ms to send it" },
	{ FAILED(FAIL_QUERY_TIMEOUT), "server_slow",
	    "upstreams.app.timeouts.query" },
	{ FAILED(FAIL_TUNNEL_TIMEOUT), "tunnel",
	    "upstreams.app.timeouts.tunnel" },
	{ FAILED(FAIL_KILLED), "killed", "connection to b:80 was closed by" },
	{ FAILED(FAIL_INJECTED), "fault", "by hand (weir fault)" },
	{ FAILED(FAIL_DRAINED), "drained", "drain_timeout" },
	{ FAILED(FAIL_OVERLOADED), "shortage",
	    "listeners.web.limits.connections" }
};

static void
each_rule_fits_what_it_is_for(void **state)
{
	bool *hit = calloc(why_n_rules, sizeof(*hit));
	size_t i;

	(void)state;
	assert_non_null(hit);
	for (i = 0; i < NELEMS(samples); i++) {
		const struct why_rule *r = why_rule(&samples[i].e);
		char text[WHY_TEXT];

		why_say(r, &samples[i].e, text);
		if (strcmp(r->cause, samples[i].cause) != 0 ||
		    strstr(text, samples[i].says) == NULL)
			fail_msg("sample %zu: wanted %s, \"%s\"\ngot %s, "
			    "\"%s\"", i, samples[i].cause, samples[i].says,
			    r->cause, text);
		assert_null(strchr(text, '{'));
		hit[r - why_rules] = true;
	}
	for (i = 0; i < why_n_rules; i++)
		if (!hit[i])
			fail_msg("no sample for rule %zu: %s", i,
			    why_rules[i].text);
	free(hit);
}

static void
each_failure_has_a_rule_that_fits_always(void **state)
{
	unsigned why;
	size_t i;

	(void)state;
	for (why = 0; why < N_FAILS; why++) {
		for (i = 0; i < why_n_rules && (why_rules[i].why != why ||
		    why_rules[i].fits != NULL); i++)
			;
		if (i == why_n_rules)
			fail_msg("no rule for %s", fail_rows[why].name);
	}
}

/* "upstreams.app.pool.max" and the like, each: is it a key of the section? Those
   of a protocol are in its own table. */
static void
check_path(const char *path)
{
	bool upstream = *path == 'u';
	char section[64], key[32] = "";
	const struct schema_section *s;

	path = strchr(strchr(path, '.') + 1, '.') + 1;
	if (strncmp(path, "http.", 5) == 0)
		return;
	if (strchr(path, '.') != NULL)
		snprintf(section, sizeof(section), "%s[].%.*s",
		    upstream ? "upstreams" : "listeners",
		    (int)strcspn(path, "."), path);
	else
		snprintf(section, sizeof(section), "%s[]",
		    upstream ? "upstreams" : "listeners");
	snprintf(key, sizeof(key), "%s", strchr(path, '.') != NULL ?
	    strchr(path, '.') + 1 : path);
	for (s = schema_sections; s->path != NULL; s++)
		if (strcmp(s->path, section) == 0)
			break;
	if (s->path == NULL || schema_find(s->keys, key) == NULL)
		fail_msg("there is no key %s in %s", key, section);
}

static void
keys_that_are_named_are_there(void **state)
{
	static const char *const roots[] = { "upstreams.app.",
		"listeners.web." };
	unsigned n = 0;
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(samples); i++)
		for (k = 0; k < NELEMS(roots); k++) {
			char text[WHY_TEXT], path[128];
			const char *at = text;

			why_say(why_rule(&samples[i].e), &samples[i].e, text);
			while ((at = strstr(at, roots[k])) != NULL) {
				snprintf(path, sizeof(path), "%.*s", (int)strspn(
				    at, "abcdefghijklmnopqrstuvwxyz_."), at);
				check_path(path);
				at++;
				n++;
			}
		}
	assert_true(n > 30);
}

static void
names_of_any_length_fit(void **state)
{
	struct slow_entry e = FAILED(FAIL_QUEUE_TIMEOUT,
	    .queue_ns = 1900 * MS, AT_MAX);
	char text[WHY_TEXT];

	(void)state;
	memset(e.upstream, 'u', sizeof(e.upstream) - 1);
	why_say(why_rule(&e), &e, text);
	assert_non_null(strstr(text, "--leased"));
}

static void
what_is_secret_in_a_request_is_left_out(void **state)
{
	static const struct { const char *from, *to; } cases[] = {
		{ "GET /a HTTP/1.1", "GET /a HTTP/1.1" },
		{ "GET /a?token=1 HTTP/1.1", "GET /a?..." },
		{ "GET http://joe:pw@host/a@b HTTP/1.1",
		    "GET http://host/a@b HTTP/1.1" },
		{ "GET http://joe:pw@host?x@y", "GET http://host?..." },
		{ "GET http://a@b@host/", "GET http://host/" },
		{ "GET http://host/@", "GET http://host/@" },
		{ "CONNECT joe:pw@host:1", "CONNECT joe:pw@host:1" },
		{ "LPUSH", "LPUSH" },
		{ "", "" }
	};
	char out[SLOW_REQUEST], want[SLOW_REQUEST], longer[1000];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		slow_request(cases[i].from, strlen(cases[i].from), out);
		assert_string_equal(out, cases[i].to);
	}
	/* Cut where no character ends in the middle. */
	for (i = 0; i < 4; i++) {
		size_t n = i;

		memset(longer, 'x', i);
		while (n + 2 < sizeof(longer)) {
			memcpy(longer + n, "\xc3\xa4", 2);
			n += 2;
		}
		slow_request(longer, n, out);
		snprintf(want, sizeof(want), "%.*s",
		    (int)(i + (SLOW_REQUEST - 1 - i) / 2 * 2), longer);
		assert_string_equal(out, want);
	}
	/* At the very end of the room. */
	for (i = SLOW_REQUEST - 10; i < SLOW_REQUEST + 10; i++) {
		memset(longer, 'x', i);
		longer[i] = '?';
		memset(longer + i + 1, 's', 5);
		slow_request(longer, i + 6, out);
		assert_null(strchr(out, 's'));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_fits_what_it_is_for),
		cmocka_unit_test(each_failure_has_a_rule_that_fits_always),
		cmocka_unit_test(keys_that_are_named_are_there),
		cmocka_unit_test(names_of_any_length_fit),
		cmocka_unit_test(what_is_secret_in_a_request_is_left_out)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
