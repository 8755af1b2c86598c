/*
 * HTTP/1.1 towards clients: reads requests one after the other, gives answers
 * in that order. Knows nothing of how the upstream speaks. See http.h.
 *
 * One exchange at a time: what a client pipelines waits in its input queue,
 * bounded, until the answer before it has been written.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/http.h"
#include "proxy/tunnel.h"

enum {
	AHEAD_MOST = 64 * 1024,         /* input held while an answer is due */
	BODY_STEP = 64 * 1024           /* so much has to come in timeouts.body */
};

/* ----------------------------------------------------------------- failing */

/* Whatever else the client sends is not read as a request. */
static void
last_words(struct session *s, const struct http_exchange *hx)
{
	s->leaving = true;
	conn_send(&s->conn);
	if (hx->taking == TAKEN && s->conn.in.len == 0)
		session_finish(s);
	else
		session_linger(s);
}

static void
say_failure(struct session *s, struct exchange *x, unsigned status,
    const char *name, const char *text)
{
	struct http_exchange *hx = http_of(x);

	if (hx->taking != TAKEN || session_is_leaving(s))
		hx->keep = false;
	x->outcome = status < 500 ? OUTCOME_4XX : OUTCOME_5XX;
	x->status = (uint16_t)status;
	if (http_write_failure(x, status, name, text) < 0) {
		session_close(s);
		return;
	}
	if (!hx->keep)
		last_words(s, hx);
	else
		conn_send(&s->conn);
}

static void
front_fail(struct session *s, struct exchange *x, enum fail why)
{
	struct http_exchange *hx = http_of(x);
	const struct fail_row *row = &fail_rows[why];

	if (hx->giving == TUNNELLING) {
		if (x->lease != NULL)
			conn_reset(&x->lease->u->conn);
		if (why == FAIL_TUNNEL_TIMEOUT)
			session_close(s);
		else
			session_reset(s);
		return;
	}
	/* An answer that has begun cannot be taken back. It ends early; where
	   only the close tells its end, a RST says that this was none. */
	if (x->answered || row->status == 0) {
		if (hx->cut_down || s->conn.out.len > 0)
			session_reset(s);
		else
			session_close(s);
		return;
	}
	if (why == FAIL_BAD_REQUEST && hx->head->refusal != 0)
		say_failure(s, x, hx->head->refusal, row->name, hx->head->why);
	else
		say_failure(s, x, row->status, row->name,
		    why == FAIL_TLS && x->said != NULL ? x->said : row->text);
}

/* -------------------------------------------------------------------- head */

static struct exchange *
begin(struct session *s)
{
	struct exchange *x = exchange_new(s);
	struct http_exchange *hx;

	if (x == NULL)
		return NULL;
	hx = http_of(x);
	hx->sent = &s->conn.sent;
	hx->head = http_head_new(x);
	if (hx->head == NULL) {
		exchange_drop(x, FAIL_NO_MEMORY);
		return NULL;
	}
	http_head_init(hx->head, (unsigned)x->policy->max_headers,
	    (unsigned)x->policy->max_header_bytes);
	return x;
}

/*
 * Keep the head for as long as the exchange lives: it may wait, be sent twice,
 * be logged. Small ones are copied, so that they hold no large block.
 */
static int
keep_head(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);
	struct buf *in = &x->s->conn.in;
	size_t size = hx->head->size;

	if (size <= BUF_SMALL) {
		hx->raw_block = block_new(store, BUF_SMALL);
		if (hx->raw_block == NULL)
			return -1;
		memcpy(hx->raw_block->bytes, in->first->block->bytes +
		    in->first->at, size);
		hx->raw = hx->raw_block->bytes;
	} else {
		hx->raw_block = block_keep(in->first->block);
		hx->raw = in->first->block->bytes + in->first->at;
	}
	hx->raw_len = (uint32_t)size;
	buf_drop(store, in, size);
	return 0;
}

/* What there is of a head that is refused, for the access log. */
static void
keep_line(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	const struct buf *in = &x->s->conn.in;
	size_t len;
	const char *bytes = buf_front(in, &len);

	hx->raw_block = block_new(exchange_blocks(x), BUF_SMALL);
	if (hx->raw_block == NULL)
		return;
	if (len > BUF_SMALL)
		len = BUF_SMALL;
	memcpy(hx->raw_block->bytes, bytes, len);
	hx->raw = hx->raw_block->bytes;
	hx->raw_len = (uint32_t)len;
}

