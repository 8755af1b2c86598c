/*
 * One connection to an upstream: connect to close.
 *
 * States are lists and counters, moved only by upconn_set_state(). The mark
 * says whether it may be used again; it only worsens while a lease is out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_UPCONN_H
#define POOL_UPCONN_H

#include "net/conn.h"
#include "net/deadline.h"
#include "net/worker.h"
#include "pool/holder.h"
#include "pool/pool.h"

struct ask;
struct lease;

enum upconn_state {
	UPCONN_CONNECTING,
	UPCONN_GREETING,
	UPCONN_IDLE,
	UPCONN_LEASED,
	UPCONN_WASHING,
	UPCONN_CLOSED
};

extern const char *const upconn_state_names[];

enum mark {
	MARK_CLEAN,
	MARK_DIRTY,                     /* can be washed */
	MARK_BROKEN                     /* must close */
};

/* Owned by its shelf; in transit between workers by the mail. */
struct upconn {
	struct conn conn;
	struct pool *pool;
	struct shelf *shelf;
	struct list link;               /* IDLE: shelf->idle; LEASED:
					   pool->lent */
	struct list all;                /* pool->upconns */
	enum upconn_state state;
	enum mark mark;
	const char *mark_why;           /* static text; NULL while CLEAN */
	enum discard doom;              /* BROKEN: what its close counts as */
	unsigned holds;                 /* cancels in flight: not CLEAN */
	struct list riders;             /* its leases. LEASED: one, in shared
					   mode any number */
	struct list shared;             /* on shelf->shared while it is open to
					   all of its key */
	bool alone;                     /* leased to one holder in shared mode */
	bool pins;                      /* and for as long as he likes: counted
					   in upstream->pins */
	bool busy;                      /* shared mode: does not go home at
					   once, for it is being dealt with */
	struct ask *opener;             /* ask that it was opened for and that
					   still waits */
	uint64_t id;
	uint64_t uses;                  /* leases granted */
	bool kept_alive;                /* TCP keepalive is on */
	bool needed;                    /* counted in upstream->needed */
	bool leaves;                    /* is saying goodbye, to be closed */
	bool blamed;                    /* its end has been counted as a fault
					   of its endpoint */
	bool pinned;                    /* LEASED for longer than the pool's
					   mode says ... */
	uint32_t pin_whys;              /* ... for these reasons: bits by index
					   in peer_ops.pins */
	unsigned identity;
	int64_t born_ns, since_ns;      /* connect began; state began */
	int64_t connect_ns;             /* connect and greeting took so long */
	int64_t tls_ns;                 /* of that, the TLS handshake; while that
					   goes on, less when it began */
	int64_t retire_ns;              /* lifetime ends; INT64_MAX */
	int64_t idle_hint_ms;           /* the server said it keeps an idle one
					   so long; 0 = said nothing */
	struct deadline deadline;       /* connect, greet or wash */
	struct brief brief;             /* of its last holder, who writes it;
					   empty where it is open to many */
	struct quota *quota[POOL_GROUPS];       /* its places in them; NULL =
						   is in none */
	struct late late;
} __attribute__((aligned(16)));         /* the protocol's state follows */

/* Bytes of the protocol's own, peer_ops.state_size, zeroed at connect. */
static inline void *
upconn_state_of(struct upconn *u)
{
	return u + 1;
}

static inline struct upconn *
upconn_of(struct conn *c)
{
	return container_of(c, struct upconn, conn);
}

/* Bytes at the end of a preface that say how long it is. */
enum { PREFACE_LEN_BYTES = 2 };

/*
 * Connect to the site's endpoint. key_len is the protocol's; of the opener's ask
 * the preface follows it. The caller has taken a slot of the upstream
 * and of the endpoint; on NULL they are the caller's still, and errno says why.
 */
struct upconn *upconn_open(struct site *site, const void *key, size_t key_len,
    struct ask *opener) MUST_CHECK;

/* Connected, and there is nothing to greet: upconn_ready() is due. Told apart so
   that whoever opened it can take it at once. */
bool upconn_is_made(const struct upconn *u);

/* It is ready, and its opener takes it: only the books are kept. */
void upconn_made(struct upconn *u);

/* Begin TLS; ends in greet(), or in upconn_broken(). For ask_tls(): its server
   agrees. */
void upconn_secure(struct upconn *u);

/* There will be no TLS, whatever comes of it that it is not. name: static, for
   /stats; said: a sentence, for the log and for who asked. From ask_tls() on. */
void upconn_not_secured(struct upconn *u, const char *name, const char *said);

/* greet() or wash() came to their end. */
void upconn_ready(struct upconn *u);
void upconn_broken(struct upconn *u, enum endpoint_fault what, int error);

/* greet() was told that this key may not come in, in these words (valid during
   the call): of the key's doing, so nobody's fault. */
void upconn_turned_away(struct upconn *u, const char *said);

/* What came, or was agreed upon in the TLS handshake, is not the protocol that
   is to be spoken: likewise an end of greet(). */
void upconn_unfit(struct upconn *u);

/* Leased in shared mode, and of no use any more: each lease is told that it is
   gone. error: errno or 0. */
void upconn_lost(struct upconn *u, int error);

/* BROKEN, and its close counts as `doom`; else that is DISCARD_BROKEN. */
void upconn_doom(struct upconn *u, enum discard doom, const char *why);

/* The mark only worsens. why is a static text. */
void upconn_mark(struct upconn *u, enum mark mark, const char *why);

/* Its lease lasts longer than the pool's mode says; why is an index in
   peer_ops.pins. Until the lease goes back. */
void upconn_pin(struct upconn *u, unsigned why);

/* Nothing owed, unread, unsent, held: may somebody else use it? */
bool upconn_is_clean(const struct upconn *u);

/* Is it too old, of an endpoint that is gone, ...? N_DISCARDS = it may stay. */
enum discard upconn_overdue(const struct upconn *u);

/* May who holds it for a whole session use it once more? Not when its endpoint
   is gone or down; one that drains lets sessions go on. */
bool upconn_may_go_on(const struct upconn *u);

/* It is one of pool->upstream's. */
void upconn_need(struct upconn *u);
/* It is closed, or goes; up: it may have no pool. */
void upconn_need_not(struct upconn *u, struct upstream *up);

void upconn_set_state(struct upconn *u, enum upconn_state state);

/* Close at once; the slot goes to whoever waits. */
void upconn_close(struct upconn *u, enum discard why);

/* By hand, whatever it does: its holders are told as if it had failed, with
   ECANCELED. */
void upconn_kill(struct upconn *u);

/* Take it off its shelf, for whoever gets it now. */
void upconn_take_idle(struct upconn *u);
/* Back onto it, where its age is: one that has come from elsewhere may have been
   idle for longer than others. */
void upconn_put_idle(struct upconn *u);

/* The last lease on it was returned: it goes where its mark says. For the rest
   of the pool. */
void upconn_home(struct upconn *u);

/* Free to be used: to a waiter, to another worker, or onto its shelf. */
void upconn_settle(struct upconn *u);

#endif
