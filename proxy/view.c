/*
 * Gathers the numbers of all lanes. See view.h.
 *
 * Counters belong to the lanes' threads, which go on while they are read: each
 * number is whole, but two of them may be of slightly different moments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/tls_kernel.h"
#include "net/tls_server.h"
#include "proxy/history.h"
#include "proxy/live.h"
#include "proxy/override.h"

const char *const view_states[] = { "up", "down", "ejected", "drain",
	"unresolved", NULL };

const char *const view_pressures[VIEW_PRESSURES] = {
	[PRESSURE_NONE] = "none",
	[PRESSURE_TIGHT] = "tight",
	[PRESSURE_FULL] = "full"
};

/* -------------------------------------------------------------- listeners */

static int
take_binds(struct view_listener *v, const struct live_listener *live)
{
	size_t i;

	v->binds = calloc(live->n_sockets + 1, sizeof(v->binds[0]));
	if (v->binds == NULL)
		return -1;
	v->n_binds = live->n_sockets;
	for (i = 0; i < live->n_sockets; i++)
		addr_print(&live->sockets[i].addr, v->binds[i]);
	return 0;
}

static void
add_door(struct view_listener *v, const struct door *d)
{
	unsigned i;

	v->active += count_read(&d->active);
	v->accepted += count_read(&d->accepted);
	v->rejected += count_read(&d->rejected);
	v->requests += count_read(&d->requests);
	v->received += count_read(&d->received);
	v->sent += count_read(&d->sent);
	for (i = 0; i < N_OUTCOMES; i++)
		v->outcomes[i] += count_read(&d->outcomes[i]);
	for (i = 0; i < N_FAILS; i++)
		v->failures[i] += count_read(&d->failures[i]);
	/* In this order: who is among them is never told of before. */
	v->resumed += count_read(&d->resumed);
	v->handshakes += count_read(&d->handshakes);
	v->shaking += count_read(&d->n_shaking);
	v->shakers += count_read(&d->n_shakers);
	for (i = 0; i < N_TLS_PROBLEMS; i++)
		v->tls_problems[i] += count_read(&d->tls_problems[i]);
	for (i = 0; i < N_LIMITS; i++) {
		v->limited[i] += count_read(&d->limited[i]);
		v->shadowed[i] += count_read(&d->shadowed[i]);
	}
	hist_sum_add(&v->latency.all, &d->latency);
}

static int
take_listener(struct view_listener *v, const struct live_listener *live,
    const struct history *h)
{
	const struct listener *l = live->listener;
	size_t i;

	v->name = l->name;
	v->protocol = l->proto->conf.name;
	for (i = 0; i < l->n_doors; i++)
		if (l->doors[i] != NULL)
			add_door(v, l->doors[i]);
	history_times(h, "latency", v->name, &v->latency);
	if (live->conf->tls.server != NULL) {
		v->tls = 1;
		v->not_after_s = (uint64_t)tls_server_not_after(
		    live->conf->tls.server);
	}
	return take_binds(v, live);
}

/* -------------------------------------------------------------- upstreams */

/* The clocks at one moment: a moment of one becomes one of the other. */
struct now {
	int64_t mono_ns, wall_ns;
};

static int64_t
wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct now
now_of(const struct runtime *rt)
{
	return (struct now){ rt->main.now_ns, wall_ns() };
}

/* The second in which it is: what ends then has not ended before. */
static int64_t
wall_s(const struct now *now, int64_t at_ns)
{
	return (at_ns - now->mono_ns + now->wall_ns) / NS_PER_S;
}

int64_t
view_wall_s(int64_t at_ns, int64_t *left_s)
{
	/* main's clock stands still while a file is read. */
	const struct now now = { clock_ns(), wall_ns() };

	if (left_s != NULL)
		*left_s = at_ns > now.mono_ns ?
		    (at_ns - now.mono_ns) / NS_PER_S : 0;
	return wall_s(&now, at_ns);
}

