/*
 * The orders. See orders.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/orders.h"

#include <stdio.h>
#include <string.h>

#include "conf/value.h"
#include "net/log.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/admin/settle.h"
#include "proxy/admin/target.h"
#include "proxy/live.h"
#include "proxy/override.h"
#include "proxy/view.h"

enum { NAME_MOST = 512, WHY_MOST = VALUE_WHY_MAX + 64 };

bool
order_query_is_known(struct caller *c, const char *const *known)
{
	char word[64], text[WHY_MOST];
	size_t at = 0;

	if (target_stray(c->query, known, word, sizeof(word)) == NULL)
		return true;
	at += (size_t)snprintf(text, sizeof(text), "%s: not known here, or "
	    "there twice; expected", word);
	for (; *known != NULL; known++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, " %s%s",
		    *known, known[1] != NULL ? "," : "");
	caller_reply_error(c, 400, text);
	return false;
}

int
order_query_value(struct caller *c, const struct conf_key *row, int64_t *n)
{
	char word[64], why[VALUE_WHY_MAX], text[WHY_MOST];
	const char *value = caller_query(c, row->name, word, sizeof(word));

	if (value == NULL || value_parse(row, value, value, n, why) == 0)
		return 0;
	snprintf(text, sizeof(text), "%s: %s", row->name, why);
	caller_reply_error(c, 400, text);
	return -1;
}

/* ------------------------------------------------------------- the program */

/* Both may end the process in this very turn: the answer goes first. */
void
order_drain(struct caller *c)
{
	struct runtime *rt = c->admin->rt;

	c->keep = false;
	caller_reply_json(c, 200, json_pack("{s:s}", "result", "draining"));
	caller_flush(c);
	runtime_drain(rt);
}

void
order_stop(struct caller *c)
{
	struct runtime *rt = c->admin->rt;

	c->keep = false;
	caller_reply_json(c, 200, json_pack("{s:s}", "result", "stopping"));
	caller_flush(c);
	runtime_stop(rt);
}

static int
level_of(const char *word)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug"
	};
	size_t i;

	for (i = 0; word != NULL && i < NELEMS(levels); i++)
		if (strcmp(word, levels[i]) == 0)
			return (int)i;
	return -1;
}

static bool
log_is_json(const struct admin *a)
{
	return a->conf->log.format == CONF_LOG_JSON;
}

void
orders_quieten(struct admin *a)
{
	log_set((enum log_level)a->conf->log.level, log_is_json(a));
	log_info(NULL, "the log's level is what the file says again");
}

/* ?level=debug, and for how long: "5m"; without &for until the next reload. */
void
order_log(struct caller *c)
{
	static const struct conf_key row = {
		.name = "for", .type = CONF_DURATION, .min = 1,
		.max = 24 * 3600 * 1000
	};
	static const char *const known[] = { "level", "for", NULL };
	char word[16];
	const char *level = caller_query(c, "level", word, sizeof(word));
	struct admin *a = c->admin;
	int64_t ms = CONF_OFF;

	if (!order_query_is_known(c, known))
		return;
	if (level_of(level) < 0) {
		caller_reply_error(c, 400, "level: expected error, warn, info "
		    "or debug, as in /log?level=debug&for=5m");
		return;
	}
	if (order_query_value(c, &row, &ms) < 0)
		return;
	log_set((enum log_level)level_of(level), log_is_json(a));
	deadline_set(&a->rt->main, &a->quieten, ms);
	caller_reply_json(c, 200, json_pack("{s:s,s:s}", "result", "ok",
	    "level", level));
}

/* --------------------------------------------------------------- endpoints */

/* The names that there are, for somebody who was mistaken; cut when long. */
struct names {
	char text[WHY_MOST];
	size_t len;
	unsigned n;
};

static void
names_add(struct names *names, const char *name)
{
	size_t left = sizeof(names->text) - names->len;
	int len = snprintf(names->text + names->len, left, "%s\"%s\"",
	    names->n++ > 0 ? ", " : "", name);

	if (len >= 0 && (size_t)len < left) {
		names->len += (size_t)len;
		return;
	}
	names->len = sizeof(names->text) - 1;
	strcpy(names->text + names->len - 3, "...");
}

static void
reply_unknown(struct caller *c, const char *what, const char *name,
    const struct names *names)
{
	char text[NAME_MOST + sizeof(names->text) + 64];

	snprintf(text, sizeof(text), "there is no %s \"%s\"; there %s %s",
	    what, name, names->n == 1 ? "is" : "are",
	    names->n > 0 ? names->text : "none");
	caller_reply_error(c, 404, text);
}

struct live_upstream *
order_upstream(struct caller *c, const char *name)
{
	struct runtime *rt = c->admin->rt;
	struct names names = { "", 0, 0 };
	struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf == NULL)
			continue;
		if (strcmp(lu->conf->name, name) == 0)
			return lu;
		names_add(&names, lu->conf->name);
	}
	reply_unknown(c, "upstream", name, &names);
	return NULL;
}

static bool
has_endpoint(struct caller *c, const struct live_upstream *lu,
    const char *name)
{
	struct names names = { "", 0, 0 };
	size_t i;

	for (i = 0; i < lu->n_endpoints; i++) {
		const char *one = lu->endpoints[i].conf->name;

		if (strcmp(one, name) == 0)
			return true;
		names_add(&names, one);
	}
	reply_unknown(c, "endpoint", name, &names);
	return false;
}

