/*
 * A client between two exchanges: it is let in, its next message begins one or
 * is answered by weir, and what goes wrong is told in its protocol.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "proxy/proto/postgres/console.h"
#include "proxy/proto/postgres/postgres.h"

/* Before the lease comes a client may send so much ahead. */
enum { AHEAD_MOST = 64 * 1024 };

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

/* Nothing of it is read any more. */
static bool
is_over(const struct session *s)
{
	return s->closed || s->lingering || s->finishing;
}

/* ---------------------------------------------------------------- farewells */

void
pg_say_fatal(struct session *s, const char *code, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (pg_put_report(store_of(s), &s->conn.out, 'E', "FATAL", code, "%s",
	    text) < 0) {
		session_reset(s);
		return;
	}
	conn_send(&s->conn);
	session_linger(s);
}

/* ------------------------------------------------------------------- let in */

static void
idle_begins(struct session *s)
{
	if (!is_over(s))
		deadline_set(s->conn.w, &s->deadline,
		    s->door->conf->timeouts.idle_ms);
}

/* Everything that the server said of itself, as this client has it. */
static int
put_statuses(struct session *s, const struct pg_settings *welcome)
{
	const char *name, *value, *own;
	uint32_t at = 0;

	while (pg_settings_next(welcome, &at, &name, &value)) {
		own = pg_settings_find(pg_session(s)->settings, name);
		if (pg_put_status(store_of(s), &s->conn.out, name,
		    own != NULL ? own : value) < 0)
			return -1;
	}
	return 0;
}

void
pg_greet_client(struct session *s, const struct pg_settings *welcome)
{
	struct pg_session *ps = pg_session(s);
	char key[4 + PG_SECRET];
	size_t secret = ps->minor >= 2 ? PG_SECRET : 4;

	pg_set_u32(key, pg_slot_pid(s));
	memcpy(key + 4, ps->secret, secret);
	if (put_statuses(s, welcome) < 0 ||
	    pg_put(store_of(s), &s->conn.out, 'K', key, 4 + secret) < 0 ||
	    pg_put_ready(store_of(s), &s->conn.out, 'I') < 0) {
		session_reset(s);
		return;
	}
	ps->phase = PG_READY;
	conn_send(&s->conn);
	idle_begins(s);
}

static const struct upstream *
upstream_of(const struct session *s)
{
	return generation_upstream(s->door->gen, s->door->conf->upstream);
}

static void
ask_for_greeting(struct session *s)
{
	struct exchange *x = exchange_new(s);

	if (x == NULL) {
		pg_say_fatal(s, "53200", "weir: out of memory");
		return;
	}
	pg_of(x)->purpose = PG_FOR_GREETING;
	pg_who_logs_in(x, pg_session(s)->user,
	    pg_key_database(pg_session(s)->key));
	exchange_route(x, x->policy->upstream);
}

void
pg_let_in(struct session *s, struct pg_key *key)
{
	struct pg_session *ps = pg_session(s);
	const struct pg_settings *welcome;

	ps->key = key;
	ps->phase = PG_LOGIN;
	deadline_clear(&s->deadline);
	pg_settings_set(&ps->settings, ps->startup);
	if (pg_slot_take(s) < 0 ||
	    RAND_bytes(ps->secret, sizeof(ps->secret)) != 1 ||
	    pg_put(store_of(s), &s->conn.out, 'R', "\0\0\0\0", 4) < 0) {
		pg_say_fatal(s, "53200", "weir: out of memory");
		return;
	}
	welcome = pg_known_find(pg_lane(s), upstream_of(s), key);
	if (welcome != NULL)
		pg_greet_client(s, welcome);
	else
		ask_for_greeting(s);
}

/* ----------------------------------------------------------------- requests */

/* Weir answers a request: nothing is under way, so nothing is before it. */
static void
say_ready(struct session *s)
{
	if (pg_put_ready(store_of(s), &s->conn.out, 'I') < 0)
		session_reset(s);
	else
		conn_send(&s->conn);
}

static void
drop_some(struct session *s)
{
	struct pg_session *ps = pg_session(s);
	uint32_t n = ps->drop_left;

	if (n > s->conn.in.len)
		n = s->conn.in.len;
	buf_drop(store_of(s), &s->conn.in, n);
	ps->drop_left -= n;
}

static void
begin(struct session *s)
{
	struct exchange *x = exchange_new(s);

	if (x == NULL) {
		pg_say_fatal(s, "53200", "weir: out of memory");
		return;
	}
	deadline_clear(&s->deadline);
	exchange_route(x, x->policy->upstream);
}

