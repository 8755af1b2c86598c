/*
 * HTTP/1.1 towards upstreams: gives one request, reads its answer, and says
 * when the connection is clean for the next. Knows nothing of the client's
 * wire. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/client_cert.h"
#include "proxy/proto/http/http.h"
#include "proxy/runtime.h"
#include "proxy/tunnel.h"

enum {
	INTERIM_MOST = 100,             /* 1xx before a final answer */
	HOLD_MOST_MS = 600000,          /* Retry-After is believed up to here */
	ANSWER_HEAD_MOST = HTTP_HEAD_MAX
};

static struct worker *
worker_of(const struct exchange *x)
{
	return x->s->conn.w;
}

size_t
http_held_for_client(const struct exchange *x)
{
	return (size_t)x->down.held + x->s->conn.out.held;
}

/* How much has been taken by whoever is waited for. */
static uint64_t
taken_now(const struct exchange *x)
{
	return http_of(x)->giving == GIVING_BODY ? *http_of(x)->sent :
	    x->lease->u->conn.sent;
}

static void
arm_stall(struct exchange *x)
{
	http_of(x)->taken = taken_now(x);
	deadline_set(worker_of(x), &x->deadline,
	    x->upstream->timeouts.stall_ms);
}

/* The answer is due from now on, or the upstream has to go on taking. */
static void
arm(struct exchange *x)
{
	const struct conn *server = &x->lease->u->conn;
	bool asked = x->up_end || http_of(x)->socket;

	if (asked && server->out.held < CONN_LOW)
		deadline_set(worker_of(x), &x->deadline,
		    x->upstream->timeouts.response_ms);
	else
		arm_stall(x);
}

/* A stall is a pause: who has taken some since has none. */
static bool
goes_on_taking(struct exchange *x)
{
	size_t left = http_of(x)->giving == GIVING_BODY ?
	    (size_t)x->down.len + x->s->conn.out.len :
	    x->lease->u->conn.out.len;

	if (left == 0 || taken_now(x) == http_of(x)->taken)
		return false;
	arm_stall(x);
	return true;
}

/* ----------------------------------------------------------------- request */

struct http_head *
http_answer_new(struct exchange *x)
{
	struct lane *lane = x->s->door->lane;
	struct http_head *a = pile_get(&lane->pieces[FAMILY_HTTP]);

	if (a != NULL)
		http_head_init(a, HTTP_FIELDS_MAX, ANSWER_HEAD_MOST);
	return a;
}

static void
back_start(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	hx->giving = GIVING_HEAD;
	if (hx->answer == NULL)
		hx->answer = http_answer_new(x);
	if (hx->answer == NULL ||
	    http_write_request(x, u, &u->conn.out) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	conn_send(&u->conn);
	arm(x);
}

static void
back_more(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);
	bool chunked = hx->head->body == HTTP_BODY_CHUNKED;

	if ((x->up.len > 0 && (chunked ?
	    http_write_chunk(store, &u->conn.out, &x->up) :
	    buf_move(store, &u->conn.out, &x->up, x->up.len)) < 0) ||
	    (x->up_end && chunked && (client_cert_trailers(x) < 0 ||
	    http_write_last_chunk(store, &u->conn.out, &hx->up_trailers) <
	    0))) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (hx->socket && x->up_end)
		conn_shut(&u->conn);
	x->moved_ns = worker_of(x)->now_ns;
	conn_send(&u->conn);
	if (hx->giving == GIVING_HEAD)
		arm(x);
}

static void
back_drained(struct upconn *u, struct exchange *x)
{
	(void)u;
	if (http_of(x)->giving == GIVING_HEAD && http_of(x)->up_total > 0)
		arm(x);
}

/* ------------------------------------------------------------------ answer */

/* Keep-Alive: timeout=N, the server's word on how long it keeps an idle one. */
static void
heed_keep_alive(struct upconn *u, const struct http_head *a, const char *raw)
{
	int i = http_field_find(a, HTTP_F_KEEP_ALIVE, 0);
	unsigned long seconds = 0;
	uint16_t at, end;

	if (i < 0)
		return;
	at = a->field[i].value.at;
	end = (uint16_t)(at + a->field[i].value.len);
	for (; at + 8 < end; at++)
		if (strncasecmp(raw + at, "timeout=", 8) == 0)
			break;
	for (at += 8; at < end && raw[at] >= '0' && raw[at] <= '9' &&
	    seconds < 1000000; at++)
		seconds = seconds * 10 + (unsigned long)(raw[at] - '0');
	if (seconds > 0)
		u->idle_hint_ms = (int64_t)seconds * 900;
}

const char *const http_error_names[] = {
	HTTP_ERROR_NAMES, NULL
};

static void
count_error(struct upconn *u, unsigned status)
{
	static const unsigned named[] = { 500, 502, 503, 504 };
	unsigned i = 0;

	while (i < NELEMS(named) && named[i] != status)
		i++;
	count_add(&u->pool->errors[i], 1);
}

/*
 * 502, 503 and 504 say of the server itself that it cannot; anything else that
 * it is in order. With limits.retry_after it may also ask to be left alone for
 * a while.
 */
