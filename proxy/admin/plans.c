/*
 * What changes, as JSON. See plans.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/plans.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/admin/orders.h"
#include "proxy/admin/settle.h"
#include "proxy/drift.h"
#include "proxy/override.h"
#include "proxy/plan.h"
#include "proxy/reload.h"

enum { NAME_MOST = 1024 };

static json_t *
text_or_null(const char *text)
{
	return text != NULL ? json_text(text) : json_null();
}

static json_t *
time_or_null(int64_t at_s)
{
	return at_s != 0 ? json_integer(at_s) : json_null();
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
	char place[PATH_MAX + 32];

	json_put(o, "kind", json_text(diff_kinds[d->kind]));
	json_put(o, "name", json_text(d->name));
	json_put(o, "in", text_or_null(d->owner));
	json_put(o, "change", json_text(diff_hows[d->how]));
	json_put(o, "path", json_text(d->path));
	json_put(o, "from", text_or_null(d->from));
	json_put(o, "to", text_or_null(d->to));
	json_put(o, "text", json_text(d->text));
	if (d->line > 0)
		conf_place(conf, d->line, place, sizeof(place));
	json_put(o, "line", d->line > 0 ?
	    json_integer(conf_line(conf, d->line)) : json_null());
	json_put(o, "place", d->line > 0 ?
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
		json_put(o, "upstream",
		    json_text(pool->upstream));
		json_put(o, "stay", json_integer(pool->stay));
		json_put(o, "close_now",
		    json_integer(pool->close_now));
		json_put(o, "close_later",
		    json_integer(pool->close_later));
		json_put(o, "keys_moved", pool->moved < 0 ?
		    json_null() : json_real(pool->moved));
		json_put(o, "text", json_text(
		    plan_pool_text(pool, text, sizeof(text)) ? text : ""));
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *
clients(const struct outlook *k)
{
	json_t *a = json_array(), *o;
	char text[1024];
	size_t i;

	for (i = 0; i < k->n_listeners; i++) {
		const struct outlook_listener *l = &k->listeners[i];

		o = json_object();
		json_put(o, "listener", json_text(l->name));
		json_put(o, "clients", json_integer((json_int_t)l->clients));
		json_put(o, "leave", json_boolean(l->goes));
		json_put(o, "text", json_text(outlook_listener_text(l, text,
		    sizeof(text)) ? text : ""));
		(void)json_array_append_new(a, o);
	}
	return a;
}

static json_t *
by_hand(const struct outlook *k)
{
	json_t *a = json_array(), *o;
	char text[1024];
	size_t i;

	for (i = 0; i < k->n_hands; i++) {
		const struct outlook_hand *h = &k->hands[i];

		o = json_object();
		json_put(o, "upstream", json_text(h->upstream));
		json_put(o, "endpoint", text_or_null(h->endpoint));
		json_put(o, "state", json_text(h->what));
		json_put(o, "weight", h->weight == 0 ? json_null() :
		    json_integer((json_int_t)h->weight));
		json_put(o, "until", time_or_null(h->until_s));
		json_put(o, "stays", json_boolean(h->stays));
		outlook_hand_text(h, text, sizeof(text));
		json_put(o, "text", json_text(text));
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

	json_put(o, "result", json_text(!p->ok ? "invalid" :
	    p->diff.n == 0 ? "same" : "ok"));
	json_put(o, "generation",
	    json_integer((json_int_t)rt->gen->number));
	json_put(o, "barred", text_or_null(p->barred));
	json_put(o, "errors", texts(&p->errors));
	json_put(o, "warnings", texts(&p->warnings));
	json_put(o, "changes",
	    json_changes(&p->diff, p->conf));
	json_put(o, "connections", connections(p));
	json_put(o, "clients", clients(&p->outlook));
	json_put(o, "overrides", by_hand(&p->outlook));
	json_put(o, "confirm_until",
	    time_or_null(p->outlook.confirm_until_s));
	json_put(o, "restart", at_start(p));
	plan_tell(p, say, text);
	json_put(o, "text", text);
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

/* ---------------------------------------------------- /reload and /confirm */

/* ?drop_overrides=1: 1 or 0, -1 = neither, and c has been answered. */
static int
wants_drop(struct caller *c)
{
	char word[8];
	const char *value = caller_query(c, "drop_overrides", word,
	    sizeof(word));

	if (value == NULL || strcmp(value, "0") == 0)
		return 0;
	if (*value == '\0' || strcmp(value, "1") == 0)
		return 1;
	caller_reply_error(c, 400, "drop_overrides: expected 1 or 0");
	return -1;
}

static json_t *
diff_texts(const struct diff *d)
{
	json_t *a = json_array();
	char line[PLAN_TEXT_MOST];
	size_t i;

	for (i = 0; i < d->n; i++) {
		plan_text(&d->v[i], line, sizeof(line));
		say(a, line);
	}
	return a;
}

