/*
 * Arrivals: clients of whom a proxy says first who they are. Here the PROXY
 * header is taken off the socket, to its last byte and no further, so that what
 * follows (a TLS handshake, the protocol) finds the socket as if the client had
 * connected itself; then the session begins.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ARRIVAL_H
#define PROXY_ARRIVAL_H

#include "proxy/listener.h"

/* Does who connects from there have to send a header? From others none is
   read. */
bool arrival_is_due(const struct conf_listener *l, const struct addr_ip *peer);

/* One has connected. Takes over fd. */
void arrival_new(struct door *d, int fd, const struct addr_ip *peer);

/* Close them; with idle_only those that have not said a byte. True: some are
   left. */
bool arrivals_close(struct door *d, bool idle_only);

#endif
