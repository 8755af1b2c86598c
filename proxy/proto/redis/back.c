/*
 * Redis towards its servers: sending commands, reading replies, and what a reply
 * means for the connection it came on.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/failover.h"
#include "proxy/proto/redis/redis.h"
#include "proxy/runtime.h"

/* Counted by the first word of an error; the last one is for all others. */
static const char *const error_names[] = {
	"ERR", "WRONGTYPE", "NOSCRIPT", "MOVED", "ASK", "CROSSSLOT",
	"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY",
	"MISCONF", "OOM", "NOAUTH", "WRONGPASS", "NOPERM", "NOREPLICAS",
	"EXECABORT", "NOGROUP", "BUSYKEY", "UNKILLABLE", "other", NULL
};

/* Of these it is the server that somebody has to look at. */
static const char *const own_error_names[] = {
	"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "MISCONF",
	"OOM", "NOAUTH", "NOREPLICAS", "UNKILLABLE", NULL
};

static unsigned
bit(enum redis_pin pin)
{
	return 1u << pin;
}

/* ----------------------------------------------------------------- commands */

/* Before WAIT: the connection is not the one that the client has written on, and
   so it has to hear of the replication offset (networking.c: c->woff). */
static int
begin_wait(struct upconn *u, struct exchange *x)
{
	const char *ping = "PING";

	if (x->s->kept != NULL)
		return 0;
	return redis_write(exchange_blocks(x), &u->conn.out, 1, &ping) < 0 ?
	    -1 : pipeline_owe(u, NULL, 1, REDIS_TAG_SKIP);
}

/* Beside SELECT and HELLO on a connection of many goes what takes it back: no
   command of anybody comes between. */
static int
owe_replies(struct upconn *u, struct exchange *x)
{
	struct redis_exchange *rx = redis_of(x);
	enum redis_op op = rx->row != NULL ? rx->row->op : REDIS_OP_NONE;

	if (rx->uncounted)
		return 0;
	if (pipeline_owe(u, x, rx->replies, op) < 0)
		return -1;
	if ((op == REDIS_OP_SELECT || op == REDIS_OP_HELLO) &&
	    x->s->kept == NULL)
		return pipeline_owe(u, NULL, 1, REDIS_TAG_SKIP);
	return 0;
}

/* One reason each; of the session's as long as they last. */
static int
pin(struct upconn *u, struct exchange *x)
{
	struct redis_session *rs = redis_session(x->s);
	struct redis_exchange *rx = redis_of(x);
	unsigned i;

	for (i = 0; i < REDIS_N_PINS; i++) {
		if ((rx->pins & bit(i)) == 0)
			continue;
		if (pipeline_pin(x->s, u, i) < 0)
			return -1;
		rs->pins |= (uint16_t)bit(i);
	}
	if (rx->is_alone && rx->pins == 0 && x->s->kept == NULL)
		upconn_pin(u, rx->row == NULL ? REDIS_PIN_UNKNOWN :
		    rx->piped.streams ? REDIS_PIN_LARGE : rx->row->pin);
	return 0;
}

void
redis_unpin(struct session *s, enum redis_pin why)
{
	struct redis_session *rs = redis_session(s);

	rs->pins &= (uint16_t)~bit(why);
	if (rs->pins == 0)
		pipeline_unpin(s);
}

static int
become(struct redis_session *rs, const struct redis_identity *who, uint8_t resp)
{
	return redis_identity_set(&rs->who, who->db, resp, who->user,
	    who->password);
}

static void
redis_start(struct upconn *u, struct exchange *x)
{
	struct redis_session *rs = redis_session(x->s);
	struct redis_exchange *rx = redis_of(x);

	/* It was let in, which is all that AUTH asked for. */
	if (rx->row != NULL && rx->row->op == REDIS_OP_AUTH &&
	    rx->who != NULL) {
		if (become(rs, rx->who, rx->who->resp) < 0 ||
		    buf_append(exchange_blocks(x), &x->down, "+OK\r\n", 5) < 0)
			exchange_fail(x, FAIL_NO_MEMORY);
		else
			pipeline_answer(x);
		return;
	}
	if ((rx->row != NULL && rx->row->op == REDIS_OP_WAIT &&
	    begin_wait(u, x) < 0) || owe_replies(u, x) < 0 ||
	    pipeline_send(u, x) < 0 || pin(u, x) < 0) {
		upconn_mark(u, MARK_BROKEN, "out of memory");
		exchange_fail(x, FAIL_NO_MEMORY);
		return;
	}
	if (rx->uncounted && !rx->piped.streams)
		pipeline_answer(x);
}

