/*
 * Tunnels. See tunnel.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/tunnel.h"

/* Everything from one side's input to the other side's output. */
static int
pump(struct conn *from, struct conn *to)
{
	if (from->in.len > 0) {
		if (buf_pass(&from->w->blocks, &to->out, &from->in,
		    from->in.len) < 0)
			return -1;
		conn_send(to);
		if (to->out.held >= CONN_HIGH)
			conn_pause(from);
	}
	if (from->eof)
		conn_shut(to);
	return 0;
}

static struct conn *
near(struct exchange *x)
{
	return &x->s->conn;
}

static struct conn *
far(struct exchange *x)
{
	return &x->lease->u->conn;
}

/* Both have ended and been told so: then it is over. */
static bool
over(struct exchange *x)
{
	struct session *s = x->s;

	if (!near(x)->eof || !far(x)->eof || near(x)->out.len > 0 ||
	    far(x)->out.len > 0)
		return false;
	exchange_end(x, x->outcome);
	session_close(s);
	return true;
}

static void
passed(struct exchange *x, struct conn *from, struct conn *to)
{
	if (pump(from, to) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (!from->eof || !over(x))
		x->moved_ns = near(x)->w->now_ns;
}

void
tunnel_begin(struct exchange *x)
{
	x->tunnels = true;
	upconn_doom(x->lease->u, DISCARD_SPENT, "tunnelled");
	conn_resume(near(x));
	x->moved_ns = near(x)->w->now_ns;
	deadline_set(near(x)->w, &x->deadline, x->upstream->timeouts.tunnel_ms);
	if (pump(near(x), far(x)) < 0 || pump(far(x), near(x)) < 0)
		exchange_fail(x, FAIL_NO_MEMORY);
}

void
tunnel_from_client(struct exchange *x)
{
	passed(x, near(x), far(x));
}

void
tunnel_from_upstream(struct exchange *x)
{
	if (x->first_ns == 0 && far(x)->in.len > 0) {
		exchange_first_byte(x);
		endpoint_ok(x->lease->u->shelf->site->endpoint);
	}
	passed(x, far(x), near(x));
}

void
tunnel_client_drained(struct exchange *x)
{
	if (!over(x))
		conn_resume(far(x));
}

void
tunnel_upstream_drained(struct exchange *x)
{
	if (!over(x))
		conn_resume(near(x));
}

void
tunnel_late(struct exchange *x)
{
	struct worker *w = near(x)->w;
	int64_t ms = x->upstream->timeouts.tunnel_ms;

	if (w->now_ns - x->moved_ns >= ms * NS_PER_MS)
		exchange_fail(x, FAIL_TUNNEL_TIMEOUT);
	else
		deadline_set_since(w, &x->deadline, ms, x->moved_ns);
}
