/*
 * Pipelines, the side of the upstream connections: what is owed on each, whose
 * each reply is, readers that are too slow for the others. See pipeline.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/pipeline.h"

#include <errno.h>

#include "pool/share.h"
#include "proxy/holders.h"
#include "proxy/runtime.h"

enum {
	LARGE = 64 * 1024,              /* a reply beyond it is large: newcomers
					   go elsewhere until it has passed */
	SLOW_MS = 1000                  /* so long one reader may keep others
					   from their replies */
};

static struct lane *
lane_of(const struct upconn *u)
{
	return u->pool->worker->owner;
}

static struct pile *
pile_of(const struct upconn *u)
{
	return &lane_of(u)->owed;
}

static int64_t
response_ms(const struct upconn *u)
{
	return u->pool->conf->timeouts.response_ms;
}

/* ------------------------------------------------------------- what is owed */

/* A lease whose exchange has gone, or that never had one. */
static void
ghost_quiet(struct lease *l)
{
	(void)l;
}

static void
ghost_gone(struct lease *l, int error)
{
	struct owed *o = l->holder;

	(void)error;
	lease_return(&o->lease);
}

static const struct lease_ops ghost_ops = {
	.input = ghost_quiet,
	.drained = ghost_quiet,
	.gone = ghost_gone
};

/* Nobody waits for it, but it has to come some time. */
static void
swallow(struct upconn *u, struct owed *o)
{
	struct pipe *p = pipe_of(u);

	o->swallow = true;
	if (p->n_swallow++ == 0 && !p->choked)
		deadline_set(u->pool->worker, &p->clock, response_ms(u));
}

int
pipeline_owe(struct upconn *u, struct exchange *x, uint32_t replies,
    unsigned tag)
{
	struct pipe *p = pipe_of(u);
	struct owed *o = pile_get(pile_of(u));

	if (o == NULL)
		return -1;
	*o = (struct owed){ .x = x, .left = replies, .tag = (uint16_t)tag,
	    .since_ns = u->pool->worker->now_ns };
	if (x == NULL && u->state == UPCONN_LEASED) {
		o->lease = lease_join(u, &ghost_ops, o);
		if (o->lease == NULL) {
			pile_put(pile_of(u), o);
			return -1;
		}
	}
	if (p->last != NULL)
		p->last->next = o;
	else
		p->first = o;
	p->last = o;
	p->n_owed++;
	if (x != NULL)
		piped_of(x)->owed = o;
	else if (o->lease != NULL)
		swallow(u, o);
	return 0;
}

/* The head has all it was owed. */
static struct owed *
pop(struct upconn *u)
{
	struct pipe *p = pipe_of(u);
	struct owed *o = p->first;

	p->first = o->next;
	if (p->first == NULL)
		p->last = NULL;
	p->n_owed--;
	if (o->swallow && --p->n_swallow == 0 && !p->choked)
		deadline_clear(&p->clock);
	return o;
}

static void clock_passed(struct deadline *d);

void
pipeline_open(struct upconn *u, const struct pipeline_ops *ops)
{
	struct pipe *p = pipe_of(u);

	p->ops = ops;
	p->u = u;
	deadline_init(&p->clock, clock_passed);
	u->conn.gathers = true;
}

void
pipeline_fini(struct upconn *u)
{
	struct pipe *p = pipe_of(u);

	if (p->ops == NULL)
		return;
	deadline_clear(&p->clock);
	while (p->first != NULL) {
		struct owed *o = pop(u);

		if (o->x != NULL)
			piped_of(o->x)->owed = NULL;
		pile_put(pile_of(u), o);
	}
}

unsigned
pipeline_room(const struct upconn *u)
{
	return u->conn.out.held < CONN_HIGH;
}

/* ------------------------------------------------------------------ sending */

/* A reply is due from now on, unless the request itself may take its time. */
static void
arm(struct upconn *u, struct exchange *x)
{
	if (!pipe_of(u)->ops->waits(x))
		deadline_set(x->s->conn.w, &x->deadline, piped_of(x)->sent ?
		    x->upstream->timeouts.response_ms :
		    x->upstream->timeouts.stall_ms);
}

/* Small, and in one piece or not worth it. */
static int
keep_copy(struct exchange *x, size_t n)
{
	size_t len;
	const char *bytes = buf_front(&x->s->conn.in, &len);

	if (n > BUF_SMALL || n > len) {
		piped_of(x)->keeps = false;
		return 0;
	}
	return buf_append(exchange_blocks(x), &x->up, bytes, n);
}

