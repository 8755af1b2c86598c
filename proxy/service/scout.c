/*
 * The scout. See scout.h.
 *
 * Who asks sends a byte to its socket and with it one end of a pair of sockets,
 * on which question and answer go: so several may ask, also of two processes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/scout.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/service/sandbox.h"

/* The number of its socket, for a weir that takes over. */
#define VARIABLE "WEIR_SCOUT"

enum {
	ENDS_MOST = 16384,              /* asked for at a time */
	ANSWER_S = 5                    /* process_look() takes 2 */
};

static void
limit_waiting(int fd)
{
	const struct timeval most = { .tv_sec = ANSWER_S };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
}

static int
send_whole(int fd, const void *from, size_t n)
{
	const char *at = from;

	while (n > 0) {
		ssize_t some = send(fd, at, n, MSG_NOSIGNAL);

		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			return -1;
		at += some;
		n -= (size_t)some;
	}
	return 0;
}

static int
receive_whole(int fd, void *to, size_t n)
{
	char *at = to;

	while (n > 0) {
		ssize_t some = recv(fd, at, n, 0);

		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			return -1;
		at += some;
		n -= (size_t)some;
	}
	return 0;
}

/* ---------------------------------------------------------- in the scout */

/* What comes is from a weir that may not be itself any more. */
static void
answer(int fd)
{
	struct process_end *ends;
	uint32_t n;

	limit_waiting(fd);
	if (receive_whole(fd, &n, sizeof(n)) < 0 || n == 0 || n > ENDS_MOST)
		return;
	ends = calloc(n, sizeof(*ends));
	if (ends != NULL && receive_whole(fd, ends, n * sizeof(*ends)) == 0) {
		process_look(ends, n);
		(void)send_whole(fd, ends, n * sizeof(*ends));
	}
	free(ends);
}

/* The socket to answer on; -1 = nobody is there any more; -2 = that was none. */
static int
next_question(int scout)
{
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(scout, &m, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd;

	if (n <= 0)
		return n < 0 && errno == EINTR ? -2 : -1;
	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -2;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* It has a copy of everything that weir has; it keeps its socket and memory. */
static _Noreturn void
be_scout(int scout)
{
	char why[128];
	sigset_t all;
	int fd;

	/* It ends with weir, not by what the terminal or a manager says to all
	   of weir's processes. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "weir-scout", 0, 0, 0);
	if (dup2(scout, STDIN_FILENO) < 0 ||
	    syscall(SYS_close_range, STDIN_FILENO + 1, ~0U, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	/* As for weir: what the kernel has not got is missing. */
	(void)seccomp_enter(SECCOMP_SCOUT, why, sizeof(why));
	while ((fd = next_question(STDIN_FILENO)) != -1)
		if (fd >= 0) {
			answer(fd);
			close(fd);
		}
	_exit(0);
}

/* ------------------------------------------------------------------ in weir */

static int
inherited(void)
{
	const char *text = getenv(VARIABLE);
	int fd = text != NULL ? atoi(text) : -1, type = 0;
	socklen_t len = sizeof(type);

	if (fd <= STDERR_FILENO ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    type != SOCK_SEQPACKET)
		return -1;
	return fd;
}

static int
start(void)
{
	char text[16];
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		be_scout(fds[1]);
	close(fds[1]);
	snprintf(text, sizeof(text), "%d", fds[0]);
	/* Whom weir starts is to have it; that is only a weir. */
	if (pid < 0 || fcntl(fds[0], F_SETFD, 0) < 0 ||
	    setenv(VARIABLE, text, 1) < 0) {
		close(fds[0]);
		return -1;
	}
	return fds[0];
}

int
scout_open(bool wanted)
{
	int fd = inherited();

	if (fd >= 0 || !wanted)
		return fd;
	fd = start();
	if (fd < 0)
		log_warn("sandbox", "who local clients are will not be known: "
		    "%s", strerror(errno));
	return fd;
}

/* The end that the answer will be on; -1 = nobody was reached. */
static int
ask(int scout)
{
	char byte = 0;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fds[1], sizeof(int));
	if (sendmsg(scout, &m, MSG_NOSIGNAL) != 1) {
		close(fds[0]);
		fds[0] = -1;
	}
	close(fds[1]);
	return fds[0];
}

static int
look_some(int scout, struct process_end *ends, uint32_t n)
{
	int fd = ask(scout), done = -1;

	if (fd < 0)
		return -1;
	limit_waiting(fd);
	if (send_whole(fd, &n, sizeof(n)) == 0 &&
	    send_whole(fd, ends, n * sizeof(*ends)) == 0 &&
	    receive_whole(fd, ends, n * sizeof(*ends)) == 0)
		done = 0;
	close(fd);
	return done;
}

void
scout_look(int scout, struct process_end *ends, size_t n)
{
	while (n > 0) {
		uint32_t some = n < ENDS_MOST ? (uint32_t)n : ENDS_MOST;

		if (look_some(scout, ends, some) < 0)
			return;
		ends += some;
		n -= some;
	}
}
