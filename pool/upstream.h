/*
 * An upstream: what all workers share of it. Most of the work is in its pools,
 * one for each worker (pool/pool.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_UPSTREAM_H
#define POOL_UPSTREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"
#include "pool/cap.h"
#include "pool/endpoint.h"
#include "pool/peer.h"

struct lease;
struct pool;
struct quotas;
struct worker;

/*
 * Made and freed by main, when every worker has let its pool go. Stays across
 * reloads while its name does.
 */
struct upstream {
	char *name;
	const struct peer_ops *peer;
	_Atomic unsigned open;          /* connections, all workers, connecting
					   included */
	struct cap      *cap;           /* where two processes count together,
					   during an upgrade, too; its total is
					   <= most but for a moment after a
					   reload lowered it. NULL = `open` is
					   that. Set before any pool runs */
	unsigned         side;          /* of cap, ours */
	bool             keys_go;       /* connections with keys go to and fro,
					   too; likewise set */
	_Atomic bool     alike;         /* connections of the other process are
					   as good as ours */
	_Atomic bool     leaving;       /* another process takes over: nothing
					   is kept warm */
	_Atomic unsigned needed;        /* connections that were opened, or came
					   back, since then: who is left here
					   uses them */
	_Atomic unsigned most;          /* pool.max, or less; see adapt.h */
	_Atomic unsigned max;           /* pool.max */
	_Atomic unsigned crowded;       /* refusals of the server in a row, for
					   it has too many clients */
	_Atomic int64_t  opens_ns;      /* nothing is opened until then */
	_Atomic int64_t  refused_ns;    /* the last of these */
	_Atomic int64_t  halved_ns, grown_ns;   /* `most` was changed last */
	_Atomic int64_t  yielded_ns;    /* one place was left to others */
	_Atomic unsigned pins;          /* shared mode: leased, or asked for,
					   alone and for long; <= pins_most but
					   for a moment after a reload lowered
					   it */
	_Atomic unsigned pins_most;     /* pool.max_pinned, and so that each
					   worker has one left to share */
	_Atomic bool     paused;        /* by hand: nothing new begins. When
					   it changes pools have to be told,
					   by pool_set_roster() */
	_Atomic int64_t  failover_until_ns;     /* new exchanges wait for a
					   primary until then; 0 = never did */
	_Atomic int64_t  failover_found_ns;     /* and one was there; 0 = not
					   since that began */
	/* Set before any pool runs; called on any worker: e is not what it was,
	   look up names again. NULL = nobody. */
	void           (*demoted)(void *arg, struct endpoint *e);
	void            *demoted_arg;
	/* Likewise: that lease has just become a leak. NULL = nobody. */
	void           (*leaked)(void *arg, const struct lease *l);
	void            *leaked_arg;
	struct {                        /* by hand, see proxy/inject.h: written
					   by main, read by all workers */
		_Atomic unsigned per_million;   /* exchanges; 0 = none */
		_Atomic unsigned what;          /* enum inject_what */
		_Atomic int64_t  delay_ns;
	} inject;
	struct quotas   *quotas;        /* NULL = the protocol has no groups */
	_Atomic uint64_t *last_id;      /* of connections, for people: where all
					   upstreams share one, none is given
					   twice */
	_Atomic uint64_t own_id;        /* until it is given that */
	_Atomic int64_t rate_full_ns;   /* limits.request_rate: its bucket,
					   where there is no cap */
	size_t n_pools;
	struct pool *pools[];           /* by worker index */
};

/* n_workers pools, unstarted. NULL when out of memory. */
struct upstream *upstream_new(const char *name, const struct peer_ops *peer,
    struct worker *const *workers, size_t n_workers) MUST_CHECK;

/* When no worker runs its pool any more. */
void upstream_free(struct upstream *up);

/* Take one place under the cap; false when there is none. */
bool upstream_slot_take(struct upstream *up);
void upstream_slot_free(struct upstream *up);

/* Likewise one of the places for leases that last. */
bool upstream_pin_take(struct upstream *up);
void upstream_pin_free(struct upstream *up);

/* A connection goes over to the other process, and its place with it: it is about
   to be sent (then it is buried with the other one, should that end), it could
   not be, it has come. */
void upstream_slot_send(struct upstream *up);
void upstream_slot_keep(struct upstream *up);
void upstream_slot_receive(struct upstream *up);

/* What counts for the cap: also what another process has. */
static inline unsigned
upstream_open(const struct upstream *up)
{
	return up->cap != NULL ? cap_total(up->cap) : atomic_load(&up->open);
}

/* Of it, what another process has. */
static inline unsigned
upstream_elsewhere(const struct upstream *up)
{
	return up->cap != NULL ? cap_own(up->cap, !up->side) : 0;
}

/* And of that, as it last said, what is in use there. */
static inline unsigned
upstream_leased_elsewhere(const struct upstream *up)
{
	return up->cap != NULL ? atomic_load(&up->cap->leased[!up->side]) : 0;
}

/* The bucket of limits.request_rate: also that of another process. */
static inline _Atomic int64_t *
upstream_rate(struct upstream *up)
{
	return up->cap != NULL ? &up->cap->rate_full_ns : &up->rate_full_ns;
}

/* So much of it has been promised for later; < 0: was come for, or given back. */
static inline void
upstream_promise(struct upstream *up, int64_t ns)
{
	if (up->cap != NULL)
		atomic_fetch_add_explicit(&up->cap->promised_ns[up->side], ns,
		    memory_order_relaxed);
}

/* There is none at the moment. */
static inline bool
upstream_is_full(const struct upstream *up)
{
	return upstream_open(up) >= atomic_load(&up->most);
}

/* Is what is free, if anything, for those who wait in another process? */
static inline bool
upstream_is_awaited(const struct upstream *up)
{
	unsigned n = up->cap != NULL ?
	    atomic_load(&up->cap->waiting[!up->side]) : 0;

	return n > 0 && (uint64_t)upstream_open(up) + n >=
	    atomic_load(&up->most);
}

#endif
