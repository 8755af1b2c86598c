/*
 * Redis's question to an endpoint: does it take our login, does it answer PING,
 * and has it the role that is wanted?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_PROBE_H
#define PROXY_REDIS_PROBE_H

#include "health/probe.h"

/* Login and role are those of the upstream's group `redis`; an upstream of
   another protocol has none, and gets a PING alone. */
extern const struct probe_ops redis_probe;

#endif
