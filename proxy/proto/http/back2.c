/*
 * HTTP/2 towards upstreams: the connection. Its beginning, reading and writing,
 * streams that end, GOAWAY, and servers that waste work. What goes on a stream
 * is back2_give.c's, what comes back2_take.c's. See http.h.
 *
 * Its pool works in shared mode: many exchanges ride on one connection, each on
 * a stream of its own. Flow control is the backpressure: a stream's window is
 * opened when its client has taken what came. The connection's is as large as
 * all the streams', so that one slow client does not hold up its neighbours.
 *
 * Section numbers without a name are those of RFC 9113.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/back2.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "pool/share.h"
#include "proxy/proto/http/grpc.h"
#include "proxy/proto/http/probe.h"
#include "proxy/runtime.h"

enum {
	WASTE_PER_S = 100,
	WASTE_MOST = 1000
};

/* ----------------------------------------------------------------------- waste */

bool
back2_waste(struct back2 *b, int64_t cost)
{
	b->wasted += cost;
	return b->wasted <= WASTE_MOST;
}

/* For the time that has passed. */
static void
forgive(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	int64_t now_ns = u->conn.w->now_ns;

	b->wasted -= (now_ns - b->wasted_ns) * WASTE_PER_S / NS_PER_S;
	b->wasted_ns = now_ns;
	if (b->wasted < 0)
		b->wasted = 0;
}

/* --------------------------------------------------------------------- streams */

void
back2_note(struct back2_stream *st)
{
	if (!list_linked(&st->todo))
		list_append(&back2_of(st->u)->todo, &st->todo);
}

/* There is room for all requests again. */
static void
unchoke(struct back2 *b)
{
	struct list *l;

	b->choked = false;
	for (l = b->streams.next; l != &b->streams; l = l->next) {
		struct back2_stream *st =
		    container_of(l, struct back2_stream, link);

		st->took = true;
		back2_note(st);
	}
}

static const struct http_upstream_conf *
conf_of(const struct upconn *u)
{
	return u->pool->conf->own;
}

