/*
 * HTTP/2 towards clients: the connection. Reading and writing, streams that
 * begin and end, deadlines, leaving, and clients that waste work. What comes on
 * a stream is front2_take.c's, what goes front2_give.c's. See http.h.
 *
 * Many exchanges of a session run at once; each leases an upstream connection
 * for itself. Flow control is the backpressure: a stream's window is opened when
 * the upstream has taken what came, and what the client gives no window for
 * waits in x->down, as large as an HTTP/1.1 client's output.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/front2.h"

#include <stdlib.h>
#include <string.h>


enum {
	GRACE_MS = 1000,                /* between GOAWAY and the last one */
	STREAMS_KEPT = 256,
	TABLE_BYTES = 4096,             /* of HPACK, each way */
	WASTE_PER_S = 100
};

/* ----------------------------------------------------------------- the lane */

void
http_lane_init(void *own, unsigned index)
{
	struct http_lane *lane = own;

	(void)index;
	trace_dice_init(&lane->dice);
	back2_lane_init(&lane->back);
	pile_init(&lane->streams, sizeof(struct http2_stream), STREAMS_KEPT);
	if (nghttp2_option_new(&lane->option) != 0) {
		lane->option = NULL;
		return;
	}
	nghttp2_option_set_no_auto_window_update(lane->option, 1);
	nghttp2_option_set_no_closed_streams(lane->option, 1);
	/* What it would check of messages, h2.h and front2_take.c do. */
	nghttp2_option_set_no_http_messaging(lane->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(lane->option,
	    TABLE_BYTES);
	if (nghttp2_session_callbacks_new(&lane->callbacks) != 0) {
		lane->callbacks = NULL;
		return;
	}
	http2_take_init(lane->callbacks);
	http2_give_init(lane->callbacks);
}

void
http_lane_fini(void *own)
{
	struct http_lane *lane = own;

	back2_lane_fini(&lane->back);
	pile_fini(&lane->streams);
	nghttp2_session_callbacks_del(lane->callbacks);
	nghttp2_option_del(lane->option);
}

/* ------------------------------------------------------------------- ending */

static void
stream_free(struct http2_stream *st)
{
	struct session *s = st->h2->s;

	deadline_clear(&st->deadline);
	buf_clear(&s->conn.w->blocks, &st->rest);
	list_remove(&st->link);
	list_remove(&st->todo);
	pile_put(&http_lane_of(s)->streams, st);
}

static void
release(struct worker *w, struct late *l)
{
	struct http2 *h2 = container_of(l, struct http2, late);

	(void)w;
	if (!h2->spoiled)
		nghttp2_session_del(h2->ng);
	free(h2);
}

/* May be called from inside of a run, but not of nghttp2. */
void
http2_end(struct session *s)
{
	struct http2 *h2 = http_session_of(s)->h2;
	struct list *l;

	if (h2 == NULL)
		return;
	while ((l = list_first(&h2->streams)) != NULL)
		stream_free(container_of(l, struct http2_stream, link));
	h2_text_drop(&h2->text);
	worker_late(s->conn.w, &h2->late, release);
}

static void push(struct http2 *h2);

/* The session lingers behind them, and streams' deadlines go on until it is
   closed. */
static void
drop_exchanges(struct http2 *h2)
{
	struct session *s = h2->s;
	struct exchange *x;
	struct list *l;

	while (!s->closed && (x = exchange_first(s)) != NULL)
		exchange_drop(x, FAIL_CLIENT_GONE);
	for (l = h2->streams.next; l != &h2->streams; l = l->next) {
		struct http2_stream *st =
		    container_of(l, struct http2_stream, link);

		st->x = NULL;
		deadline_clear(&st->deadline);
	}
}

/* Say goodbye, with a reason, to a client that is still sending perhaps. */
static void
quit(struct http2 *h2, uint32_t code)
{
	struct session *s = h2->s;

	if (nghttp2_session_terminate_session(h2->ng, code) != 0) {
		session_close(s);
		return;
	}
	push(h2);
	drop_exchanges(h2);
	session_linger(s);
}

/* nghttp2 could not go on. */
static void
broken(struct http2 *h2, int error)
{
	switch (error) {
	case NGHTTP2_ERR_NOMEM:
	case NGHTTP2_ERR_CALLBACK_FAILURE:
		if (h2->wasteful)
			quit(h2, NGHTTP2_ENHANCE_YOUR_CALM);
		else
			session_close(h2->s);
		break;
	case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
		quit(h2, NGHTTP2_PROTOCOL_ERROR);
		break;
	default:                /* floods of what it has to answer */
		quit(h2, NGHTTP2_ENHANCE_YOUR_CALM);
		break;
	}
}

bool
http2_waste(struct http2 *h2, int64_t cost)
{
	const struct session *s = h2->s;
	int64_t now_ns = s->conn.w->now_ns;

	h2->wasted -= (now_ns - h2->wasted_ns) * WASTE_PER_S / NS_PER_S;
	h2->wasted_ns = now_ns;
	if (h2->wasted < 0)
		h2->wasted = 0;
	h2->wasted += cost;
	if (h2->wasted > http_conf_of(s)->max_wasted)
		h2->wasteful = true;
	return !h2->wasteful;
}

/* ------------------------------------------------------------------ streams */

void
http2_note(struct http2_stream *st)
{
	if (!list_linked(&st->todo))
		list_append(&st->h2->todo, &st->todo);
}

/* nghttp2 has closed it: all has been said both ways, or it was reset. */
static void
stream_over(struct http2_stream *st)
{
	struct exchange *x = st->x;
	struct http2 *h2 = st->h2;

	if (x != NULL && st->said_all) {
		h2->wasted -= HTTP2_RESET_COST;
		exchange_end(x, x->outcome);
	} else if (x != NULL)
		exchange_drop(x, FAIL_CLIENT_GONE);
	if (!h2->s->closed)
		stream_free(st);
}

/* Whatever is called may end the session, and with it st. */
static void
work(struct http2_stream *st)
{
	const struct session *s = st->h2->s;

	if (st->closed) {
		stream_over(st);
		return;
	}
	if (st->x != NULL && st->is_new) {
		st->is_new = false;
		http2_dispatch(st);
		if (s->closed)
			return;
	}
	if (st->x != NULL && st->more_up) {
		st->more_up = false;
		http2_take_body(st);
		if (s->closed)
			return;
	}
	if (st->x != NULL && st->took) {
		st->took = false;
		exchange_taken(st->x);
	}
}

static void
settle(struct http2 *h2)
{
	struct list *l;

	while (!http2_is_over(h2) && (l = list_first(&h2->todo)) != NULL) {
		list_remove(l);
		work(container_of(l, struct http2_stream, todo));
	}
}

/* ------------------------------------------------------------------ the run */

/* Frames into the output: as many as it takes. */
static void
push(struct http2 *h2)
{
	struct conn *c = &h2->s->conn;
	struct block_store *store = &c->w->blocks;
	const uint8_t *bytes;
	ssize_t n = 0;

	h2->blocked = false;
	while (c->out.len < HTTP2_OUT_MOST &&
	    (n = nghttp2_session_mem_send(h2->ng, &bytes)) > 0) {
		size_t room;
		char *to = buf_reserve(store, &c->out, (size_t)n, BUF_MEDIUM,
		    &room);

		if (to == NULL) {
			session_close(h2->s);
			return;
		}
		memcpy(to, bytes, (size_t)n);
		buf_commit(store, &c->out, (size_t)n);
	}
	if (c->out.len >= HTTP2_OUT_MOST)
		h2->blocked = true;
	conn_send(c);
	if (n < 0)
		session_close(h2->s);
}

/* What has come. A client that asks on without taking its answers waits. */
static void
feed(struct http2 *h2)
{
	struct conn *c = &h2->s->conn;

	while (c->in.len > 0 && !http2_is_over(h2)) {
		struct slice *sl = c->in.first;
		ssize_t n;

		if (c->out.len >= 2 * HTTP2_OUT_MOST) {
			conn_pause(c);
			return;
		}
		h2->feeding = sl->block;
		n = nghttp2_session_mem_recv(h2->ng,
		    (const uint8_t *)sl->block->bytes + sl->at, sl->len);
		h2->feeding = NULL;
		if (n < 0) {
			broken(h2, (int)n);
			return;
		}
		buf_drop(&c->w->blocks, &c->in, (size_t)n);
		settle(h2);
	}
	if (http2_is_over(h2))
		return;
	conn_resume(c);
	if (c->eof && list_empty(&h2->streams))
		session_finish(h2->s);
	else if (c->eof)
		session_close(h2->s);
}

static int64_t
wait_ms(const struct session *s, enum http2_wait wait)
{
	switch (wait) {
	case HTTP2_WAITS_HEAD:
		return s->door->conf->timeouts.header_ms;
	case HTTP2_WAITS_GRACE:
		return GRACE_MS;
	case HTTP2_WAITS_IDLE:
		return s->door->conf->timeouts.idle_ms;
	case HTTP2_WAITS_NOT:
		break;
	}
	return INT64_MAX;
}

/* Frames that are no request do not make an idle connection younger. */
static void
arm(struct http2 *h2)
{
	enum http2_wait wait = !h2->greeted || h2->in_head ? HTTP2_WAITS_HEAD :
	    h2->leave == HTTP2_NOTICED ? HTTP2_WAITS_GRACE :
	    list_empty(&h2->streams) ? HTTP2_WAITS_IDLE : HTTP2_WAITS_NOT;

	if (h2->wait == wait)
		return;
	h2->wait = (uint8_t)wait;
	if (wait == HTTP2_WAITS_NOT)
		deadline_clear(&h2->s->deadline);
	else
		deadline_set(h2->s->conn.w, &h2->s->deadline,
		    wait_ms(h2->s, wait));
}

/* 6.8: first that no further streams are wanted, so that what is on its way is
   still taken; the last one follows after a while. */
static void
leave(struct http2 *h2)
{
	if (h2->leave != HTTP2_STAYS)
		return;
	h2->leave = HTTP2_NOTICED;
	if (nghttp2_submit_shutdown_notice(h2->ng) != 0)
		session_close(h2->s);
}

static void
take_no_more(struct http2 *h2)
{
	h2->leave = HTTP2_LEAVES;
	if (nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h2->ng), NGHTTP2_NO_ERROR,
	    NULL, 0) != 0)
		session_close(h2->s);
}

