/*
 * The clients of the P1 harness: one process, one thread, epoll.
 *
 * usage: load port=N [clients=N] [exchanges=N] [seed=N] [mix=NAME] [tcp]
 *             [body=BYTES] [patience=S] [leave=PERCENT] [pace=MS] [framed]
 *
 * Each client connects, makes some exchanges (p1.h) whose kinds follow from the
 * seed, and leaves: in order, or at a random byte of what it sends or gets, by
 * close, RST, or FIN with its ears open. Every byte that comes is compared with
 * what may come. At the end, which is after so many exchanges or at SIGTERM, a
 * line of JSON tells what became of them. Each is exactly one of
 *
 *     answered       the origin's response, whole and right
 *     refused        a whole response of weir's own, by status
 *     cut            the connection ended inside or before the response
 *     left           the client left first
 *
 * A violation is anything else: another's token, a wrong byte, an end that
 * makes less look whole, bytes that nobody asked for, a silence longer than
 * patience. With "framed" no body ends with its connection: for origins that
 * are killed, whose kernel then says FIN, after which nobody can tell. Mixes:
 * "wild" (peers misbehave, clients leave), "mild" (late, early, in pieces),
 * "plain".
 *
 * SPDX-License-Identifier: MIT
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct counts count;
bool tcp;
static int epoll_fd, port_number;
static uint64_t seed = 1, wanted = 20000, body_most = 65536, n_sessions;
static unsigned n_clients = 500, leave_percent = 15, pace_ms;
static int64_t now_ms, patience_ms = 30000;
static bool plain, wild = true, unframed = true;
static volatile sig_atomic_t stopping;
static struct client *clients;
static unsigned resting;        /* clients that have ended for good */

static int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t
below(uint64_t n)
{
	return n > 0 ? p1_next(&seed) % n : 0;
}

static bool
percent(unsigned p)
{
	return below(100) < p;
}

void
violation(struct client *c, const char *format, ...)
{
	const struct exchange *x = oldest(c);
	va_list args;

	if (++count.violations > FIRST_TOLD)
		return;
	va_start(args, format);
	fprintf(stderr, "load: client %u, session %" PRIu64 ": ", c->index,
	    c->session);
	vfprintf(stderr, format, args);
	if (c->n_open > 0)
		fprintf(stderr, " [method %d how %u frame %u size %" PRIu64
		    " up %" PRIu64 " minor %d sent %zu of %zu came %" PRIu64
		    " phase %d body %" PRIu64 " of %u open]", (int)x->method,
		    x->how, x->frame, x->size, x->up, !c->minor_0, c->out_at,
		    c->out_len, c->came, (int)c->phase, c->body, c->n_open);
	fputc('\n', stderr);
	va_end(args);
}

/* ---------------------------------------------------------- what is asked */

static unsigned
choose_how(void)
{
	/* Shares of 1000; what is left is plain. */
	static const unsigned shares[N_HOW] = {
		[HOW_LATE] = 60, [HOW_EARLY] = 40, [HOW_PIECES] = 40,
		[HOW_INTERIM] = 10, [HOW_EARLY_CLOSE] = 15, [HOW_RESET] = 30,
		[HOW_CUT] = 30, [HOW_STOP] = 1, [HOW_HALF] = 20,
		[HOW_CLOSE_UNSAID] = 20, [HOW_CLOSE_SAID] = 20,
		[HOW_STALE] = 20, [HOW_TWICE] = 10,
	};
	uint64_t at = below(1000);
	unsigned how;

	for (how = 0; how < N_HOW && !plain; how++) {
		if (!wild && how != HOW_LATE && how != HOW_EARLY &&
		    how != HOW_PIECES && how != HOW_INTERIM)
			continue;
		/* Raw bytes that nobody asked for are delivered there. */
		if (tcp && how == HOW_TWICE)
			continue;
		if (at < shares[how])
			return how;
		at -= shares[how];
	}
	return HOW_PLAIN;
}

/* Many small ones, some that fill buffers, few large ones. */
static uint64_t
choose_size(void)
{
	static const unsigned most[] = { 100, 1000, 1000, 5000, 20000 };
	uint64_t pick = below(40);

	if (pick == 0)
		return below(body_most + 1);
	return below((most[pick % 5] < body_most ? most[pick % 5] :
	    body_most) + 1);
}

