/*
 * An answer to an order that lanes carry out: it is given when each of them has
 * done what it was told until now, and so have those of the weir before, while
 * that drains. Who reads "ok" may count on it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_SETTLE_H
#define PROXY_ADMIN_SETTLE_H

#include <jansson.h>

struct caller;

/* As caller_reply_json(), which it comes to: at once when there is no memory for
   waiting, and when a lane is too busy, with the end of the caller's patience. */
void settle_reply(struct caller *c, unsigned status, json_t *j);

/* Likewise, and what is only known then is put into j. */
typedef void settle_fill(struct caller *c, json_t *j);
void settle_reply_filled(struct caller *c, unsigned status, json_t *j,
    settle_fill *fill);

#endif
