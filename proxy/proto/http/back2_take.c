/*
 * HTTP/2 towards upstreams: what comes. Heads become HTTP/1.1 text (h2.h) and go
 * through the parser of that; DATA waits in x->down; what is no part of an
 * answer is counted. See back2.h.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/back2.h"
#include "proxy/proto/http/grpc.h"

enum {
	INTERIM_MOST = 100,             /* 1xx before a final answer */
	BLOCKS_MORE = 64 * 1024         /* a header block's fields may be so much
					   larger than what is taken of them */
};

static struct back2_stream *
stream_find(struct back2 *b, int32_t id)
{
	return nghttp2_session_get_stream_user_data(b->ng, id);
}

/* ------------------------------------------------------------------- deadlines */

void
back2_arm(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct back2_stream *st = hx->asking;
	int64_t ms = hx->giving == GIVING_HEAD && x->up.len == 0 &&
	    (x->up_end || st->socket) ? x->upstream->timeouts.response_ms :
	    x->upstream->timeouts.stall_ms;

	st->sent_seen = st->sent;
	hx->taken = *hx->sent;
	x->moved_ns = x->s->conn.w->now_ns;
	deadline_set(x->s->conn.w, &x->deadline, ms);
}

/* ------------------------------------------------------------------------ heads */

static void
bad_answer(struct back2_stream *st)
{
	struct exchange *x = st->x;

	endpoint_fault(st->u->shelf->site->endpoint, FAULT_BAD_ANSWER, 0);
	exchange_fail(x, FAIL_BAD_RESPONSE);
}

/* A call's status stands behind its answer. */
static void
heed_trailers(struct upconn *u, struct exchange *x)
{
	struct buf *lines = &http_of(x)->down_trailers;
	const char *text = buf_flat(exchange_blocks(x), lines, lines->len);

	if (text != NULL)
		grpc_heed(u, x, text, lines->len);
}

/* All of it has come. */
static void
complete(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct http_exchange *hx = http_of(x);
	struct upconn *u = st->u;

	if (hx->grpc && hx->down_trailers.len > 0)
		heed_trailers(u, x);
	hx->giving = GIVEN;
	x->down_end = true;
	deadline_clear(&x->deadline);
	back2_part(st);
	/* 8.1: an answer that does not need the rest of the request. */
	if (!st->said_all && !st->closed)
		(void)nghttp2_submit_rst_stream(back2_of(u)->ng,
		    NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
	exchange_down(x);
}

/* False when x is over. */
static bool
give_head(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct http_exchange *hx = http_of(x);
	struct http_head *a = hx->answer;

	if (a->status == 101)
		a->body = HTTP_BODY_CLOSE;      /* bytes as they come */
	hx->answer_ready = true;
	if (a->status >= 200 || a->status == 101) {
		exchange_first_byte(x);
		http_heed_status(st->u, x);
		/* Or in its head, which is all of it then. */
		if (hx->grpc && a->status == 200)
			grpc_heed(st->u, x, hx->answer_raw, a->size);
		hx->giving = GIVING_BODY;
	} else
		hx->continued = hx->continued || a->status == 100;
	exchange_down(x);
	return st->x != NULL;
}

/* False when there is nothing more to do now. */
static bool
take_head(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);
	size_t len = st->heads.len, size;

	if (len > BACK2_HEAD_MOST)
		len = BACK2_HEAD_MOST;
	hx->answer_raw = buf_flat(store, &st->heads, len);
	if (hx->answer_raw == NULL) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return false;
	}
	http_head_init(hx->answer, HTTP_FIELDS_MAX, BACK2_HEAD_MOST);
	if (http_response_parse(hx->answer, st->socket ? HTTP_M_GET :
	    (enum http_method)hx->head->method, hx->answer_raw, len) !=
	    PARSE_DONE) {
		bad_answer(st);
		return false;
	}
	size = hx->answer->size;
	if (!give_head(st))
		return false;
	buf_drop(store, &st->heads, size);
	return true;
}

/* ------------------------------------------------------------------------- body */

