/*
 * Prepared statements on their way up: the client's names become weir's, what
 * the connection has not prepared yet is prepared first, and what it has is not
 * prepared again (PostgreSQL 55.2.3).
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/lone.h"
#include "proxy/proto/postgres/up.h"

enum { BIND_NAMES_MOST = 2 * PG_NAME_MOST };

/* A name that no statement has, sent so that the server fails what has to fail:
   then its transaction fails, too. */
static const char nobody[] = "weir: none of that name";

/* --------------------------------------------------------------- statements */

/* A Parse of weir's own, or for the client, by the name that servers know. */
static int
put_parse(struct exchange *x, const char *name, const struct pg_statement *st)
{
	size_t len = strlen(name) + 1;
	char head[PG_HEAD] = { 'P' };

	pg_set_u32(head + 1, (uint32_t)(4 + len + st->len));
	if (buf_append(pg_up_store(x), pg_up_out(x), head, sizeof(head)) < 0 ||
	    buf_append(pg_up_store(x), pg_up_out(x), name, len) < 0 ||
	    buf_append(pg_up_store(x), pg_up_out(x), st->body, st->len) < 0)
		return -1;
	return 0;
}

static struct pg_owed *
owe_parse(struct exchange *x, enum pg_owed_how how, struct pg_statement *st)
{
	struct pg_owed *o = pg_up_owe(x, PG_OWED_PARSE, how);

	if (o == NULL)
		return NULL;
	o->st = pg_statement_keep(st);
	o->id = st->id;
	return o;
}

/* The connection has it no more. */
static int
close_one(struct exchange *x, uint64_t id)
{
	char name[PG_SERVER_NAME], body[1 + PG_SERVER_NAME] = "S";
	struct pg_owed *o = pg_up_owe(x, PG_OWED_CLOSE, PG_SKIP);

	if (o == NULL)
		return -1;
	o->id = id;
	pg_statement_name(id, name);
	memcpy(body + 1, name, strlen(name) + 1);
	if (pg_put(pg_up_store(x), pg_up_out(x), 'C', body,
	    strlen(body) + 1) < 0)
		return -1;
	pg_prepared_remove(&pg_upconn(x->lease->u)->prepared, id);
	return 0;
}

/* Room for one more on the connection: what was longest unused goes. */
static int
make_room(struct exchange *x)
{
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	int64_t most = pg_conf(x->s)->prepared;

	while (set->n > 0 && set->n >= (uint64_t)most)
		if (close_one(x, pg_prepared_oldest(set)) < 0)
			return -1;
	return 0;
}

/* The connection has it, under weir's name, when what is sent now is read. */
int
pg_provide(struct exchange *x, struct pg_statement *st)
{
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	char name[PG_SERVER_NAME];

	if (pg_prepared_use(set, st->id))
		return 0;
	pg_statement_name(st->id, name);
	if (make_room(x) < 0 || owe_parse(x, PG_SKIP, st) == NULL ||
	    put_parse(x, name, st) < 0 || pg_prepared_add(set, st->id) < 0)
		return -1;
	return 0;
}

/* Likewise as its unnamed one. */
static int
provide_unnamed(struct exchange *x, struct pg_statement *st)
{
	struct pg_upconn *pu = pg_upconn(x->lease->u);

	if (pu->unnamed == st->id)
		return 0;
	if (owe_parse(x, PG_SKIP, st) == NULL || put_parse(x, "", st) < 0)
		return -1;
	pu->unnamed = st->id;
	return 0;
}

/* The message with another name at a place: `at` bytes of what is before it,
   then the rest behind the old one. */
static enum pg_step
pass_renamed(struct exchange *x, const char *bytes, uint32_t size, size_t at,
    size_t old_len, const char *name)
{
	size_t len = strlen(name) + 1;
	char head[PG_HEAD] = { bytes[0] };

	pg_set_u32(head + 1, (uint32_t)(size - 1 - old_len + len));
	if (buf_append(pg_up_store(x), pg_up_out(x), head, sizeof(head)) < 0 ||
	    buf_append(pg_up_store(x), pg_up_out(x), bytes + PG_HEAD,
	    at - PG_HEAD) < 0 ||
	    buf_append(pg_up_store(x), pg_up_out(x), name, len) < 0)
		return PG_STEP_NO_MEMORY;
	buf_drop(pg_up_store(x), pg_up_in(x), at + old_len);
	return pg_up_pass(x, size - (uint32_t)(at + old_len));
}