/*
 * The next message of one that has no exchange. True: it has been dealt with.
 * CopyData and its ends may come late, when the server has failed the COPY
 * already (PostgreSQL 55.2.6): nobody waits for them any more.
 */
static bool
take(struct session *s, const struct pg_head *h)
{
	struct pg_session *ps = pg_session(s);
	bool skipping = ps->skipping;

	switch (h->type) {
	case 'X':
		session_finish(s);
		return true;
	case 'S':
		ps->drop_left = h->size;
		ps->skipping = false;
		say_ready(s);
		return true;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		ps->drop_left = h->size;
		return true;
	case 'Q':
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
	case 'F':
		if (skipping)
			ps->drop_left = h->size;
		else if (s->conn.in.len >= h->size ||
		    s->conn.in.len >= PG_BEGUN_MOST)
			begin(s);
		return skipping;
	}
	pg_say_fatal(s, "08P01", "invalid frontend message type %d",
	    (unsigned char)h->type);
	return true;
}

static bool
take_next(struct session *s)
{
	struct pg_head h;

	if (pg_session(s)->drop_left > 0)
		drop_some(s);
	switch (pg_head_at(&s->conn.in, 0, &h)) {
	case PARSE_MORE:
		break;
	case PARSE_BAD:
		pg_say_fatal(s, "08P01", "invalid message length");
		break;
	case PARSE_DONE:
		return take(s, &h) && !is_over(s);
	}
	return false;
}

/* What has come while it waits for a connection stays, up to a point. */
static void
wait_for_lease(struct session *s)
{
	if (s->conn.in.held >= AHEAD_MOST)
		conn_pause(&s->conn);
}

static void
say_end(struct session *s)
{
	pg_say_fatal(s, "57P01", "terminating connection due to administrator "
	    "command");
}

static void
taken_leave(struct session *s)
{
	if (session_is_leaving(s) && pg_session(s)->phase == PG_READY)
		say_end(s);
}

static void
ready_bytes(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (x == NULL) {
		conn_resume(&s->conn);
		while (exchange_first(s) == NULL && take_next(s))
			;
		if (!is_over(s) && exchange_first(s) == NULL && !s->conn.eof)
			taken_leave(s);
		return;
	}
	if (x->lease != NULL)
		pg_up(x);
	else
		wait_for_lease(s);
}

/* It has ended in good order: what it has asked for is carried out first. */
static bool
takes_leave(const struct session *s)
{
	struct pg_head h;

	return !list_empty(&s->exchanges) &&
	    pg_head_at(&s->conn.in, 0, &h) == PARSE_DONE && h.type == 'X';
}

static void
front_bytes(struct session *s)
{
	struct pg_session *ps = pg_session(s);
	uint8_t phase;

	if (is_over(s))
		return;
	do {
		phase = ps->phase;
		switch ((enum pg_phase)phase) {
		case PG_STARTUP:
			pg_startup_take(s);
			break;
		case PG_TLS_DUE:
		case PG_TLS_SHAKES:
			pg_startup_tls(s);
			break;
		case PG_AUTH:
			pg_auth_take(s);
			break;
		case PG_LOGIN:
			wait_for_lease(s);
			break;
		case PG_READY:
			ready_bytes(s);
			break;
		case PG_CANCEL:
			buf_clear(store_of(s), &s->conn.in);
			break;
		case PG_CONSOLE:
			pg_console_take(s);
			break;
		}
	} while (!is_over(s) && ps->phase != phase);
	/* Whoever has gone waits for nothing, and what it asked for is not
	   wanted any more. No client ends its side alone. */
	if (s->conn.eof && !is_over(s) && !takes_leave(s))
		session_close(s);
}

static void
front_open(struct session *s)
{
	s->conn.gathers = true;
	deadline_set(s->conn.w, &s->deadline,
	    s->door->conf->timeouts.header_ms);
}

/* ----------------------------------------------------------------- failures */

/* SQLSTATEs of PostgreSQL appendix A. */
static const char *
code_of(enum fail why)
{
	switch (why) {
	case FAIL_QUEUE_FULL:
	case FAIL_QUEUE_TIMEOUT:
	case FAIL_PINNED:
	case FAIL_LIMITED:
	case FAIL_UPSTREAM_LIMITED:
	case FAIL_NO_DESCRIPTORS:
	case FAIL_OVERLOADED:
		return "53300";         /* too_many_connections */
	case FAIL_NO_MEMORY:
		return "53200";
	case FAIL_DRAINED:
		return "57P01";         /* admin_shutdown */
	case FAIL_BAD_RESPONSE:
	case FAIL_BAD_REQUEST:
		return "08P01";         /* protocol_violation */
	case FAIL_INJECTED:
		return "58000";         /* system_error */
	case FAIL_CANCELLED:
		return "57014";         /* query_canceled */
	case FAIL_TRANSACTION_IDLE:
		return "25P03";         /* idle_in_transaction_session_timeout */
	case FAIL_CONNECT_FAILED:
	case FAIL_CONNECT_TIMEOUT:
	case FAIL_NO_ENDPOINT:
	case FAIL_TLS:
		return "08001";         /* sqlclient_unable_to_establish */
	default:
		return "08006";         /* connection_failure */
	}
}

