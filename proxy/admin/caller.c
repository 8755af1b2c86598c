/*
 * One connection to the admin port. See caller.h.
 *
 * Input is read only while a request is being read; after the last answer it is
 * read and dropped, because closing with unread bytes would send a RST that can
 * destroy the answer on its way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proxy/admin/guard.h"
#include "proxy/admin/json.h"
#include "proxy/admin/pages.h"
#include "proxy/admin/target.h"
#include "proxy/started.h"

/* Milliseconds. */
enum {
	REQUEST_MS = 10 * 1000,         /* a whole request */
	CENSUS_MS = 2 * 1000,           /* all lanes' answers */
	WRITE_MS = 30 * 1000,           /* an answer taken, or a frame */
	IDLE_MS = 60 * 1000,
	LINGER_MS = 2 * 1000
};

static void caller_read(struct caller *c);

/* ------------------------------------------------------------------ states */

/* How long c may stay in a state; STREAMING arms its own, frame by frame. */
static int64_t
patience_ms(enum caller_state state)
{
	switch (state) {
	case CALLER_IDLE:
		return IDLE_MS;
	case CALLER_HEAD:
	case CALLER_BODY:
		return REQUEST_MS;
	case CALLER_WAITING:
		return CENSUS_MS;
	case CALLER_WRITING:
		return WRITE_MS;
	case CALLER_LINGERING:
		return LINGER_MS;
	case CALLER_STREAMING:
	case CALLER_CLOSED:
		break;
	}
	return CONF_OFF;
}

/* A body has what its head left of the time: REQUEST_MS is for both. */
static void
set_state(struct caller *c, enum caller_state state)
{
	c->state = state;
	if (state != CALLER_BODY)
		deadline_set(c->conn.w, &c->deadline, patience_ms(state));
	if (state == CALLER_WAITING || state == CALLER_WRITING)
		conn_pause(&c->conn);
	else if (state != CALLER_CLOSED)
		conn_resume(&c->conn);
}

static void
caller_release(struct worker *w, struct late *l)
{
	(void)w;
	free(container_of(l, struct caller, late));
}

static void
drop_body(struct caller *c)
{
	if (c->body == NULL)
		return;
	free(c->body);
	c->body = NULL;
	c->body_len = 0;
	c->admin->n_bodies--;
}

void
caller_close(struct caller *c)
{
	if (c->state == CALLER_CLOSED)
		return;
	drop_body(c);
	if (c->awaited != NULL)
		c->awaited->forget(c->awaited);
	c->state = CALLER_CLOSED;
	deadline_clear(&c->deadline);
	list_remove(&c->link);
	c->admin->n_callers--;
	conn_close(&c->conn);
	worker_late(c->conn.w, &c->late, caller_release);
}

static void
next_request(struct caller *c)
{
	http_head_init(&c->head, CALLER_FIELDS, CALLER_HEAD_BYTES);
	c->trusted = c->keep = c->pretty = false;
	set_state(c, CALLER_IDLE);
}

/* ----------------------------------------------------------------- answers */

