/*
 * Tables of what the admin port says. See show.h.
 *
 * What is missing in the JSON is shown as 0 or nothing: client and weir may be
 * of different versions.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/show.h"

#include <string.h>

#include "proxy/table.h"

enum { SHORT = 24 };

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static long long
number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* Of an object inside. */
static long long
number_in(const json_t *o, const char *group, const char *key)
{
	return number_of(json_object_get(o, group), key);
}

static long long
sum_of(const json_t *o, const char *group)
{
	json_t *numbers = json_object_get(o, group), *n;
	long long sum = 0;
	const char *key;

	json_object_foreach(numbers, key, n)
		sum += (long long)json_integer_value(n);
	return sum;
}

/* Three digits are enough to compare by. */
static const char *
micros(long long us, char out[SHORT])
{
	if (us >= 1000000)
		snprintf(out, SHORT, "%.2fs", (double)us / 1e6);
	else if (us >= 1000)
		snprintf(out, SHORT, us < 10000 ? "%.2fms" : "%.1fms",
		    (double)us / 1e3);
	else
		snprintf(out, SHORT, "%lldus", us);
	return out;
}

static const char *
millis(long long ms, char out[SHORT])
{
	if (ms < 0)
		snprintf(out, SHORT, "-");
	else if (ms < 1000)
		snprintf(out, SHORT, "%lldms", ms);
	else if (ms < 100 * 1000)
		snprintf(out, SHORT, "%.1fs", (double)ms / 1e3);
	else if (ms < 100 * 60 * 1000)
		snprintf(out, SHORT, "%lldm", ms / 60000);
	else
		snprintf(out, SHORT, "%.1fh", (double)ms / 3.6e6);
	return out;
}

/* ------------------------------------------------------------------- stats */

static void
show_program(FILE *out, const json_t *s)
{
	const json_t *reload = json_object_get(s, "reload");
	const char *state = json_is_true(json_object_get(s, "draining")) ?
	    "draining" : json_is_true(json_object_get(s, "ready")) ? "ready" :
	    "not ready";
	char up[SHORT];

	fprintf(out, "weir %s  pid %lld  up %s  configuration #%lld  %s",
	    text_of(s, "version"), number_of(s, "pid"),
	    millis((long long)(json_number_value(json_object_get(s,
	    "uptime_s")) * 1e3), up), number_of(s, "generation"), state);
	if (*text_of(s, "missing") != '\0')
		fprintf(out, ": %s", text_of(s, "missing"));
	fprintf(out, "\ndescriptors %lld of %lld  memory %.1f MiB\n",
	    number_in(s, "process", "fds"), number_in(s, "process", "fds_max"),
	    (double)number_in(s, "process", "memory_bytes") / 1048576);
	if (reload != NULL && strcmp(text_of(reload, "last"), "ok") != 0)
		fprintf(out, "the last reload was refused: %s\n",
		    text_of(reload, "last"));
}

static void
join_texts(const json_t *texts, char *out, size_t size)
{
	size_t i, at = 0;

	*out = '\0';
	for (i = 0; i < json_array_size(texts) && at < size; i++) {
		const char *text = json_string_value(json_array_get(texts, i));
		int n = snprintf(out + at, size - at, "%s%s", i > 0 ? "," : "",
		    text != NULL ? text : "");

		at += n > 0 ? (size_t)n : 0;
	}
}

static void
show_listeners(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-LISTENER", "-PROTOCOL", "-BIND",
		"CLIENTS", "ACCEPTED", "REJECTED", "REQUESTS", "FAILURES",
		"P50", "P99", "MAX", NULL };
	char binds[256], p50[SHORT], p99[SHORT], max[SHORT];
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *l = json_array_get(rows, i);

		join_texts(json_object_get(l, "bind"), binds, sizeof(binds));
		table_add(&t, "%s", text_of(l, "name"));
		table_add(&t, "%s", text_of(l, "protocol"));
		table_add(&t, "%s", binds);
		table_add(&t, "%lld", number_in(l, "connections", "active"));
		table_add(&t, "%lld",
		    number_in(l, "connections", "accepted_total"));
		table_add(&t, "%lld",
		    number_in(l, "connections", "rejected_total"));
		table_add(&t, "%lld", number_of(l, "requests_total"));
		table_add(&t, "%lld", sum_of(l, "failures_total"));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "p50"),
		    p50));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "p99"),
		    p99));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "max"),
		    max));
	}
	putc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

static void
add_upstream(struct table *t, const json_t *u)
{
	char queue[SHORT], first[SHORT];

	table_add(t, "%s", text_of(u, "name"));
	table_add(t, "%s", text_of(json_object_get(u, "pool"), "mode"));
	table_add(t, "%s", json_is_true(json_object_get(u, "ready")) ? "yes" :
	    "no");
	table_add(t, "%lld", number_in(u, "pool", "max"));
	table_add(t, "%lld", number_in(u, "pool", "open"));
	table_add(t, "%lld", number_in(u, "pool", "idle"));
	table_add(t, "%lld", number_in(u, "pool", "leased"));
	table_add(t, "%lld", number_in(u, "pool", "connecting"));
	table_add(t, "%lld", number_in(u, "pool", "waiting"));
	table_add(t, "%lld", number_of(u, "requests_total"));
	table_add(t, "%lld", number_of(u, "connects_total"));
	table_add(t, "%lld", number_of(u, "retries_total"));
	table_add(t, "%s", micros(number_in(u, "queue_us", "p99"), queue));
	table_add(t, "%s", micros(number_in(u, "first_byte_us", "p99"), first));
}

