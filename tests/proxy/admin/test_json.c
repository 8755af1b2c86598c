/*
 * /stats has the shape that scripts rely on, and the numbers of the view.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/admin/json.h"
#include "tests/proxy/admin/sample.h"

static struct sample sample;

/* Through the text, as a client gets it. */
static json_t *
stats(void)
{
	char *text;
	json_t *j;

	text = json_spell(json_stats(&sample.view), false);
	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_null(memchr(text, '\n', strlen(text) - 1));
	j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	free(text);
	return j;
}

static int
setup(void **state)
{
	sample_init(&sample);
	*state = stats();
	return 0;
}

static int
teardown(void **state)
{
	json_decref(*state);
	return 0;
}

/* "upstreams.0.pool.max" */
static json_t *
at(json_t *j, const char *path)
{
	char copy[128], *word, *save = NULL;

	strcpy(copy, path);
	for (word = strtok_r(copy, ".", &save); word != NULL;
	    word = strtok_r(NULL, ".", &save)) {
		j = json_is_array(j) ? json_array_get(j, (size_t)atoi(word)) :
		    json_object_get(j, word);
		if (j == NULL)
			fail_msg("no %s (at %s)", path, word);
	}
	return j;
}

static void
numbers_are_in_their_places(void **state)
{
	static const struct { const char *path; json_int_t n; } rows[] = {
		{ "pid", 42 }, { "generation", 3 }, { "window_s", 60 },
		{ "reload.at", 1700000001 }, { "reload.overrides", 2 },
		{ "upgrade.replaced", 44 }, { "upgrade.before_pid", 45 },
		{ "reload.confirm_until", 1700000060 },
		{ "reloads.0.at", 1700000001 }, { "reloads.0.generation", 3 },
		{ "reloads.0.changes_left_out", 2 },
		{ "process.fds", 120 }, { "process.fds_max", INT64_MAX },
		{ "process.memory_bytes", 9000000 },
		{ "process.loop_lag_us.p99", 0 },
		{ "process.log_dropped_total", 13 },
		{ "process.memory_budget_bytes", 64 << 20 },
		{ "listeners.0.connections.active", 4000 },
		{ "listeners.0.connections.accepted_total", 5210 },
		{ "listeners.0.connections.rejected_total", 7 },
		{ "listeners.0.requests_total", 812345 },
		{ "listeners.0.outcomes_total.2xx", 812340 },
		{ "listeners.0.outcomes_total.client_abort", 0 },
		{ "listeners.0.failures_total.queue_timeout", 3 },
		{ "listeners.0.limited_total.request_rate_per_client", 17 },
		{ "listeners.0.limited_total.denied", 6 },
		{ "listeners.0.limited_total.request_rate", 0 },
		{ "listeners.0.shadow_total.request_rate", 4 },
		{ "listeners.0.bytes.received_total", 5000000000 },
		{ "listeners.0.bytes.sent_total", 9 },
		{ "listeners.0.tls.handshaking", 14 },
		{ "listeners.0.tls.waiting", 15 },
		{ "listeners.0.tls.handshakes_total", 34 },
		{ "listeners.0.tls.resumed_total", 18 },
		{ "listeners.0.tls.problems_total.revoked", 19 },
		{ "listeners.0.tls.problems_total.expired", 0 },
		{ "listeners.0.latency_us.p50", 11 },
		{ "listeners.0.latency_us.p90", 22 },
		{ "listeners.0.latency_us.p99", 33 },
		{ "listeners.0.latency_us.p999", 44 },
		{ "listeners.0.latency_us.max", 55 },
		{ "upstreams.0.pool.cap", 32 },
		{ "upstreams.0.pool.max", 64 }, { "upstreams.0.pool.open", 63 },
		{ "upstreams.0.pool.idle", 3 }, { "upstreams.0.pool.leased", 59 },
		{ "upstreams.0.pool.connecting", 1 },
		{ "upstreams.0.pool.waiting", 12 },
		{ "upstreams.0.pool.waiting_max", 40 },
		{ "upstreams.0.pool.pinned", 0 },
		{ "upstreams.0.pool.oldest_wait_us", 900 },
		{ "upstreams.0.pool.oldest_lease_us", 0 },
		{ "upstreams.0.connects_total", 70 },
		{ "upstreams.0.requests_total", 812346 },
		{ "upstreams.0.retries_total", 1 },
		{ "upstreams.0.reused_total", 812275 },
		{ "upstreams.0.discarded_total.unasked_bytes", 100 },
		{ "upstreams.0.limited_total.request_rate", 8 },
		{ "upstreams.0.limited_total.retry_budget", 1 },
		{ "upstreams.0.delayed_total.request_rate", 9 },
		{ "upstreams.0.queue_us.p99", 33 },
		{ "upstreams.0.connect_us.max", 55 },
		{ "upstreams.0.first_byte_us.p50", 11 },
		{ "upstreams.0.endpoints.1.since", 1700000000 },
		{ "upstreams.0.endpoints.1.weight", 7 },
		{ "upstreams.0.endpoints.1.ejections_total", 5 },
		{ "upstreams.0.endpoints.1.held_ms", 1501 },
		{ "upstreams.0.endpoints.1.health.checks_total", 60 },
		{ "upstreams.0.endpoints.1.health.failures_total", 22 },
		{ "upstreams.0.endpoints.1.health.latency_us", 200 },
		{ "upstreams.0.endpoints.1.override.weight", 7 },
		{ "upstreams.0.endpoints.1.override.until", 1700000600 },
		{ "upstreams.0.endpoints.1.open", 20 },
		{ "upstreams.0.endpoints.1.leased", 10 },
		{ "upstreams.0.endpoints.1.failures_total.reset", 21 }
	};
	size_t i;

	for (i = 0; i < NELEMS(rows); i++)
		if (json_integer_value(at(*state, rows[i].path)) != rows[i].n)
			fail_msg("%s is %lld", rows[i].path, (long long)
			    json_integer_value(at(*state, rows[i].path)));
}

