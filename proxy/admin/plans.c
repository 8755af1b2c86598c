/*
 * Plans as JSON. See plans.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/plans.h"

#include <jansson.h>
#include <string.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/admin/orders.h"
#include "proxy/plan.h"

enum { NAME_MOST = 1024 };

static json_t *
text_or_null(const char *text)
{
	return text != NULL ? json_text(text) : json_null();
}

static json_t *
texts(const struct conf_errors *e)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < e->n; i++)
		(void)json_array_append_new(a, json_text(e->v[i]));
	return a;
}

/* ----------------------------------------------------------------- changes */

static json_t *
change(const struct diff_change *d, const struct conf *conf)
{
	json_t *o = json_object();
	char place[1024];

	(void)json_object_set_new(o, "kind", json_text(diff_kinds[d->kind]));
	(void)json_object_set_new(o, "name", json_text(d->name));
	(void)json_object_set_new(o, "in", text_or_null(d->owner));
	(void)json_object_set_new(o, "change", json_text(diff_hows[d->how]));
	(void)json_object_set_new(o, "path", json_text(d->path));
	(void)json_object_set_new(o, "from", text_or_null(d->from));
	(void)json_object_set_new(o, "to", text_or_null(d->to));
	(void)json_object_set_new(o, "text", json_text(d->text));
	if (d->line > 0)
		conf_place(conf, d->line, place, sizeof(place));
	(void)json_object_set_new(o, "line", d->line > 0 ?
	    json_integer(atoi(strrchr(place, ':') + 1)) : json_null());
	(void)json_object_set_new(o, "place", d->line > 0 ?
	    json_text(place) : json_null());
	return o;
}

json_t *
json_changes(const struct diff *d, const struct conf *conf)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < d->n; i++)
		(void)json_array_append_new(a, change(&d->v[i], conf));
	return a;
}

static json_t *
connections(const struct plan *p)
{
	json_t *a = json_array(), *o;
	char text[1024];
	size_t i;

	for (i = 0; i < p->n_pools; i++) {
		const struct plan_pool *pool = &p->pools[i];

		o = json_object();
		(void)json_object_set_new(o, "upstream",
		    json_text(pool->upstream));
		(void)json_object_set_new(o, "stay", json_integer(pool->stay));
		(void)json_object_set_new(o, "close_now",
		    json_integer(pool->close_now));
		(void)json_object_set_new(o, "close_later",
		    json_integer(pool->close_later));
		(void)json_object_set_new(o, "keys_moved", pool->moved < 0 ?
		    json_null() : json_real(pool->moved));
		(void)json_object_set_new(o, "text", json_text(
		    plan_pool_text(pool, text, sizeof(text)) ? text : ""));
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *
at_start(const struct plan *p)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < p->diff.n; i++)
		if (p->at_start[i])
			(void)json_array_append_new(a,
			    json_text(p->diff.v[i].path));
	return a;
}

static void
say(void *arg, const char *line)
{
	(void)json_array_append_new(arg, json_text(line));
}

/* ------------------------------------------------------------------- /plan */

static json_t *
spelled(const struct plan *p, const struct runtime *rt)
{
	json_t *o = json_object(), *text = json_array();

	(void)json_object_set_new(o, "result", json_text(!p->ok ? "invalid" :
	    p->diff.n == 0 ? "same" : "ok"));
	(void)json_object_set_new(o, "generation",
	    json_integer((json_int_t)rt->gen->number));
	(void)json_object_set_new(o, "errors", texts(&p->errors));
	(void)json_object_set_new(o, "warnings", texts(&p->warnings));
	(void)json_object_set_new(o, "changes",
	    json_changes(&p->diff, p->conf));
	(void)json_object_set_new(o, "connections", connections(p));
	(void)json_object_set_new(o, "restart", at_start(p));
	plan_tell(p, say, text);
	(void)json_object_set_new(o, "text", text);
	return o;
}

void
plans_plan(struct caller *c)
{
	static const char *const known[] = { "name", NULL };
	char name[NAME_MOST];
	struct plan *p;

	if (!order_query_is_known(c, known))
		return;
	if (c->body != NULL && strlen(c->body) != c->body_len) {
		caller_reply_error(c, 400, "the body holds a NUL byte, so it "
		    "is no text");
		return;
	}
	if (caller_query(c, "name", name, sizeof(name)) == NULL || *name == '\0')
		strcpy(name, "(sent)");
	p = plan_make(c->admin->rt, c->body, name);
	if (p == NULL)
		caller_reply_error(c, 503, "out of memory");
	else
		caller_reply_json(c, 200, spelled(p, c->admin->rt));
	plan_free(p);
}
