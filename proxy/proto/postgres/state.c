/*
 * What a client has set up on "its session", on connections that are of many.
 *
 * Parameters that the server reports, and those of the client's start-up
 * packet, are carried (carried.c): set on a connection before the client's
 * first message there, and only where they differ. What cannot be carried keeps
 * the client on its connection (a pin), for as long as it lasts; it is told from the text of
 * requests (scan.h) and from what the server says it has done. What nobody
 * keeps is washed away: so a text that fools the scan costs a client its
 * state, unless no word of it is known at all.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "proxy/proto/postgres/lone.h"
#include "proxy/proto/postgres/postgres.h"

const char *const pg_pins[] = {
	[PG_PIN_LISTEN] = "listen",
	[PG_PIN_PREPARE] = "prepare",
	[PG_PIN_HOLD] = "hold",
	[PG_PIN_TEMP] = "temp",
	[PG_PIN_ADVISORY] = "advisory_lock",
	[PG_PIN_SET_CONFIG] = "set_config",
	[PG_PIN_SET] = "set",
	[PG_PIN_ROLE] = "role",
	[PG_PIN_USER] = "session_authorization",
	[PG_PIN_LOAD] = "load",
	[PG_PIN_UNSURE] = "unsure",
	[PG_PIN_LARGE] = "large_statement",
	[PG_N_PINS] = NULL
};

const struct pg_refusal_row pg_refusals[PG_N_REFUSALS] = {
	[PG_REFUSAL_NONE] = { "00000", "", "" },
	[PG_REFUSAL_EXISTS] = { "42P05", "prepared statement \"",
	    "\" already exists" },
	[PG_REFUSAL_NO_UNNAMED] = { "26000", "unnamed prepared statement does "
	    "not exist", "" },
	[PG_REFUSAL_PLAN] = { "0A000", "cached plan must not change result type",
	    "" },
	[PG_REFUSAL_STATE] = { "0A000", "weir: this would leave a state on the "
	    "session, which postgres.on_session_state refuses", "" },
	[PG_REFUSAL_PINNED] = { "53300", "weir: this would keep the connection, "
	    "and pool.max_pinned are kept already", "" }
};

/* ------------------------------------------------------------- what is left */

/* Flag of a text, pin, tag of what was done. A tag that is a prefix of what the
   server says counts; "" = whatever was done. */
struct trace {
	unsigned flag;
	enum pg_pin pin;
	const char *tag;
};

static const struct trace begins[] = {
	{ PG_SCAN_LISTEN, PG_PIN_LISTEN, "LISTEN" },
	{ PG_SCAN_PREPARE, PG_PIN_PREPARE, "PREPARE" },
	{ PG_SCAN_HOLD, PG_PIN_HOLD, "DECLARE CURSOR" },
	{ PG_SCAN_TEMP, PG_PIN_TEMP, "" },
	{ PG_SCAN_ADVISORY, PG_PIN_ADVISORY, "" },
	{ PG_SCAN_SET_CONFIG, PG_PIN_SET_CONFIG, "" },
	{ PG_SCAN_SET, PG_PIN_SET, "SET" },
	{ PG_SCAN_SET_ROLE, PG_PIN_ROLE, "SET" },
	{ PG_SCAN_SET_USER, PG_PIN_USER, "SET" },
	{ PG_SCAN_LOAD, PG_PIN_LOAD, "LOAD" },
	{ PG_SCAN_UNSURE, PG_PIN_UNSURE, "" }
};

