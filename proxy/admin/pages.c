/*
 * The pages. See pages.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/memstream.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/census.h"
#include "proxy/admin/dashboard.h"
#include "proxy/admin/json.h"
#include "proxy/admin/keys.h"
#include "proxy/admin/orders.h"
#include "proxy/admin/orders_pool.h"
#include "proxy/admin/plans.h"
#include "proxy/admin/prometheus.h"
#include "proxy/admin/slow.h"
#include "proxy/admin/target.h"
#include "proxy/admin/trend.h"
#include "proxy/admin/upgrades.h"
#include "proxy/view.h"

/* A frame a second, or further apart where there is so much to tell that this
   would cost more than a 200th of a core: 200 upstreams are near that. */
enum { BEAT_MS = 1000, BEAT_MOST_MS = 3000, BEAT_SHARE = 200 };

/* ----------------------------------------------------------------- reading */

static json_t *
stats_now(struct admin *a)
{
	struct view *v = view_take(a->rt, a->history);
	json_t *j = v != NULL ? json_stats(v) : NULL;

	view_free(v);
	return j;
}

static void
get_stats(struct caller *c)
{
	caller_reply_json(c, 200, stats_now(c->admin));
}

/* Of this thread. */
static int64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t
beat_ms(int64_t spent_ns)
{
	int64_t ms = spent_ns * BEAT_SHARE / 1000000;

	return ms < BEAT_MS ? BEAT_MS : ms > BEAT_MOST_MS ? BEAT_MOST_MS : ms;
}

void
pages_beat(struct admin *a)
{
	int64_t begin_ns = cpu_ns();
	char *text;
	int len;

	free(a->frame);
	a->frame = NULL;
	if (!callers_stream(a))
		return;
	text = json_spell(stats_now(a), false);
	/* The text's own newline and one more end the event (HTML 9.2.5). */
	len = text != NULL ? asprintf(&a->frame, "data: %s\n", text) : -1;
	free(text);
	if (len >= 0) {
		a->frame_len = (size_t)len;
		callers_beat(a, a->frame, a->frame_len);
	} else
		a->frame = NULL;
	deadline_set(&a->rt->main, &a->beat, beat_ms(cpu_ns() - begin_ns));
}

static void
get_stream(struct caller *c)
{
	struct admin *a = c->admin;

	caller_stream(c);
	caller_flush(c);        /* who has unsent bytes misses a frame */
	/* Who comes between two frames gets the one that the others have. */
	if (a->frame != NULL)
		caller_beat(c, a->frame, a->frame_len);
	else
		pages_beat(a);
}

static void
get_history(struct caller *c)
{
	caller_reply_json(c, 200, trend_json(c->admin->trend));
}

static void
get_metrics(struct caller *c)
{
	struct view *v = view_take(c->admin->rt, c->admin->history);
	struct memstream page;
	char *text = NULL;
	size_t len = 0;

	if (v != NULL && memstream_open(&page) != NULL) {
		prometheus_print(page.out, v, c->admin->started_s);
		text = memstream_close(&page, &len);
	}
	view_free(v);
	if (text != NULL)
		caller_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8",
		    NULL, text, len);
	else
		caller_reply_error(c, 503, "out of memory");
	free(text);
}

static void
get_health(struct caller *c)
{
	char why[WATCHDOG_TEXT_MAX], text[WATCHDOG_TEXT_MAX + 8];

	if (watchdog_content(c->admin->rt, why, sizeof(why))) {
		caller_reply_text(c, 200, "ok\n");
		return;
	}
	snprintf(text, sizeof(text), "%s\n", why);
	caller_reply_text(c, 503, text);
}

static void
get_ready(struct caller *c)
{
	char missing[512], text[544];

	if (runtime_ready(c->admin->rt, missing, sizeof(missing))) {
		caller_reply_text(c, 200, "ready\n");
		return;
	}
	/* Whoever may probe is not to learn from a server's words who logs in
	   there. */
	if (c->probe)
		missing[strcspn(missing, "(")] = '\0';
	snprintf(text, sizeof(text), "not ready: %s\n", missing);
	caller_reply_text(c, 503, text);
}

static void
get_config(struct caller *c)
{
	caller_reply_json(c, 200, json_config(c->admin->rt->gen));
}

static void
get_connections(struct caller *c)
{
	struct awaited *census = census_begin(c);

	if (census == NULL)
		caller_reply_error(c, 503, "out of memory");
	else
		caller_wait(c, census);
}

static void
get_dns(struct caller *c)
{
	caller_reply_json(c, 200, json_dns(c->admin->rt));
}

/* --------------------------------------------------------------- the table */

static const struct page pages[] = {
	{ "/", false, false, dashboard_answer },
	{ "/stats", false, false, get_stats },
	{ "/stats/stream", false, false, get_stream },
	{ "/stats/history", false, false, get_history },
	{ "/metrics", false, true, get_metrics },
	{ "/healthz", false, true, get_health },
	{ "/readyz", false, true, get_ready },
	{ "/config", false, false, get_config },
	{ "/connections", false, false, get_connections },
	{ "/slow", false, false, slow_get },
	{ ORDER_KILL, true, false, order_kill },
	{ ORDER_KILL_OF, true, false, order_kill_of },
	{ ORDER_FAULT, true, false, order_fault },
	{ "/dns", false, false, get_dns },
	{ "/key", false, false, keys_get },
	{ "/reload", true, false, plans_reload },
	{ "/plan", true, false, plans_plan },
	{ "/confirm", true, false, plans_confirm },
	{ "/drift", false, false, plans_drift },
	{ "/upgrade", true, false, upgrades_begin },
	{ "/drain", true, false, order_drain },
	{ "/stop", true, false, order_stop },
	{ "/log", true, false, order_log },
	{ ORDER_ENDPOINT, true, false, order_endpoint },
	{ ORDER_PAUSE, true, false, order_pause },
	{ ORDER_RESUME, true, false, order_resume }
};

const struct page *
page_find(const char *path)
{
	size_t i;

	for (i = 0; i < NELEMS(pages); i++)
		if (target_fits(pages[i].path, path))
			return &pages[i];
	return NULL;
}

bool
page_is_public(const struct page *p)
{
	return p != NULL && p->answer == dashboard_answer;
}

size_t
page_body_most(const struct page *p)
{
	return p->answer == plans_plan ? PLAN_BODY_BYTES : 0;
}
