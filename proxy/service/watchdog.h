/*
 * Are the workers' loops turning? Main looks, once a second or more often, at
 * what each worker has noted of itself (net/worker.h). One that is in the same
 * turn for `watchdog.after` is stuck: it is logged with what it is doing and
 * where it stands, counted, shown by /healthz, and kept from the service
 * manager's WATCHDOG=1; with `watchdog.action = "abort"` weir ends there.
 *
 * Only time counts in which main itself ran, so neither a process that was
 * stopped nor a machine that slept alarms anybody. Main's own loop is not looked
 * at from here: /healthz and WATCHDOG=1 come from it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SERVICE_WATCHDOG_H
#define PROXY_SERVICE_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/deadline.h"
#include "net/err.h"

struct conf;
struct runtime;

enum { WATCHDOG_TEXT_MAX = 480, WATCHDOG_FRAMES = 24 };

/* Where a thread stands, as it has written itself; see watchdog.c. */
struct watchdog_trace {
	void *at[WATCHDOG_FRAMES];
	_Atomic int n;                  /* -1 = nothing came yet */
};

/* One worker, as main has seen it. */
struct watched {
	int64_t since_ns;               /* the turn it was in */
	int64_t seen_ns;                /* so long, as far as main ran */
	int64_t ran_ns, queued_ns;      /* its thread until then: on a processor,
					   waiting for one */
	bool stuck, spared;             /* spared: not aborted, for want of a
					   processor */
	bool ended;                     /* SIGABRT is on its way */
	struct watchdog_trace trace;
};

struct watchdog {
	struct runtime *runtime;
	struct deadline look;
	int64_t looked_ns;
	struct watched *workers;        /* as many as lanes */
	uint64_t stuck_total;
	unsigned stuck;                 /* now */
	char last[WATCHDOG_TEXT_MAX];   /* what was said last; "" */
};

/* The lanes run. -1 when out of memory. */
int watchdog_start(struct runtime *rt) MUST_CHECK;
void watchdog_end(struct runtime *rt);

/* For a file that wants cores: let them be as large as is permitted, and be made
   at all after a change of user. At the start and at each reload. */
void watchdog_configure(const struct conf *conf);

/* Do all loops turn? If not, *why says which does not. */
bool watchdog_content(const struct runtime *rt, char *why, size_t size);

#endif
