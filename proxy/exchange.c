/*
 * Exchanges. See exchange.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/exchange.h"

#include <string.h>

#include "proxy/generation.h"
#include "proxy/runtime.h"

static const struct proto *
proto_in(const struct exchange *x)
{
	return x->s->door->listener->proto;
}

static const struct back_ops *
back_of(const struct exchange *x)
{
	return proto_in(x)->back;
}

static struct lane *
lane_of(const struct exchange *x)
{
	return x->s->door->lane;
}

/* -------------------------------------------------------------- life, death */

static void
deadline_passed(struct deadline *d)
{
	struct exchange *x = container_of(d, struct exchange, deadline);

	back_of(x)->late(x->lease->u, x);
}

struct exchange *
exchange_new(struct session *s)
{
	struct lane *lane = s->door->lane;
	enum family family = s->door->listener->proto->family;
	struct exchange *x = pile_get(&lane->exchanges[family]);

	if (x == NULL)
		return NULL;
	memset(x, 0, sizeof(*x) + s->door->listener->proto->exchange_zeroed);
	x->s = s;
	x->policy = s->door->conf;
	x->gen = generation_use(lane, s->door->gen);
	x->begun_ns = lane->worker.now_ns;
	deadline_init(&x->deadline, deadline_passed);
	list_init(&x->ask.link);
	list_append(&s->exchanges, &x->link);
	return x;
}

static void
exchange_release(struct worker *w, struct late *l)
{
	struct exchange *x = container_of(l, struct exchange, late);
	struct lane *lane = w->owner;

	pile_put(&lane->exchanges[x->family], x);
}

/* What every end has in common; the lease is gone by then. */
static void
finish(struct exchange *x, enum outcome outcome)
{
	struct door *d = x->s->door;
	struct worker *w = x->s->conn.w;

	x->family = proto_in(x)->family;
	count_add(&d->outcomes[outcome], 1);
	if (x->asked_once)
		hist_add(&d->latency, w->now_ns - x->begun_ns);
	deadline_clear(&x->deadline);
	buf_clear(&w->blocks, &x->up);
	buf_clear(&w->blocks, &x->down);
	if (proto_in(x)->exchange_fini != NULL)
		proto_in(x)->exchange_fini(x);
	list_remove(&x->link);
	worker_late(w, &x->late, exchange_release);
}

/* Give the lease back, or stop waiting for one; then x needs its snapshot no
   more. */
static void
let_go(struct exchange *x, bool early)
{
	if (x->asked) {
		x->asked = false;
		ask_cancel(&x->ask);
	}
	if (x->lease != NULL) {
		if (early && back_of(x)->drop != NULL)
			back_of(x)->drop(x->lease->u, x);
		else if (early)
			upconn_mark(x->lease->u, MARK_BROKEN,
			    "exchange cut short");
		lease_return(&x->lease);
	}
	generation_leave(lane_of(x), x->gen);
}

void
exchange_end(struct exchange *x, enum outcome outcome)
{
	struct session *s = x->s;

	if (x->ended)
		return;
	x->ended = true;
	finish(x, outcome);
	/* The one place that decides whose it is now: the session's, while the
	   pool's mode spans it; else everybody's. */
	if (x->lease != NULL && !s->closed &&
	    x->upstream->pool.span == CONF_SPAN_SESSION)
		session_keep(s, &x->lease);
	let_go(x, false);
	if (!s->closed)
		session_bytes(s);
}

void
exchange_drop(struct exchange *x, enum fail why)
{
	struct door *d = x->s->door;

	if (x->ended)
		return;
	x->ended = true;
	/* A keep-alive client that leaves between two requests is no failure:
	   the front begins an exchange only when bytes have come. */
	count_add(&d->failures[why], 1);
	finish(x, why == FAIL_CLIENT_GONE ? OUTCOME_CLIENT_ABORT :
	    OUTCOME_FAILED);
	let_go(x, true);
}

