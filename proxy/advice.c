/*
 * Advice. See advice.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/advice.h"

#include <string.h>

/* ------------------------------------------------------------ what was seen */

/* The n's of a bucket end before this; no n was larger than found_most. */
static unsigned
bucket_end(const struct demand_sum *d, unsigned i)
{
	unsigned first = demand_first(i), end = first + 1;

	if (i + 1 < DEMAND_BUCKETS)
		end = demand_first(i + 1);
	if (d->found_most >= first && d->found_most < end)
		end = (unsigned)d->found_most + 1;
	return end;
}

/* Those who found `places` busy or more, and how many in all were before them
   beyond that, each of them counted himself too. */
struct tail {
	double share, depth;
};

static struct tail
tail_of(const struct demand_sum *d, unsigned places)
{
	double all = 0, beyond = 0, depth = 0;
	unsigned i;

	for (i = 0; i < DEMAND_BUCKETS; i++) {
		double n = (double)d->found[i];
		double first = demand_first(i);
		double next = bucket_end(d, i);
		double from = first > places ? first : places;

		all += n;
		if (n == 0 || next <= from)
			continue;
		/* Evenly within a bucket. */
		n *= (next - from) / (next - first);
		beyond += n;
		depth += n * ((from + next - 1) / 2 - places + 1);
	}
	return (struct tail){ all > 0 ? beyond / all : 0,
	    all > 0 ? depth / all : 0 };
}

/* ----------------------------------------------------------------- Erlang's C */

/* The share of those who have to wait: load in erlangs, less than places. By way
   of B, which can be computed without overflow. */
static double
erlang_c(double load, unsigned places)
{
	double b = 1;
	unsigned k;

	/* There may be a million places; nobody waits long before. */
	for (k = 1; k <= places && b > 1e-12; k++)
		b = load * b / (k + load * b);
	return b / (1 - load / places * (1 - b));
}

/* ---------------------------------------------------------------------- both */

/* How many there were at once, at most: nobody ever waits behind more. */
static unsigned
crowd_of(const struct demand_sum *d)
{
	unsigned i;

	for (i = DEMAND_BUCKETS; i > 0; i--)
		if (d->found[i - 1] > 0)
			return bucket_end(d, i - 1);
	return 0;
}

static double
mean_held_us(const struct demand_sum *d)
{
	return d->held.count > 0 ? (double)d->held.sum_us /
	    (double)d->held.count : 0;
}

struct advice_row
advice_of(const struct demand_sum *d, double seconds, unsigned max)
{
	double held_us = mean_held_us(d);
	double load = (double)d->asks / seconds * held_us / 1e6;
	struct tail tail = tail_of(d, max);
	struct advice_row row = { .max = max, .queued_share = tail.share };
	unsigned crowd = crowd_of(d);
	double steady, wait_us, steady_us, most_us;

	/* Clients that wait for an answer before they ask again are no stream of
	   strangers, which is what Erlang's formula is about. */
	if (max >= crowd)
		return row;
	if (load >= max) {
		/* Where nearly all of them were there all the time, they are
		   the same ones, and the queue is as long as they are many;
		   strangers go on to come. */
		row.queued_share = 1;
		row.queue_us = load > 0.8 * crowd ? (uint64_t)((crowd - max) *
		    held_us / max) : UINT64_MAX;
		return row;
	}
	steady = erlang_c(load, max);
	/* Of all, also of those who do not wait: who has n before him waits
	   until so many of max have ended. */
	wait_us = tail.depth * held_us / max;
	steady_us = steady * held_us / (max - load);
	if (steady > row.queued_share)
		row.queued_share = steady;
	most_us = row.queued_share * (crowd - max) * held_us / max;
	if (steady_us > most_us)
		steady_us = most_us;
	if (steady_us > wait_us)
		wait_us = steady_us;
	if (row.queued_share > 0)
		row.queue_us = (uint64_t)(wait_us / row.queued_share + 0.5);
	return row;
}

/* The fewest with which no larger share waits; 0: not even the most do. */
static unsigned
fewest(const struct demand_sum *d, double seconds, double share)
{
	unsigned low = 1, high = 1;

	while (advice_of(d, seconds, high).queued_share > share) {
		if (high == ADVICE_MAX_MOST)
			return 0;
		low = high + 1;
		high *= 2;
	}
	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (advice_of(d, seconds, mid).queued_share <= share)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The share falls with the number. */
static unsigned
fewest_open(const struct demand_sum *d, double share)
{
	unsigned low = 1, high = ADVICE_MAX_MOST;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (tail_of(d, mid).share <= share)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void
look_at_busy(struct advice *a, const struct demand_sum *d)
{
	double all = 0, sum = 0;
	unsigned i;

	for (i = 0; i < DEMAND_BUCKETS; i++) {
		if (d->found[i] == 0)
			continue;
		all += (double)d->found[i];
		sum += (double)d->found[i] * demand_first(i);
		a->busy_max = d->found_most >= demand_first(i) &&
		    d->found_most < bucket_end(d, i) ?
		    (unsigned)d->found_most + 1 : demand_first(i) + 1;
	}
	a->busy_mean = all > 0 ? sum / all : 0;
}

/* ---------------------------------------------------------------------- rows */

static void
add_row(struct advice *a, struct advice_row row)
{
	unsigned i, k;

	for (i = 0; i < a->n_rows && a->rows[i].max < row.max; i++)
		;
	if (a->n_rows == ADVICE_ROWS ||
	    (i < a->n_rows && a->rows[i].max == row.max))
		return;
	for (k = a->n_rows++; k > i; k--)
		a->rows[k] = a->rows[k - 1];
	a->rows[i] = row;
}

/* What is advised and some about it, and what there is. */
static void
add_rows(struct advice *a, const struct demand_sum *d, double seconds,
    unsigned max)
{
	const unsigned some[] = { max, a->max, (a->max + 1) / 2,
		a->max - a->max / 4, a->max + (a->max + 3) / 4, 2 * a->max };
	unsigned i;

	for (i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		if (some[i] > 0)
			add_row(a, advice_of(d, seconds, some[i]));
}

void
advice_make(struct advice *a, const struct demand_sum *d, double seconds,
    unsigned max)
{
	*a = (struct advice){ .known = false };
	if (d->asks < ADVICE_ASKS_LEAST || d->held.count == 0 || seconds <= 0)
		return;
	a->known = true;
	a->arrivals_per_s = (double)d->asks / seconds;
	a->held_mean_us = (uint64_t)mean_held_us(d);
	a->held_p99_us = hist_quantile(&d->held, 0.99);
	look_at_busy(a, d);
	a->max = fewest(d, seconds, 1 - ADVICE_PERCENTILE / 100.0);
	/* Where max is what is short, more that are kept open are none. */
	if (a->max > 0 && a->max <= max)
		a->min_idle = fewest_open(d, 1 - ADVICE_WARM / 100.0);
	if (a->min_idle > a->max)
		a->min_idle = a->max;
	add_rows(a, d, seconds, max);
}