static int
send_copy(struct upconn *u, struct exchange *x)
{
	size_t len;
	const char *bytes = buf_front(&x->up, &len);

	return len == 0 ? -1 : buf_append(exchange_blocks(x), &u->conn.out,
	    bytes, len);
}

int
pipeline_send(struct upconn *u, struct exchange *x)
{
	struct piped *d = piped_of(x);
	struct block_store *store = exchange_blocks(x);
	struct buf *in = &x->s->conn.in;
	size_t n = (size_t)d->size;

	/* Sent once more: the copy stays, it may not be the last time. */
	if (d->keeps && n == 0) {
		if (send_copy(u, x) < 0)
			return -1;
	} else if (x->up.len > 0 &&
	    buf_move(store, &u->conn.out, &x->up, x->up.len) < 0)
		return -1;
	if (d->keeps && n > 0 && keep_copy(x, n) < 0)
		return -1;
	if (n > 0 && buf_move(store, &u->conn.out, in, n) < 0)
		return -1;
	d->size = 0;
	d->sent = !d->streams;
	conn_send(&u->conn);
	arm(u, x);
	return 0;
}

void
pipeline_sent(struct upconn *u, struct exchange *x)
{
	piped_of(x)->sent = true;
	arm(u, x);
	if (piped_of(x)->owed == NULL && !piped_of(x)->whole)
		pipeline_answer(x);     /* it is not answered */
}

/* ------------------------------------------------------------------ choking */

/* Whom the bytes that come next are for; NULL = nobody. */
static struct session *
taker(const struct pipe *p)
{
	if (p->pinned != NULL)
		return p->pinned;
	return p->first != NULL && p->first->x != NULL ? p->first->x->s : NULL;
}

/* Does what comes next have to wait: its reader is slow, or others are due
   before it and there is much of it already? */
static bool
has_to_wait(const struct pipe *p, const struct session *s)
{
	const struct exchange *x = p->first != NULL ? p->first->x : NULL;

	return pipeline_is_slow(s) || (x != NULL && !x->part &&
	    x->down.held >= CONN_HIGH && exchange_first(s) != x);
}

/* Is anybody but s owed something here? */
static bool
keeps_others(const struct pipe *p, const struct session *s)
{
	const struct owed *o;

	for (o = p->first; o != NULL; o = o->next)
		if (o->x != NULL && o->x->s != s)
			return true;
	return false;
}

/*
 * The bytes that have come are not read before s has taken what it was sent. On
 * a shared connection that lasts for a moment at most: newcomers go elsewhere,
 * and those who wait behind it get its place.
 */
static void
choke(struct upconn *u, struct session *s)
{
	struct pipe *p = pipe_of(u);

	p->choked = true;
	share_end(u);
	conn_pause(&u->conn);
	deadline_set(u->pool->worker, &p->clock, SLOW_MS);
	s->sent_seen = (uint32_t)s->conn.sent;
	deadline_set(s->conn.w, &s->deadline, u->pool->conf->timeouts.stall_ms);
}

void
pipeline_unchoke(struct upconn *u)
{
	struct pipe *p = pipe_of(u);

	p->choked = false;
	deadline_clear(&p->clock);
	if (p->n_swallow > 0)
		deadline_set(u->pool->worker, &p->clock, response_ms(u));
	conn_resume(&u->conn);
	if (p->reply_bytes <= LARGE)
		share_again(u);
	pipeline_input(u);
}

void
pipeline_too_slow(struct session *s)
{
	count_add(&s->door->failures[FAIL_CLIENT_STALLED], 1);
	session_reset(s);
}

/* What is swallowed has not come for twice as long as any reply may take. */
static void
swallow_late(struct upconn *u)
{
	const struct pipe *p = pipe_of(u);
	int64_t ms = response_ms(u), now_ns = u->pool->worker->now_ns;

	if (p->first != NULL && p->first->x == NULL && ms < CONF_OFF / 2 &&
	    (now_ns - p->first->since_ns) / NS_PER_MS >= 2 * ms) {
		endpoint_fault(u->shelf->site->endpoint, FAULT_TIMEOUT, 0);
		upconn_lost(u, ETIME);
	} else if (p->n_swallow > 0)
		deadline_set(u->pool->worker, &pipe_of(u)->clock, ms);
}

/* Is nobody left who is owed something, and can it not be used again? */
static bool
is_forsaken(const struct pipe *p)
{
	const struct owed *o;

	if (p->u->mark != MARK_BROKEN || p->u->state != UPCONN_LEASED ||
	    p->pinned != NULL)
		return false;
	for (o = p->first; o != NULL; o = o->next)
		if (o->x != NULL)
			return false;
	return true;
}

