/*
 * What the pool asks of a protocol about one upstream connection. Every slot
 * may be NULL: nothing to say, nothing to wash.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_PEER_H
#define POOL_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct conf_upstream;
struct upconn;

enum { PEER_PACKED_MOST = 64 * 1024 };

/* What keys are grouped by, for pool.max_per_user and max_per_database. */
enum { POOL_GROUP_USER, POOL_GROUP_DATABASE, POOL_GROUPS };

struct pool_group {
	const void *name;               /* inside the key; NULL = in none */
	size_t len;
};

struct peer_ops {
	size_t   state_size;            /* bytes at upconn_state_of(u), zeroed */
	/* Why a lease may be held longer than the pool's mode says, as users
	   see it; NULL-terminated, at most POOL_PINS_MOST. upconn_pin() names
	   one by its index. NULL = never. */
	const char *const *pins;
	/* What servers' own error replies are counted by, the last one for all
	   others; NULL-terminated, at most POOL_ERRORS_MOST. NULL = none. */
	const char *const *errors;
	/* Those of them that tell of the server rather than of what it was
	   asked; likewise. NULL = all. */
	const char *const *own_errors;
	/* Connected: log in. True: there is nothing to say, it is ready. Else
	   it MUST end in upconn_ready() or upconn_broken(), not before this
	   call has ended, or in upconn_broken() at once; the connect deadline
	   covers it. NULL = ready at once. */
	bool    (*greet)(struct upconn *u);
	/* Connected to a server that is to speak TLS. True: it does from the
	   start. Else what has to be said first has been, and it MUST end in
	   upconn_secure(), upconn_not_secured() or upconn_broken(), as
	   greet() has to in its ends, and with its answers in bytes(). NULL =
	   true. */
	bool    (*ask_tls)(struct upconn *u);
	/* Input grew while no lease holds it: greeting, washing or idle. An
	   idle one with bytes left unread afterwards is closed. NULL = no
	   byte is ever expected. With `room` also while it is leased, and when
	   it has ended then: only the protocol knows whose that is. */
	void    (*bytes)(struct upconn *u);
	/* More leases that it can carry now, for shared mode; 0 = full until
	   its output has drained. NULL = one lease at a time. */
	unsigned (*room)(const struct upconn *u);
	/* With `room`: its output has drained. NULL = the newest lease alone is
	   told. */
	void    (*drained)(struct upconn *u);
	/* DIRTY to clean. Ends in upconn_ready() or upconn_broken(); a deadline
	   of the connect timeout stands over it. NULL = DIRTY is closed. */
	void    (*wash)(struct upconn *u);
	/* Last polite bytes before a close; must not wait. */
	void    (*bye)(struct upconn *u);
	/*
	 * Idle and CLEAN, it is to go to another process: what that has to know
	 * of it besides its key, malloc'd (the caller wipes it), *len bytes, at
	 * most PEER_PACKED_MOST. Changes nothing. NULL: this one cannot go, or
	 * there is no memory. NULL slot = there is nothing to know.
	 */
	void   *(*pack)(struct upconn *u, size_t *len);
	/*
	 * Idle, it has come from another process, which greeted it and has said
	 * this of it: make the state as greet() leaves it. The other one may be
	 * of another version, or lie. False: it is of no use; fini() comes in
	 * any case. NULL = those with a state or a greeting cannot go over,
	 * for what they are is not known here.
	 */
	bool    (*adopt)(struct upconn *u, const void *packed, size_t len);
	/* Is that a key, which another process says it is? Not the empty one;
	   any bytes. NULL = those with keys cannot go over. */
	bool    (*is_key)(const void *key, size_t len);
	/* The groups that a key belongs to: fills out[] by the enum above and
	   returns how many of it. From any thread, for the keyless too
	   (len 0). conf_proto.groups says that it is there. NULL = none. */
	unsigned (*groups)(const void *key, size_t len,
	    struct pool_group out[POOL_GROUPS]);
	/* The keys of which pool.min_idle connections are kept warm: the one
	   of that number, from 0, which lives as long as conf; NULL: there are
	   no more. From any thread. NULL = the empty key alone. */
	const void *(*warm_key)(const struct conf_upstream *conf, size_t i,
	    size_t *len);
	/* It closes: the end of its state, which may never have begun (all
	   zero). Perhaps on its way between workers: then it has no pool. */
	void    (*fini)(struct upconn *u);
};

#endif
