/*
 * HTTP/2 towards clients: what comes. Heads become HTTP/1.1 text (h2.h) and go
 * through the parser of that; DATA waits in x->up; what asks for nothing is
 * counted. See front2.h.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/http/front2.h"
#include "proxy/proto/http/grpc.h"

enum {
	BODY_STEP = 64 * 1024,          /* so much has to come in timeouts.body */
	BLOCKS_MORE = 64 * 1024         /* a header block's fields may be so much
					   larger than what is taken of them */
};

static struct http2_stream *
stream_find(struct http2 *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->ng, id);
}

/* ---------------------------------------------------------------- deadlines */

static bool
reads_body(const struct http2_stream *st)
{
	return st->x != NULL && http_of(st->x)->taking == TAKING_BODY &&
	    !http_of(st->x)->socket && !http_of(st->x)->grpc;
}

/* Either its body does not come, or what is left of its answer is not taken. */
static void
stream_late(struct deadline *d)
{
	struct http2_stream *st = container_of(d, struct http2_stream,
	    deadline);
	struct http2 *h2 = st->h2;
	struct session *s = h2->s;

	if (st->x != NULL && !st->x->down_end) {
		exchange_fail(st->x, FAIL_BODY_TIMEOUT);
		return;
	}
	if (st->sent != st->sent_seen) {
		st->sent_seen = st->sent;
		deadline_set(s->conn.w, d, s->door->conf->timeouts.idle_ms);
		return;
	}
	if (st->x != NULL) {
		exchange_fail(st->x, FAIL_CLIENT_STALLED);
		return;
	}
	if (nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, st->id,
	    NGHTTP2_CANCEL) != 0)
		session_close(s);
	else
		http2_run(h2);
}

static void
arm_body(struct http2_stream *st)
{
	const struct exchange *x = st->x;

	deadline_set(x->s->conn.w, &st->deadline, x->policy->timeouts.body_ms);
}

/* -------------------------------------------------------------------- heads */

static struct http2_stream *
stream_new(struct http2 *h2, int32_t id)
{
	struct http2_stream *st =
	    pile_get_zeroed(&http_lane_of(h2->s)->streams);

	if (st == NULL)
		return NULL;
	st->h2 = h2;
	st->id = id;
	deadline_init(&st->deadline, stream_late);
	list_init(&st->todo);
	list_append(&h2->streams, &st->link);
	if (h2->wait == HTTP2_WAITS_GRACE)
		return st;
	h2->wait = HTTP2_WAITS_NOT;
	deadline_clear(&h2->s->deadline);
	return st;
}

/* For the log: the version in the request line is the client's. */
static void
say_version(struct http_exchange *hx, struct block *b)
{
	char *at = b->bytes + (hx->raw - b->bytes) + hx->head->target.at +
	    hx->head->target.len;

	memcpy(at, " HTTP/2.0", 9);
}

/* What h2_text_end() has refused, or the parser. */
static void
parse_head(struct exchange *x, struct h2_text *text, bool whole)
{
	struct http_exchange *hx = http_of(x);
	uint32_t at, len;

	http_head_init(hx->head, (unsigned)x->policy->max_headers,
	    (unsigned)x->policy->max_header_bytes);
	if (!whole) {
		hx->head->refusal = text->refusal;
		hx->head->why = text->why;
		return;
	}
	hx->raw_block = h2_text_take(text, &at, &len);
	hx->raw = hx->raw_block->bytes + at;
	hx->raw_len = len;
	switch (http_request_parse(hx->head, hx->raw, len)) {
	case PARSE_DONE:
		say_version(hx, hx->raw_block);
		hx->taking = TAKING_BODY;
		return;
	case PARSE_MORE:                /* longer than it may be */
		hx->head->refusal = 431;
		hx->head->why = "head too large";
		return;
	case PARSE_BAD:
		return;
	}
}