/* ------------------------------------------------------------------ replies */

static bool
is_sub(unsigned tag)
{
	return tag >= REDIS_OP_SUBSCRIBE && tag <= REDIS_OP_SUNSUBSCRIBE;
}

/* The word of a reply to (un)subscribing. */
static bool
is_sub_word(const char *word)
{
	size_t n = strlen(word);

	return n >= 9 && strcmp(word + n - 9, "subscribe") == 0;
}

static bool
is_message(const char *word)
{
	return strcmp(word, "message") == 0 || strcmp(word, "pmessage") == 0 ||
	    strcmp(word, "smessage") == 0;
}

static bool
has_subs(const struct redis_session *rs)
{
	return rs->subs > 0 || rs->shard_subs > 0;
}

/* UNSUBSCRIBE without arguments is answered once for each channel there is, and
   once when there is none (pubsub.c). */
static uint32_t
replies_to_unsubscribe(const struct redis_session *rs, unsigned tag)
{
	int64_t n = tag == REDIS_OP_UNSUBSCRIBE ? rs->channels :
	    tag == REDIS_OP_PUNSUBSCRIBE ? rs->patterns : rs->shard_subs;

	return n > 0 ? (uint32_t)n : 1;
}

static enum parse
redis_feed(struct upconn *u, struct owed *o, const char *bytes, size_t len,
    size_t *used)
{
	struct redis_upconn *ru = redis_upconn(u);
	enum parse got;

	(void)o;
	if (!ru->reading)
		resp_reply_init(&ru->reply);
	ru->reading = true;
	got = resp_reply_feed(&ru->reply, bytes, len, used);
	if (got == PARSE_DONE)
		ru->reading = false;
	return got;
}

static enum pipeline_aim
redis_aim(struct upconn *u, struct owed *o)
{
	struct redis_upconn *ru = redis_upconn(u);
	struct session *s = ru->pipe.pinned;
	const struct redis_session *rs = s != NULL ? redis_session(s) : NULL;

	if (o != NULL && o->left == 0)
		o->left = rs != NULL ? replies_to_unsubscribe(rs, o->tag) : 1;
	/* The second reply to EXEC is weir's: ask_for_db(). */
	if (o != NULL && o->x != NULL && o->tag == REDIS_OP_EXEC &&
	    redis_of(o->x)->has_db && o->left == 1)
		return PIPELINE_DROP;
	/* What subscribers are told is no reply (networking.c: prepareClient-
	   ToWrite(), CLIENT_PUSHING). */
	if (o != NULL && o->x != NULL && redis_of(o->x)->silent &&
	    !is_sub(o->tag) && ru->reply.type != '>' && (rs == NULL || !has_subs(rs)))
		return PIPELINE_DROP;
	if (rs == NULL)
		return ru->reply.type == '>' && (o == NULL || !is_sub(o->tag)) ?
		    PIPELINE_DROP : PIPELINE_REPLY;
	/* Messages in RESP2 are arrays like any; but then nothing is due that
	   could be held. */
	if (o == NULL || ru->reply.type == '>' ||
	    (has_subs(rs) && rs->who.resp == 2))
		return PIPELINE_ASIDE;
	return PIPELINE_REPLY;
}

static void
count_error(struct upconn *u, const char *word)
{
	const char *illness = redis_illness(word);
	unsigned i;

	for (i = 0; error_names[i + 1] != NULL; i++)
		if (strcmp(error_names[i], word) == 0)
			break;
	count_add(&u->pool->errors[i], 1);
	if (illness != NULL)
		endpoint_fault_said(u->shelf->site->endpoint, FAULT_UNAVAILABLE,
		    illness);
	if (strcmp(word, "READONLY") == 0)
		pool_demoted(u->pool, u->shelf->site->endpoint);
}

/* What was answered (NULL: all there was) has ended these; but not what was asked
   for behind it, whose answer is to come. */
