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
#include "proxy/advice.h"
#include "proxy/listener.h"
#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade.h"
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
	uint64_t    limited[N_LIMITS], shadowed[N_LIMITS];
	uint64_t    tls;                /* 1 = it has certificates */
	uint64_t    handshakes, resumed;        /* that went well; the latter
						   are among the former */
	uint64_t    shaking, shakers;   /* in the handshake now, and waiting
					   for their turn */
	uint64_t    tls_problems[N_TLS_PROBLEMS];
	uint64_t    not_after_s;        /* of the first that expires */
	struct view_hist latency;
};

/* One address; several may share a configured name. */
struct view_endpoint {
	const char *name;               /* as configured */
	const char *resolved;           /* "" = its name has no address yet */
	const char *state;              /* one of view_states */
	const char *last_error;         /* "" = none */
	int64_t     since_s;            /* wall clock; 0 = never */
	uint64_t    up;                 /* 1 = new connections may go there */
	uint64_t    weight, open, leased;
	uint64_t    backup;             /* 0 or 1 */
	uint64_t    held_us;            /* asked for a pause: so long yet */
	uint64_t    ejections;
	uint64_t    failures[N_FAULTS];
	struct {
		const char *last;       /* "ok", what was wrong, "" = none */
		uint64_t checks, failures, latency_us;
	} health;
	struct {                        /* by hand */
		const char *state;      /* NULL = as the file says */
		uint64_t weight;        /* 0 = the file's */
		int64_t  until_s;       /* wall clock; 0 = for good */
	} override;
};

/* at_ns of main's clock by the clock on the wall, in seconds, rounded down: until
   then it is so for certain. *left_s, unless NULL: how long that is, likewise. */
int64_t view_wall_s(int64_t at_ns, int64_t *left_s);

struct view_upstream {
	const char *name, *protocol, *mode;
	const char *server_cap;         /* of conf_proto; NULL */
	uint64_t    ready, paused;      /* 0 or 1 */
	uint64_t    max, cap, open, idle, leased, connecting, pinned;
	uint64_t    elsewhere, elsewhere_leased;        /* of those open: another
					   weir's, that drains or comes */
	uint64_t    waiting, waiting_max, oldest_wait_us, oldest_lease_us;
	uint64_t    waiting_before;     /* see struct pool */
	uint64_t    leaks, leaked;      /* now, and ever */
	uint64_t    injected;           /* exchanges that had a fault by hand */
	struct advice advice;
	double      advice_s;           /* seconds that it is by; 0 = none */
	uint64_t    advised_max;        /* 0 = not known, or none is enough */
	int64_t     keep_alive_ms;      /* of its server's; 0 = not known */
	int64_t     idle_timeout_ms;    /* pool.idle_timeout; CONF_OFF */
	struct {                        /* by hand, now */
		uint64_t per_million;   /* exchanges; 0 = none */
		uint64_t delay_ms, what;        /* enum inject_what */
		uint64_t hits;          /* since it began */
		int64_t  until_s;       /* wall clock */
	} fault;
	uint64_t    connects, closes, requests, reused, retries, exhausted_us;
	uint64_t    discards[N_DISCARDS];
	const char *const *pin_names;   /* NULL-terminated; NULL = none */
	uint64_t    pins[POOL_PINS_MOST];       /* by index in pin_names */
	const char *const *error_names; /* likewise */
	const char *const *own_error_names;     /* peer_ops.own_errors */
	uint64_t    errors[POOL_ERRORS_MOST];
	uint64_t    limited[N_UPSTREAM_LIMITS], delayed[N_UPSTREAM_LIMITS];
	uint64_t    shadowed[N_UPSTREAM_LIMITS];
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
	struct upgrade_result upgrade;
	int64_t     confirm_until_s;    /* 0 = it awaits no confirmation */
	const struct reloads *reloads;
	int64_t     config_at_s;        /* the running one's */
	const char *config_hash;
	uint64_t    overrides;          /* endpoints changed by hand */
	uint64_t    log_dropped;        /* lines for which there was no room */
	uint64_t    memory_budget;      /* bytes; UINT64_MAX = no limit */
	uint64_t    pressure;           /* enum pressure */
	const char *kernel_tls;         /* "available", or why not */
	uint64_t    tls_files_ok, tls_files_bad;        /* that have changed */
	uint64_t    stuck, stuck_total; /* workers; proxy/service/watchdog.h */
	const char *stuck_last;         /* what was said of the last; "" */
	const struct sandbox *sandbox;
	struct usage usage;
	struct view_hist lag;           /* of the lanes' loops */
	struct view_listener *listeners; size_t n_listeners;
	struct view_upstream *upstreams; size_t n_upstreams;
};

/* What an endpoint may be, as endpoint_state() says it, and "unresolved"; ends
   with NULL. */
extern const char *const view_states[];

/* By enum pressure: "none", "tight", "full". */
enum { VIEW_PRESSURES = PRESSURE_FULL + 1 };
extern const char *const view_pressures[VIEW_PRESSURES];

/*
 * What the runtime is now; percentiles by what h remembers. Listeners and
 * upstreams that have left the file are not in it. On main's loop only. NULL
 * when out of memory; the caller ends it with view_free().
 */
struct view *view_take(struct runtime *rt, const struct history *h) MUST_CHECK;
void view_free(struct view *v);

/* Does that one of its errors tell of the server rather than of what it was
   asked? */
bool view_is_own_error(const struct view_upstream *v, const char *name);

/* NULL when there is none. */
const struct view_upstream *view_upstream_find(const struct view *v,
    const char *name);

#endif