void
exchange_fail(struct exchange *x, enum fail why)
{
	struct session *s = x->s;
	struct door *d = s->door;

	if (x->ended)
		return;
	count_add(&d->failures[why], 1);
	/* The front tells the client while x can still be looked at, and may
	   close the session; that must not count x a second time. */
	x->ended = true;
	list_remove(&x->link);
	x->outcome = OUTCOME_FAILED;
	if (proto_in(x)->front->fail != NULL)
		proto_in(x)->front->fail(s, x, why);
	finish(x, x->outcome);
	let_go(x, true);
	if (!s->closed)
		session_bytes(s);
}

/* ------------------------------------------------------------------- leases */

static void
begin(struct exchange *x)
{
	x->lease = x->ask.lease;
	x->asked = false;
	back_of(x)->start(x->lease->u, x);
	if (!x->ended && proto_in(x)->front->leased != NULL)
		proto_in(x)->front->leased(x->s, x);
	/* A server that speaks first may have spoken already. */
	if (!x->ended && x->lease != NULL && x->lease->u->conn.in.len > 0)
		back_of(x)->input(x->lease->u, x);
}

static void
granted(struct ask *a)
{
	begin(a->holder);
}

static void
refused(struct ask *a, enum refusal why)
{
	struct exchange *x = a->holder;

	x->asked = false;
	exchange_fail(x, fail_of_refusal(why));
}

static void
lease_input(struct lease *l)
{
	struct exchange *x = l->holder;

	back_of(x)->input(l->u, x);
}

static void
lease_drained(struct lease *l)
{
	struct exchange *x = l->holder;

	if (back_of(x)->drained != NULL)
		back_of(x)->drained(l->u, x);
	if (!x->ended && proto_in(x)->front->unchoke != NULL)
		proto_in(x)->front->unchoke(x->s, x);
}

static void
lease_gone(struct lease *l, int error)
{
	(void)error;
	exchange_lost(l->holder, FAIL_UPSTREAM_RESET);
}

static const struct lease_ops exchange_lease_ops = {
	.granted = granted,
	.refused = refused,
	.input = lease_input,
	.drained = lease_drained,
	.gone = lease_gone
};

static void
ask(struct exchange *x)
{
	x->asked_once = true;
	x->tries++;
	if (session_take_kept(x->s, &x->ask)) {
		begin(x);
		return;
	}
	switch (lease_ask(&x->ask)) {
	case ASK_GRANTED:
		begin(x);
		return;
	case ASK_WAITS:
		x->asked = true;
		return;
	case ASK_REFUSED:
		exchange_fail(x, fail_of_refusal(x->ask.refusal));
		return;
	}
}

void
exchange_route(struct exchange *x, const struct conf_upstream *to)
{
	struct upstream *up = generation_upstream(x->gen, to);

	x->upstream = to;
	x->ask.pool = up->pools[lane_of(x)->worker.index];
	x->ask.ops = &exchange_lease_ops;
	x->ask.holder = x;
	if (back_of(x)->key != NULL)
		x->ask.key = back_of(x)->key(x, &x->ask.key_len);
	count_add(&x->s->door->requests, 1);
	ask(x);
}

void
exchange_lost(struct exchange *x, enum fail why)
{
	struct upconn *u = x->lease->u;
	bool again = x->tries == 1 && x->lease->reused &&
	    back_of(x)->replayable != NULL && back_of(x)->replayable(x);

	upconn_mark(u, MARK_BROKEN, fail_rows[why].name);
	if (!again) {
		if (!x->lease->reused || x->answered)
			endpoint_fault(u->shelf->site->endpoint,
			    why == FAIL_UPSTREAM_RESET ? FAULT_RESET :
			    FAULT_CLOSED, 0);
		exchange_fail(x, why);
		return;
	}
	/* It died of age while the request was on its way: nobody's fault. */
	count_add(&x->ask.pool->retries, 1);
	deadline_clear(&x->deadline);
	lease_return(&x->lease);
	x->ask.fresh = true;
	ask(x);
}

void
exchange_up(struct exchange *x)
{
	if (x->lease != NULL && back_of(x)->more != NULL)
		back_of(x)->more(x->lease->u, x);
}

void
exchange_down(struct exchange *x)
{
	proto_in(x)->front->reply(x->s, x);
}