static void
show_upstreams(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-UPSTREAM", "-MODE", "-READY",
		"MAX", "OPEN", "IDLE", "LEASED", "CONNECTING", "WAITING",
		"REQUESTS", "CONNECTS", "RETRIES", "QUEUE P99", "REPLY P99",
		NULL };
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		add_upstream(&t, json_array_get(rows, i));
	putc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

static void
add_endpoint(struct table *t, const json_t *u, const json_t *e)
{
	const char *name = text_of(e, "name");
	const char *resolved = text_of(e, "resolved");

	table_add(t, "%s", text_of(u, "name"));
	table_add(t, "%s", name);
	table_add(t, "%s", strcmp(name, resolved) == 0 ? "" : resolved);
	table_add(t, "%s", text_of(e, "state"));
	table_add(t, "%lld", number_of(e, "weight"));
	table_add(t, "%lld", number_of(e, "open"));
	table_add(t, "%lld", number_of(e, "leased"));
	table_add(t, "%lld", sum_of(e, "failures_total"));
	table_add(t, "%s", text_of(e, "last_error"));
}

static void
show_endpoints(FILE *out, const json_t *upstreams)
{
	static const char *const heads[] = { "-UPSTREAM", "-ENDPOINT",
		"-ADDRESS", "-STATE", "WEIGHT", "OPEN", "LEASED", "FAILURES",
		"-LAST ERROR", NULL };
	struct table t;
	size_t i, k;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(upstreams); i++) {
		const json_t *u = json_array_get(upstreams, i);
		const json_t *rows = json_object_get(u, "endpoints");

		for (k = 0; k < json_array_size(rows); k++)
			add_endpoint(&t, u, json_array_get(rows, k));
	}
	putc('\n', out);
	table_print(&t, out);
	table_fini(&t);
}

void
show_stats(FILE *out, const json_t *s, const struct show_filter *f)
{
	(void)f;
	show_program(out, s);
	show_listeners(out, json_object_get(s, "listeners"));
	show_upstreams(out, json_object_get(s, "upstreams"));
	show_endpoints(out, json_object_get(s, "upstreams"));
}

/* ------------------------------------------------------------- connections */

static bool
passes(const struct show_filter *f, const json_t *row)
{
	if (f->upstream != NULL &&
	    strcmp(f->upstream, text_of(row, "upstream")) != 0)
		return false;
	if (f->leased && strcmp(text_of(row, "state"), "leased") != 0)
		return false;
	return number_of(row, "state_ms") >= f->older_ms;
}

static void
add_connection(struct table *t, const json_t *row)
{
	char age[SHORT], since[SHORT];
	const char *mark = text_of(row, "mark");

	table_add(t, "%lld", number_of(row, "id"));
	table_add(t, "%s", text_of(row, "upstream"));
	table_add(t, "%s", text_of(row, "endpoint"));
	table_add(t, "%s", text_of(row, "resolved"));
	table_add(t, "%lld", number_of(row, "worker"));
	table_add(t, "%s", text_of(row, "state"));
	table_add(t, "%s", millis(number_of(row, "state_ms"), since));
	table_add(t, "%s", millis(number_of(row, "age_ms"), age));
	table_add(t, "%lld", number_of(row, "uses"));
	table_add(t, "%s%s%s", strcmp(mark, "clean") == 0 ? "" : mark,
	    *text_of(row, "mark_reason") != '\0' ? ": " : "",
	    text_of(row, "mark_reason"));
}

void
show_connections(FILE *out, const json_t *j, const struct show_filter *f)
{
	static const char *const heads[] = { "ID", "-UPSTREAM", "-ENDPOINT",
		"-ADDRESS", "WORKER", "-STATE", "FOR", "AGE", "USES", "-MARK",
		NULL };
	const json_t *rows = json_object_get(j, "connections");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		if (passes(f, json_array_get(rows, i)))
			add_connection(&t, json_array_get(rows, i));
	if (t.n_cells == 0)
		fputs("no connections\n", out);
	table_print(&t, out);
	if (json_is_false(json_object_get(j, "complete")))
		fputs("(a worker did not answer in time: not all are here)\n",
		    out);
	table_fini(&t);
}

/* --------------------------------------------------------------------- dns */

static void
add_name(struct table *t, const json_t *row)
{
	char addresses[1024], age[SHORT], next[SHORT];

	join_texts(json_object_get(row, "addresses"), addresses,
	    sizeof(addresses));
	table_add(t, "%s", text_of(row, "upstream"));
	table_add(t, "%s", text_of(row, "endpoint"));
	table_add(t, "%s", millis(number_of(row, "age_ms"), age));
	table_add(t, "%s", millis(number_of(row, "next_ms"), next));
	table_add(t, "%s", addresses);
	table_add(t, "%s", text_of(row, "last_error"));
}

void
show_dns(FILE *out, const json_t *j, const struct show_filter *f)
{
	static const char *const heads[] = { "-UPSTREAM", "-ENDPOINT", "AGE",
		"NEXT", "-ADDRESSES", "-LAST ERROR", NULL };
	const json_t *rows = json_object_get(j, "names");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		if (passes(f, json_array_get(rows, i)))
			add_name(&t, json_array_get(rows, i));
	if (t.n_cells == 0)
		fputs("no names are looked up\n", out);
	table_print(&t, out);
	table_fini(&t);
}