static void
answer_reloaded(struct caller *c, const struct reload_done *done, bool drop)
{
	struct runtime *rt = c->admin->rt;

	/* That cannot be taken back: it waits for the confirmation, too. */
	if (drop && done->confirm_until_s != 0)
		reload_drop_overrides(rt);
	else if (drop)
		override_drop_all(rt);
	settle_reply(c, 200, json_pack("{s:s,s:I,s:I,s:o,s:o,s:o}", "result",
	    "ok", "generation", (json_int_t)rt->gen->number,
	    "overrides", (json_int_t)override_count(rt),
	    "warnings", texts(&done->warnings),
	    "changes", diff_texts(&done->diff),
	    "confirm_until", time_or_null(done->confirm_until_s)));
}

void
plans_reload(struct caller *c)
{
	static const char *const known[] = { "confirm", "drop_overrides",
		NULL };
	static const struct conf_key row = {
		.name = "confirm", .type = CONF_DURATION, .min = 1,
		.max = 24 * 3600 * 1000
	};
	struct conf_errors errors = { 0 };
	struct reload_done done;
	int64_t confirm_ms = 0;
	int drop;

	if (!order_query_is_known(c, known) || (drop = wants_drop(c)) < 0 ||
	    order_query_value(c, &row, &confirm_ms) < 0)
		return;
	if (reload_take(c->admin->rt, confirm_ms, &errors, &done) < 0)
		caller_reply_json(c, 422, json_errors(&errors));
	else
		answer_reloaded(c, &done, drop != 0);
	reload_done_fini(&done);
	conf_errors_fini(&errors);
}

void
plans_confirm(struct caller *c)
{
	static const char *const known[] = { NULL };
	struct runtime *rt = c->admin->rt;
	enum confirmed what;
	const char *why;

	if (!order_query_is_known(c, known))
		return;
	what = reload_confirm(rt, &why);
	if (what == CONFIRMED_NOT || what == CONFIRMED_SHORT)
		caller_reply_error(c, what == CONFIRMED_NOT ? 409 : 503, why);
	else
		settle_reply(c, 200, json_pack("{s:s,s:I,s:b}", "result", "ok",
		    "generation", (json_int_t)rt->gen->number,
		    "awaited", what == CONFIRMED));
}

json_t *
json_reloads(const struct reloads *r)
{
	json_t *a = json_array(), *o, *each;
	const struct reload_entry *e;
	size_t i, j;

	for (i = 0; r != NULL && i < r->n; i++) {
		e = &r->v[i];
		o = json_object();
		each = json_array();
		for (j = 0; j < e->n_texts; j++)
			say(each, e->texts[j]);
		json_put(o, "at", json_integer(e->at_s));
		json_put(o, "result",
		    json_text(reload_ends[e->end]));
		json_put(o, "generation",
		    json_integer((json_int_t)e->generation));
		json_put(o, "changes", each);
		json_put(o, "changes_left_out",
		    json_integer((json_int_t)e->left_out));
		json_put(o, "error",
		    json_text(e->error != NULL ? e->error : ""));
		(void)json_array_append_new(a, o);
	}
	return a;
}

/* ------------------------------------------------------------------ /drift */

struct drifting {
	json_t *rows, *text;
};

static void
say_drift(void *arg, const char *what, const char *text)
{
	struct drifting *d = arg;
	json_t *o = json_object();
	char *line = NULL;

	json_put(o, "what", json_text(what));
	json_put(o, "text", json_text(text));
	(void)json_array_append_new(d->rows, o);
	if (asprintf(&line, "%s: %s", what, text) < 0)
		return;
	say(d->text, line);
	free(line);
}

static json_t *
file_now(const struct plan *p, json_t *text)
{
	json_t *o = json_object();
	char *line = NULL;
	size_t i;

	json_put(o, "result", json_text(!p->ok ? "invalid" :
	    p->diff.n == 0 ? "same" : "ok"));
	json_put(o, "changes",
	    json_changes(&p->diff, p->conf));
	json_put(o, "errors", texts(&p->errors));
	for (i = 0; i < p->errors.n; i++)
		if (asprintf(&line, "file: %s", p->errors.v[i]) >= 0) {
			say(text, line);
			free(line);
		}
	for (i = 0; i < p->diff.n; i++)
		if (asprintf(&line, "file: %s", p->diff.v[i].text) >= 0) {
			say(text, line);
			free(line);
		}
	return o;
}

void
plans_drift(struct caller *c)
{
	struct plan *p = plan_make(c->admin->rt, NULL, NULL);
	char barred[PLAN_TEXT_MOST];
	struct drifting d;
	json_t *o;

	if (p == NULL) {
		caller_reply_error(c, 503, "out of memory");
		return;
	}
	d = (struct drifting){ json_array(), json_array() };
	o = json_object();
	json_put(o, "barred", text_or_null(p->barred));
	json_put(o, "file", file_now(p, d.text));
	drift_list(c->admin->rt, say_drift, &d);
	if (json_array_size(d.text) == 0)
		say(d.text, "nothing differs from the file");
	if (plan_barred_text(p, barred, sizeof(barred)))
		(void)json_array_insert_new(d.text, 0, json_text(barred));
	plan_free(p);
	json_put(o, "overrides", d.rows);
	json_put(o, "text", d.text);
	caller_reply_json(c, 200, o);
}
