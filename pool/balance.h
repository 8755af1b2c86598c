/*
 * Which endpoint a new exchange goes to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_BALANCE_H
#define POOL_BALANCE_H

#include "pool/pool.h"

/*
 * A site of the pool's roster, by the upstream's policy; never `avoid` while
 * there is another. NULL when there is none.
 */
struct site *balance_pick(struct pool *p, const struct endpoint *avoid);

/* Where to open a connection that nobody has asked for: the endpoint with the
   fewest for its weight that has room. */
struct site *balance_pick_warm(struct pool *p);

/* May another connection be opened there (endpoint's own cap)? Takes the slot. */
bool endpoint_slot_take(struct endpoint *e);
void endpoint_slot_free(struct endpoint *e);

#endif
