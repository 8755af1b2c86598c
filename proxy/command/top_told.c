/*
 * Pages of `weir top` that are words rather than rows: a listener, what is wrong
 * and has changed, what was slow. See top_page.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/field.h"
#include "proxy/command/show.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

/* Broken at blanks, as elsewhere. */
static void
add_note(struct top_page *p, enum line_kind kind, const char *head,
    const char *text)
{
	char *lines = NULL;
	size_t len;
	FILE *out = open_memstream(&lines, &len);

	if (out == NULL)
		return;
	table_note(out, head, text);
	if (fclose(out) == 0)
		page_text(p, kind, lines);
	free(lines);
}

void
page_advice(struct top_page *p, const json_t *upstream, const char *head)
{
	const json_t *texts = json_object_get(json_object_get(upstream,
	    "advice"), "text");
	size_t i;

	for (i = 0; i < json_array_size(texts); i++) {
		const char *text = json_string_value(json_array_get(texts, i));

		if (text != NULL)
			add_note(p, LINE_PLAIN, head, text);
	}
}

/* ------------------------------------------------------------- one listener */

void
page_tally(struct top_page *p, const struct top_frames *f, const char *rows,
    const json_t *row, const char *group, const char *what)
{
	const json_t *was = lately_row(&f->lately, rows,
	    field_text(row, "name"));
	json_t *nothing = json_object();
	char all[1024], late[1024], head[64];

	if (trouble_tally(row, nothing, group, TALLY_ALL, all,
	    sizeof(all)) == 0)
		snprintf(all, sizeof(all), "none");
	add_note(p, LINE_PLAIN, what, all);
	if (trouble_tally(row, was, group, TALLY_ALL, late,
	    sizeof(late)) > 0) {
		snprintf(head, sizeof(head), "of these in the last %.0f s",
		    lately_seconds(&f->lately, f->now));
		add_note(p, LINE_BAD, head, late);
	}
	json_decref(nothing);
}

static void
add_times(struct top_page *p, const json_t *times)
{
	static const char *const keys[] = { "p50", "p90", "p99", "p999",
		"max" };
	char text[SPAN_TEXT], line[128] = "";
	size_t i, at = 0;

	for (i = 0; i < NELEMS(keys) && at < sizeof(line); i++)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "  %s %s",
		    keys[i], span_us(field_number(times, keys[i]), text));
	page_add(p, LINE_PLAIN, "times of the last minute:%s", line);
}

void
page_listener(struct top_page *p, const struct top_frames *f, const char *name)
{
	const json_t *l = field_row(json_object_get(f->now, "listeners"), name);
	const json_t *tls = json_object_get(l, "tls");
	const json_t *bytes = json_object_get(l, "bytes");
	char binds[200];

	p->fixed = p->n;
	if (l == NULL) {
		page_add(p, LINE_BAD, "there is no listener %s any more", name);
		return;
	}
	field_joined(l, "bind", binds, sizeof(binds));
	page_add(p, LINE_PLAIN, "listener %s: %s at %s", name,
	    field_text(l, "protocol"), binds);
	page_add(p, LINE_PLAIN, " ");
	page_add(p, LINE_PLAIN, "clients %lld  accepted %lld  rejected %lld",
	    field_number_in(l, "connections", "active"),
	    field_number_in(l, "connections", "accepted_total"),
	    field_number_in(l, "connections", "rejected_total"));
	page_add(p, LINE_PLAIN, "requests %lld  received %.1f MiB  sent %.1f "
	    "MiB", field_number(l, "requests_total"),
	    (double)field_number(bytes, "received_total") / 1048576,
	    (double)field_number(bytes, "sent_total") / 1048576);
	add_times(p, json_object_get(l, "latency_us"));
	if (field_number(tls, "handshakes_total") > 0)
		page_add(p, LINE_PLAIN, "TLS handshakes %lld, of them resumed "
		    "%lld, under way %lld",
		    field_number(tls, "handshakes_total"),
		    field_number(tls, "resumed_total"),
		    field_number(tls, "handshaking"));
	page_add(p, LINE_PLAIN, " ");
	page_tally(p, f, "listeners", l, "outcomes_total", "outcomes");
	page_tally(p, f, "listeners", l, "failures_total", "failures");
	page_tally(p, f, "listeners", l, "limited_total", "refused by limits");
}

