/*
 * Rows and rates. See top_rows.h.
 *
 * What is missing in the JSON is 0 or "": client and weir may be of different
 * versions.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/field.h"

const char *const top_sorts[TOP_SORTS] = {
	[SORT_REQUESTS] = "requests",
	[SORT_FAILURES] = "failures",
	[SORT_LATENCY] = "latency",
	[SORT_WAITING] = "waiting",
	[SORT_NAME] = "name"
};

/* ------------------------------------------------------------------- words */

const char *
top_rate(double per_s, char out[TOP_RATE])
{
	if (per_s < 0)
		snprintf(out, TOP_RATE, "-");
	else if (per_s >= 100000)
		snprintf(out, TOP_RATE, "%.0fk", per_s / 1e3);
	else
		snprintf(out, TOP_RATE, per_s < 10 && per_s > 0 ? "%.1f" :
		    "%.0f", per_s);
	return out;
}

/* ------------------------------------------------------------------ frames */

void
top_frames_take(struct top_frames *f, json_t *now)
{
	double was = json_number_value(json_object_get(f->now, "uptime_s"));
	double is = json_number_value(json_object_get(now, "uptime_s"));
	bool same = f->now != NULL &&
	    field_number(f->now, "pid") == field_number(now, "pid") && is > was;

	if (now == NULL || same) {
		json_decref(f->before);
		f->before = now != NULL ? f->now : NULL;
		if (now == NULL)
			json_decref(f->now);
		f->seconds = is - was;
	} else {
		/* Another weir, or the first frame: nothing to compare with. */
		json_decref(f->before);
		json_decref(f->now);
		f->before = NULL;
	}
	if (!same)
		lately_clear(&f->lately);
	if (now != NULL)
		lately_take(&f->lately, now);
	f->now = now;
}

/* The row of that name in the frame before. */
static const json_t *
before(const struct top_frames *f, const char *group, const char *name)
{
	return field_row(json_object_get(f->before, group), name);
}

/* -1: not known. */
static double
growth(const struct top_frames *f, const json_t *was, long long now,
    long long then)
{
	if (was == NULL || f->seconds <= 0)
		return -1;
	return now > then ? (double)(now - then) / f->seconds : 0;
}

/* -------------------------------------------------------------------- rows */

static long long
endpoint_failures(const json_t *u)
{
	const json_t *rows = json_object_get(u, "endpoints");
	long long sum = 0;
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		sum += field_sum(json_array_get(rows, i), "failures_total");
	return sum;
}

static void
count_endpoints(struct top_row *r)
{
	const json_t *rows = json_object_get(r->json, "endpoints");
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		r->usable += strcmp(field_text(json_array_get(rows, i),
		    "state"), "up") == 0;
	r->endpoints = (long long)json_array_size(rows);
}

/* Those of row, which is r now or before, that are the server's own. The others
   may be all in order: a key that is there already, a script that is not. */
static long long
errors_of_server(const struct top_row *r, const json_t *row)
{
	const json_t *names = json_object_get(r->json, "errors_of_server");
	long long sum = 0;
	size_t i;

	for (i = 0; i < json_array_size(names); i++)
		sum += field_number_in(row, "server_errors_total",
		    json_string_value(json_array_get(names, i)));
	return sum;
}

static bool
is_erring(const struct top_frames *f, const struct top_row *r)
{
	long long errors = errors_of_server(r, r->json);
	long long all = field_number(r->json, "requests_total");
	const json_t *was;

	if (errors == 0)
		return false;
	was = lately_row(&f->lately, "upstreams", r->name);
	errors -= errors_of_server(r, was);
	all -= field_number(was, "requests_total");
	return was != NULL && errors > 0 && errors * 100 >= all;
}

/* The worst that can be said of it, in a word. */
static void
judge(struct top_row *r)
{
	r->bad = true;
	if (r->usable == 0)
		r->state = "DOWN";
	else if (json_is_true(json_object_get(r->json, "paused")))
		r->state = "PAUSED";
	else if (json_is_false(json_object_get(r->json, "ready")))
		r->state = "NOTREADY";
	else if (r->errs)
		r->state = "ERRORS";
	else if (r->waiting > 0 && r->leased + r->connecting >= r->cap)
		r->state = "FULL";
	else if (r->usable < r->endpoints)
		r->state = "PART";
	else {
		r->state = "ok";
		r->bad = false;
	}
}

