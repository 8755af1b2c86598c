/*
 * A pool: one worker's part of an upstream. It has the connections that this
 * worker opened, by endpoint and key, and the asks that wait here.
 *
 * All of it belongs to the worker's thread, but for what is marked `published`,
 * which the others read to decide who gets a connection that comes free.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "net/count.h"
#include "net/deadline.h"
#include "net/list.h"
#include "net/pile.h"
#include "pool/demand.h"
#include "pool/upstream.h"

struct shards;
struct upconn;

enum { POOL_PINS_MOST = 32, POOL_ERRORS_MOST = 32 };

/*
 * Connections of one endpoint and one key on one worker. Behind the protocol's
 * key may stand a preface, of which the protocol knows nothing: bytes that the
 * connections began with, and then two of how many these are. So connections
 * that began otherwise are never alike.
 */
struct shelf {
	struct site *site;
	struct list idle;               /* newest first */
	struct list shared;             /* upconns that are open to all of this
					   key, CONNECTING to LEASED */
	unsigned open;                  /* all states */
	UT_hash_handle hh;              /* in site->keyed; not for keyless */
	size_t key_len;                 /* the protocol's */
	size_t preface_len;             /* that follows it; 0 = none */
	unsigned char key[];
};

static inline bool
shelf_is_keyed(const struct shelf *sh)
{
	return sh->key_len + sh->preface_len > 0;
}

/* An endpoint as one worker sees it. Lives while it is in the roster or has
   connections. */
struct site {
	struct list link;               /* on pool->sites */
	struct pool *pool;
	struct endpoint *endpoint;
	int64_t turn;                   /* smooth round robin's running weight */
	int64_t rest_until_ns;          /* connecting failed: nothing is opened
					   here until then unless there is no
					   other */
	unsigned rests;                 /* in a row: each is longer */
	unsigned warm_failures;         /* unused ones that the server closed,
					   in a row ... */
	int64_t warm_after_ns;          /* ... so none is warmed until then */
	uint64_t name_hash;             /* of the endpoint's name */
	uint64_t hash;                  /* for source_hash: unlike any other */
	unsigned open;                  /* connections here, all keys */
	unsigned idle;                  /* of them */
	struct shelf *keyless;
	struct shelf *keyed;            /* uthash by key */
	bool current;                   /* in the roster */
	bool passed_over;               /* inside pool_serve: who waits for it
					   cannot be served now */
	bool was_usable;                /* when the pool last looked, or it was
					   new */
	bool came_back;                 /* it had not been, but now is */
	bool proven;                    /* a connection was asked, and serves us;
					   none was turned away since */
};

/* Why a connection was closed other than by its lease's own end. */
enum discard {
	DISCARD_UNASKED_BYTES,          /* bytes came while idle */
	DISCARD_CLOSED_IDLE,            /* the server closed it while idle */
	DISCARD_IDLE_TIMEOUT,
	DISCARD_LIFETIME,
	DISCARD_MAX_REQUESTS,
	DISCARD_SURPLUS,                /* max or max_idle was lowered */
	DISCARD_ENDPOINT_GONE,
	DISCARD_ENDPOINT_DOWN,          /* or drained, or ejected */
	DISCARD_OTHER_KEY,              /* made room for another key */
	DISCARD_IDENTITY,               /* its configuration changed */
	DISCARD_NOT_CLEAN,              /* came back owed, unread or unsent */
	DISCARD_CONNECT_FAILED,
	DISCARD_SERVER_SAID,            /* the protocol announced its end */
	DISCARD_SPENT,                  /* a session or tunnel was all its use */
	DISCARD_BROKEN,                 /* its lease ended in the middle */
	DISCARD_RETIRED,                /* the upstream has left the file */
	DISCARD_KILLED,                 /* by hand */
	N_DISCARDS
};

extern const char *const discard_names[N_DISCARDS];

/* What an upstream's own limits did to exchanges. */
enum upstream_limit {
	UPSTREAM_LIMIT_RATE,            /* limits.request_rate */
	UPSTREAM_LIMIT_RETRY_AFTER,     /* the servers asked for a pause */
	UPSTREAM_LIMIT_RETRY_BUDGET,    /* a retry that was not made */
	N_UPSTREAM_LIMITS
};

