/*
 * Raw TCP: a session is one exchange, and its upstream connection is used once.
 * What pooling gives it is that the connection may be open already.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/tcp/tcp.h"

#include "proxy/tunnel.h"

/* Before the lease comes a client may send so much ahead. */
enum { AHEAD_MOST = 64 * 1024 };

static void
tcp_open(struct session *s)
{
	struct exchange *x = exchange_new(s);

	if (x == NULL) {
		session_reset(s);
		return;
	}
	x->outcome = OUTCOME_DONE;
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
	exchange_route(x, x->policy->upstream);
}

static void
tcp_bytes(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x == NULL) {
		session_close(s);
		return;
	}
	if (x->lease != NULL)
		tunnel_from_client(x);
	else if (s->conn.eof && s->conn.in.len == 0)
		session_close(s);       /* it has left the queue */
	else if (s->conn.in.held >= AHEAD_MOST)
		conn_pause(&s->conn);
}

static void
tcp_drained(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x != NULL && x->lease != NULL)
		tunnel_client_drained(x);
}

/* There is no word for a failure in raw TCP but a cut. */
static void
tcp_fail(struct session *s, struct exchange *x, enum fail why)
{
	if (x->lease != NULL)
		conn_reset(&x->lease->u->conn);
	/* Nothing has been said yet, or everything long ago: an end. In the
	   middle of something it has to look like what it is. */
	if (x->lease == NULL || why == FAIL_TUNNEL_TIMEOUT ||
	    why == FAIL_IDLE_TIMEOUT)
		session_close(s);
	else
		session_reset(s);
}

static void
tcp_client_late(struct session *s)
{
	struct exchange *x = exchange_first(s);
	int64_t ms = s->door->conf->timeouts.idle_ms;

	if (x == NULL)
		session_close(s);
	else if (x->lease == NULL ||
	    s->conn.w->now_ns - x->moved_ns >= ms * NS_PER_MS)
		exchange_fail(x, FAIL_IDLE_TIMEOUT);
	else
		deadline_set_since(s->conn.w, &s->deadline, ms, x->moved_ns);
}

static void
tcp_start(struct upconn *u, struct exchange *x)
{
	(void)u;
	tunnel_begin(x);
}

static void
tcp_input(struct upconn *u, struct exchange *x)
{
	(void)u;
	tunnel_from_upstream(x);
}

static void
tcp_upstream_drained(struct upconn *u, struct exchange *x)
{
	(void)u;
	tunnel_upstream_drained(x);
}

static void
tcp_upstream_late(struct upconn *u, struct exchange *x)
{
	(void)u;
	tunnel_late(x);
}

/* The client was cut off: so is the server, in the way it will understand. */
static void
tcp_drop(struct upconn *u, struct exchange *x)
{
	(void)x;
	upconn_mark(u, MARK_BROKEN, "client cut off");
	conn_reset(&u->conn);
}

static const char *const tcp_defaults[] = {
	"pool.max", "1000",
	"pool.idle_timeout", "60s",
	"pool.max_lifetime", "off",
	"timeouts.idle", "off",
	NULL
};

static const struct front_ops tcp_front = {
	.open = tcp_open,
	.bytes = tcp_bytes,
	.drained = tcp_drained,
	.fail = tcp_fail,
	.late = tcp_client_late
};

static const struct back_ops tcp_back = {
	.start = tcp_start,
	.input = tcp_input,
	.drained = tcp_upstream_drained,
	.late = tcp_upstream_late,
	.drop = tcp_drop
};

static const struct peer_ops tcp_peer;

const struct proto proto_tcp = {
	.conf = {
		.name = "tcp",
		.spans = CONF_SPAN_SESSION,
		.default_mode = "session",
		.defaults = tcp_defaults
	},
	.family = FAMILY_BYTES,
	.front = &tcp_front,
	.back = &tcp_back,
	.peer = &tcp_peer
};
