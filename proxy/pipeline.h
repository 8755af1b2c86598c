/*
 * Pipelines: protocols whose clients ask again before they are answered, and
 * whose replies come in the order of the requests.
 *
 * Each upstream connection has a queue of what is owed on it. A reply belongs
 * to the entry at its head, and that entry to an exchange (forward it), to weir
 * itself (it sent that request: skip it) or to nobody any more (its client has
 * gone or lost patience: swallow it). Each session answers in the order in which
 * it was asked: only its first exchange writes to the client, what comes for
 * later ones is held.
 *
 * Knows no protocol: where a reply ends and whose it is, is asked of one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PIPELINE_H
#define PROXY_PIPELINE_H

#include "proxy/exchange.h"

enum {
	PIPELINE_MOST = 512,            /* exchanges of one session at a time */
	PIPELINE_PARTS_MOST = 256,      /* of one exchange */
	PIPELINE_PART_MOST = 16 * 1024 * 1024   /* bytes of a part's reply */
};

/* Something owed on an upstream connection: one or more replies. */
struct owed {
	struct owed *next;
	struct exchange *x;             /* whose; NULL: skip or swallow */
	struct lease *lease;            /* x NULL: what keeps the connection
					   leased until then; NULL in a greeting
					   or wash */
	int64_t since_ns;
	uint32_t left;                  /* replies due yet */
	uint16_t tag;                   /* the protocol's own */
	bool swallow;                   /* nobody waits for it, but the
					   connection has to be given up if it
					   does not come */
	uint64_t own[2];                /* likewise, zeroed: for what outlives
					   the exchange; pipe->last has it when
					   pipeline_owe() is done */
};

enum pipeline_aim {
	PIPELINE_DROP,                  /* to nobody */
	PIPELINE_REPLY,                 /* to the head's exchange, if it has one */
	PIPELINE_ASIDE                  /* to the session that the connection is
					   pinned to, between its replies */
};

/* What a protocol brings. o is the head, NULL when nothing is owed. */
struct pipeline_ops {
	/* Read on in a reply: of bytes, used are its own. All of len unless
	   PARSE_DONE. */
	enum parse (*feed)(struct upconn *u, struct owed *o, const char *bytes,
	    size_t len, size_t *used);
	/* Its beginning has been fed: where does it go? */
	enum pipeline_aim (*aim)(struct upconn *u, struct owed *o);
	/* It is whole. Is it one of those that o is owed? What x->down holds may
	   be rewritten. May not end anything. */
	bool (*whole)(struct upconn *u, struct owed *o);
	/* Does a request that has not been answered hold the connection up for
	   as long as it likes? Then it is closed when the client leaves. */
	bool (*waits)(const struct exchange *x);
	/* All parts of x have their answers, in their `down`, in order: put
	   together x's own. -1 when out of memory. NULL = has no parts. */
	int (*join)(struct exchange *x);
	/* Greeting or washing, and nothing is owed any more. */
	void (*greeted)(struct upconn *u);
};

/* First in the state of an upstream connection. Zeroed is a good start. */
struct pipe {
	const struct pipeline_ops *ops; /* NULL: not opened yet */
	struct upconn *u;
	struct owed *first, *last;
	unsigned n_owed, n_swallow;
	struct session *pinned;         /* whose it is alone; NULL */
	struct deadline clock;          /* a slow reader, a late swallow */
	uint64_t reply_bytes;           /* of the reply being read */
	bool in_reply;
	bool choked;                    /* not read on: its reader is slow */
	uint8_t aim;
};

/* First in the state of a session. */
struct pipeline {
	unsigned under_way;             /* exchanges */
	struct exchange *large;         /* its request is sent as it comes */
	bool discards;                  /* what is to come of one is not read: it
					   was answered already */
	bool cut;                       /* nothing is read any more */
};

/* First in the state of an exchange. */
struct piped {
	struct owed *owed;              /* while it is owed something */
	uint64_t size;                  /* bytes of the request that are in the
					   session's input yet */
	bool whole;                     /* all of its answer is there */
	bool begun;                     /* part of it has gone to the client */
	bool holds;                     /* nothing goes before all is there */
	bool streams;                   /* the request is sent as it comes */
	bool sent;                      /* all of it is */
	bool bars;                      /* nothing is taken before it is over */
	bool keeps;                     /* a copy of it stays in x->up, so that
					   it can be sent again */
	struct exchange *whole_of;      /* it is a part of this one; NULL */
	const struct pipeline_ops *ops; /* of one with parts, which ... */
	struct list parts;              /* ... are here, in order */
	unsigned due;                   /* of them not whole yet */
};

static inline struct pipe *
pipe_of(struct upconn *u)
{
	return upconn_state_of(u);
}

