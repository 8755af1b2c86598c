/*
 * The extended protocol of the model: batches up to a Sync, by names that are
 * each client's own for texts that are everybody's (PostgreSQL 55.2.3).
 *
 * SPDX-License-Identifier: MIT
 */
#include "pg.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Each has rows of its own kind: what another's would give is seen. */
static void
print_text(struct bytes *b, int text)
{
	if (text == TEXT_FAILS)
		bytes_print(b, "SELECT 1/((random()*0)::int + length($1::text) "
		    "- %d)", TOKEN_LEN);
	else
		bytes_print(b, "SELECT $1::text, %d FROM "
		    "generate_series(1, %d)", text, text % 3 + 1);
}

static void
want_rows(struct client *c, int text, const char *value, unsigned n)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", text);
	while (n-- > 0)
		want_row(c, 2, value, number);
}

/* ----------------------------------------------------------------- messages */

static void
send_sync(struct client *c)
{
	send_message(c, 'S', "", 0);
	peer(c)->skipping = false;
	want_ready(c);
}

static void
batch_fails(struct client *c, const char *code, const char *part)
{
	struct peer *m = peer(c);

	if (m->skipping)
		return;
	m->skipping = true;
	if (m->status == 'T')
		m->status = 'E';
	want_error(c, code, part);
}

/* An answer without a body, unless it is skipped. */
static void
want_plain(struct client *c, char type)
{
	if (!peer(c)->skipping)
		want_message(c, type, "", 0);
}

/* slot < 0: the unnamed one. */
static const char *
name_of(int slot, char out[16])
{
	snprintf(out, 16, slot < 0 ? "" : "s%d", slot);
	return out;
}

static int *
text_at(struct client *c, int slot)
{
	return slot < 0 ? &peer(c)->unnamed : &peer(c)->names[slot];
}

static void
send_parse(struct client *c, int slot, int text, bool bad)
{
	struct peer *m = peer(c);
	struct bytes b = { 0 };
	char name[16], t[TOKEN_LEN + 1];
	bool typed = text != TEXT_FAILS && text % 2 == 1;

	(void)name_of(slot, name);
	own_token(c, t);
	bytes_add(&b, name, strlen(name) + 1);
	if (bad)
		bytes_print(&b, "SELECT x FROM t%s", t);
	else
		print_text(&b, text);
	bytes_add(&b, typed ? "\0\0\1\0\0\0\31" : "\0\0\0", typed ? 7 : 3);
	send_message(c, 'P', b.p, b.len);
	free(b.p);
	/* The server still has the one before. */
	if (m->skipping)
		return;
	if (slot < 0)
		m->unnamed = NO_TEXT;
	if (m->status == 'E')
		batch_fails(c, "25P02", "");
	else if (bad)
		batch_fails(c, "42P01", t);
	else if (*text_at(c, slot) != NO_TEXT)
		batch_fails(c, "42P05", name);
	else {
		*text_at(c, slot) = text;
		want_plain(c, '1');
	}
}

static void
send_bind(struct client *c, const char *portal, int slot, const char *value,
    size_t len)
{
	uint32_t size = htonl((uint32_t)len);
	struct bytes b = { 0 };
	char name[16];

	(void)name_of(slot, name);
	bytes_add(&b, portal, strlen(portal) + 1);
	bytes_add(&b, name, strlen(name) + 1);
	bytes_add(&b, "\0\0\0\1", 4);
	bytes_add(&b, &size, 4);
	bytes_add(&b, value, len);
	bytes_add(&b, "\0\0", 2);
	send_message(c, 'B', b.p, b.len);
	free(b.p);
	if (peer(c)->skipping)
		return;
	if (*text_at(c, slot) == NO_TEXT)
		batch_fails(c, "26000", slot < 0 ? "unnamed" : name);
	else if (peer(c)->status == 'E')
		batch_fails(c, "25P02", "");
	else
		want_plain(c, '2');
}

/* What is 'S' or 'P'; type 'D' or 'C'. */
static void
send_named(struct client *c, char type, char what, const char *name)
{
	char body[24];
	int n = snprintf(body, sizeof(body), "%c%s", what, name);

	send_message(c, type, body, (size_t)n + 1);
}

static void
send_execute(struct client *c, const char *portal, unsigned rows)
{
	uint32_t most = htonl(rows);
	struct bytes b = { 0 };

	bytes_add(&b, portal, strlen(portal) + 1);
	bytes_add(&b, &most, 4);
	send_message(c, 'E', b.p, b.len);
	free(b.p);
}

/* ----------------------------------------------------------------- requests */

static void
run_all(struct client *c, const char *portal, int text, const char *value,
    unsigned rows)
{
	unsigned all = (unsigned)text % 3 + 1;

	send_execute(c, portal, rows);
	if (!peer(c)->skipping) {
		if (text == TEXT_FAILS) {
			batch_fails(c, "22012", "");
			return;
		}
		if (rows > 0 && rows <= all) {
			want_rows(c, text, value, rows);
			want_plain(c, 's');
			all -= rows;
		} else
			rows = 0;
	}
	if (rows > 0) {
		send_execute(c, portal, 0);
		if (peer(c)->skipping)
			return;
	}
	if (!peer(c)->skipping) {
		want_rows(c, text, value, all);
		want_tag(c, "SELECT %u", all);
	}
}