static int
begin_exchange(struct http2_stream *st, bool whole, bool ends)
{
	struct http2 *h2 = st->h2;
	struct exchange *x = exchange_new(h2->s);
	struct http_exchange *hx;

	if (x == NULL)
		return -1;
	hx = http_of(x);
	hx->stream = st;
	hx->sent = &st->sent;
	hx->keep = true;
	hx->head = http_head_new(x);
	if (hx->head == NULL)
		return -1;
	st->x = x;
	st->is_new = true;
	parse_head(x, &h2->text, whole);
	hx->socket = whole && h2->text.protocol.there;
	x->tunnels = hx->socket;
	memcpy(st->key, h2->text.key, sizeof(st->key));
	x->up_end = ends;
	http2_note(st);
	return 0;
}

/* 8.1.1: what is malformed is a stream error. */
static int
refuse_stream(struct http2 *h2, int32_t id)
{
	struct http2_stream *st = stream_find(h2, id);

	if (st != NULL && st->refused)
		return 0;
	if (st != NULL)
		st->refused = true;
	count_add(&h2->s->door->failures[FAIL_BAD_REQUEST], 1);
	if (!http2_waste(h2, HTTP2_RESET_COST))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, id,
	    NGHTTP2_PROTOCOL_ERROR) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
take_request(struct http2 *h2, const nghttp2_frame *frame)
{
	bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	bool whole = h2_text_end(&h2->text, ends) == 0;
	struct http2_stream *st;

	if (!whole && h2->text.refusal == 400)
		return refuse_stream(h2, frame->hd.stream_id);
	st = stream_new(h2, frame->hd.stream_id);
	if (st == NULL || nghttp2_session_set_stream_user_data(h2->ng, st->id,
	    st) != 0 || begin_exchange(st, whole, ends) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static void
take_end(struct http2_stream *st)
{
	struct exchange *x = st->x;

	if (x == NULL || x->up_end || st->refused)
		return;
	http_of(x)->taking = TAKEN;
	x->up_end = true;
	st->more_up = true;
	deadline_clear(&st->deadline);
	http2_note(st);
}

/* 8.1.1: has it as many bytes as Content-Length says? */
static bool
is_as_long(const struct http2_stream *st, uint64_t more, bool ends)
{
	const struct http_exchange *hx = http_of(st->x);
	uint64_t total = hx->up_total + more;

	return hx->head->body != HTTP_BODY_LENGTH ||
	    (ends ? total == hx->head->length : total <= hx->head->length);
}

/* Trailers can go on only where the body's end is told by a last chunk. */
static int
take_trailers(struct http2 *h2, const nghttp2_frame *frame)
{
	int32_t id = frame->hd.stream_id;
	struct http2_stream *st = stream_find(h2, id);
	bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct block_store *store = h2->text.store;
	uint32_t at, len;
	struct block *b;
	int got = 0;

	if (h2_text_end(&h2->text, true) < 0) {
		if (st != NULL && st->x != NULL && h2->text.refusal == 503)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		return refuse_stream(h2, id);
	}
	/* 8.1: they are the last. */
	if (!ends || (st != NULL && st->x != NULL &&
	    !is_as_long(st, 0, true))) {
		h2_text_drop(&h2->text);
		return refuse_stream(h2, id);
	}
	b = h2_text_take(&h2->text, &at, &len);
	if (st != NULL && st->x != NULL && b != NULL && len > 0 &&
	    http_of(st->x)->head->body == HTTP_BODY_CHUNKED)
		got = buf_append(store, &http_of(st->x)->up_trailers,
		    b->bytes + at, len);
	if (b != NULL)
		block_drop(store, b);
	if (got < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (st != NULL)
		take_end(st);
	return 0;
}

/* ----------------------------------------------------------------- dispatch */

void
http2_dispatch(struct http2_stream *st)
{
	struct exchange *x = st->x;
	struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;

	if (hx->taking == TAKING_HEAD) {
		exchange_fail(x, h->refusal == 503 ? FAIL_NO_MEMORY :
		    FAIL_BAD_REQUEST);
		return;
	}
	hx->upgrade = hx->socket;
	hx->grpc = grpc_is_call(x);
	hx->up_left = h->body == HTTP_BODY_LENGTH ? h->length : 0;
	if (x->up_end)
		hx->taking = TAKEN;
	else if (reads_body(st))
		arm_body(st);
	/* The end comes once only, with the lease in hand. */
	st->told_end = h->body != HTTP_BODY_CHUNKED && x->up_end &&
	    hx->up_total == 0 && !hx->socket;
	http_dispatch(x);
}

/* --------------------------------------------------------------------- body */

static int
keep_data(struct http2_stream *st, const char *bytes, size_t len)
{
	struct http2 *h2 = st->h2;
	struct exchange *x = st->x;
	struct block_store *store = exchange_blocks(x);
	struct block *b = h2->feeding;

	if (len <= BUF_COPY || bytes < b->bytes ||
	    bytes + len > b->bytes + b->size)
		return buf_append(store, &x->up, bytes, len);
	return buf_append_block(store, &x->up, b, (uint32_t)(bytes - b->bytes),
	    (uint32_t)len);
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *st = stream_find(h2, id);

	(void)flags;
	if (nghttp2_session_consume_connection(ng, len) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	/* Of an exchange that is over: nobody reads it. */
	if (st == NULL || st->x == NULL || st->x->down_end || st->refused)
		return nghttp2_session_consume_stream(ng, id, len) == 0 ? 0 :
		    NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!is_as_long(st, len, false))
		return refuse_stream(h2, id);
	if (keep_data(st, (const char *)bytes, len) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	http_of(st->x)->up_total += len;
	st->owed += (uint32_t)len;
	st->more_up = true;
	http2_note(st);
	return 0;
}

/* The client's clock runs while it may send, and starts anew with each step. */
static void
watch_body(struct http2_stream *st)
{
	struct http_exchange *hx = http_of(st->x);

	if (!reads_body(st) || st->x->down_end)
		return;
	if (st->owed >= HTTP2_WINDOW / 2)
		deadline_clear(&st->deadline);
	else if (hx->up_total - hx->up_mark >= BODY_STEP ||
	    !deadline_armed(&st->deadline)) {
		hx->up_mark = hx->up_total;
		arm_body(st);
	}
}

/* False while what comes on a socket has nowhere to go: it may be meant for who
   takes the Upgrade, and must not be read by who does not (RFC 9931 4). */
static bool
may_go_up(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);

	return x->lease != NULL && (!hx->socket ||
	    (hx->giving == GIVING_BODY && hx->answer->status == 101));
}

void
http2_take_body(struct http2_stream *st)
{
	struct exchange *x = st->x;
	const struct session *s = st->h2->s;

	if (http_of(x)->up_total > (uint64_t)x->policy->max_body_bytes &&
	    !http_of(x)->socket) {
		exchange_fail(x, FAIL_TOO_LARGE);
		return;
	}
	if (may_go_up(x) && !st->told_end && (x->up.len > 0 || x->up_end)) {
		st->told_end = x->up_end;
		exchange_up(x);
		if (s->closed || st->x == NULL)
			return;
	}
	if (http2_give_window(st))
		st->h2->again = true;
	watch_body(st);
}

bool
http2_give_window(struct http2_stream *st)
{
	struct exchange *x = st->x;
	struct http2 *h2 = st->h2;

	if (st->owed == 0 || !may_go_up(x) || st->closed ||
	    x->up.held + x->lease->u->conn.out.held >= CONN_HIGH)
		return false;
	if (nghttp2_session_consume_stream(h2->ng, st->id, st->owed) != 0)
		return false;           /* out of memory: it waits on */
	st->owed = 0;
	watch_body(st);
	return true;
}

/* ---------------------------------------------------------- notes of frames */

/* Something on a stream that is closed, or was passed over (5.1, 5.1.1). It may
   have been on its way when weir reset that stream, and nghttp2 ignores it. */
static bool
is_of_closed(struct http2 *h2, const nghttp2_frame_hd *hd)
{
	return (hd->stream_id & 1) != 0 && hd->stream_id <= h2->last_id &&
	    nghttp2_session_find_stream(h2->ng, hd->stream_id) == NULL;
}

static int
refuse_closed(struct http2 *h2)
{
	h2->in_head = false;
	if (h2->has_reset)
		return http2_waste(h2, 1) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	return nghttp2_session_terminate_session(h2->ng,
	    NGHTTP2_STREAM_CLOSED) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	struct http2 *h2 = arg;

	h2->in_head = hd->type == NGHTTP2_HEADERS ||
	    hd->type == NGHTTP2_CONTINUATION;
	switch (hd->type) {
	case NGHTTP2_HEADERS:
		if (is_of_closed(h2, hd))
			return refuse_closed(h2);
		if (h2->leave == HTTP2_LEAVES && hd->stream_id > h2->last_id)
			h2->in_head = false;    /* ignored (6.8) */
		return 0;
	case NGHTTP2_RST_STREAM:
		return http2_waste(h2, HTTP2_RESET_COST) ? 0 :
		    NGHTTP2_ERR_CALLBACK_FAILURE;
	case NGHTTP2_PRIORITY:
		/* Ignored (5.3.2), which nghttp2 does with bad ones too. */
		if ((hd->stream_id == 0 || hd->length != 5) &&
		    nghttp2_session_terminate_session(ng, hd->stream_id == 0 ?
		    NGHTTP2_PROTOCOL_ERROR : NGHTTP2_FRAME_SIZE_ERROR) != 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		break;
	default:
		if (h2_frame_brings(hd))
			return 0;
		break;
	}
	return http2_waste(h2, 1) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct http2 *h2 = arg;
	const struct conf_listener *l = h2->s->door->conf;

	(void)ng;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		h2->last_id = frame->hd.stream_id;
	h2_text_drop(&h2->text);
	h2_text_begin(&h2->text, &h2->s->conn.w->blocks,
	    frame->headers.cat == NGHTTP2_HCAT_REQUEST ? H2_REQUEST :
	    H2_TRAILERS, (unsigned)l->max_headers,
	    (unsigned)l->max_header_bytes);
	return 0;
}

/* A field that is in the compression table may be sent again for one byte. */
static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct http2 *h2 = arg;

	(void)ng, (void)frame, (void)flags;
	h2_text_add(&h2->text, (const char *)name, name_len,
	    (const char *)value, value_len);
	if (h2->text.offered <= (uint64_t)h2->s->door->conf->max_header_bytes +
	    BLOCKS_MORE)
		return 0;
	h2->wasteful = true;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 is going to reset the stream. */
static int
on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error,
    void *arg)
{
	struct http2 *h2 = arg;

	(void)ng, (void)frame, (void)error;
	h2->in_head = false;
	return http2_waste(h2, HTTP2_RESET_COST) ? 0 :
	    NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *st;
	int got = 0;

	(void)ng;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		h2->in_head = false;
		got = frame->headers.cat == NGHTTP2_HCAT_REQUEST ?
		    take_request(h2, frame) :
		    take_trailers(h2, frame);
		break;
	case NGHTTP2_DATA:
		if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
			break;
		st = stream_find(h2, frame->hd.stream_id);
		if (st != NULL && st->x != NULL && !is_as_long(st, 0, true))
			got = refuse_stream(h2, st->id);
		else if (st != NULL)
			take_end(st);
		break;
	case NGHTTP2_SETTINGS:
		h2->greeted = true;
		break;
	default:
		break;
	}
	return got;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct http2 *h2 = arg;
	struct http2_stream *st = stream_find(h2, id);

	(void)ng, (void)error;
	if (st != NULL) {
		st->closed = true;
		http2_note(st);
	}
	return 0;
}

void
http2_take_init(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(c,
	    on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c,
	    on_invalid_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
}
