/*
 * The origin of the P1 harness: one process, one thread, epoll.
 *
 * usage: origin PORT [sessions] [ledger=FILE] [backlog=N]
 *
 * It behaves as each request's target says (p1.h) and is strict about what it
 * gets: a byte of a body that is not its token's, a request that is not well
 * formed, with "sessions" a connection that carries two clients' requests, are
 * violations. It remembers the token of each POST, in the ledger also beyond
 * its own death, and counts those that come again.
 *
 * A line on standard input is answered by the counts as JSON; its end ends the
 * process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "p1.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_SIZE = 32768, SLOTS = 4096, PIECES_MOST = 40, CHUNK = 1000 };

enum reading {
	READ_HEAD, READ_LENGTH, READ_SIZE, READ_DATA, READ_DATA_END,
	READ_TRAILER, READ_DONE
};

struct conn {
	int fd;
	unsigned number;
	struct conn *next, *prev;       /* in its slot of the wheel */
	int slot;                       /* -1 = no timer */
	int64_t due;
	uint64_t session;               /* of its first request; 0 = none */
	bool stale;                     /* closes at the next request */
	bool blocked;                   /* by a full socket */
	bool fin;                       /* nothing more will come */
	uint32_t watched;
	/* The request. */
	enum reading reading;
	struct token token;
	unsigned how, frame, delay;
	uint64_t size, cut;
	uint64_t left, got, sum;        /* of the body's part, of the body */
	bool head_method;
	/* The response; NULL = none is under way. */
	unsigned char *out;
	size_t out_len, out_at, out_may; /* out_may: held back beyond it */
	size_t piece;
	bool answered, mute;
	size_t have;
	char in[IN_SIZE + 1];
};

static struct {
	uint64_t accepted, open, requests, posts, posts_twice, aborted;
	uint64_t violations;
} count;

static int epoll_fd, ledger_fd = -1;
static bool sessions;
static int64_t now_ms, wheel_ms;
static struct conn *wheel[SLOTS];
static size_t timers;
static struct { struct token *v; size_t room, n; } posts;

static void
violation(const char *format, ...)
{
	va_list args;

	count.violations++;
	if (count.violations > 20)
		return;
	va_start(args, format);
	fputs("origin: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------- the ledger */

static bool
posts_add(struct token t)
{
	size_t i;

	if (posts.n * 2 >= posts.room) {
		struct token *old = posts.v;
		size_t room = posts.room;

		posts.room = room ? room * 2 : 1 << 16;
		posts.v = calloc(posts.room, sizeof(*posts.v));
		if (posts.v == NULL)
			abort();
		posts.n = 0;
		for (i = 0; i < room; i++)
			if (old[i].a | old[i].b)
				(void)posts_add(old[i]);
		free(old);
	}
	for (i = t.a & (posts.room - 1); posts.v[i].a | posts.v[i].b;
	    i = (i + 1) & (posts.room - 1))
		if (posts.v[i].a == t.a && posts.v[i].b == t.b)
			return false;
	posts.v[i] = t;
	posts.n++;
	return true;
}

static void
executed(struct token t)
{
	count.posts++;
	if (!posts_add(t)) {
		count.posts_twice++;
		violation("POST %016" PRIx64 "%016" PRIx64 " came twice", t.a,
		    t.b);
	}
	/* Written at once: it has to survive a SIGKILL. */
	if (ledger_fd >= 0 && write(ledger_fd, &t, sizeof(t)) != sizeof(t))
		violation("ledger: %s", strerror(errno));
}

static void
ledger_open(const char *path)
{
	struct token t;

	ledger_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (ledger_fd < 0) {
		perror(path);
		exit(1);
	}
	while (read(ledger_fd, &t, sizeof(t)) == sizeof(t))
		(void)posts_add(t);
}

/* ----------------------------------------------------------------- timers */

static void
timer_stop(struct conn *c)
{
	if (c->slot < 0)
		return;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		wheel[c->slot] = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->slot = -1;
	timers--;
}

static void
timer_start(struct conn *c, unsigned ms)
{
	timer_stop(c);
	c->due = now_ms + (ms > 0 ? ms : 1);
	c->slot = (int)(c->due % SLOTS);
	c->prev = NULL;
	c->next = wheel[c->slot];
	if (c->next != NULL)
		c->next->prev = c;
	wheel[c->slot] = c;
	timers++;
}

/* -------------------------------------------------------------- responses */

static void
conn_close(struct conn *c, bool reset)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard,
		    sizeof(hard));
	timer_stop(c);
	close(c->fd);
	free(c->out);
	free(c);
	count.open--;
}

