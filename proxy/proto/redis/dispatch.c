/*
 * Redis: what becomes of a client's command.
 *
 * Most go among those of others. One that may wait, or begins a state that
 * lasts, first lets the answers come that are due, and then has a connection of
 * its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pool/shards.h"
#include "proxy/proto/redis/way.h"

static unsigned
bit(enum redis_pin pin)
{
	return 1u << pin;
}

/* ---------------------------------------------------------------- whole MULTI */

/* Does it go where the commands before it in its transaction do? The first one
   with a key says where. */
static bool
is_beside(const struct session *s, const struct redis_command *row,
    const char *bytes, size_t len, bool *placed, uint32_t *hash)
{
	uint32_t its;
	enum redis_place place = redis_place(s, row, bytes, len, &its);

	if (place == REDIS_PLACE_ANY)
		return true;
	if (place == REDIS_PLACE_NO_MEMORY || (*placed &&
	    pool_endpoint_of_key(redis_pool(s), its) !=
	    pool_endpoint_of_key(redis_pool(s), *hash)))
		return false;
	if (!*placed)
		*hash = its;
	*placed = true;
	return place == REDIS_PLACE_ONE;
}

/*
 * A transaction that is in the input from MULTI to EXEC goes out in one piece
 * on a connection of many: nobody's command can come between. How long it is,
 * or 0: it is not all there, or has something in it that lasts.
 */
static size_t
transaction_size(struct session *s, uint32_t *replies, uint32_t *hash)
{
	const struct redis_session *rs = redis_session(s);
	size_t most = s->conn.in.len, at = (size_t)rs->command.size, used;
	const char *bytes;
	bool placed = false;

	if (most > (size_t)redis_conf(s)->share_max)
		most = (size_t)redis_conf(s)->share_max;
	bytes = buf_flat(&s->conn.w->blocks, &s->conn.in, most);
	if (bytes == NULL)
		return 0;
	for (*replies = 1; at < most; ) {
		const struct redis_command *row;
		const char *p = bytes + at;
		struct resp_command c;

		resp_command_init(&c);
		if (resp_command_feed(&c, p, most - at, &used) != PARSE_DONE ||
		    c.is_inline || c.argc == 0)
			return 0;
		row = redis_command_find(p + c.arg[0].at, c.arg[0].len,
		    c.argc > 1 ? p + c.arg[1].at : NULL,
		    c.argc > 1 ? c.arg[1].len : 0);
		at += used;
		++*replies;
		if (row != NULL && (row->op == REDIS_OP_EXEC ||
		    row->op == REDIS_OP_DISCARD) && c.argc == 1)
			return at;
		if (redis_is_placed(s) && !is_beside(s, row, p, used, &placed,
		    hash))
			return 0;
		if (row == NULL || row->how != REDIS_SHARED)
			return 0;
	}
	return 0;
}

/* --------------------------------------------------------------- what lasts */

static void
promote(struct session *s, struct redis_way *way, enum redis_pin why)
{
	way->alone = true;
	way->pins = (uint16_t)bit(why);
	way_send(s, way);
}

static bool
do_multi(struct session *s, struct redis_way *way)
{
	struct redis_session *rs = redis_session(s);
	uint32_t replies = 0;
	size_t size = s->kept == NULL && rs->command.argc == 1 &&
	    rs->replies == REDIS_REPLIES_ON ? transaction_size(s, &replies,
	    &way->hash) : 0;

	if (size > 0) {
		way->replies = replies;
		rs->command.size = size;
		way_send(s, way);
		return true;
	}
	if (rs->command.argc != 1 || rs->in_multi) {
		way->alone = s->kept != NULL;
		way_send(s, way);        /* the server says what is wrong */
		return true;
	}
	if (!pipeline_may_promote(s))
		return false;
	rs->in_multi = true;
	promote(s, way, REDIS_PIN_MULTI);
	return true;
}

/* SUBSCRIBE and its kin are answered once for each channel. */
static void
do_subscribe(struct session *s, struct redis_way *way)
{
	uint32_t argc = redis_session(s)->command.argc;

	way->replies = argc > 1 ? argc - 1 : 1;
	promote(s, way, REDIS_PIN_SUBSCRIBE);
}