/* -------------------------------------------------------------------- Parse */

static void
read_flags(struct exchange *x, struct pg_statement *st)
{
	struct pg_scan scan;

	pg_state_scan(x, &scan);
	pg_scan_feed(&scan, st->body, strlen(st->body));
	st->flags = pg_state_flags(x, &scan);
}

bool
pg_deallocates(struct exchange *x, const char *text, size_t len,
    char name[PG_SERVER_NAME])
{
	struct pg_exchange *px = pg_of(x);
	struct pg_lone l;
	struct pg_name *n;

	pg_lone_read(&l, text, len);
	n = l.kind == PG_LONE_DEALLOCATE && px->deallocates == NULL ?
	    pg_name_find(&pg_session(x->s)->names, l.name) : NULL;
	if (n == NULL)
		return false;
	px->deallocates = n;
	px->clears = true;
	pg_statement_name(n->st->id, name);
	return true;
}

/* It becomes the client's unnamed statement: takes the reference. */
static struct pg_owed *
owe_unnamed(struct exchange *x, struct pg_statement *st)
{
	struct pg_owed *o = owe_parse(x, PG_FORWARD, st);

	if (o == NULL) {
		pg_statement_drop(&pg_lane(x->s)->statements, st);
		return NULL;
	}
	pg_forget_unnamed(x, o);
	pg_session(x->s)->unnamed = st;
	pg_of(x)->unnamed_here = true;
	pg_upconn(x->lease->u)->unnamed = st->id;
	return o;
}

/* The same as an unnamed statement: with the server's name in its text. */
static enum pg_step
parse_deallocate(struct exchange *x, const char *name, uint32_t size)
{
	char text[16 + PG_SERVER_NAME + 2] = "DEALLOCATE ";
	struct pg_statement *st;
	struct pg_owed *o;
	size_t at;

	strcat(text, name);
	at = strlen(text) + 1;
	text[at] = text[at + 1] = '\0';         /* no parameters */
	st = pg_statement_own(&pg_lane(x->s)->statements, text, at + 2);
	if (st == NULL)
		return PG_STEP_NO_MEMORY;
	if (pg_provide(x, pg_of(x)->deallocates->st) < 0)
		return PG_STEP_NO_MEMORY;
	o = owe_unnamed(x, st);
	if (o == NULL || put_parse(x, "", st) < 0)
		return PG_STEP_NO_MEMORY;
	return pg_up_drop(x, size);
}

static bool
is_read_as_usual(const struct exchange *x)
{
	const struct pg_settings *own = pg_of(x)->wanted;

	return pg_settings_find(own, "client_encoding") == NULL &&
	    pg_settings_find(own, "standard_conforming_strings") == NULL &&
	    pg_settings_find(pg_upconn(x->lease->u)->settings,
	    "client_encoding") == NULL && pg_upconn(x->lease->u)->standard;
}

static enum pg_step
parse_unnamed(struct exchange *x, const char *body, size_t len, uint32_t size)
{
	struct pg_lane *lane = pg_lane(x->s);
	struct pg_statement *st = pg_statement_own(&lane->statements, body,
	    len);
	char name[PG_SERVER_NAME];

	if (st == NULL)
		return PG_STEP_NO_MEMORY;
	read_flags(x, st);
	if ((st->flags & PG_SCAN_DEALLOCATE) != 0 &&
	    pg_deallocates(x, st->body, strlen(st->body), name)) {
		pg_statement_drop(&lane->statements, st);
		return parse_deallocate(x, name, size);
	}
	if (pg_state_sequences(x, st->flags) < 0 || owe_unnamed(x, st) == NULL)
		return PG_STEP_NO_MEMORY;
	return pg_up_pass(x, size);
}

/* The name is taken: the server fails, too, as it has that name; but first it
   reads the text, and looks at its transaction, and may fail on these. What is
   not prepared anew it has no name for: it fails on something else. */
static enum pg_step
parse_again(struct exchange *x, struct pg_name *n, const char *bytes,
    uint32_t size)
{
	static const char fails[] = "Sweir: none of that name";
	bool has = pg_prepared_use(&pg_upconn(x->lease->u)->prepared,
	    n->st->id);
	char name[PG_SERVER_NAME];
	struct pg_owed *o;

	if (!n->st->retired && pg_provide(x, n->st) < 0)
		return PG_STEP_NO_MEMORY;
	o = owe_parse(x, PG_REWORD, n->st);
	if (o == NULL)
		return PG_STEP_NO_MEMORY;
	o->id = PG_REFUSAL_EXISTS;
	o->name = n;
	if (n->st->retired && !has)
		return pg_put(pg_up_store(x), pg_up_out(x), 'D', fails,
		    sizeof(fails)) < 0 ? PG_STEP_NO_MEMORY :
		    pg_up_drop(x, size);
	pg_statement_name(n->st->id, name);
	return pass_renamed(x, bytes, size, PG_HEAD, strlen(n->name) + 1,
	    name);
}