static unsigned
peer_room(const struct upconn *u)
{
	const struct back2 *b = back2_of(u);
	uint32_t most;

	if (b->ng == NULL || !b->greeted || b->leaving || b->full ||
	    u->conn.out.len >= BACK2_OUT_MOST ||
	    nghttp2_session_check_request_allowed(b->ng) == 0)
		return 0;
	most = nghttp2_session_get_remote_settings(b->ng,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (most > (uint64_t)conf_of(u)->max_streams)
		most = (uint32_t)conf_of(u)->max_streams;
	return b->n_streams < most ? most - b->n_streams : 0;
}

struct back2_stream *
back2_stream_new(struct upconn *u, struct exchange *x)
{
	struct back2 *b = back2_of(u);
	struct back2_stream *st = pile_get_zeroed(&back2_lane_of(u)->streams);

	if (st == NULL)
		return NULL;
	st->u = u;
	st->x = x;
	http_of(x)->asking = st;
	list_init(&st->todo);
	list_append(&b->streams, &st->link);
	b->n_streams++;
	return st;
}

void
back2_stream_free(struct back2_stream *st)
{
	struct upconn *u = st->u;
	struct block_store *store = &u->conn.w->blocks;
	struct back2 *b = back2_of(u);

	back2_part(st);
	buf_clear(store, &st->kept);
	list_remove(&st->link);
	list_remove(&st->todo);
	b->n_streams--;
	b->full = false;
	pile_put(&back2_lane_of(u)->streams, st);
}

/* What has gone of the body is put before what has not. */
static void
take_back(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct block_store *store = exchange_blocks(x);
	struct http_exchange *hx = http_of(x);

	if (hx->answer_seen || hx->up_spent || st->kept.len == 0)
		return;
	if (buf_pass(store, &st->kept, &x->up, x->up.len) < 0) {
		hx->up_spent = true;
		return;
	}
	x->up = st->kept;
	buf_init(&st->kept);
}

void
back2_part(struct back2_stream *st)
{
	struct block_store *store = &st->u->conn.w->blocks;
	struct back2 *b = back2_of(st->u);

	buf_clear(store, &st->heads);
	buf_clear(store, &st->body);
	if (b->heading == st) {
		h2_text_drop(&b->text);
		b->heading = NULL;
	}
	if (st->x == NULL)
		return;
	take_back(st);
	http_of(st->x)->asking = NULL;
	st->x = NULL;
}

void
back2_forget(struct exchange *x)
{
	struct back2_stream *st = http_of(x)->asking;
	struct upconn *u;

	if (st == NULL)
		return;
	u = st->u;
	http_of(x)->up_spent = true;    /* nor will it go again */
	back2_part(st);
	if (st->closed || back2_of(u)->ng == NULL)
		return;
	if (nghttp2_submit_rst_stream(back2_of(u)->ng, NGHTTP2_FLAG_NONE,
	    st->id, NGHTTP2_CANCEL) == 0)
		back2_push(u);
}

/* --------------------------------------------------------------------- the end */

/* It is of no use any more, to anybody. */
static void
end(struct upconn *u, int error)
{
	switch (u->state) {
	case UPCONN_GREETING:
		if (error == EBADMSG)
			upconn_unfit(u);
		else
			upconn_broken(u, FAULT_CLOSED, error);
		return;
	case UPCONN_LEASED:
		if (error == EBADMSG)
			endpoint_fault(u->shelf->site->endpoint,
			    FAULT_BAD_ANSWER, 0);
		upconn_mark(u, MARK_BROKEN, "HTTP/2 failed");
		upconn_lost(u, error);
		return;
	case UPCONN_IDLE:
		upconn_close(u, DISCARD_UNASKED_BYTES);
		return;
	case UPCONN_WASHING:
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
		return;
	case UPCONN_CONNECTING:
	case UPCONN_CLOSED:
		return;
	}
}

/* Not from inside of whatever has failed. */
static void
end_soon(struct upconn *u)
{
	struct back2 *b = back2_of(u);

	b->broken = true;
	upconn_mark(u, MARK_BROKEN, "HTTP/2 failed");
	share_end(u);
	deadline_set(u->conn.w, &b->clock, 0);
}

static void run(struct upconn *u);

static void
clock_passed(struct deadline *d)
{
	struct back2 *b = container_of(d, struct back2, clock);

	run((struct upconn *)(void *)b - 1);
}

void
back2_push(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	struct conn *c = &u->conn;
	const uint8_t *bytes;
	ssize_t n = 0;

	if (b->ng == NULL || b->broken)
		return;
	b->blocked = false;
	while (c->out.len < BACK2_OUT_MOST &&
	    (n = nghttp2_session_mem_send(b->ng, &bytes)) > 0)
		if (buf_append(&c->w->blocks, &c->out, bytes, (size_t)n) < 0) {
			n = NGHTTP2_ERR_NOMEM;
			break;
		}
	if (c->out.len >= BACK2_OUT_MOST)
		b->blocked = true;
	/* They look at what is held here, beside what is theirs. */
	if (c->out.held > CONN_LOW)
		b->choked = true;
	conn_send(c);
	if (n < 0)
		end_soon(u);
}

/* ---------------------------------------------------------- streams that end */

/* Nobody has looked at x: it goes again, elsewhere if there is any. A server that
   has others of weir's under way takes more when one of them has ended. */
static void
passed_over(struct upconn *u, struct exchange *x)
{
	struct back2 *b = back2_of(u);
	const struct http_exchange *hx = http_of(x);

	b->full = b->n_streams > 0;
	share_end(u);
	if (!b->leaving && !b->full)
		upconn_doom(u, DISCARD_SERVER_SAID, "stream refused");
	if (hx->answer_seen || hx->up_spent || !exchange_again(x))
		exchange_fail(x, FAIL_REFUSED);
}

/* It was full, and may not be any more. */
static void
open_again(struct upconn *u)
{
	if (u->state == UPCONN_LEASED && u->mark == MARK_CLEAN &&
	    peer_room(u) > 0)
		share_again(u);
}

static void
stream_over(struct back2_stream *st)
{
	struct exchange *x = st->x;
	struct upconn *u = st->u;
	uint32_t error = st->error;
	bool bad = st->bad || (!st->was_reset &&
	    error != NGHTTP2_REFUSED_STREAM);

	back2_stream_free(st);
	open_again(u);
	if (x == NULL)
		return;
	if (error == NGHTTP2_REFUSED_STREAM)
		passed_over(u, x);
	else if (bad) {
		endpoint_fault(u->shelf->site->endpoint, FAULT_BAD_ANSWER, 0);
		exchange_fail(x, FAIL_BAD_RESPONSE);
	} else
		exchange_cut(x, FAIL_UPSTREAM_RESET);
}

/* Of x->up some has gone: there is room, perhaps. */
static void
tell_room(struct back2_stream *st)
{
	struct lease *l = st->x->lease;

	l->ops->drained(l);
}

/* Whatever is called may end anything. */
static void
work(struct back2_stream *st)
{
	if (st->x != NULL)
		back2_deliver(st);
	if (st->x != NULL && st->took && !st->closed) {
		st->took = false;
		tell_room(st);
	}
	if (st->closed)
		stream_over(st);
}

static bool
is_over(const struct upconn *u)
{
	return u->state == UPCONN_CLOSED || back2_of(u)->ng == NULL;
}

static void
settle(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	struct list *l;

	while (!is_over(u) && (l = list_first(&b->todo)) != NULL) {
		list_remove(l);
		work(container_of(l, struct back2_stream, todo));
	}
}

/* --------------------------------------------------------------------- the run */

/* What has come. A server that asks for answers without taking them waits. */
static void
feed(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	struct conn *c = &u->conn;

	while (!is_over(u) && !b->broken && c->in.len > 0) {
		struct slice *sl = c->in.first;
		ssize_t n;

		if (c->out.len >= 2 * BACK2_OUT_MOST) {
			conn_pause(c);
			return;
		}
		b->feeding = sl->block;
		n = nghttp2_session_mem_recv(b->ng,
		    (const uint8_t *)sl->block->bytes + sl->at, sl->len);
		b->feeding = NULL;
		if (n < 0) {
			b->broken = true;
			buf_clear(&c->w->blocks, &c->in);
			break;
		}
		buf_drop(&c->w->blocks, &c->in, (size_t)n);
		settle(u);
	}
	if (!is_over(u))
		conn_resume(c);
}

/* 6.8: no more streams; those that it has taken go on to their ends. */
static void
leave(struct upconn *u)
{
	share_end(u);
	upconn_doom(u, DISCARD_SERVER_SAID, "server leaves");
	if (u->state == UPCONN_IDLE)
		upconn_close(u, DISCARD_SERVER_SAID);
	else if (u->state == UPCONN_GREETING || u->state == UPCONN_WASHING)
		upconn_broken(u, FAULT_CLOSED, 0);
}

/* What came, or went, may be the end of it. */
static void
look_round(struct upconn *u)
{
	struct back2 *b = back2_of(u);

	if (b->broken || b->faulty)
		end(u, EBADMSG);
	else if (u->conn.eof && u->state == UPCONN_LEASED)
		end(u, 0);
	else if (b->leaving)
		leave(u);
}

/* The last of its riders may have gone: then what is still to be written is
   waited for, and after that it is anybody's. */
static void
deal_with(struct upconn *u)
{
	if (u->state == UPCONN_LEASED && list_empty(&u->riders) &&
	    u->conn.out.len > 0)
		upconn_mark(u, MARK_DIRTY, "unsent");
	share_dealt_with(u);
}

static void
run(struct upconn *u)
{
	struct back2 *b = back2_of(u);

	if (b->busy || is_over(u))
		return;
	/* It stays here meanwhile, whoever gives it back. */
	b->busy = u->busy = true;
	forgive(u);
	do {
		back2_push(u);
		settle(u);
		feed(u);
		if (!is_over(u))
			back2_push(u);
	} while (!is_over(u) && !list_empty(&b->todo));
	if (!is_over(u) && b->more_streams) {
		b->more_streams = false;
		open_again(u);
	}
	if (!is_over(u))
		look_round(u);
	b->busy = false;
	if (u->state == UPCONN_LEASED) {
		deal_with(u);
		return;
	}
	u->busy = false;
	if ((u->state == UPCONN_GREETING && b->greeted) ||
	    (u->state == UPCONN_WASHING && u->conn.out.len == 0))
		upconn_ready(u);
}

static void
peer_drained(struct upconn *u)
{
	if (!is_over(u) && back2_of(u)->choked)
		unchoke(back2_of(u));
	run(u);
}

/* ------------------------------------------------------------------- beginning */

/* What was agreed upon, where that is done. */
static bool
has_agreed(const struct upconn *u)
{
	const unsigned char *name;
	unsigned len;
	SSL *ssl = conn_ssl(&u->conn);

	if (ssl == NULL)
		return true;            /* 3.3: known before */
	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

static int
say_settings(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	int64_t most = conf_of(u)->max_streams * BACK2_WINDOW;
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, BACK2_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, BACK2_HEAD_MOST }
	};

	if (most > INT32_MAX)
		most = INT32_MAX;
	if (nghttp2_submit_settings(b->ng, NGHTTP2_FLAG_NONE, settings,
	    NELEMS(settings)) != 0 ||
	    nghttp2_session_set_local_window_size(b->ng, NGHTTP2_FLAG_NONE, 0,
	    (int32_t)most) != 0)
		return -1;
	return 0;
}

