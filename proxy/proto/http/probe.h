/*
 * HTTP's question to an endpoint: is the status of a GET one of the expected? In
 * either version; and gRPC's: does it, or one of its services, serve?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_PROBE_H
#define PROXY_PROTO_HTTP_PROBE_H

#include "health/probe.h"

extern const struct probe_ops http_probe;
extern const struct probe_ops http2_probe;
extern const struct probe_ops grpc_probe;

#endif