static inline struct piped *
piped_of(const struct exchange *x)
{
	return exchange_state(x);
}

static inline struct pipeline *
pipeline_of(const struct session *s)
{
	return session_state(s);
}

/* --------------------------------------------------------------- of upconns */

/* In peer.greet: before anything is owed. */
void pipeline_open(struct upconn *u, const struct pipeline_ops *ops);
/* peer.fini */
void pipeline_fini(struct upconn *u);
/* peer.bytes, in whatever state */
void pipeline_input(struct upconn *u);
/* peer.room */
unsigned pipeline_room(const struct upconn *u);

/* So many replies are owed to x from now on; x NULL: to weir, and skipped. -1
   when out of memory. */
int pipeline_owe(struct upconn *u, struct exchange *x, uint32_t replies,
    unsigned tag) MUST_CHECK;

/*
 * From now on u, which an exchange of s has alone, is the session's, whatever it
 * asks, and what comes on it unasked is for it. why: an index in peer_ops.pins.
 * If u is lost then so is the client's state on it: the session ends. -1 when
 * out of memory.
 */
int pipeline_pin(struct session *s, struct upconn *u, unsigned why) MUST_CHECK;
/* Over; u goes home, as its mark says, when nothing is owed on it. Twice is
   fine. Also in proto.session_fini. */
void pipeline_unpin(struct session *s);

/* ------------------------------------------------------------- of exchanges */

/* A new one at the end of s's; NULL when out of memory. */
struct exchange *pipeline_begin(struct session *s) MUST_CHECK;

/* In back.start: what of the request is in the session's input, or else in
   x->up, goes out. -1 when out of memory. */
int pipeline_send(struct upconn *u, struct exchange *x) MUST_CHECK;

/*
 * A part of x, which itself is sent nowhere: an exchange of its own, to be
 * routed by exchange_route() when all parts of x have been made. NULL when out
 * of memory.
 */
struct exchange *pipeline_part(struct exchange *x,
    const struct pipeline_ops *ops) MUST_CHECK;

/* All parts have been made: they are sent, if x is within its limits. x and its
   session may be over afterwards. */
void pipeline_route_parts(struct exchange *x);

/* back.with: a client reads what it has written, since its requests follow each
   other where they are leased; with key_hash to each endpoint by itself. */
struct upconn *pipeline_with(const struct exchange *x);

/* A request that is sent as it comes has been sent: its reply is due. */
void pipeline_sent(struct upconn *u, struct exchange *x);

/* x->down holds all there is to say (weir's own answer, or a rewritten one). */
void pipeline_answer(struct exchange *x);
/* back.late: the reply did not come in time. */
void pipeline_late(struct upconn *u, struct exchange *x);
/* back.drop */
void pipeline_drop(struct upconn *u, struct exchange *x);
/* proto.exchange_fini */
void pipeline_exchange_fini(struct exchange *x);

/* Whatever is first and has come, goes to the client; what is whole ends. In
   front.bytes, before anything is taken. */
void pipeline_settle(struct session *s);

/* back.replayable: nothing else is under way, and it was kept. */
bool pipeline_replayable(const struct exchange *x);

/*
 * In front.fail_in_turn, with the words in the protocol's language: x's answer.
 * Where part of another one has gone already the client is cut instead.
 */
bool pipeline_fail(struct session *s, struct exchange *x, const char *words,
    size_t len);

/* --------------------------------------------------- between the two halves */

/* What it was sent waits in weir: it is to take that first. */
static inline bool
pipeline_is_slow(const struct session *s)
{
	return s->conn.out.held >= CONN_HIGH;
}

/* It has taken nothing for too long: counted, and cut. */
void pipeline_too_slow(struct session *s);
/* The reader that u was not read for has caught up, or gone: read on. */
void pipeline_unchoke(struct upconn *u);

/* -------------------------------------------------------------- of sessions */

/* May another request be taken now? Not while the newest waits for its lease,
   too many are under way or the client does not take its answers. */
bool pipeline_may_take(struct session *s);
/* Is nothing under way but on a connection that is this session's alone? Then
   something that needs one may be asked for. */
bool pipeline_may_promote(const struct session *s);
/* Is the client between two requests, with nothing of one to be passed on or thrown
   away yet? Of an idle one, in front.pack. */
static inline bool
pipeline_is_between(const struct session *s)
{
	const struct pipeline *p = pipeline_of(s);

	return p->under_way == 0 && p->large == NULL && !p->discards && !p->cut;
}

/* The newest exchange; NULL. */
struct exchange *pipeline_newest(const struct session *s);
/* front.drained */
void pipeline_drained(struct session *s);
/* front.open, and when it has ended what it did: watch for an idle client. */
void pipeline_watch(struct session *s);
/* front.late */
void pipeline_session_late(struct session *s);

#endif
