/*
 * Charts and percentiles across an upgrade. See admin.h; what is said of each is
 * in trend.c and proxy/history.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/admin.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/trend.h"
#include "proxy/history.h"
#include "proxy/live.h"

struct admin_past {
	struct trend *trend;            /* NULL: nothing has been said of it */
	struct history *history;
};

void
admin_tell_past(struct runtime *rt, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg)
{
	if (rt->admin == NULL)
		return;
	trend_tell(rt->admin->trend, say, arg);
	history_tell(rt->admin->history, say, arg);
}

/* Is there a listener or an upstream of that name? */
static bool
is_known(struct runtime *rt, const char *name)
{
	struct list *l;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next)
		if (strcmp(container_of(l, struct live_listener,
		    link)->listener->name, name) == 0)
			return true;
	return live_upstream_named(rt, name, NULL) != NULL;
}

static void
take_trend(struct runtime *rt, struct admin_past *p, const json_t *j,
    const void *raw, size_t raw_len)
{
	const char *name = json_string_value(json_object_get(j, "name"));

	if (p->trend == NULL)
		p->trend = trend_new();
	if (p->trend != NULL && (name == NULL || is_known(rt, name)))
		trend_take(p->trend, j, raw, raw_len);
}

static void
take_window(struct runtime *rt, struct admin_past *p, const json_t *j,
    const void *raw, size_t raw_len)
{
	const char *key = json_string_value(json_object_get(j, "key"));
	const char *colon = key != NULL ? strchr(key, ':') : NULL;

	if (colon == NULL || (strcmp(key, "lag:") != 0 &&
	    !is_known(rt, colon + 1)))
		return;
	if (p->history == NULL)
		p->history = history_new();
	if (p->history != NULL)
		history_take(p->history, j, raw, raw_len);
}

void
admin_take_past(struct runtime *rt, struct admin_past **past, const json_t *j,
    const void *raw, size_t raw_len)
{
	const char *is = json_string_value(json_object_get(j, "is"));

	if (*past == NULL)
		*past = calloc(1, sizeof(**past));
	if (*past == NULL || is == NULL)
		return;
	if (strcmp(is, "window") == 0)
		take_window(rt, *past, j, raw, raw_len);
	else
		take_trend(rt, *past, j, raw, raw_len);
}

void
admin_past_free(struct admin_past **past)
{
	if (*past == NULL)
		return;
	trend_free((*past)->trend);
	history_free((*past)->history);
	free(*past);
	*past = NULL;
}

void
admin_put_past(struct runtime *rt, struct admin_past **past)
{
	struct admin_past *p = *past;
	struct admin *a = rt->admin;

	if (p != NULL && a != NULL && p->trend != NULL) {
		struct trend *own = a->trend;

		a->trend = p->trend;
		p->trend = own;
	}
	if (p != NULL && a != NULL && p->history != NULL) {
		struct history *own = a->history;

		a->history = p->history;
		p->history = own;
	}
	admin_past_free(past);
}
