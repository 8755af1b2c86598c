/*
 * Talking to a running weir. See call.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/call.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/clock.h"
#include "proxy/started.h"

enum { BODY_MOST = 64 * 1024 * 1024 };

/* ------------------------------------------------------------------ target */

/* Where weir listens on all interfaces, it is reached by loopback. */
void
call_target_set(struct call_target *t, const struct addr *addr)
{
	struct sockaddr_in *v4;
	struct sockaddr_in6 *v6;

	t->addr = *addr;
	if (t->addr.sa.sa_family == AF_INET) {
		v4 = (struct sockaddr_in *)(void *)&t->addr.ss;
		if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
			v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else if (t->addr.sa.sa_family == AF_INET6) {
		v6 = (struct sockaddr_in6 *)(void *)&t->addr.ss;
		if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
			v6->sin6_addr = in6addr_loopback;
	}
	addr_print(&t->addr, t->shown);
}

static int
look_up(struct call_target *t, const struct addr_text *at, char *why,
    size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char port[8];
	int error;

	snprintf(port, sizeof(port), "%u", at->port);
	error = getaddrinfo(at->host, port, &hints, &found);
	if (error != 0 || found == NULL) {
		snprintf(why, size, "%s: %s", at->host, gai_strerror(error));
		return -1;
	}
	memcpy(&t->addr.ss, found->ai_addr, found->ai_addrlen);
	t->addr.len = found->ai_addrlen;
	freeaddrinfo(found);
	snprintf(t->shown, sizeof(t->shown), "%s:%s", at->host, port);
	return 0;
}

int
call_target_parse(struct call_target *t, const char *text, char *why,
    size_t size)
{
	struct addr_text at;
	struct addr addr;
	const char *reason;
	int result = 0;

	if (addr_text_parse(text, false, &at, &reason) < 0) {
		snprintf(why, size, "%s: %s", text, reason);
		return -1;
	}
	if (addr_from_text(&at, &addr) == 0)
		call_target_set(t, &addr);
	else
		result = look_up(t, &at, why, size);
	addr_text_fini(&at);
	return result;
}

void
call_target_fini(struct call_target *t)
{
	free(t->token);
	t->token = NULL;
}

/* -------------------------------------------------------------- connection */

static bool
nobody_listens(int error)
{
	return error == ECONNREFUSED || error == ENOENT;
}

static int
say(char *why, size_t size, const char *shown, const char *what)
{
	int error = errno;

	if (nobody_listens(error))
		snprintf(why, size, "%s: nothing listens at %s: was it started? "
		    "Its standard error says why not", what, shown);
	else if (error == EAGAIN || error == EINPROGRESS)
		snprintf(why, size, "%s at %s: no answer in time", what,
		    shown);
	else
		snprintf(why, size, "%s at %s: %s", what, shown,
		    strerror(error));
	return -1;
}

/* One that runs goes by the file as it was when it was started. */
static int
say_unreached(char *why, size_t size, const struct call_target *t)
{
	bool hint = nobody_listens(errno) && t->whose != NULL;
	size_t len;

	(void)say(why, size, t->shown, "cannot reach weir");
	len = strlen(why);
	if (hint)
		snprintf(why + len, size - len, ". If admin.bind of %s has "
		    "changed since it was started, --admin ADDR reaches the one "
		    "that runs", t->whose->path);
	return -1;
}

/* Linux holds connect() to SO_SNDTIMEO too (socket(7)). */
static int
connect_to(const struct call_target *t, int64_t timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
	    .tv_usec = timeout_ms % 1000 * 1000 };
	int fd = socket(t->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, &t->addr.sa, t->addr.len) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
send_all(int fd, const char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
send_request(int fd, const struct call_target *t, const char *method,
    const char *path, const char *body)
{
	const char *file = t->whose != NULL ? t->whose->sent : NULL;
	char *text, length[48] = "";
	int len, result;

	if (strcmp(method, "POST") == 0)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
		    strlen(body));
	len = asprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s%s"
	    "Connection: close\r\n\r\n", method, path,
	    t->addr.sa.sa_family == AF_UNIX ? "localhost" : t->shown,
	    t->token != NULL ? "Authorization: Bearer " : "",
	    t->token != NULL ? t->token : "", t->token != NULL ? "\r\n" : "",
	    length, file != NULL ? STARTED_FIELD ": " : "",
	    file != NULL ? file : "", file != NULL ? "\r\n" : "");
	if (len < 0)
		return -1;
	result = send_all(fd, text, (size_t)len);
	free(text);
	/* Who refuses a body answers before it has read it, and closes: what
	   was said counts, not that nobody listened to the rest. */
	if (result == 0)
		(void)send_all(fd, body, strlen(body));
	return result;
}

/* More bytes after those there are: how many; 0 at EOF; -1 and errno. */
static ssize_t
receive(struct call *c)
{
	ssize_t n;

	do
		n = recv(c->fd, c->bytes + c->len,
		    sizeof(c->bytes) - 1 - c->len, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		c->len += (size_t)n;
	c->bytes[c->len] = '\0';
	return n;
}

/* The value behind a field's name, to its line's end; NULL = another field. */
static char *
value_of(char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) != 0 || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " ");
}

