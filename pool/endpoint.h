/*
 * One address of an upstream, and the roster: the set of them that is current.
 * Shared by all workers, so an endpoint holds only atomics and what never
 * changes; what a worker knows about it alone is a site (pool/pool.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_ENDPOINT_H
#define POOL_ENDPOINT_H

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
	N_FAULTS
};

extern const char *const endpoint_fault_names[N_FAULTS];

/* Owned by its references: rosters, sites, upconns. */
struct endpoint {
	_Atomic unsigned refs;
	char       *name;               /* as configured: the label everywhere */
	char       *authority;          /* host[:port] as configured */
	struct addr addr;
	char        resolved[ADDR_TEXT_MAX];
	_Atomic unsigned weight;
	_Atomic unsigned most;          /* connections allowed; UINT_MAX = any */
	_Atomic unsigned open;          /* connections, all workers */
	_Atomic unsigned leased;
	_Atomic unsigned opening;       /* connecting, greeting, washing */
	_Atomic bool     current;       /* in the newest roster */
	_Atomic int64_t  since_s;       /* wall clock, of the present state */
	_Atomic uint64_t faults[N_FAULTS];
	_Atomic(const char *) last_error;       /* static text; "" = none */
};

/* One reference. NULL when out of memory. */
struct endpoint *endpoint_new(const char *name, const char *authority,
    const struct addr *addr, unsigned weight, unsigned most) MUST_CHECK;
struct endpoint *endpoint_keep(struct endpoint *e);
void endpoint_drop(struct endpoint *e);

/* Something went wrong there; error is an errno or 0. */
void endpoint_fault(struct endpoint *e, enum endpoint_fault what, int error);

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