/* Append the body of SIZE in the frame asked for. */
static size_t
body_write(struct conn *c, unsigned char *to)
{
	unsigned char *at = to;
	uint64_t done, n;

	if (c->frame != FRAME_CHUNKED) {
		p1_fill(c->token, P1_DOWN, 0, at, c->size);
		return c->size;
	}
	for (done = 0; done < c->size; done += n) {
		n = c->size - done < CHUNK ? c->size - done : CHUNK;
		at += sprintf((char *)at, "%x\r\n", (unsigned)n);
		p1_fill(c->token, P1_DOWN, done, at, n);
		at += n;
		at += sprintf((char *)at, "\r\n");
	}
	at += sprintf((char *)at, "0\r\nX-End: %016" PRIx64 "\r\n\r\n",
	    c->token.b);
	return (size_t)(at - to);
}

static size_t
head_write(struct conn *c, char *to)
{
	char *at = to;

	if (c->how == HOW_INTERIM)
		at += sprintf(at, "HTTP/1.1 103 Early Hints\r\nLink: </%016"
		    PRIx64 ">\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
		    c->token.b);
	at += sprintf(at, "HTTP/1.1 200 Fine\r\nX-Token: %016" PRIx64 "%016"
	    PRIx64 "\r\nX-Conn: %u\r\nX-Got: %" PRIu64 " %016" PRIx64 "\r\n",
	    c->token.a, c->token.b, c->number, c->got, c->sum);
	if (c->frame == FRAME_LENGTH)
		at += sprintf(at, "Content-Length: %" PRIu64 "\r\n", c->size);
	else if (c->frame == FRAME_CHUNKED)
		at += sprintf(at, "Transfer-Encoding: chunked\r\n");
	if (c->how == HOW_CLOSE_SAID)
		at += sprintf(at, "Connection: close\r\n");
	at += sprintf(at, "\r\n");
	return (size_t)(at - to);
}

static void
response_make(struct conn *c)
{
	static const char more[] = "HTTP/1.1 200 Fine\r\nX-Token: "
	    "00000000000000000000000000000000\r\nX-Conn: 0\r\n"
	    "X-Got: 0 0\r\nContent-Length: 6\r\n\r\npoison";

	c->out = malloc(c->size + c->size / CHUNK * 10 + 2048);
	if (c->out == NULL)
		abort();
	c->out_len = head_write(c, (char *)c->out);
	if (!c->head_method)
		c->out_len += body_write(c, c->out + c->out_len);
	if (c->how == HOW_TWICE) {
		memcpy(c->out + c->out_len, more, sizeof(more) - 1);
		c->out_len += sizeof(more) - 1;
	}
	if (c->how == HOW_RESET || c->how == HOW_CUT || c->how == HOW_STOP)
		c->out_len = c->out_len ? c->cut % c->out_len : 0;
	c->out_at = 0;
	c->out_may = c->out_len;
	if (c->how == HOW_PIECES) {
		c->piece = c->out_len / PIECES_MOST + 1 + c->cut % 300;
		if (c->out_may > c->piece)
			c->out_may = c->piece;
	}
}