/* The head is weir's own, so this need not know all of HTTP. */
static int
parse_head(struct call *c, char *end)
{
	static const char version[] = "HTTP/1.1 ";
	char *line, *value;

	*end = '\0';
	if (strncmp(c->bytes, version, sizeof(version) - 1) != 0)
		return -1;
	c->status = (unsigned)strtoul(c->bytes + sizeof(version) - 1, NULL, 10);
	if (c->status < 100 || c->status > 999)
		return -1;
	c->at = (size_t)(end - c->bytes) + 4;
	c->left = -1;
	c->file = NULL;
	for (line = strstr(c->bytes, "\r\n"); line != NULL;
	    line = strstr(line + 2, "\r\n"))
		if ((value = value_of(line + 2, "Content-Length")) != NULL)
			c->left = strtoll(value, NULL, 10);
		else if ((value = value_of(line + 2, STARTED_FIELD)) != NULL)
			c->file = value;
	if (c->file != NULL)
		*strchrnul(c->file, '\r') = '\0';
	return 0;
}

static int
read_head(struct call *c, const char *shown, int64_t until_ms, char *why,
    size_t size)
{
	ssize_t n;
	char *end;

	for (;;) {
		end = strstr(c->bytes, "\r\n\r\n");
		if (end != NULL && parse_head(c, end) == 0)
			return 0;
		if (end != NULL || c->len == sizeof(c->bytes) - 1)
			break;
		n = receive(c);
		if (n < 0)
			return say(why, size, shown, "no answer from weir");
		if (n == 0)
			break;
		/* What has come whole counts, however late. */
		if (clock_ms() > until_ms &&
		    strstr(c->bytes, "\r\n\r\n") == NULL) {
			errno = ETIMEDOUT;
			return say(why, size, shown, "no answer from weir");
		}
	}
	snprintf(why, size, "what is at %s does not answer as weir does",
	    shown);
	return -1;
}

static int
begin_once(struct call *c, const struct call_target *t, const char *method,
    const char *path, const char *body, int64_t timeout_ms, char *why,
    size_t size)
{
	int64_t until_ms = clock_ms() + timeout_ms;

	c->len = c->at = 0;
	c->status = 0;
	c->bytes[0] = '\0';
	c->fd = connect_to(t, timeout_ms);
	if (c->fd < 0)
		return say_unreached(why, size, t);
	if (send_request(c->fd, t, method, path, body) < 0) {
		(void)say(why, size, t->shown, "cannot talk to weir");
		call_end(c);
		return -1;
	}
	if (read_head(c, t->shown, until_ms, why, size) < 0) {
		call_end(c);
		return -1;
	}
	return 0;
}

static int
begin(struct call *c, const struct call_target *t, const char *method,
    const char *path, const char *body, int64_t timeout_ms, char *why,
    size_t size)
{
	for (;;) {
		if (begin_once(c, t, method, path, body, timeout_ms, why,
		    size) < 0)
			return -1;
		if (t->whose == NULL)
			return 0;
		switch (whose_judge(t->whose, c->status, c->file, t->shown,
		    why, size)) {
		case WHOSE_GOOD:
			return 0;
		case WHOSE_AGAIN:
			call_end(c);
			break;
		case WHOSE_BAD:
			call_end(c);
			return -1;
		}
	}
}

int
call_begin(struct call *c, const struct call_target *t, const char *method,
    const char *path, int64_t timeout_ms, char *why, size_t size)
{
	return begin(c, t, method, path, "", timeout_ms, why, size);
}

int64_t
call_read(struct call *c, char *out, size_t size, char *why, size_t why_size)
{
	size_t n;

	if (c->left == 0)
		return 0;
	if (c->at == c->len) {
		ssize_t got;

		c->at = c->len = 0;
		got = receive(c);
		if (got < 0) {
			snprintf(why, why_size, "the answer stopped: %s",
			    errno == EAGAIN ? "nothing came in time" :
			    strerror(errno));
			return -1;
		}
		if (got == 0 && c->left > 0) {
			snprintf(why, why_size, "the answer was cut off");
			return -1;
		}
		if (got == 0)
			return 0;
	}
	n = c->len - c->at;
	if (n > size)
		n = size;
	if (c->left >= 0 && n > (size_t)c->left)
		n = (size_t)c->left;
	memcpy(out, c->bytes + c->at, n);
	c->at += n;
	if (c->left > 0)
		c->left -= (int64_t)n;
	return (int64_t)n;
}

void
call_end(struct call *c)
{
	close(c->fd);
	c->fd = -1;
}

static int
whole(const struct call_target *t, const char *method, const char *path,
    const char *text, int64_t timeout_ms, char **body, char *why, size_t size)
{
	size_t len = 0, room = 0;
	char *all = NULL;
	struct call c;
	int64_t n = 1;

	if (begin(&c, t, method, path, text, timeout_ms, why, size) < 0)
		return -1;
	while (n > 0) {
		if (room - len < 4096) {
			char *more = len < BODY_MOST ?
			    realloc(all, room * 2 + 8192) : NULL;

			if (more == NULL) {
				snprintf(why, size, "the answer is too large");
				n = -1;
				break;
			}
			all = more;
			room = room * 2 + 8192;
		}
		n = call_read(&c, all + len, room - len - 1, why, size);
		if (n > 0)
			len += (size_t)n;
	}
	call_end(&c);
	if (n < 0) {
		free(all);
		return -1;
	}
	all[len] = '\0';
	*body = all;
	return (int)c.status;
}

int
call_whole(const struct call_target *t, const char *method, const char *path,
    int64_t timeout_ms, char **body, char *why, size_t size)
{
	return whole(t, method, path, "", timeout_ms, body, why, size);
}

int
call_post(const struct call_target *t, const char *path, const char *text,
    int64_t timeout_ms, char **body, char *why, size_t size)
{
	return whole(t, "POST", path, text, timeout_ms, body, why, size);
}