extern const char *const upstream_limit_names[N_UPSTREAM_LIMITS];

struct pool {
	struct upstream *upstream;
	struct worker   *worker;
	const struct conf_upstream *conf;       /* the running snapshot's */
	struct conf_upstream last_conf;         /* retired: a copy of it */
	struct roster   *roster;
	struct shards   *shards;        /* balance = "key_hash"; else NULL */
	struct list      sites;
	struct list      asks;          /* that wait here, oldest first */
	uint64_t         asks_seq;      /* of the newest that ever waited */
	unsigned         followers;     /* asks that wait for the one connection
					   that they are `with` */
	unsigned         riding;        /* asks that wait for a connection that
					   others ride on, too, or for a place
					   in a group: unserved, but not for
					   want of a place */
	bool             quota_due;     /* these last ones may try again */
	struct list      pin_asks;      /* that wait for less than max_pinned,
					   oldest first; then they ask */
	struct deadline  pin_look;      /* a look whether that is so */
	struct deadline  crowd;         /* a look whether connections may be
					   opened again; see adapt.h */
	struct deadline  failover;      /* a look whether there is a primary */
	struct list      parked;        /* that wait while nothing new begins,
					   oldest first; see park.h */
	struct list      upconns;       /* all of this worker, oldest first */
	struct list      lent;          /* the leased ones, longest first */
	struct pile      leases;
	bool             retired;       /* its name has left the file: nothing
					   is kept, what waits is served */
	bool             serving;       /* inside pool_serve: no re-entry */
	unsigned         identity;      /* changes when connections made before
					   a reload must not be used again */
	struct deadline  upkeep;        /* ticks */
	struct deadline  warming;       /* a look at min_idle out of turn */
	struct deadline  holding;       /* somebody waits while an endpoint is
					   held: look when that ends */
	uint64_t         dice;          /* state of pool_roll() */
	int64_t          exhausted_since_ns;     /* somebody waits for a slot */
	unsigned         gifts;         /* places taken already, by another
					   worker, for our oldest ask */
	struct {                        /* closings by the server while idle */
		int64_t age_ms[3], at_ns[3];
		unsigned n;
		int64_t learned_ms;     /* it closes at about this age; 0 = not
					   known */
		int64_t until_ns;
	} habit;

	_Atomic unsigned waiting;       /* published: asks in all queues */
	_Atomic unsigned n_parked;      /* published: those in `parked` */
	_Atomic int64_t  oldest_parked_ns;      /* since when the first of
					   these waits; INT64_MAX = none */
	_Atomic unsigned unserved;      /* published: those of them for which
					   nothing is opening */
	_Atomic int64_t  oldest_ns;     /* published: since when the first one
					   waits; INT64_MAX = none */
	_Atomic bool     is_called;     /* a letter says: look around */
	_Atomic unsigned idle;          /* published */
	_Atomic unsigned leased;
	_Atomic unsigned pinned;        /* of the leased */
	_Atomic int64_t  oldest_lease_ns;       /* since when; INT64_MAX = none */
	_Atomic unsigned opening;       /* connecting, greeting, washing */
	_Atomic int64_t  closes_ms;     /* habit: the server closes idle ones at
					   about this age; 0 = not known */
	_Atomic unsigned leaks;         /* leases held beyond leak_after, when
					   upkeep last looked */

	counter connects, closes, requests, reused, retries, exhausted_us;
	counter waiting_max;
	counter waiting_before;         /* that of all workers of the weir that
					   this one took over from */
	counter leaked;                 /* leases that ever were leaks */
	counter injected;               /* exchanges that had a fault by hand */
	counter discards[N_DISCARDS];
	counter pins[POOL_PINS_MOST];   /* by index in peer_ops.pins */
	counter errors[POOL_ERRORS_MOST];       /* in peer_ops.errors */
	counter limited[N_UPSTREAM_LIMITS];     /* refused */
	counter delayed[N_UPSTREAM_LIMITS];     /* let wait, then sent */
	counter shadowed[N_UPSTREAM_LIMITS];    /* would have been refused or let
					   wait */
	struct {                        /* what the retry budget looks back on:
					   two spans of 10 s */
		int64_t span;           /* number of the newer one */
		uint64_t requests[2], retries[2];
	} budget;
	struct hist queue, connect, first_byte;
	struct demand demand;
};

