/*
 * What keeps its name across reloads, as main sees it: upstreams with their
 * names resolved into rosters, listeners with their sockets.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LIVE_H
#define PROXY_LIVE_H

#include "health/checker.h"
#include "net/resolve.h"
#include "proxy/advisor.h"
#include "proxy/inject.h"
#include "proxy/runtime.h"

struct override;

/* One endpoint entry of the file and what its name resolves to. */
struct live_endpoint {
	struct live_upstream *owner;
	const struct conf_endpoint *conf;       /* the current snapshot's */
	char *key;                      /* name and address as written: what
					   makes it the same one after a reload */
	struct follow *follow;          /* NULL for literals */
	struct addr *addrs;             /* known now */
	size_t n_addrs;
	char error[128];                /* with which look-ups fail, as it was
					   told of; "" = they do not */
};

struct live_upstream {
	struct list link;               /* runtime->upstreams */
	struct live_upstream *next;     /* in its row of runtime->named */
	struct runtime *runtime;
	struct upstream *upstream;
	const struct conf_upstream *conf;       /* NULL = has left the file */
	const struct conf_upstream *held;       /* as it is when a reload that
					   awaits its confirmation goes back;
					   NULL = none does, or it is not */
	struct live_endpoint *endpoints;
	size_t n_endpoints;
	struct roster *roster;          /* current; what /stats lists */
	struct checker *checker;        /* of the roster's endpoints */
	struct deadline failover;       /* demoted ones are readmitted */
	struct override *overrides;     /* made by hand; see override.h */
	struct injection injection;     /* likewise */
	struct advisor advisor;
	bool untold;                    /* what was changed by hand: to the weir
					   before; see upgrade_orders.h */
	bool was_ready;                 /* ready = "start": once is enough */
	bool stays;                     /* it is in the running file; change.c */
	uint64_t last_number;           /* left: the last snapshot that had it */
	bool going;                     /* left: a roll call is under way */
	unsigned rolls;                 /* left: how many have come back */
};

/* One bound address: a socket for each lane, or fewer that deal clients out. Of
   those that another process had there may be more than lanes: each has a queue
   of its own, so none is given up. */
struct live_socket {
	struct addr addr;
	bool shared;                    /* too few: they accept for all */
	bool foreign;                   /* a Unix socket's file is a service
					   manager's */
	bool inherited;                 /* bound by another process */
	size_t n;                       /* places below, at least one a lane;
					   i is lane i % n_lanes' */
	int *fds;                       /* not yet given to the lanes; -1 =
					   none there; NULL = given */
	int *live;                      /* the same numbers, to copy from while
					   it is bound */
};

struct live_listener {
	struct list link;               /* runtime->listeners */
	struct runtime *runtime;
	struct listener *listener;
	const struct conf_listener *conf;       /* NULL = has left the file */
	struct live_socket *sockets;
	size_t n_sockets;
	bool stays;
	uint64_t last_number;
	bool going;
	unsigned rolls;
};

struct live_upstream *live_upstream_new(struct runtime *rt,
    const struct conf_upstream *conf) MUST_CHECK;
void live_upstream_free(struct live_upstream *lu);
/* NULL when there is none; also one that has just left the file. */
struct live_upstream *live_upstream_find(struct runtime *rt,
    const struct conf_upstream *conf);
/* The oldest of those that are called so, of whatever protocol and whether in
   the file or not, or the one after `before`; NULL when there is none. */
struct live_upstream *live_upstream_named(const struct runtime *rt,
    const char *name, const struct live_upstream *before);

/*
 * The configuration has changed (or is new): follow its names, and make the
 * roster that is known so far, in lu->roster. The pools get it with the order.
 * -1 when out of memory, and then lu may still be used or freed.
 */
int live_upstream_configure(struct live_upstream *lu,
    const struct conf_upstream *conf) MUST_CHECK;

/* It has left the file: follows and checks nothing any more. */
void live_upstream_leave(struct live_upstream *lu);

/* Whether endpoints are usable has changed: every pool shall look again. */
void live_upstream_tell(struct live_upstream *lu);

/* Its names may have other addresses by now: look them up again at once. */
void live_upstream_look_up(struct live_upstream *lu);

/* Begin, or end, to let nothing new begin there. Outlives reloads; ends with the
   upstream's leaving the file. */
void live_upstream_pause(struct live_upstream *lu, bool on);

/* How many connections are leased now; in another weir, too, as it last said. */
unsigned live_upstream_leased(const struct live_upstream *lu);

/* Ready in the sense of its `ready` key: with an endpoint that is known to be
   usable, and warm? If not, *missing says what is missing. */
bool live_upstream_ready(struct live_upstream *lu, char *missing, size_t size);

struct live_listener *live_listener_new(struct runtime *rt,
    const struct conf_listener *conf) MUST_CHECK;
void live_listener_free(struct live_listener *ll);
struct live_listener *live_listener_find(struct runtime *rt,
    const struct conf_listener *conf);

/* Free what has left the file and what nothing uses any more. Now and then. */
void live_sweep(struct runtime *rt);

#endif
