/*
 * JSON. See json.h.
 *
 * A value that could not be made for want of memory is missing from its object:
 * jansson takes NULL as "failed" and goes on, and nobody has to unwind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/json.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/admin/json_pool.h"
#include "proxy/admin/spell.h"
#include "proxy/live.h"

json_t *
json_text(const char *text)
{
	json_t *j = json_string(text);
	char *copy, *p;

	if (j != NULL)
		return j;
	copy = strdup(text);
	if (copy == NULL)
		return NULL;
	for (p = copy; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

char *
json_spell(json_t *j, bool pretty)
{
	char *bare, *text;
	size_t len;

	if (j == NULL)
		return NULL;
	bare = pretty ? json_dumps(j, JSON_INDENT(2) |
	    JSON_REAL_PRECISION(15)) : spell_compact(j);
	json_decref(j);
	if (bare == NULL)
		return NULL;
	len = strlen(bare);
	text = realloc(bare, len + 2);
	if (text == NULL) {
		free(bare);
		return NULL;
	}
	memcpy(text + len, "\n", 2);
	return text;
}

/* ------------------------------------------------------------------ pieces */

void
json_put(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static void
put_text(json_t *o, const char *key, const char *text)
{
	json_put(o, key, json_text(text));
}

static void
put_number(json_t *o, const char *key, uint64_t n)
{
	json_put(o, key, json_integer(n > INT64_MAX ? INT64_MAX :
	    (json_int_t)n));
}

static json_t *
times(const struct view_times *t)
{
	json_t *o = json_object();

	put_number(o, "p50", t->p50);
	put_number(o, "p90", t->p90);
	put_number(o, "p99", t->p99);
	put_number(o, "p999", t->p999);
	put_number(o, "max", t->max);
	return o;
}

/* One number for each name. */
static json_t *
tally(const char *const *names, const uint64_t *numbers, size_t n)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < n; i++)
		put_number(o, names[i], numbers[i]);
	return o;
}

static json_t *
failures(const uint64_t *numbers)
{
	json_t *o = json_object();
	unsigned i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		put_number(o, fail_rows[i].name, numbers[i]);
	return o;
}

static json_t *
failures_of_clients(void)
{
	json_t *a = json_array();
	enum fail i;

	for (i = FAIL_NONE + 1; i < N_FAILS; i++)
		if (fail_is_clients(i))
			(void)json_array_append_new(a,
			    json_string(fail_rows[i].name));
	return a;
}

/* ------------------------------------------------------------------ /stats */

static json_t *
listener_tls(const struct view_listener *v)
{
	json_t *o = json_object();

	put_number(o, "handshaking", v->shaking);
	put_number(o, "waiting", v->shakers);
	put_number(o, "handshakes_total", v->handshakes);
	put_number(o, "resumed_total", v->resumed);
	json_put(o, "problems_total", tally(tls_problem_names + 1,
	    v->tls_problems + 1, N_TLS_PROBLEMS - 1));
	return o;
}

static json_t *
listener(const struct view_listener *v)
{
	json_t *o = json_object(), *binds = json_array();
	json_t *connections = json_object(), *bytes = json_object();
	size_t i;

	put_text(o, "name", v->name);
	put_text(o, "protocol", v->protocol);
	for (i = 0; i < v->n_binds; i++)
		(void)json_array_append_new(binds, json_text(v->binds[i]));
	json_put(o, "bind", binds);
	put_number(connections, "active", v->active);
	put_number(connections, "accepted_total", v->accepted);
	put_number(connections, "rejected_total", v->rejected);
	json_put(o, "connections", connections);
	put_number(o, "requests_total", v->requests);
	json_put(o, "outcomes_total", tally(outcome_names, v->outcomes,
	    N_OUTCOMES));
	json_put(o, "failures_total", failures(v->failures));
	json_put(o, "limited_total", tally(limit_names, v->limited, N_LIMITS));
	json_put(o, "shadow_total", tally(limit_names, v->shadowed, N_LIMITS));
	put_number(bytes, "received_total", v->received);
	put_number(bytes, "sent_total", v->sent);
	json_put(o, "bytes", bytes);
	json_put(o, "tls", listener_tls(v));
	json_put(o, "certificate_not_after", v->tls == 0 ? json_null() :
	    json_integer((json_int_t)v->not_after_s));
	json_put(o, "latency_us", times(&v->latency.window));
	return o;
}