static void
pins_are_over(struct session *s, const struct exchange *answered,
    uint16_t which)
{
	bool behind = answered == NULL;
	const struct list *l;

	for (l = s->exchanges.next; l != &s->exchanges; l = l->next) {
		const struct exchange *x =
		    container_of(l, const struct exchange, link);

		if (behind)
			which &= (uint16_t)~redis_of(x)->pins;
		behind = behind || x == answered;
	}
	redis_session(s)->pins &= (uint16_t)~which;
}

static void
heed_sub(struct session *s, const struct exchange *answered,
    const struct resp_reply *r)
{
	struct redis_session *rs = redis_session(s);
	int64_t n = r->number;
	bool shard = r->word[0] == 's' && (r->word[1] == 's' ||
	    strcmp(r->word, "sunsubscribe") == 0);

	if (shard) {
		rs->shard_subs = n;
	} else {
		if (r->word[0] == 'p')
			rs->patterns += n > rs->subs ? 1 : n < rs->subs ? -1 : 0;
		else
			rs->channels += n > rs->subs ? 1 : n < rs->subs ? -1 : 0;
		rs->subs = n;
	}
	if (!has_subs(rs))
		pins_are_over(s, answered, bit(REDIS_PIN_SUBSCRIBE));
}

static void
multi_is_over(const struct exchange *answered)
{
	pins_are_over(answered->s, answered, bit(REDIS_PIN_MULTI) |
	    bit(REDIS_PIN_WATCH));
}

/*
 * The database that was selected inside is the client's now, if the server has
 * it: which one of EXEC's replies would say so is not looked for, it is asked
 * again, on this connection, and the exchange lasts until it has answered.
 */
static void
ask_for_db(struct upconn *u, struct owed *o)
{
	struct exchange *x = o->x;
	const char *args[2] = { "SELECT", NULL };
	char number[16];

	upconn_mark(u, MARK_DIRTY, "database changed");
	snprintf(number, sizeof(number), "%u", (unsigned)redis_of(x)->db);
	args[1] = number;
	if (redis_write(exchange_blocks(x), &u->conn.out, 2, args) < 0)
		upconn_mark(u, MARK_BROKEN, "out of memory");
	else
		conn_send(&u->conn);
}

static void
exec_answered(struct redis_session *rs, struct upconn *u, struct owed *o,
    const struct resp_reply *r)
{
	const struct redis_exchange *rx = redis_of(o->x);

	if (rx->has_db && o->left == 1) {
		if (r->type == '+' && redis_identity_set(&rs->who, rx->db,
		    rs->who.resp, rs->who.user, rs->who.password) < 0)
			upconn_mark(u, MARK_BROKEN, "out of memory");
	} else if (r->type == '*' && !r->is_null && rx->has_db) {
		ask_for_db(u, o);
		return;
	} else if (rx->has_db)
		o->left = 1;            /* nothing was selected */
	/* Perhaps the server does not know it by that name. */
	if (r->type == '-' && strcmp(r->word, "EXECABORT") != 0)
		upconn_mark(u, MARK_DIRTY, "transaction perhaps");
	multi_is_over(o->x);
}

/* Something that lasts and is switched on and off. */
static void
switched(struct upconn *u, const struct exchange *x, enum redis_pin which)
{
	if (redis_of(x)->pins != 0)
		return;
	upconn_mark(u, MARK_DIRTY, redis_pin_names[which]);
	pins_are_over(x->s, x, (uint16_t)bit(which));
}

static void
set_identity(struct redis_session *rs, struct upconn *u, uint32_t db,
    uint8_t resp)
{
	if (u->alone)
		upconn_mark(u, MARK_DIRTY, "not as its key says");
	if (redis_identity_set(&rs->who, db, resp, rs->who.user,
	    rs->who.password) < 0)
		upconn_mark(u, MARK_BROKEN, "out of memory");
}