/* -------------------------------------------------------------- what is told */

/* Nearly all are "where: what". */
static void
add_trouble(struct top_page *p, const char *text)
{
	const char *what = strstr(text, ": ");
	char head[TROUBLE_WIDE + 2];

	if (what == NULL) {
		page_add(p, LINE_BAD, "! %s", text);
		return;
	}
	snprintf(head, sizeof(head), "! %.*s", (int)(what - text), text);
	add_note(p, LINE_BAD, head, what + 2);
}

static void
add_troubles(struct top_page *p, const struct troubles *t)
{
	size_t i;

	page_add(p, LINE_HEAD, "WRONG");
	for (i = 0; i < t->n && i < TROUBLES_MOST; i++)
		add_trouble(p, t->text[i]);
	if (t->n > TROUBLES_MOST)
		page_add(p, LINE_SOFT, "and %zu more", t->n - TROUBLES_MOST);
	if (t->n == 0)
		page_add(p, LINE_GOOD, "nothing");
	page_add(p, LINE_PLAIN, " ");
}

static void
add_reload(struct top_page *p, const json_t *r)
{
	const json_t *changes = json_object_get(r, "changes");
	char at[FIELD_MOMENT], head[64];
	bool ok = *field_text(r, "error") == '\0';
	size_t i;

	snprintf(head, sizeof(head), "%s %.20s", field_moment(r, "at", at),
	    field_text(r, "result"));
	if (ok)
		page_add(p, LINE_PLAIN, "%s, generation %lld%s", head,
		    field_number(r, "generation"),
		    json_array_size(changes) == 0 ? ", nothing changed" : "");
	else
		add_note(p, LINE_BAD, head, field_text(r, "error"));
	for (i = 0; i < json_array_size(changes); i++) {
		const char *text = json_string_value(json_array_get(changes,
		    i));

		page_add(p, LINE_SOFT, "    %s", text != NULL ? text : "");
	}
	if (field_number(r, "changes_left_out") > 0)
		page_add(p, LINE_SOFT, "    and %lld more",
		    field_number(r, "changes_left_out"));
}

void
page_told(struct top_page *p, const struct top_frames *f,
    const struct troubles *t)
{
	const json_t *upstreams = json_object_get(f->now, "upstreams");
	const json_t *reloads = json_object_get(f->now, "reloads");
	size_t i, n;

	p->fixed = p->n;
	add_troubles(p, t);
	page_add(p, LINE_HEAD, "ADVICE");
	n = p->n;
	for (i = 0; i < json_array_size(upstreams); i++)
		page_advice(p, json_array_get(upstreams, i),
		    field_text(json_array_get(upstreams, i), "name"));
	if (p->n == n)
		page_add(p, LINE_PLAIN, "none");
	page_add(p, LINE_PLAIN, " ");
	page_add(p, LINE_HEAD, "LAST RELOADS");
	for (i = 0; i < json_array_size(reloads); i++)
		add_reload(p, json_array_get(reloads, i));
	if (i == 0)
		page_add(p, LINE_PLAIN, "none");
}

void
page_slow(struct top_page *p, const json_t *slow)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	p->fixed = p->n;
	page_add(p, LINE_HEAD, "SLOW AND FAILED");
	if (out == NULL)
		return;
	if (slow == NULL)
		fputs("not known yet\n", out);
	else
		show_why(out, slow, false);
	if (fclose(out) == 0)
		page_text(p, LINE_PLAIN, text);
	free(text);
}
