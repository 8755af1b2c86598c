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

/* Made if need be, with born as it is; NULL = no memory. */
static struct row *
row_of(struct row **rows, const char *name, uint64_t born)
{
	size_t len = strlen(name);
	struct row *r = NULL;

	HASH_FIND(hh, *rows, name, (unsigned)len, r);
	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r) + len + 1);
	if (r == NULL)
		return NULL;
	memcpy(r->name, name, len + 1);
	r->born = born;
	HASH_ADD_KEYPTR(hh, *rows, r->name, (unsigned)len, r);
	if (r->hh.tbl != NULL)
		return r;
	free(r);
	return NULL;
}

/* The place for the point that is being taken; NULL = no memory. */
static uint64_t *
place(struct trend *t, struct row **rows, const char *name)
{
	struct row *r = row_of(rows, name, t->taken);

	if (r == NULL)
		return NULL;
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

/* ----------------------------------------------------------- to another weir */

struct saying {
	void (*say)(void *arg, json_t *j, const void *raw, size_t raw_len);
	void *arg;
};

static json_t *
spell_names(const char *const *names, unsigned *n)
{
	json_t *all = json_array();

	for (*n = 0; names[*n] != NULL; (*n)++)
		(void)json_array_append_new(all, json_string(names[*n]));
	return all;
}

/* Point by point, the oldest first. */
static void
tell_rows(const struct trend *t, const struct row *rows, const char *of,
    const char *const *names, const struct saying *s)
{
	uint64_t raw[TREND_POINTS * NUMBERS], i, first;
	const struct row *r;
	unsigned k = 0;

	for (r = rows; r != NULL; r = r->hh.next) {
		json_t *all = spell_names(names, &k);

		first = r->born > oldest(t) ? r->born : oldest(t);
		for (i = first; i < t->taken; i++)
			memcpy(raw + (i - first) * k,
			    r->points[i % TREND_POINTS], k * sizeof(raw[0]));
		s->say(s->arg, json_pack("{s:s,s:s,s:s,s:I,s:o}", "is",
		    "trend_row", "of", of, "name", r->name, "points",
		    (json_int_t)(t->taken - first), "numbers", all), raw,
		    (t->taken - first) * k * sizeof(raw[0]));
	}
}

void
trend_tell(const struct trend *t, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg)
{
	const struct saying s = { say, arg };
	json_t *at = json_array();
	uint64_t i;

	for (i = oldest(t); i < t->taken; i++)
		(void)json_array_append_new(at,
		    json_integer(t->at_s[i % TREND_POINTS]));
	say(arg, json_pack("{s:s,s:i,s:o}", "is", "trend", "step_s",
	    HISTORY_STEP_S, "at", at), NULL, 0);
	tell_rows(t, t->listeners, "listener", listener_names, &s);
	tell_rows(t, t->upstreams, "upstream", upstream_names, &s);
}

/* All of them or none. */
static void
take_times(struct trend *t, const json_t *j)
{
	const json_t *at = json_object_get(j, "at"), *one;
	size_t n = json_array_size(at), i;

	if (t->taken > 0 || json_integer_value(json_object_get(j, "step_s")) !=
	    HISTORY_STEP_S)
		return;
	for (i = 0; i < n; i++) {
		one = json_array_get(at, i);
		if (!json_is_integer(one) || json_integer_value(one) < 0)
			return;
		t->at_s[i % TREND_POINTS] = json_integer_value(one);
	}
	t->taken = n;
}

/* Which of the k numbers beside a point is that one; -1: none. */
static int
which(const json_t *names, size_t k, const char *name)
{
	const char *said;
	size_t i;

	for (i = 0; i < k; i++) {
		said = json_string_value(json_array_get(names, i));
		if (said != NULL && strcmp(said, name) == 0)
			return (int)i;
	}
	return -1;
}

static void
take_points(struct trend *t, struct row *r, const char *const *names,
    const json_t *said, const unsigned char *raw)
{
	size_t k = json_array_size(said);
	uint64_t i, n;
	unsigned c;
	int at;

	for (c = 0; names[c] != NULL; c++) {
		at = which(said, k, names[c]);
		for (i = r->born; at >= 0 && i < t->taken; i++) {
			memcpy(&n, raw + ((i - r->born) * k + (size_t)at) *
			    sizeof(n), sizeof(n));
			r->points[i % TREND_POINTS][c] = n > INT64_MAX ?
			    INT64_MAX : n;
		}
	}
}

static void
take_row(struct trend *t, const json_t *j, const void *raw, size_t raw_len)
{
	const char *name = json_string_value(json_object_get(j, "name"));
	const char *of = json_string_value(json_object_get(j, "of"));
	const json_t *said = json_object_get(j, "numbers");
	json_int_t n = json_integer_value(json_object_get(j, "points"));
	bool is_upstream = of != NULL && strcmp(of, "upstream") == 0;
	struct row *r;

	if (name == NULL || n <= 0 || (uint64_t)n > t->taken || raw_len !=
	    (size_t)n * json_array_size(said) * sizeof(uint64_t))
		return;
	r = row_of(is_upstream ? &t->upstreams : &t->listeners, name,
	    t->taken - (uint64_t)n);
	if (r == NULL)
		return;
	r->born = t->taken - (uint64_t)n;
	take_points(t, r, is_upstream ? upstream_names : listener_names, said,
	    raw);
}

void
trend_take(struct trend *t, const json_t *j, const void *raw, size_t raw_len)
{
	const char *is = json_string_value(json_object_get(j, "is"));

	if (is != NULL && strcmp(is, "trend") == 0)
		take_times(t, j);
	else if (is != NULL && strcmp(is, "trend_row") == 0)
		take_row(t, j, raw, raw_len);
}
