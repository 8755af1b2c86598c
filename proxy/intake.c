/*
 * Intake. See intake.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/intake.h"

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

bool
intake_hold(struct session *s)
{
	if (s->conn.in.held >= CONN_HIGH)
		conn_pause(&s->conn);
	return false;
}

void
intake_stream(struct exchange *x)
{
	piped_of(x)->streams = true;
	pipeline_of(x->s)->large = x;
}

void
intake_refuse(struct session *s, const char *text, size_t len)
{
	struct exchange *x = pipeline_begin(s);

	pipeline_of(s)->cut = true;
	s->leaving = true;
	count_add(&s->door->failures[FAIL_BAD_REQUEST], 1);
	buf_clear(store_of(s), &s->conn.in);
	if (x == NULL || buf_append(exchange_blocks(x), &x->down, text,
	    len) < 0) {
		session_reset(s);
		return;
	}
	x->why = FAIL_BAD_REQUEST;
	pipeline_answer(x);
}

/* -------------------------------------------------------------------- large */

/* More of one that is being sent as it comes. */
static bool
stream_on(struct session *s, const struct intake_ops *ops)
{
	struct exchange *x = pipeline_of(s)->large;
	struct upconn *u = x->lease != NULL ? x->lease->u : NULL;
	const char *bytes;
	size_t len, used;
	enum parse got;

	if (u == NULL || u->conn.out.held >= CONN_HIGH) {
		if (s->conn.in.held >= CONN_LOW)
			conn_pause(&s->conn);
		return false;
	}
	conn_resume(&s->conn);
	bytes = buf_front(&s->conn.in, &len);
	if (len == 0)
		return false;
	got = ops->feed(s, bytes, len, &used);
	if (got == PARSE_BAD) {
		buf_drop(store_of(s), &s->conn.in, used);
		ops->spoilt(s, x);
		return !s->closed;
	}
	if (buf_move(store_of(s), &u->conn.out, &s->conn.in, used) < 0) {
		session_reset(s);
		return false;
	}
	conn_send(&u->conn);
	if (got == PARSE_DONE) {
		pipeline_of(s)->large = NULL;
		ops->taken(s);
		pipeline_sent(u, x);
	}
	return true;
}

/* One that was answered before it was all there. */
static bool
discard(struct session *s, const struct intake_ops *ops)
{
	const char *bytes;
	size_t len, used;
	enum parse got;

	conn_resume(&s->conn);
	bytes = buf_front(&s->conn.in, &len);
	if (len == 0)
		return false;
	got = ops->feed(s, bytes, len, &used);
	buf_drop(store_of(s), &s->conn.in, used);
	if (got == PARSE_MORE)
		return true;
	pipeline_of(s)->discards = false;
	if (got == PARSE_DONE)
		ops->taken(s);
	else
		ops->spoilt(s, NULL);
	return !s->closed;
}

/* -------------------------------------------------------------------- input */

static bool
is_over(const struct session *s)
{
	return s->closed || s->lingering || s->finishing;
}

static bool
take_something(struct session *s, const struct intake_ops *ops)
{
	const struct pipeline *p = pipeline_of(s);

	if (is_over(s) || p->cut)
		return false;
	if (p->large != NULL)
		return stream_on(s, ops);
	if (p->discards)
		return discard(s, ops);
	return pipeline_may_take(s) && ops->take(s);
}

/* A client whose end has come: what it has asked for whole is answered. */
static void
at_end(struct session *s, const struct intake_ops *ops)
{
	if (pipeline_of(s)->large != NULL ||
	    (ops->leaves != NULL && ops->leaves(s)))
		session_close(s);
	else if (list_empty(&s->exchanges))
		session_finish(s);
}

void
intake_bytes(struct session *s, const struct intake_ops *ops)
{
	struct pipeline *p = pipeline_of(s);

	pipeline_settle(s);
	while (take_something(s, ops))
		;
	if (is_over(s))
		return;
	if (p->cut)
		buf_clear(store_of(s), &s->conn.in);
	if (s->conn.eof && !p->cut)
		at_end(s, ops);
	else if (s->leaving && list_empty(&s->exchanges)) {
		conn_send(&s->conn);
		if (p->cut)
			session_linger(s);
		else
			session_finish(s);
	} else if (s->conn.in.len == 0 && session_is_leaving(s) &&
	    session_is_idle(s))
		session_finish(s);
}

void
intake_leased(struct session *s, struct exchange *x)
{
	(void)x;
	session_bytes(s);
}

void
intake_cut(struct session *s, struct exchange *x, enum fail why)
{
	(void)x, (void)why;
	session_reset(s);
}

void
intake_upstream_drained(struct upconn *u, struct exchange *x)
{
	(void)u;
	if (pipeline_of(x->s)->large == x)
		session_bytes(x->s);
}