static bool
has_token(const char *raw, struct http_span list, const char *token)
{
	size_t n = strlen(token), i;

	for (i = 0; i + n <= list.len; i++)
		if (strncasecmp(raw + list.at + i, token, n) == 0)
			return true;
	return false;
}

/* Upgrades are passed on, but not to HTTP/2: weir could not follow there. */
static bool
may_upgrade(const struct http_exchange *hx)
{
	const struct http_head *h = hx->head;
	int i = http_field_find(h, HTTP_F_UPGRADE, 0);

	return h->upgrade && i >= 0 && h->body == HTTP_BODY_NONE &&
	    h->minor >= 1 && !has_token(hx->raw, h->field[i].value, "h2") &&
	    http_field_find(h, HTTP_F_UPGRADE, (unsigned)i + 1) < 0;
}

/* The head is whole and valid: what does weir do with the request? */
static void
dispatch(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;

	hx->keep = h->keep_alive;
	hx->upgrade = may_upgrade(hx);
	hx->up_left = h->body == HTTP_BODY_LENGTH ? h->length : 0;
	http_chunks_init(&hx->up_chunks);
	if (h->body == HTTP_BODY_CHUNKED || hx->up_left > 0) {
		hx->taking = TAKING_BODY;
		deadline_set(x->s->conn.w, &x->s->deadline,
		    x->policy->timeouts.body_ms);
	} else {
		hx->taking = TAKEN;
		x->up_end = true;
	}
	/* What follows a CONNECT may be meant for its tunnel already: it must
	   not be read as a request (RFC 9931 4). */
	hx->keep = hx->keep && h->method != HTTP_M_CONNECT;
	http_dispatch(x);
}

static bool
listener_takes_http2(const struct exchange *x)
{
	const struct http_listener_conf *conf = x->policy->own;

	return conf->http2;
}

/* False when there is nothing more to do now. */
static bool
take_head(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct session *s = x->s;
	struct buf *in = &s->conn.in;
	size_t len = in->len;
	const char *bytes;

	if (len > (size_t)x->policy->max_header_bytes)
		len = (size_t)x->policy->max_header_bytes;
	bytes = len == 0 ? NULL : buf_flat(exchange_blocks(x), in, len);
	if (bytes == NULL && len > 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return true;
	}
	/* What began was a connection, not a request. */
	if (s->conn.received == in->len &&
	    !http_session_of(s)->asked_before && http2_is_preface(bytes, len) &&
	    listener_takes_http2(x)) {
		x->part = true;
		exchange_drop(x, FAIL_CLIENT_GONE);
		http2_begin(s);
		s->again = true;
		return false;
	}
	switch (http_request_parse(hx->head, bytes, len)) {
	case PARSE_DONE:
		deadline_clear(&s->deadline);
		if (keep_head(x) < 0)
			exchange_fail(x, FAIL_NO_MEMORY);
		else
			dispatch(x);
		return true;
	case PARSE_BAD:
		keep_line(x);
		exchange_fail(x, FAIL_BAD_REQUEST);
		return true;
	case PARSE_MORE:
		break;
	}
	if (s->conn.eof) {
		session_close(s);
		return false;
	}
	/* From its first byte on, the whole head has so long. */
	if (!hx->head_timed) {
		hx->head_timed = true;
		deadline_set(s->conn.w, &s->deadline,
		    x->policy->timeouts.header_ms);
	}
	return false;
}

/* -------------------------------------------------------------------- body */

static bool
has_room(const struct exchange *x)
{
	return x->lease != NULL &&
	    x->up.held + x->lease->u->conn.out.held < CONN_HIGH;
}

static void
body_taken(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	hx->taking = TAKEN;
	x->up_end = true;
	deadline_clear(&x->s->deadline);
}