static const char *
reason(unsigned status)
{
	static const struct { unsigned status; const char *text; } reasons[] = {
		{ 200, "OK" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Content" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" }
	};
	size_t i;

	for (i = 0; i < NELEMS(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Answer";
}

static int
say(struct caller *c, const char *bytes, size_t len)
{
	return buf_append(&c->conn.w->blocks, &c->conn.out, bytes, len);
}

/* Not for those who only probe, or have not shown that they may ask. */
static int
say_file(struct caller *c)
{
	static const char begin[] = STARTED_FIELD ": ";
	const char *file = c->admin->file;

	if (file == NULL || c->probe || !c->trusted)
		return 0;
	if (say(c, begin, sizeof(begin) - 1) < 0 ||
	    say(c, file, strlen(file)) < 0)
		return -1;
	return say(c, "\r\n", 2);
}

static int
say_head(struct caller *c, unsigned status, const char *type,
    const char *fields, const char *length)
{
	char head[1024], date[40];
	time_t now = time(NULL);
	struct tm tm;
	int len;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	len = snprintf(head, sizeof(head), "HTTP/1.1 %u %s\r\nDate: %s\r\n"
	    "Content-Type: %s\r\n%sCache-Control: no-store\r\n"
	    "X-Content-Type-Options: nosniff\r\n%s%s", status,
	    reason(status), date, type, length,
	    c->keep ? "" : "Connection: close\r\n",
	    fields != NULL ? fields : "");
	if (len < 0 || (size_t)len >= sizeof(head))
		return -1;
	if (say(c, head, (size_t)len) < 0 || say_file(c) < 0)
		return -1;
	return say(c, "\r\n", 2);
}

void
caller_reply(struct caller *c, unsigned status, const char *type,
    const char *fields, const char *body, size_t len)
{
	char length[48];

	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", len);
	if (say_head(c, status, type, fields, length) < 0 ||
	    (c->head.method != HTTP_M_HEAD && say(c, body, len) < 0)) {
		/* Half an answer must not look whole. */
		conn_reset(&c->conn);
		caller_close(c);
		return;
	}
	set_state(c, CALLER_WRITING);
	if (c->keep)
		conn_send(&c->conn);
	else
		conn_shut(&c->conn);
}

void
caller_reply_text(struct caller *c, unsigned status, const char *text)
{
	caller_reply(c, status, "text/plain; charset=utf-8", NULL, text,
	    strlen(text));
}

void
caller_reply_json(struct caller *c, unsigned status, json_t *j)
{
	static const char sorry[] = "{\"error\":\"out of memory\"}\n";
	char *text = json_spell(j, c->pretty);

	if (text == NULL)
		caller_reply(c, 503, "application/json", NULL, sorry,
		    sizeof(sorry) - 1);
	else
		caller_reply(c, status, "application/json", NULL, text,
		    strlen(text));
	free(text);
}

void
caller_reply_error(struct caller *c, unsigned status, const char *text)
{
	caller_reply_json(c, status, json_error(text));
}

/* As an error, with one more field; static texts. */
static void
refuse_with(struct caller *c, unsigned status, const char *fields,
    const char *text)
{
	char body[256];
	int len = snprintf(body, sizeof(body), "{\"error\":\"%s\"}\n", text);

	caller_reply(c, status, "application/json", fields, body, (size_t)len);
}

/* Nothing more is read from it: where the next request begins is not known, or
   not worth waiting for. */
static void
refuse(struct caller *c, unsigned status, const char *text)
{
	c->keep = false;
	caller_reply_error(c, status, text);
}

void
caller_flush(struct caller *c)
{
	conn_flush(&c->conn);
}

void
caller_wait(struct caller *c, struct awaited *what)
{
	c->awaited = what;
	set_state(c, CALLER_WAITING);
}

/* --------------------------------------------------------------- streaming */

void
caller_stream(struct caller *c)
{
	c->keep = false;
	if (say_head(c, 200, "text/event-stream",
	    "X-Accel-Buffering: no\r\n", "") < 0) {
		caller_close(c);
		return;
	}
	if (c->head.method == HTTP_M_HEAD) {
		set_state(c, CALLER_WRITING);
		conn_shut(&c->conn);
		return;
	}
	set_state(c, CALLER_STREAMING);
	conn_send(&c->conn);
}

void
caller_beat(struct caller *c, const char *frame, size_t len)
{
	/* Whoever is slow misses frames, then its place. */
	if (c->state != CALLER_STREAMING || c->conn.out.len > 0)
		return;
	if (say(c, frame, len) < 0) {
		caller_close(c);
		return;
	}
	deadline_set(c->conn.w, &c->deadline, WRITE_MS);
	conn_send(&c->conn);
}

void
callers_beat(struct admin *a, const char *frame, size_t len)
{
	struct list *l, *tmp;

	list_each(l, tmp, &a->callers)
		caller_beat(container_of(l, struct caller, link), frame, len);
}

bool
callers_stream(const struct admin *a)
{
	const struct list *l;

	for (l = a->callers.next; l != &a->callers; l = l->next)
		if (container_of(l, struct caller, link)->state ==
		    CALLER_STREAMING)
			return true;
	return false;
}

/* ---------------------------------------------------------------- requests */

const char *
caller_query(const struct caller *c, const char *key, char *out, size_t size)
{
	return target_query(c->query, key, out, size);
}

static void
answer(struct caller *c)
{
	const struct page *p = c->page;
	bool get = c->head.method == HTTP_M_GET ||
	    c->head.method == HTTP_M_HEAD;

	if (p == NULL || (c->probe && !p->probe))
		caller_reply_error(c, 404, "there is no such page");
	else if (p->order && c->head.method != HTTP_M_POST)
		refuse_with(c, 405, "Allow: POST\r\n", "this changes "
		    "something, so the method has to be POST");
	else if (!p->order && !get)
		refuse_with(c, 405, "Allow: GET, HEAD\r\n", "this page is only "
		    "read: the method has to be GET or HEAD");
	else
		p->answer(c);
	drop_body(c);
}

/* Room for the body, if anybody is going to read it: 0, or -1 and c has been
   answered. */
static int
make_body_room(struct caller *c, uint64_t len)
{
	const struct page *p = c->page;

	if (p == NULL || page_body_most(p) == 0 || (c->probe && !p->probe)) {
		if (len <= CALLER_BODY_BYTES)
			return 0;
		refuse(c, 413, "the body is larger than 1 MiB");
		return -1;
	}
	if (len > page_body_most(p)) {
		refuse(c, 413, "the body is larger than this page takes");
		return -1;
	}
	if (c->admin->n_bodies < BODIES_MOST)
		c->body = malloc((size_t)len + 1);
	if (c->body == NULL) {
		refuse(c, 503, "there is no room for the body now");
		return -1;
	}
	c->body[0] = '\0';
	c->admin->n_bodies++;
	return 0;
}

/* Path and query; false when one is too long: half of it may mean the opposite
   of the whole. */
static bool
take_target(struct caller *c, const char *bytes)
{
	struct http_span path = c->head.path, query = c->head.query;

	if (query.len > 0)
		path.len = (uint16_t)(query.at - path.at);
	if (path.len > 0 && bytes[path.at + path.len - 1] == '?')
		path.len--;
	if (path.len >= sizeof(c->path) || query.len >= sizeof(c->query))
		return false;
	snprintf(c->path, sizeof(c->path), "%.*s", (int)path.len,
	    bytes + path.at);
	snprintf(c->query, sizeof(c->query), "%.*s", (int)query.len,
	    bytes + query.at);
	c->pretty = caller_query(c, "pretty", (char[8]){ 0 }, 8) != NULL;
	return true;
}

static void
refuse_verdict(struct caller *c, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_HOST:
		refuse(c, 403, "the Host field has to be an IP address, "
		    "localhost or one of admin.hosts");
		return;
	case VERDICT_ORIGIN:
		refuse(c, 403, "requests of other pages are refused (Origin)");
		return;
	case VERDICT_TOKEN:
		c->keep = false;
		refuse_with(c, 401, "WWW-Authenticate: Bearer\r\n",
		    "Authorization: Bearer TOKEN is missing or wrong");
		return;
	case VERDICT_PASS:
		return;
	}
}

/* Before anything is done, or a body is read. */
static void
refuse_other(struct caller *c)
{
	char *text;

	if (asprintf(&text, "this weir was started with %s",
	    c->admin->file != NULL ? c->admin->file : "another file") < 0)
		text = NULL;
	refuse(c, 409, text != NULL ? text : "out of memory");
	free(text);
}

/* A head is there. May it be answered, and is there a body to be read first? */
static void
take_head(struct caller *c, const char *bytes)
{
	const struct http_head *h = &c->head;
	enum verdict verdict = guard_judge(c->admin->conf, c->probe,
	    c->guarded, h, bytes);
	bool meant = c->probe || guard_is_meant(c->admin->file, h, bytes);
	bool fits = take_target(c, bytes);

	c->keep = h->keep_alive && h->minor == 1 && !c->admin->rests;
	c->page = fits ? page_find(c->path) : NULL;
	c->trusted = verdict == VERDICT_PASS;
	buf_drop(&c->conn.w->blocks, &c->conn.in, h->size);
	if (verdict != VERDICT_PASS && !(verdict == VERDICT_TOKEN && fits &&
	    page_is_public(c->page)))
		refuse_verdict(c, verdict);
	else if (!meant)
		refuse_other(c);
	else if (!fits)
		refuse(c, 414, "the path or the query is too long");
	else if (h->body == HTTP_BODY_CHUNKED)
		refuse(c, 411, "bodies need a Content-Length here");
	else if (h->body == HTTP_BODY_LENGTH && h->length > 0) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		if (make_body_room(c, h->length) < 0)
			return;
		c->body_left = h->length;
		set_state(c, CALLER_BODY);
		if (h->expect_continue &&
		    say(c, go_on, sizeof(go_on) - 1) == 0)
			conn_send(&c->conn);
	} else
		answer(c);
}

