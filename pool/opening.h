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

/* conn_ops of it. */
extern const char upconn_what[];
void upconn_input(struct conn *c);
void upconn_drained(struct conn *c);
void upconn_failed(struct conn *c, int error);

#endif
