/*
 * Kernel TLS. See tls_kernel.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[120];

/* Connected sockets alone can have it; nobody needs to accept for that. */
static int
connect_to(int listener)
{
	struct sockaddr_in self = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *sa = (struct sockaddr *)&self;
	socklen_t n = sizeof(self);
	int fd;

	if (listener < 0 || bind(listener, sa, n) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, sa, &n) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, sa, n) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
ask(void)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = connect_to(listener);

	/* Documentation/networking/tls.rst: the module is loaded for it. */
	if (fd < 0)
		snprintf(answer, sizeof(answer), "unavailable: not known, no "
		    "connection to 127.0.0.1");
	else if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) == 0)
		snprintf(answer, sizeof(answer), "available");
	else
		snprintf(answer, sizeof(answer), "unavailable: %s",
		    errno == ENOENT ? "no module tls" : strerror(errno));
	if (fd >= 0)
		close(fd);
	if (listener >= 0)
		close(listener);
}

const char *
tls_kernel(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, ask);
	return answer;
}