/* Is the transaction that the server is in when it reads what is sent now a
   failed one, or can it be? What is owed may fail it. */
static bool
may_have_failed(struct exchange *x)
{
	const struct pg_exchange *px = pg_of(x);

	return px->status == 'E' || ((px->status == 'T' ||
	    (px->flags & PG_SCAN_BEGIN) != 0) && !pg_up_is_first(x));
}

/* The connection has it: weir answers, unless the server might fail it. Then it
   is to prepare it anew. */
static struct pg_owed *
parse_known(struct exchange *x, struct pg_statement *st)
{
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	char name[PG_SERVER_NAME];
	struct pg_owed *o;

	if (!may_have_failed(x))
		return owe_parse(x, PG_SAY, st);
	pg_statement_name(st->id, name);
	if (close_one(x, st->id) < 0)
		return NULL;
	o = owe_parse(x, PG_FORWARD, st);
	if (o == NULL || put_parse(x, name, st) < 0 ||
	    pg_prepared_add(set, st->id) < 0)
		return NULL;
	return o;
}

/* bytes: the whole message, with the name at its begin. */
static enum pg_step
parse_named(struct exchange *x, const char *bytes, const char *body,
    size_t len, uint32_t size)
{
	const char *client_name = bytes + PG_HEAD;
	struct pg_session *ps = pg_session(x->s);
	struct pg_lane *lane = pg_lane(x->s);
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	struct pg_name *n = pg_name_find(&ps->names, client_name);
	char name[PG_SERVER_NAME];
	struct pg_statement *st;
	struct pg_owed *o;
	bool is_new;

	if (n != NULL)
		return parse_again(x, n, bytes, size);
	if (ps->names.bytes + size > PG_NAMES_MOST_BYTES)
		return PG_STEP_BAD;
	/* The same bytes are the same statement to all who are read alike. */
	is_new = true;
	st = is_read_as_usual(x) ? pg_statement_get(&lane->statements, body,
	    len, &is_new) : pg_statement_own(&lane->statements, body, len);
	if (st == NULL)
		return PG_STEP_NO_MEMORY;
	if (is_new)
		read_flags(x, st);
	n = pg_name_add(&ps->names, client_name, st);
	pg_statement_drop(&lane->statements, st);
	if (n == NULL || pg_state_sequences(x, st->flags) < 0)
		return PG_STEP_NO_MEMORY;
	if (pg_prepared_use(set, st->id))
		o = parse_known(x, st);
	else {
		pg_statement_name(st->id, name);
		if (make_room(x) < 0)
			return PG_STEP_NO_MEMORY;
		o = owe_parse(x, PG_FORWARD, st);
		if (put_parse(x, name, st) < 0 ||
		    pg_prepared_add(set, st->id) < 0)
			return PG_STEP_NO_MEMORY;
	}
	if (o == NULL)
		return PG_STEP_NO_MEMORY;
	o->name = n;
	return pg_up_drop(x, size);
}

/* Too long to be kept: it stays where it is, and its client with it. */
static enum pg_step
parse_large(struct exchange *x, uint32_t size)
{
	struct pg_exchange *px = pg_of(x);
	struct pg_owed *o;
	enum pg_step step;

	o = pg_up_owe(x, PG_OWED_PARSE, PG_FORWARD);
	if (o == NULL)
		return PG_STEP_NO_MEMORY;
	pg_forget_unnamed(x, o);
	pg_session(x->s)->pins |= 1u << PG_PIN_LARGE;
	pg_of(x)->unnamed_here = true;
	px->up_left = PG_HEAD + 1;
	step = pg_up_pass_some(x);
	pg_state_scan(x, &px->scan);
	px->scanning = true;
	px->up_left = size - PG_HEAD - 1;
	return step == PG_STEP_DONE ? pg_up_pass_some(x) : step;
}

