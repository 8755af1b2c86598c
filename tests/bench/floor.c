/*
 * The floor that proxies are measured against: connects for each client and
 * copies bytes both ways until both ends have said FIN. It parses, shares,
 * counts and times out nothing; one thread, one buffer.
 *
 * usage: floor LISTEN_PORT ORIGIN_PORT        (both on 127.0.0.1)
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One of the two sockets of a client; both live in one array of two. */
struct end {
	int fd;			/* -1 once closed */
	bool ended;		/* its FIN was read and passed on */
	char *held;		/* NULL until the other first took too little */
	size_t held_at;		/* of held: */
	size_t held_bytes;	/* read here, not yet taken by the other */
	struct end *other;
	struct end *next;	/* of the dead */
};

static int epfd;
static struct end *dead;
/* Shared, and so large because less costs more with large transfers. */
static char buf[262144];

static struct sockaddr_in
loopback(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((unsigned short)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return a;
}

/* Both at once; the memory goes when no event can point to it any more. */
static void
close_both(struct end *e)
{
	if (e->fd < 0)
		return;
	close(e->fd);
	close(e->other->fd);
	e->fd = e->other->fd = -1;
	e->next = dead;
	dead = e;
}

static void
free_dead(void)
{
	struct end *e;

	while ((e = dead) != NULL) {
		dead = e->next;
		free(e->held);
		free(e->other->held);
		free(e < e->other ? e : e->other);
	}
}

/*
 * Write n bytes of from, which is buf or e->held, as far as the other end takes
 * them; the rest is held. False when the other end is gone.
 */
static bool
pass_on(struct end *e, char *from, size_t n)
{
	ssize_t put = write(e->other->fd, from, n);

	if (put < 0 && errno != EAGAIN)
		return false;
	if (put < 0)
		put = 0;
	e->held_bytes = n - (size_t)put;
	if (e->held != NULL) {
		e->held_at = (size_t)(from - e->held) + (size_t)put;
	} else if (e->held_bytes > 0) {
		if ((e->held = malloc(sizeof(buf))) == NULL)
			return false;
		memcpy(e->held, from + put, e->held_bytes);
	}
	return true;
}

/*
 * Move what can be moved from e to the other. A read that did not fill the
 * buffer took all there was, so the next edge tells of more, except that a FIN
 * behind it brought its edge already: with fin, read until it.
 */
static void
copy(struct end *e, bool fin)
{
	char *into;
	ssize_t n;

	if (e->held_bytes > 0) {
		fin = true;	/* it may have come in the meantime */
		if (!pass_on(e, e->held + e->held_at, e->held_bytes)) {
			close_both(e);
			return;
		}
	}
	while (!e->ended && e->held_bytes == 0) {
		into = e->held != NULL ? e->held : buf;
		n = read(e->fd, into, sizeof(buf));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (n > 0 && !pass_on(e, into, (size_t)n))) {
			close_both(e);
			return;
		}
		if (n == 0) {
			e->ended = true;
			shutdown(e->other->fd, SHUT_WR);
			if (e->other->ended)
				close_both(e);
			return;
		}
		if (n < (ssize_t)sizeof(buf) && !fin)
			return;
	}
}

static void
watch(struct end *e)
{
	struct epoll_event ev = { .data.ptr = e,
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };

	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, e->fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static void
accept_all(int listener, const struct sockaddr_in *origin)
{
	struct end *pair;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if ((pair = calloc(2, sizeof(*pair))) == NULL)
			err(1, "calloc");
		pair[0].fd = fd;
		pair[1].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		pair[0].other = &pair[1];
		pair[1].other = &pair[0];
		if (pair[1].fd < 0 || (connect(pair[1].fd,
		    (const struct sockaddr *)origin, sizeof(*origin)) < 0 &&
		    errno != EINPROGRESS))
			err(1, "connect");
		watch(&pair[0]);
		watch(&pair[1]);
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		err(1, "accept");
}

static int
listen_on(const struct sockaddr_in *a)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ||
	    listen(fd, 4096) < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		err(1, "listen");
	return fd;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in here, origin;
	struct epoll_event events[256];
	struct end *e;
	int listener, i, n;

	if (argc != 3)
		errx(2, "usage: floor LISTEN_PORT ORIGIN_PORT");
	signal(SIGPIPE, SIG_IGN);
	here = loopback(argv[1]);
	origin = loopback(argv[2]);
	if ((epfd = epoll_create1(0)) < 0)
		err(1, "epoll_create1");
	listener = listen_on(&here);
	for (;;) {
		n = epoll_wait(epfd, events, 256, -1);
		for (i = 0; i < n; i++) {
			bool fin = events[i].events & (EPOLLRDHUP | EPOLLHUP);

			if ((e = events[i].data.ptr) == NULL) {
				accept_all(listener, &origin);
				continue;
			}
			if (e->fd >= 0 && events[i].events & ~EPOLLOUT)
				copy(e, fin);
			if (e->fd >= 0 && events[i].events & EPOLLOUT &&
			    e->other->held_bytes > 0)
				copy(e->other, true);
		}
		free_dead();
	}
}