/* Both sides of an exchange are over. Closes c or makes it fit for another. */
static bool
exchange_over(struct conn *c)
{
	switch ((enum how)c->how) {
	case HOW_EARLY_CLOSE:
	case HOW_CLOSE_UNSAID:
	case HOW_CLOSE_SAID:
	case HOW_CUT:
		conn_close(c, false);
		return false;
	case HOW_RESET:
		conn_close(c, true);
		return false;
	case HOW_HALF:
		(void)shutdown(c->fd, SHUT_WR);
		c->mute = true;
		c->have = 0;
		return true;
	case HOW_STOP:
		c->mute = true;
		c->have = 0;
		return true;
	case HOW_STALE:
		c->stale = true;
		break;
	default:
		break;
	}
	if (c->frame == FRAME_CLOSE) {
		conn_close(c, false);
		return false;
	}
	if (c->reading == READ_DONE) {
		c->reading = READ_HEAD;
		c->answered = false;
	}
	return true;
}

static void
watch(struct conn *c)
{
	struct epoll_event e = { .data.ptr = c };

	/* What is pipelined behind a full buffer waits in the socket. */
	e.events = (c->have < IN_SIZE && !c->fin ? EPOLLIN : 0) |
	    (c->blocked ? EPOLLOUT : 0);
	if (c->watched == e.events)
		return;
	c->watched = e.events;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* Send what may be sent. False: c has gone. */
static bool
response_send(struct conn *c)
{
	size_t most;
	ssize_t n;

	while (c->out_at < c->out_may) {
		most = c->out_may - c->out_at;
		n = send(c->fd, c->out + c->out_at, most, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			c->blocked = true;
			watch(c);
			return true;
		}
		if (n < 0) {
			count.aborted++;
			conn_close(c, true);
			return false;
		}
		c->out_at += (size_t)n;
	}
	c->blocked = false;
	watch(c);
	if (c->out_at < c->out_len) {
		timer_start(c, c->delay);
		return true;
	}
	free(c->out);
	c->out = NULL;
	c->answered = true;
	/* An early answer leaves the rest of the body to be read. */
	if (c->reading != READ_DONE && c->how == HOW_EARLY &&
	    c->frame != FRAME_CLOSE)
		return true;
	return exchange_over(c);
}

static bool
answer(struct conn *c)
{
	response_make(c);
	if (c->how == HOW_LATE) {
		timer_start(c, c->delay);
		return true;
	}
	return response_send(c);
}

static bool
timer_passed(struct conn *c)
{
	if (c->out == NULL)
		return true;
	if (c->how == HOW_PIECES)
		c->out_may = c->out_may + c->piece < c->out_len ?
		    c->out_may + c->piece : c->out_len;
	return response_send(c);
}

/* --------------------------------------------------------------- requests */

static bool
malformed(struct conn *c, const char *what)
{
	violation("conn %u: %s: %.200s", c->number, what, c->in);
	conn_close(c, true);
	return false;
}

/* The value of a field whose name is given with its colon; "" if none. */
static const char *
field(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	if (at == NULL || at[-1] != '\n')
		return "";
	at += strlen(name);
	return at + strspn(at, " ");
}

/* A whole head is at c->in; len has its last CRLF. False: c has gone. */
static bool
head_read(struct conn *c, size_t len)
{
	unsigned long long a, b, session;
	char method[8];

	c->in[len - 1] = '\0';
	if (sscanf(c->in, "%7[A-Z] /%16llx%16llx/%llu/%u/%u/%" SCNu64 "/%"
	    SCNu64 "/%u HTTP/1.1", method, &a, &b, &session, &c->how,
	    &c->frame, &c->size, &c->cut, &c->delay) != 9 ||
	    c->how >= N_HOW || c->frame >= N_FRAMES)
		return malformed(c, "request");
	c->token = (struct token){ a, b };
	if (sessions && c->session != 0 && c->session != session)
		violation("conn %u serves sessions %" PRIu64 " and %llu",
		    c->number, c->session, session);
	c->session = session;
	c->got = c->left = 0;
	c->sum = P1_SUM_BEGIN;
	c->head_method = strcmp(method, "HEAD") == 0;
	count.requests++;
	if (strcmp(method, "POST") == 0)
		executed(c->token);
	if (*field(c->in, "Transfer-Encoding:") != '\0')
		c->reading = READ_SIZE;
	else {
		c->left = strtoull(field(c->in, "Content-Length:"), NULL, 10);
		c->reading = c->left > 0 ? READ_LENGTH : READ_DONE;
	}
	return true;
}

static bool
body_bytes(struct conn *c, const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (!p1_same(c->token, P1_UP, c->got, u, n)) {
		violation("conn %u: foreign bytes in the body of %016" PRIx64
		    "%016" PRIx64 " at %" PRIu64, c->number, c->token.a,
		    c->token.b, c->got);
		conn_close(c, true);
		return false;
	}
	c->sum = p1_sum(c->sum, u, n);
	c->got += n;
	c->left -= n;
	return true;
}

/* A line of a chunked body without its end. False: c has gone. */
static bool
chunk_line(struct conn *c, const char *line)
{
	char *end;

	switch (c->reading) {
	case READ_SIZE:
		c->left = strtoull(line, &end, 16);
		if (end == line || (*end != '\0' && *end != ';'))
			return malformed(c, "chunk size");
		c->reading = c->left > 0 ? READ_DATA : READ_TRAILER;
		return true;
	case READ_DATA_END:
		if (*line != '\0')
			return malformed(c, "end of a chunk");
		c->reading = READ_SIZE;
		return true;
	default:
		if (*line == '\0')
			c->reading = READ_DONE;
		return true;
	}
}

/* Take one step from c->in. 0 = nothing to take, -1 = c has gone. */
static ssize_t
take(struct conn *c)
{
	char *end;
	size_t n;

	c->in[c->have] = '\0';
	if (c->reading == READ_HEAD) {
		end = memmem(c->in, c->have, "\r\n\r\n", 4);
		if (end == NULL)
			return c->have == IN_SIZE ?
			    (malformed(c, "head"), -1) : 0;
		n = (size_t)(end - c->in) + 4;
		if (!head_read(c, n))
			return -1;
		if (!c->stale)
			return (ssize_t)n;
		/* It goes as one comes, who may have been heard. */
		conn_close(c, c->cut & 1);
		return -1;
	}
	if (c->reading == READ_LENGTH || c->reading == READ_DATA) {
		n = c->left < c->have ? c->left : c->have;
		if (n > 0 && !body_bytes(c, c->in, n))
			return -1;
		if (c->left == 0)
			c->reading = c->reading == READ_DATA ? READ_DATA_END :
			    READ_DONE;
		return (ssize_t)n;
	}
	end = memmem(c->in, c->have, "\r\n", 2);
	if (end == NULL)
		return 0;
	*end = '\0';
	n = (size_t)(end - c->in) + 2;
	return chunk_line(c, c->in) ? (ssize_t)n : -1;
}

/* After a step: is it time to answer, or to begin anew? False: c has gone. */
static bool
consider(struct conn *c)
{
	bool early = c->how == HOW_EARLY || c->how == HOW_EARLY_CLOSE;

	if (c->reading == READ_HEAD || c->mute)
		return true;
	if (c->out == NULL && !c->answered &&
	    (early || c->reading == READ_DONE))
		return answer(c);
	if (c->answered && c->reading == READ_DONE)
		return exchange_over(c);
	return true;
}

/* Read on in what has come; the next request waits for this one's answer. */
static void
digest(struct conn *c)
{
	ssize_t n;

	while (c->have > 0 && c->reading != READ_DONE && !c->mute) {
		n = take(c);
		if (n < 0)
			return;
		if (n == 0)
			break;
		c->have -= (size_t)n;
		memmove(c->in, c->in + n, c->have);
		if (!consider(c))
			return;
	}
	if (c->fin && c->out == NULL)
		conn_close(c, false);
	else
		watch(c);
}

/* A client that has said its last word still hears what it is owed. */
static bool
owes(const struct conn *c)
{
	return !c->fin && !c->mute && c->out != NULL;
}

static void
input(struct conn *c)
{
	ssize_t n;

	n = recv(c->fd, c->in + c->have, IN_SIZE - c->have, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 0 && owes(c)) {
		c->fin = true;
		watch(c);
		return;
	}
	if (n <= 0) {
		count.aborted += c->reading != READ_HEAD || c->have > 0;
		conn_close(c, n < 0);
		return;
	}
	if (c->mute)                    /* what it reads now is let go */
		return;
	c->have += (size_t)n;
	digest(c);
}

static void
tick(void)
{
	struct conn *c, *next;

	for (; wheel_ms <= now_ms; wheel_ms++)
		for (c = wheel[wheel_ms % SLOTS]; c != NULL; c = next) {
			next = c->next;
			if (c->due > now_ms)
				continue;
			timer_stop(c);
			if (timer_passed(c))
				digest(c);
			/* Others may have gone meanwhile: from the start. */
			next = wheel[wheel_ms % SLOTS];
		}
}

static void
accept_some(int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct conn *c;
	int got, one = 1;

	while ((got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC))
	    >= 0) {
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			abort();
		(void)setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		c->fd = got;
		c->slot = -1;
		c->watched = EPOLLIN;
		c->number = (unsigned)++count.accepted;
		count.open++;
		e.data.ptr = c;
		(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, got, &e);
	}
}

