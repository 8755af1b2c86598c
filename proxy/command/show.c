/*
 * Tables of what the admin port says. See show.h.
 *
 * What is missing in the JSON is shown as 0 or nothing: client and weir may be
 * of different versions.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/show.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/command/table.h"

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

/* As drift and the logs write it. */
static const char *
moment(long long at_s, char out[SHORT])
{
	time_t at = (time_t)at_s;
	struct tm tm;

	*out = '\0';
	if (gmtime_r(&at, &tm) != NULL)
		strftime(out, SHORT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

/* ------------------------------------------------------------------- stats */

/* The rest of its line: what there is to say of it. */
static void
show_process(FILE *out, const json_t *p)
{
	const char *pressure = text_of(p, "pressure");

	if (number_of(p, "memory_budget_bytes") > 0)
		fprintf(out, " of %.1f MiB",
		    (double)number_of(p, "memory_budget_bytes") / 1048576);
	if (*pressure != '\0' && strcmp(pressure, "none") != 0)
		fprintf(out, "  pressure: %s", pressure);
	if (number_of(p, "log_dropped_total") > 0)
		fprintf(out, "  log lines lost %lld",
		    number_of(p, "log_dropped_total"));
	putc('\n', out);
}

static void
show_program(FILE *out, const json_t *s)
{
	const json_t *reload = json_object_get(s, "reload");
	const char *state = json_is_true(json_object_get(s, "draining")) ?
	    "draining" : json_is_true(json_object_get(s, "ready")) ? "ready" :
	    "not ready";
	char up[SHORT];

	fprintf(out, "weir %s  pid %lld  up %s  generation %lld  %s",
	    text_of(s, "version"), number_of(s, "pid"),
	    millis((long long)(json_number_value(json_object_get(s,
	    "uptime_s")) * 1e3), up), number_of(s, "generation"), state);
	if (*text_of(s, "missing") != '\0')
		fprintf(out, ": %s", text_of(s, "missing"));
	fprintf(out, "\ndescriptors %lld of %lld  memory %.1f MiB",
	    number_in(s, "process", "fds"), number_in(s, "process", "fds_max"),
	    (double)number_in(s, "process", "memory_bytes") / 1048576);
	show_process(out, json_object_get(s, "process"));
	if (number_of(reload, "overrides") > 0)
		fprintf(out, "changed by hand: %lld of the endpoints\n",
		    number_of(reload, "overrides"));
	if (reload != NULL && strcmp(text_of(reload, "last"), "ok") != 0)
		fprintf(out, "the last reload was refused: %s\n",
		    text_of(reload, "last"));
}

/* After an empty line, if it has rows at all. */
static void
table_end(struct table *t, FILE *out)
{
	if (t->n_cells > 0)
		putc('\n', out);
	table_print(t, out);
	table_fini(t);
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
	static const char *const heads[] = { "-LISTENER", "-BIND", "CLIENTS",
		"REQUESTS", "FAILURES", "P50", "P99", "MAX", NULL };
	char binds[256], p50[SHORT], p99[SHORT], max[SHORT];
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *l = json_array_get(rows, i);

		join_texts(json_object_get(l, "bind"), binds, sizeof(binds));
		table_add(&t, "%s", text_of(l, "name"));
		table_add(&t, "%s", binds);
		table_add(&t, "%lld", number_in(l, "connections", "active"));
		table_add(&t, "%lld", number_of(l, "requests_total"));
		table_add(&t, "%lld", sum_of(l, "failures_total"));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "p50"),
		    p50));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "p99"),
		    p99));
		table_add(&t, "%s", micros(number_in(l, "latency_us", "max"),
		    max));
	}
	table_end(&t, out);
}

static void
show_pause(FILE *out, const json_t *u)
{
	long long waiting = number_in(u, "pool", "waiting");
	long long leased = number_in(u, "pool", "leased");

	fprintf(out, "%s is paused by hand: %lld %s, %lld %s still leased\n",
	    text_of(u, "name"), waiting, waiting == 1 ? "waits" : "wait",
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
		long long n = number_in(u, "pool", "elsewhere");

		if (n > 0)
			fprintf(out, "%s: of those open %lld %s another weir's, "
			    "while an upgrade lasts\n", text_of(u, "name"), n,
			    n == 1 ? "is" : "are");
	}
}