/* It is ready when the server's SETTINGS have come: then it is known that it
   speaks HTTP/2 at all, and how much it takes. */
static bool
peer_greet(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	const struct back2_lane *lane = back2_lane_of(u);

	if (!has_agreed(u)) {
		upconn_unfit(u);
		return false;
	}
	list_init(&b->streams);
	list_init(&b->todo);
	deadline_init(&b->clock, clock_passed);
	b->wasted_ns = u->conn.w->now_ns;
	u->conn.gathers = true;
	if (lane->callbacks == NULL || nghttp2_session_client_new2(&b->ng,
	    lane->callbacks, u, lane->option) != 0) {
		b->ng = NULL;
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
		return false;
	}
	if (say_settings(u) < 0)
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
	else
		back2_push(u);
	return false;
}

static void
peer_bye(struct upconn *u)
{
	struct back2 *b = back2_of(u);

	if (b->ng != NULL && nghttp2_submit_goaway(b->ng, NGHTTP2_FLAG_NONE, 0,
	    NGHTTP2_NO_ERROR, NULL, 0) == 0) {
		back2_push(u);
		conn_flush(&u->conn);
	}
}

/* Nothing is to be taken back: what is unsent has to go. */
static void
peer_wash(struct upconn *u)
{
	conn_send(&u->conn);
}

