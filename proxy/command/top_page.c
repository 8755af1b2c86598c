/*
 * The lines of `weir top`. See top_page.h.
 *
 * Everything fits 80 columns with names as they are in examples.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_page.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/field.h"
#include "proxy/command/span.h"

enum { BAR = 50 };

void
page_clear(struct top_page *p)
{
	p->n = p->fixed = 0;
	p->chosen = SIZE_MAX;
}

void
page_fini(struct top_page *p)
{
	free(p->lines);
	*p = (struct top_page){ .lines = NULL };
}

void
page_add(struct top_page *p, enum line_kind kind, const char *fmt, ...)
{
	struct line *lines, *l;
	va_list ap;
	char *c;

	if (p->n == p->room) {
		lines = reallocarray(p->lines, p->room * 2 + 32,
		    sizeof(*lines));
		if (lines == NULL)
			return;
		p->lines = lines;
		p->room = p->room * 2 + 32;
	}
	l = &p->lines[p->n++];
	l->kind = kind;
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
	/* Names come from elsewhere, and a terminal obeys more than letters. */
	for (c = l->text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
}

/* ----------------------------------------------------------------- program */

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
worst_of_row(struct top_page *p, const struct top_row *r)
{
	const json_t *out = first_out(r);
	char wait[SPAN_TEXT];

	if (r->usable < r->endpoints)
		page_add(p, LINE_BAD, "! %s: %lld of %lld endpoints not "
		    "usable (%s is %s%s%s)", r->name, r->endpoints - r->usable,
		    r->endpoints, field_text(out, "name"),
		    field_text(out, "state"),
		    *field_text(out, "last_error") != '\0' ? ": " : "",
		    field_text(out, "last_error"));
	else
		page_add(p, LINE_BAD, "! %s is %s: %lld of %lld connections "
		    "leased, %lld wait, the oldest %s", r->name, r->state,
		    r->leased, r->cap, r->waiting,
		    span_us(r->oldest_wait_us, wait));
}

/* Upstreams that are down come before those that are merely full. */
static const struct top_row *
worst_row(const struct top_row *rows, size_t n)
{
	const struct top_row *worst = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!rows[i].bad)
			continue;
		if (worst == NULL || (worst->usable > 0 && rows[i].usable == 0))
			worst = &rows[i];
	}
	return worst;
}

static void
page_worst(struct top_page *p, const json_t *s, const struct top_row *rows,
    size_t n)
{
	const json_t *reload = json_object_get(s, "reload");
	const struct top_row *worst = worst_row(rows, n);

	if (json_is_true(json_object_get(s, "draining")))
		page_add(p, LINE_BAD, "! draining: nothing new is taken");
	else if (worst != NULL)
		worst_of_row(p, worst);
	else if (json_is_false(json_object_get(s, "ready")))
		page_add(p, LINE_BAD, "! not ready: %s",
		    field_text(s, "missing"));
	else if (reload != NULL &&
	    strcmp(field_text(reload, "last"), "ok") != 0)
		page_add(p, LINE_BAD, "! the last reload was refused: %s",
		    field_text(reload, "last"));
	else
		page_add(p, LINE_GOOD, "all is well");
}

void
page_program(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n)
{
	const json_t *s = f->now, *r = json_object_get(s, "process");
	const char *state = json_is_true(json_object_get(s, "draining")) ?
	    "draining" : json_is_true(json_object_get(s, "ready")) ? "ready" :
	    "NOT READY";
	char up[SPAN_TEXT], lag[SPAN_TEXT];

	page_add(p, LINE_PLAIN, "weir %s  pid %lld  up %s  generation %lld"
	    "  %s", field_text(s, "version"), field_number(s, "pid"),
	    span_s(json_number_value(json_object_get(s, "uptime_s")), up),
	    field_number(s, "generation"), state);
	page_add(p, LINE_SOFT, "memory %.1f MiB  descriptors %lld of %lld  "
	    "loop turns p99 %s", (double)field_number(r, "memory_bytes") /
	    1048576, field_number(r, "fds"), field_number(r, "fds_max"),
	    span_us(field_number(json_object_get(r, "loop_lag_us"), "p99"),
	    lag));
	page_worst(p, s, rows, n);
	page_add(p, LINE_PLAIN, " ");
}

/* ---------------------------------------------------------------- overview */