/* False when there is nothing more to do now. */
static bool
take_body(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct session *s = x->s;
	struct buf *in = &s->conn.in;
	size_t before = x->up.len;
	enum http_flow flow;

	if (s->conn.eof && x->asked) {
		session_close(s);       /* it has left the queue */
		return false;
	}
	if (!has_room(x)) {
		/* What it has sent waits for us: its clock stands still. */
		if (in->len > 0)
			deadline_clear(&s->deadline);
		if (in->held >= AHEAD_MOST)
			conn_pause(&s->conn);
		return false;
	}
	conn_resume(&s->conn);
	if (hx->head->body == HTTP_BODY_CHUNKED)
		flow = http_take_chunks(exchange_blocks(x), &hx->up_chunks, in,
		    &x->up, &hx->up_trailers);
	else
		flow = http_take_length(exchange_blocks(x), &hx->up_left, in,
		    &x->up);
	hx->up_total += x->up.len - before;
	if (hx->up_total > (uint64_t)x->policy->max_body_bytes) {
		exchange_fail(x, FAIL_TOO_LARGE);
		return true;
	}
	switch (flow) {
	case FLOW_BAD:
		hx->head->refusal = 400;
		hx->head->why = hx->up_chunks.why;
		exchange_fail(x, FAIL_BAD_REQUEST);
		return true;
	case FLOW_NO_MEMORY:
		exchange_fail(x, FAIL_NO_MEMORY);
		return true;
	case FLOW_END:
		body_taken(x);
		break;
	case FLOW_MORE:
		if (s->conn.eof) {
			session_close(s);
			return false;
		}
		if (hx->up_total - hx->up_mark >= BODY_STEP ||
		    !deadline_armed(&s->deadline)) {
			hx->up_mark = hx->up_total;
			deadline_set(s->conn.w, &s->deadline,
			    x->policy->timeouts.body_ms);
		}
		break;
	}
	if (x->up.len > 0 || x->up_end)
		exchange_up(x);
	return flow == FLOW_END;
}

/* Behind a 101 of an upstream that speaks HTTP/2: all that comes is for it. */
static void
take_socket(struct exchange *x)
{
	struct session *s = x->s;
	struct buf *in = &s->conn.in;

	if (!has_room(x)) {
		conn_pause(&s->conn);
		return;
	}
	conn_resume(&s->conn);
	if (buf_pass(exchange_blocks(x), &x->up, in, in->len) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	x->up_end = s->conn.eof;
	if (x->up.len > 0 || x->up_end)
		exchange_up(x);
}

/* ------------------------------------------------------------------- input */

/* Between two exchanges. False when there is nothing to begin. */
static bool
between(struct session *s)
{
	if (s->conn.in.len == 0 && s->conn.eof) {
		session_finish(s);
		return false;
	}
	/* A client that asks on without taking its answers waits. */
	if (s->conn.out.held >= CONN_HIGH) {
		conn_pause(&s->conn);
		deadline_set(s->conn.w, &s->deadline,
		    s->door->conf->timeouts.idle_ms);
		return false;
	}
	conn_resume(&s->conn);
	if (s->conn.in.len == 0) {
		if (!deadline_armed(&s->deadline))
			deadline_set(s->conn.w, &s->deadline,
			    s->door->conf->timeouts.idle_ms);
		return false;
	}
	if (begin(s) == NULL) {
		session_close(s);
		return false;
	}
	return true;
}

/* The request has been taken; its answer is due. */
static void
while_answering(struct exchange *x)
{
	struct session *s = x->s;

	if (http_of(x)->giving == TUNNELLING) {
		tunnel_from_client(x);
		return;
	}
	if (http_of(x)->socket) {
		take_socket(x);
		return;
	}
	if (s->conn.in.held >= AHEAD_MOST)
		conn_pause(&s->conn);
	/* A client that leaves while it waits in the queue needs nothing any
	   more. Later it may have closed only its own side, and still reads. */
	if (s->conn.eof && x->asked)
		session_close(s);
}

static void
front_bytes(struct session *s)
{
	bool more = true;

	while (more && !s->closed && !s->lingering && !s->finishing) {
		struct exchange *x = exchange_first(s);

		if (x == NULL) {
			more = between(s);
			continue;
		}
		switch ((enum http_taking)http_of(x)->taking) {
		case TAKING_HEAD:
			more = take_head(x);
			break;
		case TAKING_BODY:
			more = take_body(x);
			break;
		case TAKEN:
			while_answering(x);
			return;
		}
	}
}

static void
front_leased(struct session *s, struct exchange *x)
{
	if (http_of(x)->taking == TAKING_BODY)
		session_bytes(s);
}

static void
front_unchoke(struct session *s, struct exchange *x)
{
	if (http_of(x)->giving == TUNNELLING) {
		tunnel_upstream_drained(x);
		return;
	}
	if (http_of(x)->taking == TAKING_BODY || http_of(x)->socket)
		session_bytes(s);
}

static void
front_open(struct session *s)
{
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
}

static json_t *
front_pack(const struct session *s)
{
	return json_pack("{s:b}", "asked", s->conn.received > 0 ||
	    http_session_of(s)->asked_before);
}

static bool
front_adopt(struct session *s, const json_t *said)
{
	http_session_of(s)->asked_before = json_is_true(json_object_get(said,
	    "asked"));
	front_open(s);
	return true;
}

/* ------------------------------------------------------------------- reply */

/* How the client will know where the answer ends. */
static void
decide_framing(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	const struct http_head *a = hx->answer;
	struct session *s = x->s;

	/* An answer before the end of the request: what is left of that is not
	   read to its end, so nothing can follow it. */
	if (!x->up_end || session_is_leaving(s))
		hx->keep = false;
	/* Bytes that came behind a refused upgrade were meant for the other
	   protocol: they must not be read as a request (RFC 9931 4). */
	if (hx->upgrade && (s->conn.in.len > 0 || s->conn.eof))
		hx->keep = false;
	if (a->status == 101) {         /* bytes as they come */
		hx->keep = hx->giving == TUNNELLING && hx->keep;
		return;
	}
	if (a->body != HTTP_BODY_CHUNKED && a->body != HTTP_BODY_CLOSE)
		return;
	if (hx->head->minor >= 1)
		hx->chunk_down = true;
	else {
		hx->cut_down = true;
		hx->keep = false;
	}
}

/* -1 when out of memory. */
static int
give_head(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	bool interim = hx->answer->status < 200 && hx->answer->status != 101;

	hx->answer_ready = false;
	/* RFC 9110 15.2: an HTTP/1.0 client does not know 1xx. */
	if (interim && hx->head->minor == 0)
		return 0;
	if (!interim) {
		decide_framing(x);
		x->answered = true;
		x->status = hx->answer->status;
		x->outcome = http_outcome(x->status);
	}
	return http_write_answer(x);
}

static int
give_body(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);
	struct buf *out = &x->s->conn.out;

	if (x->down.len > 0 && (hx->chunk_down ?
	    http_write_chunk(store, out, &x->down) :
	    buf_move(store, out, &x->down, x->down.len)) < 0)
		return -1;
	if (x->down_end && hx->chunk_down &&
	    http_write_last_chunk(store, out, &hx->down_trailers) < 0)
		return -1;
	return 0;
}