enum pg_step
pg_take_parse(struct exchange *x, const struct pg_head *h)
{
	size_t at = PG_HEAD, len;
	const char *name, *bytes;
	char *copy = NULL;
	enum pg_step step;
	char first;

	if (pg_up_in(x)->len <= PG_HEAD)
		return PG_STEP_WAIT;
	pg_copy_at(pg_up_in(x), PG_HEAD, &first, 1);
	if (pg_up_must_wait(x, first == '\0'))
		return PG_STEP_WAIT;
	if (first == '\0' && h->size > BUF_LARGE)
		return parse_large(x, h->size);
	if (h->size > PG_NAMES_MOST_BYTES)
		return PG_STEP_BAD;
	if (pg_up_in(x)->len < h->size)
		return PG_STEP_WAIT;
	if (h->size <= BUF_LARGE)
		bytes = buf_flat(pg_up_store(x), pg_up_in(x), h->size);
	else {
		bytes = copy = malloc(h->size);
		if (copy != NULL)
			pg_copy_at(pg_up_in(x), 0, copy, h->size);
	}
	if (bytes == NULL)
		return PG_STEP_NO_MEMORY;
	name = pg_string(bytes, h->size, &at);
	len = h->size - at;
	if (name == NULL || strlen(name) >= PG_NAME_MOST ||
	    !pg_statement_is_body(bytes + at, len))
		step = PG_STEP_BAD;
	else if (*name == '\0')
		step = parse_unnamed(x, bytes + at, len, h->size);
	else
		step = parse_named(x, bytes, bytes + at, len, h->size);
	free(copy);
	return step;
}

/* ------------------------------------------- Bind, Describe, Close, by name */

/* The server's name for a client's, with what it takes to have it there. */
struct named {
	const char *name;
	struct pg_statement *st;        /* NULL = there is none */
	enum pg_refusal words;            /* it will fail: why */
	char room[PG_SERVER_NAME];
};

static int
resolve_unnamed(struct exchange *x, struct named *to)
{
	struct pg_session *ps = pg_session(x->s);

	to->name = "";
	to->st = ps->unnamed;
	if (to->st != NULL)
		return provide_unnamed(x, to->st);
	/* What is there was somebody else's, unless it is too large to be
	   kept. */
	if ((ps->pins & 1u << PG_PIN_LARGE) == 0) {
		to->name = nobody;
		to->words = PG_REFUSAL_NO_UNNAMED;
	}
	return 0;
}

static int
resolve(struct exchange *x, const char *name, struct named *to)
{
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	struct pg_name *n;

	*to = (struct named){ .words = PG_REFUSAL_NONE };
	if (*name == '\0')
		return resolve_unnamed(x, to);
	n = pg_name_find(&pg_session(x->s)->names, name);
	if (n == NULL) {
		/* Nobody may reach by weir's name what he has not prepared. */
		to->name = strncmp(name, "weir_", 5) == 0 ? nobody : name;
		return 0;
	}
	to->st = n->st;
	if (n->st->retired && !pg_prepared_use(set, n->st->id)) {
		to->name = nobody;
		to->words = PG_REFUSAL_PLAN;
		return 0;
	}
	pg_statement_name(n->st->id, to->room);
	to->name = to->room;
	return pg_provide(x, n->st);
}

static unsigned
flags_of(const struct exchange *x, const char *name)
{
	const struct pg_session *ps = pg_session(x->s);
	const struct pg_name *n;

	if (*name == '\0')
		return ps->unnamed != NULL ? ps->unnamed->flags : 0;
	n = pg_name_find(&ps->names, name);
	return n != NULL ? n->st->flags : 0;
}

/* Is about that statement; fails where it has to. */
static struct pg_owed *
owe_named(struct exchange *x, enum pg_owed_kind kind, const struct named *to)
{
	struct pg_owed *o = pg_up_owe(x, kind, to->words == PG_REFUSAL_NONE ?
	    PG_FORWARD : PG_REWORD);

	if (o == NULL)
		return NULL;
	if (to->words != PG_REFUSAL_NONE)
		o->id = to->words;
	else if (to->st != NULL) {
		o->st = pg_statement_keep(to->st);
		o->id = to->st->id;
	}
	return o;
}

