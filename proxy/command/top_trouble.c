/*
 * What is wrong. See top_trouble.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_trouble.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/command/field.h"
#include "proxy/command/span.h"
#include "proxy/fail.h"

enum { DAY_S = 86400 };

/* Counted as failures, but nothing that weir or its upstreams could do about. */
static bool
is_clients(const char *failure)
{
	enum fail i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		if (strcmp(fail_rows[i].name, failure) == 0)
			return fail_is_clients(i);
	return false;
}

static bool
is_servers(const json_t *row, const char *error)
{
	const json_t *names = json_object_get(row, "errors_of_server");
	size_t i;

	for (i = 0; i < json_array_size(names); i++)
		if (strcmp(json_string_value(json_array_get(names, i)),
		    error) == 0)
			return true;
	return false;
}

static bool
is_wanted(const json_t *row, enum tally which, const char *key)
{
	switch (which) {
	case TALLY_ALL:
		break;
	case TALLY_NOT_CLIENTS:
		return !is_clients(key);
	case TALLY_SERVERS:
		return is_servers(row, key);
	}
	return true;
}

/* --------------------------------------------------------------- the minute */

static long long
growth(long long now, long long then)
{
	return now > then ? now - then : 0;
}

/* The largest that is not larger than most, and behind last: NULL at the end. */
static const char *
next_grown(const json_t *row, const json_t *was, const char *group,
    enum tally which, long long *most, const char *last)
{
	json_t *now = json_object_get(row, group);
	const json_t *then = json_object_get(was, group);
	const char *key, *next = NULL;
	bool behind = last == NULL;
	long long best = 0;
	json_t *n;

	json_object_foreach(now, key, n) {
		long long is = growth((long long)json_integer_value(n),
		    field_number(then, key));

		if (is > best && (is < *most || (is == *most && behind)) &&
		    is_wanted(row, which, key)) {
			best = is;
			next = key;
		}
		behind = behind || strcmp(key, last) == 0;
	}
	*most = best;
	return next;
}

long long
trouble_tally(const json_t *row, const json_t *was, const char *group,
    enum tally which, char *text, size_t size)
{
	long long n = INT64_MAX, sum = 0;
	const char *key = NULL;
	size_t at = 0;

	if (size > 0)
		*text = '\0';
	if (was == NULL)
		return 0;
	while ((key = next_grown(row, was, group, which, &n, key)) != NULL) {
		sum += n;
		if (at < size)
			at += (size_t)snprintf(text + at, size - at,
			    "%s%s %lld", at > 0 ? ", " : "", key, n);
	}
	return sum;
}

/* ------------------------------------------------------------------ finding */