static void
front_reply(struct session *s, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	if ((hx->answer_ready && give_head(x) < 0) || give_body(x) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	conn_send(&s->conn);
	if (hx->giving == GIVING_BODY && hx->answer->status == 101 &&
	    !hx->socket && !x->down_end) {
		hx->socket = x->tunnels = true;
		take_socket(x);
		return;
	}
	if (!x->down_end)
		return;
	if (!hx->keep) {
		last_words(s, hx);
		if (s->closed)
			return;
	}
	exchange_end(x, x->outcome);
}

static void
front_drained(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x == NULL)
		session_bytes(s);
	else if (x->lease == NULL)
		return;
	else if (http_of(x)->giving == TUNNELLING)
		tunnel_client_drained(x);
	else
		exchange_taken(x);
}

/* ------------------------------------------------------------------ ending */

static void
front_late(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x == NULL && s->conn.out.len > 0) {
		if (!session_still_takes(s, s->door->conf->timeouts.idle_ms)) {
			count_add(&s->door->failures[FAIL_CLIENT_STALLED], 1);
			session_reset(s);
		}
	} else if (x == NULL) {
		count_add(&s->door->failures[FAIL_IDLE_TIMEOUT], 1);
		session_close(s);
	} else if (http_of(x)->taking == TAKING_HEAD)
		exchange_fail(x, FAIL_HEADER_TIMEOUT);
	else
		exchange_fail(x, FAIL_BODY_TIMEOUT);
}

const struct front_ops http1_front = {
	.open = front_open,
	.pack = front_pack,
	.adopt = front_adopt,
	.bytes = front_bytes,
	.leased = front_leased,
	.reply = front_reply,
	.unchoke = front_unchoke,
	.drained = front_drained,
	.fail = front_fail,
	.late = front_late,
	.redirects = true,
	.refuse = http_write_refusal,
	.plain = http_write_plain,
	.asks = http_asks,
	.words = http_words,
	.header = http_header
};
