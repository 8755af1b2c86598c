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

/* Open what is missing of min_idle, unless backing off or somebody waits. */
void upkeep_warm(struct pool *p);

/* One fewer is idle or open: see to min_idle soon, not at once, so that a busy
   pool is not looked at for each lease. */
void upkeep_warm_soon(struct pool *p);

/* A connection that nobody had asked for could not be opened. */
void upkeep_failed(struct pool *p);
/* A connection was leased for the first time, so they are of use. */
void upkeep_useful(struct pool *p);
/* The server closed u while it was idle. */
void upkeep_closed_by_server(struct upconn *u);

/* How long u may stay unused, ms: the configured time, or sooner where the
   server says or shows that it closes sooner. */
int64_t upkeep_idle_ms(const struct upconn *u);

/* Close idle connections beyond what max and max_idle allow now. */
void upkeep_trim(struct pool *p);

#endif
