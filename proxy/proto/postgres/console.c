/*
 * The console's conversation. See console.h; question.c has what is asked.
 *
 * Simple queries here, extended ones in extended.c. What is sent ahead stays
 * where it is until what is asked of weir has come back.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/console.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/talk.h"

enum {
	AHEAD_MOST = 64 * 1024,         /* of input, while one is answered */
	MESSAGE_MOST = 8 * 1024,        /* of a client's; commands are short */
	LOOK_MS = 50                    /* is anything still leased? */
};

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

const char *
pg_console_user(const struct pg_console *c)
{
	return c->user;
}

void
pg_console_free(struct pg_console *c)
{
	free(c);
}

/* ------------------------------------------------------------------ let in */

static bool
has(const struct conf_names *names, const char *name)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		if (strcmp(names->v[i], name) == 0)
			return true;
	return false;
}

bool
pg_console_is_meant(const struct session *s, const char *database)
{
	const struct pg_listener_conf *conf = pg_conf(s);

	return (conf->admin_users.n > 0 || conf->stats_users.n > 0) &&
	    strcmp(database, "weir") == 0;
}

static int
greet(struct session *s)
{
	static const char text[] =
	    "server_version\0" WEIR_VERSION "/weir\0"
	    "server_encoding\0UTF8\0" "client_encoding\0UTF8\0"
	    "standard_conforming_strings\0on\0" "integer_datetimes\0on\0"
	    "DateStyle\0ISO, MDY\0" "TimeZone\0UTC\0" "is_superuser\0off";
	struct pg_settings *all = pg_settings_of(text, sizeof(text));

	if (all == NULL)
		return -1;
	pg_greet_client(s, all);
	pg_settings_drop(all);
	return 0;
}

void
pg_console_begin(struct session *s, const char *user)
{
	const struct pg_listener_conf *conf = pg_conf(s);
	struct pg_session *ps = pg_session(s);
	size_t len = strlen(user) + 1;

	if (!has(&conf->admin_users, user) && !has(&conf->stats_users, user)) {
		pg_auth_refuse(s, user, "weir", "may not use the console",
		    "42501", "weir: user \"%.64s\" may not use the console",
		    user);
		return;
	}
	ps->console = calloc(1, sizeof(*ps->console) + len);
	if (ps->console == NULL || pg_slot_take(s) < 0 ||
	    RAND_bytes(ps->secret, sizeof(ps->secret)) != 1 ||
	    pg_put(store_of(s), &s->conn.out, 'R', "\0\0\0\0", 4) < 0) {
		pg_say_fatal(s, "53200", "weir: out of memory");
		return;
	}
	memcpy(ps->console->user, user, len);
	ps->console->may_change = has(&conf->admin_users, user);
	if (greet(s) < 0)
		pg_say_fatal(s, "53200", "weir: out of memory");
	ps->phase = PG_CONSOLE;
}

/* ----------------------------------------------------------------- answers */

void
pg_talk_sent(struct session *s, int result)
{
	if (result < 0)
		session_reset(s);
	else
		conn_send(&s->conn);
}

static void
say_ready(struct session *s)
{
	pg_talk_sent(s, pg_put_ready(store_of(s), &s->conn.out, 'I'));
}

void
pg_talk_say(struct session *s, char type)
{
	pg_talk_sent(s, pg_put(store_of(s), &s->conn.out, type, NULL, 0));
}

void
pg_talk_fail(struct session *s, bool simple, const char *code,
    const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pg_talk_sent(s, pg_put_report(store_of(s), &s->conn.out, 'E', "ERROR",
	    code, "%s", text));
	pg_session(s)->skipping = !simple;
	if (simple && !s->closed)
		say_ready(s);
}

/* What was under way is over. */
static void
over(struct session *s)
{
	struct pg_console *c = pg_console_of(s);

	c->asks = c->waits = false;
	s->idle_since_s = (uint32_t)(s->conn.w->now_ns / NS_PER_S);
	deadline_set(s->conn.w, &s->deadline, s->door->conf->timeouts.idle_ms);
}

static void
complete(struct session *s, const struct pg_rows *rows)
{
	struct pg_console *c = pg_console_of(s);
	const struct pg_command *command = c->doing.command;
	struct block_store *store = store_of(s);
	struct buf *out = &s->conn.out;

	over(s);
	if ((c->simple && command->columns != NULL &&
	    pg_put_columns(store, out, command->columns) < 0) ||
	    (rows != NULL && rows->len > 0 &&
	    buf_append(store, out, rows->bytes, rows->len) < 0)) {
		session_reset(s);
		return;
	}
	pg_talk_sent(s, pg_put(store, out, 'C', command->tag,
	    strlen(command->tag) + 1));
	if (c->simple && !s->closed)
		say_ready(s);
}

/* Connections that somebody has, of what c has paused; also with a weir that
   drains. */
static unsigned
leased(const struct session *s)
{
	const struct generation *gen = s->door->lane->gen;
	const char *name = pg_console_of(s)->doing.upstream;
	unsigned n = 0;
	size_t i, k;

	for (i = 0; i < gen->conf->n_upstreams; i++) {
		const struct conf_upstream *conf = &gen->conf->upstreams[i];
		const struct upstream *up = gen->upstreams[i];

		if (conf->proto != &proto_postgres.conf ||
		    (*name != '\0' && strcmp(conf->name, name) != 0))
			continue;
		for (k = 0; k < up->n_pools; k++)
			n += atomic_load(&up->pools[k]->leased);
		n += upstream_leased_elsewhere(up);
	}
	return n;
}

/* Is there anything left to wait for? */
static bool
is_quiet(const struct session *s)
{
	return !atomic_load(&s->door->lane->runtime->unheard) &&
	    leased(s) == 0;
}

