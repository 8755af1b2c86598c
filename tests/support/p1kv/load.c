/*
 * The clients of the random model test of Redis and memcached: one process,
 * one thread, epoll. The model (redis.c, memcached.c) makes up commands and
 * what must come back for them; this file sends them as clients of all kinds
 * do, compares, and leaves at bad moments.
 *
 * usage: load port=N [clients=N] [replies=N] [seed=N] [leave=PERCENT]
 *             [big=BYTES] [bigrate=OF_10000] [patience=S] [pieces=PERCENT]
 *             [variant=WORD]
 *
 * variant: for memcached "text" or "binary"; for Redis names of commands with
 * commas between them (those of "done" in the report), to have no others.
 *
 * Every reply is compared with the bytes that it must have. At the end, after
 * so many replies or at SIGTERM, a line of JSON tells what became of the
 * replies that were owed. Each is exactly one of
 *
 *     answered       came, and right
 *     refused        an error of weir's own came in its place
 *     cut            the connection ended before it
 *     left           the client left first
 *
 * A violation is anything else: another's token, a wrong byte, type or order,
 * bytes that nobody asked for, a silence longer than patience.
 *
 * SPDX-License-Identifier: MIT
 */
#include "kv.h"

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

struct client *clients;
unsigned n_clients = 200, big_rate = 10;
uint64_t big_most = 2 << 20;
const char *variant = "";
static struct {
	uint64_t owed, answered, refused, cut, left, lost, violations;
	uint64_t connects, no_connect, cuts, sent, came, slowest_ms;
} count;
static int epoll_fd, port_number;
static uint64_t seed = 1, wanted = 50000, n_sessions;
static unsigned leave_percent = 10, pieces_percent = 10;
static int64_t now_ms, patience_ms = 30000;
static volatile sig_atomic_t stopping;
static unsigned resting;        /* clients that have ended for good */
static char first_refusal[200];

static int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t
below(uint64_t n)
{
	return n > 0 ? p1_next(&seed) % n : 0;
}

bool
percent(unsigned p)
{
	return below(100) < p;
}

struct token
token_make(void)
{
	struct token t;

	t.a = p1_next(&seed);
	t.b = p1_next(&seed);
	return t;
}

