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

enum {
	BAR = 50,
	FEW = 8                         /* listeners, that stay when one goes
					   through the upstreams */
};

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

/* The worst, and how much more there is. */
static void
page_worst(struct top_page *p, const struct troubles *t)
{
	if (t->n > 0)
		page_add(p, LINE_BAD, "! %s", t->text[0]);
	else
		page_add(p, LINE_GOOD, "all is well");
	if (t->n > 1)
		page_add(p, LINE_SOFT, "  and %zu more (t)", t->n - 1);
	else
		page_add(p, LINE_PLAIN, " ");
}

void
page_program(struct top_page *p, const struct top_frames *f,
    const struct troubles *t)
{
	const json_t *s = f->now, *r = json_object_get(s, "process");
	const char *state = json_is_true(json_object_get(s, "draining")) ?
	    "draining" : json_is_true(json_object_get(s, "ready")) ? "ready" :
	    "NOT READY";
	char up[SPAN_TEXT], lag[SPAN_TEXT];

	page_add(p, LINE_PLAIN, "weir %s  pid %lld  up %s  generation %lld"
	    "  %s", field_text(s, "version"), field_number(s, "pid"),
	    span_s((long long)json_number_value(json_object_get(s,
	    "uptime_s")), up),
	    field_number(s, "generation"), state);
	page_add(p, LINE_SOFT, "memory %.1f MiB  descriptors %lld of %lld  "
	    "loop turns p99 %s", (double)field_number(r, "memory_bytes") /
	    1048576, field_number(r, "fds"), field_number(r, "fds_max"),
	    span_us(field_number(json_object_get(r, "loop_lag_us"), "p99"),
	    lag));
	page_worst(p, t);
}

/* ---------------------------------------------------------------- overview */

static void
add_listeners(struct top_page *p, const struct top_frames *f,
    const struct top_chosen *chosen)
{
	char requests[TOP_RATE], failures[TOP_RATE], limited[TOP_RATE];
	char p50[SPAN_TEXT], p99[SPAN_TEXT], fives[TOP_RATE];
	struct top_listener *rows;
	size_t n, i;

	rows = top_listeners(f, &n);
	page_add(p, LINE_HEAD, "%-16s %-9s %7s %6s %6s %7s %7s %7s %7s",
	    "LISTENER", "PROTOCOL", "REQ/S", "FAIL/S", "5XX/S", "LIMIT/S",
	    "CLIENTS", "P50", "P99");
	for (i = 0; i < n; i++) {
		const struct top_listener *l = &rows[i];
		bool bad = l->failures_per_s > 0 || l->fives_per_s > 0;

		if (chosen->listener && strcmp(l->name, chosen->name) == 0)
			p->chosen = p->n;
		page_add(p, bad ? LINE_BAD : LINE_PLAIN,
		    "%-16.40s %-9s %7s %6s %6s %7s %7lld %7s %7s", l->name,
		    l->protocol, top_rate(l->requests_per_s, requests),
		    top_rate(l->failures_per_s, failures),
		    top_rate(l->fives_per_s, fives),
		    top_rate(l->limited_per_s, limited), l->clients,
		    span_us(l->p50_us, p50), span_us(l->p99_us, p99));
	}
	free(rows);
}

