/*
 * The last minute. See top_lately.h.
 *
 * A frame of many upstreams is large, so little of it is kept, and not of each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_lately.h"

#include <string.h>

#include "net/err.h"
#include "proxy/command/field.h"

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
	l->v[l->n].at_s = at_s;
	l->v[l->n++].rows = keep(frame);
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