static void
peer_fini(struct upconn *u)
{
	struct back2 *b = back2_of(u);
	struct list *l;

	if (b->ng == NULL)
		return;
	while ((l = list_first(&b->streams)) != NULL)
		back2_stream_free(container_of(l, struct back2_stream, link));
	if (u->pool != NULL)
		deadline_clear(&b->clock);
	h2_text_drop(&b->text);
	nghttp2_session_del(b->ng);
	b->ng = NULL;
}

/* ------------------------------------------------------------------ the back's */

static void
back_start(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	enum fail why;

	/* Of a connection that is gone: what was sent there is sent anew. */
	if (hx->asking != NULL)
		back2_part(hx->asking);
	hx->giving = GIVING_HEAD;
	if (hx->answer == NULL)
		hx->answer = http_answer_new(x);
	why = hx->answer == NULL ? FAIL_NO_MEMORY : back2_ask(u, x);
	if (why != FAIL_NONE) {
		exchange_fail(x, why);
		return;
	}
	/* Full: who comes now opens another, or waits. */
	if (peer_room(u) == 0)
		share_end(u);
	if (!hx->asking->said_all && !hx->asking->socket &&
	    (x->up.len > 0 || x->up_end)) {
		if (back2_flow(hx->asking) < 0) {
			exchange_fail(x, FAIL_NO_MEMORY);
			return;
		}
		back2_push(u);
	}
	back2_arm(x);
}

/* Bytes go both ways, for as long as both like: a socket, a call. */
static bool
is_open(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);

	if (hx->giving == GIVING_BODY)
		return hx->grpc || hx->answer->status == 101;
	return hx->grpc && !x->up_end;
}

