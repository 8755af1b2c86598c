/*
 * Redis: what weir answers itself, for it is about the client's connection, and
 * that is weir's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/redis/redis.h"
#include "proxy/runtime.h"

/* The command is no more in the input; its answer, in order, is this. */
void
redis_answer(struct session *s, const char *text, size_t len)
{
	struct redis_session *rs = redis_session(s);
	struct exchange *x = pipeline_begin(s);

	buf_drop(&s->conn.w->blocks, &s->conn.in, (size_t)rs->command.size);
	redis_command_taken(s);
	if (x == NULL) {
		session_reset(s);
		return;
	}
	count_add(&s->door->requests, 1);
	if (!redis_is_silent(s) && buf_append(exchange_blocks(x), &x->down, text,
	    len) < 0) {
		session_reset(s);
		return;
	}
	pipeline_answer(x);
}

bool
redis_is_silent(struct session *s)
{
	struct redis_session *rs = redis_session(s);
	bool silent = rs->replies != REDIS_REPLIES_ON;

	if (rs->replies == REDIS_REPLIES_SKIP)
		rs->replies = REDIS_REPLIES_ON;
	return silent;
}

void
redis_say(struct session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 2, fmt, ap);
	va_end(ap);
	if (n < 0 || n > (int)sizeof(text) - 3)
		n = (int)sizeof(text) - 3;
	memcpy(text + n, "\r\n", 2);
	redis_answer(s, text, (size_t)n + 2);
}

static void
answer_bulk(struct session *s, const char *text, size_t len)
{
	char *whole;
	int n;

	n = asprintf(&whole, "$%zu\r\n%.*s\r\n", len, (int)len, text);
	if (n < 0) {
		session_reset(s);
		return;
	}
	redis_answer(s, whole, (size_t)n);
	free(whole);
}

static void
answer_null(struct session *s)
{
	redis_say(s, "%s", redis_session(s)->who.resp == 3 ? "_" : "$-1");
}

/* ------------------------------------------------------------------- CLIENT */

/* networking.c, validateClientAttr(): printable, without spaces. */
bool
redis_is_name(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] < '!' || text[i] > '~')
			return false;
	return true;
}

/* An empty one takes it away. */
static int
set_text(char **where, const char *text, size_t len)
{
	char *now = len > 0 ? strndup(text, len) : NULL;

	if (len > 0 && now == NULL)
		return -1;
	free(*where);
	*where = now;
	return 0;
}

bool
redis_name_set(struct session *s, const char *text, size_t len)
{
	if (!redis_is_name(text, len))
		redis_say(s, "-ERR Client names cannot contain spaces, "
		    "newlines or special characters.");
	else if (set_text(&redis_session(s)->name, text, len) < 0)
		redis_say(s, "-ERR weir: out of memory");
	else
		return true;
	return false;
}

static void
set_info(struct session *s, const char *what, size_t what_len,
    const char *text, size_t len)
{
	struct redis_session *rs = redis_session(s);
	bool name = what_len == 8 && strncasecmp(what, "lib-name", 8) == 0;
	bool version = what_len == 7 && strncasecmp(what, "lib-ver", 7) == 0;

	if (!name && !version)
		redis_say(s, "-ERR Unrecognized option '%.*s'",
		    (int)(what_len > 64 ? 64 : what_len), what);
	else if (!redis_is_name(text, len))
		redis_say(s, "-ERR %s cannot contain spaces, newlines or "
		    "special characters.", name ? "lib-name" : "lib-ver");
	else if (set_text(name ? &rs->lib_name : &rs->lib_version, text,
	    len) < 0)
		redis_say(s, "-ERR weir: out of memory");
	else
		redis_say(s, "+OK");
}

static const char *
or_nothing(const char *text)
{
	return text != NULL ? text : "";
}

