/*
 * Orders about upstreams' connections. See orders_pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/orders_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/census.h"
#include "proxy/admin/json_pool.h"
#include "proxy/admin/orders.h"
#include "proxy/admin/settle.h"
#include "proxy/admin/target.h"
#include "proxy/live.h"
#include "proxy/view.h"

enum { NAME_MOST = 512, FAULT_MS = 5 * 60 * 1000 };

static const char *const nothing_known[] = { NULL };

/* 0: it is none, and c has been answered. */
static uint64_t
take_id(struct caller *c, const char *pattern, unsigned n)
{
	char text[32], *end;
	unsigned long long id;

	errno = 0;
	if (target_part(pattern, c->path, n, text, sizeof(text)) == 0 &&
	    *text >= '0' && *text <= '9') {
		id = strtoull(text, &end, 10);
		if (*end == '\0' && errno == 0 && id > 0)
			return id;
	}
	caller_reply_error(c, 404, "a connection's ID is a number, as weir "
	    "connections shows it");
	return 0;
}

/* upstream NULL: whosever it is. */
static void
order_closed(struct caller *c, const char *upstream, uint64_t id)
{
	struct awaited *census = census_kill(c, upstream, id);

	if (census == NULL)
		caller_reply_error(c, 503, "out of memory");
	else
		caller_wait(c, census);
}

void
order_kill(struct caller *c)
{
	uint64_t id;

	if (order_query_is_known(c, nothing_known) &&
	    (id = take_id(c, ORDER_KILL, 0)) != 0)
		order_closed(c, NULL, id);
}

/* Also one that has left the file: it may have connections still. */
static bool
has_upstream(const struct runtime *rt, const char *name)
{
	return live_upstream_named(rt, name, NULL) != NULL;
}

void
order_kill_of(struct caller *c)
{
	char name[NAME_MOST];
	uint64_t id;

	if (target_part(ORDER_KILL_OF, c->path, 0, name, sizeof(name)) < 0) {
		caller_reply_error(c, 400, "the path is not rightly "
		    "percent-encoded");
		return;
	}
	if (order_query_is_known(c, nothing_known) &&
	    (has_upstream(c->admin->rt, name) ||
	    order_upstream(c, name) != NULL) &&
	    (id = take_id(c, ORDER_KILL_OF, 1)) != 0)
		order_closed(c, name, id);
}

/* ------------------------------------------------------------------- faults */

/* ?reset=1: 1 or 0, -1 = neither, and c has been answered. */
static int
take_flag(struct caller *c, const char *key)
{
	char word[8], text[64];
	const char *value = caller_query(c, key, word, sizeof(word));

	if (value == NULL || strcmp(value, "0") == 0)
		return 0;
	if (*value == '\0' || strcmp(value, "1") == 0)
		return 1;
	snprintf(text, sizeof(text), "%s: expected 1 or 0", key);
	caller_reply_error(c, 400, text);
	return -1;
}

/* "5", "0.5": 0 = c has been answered. */
static unsigned
take_share(struct caller *c)
{
	char word[32], *end;
	const char *value = caller_query(c, "percent", word, sizeof(word));
	double percent = 0;

	/* No hexadecimal, infinite or signed ones. */
	if (value != NULL && *value != '\0' &&
	    value[strspn(value, "0123456789.")] == '\0') {
		percent = strtod(value, &end);
		percent = *end == '\0' ? percent : 0;
	}
	if (percent >= 0.0001 && percent <= 100)
		return (unsigned)(percent * INJECT_ALL / 100 + 0.5);
	caller_reply_error(c, 400, "percent: expected how many of a hundred "
	    "exchanges, 0.0001 to 100");
	return 0;
}

/* false, and c has been answered. */
static bool
read_fault(struct caller *c, struct inject_wish *wish)
{
	static const struct conf_key delay = {
		.name = "delay", .type = CONF_DURATION, .min = 1,
		.max = 3600 * 1000
	};
	static const struct conf_key how_long = {
		.name = "for", .type = CONF_DURATION, .min = 1,
		.max = 7 * 24 * 3600 * 1000
	};
	int reset = take_flag(c, "reset");
	int error = reset < 0 ? -1 : take_flag(c, "error");

	*wish = (struct inject_wish){ .for_ms = FAULT_MS };
	if (error < 0 || order_query_value(c, &delay, &wish->delay_ms) < 0 ||
	    order_query_value(c, &how_long, &wish->for_ms) < 0)
		return false;
	if (reset + error == 2 || (reset + error == 0 && wish->delay_ms == 0)) {
		caller_reply_error(c, 400, "expected delay=200ms, reset=1 or "
		    "error=1; a delay may go with one of the others");
		return false;
	}
	wish->what = reset ? INJECT_RESET : error ? INJECT_ERROR :
	    INJECT_NOTHING;
	wish->per_million = take_share(c);
	return wish->per_million > 0;
}

/* What is injected now, as in /stats. */
static void
reply_fault(struct caller *c, const struct live_upstream *lu)
{
	struct view *v = view_take(c->admin->rt, NULL);
	const struct view_upstream *up = v != NULL ?
	    view_upstream_find(v, lu->upstream->name) : NULL;

	settle_reply(c, 200, json_pack("{s:s,s:o}", "result", "ok",
	    "fault", up != NULL ? json_fault(up) : json_null()));
	view_free(v);
}

void
order_fault(struct caller *c)
{
	static const char *const known[] = { "delay", "reset", "error",
		"percent", "for", "off", NULL };
	struct live_upstream *lu;
	struct inject_wish wish;
	char name[NAME_MOST];
	int off;

	if (target_part(ORDER_FAULT, c->path, 0, name, sizeof(name)) < 0) {
		caller_reply_error(c, 400, "the path is not rightly "
		    "percent-encoded");
		return;
	}
	if (!order_query_is_known(c, known) ||
	    (lu = order_upstream(c, name)) == NULL ||
	    (off = take_flag(c, "off")) < 0 ||
	    (off == 0 && !read_fault(c, &wish)))
		return;
	if (off)
		inject_end(lu);
	else
		inject_begin(lu, &wish);
	reply_fault(c, lu);
}
