/*
 * What a pool does by itself: keeps min_idle connections warm, retires old and
 * long unused ones, learns when the server closes idle ones and is sooner.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_UPKEEP_H
#define POOL_UPKEEP_H

#include "pool/upconn.h"

/* Before the first pool_configure(), which begins the ticking. */
void upkeep_start(struct pool *p);
void upkeep_stop(struct pool *p);

/* What is left of it in a retired pool: a look for leaks, while anything is
   leased. To be told whenever that changes. */
void upkeep_watch(struct pool *p);

/* Open what is missing of min_idle, unless backing off or somebody waits. */
void upkeep_warm(struct pool *p);

/* Open its part of min_idle at each endpoint that is usable again, also when the
   others have enough. */
void upkeep_warm_returned(struct pool *p);

/* How many there are to be in all, on all workers. */
unsigned upkeep_warm_total(const struct upstream *up,
    const struct conf_upstream *conf);

/* One fewer is idle or open: see to min_idle soon, not at once, so that a busy
   pool is not looked at for each lease. */
void upkeep_warm_soon(struct pool *p);

/* It is of no use to keep connections warm there, for a while: longer each time
   in a row. */
void upkeep_failed(struct site *site);
/* A connection was leased for the first time, so they are of use. */
void upkeep_useful(struct site *site);
/* The server closed u while it was idle. */
void upkeep_closed_by_server(struct upconn *u);

/* How long u may stay unused, ms: the configured time, or sooner where the
   server says or shows that it closes sooner. */
int64_t upkeep_idle_ms(const struct upconn *u);

/* Close idle connections beyond what max and max_idle allow now. */
void upkeep_trim(struct pool *p);

/* On its worker: the servers close idle connections at about that age, > 0. It is
   believed for a while. */
void upkeep_learn(struct pool *p, int64_t closes_ms);

#endif