static const struct trace ends[] = {
	{ PG_SCAN_UNLISTEN_ALL, PG_PIN_LISTEN, "UNLISTEN" },
	{ PG_SCAN_DEALLOCATE_ALL, PG_PIN_PREPARE, "DEALLOCATE ALL" },
	{ PG_SCAN_CLOSE_ALL, PG_PIN_HOLD, "CLOSE CURSOR ALL" },
	{ PG_SCAN_DISCARD_TEMP, PG_PIN_TEMP, "DISCARD TEMP" },
	{ PG_SCAN_ADVISORY_UNLOCK_ALL, PG_PIN_ADVISORY, "SELECT" },
	{ PG_SCAN_RESET_ALL, PG_PIN_SET, "RESET" },
	{ PG_SCAN_RESET_ALL, PG_PIN_SET_CONFIG, "RESET" },
	{ PG_SCAN_RESET_ROLE, PG_PIN_ROLE, "RESET" },
	{ PG_SCAN_RESET_ROLE, PG_PIN_ROLE, "SET" },
	{ PG_SCAN_RESET_USER, PG_PIN_USER, "RESET" },
	{ PG_SCAN_RESET_USER, PG_PIN_USER, "SET" }
};

const char pg_state_unknown[] = "\1";

#define CARRIED (PG_SCAN_SET | PG_SCAN_SET_CONFIG | PG_SCAN_RESET)
#define LASTING (PG_SCAN_LISTEN | PG_SCAN_PREPARE | PG_SCAN_HOLD | \
	PG_SCAN_TEMP | PG_SCAN_ADVISORY | PG_SCAN_SET_CONFIG | PG_SCAN_SET | \
	PG_SCAN_SET_ROLE | PG_SCAN_SET_USER | PG_SCAN_LOAD | PG_SCAN_UNSURE)

unsigned
pg_state_flags(struct exchange *x, struct pg_scan *scan)
{
	unsigned flags = pg_scan_end(scan);
	const struct pg_upconn *pu = pg_upconn(x->lease->u);

	/* What the server reports is carried. */
	if ((flags & PG_SCAN_SET) != 0 && scan->sets_n == 1 &&
	    pg_settings_find(pu->welcome, scan->name) != NULL &&
	    !pg_state_is_fixed(scan->name)) {
		flags &= ~(unsigned)PG_SCAN_SET;
		/* What comes behind is read by it: not before it is known. */
		if (pg_state_is_of_reading(scan->name))
			pg_of(x)->clears = true;
	}
	return flags;
}

static bool
is_reported(const struct exchange *x, const char *name)
{
	return !pg_state_is_fixed(name) && pg_settings_find(
	    pg_upconn(x->lease->u)->welcome, name) != NULL;
}

/* The text is SET or RESET alone. */
static bool
read_lone(struct pg_lone *l, const char *text, size_t len, unsigned flags)
{
	if ((flags & CARRIED) == 0)
		return false;
	pg_lone_read(l, text, len);
	return (l->kind == PG_LONE_SET || l->kind == PG_LONE_RESET) &&
	    !pg_state_is_fixed(l->name);
}

/* Of a SET of what it reports the server says itself what becomes. */
bool
pg_state_is_lone(const struct exchange *x, const char *text, size_t len,
    unsigned flags)
{
	struct pg_lone l;

	return read_lone(&l, text, len, flags) &&
	    (l.kind == PG_LONE_RESET || !is_reported(x, l.name));
}

/* Alone in its request, and outside of a transaction: what it sets is known,
   and stays when the server says that it is done. What is reported may be reset
   in a transaction, too: if that is rolled back, the server says so. */
static bool
may_be_carried(const struct exchange *x, const struct pg_lone *l)
{
	const struct pg_exchange *px = pg_of(x);

	if (px->lone != NULL || px->failed)
		return false;
	if (l->kind == PG_LONE_RESET && is_reported(x, l->name))
		return true;
	return px->status == 'I' &&
	    (px->flags & (PG_SCAN_BEGIN | LASTING)) == 0;
}

/* Is there room to keep it? On the connection there is what another has left
   until weir's own requests are answered. */
static bool
has_room(const struct exchange *x, const struct pg_lone *l)
{
	struct pg_exchange *px = pg_of(x);
	const struct pg_owed *o = pg_owed_first(&px->owed);

	return l->kind == PG_LONE_RESET || pg_settings_fit(o != NULL &&
	    o->how == PG_SKIP ? px->wanted : pg_upconn(x->lease->u)->settings,
	    l->name, l->value);
}