static void
take_override(struct view_endpoint *v, const struct live_upstream *live,
    const char *name, const struct now *now)
{
	const struct override *o = override_find(live, name);

	if (o == NULL)
		return;
	v->override.state = override_states[o->state];
	v->override.weight = o->weight;
	if (o->until_ns != INT64_MAX)
		v->override.until_s = wall_s(now, o->until_ns);
}

static void
take_endpoint(struct view_endpoint *v, const struct endpoint *e,
    const struct now *now)
{
	int64_t held_ns = atomic_load(&e->hold_until_ns) - now->mono_ns;
	unsigned i;

	v->name = e->name;
	v->resolved = e->resolved;
	v->state = endpoint_state(e);
	v->up = atomic_load(&e->bars) == 0 && atomic_load(&e->current);
	v->last_error = atomic_load(&e->last_error);
	v->since_s = atomic_load(&e->since_s);
	v->weight = atomic_load(&e->weight);
	v->open = atomic_load(&e->open);
	v->leased = atomic_load(&e->leased);
	v->backup = atomic_load(&e->backup);
	v->held_us = held_ns > 0 ? (uint64_t)held_ns / 1000 : 0;
	v->ejections = atomic_load(&e->ejections);
	for (i = 0; i < N_FAULTS; i++)
		v->failures[i] = atomic_load(&e->faults[i]);
	v->health.last = e->health.last;
	v->health.checks = e->health.checks;
	v->health.failures = e->health.failures;
	v->health.latency_us = (uint64_t)e->health.latency_us;
}

/* One whose name has no address is shown too: that is why nobody gets there. */
static void
take_unresolved(struct view_endpoint *v, const struct live_endpoint *e)
{
	v->name = e->conf->name;
	v->resolved = "";
	v->state = "unresolved";
	v->last_error = e->error;
	v->weight = e->conf->weight;
	v->backup = e->conf->backup;
	v->health.last = "";
}

static int
take_endpoints(struct view_upstream *v, const struct live_upstream *live,
    const struct now *now)
{
	size_t rows = live->roster != NULL ? live->roster->n : 0, i;

	v->endpoints = calloc(rows + live->n_endpoints + 1,
	    sizeof(v->endpoints[0]));
	if (v->endpoints == NULL)
		return -1;
	for (i = 0; i < rows; i++)
		if (live->roster->v[i] != NULL)
			take_endpoint(&v->endpoints[v->n_endpoints++],
			    live->roster->v[i], now);
	for (i = 0; i < live->n_endpoints; i++)
		if (live->endpoints[i].n_addrs == 0)
			take_unresolved(&v->endpoints[v->n_endpoints++],
			    &live->endpoints[i]);
	for (i = 0; i < v->n_endpoints; i++)
		take_override(&v->endpoints[i], live, v->endpoints[i].name,
		    now);
	return 0;
}

static void
add_pool(struct view_upstream *v, const struct pool *p, int64_t *oldest_ns,
    int64_t *lease_ns)
{
	int64_t since = atomic_load(&p->oldest_ns);
	int64_t parked = atomic_load(&p->oldest_parked_ns);
	int64_t lent = atomic_load(&p->oldest_lease_ns);
	unsigned i;

	v->idle += atomic_load(&p->idle);
	v->leased += atomic_load(&p->leased);
	v->connecting += atomic_load(&p->opening);
	v->waiting += atomic_load(&p->waiting);
	v->pinned += atomic_load(&p->pinned);
	if (since < *oldest_ns)
		*oldest_ns = since;
	if (parked < *oldest_ns)
		*oldest_ns = parked;
	if (lent < *lease_ns)
		*lease_ns = lent;
	v->leaks += atomic_load(&p->leaks);
	v->leaked += count_read(&p->leaked);
	v->injected += count_read(&p->injected);
	v->waiting_max += count_read(&p->waiting_max);
	v->waiting_before += count_read(&p->waiting_before);
	v->connects += count_read(&p->connects);
	v->closes += count_read(&p->closes);
	v->requests += count_read(&p->requests);
	v->reused += count_read(&p->reused);
	v->retries += count_read(&p->retries);
	v->exhausted_us += count_read(&p->exhausted_us);
	for (i = 0; i < N_DISCARDS; i++)
		v->discards[i] += count_read(&p->discards[i]);
	for (i = 0; i < POOL_PINS_MOST; i++)
		v->pins[i] += count_read(&p->pins[i]);
	for (i = 0; i < POOL_ERRORS_MOST; i++)
		v->errors[i] += count_read(&p->errors[i]);
	for (i = 0; i < N_UPSTREAM_LIMITS; i++) {
		v->limited[i] += count_read(&p->limited[i]);
		v->delayed[i] += count_read(&p->delayed[i]);
		v->shadowed[i] += count_read(&p->shadowed[i]);
	}
	hist_sum_add(&v->queue.all, &p->queue);
	hist_sum_add(&v->connect.all, &p->connect);
	hist_sum_add(&v->first_byte.all, &p->first_byte);
}

