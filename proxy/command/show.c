/*
 * What /stats says, as tables and sentences. See show.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/show.h"

#include <stdint.h>
#include <string.h>

#include "proxy/command/field.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

/* The rest of its line: what there is to say of it. */
static void
show_process(FILE *out, const json_t *p)
{
	const char *pressure = field_text(p, "pressure");

	if (field_number(p, "memory_budget_bytes") > 0)
		fprintf(out, " of %.1f MiB",
		    (double)field_number(p, "memory_budget_bytes") / 1048576);
	if (*pressure != '\0' && strcmp(pressure, "none") != 0)
		fprintf(out, "  pressure: %s", pressure);
	if (field_number(p, "log_dropped_total") > 0)
		fprintf(out, "  log lines lost %lld",
		    field_number(p, "log_dropped_total"));
	putc('\n', out);
}

static void
show_program(FILE *out, const json_t *s)
{
	const json_t *reload = json_object_get(s, "reload");
	const json_t *p = json_object_get(s, "process");
	const char *state = json_is_true(json_object_get(s, "draining")) ?
	    "draining" : json_is_true(json_object_get(s, "ready")) ? "ready" :
	    "not ready";
	char up[SPAN_TEXT], until[FIELD_MOMENT];

	fprintf(out, "weir %s  pid %lld  up %s  generation %lld  %s",
	    field_text(s, "version"), field_number(s, "pid"),
	    span_s((long long)json_number_value(json_object_get(s,
	    "uptime_s")), up), field_number(s, "generation"), state);
	if (*field_text(s, "missing") != '\0')
		fprintf(out, ": %s", field_text(s, "missing"));
	fprintf(out, "\ndescriptors %lld of %lld  memory %.1f MiB",
	    field_number(p, "fds"), field_number(p, "fds_max"),
	    (double)field_number(p, "memory_bytes") / 1048576);
	show_process(out, p);
	if (field_number(reload, "overrides") > 0)
		fprintf(out, "changed by hand: %lld of the endpoints\n",
		    field_number(reload, "overrides"));
	if (reload != NULL && strcmp(field_text(reload, "last"), "ok") != 0)
		fprintf(out, "the last reload was refused: %s\n",
		    field_text(reload, "last"));
	if (field_number(reload, "confirm_until") > 0)
		fprintf(out, "the last reload goes back at %s unless it is "
		    "confirmed\n", field_moment(reload, "confirm_until",
		    until));
}

/* --------------------------------------------------------------- listeners */

static void
add_time(struct table *t, const json_t *row, const char *group, const char *key)
{
	char text[SPAN_TEXT];

	table_add(t, "%s", span_us(field_number_in(row, group, key), text));
}

/* The largest of the numbers that is no larger than most, and behind the one
   that was told last. */
static const char *
next_reason(json_t *numbers, long long most, const char *last)
{
	const char *key, *next = NULL;
	bool told = last == NULL;
	long long best = 0;
	json_t *n;

	json_object_foreach(numbers, key, n) {
		long long is = (long long)json_integer_value(n);

		if (is > best && (is < most || (is == most && told))) {
			best = is;
			next = key;
		}
		told = told || strcmp(key, last) == 0;
	}
	return next;
}

/* What the sum of a group of its numbers is made of. */
static void
note_tally(FILE *out, const json_t *row, const char *group, const char *what)
{
	json_t *numbers = json_object_get(row, group);
	char text[1024], head[160];
	const char *reason = NULL;
	long long n = INT64_MAX;
	size_t at = 0;

	while ((reason = next_reason(numbers, n, reason)) != NULL &&
	    at < sizeof(text)) {
		n = field_number(numbers, reason);
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		    "%s%s %lld%s", at > 0 ? ", " : "", reason, n,
		    strcmp(reason, "client_abort") == 0 ?
		    " (clients that left)" : "");
	}
	if (at == 0)
		return;
	snprintf(head, sizeof(head), "%.100s: %s", field_text(row, "name"),
	    what);
	table_note(out, head, text);
}

