/*
 * An exchange: one request and its reply; for raw bytes the whole session. Here
 * front and back meet, each knowing nothing of the other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "pool/lease.h"
#include "proxy/fail.h"
#include "proxy/limit.h"
#include "proxy/session.h"

struct generation;

/* Owned by its session. The policy is that of when it began. */
struct exchange {
	struct session *s;
	struct list link;               /* s->exchanges */
	struct generation *gen;         /* counted as a user */
	const struct conf_listener *policy;
	const struct conf_upstream *upstream;   /* NULL until routed */
	struct ask ask;
	struct lease *lease;            /* NULL before and after */
	struct buf up, down;            /* bodies, or wire bytes */
	struct deadline deadline;       /* the back's: response, stall, tunnel */
	struct deadline pause;          /* before it asks (once more), or is
					   told that it may not */
	struct deadline total;          /* timeouts.total */
	struct late late;
	int64_t begun_ns;
	int64_t moved_ns;               /* tunnels: when a byte last passed */
	/* For the access log and for what the client is told. */
	uint64_t in_at, out_at;         /* the session's bytes when it began */
	int64_t queue_ns, connect_ns;   /* waited for a lease; of that, for a new
					   connection */
	int64_t sent_ns;                /* when the upstream was last asked */
	int64_t first_ns;               /* from then to its first byte; 0 = none
					   came */
	/* For /slow, see slow.h. */
	int64_t routed_ns;              /* it was known where it goes; 0 */
	int64_t paused_ns;              /* before it asked, or asked again */
	int64_t tls_ns;                 /* of connect_ns */
	int64_t given_ns;               /* its body had come as a whole; 0 */
	int64_t full_ns, full_since_ns; /* the client did not take its answer:
					   so long in all; since when, 0 */
	int64_t idle_ns, idle_since_ns; /* likewise: it had a transaction open
					   and asked for nothing */
	unsigned behind, open_then;     /* when it last began to wait: so many
					   waited, so many connections were */
	uint8_t waits;                  /* enum slow_wait; for what */
	bool uploads : 1;               /* a body comes, or came */
	bool hit : 1;                   /* by a fault by hand: inject.h */
	bool tunnels : 1;               /* a session: its length says nothing */
	int64_t retry_after_ns;         /* limited: when to come again; 0 */
	const struct endpoint *endpoint;        /* the one asked last; valid
					   while x has a lease and in finish */
	const char *said;               /* FAIL_LOGIN: the server's words;
					   FAIL_AUTH: weir's; FAIL_TLS: what is
					   wrong; valid inside front.fail,
					   fail_in_turn and in finish. Did not
					   fail: the error that its server has
					   answered with, where no status says
					   so, for good. Else NULL */
	struct client_key client;       /* to limits; set by exchange_route, or
					   by the front before */
	enum conf_retry_what retry;     /* set by the front: the route's */
	enum fail why;                  /* FAIL_NONE: did not fail */
	void *whole_key;                /* ask.key with its preface; NULL = it
					   has none */
	char *said_then;                /* said, of one that failed before its
					   turn; NULL */
	uint16_t status;                /* as the protocol has it; 0 = none */
	bool reused;                    /* its connection had been used before */
	unsigned tries;                 /* leases asked for */
	unsigned retries;               /* of them by the retry policy */
	unsigned passed_over;           /* of them that no server looked at */
	bool asked : 1;                 /* waits for its lease: in the pool's
					   queue or in a pause */
	bool up_end : 1;                /* nothing more will come in up */
	bool down_end : 1;
	bool answered : 1;              /* a final answer was begun */
	bool ended : 1;
	bool part : 1;                  /* of another exchange, which is what
					   is counted and logged */
	bool asked_once : 1;            /* it got as far as the pool */
	bool keeps : 1;                 /* set by the back before its end: the
					   session keeps the lease, for a state
					   that is nobody else's */
	bool reserved : 1;              /* a token of request_rate awaits it */
	unsigned injected : 2;          /* enum inject_what: what comes of it
					   when its pause is over */
	enum outcome outcome;
	enum family family;             /* set at the end, for the pile */
	/* the family's state follows */
} __attribute__((aligned(16)));

/* NULL when out of memory. Begins with the lane's present snapshot. */
struct exchange *exchange_new(struct session *s) MUST_CHECK;

static inline void *
exchange_state(const struct exchange *x)
{
	return (void *)(x + 1);
}

static inline struct exchange *
exchange_first(const struct session *s)
{
	struct list *l = list_first(&s->exchanges);

	return l == NULL ? NULL : container_of(l, struct exchange, link);
}

/*
 * It is known where x goes: ask for a lease there. Ends in front.leased and
 * back.start, or in exchange_fail(), now or later: x and its session may be over
 * when this returns.
 */
void exchange_route(struct exchange *x, const struct conf_upstream *to);

/*
 * The first step of it, for one that is not routed itself but has parts that
 * are: is it within its listener's limits? False: it has failed, or will; x and
 * its session may be over.
 */
bool exchange_admit(struct exchange *x) MUST_CHECK;

/* The fault by hand that may delay x has ended: x goes on with the next turn, as
   if only its delay were over. Nothing else when none delays it. */
void exchange_spare(struct exchange *x);

/* For the front: x->up has grown or ended. */
void exchange_up(struct exchange *x);
/* For the front: the client has taken of what x had for it. */
void exchange_taken(struct exchange *x);
/* For the back: answer or x->down has grown or ended. */
void exchange_down(struct exchange *x);

/* For fronts and backs: the client takes no more of its answer for now. It does
   again when exchange_taken() is called, or by this. */
void exchange_choked(struct exchange *x, bool on);
/* It has a transaction open, and is asking for nothing; or not any more. */
void exchange_idles(struct exchange *x, bool on);

/*
 * Request and reply are over. The upconn goes home as its mark says, x is freed
 * at the end of the turn, and the session goes on.
 */
void exchange_end(struct exchange *x, enum outcome outcome);

/* It cannot go on: counts it, tells the client through front.fail, ends x; or
   leaves that to the front, where answers keep an order. */
void exchange_fail(struct exchange *x, enum fail why);

/* All of its answer has come, but others are due before it: the lease goes home
   already. */
void exchange_release(struct exchange *x);

/* For the back: the first byte of the answer has come. Counts it. */
void exchange_first_byte(struct exchange *x);

/* For session_close(): give x up without telling anybody. */
void exchange_drop(struct exchange *x, enum fail why);

/* The upstream connection ended or failed with x unfinished: replays x where
   that is safe, else fails. */
void exchange_lost(struct exchange *x, enum fail why);

/* Likewise, but the connection is as good as before: x alone was ended. */
void exchange_cut(struct exchange *x, enum fail why);

/*
 * The server has said that it has done nothing about x, which can be sent anew
 * as a whole: it is asked for once more, whatever it asks for, and that is no
 * retry. False: this has happened too often, and x is as it was.
 */
bool exchange_again(struct exchange *x) MUST_CHECK;

/* The block store of x's worker. */
static inline struct block_store *
exchange_blocks(const struct exchange *x)
{
	return &x->s->conn.w->blocks;
}

#endif