/* What the query asks for. */
struct wish {
	int state;                      /* enum override_state; -1 = none */
	int64_t weight, for_ms;         /* 0; CONF_OFF */
};

static int
state_of(const char *word)
{
	int i;

	for (i = 0; override_states[i] != NULL; i++)
		if (strcmp(override_states[i], word) == 0)
			return i;
	return -1;
}

/* false, and c has been answered. */
static bool
read_wish(struct caller *c, struct wish *wish)
{
	static const char *const known[] = { "state", "weight", "for", NULL };
	static const struct conf_key weight = {
		.name = "weight", .type = CONF_COUNT, .min = 1, .max = 1000
	};
	static const struct conf_key how_long = {
		.name = "for", .type = CONF_DURATION, .min = 1,
		.max = INT64_C(365) * 24 * 3600 * 1000, .may_be_off = true
	};
	char word[16];
	const char *state = caller_query(c, "state", word, sizeof(word));

	*wish = (struct wish){ -1, 0, CONF_OFF };
	if (!order_query_is_known(c, known))
		return false;
	if (state != NULL && (wish->state = state_of(state)) < 0) {
		caller_reply_error(c, 400, "state: expected up, drain, down or "
		    "conf, as in ?state=drain&for=10m");
		return false;
	}
	if (order_query_value(c, &weight, &wish->weight) < 0 ||
	    order_query_value(c, &how_long, &wish->for_ms) < 0)
		return false;
	if (state == NULL && wish->weight == 0)
		caller_reply_error(c, 400, "nothing to change: expected "
		    "state=up|drain|down|conf, weight=N or both");
	else if (wish->state == OVERRIDE_CONF && wish->weight == 0 &&
	    wish->for_ms != CONF_OFF)
		caller_reply_error(c, 400, "for: state=conf ends what was "
		    "changed at once and for good");
	else
		return true;
	return false;
}

/* As in /stats; where the name has several addresses, the first of them, and
   the rest in `others`. */
static json_t *
endpoint_now(struct admin *a, const char *upstream, const char *name)
{
	struct view *v = view_take(a->rt, NULL);
	const struct view_upstream *up = v != NULL ?
	    view_upstream_find(v, upstream) : NULL;
	json_t *first = NULL, *others = NULL;
	size_t i;

	for (i = 0; up != NULL && i < up->n_endpoints; i++) {
		const struct view_endpoint *e = &up->endpoints[i];

		if (strcmp(e->name, name) != 0)
			continue;
		if (first == NULL) {
			first = json_endpoint(e);
			continue;
		}
		if (others == NULL)
			others = json_array();
		(void)json_array_append_new(others, json_endpoint(e));
	}
	if (others != NULL)
		json_put(first, "others", others);
	view_free(v);
	return first;
}

void
order_endpoint(struct caller *c)
{
	char upstream[NAME_MOST], name[NAME_MOST], why[WHY_MOST];
	struct live_upstream *lu;
	struct wish wish;

	if (target_part(ORDER_ENDPOINT, c->path, 0, upstream,
	    sizeof(upstream)) < 0 || target_part(ORDER_ENDPOINT, c->path, 1,
	    name, sizeof(name)) < 0) {
		caller_reply_error(c, 400, "the path is not rightly "
		    "percent-encoded");
		return;
	}
	lu = order_upstream(c, upstream);
	if (lu == NULL || !has_endpoint(c, lu, name) || !read_wish(c, &wish))
		return;
	if (override_set(lu, name, wish.state, (unsigned)wish.weight,
	    wish.for_ms, why, sizeof(why)) < 0)
		caller_reply_error(c, 400, why);
	else
		settle_reply(c, 200, endpoint_now(c->admin, upstream, name));
}

/* ---------------------------------------------------------------- upstreams */

/* It may have left the file meanwhile. */
static void
fill_leased(struct caller *c, json_t *j)
{
	struct live_upstream *lu = NULL;
	char name[NAME_MOST];

	if (target_part(ORDER_PAUSE, c->path, 0, name, sizeof(name)) == 0 ||
	    target_part(ORDER_RESUME, c->path, 0, name, sizeof(name)) == 0)
		do
			lu = live_upstream_named(c->admin->rt, name, lu);
		while (lu != NULL && lu->conf == NULL);
	json_put(j, "leased", json_integer(lu != NULL ?
	    (json_int_t)live_upstream_leased(lu) : 0));
}

static void
order_paused(struct caller *c, const char *pattern, bool on)
{
	static const char *const known[] = { NULL };
	char name[NAME_MOST];
	struct live_upstream *lu;

	if (target_part(pattern, c->path, 0, name, sizeof(name)) < 0) {
		caller_reply_error(c, 400, "the path is not rightly "
		    "percent-encoded");
		return;
	}
	if (!order_query_is_known(c, known) ||
	    (lu = order_upstream(c, name)) == NULL)
		return;
	live_upstream_pause(lu, on);
	settle_reply_filled(c, 200, json_pack("{s:s}", "result", "ok"),
	    fill_leased);
}

void
order_pause(struct caller *c)
{
	order_paused(c, ORDER_PAUSE, true);
}

void
order_resume(struct caller *c)
{
	order_paused(c, ORDER_RESUME, false);
}