static void
read_head(struct caller *c)
{
	struct buf *in = &c->conn.in;
	size_t len = in->len < CALLER_HEAD_BYTES + 2 ? in->len :
	    CALLER_HEAD_BYTES + 2;
	const char *bytes = buf_flat(&c->conn.w->blocks, in, len);

	if (bytes == NULL) {
		caller_close(c);
		return;
	}
	switch (http_request_parse(&c->head, bytes, len)) {
	case PARSE_DONE:
		take_head(c, bytes);
		return;
	case PARSE_BAD:
		refuse(c, c->head.refusal, c->head.why);
		return;
	case PARSE_MORE:
		if (c->conn.eof)
			caller_close(c);
		return;
	}
}

/* The first n bytes, to behind those that there are: body_left never was more
   than the room. */
static void
keep_body(struct caller *c, size_t n)
{
	size_t len;
	const char *at;

	while (n > 0) {
		at = buf_front(&c->conn.in, &len);
		if (len > n)
			len = n;
		memcpy(c->body + c->body_len, at, len);
		c->body_len += len;
		buf_drop(&c->conn.w->blocks, &c->conn.in, len);
		n -= len;
	}
	c->body[c->body_len] = '\0';
}

/* What nobody reads is taken off the wire all the same, or the next request
   would begin in its middle. */