static void
do_unsubscribe(struct session *s, struct redis_way *way)
{
	uint32_t argc = redis_session(s)->command.argc;

	way->replies = argc > 1 ? argc - 1 : s->kept != NULL ? 0 : 1;
	way->alone = s->kept != NULL;
	way_send(s, way);
}

static bool
has_word(struct session *s, const char *bytes, const char *word)
{
	struct resp_args args;
	struct resp_span a;

	resp_args_init(&args, bytes, (size_t)redis_session(s)->command.size);
	while (resp_args_next(&args, &a))
		if (way_is_word(bytes, &a, word))
			return true;
	return false;
}

/*
 * The server is not told. Its replies are what says that a command has been
 * carried out, and weir wants to know; the client is spared them. Who is not
 * answered is not slowed down by answers either: so his commands go on a
 * connection of his own, if there is one.
 */
static void
do_reply(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	const struct resp_span *a = &rs->command.arg[2];
	bool off, skip;

	if (rs->command.argc != 3) {
		way_wrong_arity(s, "client|reply");
		return;
	}
	off = way_is_word(bytes, a, "off");
	skip = way_is_word(bytes, a, "skip");
	if (!off && !skip) {
		if (way_is_word(bytes, a, "on")) {
			rs->replies = REDIS_REPLIES_ON;
			redis_unpin(s, REDIS_PIN_REPLY);
		}
		redis_say(s, way_is_word(bytes, a, "on") ? "+OK" :
		    "-ERR syntax error");
		return;
	}
	redis_answer(s, "", 0);
	/* SKIP within OFF is nothing (networking.c). */
	if (off || rs->replies == REDIS_REPLIES_ON)
		rs->replies = off ? REDIS_REPLIES_OFF : REDIS_REPLIES_SKIP;
}

/* One with ON and OFF. */
static void
do_switch(struct session *s, struct redis_way *way, const char *bytes)
{
	const struct redis_command *row = way->row;

	if (row->op == REDIS_OP_CLIENT_TRACKING &&
	    has_word(s, bytes, "redirect"))
		redis_say(s, "-ERR weir: REDIRECT is not available through a "
		    "pool: clients share connections");
	else if (redis_session(s)->command.argc >= 3 &&
	    way_is_word(bytes, &redis_session(s)->command.arg[2], "on"))
		promote(s, way, row->pin);
	else
		way_send(s, way);
}

/* ----------------------------------------------------------------- dispatch */

/* False: it has to wait. */
static bool
do_pins(struct session *s, struct redis_way *way, const char *bytes)
{
	if (way->row->op == REDIS_OP_MULTI)
		return do_multi(s, way);
	if (!pipeline_may_promote(s))
		return false;
	switch (way->row->op) {
	case REDIS_OP_SUBSCRIBE:
	case REDIS_OP_PSUBSCRIBE:
	case REDIS_OP_SSUBSCRIBE:
		do_subscribe(s, way);
		break;
	case REDIS_OP_MONITOR:
		promote(s, way, REDIS_PIN_MONITOR);
		break;
	case REDIS_OP_CLIENT_TRACKING:
	case REDIS_OP_CLIENT_NO_EVICT:
	case REDIS_OP_CLIENT_NO_TOUCH:
		do_switch(s, way, bytes);
		break;
	default:
		/* Nobody knows what it does. */
		if (redis_conf(s)->unknown == REDIS_UNKNOWN_SHARE)
			way_send(s, way);
		else
			promote(s, way, way->row->pin);
	}
	return true;
}

/* What was selected inside is the database only if EXEC does it, and well. */
static void
end_multi(struct session *s, struct redis_way *way)
{
	struct redis_session *rs = redis_session(s);
	struct exchange *x;

	rs->in_multi = false;
	way->alone = s->kept != NULL;
	x = way_begin(s, way);
	if (x == NULL)
		return;
	redis_of(x)->has_db = rs->has_multi_db && s->kept != NULL &&
	    way->row->op == REDIS_OP_EXEC;
	if (redis_of(x)->has_db)
		redis_of(x)->replies = 2;
	redis_of(x)->db = rs->multi_db;
	redis_of(x)->piped.bars = redis_of(x)->has_db;
	rs->has_multi_db = false;
	way_go(x);
}

