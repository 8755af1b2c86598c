/*
 * Listening sockets that this process did not make: handed over by the weir
 * before it, or by a service manager as sd_listen_fds(3) tells. Whoever binds an
 * address looks here first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_INHERIT_H
#define PROXY_UPGRADE_INHERIT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"
#include "net/err.h"

struct inherited {
	struct addr addr;
	int fd;                         /* -1 = taken */
	bool foreign;                   /* a service manager's: a Unix socket's
					   file is not ours to remove */
	bool handed;                    /* by the weir before */
};

/* Starts zeroed. Main's alone. */
struct inheritance {
	struct inherited *v;
	size_t n;
};

/* Is it open, and was so when this program began? What weir opens itself is
   closed by exec(), so a number that is a lie is not mistaken for a gift. */
bool inherit_is_given(int fd);

/*
 * One more, which is taken over: what accepts no stream connections is refused.
 * addr NULL = ask the socket. -1 with a sentence in why; then fd is still the
 * caller's.
 */
int inherit_add(struct inheritance *in, int fd, const struct addr *addr,
    bool foreign, bool handed, char *why, size_t size) MUST_CHECK;

/*
 * Those of a service manager, if LISTEN_PID is this process; LISTEN_PID,
 * LISTEN_FDS and LISTEN_FDNAMES are unset, so that no child mistakes them for
 * its own. What cannot be used is closed, with a line in the log.
 */
void inherit_from_manager(struct inheritance *in);

/* How many there are yet for that address. */
size_t inherit_count(const struct inheritance *in, const struct addr *addr);

/* One of them; -1: there is none. *foreign as above. */
int inherit_take(struct inheritance *in, const struct addr *addr,
    bool *foreign);

/* Nobody takes any more: the rest is closed, with a line in the log, and what the
   weir before had leaves no files. */
void inherit_end(struct inheritance *in);

/* Weir does not come up: they are whose they were, and so are their files. */
void inherit_drop(struct inheritance *in);

#endif