static void
exchange_make(struct exchange *x, bool is_last)
{
	static const enum method methods[] = { GET, GET, GET, POST, POST,
	    PUT, HEAD, GET };

	*x = (struct exchange){ .begun_ms = now_ms };
	x->token.a = p1_next(&seed) | 1;
	x->token.b = p1_next(&seed);
	x->method = methods[below(8)];
	x->how = choose_how();
	/* An answer before the end of its request may end the connection, with
	   what is behind it. */
	if (!wild && !is_last && x->how == HOW_EARLY)
		x->how = HOW_PLAIN;
	x->frame = (unsigned)below(2);
	x->size = choose_size();
	/* A body that ends with its connection must not be cut by FIN: then
	   nobody could tell. */
	if (unframed && percent(3) && x->how != HOW_CUT && x->how != HOW_STOP &&
	    x->how != HOW_EARLY && x->how != HOW_TWICE &&
	    (wild || (x->method != HEAD && !tcp)))
		x->frame = FRAME_CLOSE;
	/* With the response in the same segment; later would be the next. */
	if (x->how == HOW_TWICE)
		x->size = below(1000);
	/* Without a body it would be easy to send once more. */
	if ((x->method == POST || x->method == PUT) && !percent(30))
		x->up = choose_size();
	count.posts += x->method == POST;
}

static void
out_add(struct client *c, const void *p, size_t n)
{
	if (c->out_len + n > c->out_room) {
		c->out_room = (c->out_len + n) * 2;
		c->out = realloc(c->out, c->out_room);
		if (c->out == NULL)
			abort();
	}
	if (p != NULL)
		memcpy(c->out + c->out_len, p, n);
	c->out_len += n;
}

static void
out_stream(struct client *c, const struct exchange *x, uint64_t at, size_t n)
{
	out_add(c, NULL, n);
	p1_fill(x->token, P1_UP, at, c->out + c->out_len - n, n);
}

static void
body_add(struct client *c, struct exchange *x, bool chunked)
{
	char line[32];
	uint64_t at, n;
	size_t begin;

	x->up_sum = P1_SUM_BEGIN;
	for (at = 0; at < x->up; at += n) {
		n = chunked ? 1 + below(3000) : x->up;
		if (n > x->up - at)
			n = x->up - at;
		if (chunked)
			out_add(c, line, (size_t)snprintf(line, sizeof(line),
			    "%" PRIx64 "%s\r\n", n, n & 1 ? ";x=y" : ""));
		begin = c->out_len;
		out_stream(c, x, at, n);
		x->up_sum = p1_sum(x->up_sum, c->out + begin, n);
		if (chunked)
			out_add(c, "\r\n", 2);
	}
	if (chunked)
		out_add(c, "0\r\n\r\n", 5);
}

static void
request_add(struct client *c, struct exchange *x)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT" };
	bool body = x->method == POST || x->method == PUT;
	bool chunked = body && !c->minor_0 && percent(30);
	char text[512];
	int n;

	n = snprintf(text, sizeof(text), "%s /%016" PRIx64 "%016" PRIx64 "/%"
	    PRIu64 "/%u/%u/%" PRIu64 "/%" PRIu64 "/%u HTTP/1.%d\r\n"
	    "Host: p1.test\r\n", names[x->method], x->token.a, x->token.b,
	    c->session, x->how, x->frame, x->size, below(x->size * 2 + 600),
	    (unsigned)(x->how == HOW_PIECES ? below(3) : below(30)),
	    !c->minor_0);
	out_add(c, text, (size_t)n);
	if (chunked)
		out_add(c, "Transfer-Encoding: chunked\r\n", 28);
	else if (body)
		out_add(c, text, (size_t)snprintf(text, sizeof(text),
		    "Content-Length: %" PRIu64 "\r\n", x->up));
	out_add(c, "\r\n", 2);
	if (body)
		body_add(c, x, chunked);
	x->end = c->out_len;
}

