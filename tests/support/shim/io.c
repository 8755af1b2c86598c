/*
 * To be preloaded: stream sockets that do less than they could, calls that are
 * interrupted or fail, and a wall clock that jumps. See control.h.
 *
 * weir reads and writes through syscall(), so that is stood in for as well.
 * Everything passes as it is until the page says otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#include "control.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

enum { IOV_MOST = 64 };

static struct shim_control *page;

static __attribute__((constructor)) void
begin(void)
{
	page = shim_open();
}

static uint64_t
draw(void)
{
	uint64_t x = atomic_fetch_add(&page->seed, 0x9e3779b97f4a7c15u);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool
strikes(enum shim_fault f)
{
	uint32_t rate = page != NULL ? page->fault[f].rate : 0;

	if (rate == 0 || draw() % 65536 >= rate)
		return false;
	page->fault[f].hits++;
	return true;
}

/* True: fail with what is in errno now. */
static bool
fails(enum shim_fault f, int error)
{
	if (!strikes(f))
		return false;
	errno = error != 0 ? error : page->fault[f].error;
	return true;
}

static bool
is_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type = 0, saved = errno, ok;

	if (page == NULL)
		return false;
	ok = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
	errno = saved;
	return ok && type == SOCK_STREAM;
}

/* Part of n, at least 1. */
static size_t
part(size_t n)
{
	return n > 1 && strikes(SHIM_SHORT) ? 1 + draw() % (n - 1) : n;
}

static bool
interrupted(void)
{
	return fails(SHIM_EINTR, EINTR) || fails(SHIM_EAGAIN, EAGAIN);
}

/* Like the real one, but from here: no wrapper is called by another. */
static long
enter(long number, long a, long b, long c, long d, long e, long f)
{
	static long (*real)(long, ...);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real(number, a, b, c, d, e, f);
}

/* A worker that writes hangs; main never does. */
static void
stall(void)
{
	const struct timespec moment = { .tv_nsec = 10000000 };

	while (page->stall != 0 && gettid() != getpid())
		if (page->stall == 1)
			enter(SYS_nanosleep, (long)&moment, 0, 0, 0, 0, 0);
}

static ssize_t
rw(long number, int fd, long bytes, size_t n)
{
	if (is_stream(fd)) {
		if (number == SYS_write)
			stall();
		if (interrupted())
			return -1;
		n = part(n);
	}
	return enter(number, fd, bytes, (long)n, 0, 0, 0);
}

/* A vector cut to a part of its bytes. */
static ssize_t
rwv(long number, int fd, const struct iovec *iov, int count)
{
	struct iovec some[IOV_MOST];
	size_t all = 0, left;
	int i;

	if (!is_stream(fd) || count > IOV_MOST)
		return enter(number, fd, (long)iov, count, 0, 0, 0);
	stall();
	if (interrupted())
		return -1;
	for (i = 0; i < count; i++)
		all += iov[i].iov_len;
	left = part(all);
	for (i = 0; i < count && left > 0; i++) {
		some[i] = iov[i];
		if (some[i].iov_len > left)
			some[i].iov_len = left;
		left -= some[i].iov_len;
	}
	return enter(number, fd, (long)some, i, 0, 0, 0);
}

static int
wall(clockid_t id, struct timespec *t)
{
	int got = (int)enter(SYS_clock_gettime, id, (long)t, 0, 0, 0, 0);
	int64_t ns;

	if (got < 0 || page == NULL || (id != CLOCK_REALTIME &&
	    id != CLOCK_REALTIME_COARSE))
		return got;
	ns = t->tv_nsec + page->wall_ns % 1000000000;
	t->tv_sec += page->wall_ns / 1000000000;
	if (ns < 0 || ns >= 1000000000) {
		t->tv_sec += ns < 0 ? -1 : 1;
		ns -= ns < 0 ? -1000000000 : 1000000000;
	}
	t->tv_nsec = ns;
	return got;
}

/* ------------------------------------------------------- what is replaced */

long
syscall(long number, ...)
{
	long a[6];
	va_list args;
	int i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	switch (number) {
	case SYS_read:
	case SYS_write:
		return rw(number, (int)a[0], a[1], (size_t)a[2]);
	case SYS_readv:
	case SYS_writev:
		return rwv(number, (int)a[0], (struct iovec *)a[1], (int)a[2]);
	case SYS_clock_gettime:
		return wall((clockid_t)a[0], (struct timespec *)a[1]);
	default:
		return enter(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

ssize_t
read(int fd, void *to, size_t n)
{
	return rw(SYS_read, fd, (long)to, n);
}

ssize_t
write(int fd, const void *from, size_t n)
{
	return rw(SYS_write, fd, (long)from, n);
}

ssize_t
readv(int fd, const struct iovec *iov, int count)
{
	return rwv(SYS_readv, fd, iov, count);
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	return rwv(SYS_writev, fd, iov, count);
}

ssize_t
recv(int fd, void *to, size_t n, int flags)
{
	if (is_stream(fd) && !(flags & MSG_PEEK)) {
		if (interrupted())
			return -1;
		n = part(n);
	}
	return enter(SYS_recvfrom, fd, (long)to, (long)n, flags, 0, 0);
}

ssize_t
send(int fd, const void *from, size_t n, int flags)
{
	if (is_stream(fd)) {
		if (interrupted())
			return -1;
		n = part(n);
	}
	return enter(SYS_sendto, fd, (long)from, (long)n, flags, 0, 0);
}

int
accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	if (interrupted() || fails(SHIM_ACCEPT, 0))
		return -1;
	return (int)enter(SYS_accept4, fd, (long)from, (long)len, flags, 0, 0);
}

int
connect(int fd, const struct sockaddr *to, socklen_t len)
{
	if (is_stream(fd) && fails(SHIM_CONNECT, 0))
		return -1;
	return (int)enter(SYS_connect, fd, (long)to, len, 0, 0, 0);
}

int
socket(int domain, int type, int protocol)
{
	if ((type & 15) == SOCK_STREAM && fails(SHIM_SOCKET, 0))
		return -1;
	return (int)enter(SYS_socket, domain, type, protocol, 0, 0, 0);
}

int
epoll_wait(int fd, struct epoll_event *events, int most, int ms)
{
	if (fails(SHIM_EINTR, EINTR))
		return -1;
	return (int)enter(SYS_epoll_wait, fd, (long)events, most, ms, 0, 0);
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	return wall(id, t);
}

int
gettimeofday(struct timeval *restrict to, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	if (wall(CLOCK_REALTIME, &t) < 0)
		return -1;
	to->tv_sec = t.tv_sec;
	to->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *to)
{
	struct timespec t;

	(void)wall(CLOCK_REALTIME, &t);
	if (to != NULL)
		*to = t.tv_sec;
	return t.tv_sec;
}