static void
back_more(struct upconn *u, struct exchange *x)
{
	struct back2_stream *st = http_of(x)->asking;

	if (st == NULL)
		return;                 /* nobody needs the rest */
	if (back2_flow(st) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	back2_push(u);
	if (http_of(x)->giving == GIVING_HEAD || is_open(x))
		back2_arm(x);
}

static void
back_drained(struct upconn *u, struct exchange *x)
{
	const struct back2_stream *st = http_of(x)->asking;

	(void)u;
	if (st != NULL && http_of(x)->giving == GIVING_HEAD && st->sent > 0)
		back2_arm(x);
}

static void
back_unchoke(struct upconn *u, struct exchange *x)
{
	if (http_of(x)->asking == NULL)
		return;
	back2_give_window(http_of(x)->asking);
	back2_push(u);
}

/* A pause is none while whoever is waited for takes some. */
static bool
goes_on_taking(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);

	if (hx->giving == GIVING_BODY)
		return x->down.len + x->s->conn.out.len > 0 &&
		    *hx->sent != hx->taken;
	return hx->asking->sent != hx->asking->sent_seen;
}

/* Nothing of it waits for anybody. */
static void
late_while_open(struct exchange *x)
{
	struct worker *w = x->s->conn.w;
	int64_t ms = x->upstream->timeouts.tunnel_ms;

	if (w->now_ns - x->moved_ns >= ms * NS_PER_MS)
		exchange_fail(x, FAIL_TUNNEL_TIMEOUT);
	else
		deadline_set_since(w, &x->deadline, ms, x->moved_ns);
}

static void
back_late(struct upconn *u, struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	bool answering = hx->giving == GIVING_BODY;

	if (goes_on_taking(x)) {
		back2_arm(x);
		return;
	}
	if (is_open(x) && x->up.len == 0 && x->down.len == 0) {
		late_while_open(x);
		return;
	}
	if (answering && http_held_for_client(x) >= CONN_LOW) {
		exchange_fail(x, FAIL_CLIENT_STALLED);
		return;
	}
	endpoint_fault(u->shelf->site->endpoint, FAULT_TIMEOUT, 0);
	exchange_fail(x, answering ? FAIL_STALLED : FAIL_RESPONSE_TIMEOUT);
}

/* Bodies too, as far as they are kept. */
static bool
back_replayable(const struct exchange *x, enum conf_retry_what what)
{
	const struct http_exchange *hx = http_of(x);

	return !hx->answer_seen && !hx->up_spent &&
	    hx->giving == GIVING_HEAD && x->up_end && !hx->upgrade &&
	    http_may_repeat(x, what);
}

/* Its stream has been reset by back2_forget(); its neighbours notice nothing. */
static void
back_drop(struct upconn *u, struct exchange *x)
{
	(void)x;
	if (!u->busy && u->conn.out.len > 0 &&
	    list_first(&u->riders) == list_last(&u->riders))
		upconn_mark(u, MARK_DIRTY, "unsent");
}

static const struct back_ops http2_back = {
	.start = back_start,
	.more = back_more,
	.drained = back_drained,
	.unchoke = back_unchoke,
	.late = back_late,
	.replayable = back_replayable,
	.drop = back_drop
};

static const char *const pins[] = {
	[HTTP_PIN_UPGRADE] = "upgrade",
	NULL
};

static const struct peer_ops http2_peer = {
	.state_size = sizeof(struct back2),
	.pins = pins,
	.errors = grpc_error_names,
	.greet = peer_greet,
	.bytes = run,
	.room = peer_room,
	.drained = peer_drained,
	.wash = peer_wash,
	.bye = peer_bye,
	.fini = peer_fini
};

static const char *const defaults[] = {
	"pool.max", "64",
	"pool.idle_timeout", "60s",
	"pool.max_lifetime", "10m",
	"upstream.tls.alpn", "(h2)",
	NULL
};

/* Of upstreams with http.version "2"; it is in no table of protocols. */
const struct proto proto_http2_back = {
	.conf = {
		.name = "http",
		.probes = true,
		.streams = true,
		.spans = CONF_SPAN_OWED,
		.default_mode = "shared",
		.defaults = defaults,
		.upstream_keys = http_upstream_keys,
		.upstream_size = sizeof(struct http_upstream_conf)
	},
	.family = FAMILY_HTTP,
	.back = &http2_back,
	.peer = &http2_peer,
	.probe = &http2_probe
};