/* Where, if at all, this client leaves in what it begins now. */
static void
choose_leave(struct client *c)
{
	c->leave = STAY;
	c->out_step = percent(10) ? 1 + below(2000) : SIZE_MAX;
	if (plain || !wild || !percent(leave_percent))
		return;
	c->leave = LEAVE_CLOSE + (enum leave)below(3);
	c->leave_out = c->out_len;
	c->leave_in = 0;
	if (percent(50))
		c->leave_out = c->out_at + below(c->out_len - c->out_at);
	else if (c->leave != LEAVE_FIN)
		c->leave_in = c->came + below(oldest(c)->size + 300);
}

/* One to three requests in a row; several only where nothing can go wrong. */
static void
begin(struct client *c)
{
	struct exchange *x;
	unsigned n = 1, i;

	if (c->out_at == c->out_len)
		c->out_at = c->out_len = 0;
	c->minor_0 = !tcp && percent(3);
	if (!c->minor_0 && percent(10))
		n = 1 + (unsigned)below(DEPTH - 1);
	for (i = 0; i < n && c->left > 0; i++, c->left--) {
		x = &c->open[(c->first + c->n_open) % DEPTH];
		exchange_make(x, i + 1 == n || c->left == 1);
		c->n_open++;
		request_add(c, x);
		count.begun++;
	}
	choose_leave(c);
}

/* -------------------------------------------------- what becomes of them */

static void
watch(struct client *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	if (c->watched == events)
		return;
	c->watched = events;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void
disconnect(struct client *c, bool reset)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd < 0)
		return;
	if (reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard,
		    sizeof(hard));
	close(c->fd);
	c->fd = -1;
	c->wake_ms = now_ms + (pace_ms > 0 ? (int64_t)below(pace_ms * 2) : 0);
}

/* The connection has gone with what was open on it. */
static void
all_over(struct client *c, uint64_t *as)
{
	unsigned i;

	*as += c->n_open;
	for (i = 0; i < c->n_open && as == &count.cut; i++)
		count.failed[c->open[(c->first + i) % DEPTH].how]++;
	c->n_open = 0;
}

static void
leave_now(struct client *c)
{
	if (c->leave == LEAVE_FIN) {
		c->leave = STAY;
		c->fin_sent = true;
		c->left = 0;
		(void)shutdown(c->fd, SHUT_WR);
		/* What was not sent whole is given up; what was, is owed. */
		while (c->n_open > 0 && c->open[(c->first + c->n_open - 1) %
		    DEPTH].end > c->out_at) {
			c->gave_up = true;
			count.left++;
			c->n_open--;
		}
		if (c->n_open == 0)
			disconnect(c, false);
		return;
	}
	all_over(c, &count.left);
	disconnect(c, c->leave == LEAVE_RST);
}

void
exchange_over(struct client *c)
{
	struct exchange *x = oldest(c);
	int64_t took = now_ms - x->begun_ms;

	if (c->own)
		count.answered++;
	else {
		count.refused++;
		count.status[c->status]++;
		count.failed[x->how]++;
	}
	if (took > (int64_t)count.slowest_ms)
		count.slowest_ms = (uint64_t)took;
	c->first = (c->first + 1) % DEPTH;
	c->n_open--;
	c->phase = IN_HEAD;
	c->head_len = 0;
	if (c->n_open == 0 && c->gave_up)       /* its part may be answered */
		disconnect(c, false);
	else if (c->last) {
		all_over(c, &count.cut);
		c->left = 0;
		c->ending = true;
	}
}

static void
peer_ended(struct client *c, bool reset)
{
	if (!reset)
		answer_ended(c);
	all_over(c, &count.cut);
	disconnect(c, false);
}

