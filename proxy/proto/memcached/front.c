/*
 * memcached towards clients: reading their requests one after the other, handing
 * each on when it is whole, and saying what has failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "proxy/proto/memcached/memcached.h"
#include "proxy/runtime.h"

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

/* ------------------------------------------------------------------ reading */

/* What is in b from a position on, as far as it is in one piece. */
static const char *
bytes_at(const struct buf *b, size_t at, size_t *len)
{
	const struct slice *sl = b->first;

	for (; sl != NULL; at -= sl->len, sl = sl->next)
		if (at < sl->len) {
			*len = sl->len - at;
			return sl->block->bytes + sl->at + at;
		}
	*len = 0;
	return NULL;
}

/* Will it not be waited for until it is whole? */
static bool
is_large(const struct session *s)
{
	const struct memcached_request *r = &memcached_session(s)->request;

	return r->head > 0 && r->size >=
	    (uint64_t)memcached_conf(s)->share_max;
}

/* Feed on, where the request stands at the beginning of the input. */
static enum parse
read_request(struct session *s)
{
	struct memcached_request *r = &memcached_session(s)->request;
	enum parse got = PARSE_MORE;
	const char *bytes;
	size_t len, used;

	while (got == PARSE_MORE && !is_large(s)) {
		bytes = bytes_at(&s->conn.in, (size_t)r->size, &len);
		if (len == 0)
			break;
		got = memcached_request_feed(r, bytes, len, &used);
	}
	return got;
}

/* The answer comes when those before it have; then the client is left. */
static void
protocol_error(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);
	struct exchange *x = pipeline_begin(s);
	char text[MEMCACHED_ANSWER_MAX];
	size_t n = memcached_error_write(&ms->request, text);

	ms->cut = true;
	s->leaving = true;
	count_add(&s->door->failures[FAIL_BAD_REQUEST], 1);
	buf_clear(store_of(s), &s->conn.in);
	if (x == NULL || buf_append(exchange_blocks(x), &x->down, text, n) < 0) {
		session_reset(s);
		return;
	}
	x->why = FAIL_BAD_REQUEST;
	pipeline_answer(x);
}

/* It has to wait until something else is over; what comes behind it waits
   outside. */
static bool
hold_input(struct session *s)
{
	if (s->conn.in.held >= CONN_LOW)
		conn_pause(&s->conn);
	return false;
}

/* One request. False: there is none, or it has to wait. */
static bool
take(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);

	if (!ms->is_whole) {
		switch (read_request(s)) {
		case PARSE_BAD:
			protocol_error(s);
			return false;
		case PARSE_MORE:
			if (!is_large(s))
				return false;
			return memcached_dispatch_large(s) || hold_input(s);
		case PARSE_DONE:
			break;
		}
		ms->is_whole = true;
	}
	return memcached_dispatch(s) || hold_input(s);
}

/* ------------------------------------------------------------ large requests */

/* Its end shows that the server would find it wrong. It does not get that far:
   what it has is thrown away when its connection closes. */
static bool
spoilt(struct session *s, struct exchange *x, size_t rest)
{
	struct memcached_session *ms = memcached_session(s);

	memcached_of(x)->error = ms->request.error;
	buf_drop(store_of(s), &s->conn.in, rest);
	exchange_fail(x, FAIL_BAD_REQUEST);
	if (s->closed)
		return false;
	ms->discards = false;
	memcached_request_taken(s);
	return true;
}

/* More of a request that is being sent as it comes. */
static bool
stream_on(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);
	struct exchange *x = ms->large;
	struct upconn *u = x->lease != NULL ? x->lease->u : NULL;
	const char *bytes;
	size_t len, used;
	enum parse got;

	if (u == NULL || u->conn.out.held >= CONN_HIGH)
		return hold_input(s);
	conn_resume(&s->conn);
	bytes = buf_front(&s->conn.in, &len);
	if (len == 0)
		return false;
	got = memcached_request_feed(&ms->request, bytes, len, &used);
	if (got != PARSE_MORE && ms->request.error != NULL)
		return spoilt(s, x, used);
	if (buf_move(store_of(s), &u->conn.out, &s->conn.in, used) < 0) {
		session_reset(s);
		return false;
	}
	conn_send(&u->conn);
	if (got == PARSE_DONE) {
		ms->large = NULL;
		memcached_request_taken(s);
		pipeline_sent(u, x);
	}
	return true;
}

