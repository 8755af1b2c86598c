/*
 * The last minute. See top_lately.h.
 *
 * A frame of many upstreams is large, so little of it is kept, and not of each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_lately.h"

#include <stdlib.h>
#include <string.h>

#include "net/err.h"
#include "proxy/command/call.h"
#include "proxy/command/field.h"

enum { ASK_MS = 2000 };

/* Its members are the frame's own, which it holds on to. */
static json_t *
keep_rows(const json_t *rows, const char *const *keys, size_t n_keys)
{
	json_t *kept = json_array();
	size_t i, k;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		json_t *o = json_object();

		for (k = 0; k < n_keys; k++)
			(void)json_object_set(o, keys[k],
			    json_object_get(row, keys[k]));
		(void)json_array_append_new(kept, o);
	}
	return kept;
}

static json_t *
keep(const json_t *frame)
{
	static const char *const of_listener[] = { "name", "requests_total",
		"outcomes_total", "failures_total", "limited_total" };
	static const char *const of_upstream[] = { "name", "requests_total",
		"server_errors_total", "limited_total" };
	json_t *o = json_object();

	(void)json_object_set_new(o, "listeners", keep_rows(
	    json_object_get(frame, "listeners"), of_listener,
	    NELEMS(of_listener)));
	(void)json_object_set_new(o, "upstreams", keep_rows(
	    json_object_get(frame, "upstreams"), of_upstream,
	    NELEMS(of_upstream)));
	return o;
}

static void
drop_oldest(struct lately *l)
{
	json_decref(l->v[0].rows);
	memmove(&l->v[0], &l->v[1], --l->n * sizeof(l->v[0]));
}

void
lately_take(struct lately *l, const json_t *frame)
{
	double at_s = json_number_value(json_object_get(frame, "uptime_s"));

	while (l->n > 0 && (l->v[0].at_s < at_s - LATELY_S ||
	    l->n == LATELY_MOST))
		drop_oldest(l);
	if (l->n > 0 && at_s < l->v[l->n - 1].at_s + LATELY_STEP_S)
		return;
	if (l->n == 0)
		l->recalled = false;
	l->v[l->n].at_s = at_s;
	l->v[l->n++].rows = keep(frame);
}

/* A row as a frame had it then; what is not there was 0. */
static json_t *
row_then(const json_t *row, size_t i)
{
	json_t *groups = json_object_get(row, "by_reason"), *o = json_object();
	json_t *reasons, *points, *numbers;
	const char *group, *reason;

	(void)json_object_set(o, "name", json_object_get(row, "name"));
	(void)json_object_set(o, "requests_total", json_array_get(
	    json_object_get(row, "requests_total"), i));
	json_object_foreach(groups, group, reasons) {
		numbers = json_object();
		json_object_foreach(reasons, reason, points)
			(void)json_object_set(numbers, reason,
			    json_array_get(points, i));
		(void)json_object_set_new(o, group, numbers);
	}
	return o;
}

static json_t *
rows_then(const json_t *rows, size_t i)
{
	json_t *then = json_array();
	size_t r;

	for (r = 0; r < json_array_size(rows); r++)
		(void)json_array_append_new(then,
		    row_then(json_array_get(rows, r), i));
	return then;
}

void
lately_fill(struct lately *l, const json_t *history)
{
	const json_t *listeners = json_object_get(history, "listeners");
	const json_t *upstreams = json_object_get(history, "upstreams");
	const json_t *at = json_object_get(history, "at");
	size_t i = json_array_size(at);
	double newest_s, age_s;
	json_t *o;

	if (i == 0 || l->n != 1 || json_object_get(json_array_get(listeners,
	    0), "by_reason") == NULL)
		return;
	/* Taken as of now: clocks may differ, and it is a few seconds old. */
	newest_s = json_number_value(json_array_get(at, i - 1));
	while (i-- > 0 && l->n < LATELY_MOST) {
		age_s = newest_s - json_number_value(json_array_get(at, i));
		if (age_s > LATELY_S)
			break;
		o = json_object();
		(void)json_object_set_new(o, "listeners",
		    rows_then(listeners, i));
		(void)json_object_set_new(o, "upstreams",
		    rows_then(upstreams, i));
		memmove(&l->v[1], &l->v[0], l->n++ * sizeof(l->v[0]));
		l->v[0].rows = o;
		l->v[0].at_s = l->v[l->n - 1].at_s - age_s;
	}
}

void
lately_recall(struct lately *l, const struct call_target *t)
{
	char *body = NULL, why[256];
	json_t *history;

	if (l->n != 1 || l->recalled)
		return;
	l->recalled = true;
	if (call_whole(t, "GET", "/stats/history", ASK_MS, &body, why,
	    sizeof(why)) == 200) {
		history = json_loads(body, 0, NULL);
		lately_fill(l, history);
		json_decref(history);
	}
	free(body);
}

void
lately_clear(struct lately *l)
{
	while (l->n > 0)
		drop_oldest(l);
}

const json_t *
lately_row(const struct lately *l, const char *group, const char *name)
{
	const json_t *row = NULL;
	size_t i;

	for (i = 0; i < l->n && row == NULL; i++)
		row = field_row(json_object_get(l->v[i].rows, group), name);
	return row;
}

double
lately_seconds(const struct lately *l, const json_t *now)
{
	return l->n > 0 ? json_number_value(json_object_get(now, "uptime_s")) -
	    l->v[0].at_s : 0;
}
