/*
 * A client's messages on their way to the server: each is looked at for what it
 * asks for, which is noted as owed, and sent on; names of prepared statements
 * become weir's, and what the connection has not prepared yet is prepared first
 * (PostgreSQL 55.2.3).
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/postgres.h"

enum { BIND_NAMES_MOST = 2 * PG_NAME_MOST };

/* A name that no statement has, sent so that the server fails what has to fail:
   then its transaction fails, too. */
static const char nobody[] = "weir: none of that name";

/* What becomes of one message. */
enum step {
	STEP_DONE,                      /* it is on its way, or dropped */
	STEP_WAIT,                      /* more of it has to come, or what is
					   before it has to be answered */
	STEP_BAD,                       /* malformed: its client is told so */
	STEP_NO_MEMORY,
	STEP_OVER                       /* the exchange has ended */
};

static struct block_store *
store_of(const struct exchange *x)
{
	return exchange_blocks(x);
}

static struct buf *
in_of(const struct exchange *x)
{
	return &x->s->conn.in;
}

static struct buf *
out_of(const struct exchange *x)
{
	return &x->lease->u->conn.out;
}

/* -------------------------------------------------------------------- passing */

/* So many bytes go on as they are, read on the way if they are SQL. */
static enum step
pass_some(struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);

	while (px->up_left > 0 && in_of(x)->len > 0) {
		size_t len;
		const char *bytes = buf_front(in_of(x), &len);

		if (len > px->up_left)
			len = px->up_left;
		/* Its last byte is its end. */
		if (px->scanning)
			pg_scan_feed(&px->scan, bytes,
			    len == px->up_left ? len - 1 : len);
		if (buf_move(store_of(x), out_of(x), in_of(x), len) < 0)
			return STEP_NO_MEMORY;
		px->up_left -= (uint32_t)len;
	}
	if (px->up_left > 0)
		return STEP_WAIT;
	/* It has been sent: what it leaves behind is kept or washed away. */
	if (px->scanning && pg_state_sent(x, pg_state_flags(x, &px->scan)) !=
	    PG_REFUSAL_NONE)
		px->dirty = true;
	px->scanning = false;
	return STEP_DONE;
}

static enum step
pass(struct exchange *x, uint32_t size)
{
	pg_of(x)->up_left = size;
	return pass_some(x);
}

static enum step
drop(struct exchange *x, uint32_t size)
{
	struct pg_session *ps = pg_session(x->s);
	uint32_t n = size < in_of(x)->len ? size : in_of(x)->len;

	buf_drop(store_of(x), in_of(x), n);
	ps->drop_left = size - n;
	return STEP_DONE;
}

static struct pg_owed *
owe(struct exchange *x, enum pg_owed_kind kind, enum pg_owed_how how)
{
	struct pg_owed *o = pg_owed_push(&pg_of(x)->owed);

	if (o == NULL)
		return NULL;
	o->kind = (uint16_t)kind;
	o->how = (uint8_t)how;
	if (kind == PG_OWED_QUERY || kind == PG_OWED_CALL ||
	    kind == PG_OWED_SYNC)
		pg_of(x)->unsynced = false;
	else
		pg_of(x)->unsynced = true;
	return o;
}

/* The whole message in one piece, or NULL: more of it has to come. */
static const char *
whole(struct exchange *x, uint32_t size, enum step *step)
{
	const char *bytes;

	*step = STEP_WAIT;
	if (in_of(x)->len < size)
		return NULL;
	bytes = buf_flat(store_of(x), in_of(x), size);
	if (bytes == NULL)
		*step = STEP_NO_MEMORY;
	return bytes;
}

/* --------------------------------------------------------------- simple queries */

/* The server forgets its unnamed statement with each of them. */
static void
forget_unnamed(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);

	pg_statement_drop(&pg_lane(x->s)->statements, ps->unnamed);
	ps->unnamed = NULL;
	ps->pins &= (uint16_t)~(1u << PG_PIN_LARGE);
	pg_upconn(x->lease->u)->unnamed = 0;
}

/* In the place of what may not be done: the server fails, and its transaction
   with it, and the client is told why. */
static enum step
refuse_query(struct exchange *x, uint32_t size, enum pg_refusal words)
{
	struct pg_owed *o = owe(x, PG_OWED_QUERY, PG_REWORD);

	if (o == NULL ||
	    pg_put_query(store_of(x), out_of(x), "weir refuses this") < 0)
		return STEP_NO_MEMORY;
	o->id = words;
	forget_unnamed(x);
	return drop(x, size);
}