/* Those of whose exchanges some are made to fail. */
static void
show_faults(FILE *out, const json_t *rows)
{
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);
		const json_t *f = json_object_get(u, "fault");
		char delay[SHORT], until[SHORT];

		if (!json_is_object(f))
			continue;
		fprintf(out, "%s has faults by hand until %s: of %g %%%s%s%s, "
		    "so far %lld\n", text_of(u, "name"),
		    moment(number_of(f, "until"), until),
		    json_number_value(json_object_get(f, "percent")),
		    number_of(f, "delay_ms") > 0 ? " a delay of " : "",
		    number_of(f, "delay_ms") > 0 ? millis(number_of(f,
		    "delay_ms"), delay) : "",
		    json_is_true(json_object_get(f, "error")) ? " an error" :
		    json_is_true(json_object_get(f, "reset")) ? " a reset" : "",
		    number_of(f, "hit_total"));
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

		table_add(&t, "%s", text_of(u, "name"));
		table_add(&t, "%s", text_of(json_object_get(u, "pool"),
		    "mode"));
		table_add(&t, "%s", json_is_true(json_object_get(u, "ready")) ?
		    "yes" : "no");
		table_add(&t, "%lld", number_in(u, "pool", "max"));
		table_add(&t, "%lld", number_in(u, "pool", "open"));
		table_add(&t, "%lld", number_in(u, "pool", "idle"));
		table_add(&t, "%lld", number_in(u, "pool", "leased"));
		table_add(&t, "%lld", number_in(u, "pool", "connecting"));
		table_add(&t, "%lld", number_in(u, "pool", "waiting"));
	}
	table_end(&t, out);
	show_paused(out, rows);
	show_faults(out, rows);
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
				table_note(out, text_of(u, "name"), text);
		}
	}
}

static void
show_traffic(FILE *out, const json_t *rows)
{
	static const char *const heads[] = { "-UPSTREAM", "REQUESTS", "REUSED",
		"CONNECTS", "RETRIES", "QUEUE P99", "REPLY P99", NULL };
	char queue[SHORT], first[SHORT];
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *u = json_array_get(rows, i);

		table_add(&t, "%s", text_of(u, "name"));
		table_add(&t, "%lld", number_of(u, "requests_total"));
		table_add(&t, "%lld", number_of(u, "reused_total"));
		table_add(&t, "%lld", number_of(u, "connects_total"));
		table_add(&t, "%lld", number_of(u, "retries_total"));
		table_add(&t, "%s", micros(number_in(u, "queue_us", "p99"),
		    queue));
		table_add(&t, "%s", micros(number_in(u, "first_byte_us",
		    "p99"), first));
	}
	table_end(&t, out);
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
			sum += each[i] = number_in(row, groups[i], name);
		if (sum == 0)
			continue;
		table_add(t, "%s %s", what, text_of(row, "name"));
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
	table_end(&t, out);
}

/* --------------------------------------------------------------- endpoints */

static bool
has_address(const json_t *e)
{
	const char *resolved = text_of(e, "resolved");

	return *resolved != '\0' && strcmp(text_of(e, "name"), resolved) != 0;
}

/* with_address: a column for what the names resolve to. */
static void
add_endpoint(struct table *t, const char *upstream, const json_t *e,
    bool with_address)
{
	table_add(t, "%s", upstream);
	table_add(t, "%s", text_of(e, "name"));
	if (with_address)
		table_add(t, "%s", has_address(e) ? text_of(e, "resolved") :
		    "");
	table_add(t, "%s", text_of(e, "state"));
	table_add(t, "%lld", number_of(e, "weight"));
	table_add(t, "%lld", number_of(e, "open"));
	table_add(t, "%lld", number_of(e, "leased"));
	table_add(t, "%lld", sum_of(e, "failures_total"));
}

static const char *const *
endpoint_heads(bool with_address)
{
	static const char *const plain[] = { "-UPSTREAM", "-ENDPOINT",
		"-STATE", "WEIGHT", "OPEN", "LEASED", "FAILURES", NULL };
	static const char *const resolved[] = { "-UPSTREAM", "-ENDPOINT",
		"-ADDRESS", "-STATE", "WEIGHT", "OPEN", "LEASED", "FAILURES",
		NULL };

	return with_address ? resolved : plain;
}

