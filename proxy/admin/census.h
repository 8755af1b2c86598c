/*
 * A list of every upstream connection, also of upstreams that have left the file,
 * under the names that they had, and the end of one of them. Each belongs to its
 * lane's thread, so each lane is asked by mail, looks at its own, and mails back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_CENSUS_H
#define PROXY_ADMIN_CENSUS_H

#include <stdint.h>

#include "net/err.h"

struct awaited;
struct caller;

/* Ask all lanes, for c, which is to wait for it (caller_wait()). NULL when out of
   memory. The answer goes to c when the last lane has said its part, and the
   processes of clients on this machine have been looked for. */
struct awaited *census_begin(struct caller *c) MUST_CHECK;

/* Likewise: close the connection of that id; upstream NULL: whosever it is. c is
   told 404 when no lane has it. */
struct awaited *census_kill(struct caller *c, const char *upstream, uint64_t id)
    MUST_CHECK;

#endif
