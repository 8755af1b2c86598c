/*
 * Redis towards clients: reading their commands one after the other, handing
 * each on when it is whole, and saying what has failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/redis.h"
#include "proxy/runtime.h"

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

/* ------------------------------------------------------------------ reading */

/* What is read of a command before it is sent as it comes. Its name has to be
   there; a line that does not end is the reader's to refuse. */
static uint64_t
most_of(const struct session *s)
{
	uint64_t most = (uint64_t)redis_conf(s)->share_max;

	return redis_session(s)->command.args > 0 ? most :
	    most + RESP_INLINE_MAX + RESP_INLINE_MAX / 2;
}

/* Feed on, where the command stands at the beginning of the input. */
static enum parse
read_command(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	struct resp_command *c = &rs->command;
	enum parse got = PARSE_MORE;
	const char *bytes;
	size_t len, used;

	while (got == PARSE_MORE && c->size < most_of(s)) {
		bytes = buf_at(&s->conn.in, (size_t)c->size, &len);
		if (len == 0)
			break;
		if (len > most_of(s) - c->size)
			len = (size_t)(most_of(s) - c->size);
		got = resp_command_feed(c, bytes, len, &used);
	}
	return got;
}

/* The answer comes when those before it have; then the client is left. */
static void
protocol_error(struct session *s)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "-ERR %s\r\n",
	    redis_session(s)->command.error);

	intake_refuse(s, text, (size_t)n);
}

/* An inline command becomes what it would have been otherwise, in its place. */
static bool
straighten(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	size_t size = (size_t)rs->command.size, room = size * 16 + 64, n;
	struct buf now = { 0 };
	const char *line;
	char *out;
	uint32_t argc;

	line = buf_flat(store_of(s), &s->conn.in, size);
	out = line != NULL ? malloc(room) : NULL;
	if (out == NULL) {
		session_reset(s);
		return false;
	}
	n = resp_inline_write(line, size, out, room, &argc);
	if (n == SIZE_MAX) {
		free(out);
		rs->command.error =
		    "Protocol error: unbalanced quotes in request";
		protocol_error(s);
		return false;
	}
	buf_drop(store_of(s), &s->conn.in, size);
	if ((argc > 0 && buf_append(store_of(s), &now, out, n) < 0) ||
	    buf_pass(store_of(s), &now, &s->conn.in, s->conn.in.len) < 0) {
		buf_clear(store_of(s), &now);
		free(out);
		session_reset(s);
		return false;
	}
	free(out);
	s->conn.in = now;
	redis_command_taken(s);
	return true;
}

/* More than may go among others: as much as is there is sent on its way. */
static bool
begin_large(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	const char *bytes;

	if (!pipeline_may_promote(s))
		return intake_hold(s);
	bytes = buf_flat(store_of(s), &s->conn.in, (size_t)rs->command.size);
	if (bytes == NULL)
		session_reset(s);
	else
		redis_dispatch_large(s, bytes);
	return true;
}

/* One command. False: there is none, or it has to wait. */
static bool
take(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	const char *bytes;

	if (!rs->is_whole) {
		switch (read_command(s)) {
		case PARSE_BAD:
			protocol_error(s);
			return false;
		case PARSE_MORE:
			return rs->command.size >= most_of(s) &&
			    begin_large(s);
		case PARSE_DONE:
			break;
		}
		if (rs->command.is_inline)
			return straighten(s);
		if (rs->command.argc == 0) {
			buf_drop(store_of(s), &s->conn.in,
			    (size_t)rs->command.size);
			redis_command_taken(s);
			return true;
		}
		rs->is_whole = true;
	}
	bytes = buf_flat(store_of(s), &s->conn.in, (size_t)rs->command.size);
	if (bytes == NULL) {
		session_reset(s);
		return false;
	}
	return redis_dispatch(s, bytes) || intake_hold(s);
}

static enum parse
feed(struct session *s, const char *bytes, size_t len, size_t *used)
{
	return resp_command_feed(&redis_session(s)->command, bytes, len, used);
}

static void
spoilt(struct session *s, struct exchange *x)
{
	/* Its answer is the protocol error's. */
	if (x != NULL) {
		redis_of(x)->silent = true;
		exchange_fail(x, FAIL_BAD_REQUEST);
	}
	if (!s->closed)
		protocol_error(s);
}

/* Redis itself goes no further when it sees a client's end; but what was asked
   for by then, and needs no connection of its own, is answered. */
static bool
leaves(const struct session *s)
{
	const struct exchange *x = pipeline_newest(s);

	return s->kept != NULL || (x != NULL && redis_of(x)->waits);
}

static const struct intake_ops intake_ops = {
	.take = take,
	.feed = feed,
	.taken = redis_command_taken,
	.spoilt = spoilt,
	.leaves = leaves
};

