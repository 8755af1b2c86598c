/*
 * Listening sockets.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/err.h"

struct listen_options {
	int  backlog;                   /* 0 = as long as the system lets it be */
	bool reuse_port;                /* one of several sockets for this
					   address in this process */
	int  mode;                      /* of a Unix socket; -1 = as umask says */
	const char *owner, *group;      /* names; NULL = unchanged */
};

/*
 * Bind and listen; non-blocking, close-on-exec, TCP_NODELAY (which accepted
 * sockets inherit). A Unix socket file that nobody listens on is replaced.
 * Returns the descriptor, or -1 with a sentence in why[why_size].
 */
int listen_open(const struct addr *at, const struct listen_options *o,
    char *why, size_t why_size) MUST_CHECK;

/*
 * Is the address free? SO_REUSEPORT would let a second process share it in
 * silence, so this binds without it once and lets go. Of a Unix socket nothing
 * is bound: is its file of no use to anybody, or none there? No file comes or
 * goes, and whoever listens there notices nothing.
 */
int listen_try(const struct addr *at, char *why, size_t why_size) MUST_CHECK;

/* Close, and remove a Unix socket's file. */
void listen_close(int fd, const struct addr *at);

#endif
