/*
 * What the console tells of the program, and what it does to it: on main's
 * thread, by the numbers of proxy/view.h.
 *
 * Column names are PgBouncer's. What it calls a database is an upstream here,
 * for databases themselves are not configured. What weir does not know is 0 or
 * NULL: it counts transactions (and series of requests outside of one), not
 * queries. Averages are since the start. Bytes of a client are counted when it
 * leaves.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proxy/live.h"
#include "proxy/proto/postgres/question.h"
#include "proxy/view.h"

const struct pg_column pg_stats_columns[] = {
	{ "database", PG_COLUMN_TEXT },
	{ "total_xact_count", PG_COLUMN_NUMBER },
	{ "total_query_count", PG_COLUMN_NUMBER },
	{ "total_received", PG_COLUMN_NUMBER },
	{ "total_sent", PG_COLUMN_NUMBER },
	{ "total_xact_time", PG_COLUMN_NUMBER },
	{ "total_query_time", PG_COLUMN_NUMBER },
	{ "total_wait_time", PG_COLUMN_NUMBER },
	{ "avg_xact_count", PG_COLUMN_NUMBER },
	{ "avg_query_count", PG_COLUMN_NUMBER },
	{ "avg_recv", PG_COLUMN_NUMBER }, { "avg_sent", PG_COLUMN_NUMBER },
	{ "avg_xact_time", PG_COLUMN_NUMBER },
	{ "avg_query_time", PG_COLUMN_NUMBER },
	{ "avg_wait_time", PG_COLUMN_NUMBER },
	{ .name = NULL }
};

const struct pg_column pg_databases_columns[] = {
	{ "name", PG_COLUMN_TEXT }, { "host", PG_COLUMN_TEXT },
	{ "port", PG_COLUMN_NUMBER }, { "database", PG_COLUMN_TEXT },
	{ "force_user", PG_COLUMN_TEXT }, { "pool_size", PG_COLUMN_NUMBER },
	{ "min_pool_size", PG_COLUMN_NUMBER },
	{ "reserve_pool", PG_COLUMN_NUMBER }, { "pool_mode", PG_COLUMN_TEXT },
	{ "max_connections", PG_COLUMN_NUMBER },
	{ "current_connections", PG_COLUMN_NUMBER },
	{ "paused", PG_COLUMN_NUMBER }, { "disabled", PG_COLUMN_NUMBER },
	{ .name = NULL }
};

const struct pg_column pg_config_columns[] = {
	{ "key", PG_COLUMN_TEXT }, { "value", PG_COLUMN_TEXT },
	{ "default", PG_COLUMN_TEXT }, { "changeable", PG_COLUMN_TEXT },
	{ .name = NULL }
};

const struct pg_column pg_version_columns[] = {
	{ "version", PG_COLUMN_TEXT }, { .name = NULL }
};

const struct pg_column pg_help_columns[] = {
	{ "command", PG_COLUMN_TEXT }, { "meaning", PG_COLUMN_TEXT },
	{ .name = NULL }
};

/* --------------------------------------------------------------- upstreams */

/* For each upstream of the protocol. */
static void
tell_each(struct pg_question *q, void (*tell)(struct pg_question *q,
    const struct view *v, const struct view_upstream *up))
{
	struct view *v = view_take(q->runtime, NULL);
	size_t i;

	if (v == NULL) {
		q->rows.short_of_memory = true;
		return;
	}
	for (i = 0; i < v->n_upstreams; i++)
		if (strcmp(v->upstreams[i].protocol,
		    proto_postgres.conf.name) == 0)
			tell(q, v, &v->upstreams[i]);
	view_free(v);
}

/* Of the listeners that lead to an upstream. */
struct traffic {
	uint64_t received, sent, us;
};