/* Is the connection over? */
static void
look_round(struct http2 *h2)
{
	struct session *s = h2->s;

	if (!nghttp2_session_want_read(h2->ng) &&
	    !nghttp2_session_want_write(h2->ng)) {
		/* A GOAWAY went, or came, and nothing is left to do. */
		drop_exchanges(h2);
		session_linger(s);
	} else if (h2->leave == HTTP2_LEAVES && list_empty(&h2->streams))
		session_finish(s);
	else
		arm(h2);
}

static void
run(struct http2 *h2, bool reads)
{
	if (h2->busy || http2_is_over(h2)) {
		h2->again = true;
		return;
	}
	h2->busy = true;
	do {
		h2->again = false;
		if (reads)
			feed(h2);
		if (!http2_is_over(h2) && session_is_leaving(h2->s))
			leave(h2);
		if (!http2_is_over(h2))
			push(h2);
		settle(h2);
	} while ((h2->again || !list_empty(&h2->todo)) &&
	    !http2_is_over(h2));
	h2->busy = false;
	if (!http2_is_over(h2))
		look_round(h2);
}

void
http2_run(struct http2 *h2)
{
	run(h2, false);
}

/* ---------------------------------------------------------------- beginning */

bool
http2_is_preface(const char *bytes, size_t len)
{
	static const char line[] = "PRI * HTTP/2.0\r\n";

	return len >= sizeof(line) - 1 &&
	    memcmp(bytes, line, sizeof(line) - 1) == 0;
}

