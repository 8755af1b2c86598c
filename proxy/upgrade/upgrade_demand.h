/*
 * What was wanted of the upstreams (pool/demand.h) across an upgrade: as much as
 * advice is made of.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_DEMAND_H
#define PROXY_UPGRADE_UPGRADE_DEMAND_H

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_message.h"

/* A message for each upstream: say() takes the reference to j, NULL when out of
   memory, and raw is read inside of the call. */
void demand_tell(struct runtime *rt, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg);

/* One of those has come. It is added by mail to the first lane. */
void demand_take(struct runtime *rt, const struct message *m);

#endif