static void
fill(struct top_row *r, const struct top_frames *f, json_t *u)
{
	const json_t *p = json_object_get(u, "pool");
	const json_t *was = before(f, "upstreams", field_text(u, "name"));

	*r = (struct top_row){
		.name = field_text(u, "name"),
		.protocol = field_text(u, "protocol"),
		.mode = field_text(p, "mode"),
		.first_us = field_number(json_object_get(u, "first_byte_us"),
		    "p99"),
		.queue_us = field_number(json_object_get(u, "queue_us"), "p99"),
		.waiting = field_number(p, "waiting"),
		.leased = field_number(p, "leased"),
		.idle = field_number(p, "idle"),
		.connecting = field_number(p, "connecting"),
		.open = field_number(p, "open"),
		.pinned = field_number(p, "pinned"),
		.cap = field_number(p, "cap"),
		.max = field_number(p, "max"),
		.oldest_wait_us = field_number(p, "oldest_wait_us"),
		.json = u
	};
	r->requests_per_s = growth(f, was, field_number(u, "requests_total"),
	    field_number(was, "requests_total"));
	r->failures_per_s = growth(f, was, endpoint_failures(u),
	    endpoint_failures(was));
	r->errors_per_s = growth(f, was, field_sum(u, "server_errors_total"),
	    field_sum(was, "server_errors_total"));
	count_endpoints(r);
	r->errs = is_erring(f, r);
	judge(r);
}

struct top_row *
top_rows(const struct top_frames *f, size_t *n)
{
	const json_t *all = json_object_get(f->now, "upstreams");
	size_t i, size = json_array_size(all);
	struct top_row *rows = calloc(size + 1, sizeof(*rows));

	*n = rows != NULL ? size : 0;
	for (i = 0; i < *n; i++)
		fill(&rows[i], f, json_array_get(all, i));
	return rows;
}

struct top_listener *
top_listeners(const struct top_frames *f, size_t *n)
{
	const json_t *all = json_object_get(f->now, "listeners");
	size_t i, size = json_array_size(all);
	struct top_listener *rows = calloc(size + 1, sizeof(*rows));

	*n = rows != NULL ? size : 0;
	for (i = 0; i < *n; i++) {
		const json_t *l = json_array_get(all, i);
		const json_t *was = before(f, "listeners",
		    field_text(l, "name"));
		const json_t *times = json_object_get(l, "latency_us");

		rows[i] = (struct top_listener){
			.name = field_text(l, "name"),
			.protocol = field_text(l, "protocol"),
			.clients = field_number_in(l, "connections", "active"),
			.p50_us = field_number(times, "p50"),
			.p99_us = field_number(times, "p99"),
			.requests_per_s = growth(f, was,
			    field_number(l, "requests_total"),
			    field_number(was, "requests_total")),
			.failures_per_s = growth(f, was,
			    field_sum(l, "failures_total"),
			    field_sum(was, "failures_total")),
			.fives_per_s = growth(f, was,
			    field_number_in(l, "outcomes_total", "5xx"),
			    field_number_in(was, "outcomes_total", "5xx")),
			.limited_per_s = growth(f, was,
			    field_sum(l, "limited_total"),
			    field_sum(was, "limited_total"))
		};
	}
	return rows;
}

/* ----------------------------------------------------------------- sorting */

static double
weight(const struct top_row *r, enum top_sort by)
{
	switch (by) {
	case SORT_REQUESTS:
		return r->requests_per_s;
	case SORT_FAILURES:
		return r->failures_per_s + (r->errs ? r->errors_per_s : 0);
	case SORT_LATENCY:
		return (double)r->first_us;
	case SORT_WAITING:
		return (double)r->waiting;
	case SORT_NAME:
		break;
	}
	return 0;
}

static int
compare(const void *a, const void *b, void *by)
{
	const struct top_row *x = a, *y = b;
	double wx = weight(x, *(enum top_sort *)by);
	double wy = weight(y, *(enum top_sort *)by);

	if (wx != wy)
		return wx < wy ? 1 : -1;
	return strcmp(x->name, y->name);
}

void
top_rows_sort(struct top_row *rows, size_t n, enum top_sort by)
{
	qsort_r(rows, n, sizeof(*rows), compare, &by);
}