void
token_text(struct token t, char out[TOKEN_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	int i;

	for (i = 0; i < 16; i++) {
		out[i] = digits[t.a >> (60 - 4 * i) & 15];
		out[16 + i] = digits[t.b >> (60 - 4 * i) & 15];
	}
	out[TOKEN_LEN] = '\0';
}

/* Printable: what is shown of bytes that should not have come. */
static const char *
shown(const char *p, size_t n, char *out, size_t room)
{
	size_t at = 0, i;

	for (i = 0; i < n && at + 5 < room && i < 120; i++)
		at += (size_t)snprintf(out + at, room - at, p[i] >= ' ' &&
		    p[i] <= '~' ? "%c" : "\\x%02x", (unsigned char)p[i]);
	out[at] = '\0';
	return out;
}

void
violation(struct client *c, const char *format, ...)
{
	va_list args;

	if (++count.violations > FIRST_TOLD)
		return;
	va_start(args, format);
	fprintf(stderr, "load: client %u, session %" PRIu64 ", reply %" PRIu64
	    ", %zu owed: ", c->index, c->session, c->replies, c->wants.n);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* ------------------------------------------------------------------- bytes */

static void
bytes_room(struct bytes *b, size_t n)
{
	if (b->len + n <= b->room)
		return;
	b->room = (b->len + n) * 2;
	b->p = realloc(b->p, b->room);
	if (b->p == NULL)
		abort();
}

void
bytes_add(struct bytes *b, const void *p, size_t n)
{
	bytes_room(b, n + 1);
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

static void __attribute__((format(printf, 2, 0)))
bytes_vprint(struct bytes *b, const char *format, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	bytes_room(b, (size_t)n + 1);
	(void)vsnprintf(b->p + b->len, (size_t)n + 1, format, args);
	b->len += (size_t)n;
}

void
bytes_print(struct bytes *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	bytes_vprint(b, format, args);
	va_end(args);
}

void
bytes_stream(struct bytes *b, struct token t, uint64_t n)
{
	bytes_room(b, n + 1);
	p1_fill(t, P1_UP, 0, (unsigned char *)b->p + b->len, n);
	b->len += n;
	b->p[b->len] = '\0';
}

/* ------------------------------------------------------------- what is owed */

struct want *
want_add(struct wants *w, unsigned kind, struct bytes *text)
{
	struct want *x;

	if (w->first + w->n == w->room) {
		if (w->first > 0)
			memmove(w->list, w->list + w->first,
			    w->n * sizeof(*w->list));
		w->first = 0;
		if (w->n == w->room) {
			w->room = w->room * 2 + 8;
			w->list = realloc(w->list, w->room * sizeof(*w->list));
			if (w->list == NULL)
				abort();
		}
	}
	x = &w->list[w->first + w->n++];
	*x = (struct want){ .kind = kind, .begun_ms = now_ms };
	if (text != NULL) {
		x->text = text->p;
		x->len = text->len;
		*text = (struct bytes){ 0 };
	}
	count.owed++;
	return x;
}

struct want *
want_print(struct wants *w, const char *format, ...)
{
	struct bytes b = { 0 };
	va_list args;

	va_start(args, format);
	bytes_vprint(&b, format, args);
	va_end(args);
	return want_add(w, WANT_EXACT, &b);
}

static void
want_over(struct wants *w, uint64_t *as)
{
	struct want *x = &w->list[w->first++];

	free(x->text);
	free(x->other);
	w->n--;
	++*as;
}

static void
wants_over(struct client *c, uint64_t *as)
{
	while (c->wants.n > 0)
		want_over(&c->wants, as);
	while (c->pushes.n > 0)
		want_over(&c->pushes, as);
}

void
pause_add(struct client *c, unsigned ms)
{
	if (c->n_pauses == PAUSES)
		return;
	c->pauses[c->n_pauses].at = c->out.len;
	c->pauses[c->n_pauses++].ms = ms;
}

bool
alive(const struct client *c)
{
	return c->fd >= 0 && !c->connecting && c->leave == STAY && !c->ending;
}

void
wake(struct client *c)
{
	c->wake_ms = 1;
}

bool
enough(void)
{
	return stopping || (wanted > 0 && count.owed >= wanted);
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
	bool was_open = c->fd >= 0 && !c->connecting;

	if (c->fd < 0)
		return;
	if (reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard,
		    sizeof(hard));
	close(c->fd);
	c->fd = -1;
	c->connecting = false;
	c->wake_ms = now_ms;
	if (was_open)
		model.gone(c);
}

void
leave_now(struct client *c)
{
	wants_over(c, &count.left);
	disconnect(c, c->leave == LEAVE_RST);
}

static void
peer_ended(struct client *c, bool reset)
{
	if (c->ending && c->wants.n == 0 && c->in.len == 0) {
		disconnect(c, false);
		return;
	}
	if (!reset && c->in.len > 0)
		violation(c, "the connection ended inside of a reply");
	count.cuts++;
	wants_over(c, &count.cut);
	disconnect(c, false);
}

/* Judge one whole reply; NULL = right. */
static const char *
judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	if (w->kind >= WANT_MODEL)
		return model.judge(c, w, p, n);
	if (w->kind == WANT_STREAM)
		return n == w->len + w->size + 2 + w->other_len &&
		    memcmp(p, w->text, w->len) == 0 &&
		    p1_same(w->token, P1_UP, 0, (const unsigned char *)p +
		    w->len, w->size) && memcmp(p + w->len + w->size, "\r\n", 2)
		    == 0 && (w->other_len == 0 || memcmp(p + w->len + w->size +
		    2, w->other, w->other_len) == 0) ? NULL : "a large value";
	if (n == w->len && memcmp(p, w->text, n) == 0)
		return NULL;
	if (w->other != NULL && n == w->other_len &&
	    memcmp(p, w->other, n) == 0)
		return NULL;
	return w->text;
}

static void
refused(struct client *c, const char *p, size_t n)
{
	if (first_refusal[0] == '\0')
		(void)shown(p, n, first_refusal, sizeof(first_refusal));
	want_over(&c->wants, &count.refused);
	/* What is in the keys now, nobody knows. */
	wants_over(c, &count.left);
	disconnect(c, false);
}

/* One reply has come; false when the connection is over. */
static bool
reply(struct client *c, struct wants *q, const char *p, size_t n)
{
	struct want w = q->list[q->first];
	const char *why = judge(c, &w, p, n);
	char text[600], wanted_text[600];

	if (why != NULL && q == &c->wants && model.refusal(p, n)) {
		refused(c, p, n);
		return false;
	}
	if (why != NULL) {
		violation(c, "got %s, wanted %s", shown(p, n, text,
		    sizeof(text)), shown(why, strlen(why), wanted_text,
		    sizeof(wanted_text)));
		wants_over(c, &count.left);
		disconnect(c, false);
		return false;
	}
	if (now_ms - w.begun_ms > (int64_t)count.slowest_ms)
		count.slowest_ms = (uint64_t)(now_ms - w.begun_ms);
	/* then() may add wants: the list may move. */
	q->list[q->first].text = q->list[q->first].other = NULL;
	want_over(q, &count.answered);
	c->replies++;
	if (w.then != 0)
		model.then(c, &w);
	free(w.text);
	free(w.other);
	return c->fd >= 0;
}

/* Take whole replies out of what has come. */
static void
replies(struct client *c)
{
	struct wants *q;
	size_t at = 0;
	ssize_t n;
	char text[600];

	while (at < c->in.len) {
		q = model.is_push(c, c->in.p + at) ? &c->pushes : &c->wants;
		if (q->n == 0 && model.refusal(c->in.p + at, c->in.len - at)) {
			/* Of a command that was to have no reply. */
			wants_over(c, &count.left);
			disconnect(c, false);
			return;
		}
		if (q->n == 0) {
			violation(c, "nobody asked for %s", shown(c->in.p + at,
			    c->in.len - at, text, sizeof(text)));
			wants_over(c, &count.left);
			disconnect(c, false);
			return;
		}
		n = model.size_of(c, &q->list[q->first], c->in.p + at,
		    c->in.len - at);
		if (n < 0) {
			violation(c, "no reply: %s, wanted %s", shown(c->in.p +
			    at, c->in.len - at, text, sizeof(text)),
			    q->list[q->first].text != NULL ?
			    q->list[q->first].text : "?");
			wants_over(c, &count.left);
			disconnect(c, false);
			return;
		}
		if (n == 0)
			break;
		if (!reply(c, q, c->in.p + at, (size_t)n))
			return;
		at += (size_t)n;
	}
	memmove(c->in.p, c->in.p + at, c->in.len - at);
	c->in.len -= at;
}

static void
input(struct client *c)
{
	ssize_t n;

	bytes_room(&c->in, READ_SIZE);
	n = recv(c->fd, c->in.p + c->in.len, READ_SIZE, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	c->moved_ms = now_ms;
	if (n <= 0) {
		peer_ended(c, n < 0);
		return;
	}
	c->in.len += (size_t)n;
	count.came += (uint64_t)n;
	replies(c);
}

static void
output(struct client *c)
{
	size_t end = c->leave != STAY ? c->leave_out : c->out.len, n;
	ssize_t got;

	if (c->rest_ms > now_ms)
		return;
	if (c->pause_at < c->n_pauses && c->pauses[c->pause_at].at < end)
		end = c->pauses[c->pause_at].at;
	while (c->out_at < end) {
		n = end - c->out_at < c->out_step ? end - c->out_at :
		    c->out_step;
		got = send(c->fd, c->out.p + c->out_at, n, MSG_NOSIGNAL);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0) {
			peer_ended(c, true);
			return;
		}
		c->out_at += (size_t)got;
		count.sent += (uint64_t)got;
		c->moved_ms = now_ms;
		if (c->out_step != SIZE_MAX)
			return;         /* a piece for each turn */
	}
	if (c->pause_at < c->n_pauses && c->out_at ==
	    c->pauses[c->pause_at].at) {
		c->rest_ms = now_ms + c->pauses[c->pause_at].ms;
		c->pause_at++;
	}
}

/* ------------------------------------------------------------ connections */

/* Where, if at all, this client leaves in what it begins now: at a byte of
   what it sends, or when it has all sent and some of the replies. */
static void
choose_leave(struct client *c)
{
	c->leave = STAY;
	c->out_step = percent(pieces_percent) ? 1 + below(2000) : SIZE_MAX;
	if (!percent(leave_percent))
		return;
	c->leave = LEAVE_CLOSE + (enum leave)below(2);
	c->leave_out = c->out.len;
	c->leave_replies = c->replies;
	if (percent(40))
		c->leave_out = c->out_at + below(c->out.len - c->out_at + 1);
	else
		c->leave_replies += below(c->wants.n + 1);
}

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
	c->connecting = true;
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&from, sizeof(from)) <
	    0 || (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)) {
		count.no_connect++;
		disconnect(c, false);
		c->wake_ms = now_ms + 5;
		return;
	}
	c->session = ++n_sessions;
	c->left = 1 + (unsigned)below(20);
	c->ending = false;
	c->out.len = c->in.len = c->out_at = 0;
	c->n_pauses = c->pause_at = 0;
	c->replies = 0;
	c->leave = STAY;
	c->moved_ms = now_ms;
	c->wake_ms = c->rest_ms = 0;
	c->watched = e.events;
	memset(c->model, 0, model.size);
	(void)epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void
