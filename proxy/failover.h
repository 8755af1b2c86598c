/*
 * Main's part of pool.failover_hold (pool/failover.h): names are looked up
 * again, the pools are told, and when the time has passed a server that was
 * demoted is one like any again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_FAILOVER_H
#define PROXY_FAILOVER_H

struct endpoint;
struct live_upstream;

/* upstream.demoted of lu's, with lu as arg: from any worker. */
void failover_demoted(void *lu, struct endpoint *e);

/* For proxy/live: lu is new, or ends. */
void failover_init(struct live_upstream *lu);
void failover_fini(struct live_upstream *lu);

#endif
