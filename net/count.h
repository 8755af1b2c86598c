/*
 * Counters and histograms: written by one thread, read by any.
 *
 * The writer needs no locked instruction (a relaxed load and store); a reader
 * sees each value whole, and a set of them at slightly different moments.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_COUNT_H
#define NET_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;       /* only its own thread adds to it */

static inline void
count_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) +
	    n, memory_order_relaxed);
}

static inline void
count_sub(counter *c, uint64_t n)
{
	count_add(c, 0 - n);
}

static inline uint64_t
count_read(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/*
 * A histogram of durations in microseconds: fine buckets for percentiles (8 to
 * each power of two, so 12.5 % wide at most) and the exact ones that are
 * published to Prometheus.
 */
enum {
	HIST_FINE = 216,                /* up to 2^28 us, 268 s */
	HIST_PUBLISHED = 18             /* hist_bounds_us, then +Inf */
};

extern const uint32_t hist_bounds_us[HIST_PUBLISHED];

struct hist {
	counter count, sum_us, max_us;
	counter fine[HIST_FINE];
	counter published[HIST_PUBLISHED + 1];  /* each for itself, not summed up */
};

void hist_add(struct hist *h, int64_t ns);

/* A copy to calculate with. Sums of snapshots of several workers are one too. */
struct hist_sum {
	uint64_t count, sum_us, max_us;
	uint64_t fine[HIST_FINE];
	uint64_t published[HIST_PUBLISHED + 1];
};

void hist_sum_add(struct hist_sum *to, const struct hist *h);
/* to - earlier, as for a window; max_us stays. */
void hist_sum_less(struct hist_sum *to, const struct hist_sum *earlier);
/* The value (us) below which `share` (0..1) lie, interpolated; 0 when empty. */
uint64_t hist_quantile(const struct hist_sum *s, double share);

#endif
