/*
 * The running program: start, drain. See runtime.h; reloads are in reload.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/admin/admin.h"
#include "proxy/certificates.h"
#include "proxy/change.h"
#include "proxy/errors.h"
#include "proxy/generation.h"
#include "proxy/lane.h"
#include "proxy/live.h"
#include "proxy/process.h"
#include "proxy/relief.h"
#include "proxy/service/privileges.h"
#include "proxy/service/scout.h"
#include "proxy/settings.h"
#include "proxy/upgrade/upgrade.h"

enum {
	SWEEP_S = 1,
	IDLE_GRACE_MS = 1000            /* draining: an idle client may be
					   sending a request just now */
};

/* --------------------------------------------------------------------- start */

struct conf_input
runtime_input(const struct runtime *rt)
{
	return (struct conf_input){ .path = rt->path != NULL ? rt->path :
	    "(built in)", .text = rt->builtin, .protos = proto_table,
	    .running = rt->gen != NULL ? rt->gen->conf : NULL, .live = true };
}

static void
sweep(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
	struct runtime *rt = timer->data;

	(void)loop, (void)revents;
	if (rt->stopping)
		return;
	live_sweep(rt);
	certificates_look(rt);
}

static int
make_lanes(struct runtime *rt, const struct conf *conf)
{
	size_t i;

	rt->writer = writer_new((unsigned)conf->workers);
	rt->finder = process_finder_new(&rt->main);
	rt->lanes = calloc((size_t)conf->workers, sizeof(*rt->lanes));
	if (rt->writer == NULL || rt->finder == NULL || rt->lanes == NULL)
		return -1;
	for (i = 0; i < (size_t)conf->workers; i++) {
		rt->lanes[i] = lane_new(rt, (unsigned)i);
		if (rt->lanes[i] == NULL)
			return -1;
		rt->n_lanes = i + 1;
	}
	return 0;
}

static int
start_lanes(struct runtime *rt)
{
	size_t i;

	for (i = 0; i < rt->n_lanes; i++)
		if (lane_start(rt->lanes[i]) < 0)
			return -1;
	return 0;
}

/* What may fail, all before anything runs. */
static struct change *
prepare_start(struct runtime *rt, struct conf *conf, struct sink **access,
    char *why, size_t size)
{
	struct change *change;

	if (sandbox_may_start(conf, why, size) < 0 ||
	    settings_open_access(conf, access, why, size) < 0)
		return NULL;
	change = change_prepare(rt, conf, why, size);
	if (change == NULL)
		return NULL;
	if (admin_start(rt, conf, why, size) < 0) {
		change_abandon(change);
		return NULL;
	}
	return change;
}

/* The last things that need one thread, and more rights than weir keeps. */
static int
confine(struct runtime *rt, const struct conf *conf, struct sink *access,
    char *why, size_t size)
{
	if (privileges_drop(conf, access, why, size) < 0)
		return -1;
	/* Before the sandbox, which would be the scout's too. */
	process_finder_use(rt->finder, scout_open(sandbox_will_hide(conf)));
	return sandbox_enter(&rt->sandbox, conf, why, size);
}

static int
start_with(struct runtime *rt, struct conf *conf, struct conf_errors *errors)
{
	struct resolver_options options = settings_resolver(conf);
	struct sink *access = NULL;
	struct change *change;
	char why[512];

	settings_descriptors(rt, conf);
	rt->resolver = resolver_new(rt->main.loop, &options);
	if (rt->resolver == NULL || make_lanes(rt, conf) < 0) {
		errors_add(errors, "cannot start: %s", strerror(errno));
		conf_free(conf);
		return -1;
	}
	change = prepare_start(rt, conf, &access, why, sizeof(why));
	if (change == NULL) {
		errors_add(errors, "%s", why);
		if (access != NULL)
			sink_close(access);
		conf_free(conf);
		return -1;
	}
	change_commit(change, NULL);
	if (confine(rt, conf, access, why, sizeof(why)) < 0) {
		errors_add(errors, "%s", why);
		if (access != NULL)
			sink_close(access);
		return -1;
	}
	watchdog_configure(conf);
	writer_set_access(rt->writer, &access);
	if (writer_start(rt->writer) < 0 || start_lanes(rt) < 0) {
		errors_add(errors, "cannot start threads: %s",
		    strerror(errno));
		return -1;
	}
	sandbox_seal(&rt->sandbox);
	if (watchdog_start(rt) < 0) {
		errors_add(errors, "cannot start: out of memory");
		return -1;
	}
	relief_start(rt);
	return 0;
}