static enum step
take_query(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);
	enum pg_refusal words;
	const char *bytes;
	enum step step;

	pg_state_scan(x, &px->scan);
	if (h->size <= BUF_LARGE) {
		bytes = whole(x, h->size, &step);
		if (bytes == NULL)
			return step;
		if (h->size == PG_HEAD || bytes[h->size - 1] != '\0')
			return STEP_BAD;
		pg_scan_feed(&px->scan, bytes + PG_HEAD, h->size - PG_HEAD - 1);
		words = pg_state_sent(x, pg_state_flags(x, &px->scan));
		if (words != PG_REFUSAL_NONE)
			return refuse_query(x, h->size, words);
	}
	if (owe(x, PG_OWED_QUERY, PG_FORWARD) == NULL)
		return STEP_NO_MEMORY;
	forget_unnamed(x);
	if (h->size <= BUF_LARGE)
		return pass(x, h->size);
	px->up_left = PG_HEAD;
	step = pass_some(x);
	px->scanning = true;
	px->up_left = h->size - PG_HEAD;
	return step == STEP_DONE ? pass_some(x) : step;
}

/* ------------------------------------------------------------------- statements */

/* A Parse of weir's own, or for the client, by the name that servers know. */
static int
put_parse(struct exchange *x, const char *name, const struct pg_statement *st)
{
	size_t len = strlen(name) + 1;
	char head[PG_HEAD] = { 'P' };

	pg_set_u32(head + 1, (uint32_t)(4 + len + st->len));
	if (buf_append(store_of(x), out_of(x), head, sizeof(head)) < 0 ||
	    buf_append(store_of(x), out_of(x), name, len) < 0 ||
	    buf_append(store_of(x), out_of(x), st->body, st->len) < 0)
		return -1;
	return 0;
}

static struct pg_owed *
owe_parse(struct exchange *x, enum pg_owed_how how, struct pg_statement *st)
{
	struct pg_owed *o = owe(x, PG_OWED_PARSE, how);

	if (o == NULL)
		return NULL;
	o->st = pg_statement_keep(st);
	o->id = st->id;
	return o;
}

/* Room for one more on the connection: what was longest unused goes. */
static int
make_room(struct exchange *x)
{
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	int64_t most = pg_conf(x->s)->prepared;
	char name[PG_SERVER_NAME], body[1 + PG_SERVER_NAME] = "S";

	while (set->n > 0 && set->n >= (uint64_t)most) {
		uint64_t id = pg_prepared_oldest(set);
		struct pg_owed *o = owe(x, PG_OWED_CLOSE, PG_SKIP);

		if (o == NULL)
			return -1;
		o->id = id;
		pg_statement_name(id, name);
		memcpy(body + 1, name, strlen(name) + 1);
		if (pg_put(store_of(x), out_of(x), 'C', body,
		    strlen(body) + 1) < 0)
			return -1;
		pg_prepared_remove(set, id);
	}
	return 0;
}

/* The connection has it, under weir's name, when what is sent now is read. */
static int
provide(struct exchange *x, struct pg_statement *st)
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

/* ------------------------------------------------------------------------ Parse */

/* Text, number of types, types: is that all of it? */
static bool
is_body(const char *body, size_t len)
{
	size_t at = 0;

	return pg_string(body, len, &at) != NULL && len - at >= 2 &&
	    len - at - 2 == (size_t)pg_u16(body + at) * 4;
}

static void
read_flags(struct exchange *x, struct pg_statement *st)
{
	struct pg_scan scan;

	pg_state_scan(x, &scan);
	pg_scan_feed(&scan, st->body, strlen(st->body));
	st->flags = pg_state_flags(x, &scan);
}

static enum step
parse_unnamed(struct exchange *x, const char *body, size_t len, uint32_t size)
{
	struct pg_lane *lane = pg_lane(x->s);
	struct pg_statement *st = pg_statement_own(&lane->statements, body,
	    len);

	if (st == NULL)
		return STEP_NO_MEMORY;
	read_flags(x, st);
	forget_unnamed(x);
	pg_session(x->s)->unnamed = st;         /* and its reference */
	if (owe_parse(x, PG_FORWARD, st) == NULL)
		return STEP_NO_MEMORY;
	pg_upconn(x->lease->u)->unnamed = st->id;
	return pass(x, size);
}

