/*
 * A list of every upstream connection. Each belongs to its lane's thread, so
 * each lane is asked by mail, counts its own, and mails the list back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_CENSUS_H
#define PROXY_ADMIN_CENSUS_H

#include "net/err.h"

struct awaited;
struct caller;

/* Ask all lanes, for c, which is to wait for it (caller_wait()). NULL when out of
   memory. The answer goes to c when the last lane has said its part. */
struct awaited *census_begin(struct caller *c) MUST_CHECK;

#endif
