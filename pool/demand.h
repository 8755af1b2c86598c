/*
 * How much of an upstream is wanted at a time: what each ask found busy or
 * waiting before it, and how long leases are held. From this advice is made of
 * what pool.max should be (proxy/advice.h).
 *
 * What is found by those who come is counted, not what there is in time: a burst
 * that is over in a moment is many requests, and they are who waits. The pool's
 * own thread counts; with several workers an ask looks at all pools, which are
 * other threads' memory, so only one in some does.
 *
 * In shared mode nothing is counted: there connections are not what is scarce.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_DEMAND_H
#define POOL_DEMAND_H

#include <stdbool.h>

#include "net/count.h"

struct lease;
struct pool;

/* Buckets: 0 to 63 each for itself, then 8 to each power of two. */
enum {
	DEMAND_EXACT = 64,
	DEMAND_POWERS = 9,              /* up to 32767; the last has the rest */
	DEMAND_BUCKETS = DEMAND_EXACT + 8 * DEMAND_POWERS
};

/* In struct pool. */
struct demand {
	counter asks;
	counter found[DEMAND_BUCKETS];  /* of them, or of a sample */
	counter found_most;             /* exactly, and ever */
	struct hist held;               /* from grant to return */
	unsigned pass;                  /* asks until one looks at all pools */
};

/* Somebody is about to ask p, which is not in shared mode. */
void demand_ask(struct pool *p);

/* Which bucket is n's; and which n's are a bucket's: from first to next - 1. */
unsigned demand_bucket(unsigned n);
unsigned demand_first(unsigned bucket);

/* A copy to calculate with, of several pools, or of a time. */
struct demand_sum {
	uint64_t asks;
	uint64_t found[DEMAND_BUCKETS];
	uint64_t found_most;            /* 0: not known */
	struct hist_sum held;
};

void demand_sum_add(struct demand_sum *to, const struct demand *d);
/* to - earlier; found_most stays */
void demand_sum_less(struct demand_sum *to, const struct demand_sum *earlier);

#endif