/* The name is taken: so it is on the connection, too, under weir's. */
static enum step
parse_again(struct exchange *x, struct pg_name *n, uint32_t size)
{
	char name[PG_SERVER_NAME];
	struct pg_owed *o;

	pg_statement_name(n->st->id, name);
	if (provide(x, n->st) < 0)
		return STEP_NO_MEMORY;
	o = owe_parse(x, PG_REWORD, n->st);
	if (o == NULL || put_parse(x, name, n->st) < 0)
		return STEP_NO_MEMORY;
	o->id = PG_REFUSAL_EXISTS;
	o->name = n;
	return drop(x, size);
}

static enum step
parse_named(struct exchange *x, const char *client_name, const char *body,
    size_t len, uint32_t size)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_lane *lane = pg_lane(x->s);
	struct pg_prepared_set *set = &pg_upconn(x->lease->u)->prepared;
	struct pg_name *n = pg_name_find(&ps->names, client_name);
	char name[PG_SERVER_NAME];
	struct pg_statement *st;
	struct pg_owed *o;
	bool is_new;

	if (n != NULL)
		return parse_again(x, n, size);
	if (ps->names.bytes + size > PG_NAMES_MOST_BYTES)
		return STEP_BAD;
	st = pg_statement_get(&lane->statements, body, len, &is_new);
	if (st == NULL)
		return STEP_NO_MEMORY;
	if (is_new)
		read_flags(x, st);
	n = pg_name_add(&ps->names, client_name, st);
	pg_statement_drop(&lane->statements, st);
	if (n == NULL)
		return STEP_NO_MEMORY;
	if (pg_prepared_use(set, st->id))
		o = owe_parse(x, PG_SAY, st);
	else {
		pg_statement_name(st->id, name);
		if (make_room(x) < 0)
			return STEP_NO_MEMORY;
		o = owe_parse(x, PG_FORWARD, st);
		if (put_parse(x, name, st) < 0 ||
		    pg_prepared_add(set, st->id) < 0)
			return STEP_NO_MEMORY;
	}
	if (o == NULL)
		return STEP_NO_MEMORY;
	o->name = n;
	return drop(x, size);
}

/* Too long to be kept: it stays where it is, and its client with it. */
static enum step
parse_large(struct exchange *x, uint32_t size)
{
	struct pg_exchange *px = pg_of(x);
	enum step step;

	forget_unnamed(x);
	if (owe(x, PG_OWED_PARSE, PG_FORWARD) == NULL)
		return STEP_NO_MEMORY;
	pg_session(x->s)->pins |= 1u << PG_PIN_LARGE;
	px->up_left = PG_HEAD + 1;
	step = pass_some(x);
	pg_state_scan(x, &px->scan);
	px->scanning = true;
	px->up_left = size - PG_HEAD - 1;
	return step == STEP_DONE ? pass_some(x) : step;
}

static enum step
take_parse(struct exchange *x, const struct pg_head *h)
{
	size_t at = PG_HEAD, len;
	const char *name, *bytes;
	char *copy = NULL;
	enum step step;
	char first;

	if (in_of(x)->len <= PG_HEAD)
		return STEP_WAIT;
	pg_copy_at(in_of(x), PG_HEAD, &first, 1);
	if (first == '\0' && h->size > BUF_LARGE)
		return parse_large(x, h->size);
	if (h->size > PG_NAMES_MOST_BYTES)
		return STEP_BAD;
	if (in_of(x)->len < h->size)
		return STEP_WAIT;
	if (h->size <= BUF_LARGE)
		bytes = buf_flat(store_of(x), in_of(x), h->size);
	else {
		bytes = copy = malloc(h->size);
		if (copy != NULL)
			pg_copy_at(in_of(x), 0, copy, h->size);
	}
	if (bytes == NULL)
		return STEP_NO_MEMORY;
	name = pg_string(bytes, h->size, &at);
	len = h->size - at;
	if (name == NULL || strlen(name) >= PG_NAME_MOST ||
	    !is_body(bytes + at, len))
		step = STEP_BAD;
	else if (*name == '\0')
		step = parse_unnamed(x, bytes + at, len, h->size);
	else
		step = parse_named(x, name, bytes + at, len, h->size);
	free(copy);
	return step;
}

/* -------------------------------------------------- Bind, Describe, Close, by name */

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
	return provide(x, n->st);
}