/* As CLIENT INFO of Redis 7.2 has it, what concerns a client. */
static void
tell_info(struct session *s)
{
	const struct redis_session *rs = redis_session(s);
	int64_t age_s = (s->conn.w->now_ns - rs->begun_ns) / NS_PER_S;
	char addr[ADDR_TEXT_MAX], *text;
	int n;

	addr_ip_print(&s->client, true, addr);
	n = asprintf(&text, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld "
	    "idle=0 flags=%s db=%u sub=%lld psub=%lld ssub=%lld multi=%d "
	    "qbuf=%u obl=%u events=r cmd=client|info user=%s redir=-1 resp=%d "
	    "lib-name=%s lib-ver=%s\n", (unsigned long long)rs->id, addr,
	    s->door->conf->n_binds > 0 ? s->door->listener->name : "",
	    conn_fd(&s->conn), or_nothing(rs->name), (long long)age_s,
	    rs->in_multi ? "x" : rs->pins != 0 ? "P" : "N",
	    (unsigned)rs->who.db, (long long)rs->channels,
	    (long long)rs->patterns, (long long)rs->shard_subs,
	    rs->in_multi ? 0 : -1, (unsigned)s->conn.in.len,
	    (unsigned)s->conn.out.len,
	    rs->who.user != NULL ? rs->who.user : "default",
	    rs->who.resp, or_nothing(rs->lib_name),
	    or_nothing(rs->lib_version));
	if (n < 0) {
		session_reset(s);
		return;
	}
	answer_bulk(s, text, (size_t)n);
	free(text);
}

/* How many arguments it takes, all words counted; 0 = one that is not here. */
static unsigned
argc_of(enum redis_op op)
{
	switch (op) {
	case REDIS_OP_CLIENT_GETNAME:
	case REDIS_OP_CLIENT_ID:
	case REDIS_OP_CLIENT_INFO:
		return 2;
	case REDIS_OP_CLIENT_SETNAME:
		return 3;
	case REDIS_OP_CLIENT_SETINFO:
		return 4;
	default:
		return 0;
	}
}

void
redis_answer_client(struct session *s, const struct redis_command *row,
    const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	const struct resp_command *c = &rs->command;
	const struct resp_span *a = c->arg;

	if (argc_of(row->op) != 0 && c->argc != argc_of(row->op)) {
		redis_say(s, "-ERR wrong number of arguments for '%s' command",
		    row->name);
		return;
	}
	switch (row->op) {
	case REDIS_OP_CLIENT_SETNAME:
		if (redis_name_set(s, bytes + a[2].at, a[2].len))
			redis_say(s, "+OK");
		return;
	case REDIS_OP_CLIENT_GETNAME:
		if (rs->name == NULL)
			answer_null(s);
		else
			answer_bulk(s, rs->name, strlen(rs->name));
		return;
	case REDIS_OP_CLIENT_ID:
		redis_say(s, ":%llu", (unsigned long long)rs->id);
		return;
	case REDIS_OP_CLIENT_INFO:
		tell_info(s);
		return;
	case REDIS_OP_CLIENT_SETINFO:
		set_info(s, bytes + a[2].at, a[2].len, bytes + a[3].at,
		    a[3].len);
		return;
	default:
		redis_say(s, "-ERR weir: '%s' is not available through a pool",
		    row->name);
		return;
	}
}

/* Messages that may come at any time cannot be told from replies, and RESET of
   Redis 7.0 leaves NO-EVICT and NO-TOUCH on. */
void
redis_undo_pins(struct session *s, const char *why)
{
	static const unsigned stay = 1u << REDIS_PIN_MONITOR |
	    1u << REDIS_PIN_SUBSCRIBE | 1u << REDIS_PIN_NO_EVICT |
	    1u << REDIS_PIN_NO_TOUCH;

	upconn_mark(s->kept->u, (redis_session(s)->pins & stay) != 0 ?
	    MARK_BROKEN : MARK_DIRTY, why);
}

int
redis_session_reset(struct session *s)
{
	struct redis_session *rs = redis_session(s);

	if (redis_identity_set(&rs->who, 0, 2, NULL, NULL) < 0)
		return -1;
	rs->let_in = redis_conf(s)->auth != REDIS_AUTH_CHECK;
	rs->pins = 0;
	rs->in_multi = rs->has_multi_db = false;
	rs->replies = REDIS_REPLIES_ON;
	rs->subs = rs->shard_subs = rs->channels = rs->patterns = 0;
	free(rs->name);
	rs->name = NULL;
	return 0;
}
