/*
 * Routes: which upstream a request goes to, by host and path.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include <stddef.h>

#include "conf/conf.h"

/*
 * host as in the Host field, port and all; path begins with "/". The most
 * specific route wins: exact host, "*." suffix (the longest), any; then the
 * longest path prefix. NULL when nothing matches. host_len 0 = no host.
 */
const struct conf_route *route_match(const struct conf_listener *l,
    const char *host, size_t host_len, const char *path, size_t path_len);

/* Its upstream, or that of what no route takes; NULL = there is none. */
const struct conf_upstream *route_find(const struct conf_listener *l,
    const char *host, size_t host_len, const char *path, size_t path_len);

#endif