static json_t *
health(const struct view_endpoint *v)
{
	json_t *o = json_object();

	put_text(o, "last", v->health.last);
	put_number(o, "checks_total", v->health.checks);
	put_number(o, "failures_total", v->health.failures);
	put_number(o, "latency_us", v->health.latency_us);
	return o;
}

/* null where there is nothing: not changed, the file's weight, for good. */
static json_t *
override(const struct view_endpoint *v)
{
	json_t *o;

	if (v->override.state == NULL)
		return json_null();
	o = json_object();
	put_text(o, "state", v->override.state);
	json_put(o, "weight", v->override.weight == 0 ? json_null() :
	    json_integer((json_int_t)v->override.weight));
	json_put(o, "until", v->override.until_s == 0 ? json_null() :
	    json_integer(v->override.until_s));
	return o;
}

json_t *
json_endpoint(const struct view_endpoint *v)
{
	json_t *o = json_object();

	put_text(o, "name", v->name);
	put_text(o, "resolved", v->resolved);
	put_text(o, "state", v->state);
	put_number(o, "since", (uint64_t)v->since_s);
	put_number(o, "weight", v->weight);
	json_put(o, "backup", json_boolean(v->backup));
	json_put(o, "override", override(v));
	put_number(o, "held_ms", (v->held_us + 999) / 1000);
	put_number(o, "open", v->open);
	put_number(o, "leased", v->leased);
	json_put(o, "failures_total",
	    tally(endpoint_fault_names, v->failures, N_FAULTS));
	put_number(o, "ejections_total", v->ejections);
	put_text(o, "last_error", v->last_error);
	json_put(o, "health", health(v));
	return o;
}

static json_t *
pool(const struct view_upstream *v)
{
	json_t *o = json_object();

	put_text(o, "mode", v->mode);
	put_number(o, "max", v->max);
	put_number(o, "cap", v->cap);
	put_number(o, "open", v->open);
	put_number(o, "idle", v->idle);
	put_number(o, "leased", v->leased);
	put_number(o, "connecting", v->connecting);
	put_number(o, "elsewhere", v->elsewhere);
	put_number(o, "elsewhere_leased", v->elsewhere_leased);
	put_number(o, "waiting", v->waiting);
	put_number(o, "waiting_max", v->waiting_max);
	put_number(o, "pinned", v->pinned);
	put_number(o, "leaks", v->leaks);
	put_number(o, "oldest_wait_us", v->oldest_wait_us);
	put_number(o, "oldest_lease_us", v->oldest_lease_us);
	return o;
}

/* By names that the upstream's protocol has; NULL = has none. */
static json_t *
named(const char *const *names, const uint64_t *numbers)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; names != NULL && names[i] != NULL; i++)
		put_number(o, names[i], numbers[i]);
	return o;
}

static json_t *
errors_of_server(const struct view_upstream *v)
{
	const char *const *name = v->error_names;
	json_t *a = json_array();

	for (; name != NULL && *name != NULL; name++)
		if (view_is_own_error(v, *name))
			(void)json_array_append_new(a, json_string(*name));
	return a;
}