void
pg_console_answered(struct session *s, const struct pg_question *q)
{
	struct pg_console *c = pg_console_of(s);

	if (!c->asks)
		return;
	c->asks = false;
	if (q->code != NULL) {
		over(s);
		pg_talk_fail(s, c->simple, q->code, "%s", q->error);
	} else if (c->doing.command->waits && !is_quiet(s)) {
		c->waits = true;
		deadline_set(s->conn.w, &s->deadline, LOOK_MS);
		return;
	} else
		complete(s, &q->rows);
	if (!s->closed)
		session_bytes(s);
}

void
pg_console_late(struct session *s)
{
	struct pg_console *c = pg_console_of(s);

	if (c->waits && !is_quiet(s))
		deadline_set(s->conn.w, &s->deadline, LOOK_MS);
	else if (c->waits) {
		complete(s, NULL);
		if (!s->closed)
			session_bytes(s);
	} else if (!c->asks) {
		count_add(&s->door->failures[FAIL_IDLE_TIMEOUT], 1);
		pg_say_fatal(s, "57P05", "terminating connection due to "
		    "idle-session timeout");
	}
}

/* What has been asked of weir is answered soon: only a wait is given up. */
void
pg_console_cancel(struct session *s)
{
	struct pg_console *c = pg_console_of(s);

	if (!c->waits)
		return;
	over(s);
	pg_talk_fail(s, c->simple, "57014", "weir: the wait was cancelled; "
	    "what is paused stays so until RESUME");
	if (!s->closed)
		session_bytes(s);
}

void
pg_console_bye(struct session *s)
{
	if (session_is_leaving(s) && !pg_console_of(s)->asks)
		pg_say_fatal(s, "57P01", "terminating connection due to "
		    "administrator command");
}

/* ---------------------------------------------------------------- commands */

bool
pg_talk_understand(struct session *s, bool simple, const char *text,
    struct pg_said *said)
{
	bool empty;

	said->command = pg_command_find(text, said->upstream, &empty);
	if (said->command != NULL || empty)
		return true;
	pg_talk_fail(s, simple, "42601", "weir: no such command: SHOW HELP "
	    "lists them");
	return false;
}

void
pg_talk_carry_out(struct session *s, bool simple,
    const struct pg_said *said)
{
	struct pg_console *c = pg_console_of(s);

	if (said->command == NULL) {
		pg_talk_say(s, 'I');
		if (simple && !s->closed)
			say_ready(s);
	} else if (said->command->changes && !c->may_change)
		pg_talk_fail(s, simple, "42501", "weir: user \"%.64s\" may "
		    "only SHOW: %s is for admin_users", c->user,
		    said->command->words);
	else if (pg_question_ask(s, said->command, said->upstream) < 0)
		pg_talk_fail(s, simple, "53200", "weir: out of memory");
	else {
		c->doing = *said;
		c->simple = simple;
		c->asks = true;
		deadline_clear(&s->deadline);
	}
}

/* ---------------------------------------------------------------- messages */

void
pg_talk_malformed(struct session *s)
{
	pg_say_fatal(s, "08P01", "invalid message format");
}

static void
take_query(struct session *s, struct pg_body *b)
{
	const char *text = pg_body_text(b);
	struct pg_said said;

	if (text == NULL)
		pg_talk_malformed(s);
	else if (pg_talk_understand(s, true, text, &said))
		pg_talk_carry_out(s, true, &said);
}

static void
take_sync(struct session *s)
{
	pg_session(s)->skipping = false;
	say_ready(s);
}

static void
take(struct session *s, char type, struct pg_body *b)
{
	if (pg_session(s)->skipping)
		return;
	switch (type) {
	case 'Q':
		take_query(s, b);
		return;
	case 'F':
		pg_talk_fail(s, true, "0A000", "weir: the console has no "
		    "functions");
		return;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		return;
	}
	if (!pg_talk_extended(s, type, b))
		pg_say_fatal(s, "08P01", "invalid frontend message type %d",
		    (unsigned char)type);
}

/* False: there is no whole one. */
static bool
take_next(struct session *s)
{
	char bytes[MESSAGE_MOST];
	struct pg_body b = { bytes, 0, 0 };
	struct pg_head h;

	switch (pg_head_at(&s->conn.in, 0, &h)) {
	case PARSE_MORE:
		return false;
	case PARSE_BAD:
		pg_say_fatal(s, "08P01", "invalid message length");
		return false;
	case PARSE_DONE:
		break;
	}
	if (h.size - PG_HEAD > sizeof(bytes)) {
		pg_say_fatal(s, "54000", "weir: too long for the console");
		return false;
	}
	if (s->conn.in.len < h.size)
		return false;
	b.len = h.size - PG_HEAD;
	pg_copy_at(&s->conn.in, PG_HEAD, bytes, b.len);
	buf_drop(store_of(s), &s->conn.in, h.size);
	if (h.type == 'X')
		session_close(s);
	else if (h.type == 'S')
		take_sync(s);
	else
		take(s, h.type, &b);
	return true;
}

void
pg_console_take(struct session *s)
{
	struct pg_console *c = pg_console_of(s);

	conn_resume(&s->conn);
	while (!c->asks && !c->waits && s->conn.out.held < CONN_HIGH) {
		bool took = take_next(s);

		if (s->closed || s->lingering)
			return;
		if (!took)
			break;
	}
	if (c->asks || c->waits || s->conn.out.held >= CONN_HIGH) {
		if (s->conn.in.held >= AHEAD_MOST)
			conn_pause(&s->conn);
	} else if (!s->conn.eof)
		pg_console_bye(s);
}
