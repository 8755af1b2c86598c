/*
 * Scripted far ends. See far_end.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/far_end.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

_Atomic bool connects_are_slow;
_Atomic unsigned connects_begun;

/*
 * In the place of the C library's. Slow: the kernel connects, but it is said to
 * be under way, also when asked again (net/conn asks twice).
 */
int
connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t len)
{
	static _Thread_local int under_way = -1;
	int got;

	if (connects_are_slow && fd == under_way) {
		under_way = -1;
		errno = EALREADY;
		return -1;
	}
	connects_begun++;
	got = (int)syscall(SYS_connect, fd, to.__sockaddr__, len);
	if (!connects_are_slow || (got < 0 && errno != EINPROGRESS))
		return got;
	under_way = fd;
	errno = EINPROGRESS;
	return -1;
}

static int
bound_socket(struct far_end *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof(one)), 0);
	assert_int_equal(bind(fd, &f->addr.sa, f->addr.len), 0);
	return fd;
}

void
far_end_open(struct far_end *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };

	memset(f, 0, sizeof(*f));
	memcpy(&f->addr.ss, &in, sizeof(in));
	f->addr.len = sizeof(in);
	f->keeper = bound_socket(f);
	assert_int_equal(getsockname(f->keeper, &f->addr.sa, &f->addr.len), 0);
	f->listener = -1;
	far_end_welcome(f);
}

void
far_end_close(struct far_end *f)
{
	far_end_refuse(f);
	while (f->n > 0)
		far_end_reset(f, f->fds[0]);
	close(f->keeper);
}

static void
unclog(struct far_end *f)
{
	while (f->n_clog > 0)
		close(f->clog[--f->n_clog]);
}

void
far_end_refuse(struct far_end *f)
{
	unclog(f);
	if (f->listener >= 0) {
		far_end_accept(f);
		close(f->listener);
	}
	f->listener = -1;
}

void
far_end_welcome(struct far_end *f)
{
	far_end_refuse(f);
	f->listener = bound_socket(f);
	assert_int_equal(listen(f->listener, 1024), 0);
}

/* With the queue of a listener full, Linux drops what comes further. */
void
far_end_clog(struct far_end *f)
{
	far_end_refuse(f);
	f->listener = bound_socket(f);
	assert_int_equal(listen(f->listener, 0), 0);
	while (f->n_clog < NELEMS(f->clog)) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		(void)syscall(SYS_connect, fd, &f->addr.sa, f->addr.len);
		f->clog[f->n_clog++] = fd;
	}
}

void
far_end_accept(struct far_end *f)
{
	int fd;

	if (f->listener < 0 || f->n_clog > 0)
		return;
	while ((fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK |
	    SOCK_CLOEXEC)) >= 0) {
		assert_true(f->n < FAR_END_MOST);
		f->fds[f->n++] = fd;
		f->accepted++;
	}
	assert_true(errno == EAGAIN || errno == ECONNABORTED);
}

int
far_end_of(struct far_end *f, int fd)
{
	struct sockaddr_in ours, theirs;
	socklen_t len = sizeof(ours);
	unsigned i;

	far_end_accept(f);
	if (getsockname(fd, (struct sockaddr *)&ours, &len) < 0)
		return -1;
	for (i = 0; i < f->n; i++) {
		len = sizeof(theirs);
		if (getpeername(f->fds[i], (struct sockaddr *)&theirs,
		    &len) == 0 && theirs.sin_port == ours.sin_port)
			return f->fds[i];
	}
	return -1;
}

void
far_end_say(int far_fd, const void *bytes, size_t len)
{
	assert_int_equal(send(far_fd, bytes, len, MSG_NOSIGNAL), len);
}

int
far_end_hear(int far_fd, void *bytes, size_t size)
{
	ssize_t n = recv(far_fd, bytes, size, 0);

	if (n < 0 && errno == EAGAIN)
		return 0;
	return n > 0 ? (int)n : -1;
}

static void
forget(struct far_end *f, int far_fd)
{
	unsigned i;

	for (i = 0; i < f->n && f->fds[i] != far_fd; i++)
		;
	assert_true(i < f->n);
	f->fds[i] = f->fds[--f->n];
}

void
far_end_hang_up(struct far_end *f, int far_fd)
{
	forget(f, far_fd);
	close(far_fd);
}

void
far_end_reset(struct far_end *f, int far_fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	forget(f, far_fd);
	assert_int_equal(setsockopt(far_fd, SOL_SOCKET, SO_LINGER, &hard,
	    sizeof(hard)), 0);
	close(far_fd);
}

void
far_end_tidy(struct far_end *f)
{
	char bytes[4096];
	unsigned i = 0;

	far_end_accept(f);
	while (i < f->n) {
		/* A RST spares the kernel a minute of TIME_WAIT: thousands of
		   them would use up the ports. */
		if (far_end_hear(f->fds[i], bytes, sizeof(bytes)) < 0)
			far_end_reset(f, f->fds[i]);
		else
			i++;
	}
}

void
far_end_shut(int far_fd)
{
	assert_int_equal(shutdown(far_fd, SHUT_WR), 0);
}