void
page_overview(struct top_page *p, const struct top_frames *f,
    const struct top_row *rows, size_t n, const struct top_chosen *chosen)
{
	char requests[TOP_RATE], failures[TOP_RATE], first[SPAN_TEXT];
	char queue[SPAN_TEXT], open[48], up[48];
	size_t i, top = p->n;

	add_listeners(p, f, chosen);
	page_add(p, LINE_PLAIN, " ");
	page_add(p, LINE_HEAD, "%-16s %-8s %7s %6s %7s %7s %4s %7s %4s %5s",
	    "UPSTREAM", "STATE", "REQ/S", "FAIL/S", "FIRST99", "QUEUE99",
	    "WAIT", "USE/MAX", "IDLE", "UP");
	p->fixed = json_array_size(json_object_get(f->now, "listeners")) <=
	    FEW ? p->n : top;
	for (i = 0; i < n; i++) {
		const struct top_row *r = &rows[i];

		if (!chosen->listener && strcmp(r->name, chosen->name) == 0)
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

/* One letter for each connection, or for the same share of them where there are
   too many: what it is can be read. */
static void
add_bar(struct top_page *p, const struct top_row *r)
{
	const struct { char letter; long long n; } parts[] = {
		{ 'P', r->pinned },
		{ 'L', r->leased - r->pinned },
		{ 'c', r->connecting },
		{ 'i', r->idle }
	};
	long long all = r->max > r->open ? r->max : r->open, before = 0;
	size_t wide = all < BAR ? (size_t)all : BAR, i, at = 0;
	char bar[BAR + 1];

	memset(bar, '.', wide);
	bar[wide] = '\0';
	for (i = 0; all > 0 && i < NELEMS(parts); i++) {
		size_t end;

		if (parts[i].n <= 0)
			continue;
		before += parts[i].n;
		end = (size_t)(before * (long long)wide / all);
		/* Whatever there is at all gets a letter. */
		if (end <= at)
			end = at + 1;
		while (at < end && at < wide)
			bar[at++] = parts[i].letter;
	}
	page_add(p, LINE_PLAIN, "[%s] of %lld", bar, r->max);
}

static void
add_pool(struct top_page *p, const struct top_frames *f,
    const struct top_row *r)
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
	if (field_sum(r->json, "server_errors_total") > 0)
		page_tally(p, f, "upstreams", r->json, "server_errors_total",
		    "errors that servers answered");
	page_advice(p, r->json, "advice");
	page_add(p, LINE_PLAIN, " ");
}

static void
add_endpoints(struct top_page *p, const json_t *rows)
{
	char check[SPAN_TEXT], use[48];
	size_t i;

	page_add(p, LINE_HEAD, "%-28s %-10s %9s %6s %11s %9s", "ENDPOINT",
	    "STATE", "CHECK", "WEIGHT", "USE/OPEN", "FAILURES");
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *e = json_array_get(rows, i);
		const json_t *h = json_object_get(e, "health");
		bool up = strcmp(field_text(e, "state"), "up") == 0;

		snprintf(use, sizeof(use), "%lld/%lld",
		    field_number(e, "leased"), field_number(e, "open"));
		page_add(p, up ? LINE_PLAIN : LINE_BAD,
		    "%-28.60s %s%-9s %9s %6lld %11s %9lld",
		    field_text(e, "name"), up ? " " : "!",
		    field_text(e, "state"),
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

/* Who holds it, as far as it is known: what tells most comes first, for it may
   be cut. A process is on this machine, so its port is enough. */
static const char *
holder_of(const json_t *c, char *out, size_t size)
{
	const json_t *h = json_array_get(json_object_get(c, "holders"), 0);
	const json_t *process = json_object_get(h, "process");
	const char *client = field_text(h, "client");
	const char *port = strrchr(client, ':');

	if (h == NULL)
		snprintf(out, size, "%s", field_text(c, "last_request"));
	else if (json_is_object(process))
		snprintf(out, size, "%s[%lld] %s %s", field_text(process,
		    "name"), field_number(process, "pid"),
		    port != NULL ? port : client, field_text(h, "request"));
	else
		snprintf(out, size, "%s %s", client, field_text(h, "request"));
	return out;
}

static bool
is_of(const json_t *c, const char *upstream)
{
	return strcmp(field_text(c, "upstream"), upstream) == 0;
}

/* No wider than what is in it, so that there is room for who holds it. */
static int
endpoint_width(const char *upstream, const json_t *all)
{
	size_t wide = strlen("ENDPOINT"), most = 21, i, len;

	for (i = 0; i < json_array_size(all); i++) {
		const json_t *c = json_array_get(all, i);

		len = strlen(field_text(c, "endpoint"));
		if (is_of(c, upstream) && len > wide)
			wide = len;
	}
	return (int)(wide < most ? wide : most);
}

static void
add_connections(struct top_page *p, const char *upstream, const json_t *all)
{
	char since[SPAN_TEXT], age[SPAN_TEXT], holder[160];
	int wide = endpoint_width(upstream, all);
	size_t i;

	page_add(p, LINE_HEAD, "%-6s %-*s %-10s %6s %6s %5s %s", "ID", wide,
	    "ENDPOINT", "STATE", "SINCE", "AGE", "USES", "HELD BY");
	for (i = 0; i < json_array_size(all); i++) {
		const json_t *c = json_array_get(all, i);
		bool leaked = json_is_true(json_object_get(c, "leaked"));

		if (!is_of(c, upstream))
			continue;
		page_add(p, leaked ? LINE_BAD : LINE_PLAIN,
		    "%-6lld %-*.40s %s%-9s %6s %6s %5lld %s",
		    field_number(c, "id"), wide, field_text(c, "endpoint"),
		    leaked ? "!" : " ", field_text(c, "state"),
		    span_ms(field_number(c, "state_ms"), since),
		    span_s(field_number(c, "age_ms") / 1000, age),
		    field_number(c, "uses"),
		    holder_of(c, holder, sizeof(holder)));
	}
}

void
page_upstream(struct top_page *p, const struct top_frames *f,
    const struct top_row *row, const json_t *connections)
{
	p->fixed = p->n;
	add_pool(p, f, row);
	add_endpoints(p, json_object_get(row->json, "endpoints"));
	if (connections != NULL)
		add_connections(p, row->name,
		    json_object_get(connections, "connections"));
}

void
page_text(struct top_page *p, enum line_kind kind, const char *text)
{
	size_t len;

	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		page_add(p, kind, "%.*s", (int)len, text);
	}
}

void
page_help(struct top_page *p)
{
	static const char *const lines[] = {
		"up, down, k, j     choose a listener or an upstream, or move "
		    "through it",
		"PgUp, PgDn         by a screen",
		"enter              its pool, endpoints and connections; a "
		    "listener's numbers",
		"t                  what is wrong, advice, the last reloads and "
		    "what they changed",
		"s                  what was slow and what failed, and why",
		"esc, backspace     back",
		"r f l w n          sort by requests, failures, latency, "
		    "waiting, name",
		"p                  hold the screen as it is, and let it go on",
		"h, ?               this",
		"q                  quit",
		" ",
		"What is a second is of the last one, times of the last "
		    "minute.",
		"FAIL/S: failed by weir, or left by the client; 5XX/S: all "
		    "answers with that.",
		"FIRST99: to the first byte of the answer; QUEUE99: for a "
		    "connection.",
		"USE/MAX: connections leased, of how many there may be.",
		"States: ok, FULL (all in use, some wait), PART (not all "
		    "endpoints usable),",
		"DOWN (none), PAUSED (by hand), NOTREADY (not warm yet), "
		    "ERRORS (1 % or more",
		"of the answers of the last minute are errors of servers)."
	};
	size_t i;

	p->fixed = p->n;
	for (i = 0; i < NELEMS(lines); i++)
		page_add(p, LINE_PLAIN, "%s", lines[i]);
}