/* "28P01 password authentication failed ...": of a server's refusal. */
static void
server_words(const struct exchange *x, const char **code, const char **text)
{
	const char *said = x->said;

	if (said == NULL || strlen(said) < 7 || said[5] != ' ')
		return;
	*text = said + 6;
	*code = said;
}

/* Its first message, and what else has come of the request, is not sent. */
static void
give_up_request(struct session *s)
{
	struct pg_session *ps = pg_session(s);
	struct pg_head h;

	if (pg_head_at(&s->conn.in, 0, &h) != PARSE_DONE)
		return;
	ps->drop_left = h.size;
	/* A server has forgotten it when it fails. */
	if (h.type == 'Q') {
		pg_statement_drop(&pg_lane(s)->statements, ps->unnamed);
		ps->unnamed = NULL;
	}
	if (h.type != 'Q' && h.type != 'F')
		ps->skipping = true;
	else
		say_ready(s);
}

static void
front_fail(struct session *s, struct exchange *x, enum fail why)
{
	const char *text = fail_rows[why].text, *code = code_of(why);
	bool lives = x->lease == NULL && pg_of(x)->purpose == PG_FOR_REQUESTS &&
	    s->kept == NULL && pg_session(s)->pins == 0;
	char copy[6], tls[320];

	/* Inside of a message there is nothing to say but that it is cut. */
	if (x->lease != NULL && pg_of(x)->down_left > 0) {
		pg_who_stays(x);
		session_reset(s);
		return;
	}
	/* The last word has been said to this client: the server's own, or of
	   why it is not let in. */
	if (pg_of(x)->fatal) {
		conn_send(&s->conn);
		session_linger(s);
		return;
	}
	if (why == FAIL_LOGIN)
		server_words(x, &code, &text);
	if (why == FAIL_TLS && x->said != NULL) {
		snprintf(tls, sizeof(tls), "weir: %s: %s", text, x->said);
		text = tls;
	}
	memcpy(copy, code, 5);
	copy[5] = '\0';
	if (!lives) {
		pg_say_fatal(s, copy, "%s%s", text == fail_rows[why].text ?
		    "weir: " : "", text);
		return;
	}
	if (pg_put_report(store_of(s), &s->conn.out, 'E', "ERROR", copy,
	    "%s%s", text == fail_rows[why].text ? "weir: " : "", text) < 0) {
		session_reset(s);
		return;
	}
	conn_send(&s->conn);
	give_up_request(s);
	idle_begins(s);
}

static void
front_late(struct session *s)
{
	if (pg_session(s)->phase == PG_CONSOLE)
		pg_console_late(s);
	else if (pg_session(s)->phase == PG_CANCEL)
		session_close(s);
	else if (pg_session(s)->phase != PG_READY)
		pg_say_fatal(s, "08P01", "weir: the client did not log in in "
		    "time");
	else if (exchange_first(s) == NULL) {
		count_add(&s->door->failures[FAIL_IDLE_TIMEOUT], 1);
		pg_say_fatal(s, "57P05", "terminating connection due to "
		    "idle-session timeout");
	} else
		exchange_fail(exchange_first(s), FAIL_BODY_TIMEOUT);
}

static void
front_bye(struct session *s)
{
	if (pg_session(s)->phase == PG_CONSOLE)
		pg_console_bye(s);
	else if (exchange_first(s) == NULL && s->conn.in.len == 0)
		taken_leave(s);
}

/* Inside of a message there is nothing to say. */
static void
front_cut(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (pg_session(s)->phase == PG_READY && (x == NULL ||
	    x->lease == NULL || (pg_of(x)->down_left == 0 &&
	    !pg_of(x)->fatal)))
		say_end(s);
}

/* ------------------------------------------------------------- the way down */

static void
front_reply(struct session *s, struct exchange *x)
{
	(void)s;
	(void)x;
}

static void
front_unchoke(struct session *s, struct exchange *x)
{
	/* It is told after each write; mostly there is nothing to go on with. */
	if (!s->conn.paused)
		return;
	conn_resume(&s->conn);
	if (!pg_settle(x))
		pg_up(x);
}