static void
clock_passed(struct deadline *d)
{
	struct pipe *p = container_of(d, struct pipe, clock);
	struct upconn *u = p->u;
	struct session *s = taker(p);

	if (is_forsaken(p))
		upconn_lost(u, 0);
	else if (!p->choked)
		swallow_late(u);
	else if (s == NULL || !has_to_wait(p, s))
		pipeline_unchoke(u);
	else {
		deadline_set(u->pool->worker, &p->clock, SLOW_MS);
		if (keeps_others(p, s))
			pipeline_too_slow(s);
	}
}

/* ------------------------------------------------------------------ replies */

static bool
no_memory(struct upconn *u)
{
	upconn_mark(u, MARK_BROKEN, "out of memory");
	upconn_lost(u, 0);
	return false;
}

/* False when that has ended something, and u is not to be read on. */
static bool
give(struct upconn *u, struct owed *o, size_t n)
{
	struct pipe *p = pipe_of(u);
	struct block_store *store = &u->pool->worker->blocks;
	struct exchange *x = o != NULL ? o->x : NULL;
	struct session *s = NULL;
	struct buf *to = NULL;

	if (p->aim == PIPELINE_ASIDE)
		s = p->pinned;
	else if (p->aim == PIPELINE_REPLY && x != NULL) {
		if (x->first_ns == 0)
			exchange_first_byte(x);
		s = x->s;
		to = &x->down;
		if (exchange_first(s) == x && !piped_of(x)->holds)
			piped_of(x)->begun = true;
		else
			s = NULL;
	}
	/* What came while it was not known whether it may go, goes first. */
	if (s != NULL && to != NULL && to->len > 0 &&
	    buf_move(store, &s->conn.out, to, to->len) < 0)
		return no_memory(u);
	if (s != NULL)
		to = &s->conn.out;
	if (to == NULL) {
		buf_drop(store, &u->conn.in, n);
		return true;
	}
	if (x != NULL && x->part && x->down.len + n > PIPELINE_PART_MOST) {
		buf_drop(store, &u->conn.in, n);
		exchange_fail(x, FAIL_REPLY_TOO_LARGE);
		return true;
	}
	if (buf_move(store, to, &u->conn.in, n) == 0) {
		if (s != NULL)
			conn_send(&s->conn);
		return true;
	}
	return no_memory(u);
}

static void
head_is_done(struct upconn *u)
{
	struct owed *o = pop(u);
	struct exchange *x = o->x;

	if (o->lease != NULL)
		lease_return(&o->lease);
	pile_put(pile_of(u), o);
	if (x == NULL)
		return;
	piped_of(x)->owed = NULL;
	deadline_clear(&x->deadline);
	/* What is still to come of the request would be read as another. */
	if (!piped_of(x)->sent)
		upconn_mark(u, MARK_BROKEN, "answered before all was sent");
	endpoint_ok(u->shelf->site->endpoint);
	pipeline_answer(x);
}

static void
reply_is_whole(struct upconn *u)
{
	struct pipe *p = pipe_of(u);
	bool large = p->reply_bytes > LARGE;

	p->in_reply = false;
	p->reply_bytes = 0;
	if (large)
		share_again(u);
	if (p->ops->whole(u, p->first) && p->first != NULL &&
	    --p->first->left == 0)
		head_is_done(u);
	/* What others are owed there cannot be told apart any more. */
	if (u->mark == MARK_BROKEN && u->state == UPCONN_LEASED && !u->alone)
		upconn_lost(u, EBADMSG);
}

static void
bad_reply(struct upconn *u)
{
	endpoint_fault(u->shelf->site->endpoint, FAULT_BAD_ANSWER, 0);
	if (u->state == UPCONN_LEASED) {
		upconn_mark(u, MARK_BROKEN, "bad answer");
		upconn_lost(u, EBADMSG);
	} else
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
}

