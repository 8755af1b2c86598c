/*
 * What upconn.c and opening.c share: a connection until it is ready, and after.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_OPENING_H
#define POOL_OPENING_H

#include "pool/lease.h"
#include "pool/upconn.h"

/* One more, or one less, in that state. */
void upconn_count(struct upconn *u, enum upconn_state state, int change);

/* It will not be made: who waits for it gets the error itself, not another try
   at the same. */
void upconn_give_up(struct upconn *u, enum refusal why, int error,
    const char *said);

struct handed;

/* One that another process had: IDLE, and on no shelf's list; upconn_settle() is
   due. The caller has taken the places, and h's socket is u's. NULL when out of
   memory, where it is no more as it was left, or the protocol makes no sense of
   what is packed: all is as before. */
struct upconn *upconn_adopt(struct site *site, const struct handed *h)
    MUST_CHECK;

/* conn_ops of it. */
extern const char upconn_what[];
void upconn_input(struct conn *c);
void upconn_drained(struct conn *c);
void upconn_failed(struct conn *c, int error);

#endif