static void
input(struct client *c)
{
	static char data[READ_SIZE];
	uint64_t may = READ_SIZE;
	ssize_t n;

	/* Leaving at that byte means not to read beyond it. */
	if (c->leave != STAY && c->leave != LEAVE_FIN &&
	    c->came + may > c->leave_in && c->out_at >= c->leave_out)
		may = c->leave_in > c->came ? c->leave_in - c->came : 1;
	n = recv(c->fd, data, may, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	c->moved_ms = now_ms;
	if (n <= 0) {
		peer_ended(c, n < 0 || c->was_reset);
		return;
	}
	c->came += (uint64_t)n;
	count.bytes += (uint64_t)n;
	answer_bytes(c, data, (size_t)n);
	/* Some read slowly. */
	if (c->fd >= 0 && n == READ_SIZE && below(10) == 0)
		c->wake_ms = now_ms + 1 + (int64_t)below(20);
}

static void
output(struct client *c)
{
	size_t end = c->leave != STAY ? c->leave_out : c->out_len, n;
	ssize_t got;

	while (c->out_at < end) {
		n = end - c->out_at < c->out_step ? end - c->out_at :
		    c->out_step;
		got = send(c->fd, c->out + c->out_at, n, MSG_NOSIGNAL);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0) {
			/* It may have been answered before it was closed. The
			   reset is told only once, here or by recv(). */
			c->was_reset = true;
			c->out_at = c->out_len = c->leave_out = 0;
			c->leave = STAY;
			c->left = 0;
			return;
		}
		c->out_at += (size_t)got;
		c->moved_ms = now_ms;
		if (c->out_step != SIZE_MAX)
			return;         /* a piece for each turn */
	}
}

/* ------------------------------------------------------------ connections */

/* Each from an address of its own: there are ports for all of them. */
static void
join(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port_number),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(0x7f010000 + 2 + c->index) };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT,
	    .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one,
	    sizeof(one));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof(from)) <
	    0 || (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)) {
		count.no_connect++;
		disconnect(c, false);
		c->wake_ms = now_ms + 5;
		return;
	}
	c->session = ++n_sessions;
	c->origin_conn = c->came = 0;
	c->left = 1 + (unsigned)below(20);
	c->connecting = true;
	c->fin_sent = c->ending = c->gave_up = c->was_reset = false;
	c->out_len = c->out_at = c->head_len = 0;
	c->phase = IN_HEAD;
	c->moved_ms = now_ms;
	c->wake_ms = 0;
	c->watched = e.events;
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static bool
enough(void)
{
	return stopping || (wanted > 0 && count.begun >= wanted);
}

static void
connect_over(struct client *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	c->connecting = false;
	if (error == 0) {
		count.connects++;
		return;
	}
	count.no_connect++;
	disconnect(c, false);
	c->wake_ms = now_ms + 5 + (int64_t)below(20);
}

/* Do whatever c can do now. */
static void
step(struct client *c)
{
	uint32_t events = 0;

	if (c->fd < 0) {
		if (c->wake_ms <= now_ms && !enough())
			join(c);
		return;
	}
	if (c->connecting) {
		watch(c, EPOLLOUT);
		return;
	}
	if (c->n_open == 0 && !c->ending) {
		if (c->left == 0 || enough()) {
			disconnect(c, false);
			return;
		}
		begin(c);
	}
	output(c);
	if (c->leave != STAY && c->out_at >= c->leave_out &&
	    (c->leave == LEAVE_FIN || c->came >= c->leave_in)) {
		leave_now(c);
		if (c->fd < 0)
			return;
	}
	if (c->wake_ms <= now_ms)
		events |= EPOLLIN;
	if (!c->fin_sent && c->out_at <
	    (c->leave != STAY ? c->leave_out : c->out_len))
		events |= EPOLLOUT;
	watch(c, events);
}

static void
lost(struct client *c)
{
	count.lost += c->n_open;
	violation(c, "neither answered nor failed for %" PRId64 " ms",
	    now_ms - c->moved_ms);
	c->n_open = 0;
	disconnect(c, true);
}

/* Sleepers wake, the lost are counted; how many have ended for good. */
static void
look_after(void)
{
	struct client *c;
	unsigned i;

	resting = 0;
	for (i = 0; i < n_clients; i++) {
		c = &clients[i];
		if (c->fd >= 0 && now_ms - c->moved_ms > patience_ms)
			lost(c);
		if (c->fd < 0 || c->wake_ms > 0) {
			if (c->fd >= 0 && c->wake_ms <= now_ms)
				c->wake_ms = 0;
			step(c);
		}
		resting += c->fd < 0 && enough();
	}
}

