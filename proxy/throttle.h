/*
 * limits.bandwidth_per_client: what a client sends and receives is charged to
 * its bucket as it passes; who is in debt neither reads nor writes until it is
 * paid off. The pool's backpressure does the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_THROTTLE_H
#define PROXY_THROTTLE_H

#include "proxy/session.h"

/* s is new and its listener has such a limit. Out of memory it is not held
   back. */
void throttle_begin(struct session *s);
/* s->conn has moved n bytes. */
void throttle_moved(struct session *s, size_t n);
/* s ends. */
void throttle_end(struct session *s);

#endif
