/*
 * A server's messages on their way to the client: each has to be one that is
 * owed; those that weir asked for itself stay here, and what they say about the
 * connection is remembered. The server is not trusted: what it says out of
 * order ends the connection.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/postgres.h"

enum { LONG_ERROR = 8 * 1024 };         /* of one, what is looked at */

/* What becomes of a message. */
enum fate { FATE_PASS, FATE_DROP, FATE_REWORD, FATE_BAD, FATE_NO_MEMORY };

/* Kinds of what may be answered by it, and of what it is the end of (PostgreSQL
   55.2.2, 55.2.3); whole: it is read, not only passed on. */
struct row {
	uint16_t of, ends;
	bool known, whole;
};

static const struct row rows[128] = {
	['1'] = { PG_OWED_PARSE, PG_OWED_PARSE, true, false },
	['2'] = { PG_OWED_BIND, PG_OWED_BIND, true, false },
	['3'] = { PG_OWED_CLOSE, PG_OWED_CLOSE, true, false },
	['t'] = { PG_OWED_DESCRIBE, 0, true, false },
	['T'] = { PG_OWED_DESCRIBE | PG_OWED_PORTAL | PG_OWED_QUERY,
	    PG_OWED_DESCRIBE | PG_OWED_PORTAL, true, false },
	['n'] = { PG_OWED_DESCRIBE | PG_OWED_PORTAL,
	    PG_OWED_DESCRIBE | PG_OWED_PORTAL, true, false },
	['D'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['C'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, PG_OWED_EXECUTE, true,
	    true },
	['s'] = { PG_OWED_EXECUTE, PG_OWED_EXECUTE, true, false },
	['I'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, PG_OWED_EXECUTE, true,
	    false },
	['G'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['H'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['W'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['d'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['c'] = { PG_OWED_EXECUTE | PG_OWED_QUERY, 0, true, false },
	['V'] = { PG_OWED_CALL, 0, true, false },
	['Z'] = { PG_OWED_QUERY | PG_OWED_CALL | PG_OWED_SYNC,
	    PG_OWED_QUERY | PG_OWED_CALL | PG_OWED_SYNC, true, true },
	['E'] = { 0, 0, true, true },
	['S'] = { 0, 0, true, true },
	['N'] = { 0, 0, true, false },
	['A'] = { 0, 0, true, false }
};

static struct block_store *
store_of(const struct exchange *x)
{
	return exchange_blocks(x);
}

/* ------------------------------------------------------------- what is owed */

/* The oldest batch is answered first. */
static void
assume_no_more(struct exchange *x, struct pg_owed *o)
{
	struct pg_exchange *px = pg_of(x);

	if (o->assumes && px->assumed_before > 0)
		px->assumed_before--;
	else if (o->assumes)
		px->assumed--;
	o->assumes = false;
}

void
pg_owed_let_go(struct exchange *x, struct pg_owed *o)
{
	struct pg_statements *all = &pg_lane(x->s)->statements;

	assume_no_more(x, o);

	if (o->kind == PG_OWED_CLOSE && o->name != NULL)
		pg_name_free(all, o->name);
	pg_statement_drop(all, o->st);
	pg_statement_drop(all, o->former);
}

/* It has been answered; what it holds goes. */
static void
pop(struct exchange *x)
{
	struct pg_owed_queue *q = &pg_of(x)->owed;

	pg_owed_let_go(x, pg_owed_first(q));
	pg_owed_pop(q);
}

/* The unnamed statement as this batch leaves it: the client's, or by now, of
   one of a later batch that took it away, the former. */
static struct pg_statement **
unnamed_of(struct exchange *x, struct pg_owed *heir)
{
	return heir != NULL ? &heir->former : &pg_session(x->s)->unnamed;
}

/* It is what it was before o. */
static void
give_back_unnamed(struct exchange *x, struct pg_owed *o, struct pg_owed *heir)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_statement **now = unnamed_of(x, heir);

	pg_statement_drop(&pg_lane(x->s)->statements, *now);
	*now = o->former;
	o->former = NULL;
	if (heir != NULL) {
		heir->former_large = o->former_large;
		return;
	}
	ps->pins &= (uint16_t)~(1u << PG_PIN_LARGE);
	if (o->former_large)
		ps->pins |= 1u << PG_PIN_LARGE;
}

/*
 * It will never be carried out: what was assumed when it was sent is taken
 * back. From the newest to the oldest: what was closed comes back before what
 * made it goes. failed: it is the one that has failed, not one that is skipped.
 */
static void
undo(struct exchange *x, struct pg_owed *o, bool failed, struct pg_owed *heir)
{
	struct pg_statement **unnamed = unnamed_of(x, heir);
	struct pg_session *ps = pg_session(x->s);
	struct pg_statements *all = &pg_lane(x->s)->statements;
	struct pg_upconn *pu = pg_upconn(x->lease->u);

	assume_no_more(x, o);
	if (o->kind == PG_OWED_PARSE && o->how != PG_SAY &&
	    o->how != PG_REWORD && o->st != NULL) {
		if (pu->unnamed == o->id)
			pu->unnamed = 0;
		else
			pg_prepared_remove(&pu->prepared, o->id);
		if (*unnamed == o->st && o->how == PG_FORWARD) {
			pg_statement_drop(all, *unnamed);
			*unnamed = NULL;
		}
	}
	if (o->kind == PG_OWED_PARSE && o->how != PG_REWORD &&
	    o->name != NULL) {
		pg_name_take(&ps->names, o->name);
		pg_name_free(all, o->name);
	}
	/* Without memory for it the connection is not used again. */
	if (o->kind == PG_OWED_CLOSE && o->how == PG_SKIP &&
	    pg_prepared_add(&pu->prepared, o->id) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
	if (o->kind == PG_OWED_CLOSE && o->name != NULL &&
	    pg_name_put_back(&ps->names, o->name) < 0)
		pg_name_free(all, o->name);
	if (o->forgets && !failed)
		give_back_unnamed(x, o, heir);
	pg_statement_drop(all, o->former);
	pg_statement_drop(all, o->st);
	o->former = o->st = NULL;
	o->name = NULL;
}

/* A request of the extended protocol has failed: the server takes no notice of
   what follows up to the next Sync (55.2.3). */
static void
skip_to_sync(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed_queue *q = &px->owed;
	struct pg_owed *heir = NULL;
	uint32_t n = 0, i;

	while (n < q->n && pg_owed_at(q, n)->kind != PG_OWED_SYNC)
		n++;
	for (i = n; heir == NULL && i < q->n; i++)
		if (pg_owed_at(q, i)->forgets)
			heir = pg_owed_at(q, i);
	px->failed = n == q->n;
	px->copying_in = false;
	for (i = n; i > 0; i--)
		undo(x, pg_owed_at(q, i - 1), i == 1, heir);
	for (; n > 0; n--)
		pg_owed_pop(q);
}

int
pg_say_local(struct exchange *x)
{
	struct pg_owed_queue *q = &pg_of(x)->owed;
	struct buf *out = &x->s->conn.out;
	struct pg_owed *o;

	/* Not inside of a message that is passed on in pieces. */
	while (pg_of(x)->down_left == 0 && (o = pg_owed_first(q)) != NULL &&
	    o->how == PG_SAY) {
		if (pg_put(store_of(x), out, o->kind == PG_OWED_PARSE ? '1' :
		    '3', NULL, 0) < 0)
			return -1;
		pop(x);
		conn_send(&x->s->conn);
	}
	return 0;
}

/* ------------------------------------------------------------------- errors */

/* Their result is another by now: it is prepared anew, but not for those who
   know the old one (they are told, as they would be by the server). */
static void
note_plan(struct exchange *x, const struct pg_owed *o,
    const struct pg_report *r)
{
	struct pg_statements *all = &pg_lane(x->s)->statements;

	if (strcmp(r->code, "0A000") == 0 && o->st != NULL &&
	    strcmp(r->routine, "RevalidateCachedQuery") == 0)
		pg_statement_retire(all, o->st);
	/* Somebody has dropped it by its name. */
	if (strcmp(r->code, "26000") == 0 && o->st != NULL &&
	    o->how != PG_REWORD)
		upconn_mark(x->lease->u, MARK_BROKEN, "statement is gone");
}

/* A request that was to fail has, and for no other reason than it should: in a
   transaction that has failed that one is what the client would have got, and
   a Parse of a name that is taken fails on its text first. */
static bool
is_as_meant(const struct pg_owed *o, const struct pg_report *r)
{
	if (o->kind == PG_OWED_PARSE)
		return strcmp(r->code, "42P05") == 0 ||
		    strcmp(r->code, "26000") == 0;
	return strcmp(r->code, "25P02") != 0;
}

static enum fate
error_came(struct exchange *x, const char *body, size_t len,
    bool is_long)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o = pg_owed_first(&px->owed);
	enum fate fate = FATE_PASS;
	struct pg_report r;

	/* A long one is passed on as it comes; its code stands in front. */
	if (is_long)
		pg_report_begin(body, len, &r);
	if (is_long && strlen(r.code) != 5)
		return FATE_BAD;
	if (!is_long && !pg_report_read(body, len, &r))
		return FATE_BAD;
	pg_count_error(x->lease->u, &r);
	if (strcmp(r.severity, "FATAL") == 0 ||
	    strcmp(r.severity, "PANIC") == 0) {
		px->fatal = true;
		upconn_mark(x->lease->u, MARK_BROKEN, "the server's last word");
		return FATE_PASS;
	}
	if (o == NULL)
		return FATE_BAD;
	if (px->unsure_syncs)
		upconn_mark(x->lease->u, MARK_BROKEN, "Sync inside a COPY");
	px->copying_in = false;
	px->erred = true;
	px->deallocates = NULL;
	note_plan(x, o, &r);
	if (o->how == PG_REWORD && is_as_meant(o, &r))
		fate = FATE_REWORD;
	else if (o->how == PG_REWORD && o->kind == PG_OWED_QUERY)
		o->how = PG_FORWARD;
	else if (o->how == PG_SKIP && o->kind == PG_OWED_QUERY) {
		pg_state_refused(x, o, &r);
		fate = FATE_DROP;
	}
	/* Weir's own question: the client learns no more than that it failed. */
	if (px->purpose != PG_FOR_REQUESTS)
		fate = FATE_DROP;
	if (o->kind != PG_OWED_QUERY && o->kind != PG_OWED_CALL &&
	    o->kind != PG_OWED_SYNC && fate != FATE_REWORD)
		skip_to_sync(x);
	return fate;
}

/* In the client's own words: it does not know weir's. */
static int
reword(struct exchange *x)
{
	struct pg_owed *o = pg_owed_first(&pg_of(x)->owed);
	const struct pg_refusal_row *row = &pg_refusals[o->id];

	if (pg_put_report(store_of(x), &x->s->conn.out, 'E', "ERROR",
	    row->code, "%s%s%s", row->before, o->name != NULL ?
	    o->name->name : "", row->behind) < 0)
		return -1;
	if (o->kind != PG_OWED_QUERY)
		skip_to_sync(x);
	else
		o->how = PG_FORWARD;    /* the end of it is the client's */
	return 0;
}

/* ----------------------------------------------------------------- messages */

static enum fate
status_came(struct exchange *x, const char *body, size_t len)
{
	size_t at = 0;
	const char *name = pg_string(body, len, &at);
	const char *value = name != NULL ? pg_string(body, len, &at) : NULL;
	bool is_passed = true;

	if (value == NULL || at != len)
		return FATE_BAD;
	if (pg_state_changed(x, name, value, &is_passed) < 0)
		return FATE_NO_MEMORY;
	return is_passed ? FATE_PASS : FATE_DROP;
}

/* A COPY begins behind an Execute: the Syncs that came along are read, and not
   answered, while it lasts (55.2.6). */
static void
copy_begins(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o;
	uint64_t n;

	o = pg_owed_first(&px->owed);
	px->copying_in = !o->copied;
	n = o->copied ? o->id : UINT64_MAX;
	for (; n > 0 && px->owed.n > 1 &&
	    pg_owed_at(&px->owed, 1)->kind == PG_OWED_SYNC; n--) {
		pg_owed_take_out(&px->owed, 1);
		px->unsure_syncs = true;
	}
}

/* The oldest that is owed is answered by a message of that type. */
static enum fate
answer_came(struct exchange *x, char type, const struct row *row,
    const char *body, size_t len)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o = pg_owed_first(&px->owed);
	bool skipped = o->how == PG_SKIP;

	if (type == 'C') {
		if (len == 0 || body[len - 1] != '\0')
			return FATE_BAD;
		if (!skipped)
			pg_state_done(x, body);
		else if (o->kind == PG_OWED_QUERY)
			pg_state_agreed(x, o);
	} else if (type == 'D' && px->purpose == PG_FOR_AUTH) {
		if (!pg_ask_row(x, body, len))
			return FATE_BAD;
	} else if (type == 'G' || type == 'W')
		copy_begins(x);
	else if (type == 't')
		o->described = true;
	else if (type == 'V')
		pg_state_done(x, "SELECT");
	if ((row->ends & o->kind) != 0)
		pop(x);
	return skipped ? FATE_DROP : FATE_PASS;
}

static enum fate
ready_came(struct exchange *x, const struct row *row, const char *body,
    size_t len)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o = pg_owed_first(&px->owed);

	if (len != 1 || (*body != 'I' && *body != 'T' && *body != 'E'))
		return FATE_BAD;
	px->status = *body;
	px->deallocates = NULL;
	/* What was being cancelled has ended. */
	if (px->clock == PG_CLOCK_CANCEL) {
		deadline_clear(&x->deadline);
		px->clock = PG_CLOCK_NONE;
	}
	/* It was told of an error, and took a Sync for its end that it was not
	   thought to: see copy_begins(). */
	if (o == NULL)
		return px->unsure_syncs ? FATE_PASS : FATE_BAD;
	if (o->how != PG_SKIP)
		pg_state_ready(x);
	return answer_came(x, 'Z', row, body, len);
}

static enum fate
message_came(struct exchange *x, char type, const char *body, size_t len)
{
	const struct row *row = &rows[(unsigned char)type];
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o = pg_owed_first(&px->owed);
	bool skipped = o != NULL && o->how == PG_SKIP;

	switch (type) {
	case 'E':
		return error_came(x, body, len, false);
	case 'S':
		return status_came(x, body, len);
	case 'N':
		return skipped ? FATE_DROP : FATE_PASS;
	case 'A':
		if (px->purpose != PG_FOR_REQUESTS)
			return FATE_DROP;
		/* Only its own: others' are washed away with them. */
		return FATE_PASS;
	case 'Z':
		if (o == NULL || (o->kind & row->of) != 0)
			return ready_came(x, row, body, len);
		return FATE_BAD;
	}
	if (o == NULL || (o->kind & row->of) == 0 || o->how == PG_REWORD ||
	    (o->kind == PG_OWED_DESCRIBE && o->described != (type != 't')))
		return FATE_BAD;
	return answer_came(x, type, row, body, len);
}

/* ------------------------------------------------------------------ passing */

/* Messages that are passed on go together: `run` bytes of u's input. */
struct run {
	struct exchange *x;
	struct buf *in, *out;
	size_t len;
};

static int
run_end(struct run *run)
{
	size_t len = run->len;

	run->len = 0;
	return len == 0 ? 0 : buf_pass(store_of(run->x), run->out, run->in,
	    len);
}

/* The rest of a message that is passed on as it comes. */
static bool
run_rest(struct run *run)
{
	struct pg_exchange *px = pg_of(run->x);
	size_t n = run->in->len - run->len;

	if (n > px->down_left)
		n = px->down_left;
	run->len += n;
	px->down_left -= (uint32_t)n;
	return px->down_left == 0;
}

/* The message at the end of the run in one piece; NULL: *fate says why. */
static const char *
whole(struct run *run, uint32_t size, enum fate *fate, bool *waits)
{
	const char *bytes;
	size_t len;

	*waits = false;
	*fate = FATE_BAD;
	if (size > BUF_LARGE)
		return NULL;
	if (run->in->len - run->len < size) {
		*waits = true;
		return NULL;
	}
	bytes = buf_at(run->in, run->len, &len);
	if (len >= size)
		return bytes;
	*fate = FATE_NO_MEMORY;
	if (run_end(run) < 0)
		return NULL;
	return buf_flat(store_of(run->x), run->in, size);
}

/* What weir asked for itself, and what is read, is there as a whole; the rest
   is passed on as it comes. */
static bool
must_be_whole(struct exchange *x, char type)
{
	struct pg_owed *o = pg_owed_first(&pg_of(x)->owed);

	return rows[(unsigned char)type].whole ||
	    (o != NULL && o->how != PG_FORWARD);
}

/* What weir says itself stands behind what was passed on. */
static int
say_due(struct run *run)
{
	struct pg_exchange *px = pg_of(run->x);

	if (px->owed.n == 0 || px->down_left > 0 ||
	    pg_owed_first(&px->owed)->how != PG_SAY)
		return 0;
	return run_end(run) < 0 || pg_say_local(run->x) < 0 ? -1 : 0;
}

/* What becomes of the message at the end of the run, now that it has been
   looked at. False: it is the last for now. */
static bool
carry_out(struct run *run, const struct pg_head *h, enum fate *fate)
{
	struct pg_exchange *px = pg_of(run->x);

	switch (*fate) {
	case FATE_PASS:
		if (h->type == 'Z' && pg_state_has_news(run->x) &&
		    (run_end(run) < 0 || pg_state_tell(run->x) < 0))
			break;
		px->down_left = h->size;
		(void)run_rest(run);
		return true;
	case FATE_DROP:
	case FATE_REWORD:
		if (run_end(run) < 0 || (*fate == FATE_REWORD &&
		    reword(run->x) < 0))
			break;
		buf_drop(store_of(run->x), run->in, h->size);
		return true;
	case FATE_BAD:
	case FATE_NO_MEMORY:
		return false;
	}
	*fate = FATE_NO_MEMORY;
	return false;
}

/* An error that is too long to be looked at as a whole. The run is empty. */
static bool
take_long_error(struct run *run, const struct pg_head *h, enum fate *fate)
{
	const char *bytes;

	if (run->in->len < LONG_ERROR)
		return false;
	*fate = FATE_NO_MEMORY;
	bytes = buf_flat(store_of(run->x), run->in, LONG_ERROR);
	if (bytes == NULL)
		return false;
	*fate = error_came(run->x, bytes + PG_HEAD, LONG_ERROR - PG_HEAD, true);
	if (*fate != FATE_PASS) {
		*fate = FATE_BAD;       /* weir asks for nothing so long */
		return false;
	}
	return carry_out(run, h, fate);
}

/* The head of the next message; false: it has not come, or is none. */
static bool
next_head(struct run *run, struct pg_head *h, enum fate *fate)
{
	struct pg_exchange *px = pg_of(run->x);

	*fate = FATE_PASS;
	if (px->down_left > 0 && !run_rest(run))
		return false;
	if (say_due(run) < 0) {
		*fate = FATE_NO_MEMORY;
		return false;
	}
	switch (pg_head_at(run->in, run->len, h)) {
	case PARSE_MORE:
		return false;
	case PARSE_BAD:
		*fate = FATE_BAD;
		return false;
	case PARSE_DONE:
		break;
	}
	if ((unsigned char)h->type >= NELEMS(rows) ||
	    !rows[(unsigned char)h->type].known) {
		*fate = FATE_BAD;
		return false;
	}
	return true;
}

/* Deals with the next message; false: there is none yet, or *fate is bad. */
static bool
take_next(struct run *run, enum fate *fate)
{
	const char *bytes = NULL;
	struct pg_head h;
	bool waits;

	if (!next_head(run, &h, fate))
		return false;
	/* What is said because of them stands behind what was passed on. */
	if ((h.type == 'S' || h.type == 'E') && run_end(run) < 0) {
		*fate = FATE_NO_MEMORY;
		return false;
	}
	if (h.type == 'E' && h.size > BUF_LARGE)
		return take_long_error(run, &h, fate);
	if (must_be_whole(run->x, h.type)) {
		bytes = whole(run, h.size, fate, &waits);
		if (bytes == NULL) {
			if (waits)
				*fate = FATE_PASS;
			return false;
		}
	}
	*fate = message_came(run->x, h.type, bytes != NULL ? bytes + PG_HEAD :
	    NULL, h.size - PG_HEAD);
	return carry_out(run, &h, fate);
}

/* The server has ended, and what it had said is with the client. */
static void
ended(struct exchange *x)
{
	struct upconn *u = x->lease->u;

	if (u->conn.eof && u->conn.in.len == 0)
		exchange_lost(x, FAIL_UPSTREAM_CLOSED);
	else if (u->conn.eof)
		exchange_lost(x, FAIL_BAD_RESPONSE);    /* cut short */
}

void
pg_down(struct exchange *x)
{
	struct upconn *u = x->lease->u;
	struct run run = { x, &u->conn.in, &x->s->conn.out, 0 };
	enum fate fate;

	if (u->conn.in.len > 0)
		exchange_first_byte(x);
	while (take_next(&run, &fate))
		;
	if (run_end(&run) < 0)
		fate = FATE_NO_MEMORY;
	conn_send(&x->s->conn);
	if (fate == FATE_BAD || fate == FATE_NO_MEMORY) {
		/* Where in its answers it is, nobody knows. */
		upconn_mark(u, MARK_BROKEN, "answers are not followed");
		if (fate == FATE_BAD)
			endpoint_fault(u->shelf->site->endpoint,
			    FAULT_BAD_ANSWER, 0);
		exchange_fail(x, fate == FATE_BAD ? FAIL_BAD_RESPONSE :
		    FAIL_NO_MEMORY);
		return;
	}
	if (x->s->conn.out.held >= CONN_HIGH && !u->conn.eof) {
		conn_pause(&u->conn);
		exchange_choked(x, true);
	}
	pg_clock(x);
	pg_cancel_due(x);
	if (pg_settle(x))
		return;
	if (pg_of(x)->blocked && pg_of(x)->owed.n < PG_OWED_MOST / 2) {
		pg_of(x)->blocked = false;
		conn_resume(&x->s->conn);
		pg_up(x);
		if (x->ended)
			return;
	}
	ended(x);
}
