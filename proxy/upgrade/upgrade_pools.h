/*
 * Connections on their way between this weir's lanes and another weir: lanes are
 * asked by mail for what they can spare, and get what has come.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_POOLS_H
#define PROXY_UPGRADE_UPGRADE_POOLS_H

#include "proxy/live.h"
#include "proxy/upgrade/upgrade_channel.h"

/* One question to all lanes. */
struct round;

/*
 * Of every upstream: send what has been idle for so long (a part of it, where
 * that is much and more than 0 ms), and where the other weir waits for
 * connections and the cap is reached, what is idle at all, or close what cannot
 * be sent. done(arg) when every lane has answered and all of
 * it is in the channel's queue, perhaps from inside this call; never, if lanes
 * end meanwhile. False when out of memory, and then nothing comes of it. idle_ms
 * INT64_MAX: only the latter.
 */
bool spare_connections(struct runtime *rt, struct channel *c, int64_t idle_ms,
    void (*done)(void *arg), void *arg);

/* All that there is, at the end: what cannot be sent is closed. Its owner clears
   the deadline before it goes. */
struct rest {
	struct deadline again;
	struct runtime *rt;
	struct channel *channel;
	unsigned rounds;
	bool more;                      /* some were not idle yet, or may be on
					   their way to us */
	void (*done)(void *arg);
	void *arg;
};

/* As spare_connections() with 0 ms; what is being made or washed goes along, if
   that comes to its end soon. */
bool spare_rest(struct rest *r, struct runtime *rt, struct channel *c,
    void (*done)(void *arg), void *arg);

/* One has come: to the next lane. fd is taken over, -1 where it was lost on the
   way; where no upstream has it, it is closed and its place is free. False: it
   makes no sense. */
bool take_connection(struct runtime *rt, const struct message *m, int *fds);

/* How many asks of it wait for a connection. */
unsigned upstream_waits(const struct upstream *up);
/* How many of its connections are leased here. */
unsigned upstream_leases(const struct upstream *up);

#endif
