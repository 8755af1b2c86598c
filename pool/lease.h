/*
 * Asking for an upstream connection, holding it, giving it back.
 *
 * A lease says who may use an upconn now. The pool knows nothing of what the
 * holder does with it, but takes it back only by lease_return(), which is where
 * the mark decides whether anybody else ever sees the connection again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_LEASE_H
#define POOL_LEASE_H

#include "pool/holder.h"
#include "pool/upconn.h"

enum refusal {
	REFUSAL_NONE,
	REFUSAL_NO_ENDPOINT,            /* no usable endpoint */
	REFUSAL_HELD,                   /* all usable ones asked not to be asked
					   for a while: a->held_ns */
	REFUSAL_QUEUE_FULL,
	REFUSAL_QUEUE_TIMEOUT,
	REFUSAL_CONNECT_FAILED,
	REFUSAL_CONNECT_TIMEOUT,
	REFUSAL_NO_DESCRIPTORS,
	REFUSAL_PINNED,                 /* pool.max_pinned were leased alone all
					   the while */
	REFUSAL_LOGIN,                  /* the server does not let this key in:
					   a->said */
	REFUSAL_TLS,                    /* the server cannot be believed, or
					   spoken to: a->said */
	REFUSAL_UNFIT,                  /* the server does not speak the protocol */
	N_REFUSALS
};

struct ask;

struct lease_ops {
	/* The ask, which returned ASK_WAITS, came to its end. */
	void (*granted)(struct ask *a);
	void (*refused)(struct ask *a, enum refusal why);
	/* About the connection, while the lease is out. */
	void (*input)(struct lease *l);
	void (*drained)(struct lease *l);
	/* It has gone. 0: its end came; EBADMSG: what came was not what was
	   due; ETIME: nothing came in time; ECANCELED: closed by hand; else
	   the errno that it failed with. */
	void (*gone)(struct lease *l, int error);
	/* Who has it; *h is zeroed, its pid and uid -1. NULL = nobody does any
	   more. */
	void (*tell)(const struct lease *l, struct holder *h);
};

/* Owned by the pool; the holder has the pointer. */
struct lease {
	struct upconn *u;
	struct list ride;               /* u->riders */
	const struct lease_ops *ops;
	void *holder;
	int64_t since_ns;
	int64_t waited_ns;
	bool reused;                    /* it had been used before */
	bool joined;                    /* others were on it: its end is news,
					   not an idle one's */
	bool leaked;                    /* held beyond leak_after: told of */
};

/* Embedded in whatever asks, which keeps it until it is answered. */
struct ask {
	/* Set by the caller. */
	struct pool *pool;
	const struct lease_ops *ops;
	void *holder;
	const void *key;                /* kept by the caller while it waits */
	size_t key_len;                 /* the protocol's */
	size_t preface_len;             /* that follows it: see struct shelf */
	const struct endpoint *avoid;   /* not this one, if there is another;
					   never looked into */
	uint64_t hash;                  /* for balancers that bind: of the
					   client, the same for the same; with
					   key_hash the key's keyring_hash() */
	bool fresh;                     /* only a newly opened connection */
	/* Of pools in shared mode. */
	bool share;                     /* among others of its key; else alone */
	bool lasts;                     /* alone, for as long as its holder
					   likes: max_pinned bounds these */
	struct upconn *with;            /* the holder has a lease on this one
					   already: there, whatever else; nulled
					   when that one ends while a waits */

	/* The pool's. */
	struct list link;               /* pool->asks while it waits */
	struct deadline deadline;
	struct upconn *opening;         /* being opened for it */
	int64_t since_ns;
	struct lease *lease;            /* when granted */
	enum refusal refusal;
	int error;                      /* errno of a failed connect */
	const struct endpoint *bound;   /* the balancer binds: only there;
					   never looked into */
	const struct endpoint *failed;  /* CONNECT_*: where; valid inside
					   ops->refused or right after
					   ASK_REFUSED, else only to compare */
	int64_t held_ns;                /* HELD: for so long yet */
	const char *said;               /* LOGIN: the server's words; TLS: what is
					   wrong with it; valid as
					   `failed` is */
	uint64_t seq;                   /* those that began to wait before it
					   have less; 0 = it never did */
	bool pins;                      /* counted in upstream->pins */
	bool awaits_pin;                /* on pool->pin_asks: to be */
	bool is_parked;                 /* on pool->parked */
	bool awaits_quota;              /* for a place in a group of its key,
					   see quota.h */
	bool awaits_ride;               /* for room on a shared connection, or
					   its opening, not for a place: see
					   share_await() */
};

