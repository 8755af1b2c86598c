/*
 * A tunnel: bytes both ways between a client and its upstream connection,
 * half-closes carried over, each side paused while the other is slow. Raw TCP
 * is one from the start, HTTP after a 101.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include "proxy/exchange.h"

/* Take x, whose lease is in hand, over: what is in both inputs goes across.
   timeouts.tunnel with both directions silent ends it. */
void tunnel_begin(struct exchange *x);

/* What the slots of a tunnelling protocol call. */
void tunnel_from_client(struct exchange *x);
void tunnel_from_upstream(struct exchange *x);
void tunnel_client_drained(struct exchange *x);
void tunnel_upstream_drained(struct exchange *x);
void tunnel_late(struct exchange *x);

#endif
