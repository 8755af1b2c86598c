/*
 * Faults by hand: for a time, a share of an upstream's exchanges waits before it
 * is sent, fails in its protocol's language, or has its client's connection
 * reset. So people see what their programs make of it.
 *
 * They end by themselves, or with the upstream; a reload leaves them as they
 * are. While there are none they cost each exchange one relaxed load.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_INJECT_H
#define PROXY_INJECT_H

#include "net/deadline.h"
#include "net/err.h"
#include "pool/pool.h"

struct live_upstream;

enum inject_what { INJECT_NOTHING, INJECT_ERROR, INJECT_RESET };

/* What is wished for: a delay, something after it, or both. */
struct inject_wish {
	int64_t delay_ms;               /* 0 = none */
	enum inject_what what;
	unsigned per_million;           /* 1 to 1000000 exchanges */
	int64_t for_ms;
};

enum { INJECT_ALL = 1000000 };

/* ------------------------------------------------------------------ on main */

/* In live_upstream; zeroed, then inject_init(). */
struct injection {
	struct deadline deadline;
	struct inject_wish wish;        /* per_million 0: there are none */
	int64_t until_ns;               /* monotonic */
	uint64_t hits_before;           /* of those before it */
};

void inject_init(struct live_upstream *lu);
/* Begin; what there was before is over, as by inject_end(). */
void inject_begin(struct live_upstream *lu, const struct inject_wish *wish);
/* Whom it delays goes on at once, and has nothing else to fear from it. Twice is
   fine. */
void inject_end(struct live_upstream *lu);
/* As another weir has it: begin that, or end, per_million being 0. Is it so
   already, to the second, then nothing happens. */
void inject_copy(struct live_upstream *lu, const struct inject_wish *wish);
/* How many exchanges have been hit since it began. */
uint64_t inject_hits(const struct live_upstream *lu);

/* ---------------------------------------------------------------- on a lane */

struct injected {
	int64_t delay_ns;
	enum inject_what what;
};

/* Is this exchange one of those? Counts it. */
bool inject_draw(struct pool *p, struct injected *in);

static inline bool
inject_is_on(const struct upstream *up)
{
	return unlikely(atomic_load_explicit(&up->inject.per_million,
	    memory_order_relaxed) != 0);
}

#endif
