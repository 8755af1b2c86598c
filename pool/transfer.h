/*
 * What passes between the pools of one upstream, from worker to worker: idle
 * connections and places under the cap, for asks that wait there.
 *
 * Publish, then look: whoever begins to wait says so and then looks for what is
 * free; whoever frees something says so and then looks for who waits. One of
 * them sees the other, so no wake-up is lost. With one worker none of it runs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_TRANSFER_H
#define POOL_TRANSFER_H

#include "pool/lease.h"

/* Give an idle connection, already off its shelf's list, to the pool whose ask
   is oldest. False when nobody elsewhere comes first or it cannot go: then it
   is still the caller's, IDLE and off the list. */
bool transfer_idle(struct upconn *u);

/* If there is a free place and somebody on another worker comes first: send it,
   counted as open on its way. */
void transfer_slot(struct pool *p);

/* Asks began to wait here: ask workers that have idle connections for one. */
void transfer_wanted(struct pool *p);

/*
 * Who came first may have been served, or gone, or what is idle here may be of
 * use now: whoever comes first on other workers looks around once more. Until
 * now he may have left alone what is idle, here, there or with a third, for it
 * was not for him. Never acts within this call.
 */
void transfer_turn(struct pool *p);

#endif