/* Is about that statement; fails where it has to. */
static struct pg_owed *
owe_named(struct exchange *x, enum pg_owed_kind kind, const struct named *to)
{
	struct pg_owed *o = owe(x, kind, to->words == PG_REFUSAL_NONE ?
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

/* The message with another name at a place: `at` bytes of what is before it,
   then the rest behind the old one. */
static enum step
pass_renamed(struct exchange *x, const char *bytes, uint32_t size, size_t at,
    size_t old_len, const char *name)
{
	size_t len = strlen(name) + 1;
	char head[PG_HEAD] = { bytes[0] };

	pg_set_u32(head + 1, (uint32_t)(size - 1 - old_len + len));
	if (buf_append(store_of(x), out_of(x), head, sizeof(head)) < 0 ||
	    buf_append(store_of(x), out_of(x), bytes + PG_HEAD,
	    at - PG_HEAD) < 0 ||
	    buf_append(store_of(x), out_of(x), name, len) < 0)
		return STEP_NO_MEMORY;
	buf_drop(store_of(x), in_of(x), at + old_len);
	return pass(x, size - (uint32_t)(at + old_len));
}

static enum step
take_bind(struct exchange *x, const struct pg_head *h)
{
	uint32_t most = h->size < PG_HEAD + BIND_NAMES_MOST ? h->size :
	    PG_HEAD + BIND_NAMES_MOST;
	size_t at = PG_HEAD, name_at;
	enum pg_refusal words;
	const char *bytes, *name;
	struct named to;
	enum step step;

	bytes = whole(x, most, &step);
	if (bytes == NULL)
		return step;
	if (pg_string(bytes, most, &at) == NULL)
		return STEP_BAD;
	name_at = at;
	name = pg_string(bytes, most, &at);
	if (name == NULL)
		return STEP_BAD;
	if (resolve(x, name, &to) < 0)
		return STEP_NO_MEMORY;
	if (to.words == PG_REFUSAL_NONE && to.st != NULL) {
		words = pg_state_sent(x, to.st->flags);
		if (words != PG_REFUSAL_NONE) {
			to.words = words;
			to.name = nobody;
		}
	}
	if (owe_named(x, PG_OWED_BIND, &to) == NULL)
		return STEP_NO_MEMORY;
	return pass_renamed(x, bytes, h->size, name_at, at - name_at, to.name);
}

/* 'S' or 'P', and a name. */
static const char *
what_and_name(struct exchange *x, const struct pg_head *h, enum step *step)
{
	const char *bytes;

	if (h->size < PG_HEAD + 2 || h->size > PG_HEAD + 1 + PG_NAME_MOST) {
		*step = STEP_BAD;
		return NULL;
	}
	bytes = whole(x, h->size, step);
	if (bytes != NULL && ((bytes[PG_HEAD] != 'S' &&
	    bytes[PG_HEAD] != 'P') || memchr(bytes + PG_HEAD, '\0',
	    h->size - PG_HEAD) != bytes + h->size - 1)) {
		*step = STEP_BAD;
		return NULL;
	}
	return bytes;
}

static enum step
take_describe(struct exchange *x, const struct pg_head *h)
{
	const char *bytes, *name;
	struct named to;
	enum step step;

	bytes = what_and_name(x, h, &step);
	if (bytes == NULL)
		return step;
	if (bytes[PG_HEAD] == 'P') {
		if (owe(x, PG_OWED_PORTAL, PG_FORWARD) == NULL)
			return STEP_NO_MEMORY;
		return pass(x, h->size);
	}
	name = bytes + PG_HEAD + 1;
	if (resolve(x, name, &to) < 0 ||
	    owe_named(x, PG_OWED_DESCRIBE, &to) == NULL)
		return STEP_NO_MEMORY;
	return pass_renamed(x, bytes, h->size, PG_HEAD + 1, strlen(name) + 1,
	    to.name);
}

/* A client's name goes; the connection keeps the statement for the others. */
static enum step
take_close(struct exchange *x, const struct pg_head *h)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_owed *o;
	const char *bytes;
	enum step step;

	bytes = what_and_name(x, h, &step);
	if (bytes == NULL)
		return step;
	if (bytes[PG_HEAD] == 'P' || bytes[PG_HEAD + 1] == '\0') {
		if (owe(x, PG_OWED_CLOSE, PG_FORWARD) == NULL)
			return STEP_NO_MEMORY;
		if (bytes[PG_HEAD] == 'S')
			forget_unnamed(x);
		return pass(x, h->size);
	}
	o = owe(x, PG_OWED_CLOSE, PG_SAY);
	if (o == NULL)
		return STEP_NO_MEMORY;
	o->name = pg_name_find(&ps->names, bytes + PG_HEAD + 1);
	if (o->name != NULL)
		pg_name_take(&ps->names, o->name);
	return drop(x, h->size);
}

/* --------------------------------------------------------------------- the others */

static enum step
take_owed(struct exchange *x, const struct pg_head *h, enum pg_owed_kind kind)
{
	if (owe(x, kind, PG_FORWARD) == NULL)
		return STEP_NO_MEMORY;
	return pass(x, h->size);
}

/* While it takes CopyData, the server takes no notice of Sync and Flush
   (PostgreSQL 55.2.6). */
static enum step
take_sync(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);

	px->failed = false;
	if (px->copying_in)
		return pass(x, h->size);
	return take_owed(x, h, PG_OWED_SYNC);
}

