/*
 * Upstreams' faults and advice as JSON. See json_pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/json_pool.h"

#include <stdarg.h>
#include <stdio.h>

#include "proxy/admin/json.h"
#include "proxy/inject.h"

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *
json_fault(const struct view_upstream *v)
{
	json_t *o;

	if (v->fault.per_million == 0)
		return json_null();
	o = json_object();
	json_put(o, "delay_ms", number(v->fault.delay_ms));
	json_put(o, "reset", json_boolean(v->fault.what == INJECT_RESET));
	json_put(o, "error", json_boolean(v->fault.what == INJECT_ERROR));
	json_put(o, "percent", json_real((double)v->fault.per_million / 1e4));
	json_put(o, "until", json_integer(v->fault.until_s));
	json_put(o, "hit_total", number(v->fault.hits));
	return o;
}

/* ------------------------------------------------------------------- advice */

static json_t *
number_or_null(uint64_t n)
{
	return n > 0 ? number(n) : json_null();
}

static json_t *
row_json(const struct advice_row *row)
{
	json_t *o = json_object();

	json_put(o, "max", number(row->max));
	json_put(o, "queued_share", json_real(row->queued_share));
	/* null: for ever, it could not keep up. */
	json_put(o, "queue_us", row->queue_us == UINT64_MAX ? json_null() :
	    number(row->queue_us));
	return o;
}

static void say(json_t *texts, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
say(json_t *texts, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)json_array_append_new(texts, json_string(text));
}

/* "0.3 % of requests for 4 ms", "no request" */
static void
print_queued(char *out, size_t size, const struct advice_row *row)
{
	double percent = row->queued_share * 100;

	if (row->queue_us == UINT64_MAX)
		snprintf(out, size, "more and more requests");
	else if (percent < 0.01)
		snprintf(out, size, "no request");
	else if (row->queue_us >= 1000)
		snprintf(out, size, "%.*f %% of requests for %.*f ms",
		    percent < 1 ? 2 : percent < 10 ? 1 : 0, percent,
		    row->queue_us < 10000 ? 1 : 0,
		    (double)row->queue_us / 1e3);
	else
		snprintf(out, size, "%.*f %% of requests for %llu us",
		    percent < 1 ? 2 : percent < 10 ? 1 : 0, percent,
		    (unsigned long long)row->queue_us);
}

/* More than there is: will the server have them? */
static bool
is_for_server(const struct view_upstream *v)
{
	return v->advice.max > v->max && v->server_cap != NULL;
}

static void
say_rows(json_t *texts, const struct view_upstream *v)
{
	const struct advice *a = &v->advice;
	char queued[96];
	unsigned i;

	for (i = 0; i < a->n_rows; i++) {
		const struct advice_row *row = &a->rows[i];

		print_queued(queued, sizeof(queued), row);
		if (row->max == a->max)
			say(texts, is_for_server(v) ? "max = %u would have "
			    "queued %s (%s of the server has to allow it)" :
			    "max = %u would have queued %s", row->max, queued,
			    v->server_cap);
		else if (row->max == v->max && row->max < a->max)
			say(texts, "max = %u, as it is, queues %s", row->max,
			    queued);
	}
	if (a->known && a->max == 0)
		say(texts, "no max up to %d would have kept up: requests come "
		    "faster than they end", ADVICE_MAX_MOST);
	else if (a->min_idle > 0)
		say(texts, "min_idle = %u would have had %d of 100 requests "
		    "find a connection open", a->min_idle, ADVICE_WARM);
}

enum { UNKEPT_REQUESTS = 100 };

/* Most answers are the last on their connections, because the server says so:
   then no size of a pool is of use. */
static void
say_unkept(json_t *texts, const struct view_upstream *v)
{
	if (v->requests >= UNKEPT_REQUESTS &&
	    v->discards[DISCARD_SERVER_SAID] >= v->requests / 10 * 8)
		say(texts, "the server closes each connection after an answer: "
		    "nothing can be used again. Let it keep them open "
		    "(keep-alive)");
}

static void
say_keep_alive(json_t *texts, const struct view_upstream *v)
{
	double s = (double)v->keep_alive_ms / 1e3;

	if (v->keep_alive_ms == 0 || v->idle_timeout_ms <= v->keep_alive_ms)
		return;
	if (v->idle_timeout_ms == CONF_OFF)
		say(texts, "the server closes idle connections after %.3g s: "
		    "set pool.idle_timeout, which is off, to less", s);
	else
		say(texts, "the server closes idle connections after %.3g s: "
		    "set pool.idle_timeout, which is %.3g s, to less", s,
		    (double)v->idle_timeout_ms / 1e3);
}

static void
put_demand(json_t *o, const struct view_upstream *v)
{
	const struct advice *a = &v->advice;
	json_t *rows = json_array();
	unsigned i;

	json_put(o, "window_s", json_integer((json_int_t)(v->advice_s + 0.5)));
	json_put(o, "arrivals_per_s", json_real(a->arrivals_per_s));
	json_put(o, "holding_us", json_pack("{s:o,s:o}", "mean",
	    number(a->held_mean_us), "p99", number(a->held_p99_us)));
	json_put(o, "busy", json_pack("{s:f,s:i}", "mean", a->busy_mean, "max",
	    (int)a->busy_max));
	json_put(o, "percentile", number(ADVICE_PERCENTILE));
	for (i = 0; i < a->n_rows; i++)
		(void)json_array_append_new(rows, row_json(&a->rows[i]));
	json_put(o, "rows", rows);
	json_put(o, "max", number_or_null(a->max));
	json_put(o, "min_idle", number_or_null(a->min_idle));
}

json_t *
json_advice(const struct view_upstream *v)
{
	json_t *o, *texts;

	if (!v->advice.known && v->keep_alive_ms == 0)
		return json_null();
	o = json_object();
	texts = json_array();
	put_demand(o, v);
	json_put(o, "keep_alive_ms",
	    number_or_null((uint64_t)v->keep_alive_ms));
	say_unkept(texts, v);
	say_rows(texts, v);
	say_keep_alive(texts, v);
	json_put(o, "text", texts);
	return o;
}
