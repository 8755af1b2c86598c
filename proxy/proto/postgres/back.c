/*
 * An exchange's part of an upstream connection: it begins by making the
 * connection what its client expects, and ends when nothing is owed and no
 * transaction is open.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/postgres.h"

static const void *
back_key(const struct exchange *x, size_t *len)
{
	const struct pg_session *ps = pg_session(x->s);
	const struct pg_key *key = pg_of(x)->purpose == PG_FOR_AUTH ?
	    ps->auth->query_key : ps->key;

	*len = pg_key_size(key);
	return key;
}

/* --------------------------------------------------------------- begin, end */

static void
back_start(struct upconn *u, struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_upconn *pu = pg_upconn(u);

	pu->exchange = x;
	px->status = 'I';
	if (pg_session(x->s)->forsaken) {
		exchange_fail(x, FAIL_UPSTREAM_CLOSED);
		return;
	}
	if (px->purpose == PG_FOR_GREETING) {
		pu->exchange = NULL;
		pg_greet_client(x->s, pu->welcome);
		exchange_end(x, OUTCOME_DONE);
		return;
	}
	if (pg_state_agree(u, x) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (px->purpose == PG_FOR_AUTH) {
		if (pg_ask_put(x) < 0)
			exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	conn_resume(&x->s->conn);
	pg_up(x);
}

static void
release(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	pg_upconn(x->lease->u)->exchange = NULL;
	pg_owed_fini(&px->owed);
	pg_settings_drop(px->wanted);
	pg_settings_drop(px->had);
	pg_settings_drop(px->lone);
	pg_settings_drop(px->restores);
	px->wanted = px->had = px->lone = px->restores = NULL;
}

bool
pg_settle(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct upconn *u = x->lease->u;
	struct session *s = x->s;

	if (px->owed.n > 0 || px->unsynced || px->status != 'I' ||
	    px->up_left > 0 || px->down_left > 0 || px->failed ||
	    px->fatal || px->unfinished ||
	    (px->purpose == PG_FOR_REQUESTS && !px->begun) ||
	    u->conn.out.len > 0 || u->conn.in.len > 0 || u->conn.eof)
		return false;
	/* What was asked for when the client had its answer must not hit who
	   comes next. */
	if (!pg_cancel_is_over(u))
		return false;
	if (px->purpose == PG_FOR_AUTH) {
		release(x);
		pg_ask_over(s);
		exchange_end(x, OUTCOME_DONE);
		return true;
	}
	pg_state_rest(x);
	release(x);
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
	exchange_end(x, OUTCOME_DONE);
	return true;
}

static void
back_drained(struct upconn *u, struct exchange *x)
{
	(void)u;
	(void)pg_settle(x);
}

static void
back_input(struct upconn *u, struct exchange *x)
{
	(void)u;
	pg_down(x);
}

/* ------------------------------------------------------------------- timers */

static bool
is_asking(const struct pg_exchange *px)
{
	return px->owed.n > 0 || px->unsynced;
}

void
pg_clock(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	int64_t query = x->upstream->timeouts.query_ms;
	int64_t idle = x->upstream->timeouts.transaction_idle_ms;
	bool asks = is_asking(px), idles = !asks && px->status != 'I';

	exchange_idles(x, idles);
	if ((query == CONF_OFF && idle == CONF_OFF) ||
	    (asks && (px->clock == PG_CLOCK_QUERY ||
	    px->clock == PG_CLOCK_CANCEL)) ||
	    (idles && px->clock == PG_CLOCK_IDLE))
		return;
	deadline_clear(&x->deadline);
	px->clock = asks ? PG_CLOCK_QUERY : idles ? PG_CLOCK_IDLE :
	    PG_CLOCK_NONE;
	if (asks)
		deadline_set(x->s->conn.w, &x->deadline, query);
	else if (idles)
		deadline_set(x->s->conn.w, &x->deadline, idle);
}

/* A query is cancelled first, so that its client learns of it from the server
   and lives on; a server that does not answer to that has lost it. */
static void
back_late(struct upconn *u, struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	switch ((enum pg_clock)px->clock) {
	case PG_CLOCK_QUERY:
		px->clock = PG_CLOCK_CANCEL;
		pg_cancel(u);
		deadline_set(x->s->conn.w, &x->deadline,
		    x->upstream->timeouts.connect_ms);
		return;
	case PG_CLOCK_CANCEL:
		upconn_mark(u, MARK_BROKEN, "does not cancel");
		exchange_fail(x, FAIL_QUERY_TIMEOUT);
		return;
	case PG_CLOCK_IDLE:
		exchange_fail(x, FAIL_TRANSACTION_IDLE);
		return;
	case PG_CLOCK_NONE:
		return;
	}
}

/* --------------------------------------------------------------- left early */

/* ReadyForQuery that will come for what has been sent. */
static unsigned
count_ends(struct pg_owed_queue *q)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < q->n; i++)
		n += (pg_owed_at(q, i)->kind & (PG_OWED_QUERY | PG_OWED_CALL |
		    PG_OWED_SYNC)) != 0;
	return n;
}

static void
forget_owed(struct exchange *x)
{
	struct pg_owed_queue *q = &pg_of(x)->owed;

	for (; q->n > 0; pg_owed_pop(q))
		pg_owed_let_go(x, pg_owed_first(q));
}

/* The client has gone, or is told that its exchange is over: what it has under
   way is cancelled, and the connection washed; one that is inside of a message
   of the client's, or of which it is not known what it awaits, is closed. */
static void
back_drop(struct upconn *u, struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_upconn *pu = pg_upconn(u);
	bool asking = is_asking(px) || px->failed;

	if (px->purpose != PG_FOR_GREETING) {
		pu->wash.awaited = count_ends(&px->owed);
		pu->wash.copying_in = px->copying_in;
		pu->wash.unsynced = px->unsynced || px->failed;
		pu->wash.drop_left = px->down_left;
		pu->wash.status = asking ? 'T' : px->status;
		pu->wash.discards = asking || px->dirty || u->pinned ||
		    px->flags != 0;
		pg_state_leaves(u, px->done | ((px->flags &
		    PG_SCAN_LOAD) != 0 ? 1u << PG_PIN_LOAD : 0) |
		    pg_session(x->s)->pins);
		if (px->up_left > 0 || px->unsure_syncs)
			upconn_mark(u, MARK_BROKEN, "client left inside of a "
			    "message");
		else if (asking || px->status != 'I' || pu->wash.discards)
			upconn_mark(u, MARK_DIRTY, "client left");
		if (asking && u->conn.open && !u->conn.broken)
			pg_cancel(u);
	}
	forget_owed(x);
	release(x);
}

const struct back_ops pg_back = {
	.key = back_key,
	.start = back_start,
	.input = back_input,
	.drained = back_drained,
	.late = back_late,
	.drop = back_drop
};