static const char *
mode_name(enum conf_span span)
{
	switch (span) {
	case CONF_SPAN_SESSION:
		return "session";
	case CONF_SPAN_TRANSACTION:
		return "transaction";
	case CONF_SPAN_REQUEST:
		return "request";
	case CONF_SPAN_OWED:
		return "shared";
	}
	return "";
}

static void
take_fault(struct view_upstream *v, const struct live_upstream *live,
    const struct now *now)
{
	const struct injection *in = &live->injection;

	if (in->wish.per_million == 0)
		return;
	v->fault.per_million = in->wish.per_million;
	v->fault.delay_ms = (uint64_t)in->wish.delay_ms;
	v->fault.what = in->wish.what;
	v->fault.hits = inject_hits(live);
	v->fault.until_s = wall_s(now, in->until_ns);
}

static void
take_advice(struct view_upstream *v, const struct live_upstream *live)
{
	v->advice_s = advisor_take(live, &v->advice);
	v->advised_max = v->advice.max;
	v->keep_alive_ms = advisor_keep_alive_ms(live);
	v->idle_timeout_ms = live->conf->pool.idle_timeout_ms;
}

static int
take_upstream(struct view_upstream *v, struct live_upstream *live,
    const struct now *now, const struct history *h)
{
	const struct upstream *up = live->upstream;
	int64_t oldest_ns = INT64_MAX, lease_ns = INT64_MAX;
	char missing[256];
	size_t i;

	v->name = up->name;
	v->protocol = live->conf->proto->name;
	v->server_cap = live->conf->proto->server_cap;
	v->mode = mode_name(live->conf->pool.span);
	v->max = (uint64_t)live->conf->pool.max;
	v->ready = live_upstream_ready(live, missing, sizeof(missing));
	v->cap = atomic_load(&up->most);
	v->paused = atomic_load(&up->paused);
	v->open = upstream_open(up);
	v->elsewhere = upstream_elsewhere(up);
	v->elsewhere_leased = upstream_leased_elsewhere(up);
	for (i = 0; i < up->n_pools; i++)
		add_pool(v, up->pools[i], &oldest_ns, &lease_ns);
	if (v->waiting_max < v->waiting_before)
		v->waiting_max = v->waiting_before;
	v->pin_names = up->peer != NULL ? up->peer->pins : NULL;
	v->error_names = up->peer != NULL ? up->peer->errors : NULL;
	v->own_error_names = up->peer != NULL ? up->peer->own_errors : NULL;
	if (oldest_ns < now->mono_ns)
		v->oldest_wait_us = (uint64_t)(now->mono_ns - oldest_ns) / 1000;
	if (lease_ns < now->mono_ns)
		v->oldest_lease_us = (uint64_t)(now->mono_ns - lease_ns) / 1000;
	history_times(h, "queue", v->name, &v->queue);
	history_times(h, "connect", v->name, &v->connect);
	history_times(h, "first_byte", v->name, &v->first_byte);
	take_fault(v, live, now);
	take_advice(v, live);
	return take_endpoints(v, live, now);
}

