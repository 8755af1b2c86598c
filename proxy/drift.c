/*
 * Drift. See drift.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/drift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "proxy/admin/admin.h"
#include "proxy/live.h"
#include "proxy/override.h"
#include "proxy/plan.h"
#include "proxy/runtime.h"
#include "proxy/view.h"

enum { WHO_MOST = 700, TEXT_MOST = 1024, UNTIL_MOST = 96 };

/* ---------------------------------------------------------------- pending */

static bool
is_same(const char *a, const char *b)
{
	return a != NULL && b != NULL ? strcmp(a, b) == 0 : a == b;
}

static void
forget(struct drift_pending *p, size_t i)
{
	free(p->v[i].path);
	free(p->v[i].from);
	free(p->v[i].to);
	p->v[i] = p->v[--p->n];
}

/* One that is known, or a new one; NULL when out of memory. */
static struct drift_change *
pending_of(struct drift_pending *p, const struct diff_change *c)
{
	struct drift_change *more;
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->v[i].path, c->path) == 0)
			return &p->v[i];
	more = realloc(p->v, (p->n + 1) * sizeof(*more));
	if (more == NULL)
		return NULL;
	p->v = more;
	more = &p->v[p->n];
	*more = (struct drift_change){ .path = strdup(c->path),
	    .from = c->from != NULL ? strdup(c->from) : NULL };
	if (more->path == NULL || (c->from != NULL && more->from == NULL)) {
		free(more->path);
		free(more->from);
		return NULL;
	}
	p->n++;
	return more;
}

/* What it was of has left: an address that comes back is bound anew. */
static void
forget_below(struct drift_pending *p, const char *path)
{
	size_t i = 0, len = strlen(path);

	while (i < p->n)
		if (strncmp(p->v[i].path, path, len) == 0 &&
		    strchr(".[", p->v[i].path[len]) != NULL)
			forget(p, i);
		else
			i++;
}

void
drift_note(struct drift_pending *p, const struct diff *d)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		const struct diff_change *c = &d->v[i];
		struct drift_change *at;

		if (c->how == DIFF_REMOVED)
			forget_below(p, c->path);
		if (!plan_waits_for_start(c->path) ||
		    (at = pending_of(p, c)) == NULL)
			continue;
		free(at->to);
		at->to = c->to != NULL ? strdup(c->to) : NULL;
		if (is_same(at->from, at->to))
			forget(p, (size_t)(at - p->v));
	}
}

void
drift_fini(struct drift_pending *p)
{
	while (p->n > 0)
		forget(p, 0);
	free(p->v);
	p->v = NULL;
}

/* ---------------------------------------------------------------- by hand */

/* " until 2026-01-02T03:04:05Z (40 s)", of a moment of main's clock; "" = for
   good. */
static const char *
until(int64_t at_ns, char out[UNTIL_MOST])
{
	int64_t left_s = 0;
	char text[40];
	time_t at_s;
	struct tm tm;

	*out = '\0';
	if (at_ns == INT64_MAX)
		return out;
	at_s = (time_t)view_wall_s(at_ns, &left_s);
	if (gmtime_r(&at_s, &tm) == NULL)
		return out;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(out, UNTIL_MOST, " until %s (%lld s)", text,
	    (long long)left_s);
	return out;
}

static void
list_overrides(struct runtime *rt, drift_say *say, void *arg)
{
	char who[WHO_MOST], text[TEXT_MOST], weight[32], end[UNTIL_MOST];
	const struct override *o;
	const struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);

		for (o = lu->overrides; o != NULL; o = o->next) {
			snprintf(who, sizeof(who), "upstream %.300s endpoint "
			    "%.300s", lu->upstream->name, o->endpoint);
			weight[0] = '\0';
			if (o->weight != 0)
				snprintf(weight, sizeof(weight), "%sweight %u",
				    o->state != OVERRIDE_CONF ? ", " : "",
				    o->weight);
			snprintf(text, sizeof(text), "%s%s by hand%s%s",
			    o->state != OVERRIDE_CONF ?
			    override_states[o->state] : "", weight,
			    until(o->until_ns, end),
			    override_sleeps(o) ? ", should what was before "
			    "come back" : "");
			say(arg, who, text);
		}
	}
}

static void
list_paused(struct runtime *rt, drift_say *say, void *arg)
{
	const struct list *l;
	char who[WHO_MOST];

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);

		if (lu->conf == NULL || !atomic_load(&lu->upstream->paused))
			continue;
		snprintf(who, sizeof(who), "upstream %.300s", lu->conf->name);
		say(arg, who, "paused by hand");
	}
}

static void
list_faults(struct runtime *rt, drift_say *say, void *arg)
{
	static const char *const whats[] = {
		[INJECT_NOTHING] = "", [INJECT_ERROR] = "an error",
		[INJECT_RESET] = "a reset"
	};
	char who[WHO_MOST], text[TEXT_MOST], end[UNTIL_MOST], delay[48];
	const struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);
		const struct inject_wish *wish = &lu->injection.wish;

		if (wish->per_million == 0)
			continue;
		snprintf(who, sizeof(who), "upstream %.300s",
		    lu->upstream->name);
		delay[0] = '\0';
		if (wish->delay_ms > 0)
			snprintf(delay, sizeof(delay), "%lld ms of delay%s",
			    (long long)wish->delay_ms,
			    wish->what != INJECT_NOTHING ? ", then " : "");
		snprintf(text, sizeof(text), "faults by hand, for %g %% of its "
		    "exchanges: %s%s%s",
		    wish->per_million * 100.0 / INJECT_ALL, delay,
		    whats[wish->what], until(lu->injection.until_ns, end));
		say(arg, who, text);
	}
}

static void
list_log_level(struct runtime *rt, drift_say *say, void *arg)
{
	static const char *const levels[] = {
		[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"
	};
	char text[TEXT_MOST], end[UNTIL_MOST];

	if ((int)log_level() == rt->gen->conf->log.level)
		return;
	snprintf(text, sizeof(text), "level %s by hand%s, the file says %s",
	    levels[log_level()], until(admin_quieten_ns(rt), end),
	    levels[rt->gen->conf->log.level]);
	say(arg, "log", text);
}

static void
list_unconfirmed(struct runtime *rt, drift_say *say, void *arg)
{
	char text[TEXT_MOST], end[UNTIL_MOST];

	if (reload_awaits(rt) == 0)
		return;
	snprintf(text, sizeof(text), "generation %llu awaits its confirmation"
	    "%s, then what was before is back",
	    (unsigned long long)rt->gen->number,
	    until(rt->confirm.until_ns, end));
	say(arg, "reload", text);
}

static void
list_pending(struct runtime *rt, drift_say *say, void *arg)
{
	const struct drift_change *c;
	char text[TEXT_MOST];
	size_t i;

	for (i = 0; i < rt->pending.n; i++) {
		c = &rt->pending.v[i];
		snprintf(text, sizeof(text), "%.400s since the start, %.400s "
		    "in the file: takes effect at the next start",
		    c->from != NULL ? c->from : "not set",
		    c->to != NULL ? c->to : "not set");
		say(arg, c->path, text);
	}
}

/* A row for whatever can be changed beside the file. */
static void (*const sources[])(struct runtime *rt, drift_say *say,
    void *arg) = {
	list_overrides,
	list_paused,
	list_faults,
	list_log_level,
	list_unconfirmed,
	list_pending
};

void
drift_list(struct runtime *rt, drift_say *say, void *arg)
{
	size_t i;

	for (i = 0; i < NELEMS(sources); i++)
		sources[i](rt, say, arg);
}
