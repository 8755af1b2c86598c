/*
 * One thread's event loop with what everything on it shares: the time, the
 * deadlines, block store, conns with output to flush, memory to free at the end
 * of the turn, and a mailbox for the other threads.
 *
 * Order within a turn: the time is read; events run by priority, and after each
 * the output that it left is flushed; at the end what died is freed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/buf.h"
#include "net/clock.h"
#include "net/count.h"
#include "net/deadline.h"
#include "net/list.h"

struct tls_room;

/* Event priorities: who is served first in a turn. */
enum {
	WORKER_PRI_CLOCK = 2,
	WORKER_PRI_FAR = 1,             /* an EOF is seen before a request is
					   put on that connection */
	WORKER_PRI_NEAR = 0,
	WORKER_PRI_ACCEPT = -1,
	WORKER_PRI_DEADLINE = -2        /* what came in time counts */
};

/*
 * A letter to another worker. Embedded in a struct of the sender's; whoever
 * posts it gives it away. deliver() runs on the receiving worker, drop() in
 * whatever thread clears the mailbox of a worker that has ended; one of them
 * runs, once, and frees it.
 */
struct mail {
	struct mail *next;
	void (*deliver)(struct worker *w, struct mail *m);
	void (*drop)(struct mail *m);
};

/* Something to be freed when no callback of this turn can still see it. */
struct late {
	struct late *next;
	void (*release)(struct worker *w, struct late *l);
};

enum { WORKER_DURATIONS = 64 };         /* distinct durations; see deadline.c */

struct duration {
	int64_t ms;
	struct list armed;
};

struct worker {
	struct ev_loop *loop;
	int epoll_fd;                   /* the loop's, see worker.c */
	int64_t now_ns;                 /* CLOCK_MONOTONIC, read once a turn */
	unsigned index;                 /* 0 .. n-1 */
	struct block_store blocks;
	struct tls_room *tls_room;
	struct list flush;              /* conns with output */
	struct list gathered;           /* those with output that waits for the
					   end of the turn */
	struct list ahead;              /* conns whose input no readiness tells
					   of: they have it in the next turn */
	struct late *late;
	struct duration durations[WORKER_DURATIONS];
	unsigned n_durations;
	int64_t timer_at_ns;            /* when the timer will fire; INT64_MAX */
	struct hist lag;                /* how long turns took, a sample */
	uint64_t turns;
	_Atomic(struct mail *) inbox;   /* newest first */
	struct ev_timer timer;
	struct ev_prepare turn_end;
	struct ev_check turn_start;
	struct ev_idle hurry;           /* while ahead has any: the next turn
					   does not wait */
	struct conn *reading;           /* whose readiness is dealt with; NULL
					   once that is another worker's */
	struct ev_async mailbox;
	void *owner;                    /* whoever runs the thread */
	/* For whoever looks from outside whether it is stuck: */
	_Atomic int64_t busy_since_ns;  /* in a turn; 0 = waits for events */
	_Atomic(const char *) doing;    /* static text; NULL = nothing known */
	_Atomic(const char *) about;    /* a name that outlives the turn */
	_Atomic int tid;                /* of its thread; 0 = not started */
};

/* -1 when the loop cannot be made, or out of memory. */
int worker_init(struct worker *w, unsigned index, void *owner) MUST_CHECK;
void worker_fini(struct worker *w);

/* Runs the loop until worker_stop(), called from within the loop. */
void worker_run(struct worker *w);
void worker_stop(struct worker *w);

/* At the end: drop what is in the mailbox. What is posted after that is dropped
   by worker_fini(). */
void worker_drop_mail(struct worker *w);

/* From any thread. Takes m over. */
void worker_post(struct worker *w, struct mail *m);

/* Frees at the end of the turn, after the last flush. */
void worker_late(struct worker *w, struct late *l,
    void (*release)(struct worker *, struct late *));

/* `link`, of a conn (conn.h): it is read from in the next turn, unless it does not
   want that by then. Never in this one: its output would be too late for its
   end, and others would wait while it has more and more. */
void worker_ahead(struct worker *w, struct list *link);

/* What the loop is doing from here on; neither is copied. */
static inline void
worker_doing(struct worker *w, const char *what, const char *about)
{
	atomic_store_explicit(&w->doing, what, memory_order_relaxed);
	atomic_store_explicit(&w->about, about, memory_order_relaxed);
}

/* Its watcher has been stopped: the kernel is told, too. Before a socket is closed
   that another process, or a copy of the descriptor, keeps open: it would go on
   waking this loop, under a number that is somebody else's by then. */
void worker_unwatch(struct worker *w, int fd);

/* Write out what conns have pending: after an event that may have left some. */
void worker_flush(struct worker *w);

#endif
