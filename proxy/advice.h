/*
 * What pool.max and pool.min_idle should be, by what was wanted: pure arithmetic
 * over pool/demand.h.
 *
 * For a candidate max two answers are made, and the worse one told:
 *
 * - what was seen: of those who came, who found so many busy that there would
 *   have been no place. True of bursts, however they come, but not of what
 *   queueing itself does, which keeps a pool full for longer;
 * - Erlang's C, by the rate of arrivals and the mean time that leases were held
 *   (M/M/c; A. K. Erlang 1917). True of steady traffic near its limit, but blind
 *   to bursts.
 *
 * How long they wait is told as if leases ended one after the other; where many
 * that last equally long come at one moment it may be one such time more.
 *
 * A replay of each arrival would be exact, but would have to remember each. At
 * the shares that matter, a few in a hundred, the two are near to it: the tests
 * compare them with a simulation.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADVICE_H
#define PROXY_ADVICE_H

#include <stdbool.h>

#include "pool/demand.h"

enum {
	ADVICE_PERCENTILE = 99,         /* of requests are not to wait */
	ADVICE_WARM = 90,               /* are to find one open, by min_idle */
	ADVICE_ASKS_LEAST = 100,        /* seen before there is any */
	ADVICE_MAX_MOST = 4096,
	ADVICE_ROWS = 6
};

struct advice_row {
	unsigned max;
	double queued_share;            /* 0 to 1; 1: it could not keep up */
	uint64_t queue_us;              /* mean, of those that would have waited;
					   UINT64_MAX: for ever */
};

struct advice {
	bool known;                     /* enough was seen for what follows */
	double arrivals_per_s;
	uint64_t held_mean_us, held_p99_us;
	double busy_mean;               /* found by those who came */
	unsigned busy_max;
	struct advice_row rows[ADVICE_ROWS];    /* smallest first */
	unsigned n_rows;
	unsigned max;                   /* 0: none up to ADVICE_MAX_MOST is
					   enough */
	unsigned min_idle;              /* 0: max has to be raised first */
};

/* Of what was wanted in so many seconds; max: as it is now. */
void advice_make(struct advice *a, const struct demand_sum *d,
    double seconds, unsigned max);

/* What that many would have done; for tests, too. */
struct advice_row advice_of(const struct demand_sum *d, double seconds,
    unsigned max);

#endif