/* ------------------------------------------------------------- the program */

static void
take_program(struct view *v, struct runtime *rt, const struct history *h)
{
	size_t i;

	v->pid = (uint64_t)getpid();
	v->workers = rt->n_lanes;
	v->draining = rt->draining || rt->stopping;
	v->ready = runtime_ready(rt, v->missing, sizeof(v->missing));
	v->uptime_s = (double)(rt->main.now_ns - rt->started_ns) / 1e9;
	v->generation = rt->gen->number;
	v->config_at_s = rt->gen->at_s;
	v->config_hash = rt->gen->conf->hash;
	v->reload_ok = rt->reload.ok;
	v->reload_error = rt->reload.ok ? NULL : rt->reload.error;
	v->reload_at_s = rt->reload.at_s;
	v->upgrade = upgrade_result(rt);
	v->confirm_until_s = rt->confirm.until_s;
	v->reloads = &rt->reloads;
	v->reloads_ok = rt->reloads_ok;
	v->reloads_bad = rt->reloads_bad;
	v->overrides = override_count(rt);
	v->log_dropped = rt->log_dropped + (rt->writer != NULL ?
	    writer_dropped(rt->writer) : 0);
	v->memory_budget = pressure_budget(&rt->pressure);
	v->pressure = (uint64_t)atomic_load(&rt->pressure_level);
	v->kernel_tls = tls_kernel();
	v->tls_files_ok = rt->tls_files_ok;
	v->tls_files_bad = rt->tls_files_bad;
	v->stuck = rt->watchdog.stuck;
	v->stuck_total = rt->watchdog.stuck_total;
	v->stuck_last = rt->watchdog.last;
	v->sandbox = &rt->sandbox;
	usage_read(&v->usage);
	for (i = 0; i < rt->n_lanes; i++)
		hist_sum_add(&v->lag.all, &rt->lanes[i]->worker.lag);
	history_times(h, "lag", "", &v->lag);
}

static int
take_listeners(struct view *v, struct runtime *rt, const struct history *h)
{
	struct list *l;
	size_t n = 0;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next)
		n++;
	v->listeners = calloc(n + 1, sizeof(v->listeners[0]));
	if (v->listeners == NULL)
		return -1;
	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		struct live_listener *live =
		    container_of(l, struct live_listener, link);

		if (live->conf != NULL && take_listener(
		    &v->listeners[v->n_listeners++], live, h) < 0)
			return -1;
	}
	return 0;
}

static int
take_upstreams(struct view *v, struct runtime *rt, const struct history *h)
{
	const struct now now = now_of(rt);
	struct list *l;
	size_t n = 0;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		n++;
	v->upstreams = calloc(n + 1, sizeof(v->upstreams[0]));
	if (v->upstreams == NULL)
		return -1;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *live =
		    container_of(l, struct live_upstream, link);

		if (live->conf != NULL && take_upstream(
		    &v->upstreams[v->n_upstreams++], live, &now, h) < 0)
			return -1;
	}
	return 0;
}

struct view *
view_take(struct runtime *rt, const struct history *h)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	take_program(v, rt, h);
	if (take_listeners(v, rt, h) < 0 || take_upstreams(v, rt, h) < 0) {
		view_free(v);
		return NULL;
	}
	return v;
}

void
view_free(struct view *v)
{
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < v->n_listeners; i++)
		free(v->listeners[i].binds);
	for (i = 0; i < v->n_upstreams; i++)
		free(v->upstreams[i].endpoints);
	free(v->listeners);
	free(v->upstreams);
	free(v);
}

bool
view_is_own_error(const struct view_upstream *v, const char *name)
{
	const char *const *own = v->own_error_names;

	while (own != NULL && *own != NULL && strcmp(*own, name) != 0)
		own++;
	return own == NULL || *own != NULL;
}

const struct view_upstream *
view_upstream_find(const struct view *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->n_upstreams; i++)
		if (strcmp(v->upstreams[i].name, name) == 0)
			return &v->upstreams[i];
	return NULL;
}
