/*
 * Caps on the connections of groups of keys: max_per_user, max_per_database.
 *
 * The pool does not know what users are: peer_ops.groups names the groups of a
 * key. They are counted for the whole upstream, all workers, whenever the
 * protocol has groups: a reload may set a cap at any time. An ask whose group is
 * at its cap waits beside the others (ask.awaits_quota), in nobody's way.
 *
 * Under one mutex: connections are not opened often.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_QUOTA_H
#define POOL_QUOTA_H

#include "pool/lease.h"

/* NULL when out of memory. */
struct quotas *quotas_new(size_t n_pools) MUST_CHECK;
void quotas_free(struct quotas *q);

/*
 * Take a place in each group of the key, by the caps that p knows; held says
 * which, for quota_free(). False, and nothing is taken, when a group is at its
 * cap: then p is told when that may have changed (p->quota_due, and it serves),
 * and another worker may close an idle one of the group; or memory is short.
 */
bool quota_take(struct pool *p, const void *key, size_t len,
    struct quota *held[POOL_GROUPS]) MUST_CHECK;

/* Likewise for a connection that nobody has asked for: at a cap nobody is told,
   and nothing follows. */
bool quota_take_if_free(struct pool *p, const void *key, size_t len,
    struct quota *held[POOL_GROUPS]) MUST_CHECK;

/* Give them back; all of held become NULL. here: the pool of the calling worker,
   which is about to serve; NULL = none. */
void quota_free(struct upstream *up, struct pool *here,
    struct quota *held[POOL_GROUPS]);

/* u is idle: does somebody wait for a place in one of its groups that is at its
   cap? */
bool quota_is_wanted(const struct upconn *u);

/* a waits for a place in a group, or does not any more. */
void quota_await(struct ask *a, bool on);
/* An idle connection of this worker whose place would help a, who waits so;
   NULL = there is none. */
struct upconn *quota_victim(const struct ask *a);

/* p->quota_due: those who wait so are to try again. */
void quota_look(struct pool *p);

#endif