enum pg_step
pg_take_bind(struct exchange *x, const struct pg_head *h)
{
	uint32_t most = h->size < PG_HEAD + BIND_NAMES_MOST ? h->size :
	    PG_HEAD + BIND_NAMES_MOST;
	size_t at = PG_HEAD, name_at;
	enum pg_refusal words;
	const char *bytes, *name;
	struct named to;
	enum pg_step step;

	bytes = pg_up_whole(x, most, &step);
	if (bytes == NULL)
		return step;
	if (pg_string(bytes, most, &at) == NULL)
		return PG_STEP_BAD;
	name_at = at;
	name = pg_string(bytes, most, &at);
	if (name == NULL)
		return PG_STEP_BAD;
	if (pg_up_must_wait(x, *name == '\0' && pg_of(x)->unnamed_here))
		return PG_STEP_WAIT;
	if (pg_state_sequences(x, flags_of(x, name)) < 0 ||
	    resolve(x, name, &to) < 0)
		return PG_STEP_NO_MEMORY;
	if (to.words == PG_REFUSAL_NONE && to.st != NULL) {
		if (pg_state_is_lone(x, to.st->body, strlen(to.st->body),
		    to.st->flags) && pg_up_must_be_first(x))
			return PG_STEP_WAIT;
		pg_brief_note(&pg_of(x)->brief, to.st->body,
		    strlen(to.st->body));
		words = pg_state_sent(x, pg_state_carries(x, to.st->body,
		    strlen(to.st->body), to.st->flags));
		if (words != PG_REFUSAL_NONE) {
			to.words = words;
			to.name = nobody;
		}
	}
	if (owe_named(x, PG_OWED_BIND, &to) == NULL)
		return PG_STEP_NO_MEMORY;
	return pass_renamed(x, bytes, h->size, name_at, at - name_at, to.name);
}

/* 'S' or 'P', and a name. */
static const char *
what_and_name(struct exchange *x, const struct pg_head *h, enum pg_step *step)
{
	const char *bytes;

	if (h->size < PG_HEAD + 2 || h->size > PG_HEAD + 1 + PG_NAME_MOST) {
		*step = PG_STEP_BAD;
		return NULL;
	}
	bytes = pg_up_whole(x, h->size, step);
	if (bytes != NULL && ((bytes[PG_HEAD] != 'S' &&
	    bytes[PG_HEAD] != 'P') || memchr(bytes + PG_HEAD, '\0',
	    h->size - PG_HEAD) != bytes + h->size - 1)) {
		*step = PG_STEP_BAD;
		return NULL;
	}
	return bytes;
}

enum pg_step
pg_take_describe(struct exchange *x, const struct pg_head *h)
{
	const char *bytes, *name;
	struct named to;
	enum pg_step step;

	bytes = what_and_name(x, h, &step);
	if (bytes == NULL)
		return step;
	if (bytes[PG_HEAD] == 'P') {
		if (pg_up_owe(x, PG_OWED_PORTAL, PG_FORWARD) == NULL)
			return PG_STEP_NO_MEMORY;
		return pg_up_pass(x, h->size);
	}
	name = bytes + PG_HEAD + 1;
	if (pg_up_must_wait(x, *name == '\0' && pg_of(x)->unnamed_here))
		return PG_STEP_WAIT;
	if (resolve(x, name, &to) < 0 ||
	    owe_named(x, PG_OWED_DESCRIBE, &to) == NULL)
		return PG_STEP_NO_MEMORY;
	return pass_renamed(x, bytes, h->size, PG_HEAD + 1, strlen(name) + 1,
	    to.name);
}

/* A client's name goes; the connection keeps the statement for the others. */
enum pg_step
pg_take_close(struct exchange *x, const struct pg_head *h)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_owed *o;
	const char *bytes;
	enum pg_step step;

	bytes = what_and_name(x, h, &step);
	if (bytes == NULL)
		return step;
	if (bytes[PG_HEAD] == 'S' && pg_up_must_wait(x, false))
		return PG_STEP_WAIT;
	if (bytes[PG_HEAD] == 'P' || bytes[PG_HEAD + 1] == '\0') {
		o = pg_up_owe(x, PG_OWED_CLOSE, PG_FORWARD);
		if (o == NULL)
			return PG_STEP_NO_MEMORY;
		if (bytes[PG_HEAD] == 'S')
			pg_forget_unnamed(x, o);
		return pg_up_pass(x, h->size);
	}
	o = pg_up_owe(x, PG_OWED_CLOSE, PG_SAY);
	if (o == NULL)
		return PG_STEP_NO_MEMORY;
	o->name = pg_name_find(&ps->names, bytes + PG_HEAD + 1);
	if (o->name != NULL)
		pg_name_take(&ps->names, o->name);
	return pg_up_drop(x, h->size);
}