static void
tell(void)
{
	char line[256];

	if (read(0, line, sizeof(line)) <= 0)
		exit(0);
	printf("{\"accepted\": %" PRIu64 ", \"open\": %" PRIu64
	    ", \"requests\": %" PRIu64 ", \"posts\": %" PRIu64
	    ", \"posts_twice\": %" PRIu64 ", \"aborted\": %" PRIu64
	    ", \"violations\": %" PRIu64 "}\n", count.accepted, count.open,
	    count.requests, count.posts, count.posts_twice, count.aborted,
	    count.violations);
	fflush(stdout);
}

static int
listen_on(int number, int backlog)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)number),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, backlog) < 0) {
		perror("origin: listen");
		exit(1);
	}
	return fd;
}

static void
serve(int fd)
{
	struct epoll_event events[256], e = { .events = EPOLLIN };
	struct conn *c;
	int i, n;

	e.data.ptr = NULL;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
	e.data.ptr = &count;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &e);
	for (;;) {
		n = epoll_wait(epoll_fd, events, 256, timers > 0 ? 1 : -1);
		now_ms = clock_ms();
		for (i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (c == NULL)
				accept_some(fd);
			else if ((void *)c == (void *)&count)
				tell();
			else if (events[i].events & EPOLLOUT && c->blocked) {
				if (response_send(c))
					digest(c);
			} else
				input(c);
		}
		if (timers > 0)
			tick();
		wheel_ms = now_ms;
	}
}

int
main(int argc, char **argv)
{
	int i, backlog = 4096;

	if (argc < 2) {
		fputs("usage: origin PORT [sessions] [ledger=FILE] "
		    "[backlog=N]\n", stderr);
		return 2;
	}
	for (i = 2; i < argc; i++) {
		if (strcmp(argv[i], "sessions") == 0)
			sessions = true;
		else if (strncmp(argv[i], "ledger=", 7) == 0)
			ledger_open(argv[i] + 7);
		else if (strncmp(argv[i], "backlog=", 8) == 0)
			backlog = atoi(argv[i] + 8);
	}
	signal(SIGPIPE, SIG_IGN);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	now_ms = wheel_ms = clock_ms();
	serve(listen_on(atoi(argv[1]), backlog));
	return 0;
}
