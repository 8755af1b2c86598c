/*
 * A client's messages on their way to the server: each is looked at for what it
 * asks for, which is noted as owed, and sent on (PostgreSQL 55.2.2, 55.2.3).
 * Those about prepared statements are in prepare.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/postgres/up.h"

enum { BODY_STEP = 64 * 1024 };         /* as of timeouts.body */

/* ------------------------------------------------------------------ passing */

/* So many bytes go on as they are, read on the way if they are SQL. */
enum pg_step
pg_up_pass_some(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	while (px->up_left > 0 && pg_up_in(x)->len > 0) {
		size_t len;
		const char *bytes = buf_front(pg_up_in(x), &len);

		if (len > px->up_left)
			len = px->up_left;
		/* Its last byte is its end. */
		if (px->scanning)
			pg_scan_feed(&px->scan, bytes,
			    len == px->up_left ? len - 1 : len);
		if (buf_move(pg_up_store(x), pg_up_out(x), pg_up_in(x), len) < 0)
			return PG_STEP_NO_MEMORY;
		px->up_left -= (uint32_t)len;
	}
	if (px->up_left > 0)
		return PG_STEP_WAIT;
	/* It has been sent: what it leaves behind is kept or washed away. */
	if (px->scanning && pg_state_sent(x, pg_state_flags(x, &px->scan)) !=
	    PG_REFUSAL_NONE)
		px->dirty = true;
	px->scanning = false;
	return PG_STEP_DONE;
}

enum pg_step
pg_up_pass(struct exchange *x, uint32_t size)
{
	pg_of(x)->up_left = size;
	return pg_up_pass_some(x);
}

enum pg_step
pg_up_drop(struct exchange *x, uint32_t size)
{
	struct pg_session *ps = pg_session(x->s);
	uint32_t n = size < pg_up_in(x)->len ? size : pg_up_in(x)->len;

	buf_drop(pg_up_store(x), pg_up_in(x), n);
	ps->drop_left = size - n;
	return PG_STEP_DONE;
}

struct pg_owed *
pg_up_owe(struct exchange *x, enum pg_owed_kind kind, enum pg_owed_how how)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o = pg_owed_push(&px->owed);

	if (o == NULL)
		return NULL;
	o->kind = (uint16_t)kind;
	o->how = (uint8_t)how;
	px->begun = true;
	px->unsynced = (kind & (PG_OWED_QUERY | PG_OWED_CALL |
	    PG_OWED_SYNC)) == 0;
	o->assumes = (kind & (PG_OWED_PARSE | PG_OWED_CLOSE)) != 0;
	px->assumed += o->assumes;
	if (!px->unsynced) {
		px->assumed_before += px->assumed;
		px->assumed = 0;
		px->unnamed_here = false;
	}
	return o;
}

/* The server is to answer what it has: nothing else may make it. */
static int
ask_for_answers(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	if (px->flushed)
		return 0;
	px->flushed = true;
	return pg_put(pg_up_store(x), pg_up_out(x), 'H', NULL, 0);
}

bool
pg_up_must_wait(struct exchange *x, bool here)
{
	struct pg_exchange *px = pg_of(x);

	if (px->owed.n == 0) {
		px->clears = px->flushed = false;
		px->assumed = px->assumed_before = 0;
	}
	if (!px->clears && (here || px->assumed_before == 0))
		return false;
	/* Without memory for it, it waits for the client's Sync. */
	if (px->clears && ask_for_answers(x) < 0)
		px->flushed = false;
	px->blocked = true;
	return true;
}

bool
pg_up_is_first(struct exchange *x)
{
	struct pg_owed_queue *q = &pg_of(x)->owed;
	uint32_t i;

	for (i = 0; i < q->n; i++)
		if ((pg_owed_at(q, i)->kind & (PG_OWED_QUERY | PG_OWED_CALL |
		    PG_OWED_SYNC)) != 0)
			return false;
	return true;
}

