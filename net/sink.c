/*
 * Sinks of logs. See sink.h.
 *
 * Descriptors that weir opens itself are non-blocking. Standard output and
 * error are shared with other processes, which a flag set on them would upset:
 * pipes and terminals are opened a second time, sockets know MSG_DONTWAIT, and
 * what is left is asked by poll() before each write.
 *
 * Pipes get at most PIPE_BUF bytes at once, whole lines: such a write is not
 * mixed with those of others (pipe(7)).
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/ring.h"

#define DEV_LOG "/dev/log"

enum {
	FILE_MODE = 0640,
	SYSLOG_LINE_MAX = 7000,         /* rsyslog and journald take 8 KiB */
	SYSLOG_PRIORITY = 3 * 8 + 6,    /* RFC 3164 4.1.1: daemon, info */
	SYSLOG_RETRY_S = 1
};

enum kind {
	KIND_FILE,                      /* never refuses, may fail */
	KIND_PIPE,                      /* FIFO or terminal, non-blocking */
	KIND_STREAM,                    /* socket */
	KIND_SHARED,                    /* would block: poll first */
	KIND_SYSLOG
};

struct sink {
	enum kind kind;
	int  fd;                        /* -1: syslog without its socket */
	bool by_path;                   /* opened by name: can be again */
	char *name;                     /* as configured */
	const char *path;               /* of syslog's socket; in name */
	time_t retry_s;                 /* syslog, monotonic: connect again */
	time_t head_s;                  /* syslog: when head was made */
	char head[96];
	size_t rest_at, rest_len;       /* of a line that was begun */
	char rest[RING_LINE_MAX];
};

/* --------------------------------------------------------------------- open */

static int
set_why(char *why, size_t size, const char *target, const char *what)
{
	snprintf(why, size, "cannot log to %s: %s", target, what);
	return -1;
}

static enum kind
kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return KIND_FILE;
	return S_ISSOCK(st.st_mode) ? KIND_STREAM : KIND_PIPE;
}

/* Standard output or error. */
static int
open_standard(struct sink *s, int fd)
{
	char path[32];

	s->kind = kind_of(fd);
	s->fd = -1;
	if (s->kind == KIND_PIPE) {
		/* An open file of our own, on the same pipe or terminal. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		s->fd = open(path, O_WRONLY | O_NONBLOCK | O_APPEND |
		    O_CLOEXEC | O_NOCTTY);
		if (s->fd < 0)
			s->kind = KIND_SHARED;
	}
	if (s->fd < 0)
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return s->fd < 0 ? -1 : 0;
}

static int
open_path(const char *path)
{
	const int flags = O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY;
	struct stat st;
	int fd = open(path, flags | O_WRONLY | O_CREAT, FILE_MODE);

	/* A FIFO that nobody reads yet cannot be opened for writing alone
	   (fifo(7)); what is written waits in it. */
	if (fd < 0 && errno == ENXIO && stat(path, &st) == 0 &&
	    S_ISFIFO(st.st_mode))
		fd = open(path, flags | O_RDWR);
	return fd;
}

static int
connect_syslog(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(un.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
		error = errno;
		close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}

static int
open_target(struct sink *s, const char *target)
{
	if (strcmp(target, "stdout") == 0 || strcmp(target, "/dev/stdout") == 0)
		return open_standard(s, STDOUT_FILENO);
	if (strcmp(target, "stderr") == 0 || strcmp(target, "/dev/stderr") == 0)
		return open_standard(s, STDERR_FILENO);
	if (strncmp(target, "syslog", 6) == 0 &&
	    (target[6] == '\0' || target[6] == ':')) {
		s->kind = KIND_SYSLOG;
		s->path = target[6] == ':' ? s->name + 7 : DEV_LOG;
		s->fd = connect_syslog(s->path);
		return s->fd < 0 ? -1 : 0;
	}
	s->by_path = true;
	s->fd = open_path(target);
	if (s->fd < 0)
		return -1;
	s->kind = kind_of(s->fd);
	return 0;
}

struct sink *
sink_open(const char *target, char *why, size_t size)
{
	struct sink *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->name = strdup(target)) == NULL) {
		set_why(why, size, target, "out of memory");
		free(s);
		return NULL;
	}
	if (open_target(s, target) < 0) {
		set_why(why, size, target, strerror(errno));
		free(s->name);
		free(s);
		return NULL;
	}
	return s;
}

void
sink_close(struct sink *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s);
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool
sink_is_stderr(const struct sink *s)
{
	struct stat ours, theirs;

	/* Whatever is appended to a file is whole, by however many. */
	if (s->kind == KIND_SYSLOG || (s->by_path && s->kind == KIND_FILE))
		return false;
	return fstat(s->fd, &ours) == 0 &&
	    fstat(STDERR_FILENO, &theirs) == 0 && same_file(&ours, &theirs);
}

void
sink_give(struct sink *s, uid_t uid, gid_t gid)
{
	int done;

	if (!sink_is_file(s) || s->kind != KIND_FILE)
		return;
	done = fchown(s->fd, uid, gid);
	(void)done;                     /* noticed when it is opened again */
}

const char *
sink_name(const struct sink *s)
{
	return s->name;
}

/* -------------------------------------------------------------------- write */