static int
aside_status(struct upconn *u, const struct pg_head *h)
{
	const char *bytes = buf_flat(&u->conn.w->blocks, &u->conn.in, h->size);
	const char *name, *value;
	size_t at = 0;

	if (bytes == NULL)
		return -1;
	name = pg_string(bytes + PG_HEAD, h->size - PG_HEAD, &at);
	value = name != NULL ? pg_string(bytes + PG_HEAD, h->size - PG_HEAD,
	    &at) : NULL;
	return value != NULL ? pg_state_noted(u, name, value) : -1;
}

/* On a connection that is pinned to s, while s asks for nothing: notifications,
   notices, the server's farewell. */
static void
front_aside(struct session *s, struct upconn *u)
{
	struct pg_head h;
	bool held = s->conn.out.held >= CONN_HIGH;

	while (!held && pg_head_at(&u->conn.in, 0, &h) == PARSE_DONE) {
		bool last = h.type == 'E';

		if (u->conn.in.len < h.size)
			break;
		if (h.type != 'A' && h.type != 'N' && h.type != 'S' && !last) {
			upconn_mark(u, MARK_BROKEN, "unasked message");
			return;
		}
		if (h.type == 'S' && aside_status(u, &h) < 0) {
			upconn_mark(u, MARK_BROKEN, "malformed status");
			return;
		}
		if (buf_move(store_of(s), &s->conn.out, &u->conn.in,
		    h.size) < 0) {
			session_reset(s);
			return;
		}
		conn_send(&s->conn);
		held = s->conn.out.held >= CONN_HIGH;
		if (!last)
			continue;
		upconn_mark(u, MARK_BROKEN, "the server took its leave");
		session_linger(s);
		return;
	}
	if (held) {
		conn_pause(&u->conn);
		return;
	}
	if (u->conn.broken && u->doom == DISCARD_KILLED) {
		count_add(&s->door->failures[FAIL_KILLED], 1);
		pg_say_fatal(s, "08006", "weir: killed: the connection that "
		    "this client's session state was on was closed by hand");
	} else if (u->conn.eof || u->conn.broken) {
		upconn_mark(u, MARK_BROKEN, "lost");
		pg_say_fatal(s, "08006", "weir: the upstream closed the "
		    "connection that this client's session state was on");
	} else if (u->conn.in.len > PG_SETTINGS_MOST)
		upconn_mark(u, MARK_BROKEN, "unasked bytes");
}

/* What it had set up there is lost. It is told so, and not served as if nothing
   had been: the request that is about to be made fails. */
static void
front_forsaken(struct session *s, struct upconn *u)
{
	struct pg_session *ps = pg_session(s);

	upconn_mark(u, MARK_BROKEN, "given up with a client's state on it");
	ps->pins = 0;
	if (s->closed || is_over(s))
		return;
	ps->forsaken = true;
	if (exchange_first(s) == NULL)
		pg_say_fatal(s, "08006", "weir: the upstream connection that "
		    "this client's session state was on is lost");
}

static void
aside_drained(struct session *s)
{
	if (s->kept == NULL || !s->kept->u->conn.paused)
		return;
	conn_resume(&s->kept->u->conn);
	front_aside(s, s->kept->u);
}

static void
front_drained(struct session *s)
{
	struct exchange *x = exchange_first(s);

	if (pg_session(s)->phase == PG_CONSOLE) {
		session_bytes(s);
		return;
	}
	if (pg_session(s)->phase == PG_TLS_DUE) {
		pg_startup_drained(s);
		return;
	}
	if (x == NULL || x->lease == NULL) {
		aside_drained(s);
		return;
	}
	exchange_choked(x, false);
	if (x->lease->u->conn.paused) {
		conn_resume(&x->lease->u->conn);
		pg_down(x);
	}
	if (!x->ended && s->conn.paused)
		front_unchoke(s, x);
}

static const char *
front_asks(const struct exchange *x, size_t *len, bool *is_line)
{
	const struct pg_brief *b = &pg_of(x)->brief;

	(void)is_line;
	*len = b->len;
	return b->len > 0 ? b->text : NULL;
}

const struct front_ops pg_front = {
	.asks_tls = true,
	.open = front_open,
	.pack = pg_cross_pack,
	.adopt = pg_cross_adopt,
	.bytes = front_bytes,
	.reply = front_reply,
	.unchoke = front_unchoke,
	.drained = front_drained,
	.fail = front_fail,
	.late = front_late,
	.bye = front_bye,
	.cut = front_cut,
	.aside = front_aside,
	.forsaken = front_forsaken,
	.asks = front_asks,
	.words = pg_who_words
};