unsigned
pg_state_carries(struct exchange *x, const char *text, size_t len,
    unsigned flags)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_lone l;

	if (!read_lone(&l, text, len, flags))
		return flags;
	if (l.kind == PG_LONE_SET && is_reported(x, l.name))
		return flags & ~(unsigned)CARRIED;
	if (!may_be_carried(x, &l) || !has_room(x, &l) ||
	    pg_settings_change(&px->lone, l.name,
	    l.kind == PG_LONE_SET ? l.value : pg_state_unknown) < 0)
		return flags;
	px->clears = true;
	return flags & ~(unsigned)CARRIED;
}

/* What currval() and lastval() tell is of whoever used the connection last, and
   there has been no nextval() of this client's on it yet. */
int
pg_state_sequences(struct exchange *x, unsigned flags)
{
	struct upconn *u = x->lease->u;
	struct pg_owed *o;

	if ((flags & PG_SCAN_SEQ) == 0 || pg_of(x)->begun || u->pinned ||
	    x->upstream->pool.span == CONF_SPAN_SESSION)
		return 0;
	o = pg_owed_push(&pg_of(x)->owed);
	if (o == NULL)
		return -1;
	o->kind = PG_OWED_QUERY;
	o->how = PG_SKIP;
	o->id = UINT64_MAX;             /* about no setting */
	pg_upconn(u)->unnamed = 0;
	return pg_put_query(exchange_blocks(x), &u->conn.out,
	    "DISCARD SEQUENCES");
}

/* What it begins is kept on this connection: may there be one more of those? */
enum pg_refusal
pg_state_sent(struct exchange *x, unsigned flags)
{
	struct upconn *u = x->lease->u;

	pg_of(x)->flags |= flags;
	if ((flags & (PG_SCAN_DISCARD_ALL | PG_SCAN_DEALLOCATE_ALL)) != 0 ||
	    ((flags & (PG_SCAN_RESET | PG_SCAN_RESET_ALL)) != 0 &&
	    pg_session(x->s)->startup != NULL) ||
	    pg_of(x)->deallocates != NULL)
		pg_of(x)->clears = true;
	if ((flags & LASTING) == 0 ||
	    x->upstream->pool.span == CONF_SPAN_SESSION)
		return PG_REFUSAL_NONE;
	switch ((enum pg_on_state)pg_conf(x->s)->on_session_state) {
	case PG_STATE_REFUSE:
		pg_of(x)->flags &= ~flags;
		return PG_REFUSAL_STATE;
	case PG_STATE_WARN:
		return PG_REFUSAL_NONE;
	case PG_STATE_PIN:
		break;
	}
	if (!u->pins && !upstream_pin_take(u->pool->upstream)) {
		pg_of(x)->flags &= ~flags;
		count_add(&x->s->door->failures[FAIL_PINNED], 1);
		return PG_REFUSAL_PINNED;
	}
	u->pins = true;
	return PG_REFUSAL_NONE;
}

/* Everything of the session is as it was when it began. */
static void
all_discarded(struct exchange *x)
{
	struct pg_upconn *pu = pg_upconn(x->lease->u);
	struct pg_session *ps = pg_session(x->s);

	/* What was loaded stays. */
	ps->pins &= 1u << PG_PIN_LOAD;
	pg_of(x)->flags = pg_of(x)->done = 0;
	pg_of(x)->discarded = pg_of(x)->resets = true;
	pg_prepared_clear(&pu->prepared);
	pu->unnamed = 0;
	pg_settings_set(&pu->settings, NULL);
	pg_state_look(x->lease->u);
	pg_names_clear(&pg_lane(x->s)->statements, &ps->names);
	pg_settings_set(&ps->settings, ps->startup);
}