static void
do_ends(struct session *s, struct redis_way *way)
{
	switch (way->row->op) {
	case REDIS_OP_UNSUBSCRIBE:
	case REDIS_OP_PUNSUBSCRIBE:
	case REDIS_OP_SUNSUBSCRIBE:
		do_unsubscribe(s, way);
		return;
	case REDIS_OP_EXEC:
	case REDIS_OP_DISCARD:
		end_multi(s, way);
		return;
	default:
		break;
	}
	way->alone = s->kept != NULL;
	way_send(s, way);
}

/* In a transaction the answer's place is in the server's: let it say the name
   that only weir knows. */
static void
send_name(struct session *s, struct redis_way *way)
{
	const char *args[] = { "ECHO", redis_session(s)->name };
	struct exchange *x = way_rewrite(s, way, 2, args, args);

	if (x != NULL)
		way_go(x);
}

static bool
do_ours(struct session *s, struct redis_way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);

	way->alone = s->kept != NULL;
	/* What is under way was asked for by whom the client was. */
	if ((way->row->op == REDIS_OP_RESET || way->row->op == REDIS_OP_AUTH ||
	    way->row->op == REDIS_OP_SELECT ||
	    way->row->op == REDIS_OP_HELLO) && !rs->in_multi &&
	    !list_empty(&s->exchanges))
		return false;
	switch (way->row->op) {
	case REDIS_OP_SELECT:
		redis_do_select(s, way, bytes);
		return true;
	case REDIS_OP_AUTH:
		redis_do_auth(s, way, bytes);
		return true;
	case REDIS_OP_HELLO:
		redis_do_hello(s, way, bytes);
		return true;
	case REDIS_OP_RESET:
		if (!list_empty(&s->exchanges))
			return false;
		redis_do_reset(s);
		return true;
	case REDIS_OP_QUIT:
		redis_say(s, "+OK");
		s->leaving = true;
		return true;
	case REDIS_OP_CLIENT_REPLY:
		do_reply(s, bytes);
		return true;
	case REDIS_OP_CLIENT_GETNAME:
		if (rs->in_multi) {
			send_name(s, way);
			return true;
		}
		break;
	default:
		break;
	}
	redis_answer_client(s, way->row, bytes);
	return true;
}

enum { REFUSAL_MAX = 160 };

/* What neither goes upstream nor is looked at further, and in which words. */
static bool
is_refused(const struct session *s, const struct redis_command *row,
    char out[REFUSAL_MAX])
{
	const struct redis_session *rs = redis_session(s);
	enum redis_op op = row != NULL ? row->op : REDIS_OP_NONE;

	if (!rs->let_in && op != REDIS_OP_AUTH && op != REDIS_OP_HELLO &&
	    op != REDIS_OP_QUIT && op != REDIS_OP_RESET) {
		snprintf(out, REFUSAL_MAX, "-NOAUTH Authentication required.");
		return true;
	}
	if (row == NULL)
		return false;
	if (row->how == REDIS_REFUSED) {
		snprintf(out, REFUSAL_MAX, "-ERR weir: '%s' is not available "
		    "through a pool", row->name);
		return true;
	}
	/* In a transaction it would be queued, and be carried out where only
	   the server sees what comes of it. */
	if (rs->in_multi && ((row->how == REDIS_OURS &&
	    op != REDIS_OP_SELECT && op != REDIS_OP_RESET &&
	    op != REDIS_OP_QUIT && (op != REDIS_OP_CLIENT_GETNAME ||
	    rs->name == NULL)) || (row->how == REDIS_PINS &&
	    op != REDIS_OP_MULTI && op != REDIS_OP_WATCH))) {
		snprintf(out, REFUSAL_MAX, "-ERR weir: '%s' is not available "
		    "inside MULTI through a pool", row->name);
		return true;
	}
	return false;
}

