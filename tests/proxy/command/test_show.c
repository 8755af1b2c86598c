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
#include "proxy/command/show.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

typedef void show_fn(FILE *, const json_t *);

static char *
shown(show_fn *show, const char *json)
{
	json_t *j = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(j);
	assert_non_null(out);
	show(out, j);
	assert_int_equal(fclose(out), 0);
	json_decref(j);
	return text;
}

static void
show_why_of_all(FILE *out, const json_t *j)
{
	show_why(out, j, false);
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
connections_are_all_shown(void **state)
{
	char *text;

	(void)state;
	text = shown(show_connections, connections);
	assert_non_null(strstr(text, "a:1"));
	assert_non_null(strstr(text, "broken: reset"));
	assert_non_null(strstr(text, "c:1"));
	free(text);
	text = shown(show_connections,
	    "{\"complete\":true,\"connections\":[]}");
	assert_string_equal(text, "no connections\n");
	free(text);
}

static void
an_incomplete_list_says_so(void **state)
{
	char *text = shown(show_connections,
	    "{\"complete\":false,\"connections\":[]}");

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
	    "\"last_error\":\"Connection refused\"}]}]}");
	static const char *const words[] = { "weir 9.9", "pid 77",
		"generation 3", "not ready: app is cold", "f:1: bad", "web",
		"a:1,b:2", " 5 ", "210us", "1.50ms", "2.50s", "app", "request",
		"yes", "h:1", "10.0.0.1:1", "Connection refused" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(words); i++)
		if (strstr(text, words[i]) == NULL)
			fail_msg("no %s in %s", words[i], text);
	free(text);
}

/* Everything that can be said of it. */
static const char troubled[] = "{\"name\":\"app.test:80\","
	"\"resolved\":\"10.0.0.1:80\",\"state\":\"ejected\","
	"\"since\":1700000000,"
	"\"weight\":7,\"override\":{\"state\":\"up\",\"weight\":7,"
	"\"until\":1700000600},\"health\":{\"last\":\"status 500\"},"
	"\"ejections_total\":3,\"held_ms\":1500,"
	"\"last_error\":\"Connection \\u001brefused\"}";
static const char healthy[] = "{\"name\":\"b:1\",\"resolved\":\"b:1\","
	"\"state\":\"up\",\"since\":1700000000,\"weight\":1,\"override\":null,"
	"\"health\":{\"last\":\"ok\"},\"ejections_total\":0,\"held_ms\":0,"
	"\"last_error\":\"\"}";

static unsigned
longest_line(const char *text)
{
	size_t most = 0, len;

	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (len > most)
			most = len;
	}
	return (unsigned)most;
}

/* Wherever a line of a note was broken. */
static const char *
joined(const char *text, char *out, size_t size)
{
	char *p;

	snprintf(out, size, "%s", text);
	while ((p = strstr(out, "\n    ")) != NULL) {
		*p = ' ';
		memmove(p + 1, p + 5, strlen(p + 5) + 1);
	}
	return out;
}

static void
trouble_is_told_within_80_columns(void **state)
{
	static const char *const words[] = { "10.0.0.1:80", "ejected since",
		"by hand: up, weight 7, until", "last check: status 500",
		"ejected so far: 3", "asks for a pause of 1.50s",
		"last error: Connection ?refused" };
	char json[4096], flat[8192], *text;
	size_t i;

	(void)state;
	snprintf(json, sizeof(json), "{\"upstreams\":[{\"name\":\"app\","
	    "\"endpoints\":[%s,%s]}]}", troubled, healthy);
	text = shown(show_stats, json);
	assert_in_range(longest_line(text), 60, 80);
	joined(text, flat, sizeof(flat));
	for (i = 0; i < NELEMS(words); i++)
		if (strstr(flat, words[i]) == NULL)
			fail_msg("no %s in %s", words[i], text);
	/* Of one that is as it should be there is its row only. */
	assert_null(strstr(strstr(text, "b:1") + 1, "b:1"));
	free(text);
}