static void
say(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One more piece of a note. */
static void
say(FILE *out, const char *fmt, ...)
{
	va_list ap;

	if (ftell(out) > 0)
		fputs("; ", out);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
}

static void
say_override(FILE *out, const json_t *o)
{
	const char *state = text_of(o, "state");
	bool own_state = strcmp(state, "conf") != 0;
	char until[SHORT];

	if (!json_is_object(o))
		return;
	say(out, "by hand: %s", own_state ? state : "");
	if (number_of(o, "weight") > 0)
		fprintf(out, "%sweight %lld", own_state ? ", " : "",
		    number_of(o, "weight"));
	if (number_of(o, "until") > 0)
		fprintf(out, ", until %s", moment(number_of(o, "until"),
		    until));
}

/* What is not as it should be, or not as the file says. */
static void
say_endpoint(FILE *out, const json_t *e)
{
	const char *state = text_of(e, "state");
	const char *check = text_of(json_object_get(e, "health"), "last");
	char time[SHORT];

	if (strcmp(state, "up") != 0 && number_of(e, "since") > 0)
		say(out, "%s since %s", state, moment(number_of(e, "since"),
		    time));
	say_override(out, json_object_get(e, "override"));
	if (*check != '\0' && strcmp(check, "ok") != 0)
		say(out, "last check: %s", check);
	if (number_of(e, "ejections_total") > 0)
		say(out, "ejected so far: %lld",
		    number_of(e, "ejections_total"));
	if (number_of(e, "held_ms") > 0)
		say(out, "asks for a pause of %s",
		    millis(number_of(e, "held_ms"), time));
	if (*text_of(e, "last_error") != '\0')
		say(out, "last error: %s", text_of(e, "last_error"));
}

/* A paragraph for an endpoint of which there is something to say. */
static void
note_endpoint(FILE *out, const char *upstream, const json_t *e, bool *first)
{
	char *text = NULL, *head = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return;
	say_endpoint(f, e);
	if (fclose(f) == 0 && *text != '\0' && asprintf(&head, "%s %s%s%s%s",
	    upstream, text_of(e, "name"), has_address(e) ? " (" : "",
	    has_address(e) ? text_of(e, "resolved") : "",
	    has_address(e) ? ")" : "") >= 0) {
		if (*first)
			putc('\n', out);
		*first = false;
		table_note(out, head, text);
		free(head);
	}
	free(text);
}

/* One pass over all endpoints: what is asked of each row. */
struct endpoint_rows {
	FILE *out;
	struct table *t;                /* NULL = notes instead of rows */
	bool with_address, none_yet;
};

static void
print_row(struct endpoint_rows *rows, const char *upstream, const json_t *e)
{
	if (rows->t != NULL)
		add_endpoint(rows->t, upstream, e, rows->with_address);
	else
		note_endpoint(rows->out, upstream, e, &rows->none_yet);
}

static void
print_rows(struct endpoint_rows *rows, const json_t *upstreams)
{
	size_t i, k;

	for (i = 0; i < json_array_size(upstreams); i++) {
		const json_t *u = json_array_get(upstreams, i);
		const json_t *each = json_object_get(u, "endpoints");

		for (k = 0; k < json_array_size(each); k++)
			print_row(rows, text_of(u, "name"),
			    json_array_get(each, k));
	}
}

static bool
any_has_address(const json_t *upstreams)
{
	size_t i, k;

	for (i = 0; i < json_array_size(upstreams); i++) {
		const json_t *each = json_object_get(json_array_get(upstreams,
		    i), "endpoints");

		for (k = 0; k < json_array_size(each); k++)
			if (has_address(json_array_get(each, k)))
				return true;
	}
	return false;
}

static void
show_endpoints(FILE *out, const json_t *upstreams)
{
	struct endpoint_rows rows = { .out = out, .none_yet = true };
	struct table t;

	rows.with_address = any_has_address(upstreams);
	table_init(&t, endpoint_heads(rows.with_address));
	rows.t = &t;
	print_rows(&rows, upstreams);
	table_end(&t, out);
	rows.t = NULL;
	print_rows(&rows, upstreams);
}

void
show_endpoint(FILE *out, const char *upstream, const json_t *first)
{
	const json_t *others = json_object_get(first, "others");
	struct endpoint_rows rows = { .out = out, .none_yet = true };
	struct table t;
	size_t i;

	rows.with_address = has_address(first);
	table_init(&t, endpoint_heads(rows.with_address));
	rows.t = &t;
	print_row(&rows, upstream, first);
	for (i = 0; i < json_array_size(others); i++)
		print_row(&rows, upstream, json_array_get(others, i));
	table_print(&t, out);
	table_fini(&t);
	rows.t = NULL;
	print_row(&rows, upstream, first);
	for (i = 0; i < json_array_size(others); i++)
		print_row(&rows, upstream, json_array_get(others, i));
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

/* --------------------------------------------------------------------- keys */

void
show_key(FILE *out, const json_t *j)
{
	const char *endpoint = json_string_value(json_object_get(j,
	    "endpoint"));
	const char *resolved = text_of(j, "resolved");
	const char *home = text_of(j, "home");

	if (json_is_true(json_object_get(j, "any"))) {
		fputs("any endpoint, whatever the key: the ring is random\n",
		    out);
		return;
	}
	if (endpoint == NULL) {
		fprintf(out, "%s\n", *home != '\0' ? "none: no endpoint is "
		    "usable" : "none: its endpoint has no address yet, or "
		    "there is none that is usable");
		return;
	}
	fprintf(out, "%s", endpoint);
	if (strcmp(resolved, endpoint) != 0)
		fprintf(out, " (%s)", resolved);
	fprintf(out, ", %s%s", text_of(j, "state"),
	    json_is_true(json_object_get(j, "usable")) ? "" :
	    ": its keys fail");
	if (*home != '\0' && strcmp(home, endpoint) != 0)
		fprintf(out, ", for %s", home);
	putc('\n', out);
}

/* ------------------------------------------------------------- connections */

/* Whose it is, in two cells: the client, and its process where that is on this
   machine and known. */
static void
add_holder(struct table *t, const json_t *row)
{
	const json_t *first =
	    json_array_get(json_object_get(row, "holders"), 0);
	const json_t *process = json_object_get(first, "process");
	const json_t *uid = json_object_get(first, "uid");
	long long others = number_of(row, "holders_total") - 1;

	if (others > 0)
		table_add(t, "%s +%lld", text_of(first, "client"), others);
	else
		table_add(t, "%s", text_of(first, "client"));
	if (json_is_object(process))
		table_add(t, "%s %lld", text_of(process, "name"),
		    number_of(process, "pid"));
	else if (json_is_integer(uid))
		table_add(t, "uid %lld", (long long)json_integer_value(uid));
	else
		table_add(t, "%s", "");
}

/* Why it is not as others are: pinned, dirty, held for too long. */
static void
add_note(struct table *t, const json_t *row)
{
	const char *mark = text_of(row, "mark");
	const char *pinned = text_of(row, "pinned");
	const char *reason = text_of(row, "mark_reason");
	bool leaked = json_is_true(json_object_get(row, "leaked"));
	bool marked = strcmp(mark, "clean") != 0 && *mark != '\0';

	table_add(t, "%s%s%s%s%s%s%s%s", leaked ? "LEAKED" : "",
	    leaked && *pinned != '\0' ? ", " : "",
	    *pinned != '\0' ? "pinned: " : "", pinned,
	    marked && (leaked || *pinned != '\0') ? ", " : "",
	    marked ? mark : "", marked && *reason != '\0' ? ": " : "",
	    marked ? reason : "");
}

static void
add_connection(struct table *t, const json_t *row)
{
	const char *resolved = text_of(row, "resolved");
	char age[SHORT], since[SHORT];

	table_add(t, "%lld", number_of(row, "id"));
	table_add(t, "%s", text_of(row, "upstream"));
	if (*resolved != '\0' && strcmp(resolved, text_of(row, "endpoint")) != 0)
		table_add(t, "%s %s", text_of(row, "endpoint"), resolved);
	else
		table_add(t, "%s", text_of(row, "endpoint"));
	table_add(t, "%s", text_of(row, "state"));
	table_add(t, "%s", millis(number_of(row, "state_ms"), since));
	table_add(t, "%s", millis(number_of(row, "age_ms"), age));
	table_add(t, "%lld", number_of(row, "uses"));
	add_holder(t, row);
	table_add(t, "%s", text_of(row, "last_request"));
	add_note(t, row);
}

void
show_connections(FILE *out, const json_t *j)
{
	static const char *const heads[] = { "ID", "-UPSTREAM", "-ENDPOINT",
		"-STATE", "FOR", "AGE", "USES", "-HOLDER", "-PROCESS",
		"-REQUEST", "-NOTE", NULL };
	const json_t *rows = json_object_get(j, "connections");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
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
show_dns(FILE *out, const json_t *j)
{
	static const char *const heads[] = { "-UPSTREAM", "-ENDPOINT", "AGE",
		"NEXT", "-ADDRESSES", "-LAST ERROR", NULL };
	const json_t *rows = json_object_get(j, "names");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		add_name(&t, json_array_get(rows, i));
	if (t.n_cells == 0)
		fputs("no names are looked up\n", out);
	table_print(&t, out);
	table_fini(&t);
}