static void
texts_are_in_their_places(void **state)
{
	static const struct { const char *path, *text; } rows[] = {
		{ "version", WEIR_VERSION }, { "reload.last", "ok" },
		{ "reload.file_hash", "0123456789abcdef" },
		{ "reloads.0.result", "reverted" },
		{ "reloads.0.changes.0", "upstream app: pool.max 64 -> 32" },
		{ "reloads.0.error", "" },
		{ "listeners.0.name", "web" }, { "listeners.0.protocol", "http" },
		{ "listeners.0.bind.0", "0.0.0.0:8080" },
		{ "listeners.0.bind.1", "[::]:8080" },
		{ "listeners.1.name", SAMPLE_NAME },
		{ "upstreams.0.name", "app" }, { "upstreams.0.protocol", "http" },
		{ "upstreams.0.pool.mode", "request" },
		{ "upstreams.0.endpoints.0.name", "app.test:80" },
		{ "upstreams.0.endpoints.0.resolved", "10.0.0.1:80" },
		{ "upstreams.0.endpoints.0.state", "up" },
		{ "upstreams.0.endpoints.0.last_error", "" },
		{ "upstreams.0.endpoints.0.health.last", "ok" },
		{ "upstreams.0.endpoints.1.state", "ejected" },
		{ "upstreams.0.endpoints.1.health.last", "status 500" },
		{ "upstreams.0.endpoints.1.override.state", "up" },
		{ "upstreams.0.endpoints.2.health.last", "" },
		{ "upstreams.0.endpoints.2.override.state", "drain" },
		{ "process.pressure", "tight" },
		{ "upstreams.0.endpoints.2.state", "unresolved" },
		{ "upstreams.0.endpoints.2.resolved", "" },
		{ "upstreams.0.endpoints.2.last_error", "no such name" }
	};
	size_t i;

	for (i = 0; i < NELEMS(rows); i++)
		assert_string_equal(json_string_value(at(*state,
		    rows[i].path)), rows[i].text);
	assert_true(json_real_value(at(*state, "uptime_s")) == 12.5);
	assert_true(json_real_value(at(*state,
	    "upstreams.0.exhausted_seconds_total")) == 1.200345);
	assert_true(json_is_false(at(*state, "draining")));
	assert_true(json_is_true(at(*state, "upstreams.0.ready")));
	assert_true(json_is_true(at(*state, "upstreams.0.paused")));
}

