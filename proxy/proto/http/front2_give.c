/*
 * HTTP/2 towards clients: what goes. Answers' heads, their bodies as the client
 * gives window, and weir's own answers. See front2.h.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/front2.h"
#include "proxy/proto/http/grpc.h"

/* --------------------------------------------------------------------- DATA */

static struct buf *
source_of(struct http2_stream *st)
{
	return st->x != NULL ? &st->x->down : &st->rest;
}

/*
 * All has been said, or is about to be; whatever more the client wants to send is
 * not read (8.1). It is told so behind the last frame, by on_sent(): nghttp2
 * sends nothing of a stream that is to be reset.
 */
static void
said_all(struct http2_stream *st)
{
	st->said_all = true;
	st->cuts = !(st->x != NULL ? st->x->up_end : st->told_end);
}

static int
send_trailers(struct http2_stream *st, struct buf *lines)
{
	struct h2_fields *f = &http_lane_of(st->h2->s)->fields;
	struct block_store *store = exchange_blocks(st->x);
	const char *text = buf_flat(store, lines, lines->len);
	size_t i;
	int got;

	if (text == NULL || h2_fields_of_trailers(f, text, lines->len) < 0)
		return -1;
	for (i = 0; i < f->n; i++)
		f->nv[i].flags = NGHTTP2_NV_FLAG_NONE;
	got = nghttp2_submit_trailer(st->h2->ng, st->id, f->nv, f->n);
	buf_clear(store, lines);
	return got;
}

static ssize_t
read_data(nghttp2_session *ng, int32_t id, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct http2_stream *st = source->ptr;
	struct exchange *x = st->x;
	size_t left = source_of(st)->len;
	size_t n = left < room ? left : room;

	(void)ng, (void)id, (void)to, (void)arg;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < left || (x != NULL && !x->down_end)) {
		st->waits = n == 0;
		return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (x != NULL && http_of(x)->down_trailers.len > 0) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (send_trailers(st, &http_of(x)->down_trailers) < 0)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	said_all(st);
	return (ssize_t)n;
}