static void
a_changed_endpoint_is_shown_with_its_addresses(void **state)
{
	json_t *j = json_loads(troubled, 0, NULL);
	char *text = NULL, flat[2048];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	(void)json_object_set_new(j, "others", json_pack("[o]",
	    json_loads(healthy, 0, NULL)));
	show_endpoint(out, "app", j);
	fclose(out);
	json_decref(j);
	assert_int_equal(strncmp(text, "UPSTREAM", 8), 0);
	assert_non_null(strstr(text, "app.test:80"));
	assert_non_null(strstr(text, "b:1"));
	assert_non_null(strstr(joined(text, flat, sizeof(flat)),
	    "by hand: up, weight 7"));
	free(text);
}

static void
only_limits_that_did_something_are_shown(void **state)
{
	char *text = shown(show_stats, "{\"listeners\":[{\"name\":\"web\","
	    "\"limited_total\":{\"request_rate\":17,\"denied\":0,\"memory\":0},"
	    "\"shadow_total\":{\"request_rate\":0,\"denied\":0,\"memory\":4}}],"
	    "\"upstreams\":[{\"name\":\"app\","
	    "\"limited_total\":{\"retry_after\":0,\"request_rate\":0},"
	    "\"delayed_total\":{\"retry_after\":0,\"request_rate\":9}}]}");

	(void)state;
	assert_non_null(strstr(text,
	    "LIMITS OF     LIMIT         REFUSED  DELAYED  SHADOW\n"
	    "listener web  request_rate       17        0       0\n"
	    "listener web  memory              0        0       4\n"
	    "upstream app  request_rate        0        9       0\n"));
	assert_null(strstr(text, "denied"));
	assert_null(strstr(text, "retry_after"));
	free(text);
}

static void
shortage_is_told_of(void **state)
{
	char *text = shown(show_stats, "{\"reload\":{\"last\":\"ok\","
	    "\"overrides\":2},\"process\":{\"memory_bytes\":60817408,"
	    "\"memory_budget_bytes\":67108864,\"pressure\":\"tight\","
	    "\"log_dropped_total\":5}}");

	(void)state;
	assert_non_null(strstr(text, "memory 58.0 MiB of 64.0 MiB  "
	    "pressure: tight  log lines lost 5\n"));
	assert_non_null(strstr(text, "changed by hand: 2"));
	free(text);
	text = shown(show_stats, "{\"process\":{\"memory_bytes\":60817408,"
	    "\"memory_budget_bytes\":null,\"pressure\":\"none\","
	    "\"log_dropped_total\":0}}");
	assert_non_null(strstr(text, "memory 58.0 MiB\n"));
	assert_null(strstr(text, "pressure"));
	free(text);
}

/* What a server answers with 5xx is seen at a glance; what failures are made of,
   the most frequent first; connections held for too long; faults in words. */
static void
errors_and_leaks_are_told_of(void **state)
{
	char flat[4096], *text = shown(show_stats,
	    "{\"reload\":{\"last\":\"ok\",\"confirm_until\":60},"
	    "\"listeners\":[{\"name\":\"front\","
	    "\"bind\":[\"127.0.0.1:27985\"],"
	    "\"connections\":{\"active\":1234},"
	    "\"requests_total\":12345678,\"outcomes_total\":{\"5xx\":648},"
	    "\"failures_total\":{\"a\":2,\"client_abort\":149,\"b\":0,"
	    "\"c\":2},\"latency_us\":{\"p50\":1500,\"p99\":303999,"
	    "\"max\":303000000}}],\"upstreams\":[{\"name\":\"app\","
	    "\"server_errors_total\":{\"500\":0,\"503\":4},"
	    "\"pool\":{\"leaks\":1},\"fault\":{\"delay_ms\":200,"
	    "\"reset\":true,\"percent\":2.5,\"until\":0,"
	    "\"hit_total\":3}}]}");
	static const char *const words[] = {
		"front: failures: client_abort 149 (clients that left), a 2, "
		    "c 2\n",
		"app: errors that servers answered: 503 4\n",
		"app: 1 connection is held for longer than pool.leak_after: "
		    "weir connections app --leased\n",
		"app has faults by hand until 1970-01-01T00:00:00Z: 2.5 % of "
		    "its exchanges are delayed by 200ms, then cut, by a reset "
		    "of their client's connection; 3 so far\n",
		"goes back at 1970-01-01T00:01:00Z unless it is confirmed\n" };
	size_t i;

	(void)state;
	/* One blank apart, as two would not fit. */
	assert_non_null(strstr(text,
	    "LISTENER BIND            CLIENTS REQUESTS FAILURES 5XX    P50   "
	    "P99   MAX\n"
	    "front    127.0.0.1:27985    1234 12345678      153 648 1.50ms "
	    "304ms 5m03s\n"));
	assert_in_range(longest_line(text), 60, 80);
	joined(text, flat, sizeof(flat));
	for (i = 0; i < NELEMS(words); i++)
		if (strstr(flat, words[i]) == NULL)
			fail_msg("no %s in %s", words[i], text);
	free(text);
}

