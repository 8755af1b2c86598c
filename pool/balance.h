/*
 * Which endpoint a new exchange goes to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_BALANCE_H
#define POOL_BALANCE_H

#include "pool/pool.h"

struct ask;

/*
 * A site that takes new work, by the upstream's policy. One that a->avoid does
 * not name comes first, then one that does not rest. a NULL = nobody's. NULL
 * when nothing is usable.
 */
struct site *balance_pick(struct pool *p, const struct ask *a);

/* Where to open a connection that nobody has asked for: the endpoint with the
   fewest for its weight that has room and does not back off. */
struct site *balance_pick_warm(struct pool *p);

/* The site's part, by weight, of what this worker keeps warm. */
unsigned balance_warm_share(const struct site *site);

/* May another connection be opened there (endpoint's own cap)? Takes the slot. */
bool endpoint_slot_take(struct endpoint *e);
void endpoint_slot_free(struct endpoint *e);

#endif
