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

enum {
	NUMBERS = 7,                    /* most of a row */
	COLUMNS_MOST = 128, KEY_MOST = 64       /* of what another weir says */
};

/* What is kept of each; ends with NULL. */
static const char *const listener_names[NUMBERS + 1] = {
	"requests_total", "failures_total", "clients", "p50_us", "p99_us"
};
static const char *const upstream_names[NUMBERS + 1] = {
	"requests_total", "open", "leased", "waiting", "queue_p99_us",
	"first_byte_p99_us", "server_errors_total"
};

/* What there is by reason besides; the names of /stats. */
enum group { FAILURES, LIMITED, OUTCOMES, DELAYED, ERRORS, N_GROUPS };
static const char *const group_names[N_GROUPS] = {
	"failures_total", "limited_total", "outcomes_total", "delayed_total",
	"server_errors_total"
};

/* One reason of a row. Most never occur: it is made when it first does, and was
   0 before. */
struct column {
	struct column *next;
	enum group group;
	uint64_t points[TREND_POINTS];
	char     key[];
};

struct row {
	UT_hash_handle hh;
	struct column *columns;
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
row_free(struct row *r)
{
	struct column *c;

	while ((c = r->columns) != NULL) {
		r->columns = c->next;
		free(c);
	}
	free(r);
}

static void
rows_free(struct row *rows)
{
	struct row *r = rows, *next;

	HASH_CLEAR(hh, rows);
	for (; r != NULL; r = next) {
		next = r->hh.next;
		row_free(r);
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

/* Its numbers at the point that is being taken; NULL = no memory. */
static struct row *
place(struct trend *t, struct row **rows, const char *name,
    const uint64_t *now)
{
	struct row *r = row_of(rows, name, t->taken);

	if (r == NULL)
		return NULL;
	r->seen = true;
	memcpy(r->points[t->taken % TREND_POINTS], now, sizeof(r->points[0]));
	return r;
}

static struct column *
column_find(const struct row *r, enum group g, const char *key)
{
	struct column *c = r->columns;

	while (c != NULL && (c->group != g || strcmp(c->key, key) != 0))
		c = c->next;
	return c;
}

/* NULL = no memory. */
static struct column *
column_new(struct row *r, enum group g, const char *key)
{
	size_t size = strlen(key) + 1;
	struct column *c = calloc(1, sizeof(*c) + size);

	if (c == NULL)
		return NULL;
	c->group = g;
	memcpy(c->key, key, size);
	c->next = r->columns;
	return r->columns = c;
}

static void
record_reason(const struct trend *t, struct row *r, enum group g,
    const char *key, uint64_t n)
{
	struct column *c = column_find(r, g, key);

	if (c == NULL && n > 0)
		c = column_new(r, g, key);
	if (c != NULL)
		c->points[t->taken % TREND_POINTS] = n;
}

static void
record_reasons(const struct trend *t, struct row *r, enum group g,
    const char *const *names, const uint64_t *numbers, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		record_reason(t, r, g, names[i], numbers[i]);
}

static void
forget_unseen(struct row **rows)
{
	struct row *r = NULL, *next;

	HASH_ITER(hh, *rows, r, next) {
		if (!r->seen) {
			HASH_DEL(*rows, r);
			row_free(r);
		} else
			r->seen = false;
	}
}

static void
record_listener(struct trend *t, const struct view_listener *v)
{
	uint64_t failed = 0;
	struct row *r;
	unsigned i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		failed += v->failures[i];
	r = place(t, &t->listeners, v->name, (uint64_t[NUMBERS]){ v->requests,
	    failed, v->active, v->latency.window.p50, v->latency.window.p99 });
	if (r == NULL)
		return;
	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		record_reason(t, r, FAILURES, fail_rows[i].name,
		    v->failures[i]);
	record_reasons(t, r, LIMITED, limit_names, v->limited, N_LIMITS);
	record_reasons(t, r, OUTCOMES, outcome_names, v->outcomes, N_OUTCOMES);
}

static void
record_upstream(struct trend *t, const struct view_upstream *v)
{
	uint64_t errors = 0;
	size_t n = 0, i;
	struct row *r;

	for (i = 0; i < POOL_ERRORS_MOST; i++)
		errors += v->errors[i];
	r = place(t, &t->upstreams, v->name, (uint64_t[NUMBERS]){ v->requests,
	    v->open, v->leased, v->waiting, v->queue.window.p99,
	    v->first_byte.window.p99, errors });
	if (r == NULL)
		return;
	while (v->error_names != NULL && v->error_names[n] != NULL)
		n++;
	record_reasons(t, r, ERRORS, v->error_names, v->errors, n);
	record_reasons(t, r, LIMITED, upstream_limit_names, v->limited,
	    N_UPSTREAM_LIMITS);
	record_reasons(t, r, DELAYED, upstream_limit_names, v->delayed,
	    N_UPSTREAM_LIMITS);
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

/* Of points that are so many numbers apart. */
static json_t *
numbers(const struct trend *t, uint64_t born, const uint64_t *points,
    size_t apart)
{
	json_t *all = json_array();
	uint64_t i;

	for (i = oldest(t); i < t->taken; i++)
		(void)json_array_append_new(all, i < born ? json_null() :
		    json_integer((json_int_t)points[i % TREND_POINTS *
		    apart]));
	return all;
}

static json_t *
reasons(const struct trend *t, const struct row *r)
{
	json_t *o = json_object();
	const struct column *c;

	for (c = r->columns; c != NULL; c = c->next) {
		const char *group = group_names[c->group];

		if (json_object_get(o, group) == NULL)
			json_put(o, group, json_object());
		json_put(json_object_get(o, group), c->key,
		    numbers(t, r->born, c->points, 1));
	}
	return o;
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
			json_put(o, names[n], numbers(t, r->born,
			    &r->points[0][n], NUMBERS));
		json_put(o, "by_reason", reasons(t, r));
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

/* What stands beside each point: "open", "limited_total.request_rate". */
static json_t *
spell_names(const struct row *r, const char *const *names, unsigned *n)
{
	json_t *all = json_array();
	const struct column *c;

	for (*n = 0; names[*n] != NULL; (*n)++)
		(void)json_array_append_new(all, json_string(names[*n]));
	for (c = r->columns; c != NULL; c = c->next)
		(void)json_array_append_new(all, json_sprintf("%s.%s",
		    group_names[c->group], c->key));
	return all;
}

/* In the order of those, n of which are the row's own. */
static void
copy_point(const struct row *r, uint64_t i, unsigned n, uint64_t *to)
{
	const struct column *c;

	memcpy(to, r->points[i % TREND_POINTS], n * sizeof(*to));
	for (to += n, c = r->columns; c != NULL; c = c->next)
		*to++ = c->points[i % TREND_POINTS];
}

/* Point by point, the oldest first. */
static void
tell_row(const struct trend *t, const struct row *r, const char *of,
    const char *const *names, const struct saying *s)
{
	uint64_t first = r->born > oldest(t) ? r->born : oldest(t), i, *raw;
	unsigned n;
	json_t *all = spell_names(r, names, &n);
	size_t k = json_array_size(all);

	raw = calloc((t->taken - first) * k + 1, sizeof(*raw));
	if (raw == NULL) {
		json_decref(all);
		return;
	}
	for (i = first; i < t->taken; i++)
		copy_point(r, i, n, raw + (i - first) * k);
	s->say(s->arg, json_pack("{s:s,s:s,s:s,s:I,s:o}", "is", "trend_row",
	    "of", of, "name", r->name, "points", (json_int_t)(t->taken -
	    first), "numbers", all), raw,
	    (t->taken - first) * k * sizeof(*raw));
	free(raw);
}

static void
tell_rows(const struct trend *t, const struct row *rows, const char *of,
    const char *const *names, const struct saying *s)
{
	const struct row *r;

	for (r = rows; r != NULL; r = r->hh.next)
		tell_row(t, r, of, names, s);
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

/* The number at `at` of the k beside each point, apart numbers from one to the
   next. */
static void
take_points(const struct trend *t, const struct row *r, uint64_t *points,
    size_t apart, const unsigned char *raw, size_t k, size_t at)
{
	uint64_t i, n;

	for (i = r->born; i < t->taken; i++) {
		memcpy(&n, raw + ((i - r->born) * k + at) * sizeof(n),
		    sizeof(n));
		points[i % TREND_POINTS * apart] = n > INT64_MAX ? INT64_MAX :
		    n;
	}
}

/* "limited_total.request_rate"; NULL: there is none of that name, or no
   memory. */
static struct column *
column_said(struct row *r, const char *said)
{
	const char *dot = said != NULL ? strchr(said, '.') : NULL;
	struct column *c;
	size_t len;
	int g;

	if (dot == NULL || strlen(dot) > KEY_MOST)
		return NULL;
	len = (size_t)(dot - said);
	for (g = 0; g < N_GROUPS; g++)
		if (strncmp(group_names[g], said, len) == 0 &&
		    group_names[g][len] == '\0')
			break;
	if (g == N_GROUPS)
		return NULL;
	c = column_find(r, (enum group)g, dot + 1);
	return c != NULL ? c : column_new(r, (enum group)g, dot + 1);
}

static void
take_numbers(const struct trend *t, struct row *r, const char *const *names,
    const json_t *said, const unsigned char *raw)
{
	size_t k = json_array_size(said), i;
	struct column *c;
	unsigned n;
	int at;

	for (n = 0; names[n] != NULL; n++) {
		at = which(said, k, names[n]);
		if (at >= 0)
			take_points(t, r, &r->points[0][n], NUMBERS, raw, k,
			    (size_t)at);
	}
	for (i = 0; i < k && i < COLUMNS_MOST; i++) {
		c = column_said(r, json_string_value(json_array_get(said, i)));
		if (c != NULL)
			take_points(t, r, c->points, 1, raw, k, i);
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
	take_numbers(t, r, is_upstream ? upstream_names : listener_names, said,
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