void
http_heed_status(struct upconn *u, struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	struct endpoint *e = u->shelf->site->endpoint;
	unsigned status = hx->answer->status;
	int64_t ms = 0, until_ns;

	if (status >= 500)
		count_error(u, status);
	if (status == 502 || status == 503 || status == 504)
		endpoint_fault(e, FAULT_UNAVAILABLE, 0);
	else
		endpoint_ok(e);
	if (x->upstream->retry_after && (status == 503 || status == 429))
		ms = http_retry_after_ms(hx->answer, hx->answer_raw);
	if (ms > HOLD_MOST_MS)
		ms = HOLD_MOST_MS;
	until_ns = worker_of(x)->now_ns + ms * NS_PER_MS;
	/* An answer that was slower to come does not shorten a pause. */
	if (ms > 0 && until_ns > atomic_load(&e->hold_until_ns))
		atomic_store(&e->hold_until_ns, until_ns);
}

static void
bad_answer(struct upconn *u, struct exchange *x)
{
	endpoint_fault(u->shelf->site->endpoint, FAULT_BAD_ANSWER, 0);
	upconn_mark(u, MARK_BROKEN, "bad answer");
	exchange_fail(x, FAIL_BAD_RESPONSE);
}

/* The whole answer has come. May the connection carry another request? */
static void
answer_complete(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	if (!hx->answer->keep_alive)
		upconn_doom(u, DISCARD_SERVER_SAID, "server closes");
	if (!x->up_end)
		upconn_doom(u, DISCARD_NOT_CLEAN, "request not all sent");
	/* It did not ask for the body. Whether it takes the body that was sent
	   all the same for one, or for the next request, it need not say
	   (RFC 9110 10.1.1). */
	if (hx->head->expect_continue && !hx->continued)
		upconn_doom(u, DISCARD_NOT_CLEAN, "expectation not met");
	hx->giving = GIVEN;
	x->down_end = true;
	deadline_clear(&x->deadline);
	exchange_down(x);
}

static void
begin_tunnel(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	size_t size = hx->answer->size;

	hx->giving = TUNNELLING;
	hx->answer_ready = true;
	exchange_down(x);
	if (x->ended)
		return;
	buf_drop(exchange_blocks(x), &u->conn.in, size);
	upconn_pin(u, HTTP_PIN_UPGRADE);
	tunnel_begin(x);
}

/* A 1xx: pass it on and wait for the next head. */
static void
interim(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	size_t size = hx->answer->size;

	hx->continued = hx->continued || hx->answer->status == 100;
	if (++hx->interim > INTERIM_MOST) {
		bad_answer(u, x);
		return;
	}
	hx->answer_ready = true;
	exchange_down(x);
	if (x->ended)
		return;
	buf_drop(exchange_blocks(x), &u->conn.in, size);
	http_head_init(hx->answer, HTTP_FIELDS_MAX, ANSWER_HEAD_MOST);
}

static void
final_head(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	const struct http_head *a = hx->answer;
	size_t size = a->size;

	exchange_first_byte(x);
	heed_keep_alive(u, a, hx->answer_raw);
	http_heed_status(u, x);
	hx->down_left = a->body == HTTP_BODY_LENGTH ? a->length : 0;
	hx->giving = GIVING_BODY;
	hx->answer_ready = true;
	http_chunks_init(&hx->down_chunks);
	/* The head is written out while its bytes are still where they came
	   in; the body follows in the same turn. */
	exchange_down(x);
	if (!x->ended)
		buf_drop(exchange_blocks(x), &u->conn.in, size);
}

/* An Upgrade that nobody asked for, or before the request was over; or none where
   the client, in HTTP/2, would take any 2xx for one (RFC 8441 5). */
static bool
is_wrong_upgrade(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	unsigned status = hx->answer->status;

	if (hx->socket && status >= 200 && status < 300)
		return true;
	return status == 101 && (!hx->upgrade || !hx->answer->upgrade ||
	    (!x->up_end && !hx->socket));
}

/* A tunnel of which the client's end is one of its streams: bytes as they come
   are the bodies. */
static void
begin_socket(struct upconn *u, struct exchange *x)
{
	http_of(x)->answer->body = HTTP_BODY_CLOSE;
	upconn_pin(u, HTTP_PIN_UPGRADE);
	upconn_doom(u, DISCARD_SPENT, "tunnelled");
	final_head(u, x);
	if (x->ended)
		return;
	x->moved_ns = worker_of(x)->now_ns;
	deadline_set(worker_of(x), &x->deadline,
	    x->upstream->timeouts.tunnel_ms);
}

