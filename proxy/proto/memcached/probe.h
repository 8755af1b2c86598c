/*
 * memcached's question to an endpoint: which version is it?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_PROBE_H
#define PROXY_MEMCACHED_PROBE_H

#include "health/probe.h"

extern const struct probe_ops memcached_probe;

#endif