bool
pg_up_must_be_first(struct exchange *x)
{
	if (pg_up_is_first(x))
		return false;
	pg_of(x)->blocked = true;
	return true;
}

/* The whole message in one piece, or NULL: more of it has to come. */
const char *
pg_up_whole(struct exchange *x, uint32_t size, enum pg_step *step)
{
	const char *bytes;

	*step = PG_STEP_WAIT;
	if (pg_up_in(x)->len < size)
		return NULL;
	bytes = buf_flat(pg_up_store(x), pg_up_in(x), size);
	if (bytes == NULL)
		*step = PG_STEP_NO_MEMORY;
	return bytes;
}

/* ----------------------------------------------------------- simple queries */

/* The server forgets its unnamed statement with each of them, also with one
   that fails (PostgreSQL 55.2.3, and as it does it: before it reads the text);
   but not with one that it skips. */
void
pg_forget_unnamed(struct exchange *x, struct pg_owed *o)
{
	struct pg_session *ps = pg_session(x->s);

	o->forgets = true;
	o->former = ps->unnamed;
	o->former_large = (ps->pins & 1u << PG_PIN_LARGE) != 0;
	ps->unnamed = NULL;
	ps->pins &= (uint16_t)~(1u << PG_PIN_LARGE);
	pg_upconn(x->lease->u)->unnamed = 0;
}

/* In the place of what may not be done: the server fails, and its transaction
   with it, and the client is told why. */
static enum pg_step
refuse_query(struct exchange *x, uint32_t size, enum pg_refusal words)
{
	struct pg_owed *o = pg_up_owe(x, PG_OWED_QUERY, PG_REWORD);

	if (o == NULL ||
	    pg_put_query(pg_up_store(x), pg_up_out(x), "weir refuses this") < 0)
		return PG_STEP_NO_MEMORY;
	o->id = words;
	pg_forget_unnamed(x, o);
	return pg_up_drop(x, size);
}

/* The server knows it by another name. */
static enum pg_step
take_deallocate(struct exchange *x, uint32_t size, const char *name)
{
	char sql[16 + PG_SERVER_NAME] = "DEALLOCATE ";
	struct pg_owed *o;

	strcat(sql, name);
	if (pg_provide(x, pg_of(x)->deallocates->st) < 0)
		return PG_STEP_NO_MEMORY;
	o = pg_up_owe(x, PG_OWED_QUERY, PG_FORWARD);
	if (o == NULL ||
	    pg_put_query(pg_up_store(x), pg_up_out(x), sql) < 0)
		return PG_STEP_NO_MEMORY;
	pg_forget_unnamed(x, o);
	return pg_up_drop(x, size);
}

static enum pg_step
take_query(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);
	enum pg_refusal words;
	const char *bytes;
	char name[PG_SERVER_NAME];
	struct pg_owed *o;
	enum pg_step step;
	unsigned flags;

	if (pg_up_must_wait(x, true))
		return PG_STEP_WAIT;
	pg_state_scan(x, &px->scan);
	if (h->size <= BUF_LARGE) {
		bytes = pg_up_whole(x, h->size, &step);
		if (bytes == NULL)
			return step;
		if (h->size == PG_HEAD || bytes[h->size - 1] != '\0')
			return PG_STEP_BAD;
		pg_scan_feed(&px->scan, bytes + PG_HEAD, h->size - PG_HEAD - 1);
		flags = pg_state_flags(x, &px->scan);
		if (pg_state_is_lone(x, bytes + PG_HEAD, h->size - PG_HEAD - 1,
		    flags) && pg_up_must_be_first(x))
			return PG_STEP_WAIT;
		flags = pg_state_carries(x, bytes + PG_HEAD,
		    h->size - PG_HEAD - 1, flags);
		if ((flags & PG_SCAN_DEALLOCATE) != 0 && pg_deallocates(x,
		    bytes + PG_HEAD, h->size - PG_HEAD - 1, name))
			return take_deallocate(x, h->size, name);
		pg_brief_note(&px->brief, bytes + PG_HEAD,
		    h->size - PG_HEAD - 1);
		words = pg_state_sent(x, flags);
		if (words != PG_REFUSAL_NONE)
			return refuse_query(x, h->size, words);
		if (pg_state_sequences(x, flags) < 0)
			return PG_STEP_NO_MEMORY;
	}
	o = pg_up_owe(x, PG_OWED_QUERY, PG_FORWARD);
	if (o == NULL)
		return PG_STEP_NO_MEMORY;
	pg_forget_unnamed(x, o);
	if (h->size <= BUF_LARGE)
		return pg_up_pass(x, h->size);
	px->up_left = PG_HEAD;
	step = pg_up_pass_some(x);
	px->scanning = true;
	px->up_left = h->size - PG_HEAD;
	return step == PG_STEP_DONE ? pg_up_pass_some(x) : step;
}