static void
add_listeners(struct top_page *p, const struct top_frames *f)
{
	char requests[SPAN_TEXT], failures[SPAN_TEXT], limited[SPAN_TEXT];
	char p50[SPAN_TEXT], p99[SPAN_TEXT];
	struct top_listener *rows;
	size_t n, i;

	rows = top_listeners(f, &n);
	page_add(p, LINE_HEAD, "%-16s %-9s %8s %8s %8s %8s %8s %8s",
	    "LISTENER", "PROTOCOL", "REQ/S", "FAIL/S", "LIMIT/S", "CLIENTS",
	    "P50", "P99");
	for (i = 0; i < n; i++)
		page_add(p, rows[i].failures_per_s > 0 ? LINE_BAD : LINE_PLAIN,
		    "%-16.40s %-9s %8s %8s %8s %8lld %8s %8s", rows[i].name,
		    rows[i].protocol, top_rate(rows[i].requests_per_s,
		    requests), top_rate(rows[i].failures_per_s, failures),
		    top_rate(rows[i].limited_per_s, limited), rows[i].clients,
		    span_us(rows[i].p50_us, p50),
		    span_us(rows[i].p99_us, p99));
	free(rows);
}

void
page_overview(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n, const char *chosen)
{
	char requests[SPAN_TEXT], failures[SPAN_TEXT], first[SPAN_TEXT];
	char queue[SPAN_TEXT], open[SPAN_TEXT], up[SPAN_TEXT];
	size_t i;

	add_listeners(p, f);
	page_add(p, LINE_PLAIN, " ");
	page_add(p, LINE_HEAD, "%-16s %-8s %7s %6s %7s %7s %4s %7s %4s %5s",
	    "UPSTREAM", "STATE", "REQ/S", "FAIL/S", "FIRST99", "QUEUE99",
	    "WAIT", "USE/MAX", "IDLE", "UP");
	p->fixed = p->n;
	for (i = 0; i < n; i++) {
		const struct top_row *r = &rows[i];

		if (strcmp(r->name, chosen) == 0)
			p->chosen = p->n;
		snprintf(open, sizeof(open), "%lld/%lld", r->leased, r->cap);
		snprintf(up, sizeof(up), "%lld/%lld", r->usable, r->endpoints);
		page_add(p, r->bad ? LINE_BAD : LINE_PLAIN,
		    "%-16.40s %-8s %7s %6s %7s %7s %4lld %7s %4lld %5s",
		    r->name, r->state, top_rate(r->requests_per_s, requests),
		    top_rate(r->failures_per_s, failures),
		    span_us(r->first_us, first),
		    span_us(r->queue_us, queue), r->waiting, open, r->idle,
		    up);
	}
}

/* ------------------------------------------------------------ one upstream */

/* One letter for each share of the pool: what it is can be read. */
static void
add_bar(struct top_page *p, const struct top_row *r)
{
	const struct { char letter; long long n; } parts[] = {
		{ 'P', r->pinned },
		{ 'L', r->leased - r->pinned },
		{ 'c', r->connecting },
		{ 'i', r->idle }
	};
	long long all = r->max > r->open ? r->max : r->open;
	char bar[BAR + 1];
	size_t i, at = 0;

	memset(bar, '.', BAR);
	bar[BAR] = '\0';
	for (i = 0; all > 0 && i < NELEMS(parts); i++) {
		/* Whatever there is at all gets a letter. */
		long long k = (parts[i].n * BAR + all - 1) / all;

		while (k-- > 0 && at < BAR)
			bar[at++] = parts[i].letter;
	}
	page_add(p, LINE_PLAIN, "[%s] of %lld", bar, r->max);
}

static void
add_pool(struct top_page *p, const struct top_row *r)
{
	char wait[SPAN_TEXT];

	page_add(p, r->bad ? LINE_BAD : LINE_PLAIN,
	    "upstream %s: %s, %s pool, %s", r->name, r->protocol, r->mode,
	    r->state);
	add_bar(p, r);
	page_add(p, LINE_PLAIN, "Leased %lld (Pinned %lld)  connecting %lld  "
	    "idle %lld  free %lld  waiting %lld%s%s", r->leased, r->pinned,
	    r->connecting, r->idle, r->cap > r->open ? r->cap - r->open : 0,
	    r->waiting, r->waiting > 0 ? ", the oldest " : "",
	    r->waiting > 0 ? span_us(r->oldest_wait_us, wait) : "");
	page_add(p, LINE_PLAIN, " ");
}

