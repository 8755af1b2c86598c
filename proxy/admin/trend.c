/*
 * The last minutes. See trend.h.
 *
 * SPDX-License-Identifier: MIT
 */
/* Without memory a name is not kept; uthash would end the process. */
#define HASH_NONFATAL_OOM 1

#include "proxy/admin/trend.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "proxy/admin/json.h"

enum { NUMBERS = 7 };                   /* most of a row */

/* What is kept of each; ends with NULL. */
static const char *const listener_names[NUMBERS + 1] = {
	"requests_total", "failures_total", "clients", "p50_us", "p99_us"
};
static const char *const upstream_names[NUMBERS + 1] = {
	"requests_total", "open", "leased", "waiting", "queue_p99_us",
	"first_byte_p99_us", "server_errors_total"
};

struct row {
	UT_hash_handle hh;
	uint64_t born;                  /* trend->taken at its first point */
	bool     seen;                  /* in the view that is being recorded */
	uint64_t points[TREND_POINTS][NUMBERS];
	char     name[];
};

struct trend {
	struct row *listeners, *upstreams;
	uint64_t taken;                 /* points so far */
	int64_t  at_s[TREND_POINTS];
};

struct trend *
trend_new(void)
{
	return calloc(1, sizeof(struct trend));
}

static void
rows_free(struct row *rows)
{
	struct row *r = rows, *next;

	HASH_CLEAR(hh, rows);
	for (; r != NULL; r = next) {
		next = r->hh.next;
		free(r);
	}
}

void
trend_free(struct trend *t)
{
	if (t == NULL)
		return;
	rows_free(t->listeners);
	rows_free(t->upstreams);
	free(t);
}

/* --------------------------------------------------------------- recording */

/* The place for the point that is being taken; NULL = no memory. */
static uint64_t *
place(struct trend *t, struct row **rows, const char *name)
{
	size_t len = strlen(name);
	struct row *r = NULL;

	HASH_FIND(hh, *rows, name, (unsigned)len, r);
	if (r == NULL) {
		r = calloc(1, sizeof(*r) + len + 1);
		if (r == NULL)
			return NULL;
		memcpy(r->name, name, len + 1);
		r->born = t->taken;
		HASH_ADD_KEYPTR(hh, *rows, r->name, (unsigned)len, r);
		if (r->hh.tbl == NULL) {
			free(r);
			return NULL;
		}
	}
	r->seen = true;
	return r->points[t->taken % TREND_POINTS];
}

static void
forget_unseen(struct row **rows)
{
	struct row *r = NULL, *next;

	HASH_ITER(hh, *rows, r, next) {
		if (!r->seen) {
			HASH_DEL(*rows, r);
			free(r);
		} else
			r->seen = false;
	}
}

static void
record_listener(struct trend *t, const struct view_listener *v)
{
	uint64_t *p = place(t, &t->listeners, v->name), failed = 0;
	unsigned i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		failed += v->failures[i];
	if (p != NULL)
		memcpy(p, (uint64_t[NUMBERS]){ v->requests, failed, v->active,
		    v->latency.window.p50, v->latency.window.p99 },
		    sizeof(uint64_t[NUMBERS]));
}

static void
record_upstream(struct trend *t, const struct view_upstream *v)
{
	uint64_t *p = place(t, &t->upstreams, v->name), errors = 0;
	unsigned i;

	for (i = 0; i < POOL_ERRORS_MOST; i++)
		errors += v->errors[i];
	if (p != NULL)
		memcpy(p, (uint64_t[NUMBERS]){ v->requests, v->open, v->leased,
		    v->waiting, v->queue.window.p99, v->first_byte.window.p99,
		    errors }, sizeof(uint64_t[NUMBERS]));
}

void
trend_record(struct trend *t, const struct view *v, int64_t at_s)
{
	size_t i;

	for (i = 0; i < v->n_listeners; i++)
		record_listener(t, &v->listeners[i]);
	for (i = 0; i < v->n_upstreams; i++)
		record_upstream(t, &v->upstreams[i]);
	forget_unseen(&t->listeners);
	forget_unseen(&t->upstreams);
	t->at_s[t->taken++ % TREND_POINTS] = at_s;
}

/* ----------------------------------------------------------------- telling */

static uint64_t
oldest(const struct trend *t)
{
	return t->taken > TREND_POINTS ? t->taken - TREND_POINTS : 0;
}

static json_t *
numbers(const struct trend *t, const struct row *r, unsigned n)
{
	json_t *all = json_array();
	uint64_t i;

	for (i = oldest(t); i < t->taken; i++)
		(void)json_array_append_new(all, i < r->born ? json_null() :
		    json_integer((json_int_t)r->points[i % TREND_POINTS][n]));
	return all;
}

static json_t *
rows_json(const struct trend *t, const struct row *rows,
    const char *const *names)
{
	json_t *all = json_array();
	const struct row *r;
	unsigned n;

	for (r = rows; r != NULL; r = r->hh.next) {
		json_t *o = json_object();

		json_put(o, "name", json_text(r->name));
		for (n = 0; names[n] != NULL; n++)
			json_put(o, names[n],
			    numbers(t, r, n));
		(void)json_array_append_new(all, o);
	}
	return all;
}

json_t *
trend_json(const struct trend *t)
{
	json_t *o = json_object(), *at = json_array();
	uint64_t i;

	for (i = oldest(t); i < t->taken; i++)
		(void)json_array_append_new(at,
		    json_integer(t->at_s[i % TREND_POINTS]));
	json_put(o, "step_s", json_integer(HISTORY_STEP_S));
	json_put(o, "at", at);
	json_put(o, "listeners",
	    rows_json(t, t->listeners, listener_names));
	json_put(o, "upstreams",
	    rows_json(t, t->upstreams, upstream_names));
	return o;
}