/* Its words in RESP are weir's connection's; the client's number is another. */
static void
rewrite_hello(struct exchange *x)
{
	struct block_store *store = exchange_blocks(x);
	const char *bytes, *at;
	size_t len = x->down.len;
	struct buf now = { 0 };
	char id[32];
	int n;

	bytes = buf_flat(store, &x->down, len);
	at = bytes != NULL ? memmem(bytes, len, "$2\r\nid\r\n:", 9) : NULL;
	if (at == NULL)
		return;
	at += 9;
	n = snprintf(id, sizeof(id), "%llu",
	    (unsigned long long)redis_session(x->s)->id);
	if (buf_append(store, &now, bytes, (size_t)(at - bytes)) < 0 ||
	    buf_append(store, &now, id, (size_t)n) < 0) {
		buf_clear(store, &now);
		return;
	}
	while (at < bytes + len && *at != '\r')
		at++;
	if (buf_append(store, &now, at, (size_t)(bytes + len - at)) < 0) {
		buf_clear(store, &now);
		return;
	}
	buf_clear(store, &x->down);
	x->down = now;
}

/* A reply to x that changes what its session, or its connection, is. */
static void
heed(struct upconn *u, struct owed *o, const struct resp_reply *r)
{
	struct exchange *x = o->x;
	struct session *s = x->s;
	struct redis_session *rs = redis_session(s);
	struct redis_exchange *rx = redis_of(x);
	bool ok = r->type == '+', queued = ok && strcmp(r->word, "QUEUED") == 0;

	if (queued)
		return;
	switch ((enum redis_op)o->tag) {
	case REDIS_OP_MULTI:
		if (rx->pins != 0 && !ok) {
			rs->in_multi = false;
			multi_is_over(x);
		}
		break;
	case REDIS_OP_EXEC:
		exec_answered(rs, u, o, r);
		break;
	case REDIS_OP_DISCARD:
		if (ok)
			multi_is_over(x);
		break;
	case REDIS_OP_UNWATCH:
		if (ok)
			pins_are_over(s, x, bit(REDIS_PIN_WATCH));
		break;
	case REDIS_OP_WATCH:
		if (!ok && !rs->in_multi)
			upconn_mark(u, MARK_DIRTY, "watching perhaps");
		break;
	case REDIS_OP_SELECT:
		if (ok)
			set_identity(rs, u, rx->db, rs->who.resp);
		break;
	case REDIS_OP_HELLO:
		rewrite_hello(x);
		if (r->type == '-')
			break;
		if (rx->who != NULL && become(rs, rx->who, rx->resp) < 0)
			upconn_mark(u, MARK_BROKEN, "out of memory");
		set_identity(rs, u, rs->who.db, rx->resp);
		break;
	case REDIS_OP_CLIENT_TRACKING:
		switched(u, x, REDIS_PIN_TRACKING);
		break;
	case REDIS_OP_CLIENT_NO_EVICT:
		switched(u, x, REDIS_PIN_NO_EVICT);
		break;
	case REDIS_OP_CLIENT_NO_TOUCH:
		switched(u, x, REDIS_PIN_NO_TOUCH);
		break;
	default:
		break;
	}
	if (rx->dirties)
		upconn_mark(u, MARK_DIRTY, "after an unknown command");
}

/* The server has refused what went in its place, and the transaction with it; it
   does not know the client's words. */
static void
tell_refusal(struct exchange *x)
{
	struct block_store *store = exchange_blocks(x);
	const char *text = redis_of(x)->refusal;

	buf_clear(store, &x->down);
	if (buf_append(store, &x->down, text, strlen(text)) < 0 ||
	    buf_append(store, &x->down, "\r\n", 2) < 0)
		x->why = FAIL_NO_MEMORY;
}

/* Did a transaction that was sent as a whole not end? Its first reply says that
   it began. Then whoever comes next on that connection would be in it. */
static bool
is_open_still(struct owed *o, const struct resp_reply *r)
{
	if (r->type == '+' && strcmp(r->word, "OK") == 0 && o->own[0] == 0)
		o->own[0] = 1;
	else if (o->own[0] == 0)
		o->own[0] = 2;          /* it did not begin */
	return o->own[0] == 1 && o->left == 1 && r->type == '-' &&
	    strcmp(r->word, "EXECABORT") != 0;
}