static json_t *
upstream(const struct view_upstream *v)
{
	json_t *o = json_object(), *endpoints = json_array();
	size_t i;

	put_text(o, "name", v->name);
	put_text(o, "protocol", v->protocol);
	json_put(o, "ready", json_boolean(v->ready));
	json_put(o, "paused", json_boolean(v->paused));
	json_put(o, "pool", pool(v));
	put_number(o, "connects_total", v->connects);
	put_number(o, "closes_total", v->closes);
	put_number(o, "requests_total", v->requests);
	put_number(o, "retries_total", v->retries);
	put_number(o, "reused_total", v->reused);
	put_number(o, "leaked_total", v->leaked);
	put_number(o, "faults_injected_total", v->injected);
	json_put(o, "fault", json_fault(v));
	json_put(o, "advice", json_advice(v));
	json_put(o, "exhausted_seconds_total",
	    json_real((double)v->exhausted_us / 1e6));
	json_put(o, "pinned_total", named(v->pin_names, v->pins));
	json_put(o, "server_errors_total", named(v->error_names, v->errors));
	json_put(o, "errors_of_server", errors_of_server(v));
	json_put(o, "discarded_total",
	    tally(discard_names, v->discards, N_DISCARDS));
	json_put(o, "limited_total", tally(upstream_limit_names, v->limited,
	    N_UPSTREAM_LIMITS));
	json_put(o, "delayed_total", tally(upstream_limit_names, v->delayed,
	    N_UPSTREAM_LIMITS));
	json_put(o, "shadow_total", tally(upstream_limit_names, v->shadowed,
	    N_UPSTREAM_LIMITS));
	json_put(o, "queue_us", times(&v->queue.window));
	json_put(o, "connect_us", times(&v->connect.window));
	json_put(o, "first_byte_us", times(&v->first_byte.window));
	for (i = 0; i < v->n_endpoints; i++)
		(void)json_array_append_new(endpoints,
		    json_endpoint(&v->endpoints[i]));
	json_put(o, "endpoints", endpoints);
	return o;
}

static json_t *
process(const struct view *v)
{
	json_t *o = json_object(), *lag = json_object();

	put_number(o, "fds", v->usage.fds);
	put_number(o, "fds_max", v->usage.fds_max);
	put_number(o, "memory_bytes", v->usage.resident_bytes);
	/* null: nobody has set one. */
	json_put(o, "memory_budget_bytes", v->memory_budget == UINT64_MAX ?
	    json_null() : json_integer((json_int_t)v->memory_budget));
	put_text(o, "pressure", view_pressures[v->pressure]);
	put_number(lag, "p99", v->lag.window.p99);
	json_put(o, "loop_lag_us", lag);
	put_number(o, "log_dropped_total", v->log_dropped);
	return o;
}

static json_t *
tls(const struct view *v)
{
	json_t *o = json_object();

	put_text(o, "kernel", v->kernel_tls);
	put_number(o, "files_taken_total", v->tls_files_ok);
	put_number(o, "files_refused_total", v->tls_files_bad);
	return o;
}

static json_t *
watchdog(const struct view *v)
{
	json_t *o = json_object();

	put_number(o, "stuck", v->stuck);
	put_number(o, "stuck_total", v->stuck_total);
	put_text(o, "last", v->stuck_last);
	return o;
}

static json_t *
sandbox(const struct sandbox *s)
{
	json_t *o = json_object();

	put_text(o, "state", s->state);
	put_text(o, "seccomp", s->seccomp);
	put_text(o, "landlock", s->landlock);
	json_put(o, "no_new_privs", json_boolean(s->no_new_privs));
	put_text(o, "user", s->user);
	return o;
}

static json_t *
reload(const struct view *v)
{
	json_t *o = json_object();

	put_text(o, "last", v->reload_ok ? "ok" :
	    v->reload_error != NULL ? v->reload_error : "failed");
	put_number(o, "at", (uint64_t)v->reload_at_s);
	json_put(o, "confirm_until", v->confirm_until_s == 0 ? json_null() :
	    json_integer(v->confirm_until_s));
	put_text(o, "file_hash", v->config_hash);
	put_number(o, "overrides", v->overrides);
	return o;
}

static json_t *
upgrade_json(const struct upgrade_result *r)
{
	json_t *o = json_object();

	put_number(o, "count", r->count);
	put_text(o, "last", r->last);
	put_text(o, "state", r->state);
	put_number(o, "at", (uint64_t)r->at_s);
	put_text(o, "error", r->error);
	put_number(o, "replaced", r->replaced);
	put_text(o, "died", r->died);
	json_put(o, "before_pid", r->before_pid == 0 ? json_null() :
	    json_integer(r->before_pid));
	return o;
}

