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
   idle_ms: both directions silent for so long ends it. */
void tunnel_begin(struct exchange *x, int64_t idle_ms);

/* What the slots of a tunnelling protocol call. */
void tunnel_from_client(struct exchange *x);
void tunnel_from_upstream(struct exchange *x);
void tunnel_client_drained(struct exchange *x);
void tunnel_upstream_drained(struct exchange *x);

#endif
