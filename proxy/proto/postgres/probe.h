/*
 * PostgreSQL's question to an endpoint: does it take our login, and is it the
 * primary, or a standby, if one of them is wanted?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_PROBE_H
#define PROXY_POSTGRES_PROBE_H

#include "health/probe.h"

/* Who asks, and what is wanted, stands in the upstream's group `postgres`:
   check_user, or else user. Where there is neither, and with an upstream of
   another protocol, "weir" asks, who has no password: a server that refuses him
   is well, for it can tell who he is not. */
extern const struct probe_ops pg_probe;

#endif
