/*
 * The pages. See pages.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/value.h"
#include "net/log.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/census.h"
#include "proxy/admin/dashboard.h"
#include "proxy/admin/json.h"
#include "proxy/admin/prometheus.h"
#include "proxy/history.h"
#include "proxy/view.h"

enum { BEAT_MS = 1000 };

/* ----------------------------------------------------------------- reading */

/* The page may load nothing and send nothing elsewhere; whatever finds its way
   into it could not either. */
static void
get_dashboard(struct caller *c)
{
	caller_reply(c, 200, "text/html; charset=utf-8",
	    "Content-Security-Policy: default-src 'none'; "
	    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
	    "img-src data:; connect-src 'self'; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'\r\n"
	    "Referrer-Policy: no-referrer\r\n", dashboard_html,
	    dashboard_html_len);
}

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

void
pages_beat(struct admin *a)
{
	char *text, *frame;
	int len;

	if (!callers_stream(a))
		return;
	text = json_spell(stats_now(a), false);
	/* The text's own newline and one more end the event (HTML 9.2.5). */
	len = text != NULL ? asprintf(&frame, "data: %s\n", text) : -1;
	free(text);
	if (len >= 0) {
		callers_beat(a, frame, (size_t)len);
		free(frame);
	}
	deadline_set(&a->rt->main, &a->beat, BEAT_MS);
}

static void
get_stream(struct caller *c)
{
	caller_stream(c);
	/* At once for the new one; those who listen get one more. */
	pages_beat(c->admin);
}

static void
get_metrics(struct caller *c)
{
	struct view *v = view_take(c->admin->rt, c->admin->history);
	char *text = NULL;
	size_t len = 0;
	FILE *out = v != NULL ? open_memstream(&text, &len) : NULL;
	bool whole = false;

	if (out != NULL) {
		prometheus_print(out, v, c->admin->started_s);
		whole = !ferror(out);
		whole = fclose(out) == 0 && whole;
	}
	view_free(v);
	if (whole)
		caller_reply(c, 200, "text/plain; version=0.0.4; charset=utf-8",
		    NULL, text, len);
	else
		caller_reply_error(c, 503, "out of memory");
	free(text);
}

static void
get_health(struct caller *c)
{
	caller_reply_text(c, 200, "ok\n");
}

static void
get_ready(struct caller *c)
{
	char missing[512], text[544];

	if (runtime_ready(c->admin->rt, missing, sizeof(missing))) {
		caller_reply_text(c, 200, "ready\n");
		return;
	}
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
	struct census *census = census_begin(c);

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

/* ------------------------------------------------------------------ orders */

static void
post_reload(struct caller *c)
{
	struct conf_errors errors = { 0 };
	struct runtime *rt = c->admin->rt;

	if (runtime_reload(rt, &errors) < 0)
		caller_reply_json(c, 422, json_errors(&errors));
	else
		caller_reply_json(c, 200, json_pack("{s:s,s:I}", "result", "ok",
		    "generation", (json_int_t)rt->gen->number));
	conf_errors_fini(&errors);
}

/* Both may end the process in this very turn: the answer goes first. */
static void
post_drain(struct caller *c)
{
	struct runtime *rt = c->admin->rt;

	c->keep = false;
	caller_reply_json(c, 200, json_pack("{s:s}", "result", "draining"));
	caller_flush(c);
	runtime_drain(rt);
}

static void
post_stop(struct caller *c)
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
pages_quieten(struct admin *a)
{
	log_set((enum log_level)a->conf->log.level, log_is_json(a));
	log_info(NULL, "the log's level is what the file says again");
}

/* ?level=debug, and for how long: "5m"; without &for until the next reload. */
static void
post_log(struct caller *c)
{
	static const struct conf_key row = {
		.name = "for", .type = CONF_DURATION, .min = 1,
		.max = 24 * 3600 * 1000
	};
	char word[16], time[32], why[VALUE_WHY_MAX];
	const char *level = caller_query(c, "level", word, sizeof(word));
	const char *until = caller_query(c, "for", time, sizeof(time));
	struct admin *a = c->admin;
	int64_t ms = CONF_OFF;

	if (level_of(level) < 0) {
		caller_reply_error(c, 400, "level: expected error, warn, info "
		    "or debug, as in /log?level=debug&for=5m");
		return;
	}
	if (until != NULL && value_parse(&row, until, until, &ms, why) < 0) {
		char text[VALUE_WHY_MAX + 8];

		snprintf(text, sizeof(text), "for: %s", why);
		caller_reply_error(c, 400, text);
		return;
	}
	log_set((enum log_level)level_of(level), log_is_json(a));
	deadline_set(&a->rt->main, &a->quieten, ms);
	caller_reply_json(c, 200, json_pack("{s:s,s:s}", "result", "ok",
	    "level", level));
}

/* --------------------------------------------------------------- the table */

static const struct page pages[] = {
	{ "/", false, false, get_dashboard },
	{ "/stats", false, false, get_stats },
	{ "/stats/stream", false, false, get_stream },
	{ "/metrics", false, true, get_metrics },
	{ "/healthz", false, true, get_health },
	{ "/readyz", false, true, get_ready },
	{ "/config", false, false, get_config },
	{ "/connections", false, false, get_connections },
	{ "/dns", false, false, get_dns },
	{ "/reload", true, false, post_reload },
	{ "/drain", true, false, post_drain },
	{ "/stop", true, false, post_stop },
	{ "/log", true, false, post_log }
};

const struct page *
page_find(const char *path)
{
	size_t i;

	for (i = 0; i < NELEMS(pages); i++)
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return NULL;
}