/* Also those that were prepared by the protocol. */
static void
all_deallocated(struct exchange *x)
{
	pg_prepared_clear(&pg_upconn(x->lease->u)->prepared);
	pg_names_clear(&pg_lane(x->s)->statements,
	    &pg_session(x->s)->names);
}

/* The client's name, and the statement where it was. */
static void
deallocated(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_session *ps = pg_session(x->s);

	pg_prepared_remove(&pg_upconn(x->lease->u)->prepared,
	    px->deallocates->st->id);
	pg_name_take(&ps->names, px->deallocates);
	pg_name_free(&pg_lane(x->s)->statements, px->deallocates);
	px->deallocates = NULL;
}

static bool
is_tag(const char *tag, const char *begin)
{
	return strncmp(tag, begin, strlen(begin)) == 0;
}

void
pg_state_done(struct exchange *x, const char *tag)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_session *ps = pg_session(x->s);
	size_t i;

	if (px->lone != NULL && (is_tag(tag, "SET") || is_tag(tag, "RESET") ||
	    is_tag(tag, "SELECT")))
		px->lone_done = true;
	if (px->deallocates != NULL && strcmp(tag, "DEALLOCATE") == 0)
		deallocated(x);
	/* No text of this exchange has left anything, and nothing is left of
	   others. */
	if (px->flags == 0 && ps->pins == 0)
		return;
	if (strcmp(tag, "DISCARD ALL") == 0) {
		all_discarded(x);
		return;
	}
	if (strcmp(tag, "DEALLOCATE ALL") == 0)
		all_deallocated(x);
	/* Not yet: it may be rolled back. What begins behind it in the same
	   transaction wins. */
	for (i = 0; i < NELEMS(ends); i++)
		if ((px->flags & ends[i].flag) != 0 && is_tag(tag, ends[i].tag))
			px->undone |= 1u << ends[i].pin;
	if (strcmp(tag, "ROLLBACK") == 0)
		px->undone = 0;
	for (i = 0; i < NELEMS(begins); i++)
		if ((px->flags & begins[i].flag) != 0 &&
		    (is_tag(tag, begins[i].tag) || strcmp(tag, "DO") == 0))
			px->done |= 1u << begins[i].pin;
	if ((px->flags & PG_SCAN_RESET_ALL) != 0 && is_tag(tag, "RESET"))
		px->resets = true;
	if ((px->flags & PG_SCAN_RESET) != 0 && is_tag(tag, "RESET"))
		px->resets_one = true;
}

/* Reasons that are new are counted. */
static void
pin(struct exchange *x, unsigned fresh)
{
	struct upconn *u = x->lease->u;
	unsigned i;

	for (i = 0; i < PG_N_PINS; i++)
		if ((fresh & 1u << i) != 0)
			upconn_pin(u, i);
}

/* on_session_state = "warn". */
static bool
warns(const struct exchange *x)
{
	return pg_of(x)->done != 0 &&
	    pg_conf(x->s)->on_session_state == PG_STATE_WARN &&
	    x->upstream->pool.span != CONF_SPAN_SESSION;
}

bool
pg_state_has_news(const struct exchange *x)
{
	const struct pg_exchange *px = pg_of(x);

	return (px->status == 'I' && warns(x)) || (px->status != 'E' &&
	    (px->resets || px->resets_one || px->restores != NULL));
}

static int
tell_states(struct exchange *x)
{
	unsigned i;

	for (i = 0; i < PG_N_PINS; i++)
		if ((pg_of(x)->done & 1u << i) != 0 &&
		    pg_put_report(exchange_blocks(x), &x->s->conn.out, 'N',
		    "WARNING", "01000", "weir: this state of the session (%s) "
		    "ends with the transaction", pg_pins[i]) < 0)
			return -1;
	return 0;
}