enum asked { ASK_GRANTED, ASK_WAITS, ASK_REFUSED };

static inline size_t
ask_key_size(const struct ask *a)
{
	return a->key_len + a->preface_len;
}

/* Are connections of the shelf what it asks for? */
static inline bool
ask_is_for_key_of(const struct ask *a, const struct shelf *sh)
{
	return a->key_len == sh->key_len && a->preface_len == sh->preface_len &&
	    (ask_key_size(a) == 0 ||
	    __builtin_memcmp(a->key, sh->key, ask_key_size(a)) == 0);
}

/*
 * Ask for a connection of a->pool. ASK_GRANTED: a->lease. ASK_REFUSED:
 * a->refusal. ASK_WAITS: ops->granted or ops->refused is called later, never
 * from inside this call, unless ask_cancel() comes first.
 */
enum asked lease_ask(struct ask *a) MUST_CHECK;

/* Stop waiting. Fine also when a does not wait. */
void ask_cancel(struct ask *a);

/*
 * Give it back; *l becomes NULL. What is CLEAN goes to the oldest waiter or to
 * its shelf, DIRTY is washed, BROKEN closed.
 */
void lease_return(struct lease **l);

/*
 * One more lease on u, which is leased from a pool in shared mode, for a holder
 * who has one already and keeps it beyond that one. NULL when out of memory.
 */
struct lease *lease_join(struct upconn *u, const struct lease_ops *ops,
    void *holder) MUST_CHECK;

/*
 * For the rest of the pool. ask_serve: what this worker can do for a at once;
 * true, and *u is its connection, ready for ask_grant(), or NULL, and then
 * a->opening says whether one is coming; false: a->refusal, and a is still
 * where it was.
 */
bool ask_serve(struct ask *a, struct upconn **u) MUST_CHECK;
/* Its endpoint may be of no use to it any more: let the balancer say where. */
void ask_rebind(struct ask *a);
/* May a's connection be there, as things are? */
bool ask_wants(const struct ask *a, const struct site *site);
/* Nothing is opening for a any more: it waits in the queue alone, and may have
   waited too long already (then it is refused in the next turn). */
void ask_recheck(struct ask *a);
void ask_grant(struct ask *a, struct upconn *u);
void ask_refuse(struct ask *a, enum refusal why, int error);
/* For the rest of the pool, of one that is in no queue: what lease_ask() does
   once a may be pinned, or need not be. */
enum asked ask_now(struct ask *a) MUST_CHECK;
/* The pool's fields of one that its caller has filled in. */
void ask_begin(struct ask *a);
/* Of one in the pool's queue: does it wait for want of a place? */
static inline bool
ask_needs_place(const struct ask *a)
{
	return a->opening == NULL && !a->awaits_ride && !a->awaits_quota;
}

/* Into the pool's queue, and out of it: what was being opened for it is
   nobody's. */
void ask_enqueue(struct ask *a);
void ask_dequeue(struct ask *a);
/* Do max_waiting wait, on all workers? */
bool ask_queue_is_full(const struct pool *p);
/* Nothing new begins: a waits until it does, if it may. */
enum asked ask_park(struct ask *a) MUST_CHECK;
/* It waits, since it asked: arm its deadline. */
void ask_wait_from(struct ask *a);
/* Out of whichever queue it is in; it will not be pinned. */
void ask_leave(struct ask *a);
void ask_unpin(struct ask *a);
/* The oldest ask that waits for a connection like u; NULL = none. */
struct ask *ask_fitting(struct pool *p, const struct upconn *u);

#endif