/* One that has been answered before it was all there. */
static bool
discard(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);
	const char *bytes;
	size_t len, used;
	enum parse got;

	conn_resume(&s->conn);
	bytes = buf_front(&s->conn.in, &len);
	if (len == 0)
		return false;
	got = memcached_request_feed(&ms->request, bytes, len, &used);
	buf_drop(store_of(s), &s->conn.in, used);
	if (got != PARSE_MORE) {
		ms->discards = false;
		memcached_request_taken(s);
	}
	return true;
}

/* -------------------------------------------------------------------- input */

static bool
take_something(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);

	if (s->closed || s->lingering || s->finishing || ms->cut)
		return false;
	if (ms->large != NULL)
		return stream_on(s);
	if (ms->discards)
		return discard(s);
	return pipeline_may_take(s) && take(s);
}

/* A client whose end has come: what it has asked for whole is answered. */
static void
at_end(struct session *s)
{
	if (memcached_session(s)->large != NULL)
		session_close(s);
	else if (list_empty(&s->exchanges))
		session_finish(s);
}

static void
memcached_bytes(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);

	pipeline_settle(s);
	while (take_something(s))
		;
	if (s->closed || s->lingering || s->finishing)
		return;
	if (ms->cut)
		buf_clear(store_of(s), &s->conn.in);
	if (s->conn.eof && !ms->cut)
		at_end(s);
	else if (s->leaving && list_empty(&s->exchanges)) {
		conn_send(&s->conn);
		if (ms->cut)
			session_linger(s);
		else
			session_finish(s);
	} else if (s->conn.in.len == 0 && session_is_leaving(s) &&
	    session_is_idle(s))
		session_finish(s);
}

static void
memcached_leased(struct session *s, struct exchange *x)
{
	(void)x;
	session_bytes(s);
}

static void
memcached_open(struct session *s)
{
	memcached_request_init(&memcached_session(s)->request,
	    MEMCACHED_UNTOLD);
	pipeline_watch(s);
}

/* ------------------------------------------------------------------ failing */

/* As much of the request as its answer has to know. */
static struct memcached_request
request_of(const struct memcached_ask *a)
{
	return (struct memcached_request){ .wire = a->wire,
	    .quiet = a->quiet, .opcode = a->opcode, .opaque = a->opaque };
}

/* Status of binary replies, of the wiki page: not stored for the client's own
   mistakes is "invalid arguments"; else "temporary failure". */
enum { STATUS_INVALID = 0x04, STATUS_TEMPORARY = 0x86 };

static size_t
write_failure(const struct exchange *x, enum fail why, char *out)
{
	const struct memcached_exchange *mx = memcached_of(x);
	struct memcached_request r = request_of(&mx->ask);
	char line[128];

	if (mx->error != NULL) {
		r.error = mx->error;
		r.status = STATUS_INVALID;
		return memcached_error_write(&r, out);
	}
	snprintf(line, sizeof(line), "SERVER_ERROR weir: %s: %s",
	    fail_rows[why].name, fail_rows[why].text);
	return memcached_failure_write(&r, STATUS_TEMPORARY, line, out);
}

static bool
memcached_fail_in_turn(struct session *s, struct exchange *x, enum fail why)
{
	struct memcached_session *ms = memcached_session(s);
	char text[MEMCACHED_ANSWER_MAX];

	if (ms->large == x) {
		ms->large = NULL;
		ms->discards = true;
	}
	return pipeline_fail(s, x, text, write_failure(x, why, text));
}

/* In the middle of a reply there are no words. */
static void
memcached_fail(struct session *s, struct exchange *x, enum fail why)
{
	(void)x, (void)why;
	session_reset(s);
}

/* As memcached itself says it, in text to everybody. */
static size_t
memcached_refuse(enum limit why, int64_t retry_after_ns, char *out,
    size_t size)
{
	int n = snprintf(out, size, "%s\r\n", why == LIMIT_DENIED ?
	    "SERVER_ERROR weir: not from here" :
	    "ERROR Too many open connections");

	(void)retry_after_ns;
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static void
memcached_words(const struct exchange *x, struct access_words *w)
{
	w->request = memcached_command_names[memcached_of(x)->ask.command];
	w->request_len = strlen(w->request);
}

const struct front_ops memcached_front = {
	.open = memcached_open,
	.bytes = memcached_bytes,
	.leased = memcached_leased,
	.drained = pipeline_drained,
	.fail = memcached_fail,
	.fail_in_turn = memcached_fail_in_turn,
	.late = pipeline_session_late,
	.bye = memcached_bytes,
	.refuse = memcached_refuse,
	.words = memcached_words
};