/*
 * The connection's window is as large as all the streams': it is the streams'
 * that hold a client back, so that one slow upstream does not hold up its
 * neighbours.
 */
static int
greet(struct http2 *h2)
{
	int64_t most = http_conf_of(h2->s)->max_streams * HTTP2_WINDOW;
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		    (uint32_t)http_conf_of(h2->s)->max_streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    (uint32_t)h2->s->door->conf->max_header_bytes },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 }
	};

	if (most > INT32_MAX)
		most = INT32_MAX;
	if (nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, settings,
	    NELEMS(settings)) != 0 ||
	    nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0,
	    (int32_t)most) != 0)
		return -1;
	return 0;
}

void
http2_begin(struct session *s)
{
	struct http_lane *lane = http_lane_of(s);
	struct http2 *h2 = calloc(1, sizeof(*h2));

	if (h2 == NULL || lane->callbacks == NULL ||
	    nghttp2_session_server_new2(&h2->ng, lane->callbacks, h2,
	    lane->option) != 0) {
		free(h2);
		session_close(s);
		return;
	}
	h2->s = s;
	list_init(&h2->streams);
	list_init(&h2->todo);
	h2->wasted_ns = s->conn.w->now_ns;
	http_session_of(s)->h2 = h2;
	s->front = &http2_front;
	/* It would have crossed, and now cannot any more. */
	if (s->door->crosses)
		s->leaving = true;
	s->conn.gathers = true;
	arm(h2);
	if (greet(h2) < 0)
		session_close(s);
}