enum { POOL_SPAN_S = 10 };              /* of the retry budget */

int pool_init(struct pool *p, struct upstream *up, struct worker *w) MUST_CHECK;

/* On its worker: a new snapshot, at start or after a reload. Keeps what it can;
   identity_changed: connections made before must not be used again. r: the
   endpoints now, one reference, or NULL: those that it has. */
void pool_configure(struct pool *p, const struct conf_upstream *conf,
    bool identity_changed, struct roster *r);

/*
 * On its worker: these are the endpoints now; or, with those that it has, look
 * again, for a bar has come or gone. Idle connections of what is not usable are
 * closed at once, and what is being opened there; who waits is served, or
 * refused when nothing is usable. Takes over one reference.
 */
void pool_set_roster(struct pool *p, struct roster *r);

/* On its worker: keep nothing warm or idle any more. What is leased closes on
   return, what waits is still served. */
void pool_retire(struct pool *p);
/* Its name is back in the file; pool_configure() follows. */
void pool_revive(struct pool *p);

/* On its worker, at the very end: close whatever there is, also leased ones
   (their holders are gone by then). */
void pool_close_all(struct pool *p);
void pool_fini(struct pool *p);

/* A place under the cap has become free, or an endpoint usable: open what is
   waited for, here or (with a slot of its own) on the worker whose ask is
   oldest. */
void pool_serve(struct pool *p);

/* What had been of no use may be by now: serve those who wait, also with what
   other workers have. */
void pool_ask_around(struct pool *p);

/* Asks that wait for a place: the unserved but for those who will ride along, or
   whose group is at its cap. */
static inline unsigned
pool_in_need(const struct pool *p)
{
	return atomic_load_explicit(&p->unserved, memory_order_relaxed) -
	    p->riding;
}

/* A place of those that last may have become free. */
void pool_pin_freed(struct pool *p);

/* Somebody waits: if an endpoint is held, see to it when that ends. */
void pool_wait_for_held(struct pool *p);

/* Close the idle connections for which due() names a reason. */
void pool_close_idle(struct pool *p, enum discard (*due)(const struct upconn *u));

/* `asks` has changed: publish the oldest for which nothing is opening. */
void pool_publish_waiting(struct pool *p);

/* Asks have begun to wait, or do not any more. */
void pool_count_waiting(struct pool *p, int change);

/* Add to a published counter, in an order that other workers can rely on. */
void pool_publish(struct pool *p, _Atomic unsigned *what, int change);

/* Is another worker's oldest ask so much older than ours that it comes first?
   Returns its pool or NULL. With one worker nobody is. */
struct pool *pool_elder(struct pool *p);

/* One more request, its retries not counted: what they are measured by. */
void pool_budget_request(struct pool *p);

/*
 * May a request be sent once more? Of this worker's, within the newest 10 to 20
 * s, not more than conf->retry.budget of the requests, and three. True
 * counts it as done; false as limited[UPSTREAM_LIMIT_RETRY_BUDGET].
 */
bool pool_budget_retry(struct pool *p);

/* A pseudo-random number; to spread with, not to be secret. */
uint64_t pool_roll(struct pool *p);

/* How long to wait after so many failures before this one: doubling, +-25 %,
   since many sidecars must not come back in step. */
int64_t pool_backoff_ns(struct pool *p, unsigned before, int64_t first_ms,
    int64_t most_ms);

struct site *pool_site_of(struct pool *p, const struct endpoint *e);
/* len: of the key and its preface. */
struct shelf *shelf_find(struct site *site, const void *key, size_t len);
/* Finds or makes one; NULL when out of memory. */
struct shelf *shelf_get(struct site *site, const void *key, size_t key_len,
    size_t preface_len) MUST_CHECK;

/* A connection of the shelf is gone: frees shelf and site when the last is. */
void shelf_left(struct shelf *sh);

/* How many connections this worker keeps warm: its part of min_idle. */
unsigned pool_share(const struct pool *p, int64_t of_all);

#endif
