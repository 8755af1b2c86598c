/*
 * HTTP/2 towards upstreams: what goes. Requests' heads, written as for HTTP/1.1
 * and then taken apart, so that what is forwarded is decided in one place; their
 * bodies as the server gives window. See back2.h.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/back2.h"
#include "proxy/proto/http/client_cert.h"
#include "proxy/proto/http/front2.h"
#include "proxy/runtime.h"

enum { KEPT_MOST = 64 * 1024 };         /* of a body, to be sent again */

static struct h2_fields *
fields_of(const struct exchange *x)
{
	return &http_lane_of(x->s)->fields;
}

/* ------------------------------------------------------------------------- DATA */

static int
send_trailers(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct h2_fields *f = fields_of(x);
	struct buf *lines = &http_of(x)->up_trailers;
	const char *text = buf_flat(exchange_blocks(x), lines, lines->len);
	size_t i;

	if (text == NULL || h2_fields_of_trailers(f, text, lines->len) < 0)
		return -1;
	for (i = 0; i < f->n; i++)
		f->nv[i].flags = NGHTTP2_NV_FLAG_NONE;
	return nghttp2_submit_trailer(back2_of(st->u)->ng, st->id, f->nv,
	    f->n);
}

static ssize_t
read_data(nghttp2_session *ng, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct back2_stream *st = source->ptr;
	struct exchange *x = st->x;
	size_t n;

	(void)ng, (void)id, (void)to, (void)arg;
	if (x == NULL)                  /* it is about to be reset */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = x->up.len < room ? x->up.len : room;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < x->up.len || !x->up_end) {
		st->waits = n == 0;
		return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	st->said_all = true;
	if (client_cert_trailers(x) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (http_of(x)->up_trailers.len > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (send_trailers(st) < 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

/* Until the server has begun to answer it may say that it has not looked at the
   request, and then that has to be sent to another. */
static int
keep(struct back2_stream *st, size_t len)
{
	struct http_exchange *hx = http_of(st->x);
	struct block_store *store = exchange_blocks(st->x);
	size_t at = 0, n;

	if (hx->answer_seen || hx->up_spent)
		return 0;
	if (st->kept.len + len > KEPT_MOST) {
		hx->up_spent = true;
		buf_clear(store, &st->kept);
		return 0;
	}
	for (; len > 0; at += n, len -= n) {
		const char *bytes = buf_at(&st->x->up, at, &n);

		n = n < len ? n : len;
		if (buf_append(store, &st->kept, bytes, n) < 0) {
			hx->up_spent = true;
			return -1;
		}
	}
	return 0;
}

/* One frame: its head, and its payload without copying more than is small. */
static int
send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head,
    size_t len, nghttp2_data_source *source, void *arg)
{
	struct back2_stream *st = source->ptr;
	struct upconn *u = arg;
	struct block_store *store = &u->conn.w->blocks;
	struct buf *out = &u->conn.out;
	size_t room;
	char *to;

	(void)ng, (void)frame;
	if (st->x == NULL || len > st->x->up.len)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (out->len >= BACK2_OUT_MOST) {
		back2_of(u)->blocked = true;
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	to = buf_reserve(store, out, 9 + (len <= BUF_COPY ? len : 0),
	    BUF_MEDIUM, &room);
	if (to == NULL || keep(st, len) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(to, head, 9);
	buf_commit(store, out, 9);
	if (buf_move(store, out, &st->x->up, len) < 0) {
		/* Part of it is in both. */
		http_of(st->x)->up_spent = true;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	st->sent += len;
	/* Some servers give new window, twice, for each 4 KiB they take, and
	   some ping at each frame to learn how far away we are. */
	back2_of(u)->wasted -= 3 + (int64_t)len / 2048;
	st->took = true;
	back2_note(st);
	return 0;
}

int
back2_flow(struct back2_stream *st)
{
	nghttp2_data_provider provider = { { .ptr = st }, read_data };
	nghttp2_session *ng = back2_of(st->u)->ng;

	if (st->closed || st->said_all)
		return 0;
	if (!st->flows) {
		st->flows = true;
		return nghttp2_submit_data(ng, NGHTTP2_FLAG_END_STREAM, st->id,
		    &provider) == 0 ? 0 : -1;
	}
	if (!st->waits)
		return 0;
	st->waits = false;
	return nghttp2_session_resume_data(ng, st->id) == 0 ? 0 : -1;
}

/* ------------------------------------------------------------------------ heads */

/* RFC 8441 4 and 5: what asks for an Upgrade is a CONNECT here. */
static void
become_socket(struct h2_fields *f)
{
	static const char key[] = "sec-websocket-key";
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		if (f->nv[i].namelen != sizeof(key) - 1 ||
		    memcmp(f->nv[i].name, key, sizeof(key) - 1) != 0)
			f->nv[n++] = f->nv[i];
	f->n = n;
	f->nv[0].value = (uint8_t *)(uintptr_t)"CONNECT";
	f->nv[0].valuelen = 7;
	/* Pseudo-header fields come first. */
	h2_fields_add(f, ":protocol", "websocket", 9);
	for (i = f->n - 1; i > 1; i--) {
		nghttp2_nv nv = f->nv[i];

		f->nv[i] = f->nv[i - 1];
		f->nv[i - 1] = nv;
	}
}

static bool
is_socket(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	int i = http_field_find(hx->head, HTTP_F_UPGRADE, 0);

	return hx->upgrade && i >= 0 &&
	    hx->head->field[i].value.len == sizeof("websocket") - 1 &&
	    strncasecmp(hx->raw + hx->head->field[i].value.at, "websocket",
	    sizeof("websocket") - 1) == 0;
}

/* What is put into nghttp2's queue now goes at once: nothing is before it, and
   there is room for the stream. A server may have lowered the number of streams
   while the connection was idle. */
static bool
goes_at_once(const struct upconn *u)
{
	const struct back2 *b = back2_of(u);

	return !b->blocked && !b->broken &&
	    u->conn.out.len < BACK2_OUT_MOST &&
	    nghttp2_session_get_outbound_queue_size(b->ng) == 0 &&
	    b->n_streams <= nghttp2_session_get_remote_settings(b->ng,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

/* The head is in f, and stays until this returns: then it has been sent, or is
   copied. */
static int
submit(struct back2_stream *st, struct h2_fields *f)
{
	struct exchange *x = st->x;
	struct upconn *u = st->u;
	bool ends = x->up_end && x->up.len == 0 && !st->socket &&
	    http_of(x)->up_trailers.len == 0;
	bool copy = !goes_at_once(u);
	size_t i;

	for (i = 0; copy && i < f->n; i++)
		f->nv[i].flags = NGHTTP2_NV_FLAG_NONE;
	st->said_all = ends;
	st->id = nghttp2_submit_headers(back2_of(u)->ng, ends ?
	    NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, -1, NULL, f->nv, f->n,
	    st);
	if (st->id < 0)
		return -1;
	back2_push(u);
	return 0;
}

static enum fail
ask_with(struct upconn *u, struct exchange *x, struct http_head *h,
    struct buf *text)
{
	struct h2_fields *f = fields_of(x);
	struct back2_stream *st;
	const char *raw;

	if (http_write_request(x, u, text) < 0 ||
	    (raw = buf_flat(exchange_blocks(x), text, text->len)) == NULL)
		return FAIL_NO_MEMORY;
	/* What is added may have made it too large. */
	http_head_init(h, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	if (http_request_parse(h, raw, text->len) != PARSE_DONE) {
		http_of(x)->head->refusal = 431;
		http_of(x)->head->why = "head too large";
		return FAIL_BAD_REQUEST;
	}
	h2_fields_of_request(f, h, raw, conn_ssl(&u->conn) != NULL ? "https" :
	    "http");
	st = back2_stream_new(u, x);
	if (st == NULL)
		return FAIL_NO_MEMORY;
	st->socket = is_socket(x);
	if (st->socket) {
		x->tunnels = true;
		become_socket(f);
	}
	if (submit(st, f) < 0) {
		back2_stream_free(st);
		return FAIL_NO_MEMORY;
	}
	return FAIL_NONE;
}

enum fail
back2_ask(struct upconn *u, struct exchange *x)
{
	struct lane *lane = x->s->door->lane;
	struct http_head *h;
	struct buf text;
	enum fail why;

	if (is_socket(x) && !back2_of(u)->takes_sockets)
		return FAIL_NO_SOCKET;
	/* RFC 6455 4.2.1: the server is not going to miss it. */
	if (is_socket(x) && back2_socket_key(http_of(x)) == NULL) {
		http_of(x)->head->refusal = 400;
		http_of(x)->head->why = "no Sec-WebSocket-Key";
		return FAIL_BAD_REQUEST;
	}
	h = pile_get(&lane->pieces[FAMILY_HTTP]);
	if (h == NULL)
		return FAIL_NO_MEMORY;
	buf_init(&text);
	why = ask_with(u, x, h, &text);
	buf_clear(exchange_blocks(x), &text);
	pile_put(&lane->pieces[FAMILY_HTTP], h);
	return why;
}

/* ----------------------------------------------------------------------- notes */

static int
on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct upconn *u = arg;

	(void)ng;
	if (frame->hd.type == NGHTTP2_GOAWAY &&
	    frame->goaway.error_code != NGHTTP2_NO_ERROR)
		back2_of(u)->faulty = true;
	return 0;
}

/* A GOAWAY came before it could go: nobody has looked at it. */
static int
on_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error,
    void *arg)
{
	struct back2 *b = back2_of(arg);
	struct list *l;

	(void)ng, (void)error;
	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	for (l = b->streams.next; l != &b->streams; l = l->next) {
		struct back2_stream *st =
		    container_of(l, struct back2_stream, link);

		if (st->id != frame->hd.stream_id || st->closed)
			continue;
		st->closed = true;
		st->error = NGHTTP2_REFUSED_STREAM;
		back2_note(st);
		break;
	}
	return 0;
}

void
back2_give_init(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_send_data_callback(c, send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c,
	    on_not_sent);
}