static void
read_body(struct caller *c)
{
	struct buf *in = &c->conn.in;
	size_t n = in->len < c->body_left ? in->len : (size_t)c->body_left;

	if (c->body != NULL)
		keep_body(c, n);
	else
		buf_drop(&c->conn.w->blocks, in, n);
	c->body_left -= n;
	if (c->body_left == 0)
		answer(c);
	else if (c->conn.eof)
		caller_close(c);
}

/* Go on as far as the bytes that have come allow. */
static void
caller_read(struct caller *c)
{
	struct buf *in = &c->conn.in;
	size_t before;

	do {
		before = in->len;
		if (c->state == CALLER_IDLE && in->len > 0)
			set_state(c, CALLER_HEAD);
		if (c->state == CALLER_HEAD && in->len > 0)
			read_head(c);
		if (c->state == CALLER_BODY)
			read_body(c);
		if (c->state == CALLER_STREAMING ||
		    c->state == CALLER_LINGERING)
			buf_clear(&c->conn.w->blocks, in);
	} while (c->conn.open && in->len > 0 && in->len != before);
	if (c->conn.eof && c->state != CALLER_WAITING &&
	    c->state != CALLER_WRITING)
		caller_close(c);
}

/* ------------------------------------------------------------------ events */

static void
input(struct conn *conn)
{
	caller_read(container_of(conn, struct caller, conn));
}

