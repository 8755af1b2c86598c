/*
 * Leases that are held for longer than pool.leak_after: looked for by upkeep,
 * so that nothing of it is paid for by those that are not.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_LEAK_H
#define POOL_LEAK_H

#include "pool/lease.h"

/* On the pool's worker: count them, and tell upstream->leaked of those that have
   become one since the last look; of LEAKS_TOLD at a time, the rest is a number
   in the log. */
enum { LEAKS_TOLD = 16 };
void leak_look(struct pool *p);

#endif