static void
redis_bytes(struct session *s)
{
	intake_bytes(s, &intake_ops);
}

static void
redis_open(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	struct lane *lane = s->door->lane;

	/* Numbers of all lanes are different ones. */
	rs->id = lane->runtime->clients_before + ++lane->clients *
	    lane->runtime->n_lanes + lane->worker.index;
	rs->begun_ns = s->conn.w->now_ns;
	rs->who.resp = 2;
	rs->let_in = redis_conf(s)->auth != REDIS_AUTH_CHECK;
	resp_command_init(&rs->command);
	pipeline_watch(s);
}

/* ------------------------------------------------------------------ failing */

/* A whole transaction is answered command by command, and so is its failure. */
static bool
fail_all(struct session *s, struct exchange *x, const char *text, size_t len)
{
	const struct redis_exchange *rx = redis_of(x);
	bool whole = rx->row != NULL && rx->row->op == REDIS_OP_MULTI &&
	    rx->pins == 0;
	uint32_t i, n = rx->silent ? 0 : whole ? rx->replies : 1;

	if (rx->piped.whole)
		return true;
	if (!pipeline_fail(s, x, text, n > 0 ? len : 0))
		return false;
	for (i = 1; i < n; i++)
		if (buf_append(exchange_blocks(x), &x->down, text, len) < 0)
			return false;
	return true;
}

static bool
redis_fail_in_turn(struct session *s, struct exchange *x, enum fail why)
{
	struct redis_session *rs = redis_session(s);
	const struct fail_row *row = &fail_rows[why];
	char text[256];
	int n;

	if (why == FAIL_AUTH) {
		/* It goes on as who it was. */
		n = snprintf(text, sizeof(text), "%s\r\n", redis_wrong_pass);
		return fail_all(s, x, text, (size_t)n);
	}
	if (why == FAIL_LOGIN && x->said != NULL)
		n = snprintf(text, sizeof(text), "-%.200s\r\n", x->said);
	else
		n = snprintf(text, sizeof(text), "-ERR weir: %s: %s\r\n",
		    row->name, row->text);
	/* It never came to what it was to begin; or what there is on the
	   connection is not known any more. */
	if (s->kept != NULL)
		s->leaving = true;
	else if (rs->in_multi) {
		rs->in_multi = rs->has_multi_db = false;
		rs->spoilt_to = s->conn.received;
	}
	return fail_all(s, x, text, (size_t)n);
}

static void
redis_pin_killed(struct session *s)
{
	const struct fail_row *row = &fail_rows[FAIL_KILLED];
	char text[256];
	int n = snprintf(text, sizeof(text), "-ERR weir: %s: %s\r\n", row->name,
	    row->text);

	if (redis_session(s)->replies != REDIS_REPLIES_ON ||
	    buf_append(&s->conn.w->blocks, &s->conn.out, text, (size_t)n) < 0)
		return;
	conn_send(&s->conn);
}

static size_t
redis_refuse(enum limit why, int64_t retry_after_ns, char *out, size_t size)
{
	int n = snprintf(out, size, "-ERR weir: %s\r\n",
	    why == LIMIT_DENIED ? "not from here" :
	    "max number of clients reached");

	(void)retry_after_ns;
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static const char *
redis_asks(const struct exchange *x, size_t *len, bool *is_line)
{
	const struct redis_command *row = redis_of(x)->row;

	(void)is_line;
	*len = row != NULL ? row->name_len : 0;
	return row != NULL ? row->name : NULL;
}

/* As it logs in, or has: where weir lets in itself only the former is kept. */
static const char *
user_of(const struct exchange *x)
{
	const struct redis_identity *who = redis_of(x)->who;

	if (who == NULL)
		who = &redis_session(x->s)->who;
	return who->user == NULL && who->password != NULL ? "default" :
	    who->user;
}

static void
redis_words(const struct exchange *x, struct access_words *w)
{
	const struct redis_command *row = redis_of(x)->row;

	w->user = user_of(x);
	w->user_len = w->user != NULL ? strlen(w->user) : 0;
	/* What comes behind the name may be a secret. */
	if (row == NULL)
		return;
	w->request = row->name;
	w->request_len = row->name_len;
}

const struct front_ops redis_front = {
	.open = redis_open,
	.pack = redis_hand_over,
	.adopt = redis_take_in,
	.bytes = redis_bytes,
	.leased = intake_leased,
	.drained = pipeline_drained,
	.fail = intake_cut,
	.fail_in_turn = redis_fail_in_turn,
	.pin_killed = redis_pin_killed,
	.late = pipeline_session_late,
	.bye = redis_bytes,
	.refuse = redis_refuse,
	.asks = redis_asks,
	.words = redis_words
};