static void
spans_have_one_spelling(void **state)
{
	static const struct { long long us; const char *text; } rows[] = {
		{ -1, "-" }, { 0, "0us" }, { 999, "999us" }, { 1500, "1.50ms" },
		{ 9994, "9.99ms" }, { 9996, "10.0ms" }, { 99949, "99.9ms" },
		{ 99960, "100ms" }, { 303000, "303ms" }, { 1500000, "1.50s" },
		{ 12345678, "12.3s" }, { 59949999, "59.9s" },
		{ 303900000, "5m03s" }, { 7500000000, "2h05m" },
		{ 273600000000, "3d04h" }
	};
	char text[SPAN_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++)
		assert_string_equal(span_us(rows[i].us, text), rows[i].text);
	assert_string_equal(span_ms(5, text), "5ms");
	assert_string_equal(span_ms(303900, text), "5m03s");
	assert_string_equal(span_ms(-1, text), "-");
	assert_string_equal(span_s(7, text), "7s");
}

static void
notes_are_broken_at_blanks(void **state)
{
	static const char text[] = "one two three four five six seven eight "
		"nine ten eleven twelve thirteen fourteen fifteen";
	static const char expected[] = "head: one two three four five six "
		"seven eight nine ten eleven twelve thirteen\n"
		"    fourteen fifteen\n";
	char *got = NULL;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	(void)state;
	table_note(out, "head", text);
	fclose(out);
	assert_string_equal(got, expected);
	free(got);
}

static void
foreign_json_harms_nothing(void **state)
{
	static const char *const odd[] = { "{}", "[]", "[1,2]",
		"{\"listeners\":7,\"upstreams\":\"x\",\"connections\":{},"
		"\"names\":[1,null]}",
		"{\"upstreams\":[{\"endpoints\":[3,{},{\"override\":[],"
		"\"health\":7}],\"limited_total\":[3]},[]],"
		"\"listeners\":[null],"
		"\"connections\":[[],\"a\"]}",
		"{\"exchanges\":[3,{},[],{\"at\":\"x\",\"why\":7}]}",
		"{\"exchanges\":{\"a\":1}}" };
	static show_fn *const shows[] = { show_stats, show_connections,
		show_dns, show_why_of_all };
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(odd); i++)
		for (k = 0; k < NELEMS(shows); k++) {
			char *text = shown(shows[k], odd[i]);

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
	    "\"last_error\":\"no such name\"}]}");

	(void)state;
	assert_non_null(strstr(text, "1.50s"));
	assert_non_null(strstr(text, "10.0.0.1:80,10.0.0.2:80"));
	assert_non_null(strstr(text, "no such name"));
	assert_non_null(strstr(text, "  -  "));
	free(text);
}

/* By cause and place, the newest first, whatever a client has sent; what was
   quick is left out. */