/* 5XX: as clients saw it, weir's own among them; FAILURES are only those. */
static void
show_listeners(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-LISTENER", "-BIND", "CLIENTS",
		"REQUESTS", "FAILURES", "5XX", "P50", "P99", "MAX", NULL };
	char binds[256];
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *l = json_array_get(rows, i);

		field_joined(l, "bind", binds, sizeof(binds));
		table_add(&t, "%s", field_text(l, "name"));
		table_add(&t, "%s", binds);
		table_add(&t, "%lld", field_number_in(l, "connections",
		    "active"));
		table_add(&t, "%lld", field_number(l, "requests_total"));
		table_add(&t, "%lld", field_sum(l, "failures_total"));
		table_add(&t, "%lld", field_number_in(l, "outcomes_total",
		    "5xx"));
		add_time(&t, l, "latency_us", "p50");
		add_time(&t, l, "latency_us", "p99");
		add_time(&t, l, "latency_us", "max");
	}
	table_section(&t, out);
	for (i = 0; i < json_array_size(rows); i++)
		note_tally(out, json_array_get(rows, i), "failures_total",
		    "failures");
}

/* --------------------------------------------------------------- upstreams */

static void
show_pause(FILE *out, const json_t *u)
{
	long long waiting = field_number_in(u, "pool", "waiting");
	long long leased = field_number_in(u, "pool", "leased") +
	    field_number_in(u, "pool", "elsewhere_leased");

	fprintf(out, "%s is paused by hand: %lld %s, %lld %s still leased\n",
	    field_text(u, "name"), waiting, waiting == 1 ? "waits" : "wait",
	    leased, leased == 1 ? "is" : "are");
}

/* Those in which nothing new begins. */
static void
show_paused(FILE *out, const json_t *rows)
{
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);

		if (json_is_true(json_object_get(u, "paused")))
			show_pause(out, u);
	}
}

/* Those whose numbers do not add up here alone. */
static void
show_elsewhere(FILE *out, const json_t *rows)
{
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);
		long long n = field_number_in(u, "pool", "elsewhere");

		if (n > 0)
			fprintf(out, "%s: of those open %lld %s another "
			    "weir's, while an upgrade lasts\n",
			    field_text(u, "name"), n, n == 1 ? "is" : "are");
	}
}

const char *
show_fault(const char *delay, bool error, bool reset, char out[SHOW_FAULT])
{
	const char *then = error ? "answered with an error" : reset ?
	    "cut, by a reset of their client's connection" : "";

	if (delay == NULL)
		snprintf(out, SHOW_FAULT, "are %s", then);
	else
		snprintf(out, SHOW_FAULT, "are delayed by %.20s%s%s", delay,
		    *then != '\0' ? ", then " : "", then);
	return out;
}

/* Those of whose exchanges some are made to fail. */
static void
show_faults(FILE *out, const json_t *rows)
{
	char delay[SPAN_TEXT], until[FIELD_MOMENT], what[SHOW_FAULT];
	char head[256], text[256];
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);
		const json_t *f = json_object_get(u, "fault");
		long long ms = field_number(f, "delay_ms");

		if (!json_is_object(f))
			continue;
		show_fault(ms > 0 ? span_ms(ms, delay) : NULL,
		    json_is_true(json_object_get(f, "error")),
		    json_is_true(json_object_get(f, "reset")), what);
		snprintf(head, sizeof(head), "%.120s has faults by hand until "
		    "%s", field_text(u, "name"), field_moment(f, "until",
		    until));
		snprintf(text, sizeof(text), "%g %% of its exchanges %s; %lld "
		    "so far", json_number_value(json_object_get(f, "percent")),
		    what, field_number(f, "hit_total"));
		table_note(out, head, text);
	}
}

/* Those some of whose leases last for longer than they should. */
static void
show_leaks(FILE *out, const json_t *rows)
{
	char text[160];
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);
		long long n = field_number_in(u, "pool", "leaks");

		if (n == 0)
			continue;
		snprintf(text, sizeof(text), "%lld %s held for longer than "
		    "pool.leak_after: weir connections %.60s --leased", n,
		    n == 1 ? "connection is" : "connections are",
		    field_text(u, "name"));
		table_note(out, field_text(u, "name"), text);
	}
}

