/*
 * Raw TCP. See tcp.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_TCP_TCP_H
#define PROXY_PROTO_TCP_TCP_H

#include "proxy/proto.h"

extern const struct proto proto_tcp;

#endif
