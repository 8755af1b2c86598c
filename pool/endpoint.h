/*
 * One address of an upstream, and the roster: the set of them that is current.
 * Shared by all workers, so an endpoint holds only atomics and what never
 * changes; what a worker knows about it alone is a site (pool/pool.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_ENDPOINT_H
#define POOL_ENDPOINT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/err.h"

enum endpoint_fault {
	FAULT_CONNECT_FAILED,
	FAULT_CONNECT_TIMEOUT,
	FAULT_CLOSED,                   /* EOF where an answer was due */
	FAULT_RESET,
	FAULT_TIMEOUT,
	FAULT_BAD_ANSWER,
	FAULT_UNAVAILABLE,              /* it said itself that it cannot */
	FAULT_TLS,                      /* the handshake failed */
	N_FAULTS
};

extern const char *const endpoint_fault_names[N_FAULTS];

/* Why nothing new goes to an endpoint. Each bit is set by its own cause. */
enum endpoint_bar {
	BAR_CHECK = 1,                  /* active checks say down */
	BAR_EJECTED = 2,                /* too many failures in a row */
	BAR_DRAIN = 4,                  /* by hand */
	BAR_DOWN = 8,                   /* by hand */
	BAR_DEMOTED = 16                /* it said that it is not the primary
					   any more */
};

enum { ENDPOINT_REFUSAL = 256 };

/* Owned by its references: rosters, sites, upconns. */
struct endpoint {
	_Atomic unsigned refs;
	char       *name;               /* as configured: the label everywhere */
	char       *authority;          /* host[:port] as configured */
	char       *host;               /* that its certificate is for, and as
					   it is asked for; NULL = none */
	struct addr addr;
	char        resolved[ADDR_TEXT_MAX];
	_Atomic unsigned weight;
	_Atomic unsigned most;          /* connections allowed; UINT_MAX = any */
	_Atomic unsigned open;          /* connections, all workers */
	_Atomic unsigned leased;
	_Atomic unsigned opening;       /* connecting, greeting, washing */
	_Atomic bool     current;       /* in the newest roster */
	_Atomic bool     backup;        /* only when no other is usable */
	_Atomic unsigned bars;          /* enum endpoint_bar; 0 = usable */
	_Atomic int64_t  up_since_ns;   /* monotonic: when the last bar went;
					   0 = there was none, no slow start */
	_Atomic int64_t  hold_until_ns; /* it asked not to be asked until then
					   (Retry-After); 0 = did not */
	_Atomic int64_t  demoted_ns;    /* BAR_DEMOTED was set */
	_Atomic unsigned failing;       /* faults in a row */
	_Atomic unsigned eject_after;   /* so many call suspect(); 0 = never */
	/* Set before it is published; called on any worker. NULL = nobody. */
	void      (*suspect)(void *arg, struct endpoint *e);
	void       *suspect_arg;
	_Atomic uint64_t ejections;
	struct {                        /* active checks; main's alone */
		char     last[64];      /* "ok", or what was wrong; "" = none */
		uint64_t checks, failures;
		int64_t  latency_us;    /* of the last one */
		struct watch *watch;    /* checker.c's; NULL = none */
	} health;
	_Atomic int64_t  since_s;       /* wall clock, of the present state */
	_Atomic uint64_t faults[N_FAULTS];
	_Atomic(const char *) last_error;       /* static text; "" = none */
	/* A login was refused there, and nothing else has happened since. */
	_Atomic bool     refuses;
	pthread_mutex_t  refusal_lock;
	char        refusal[ENDPOINT_REFUSAL];  /* in words; under its lock */
};

/* It refuses a login, and how that is said. */
void endpoint_refuses(struct endpoint *e, const char *said);
/* What was said last; false when it refuses none, then out is "". */
bool endpoint_refusal(struct endpoint *e, char out[ENDPOINT_REFUSAL]);

/* One reference; its host is the caller's to set, malloc'd. NULL when out of
   memory. */
struct endpoint *endpoint_new(const char *name, const char *authority,
    const struct addr *addr, unsigned weight, unsigned most) MUST_CHECK;
struct endpoint *endpoint_keep(struct endpoint *e);
void endpoint_drop(struct endpoint *e);

/* Something went wrong there; error is an errno or 0. One more in a row. */
void endpoint_fault(struct endpoint *e, enum endpoint_fault what, int error);

/* Likewise, in words of one's own: a static text. */
void endpoint_fault_said(struct endpoint *e, enum endpoint_fault what,
    const char *text);

/* Something went well there: whatever failed before, it is in order now. */
static inline void
endpoint_ok(struct endpoint *e)
{
	/* Shared by all workers: written only when there is something to say. */
	if (atomic_load_explicit(&e->failing, memory_order_relaxed) != 0)
		atomic_store_explicit(&e->failing, 0, memory_order_relaxed);
	if (atomic_load_explicit(&e->refuses, memory_order_relaxed))
		atomic_store_explicit(&e->refuses, false, memory_order_relaxed);
}

/* Set or take away a bar. True when that changed whether e is usable; then
   since_s, and up_since_ns when it has become so, are set. */
bool endpoint_bar(struct endpoint *e, enum endpoint_bar bar, bool on,
    int64_t now_ns);

/* "up", "down" (check or by hand), "ejected", "drain" */
const char *endpoint_state(const struct endpoint *e);

/* Immutable once published; owned by its references. */
struct roster {
	_Atomic unsigned refs;
	size_t n;
	struct endpoint *v[];           /* a reference each */
};

/* Room for n, all NULL, one reference. */
struct roster *roster_new(size_t n) MUST_CHECK;
struct roster *roster_keep(struct roster *r);
void roster_drop(struct roster *r);

#endif