static void
show_pools(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-UPSTREAM", "-MODE", "-READY",
		"MAX", "OPEN", "IDLE", "LEASED", "CONNECTING", "WAITING",
		NULL };
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);

		table_add(&t, "%s", field_text(u, "name"));
		table_add(&t, "%s", field_text(json_object_get(u, "pool"),
		    "mode"));
		table_add(&t, "%s", json_is_true(json_object_get(u, "ready")) ?
		    "yes" : "no");
		table_add(&t, "%lld", field_number_in(u, "pool", "max"));
		table_add(&t, "%lld", field_number_in(u, "pool", "open"));
		table_add(&t, "%lld", field_number_in(u, "pool", "idle"));
		table_add(&t, "%lld", field_number_in(u, "pool", "leased"));
		table_add(&t, "%lld", field_number_in(u, "pool", "connecting"));
		table_add(&t, "%lld", field_number_in(u, "pool", "waiting"));
	}
	table_section(&t, out);
	show_paused(out, rows);
	show_faults(out, rows);
	show_leaks(out, rows);
	show_elsewhere(out, rows);
}

/* What the pools should be, by what was wanted of late. */
static void
show_advice(FILE *out, const json_t *rows)
{
	size_t i, k;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);
		const json_t *texts = json_object_get(json_object_get(u,
		    "advice"), "text");

		for (k = 0; k < json_array_size(texts); k++) {
			const char *text = json_string_value(
			    json_array_get(texts, k));

			if (text != NULL)
				table_note(out, field_text(u, "name"), text);
		}
	}
}

static void
show_traffic(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-UPSTREAM", "REQUESTS", "REUSED",
		"CONNECTS", "RETRIES", "ERRORS", "QUEUE P99", "REPLY P99",
		NULL };
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);

		table_add(&t, "%s", field_text(u, "name"));
		table_add(&t, "%lld", field_number(u, "requests_total"));
		table_add(&t, "%lld", field_number(u, "reused_total"));
		table_add(&t, "%lld", field_number(u, "connects_total"));
		table_add(&t, "%lld", field_number(u, "retries_total"));
		table_add(&t, "%lld", field_sum(u, "server_errors_total"));
		add_time(&t, u, "queue_us", "p99");
		add_time(&t, u, "first_byte_us", "p99");
	}
	table_section(&t, out);
	for (i = 0; i < json_array_size(rows); i++)
		note_tally(out, json_array_get(rows, i), "server_errors_total",
		    "errors that servers answered");
}

/* ------------------------------------------------------------------ limits */

/* Those of one listener or upstream that have done something. */
static void
add_limits(struct table *t, const char *what, const json_t *row)
{
	static const char *const groups[] = { "limited_total", "delayed_total",
		"shadow_total" };
	const char *name;
	json_t *n;
	size_t i;

	json_object_foreach(json_object_get(row, "limited_total"), name, n) {
		long long each[3], sum = 0;

		for (i = 0; i < 3; i++)
			sum += each[i] = field_number_in(row, groups[i], name);
		if (sum == 0)
			continue;
		table_add(t, "%s %s", what, field_text(row, "name"));
		table_add(t, "%s", name);
		for (i = 0; i < 3; i++)
			table_add(t, "%lld", each[i]);
	}
}

static void
show_limits(FILE *out, const json_t *s)
{
	static const char *const heads[] = { "-LIMITS OF", "-LIMIT", "REFUSED",
		"DELAYED", "SHADOW", NULL };
	const json_t *listeners = json_object_get(s, "listeners");
	const json_t *upstreams = json_object_get(s, "upstreams");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(listeners); i++)
		add_limits(&t, "listener", json_array_get(listeners, i));
	for (i = 0; i < json_array_size(upstreams); i++)
		add_limits(&t, "upstream", json_array_get(upstreams, i));
	table_section(&t, out);
}

void
show_stats(FILE *out, const json_t *s)
{
	show_program(out, s);
	show_listeners(out, json_object_get(s, "listeners"));
	show_pools(out, json_object_get(s, "upstreams"));
	show_traffic(out, json_object_get(s, "upstreams"));
	show_advice(out, json_object_get(s, "upstreams"));
	show_limits(out, s);
	show_endpoints(out, json_object_get(s, "upstreams"));
}
