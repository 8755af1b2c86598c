/*
 * /metrics: what Prometheus's text format 0.0.4 wants, read by a small parser
 * of its own, and that the numbers are those of the view.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/admin/prometheus.h"
#include "tests/proxy/admin/sample.h"

static char *
print_view(const struct view *v)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	prometheus_print(out, v, 1699999999.5);
	assert_int_equal(fclose(out), 0);
	assert_non_null(text);
	return text;
}

static char *
print_sample_view(void)
{
	static struct sample s;

	sample_init(&s);
	return print_view(&s.view);
}

static bool
has_line(const char *text, const char *line)
{
	size_t len = strlen(line);
	const char *at = text;

	while ((at = strstr(at, line)) != NULL) {
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return true;
		at++;
	}
	return false;
}

static void
numbers_are_those_of_the_view(void **state)
{
	static const char *const lines[] = {
		"weir_build_info{version=\"" WEIR_VERSION "\"} 1",
		"weir_ready 0",
		"weir_config_generation 3",
		"weir_config_last_reload_successful 1",
		"weir_config_last_reload_success_timestamp_seconds 1700000001",
		"weir_listener_connections{listener=\"web\"} 4000",
		"weir_requests_total{listener=\"web\"} 812345",
		"weir_received_bytes_total{listener=\"web\"} 5000000000",
		"weir_outcomes_total{listener=\"web\",outcome=\"2xx\"} 812340",
		"weir_failures_total{listener=\"web\","
		    "reason=\"queue_timeout\",whose=\"server\"} 3",
		"weir_failures_total{listener=\"web\","
		    "reason=\"connect_failed\",whose=\"server\"} 0",
		"weir_overrides 2",
		"weir_log_dropped_total 13",
		"weir_memory_budget_bytes 67108864",
		"weir_pressure 1",
		"weir_listener_limited_total{listener=\"web\","
		    "reason=\"request_rate_per_client\"} 17",
		"weir_listener_limited_total{listener=\"web\","
		    "reason=\"memory\"} 0",
		"weir_listener_shadow_limited_total{listener=\"web\","
		    "reason=\"request_rate\"} 4",
		"weir_tls_handshakes_active{listener=\"web\"} 14",
		"weir_tls_handshakes_waiting{listener=\"web\"} 15",
		"weir_tls_handshakes_total{listener=\"web\","
		    "kind=\"full\"} 16",
		"weir_tls_handshakes_total{listener=\"web\","
		    "kind=\"resumed\"} 18",
		"weir_tls_handshake_failures_total{listener=\"web\","
		    "reason=\"revoked\"} 19",
		"weir_tls_handshake_failures_total{listener=\"web\","
		    "reason=\"expired\"} 0",
		"weir_upstream_limited_total{upstream=\"app\","
		    "reason=\"request_rate\"} 8",
		"weir_upstream_limited_total{upstream=\"app\","
		    "reason=\"retry_after\"} 0",
		"weir_upstream_delayed_total{upstream=\"app\","
		    "reason=\"request_rate\"} 9",
		"weir_pool_cap{upstream=\"app\"} 32",
		"weir_pool_paused{upstream=\"app\"} 1",
		"weir_pool_max_connections{upstream=\"app\"} 64",
		"weir_pool_connections{upstream=\"app\",state=\"idle\"} 3",
		"weir_pool_connections{upstream=\"app\",state=\"leased\"} 59",
		"weir_pool_connections{upstream=\"app\",state=\"connecting\"} 1",
		"weir_pool_waiting{upstream=\"app\"} 12",
		"weir_pool_oldest_wait_seconds{upstream=\"app\"} 0.000900",
		"weir_pool_exhausted_seconds_total{upstream=\"app\"} 1.200345",
		"weir_upstream_ready{upstream=\"app\"} 1",
		"process_cpu_seconds_total 1.500000",
		"process_open_fds 120",
		"process_max_fds -1",
		"process_resident_memory_bytes 9000000",
		"process_start_time_seconds 1699999999.50"
	};
	char *text = print_sample_view();
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(lines); i++)
		if (!has_line(text, lines[i]))
			fail_msg("no line %s", lines[i]);
	free(text);
}

static void
histograms_add_up(void **state)
{
	static const char *const lines[] = {
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"0.0001\"} 0",
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"0.00025\"} 5",
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"0.001\"} 5",
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"0.0025\"} 7",
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"60\"} 7",
		"weir_request_duration_seconds_bucket{listener=\"web\","
		    "le=\"+Inf\"} 7",
		"weir_request_duration_seconds_sum{listener=\"web\"} 0.005050",
		"weir_request_duration_seconds_count{listener=\"web\"} 7",
		/* Longer than the last bound: in +Inf only. */
		"weir_upstream_first_byte_seconds_bucket{upstream=\"app\","
		    "le=\"60\"} 0",
		"weir_upstream_first_byte_seconds_bucket{upstream=\"app\","
		    "le=\"+Inf\"} 1",
		"weir_upstream_first_byte_seconds_sum{upstream=\"app\"} "
		    "70.000000",
		"weir_loop_lag_seconds_bucket{le=\"+Inf\"} 0",
		"weir_loop_lag_seconds_count 0"
	};
	char *text = print_sample_view();
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(lines); i++)
		if (!has_line(text, lines[i]))
			fail_msg("no line %s", lines[i]);
	free(text);
}