static void
run(void)
{
	struct epoll_event events[512];
	struct client *c;
	int64_t looked = 0;
	int i, n;

	while (resting < n_clients) {
		n = epoll_wait(epoll_fd, events, 512, 2);
		now_ms = clock_ms();
		for (i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (c->connecting)
				connect_over(c);
			else if ((events[i].events & ~(unsigned)EPOLLOUT) &&
			    c->wake_ms <= now_ms)
				input(c);
			step(c);
		}
		if (now_ms > looked) {
			looked = now_ms;
			look_after();
		}
	}
}

/* ------------------------------------------------------------- the report */

static void
report(int64_t took_ms)
{
	static const char *const hows[N_HOW] = { "plain", "late", "early",
	    "early close", "pieces", "reset", "cut", "stop", "half",
	    "close unsaid", "close said", "stale", "twice", "interim" };
	const char *comma = "";
	unsigned i;

	printf("{\"exchanges\": %" PRIu64 ", \"answered\": %" PRIu64
	    ", \"refused\": %" PRIu64 ", \"cut\": %" PRIu64 ", \"left\": %"
	    PRIu64 ", \"lost\": %" PRIu64 ", \"violations\": %" PRIu64
	    ", \"connects\": %" PRIu64 ", \"no_connect\": %" PRIu64
	    ", \"posts\": %" PRIu64 ", \"bytes\": %" PRIu64
	    ", \"slowest_ms\": %" PRIu64
	    ", \"seconds\": %.1f, \"status\": {", count.begun, count.answered,
	    count.refused, count.cut, count.left, count.lost,
	    count.violations, count.connects, count.no_connect, count.posts,
	    count.bytes, count.slowest_ms,
	    (double)took_ms / 1000);
	for (i = 0; i < STATUSES; i++)
		if (count.status[i] > 0) {
			printf("%s\"%u\": %" PRIu64, comma, i, count.status[i]);
			comma = ", ";
		}
	printf("}, \"failed\": {");
	for (i = 0, comma = ""; i < N_HOW; i++)
		if (count.failed[i] > 0) {
			printf("%s\"%s\": %" PRIu64, comma, hows[i],
			    count.failed[i]);
			comma = ", ";
		}
	printf("}}\n");
}

static void
stop(int number)
{
	(void)number;
	stopping = 1;
}

static void
option(const char *text)
{
	const char *value = strchr(text, '=');
	uint64_t n = value != NULL ? strtoull(value + 1, NULL, 10) : 0;

	if (strncmp(text, "port=", 5) == 0)
		port_number = (int)n;
	else if (strncmp(text, "clients=", 8) == 0)
		n_clients = (unsigned)n;
	else if (strncmp(text, "exchanges=", 10) == 0)
		wanted = n;
	else if (strncmp(text, "seed=", 5) == 0)
		seed = n;
	else if (strncmp(text, "body=", 5) == 0)
		body_most = n;
	else if (strncmp(text, "patience=", 9) == 0)
		patience_ms = (int64_t)n * 1000;
	else if (strncmp(text, "leave=", 6) == 0)
		leave_percent = (unsigned)n;
	else if (strncmp(text, "pace=", 5) == 0)
		pace_ms = (unsigned)n;
	else if (strncmp(text, "mix=", 4) == 0) {
		plain = strcmp(text, "mix=plain") == 0;
		wild = strcmp(text, "mix=wild") == 0;
	} else if (strcmp(text, "framed") == 0)
		unframed = false;
	else if (strcmp(text, "tcp") == 0)
		tcp = true;
	else {
		fprintf(stderr, "load: what is %s?\n", text);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	int64_t begin_ms;
	unsigned i;
	int a;

	for (a = 1; a < argc; a++)
		option(argv[a]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	clients = calloc(n_clients, sizeof(*clients));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (clients == NULL || epoll_fd < 0 || port_number == 0)
		return 2;
	for (i = 0; i < n_clients; i++) {
		clients[i].fd = -1;
		clients[i].index = i;
	}
	now_ms = begin_ms = clock_ms();
	run();
	report(clock_ms() - begin_ms);
	return count.violations > 0;
}