/* Bind, perhaps Describe, Execute. */
static void
run_slot(struct client *c, int slot)
{
	struct peer *m = peer(c);
	char t[TOKEN_LEN + 1], portal[16] = "";
	int text = *text_at(c, slot);

	own_token(c, t);
	if (percent(20))
		snprintf(portal, sizeof(portal), "c%u", m->portals++);
	send_bind(c, portal, slot, t, TOKEN_LEN);
	if (percent(40)) {
		send_named(c, 'D', 'P', portal);
		if (!m->skipping)
			want_columns(c, text == TEXT_FAILS ? 1 : 2);
	}
	run_all(c, portal, text, t, percent(20) ? 1 + (unsigned)below(3) : 0);
	if (percent(20) && portal[0] != '\0') {
		send_named(c, 'C', 'P', portal);
		want_plain(c, '3');
	}
}

static void
describe_slot(struct client *c, int slot)
{
	struct peer *m = peer(c);
	int text = *text_at(c, slot);
	char name[16];

	send_named(c, 'D', 'S', name_of(slot, name));
	if (m->skipping)
		return;
	if (text == NO_TEXT)
		batch_fails(c, "26000", slot < 0 ? "unnamed" : name);
	else if (m->status == 'E')
		batch_fails(c, "25P02", "");
	else {
		want_message(c, 't', "\0\1\0\0\0\31", 6);
		want_columns(c, text == TEXT_FAILS ? 1 : 2);
	}
}

static void
close_slot(struct client *c, int slot)
{
	char name[16];

	send_named(c, 'C', 'S', name_of(slot, name));
	if (peer(c)->skipping)
		return;
	*text_at(c, slot) = NO_TEXT;
	want_plain(c, '3');
}

static void
some_request(struct client *c)
{
	int slot = percent(25) ? -1 : (int)below(NAMES);
	int text = percent(8) ? TEXT_FAILS : (int)below(TEXTS);

	if (*text_at(c, slot) == UNKNOWN_TEXT)
		send_parse(c, slot, text, false);
	if (percent(10))
		send_message(c, 'H', "", 0);
	switch (below(20)) {
	case 0:
		describe_slot(c, slot);
		return;
	case 1:
	case 2:
		close_slot(c, slot);
		return;
	case 3:
		send_parse(c, slot, text, true);
		return;
	case 4:
		/* That there is one already, perhaps. */
		send_parse(c, slot, text, false);
		return;
	}
	if (slot < 0 ? percent(60) : *text_at(c, slot) == NO_TEXT &&
	    percent(80))
		send_parse(c, slot, text, false);
	run_slot(c, slot);
}

void
say_batch(struct client *c)
{
	unsigned n = percent(50) ? 1 : 1 + (unsigned)below(6);

	while (n-- > 0)
		some_request(c);
	send_sync(c);
}

void
say_pipeline(struct client *c)
{
	unsigned n = 2 + (unsigned)below(5);

	while (n-- > 0)
		say_batch(c);
}

/* ---------------------------------------------------------- texts of one's own */

static void
send_text(struct client *c, const char *text)
{
	struct peer *m = peer(c);
	struct bytes b = { 0 };

	bytes_add(&b, "", 1);
	bytes_add(&b, text, strlen(text) + 1);
	bytes_add(&b, "\0\0", 2);
	send_message(c, 'P', b.p, b.len);
	send_message(c, 'B', "\0\0\0\0\0\0\0\0", 8);
	send_execute(c, "", 0);
	free(b.p);
	/* It is there, but with no parameter. */
	m->unnamed = UNKNOWN_TEXT;
	want_plain(c, '1');
	want_plain(c, '2');
}

void
say_extended_transaction(struct client *c)
{
	struct peer *m = peer(c);
	bool commit = percent(60);

	if (m->status == 'I') {
		send_text(c, "BEGIN");
		m->saved = m->state;
		m->has_point = false;
		m->status = 'T';
		want_tag(c, "BEGIN");
	} else {
		send_text(c, commit ? "COMMIT" : "ROLLBACK");
		if (m->status == 'E' || !commit)
			m->state = m->saved;
		want_tag(c, m->status == 'T' && commit ? "COMMIT" :
		    "ROLLBACK");
		memcpy(m->state.now, m->state.session, sizeof(m->state.now));
		m->status = 'I';
	}
	if (percent(30) && m->status != 'E')
		some_request(c);
	send_sync(c);
}

/* The server may have failed before it comes to the data. */
void
say_extended_copy(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = 1 + (unsigned)below(10), i, bad = n;
	char line[96], t[TOKEN_LEN + 1];

	if (m->status == 'E')
		return;
	send_text(c, "COPY kept FROM STDIN");
	want_message(c, 'G', "", 0);
	if (percent(25))
		bad = (unsigned)below(n);
	for (i = 0; i < n; i++) {
		own_token(c, t);
		send_message(c, 'd', line, (size_t)snprintf(line, sizeof(line),
		    i == bad ? "%" PRIu64 "\n" : "%" PRIu64 "\t%s\n",
		    c->session, t));
	}
	send_message(c, 'c', "", 0);
	if (bad < n)
		batch_fails(c, "22P04", "");
	else {
		m->state.rows += n;
		want_tag(c, "COPY %u", n);
	}
	send_sync(c);
}

/* A parameter larger than a buffer comes back. */
void
say_large_value(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = 1 + (unsigned)below(8000), i;
	struct bytes b = { 0 };
	char t[TOKEN_LEN + 1];
	int text = (int)below(TEXTS);

	if (m->status == 'E')
		return;
	own_token(c, t);
	for (i = 0; i < n; i++)
		bytes_add(&b, t, TOKEN_LEN);
	send_parse(c, -1, text, false);
	send_bind(c, "", -1, b.p, b.len);
	run_all(c, "", text, b.p, 0);
	free(b.p);
	send_sync(c);
}
