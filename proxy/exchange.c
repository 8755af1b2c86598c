/*
 * Exchanges. See exchange.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/access.h"
#include "proxy/gate.h"
#include "proxy/generation.h"
#include "proxy/holders.h"
#include "proxy/inject.h"
#include "proxy/proxied.h"
#include "proxy/runtime.h"
#include "proxy/slow.h"
#include "proxy/transfer.h"

enum { PASSED_OVER_MOST = 3 };

static const struct proto *
proto_in(const struct exchange *x)
{
	return x->s->door->listener->proto;
}

/* Of one that is routed. */
static const struct back_ops *
back_of(const struct exchange *x)
{
	return proto_of(x->upstream->proto)->back;
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

static void pause_over(struct deadline *d);

static void
total_passed(struct deadline *d)
{
	exchange_fail(container_of(d, struct exchange, total),
	    FAIL_TOTAL_TIMEOUT);
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
	x->in_at = s->conn.received - s->conn.in.len;
	x->out_at = s->conn.sent + s->conn.out.len;
	deadline_init(&x->deadline, deadline_passed);
	deadline_init(&x->pause, pause_over);
	deadline_init(&x->total, total_passed);
	list_init(&x->ask.link);
	list_append(&s->exchanges, &x->link);
	return x;
}

static void
exchange_free(struct worker *w, struct late *l)
{
	struct exchange *x = container_of(l, struct exchange, late);
	struct lane *lane = w->owner;

	free(x->whole_key);
	free(x->said_then);
	pile_put(&lane->exchanges[x->family], x);
}

/* Who leaves while he waits for a lease has waited so far. A pause is counted
   when it begins. */
static void
note_wait(struct exchange *x)
{
	if (x->asked && !deadline_armed(&x->pause))
		x->queue_ns += x->s->conn.w->now_ns - x->ask.since_ns;
}

/* What every end has in common; the lease is still there, if there is one. */
static void
finish(struct exchange *x, enum outcome outcome)
{
	struct door *d = x->s->door;
	struct worker *w = x->s->conn.w;

	note_wait(x);
	x->family = proto_in(x)->family;
	x->outcome = outcome;
	if (!x->part) {
		count_add(&d->outcomes[outcome], 1);
		if (x->asked_once)
			hist_add(&d->latency, w->now_ns - x->begun_ns);
		access_log(x);
		slow_note(lane_of(x)->slow, x, w->now_ns);
	}
	if (x->lease != NULL)
		holders_note(x);
	x->s->idle_since_s = (uint32_t)(w->now_ns / NS_PER_S);
	if (unlikely(lane_of(x)->transfer.to != NULL))
		transfer_offer(x->s);
	deadline_clear(&x->deadline);
	deadline_clear(&x->pause);
	deadline_clear(&x->total);
	buf_clear(&w->blocks, &x->up);
	buf_clear(&w->blocks, &x->down);
	if (proto_in(x)->exchange_fini != NULL)
		proto_in(x)->exchange_fini(x);
	list_remove(&x->link);
	worker_late(w, &x->late, exchange_free);
}

/* A token that x waits for, or that it does not any more. */
static void
set_reserved(struct exchange *x, bool reserved)
{
	int64_t ns;

	if (x->reserved == reserved)
		return;
	x->reserved = reserved;
	ns = bucket_token_ns(&x->upstream->request_rate);
	upstream_promise(x->ask.pool->upstream, reserved ? ns : -ns);
}

/* Give the lease back, or stop waiting for one. */
static void
let_go(struct exchange *x, bool early)
{
	if (x->asked) {
		x->asked = false;
		ask_cancel(&x->ask);
	}
	if (x->reserved)
		bucket_give_back(upstream_rate(x->ask.pool->upstream),
		    &x->upstream->request_rate);
	set_reserved(x, false);
	if (x->lease == NULL)
		return;
	if (early && back_of(x)->drop != NULL)
		back_of(x)->drop(x->lease->u, x);
	else if (early)
		upconn_mark(x->lease->u, MARK_BROKEN, "exchange cut short");
	if (x->lease != NULL)
		lease_return(&x->lease);
}

void
exchange_release(struct exchange *x)
{
	deadline_clear(&x->deadline);
	if (x->lease != NULL)
		lease_return(&x->lease);
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
	if (x->lease != NULL && !s->closed && (x->keeps ||
	    x->upstream->pool.span == CONF_SPAN_SESSION))
		session_keep(s, &x->lease);
	let_go(x, false);
	generation_leave(lane_of(x), x->gen);
	/* Parts end while what they are of is being answered. */
	if (!s->closed && !x->part)
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
	if (!x->part)
		count_add(&d->failures[why], 1);
	x->why = why;
	finish(x, why == FAIL_CLIENT_GONE ? OUTCOME_CLIENT_ABORT :
	    OUTCOME_FAILED);
	let_go(x, true);
	generation_leave(lane_of(x), x->gen);
}

/* The front will end it when its turn has come. */
static bool
fails_in_turn(struct exchange *x, enum fail why)
{
	const struct front_ops *front = x->s->front;

	x->why = why;
	if (front->fail_in_turn == NULL || !front->fail_in_turn(x->s, x, why))
		return false;
	/* Whose words they are has gone when its turn comes. Out of memory
	   nothing is said. */
	if (x->said != NULL)
		x->said_then = strdup(x->said);
	x->said = x->said_then;
	note_wait(x);
	deadline_clear(&x->deadline);
	deadline_clear(&x->pause);
	deadline_clear(&x->total);
	let_go(x, true);
	return true;
}

void
exchange_fail(struct exchange *x, enum fail why)
{
	struct session *s = x->s;
	struct door *d = s->door;

	if (x->ended || x->why != FAIL_NONE)
		return;
	if (!x->part)
		count_add(&d->failures[why], 1);
	if (fails_in_turn(x, why)) {
		if (!s->closed)
			session_bytes(s);
		return;
	}
	/* The front tells the client while x can still be looked at, and may
	   close the session; that must not count x a second time. */
	x->ended = true;
	x->why = why;
	list_remove(&x->link);
	x->outcome = OUTCOME_FAILED;
	if (x->s->front->fail != NULL)
		x->s->front->fail(s, x, why);
	finish(x, x->outcome);
	let_go(x, true);
	generation_leave(lane_of(x), x->gen);
	if (!s->closed)
		session_bytes(s);
}

/* ------------------------------------------------------------------- leases */

static void ask(struct exchange *x);

static void
begin(struct exchange *x)
{
	const struct lease *l = x->ask.lease;

	x->lease = x->ask.lease;
	x->asked = false;
	x->endpoint = l->u->shelf->site->endpoint;
	x->reused = l->reused;
	x->sent_ns = x->s->conn.w->now_ns;
	x->queue_ns += l->waited_ns;
	if (!l->reused) {
		x->connect_ns = l->u->connect_ns;
		x->tls_ns = l->u->tls_ns;
	}
	back_of(x)->start(x->lease->u, x);
	if (!x->ended && x->s->front->leased != NULL)
		x->s->front->leased(x->s, x);
	/* A server that speaks first may have spoken already. */
	if (!x->ended && x->lease != NULL && back_of(x)->input != NULL &&
	    x->lease->u->conn.in.len > 0)
		back_of(x)->input(x->lease->u, x);
}

/* -------------------------------------------------------- pauses and retries */

/* The lease goes back, and with it what was known of where. */
static void
give_back(struct exchange *x)
{
	deadline_clear(&x->deadline);
	x->endpoint = NULL;
	lease_return(&x->lease);
}

static void
pause_over(struct deadline *d)
{
	ask(container_of(d, struct exchange, pause));
}

/* To whoever looks, it waits for its lease meanwhile. */
static void
ask_after(struct exchange *x, int64_t ns)
{
	x->asked = true;
	x->paused_ns += ns;
	x->pause.passed = pause_over;
	deadline_set_ns(x->s->conn.w, &x->pause, ns);
}

/* Exponential, and a random part of it: those who failed together must not come
   back together. */
static int64_t
backoff_ns(const struct exchange *x)
{
	int64_t ms = x->upstream->retry.backoff_ms, ns;
	uint64_t mix = ((uint64_t)x->s->conn.w->now_ns ^ (uintptr_t)x) *
	    0x9e3779b97f4a7c15u;
	unsigned i;

	for (i = 1; i < x->retries && ms < x->upstream->retry.max_backoff_ms;
	    i++)
		ms *= 2;
	if (ms > x->upstream->retry.max_backoff_ms)
		ms = x->upstream->retry.max_backoff_ms;
	ns = ms * NS_PER_MS;
	return ns / 2 + (int64_t)((mix >> 33) % (uint64_t)(ns / 2 + 1));
}

/* By the upstream's policy. True: x will ask again, and not at `failed` if there
   is another. */
static bool
retry(struct exchange *x, const struct endpoint *failed)
{
	if (x->retry == CONF_RETRY_OFF ||
	    x->retries >= (uint64_t)x->upstream->retry.max_retries ||
	    !pool_budget_retry(x->ask.pool))
		return false;
	x->retries++;
	count_add(&x->ask.pool->retries, 1);
	x->ask.avoid = failed;
	x->ask.fresh = false;
	ask_after(x, backoff_ns(x));
	return true;
}

/* How long it may yet be kept waiting for its upstream's own limits. */
static int64_t
patience_ns(const struct exchange *x)
{
	return x->upstream->request_rate.wait_ms * NS_PER_MS -
	    (x->s->conn.w->now_ns - x->begun_ns);
}

/* All endpoints asked for a pause: wait for its end, or be told of it. */
static bool
sit_out(struct exchange *x)
{
	struct pool *p = x->ask.pool;

	if (x->ask.held_ns <= patience_ns(x)) {
		count_add(&p->delayed[UPSTREAM_LIMIT_RETRY_AFTER], 1);
		ask_after(x, x->ask.held_ns);
		return true;
	}
	count_add(&p->limited[UPSTREAM_LIMIT_RETRY_AFTER], 1);
	x->retry_after_ns = x->ask.held_ns;
	return false;
}

/* False when it has come too often and may not wait for its turn; then x has
   failed. */
static bool
keep_to_rate(struct exchange *x)
{
	const struct conf_limit *rate = &x->upstream->request_rate;
	struct pool *p = x->ask.pool;
	int64_t ready_ns = 0, ns;

	ns = bucket_reserve(upstream_rate(p->upstream), rate,
	    x->s->conn.w->now_ns, rate->wait_ms * NS_PER_MS, &ready_ns);
	if (ns == 0)
		return true;
	if (ns > 0 && !rate->shadow) {
		count_add(&p->delayed[UPSTREAM_LIMIT_RATE], 1);
		set_reserved(x, true);
		ask_after(x, ns);
		return false;
	}
	count_add(rate->shadow ? &p->shadowed[UPSTREAM_LIMIT_RATE] :
	    &p->limited[UPSTREAM_LIMIT_RATE], 1);
	if (rate->shadow)
		return true;
	x->retry_after_ns = ready_ns;
	exchange_fail(x, FAIL_UPSTREAM_LIMITED);
	return false;
}

/* -------------------------------------------------------------------- asking */

static void
granted(struct ask *a)
{
	begin(a->holder);
}

static void
not_granted(struct exchange *x, enum refusal why)
{
	bool connect = why == REFUSAL_CONNECT_FAILED ||
	    why == REFUSAL_CONNECT_TIMEOUT;

	x->asked = false;
	x->queue_ns += x->s->conn.w->now_ns - x->ask.since_ns;
	if (why == REFUSAL_HELD && sit_out(x))
		return;
	/* Nothing has been sent: whatever it is may be tried again. */
	if (connect && retry(x, x->ask.failed))
		return;
	x->said = x->ask.said;
	x->endpoint = connect || why == REFUSAL_LOGIN || why == REFUSAL_TLS ?
	    x->ask.failed : NULL;
	exchange_fail(x, fail_of_refusal(why));
}

static void
refused(struct ask *a, enum refusal why)
{
	not_granted(a->holder, why);
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
	if (!x->ended && x->s->front->unchoke != NULL)
		x->s->front->unchoke(x->s, x);
}

static void
lease_gone(struct lease *l, int error)
{
	/* Whoever closed it did not want it to go on elsewhere. */
	if (error == ECANCELED) {
		exchange_fail(l->holder, FAIL_KILLED);
		return;
	}
	exchange_lost(l->holder, error == 0 ? FAIL_UPSTREAM_CLOSED :
	    error == EBADMSG ? FAIL_BAD_RESPONSE :
	    error == ETIME ? FAIL_RESPONSE_TIMEOUT : FAIL_UPSTREAM_RESET);
}

static const struct lease_ops exchange_lease_ops = {
	.granted = granted,
	.refused = refused,
	.input = lease_input,
	.drained = lease_drained,
	.gone = lease_gone,
	.tell = holders_tell_exchange
};

static void
ask(struct exchange *x)
{
	x->asked = false;
	set_reserved(x, false);
	x->asked_once = true;
	x->tries++;
	if (x->upstream->pool.span == CONF_SPAN_OWED)
		x->ask.with = back_of(x)->with != NULL ?
		    back_of(x)->with(x) : NULL;
	else if (session_take_kept(x->s, &x->ask)) {
		begin(x);
		return;
	}
	switch (lease_ask(&x->ask)) {
	case ASK_GRANTED:
		begin(x);
		return;
	case ASK_WAITS:
		x->asked = true;
		slow_waits(x);
		return;
	case ASK_REFUSED:
		not_granted(x, x->ask.refusal);
		return;
	}
}

/* Who it is to a balancer that binds: the same client, the same endpoint. */
static uint64_t
hash_of(const struct exchange *x)
{
	struct client_key k = x->client;

	if (client_key_is_nobody(&k))
		k = client_key_of(&x->s->client);
	return k.a * 0x9e3779b97f4a7c15u ^ k.b;
}

static void
told_late(struct deadline *d)
{
	struct exchange *x = container_of(d, struct exchange, pause);

	x->asked = false;
	exchange_fail(x, FAIL_LIMITED);
}

/* What the session sends after it waits, too: it is read no further. */
static void
turn_down(struct exchange *x, enum fail why, bool flood)
{
	if (!flood) {
		exchange_fail(x, why);
		return;
	}
	x->asked = true;
	x->pause.passed = told_late;
	deadline_set(x->s->conn.w, &x->pause, gate_flood_ms(x->s->door));
}

bool
exchange_admit(struct exchange *x)
{
	bool flood;
	enum fail why = gate_request(x, &flood);

	if (why != FAIL_NONE)
		turn_down(x, why, flood);
	return why == FAIL_NONE;
}

/* It may be sent, as soon as its upstream's rate lets it. */
static void
set_out(struct exchange *x)
{
	if (x->upstream->request_rate.most >= CONF_OFF || keep_to_rate(x))
		ask(x);
}

/* What it was made to wait for, by hand, comes. */
static void
befall(struct deadline *d)
{
	struct exchange *x = container_of(d, struct exchange, pause);

	x->asked = false;
	switch ((enum inject_what)x->injected) {
	case INJECT_NOTHING:
		set_out(x);
		return;
	case INJECT_ERROR:
		exchange_fail(x, FAIL_INJECTED);
		return;
	case INJECT_RESET:
		session_reset_for(x->s, FAIL_INJECTED);
		return;
	}
}

void
exchange_spare(struct exchange *x)
{
	const struct worker *w = x->s->conn.w;

	if (x->pause.passed != befall || !deadline_armed(&x->pause))
		return;
	x->injected = INJECT_NOTHING;
	if (x->pause.at_ns > w->now_ns)
		x->paused_ns -= x->pause.at_ns - w->now_ns;
	deadline_set_ns(x->s->conn.w, &x->pause, 0);
}

static void
inject(struct exchange *x)
{
	struct injected in;

	if (!inject_draw(x->ask.pool, &in)) {
		set_out(x);
		return;
	}
	x->hit = true;
	x->injected = in.what;
	if (in.delay_ns == 0) {
		befall(&x->pause);
		return;
	}
	ask_after(x, in.delay_ns);
	x->pause.passed = befall;
}

void
exchange_route(struct exchange *x, const struct conf_upstream *to)
{
	struct upstream *up = generation_upstream(x->gen, to);

	if (!x->part && !exchange_admit(x))
		return;
	x->upstream = to;
	x->routed_ns = lane_of(x)->worker.now_ns;
	x->ask.pool = up->pools[lane_of(x)->worker.index];
	x->ask.ops = &exchange_lease_ops;
	x->ask.holder = x;
	if (to->balance == CONF_SOURCE_HASH)
		x->ask.hash = hash_of(x);
	if (back_of(x)->key != NULL)
		x->ask.key = back_of(x)->key(x, &x->ask.key_len);
	if (to->send_proxy != PROXY_HEADER_NONE &&
	    proxied_key(x, to->send_proxy) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (to->pool.span == CONF_SPAN_OWED)
		x->ask.share = back_of(x)->alone == NULL ||
		    !back_of(x)->alone(x, &x->ask.lasts);
	if (to->balance == CONF_KEY_HASH && back_of(x)->hash != NULL)
		x->ask.hash = back_of(x)->hash(x);
	if (!x->part)
		count_add(&x->s->door->requests, 1);
	pool_budget_request(x->ask.pool);
	if (to->timeouts.total_ms < CONF_OFF)
		deadline_set(x->s->conn.w, &x->total, to->timeouts.total_ms);
	if (inject_is_on(up))
		inject(x);
	else
		set_out(x);
}

static bool
may_repeat(const struct exchange *x, enum conf_retry_what what)
{
	return x->retry != CONF_RETRY_OFF && back_of(x)->replayable != NULL &&
	    back_of(x)->replayable(x, what);
}

static void
repeat_or_fail(struct exchange *x, enum fail why)
{
	struct endpoint *e = x->lease->u->shelf->site->endpoint;

	if (may_repeat(x, x->retry) && retry(x, e))
		give_back(x);
	else
		exchange_fail(x, why);
}

/* An end that was on its way when x took the connection is nobody's fault; any
   other is one, however many were on it. */
static void
blame(const struct exchange *x, enum fail why)
{
	const struct lease *l = x->lease;

	if (l->u->blamed || (l->reused && !l->joined && !x->answered))
		return;
	l->u->blamed = true;
	endpoint_fault(l->u->shelf->site->endpoint,
	    why == FAIL_UPSTREAM_RESET ? FAULT_RESET : FAULT_CLOSED, 0);
}

/*
 * A connection that had been idle and died while the request was on its way
 * died of age: nobody's fault, and the request is sent anew at once, for the
 * first time. Any other loss is the endpoint's, and the upstream's `retry` says
 * what becomes of the request.
 */
void
exchange_lost(struct exchange *x, enum fail why)
{
	upconn_mark(x->lease->u, MARK_BROKEN, fail_rows[why].name);
	if (x->tries == 1 && x->lease->reused &&
	    may_repeat(x, CONF_RETRY_IDEMPOTENT)) {
		count_add(&x->ask.pool->retries, 1);
		give_back(x);
		x->ask.fresh = true;
		ask(x);
		return;
	}
	blame(x, why);
	repeat_or_fail(x, why);
}

void
exchange_cut(struct exchange *x, enum fail why)
{
	endpoint_fault(x->lease->u->shelf->site->endpoint, FAULT_RESET, 0);
	repeat_or_fail(x, why);
}

bool
exchange_again(struct exchange *x)
{
	if (x->passed_over >= PASSED_OVER_MOST)
		return false;
	x->passed_over++;
	give_back(x);
	ask(x);
	return true;
}

void
exchange_first_byte(struct exchange *x)
{
	if (x->first_ns != 0)
		return;
	x->first_ns = x->s->conn.w->now_ns - x->sent_ns;
	if (x->first_ns == 0)
		x->first_ns = 1;        /* within the turn: it did come */
	hist_add(&x->ask.pool->first_byte, x->first_ns);
}

void
exchange_up(struct exchange *x)
{
	x->uploads = true;
	if (x->up_end && x->given_ns == 0)
		x->given_ns = x->s->conn.w->now_ns;
	if (x->lease != NULL && back_of(x)->more != NULL)
		back_of(x)->more(x->lease->u, x);
}

/* What takes turns with something else: since when, and for how long in all. */
static void
clock_span(const struct exchange *x, bool on, int64_t *since_ns, int64_t *ns)
{
	int64_t now_ns = x->s->conn.w->now_ns;

	if (on == (*since_ns != 0))
		return;
	if (!on)
		*ns += now_ns - *since_ns;
	*since_ns = on ? now_ns : 0;
}

void
exchange_choked(struct exchange *x, bool on)
{
	clock_span(x, on, &x->full_since_ns, &x->full_ns);
}

void
exchange_idles(struct exchange *x, bool on)
{
	clock_span(x, on, &x->idle_since_ns, &x->idle_ns);
}

void
exchange_taken(struct exchange *x)
{
	exchange_choked(x, false);
	if (x->lease != NULL && back_of(x)->unchoke != NULL)
		back_of(x)->unchoke(x->lease->u, x);
}

void
exchange_down(struct exchange *x)
{
	x->s->front->reply(x->s, x);
}
