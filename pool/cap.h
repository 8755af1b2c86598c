/*
 * What two processes share while one takes over from the other: pool.max is kept
 * over both, by the one atomic that both count connections in, and so is an
 * upstream's request_rate, by one bucket. A place is taken, goes over and is
 * freed in one step each, so that one who is killed at any moment has counted
 * right.
 *
 * The table lies in memory that has a descriptor. The process that comes maps
 * it too, counts on the other side, and is told which entry is which
 * upstream's. When one of them is gone, the other buries what it had.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_CAP_H
#define POOL_CAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

enum { CAP_MOST = 2048, CAP_SIDES = 2 };

/* Of one upstream; by side where a process has a side. All zero = nothing yet. */
struct cap {
	_Alignas(64) _Atomic uint64_t both;     /* connections: 32 bits for each
						   side, the lower ones for
						   0 */
	_Atomic unsigned waiting[CAP_SIDES];    /* asks for which there is none;
						   published now and then */
	_Atomic unsigned leased[CAP_SIDES];     /* connections in use; likewise,
						   and 0 where a weir does not
						   know of this */
	_Atomic unsigned needed[CAP_SIDES];     /* upstream.needed; likewise */
	_Atomic int64_t rate_full_ns;   /* limits.request_rate: its bucket, by
					   the clock that all processes of a
					   machine have */
	_Atomic int64_t promised_ns[CAP_SIDES]; /* of it, what was promised for
						   later and nobody has come
						   for yet */
};

_Static_assert(sizeof(struct cap) == 64, "as in each version, or none could "
    "join the table of another");

/* Main's alone; the entries are everybody's. */
struct cap_table {
	struct cap *v;                  /* NULL = there is no such memory */
	int fd;                         /* -1 likewise */
	unsigned side;                  /* this process's */
	bool taken[CAP_MOST];
};

/* A table of its own. Without such memory every process counts for itself. */
void cap_table_init(struct cap_table *t);

/* One that another process has made; takes fd over, also on -1: that is no such
   table. */
int cap_table_join(struct cap_table *t, int fd, unsigned side) MUST_CHECK;
void cap_table_fini(struct cap_table *t);

/* The entry of that number, or with -1 any that is free. NULL: there is none. */
struct cap *cap_take(struct cap_table *t, int number);
/* Nobody of this process counts in it any more. */
void cap_give(struct cap_table *t, struct cap *cap);

static inline int
cap_number(const struct cap_table *t, const struct cap *cap)
{
	return (int)(cap - t->v);
}

/* What one side has, and both. */
static inline unsigned
cap_own(const struct cap *cap, unsigned side)
{
	return (unsigned)(atomic_load(&cap->both) >> 32 * side & UINT32_MAX);
}

static inline unsigned
cap_total(const struct cap *cap)
{
	uint64_t both = atomic_load(&cap->both);

	return (unsigned)(both & UINT32_MAX) + (unsigned)(both >> 32);
}

/* Take a place unless `most` are taken. */
bool cap_count(struct cap *cap, unsigned side, unsigned most);
/* One of that side is free. Where it has none nothing becomes less: the other
   side has been told that this one is dead, and was told wrong. */
void cap_discount(struct cap *cap, unsigned side);
/* One of that side is the other's from now on. */
void cap_move(struct cap *cap, unsigned side);

/* The other process has ended, for certain: what it still had is gone. One that
   lives would go on counting here. */
void cap_bury(struct cap_table *t);

#endif
