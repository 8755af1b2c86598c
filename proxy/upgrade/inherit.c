/*
 * Inherited sockets. See inherit.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/log.h"

/* sd_listen_fds(3): SD_LISTEN_FDS_START. */
enum { FIRST_FD = 3, FDS_MOST = 1024 };

static int
look_at(int fd, struct addr *addr, char *why, size_t size)
{
	int type = 0, listens = 0;
	socklen_t len = sizeof(int);

	addr->len = sizeof(addr->ss);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
	    getsockname(fd, &addr->sa, &addr->len) < 0)
		snprintf(why, size, "no socket: %s", strerror(errno));
	else if (type != SOCK_STREAM || !listens)
		snprintf(why, size, "not a stream socket that listens");
	else if (addr->sa.sa_family != AF_UNIX &&
	    addr->sa.sa_family != AF_INET && addr->sa.sa_family != AF_INET6)
		snprintf(why, size, "of an unknown address family");
	else
		return 0;
	return -1;
}

bool
inherit_is_given(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

/* As listen_open() would have left it. */
static int
set_up(int fd, int family)
{
	int flags = fcntl(fd, F_GETFL), one = 1;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
	return 0;
}

int
inherit_add(struct inheritance *in, int fd, const struct addr *addr,
    bool foreign, bool handed, char *why, size_t size)
{
	struct inherited *more;
	struct addr own;

	if (look_at(fd, &own, why, size) < 0)
		return -1;
	more = realloc(in->v, (in->n + 1) * sizeof(*more));
	if (more == NULL || set_up(fd, own.sa.sa_family) < 0) {
		in->v = more != NULL ? more : in->v;
		snprintf(why, size, "%s", strerror(errno));
		return -1;
	}
	in->v = more;
	in->v[in->n++] = (struct inherited){ .addr = addr != NULL ? *addr :
	    own, .fd = fd, .foreign = foreign, .handed = handed };
	return 0;
}

/* A whole number that is nothing else; -1. */
static long
number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (text == NULL || *text == '\0')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? n : -1;
}

void
inherit_from_manager(struct inheritance *in)
{
	long pid = number_of("LISTEN_PID"), n = number_of("LISTEN_FDS");
	char why[256];
	int fd;

	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (pid != (long)getpid() || n <= 0)
		return;
	if (n > FDS_MOST) {
		log_warn(NULL, "LISTEN_FDS says %ld sockets, of which %d are "
		    "looked at", n, FDS_MOST);
		n = FDS_MOST;
	}
	for (fd = FIRST_FD; fd < FIRST_FD + n; fd++) {
		if (!inherit_is_given(fd)) {
			log_warn(NULL, "LISTEN_FDS tells of a descriptor %d, "
			    "and there is none", fd);
			continue;
		}
		if (inherit_add(in, fd, NULL, true, false, why,
		    sizeof(why)) == 0)
			continue;
		log_warn(NULL, "descriptor %d of LISTEN_FDS is %s", fd, why);
		close(fd);
	}
}

size_t
inherit_count(const struct inheritance *in, const struct addr *addr)
{
	size_t n = 0, i;

	for (i = 0; i < in->n; i++)
		n += in->v[i].fd >= 0 && addr_equal(&in->v[i].addr, addr);
	return n;
}

int
inherit_take(struct inheritance *in, const struct addr *addr, bool *foreign)
{
	size_t i;

	for (i = 0; i < in->n; i++) {
		struct inherited *one = &in->v[i];
		int fd = one->fd;

		if (fd < 0 || !addr_equal(&one->addr, addr))
			continue;
		*foreign = one->foreign;
		one->fd = -1;
		return fd;
	}
	return -1;
}

void
inherit_drop(struct inheritance *in)
{
	size_t i;

	for (i = 0; i < in->n; i++)
		if (in->v[i].fd >= 0)
			close(in->v[i].fd);
	free(in->v);
	*in = (struct inheritance){ 0 };
}

void
inherit_end(struct inheritance *in)
{
	char text[ADDR_TEXT_MAX];
	size_t i;

	for (i = 0; i < in->n; i++) {
		const struct inherited *one = &in->v[i];

		if (one->fd < 0)
			continue;
		log_warn(NULL, "no listener is bound to %s any more: the "
		    "socket that was handed in is closed",
		    addr_print(&one->addr, text));
		if (one->addr.sa.sa_family == AF_UNIX && one->handed &&
		    !one->foreign)
			(void)unlink(one->addr.un.sun_path);
	}
	inherit_drop(in);
}