connect_over(struct client *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error == 0) {
		count.connects++;
		c->connecting = false;
		model.join(c);
		return;
	}
	count.no_connect++;
	disconnect(c, false);
	c->wake_ms = now_ms + 5 + (int64_t)below(20);
}

/* The model may have nothing to add while it waits for another client. */
static void
begin(struct client *c)
{
	if (c->out_at == c->out.len) {
		c->out_at = c->out.len = 0;
		c->n_pauses = c->pause_at = 0;
	}
	model.begin(c);
	if (c->fd >= 0 && c->out.len > c->out_at)
		choose_leave(c);
}

/* Do whatever c can do now. */
static void
step(struct client *c)
{
	uint32_t events = EPOLLIN;
	bool had_more;

	if (c->fd < 0) {
		if (c->wake_ms <= now_ms && !enough())
			join(c);
		return;
	}
	if (c->connecting) {
		watch(c, EPOLLOUT);
		return;
	}
	c->wake_ms = 0;
	if (c->leave == STAY && !c->ending && c->wants.n == 0 &&
	    c->out_at == c->out.len)
		begin(c);
	if (c->fd < 0)
		return;
	had_more = c->out_at < c->out.len;
	output(c);
	if (c->fd < 0)
		return;
	if (c->leave != STAY && c->out_at >= c->leave_out &&
	    c->replies >= c->leave_replies) {
		leave_now(c);
		return;
	}
	/* The last that was sent may have no reply: go on by itself. */
	if (c->leave == STAY && !c->ending && c->wants.n == 0 && had_more &&
	    c->out_at == c->out.len)
		wake(c);
	if (c->rest_ms <= now_ms && c->out_at <
	    (c->leave != STAY ? c->leave_out : c->out.len))
		events |= EPOLLOUT;
	watch(c, events);
}

