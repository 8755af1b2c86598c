/*
 * What a lane does when main tells it: take over a snapshot, drain, end.
 * Everything arrives by mail and runs on the lane's thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LANE_H
#define PROXY_LANE_H

#include <signal.h>

#include "proxy/runtime.h"

/* The only signal that a lane's thread takes beside SIGABRT: see watchdog.c. */
#define LANE_TRACE_SIGNAL (SIGRTMIN + 1)

/* A door of this lane in the new snapshot, or leaving it. */
struct door_order {
	struct door *door;
	const struct conf_listener *conf;       /* NULL = close it */
	bool hold;                      /* it is not in the new snapshot and
					   goes on as it is */
};

/* A socket to open (fd >= 0) or to close (-1). */
struct socket_order {
	struct door *door;
	struct addr addr;
	int fd;
	bool shared;
};

struct pool_order {
	struct pool *pool;
	const struct conf_upstream *conf;       /* NULL = retire it */
	bool identity_changed;
	struct roster *roster;          /* one reference; NULL = as it is */
};

/* Take a snapshot over: all of it in one turn. Owned by the mail. */
struct order {
	struct mail mail;
	struct generation *gen;
	struct door_order *doors;       size_t n_doors;
	struct socket_order *sockets;   size_t n_sockets;
	struct pool_order *pools;       size_t n_pools;
};

/* Room for so many of each; NULL when out of memory. */
struct order *order_new(struct generation *gen, size_t doors, size_t sockets,
    size_t pools) MUST_CHECK;
void order_free(struct order *o);

struct lane *lane_new(struct runtime *rt, unsigned index) MUST_CHECK;
/* Starts the thread. -1 when it cannot. */
int lane_start(struct lane *lane) MUST_CHECK;
/* After its thread was joined. */
void lane_free(struct lane *lane);

/* From main: give lane a new roster for a pool (takes one reference). */
void lane_post_roster(struct lane *lane, struct pool *pool, struct roster *r);

/* From main: close up to so many clients that are idle. */
void lane_post_room(struct lane *lane, unsigned most);

/* From main: close the doors; tell main through runtime_lane_empty() when the
   last session has gone. Idle clients are closed after grace_ms. */
void lane_post_drain(struct lane *lane, int64_t grace_ms);
/* From main, when its doors have been closed: sessions that may cross go there as
   they become idle. `to` lives longer than the lane. */
void lane_post_transfer(struct lane *lane, struct crossing *to);
/* From main: cut what is left and end the thread. */
void lane_post_end(struct lane *lane);

/* From main: its part of the listener has one more socket, fd, taken over. */
struct live_socket;
void lane_post_socket(struct lane *lane, struct listener *l, int fd,
    const struct live_socket *sock);

/* From main: its doors leave every lane's list; it is about to be freed. */
void lane_post_forget(struct runtime *rt, struct listener *l);

/*
 * Call done(arg) on main when every lane has worked off all the mail that was
 * posted to it before; never, if lanes end meanwhile. -1 when out of memory:
 * nothing comes of it.
 */
int lane_roll_call(struct runtime *rt, void (*done)(void *arg), void *arg)
    MUST_CHECK;

#endif