/* False when there is nothing more to do now. */
static bool
take_answer_head(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct buf *in = &u->conn.in;
	size_t len = in->len < ANSWER_HEAD_MOST ? in->len : ANSWER_HEAD_MOST;
	enum parse got = PARSE_MORE;

	if (len > 0) {
		hx->answer_seen = true;
		hx->answer_raw = buf_flat(exchange_blocks(x), in, len);
		if (hx->answer_raw == NULL) {
			exchange_fail(x, FAIL_NO_MEMORY);
			return false;
		}
		got = http_response_parse(hx->answer,
		    (enum http_method)hx->head->method, hx->answer_raw, len);
	}
	if (got == PARSE_BAD || (got == PARSE_DONE && is_wrong_upgrade(x))) {
		bad_answer(u, x);
		return false;
	}
	if (got == PARSE_MORE) {
		if (u->conn.eof)
			exchange_lost(x, FAIL_UPSTREAM_CLOSED);
		return false;
	}
	if (hx->answer->status == 101 && hx->socket) {
		begin_socket(u, x);
		return !x->ended;
	}
	if (hx->answer->status == 101) {
		begin_tunnel(u, x);
		return false;
	}
	if (hx->answer->status < 200) {
		interim(u, x);
		return !x->ended;
	}
	final_head(u, x);
	return !x->ended;
}

/* -------------------------------------------------------------------- body */

static enum http_flow
take_some(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	struct block_store *store = exchange_blocks(x);
	struct buf *in = &u->conn.in;

	switch ((enum http_body)hx->answer->body) {
	case HTTP_BODY_NONE:
		return FLOW_END;
	case HTTP_BODY_LENGTH:
		return http_take_length(store, &hx->down_left, in, &x->down);
	case HTTP_BODY_CHUNKED:
		return http_take_chunks(store, &hx->down_chunks, in, &x->down,
		    &hx->down_trailers);
	case HTTP_BODY_CLOSE:
		break;
	}
	if (buf_pass(store, &x->down, in, in->len) < 0)
		return FLOW_NO_MEMORY;
	return u->conn.eof ? FLOW_END : FLOW_MORE;
}

/* Bytes go both ways, for as long as both like. */
static bool
is_open(const struct exchange *x)
{
	return http_of(x)->giving == GIVING_BODY &&
	    http_of(x)->answer->status == 101;
}

static void
take_answer_body(struct upconn *u, struct exchange *x)
{
	switch (take_some(u, x)) {
	case FLOW_NO_MEMORY:
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	case FLOW_BAD:
		bad_answer(u, x);
		return;
	case FLOW_END:
		answer_complete(u, x);
		return;
	case FLOW_MORE:
		break;
	}
	if (u->conn.eof) {
		exchange_lost(x, FAIL_UPSTREAM_CLOSED);
		return;
	}
	exchange_down(x);
	if (x->ended)
		return;
	if (http_held_for_client(x) >= CONN_HIGH) {
		conn_pause(&u->conn);
		exchange_choked(x, true);
	}
	x->moved_ns = worker_of(x)->now_ns;
	if (!is_open(x))
		arm_stall(x);
}

static void
back_input(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	if (hx->giving == TUNNELLING) {
		tunnel_from_upstream(x);
		return;
	}
	while (!x->ended && hx->giving == GIVING_HEAD)
		if (!take_answer_head(u, x))
			return;
	if (!x->ended && hx->giving == GIVING_BODY)
		take_answer_body(u, x);
}

static void
back_unchoke(struct upconn *u, struct exchange *x)
{
	conn_resume(&u->conn);
	(void)x;
}

/* ------------------------------------------------------------------ ending */

static void
back_late(struct upconn *u, struct exchange *x)
{
	struct http_exchange *hx = http_of(x);

	if (hx->giving == TUNNELLING || is_open(x)) {
		tunnel_late(x);
		return;
	}
	if (goes_on_taking(x))
		return;
	if (hx->giving == GIVING_BODY && http_held_for_client(x) >= CONN_LOW) {
		exchange_fail(x, FAIL_CLIENT_STALLED);
		return;
	}
	endpoint_fault(u->shelf->site->endpoint, FAULT_TIMEOUT, 0);
	exchange_fail(x, hx->giving == GIVING_BODY ? FAIL_STALLED :
	    FAIL_RESPONSE_TIMEOUT);
}

bool
http_may_repeat(const struct exchange *x, enum conf_retry_what what)
{
	if (what == CONF_RETRY_OFF)
		return false;
	switch ((enum http_method)http_of(x)->head->method) {
	case HTTP_M_GET:
	case HTTP_M_HEAD:
	case HTTP_M_OPTIONS:
		return true;
	case HTTP_M_PUT:
	case HTTP_M_DELETE:
		return what != CONF_RETRY_SAFE;
	default:
		return what == CONF_RETRY_ALL;
	}
}

/* And nothing of it has been taken from the client that could not be said
   again. */
static bool
back_replayable(const struct exchange *x, enum conf_retry_what what)
{
	const struct http_exchange *hx = http_of(x);

	return !hx->answer_seen && hx->giving == GIVING_HEAD && x->up_end &&
	    hx->head->body != HTTP_BODY_CHUNKED && hx->head->length == 0 &&
	    http_may_repeat(x, what);
}

const struct back_ops http1_back = {
	.start = back_start,
	.more = back_more,
	.input = back_input,
	.drained = back_drained,
	.unchoke = back_unchoke,
	.late = back_late,
	.replayable = back_replayable
};