/* It may come before the server has said that it takes any. */
static enum step
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
		pg_owed_at(q, i - 1)->copied = true;
		pg_owed_at(q, i - 1)->id = syncs;
	}
	px->copying_in = false;
	return pass(x, h->size);
}

/* Everything that is before it is answered first. */
static enum step
take_leave(struct exchange *x)
{
	if (pg_of(x)->owed.n > 0) {
		pg_of(x)->blocked = true;
		return STEP_WAIT;
	}
	session_close(x->s);
	return STEP_OVER;
}

static enum step
take(struct exchange *x, const struct pg_head *h)
{
	struct pg_exchange *px = pg_of(x);

	if (px->failed && h->type != 'S' && h->type != 'X')
		return drop(x, h->size);
	switch (h->type) {
	case 'Q':
		return take_query(x, h);
	case 'P':
		return take_parse(x, h);
	case 'B':
		return take_bind(x, h);
	case 'D':
		return take_describe(x, h);
	case 'E':
		return take_owed(x, h, PG_OWED_EXECUTE);
	case 'C':
		return take_close(x, h);
	case 'S':
		return take_sync(x, h);
	case 'F':
		return take_owed(x, h, PG_OWED_CALL);
	case 'c':
	case 'f':
		return take_copy_end(x, h);
	case 'd':
	case 'H':
		return pass(x, h->size);
	case 'X':
		return take_leave(x);
	}
	return STEP_BAD;
}

/* More than a client should have under way: the server is told to answer, so
   that this ends. */
static enum step
enough(struct exchange *x)
{
	if (!pg_of(x)->blocked &&
	    pg_put(store_of(x), out_of(x), 'H', NULL, 0) < 0)
		return STEP_NO_MEMORY;
	pg_of(x)->blocked = true;
	conn_pause(&x->s->conn);
	return STEP_WAIT;
}

static enum step
take_next(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_exchange *px = pg_of(x);
	struct pg_head h;

	if (ps->drop_left > 0)
		(void)drop(x, ps->drop_left);
	if (px->up_left > 0) {
		enum step step = pass_some(x);

		if (step != STEP_DONE)
			return step;
	}
	switch (pg_head_at(in_of(x), 0, &h)) {
	case PARSE_MORE:
		return STEP_WAIT;
	case PARSE_BAD:
		return STEP_BAD;
	case PARSE_DONE:
		break;
	}
	if (px->owed.n >= PG_OWED_MOST && !px->failed)
		return enough(x);
	return take(x, &h);
}

void
pg_up(struct exchange *x)
{
	struct upconn *u = x->lease->u;
	enum step step;

	if (pg_of(x)->purpose != PG_FOR_REQUESTS)
		return;
	do {
		step = u->conn.out.held >= CONN_HIGH ? STEP_WAIT :
		    take_next(x);
	} while (step == STEP_DONE);
	switch (step) {
	case STEP_DONE:
	case STEP_WAIT:
		break;
	case STEP_BAD:
		exchange_fail(x, FAIL_BAD_REQUEST);
		return;
	case STEP_NO_MEMORY:
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	case STEP_OVER:
		return;
	}
	pg_of(x)->unfinished = step == STEP_WAIT &&
	    in_of(x)->len >= PG_BEGUN_MOST;
	conn_send(&u->conn);
	if (u->conn.out.held >= CONN_HIGH)
		conn_pause(&x->s->conn);
	if (pg_say_local(x) < 0) {
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	pg_clock(x);
	(void)pg_settle(x);
}