/* How much of the lines to hand to the kernel at once. */
static size_t
portion(const struct sink *s, const char *lines, size_t len)
{
	size_t n = PIPE_BUF;

	if (len <= PIPE_BUF || s->kind == KIND_FILE || s->kind == KIND_STREAM)
		return len;
	while (n > 0 && lines[n - 1] != '\n')
		n--;
	if (n > 0)
		return n;
	/* A line that is longer cannot be safe from others; but a blocking
	   write must not be larger than what poll() promises. */
	for (n = PIPE_BUF; s->kind == KIND_PIPE && lines[n - 1] != '\n'; n++)
		;
	return n;
}

/* Bytes written, or -1 with errno; EAGAIN = it would wait. */
static ssize_t
put(struct sink *s, const char *bytes, size_t len)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };
	ssize_t n;

	do {
		if (s->kind == KIND_STREAM) {
			n = send(s->fd, bytes, len, MSG_DONTWAIT |
			    MSG_NOSIGNAL);
			continue;
		}
		n = s->kind == KIND_SHARED ? poll(&p, 1, 0) : 1;
		if (n == 0) {
			errno = EAGAIN;
			return -1;
		}
		if (n > 0)
			n = write(s->fd, bytes, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

static bool
is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

bool
sink_finish(struct sink *s)
{
	while (s->rest_len > 0) {
		size_t most = s->kind == KIND_SHARED && s->rest_len > PIPE_BUF ?
		    PIPE_BUF : s->rest_len;
		ssize_t n = put(s, s->rest + s->rest_at, most);

		if (n < 0)
			return false;
		s->rest_at += (size_t)n;
		s->rest_len -= (size_t)n;
	}
	return true;
}

static enum sink_result
write_stream(struct sink *s, const char *lines, size_t len, size_t *taken)
{
	const char *end;
	ssize_t n;

	*taken = len;
	if (!sink_finish(s))
		return is_full(errno) ? SINK_FULL : SINK_FAILED;
	n = put(s, lines, portion(s, lines, len));
	if (n < 0)
		return is_full(errno) ? SINK_FULL : SINK_FAILED;
	if (n == 0)
		return SINK_FULL;
	end = memchr(lines + n - 1, '\n', len - (size_t)n + 1);
	*taken = (size_t)(end + 1 - lines);
	/* It stopped within a line: keep the rest of it. */
	s->rest_at = 0;
	s->rest_len = *taken - (size_t)n;
	memcpy(s->rest, lines + n, s->rest_len);
	return SINK_TAKEN;
}

/* ------------------------------------------------------------------- syslog */

/* RFC 3164 4.1 as syslog(3) sends it to a local socket: without a host. */
static void
make_syslog_head(struct sink *s)
{
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;

	if (now == s->head_s)
		return;
	s->head_s = now;
	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
	snprintf(s->head, sizeof(s->head), "<%d>%s weir[%d]: ",
	    SYSLOG_PRIORITY, stamp, (int)getpid());
}

/* It goes away when its daemon is started anew; then by its name again. */
static bool
reconnect_syslog(struct sink *s)
{
	int64_t now = clock_ns() / NS_PER_S;

	if (s->fd >= 0)
		return true;
	if (now < s->retry_s) {
		errno = ENOTCONN;
		return false;
	}
	s->retry_s = now + SYSLOG_RETRY_S;
	s->fd = connect_syslog(s->path);
	return s->fd >= 0;
}

static void
drop_socket(struct sink *s)
{
	int error = errno;

	close(s->fd);
	s->fd = -1;
	errno = error;
}

/* One line. */
static bool
send_syslog(struct sink *s, const char *line, size_t len)
{
	struct iovec iov[2] = {
		{ s->head, strlen(s->head) },
		{ (char *)line, len < SYSLOG_LINE_MAX ? len : SYSLOG_LINE_MAX }
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

static enum sink_result
write_syslog(struct sink *s, const char *lines, size_t len, size_t *taken)
{
	const char *end = memchr(lines, '\n', len);
	bool fresh = s->fd < 0;

	*taken = (size_t)(end + 1 - lines);
	make_syslog_head(s);
	while (reconnect_syslog(s)) {
		if (send_syslog(s, lines, *taken - 1))
			return SINK_TAKEN;
		if (is_full(errno) || errno == ENOBUFS)
			return SINK_FULL;
		if (errno == EMSGSIZE)
			return SINK_FAILED;
		drop_socket(s);
		if (fresh)
			break;
		fresh = true;
	}
	*taken = len;
	return SINK_FAILED;
}

enum sink_result
sink_write(struct sink *s, const char *lines, size_t len, size_t *taken)
{
	return s->kind == KIND_SYSLOG ? write_syslog(s, lines, len, taken) :
	    write_stream(s, lines, len, taken);
}

int
sink_poll_fd(const struct sink *s)
{
	/* A file that refuses says nothing about when it will not. */
	return s->kind == KIND_FILE ? -1 : s->fd;
}

/* ------------------------------------------------------------------- reopen */

bool
sink_is_file(const struct sink *s)
{
	return s->by_path;
}

bool
sink_is_current(const struct sink *s)
{
	struct stat ours, theirs;

	if (!s->by_path || fstat(s->fd, &ours) < 0)
		return true;
	return stat(s->name, &theirs) == 0 && same_file(&ours, &theirs);
}

int
sink_reopen(struct sink *s)
{
	int fd;

	if (!s->by_path)
		return 0;
	fd = open_path(s->name);
	if (fd < 0)
		return -1;
	s->rest_len = 0;
	close(s->fd);
	s->fd = fd;
	s->kind = kind_of(fd);
	return 0;
}