/* --------------------------------------------------------------- the others */

static enum pg_step
take_owed(struct exchange *x, const struct pg_head *h, enum pg_owed_kind kind)
{
	if (pg_up_owe(x, kind, PG_FORWARD) == NULL)
		return PG_STEP_NO_MEMORY;
	return pg_up_pass(x, h->size);
}

/* A function by its number: which one it is, and what it leaves behind, cannot
   be seen. */
static enum pg_step
take_call(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);

	if (pg_state_sent(x, PG_SCAN_UNSURE) != PG_REFUSAL_NONE)
		px->dirty = true;
	return take_owed(x, h, PG_OWED_CALL);
}

/* While it takes CopyData, the server takes no notice of Sync and Flush
   (PostgreSQL 55.2.6). */
static enum pg_step
take_sync(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);

	px->failed = false;
	if (px->copying_in)
		return pg_up_pass(x, h->size);
	return take_owed(x, h, PG_OWED_SYNC);
}

/* It may come before the server has said that it takes any. */
static enum pg_step
take_copy_end(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed_queue *q = &px->owed;
	uint32_t i = q->n, syncs = 0;

	while (!px->copying_in && i > 0 && pg_owed_at(q, i - 1)->kind ==
	    PG_OWED_SYNC) {
		syncs++;
		i--;
	}
	if (!px->copying_in && i > 0) {
		struct pg_owed *o = pg_owed_at(q, i - 1);

		if ((o->kind & (PG_OWED_QUERY | PG_OWED_EXECUTE)) != 0 &&
		    o->how == PG_FORWARD) {
			o->copied = true;
			o->id = syncs;
		}
	}
	px->copying_in = false;
	return pg_up_pass(x, h->size);
}

/* Everything that is before it is answered first. */
static enum pg_step
take_leave(struct exchange *x)
{
	if (pg_of(x)->owed.n > 0) {
		pg_of(x)->blocked = true;
		return PG_STEP_WAIT;
	}
	session_close(x->s);
	return PG_STEP_OVER;
}

static enum pg_step
take(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);

	if (px->failed && h->type != 'S' && h->type != 'X')
		return pg_up_drop(x, h->size);
	switch (h->type) {
	case 'Q':
		return take_query(x, h);
	case 'P':
		return pg_take_parse(x, h);
	case 'B':
		return pg_take_bind(x, h);
	case 'D':
		return pg_take_describe(x, h);
	case 'E':
		return take_owed(x, h, PG_OWED_EXECUTE);
	case 'C':
		return pg_take_close(x, h);
	case 'S':
		return take_sync(x, h);
	case 'F':
		return take_call(x, h);
	case 'c':
	case 'f':
		return take_copy_end(x, h);
	case 'd':
	case 'H':
		return pg_up_pass(x, h->size);
	case 'X':
		return take_leave(x);
	}
	return PG_STEP_BAD;
}