json_t *
json_stats(const struct view *v)
{
	json_t *o = json_object(), *rows;
	size_t i;

	put_text(o, "version", WEIR_VERSION);
	put_number(o, "pid", v->pid);
	json_put(o, "uptime_s", json_real(v->uptime_s));
	put_number(o, "generation", v->generation);
	json_put(o, "draining", json_boolean(v->draining));
	json_put(o, "ready", json_boolean(v->ready));
	put_text(o, "missing", v->missing);
	put_number(o, "window_s", VIEW_WINDOW_S);
	json_put(o, "reload", reload(v));
	json_put(o, "reloads", json_reloads(v->reloads));
	json_put(o, "watchdog", watchdog(v));
	json_put(o, "upgrade", upgrade_json(&v->upgrade));
	json_put(o, "sandbox", sandbox(v->sandbox));
	json_put(o, "process", process(v));
	json_put(o, "tls", tls(v));
	json_put(o, "failures_of_clients", failures_of_clients());
	rows = json_array();
	for (i = 0; i < v->n_listeners; i++)
		(void)json_array_append_new(rows, listener(&v->listeners[i]));
	json_put(o, "listeners", rows);
	rows = json_array();
	for (i = 0; i < v->n_upstreams; i++)
		(void)json_array_append_new(rows, upstream(&v->upstreams[i]));
	json_put(o, "upstreams", rows);
	return o;
}

/* ------------------------------------------------------------------ errors */

json_t *
json_error(const char *text)
{
	json_t *o = json_object();

	put_text(o, "error", text);
	return o;
}

static char *
joined(const struct conf_errors *errors)
{
	size_t len = 1, i;
	char *all, *at;

	for (i = 0; i < errors->n; i++)
		len += strlen(errors->v[i]) + 1;
	all = at = malloc(len);
	if (all == NULL)
		return NULL;
	*at = '\0';
	for (i = 0; i < errors->n; i++) {
		if (i > 0)
			*at++ = '\n';
		at = stpcpy(at, errors->v[i]);
	}
	return all;
}

json_t *
json_errors(const struct conf_errors *errors)
{
	json_t *o, *each = json_array();
	char *all = joined(errors);
	size_t i;

	o = json_error(all != NULL && *all != '\0' ? all : "out of memory");
	free(all);
	for (i = 0; i < errors->n; i++)
		(void)json_array_append_new(each, json_text(errors->v[i]));
	json_put(o, "errors", each);
	return o;
}

/* -------------------------------------------------------------------- /dns */

static json_t *
looked_up(const struct live_upstream *up, const struct live_endpoint *e)
{
	json_t *o = json_object(), *addrs = json_array();
	char text[ADDR_TEXT_MAX];
	size_t i;

	put_text(o, "upstream", up->upstream->name);
	put_text(o, "endpoint", e->conf->name);
	put_text(o, "name", follow_name(e->follow));
	for (i = 0; i < e->n_addrs; i++)
		(void)json_array_append_new(addrs,
		    json_text(addr_print(&e->addrs[i], text)));
	json_put(o, "addresses", addrs);
	/* -1: there was no good answer yet. */
	json_put(o, "age_ms", json_integer(follow_age_ms(e->follow)));
	json_put(o, "next_ms", json_integer(follow_next_ms(e->follow)));
	put_text(o, "last_error", follow_last_error(e->follow));
	return o;
}

json_t *
json_dns(const struct runtime *rt)
{
	json_t *o = json_object(), *names = json_array();
	const struct list *l;
	size_t i;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *up =
		    container_of(l, struct live_upstream, link);

		for (i = 0; up->conf != NULL && i < up->n_endpoints; i++)
			if (up->endpoints[i].follow != NULL)
				(void)json_array_append_new(names,
				    looked_up(up, &up->endpoints[i]));
	}
	json_put(o, "names", names);
	return o;
}

/* ----------------------------------------------------------------- /config */

json_t *
json_config(const struct generation *g)
{
	char *text = conf_json(g->conf);
	json_t *o, *config;

	if (text == NULL)
		return NULL;
	config = json_loads(text, 0, NULL);
	free(text);
	if (config == NULL)
		return NULL;
	o = json_object();
	put_number(o, "generation", g->number);
	put_number(o, "at", (uint64_t)g->at_s);
	put_text(o, "hash", g->conf->hash);
	json_put(o, "config", config);
	return o;
}