int
runtime_start(struct runtime *rt, const char *path, const char *text,
    struct conf_errors *errors)
{
	struct conf_input in;
	struct conf *conf;

	memset(rt, 0, sizeof(*rt));
	relief_patience();
	notify_init(&rt->notify);
	list_init(&rt->generations);
	list_init(&rt->upstreams);
	list_init(&rt->listeners);
	if (worker_init(&rt->main, 0, rt) < 0) {
		errors_add(errors, "cannot make an event loop: %s",
		    strerror(errno));
		return -1;
	}
	rt->owns_files = true;
	if (upgrade_init(rt, errors) < 0)
		return -1;
	rt->path = path != NULL ? strdup(path) : NULL;
	rt->builtin = text != NULL ? strdup(text) : NULL;
	rt->started_ns = rt->main.now_ns;
	rt->reload.ok = true;
	rt->reload.at_s = (int64_t)time(NULL);
	in = runtime_input(rt);
	conf = conf_load(&in, errors);
	if (conf == NULL)
		return -1;
	log_set((enum log_level)conf->log.level,
	    conf->log.format == CONF_LOG_JSON);
	if (start_with(rt, conf, errors) < 0)
		return -1;
	ev_timer_init(&rt->sweep, sweep, SWEEP_S, SWEEP_S);
	rt->sweep.data = rt;
	ev_timer_start(rt->main.loop, &rt->sweep);
	notify_start(rt);
	upgrade_started(rt);
	return 0;
}

/* --------------------------------------------------------------------- drain */

static void
end_lanes(struct runtime *rt)
{
	size_t i;

	if (rt->stopping)
		return;
	rt->stopping = true;
	for (i = 0; i < rt->n_lanes; i++)
		lane_post_end(rt->lanes[i]);
	worker_stop(&rt->main);
}

/* One that goes sends what it has first. */
static void
end_or_finish(struct runtime *rt)
{
	if (!upgrade_finish(rt, end_lanes))
		end_lanes(rt);
}

static unsigned long long
clients_left(const struct runtime *rt)
{
	unsigned long long n = 0;
	const struct list *l;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next)
		n += atomic_load(&container_of(l, const struct live_listener,
		    link)->listener->active);
	return n;
}

static void
drain_timed_out(struct deadline *d)
{
	struct runtime *rt = container_of(d, struct runtime, drain);
	unsigned long long n = clients_left(rt);

	log_warn(NULL, "drain_timeout has passed: %llu client%s cut", n,
	    n == 1 ? " is" : "s are");
	end_or_finish(rt);
}

/* Idle clients go after so long. */
static int64_t
grace_ms(const struct runtime *rt)
{
	int64_t most = rt->gen->conf->drain_timeout_ms;

	if (rt->handed_over)
		return most - most / 4;
	return most / 4 < IDLE_GRACE_MS ? most / 4 : IDLE_GRACE_MS;
}

static void
doors_close(struct deadline *d)
{
	struct runtime *rt = container_of(d, struct runtime, drain);
	int64_t most = rt->gen->conf->drain_timeout_ms;
	size_t i;

	rt->lanes_busy = rt->n_lanes;
	for (i = 0; i < rt->n_lanes; i++)
		lane_post_drain(rt->lanes[i], grace_ms(rt));
	deadline_init(&rt->drain, drain_timed_out);
	deadline_set(&rt->main, &rt->drain, most);
}