/* After MONITOR, and as long as it lasts, replies are lines among lines. */
static bool
is_monitoring(const struct session *s)
{
	return (redis_session(s)->pins & bit(REDIS_PIN_MONITOR)) != 0;
}

static const struct redis_command *
row_of(const struct resp_command *c, const char *bytes)
{
	if (c->argc == 0 || c->args == 0)
		return NULL;
	return redis_command_find(bytes + c->arg[0].at, c->arg[0].len,
	    c->args > 1 ? bytes + c->arg[1].at : NULL,
	    c->args > 1 ? c->arg[1].len : 0);
}

static bool
do_unknown(struct session *s, struct redis_way *way)
{
	if (redis_conf(s)->unknown == REDIS_UNKNOWN_PIN) {
		if (!pipeline_may_promote(s))
			return false;
		way->alone = true;
		way->dirties = true;
	}
	way_send(s, way);
	return true;
}

/* Its keys are on several endpoints. */
static void
send_in_parts(struct session *s, const struct redis_way *way, const char *bytes)
{
	struct exchange *x = way_begin(s, way);
	size_t size = (size_t)redis_session(s)->command.size;

	if (x == NULL)
		return;
	if (redis_split(x, bytes, size) < 0) {
		session_reset(s);
		return;
	}
	redis_of(x)->piped.size = 0;
	buf_drop(&s->conn.w->blocks, &s->conn.in, size);
	redis_command_taken(s);
	pipeline_route_parts(x);
}

/* By its keys. True: it has been seen to. */
static bool
find_place(struct session *s, struct redis_way *way, const char *bytes)
{
	char refusal[REFUSAL_MAX];

	switch (redis_place(s, way->row, bytes,
	    (size_t)redis_session(s)->command.size, &way->hash)) {
	case REDIS_PLACE_ANY:
	case REDIS_PLACE_ONE:
		return false;
	case REDIS_PLACE_SPLIT:
		send_in_parts(s, way, bytes);
		return true;
	case REDIS_PLACE_CROSSED:
		snprintf(refusal, sizeof(refusal), "-CROSSSLOT weir: the keys "
		    "of '%s' are not all at the same endpoint%s",
		    way->row->name, s->kept != NULL ?
		    " as this client's transaction" : "");
		break;
	case REDIS_PLACE_NO_MEMORY:
		snprintf(refusal, sizeof(refusal), "-ERR weir: out of memory");
		break;
	}
	way_refuse(s, way, refusal);
	return true;
}

/* Nobody would wait for it: for what is not worth an error. */
static bool
may_pin(const struct session *s)
{
	const struct pool *p = redis_pool(s);

	return atomic_load(&p->upstream->pins) <
	    atomic_load(&p->upstream->pins_most);
}

/* A subscriber in RESP2 may do little else, and the server says so. */
static bool
is_out_of_place(const struct session *s, const struct redis_command *row)
{
	const struct redis_session *rs = redis_session(s);

	return (rs->subs > 0 || rs->shard_subs > 0) && rs->who.resp == 2 &&
	    s->kept != NULL && row != NULL && row->how == REDIS_OURS &&
	    row->op != REDIS_OP_QUIT && row->op != REDIS_OP_RESET;
}

/* What came behind a MULTI that weir could not begin, in the same breath, is not
   to be carried out without it. */
static bool
is_spoilt(struct session *s, const struct redis_command *row)
{
	struct redis_session *rs = redis_session(s);
	enum redis_op op = row != NULL ? row->op : REDIS_OP_NONE;

	if (s->conn.received - s->conn.in.len >= rs->spoilt_to) {
		rs->spoilt_to = 0;
		return false;
	}
	if (op == REDIS_OP_EXEC || op == REDIS_OP_DISCARD)
		rs->spoilt_to = 0;
	redis_say(s, op == REDIS_OP_EXEC ? "-EXECABORT Transaction discarded "
	    "because of previous errors." : op == REDIS_OP_DISCARD ? "+OK" :
	    "-ERR weir: the transaction did not begin");
	return true;
}

/* The connection that it is to have to itself is still looked for, and with it
   the endpoint at which the keys of what follows have to be. */