static void
deliver_body(struct back2_stream *st)
{
	struct exchange *x = st->x;

	if (st->body.len > 0 && buf_pass(exchange_blocks(x), &x->down,
	    &st->body, st->body.len) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (st->all_came) {
		complete(st);
		return;
	}
	if (x->down.len == 0)
		return;
	exchange_down(x);
	if (st->x == NULL)
		return;
	back2_give_window(st);
	back2_arm(x);
}

void
back2_deliver(struct back2_stream *st)
{
	struct http_exchange *hx = http_of(st->x);

	while (hx->giving == GIVING_HEAD && st->heads.len > 0)
		if (!take_head(st))
			return;
	if (hx->giving == GIVING_BODY)
		deliver_body(st);
	else if (st->all_came && st->x != NULL)
		bad_answer(st);
	if (st->x != NULL && st->bad)
		bad_answer(st);
}

/* An HTTP/1.1 client's answer goes into its connection's output as it comes; from
   x->down to that of an HTTP/2 client as it gives window, and each step is told
   of. */
static size_t
held_for_client(const struct exchange *x)
{
	return http_of(x)->stream != NULL ? x->down.held :
	    http_held_for_client(x);
}

void
back2_give_window(struct back2_stream *st)
{
	struct exchange *x = st->x;

	if (st->owed == 0 || st->closed || st->all_came)
		return;
	if (held_for_client(x) >= CONN_HIGH) {
		exchange_choked(x, true);
		return;
	}
	if (nghttp2_session_consume_stream(back2_of(st->u)->ng, st->id,
	    st->owed) == 0)             /* else it waits on */
		st->owed = 0;
}

static int
keep_data(struct upconn *u, struct back2_stream *st, const char *bytes,
    size_t len)
{
	struct block_store *store = &u->conn.w->blocks;
	struct block *b = back2_of(u)->feeding;

	if (len <= BUF_COPY || bytes < b->bytes ||
	    bytes + len > b->bytes + b->size)
		return buf_append(store, &st->body, bytes, len);
	return buf_append_block(store, &st->body, b,
	    (uint32_t)(bytes - b->bytes), (uint32_t)len);
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *arg)
{
	struct upconn *u = arg;
	struct back2_stream *st = stream_find(back2_of(u), id);

	(void)flags;
	if (nghttp2_session_consume_connection(ng, len) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (st == NULL || st->x == NULL || st->bad)
		return nghttp2_session_consume_stream(ng, id, len) == 0 ? 0 :
		    NGHTTP2_ERR_CALLBACK_FAILURE;
	if (keep_data(u, st, (const char *)bytes, len) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	st->owed += (uint32_t)len;
	back2_of(u)->wasted -= 1 + (int64_t)len / 2048;
	back2_note(st);
	return 0;
}

/* -------------------------------------------------------- heads, as they come */

/* 8.1.1: what is malformed is a stream error. */
static int
spoil(struct back2_stream *st)
{
	struct back2 *b = back2_of(st->u);

	st->bad = true;
	back2_note(st);
	return nghttp2_submit_rst_stream(b->ng, NGHTTP2_FLAG_NONE, st->id,
	    NGHTTP2_PROTOCOL_ERROR) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

const char *
back2_socket_key(const struct http_exchange *hx)
{
	static const char name[] = "sec-websocket-key";
	unsigned i;

	for (i = 0; i < hx->head->n_fields; i++) {
		const struct http_field *f = &hx->head->field[i];

		if (f->name.len == sizeof(name) - 1 &&
		    f->value.len == H2_KEY_LEN && strncasecmp(hx->raw +
		    f->name.at, name, f->name.len) == 0)
			return hx->raw + f->value.at;
	}
	return NULL;
}

/* What a 101 says of a key (RFC 6455 4.2.2). */
static int
accept_line(const struct http_exchange *hx, char out[96])
{
	static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char hash[EVP_MAX_MD_SIZE], digest[32];
	char text[H2_KEY_LEN + sizeof(salt)];
	const char *key = back2_socket_key(hx);
	unsigned hash_len;

	if (key == NULL)
		return -1;
	memcpy(text, key, H2_KEY_LEN);
	memcpy(text + H2_KEY_LEN, salt, sizeof(salt));
	if (EVP_Digest(text, sizeof(text) - 1, hash, &hash_len,
	    EVP_sha1(), NULL) != 1)
		return -1;
	EVP_EncodeBlock(digest, hash, (int)hash_len);
	return snprintf(out, 96, "sec-websocket-accept: %s\r\n",
	    (const char *)digest);
}

/* RFC 8441 5: a 200 is what a 101 is in HTTP/1.1, and weir gives the answer to
   the key that no server has seen. */
static int
append_socket(struct back2_stream *st, const char *text, size_t len)
{
	static const char line[] = "HTTP/1.1 101 \r\nupgrade: websocket\r\n"
	    "connection: Upgrade\r\n";
	struct block_store *store = exchange_blocks(st->x);
	const char *rest = memchr(text, '\n', len);
	char accept[96];
	int n = accept_line(http_of(st->x), accept);

	if (n < 0 || rest == NULL)
		return -1;
	rest++;
	if (buf_append(store, &st->heads, line, sizeof(line) - 1) < 0 ||
	    buf_append(store, &st->heads, accept, (size_t)n) < 0)
		return -1;
	return buf_append(store, &st->heads, rest,
	    (size_t)(text + len - rest));
}

static int
append_head(struct back2_stream *st, const struct block *block, uint32_t at,
    uint32_t len)
{
	unsigned status = back2_of(st->u)->text.status;

	if (st->socket && status >= 200 && status < 300)
		return append_socket(st, block->bytes + at, len);
	return buf_append(exchange_blocks(st->x), &st->heads, block->bytes + at,
	    len);
}

static int
take_block(struct back2_stream *st, bool ends)
{
	struct back2 *b = back2_of(st->u);
	struct h2_text *t = &b->text;
	bool trailers = st->final;
	struct block *block;
	uint32_t at, len;
	int got;

	t->to_head = t->to_head || (st->socket && t->status < 300);
	if (h2_text_end(t, ends) < 0)
		return t->refusal == 503 ? NGHTTP2_ERR_CALLBACK_FAILURE :
		    spoil(st);
	if (!trailers && t->status < 200 && ++st->interim > INTERIM_MOST) {
		h2_text_drop(t);
		return spoil(st);
	}
	block = h2_text_take(t, &at, &len);
	st->final = st->final || t->status >= 200;
	got = block == NULL ? 0 : trailers ? buf_append(
	    exchange_blocks(st->x), &http_of(st->x)->down_trailers,
	    block->bytes + at, len) : append_head(st, block, at, len);
	if (block != NULL)
		block_drop(exchange_blocks(st->x), block);
	if (got < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	st->all_came = ends;
	http_of(st->x)->answer_seen = true;
	b->wasted -= BACK2_RESET_COST;
	back2_note(st);
	return 0;
}

/* ---------------------------------------------------------------- notes of frames */

static int
on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	struct back2 *b = back2_of(arg);

	(void)ng;
	if (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_GOAWAY ||
	    h2_frame_brings(hd))
		return 0;
	return back2_waste(b, 1) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct upconn *u = arg;
	struct back2 *b = back2_of(u);
	struct back2_stream *st = stream_find(b, frame->hd.stream_id);

	(void)ng;
	h2_text_drop(&b->text);
	b->heading = st != NULL && st->x != NULL && !st->bad ? st : NULL;
	h2_text_begin(&b->text, &u->conn.w->blocks, st != NULL && st->final ?
	    H2_TRAILERS : H2_ANSWER, HTTP_FIELDS_MAX, BACK2_HEAD_MOST);
	if (b->heading != NULL)
		b->text.to_head = http_of(b->heading->x)->head->method ==
		    HTTP_M_HEAD;
	return 0;
}

/* A field that is in the compression table may be sent again for one byte. */
static int
on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct back2 *b = back2_of(arg);

	(void)ng, (void)frame, (void)flags;
	if (b->heading != NULL)
		h2_text_add(&b->text, (const char *)name, name_len,
		    (const char *)value, value_len);
	else
		b->text.offered += name_len + value_len;
	return b->text.offered <= BACK2_HEAD_MOST + BLOCKS_MORE ? 0 :
	    NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 would leave it out. */
static int
on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value,
    size_t value_len, uint8_t flags, void *arg)
{
	(void)ng, (void)frame, (void)name, (void)name_len, (void)value;
	(void)value_len, (void)flags, (void)arg;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void
take_settings(struct back2 *b)
{
	/* One that begins by allowing no streams is of no use until it does (RFC
	   9113 6.5.2); if it never does, its greeting takes too long. */
	if (nghttp2_session_get_remote_settings(b->ng,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) > 0)
		b->greeted = true;
	b->more_streams = true;
	b->takes_sockets = nghttp2_session_get_remote_settings(b->ng,
	    NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct back2 *b = back2_of(arg);
	struct back2_stream *st;

	(void)ng;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		st = b->heading;
		b->heading = NULL;
		return st == NULL ? 0 : take_block(st,
		    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
	case NGHTTP2_DATA:
		st = stream_find(b, frame->hd.stream_id);
		if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
		    st != NULL) {
			st->all_came = true;
			back2_note(st);
		}
		break;
	case NGHTTP2_RST_STREAM:
		st = stream_find(b, frame->hd.stream_id);
		if (st != NULL)
			st->was_reset = true;
		break;
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
			take_settings(b);
		break;
	case NGHTTP2_GOAWAY:
		b->leaving = true;
		break;
	default:
		break;
	}
	return 0;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *arg)
{
	struct back2 *b = back2_of(arg);
	struct back2_stream *st = stream_find(b, id);

	(void)ng;
	if (st == NULL)
		return 0;
	if (b->heading == st)
		b->heading = NULL;
	st->closed = true;
	st->error = error;
	back2_note(st);
	return 0;
}

void
back2_take_init(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(c,
	    on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(c,
	    on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
}