static void
labels_are_escaped(void **state)
{
	char *text = print_sample_view();

	(void)state;
	assert_true(has_line(text,
	    "weir_requests_total{listener=\"a\\\"b\\\\c\\nd\"} 0"));
	free(text);
}

static void
addresses_of_one_name_are_summed_up(void **state)
{
	char *text = print_sample_view();

	(void)state;
	assert_true(has_line(text, "weir_endpoint_open_connections"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 30"));
	assert_true(has_line(text, "weir_endpoint_failures_total"
	    "{upstream=\"app\",endpoint=\"app.test:80\",reason=\"reset\"} 32"));
	assert_true(has_line(text, "weir_endpoint_up"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 1"));
	assert_true(has_line(text, "weir_endpoint_up"
	    "{upstream=\"app\",endpoint=\"new.test:80\"} 0"));
	assert_true(has_line(text, "weir_endpoint_addresses{upstream=\"app\","
	    "endpoint=\"app.test:80\",state=\"up\"} 1"));
	assert_true(has_line(text, "weir_endpoint_addresses{upstream=\"app\","
	    "endpoint=\"app.test:80\",state=\"ejected\"} 1"));
	assert_true(has_line(text, "weir_endpoint_addresses{upstream=\"app\","
	    "endpoint=\"app.test:80\",state=\"drain\"} 0"));
	assert_true(has_line(text, "weir_endpoint_addresses{upstream=\"app\","
	    "endpoint=\"new.test:80\",state=\"unresolved\"} 1"));
	assert_true(has_line(text, "weir_endpoint_ejections_total"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 5"));
	assert_true(has_line(text, "weir_endpoint_health_checks_total"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 90"));
	assert_true(has_line(text, "weir_endpoint_health_check_failures_total"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 34"));
	assert_null(strstr(text, "10.0.0."));
	free(text);
}

static void
what_does_not_add_up_is_of_the_largest(void **state)
{
	char *text = print_sample_view();

	(void)state;
	assert_true(has_line(text, "weir_endpoint_health_check_seconds"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 0.000200"));
	assert_true(has_line(text, "weir_endpoint_weight"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 7"));
	assert_true(has_line(text, "weir_endpoint_held_seconds"
	    "{upstream=\"app\",endpoint=\"app.test:80\"} 1.500001"));
	assert_true(has_line(text, "weir_endpoint_held_seconds"
	    "{upstream=\"app\",endpoint=\"new.test:80\"} 0.000000"));
	free(text);
}

/* The names of its labels, as "a,b,". */
static void
label_names(const char *labels, char *out, size_t size)
{
	size_t n = 0;

	while (*labels != '}' && *labels != '\0') {
		while (*labels != '=' && n + 2 < size)
			out[n++] = *labels++;
		out[n++] = ',';
		labels += 2;            /* ="  */
		while (*labels != '"')
			labels += *labels == '\\' ? 2 : 1;
		labels++;
		if (*labels == ',')
			labels++;
	}
	out[n] = '\0';
}

static bool
belongs(const char *sample, const char *metric, const char *type)
{
	static const char *const ends[] = { "_bucket", "_sum", "_count" };
	size_t len = strlen(metric), i;

	if (strcmp(type, "histogram") != 0)
		return strcmp(sample, metric) == 0;
	for (i = 0; i < NELEMS(ends); i++)
		if (strncmp(sample, metric, len) == 0 &&
		    strcmp(sample + len, ends[i]) == 0)
			return true;
	return false;
}

/*
 * Every sample stands under HELP and TYPE of its metric, each metric once, all
 * samples of one name with the same labels, no sample twice, counters end in
 * _total and nothing else does.
 */
static void
form_is_right(void **state)
{
	char *text = print_sample_view(), *save = NULL, *line;
	char metric[128] = "", type[32] = "", seen[200][128];
	size_t n_seen = 0, samples = 0, i;

	(void)state;
	for (line = strtok_r(text, "\n", &save); line != NULL;
	    line = strtok_r(NULL, "\n", &save)) {
		char name[128], labels[256] = "", key[512];
		static char kept[4000][512];
		static char shape[300][2][256];
		static size_t n_kept, n_shape;
		char *end;

		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line + 7, "%127s", metric), 1);
			assert_true(strlen(line) > 7 + strlen(metric) + 8);
			for (i = 0; i < n_seen; i++)
				assert_string_not_equal(seen[i], metric);
			strcpy(seen[n_seen++], metric);
			type[0] = '\0';
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(line + 7, "%127s %31s", name,
			    type), 2);
			assert_string_equal(name, metric);
			assert_int_equal(strcmp(type, "counter") == 0,
			    strlen(name) > 6 && strcmp(name + strlen(name) - 6,
			    "_total") == 0);
			continue;
		}
		samples++;
		assert_int_equal(sscanf(line, "%127[a-z_]", name), 1);
		if (!belongs(name, metric, type))
			fail_msg("%s stands under %s (%s)", line, metric, type);
		end = strrchr(line, ' ');
		assert_non_null(end);
		if (line[strlen(name)] == '{')
			label_names(line + strlen(name) + 1, labels,
			    sizeof(labels));
		snprintf(key, sizeof(key), "%.*s", (int)(end - line), line);
		for (i = 0; i < n_kept; i++)
			assert_string_not_equal(kept[i], key);
		assert_true(n_kept < NELEMS(kept));
		strcpy(kept[n_kept++], key);
		for (i = 0; i < n_shape; i++)
			if (strcmp(shape[i][0], name) == 0)
				break;
		if (i == n_shape) {
			assert_true(n_shape < NELEMS(shape));
			strcpy(shape[n_shape][0], name);
			strcpy(shape[n_shape++][1], labels);
		} else
			assert_string_equal(shape[i][1], labels);
		(void)strtod(end + 1, &end);
		assert_int_equal(*end, '\0');
	}
	assert_true(samples > 100);
	free(text);
}

static void
nothing_configured_is_still_right(void **state)
{
	struct sandbox sandbox = { .state = "off" };
	struct view v = { .config_hash = "", .sandbox = &sandbox };
	char *text = print_view(&v);

	(void)state;
	assert_true(has_line(text, "weir_ready 0"));
	assert_null(strstr(text, "listener=\""));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_of_the_view),
		cmocka_unit_test(histograms_add_up),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(addresses_of_one_name_are_summed_up),
		cmocka_unit_test(what_does_not_add_up_is_of_the_largest),
		cmocka_unit_test(form_is_right),
		cmocka_unit_test(nothing_configured_is_still_right)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