static struct traffic
traffic_of(const struct pg_question *q, const struct view *v,
    const struct view_upstream *up)
{
	const struct conf *conf = q->runtime->gen->conf;
	struct traffic t = { 0, 0, 0 };
	size_t i;

	for (i = 0; i < v->n_listeners; i++) {
		const struct view_listener *vl = &v->listeners[i];
		const struct conf_listener *l =
		    conf_listener_find(conf, vl->name);

		if (l == NULL || l->upstream == NULL ||
		    strcmp(l->upstream->name, up->name) != 0)
			continue;
		t.received += vl->received;
		t.sent += vl->sent;
		t.us += vl->latency.all.sum_us;
	}
	return t;
}

static uint64_t
per(uint64_t n, uint64_t of)
{
	return of > 0 ? n / of : 0;
}

static void
tell_stats(struct pg_question *q, const struct view *v,
    const struct view_upstream *up)
{
	const struct traffic t = traffic_of(q, v, up);
	uint64_t waited = up->queue.all.sum_us, xacts = up->requests;
	uint64_t busy = t.us > waited ? t.us - waited : 0;
	uint64_t seconds = (uint64_t)v->uptime_s;
	const uint64_t numbers[] = {
		xacts, 0, t.received, t.sent, busy, 0, waited,
		per(xacts, seconds), 0, per(t.received, seconds),
		per(t.sent, seconds), per(busy, xacts), 0, per(waited, xacts)
	};
	size_t i;

	pg_rows_begin(&q->rows);
	pg_rows_text(&q->rows, up->name);
	for (i = 0; i < NELEMS(numbers); i++)
		pg_rows_number(&q->rows, numbers[i]);
	pg_rows_end(&q->rows);
}

void
pg_tell_stats(struct pg_question *q)
{
	tell_each(q, tell_stats);
}

/* "10.0.0.1,10.0.0.2", as PgBouncer writes several hosts. */
static void
put_hosts(struct pg_rows *r, const struct conf_upstream *up)
{
	char text[1024] = "";
	size_t at = 0, i;

	for (i = 0; i < up->n_endpoints && at < sizeof(text); i++) {
		const struct conf_endpoint *e = &up->endpoints[i];

		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s",
		    i > 0 ? "," : "", e->srv != NULL ? e->srv :
		    e->address.host);
	}
	pg_rows_text(r, text);
	pg_rows_number(r, up->n_endpoints > 0 ?
	    up->endpoints[0].address.port : 0);
}

static void
tell_database(struct pg_question *q, const struct view *v,
    const struct view_upstream *up)
{
	const struct conf_upstream *conf =
	    conf_upstream_find(q->runtime->gen->conf, up->name);
	const char *user = conf != NULL ? pg_back_conf(conf)->user : NULL;
	struct pg_rows *r = &q->rows;

	(void)v;
	if (conf == NULL)
		return;
	pg_rows_begin(r);
	pg_rows_text(r, up->name);
	put_hosts(r, conf);
	pg_rows_text(r, NULL);          /* the client's */
	pg_rows_text(r, user != NULL && *user != '\0' ? user : NULL);
	pg_rows_number(r, up->max);
	pg_rows_number(r, (uint64_t)conf->pool.min_idle);
	pg_rows_number(r, 0);
	pg_rows_text(r, up->mode);
	pg_rows_number(r, up->cap);
	pg_rows_number(r, up->open);
	pg_rows_number(r, up->paused);
	pg_rows_number(r, 0);
	pg_rows_end(r);
}

void
pg_tell_databases(struct pg_question *q)
{
	tell_each(q, tell_database);
}

/* ------------------------------------------------------------- the program */

enum { KEY_MOST = 256 };

static void put_key(struct pg_rows *r, const char *key, const json_t *value);

static void
put_value(struct pg_rows *r, const char *key, const char *value)
{
	pg_rows_begin(r);
	pg_rows_text(r, key);
	pg_rows_text(r, value);
	pg_rows_text(r, NULL);
	pg_rows_text(r, "no");
	pg_rows_end(r);
}

