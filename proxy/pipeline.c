/*
 * Pipelines, the side of the sessions: answers in the order of the requests,
 * parts put together, when the next request may be taken. See pipeline.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/pipeline.h"

#include <string.h>

#include "pool/shards.h"

enum {
	AHEAD_MOST = 64 * 1024          /* input held that cannot be taken yet */
};

/* --------------------------------------------------------- order of answers */

struct exchange *
pipeline_newest(const struct session *s)
{
	struct list *l = list_last(&s->exchanges);

	return l == NULL ? NULL : container_of(l, struct exchange, link);
}

struct exchange *
pipeline_begin(struct session *s)
{
	struct exchange *x = exchange_new(s);

	if (x != NULL) {
		x->outcome = OUTCOME_DONE;
		pipeline_of(s)->under_way++;
	}
	return x;
}

/* What is to come of its request goes nowhere. */
static void
give_up_large(const struct exchange *x)
{
	struct pipeline *p = pipeline_of(x->s);

	if (p->large != x)
		return;
	p->large = NULL;
	p->discards = true;
}

void
pipeline_exchange_fini(struct exchange *x)
{
	struct piped *d = piped_of(x);
	struct list *l;

	if (d->owed != NULL)
		d->owed->x = NULL;
	while (d->ops != NULL && (l = list_first(&d->parts)) != NULL)
		exchange_drop(container_of(l, struct exchange, link),
		    FAIL_CLIENT_GONE);
	give_up_large(x);
	pipeline_of(x->s)->under_way--;
}

/* -------------------------------------------------------------------- parts */

struct exchange *
pipeline_part(struct exchange *x, const struct pipeline_ops *ops)
{
	struct piped *d = piped_of(x);
	struct exchange *part = pipeline_begin(x->s);

	if (part == NULL)
		return NULL;
	if (d->ops == NULL)
		list_init(&d->parts);
	d->ops = ops;
	list_remove(&part->link);
	list_append(&d->parts, &part->link);
	part->part = true;
	piped_of(part)->whole_of = x;
	d->due++;
	return part;
}

void
pipeline_route_parts(struct exchange *x)
{
	struct exchange *parts[PIPELINE_PARTS_MOST];
	struct piped *d = piped_of(x);
	struct session *s = x->s;
	struct list *l;
	unsigned n = 0, i;

	if (!exchange_admit(x))
		return;
	count_add(&s->door->requests, 1);
	x->asked_once = true;
	for (l = d->parts.next; l != &d->parts; l = l->next)
		parts[n++] = container_of(l, struct exchange, link);
	/* One that fails at once may end them all. */
	for (i = 0; i < n && !s->closed; i++)
		if (!parts[i]->ended)
			exchange_route(parts[i], x->policy->upstream);
}

/* What the parts had to say becomes x's answer, and they end. */
static int
join(struct exchange *x)
{
	struct piped *d = piped_of(x);
	struct list *l;

	/* What was said of it stays until the end of the turn; x ends before. */
	for (l = d->parts.next; l != &d->parts && x->why == FAIL_NONE;
	    l = l->next) {
		x->why = container_of(l, struct exchange, link)->why;
		x->said = container_of(l, struct exchange, link)->said;
	}
	if (x->why != FAIL_NONE)
		count_add(&x->s->door->failures[x->why], 1);
	if (d->ops->join(x) < 0)
		return -1;
	while ((l = list_first(&d->parts)) != NULL) {
		struct exchange *part = container_of(l, struct exchange, link);

		exchange_end(part, part->why == FAIL_NONE ? OUTCOME_DONE :
		    OUTCOME_FAILED);
	}
	d->whole = true;
	x->down_end = true;
	return 0;
}

static int
pass_down(struct exchange *x)
{
	struct conn *c = &x->s->conn;

	if (x->down.len == 0)
		return 0;
	if (buf_move(&c->w->blocks, &c->out, &x->down, x->down.len) < 0)
		return -1;
	piped_of(x)->begun = true;
	conn_send(c);
	return 0;
}

/* What could not be read on because x was not first, now can. */
static void
let_on(const struct exchange *x)
{
	struct pipe *p = x->lease != NULL ? pipe_of(x->lease->u) : NULL;

	if (p != NULL && p->choked)
		deadline_set(x->s->conn.w, &p->clock, 0);
}

void
pipeline_settle(struct session *s)
{
	struct exchange *x;

	while (!s->closed && (x = exchange_first(s)) != NULL) {
		struct piped *d = piped_of(x);

		if (!d->whole && d->ops != NULL && d->due == 0 && join(x) < 0) {
			session_reset(s);
			return;
		}
		if ((d->holds || d->ops != NULL) && !d->whole)
			return;
		if (pass_down(x) < 0) {
			session_reset(s);
			return;
		}
		if (!d->whole) {
			let_on(x);
			return;
		}
		exchange_end(x, x->why == FAIL_NONE ? x->outcome :
		    OUTCOME_FAILED);
	}
}

bool
pipeline_replayable(const struct exchange *x)
{
	return piped_of(x)->keeps && !piped_of(x)->begun &&
	    !piped_of(x)->whole && pipeline_of(x->s)->under_way == 1;
}

void
pipeline_answer(struct exchange *x)
{
	struct piped *d = piped_of(x);
	struct session *s = x->s;

	d->whole = true;
	x->down_end = true;
	if (exchange_first(s) == x) {
		pipeline_settle(s);
		return;
	}
	exchange_release(x);
	if (x->part) {
		piped_of(d->whole_of)->due--;
		pipeline_settle(s);
	}
}

