/*
 * Every number that weir shows, as plain facts: one moment's sum over all
 * lanes. /stats and /metrics only spell it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include "net/addr.h"
#include "net/count.h"
#include "pool/pool.h"
#include "proxy/listener.h"
#include "proxy/runtime.h"
#include "proxy/usage.h"

struct history;

enum { VIEW_WINDOW_S = 60 };            /* what percentiles look back on */

/* Of the window; microseconds. */
struct view_times {
	uint64_t p50, p90, p99, p999, max;
};

/* A histogram since the start, and what of it belongs to the window. */
struct view_hist {
	struct hist_sum all;
	struct view_times window;
};

struct view_listener {
	const char *name, *protocol;
	char      (*binds)[ADDR_TEXT_MAX];      /* owned */
	size_t      n_binds;
	uint64_t    active, accepted, rejected, requests, received, sent;
	uint64_t    outcomes[N_OUTCOMES];
	uint64_t    failures[N_FAILS];
	struct view_hist latency;
};

/* One address; several may share a configured name. */
struct view_endpoint {
	const char *name;               /* as configured */
	const char *resolved;           /* "" = its name has no address yet */
	const char *state;              /* "up", "unresolved" */
	const char *last_error;         /* "" = none */
	int64_t     since_s;            /* wall clock; 0 = never */
	uint64_t    up;                 /* 1 = new connections may go there */
	uint64_t    weight, open, leased;
	uint64_t    failures[N_FAULTS];
};

struct view_upstream {
	const char *name, *protocol, *mode;
	uint64_t    ready;              /* 0 or 1 */
	uint64_t    max, open, idle, leased, connecting, pinned;
	uint64_t    waiting, waiting_max, oldest_wait_us, oldest_lease_us;
	uint64_t    connects, closes, requests, reused, retries, exhausted_us;
	uint64_t    discards[N_DISCARDS];
	const char *const *pin_names;   /* NULL-terminated; NULL = none */
	uint64_t    pins[POOL_PINS_MOST];       /* by index in pin_names */
	struct view_hist queue, connect, first_byte;
	struct view_endpoint *endpoints;        /* owned */
	size_t      n_endpoints;
};

/* Texts belong to the runtime: use them before the loop goes on. */
struct view {
	uint64_t    pid, generation, workers, draining, ready;
	double      uptime_s;
	char        missing[256];       /* why it is not ready; "" */
	uint64_t    reload_ok, reloads_ok, reloads_bad;
	const char *reload_error;       /* NULL when reload_ok */
	int64_t     reload_at_s;        /* the last one, whatever came of it */
	int64_t     config_at_s;        /* the running one's */
	const char *config_hash;
	struct usage usage;
	struct view_hist lag;           /* of the lanes' loops */
	struct view_listener *listeners; size_t n_listeners;
	struct view_upstream *upstreams; size_t n_upstreams;
};

/*
 * What the runtime is now; percentiles by what h remembers. Listeners and
 * upstreams that have left the file are not in it. On main's loop only. NULL
 * when out of memory; the caller ends it with view_free().
 */
struct view *view_take(struct runtime *rt, const struct history *h) MUST_CHECK;
void view_free(struct view *v);

#endif
