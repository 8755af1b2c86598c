/*
 * HTTP's question to an endpoint: is the status of a GET one of the expected? In
 * either version; and gRPC's: does it, or one of its services, serve?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_PROBE_H
#define PROXY_PROTO_HTTP_PROBE_H

#include "health/probe.h"
#include "net/err.h"

extern const struct probe_ops http_probe;
extern const struct probe_ops http2_probe;
extern const struct probe_ops grpc_probe;

/* Is the status one of health.expect? */
enum probe_verdict http_probe_judge(const struct conf_upstream *conf,
    unsigned status, char why[PROBE_WHY_MAX]) MUST_CHECK;

#endif
