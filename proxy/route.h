/*
 * Routes: which upstream a request goes to, by host and path; or a connection,
 * by the ClientHello that it begins with.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

struct hello;

/*
 * host as in the Host field, port and all; path begins with "/". The most
 * specific route wins: exact host, "*." suffix (the longest), any; then the
 * longest path prefix. NULL when nothing matches. host_len 0 = no host.
 */
const struct conf_route *route_match(const struct conf_listener *l,
    const char *host, size_t host_len, const char *path, size_t path_len);

/*
 * The same by what a TLS client asks for; NULL: it does not speak TLS, or said
 * nothing. Exact name, "*." suffix (the longest), any; then a protocol that it
 * offers before any, and among those the first of the file.
 */
const struct conf_route *route_match_hello(const struct conf_listener *l,
    const struct hello *hello);

/* Does it matter to these routes what a client's hello says? */
bool route_by_hello(const struct conf_listener *l);

#endif
