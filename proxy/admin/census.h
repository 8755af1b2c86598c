/*
 * A list of every upstream connection. Each belongs to its lane's thread, so
 * each lane is asked by mail, counts its own, and mails the list back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_CENSUS_H
#define PROXY_ADMIN_CENSUS_H

#include "net/err.h"

struct caller;
struct census;

/* Ask all lanes, for c, which waits (caller_wait()). NULL when out of memory.
   The answer goes to c when the last lane has said its part. */
struct census *census_begin(struct caller *c) MUST_CHECK;

/* Time is up: answer c with what is there. */
void census_late(struct census *census);

/* c is going: nobody wants the list any more. */
void census_forget(struct census *census);

#endif
