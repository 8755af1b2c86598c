/*
 * pool.adapt: the effective cap of an upstream whose server has too many clients.
 *
 * The server's refusal halves it, and it grows back by one at a time; so many
 * pools that know nothing of each other share what one server has. As TCP does
 * with its window (RFC 5681 3.1), by the second where that goes by round trips.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_ADAPT_H
#define POOL_ADAPT_H

#include "pool/upconn.h"

/*
 * For protocols, from greet() on: the server would not take u because it has too
 * many clients. True: u is closed, who waits for it is in the queue again, and
 * nobody is blamed. False, and nothing is done: pool.adapt is off, or u is past
 * its greeting; the caller does as with any refusal.
 */
bool upconn_crowded(struct upconn *u);

/* From main: pool.max, and pool.adapt, are this from now on. */
void upstream_set_max(struct upstream *up, unsigned max, bool adapts);

/* Is nothing opened for the moment, for the server has just refused? Then the
   pool looks again when that is over. */
bool adapt_rests(struct pool *p);

/* A connection was made and greeted. */
void adapt_connected(struct pool *p);

/* Now and then: let the cap grow. */
void adapt_tick(struct pool *p);

/* p->crowd has passed. */
void adapt_look(struct deadline *d);

#endif