/* The server has told of its own values, which weir will not leave at that. */
static int
tell_startup(struct exchange *x)
{
	const struct pg_upconn *pu = pg_upconn(x->lease->u);
	const char *name, *value;
	uint32_t at = 0;

	while (pg_settings_next(pg_session(x->s)->startup, &at, &name, &value))
		if ((pg_of(x)->resets || pg_of(x)->resets_one ||
		    pg_settings_find(pg_of(x)->restores, name) != NULL) &&
		    pg_settings_find(pu->settings, name) == NULL &&
		    pg_settings_find(pu->welcome, name) != NULL &&
		    pg_put_status(exchange_blocks(x), &x->s->conn.out, name,
		    value) < 0)
			return -1;
	return 0;
}

/* Of what the server does not report it cannot be told which RESET was meant
   for: all of them are set anew before anybody relies on them. */
static int
forget_unreported(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_settings *had = pg_settings_keep(pu->settings);
	const char *name, *value;
	uint32_t at = 0;
	int bad = 0;

	while (bad == 0 && pg_settings_next(had, &at, &name, &value))
		if (pg_settings_find(pu->welcome, name) == NULL)
			bad = pg_settings_change(&pu->settings, name,
			    pg_state_unknown);
	pg_settings_drop(had);
	return bad;
}

/* RESET takes to what was there when the client came: its start-up packet,
   which the server knows nothing of. At once, so that what comes next finds it,
   and a SET to the server's own value is not taken for a RESET; in a
   transaction only what the server tells of when it is rolled back. */
static int
set_anew(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	bool all = px->resets || px->resets_one, rests = px->status == 'I';

	if (px->owed.n > 0 || px->unsynced)
		return 0;
	if ((all && rests && forget_unreported(x->lease->u) < 0) ||
	    pg_state_restore(x, all ? pg_session(x->s)->startup :
	    px->restores, rests) < 0)
		return -1;
	px->forgot = px->forgot || (all && rests);
	px->forgets = px->forgets || (all && !rests);
	px->resets = px->resets_one = px->clears = false;
	pg_settings_set(&px->restores, NULL);
	return 0;
}

int
pg_state_tell(struct exchange *x)
{
	if (pg_of(x)->status == 'I' && warns(x) && tell_states(x) < 0)
		return -1;
	return tell_startup(x) < 0 || set_anew(x) < 0 ? -1 : 0;
}

/* What could not be set anew meanwhile the next exchange will. unreported: of
   that alone. */
static int
restore(struct exchange *x, const struct pg_settings *from, bool unreported)
{
	struct pg_session *ps = pg_session(x->s);
	const struct pg_settings *welcome = pg_upconn(x->lease->u)->welcome;
	const char *name, *value, *now;
	uint32_t at = 0;

	while (pg_settings_next(from, &at, &name, &value)) {
		if (unreported && pg_settings_find(welcome, name) != NULL)
			continue;
		now = pg_settings_find(ps->settings, name);
		if ((now == NULL || strcmp(now, pg_state_unknown) == 0) &&
		    pg_settings_change(&ps->settings, name, value) < 0)
			return -1;
	}
	return 0;
}

/* The lone statement is done, and what it was about known. */
static int
after_lone(struct exchange *x)
{
	struct pg_upconn *pu = pg_upconn(x->lease->u);
	const char *name = "", *value = "", *usual;
	uint32_t at = 0;
	bool resets;

	(void)pg_settings_next(pg_of(x)->lone, &at, &name, &value);
	resets = strcmp(value, pg_state_unknown) == 0;
	if (pg_settings_find(pu->welcome, name) == NULL &&
	    pg_settings_change(&pu->settings, name, resets ? NULL : value) < 0)
		return -1;
	usual = resets ? pg_settings_find(pg_session(x->s)->startup, name) :
	    NULL;
	return pg_settings_change(&pg_of(x)->restores, name, usual);
}

/* What was done has been committed, unless something failed on the way: then
   nothing of it is taken for done. */