bool
pipeline_fail(struct session *s, struct exchange *x, const char *words,
    size_t len)
{
	struct piped *d = piped_of(x);

	if (d->whole)
		return true;
	/* What has begun cannot be taken back: only a close says that it is
	   not whole. */
	if (d->begun)
		return false;
	/* What was not sent will not be. */
	give_up_large(x);
	buf_drop(exchange_blocks(x), &s->conn.in, d->size);
	d->size = 0;
	buf_clear(exchange_blocks(x), &x->down);
	if (buf_append(exchange_blocks(x), &x->down, words, len) < 0)
		return false;
	d->whole = true;
	x->down_end = true;
	if (x->part)
		piped_of(d->whole_of)->due--;
	return true;
}

/* ----------------------------------------------------------------- sessions */

/* Of those under way, newest first, the first that is leased where x goes; parts
   are looked at, too. e NULL: anywhere. */
static struct upconn *
leased_there(const struct list *exchanges, const struct exchange *x,
    const struct endpoint *e)
{
	const struct list *l;

	for (l = exchanges->prev; l != exchanges; l = l->prev) {
		const struct exchange *y =
		    container_of(l, const struct exchange, link);
		struct upconn *u = y->lease != NULL ? y->lease->u : NULL;

		if (u == NULL && piped_of(y)->ops != NULL)
			u = leased_there(&piped_of(y)->parts, x, e);
		if (u != NULL && u->pool == x->ask.pool &&
		    u->mark != MARK_BROKEN &&
		    (e == NULL || u->shelf->site->endpoint == e) &&
		    u->shelf->key_len == x->ask.key_len &&
		    (x->ask.key_len == 0 || memcmp(u->shelf->key, x->ask.key,
		    x->ask.key_len) == 0))
			return u;
	}
	return NULL;
}

struct upconn *
pipeline_with(const struct exchange *x)
{
	const struct endpoint *e = NULL;

	if (x->s->kept != NULL)
		return x->s->kept->u;
	if (x->upstream->balance == CONF_KEY_HASH) {
		e = pool_endpoint_of_key(x->ask.pool, (uint32_t)x->ask.hash);
		if (e == NULL && x->upstream->key_hash.ring !=
		    CONF_RING_RANDOM)
			return NULL;    /* nobody has it: it is refused */
	}
	return leased_there(&x->s->exchanges, x, e);
}

/* Does it, or a part of it, wait for its lease? */
static bool
is_asking(const struct exchange *x)
{
	const struct piped *d = piped_of(x);
	const struct list *l;

	if (x->asked || d->ops == NULL)
		return x->asked;
	for (l = d->parts.next; l != &d->parts; l = l->next)
		if (container_of(l, const struct exchange, link)->asked)
			return true;
	return false;
}

/* Is the newest of such a kind that nothing may follow it now? */
static bool
holds_up(const struct exchange *x)
{
	const struct piped *d = piped_of(x);

	return is_asking(x) || d->bars || (d->streams && !d->sent);
}

bool
pipeline_may_take(struct session *s)
{
	const struct exchange *x = pipeline_newest(s);

	if (s->closed || s->lingering || s->finishing || s->leaving)
		return false;
	if ((x != NULL && holds_up(x)) ||
	    pipeline_of(s)->under_way >= PIPELINE_MOST || pipeline_is_slow(s)) {
		if (s->conn.in.held >= AHEAD_MOST)
			conn_pause(&s->conn);
		return false;
	}
	conn_resume(&s->conn);
	return true;
}

bool
pipeline_may_promote(const struct session *s)
{
	const struct exchange *x = pipeline_newest(s);

	/* Who has one already does not keep it from those who wait for one. */
	return s->kept != NULL || x == NULL ||
	    (x->lease != NULL && x->lease->u->alone &&
	    list_empty(&x->ask.pool->pin_asks));
}

void
pipeline_drained(struct session *s)
{
	const struct exchange *x = exchange_first(s);
	struct upconn *u = x != NULL && x->lease != NULL ? x->lease->u :
	    s->kept != NULL ? s->kept->u : NULL;

	if (u != NULL && pipe_of(u)->choked) {
		pipeline_watch(s);
		pipeline_unchoke(u);
	}
	if (!s->closed)
		session_bytes(s);
}

void
pipeline_watch(struct session *s)
{
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
}

void
pipeline_session_late(struct session *s)
{
	const struct exchange *x = exchange_first(s);
	int64_t idle_ms = s->door->conf->timeouts.idle_ms;
	int64_t since_ns = (int64_t)s->idle_since_s * NS_PER_S;

	if (s->conn.out.len > 0) {
		if (!session_still_takes(s, x != NULL && x->upstream != NULL ?
		    x->upstream->timeouts.stall_ms : idle_ms))
			pipeline_too_slow(s);
	} else if (x != NULL || s->kept != NULL)
		pipeline_watch(s);
	else if (s->conn.w->now_ns - since_ns < idle_ms * NS_PER_MS)
		deadline_set_since(s->conn.w, &s->deadline, idle_ms, since_ns);
	else {
		count_add(&s->door->failures[FAIL_IDLE_TIMEOUT], 1);
		session_close(s);
	}
}
