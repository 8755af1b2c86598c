/*
 * What the admin port can be told to do: the pages that are POST only. Each
 * answers c once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_ORDERS_H
#define PROXY_ADMIN_ORDERS_H

struct admin;
struct caller;
struct live_upstream;

/* The paths of those that have names in them, as target_part() wants it. */
#define ORDER_ENDPOINT "/upstreams/NAME/endpoints/ENDPOINT"
#define ORDER_PAUSE    "/upstreams/NAME/pause"
#define ORDER_RESUME   "/upstreams/NAME/resume"

void order_reload(struct caller *c);
void order_drain(struct caller *c);
void order_stop(struct caller *c);
void order_log(struct caller *c);
void order_endpoint(struct caller *c);
void order_pause(struct caller *c);
void order_resume(struct caller *c);

/* Of the file, by its name; NULL, and c has been answered. */
struct live_upstream *order_upstream(struct caller *c, const char *name);

/* The log's level is again what the file says. */
void orders_quieten(struct admin *a);

#endif