static void
drained(struct conn *conn)
{
	struct caller *c = container_of(conn, struct caller, conn);

	if (conn->out.len > 0)
		return;
	if (c->state == CALLER_STREAMING)
		deadline_clear(&c->deadline);
	if (c->state != CALLER_WRITING)
		return;
	if (c->keep)
		next_request(c);
	else
		set_state(c, CALLER_LINGERING);
	caller_read(c);
}

static void
failed(struct conn *conn, int error)
{
	(void)error;
	caller_close(container_of(conn, struct caller, conn));
}

static const struct conn_ops caller_ops = {
	.input = input,
	.drained = drained,
	.failed = failed,
	.what = "a request to the admin port"
};

static void
too_slow(struct deadline *d)
{
	struct caller *c = container_of(d, struct caller, deadline);

	switch (c->state) {
	case CALLER_HEAD:
	case CALLER_BODY:
		refuse(c, 408, "the request did not come in time");
		return;
	case CALLER_WAITING:
		c->awaited->late(c->awaited);
		return;
	case CALLER_WRITING:
	case CALLER_STREAMING:
		conn_reset(&c->conn);
		caller_close(c);
		return;
	case CALLER_IDLE:
	case CALLER_LINGERING:
	case CALLER_CLOSED:
		caller_close(c);
		return;
	}
}

/* ---------------------------------------------------------------- arriving */

/* How easily c is let go for a new one; 0 = it is being answered. */
static unsigned
idleness(const struct caller *c)
{
	switch (c->state) {
	case CALLER_IDLE:
	case CALLER_LINGERING:
		return 3;
	case CALLER_STREAMING:          /* browsers come back by themselves */
		return 2;
	case CALLER_HEAD:
	case CALLER_BODY:
		return 1;
	case CALLER_WAITING:
	case CALLER_WRITING:
	case CALLER_CLOSED:
		break;
	}
	return 0;
}

/* The oldest of the idlest goes: connections left open, or opened to be in the
   way, keep no probe out. */
static bool
make_room(struct admin *a)
{
	struct caller *idlest = NULL;
	struct list *l;

	if (a->n_callers < CALLERS_MOST)
		return true;
	for (l = a->callers.next; l != &a->callers; l = l->next) {
		struct caller *c = container_of(l, struct caller, link);

		if (idleness(c) > (idlest != NULL ? idleness(idlest) : 0))
			idlest = c;
	}
	if (idlest == NULL)
		return false;
	caller_close(idlest);
	return true;
}

static void
turn_away(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\n"
	    "Content-Type: application/json\r\nContent-Length: 43\r\n"
	    "Connection: close\r\n\r\n"
	    "{\"error\":\"too many connections to admin\"}\r\n";
	ssize_t sent = send(fd, text, sizeof(text) - 1,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)sent;             /* it learns it from the close otherwise */
	close(fd);
}

void
caller_new(struct admin *a, int fd, bool probe, bool guarded)
{
	struct caller *c = NULL;

	if (make_room(a))
		c = calloc(1, sizeof(*c) +
		    CALLER_FIELDS * sizeof(c->head.field[0]));
	if (c == NULL) {
		turn_away(fd);
		return;
	}
	c->admin = a;
	c->probe = probe;
	c->guarded = guarded;
	deadline_init(&c->deadline, too_slow);
	list_append(&a->callers, &c->link);
	a->n_callers++;
	conn_open(&c->conn, &a->rt->main, fd, WORKER_PRI_ACCEPT, &caller_ops);
	next_request(c);
}
