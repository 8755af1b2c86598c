/*
 * The heir: the weir that has taken over from this one, as long as this one
 * drains. Should it die, another is started, so that nobody is refused: its
 * listening sockets are held here too, and in their queues clients wait.
 *
 * It says which sockets it has when it begins to serve, and again when they
 * have become others: held is what is accepted from and nothing else, for in a
 * queue that nobody empties clients would wait in vain. One that says nothing of
 * that, being older, is replaced all the same, but nobody listens meanwhile.
 *
 * Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_HEIR_H
#define PROXY_UPGRADE_UPGRADE_HEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/deadline.h"
#include "proxy/upgrade/upgrade_message.h"

struct runtime;
struct upgrade;

struct heir_socket {
	struct addr addr;
	int fd;
	bool foreign;                   /* its file is a service manager's */
};

struct heir_sockets {
	struct heir_socket *v;
	size_t n;
};

struct heir {
	bool left;                      /* one has served: there is no way back,
					   and the doors here are closed */
	bool bereft;                    /* it has died, and no other serves */
	bool dismissed;                 /* one of us was told to end: it needs
					   no other any more */
	bool finishing;                 /* lanes have been asked for the last
					   that they have */
	struct heir_sockets held;
	struct heir_sockets coming;     /* not all of them have been said yet */
	uint64_t served;                /* how many have */
	unsigned bad;                   /* that died soon, or never served; in a
					   row */
	int64_t served_ns;              /* since when the last one does, or did */
	int64_t pause_ms;               /* before the one after the next */
	struct deadline limit;          /* there is nothing else to do here any
					   more than to wait for one */
	struct deadline stay;           /* likewise, but one serves, and has not
					   for long */
};

/* Its zeroed struct, at the start of the program. */
void heir_init(struct heir *h);
void heir_fini(struct heir *h);

/* A message of the one that takes over: a socket, of which what is taken over
   becomes -1 in fds. False: it makes no sense. */
bool heir_take_socket(struct upgrade *up, const struct message *m, int *fds);
/* Those were all. */
void heir_take_sockets(struct upgrade *up);
/* It will not serve, or does and says nothing any more. */
void heir_forget_sockets(struct upgrade *up);

/* For one that is started. */
void heir_each_socket(const struct heir *h, void (*f)(void *arg,
    const struct addr *addr, const int *fds, size_t n, bool foreign), void *arg);

/* One serves, the first or another. */
void heir_serves(struct upgrade *up);
/* It has ended, and has been waited for. */
void heir_died(struct upgrade *up, int status);
/* Another was started, or could not be, and does not serve; `why` begins with a
   noun. */
void heir_failed(struct upgrade *up, const char *why);
/* Whoever serves is not to be replaced any more. */
void heir_dismiss(struct upgrade *up);

/* Is it open who serves? */
bool heir_is_awaited(const struct upgrade *up);
/* This weir has nothing else to do. */
void heir_hurry(struct upgrade *up);
/* Likewise, and one serves: true when this one stays for a while all the same, in
   case that dies, and ends by itself. */
bool heir_stays(struct upgrade *up) MUST_CHECK;

#endif