static void
what_there_is_not_is_null(void **state)
{
	json_t *j;

	assert_true(json_is_null(at(*state,
	    "upstreams.0.endpoints.0.override")));
	assert_true(json_is_null(at(*state,
	    "upstreams.0.endpoints.2.override.weight")));
	assert_true(json_is_null(at(*state,
	    "upstreams.0.endpoints.2.override.until")));
	assert_true(json_is_false(at(*state,
	    "upstreams.0.endpoints.0.backup")));
	assert_true(json_is_true(at(*state, "upstreams.0.endpoints.2.backup")));
	sample.view.memory_budget = UINT64_MAX;
	j = stats();
	assert_true(json_is_null(at(j, "process.memory_budget_bytes")));
	json_decref(j);
}

static void
every_reason_is_there(void **state)
{
	json_t *failures = at(*state, "listeners.1.failures_total");
	unsigned i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		assert_int_equal(json_integer_value(at(failures,
		    fail_rows[i].name)), 0);
	assert_int_equal(json_object_size(failures), N_FAILS - 1);
	assert_int_equal(json_object_size(at(*state,
	    "upstreams.0.discarded_total")), N_DISCARDS);
	assert_int_equal(json_object_size(at(*state,
	    "listeners.0.outcomes_total")), N_OUTCOMES);
	assert_int_equal(json_object_size(at(*state,
	    "listeners.1.limited_total")), N_LIMITS);
	assert_int_equal(json_object_size(at(*state,
	    "listeners.1.shadow_total")), N_LIMITS);
	assert_int_equal(json_object_size(at(*state,
	    "upstreams.0.limited_total")), N_UPSTREAM_LIMITS);
	assert_int_equal(json_object_size(at(*state,
	    "upstreams.0.delayed_total")), N_UPSTREAM_LIMITS);
}

static void
a_refused_reload_is_told(void **state)
{
	json_t *j;

	(void)state;
	sample_init(&sample);
	sample.view.reload_ok = 0;
	sample.view.reload_error = "weir.conf:3: what\nweir.conf:4: more";
	j = stats();
	assert_string_equal(json_string_value(at(j, "reload.last")),
	    "weir.conf:3: what\nweir.conf:4: more");
	json_decref(j);
}

static void
any_bytes_become_text(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "plain", "plain" }, { "", "" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "bad\xff" "byte", "bad?byte" }, { "cut\xc3", "cut?" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		json_t *j = json_text(rows[i].in);

		assert_string_equal(json_string_value(j), rows[i].out);
		json_decref(j);
	}
}

static void
errors_come_together_and_each(void **state)
{
	char one[] = "a.conf:1: x: \"bad\"", two[] = "a.conf:2: y";
	char *v[] = { one, two };
	const struct conf_errors errors = { v, 2 }, none = { NULL, 0 };
	json_t *j = json_errors(&errors);

	(void)state;
	assert_string_equal(json_string_value(at(j, "error")),
	    "a.conf:1: x: \"bad\"\na.conf:2: y");
	assert_string_equal(json_string_value(at(j, "errors.1")), two);
	json_decref(j);
	j = json_errors(&none);
	assert_true(strlen(json_string_value(at(j, "error"))) > 0);
	json_decref(j);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_are_in_their_places),
		TEST(texts_are_in_their_places),
		TEST(what_there_is_not_is_null),
		TEST(every_reason_is_there),
		TEST(a_refused_reload_is_told),
		TEST(any_bytes_become_text),
		TEST(errors_come_together_and_each)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
