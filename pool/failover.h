/*
 * pool.failover_hold: the primary has gone, and the next one is not known yet.
 * New exchanges wait for it, parked as in a pause (park.h), instead of failing;
 * when the time has passed they fail as ever.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_FAILOVER_H
#define POOL_FAILOVER_H

#include "pool/upconn.h"

/*
 * For protocols: the server of e said that it is not the one any more. Its idle
 * connections are closed, nothing new goes there until a check finds otherwise,
 * names are looked up again. Closes nothing and calls nobody from inside this
 * call. Nothing where pool.failover_hold is off, or has just been used up.
 */
void pool_demoted(struct pool *p, struct endpoint *e);

/* Connecting to the site failed. True: a hold is on, and who waits for the
   connection shall wait on. */
bool failover_waits_on(struct site *site);

/* Nothing is usable. True: a check or failures had the last one out, a hold is
   on for that, and who asked shall wait. */
bool failover_waits(struct pool *p);

/* A connection to the site was made and greeted. When a primary has served for
   a while the next failover is waited out for the full time. */
void failover_found(struct site *site);

/* Is nothing of use while a hold is on? */
bool failover_is_on(const struct pool *p);

/* Somebody is parked for that: look again when it may be over. */
void failover_watch(struct pool *p);
/* p->failover has passed. */
void failover_look(struct deadline *d);

#endif