static void add(struct troubles *t, bool bad, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
add(struct troubles *t, bool bad, const char *fmt, ...)
{
	va_list ap;

	if (bad != t->wants_bad)
		return;
	if (t->n < TROUBLES_MOST) {
		va_start(ap, fmt);
		vsnprintf(t->text[t->n], TROUBLE_WIDE, fmt, ap);
		va_end(ap);
	}
	t->n++;
}

static const json_t *
first_out(const struct top_row *r)
{
	const json_t *rows = json_object_get(r->json, "endpoints");
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		if (strcmp(field_text(json_array_get(rows, i), "state"),
		    "up") != 0)
			return json_array_get(rows, i);
	return NULL;
}

static void
of_endpoints(struct troubles *t, const struct top_row *r)
{
	const json_t *out = first_out(r);
	const char *error = field_text(out, "last_error");

	add(t, true, "%s: %lld of %lld endpoints not usable (%s is %s%s%s)",
	    r->name, r->endpoints - r->usable, r->endpoints,
	    field_text(out, "name"), field_text(out, "state"),
	    *error != '\0' ? ": " : "", error);
}

/* Full is a pool that is small on purpose, too. */
static void
of_pool(struct troubles *t, const struct top_row *r)
{
	char wait[SPAN_TEXT];

	/* Of the others there is more to be said. */
	if (r->bad && !r->errs && r->usable == r->endpoints)
		add(t, strcmp(r->state, "FULL") != 0 &&
		    strcmp(r->state, "PAUSED") != 0, "%s is %s: %lld of "
		    "%lld connections leased, %lld wait, the oldest %s",
		    r->name, r->state, r->leased, r->cap, r->waiting,
		    span_us(r->oldest_wait_us, wait));
}

/* "the last minute", "the last 7 s" */
static const char *
window(const struct top_frames *f, char *out, size_t size)
{
	double s = lately_seconds(&f->lately, f->now);

	if (s >= LATELY_S - LATELY_STEP_S)
		snprintf(out, size, "the last minute");
	else
		snprintf(out, size, "the last %.0f s", s);
	return out;
}

static void
of_requests(struct troubles *t, const struct top_frames *f, const json_t *l)
{
	const char *name = field_text(l, "name");
	const json_t *was = lately_row(&f->lately, "listeners", name);
	char why[128], when[32];
	long long failed = trouble_tally(l, was, "failures_total",
	    TALLY_NOT_CLIENTS, why,
	    sizeof(why));
	long long all = growth(field_number(l, "requests_total"),
	    field_number(was, "requests_total"));

	/* Some fail before they are requests; others were under way. */
	if (all < failed)
		all = failed;
	if (failed > 0)
		add(t, failed * 100 >= all, "%s: %lld of %lld requests failed "
		    "in %s (%s)", name, failed, all,
		    window(f, when, sizeof(when)), why);
}

/* What servers answered, and weir passed on. */
static void
of_answers(struct troubles *t, const struct top_frames *f,
    const struct top_row *r)
{
	const json_t *was = lately_row(&f->lately, "upstreams", r->name);
	char which[128], when[32];
	long long errors, all;

	if (!r->errs)
		return;
	errors = trouble_tally(r->json, was, "server_errors_total",
	    TALLY_SERVERS, which, sizeof(which));
	all = growth(field_number(r->json, "requests_total"),
	    field_number(was, "requests_total"));
	add(t, true, "%s: servers answered %lld of %lld requests with errors "
	    "in %s (%s)", r->name, errors, all > errors ? all : errors,
	    window(f, when, sizeof(when)), which);
}

static void
of_limits(struct troubles *t, const struct top_frames *f, const char *group,
    const json_t *row)
{
	const char *name = field_text(row, "name");
	char which[96], when[32];
	long long n;

	/* Most have refused nothing ever. */
	if (field_sum(row, "limited_total") == 0)
		return;
	n = trouble_tally(row, lately_row(&f->lately, group, name),
	    "limited_total", TALLY_ALL, which, sizeof(which));
	if (n > 0)
		add(t, false, "%s: limits refused %lld in %s (%s)", name, n,
		    window(f, when, sizeof(when)), which);
}

static void
of_listener(struct troubles *t, const struct top_frames *f, const json_t *l)
{
	/* 0: has none, or none that is known. */
	long long until = field_number(l, "certificate_not_after");
	long long left = until - (long long)time(NULL);
	char span[SPAN_TEXT];

	of_limits(t, f, "listeners", l);
	if (until > 0 && left <= 0)
		add(t, true, "%s: a certificate has expired",
		    field_text(l, "name"));
	else if (until > 0 && left < 14 * DAY_S)
		add(t, left < 3 * DAY_S, "%s: a certificate expires in %s",
		    field_text(l, "name"), span_s(left, span));
}

static void
of_upstream(struct troubles *t, const struct top_frames *f,
    const struct top_row *r)
{
	long long leaks = field_number_in(r->json, "pool", "leaks");

	of_pool(t, r);
	if (leaks > 0)
		add(t, false, "%s: %lld connection%s held longer than "
		    "pool.leak_after", r->name, leaks, leaks == 1 ? "" : "s");
	of_limits(t, f, "upstreams", r->json);
	if (r->cap < r->max)
		add(t, false, "%s: the server takes fewer connections, %lld "
		    "of %lld are used", r->name, r->cap, r->max);
	if (json_is_object(json_object_get(r->json, "fault")))
		add(t, false, "%s: faults are being made by hand", r->name);
}

static void
of_program(struct troubles *t, const json_t *s)
{
	const json_t *reload = json_object_get(s, "reload");
	const json_t *process = json_object_get(s, "process");
	const json_t *upgrade = json_object_get(s, "upgrade");
	const char *pressure = field_text(process, "pressure");
	char until[FIELD_MOMENT];

	if (json_is_false(json_object_get(s, "ready")) &&
	    !json_is_true(json_object_get(s, "draining")))
		add(t, true, "not ready: %s", field_text(s, "missing"));
	if (reload != NULL && strcmp(field_text(reload, "last"), "ok") != 0)
		add(t, true, "the last reload was refused: %s",
		    field_text(reload, "last"));
	if (field_number(reload, "confirm_until") > 0)
		add(t, false, "the last reload goes back at %s unless it is "
		    "confirmed", field_moment(reload, "confirm_until", until));
	if (*pressure != '\0' && strcmp(pressure, "none") != 0)
		add(t, strcmp(pressure, "full") == 0, "memory is %s",
		    pressure);
	if (field_number(process, "fds") * 10 >
	    field_number(process, "fds_max") * 9)
		add(t, true, "%lld of %lld descriptors are in use",
		    field_number(process, "fds"),
		    field_number(process, "fds_max"));
	if (field_number_in(s, "watchdog", "stuck") > 0)
		add(t, true, "a loop is stuck: %s", field_text(
		    json_object_get(s, "watchdog"), "last"));
	if (strcmp(field_text(upgrade, "last"), "failed") == 0)
		add(t, false, "the last upgrade failed: %s",
		    field_text(upgrade, "error"));
}

/* All of one kind. */
static void
find(struct troubles *t, const struct top_frames *f, const struct top_row *rows,
    size_t n)
{
	const json_t *listeners = json_object_get(f->now, "listeners");
	size_t i;

	if (json_is_true(json_object_get(f->now, "draining")))
		add(t, true, "draining: nothing new is taken");
	/* What is down before what is not whole. */
	for (i = 0; i < n; i++)
		if (rows[i].usable == 0 && rows[i].endpoints > 0)
			of_endpoints(t, &rows[i]);
	for (i = 0; i < json_array_size(listeners); i++)
		of_requests(t, f, json_array_get(listeners, i));
	for (i = 0; i < n; i++)
		of_answers(t, f, &rows[i]);
	for (i = 0; i < n; i++)
		if (rows[i].usable > 0 && rows[i].usable < rows[i].endpoints)
			of_endpoints(t, &rows[i]);
	for (i = 0; i < n; i++)
		of_upstream(t, f, &rows[i]);
	for (i = 0; i < json_array_size(listeners); i++)
		of_listener(t, f, json_array_get(listeners, i));
	of_program(t, f->now);
}

void
troubles_find(struct troubles *t, const struct top_frames *f,
    const struct top_row *rows, size_t n)
{
	t->n = 0;
	t->wants_bad = true;
	find(t, f, rows, n);
	t->wants_bad = false;
	find(t, f, rows, n);
}
