/*
 * A session: one client connection, accept to close.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "net/conn.h"
#include "net/proxy_header.h"
#include "net/worker.h"
#include "pool/lease.h"
#include "proxy/fail.h"
#include "proxy/listener.h"

/*
 * Owned by its door. Thousands of them lie idle: what only an exchange needs
 * is in the exchange.
 */
struct session {
	struct conn conn;
	struct list link;               /* door->sessions */
	struct list exchanges;          /* oldest first */
	struct list shakers;            /* on door->shakers: its TLS handshake
					   has to wait */
	struct door *door;
	const struct front_ops *front;  /* its listener's, or the one that the
					   client has changed to, once */
	struct lease *kept;             /* between two exchanges, or a pin of
					   its own (pipeline.h); NULL = none */
	struct deadline deadline;       /* head, body or idle: the front's */
	union {
		struct list ready;      /* open: on lane->transfer.ready */
		struct late late;       /* closed */
	};
	struct addr_ip client;
	uint32_t idle_since_s;          /* worker time: its last exchange
					   ended */
	uint32_t sent_seen;             /* of conn.sent, when its deadline
					   passed with output left */
	struct throttle *throttle;      /* NULL = no limit on its bandwidth */
	struct proxied *proxied;        /* for PROXY headers that go out; NULL =
					   nothing but its address */
	bool counted : 1;               /* as one of its address's */
	bool closed : 1;
	bool opened : 1;                /* the front has it */
	bool shaking : 1;               /* in the TLS handshake */
	bool leaving : 1;               /* no further exchange */
	bool lingering : 1;             /* answered, and reading to the end */
	bool finishing : 1;             /* closes when out is empty */
	bool in_bytes : 1;              /* inside front.bytes: no re-entry */
	bool again : 1;                 /* call front.bytes once more */
	bool met : 1;                   /* its first bytes are no TLS, or may be
					   anything */
	bool tls_before : 1;            /* a proxy has said that its client's
					   connection is encrypted */
	uint8_t family;                 /* for the pile */
	uint8_t too_large;              /* to be sent, when it was looked at
					   last (transfer.c); 0 = it is not
					   known to be */
	/* the family's state follows, proto.session_size, zeroed */
} __attribute__((aligned(16)));

static inline void *
session_state(const struct session *s)
{
	return (void *)(s + 1);
}

/* A client that the gate has let in; counted: as one of its address's. */
void session_new(struct door *d, int fd, const struct addr_ip *client,
    bool counted);

/* Likewise, one who came through a proxy that said so. */
void session_new_proxied(struct door *d, int fd, const struct addr_ip *client,
    bool counted, const struct proxy_header *said);

/* Likewise one that comes from another process: not opened yet, and not counted as
   accepted. NULL when out of memory, and then fd is closed. */
struct session *session_take_in(struct door *d, int fd,
    const struct addr_ip *client, bool counted) MUST_CHECK;

/* The other way: it is over here, but its socket, returned, stays open and is the
   caller's. It is idle and keeps no lease. */
int session_take_out(struct session *s) MUST_CHECK;

/* What comes before the protocol is over: the front has it from now on. */
void session_open(struct session *s);

/* Call the front's bytes(), without ever nesting it. */
void session_bytes(struct session *s);

/* s->deadline has passed, but there is output that the client still takes, or may
   not take yet: armed anew, true. */
bool session_still_takes(struct session *s, int64_t ms);

/* Nothing is under way or pinned, nothing unread or unsent: may be closed at any
   time. */
bool session_is_idle(const struct session *s);

/* Close sessions of this lane that have been idle for a second, those first
   that were looked at longest ago; returns how many of `most` there were. */
unsigned sessions_make_room(struct lane *lane, unsigned most);

/* End it: exchanges that are under way are given up. Twice is fine. */
void session_close(struct session *s);
/* weir ends it, not the client: at drain_timeout. It is told so where the
   protocol has words for that. */
void session_cut(struct session *s);
/* Likewise with a RST: the client must not take what it got for all. */
void session_reset(struct session *s);
/* Likewise, and what is under way counts as that. */
void session_reset_for(struct session *s, enum fail why);

/*
 * Hold a lease beyond its exchange, for the next one of the same pool and key;
 * what is not CLEAN goes back at once. Nulls *l.
 */
void session_keep(struct session *s, struct lease **l);
/* The kept lease for a, in a->lease; false if there is none that fits, and then
   none is kept any more. */
bool session_take_kept(struct session *s, struct ask *a);

/* Everything has been said and the client owes nothing: close when out is
   empty. */
void session_finish(struct session *s);

/*
 * Everything has been said. Sends what is in out, then FIN, and closes when the
 * client has ended too or after a while: closing at once would send a RST if
 * the client still sends, which can destroy the answer on its way.
 */
void session_linger(struct session *s);

/* The last that is said, to a client that speaks TLS and awaits a ServerHello:
   a fatal alert (HELLO_ALERT_ of net/hello.h). Lingers then. */
void session_alert(struct session *s, int alert);

/* Is it one that goes over to a weir that has taken over, once it is idle? */
static inline bool
session_may_cross(const struct session *s)
{
	return s->door->crosses && s->kept == NULL && s->conn.tls == NULL &&
	    s->front == s->door->listener->proto->front;
}

/* Is its next answer to be the last? */
static inline bool
session_is_leaving(const struct session *s)
{
	return s->leaving ||
	    atomic_load_explicit(s->door->draining, memory_order_relaxed);
}

static inline struct session *
session_of(struct conn *c)
{
	return container_of(c, struct session, conn);
}

#endif
