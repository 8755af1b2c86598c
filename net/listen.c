/*
 * Listening sockets. See listen.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/listen.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int
say(char *why, size_t size, const char *what, const struct addr *at)
{
	char text[ADDR_TEXT_MAX];
	int error = errno;

	snprintf(why, size, "cannot %s %s: %s", what, addr_print(at, text),
	    strerror(error));
	return -1;
}

static int
socket_new(const struct addr *at)
{
	int one = 1;
	int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);

	if (fd < 0 || at->sa.sa_family == AF_UNIX)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* "[::]:80" and "0.0.0.0:80" are two addresses, as written. */
	if (at->sa.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
		    sizeof(one));
	return fd;
}

/* 1 = a socket file is there, 0 = nothing is. */
static int
look_at_file(const struct addr *at, char *why, size_t size)
{
	struct stat st;

	if (lstat(at->un.sun_path, &st) < 0)
		return errno == ENOENT ? 0 : say(why, size, "look at", at);
	if (S_ISSOCK(st.st_mode))
		return 1;
	snprintf(why, size, "cannot bind unix:%s: a file that is not a socket "
	    "is there", at->un.sun_path);
	return -1;
}

/* Takes away a socket file that a dead process left. 0 = the way is free. */
static int
replace_stale(const struct addr *at, char *why, size_t size)
{
	int found = look_at_file(at, why, size);
	int fd, alive;

	if (found <= 0)
		return found;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return say(why, size, "bind", at);
	/* EAGAIN: somebody listens whose backlog is full. */
	alive = connect(fd, &at->sa, at->len) == 0 || errno == EAGAIN;
	close(fd);
	if (alive) {
		errno = EADDRINUSE;
		return say(why, size, "bind", at);
	}
	if (unlink(at->un.sun_path) < 0 && errno != ENOENT)
		return say(why, size, "replace", at);
	return 0;
}

static int
set_owner(const struct addr *at, const struct listen_options *o, char *why,
    size_t size)
{
	const struct passwd *pw = o->owner ? getpwnam(o->owner) : NULL;
	const struct group *gr = o->group ? getgrnam(o->group) : NULL;

	if (o->mode >= 0 && chmod(at->un.sun_path, (mode_t)o->mode) < 0)
		return say(why, size, "set the mode of", at);
	if ((pw != NULL || gr != NULL) && chown(at->un.sun_path,
	    pw != NULL ? pw->pw_uid : (uid_t)-1,
	    gr != NULL ? gr->gr_gid : (gid_t)-1) < 0)
		return say(why, size, "set the owner of", at);
	return 0;
}

int
listen_open(const struct addr *at, const struct listen_options *o, char *why,
    size_t size)
{
	int backlog = o->backlog > 0 ? o->backlog : 65535;
	bool is_unix = at->sa.sa_family == AF_UNIX;
	int one = 1, fd, bound;
	mode_t mask = 0;

	if (is_unix && replace_stale(at, why, size) < 0)
		return -1;
	fd = socket_new(at);
	if (fd < 0)
		return say(why, size, "bind", at);
	if (o->reuse_port && !is_unix)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one,
		    sizeof(one));
	/* A file whose mode will be narrowed is not born wide open. */
	if (is_unix && o->mode >= 0)
		mask = umask(0777 & ~(mode_t)o->mode);
	bound = bind(fd, &at->sa, at->len);
	if (is_unix && o->mode >= 0)
		umask(mask);
	if (bound < 0) {
		(void)say(why, size, "bind", at);
		goto fail;
	}
	if (is_unix && set_owner(at, o, why, size) < 0)
		goto fail;
	if (listen(fd, backlog) < 0) {
		(void)say(why, size, "listen on", at);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

/* Whoever listens there must not see a client come and go. A socket of another
   type is told that it is of the wrong one, or that nobody is there (unix(7),
   EPROTOTYPE). */
static int
try_file(const struct addr *at, char *why, size_t size)
{
	int found = look_at_file(at, why, size);
	int fd, alive;

	if (found <= 0)
		return found;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return say(why, size, "bind", at);
	alive = connect(fd, &at->sa, at->len) < 0 && errno == EPROTOTYPE;
	close(fd);
	if (!alive)
		return 0;
	errno = EADDRINUSE;
	return say(why, size, "bind", at);
}

int
listen_try(const struct addr *at, char *why, size_t size)
{
	int fd, ok;

	if (at->sa.sa_family == AF_UNIX)
		return try_file(at, why, size);
	fd = socket_new(at);
	if (fd < 0)
		return say(why, size, "bind", at);
	ok = bind(fd, &at->sa, at->len);
	if (ok < 0)
		(void)say(why, size, "bind", at);
	close(fd);
	return ok;
}

void
listen_close(int fd, const struct addr *at)
{
	close(fd);
	if (at->sa.sa_family == AF_UNIX)
		(void)unlink(at->un.sun_path);
}
