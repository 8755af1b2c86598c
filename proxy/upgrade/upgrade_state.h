/*
 * What a weir knows beside its counters, for the one that takes over: what was
 * changed by hand, which endpoints are ejected, the addresses of names, what
 * connections of an upstream are like.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_STATE_H
#define PROXY_UPGRADE_UPGRADE_STATE_H

#include "proxy/live.h"
#include "proxy/upgrade/upgrade_message.h"

/* Says all of it but addresses; say() as in upgrade_counts.h. */
void state_tell(struct runtime *rt, void (*say)(void *arg, json_t *j),
    void *arg);

/* One of those has come, when all upstreams are there. Others are passed over. */
void state_take(struct runtime *rt, const struct message *m);

/* Addresses of names as they are known now: before the file is read there. */
void state_tell_names(struct runtime *rt, void (*say)(void *arg, json_t *j),
    void *arg);

/*
 * Connections of two upstreams with the same identity are alike: same protocol,
 * begun and logged in in the same way. 16 hex digits; the passwords that went
 * into it cannot be told from it by who does not know them.
 */
enum { IDENTITY_MOST = 17 };
void state_identity(const struct conf_upstream *conf,
    const struct peer_ops *peer, char out[IDENTITY_MOST]);

#endif
