/*
 * Histograms. See count.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/count.h"

/* 100 us to 60 s, as dashboards of proxies use them. */
const uint32_t hist_bounds_us[HIST_PUBLISHED] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000
};

/* 0..7 for themselves, then eight to each power of two. */
static unsigned
fine_index(uint64_t us)
{
	unsigned top, i;

	if (us < 8)
		return (unsigned)us;
	top = 63 - (unsigned)__builtin_clzll(us);
	i = (top - 2) * 8 + (unsigned)((us >> (top - 3)) & 7);
	return i < HIST_FINE ? i : HIST_FINE - 1;
}

/* The smallest value of a fine bucket. */
static uint64_t
fine_floor(unsigned i)
{
	if (i < 8)
		return i;
	return (uint64_t)(8 + i % 8) << (i / 8 - 1);
}

void
hist_add(struct hist *h, int64_t ns)
{
	uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
	unsigned i = 0;

	count_add(&h->count, 1);
	count_add(&h->sum_us, us);
	if (us > count_read(&h->max_us))
		atomic_store_explicit(&h->max_us, us, memory_order_relaxed);
	count_add(&h->fine[fine_index(us)], 1);
	while (i < HIST_PUBLISHED && us > hist_bounds_us[i])
		i++;
	count_add(&h->published[i], 1);
}

void
hist_sum_add(struct hist_sum *to, const struct hist *h)
{
	unsigned i;

	to->sum_us += count_read(&h->sum_us);
	if (count_read(&h->max_us) > to->max_us)
		to->max_us = count_read(&h->max_us);
	for (i = 0; i < HIST_FINE; i++)
		to->fine[i] += count_read(&h->fine[i]);
	/* The count is what the buckets add up to, whatever was added while
	   they were read: Prometheus rejects a set that contradicts itself. */
	for (i = 0; i <= HIST_PUBLISHED; i++) {
		uint64_t n = count_read(&h->published[i]);

		to->published[i] += n;
		to->count += n;
	}
}

void
hist_sum_less(struct hist_sum *to, const struct hist_sum *earlier)
{
	unsigned i;

	to->count -= earlier->count;
	to->sum_us -= earlier->sum_us;
	for (i = 0; i < HIST_FINE; i++)
		to->fine[i] -= earlier->fine[i];
	for (i = 0; i <= HIST_PUBLISHED; i++)
		to->published[i] -= earlier->published[i];
}

uint64_t
hist_quantile(const struct hist_sum *s, double share)
{
	uint64_t total = 0, seen = 0, floor, width;
	double want;
	unsigned i;

	for (i = 0; i < HIST_FINE; i++)
		total += s->fine[i];
	if (total == 0)
		return 0;
	want = share * (double)total;
	for (i = 0; i < HIST_FINE - 1; i++) {
		if ((double)(seen + s->fine[i]) >= want)
			break;
		seen += s->fine[i];
	}
	floor = fine_floor(i);
	width = fine_floor(i + 1) - floor;
	if (s->fine[i] == 0)
		return floor;
	return floor + (uint64_t)((double)width * (want - (double)seen) /
	    (double)s->fine[i]);
}