static void
put_members(struct pg_rows *r, const char *key, const json_t *value)
{
	char inner[KEY_MOST];
	const char *name;
	json_t *member;

	json_object_foreach((json_t *)value, name, member) {
		snprintf(inner, sizeof(inner), "%s%s%s", key,
		    *key != '\0' ? "." : "", name);
		put_key(r, inner, member);
	}
}

/* Those of a list go by their names where they have any. */
static void
put_elements(struct pg_rows *r, const char *key, const json_t *value)
{
	char inner[KEY_MOST];
	size_t i;

	for (i = 0; i < json_array_size(value); i++) {
		const json_t *one = json_array_get(value, i);
		const char *name = json_string_value(json_object_get(one,
		    "name"));

		if (name != NULL)
			snprintf(inner, sizeof(inner), "%s.%s", key, name);
		else
			snprintf(inner, sizeof(inner), "%s.%zu", key, i);
		put_key(r, inner, one);
	}
}

static void
put_key(struct pg_rows *r, const char *key, const json_t *value)
{
	char *text;

	if (json_is_object(value))
		put_members(r, key, value);
	else if (json_is_array(value))
		put_elements(r, key, value);
	else if (json_is_string(value))
		put_value(r, key, json_string_value(value));
	else if (json_is_null(value))
		put_value(r, key, NULL);
	else {
		text = json_dumps(value, JSON_ENCODE_ANY |
		    JSON_REAL_PRECISION(6));
		put_value(r, key, text);
		free(text);
	}
}

/* conf_json() hides what is secret. */
void
pg_tell_config(struct pg_question *q)
{
	char *text = conf_json(q->runtime->gen->conf);
	json_t *all = text != NULL ? json_loads(text, 0, NULL) : NULL;

	free(text);
	if (all == NULL)
		q->rows.short_of_memory = true;
	else
		put_key(&q->rows, "", all);
	json_decref(all);
}

void
pg_tell_version(struct pg_question *q)
{
	pg_rows_begin(&q->rows);
	pg_rows_text(&q->rows, "weir " WEIR_VERSION);
	pg_rows_end(&q->rows);
}

void
pg_tell_help(struct pg_question *q)
{
	const struct pg_command *c;
	char text[64];

	for (c = pg_commands; c->words != NULL; c++) {
		snprintf(text, sizeof(text), "%s%s", c->words,
		    c->names ? " [upstream]" : "");
		pg_rows_begin(&q->rows);
		pg_rows_text(&q->rows, text);
		pg_rows_text(&q->rows, c->help);
		pg_rows_end(&q->rows);
	}
}

/* ------------------------------------------------------------------ orders */

/* The one that is named, or all of the protocol. */
static void
pause_them(struct pg_question *q, bool on)
{
	struct list *l, *tmp;
	bool found = false;

	list_each(l, tmp, &q->runtime->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf == NULL ||
		    lu->conf->proto != &proto_postgres.conf ||
		    (*q->upstream != '\0' &&
		    strcmp(lu->conf->name, q->upstream) != 0))
			continue;
		found = true;
		live_upstream_pause(lu, on);
	}
	if (!found && *q->upstream != '\0')
		pg_question_fail(q, "3D000", "weir: there is no upstream "
		    "\"%.100s\": SHOW DATABASES lists them", q->upstream);
}

void
pg_do_pause(struct pg_question *q)
{
	pause_them(q, true);
}

void
pg_do_resume(struct pg_question *q)
{
	pause_them(q, false);
}

void
pg_do_reload(struct pg_question *q)
{
	struct conf_errors errors = { 0 };

	/* config_file_error */
	if (runtime_reload(q->runtime, &errors) < 0)
		pg_question_fail(q, "F0000", "weir: nothing was reloaded: %s",
		    errors.n > 0 ? errors.v[0] : "out of memory");
	conf_errors_fini(&errors);
}