/* One frame: its head, and its payload without copying more than is small. */
static int
send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head,
    size_t len, nghttp2_data_source *source, void *arg)
{
	struct http2_stream *st = source->ptr;
	struct http2 *h2 = arg;
	struct block_store *store = &h2->s->conn.w->blocks;
	struct buf *out = &h2->s->conn.out, *from = source_of(st);
	size_t room;
	char *to;

	(void)ng, (void)frame;
	if (len > from->len)            /* x has failed meanwhile */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (out->len >= HTTP2_OUT_MOST) {
		h2->blocked = true;
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	to = buf_reserve(store, out, 9 + (len <= BUF_COPY ? len : 0),
	    BUF_MEDIUM, &room);
	if (to == NULL)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	memcpy(to, head, 9);
	buf_commit(store, out, 9);
	if (buf_move(store, out, from, len) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	st->sent += len;
	/* Some clients give new window, twice, for each 4 KiB they take, and
	   some ping at each frame to learn how far away we are. */
	h2->wasted -= 3 + (int64_t)len / 2048;
	if (st->x != NULL && st->x->lease != NULL && !st->x->down_end) {
		st->took = true;
		http2_note(st);
	}
	return 0;
}

/* -------------------------------------------------------------------- heads */

/* What has been put together may be sent right away, from where it is: nothing
   else waits to be sent before it. */
static bool
goes_at_once(const struct http2 *h2)
{
	return !h2->busy && !h2->blocked &&
	    h2->s->conn.out.len < HTTP2_OUT_MOST &&
	    nghttp2_session_get_outbound_queue_size(h2->ng) == 0;
}

static int
submit_head(struct http2_stream *st, struct h2_fields *f, bool ends, bool copy)
{
	size_t i;

	for (i = 0; copy && i < f->n; i++)
		f->nv[i].flags = NGHTTP2_NV_FLAG_NONE;
	if (st->closed)
		return 0;
	return nghttp2_submit_headers(st->h2->ng, ends ?
	    NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, st->id, NULL, f->nv,
	    f->n, NULL) < 0 ? -1 : 0;
}

/* nghttp2 asks for DATA when there is some, or the end. */
static int
flow(struct http2_stream *st)
{
	nghttp2_data_provider provider = { { .ptr = st }, read_data };
	struct http2 *h2 = st->h2;
	int got;

	if (st->closed || st->said_all)
		return 0;
	if (!st->flows) {
		st->flows = true;
		got = nghttp2_submit_data(h2->ng, NGHTTP2_FLAG_END_STREAM,
		    st->id, &provider);
		/* nghttp2 1.52 frees what it could not queue, and once more in
		   the end. */
		if (got == NGHTTP2_ERR_NOMEM)
			h2->spoiled = true;
		return got;
	}
	if (!st->waits)
		return 0;
	st->waits = false;
	got = nghttp2_session_resume_data(h2->ng, st->id);
	if (got == NGHTTP2_ERR_NOMEM)
		h2->spoiled = true;
	return got;
}

/* RFC 8441 5: 101 is a 200 here, and its Accept nobody's business. */
static void
socket_fields(struct h2_fields *f)
{
	static const char accept[] = "sec-websocket-accept";
	size_t i, n = 0;

	f->nv[0].value = (uint8_t *)(uintptr_t)"200";
	for (i = 0; i < f->n; i++)
		if (f->nv[i].namelen != sizeof(accept) - 1 ||
		    memcmp(f->nv[i].name, accept, sizeof(accept) - 1) != 0)
			f->nv[n++] = f->nv[i];
	f->n = n;
}

static bool
is_bodiless(const struct http_head *a)
{
	return a->body == HTTP_BODY_NONE ||
	    (a->body == HTTP_BODY_LENGTH && a->length == 0);
}

/* A 101 that takes the Upgrade has to show that it has understood what for. */
static bool
is_our_socket(const struct http2_stream *st)
{
	const struct http_exchange *hx = http_of(st->x);
	const struct http_head *a = hx->answer;
	static const char accept[] = "sec-websocket-accept";
	unsigned i, n = 0;
	bool good = false;

	for (i = 0; i < a->n_fields; i++) {
		const struct http_field *field = &a->field[i];

		if (field->name.len != sizeof(accept) - 1 ||
		    strncasecmp(hx->answer_raw + field->name.at, accept,
		    field->name.len) != 0)
			continue;
		n++;
		good = h2_socket_accepts(st->key, hx->answer_raw +
		    field->value.at, field->value.len);
	}
	i = (unsigned)http_field_find(a, HTTP_F_UPGRADE, 0);
	return good && n == 1 && a->field[i].value.len == 9 &&
	    strncasecmp(hx->answer_raw + a->field[i].value.at, "websocket",
	    9) == 0;
}

/* Its id, in place of what the upstream may call by that name. */
static void
set_id(struct h2_fields *f, const struct exchange *x)
{
	const struct http_listener_conf *conf = x->policy->own;
	const struct trace *t = &http_of(x)->trace;

	if (t->id_len > 0)
		h2_fields_set(f, conf->id_field, t->id, t->id_len);
}

/* The answer's bytes are readable only now. */
static int
give_head(struct http2_stream *st)
{
	struct exchange *x = st->x;
	struct http_exchange *hx = http_of(x);
	const struct http_head *a = hx->answer;
	struct h2_fields *f = &http_lane_of(x->s)->fields;
	bool final = a->status >= 200 || a->status == 101;
	bool ends = final && is_bodiless(a) && a->status != 101;

	hx->answer_ready = false;
	h2_fields_of_answer(f, a, hx->answer_raw,
	    hx->head->method == HTTP_M_HEAD);
	if (a->status == 101)
		socket_fields(f);
	if (final) {
		set_id(f, x);
		x->answered = true;
		x->status = a->status == 101 ? 200 : a->status;
		x->outcome = http_outcome(x->status);
	}
	/* One that ends the stream is sent when the back is through with it. */
	if (submit_head(st, f, ends, ends || !goes_at_once(st->h2)) < 0)
		return -1;
	if (ends)
		said_all(st);
	return 0;
}

/* All has come: the lease can go, although the client has not taken all. */
static void
let_go(struct http2_stream *st)
{
	struct exchange *x = st->x;

	exchange_release(x);
	st->sent_seen = st->sent;
	deadline_set(x->s->conn.w, &st->deadline,
	    x->s->door->conf->timeouts.idle_ms);
}

void
http2_reply(struct session *s, struct exchange *x)
{
	struct http2_stream *st = http_of(x)->stream;
	struct http2 *h2 = st->h2;

	struct http_exchange *hx = http_of(x);

	if (hx->answer_ready && hx->answer->status == 101 &&
	    !is_our_socket(st)) {
		exchange_fail(x, FAIL_BAD_RESPONSE);
		return;
	}
	if (hx->answer_ready && give_head(st) < 0) {
		session_close(s);
		return;
	}
	/* What the client has sent early may go, too. */
	if (hx->socket && x->up.len + x->up_end > 0) {
		st->more_up = true;
		http2_note(st);
	}
	if (st->said_all && !x->down_end)
		return;                 /* the back has yet to say so */
	if ((x->down.len > 0 || x->down_end) && flow(st) != 0) {
		session_close(s);
		return;
	}
	if (x->down.held + s->conn.out.held >= CONN_HIGH)
		h2->choked = true;
	http2_run(h2);
	if (!x->ended && x->down_end && x->lease != NULL)
		let_go(st);
}

/* -------------------------------------------------------------- own answers */

/* Status, reason and text as HTTP/1.1 says them. */
static int
say_failure(struct http2_stream *st, unsigned status, const char *name,
    const char *text)
{
	struct exchange *x = st->x;
	struct h2_fields *f = &http_lane_of(x->s)->fields;
	struct http_failure say;
	bool bodiless = http_of(x)->head->method == HTTP_M_HEAD &&
	    http_of(x)->taking != TAKING_HEAD;

	http_failure_words(&say, x, status, name, text, x->retry_after_ns);
	h2_fields_init(f);
	h2_fields_add(f, ":status", say.status, strlen(say.status));
	h2_fields_add(f, "content-type", "text/plain", 10);
	h2_fields_add(f, "content-length", say.length, strlen(say.length));
	h2_fields_add(f, "cache-control", "no-store", 8);
	if (say.retry_after[0] != '\0')
		h2_fields_add(f, "retry-after", say.retry_after,
		    strlen(say.retry_after));
	if (status == 405)
		h2_fields_add(f, "allow", HTTP_ALLOW, sizeof(HTTP_ALLOW) - 1);
	set_id(f, x);
	if (!bodiless && buf_append(exchange_blocks(x), &st->rest, say.body,
	    strlen(say.body)) < 0)
		return -1;
	return submit_head(st, f, bodiless, true);
}

/* A call is told so in the head that is all of its answer. */
static int
say_call_failed(struct http2_stream *st, enum fail why)
{
	struct h2_fields *f = &http_lane_of(st->h2->s)->fields;
	char text[256];

	grpc_fields_of_failure(f, why, text, sizeof(text));
	trace_begin(st->x);
	set_id(f, st->x);
	return submit_head(st, f, true, true);
}

static unsigned
status_of(const struct exchange *x, enum fail why)
{
	const struct http_head *h = http_of(x)->head;

	return why == FAIL_BAD_REQUEST && h->refusal != 0 ? h->refusal :
	    fail_rows[why].status;
}

static const char *
text_of(const struct exchange *x, enum fail why)
{
	const struct http_head *h = http_of(x)->head;

	if (why == FAIL_BAD_REQUEST && h->refusal != 0)
		return h->why;
	return why == FAIL_TLS && x->said != NULL ? x->said :
	    fail_rows[why].text;
}

/* An answer that has begun cannot be taken back: that stream is reset, and it
   alone. */
static int
cut(struct http2_stream *st, enum fail why)
{
	st->x = NULL;
	return nghttp2_submit_rst_stream(st->h2->ng, NGHTTP2_FLAG_NONE,
	    st->id, why == FAIL_CLIENT_STALLED || why == FAIL_TUNNEL_TIMEOUT ?
	    NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
}

static int
tell(struct http2_stream *st, enum fail why)
{
	struct exchange *x = st->x;
	unsigned status = status_of(x, why);
	bool call = http_of(x)->grpc;
	int got = call ? say_call_failed(st, why) : say_failure(st, status,
	    fail_rows[why].name, text_of(x, why));

	x->outcome = status < 500 ? OUTCOME_4XX : OUTCOME_5XX;
	x->status = (uint16_t)(call ? 200 : status);
	st->told_end = x->up_end;
	st->x = NULL;
	if (got < 0)
		return -1;
	st->sent_seen = st->sent;
	deadline_set(x->s->conn.w, &st->deadline,
	    x->s->door->conf->timeouts.idle_ms);
	if (st->rest.len > 0)
		return flow(st);
	said_all(st);
	return 0;
}

void
http2_fail(struct session *s, struct exchange *x, enum fail why)
{
	struct http2_stream *st = http_of(x)->stream;
	struct http2 *h2 = st->h2;
	int got = 0;

	/* What follows may end the session, and st before x is through. */
	http_of(x)->stream = NULL;
	http_of(x)->sent_in_all = st->sent;
	http_of(x)->sent = &http_of(x)->sent_in_all;
	if (st->closed)
		st->x = NULL;
	else if (x->answered || fail_rows[why].status == 0)
		got = cut(st, why);
	else
		got = tell(st, why);
	if (got != 0)
		session_close(s);
	else
		http2_run(h2);
}

/* ------------------------------------------------------------------ the log */

/* The bytes of its stream alone: head and body, as far as they came and went. */
void
http2_words(const struct exchange *x, struct access_words *w)
{
	const struct http_exchange *hx = http_of(x);

	http_words(x, w);
	w->counted = true;
	w->received = hx->raw_len + hx->up_total;
	w->sent = *hx->sent;
}

/* ------------------------------------------------------------------- GOAWAY */

/* The answer is over before the request was. */
static int
cut_rest(nghttp2_session *ng, int32_t id)
{
	const struct http2_stream *st =
	    nghttp2_session_get_stream_user_data(ng, id);

	if (st == NULL || !st->cuts)
		return 0;
	return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id,
	    NGHTTP2_NO_ERROR) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Whoever makes an end of something, nghttp2 or weir: it is noted here. */
static int
on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct http2 *h2 = arg;
	counter *failures = h2->s->door->failures;

	if (frame->hd.type == NGHTTP2_RST_STREAM)
		h2->has_reset = true;
	if ((frame->hd.type == NGHTTP2_HEADERS ||
	    frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		return cut_rest(ng, frame->hd.stream_id);
	if (frame->hd.type != NGHTTP2_GOAWAY ||
	    frame->goaway.error_code == NGHTTP2_NO_ERROR)
		return 0;
	count_add(&failures[frame->goaway.error_code ==
	    NGHTTP2_ENHANCE_YOUR_CALM ? FAIL_CLIENT_WASTES :
	    FAIL_BAD_REQUEST], 1);
	return 0;
}

void
http2_give_init(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_send_data_callback(c, send_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
}
