/*
 * Tables for people: aligned, tamed, complete, and of whatever JSON they get.
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

#include "net/err.h"
#include "proxy/show.h"
#include "proxy/table.h"

typedef void show_fn(FILE *, const json_t *, const struct show_filter *);

static char *
shown(show_fn *show, const char *json, struct show_filter f)
{
	json_t *j = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(j);
	assert_non_null(out);
	show(out, j, &f);
	assert_int_equal(fclose(out), 0);
	json_decref(j);
	return text;
}

static void
columns_are_as_wide_as_what_is_in_them(void **state)
{
	static const char *const heads[] = { "-NAME", "N", "-LAST", NULL };
	char *text = NULL;
	struct table t;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	table_init(&t, heads);
	table_add(&t, "%s", "a");
	table_add(&t, "%d", 12345);
	table_add(&t, "%s", "x");
	table_add(&t, "%s", "l\xc3\xa4nger");
	table_add(&t, "%d", 7);
	table_add(&t, "%s", "bell\a and \033[31m");
	table_add(&t, "%s", "b");
	table_add(&t, "%d", 1);
	table_add(&t, "%s", "");
	table_print(&t, out);
	table_fini(&t);
	fclose(out);
	assert_string_equal(text,
	    "NAME        N  LAST\n"
	    "a       12345  x\n"
	    "l\xc3\xa4nger      7  bell? and ?[31m\n"
	    "b           1\n");
	free(text);
}

static void
an_empty_table_prints_nothing(void **state)
{
	static const char *const heads[] = { "-NAME", NULL };
	char *text = NULL;
	struct table t;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	table_init(&t, heads);
	table_print(&t, out);
	table_fini(&t);
	fclose(out);
	assert_string_equal(text, "");
	free(text);
}

static const char connections[] = "{\"complete\":true,\"connections\":["
	"{\"id\":1,\"upstream\":\"app\",\"endpoint\":\"a:1\",\"worker\":0,"
	"\"state\":\"idle\",\"age_ms\":5000,\"state_ms\":900,\"uses\":3,"
	"\"mark\":\"clean\",\"mark_reason\":\"\"},"
	"{\"id\":2,\"upstream\":\"app\",\"endpoint\":\"b:1\",\"worker\":1,"
	"\"state\":\"leased\",\"age_ms\":90000,\"state_ms\":40000,\"uses\":9,"
	"\"mark\":\"broken\",\"mark_reason\":\"reset\"},"
	"{\"id\":3,\"upstream\":\"db\",\"endpoint\":\"c:1\",\"worker\":0,"
	"\"state\":\"leased\",\"age_ms\":10,\"state_ms\":5,\"uses\":1,"
	"\"mark\":\"clean\",\"mark_reason\":\"\"}]}";

static void
connections_are_filtered(void **state)
{
	char *text;

	(void)state;
	text = shown(show_connections, connections, (struct show_filter){ 0 });
	assert_non_null(strstr(text, "a:1"));
	assert_non_null(strstr(text, "broken: reset"));
	assert_non_null(strstr(text, "c:1"));
	free(text);
	text = shown(show_connections, connections,
	    (struct show_filter){ .upstream = "app", .leased = true });
	assert_null(strstr(text, "a:1"));
	assert_non_null(strstr(text, "b:1"));
	assert_null(strstr(text, "c:1"));
	free(text);
	text = shown(show_connections, connections,
	    (struct show_filter){ .older_ms = 30000 });
	assert_null(strstr(text, "a:1"));
	assert_non_null(strstr(text, "b:1"));
	free(text);
	text = shown(show_connections, connections,
	    (struct show_filter){ .upstream = "none" });
	assert_string_equal(text, "no connections\n");
	free(text);
}

static void
an_incomplete_list_says_so(void **state)
{
	char *text = shown(show_connections,
	    "{\"complete\":false,\"connections\":[]}",
	    (struct show_filter){ 0 });

	(void)state;
	assert_non_null(strstr(text, "not all are here"));
	free(text);
}

static void
stats_name_everything(void **state)
{
	char *text = shown(show_stats, "{\"version\":\"9.9\",\"pid\":77,"
	    "\"uptime_s\":61.5,\"generation\":3,\"ready\":false,"
	    "\"missing\":\"app is cold\",\"draining\":false,"
	    "\"reload\":{\"last\":\"f:1: bad\"},\"listeners\":[{\"name\":\"web\","
	    "\"protocol\":\"http\",\"bind\":[\"a:1\",\"b:2\"],"
	    "\"failures_total\":{\"x\":2,\"y\":3},"
	    "\"latency_us\":{\"p50\":210,\"p99\":1500,\"max\":2500000}}],"
	    "\"upstreams\":[{\"name\":\"app\",\"ready\":true,"
	    "\"pool\":{\"mode\":\"request\",\"max\":64},\"endpoints\":["
	    "{\"name\":\"h:1\",\"resolved\":\"10.0.0.1:1\",\"state\":\"up\","
	    "\"last_error\":\"Connection refused\"}]}]}",
	    (struct show_filter){ 0 });
	static const char *const words[] = { "weir 9.9", "pid 77",
		"configuration #3", "not ready: app is cold", "f:1: bad", "web",
		"a:1,b:2", " 5 ", "210us", "1.50ms", "2.50s", "app", "request",
		"yes", "h:1", "10.0.0.1:1", "Connection refused" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(words); i++)
		if (strstr(text, words[i]) == NULL)
			fail_msg("no %s in %s", words[i], text);
	free(text);
}

static void
foreign_json_harms_nothing(void **state)
{
	static const char *const odd[] = { "{}", "[]", "[1,2]",
		"{\"listeners\":7,\"upstreams\":\"x\",\"connections\":{},"
		"\"names\":[1,null]}",
		"{\"upstreams\":[{\"endpoints\":[3,{}]},[]],\"listeners\":[null],"
		"\"connections\":[[],\"a\"]}" };
	static show_fn *const shows[] = { show_stats, show_connections,
		show_dns };
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(odd); i++)
		for (k = 0; k < NELEMS(shows); k++) {
			char *text = shown(shows[k], odd[i],
			    (struct show_filter){ 0 });

			assert_true(strlen(text) > 0);
			free(text);
		}
}

static void
names_show_age_and_addresses(void **state)
{
	char *text = shown(show_dns, "{\"names\":[{\"upstream\":\"app\","
	    "\"endpoint\":\"app.test:80\",\"age_ms\":1500,\"next_ms\":28500,"
	    "\"addresses\":[\"10.0.0.1:80\",\"10.0.0.2:80\"],"
	    "\"last_error\":\"\"},{\"upstream\":\"db\",\"endpoint\":\"db:1\","
	    "\"age_ms\":-1,\"next_ms\":0,\"addresses\":[],"
	    "\"last_error\":\"no such name\"}]}", (struct show_filter){ 0 });

	(void)state;
	assert_non_null(strstr(text, "1.5s"));
	assert_non_null(strstr(text, "10.0.0.1:80,10.0.0.2:80"));
	assert_non_null(strstr(text, "no such name"));
	assert_non_null(strstr(text, "  -  "));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
		cmocka_unit_test(an_empty_table_prints_nothing),
		cmocka_unit_test(connections_are_filtered),
		cmocka_unit_test(an_incomplete_list_says_so),
		cmocka_unit_test(stats_name_everything),
		cmocka_unit_test(foreign_json_harms_nothing),
		cmocka_unit_test(names_show_age_and_addresses)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