/* -------------------------------------------------------------------- slots */

static struct http2 *
http2_of(const struct session *s)
{
	return http_session_of(s)->h2;
}

/* Also after each exchange: then there is nothing to read. */
static void
front_bytes(struct session *s)
{
	struct http2 *h2 = http2_of(s);

	if (!h2->busy && (s->conn.in.len > 0 || s->conn.eof))
		run(h2, true);
}

static void
front_leased(struct session *s, struct exchange *x)
{
	struct http2 *h2 = http2_of(s);

	/* New window is sent by a run. */
	http2_take_body(http_of(x)->stream);
	if (h2->again)
		http2_run(h2);
}

static void
front_unchoke(struct session *s, struct exchange *x)
{
	if (http2_give_window(http_of(x)->stream))
		http2_run(http2_of(s));
}

static void
front_drained(struct session *s)
{
	struct http2 *h2 = http2_of(s);
	struct list *l;

	if (h2->choked) {
		h2->choked = false;
		for (l = h2->streams.next; l != &h2->streams; l = l->next) {
			struct http2_stream *st =
			    container_of(l, struct http2_stream, link);

			if (st->x != NULL && st->x->lease != NULL)
				exchange_taken(st->x);
		}
	}
	if (h2->blocked || s->conn.paused)
		run(h2, true);
}

static void
front_late(struct session *s)
{
	struct http2 *h2 = http2_of(s);
	int64_t idle_ms = s->door->conf->timeouts.idle_ms;

	switch ((enum http2_wait)h2->wait) {
	case HTTP2_WAITS_GRACE:
		h2->wait = HTTP2_WAITS_NOT;
		take_no_more(h2);
		if (!s->closed)
			http2_run(h2);
		return;
	case HTTP2_WAITS_IDLE:
		if (s->conn.out.len == 0) {
			count_add(&s->door->failures[FAIL_IDLE_TIMEOUT], 1);
			quit(h2, NGHTTP2_NO_ERROR);
		} else if (!session_still_takes(s, idle_ms)) {
			count_add(&s->door->failures[FAIL_CLIENT_STALLED], 1);
			session_reset(s);
		}
		return;
	case HTTP2_WAITS_HEAD:
		count_add(&s->door->failures[FAIL_HEADER_TIMEOUT], 1);
		quit(h2, NGHTTP2_NO_ERROR);
		return;
	case HTTP2_WAITS_NOT:
		return;
	}
}

/* Without a run: others of the door's sessions must not end meanwhile. */
static void
front_bye(struct session *s)
{
	struct http2 *h2 = http2_of(s);

	if (h2->busy || http2_is_over(h2))
		return;
	leave(h2);
	if (!s->closed)
		push(h2);
	if (!s->closed)
		arm(h2);
}

/* The client has to know which of its streams were seen. */
static void
front_parting(struct session *s)
{
	struct http2 *h2 = http2_of(s);

	if (h2->leave == HTTP2_LEAVES)
		return;
	take_no_more(h2);
	if (!s->closed)
		push(h2);
}

const struct front_ops http2_front = {
	.bytes = front_bytes,
	.redirects = true,
	.leased = front_leased,
	.reply = http2_reply,
	.unchoke = front_unchoke,
	.drained = front_drained,
	.fail = http2_fail,
	.late = front_late,
	.bye = front_bye,
	.parting = front_parting,
	.refuse = http_write_refusal,
	.asks = http_asks,
	.words = http2_words,
	.header = http_header
};
