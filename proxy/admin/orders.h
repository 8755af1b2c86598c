/*
 * What the admin port can be told to do: the pages that are POST only. Each
 * answers c once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_ORDERS_H
#define PROXY_ADMIN_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/schema.h"
#include "net/err.h"

struct admin;
struct caller;
struct live_upstream;

/* The paths of those that have names in them, as target_part() wants it. */
#define ORDER_ENDPOINT "/upstreams/NAME/endpoints/ENDPOINT"
#define ORDER_PAUSE    "/upstreams/NAME/pause"
#define ORDER_RESUME   "/upstreams/NAME/resume"

/* A query with a word that nobody reads is refused, not half obeyed: false, and c
   has been answered. known ends with NULL. */
bool order_query_is_known(struct caller *c, const char *const *known);

void order_drain(struct caller *c);
void order_stop(struct caller *c);
void order_log(struct caller *c);
void order_endpoint(struct caller *c);
void order_pause(struct caller *c);
void order_resume(struct caller *c);

/* Of the file, by its name; NULL, and c has been answered. */
struct live_upstream *order_upstream(struct caller *c, const char *name);

/* Has the query no other words than these (which end with NULL)? One that nobody
   reads is refused, not half obeyed: false, and c has been answered. */
bool order_query_is_known(struct caller *c, const char *const *known)
    MUST_CHECK;

/* A number or duration of the query by its row. 0: it is in *n, or it is not
   there and *n stays; -1: c has been answered. */
int order_query_value(struct caller *c, const struct conf_key *row, int64_t *n)
    MUST_CHECK;

/* The log's level is again what the file says. */
void orders_quieten(struct admin *a);

#endif
