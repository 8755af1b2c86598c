/*
 * Raw TCP: a session is one exchange, and its upstream connection is used once.
 * What pooling gives it is that the connection may be open already.
 *
 * Where routes go by it, the session first waits for its client's ClientHello,
 * which stays in the input: whoever gets the connection reads it as it came.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/tcp/tcp.h"

#include <stdlib.h>
#include <string.h>

#include "net/hello.h"
#include "proxy/route.h"
#include "proxy/tunnel.h"

/* Before the lease comes a client may send so much ahead. */
enum { AHEAD_MOST = 64 * 1024 };

struct tcp_exchange {
	struct hello_reader reader;
	char *sni;                      /* for the log; NULL = none is known */
	bool waits;                     /* for the ClientHello, to be routed */
	bool tls;                       /* one has come: the client knows what
					   an alert is */
};

static struct tcp_exchange *
tcp_of(const struct exchange *x)
{
	return exchange_state(x);
}

/* ----------------------------------------------------------------- routing */

/* hello NULL: it is not known, or is none. */
static void
route(struct exchange *x, const struct hello *hello)
{
	const struct conf_route *r = route_match_hello(x->policy, hello);
	const struct conf_upstream *to = r != NULL ? r->upstream :
	    x->policy->upstream;
	struct session *s = x->s;

	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
	if (to == NULL)
		exchange_fail(x, FAIL_NO_ROUTE);
	else
		exchange_route(x, to);
}

static void
route_tls(struct exchange *x)
{
	struct hello hello;

	if (hello_read(&tcp_of(x)->reader, &x->s->conn.in, &hello) < 0)
		exchange_fail(x, FAIL_BAD_REQUEST);
	else {
		if (hello.name[0] != '\0')
			tcp_of(x)->sni = strdup(hello.name);
		route(x, &hello);
	}
}

static void
tcp_hello(struct exchange *x)
{
	struct tcp_exchange *tx = tcp_of(x);
	struct session *s = x->s;
	enum hello_found found = hello_walk(&tx->reader, &s->conn.in);

	tx->waits = found == HELLO_MORE;
	tx->tls = found == HELLO_WHOLE || found == HELLO_BAD;
	switch (found) {
	case HELLO_MORE:
		if (s->conn.eof)
			session_close(s);
		return;
	case HELLO_WHOLE:
		route_tls(x);
		return;
	case HELLO_NOT_TLS:
		route(x, NULL);
		return;
	case HELLO_BAD:
		exchange_fail(x, FAIL_BAD_REQUEST);
		return;
	}
}

static void
tcp_open(struct session *s)
{
	struct exchange *x = exchange_new(s);

	if (x == NULL) {
		session_reset(s);
		return;
	}
	x->outcome = OUTCOME_DONE;
	if (route_by_hello(x->policy)) {
		tcp_of(x)->waits = true;
		deadline_set(s->conn.w, &s->deadline,
		    x->policy->timeouts.handshake_ms);
	} else
		route(x, NULL);
}

/* ------------------------------------------------------------------ events */

static void
tcp_bytes(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x == NULL) {
		if (!s->lingering)
			session_close(s);
		return;
	}
	if (tcp_of(x)->waits)
		tcp_hello(x);
	else if (x->lease != NULL)
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

/* There is no word for a failure in raw TCP but a cut; but for one that has
   spoken TLS and got nowhere. */
static void
tcp_fail(struct session *s, struct exchange *x, enum fail why)
{
	if (tcp_of(x)->tls && x->upstream == NULL &&
	    (why == FAIL_NO_ROUTE || why == FAIL_BAD_REQUEST)) {
		session_alert(s, why == FAIL_NO_ROUTE ?
		    HELLO_ALERT_UNRECOGNIZED_NAME : HELLO_ALERT_DECODE_ERROR);
		return;
	}
	/* Nothing of what it has sent may have been read yet, and a close would
	   be a reset then: that is another fault. */
	if (why == FAIL_INJECTED) {
		session_linger(s);
		return;
	}
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
	else if (tcp_of(x)->waits)
		exchange_fail(x, FAIL_HANDSHAKE_TIMEOUT);
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

static void
tcp_words(const struct exchange *x, struct access_words *w)
{
	w->sni = tcp_of(x)->sni;
	w->sni_len = w->sni != NULL ? strlen(w->sni) : 0;
}

static void
exchange_fini(struct exchange *x)
{
	free(tcp_of(x)->sni);
	tcp_of(x)->sni = NULL;
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
	.late = tcp_client_late,
	.words = tcp_words
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
		.routes = CONF_BY_SNI,
		.defaults = tcp_defaults
	},
	.family = FAMILY_BYTES,
	.front = &tcp_front,
	.back = &tcp_back,
	.peer = &tcp_peer,
	.exchange_size = sizeof(struct tcp_exchange),
	.exchange_zeroed = sizeof(struct tcp_exchange),
	.exchange_fini = exchange_fini
};
