/*
 * What can be done by hand to an upstream's connections and exchanges: close
 * one, let some of them fail. POST only; each answers c once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_ORDERS_POOL_H
#define PROXY_ADMIN_ORDERS_POOL_H

struct caller;

/* As target_part() wants it. */
#define ORDER_KILL    "/connections/ID/kill"
#define ORDER_KILL_OF "/upstreams/NAME/connections/ID/kill"
#define ORDER_FAULT   "/upstreams/NAME/fault"

void order_kill(struct caller *c);
void order_kill_of(struct caller *c);
void order_fault(struct caller *c);

#endif