/* One step in what has come. False when there is nothing more to do now. */
static bool
read_on(struct upconn *u)
{
	struct pipe *p = pipe_of(u);
	struct session *s = taker(p);
	struct owed *o = p->first;
	const char *bytes;
	size_t len, used;
	enum parse got;

	bytes = buf_front(&u->conn.in, &len);
	if (len == 0)
		return false;
	if (o == NULL && p->pinned == NULL) {
		bad_reply(u);           /* nobody asked for it */
		return false;
	}
	if (s != NULL && unlikely(has_to_wait(p, s))) {
		choke(u, s);
		return false;
	}
	got = p->ops->feed(u, o, bytes, len, &used);
	if (got == PARSE_BAD) {
		bad_reply(u);
		return false;
	}
	if (!p->in_reply) {
		p->in_reply = true;
		p->aim = (uint8_t)p->ops->aim(u, o);
	}
	p->reply_bytes += used;
	if (unlikely(p->reply_bytes > LARGE))
		share_end(u);
	if (!give(u, o, used))
		return false;
	if (got == PARSE_DONE)
		reply_is_whole(u);
	else if (o != NULL && o->x != NULL)
		deadline_set(u->pool->worker, &o->x->deadline,
		    o->x->upstream->timeouts.stall_ms);
	return true;
}

void
pipeline_input(struct upconn *u)
{
	struct pipe *p = pipe_of(u);

	/* Nobody leases it: closed for what it says. */
	if (u->state == UPCONN_IDLE || u->busy)
		return;
	/* It stays here meanwhile, whoever gives it back. */
	u->busy = true;
	while (u->state != UPCONN_CLOSED && !p->choked && read_on(u))
		;
	if (u->conn.eof && u->state == UPCONN_LEASED && !p->choked)
		upconn_lost(u, 0);
	if (p->first == NULL &&
	    (u->state == UPCONN_GREETING || u->state == UPCONN_WASHING)) {
		u->busy = false;
		p->ops->greeted(u);
		return;
	}
	/* Who waited while it was closed to newcomers may come now. */
	u->busy = false;
	share_grant(u);
}

/* ------------------------------------------------------------------- ending */

void
pipeline_late(struct upconn *u, struct exchange *x)
{
	endpoint_fault(u->shelf->site->endpoint, FAULT_TIMEOUT, 0);
	exchange_fail(x, piped_of(x)->sent ? piped_of(x)->begun ? FAIL_STALLED :
	    FAIL_RESPONSE_TIMEOUT : FAIL_STALLED);
}

void
pipeline_drop(struct upconn *u, struct exchange *x)
{
	struct pipe *p = pipe_of(u);
	struct piped *d = piped_of(x);
	struct owed *o = d->owed;

	/* Half a request, or one that may be served at any time: the server has
	   to see that nobody is there any more. */
	if (!d->sent || (o != NULL && p->ops->waits(x)))
		upconn_mark(u, MARK_BROKEN, "request cut short");
	/* A server may keep what it has answered before until it has read the
	   rest: if that is all that is owed, nobody waits for it. */
	if (p->choked || u->mark == MARK_BROKEN)
		deadline_set(u->pool->worker, &p->clock, 0);
	if (u->mark == MARK_BROKEN)
		return;
	if (o == NULL)
		return;
	d->owed = NULL;
	o->x = NULL;
	o->lease = x->lease;
	o->lease->ops = &ghost_ops;
	o->lease->holder = o;
	x->lease = NULL;
	swallow(u, o);
}

/* --------------------------------------------------------------------- pins */

/* Exchanges that are under way on it fail, before or after this, and say so; then
   the client is left. */
static void
pin_gone(struct lease *l, int error)
{
	struct session *s = l->holder;
	const struct pipe *p = pipe_of(l->u);

	/* Not in the middle of what it is being told. */
	if (error == ECANCELED && list_empty(&s->exchanges) &&
	    !(p->in_reply && p->aim == PIPELINE_ASIDE) &&
	    s->front->pin_killed != NULL)
		s->front->pin_killed(s);
	count_add(&s->door->failures[error == ECANCELED ? FAIL_KILLED :
	    FAIL_UPSTREAM_CLOSED], 1);
	pipeline_unpin(s);
	s->leaving = true;
	session_bytes(s);
}

static const struct lease_ops pin_ops = {
	.input = ghost_quiet,
	.drained = ghost_quiet,
	.gone = pin_gone,
	.tell = holders_tell_session
};

int
pipeline_pin(struct session *s, struct upconn *u, unsigned why)
{
	if (s->kept == NULL)
		s->kept = lease_join(u, &pin_ops, s);
	if (s->kept == NULL)
		return -1;
	upconn_pin(u, why);
	pipe_of(u)->pinned = s;
	return 0;
}

void
pipeline_unpin(struct session *s)
{
	struct pipe *p = s->kept != NULL ? pipe_of(s->kept->u) : NULL;

	if (p == NULL)
		return;
	p->pinned = NULL;
	if (p->choked)
		deadline_set(s->conn.w, &p->clock, 0);
	lease_return(&s->kept);
}