/* More than a client should have under way: the server is told to answer, so
   that this ends. */
static enum pg_step
enough(struct exchange *x)
{
	/* What weir answers itself it answers now. */
	if (pg_say_local(x) < 0)
		return PG_STEP_NO_MEMORY;
	if (pg_of(x)->owed.n < PG_OWED_MOST)
		return PG_STEP_DONE;
	if (ask_for_answers(x) < 0)
		return PG_STEP_NO_MEMORY;
	pg_of(x)->blocked = true;
	conn_pause(&x->s->conn);
	return PG_STEP_WAIT;
}

static enum pg_step
take_next(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_exchange *px = pg_of(x);
	struct pg_head h;

	if (ps->drop_left > 0)
		(void)pg_up_drop(x, ps->drop_left);
	if (px->up_left > 0) {
		enum pg_step step = pg_up_pass_some(x);

		if (step != PG_STEP_DONE)
			return step;
	}
	switch (pg_head_at(pg_up_in(x), 0, &h)) {
	case PARSE_MORE:
		return PG_STEP_WAIT;
	case PARSE_BAD:
		return PG_STEP_BAD;
	case PARSE_DONE:
		break;
	}
	if (px->owed.n >= PG_OWED_MOST && !px->failed)
		return enough(x);
	px->large = h.size > PG_BEGUN_MOST && h.type != 'd';
	return take(x, &h);
}

/* With nothing owed a cancel could only hit what comes next. */
static bool
is_held(struct exchange *x)
{
	return pg_of(x)->owed.n == 0 && pg_of(x)->up_left == 0 &&
	    !pg_cancel_is_over(x->lease->u);
}

/* The server does not take what the client sends, or the client not what it is
   answered. */
static bool
is_choked(const struct exchange *x)
{
	return x->lease->u->conn.out.held >= CONN_HIGH ||
	    x->s->conn.out.held >= CONN_HIGH;
}

/*
 * Whoever has sent PG_BEGUN_MOST of a message holds a connection: the rest
 * has to come. Not of CopyData, whose senders keep some back until they
 * have more (libpq sends 8 KiB at a time), and not while weir takes none.
 */
static void
watch_sender(struct exchange *x, enum pg_step step)
{
	const struct pg_exchange *px = pg_of(x);
	struct session *s = x->s;

	if (step != PG_STEP_WAIT || !px->large || px->blocked ||
	    (px->up_left == 0 && pg_session(s)->drop_left == 0 &&
	    !px->unfinished) || is_choked(x) || is_held(x)) {
		deadline_clear(&s->deadline);
		return;
	}
	if (deadline_armed(&s->deadline) &&
	    s->conn.received - px->body_mark < BODY_STEP)
		return;
	pg_of(x)->body_mark = s->conn.received;
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.body_ms);
}

void
pg_up(struct exchange *x)
{
	struct upconn *u = x->lease->u;
	enum pg_step step;

	if (pg_of(x)->purpose != PG_FOR_REQUESTS)
		return;
	do {
		step = is_choked(x) || is_held(x) ? PG_STEP_WAIT :
		    take_next(x);
	} while (step == PG_STEP_DONE);
	switch (step) {
	case PG_STEP_DONE:
	case PG_STEP_WAIT:
		break;
	case PG_STEP_BAD:
		exchange_fail(x, FAIL_BAD_REQUEST);
		return;
	case PG_STEP_NO_MEMORY:
		upconn_mark(u, MARK_BROKEN, "half a request was sent");
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	case PG_STEP_OVER:
		return;
	}
	pg_of(x)->unfinished = step == PG_STEP_WAIT &&
	    pg_up_in(x)->len >= PG_BEGUN_MOST;
	conn_send(&u->conn);
	watch_sender(x, step);
	if (is_choked(x) || is_held(x))
		conn_pause(&x->s->conn);
	if (pg_say_local(x) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	pg_clock(x);
	(void)pg_settle(x);
}