static bool
is_yet_unplaced(const struct session *s)
{
	const struct exchange *x = pipeline_newest(s);

	return s->kept == NULL && x != NULL &&
	    redis_of(x)->pins != 0;
}

bool
redis_dispatch(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	struct redis_way way = { .row = row_of(&rs->command, bytes), .replies = 1 };
	const struct redis_command *row = way.row;
	char refusal[REFUSAL_MAX];

	if (rs->spoilt_to > 0 && is_spoilt(s, row))
		return true;
	if (is_refused(s, row, refusal)) {
		way_refuse(s, &way, refusal);
		return true;
	}
	if (is_monitoring(s) && (row == NULL || (row->op != REDIS_OP_QUIT &&
	    row->op != REDIS_OP_RESET))) {
		way.uncounted = way.alone = true;
		way_send(s, &way);
		return true;
	}
	if (is_out_of_place(s, row)) {
		/* What is under way may be the last UNSUBSCRIBE; then it is in
		   place, and weir's. */
		if (pipeline_newest(s) != NULL)
			return false;
		way.alone = true;
		way_send(s, &way);
		return true;
	}
	if (redis_is_placed(s) && is_yet_unplaced(s))
		return false;
	if (redis_is_placed(s) && find_place(s, &way, bytes))
		return true;
	if (row == NULL)
		return do_unknown(s, &way);
	if (rs->replies == REDIS_REPLIES_OFF && s->kept == NULL &&
	    row->how == REDIS_SHARED && may_pin(s)) {
		if (!pipeline_may_promote(s))
			return false;
		promote(s, &way, REDIS_PIN_REPLY);
		return true;
	}
	switch (row->how) {
	case REDIS_SHARED:
		break;
	case REDIS_ALONE:
	case REDIS_BLOCKS:
		if (rs->in_multi || (row->how == REDIS_BLOCKS &&
		    !redis_command_blocks(row, bytes,
		    (size_t)rs->command.size)))
			break;
		if (!pipeline_may_promote(s))
			return false;
		way.alone = true;
		way.waits = row->how == REDIS_BLOCKS;
		break;
	case REDIS_PINS:
		return do_pins(s, &way, bytes);
	case REDIS_ENDS:
		do_ends(s, &way);
		return true;
	case REDIS_OURS:
		return do_ours(s, &way, bytes);
	case REDIS_REFUSED:             /* is_refused() */
		break;
	}
	way_send(s, &way);
	return true;
}

/* Told now; what is still to come of it will be read and forgotten. */
static void
refuse_large(struct session *s, const char *text)
{
	struct redis_session *rs = redis_session(s);
	struct exchange *x = pipeline_begin(s);

	pipeline_of(s)->discards = true;
	buf_drop(&s->conn.w->blocks, &s->conn.in, (size_t)rs->command.size);
	if (x == NULL || buf_append(exchange_blocks(x), &x->down, text,
	    strlen(text)) < 0 || buf_append(exchange_blocks(x), &x->down,
	    "\r\n", 2) < 0)
		session_reset(s);
	else
		pipeline_answer(x);
}

/* Only what is an ordinary command may be that large. */
void
redis_dispatch_large(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	struct redis_way way = { .row = row_of(&rs->command, bytes), .replies = 1,
	    .alone = true };
	const struct redis_command *row = way.row;
	char refusal[REFUSAL_MAX];
	struct exchange *x;

	if (is_refused(s, row, refusal)) {
		refuse_large(s, refusal);
		return;
	}
	if (rs->command.is_inline || rs->command.args == 0 ||
	    (row != NULL && row->how != REDIS_SHARED &&
	    row->how != REDIS_BLOCKS)) {
		refuse_large(s, "-ERR weir: this command is larger than "
		    "redis.share_max, and only ordinary ones may be");
		return;
	}
	way.dirties = row == NULL;
	way.waits = row != NULL && row->how == REDIS_BLOCKS && !rs->in_multi;
	if (redis_is_placed(s))
		way.hash = redis_place_large(s, row, bytes);
	x = way_begin(s, &way);
	if (x == NULL)
		return;
	intake_stream(x);
	exchange_route(x, x->policy->upstream);
}