static void
add_endpoints(struct top_page *p, const json_t *rows)
{
	char check[SPAN_TEXT], use[SPAN_TEXT];
	size_t i;

	page_add(p, LINE_HEAD, "%-28s %-10s %9s %6s %11s %9s", "ENDPOINT",
	    "STATE", "CHECK", "WEIGHT", "USE/OPEN", "FAILURES");
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *e = json_array_get(rows, i);
		const json_t *h = json_object_get(e, "health");
		bool up = strcmp(field_text(e, "state"), "up") == 0;

		snprintf(use, sizeof(use), "%lld/%lld", field_number(e, "leased"),
		    field_number(e, "open"));
		page_add(p, up ? LINE_PLAIN : LINE_BAD,
		    "%-28.60s %s%-9s %9s %6lld %11s %9lld",
		    field_text(e, "name"), up ? " " : "!", field_text(e, "state"),
		    field_number(h, "checks_total") == 0 ? "-" :
		    strcmp(field_text(h, "last"), "ok") != 0 ? "failed" :
		    span_us(field_number(h, "latency_us"), check),
		    field_number(e, "weight"), use,
		    field_sum(e, "failures_total"));
		if (*field_text(e, "last_error") != '\0')
			page_add(p, LINE_SOFT, "    last error: %s",
			    field_text(e, "last_error"));
	}
	page_add(p, LINE_PLAIN, " ");
}

/* Who holds it, as far as it is known. */
static const char *
holder_of(const json_t *c, char *out, size_t size)
{
	const json_t *h = json_array_get(json_object_get(c, "holders"), 0);
	const json_t *process = json_object_get(h, "process");

	if (h == NULL)
		snprintf(out, size, "%s", field_text(c, "last_request"));
	else if (json_is_object(process))
		snprintf(out, size, "%s %s[%lld] %s", field_text(h, "client"),
		    field_text(process, "name"), field_number(process, "pid"),
		    field_text(h, "request"));
	else
		snprintf(out, size, "%s %s", field_text(h, "client"),
		    field_text(h, "request"));
	return out;
}

static void
add_connections(struct top_page *p, const char *upstream, const json_t *all)
{
	char since[SPAN_TEXT], age[SPAN_TEXT], holder[160];
	size_t i;

	page_add(p, LINE_HEAD, "%-6s %-21s %-10s %7s %7s %5s %s", "ID",
	    "ENDPOINT", "STATE", "SINCE", "AGE", "USES", "HELD BY");
	for (i = 0; i < json_array_size(all); i++) {
		const json_t *c = json_array_get(all, i);
		bool leaked = json_is_true(json_object_get(c, "leaked"));

		if (strcmp(field_text(c, "upstream"), upstream) != 0)
			continue;
		page_add(p, leaked ? LINE_BAD : LINE_PLAIN,
		    "%-6lld %-21.40s %s%-9s %7s %7s %5lld %s",
		    field_number(c, "id"), field_text(c, "endpoint"),
		    leaked ? "!" : " ", field_text(c, "state"),
		    span_us(field_number(c, "state_ms") * 1000, since),
		    span_s(field_number(c, "age_ms") / 1000, age),
		    field_number(c, "uses"),
		    holder_of(c, holder, sizeof(holder)));
	}
}

void
page_upstream(struct top_page *p, const struct top_row *row,
    const json_t *connections)
{
	p->fixed = p->n;
	add_pool(p, row);
	add_endpoints(p, json_object_get(row->json, "endpoints"));
	if (connections != NULL)
		add_connections(p, row->name,
		    json_object_get(connections, "connections"));
}

void
page_help(struct top_page *p)
{
	static const char *const lines[] = {
		"up, down, k, j     choose an upstream, or move through it",
		"PgUp, PgDn         by a screen",
		"enter              its pool, endpoints and connections",
		"esc, backspace     back",
		"r f l w n          sort by requests, failures, latency, "
		    "waiting, name",
		"p                  hold the screen as it is, and let it go on",
		"h, ?               this",
		"q                  quit",
		" ",
		"REQ/S and FAIL/S are of the last second, times of the last "
		    "minute.",
		"FIRST99: to the first byte of the answer; QUEUE99: for a "
		    "connection.",
		"USE/MAX: connections leased, of how many there may be.",
		"States: ok, FULL (all in use, some wait), PART (not all "
		    "endpoints usable),",
		"DOWN (none), PAUSED (by hand), NOTREADY (not warm yet)."
	};
	size_t i;

	p->fixed = p->n;
	for (i = 0; i < NELEMS(lines); i++)
		page_add(p, LINE_PLAIN, "%s", lines[i]);
}
