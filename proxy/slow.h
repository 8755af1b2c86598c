/*
 * What was slow and what failed, kept for /slow: of each lane the slowest
 * exchanges of the last minutes and the newest of those that failed.
 *
 * All of it is the lane's own; main has copies, by mail (admin/slow.c). What is
 * said about an exchange is in why.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SLOW_H
#define PROXY_SLOW_H

#include "proxy/exchange.h"

enum {
	SLOW_SLOWEST = 32,              /* of each span */
	SLOW_FAILED = 64,               /* for reasons of the server's or weir's */
	SLOW_CLIENTS = 16,              /* of the client's: a flood of these must
					   not push out the others */
	SLOW_MOST = 2 * SLOW_SLOWEST + SLOW_FAILED + SLOW_CLIENTS,
	SLOW_SPAN_S = 300,
	SLOW_NAME = 64, SLOW_REQUEST = 128, SLOW_ID = 72, SLOW_SAID = 200
};

/* What an exchange waited for when it could not have a connection at once. */
enum slow_wait {
	SLOW_WAIT_NONE,
	SLOW_WAIT_CONNECT,              /* one was being opened for it */
	SLOW_WAIT_PLACE,                /* under the cap, or at an endpoint */
	SLOW_WAIT_RIDE,                 /* among others of its key */
	SLOW_WAIT_PIN,                  /* pool.max_pinned */
	SLOW_WAIT_QUOTA,                /* max_per_user, max_per_database */
	SLOW_WAIT_PAUSED,               /* by hand */
	SLOW_WAIT_FAILOVER,             /* for a primary */
	SLOW_N_WAITS
};
extern const char *const slow_wait_names[SLOW_N_WAITS];

/* An upstream as it was then, all lanes. */
struct slow_pool {
	unsigned max;                   /* pool.max */
	unsigned most;                  /* so many the server would have: adapt */
	unsigned open, idle, leased, waiting, pinned;
	unsigned max_pinned;
	int64_t  min_idle, max_waiting;
	unsigned endpoints, usable;
	unsigned bars;                  /* of them all, together */
};

/*
 * An exchange that is over: copies. Times that are spans do not overlap, and
 * their sum is not more than the total.
 */
struct slow_entry {
	uint64_t number;                /* of those that the lane ever kept, from
					   1 */
	int64_t at_ns;                  /* it ended; worker time */
	int64_t total_ns;
	int64_t arrive_ns;              /* until it was known where it goes */
	int64_t pause_ns;               /* before it asked: limits, retries */
	int64_t queue_ns;               /* for a connection, but for ... */
	int64_t connect_ns;             /* ... opening one, but for ... */
	int64_t tls_ns;                 /* ... the handshake */
	int64_t upload_ns;              /* until the client had sent it all */
	int64_t first_ns;               /* then until the first byte of the
					   answer, or in vain */
	int64_t client_ns;              /* the client did not take it */
	int64_t idle_ns;                /* the client had a transaction open and
					   asked for nothing */
	int64_t transfer_ns;            /* the rest of the answer */
	enum fail why;
	enum outcome outcome;
	enum slow_wait waited_for;
	uint16_t status;
	bool hit;                       /* by a fault by hand */
	bool reused, came, lasts;       /* came: a first byte; lasts: a session or
					   tunnel, whose total says nothing */
	unsigned retries;
	unsigned behind;                /* so many waited too, when it began to */
	unsigned open_then;             /* and so many connections there were */
	struct addr_ip client;
	struct slow_pool pool;          /* all 0: it did not get so far */
	char last_error[SLOW_NAME];     /* of its endpoint; "" */
	char listener[SLOW_NAME], upstream[SLOW_NAME], endpoint[SLOW_NAME];
	char request[SLOW_REQUEST];     /* without what may be secret */
	char id[SLOW_ID], trace[SLOW_ID];
	char user[SLOW_NAME], database[SLOW_NAME];      /* "" = has none */
	char said[SLOW_SAID];           /* why it was refused, in the server's
					   words or weir's; did not fail: what
					   error the server answered with; no
					   control characters; "" */
};

/* Of one lane. Zeroed at first. */
struct slow {
	uint64_t kept;                  /* ever */
	int64_t floor_ns;               /* an exchange that took no longer is of no
					   interest */
	int64_t turn_ns;                /* when a new span begins */
	unsigned span;                  /* which of the two is filled */
	unsigned n[2];
	int64_t took_ns[SLOW_SLOWEST];  /* of the present span */
	struct slow_entry slowest[2][SLOW_SLOWEST];
	/* As it was within the last millisecond: many may fail at once, and an
	   upstream may have thousands of endpoints. */
	const struct conf_upstream *pool_of;    /* only compared */
	int64_t pool_ns;
	struct slow_pool pool;
	unsigned n_failed, n_clients;   /* ever */
	struct slow_entry failed[SLOW_FAILED];
	struct slow_entry clients[SLOW_CLIENTS];
};

/* NULL when out of memory. */
struct slow *slow_new(void) MUST_CHECK;

/* x begins to wait for a connection: for which reason, among how many. */
void slow_waits(struct exchange *x);

/* For slow_note(): keep x, if it is one of the slowest, or failed. */
void slow_keep(struct slow *slow, const struct exchange *x, int64_t now_ns);

/*
 * x is over; its outcome is set, and its lease has not been given back yet. An
 * ordinary one costs this look.
 */
static inline void
slow_note(struct slow *slow, const struct exchange *x, int64_t now_ns)
{
	if (unlikely(now_ns - x->begun_ns > slow->floor_ns ||
	    now_ns >= slow->turn_ns || x->why != FAIL_NONE ||
	    x->outcome == OUTCOME_5XX || x->said != NULL))
		slow_keep(slow, x, now_ns);
}

/* Likewise one that another weir kept, which this one has taken over from: of
   those that were slow it goes to the span that it is of. */
void slow_add(struct slow *slow, const struct slow_entry *e, int64_t now_ns);

/* All that is worth telling, in no order, into out, which has room for
   SLOW_MOST; returns how many. */
unsigned slow_copy(const struct slow *slow, int64_t now_ns,
    struct slow_entry *out);

/*
 * The first words of a request, as many as are no secret: of a URL neither what
 * comes after "?" nor who asks (RFC 3986 3.2.1, 3.4). out has SLOW_REQUEST.
 */
void slow_request(const char *request, size_t len, char *out);

#endif
