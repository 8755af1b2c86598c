/*
 * The far end of connections: a listening socket on loopback that does what a
 * test tells it, at the moment it is told, in the test's own thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_FAR_END_H
#define TESTS_SUPPORT_FAR_END_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"

enum { FAR_END_MOST = 512 };

struct far_end {
	struct addr addr;
	int      keeper;                /* of the port while nobody listens */
	int      listener;              /* -1 = connects are refused */
	int      fds[FAR_END_MOST];     /* accepted, not closed */
	unsigned n;
	unsigned accepted;              /* in all */
	int      clog[8];               /* see far_end_clog() */
	unsigned n_clog;
};

/* Listens on a free port of 127.0.0.1. */
void far_end_open(struct far_end *f);
void far_end_close(struct far_end *f);

/* From now on connects are refused; then they are accepted again. */
void far_end_refuse(struct far_end *f);
void far_end_welcome(struct far_end *f);

/* From now on connects get no answer at all. */
void far_end_clog(struct far_end *f);

/* Take in what has connected. */
void far_end_accept(struct far_end *f);

/* Close what our side has closed; what it wrote is read and forgotten. */
void far_end_tidy(struct far_end *f);

/* The other end of our socket fd, among the accepted; -1 = it was closed. */
int far_end_of(struct far_end *f, int fd);

/* All of it, at once. */
void far_end_say(int far_fd, const void *bytes, size_t len);
/* What has come and not been read yet: how many bytes, at most size; -1 after
   the end. */
int far_end_hear(int far_fd, void *bytes, size_t size);
/* FIN, or RST, and forget it. */
void far_end_hang_up(struct far_end *f, int far_fd);
void far_end_reset(struct far_end *f, int far_fd);
/* Half of it: FIN, but it goes on reading. */
void far_end_shut(int far_fd);

/*
 * While true, no connect is over when connect() returns, as on a network: the
 * answer comes in the next turn.
 */
extern _Atomic bool connects_are_slow;

/* connect() calls that weir made so far. */
extern _Atomic unsigned connects_begun;

#endif