static void
causes_are_counted_and_shown_by_example(void **state)
{
	static const char json[] = "{\"exchanges\":["
	    "{\"at\":3,\"failure\":\"queue_timeout\",\"cause\":\"pool_full\","
	    "\"upstream\":\"db\",\"listener\":\"a\",\"why\":\"w1\","
	    "\"request\":\"GET /\\u001b[2J\",\"total_us\":2500000,"
	    "\"queue_us\":2000000,\"first_byte_us\":500000},"
	    "{\"at\":2,\"cause\":\"quick\",\"upstream\":\"db\"},"
	    "{\"at\":2,\"cause\":\"server_slow\",\"upstream\":\"db\","
	    "\"listener\":\"b\",\"why\":\"w2\",\"status\":200},"
	    "{\"at\":1,\"failure\":\"queue_timeout\",\"cause\":\"pool_full\","
	    "\"upstream\":\"db\",\"listener\":\"b\",\"why\":\"w3\"},"
	    "{\"at\":1,\"failure\":\"no_route\",\"cause\":\"route\","
	    "\"upstream\":\"\",\"listener\":\"b\",\"why\":\"w4\"}]}";
	char *text = shown(show_why_of_all, json);

	(void)state;
	assert_string_equal(text,
	    "2 of the 3 failures kept: queue_timeout at upstream db: w1\n"
	    "  00:00:03Z 2.50s (queue 2.00s, first byte 500ms)  GET /?[2J\n"
	    "  00:00:01Z 0us  \n"
	    "1 of the 1 slowest kept: server_slow at upstream db: w2\n"
	    "  00:00:02Z 0us 200  \n"
	    "1 of the 3 failures kept: no_route at listener b: w4\n"
	    "  00:00:01Z 0us  \n");
	free(text);
}

static void
keys_are_told_in_a_line(void **state)
{
	static const struct { const char *json, *line; } rows[] = {
		{ "{\"any\":false,\"endpoint\":\"a:1\",\"resolved\":\"a:1\","
		    "\"state\":\"up\",\"usable\":true,\"home\":\"a:1\"}",
		    "a:1, up\n" },
		{ "{\"any\":false,\"endpoint\":\"a:1\",\"resolved\":"
		    "\"10.0.0.1:1\",\"state\":\"down\",\"usable\":false,"
		    "\"home\":\"a:1\"}",
		    "a:1 (10.0.0.1:1), down: its keys fail\n" },
		{ "{\"any\":false,\"endpoint\":\"b\",\"resolved\":\"b\","
		    "\"state\":\"up\",\"usable\":true,\"home\":\"a\"}",
		    "b, up, for a\n" },
		{ "{\"any\":false,\"endpoint\":null,\"home\":\"a\"}",
		    "none: no endpoint is usable\n" },
		{ "{\"any\":true,\"endpoint\":null,\"home\":null}",
		    "any endpoint, whatever the key: the ring is random\n" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		json_t *j = json_loads(rows[i].json, 0, NULL);
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		assert_non_null(j);
		assert_non_null(out);
		show_key(out, j);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(text, rows[i].line);
		json_decref(j);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
		cmocka_unit_test(an_empty_table_prints_nothing),
		cmocka_unit_test(connections_are_all_shown),
		cmocka_unit_test(an_incomplete_list_says_so),
		cmocka_unit_test(stats_name_everything),
		cmocka_unit_test(trouble_is_told_within_80_columns),
		cmocka_unit_test(a_changed_endpoint_is_shown_with_its_addresses),
		cmocka_unit_test(only_limits_that_did_something_are_shown),
		cmocka_unit_test(shortage_is_told_of),
		cmocka_unit_test(errors_and_leaks_are_told_of),
		cmocka_unit_test(spans_have_one_spelling),
		cmocka_unit_test(notes_are_broken_at_blanks),
		cmocka_unit_test(foreign_json_harms_nothing),
		cmocka_unit_test(causes_are_counted_and_shown_by_example),
		cmocka_unit_test(names_show_age_and_addresses),
		cmocka_unit_test(keys_are_told_in_a_line)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
