/*
 * What keeps its name across reloads, as main sees it: upstreams with their
 * names resolved into rosters, listeners with their sockets.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LIVE_H
#define PROXY_LIVE_H

#include "net/resolve.h"
#include "proxy/runtime.h"

/* One endpoint entry of the file and what its name resolves to. */
struct live_endpoint {
	struct live_upstream *owner;
	const struct conf_endpoint *conf;       /* the current snapshot's */
	char *key;                      /* name and address as written: what
					   makes it the same one after a reload */
	struct follow *follow;          /* NULL for literals */
	struct addr *addrs;             /* known now */
	size_t n_addrs;
	char error[128];                /* last look-up's; "" = none */
};

struct live_upstream {
	struct list link;               /* runtime->upstreams */
	struct runtime *runtime;
	struct upstream *upstream;
	const struct conf_upstream *conf;       /* NULL = has left the file */
	struct live_endpoint *endpoints;
	size_t n_endpoints;
	struct roster *roster;          /* current; what /stats lists */
	bool was_ready;                 /* ready = "start": once is enough */
	unsigned retired_lanes;         /* that still have connections */
};

struct live_socket {
	struct addr addr;
	int *fds;                       /* by lane; -1 = none there */
	struct conf_bind *bind;         /* current snapshot's */
};

struct live_listener {
	struct list link;               /* runtime->listeners */
	struct listener *listener;
	const struct conf_listener *conf;       /* NULL = has left the file */
	struct live_socket *sockets;
	size_t n_sockets;
};

/* Resolve, and give the pools their rosters, after conf has changed. */
void live_upstream_configure(struct live_upstream *lu,
    const struct conf_upstream *conf);
struct live_upstream *live_upstream_new(struct runtime *rt,
    const struct conf_upstream *conf) MUST_CHECK;
void live_upstream_free(struct live_upstream *lu);

/* Ready in the sense of its `ready` key? If not, *missing says why. */
bool live_upstream_ready(struct live_upstream *lu, char *missing, size_t size);

#endif