static void
committed(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	if (px->lone_done && px->erred)
		px->dirty = true;
	else if (px->lone_done && after_lone(x) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
	if (!px->erred)
		pg_session(x->s)->pins &= (uint16_t)~px->undone;
	pg_settings_drop(px->lone);
	px->lone = NULL;
	px->lone_done = px->erred = false;
	px->undone = 0;
}

/* Is the lone statement a RESET of what the server reports? */
static bool
resets_reported(const struct exchange *x)
{
	const char *name, *value;
	uint32_t at = 0;

	return pg_settings_next(pg_of(x)->lone, &at, &name, &value) &&
	    strcmp(value, pg_state_unknown) == 0 && is_reported(x, name);
}

void
pg_state_ready(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	if (px->status == 'I') {
		committed(x);
		return;
	}
	if (!resets_reported(x))
		return;
	if (px->status == 'T' && px->lone_done && after_lone(x) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
	pg_settings_set(&px->lone, NULL);
	px->lone_done = false;
}

/* The client has not set what was forgotten: it is as with everybody. */
static int
drop_unknown(struct pg_session *ps)
{
	struct pg_settings *now = pg_settings_keep(ps->settings);
	const char *name, *value;
	uint32_t at = 0;
	int bad = 0;

	while (bad == 0 && pg_settings_next(now, &at, &name, &value))
		if (strcmp(value, pg_state_unknown) == 0)
			bad = pg_settings_change(&ps->settings, name, NULL);
	pg_settings_drop(now);
	return bad;
}

void
pg_state_leaves(struct upconn *u, unsigned pins)
{
	/* Nothing unloads a library but the end of the process. */
	if ((pins & 1u << PG_PIN_LOAD) != 0)
		upconn_mark(u, MARK_BROKEN, "a library was loaded");
}

/* A text that is too large to be kept here stays where it is, and its client
   with it, if there may be one more of those. Otherwise it ends with the
   transaction: a Bind that comes later is told that there is none. */
static void
rest_large(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);
	struct upconn *u = x->lease->u;

	if ((ps->pins & 1u << PG_PIN_LARGE) == 0 ||
	    x->upstream->pool.span == CONF_SPAN_SESSION)
		return;
	if (pg_conf(x->s)->on_session_state == PG_STATE_PIN &&
	    (u->pins || upstream_pin_take(u->pool->upstream)))
		u->pins = true;
	else
		ps->pins &= (uint16_t)~(1u << PG_PIN_LARGE);
}

void
pg_state_rest(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_session *ps = pg_session(x->s);
	struct upconn *u = x->lease->u;
	bool all = px->resets || px->resets_one;
	unsigned fresh;

	committed(x);
	ps->vouched = true;
	rest_large(x);
	fresh = px->done & ~(unsigned)ps->pins;
	if (((all || px->forgets) && forget_unreported(u) < 0) ||
	    pg_name_rest(x) < 0 ||
	    restore(x, all ? ps->startup : px->restores, false) < 0 ||
	    (px->forgets && restore(x, ps->startup, true) < 0) ||
	    ((all || px->forgets || px->forgot) && drop_unknown(ps) < 0))
		upconn_mark(u, MARK_BROKEN, "out of memory");
	if (warns(x))
		px->dirty = true;
	else
		ps->pins |= (uint16_t)fresh;
	if (ps->pins != 0 && !px->dirty) {
		pin(x, u->pinned ? fresh : ps->pins);
		x->keeps = true;
		return;
	}
	/* It is this client's until it leaves: then it is washed. */
	if (x->upstream->pool.span == CONF_SPAN_SESSION && !px->dirty)
		return;
	pg_state_leaves(u, ps->pins | px->done);
	ps->pins = 0;
	/* What was once set on it, and is undone as far as is known; and DO,
	   which can put together in its text what the scan does not see. */
	if (px->dirty || (u->pinned && !px->discarded) ||
	    (px->flags & (LASTING | PG_SCAN_DO)) != 0) {
		pg_upconn(u)->wash.discards = true;
		pg_upconn(u)->wash.status = 'I';
		upconn_mark(u, MARK_DIRTY, "session state");
	}
}