static void
lost(struct client *c)
{
	violation(c, "nothing came for %" PRId64 " ms; %zu and %zu owed, "
	    "%zu bytes not sent, first %.80s", now_ms - c->moved_ms,
	    c->wants.n, c->pushes.n, c->out.len - c->out_at, c->wants.n > 0 &&
	    c->wants.list[c->wants.first].text != NULL ?
	    c->wants.list[c->wants.first].text : "?");
	wants_over(c, &count.lost);
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
		if (c->fd < 0 || (c->wake_ms > 0 && c->wake_ms <= now_ms))
			step(c);
		else if (c->rest_ms > 0 && c->rest_ms <= now_ms) {
			c->rest_ms = 0;
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
			if (c->fd < 0)
				continue;       /* ended by another's step */
			if (c->connecting)
				connect_over(c);
			else if (events[i].events & ~(unsigned)EPOLLOUT)
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
	char *p;

	for (p = first_refusal; *p != '\0'; p++)
		if (*p == '"' || *p == '\\')
			*p = '\'';
	printf("{\"owed\": %" PRIu64 ", \"answered\": %" PRIu64
	    ", \"refused\": %" PRIu64 ", \"cut\": %" PRIu64 ", \"left\": %"
	    PRIu64 ", \"lost\": %" PRIu64 ", \"violations\": %" PRIu64
	    ", \"connects\": %" PRIu64 ", \"no_connect\": %" PRIu64
	    ", \"cuts\": %" PRIu64 ", \"sent\": %" PRIu64 ", \"came\": %"
	    PRIu64 ", \"slowest_ms\": %" PRIu64
	    ", \"seconds\": %.1f, \"first_refusal\": \"%s\"", count.owed,
	    count.answered, count.refused, count.cut, count.left, count.lost,
	    count.violations, count.connects, count.no_connect, count.cuts,
	    count.sent, count.came, count.slowest_ms,
	    (double)took_ms / 1000, first_refusal);
	model.report();
	printf("}\n");
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
	else if (strncmp(text, "replies=", 8) == 0)
		wanted = n;
	else if (strncmp(text, "seed=", 5) == 0)
		seed = n;
	else if (strncmp(text, "leave=", 6) == 0)
		leave_percent = (unsigned)n;
	else if (strncmp(text, "big=", 4) == 0)
		big_most = n;
	else if (strncmp(text, "bigrate=", 8) == 0)
		big_rate = (unsigned)n;
	else if (strncmp(text, "pieces=", 7) == 0)
		pieces_percent = (unsigned)n;
	else if (strncmp(text, "patience=", 9) == 0)
		patience_ms = (int64_t)n * 1000;
	else if (strncmp(text, "variant=", 8) == 0)
		variant = value + 1;
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
		clients[i].model = calloc(1, model.size);
		if (clients[i].model == NULL)
			return 2;
	}
	/* Names of keys have a session's number: those of an earlier run on the
	   same server are others. */
	n_sessions = (seed & 0xffffff) << 24;
	now_ms = begin_ms = clock_ms();
	run();
	report(clock_ms() - begin_ms);
	return count.violations > 0;
}