static bool
redis_whole(struct upconn *u, struct owed *o)
{
	struct redis_upconn *ru = redis_upconn(u);
	const struct resp_reply *r = &ru->reply;
	struct session *s = ru->pipe.pinned;
	struct redis_session *rs = s != NULL ? redis_session(s) : NULL;
	bool push = r->type == '>';

	/* What does not matter to us does not to those who read the numbers. */
	if (unlikely(r->type == '-') && (o == NULL ||
	    o->tag != REDIS_TAG_ASKED || redis_is_shut(u, r->word)))
		count_error(u, r->word);
	if (o != NULL && o->tag >= REDIS_TAG_LOGIN) {
		redis_greeting_answered(u, o->tag);
		return true;
	}
	if (rs != NULL && (push || ru->pipe.aim == PIPELINE_ASIDE ||
	    (o != NULL && is_sub(o->tag)))) {
		if (is_sub_word(r->word))
			heed_sub(s, o != NULL ? o->x : NULL, r);
		else if (push || is_message(r->word))
			return false;
	} else if (push && (o == NULL || !is_sub(o->tag)))
		return false;
	if (o == NULL)
		return false;
	/* One error stands for all that it would have been answered with. */
	if (is_sub(o->tag) && r->type == '-') {
		o->left = 1;
		if (rs != NULL && !has_subs(rs))
			pins_are_over(s, o->x, bit(REDIS_PIN_SUBSCRIBE));
	}
	if (unlikely(r->type == '-') && o->x != NULL)
		redis_explain(u, o, r->word);
	if (o->tag == REDIS_OP_MULTI && !u->alone && is_open_still(o, r))
		upconn_mark(u, MARK_BROKEN, "transaction perhaps");
	if (o->x != NULL && redis_of(o->x)->refusal != NULL)
		tell_refusal(o->x);
	/* Its client may have gone, and the connection is washed then. */
	else if (o->x != NULL && o->tag != REDIS_OP_NONE)
		heed(u, o, r);
	else if (o->x != NULL && redis_of(o->x)->dirties)
		upconn_mark(u, MARK_DIRTY, "after an unknown command");
	if (rs != NULL && rs->pins == 0)
		pipeline_unpin(s);
	return true;
}

static bool
redis_waits(const struct exchange *x)
{
	return redis_of(x)->waits;
}

/* Redis itself would have noticed that the client is gone. What it had begun on
   a connection of its own ends with it. */
static void
redis_drop(struct upconn *u, struct exchange *x)
{
	const struct redis_exchange *rx = redis_of(x);

	if (rx->pins != 0 || rx->dirties)
		upconn_mark(u, MARK_DIRTY, "its client left");
	pipeline_drop(u, x);
}

static const void *
redis_key(const struct exchange *x, size_t *len)
{
	const struct redis_identity *who = redis_of(x)->who;

	if (who == NULL)
		who = &redis_session(x->s)->who;
	*len = who->key_len;
	return who->key;
}

static uint64_t
redis_hash(const struct exchange *x)
{
	return redis_of(x)->hash;
}

static bool
redis_alone(const struct exchange *x, bool *lasts)
{
	/* A large one lasts as long as the client takes to send it. */
	*lasts = redis_of(x)->pins != 0 || redis_of(x)->waits ||
	    redis_of(x)->piped.streams;
	return redis_of(x)->is_alone;
}

static bool
redis_replayable(const struct exchange *x, enum conf_retry_what what)
{
	(void)what;
	return pipeline_replayable(x);
}

const struct pipeline_ops redis_pipeline = {
	.feed = redis_feed,
	.aim = redis_aim,
	.whole = redis_whole,
	.waits = redis_waits,
	.join = redis_join,
	.greeted = redis_greeted
};

const struct back_ops redis_back = {
	.key = redis_key,
	.hash = redis_hash,
	.with = pipeline_with,
	.alone = redis_alone,
	.start = redis_start,
	.drained = intake_upstream_drained,
	.late = pipeline_late,
	.replayable = redis_replayable,
	.drop = redis_drop
};

const struct peer_ops redis_peer = {
	.state_size = sizeof(struct redis_upconn),
	.pins = redis_pin_names,
	.errors = error_names,
	.own_errors = own_error_names,
	.greet = redis_greet,
	.bytes = pipeline_input,
	.room = pipeline_room,
	.wash = redis_wash,
	.adopt = redis_adopt,
	.is_key = redis_is_key,
	.fini = pipeline_fini
};
