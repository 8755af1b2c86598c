/*
 * Extended queries on the console (PostgreSQL 55.2.3), as far as a driver needs
 * them to run a command without parameters: some statements, and one portal at
 * a time. Results are text.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/talk.h"

#include <string.h>

static bool
read_u16(struct pg_body *b, uint16_t *n)
{
	if (b->len - b->at < 2)
		return false;
	*n = pg_u16(b->bytes + b->at);
	b->at += 2;
	return true;
}

static struct pg_talk_statement *
find(struct pg_console *c, const char *name)
{
	size_t i;

	for (i = 0; i < PG_TALK_STATEMENTS_MOST; i++)
		if (c->statements[i].there &&
		    strcmp(c->statements[i].name, name) == 0)
			return &c->statements[i];
	return NULL;
}

/* Where one of that name goes; NULL: the client has been told why nowhere. */
static struct pg_talk_statement *
place(struct session *s, const char *name)
{
	struct pg_console *c = pg_console_of(s);
	struct pg_talk_statement *st = find(c, name);
	size_t i;

	if (st != NULL && *name != '\0') {
		pg_talk_fail(s, false, "42P05", "prepared statement "
		    "\"%.64s\" already exists", name);
		return NULL;
	}
	for (i = 0; st == NULL && i < PG_TALK_STATEMENTS_MOST; i++)
		if (!c->statements[i].there)
			st = &c->statements[i];
	if (st == NULL || strlen(name) >= PG_TALK_NAME_MOST) {
		pg_talk_fail(s, false, "54000", "weir: the console keeps %d "
		    "statements with names of %d bytes",
		    PG_TALK_STATEMENTS_MOST, PG_TALK_NAME_MOST - 1);
		return NULL;
	}
	return st;
}

static void
take_parse(struct session *s, struct pg_body *b)
{
	const char *name = pg_body_text(b);
	const char *text = name != NULL ? pg_body_text(b) : NULL;
	struct pg_talk_statement *st;
	struct pg_said said;

	if (text == NULL) {
		pg_talk_malformed(s);
		return;
	}
	if (!pg_talk_understand(s, false, text, &said))
		return;
	st = place(s, name);
	if (st == NULL)
		return;
	st->there = true;
	strcpy(st->name, name);
	st->said = said;
	pg_talk_say(s, '1');
}

/* Formats of the parameters, of which there are none, then of the results. */
static bool
read_formats(struct pg_body *b, uint16_t *params, bool *binary)
{
	uint16_t n, format;

	*binary = false;
	if (!read_u16(b, &n) || b->len - b->at < 2 * (size_t)n)
		return false;
	b->at += 2 * (size_t)n;
	if (!read_u16(b, params))
		return false;
	if (*params > 0)
		return true;
	if (!read_u16(b, &n))
		return false;
	for (; n > 0; n--) {
		if (!read_u16(b, &format))
			return false;
		*binary = *binary || format != 0;
	}
	return b->at == b->len;
}

static void
take_bind(struct session *s, struct pg_body *b)
{
	struct pg_console *c = pg_console_of(s);
	const char *portal = pg_body_text(b);
	const char *name = portal != NULL ? pg_body_text(b) : NULL;
	const struct pg_talk_statement *st;
	uint16_t params;
	bool binary;

	if (name == NULL || !read_formats(b, &params, &binary)) {
		pg_talk_malformed(s);
		return;
	}
	st = find(c, name);
	if (st == NULL)
		pg_talk_fail(s, false, "26000", "prepared statement "
		    "\"%.64s\" does not exist", name);
	else if (params > 0)
		pg_talk_fail(s, false, "08P01", "weir: the console's commands "
		    "have no parameters");
	else if (binary && st->said.command != NULL &&
	    st->said.command->columns != NULL)
		pg_talk_fail(s, false, "0A000", "weir: the console has no "
		    "binary results");
	else if (strlen(portal) >= PG_TALK_NAME_MOST)
		pg_talk_fail(s, false, "54000", "weir: the portal's name is "
		    "too long");
	else {
		c->portal = *st;
		strcpy(c->portal.name, portal);
		pg_talk_say(s, '2');
	}
}

/* The statement, or the portal, that a Describe or Close names. *kind as the
   message says it. False: there is none, or the message is malformed. */
static bool
read_target(struct session *s, struct pg_body *b, char *kind,
    struct pg_talk_statement **st)
{
	struct pg_console *c = pg_console_of(s);
	const char *name;

	if (b->len == 0)
		return false;
	*kind = b->bytes[b->at++];
	name = pg_body_text(b);
	if (name == NULL || (*kind != 'S' && *kind != 'P'))
		return false;
	if (*kind == 'S')
		*st = find(c, name);
	else
		*st = c->portal.there && strcmp(c->portal.name, name) == 0 ?
		    &c->portal : NULL;
	return true;
}

static void
no_such(struct session *s, char kind)
{
	if (kind == 'S')
		pg_talk_fail(s, false, "26000", "prepared statement does "
		    "not exist");
	else
		pg_talk_fail(s, false, "34000", "portal does not exist");
}

static void
take_describe(struct session *s, struct pg_body *b)
{
	const struct pg_command *command;
	struct pg_talk_statement *st;
	char kind;

	if (!read_target(s, b, &kind, &st)) {
		pg_talk_malformed(s);
		return;
	}
	if (st == NULL) {
		no_such(s, kind);
		return;
	}
	if (kind == 'S' &&
	    pg_put(&s->conn.w->blocks, &s->conn.out, 't', "\0\0", 2) < 0) {
		session_reset(s);
		return;
	}
	command = st->said.command;
	pg_talk_sent(s, pg_put_columns(&s->conn.w->blocks, &s->conn.out,
	    command != NULL ? command->columns : NULL));
}

/* It is no error to close what there is not (PostgreSQL 55.2.3). */
static void
take_close(struct session *s, struct pg_body *b)
{
	struct pg_talk_statement *st;
	char kind;

	if (!read_target(s, b, &kind, &st)) {
		pg_talk_malformed(s);
		return;
	}
	if (st != NULL)
		st->there = false;
	pg_talk_say(s, '3');
}

/* How many rows it wants at most is not looked at: all are there. */
static void
take_execute(struct session *s, struct pg_body *b)
{
	struct pg_console *c = pg_console_of(s);
	const char *portal = pg_body_text(b);

	if (portal == NULL || b->len - b->at != 4)
		pg_talk_malformed(s);
	else if (!c->portal.there || strcmp(c->portal.name, portal) != 0)
		no_such(s, 'P');
	else
		pg_talk_carry_out(s, false, &c->portal.said);
}

bool
pg_talk_extended(struct session *s, char type, struct pg_body *b)
{
	switch (type) {
	case 'P':
		take_parse(s, b);
		return true;
	case 'B':
		take_bind(s, b);
		return true;
	case 'D':
		take_describe(s, b);
		return true;
	case 'C':
		take_close(s, b);
		return true;
	case 'E':
		take_execute(s, b);
		return true;
	}
	return false;
}