void
runtime_drain(struct runtime *rt)
{
	if (rt->draining)
		return;
	upgrade_cancel(rt);
	rt->draining = rt->dismissing = rt->parting = true;
	notify_stopping(rt);
	log_info(NULL, "draining");
	reload_end(rt);
	deadline_init(&rt->drain, doors_close);
	deadline_set(&rt->main, &rt->drain, rt->gen->conf->drain_delay_ms);
}

void
runtime_part(struct runtime *rt)
{
	rt->dismissing = rt->parting = true;
}

static void
part(struct deadline *d)
{
	runtime_part(container_of(d, struct runtime, patience));
}

void
runtime_leave(struct runtime *rt, bool clients_cross)
{
	rt->handed_over = true;
	rt->clients_cross = clients_cross;
	rt->draining = true;
	rt->dismissing = !clients_cross;
	deadline_init(&rt->patience, part);
	deadline_set_ns(&rt->main, &rt->patience, grace_ms(rt) * NS_PER_MS);
	doors_close(&rt->drain);
}

void
runtime_lane_empty(struct runtime *rt)
{
	if (--rt->lanes_busy > 0)
		return;
	deadline_clear(&rt->drain);
	end_or_finish(rt);
}

void
runtime_stop(struct runtime *rt)
{
	upgrade_cancel(rt);
	rt->draining = rt->dismissing = rt->parting = true;
	notify_stopping(rt);
	reload_end(rt);
	end_lanes(rt);
}

void
runtime_close_pools(struct runtime *rt, unsigned lane)
{
	struct list *l, *tmp;

	/* Main has left its loop or is about to: nobody changes the list. */
	list_each(l, tmp, &rt->upstreams)
		pool_close_all(container_of(l, struct live_upstream,
		    link)->upstream->pools[lane]);
}

bool
runtime_ready(struct runtime *rt, char *missing, size_t size)
{
	struct list *l, *tmp;

	missing[0] = '\0';
	if (rt->draining) {
		snprintf(missing, size, "weir is draining");
		return false;
	}
	list_each(l, tmp, &rt->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf != NULL && !live_upstream_ready(lu, missing, size))
			return false;
	}
	return true;
}

static void
join_lanes(struct runtime *rt)
{
	size_t i;

	for (i = 0; i < rt->n_lanes; i++)
		if (rt->lanes[i]->started)
			pthread_join(rt->lanes[i]->thread, NULL);
	for (i = 0; i < rt->n_lanes; i++)
		rt->lanes[i]->started = false;
}

void
runtime_run(struct runtime *rt)
{
	worker_run(&rt->main);
	join_lanes(rt);
	upgrade_last_words(rt);
}

void
runtime_fini(struct runtime *rt)
{
	struct list *l, *tmp;
	size_t i;

	if (rt->main.loop == NULL)
		return;
	/* A start that failed half way has lanes that run. */
	end_lanes(rt);
	join_lanes(rt);
	reload_end(rt);
	worker_drop_mail(&rt->main);
	admin_stop(rt);
	process_finder_free(rt->finder);
	upgrade_fini(rt);
	change_unlink_sockets(rt);
	writer_end(rt->writer);
	watchdog_end(rt);
	sandbox_fini(&rt->sandbox);
	for (i = 0; i < rt->n_lanes; i++)
		lane_free(rt->lanes[i]);
	rt->n_lanes = 0;                /* nobody to tell anything any more */
	list_each(l, tmp, &rt->listeners)
		live_listener_free(container_of(l, struct live_listener, link));
	list_each(l, tmp, &rt->upstreams)
		live_upstream_free(container_of(l, struct live_upstream, link));
	resolver_free(rt->resolver);
	while ((l = list_first(&rt->generations)) != NULL)
		generation_free(container_of(l, struct generation, link));
	free(rt->lanes);
	reloads_fini(&rt->reloads);
	drift_fini(&rt->pending);
	free(rt->reload.error);
	free(rt->path);
	free(rt->builtin);
	inherit_drop(&rt->inherited);
	cap_table_fini(&rt->caps);
	ev_timer_stop(rt->main.loop, &rt->sweep);
	worker_fini(&rt->main);
}
