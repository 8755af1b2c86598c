/*
 * Simple queries of the model, COPY, function calls, and what pins.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

unsigned n_pinned;

/* ------------------------------------------------------- one query's frame */

static void
query_open(struct client *c)
{
	struct peer *m = peer(c);

	m->text.len = 0;
	bytes_add(&m->text, "", 0);
	m->failed = false;
	/* A text without BEGIN is a transaction of its own. */
	if (m->status == 'I')
		m->saved = m->state;
}

static void
query_send(struct client *c)
{
	struct peer *m = peer(c);

	send_message(c, 'Q', m->text.p, m->text.len + 1);
	m->unnamed = NO_TEXT;
}

static struct want *
query_close(struct client *c)
{
	struct peer *m = peer(c);

	query_send(c);
	if (m->failed && m->status == 'I')
		m->state = m->saved;
	return want_ready(c);
}

/* The statement that was just added fails. */
static void
fails(struct client *c, const char *code, const char *part)
{
	struct peer *m = peer(c);

	if (m->failed)
		return;
	m->failed = true;
	if (m->status == 'E') {
		code = "25P02";
		part = "";
	}
	if (m->status == 'T')
		m->status = 'E';
	want_error(c, code, part);
}

/* Will the statement that was just added be carried out? */
static bool
runs(struct client *c)
{
	if (peer(c)->status == 'E')
		fails(c, "25P02", "");
	return !peer(c)->failed;
}

static void
one_row(struct client *c, const char *text)
{
	want_columns(c, 1);
	want_row(c, 1, text);
	want_tag(c, "SELECT 1");
}

/* ------------------------------------------------------------- statements */

static void
add_select(struct client *c)
{
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	bytes_print(&peer(c)->text, "SELECT '%s';", t);
	if (runs(c))
		one_row(c, t);
}

static void
add_rows(struct client *c)
{
	char t[TOKEN_LEN + 1], number[16];
	unsigned n = 1 + (unsigned)below(40), i;

	own_token(c, t);
	bytes_print(&peer(c)->text,
	    "SELECT '%s', g FROM generate_series(1,%u) g;", t, n);
	if (!runs(c))
		return;
	want_columns(c, 2);
	for (i = 1; i <= n; i++) {
		snprintf(number, sizeof(number), "%u", i);
		want_row(c, 2, t, number);
	}
	want_tag(c, "SELECT %u", n);
}

static void
add_show(struct client *c)
{
	unsigned i = (unsigned)below(N_SETTINGS);

	bytes_print(&peer(c)->text, "SHOW %s;", setting_names[i]);
	if (!runs(c))
		return;
	want_columns(c, 1);
	want_row(c, 1, peer(c)->state.now[i]);
	want_tag(c, "SHOW");
}

static void
some_value(struct client *c, unsigned i, char out[VALUE])
{
	static const char *const zones[] = { "UTC", "Europe/Berlin",
		"Asia/Tokyo" };
	static const char *const dates[] = { "ISO, MDY", "German, DMY",
		"SQL, DMY" };

	if (i == SET_NAME)
		own_token(c, out);
	else
		strcpy(out, (i == SET_ZONE ? zones : dates)[below(3)]);
}

static void
add_set(struct client *c)
{
	struct peer *m = peer(c);
	unsigned i = (unsigned)below(N_SETTINGS);
	bool local = m->status == 'T' && percent(30);
	char value[VALUE];

	some_value(c, i, value);
	bytes_print(&m->text, "SET %s%s TO '%s';", local ? "LOCAL " : "",
	    setting_names[i], value);
	if (!runs(c))
		return;
	strcpy(m->state.now[i], value);
	if (!local)
		strcpy(m->state.session[i], value);
	want_tag(c, "SET");
}

static void
add_failure(struct client *c)
{
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	switch (below(4)) {
	case 0:
		bytes_print(&peer(c)->text, "SELECT 1/0;");
		fails(c, "22012", "");
		break;
	case 1:
		bytes_print(&peer(c)->text, "SELECT 'x%s'::int;", t);
		fails(c, "22P02", t);
		break;
	case 2:
		bytes_print(&peer(c)->text, "SELECT x FROM t%s;", t);
		fails(c, "42P01", t);
		break;
	default:
		/* Behind some of its rows. */
		bytes_print(&peer(c)->text, "SELECT '%s', 1/(3-g) FROM "
		    "generate_series(1,9) g;", t);
		if (!runs(c))
			return;
		want_columns(c, 2);
		want_row(c, 2, t, "0");
		want_row(c, 2, t, "1");
		fails(c, "22012", "");
	}
}

static void
add_insert(struct client *c)
{
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	bytes_print(&peer(c)->text, "INSERT INTO kept VALUES (%" PRIu64
	    ", '%s');", c->session, t);
	if (!runs(c))
		return;
	peer(c)->state.rows++;
	want_tag(c, "INSERT 0 1");
}

static void
add_count(struct client *c)
{
	char number[16];

	bytes_print(&peer(c)->text, "SELECT count(*) FROM kept WHERE who = %"
	    PRIu64 ";", c->session);
	if (!runs(c))
		return;
	snprintf(number, sizeof(number), "%u", peer(c)->state.rows);
	one_row(c, number);
}

static void
add_some(struct client *c)
{
	static void (*const kinds[])(struct client *c) = { add_select,
		add_select, add_rows, add_show, add_set, add_insert,
		add_count };
	unsigned n = percent(60) ? 1 : 1 + (unsigned)below(5);

	while (n-- > 0) {
		if (percent(7))
			add_failure(c);
		else
			kinds[below(7)](c);
	}
}

/* ------------------------------------------------------------------ queries */

void
say_query(struct client *c)
{
	query_open(c);
	add_some(c);
	query_close(c);
}

static void
add_begin(struct client *c)
{
	struct peer *m = peer(c);

	bytes_print(&m->text, "BEGIN;");
	m->saved = m->state;
	m->has_point = false;
	m->status = 'T';
	want_tag(c, "BEGIN");
}

/* The end of it; what was SET LOCAL goes either way. */
static void
add_end(struct client *c)
{
	struct peer *m = peer(c);
	bool commit = percent(60);

	bytes_print(&m->text, commit ? "COMMIT;" : "ROLLBACK;");
	if (m->failed)
		return;
	if (m->status == 'E' || !commit)
		m->state = m->saved;
	want_tag(c, m->status == 'T' && commit ? "COMMIT" : "ROLLBACK");
	memcpy(m->state.now, m->state.session, sizeof(m->state.now));
	m->status = 'I';
}

static void
add_point(struct client *c)
{
	struct peer *m = peer(c);

	if (!m->has_point && m->status == 'T') {
		bytes_print(&m->text, "SAVEPOINT a;");
		m->point = m->state;
		m->has_point = true;
		want_tag(c, "SAVEPOINT");
		return;
	}
	bytes_print(&m->text, "ROLLBACK TO a;");
	m->state = m->point;
	m->status = 'T';
	want_tag(c, "ROLLBACK");
}

void
say_transaction(struct client *c)
{
	struct peer *m = peer(c);

	query_open(c);
	if (m->status == 'I') {
		add_begin(c);
		if (percent(30))
			add_some(c);
		if (percent(10))
			add_end(c);
	} else if (percent(20) && (m->status == 'T' || m->has_point))
		add_point(c);
	else {
		if (m->status == 'T' && percent(20))
			add_some(c);
		add_end(c);
	}
	query_close(c);
}

/* SET or RESET alone. */
void
say_setting(struct client *c)
{
	struct peer *m = peer(c);
	unsigned i = (unsigned)below(N_SETTINGS);

	query_open(c);
	if (percent(60))
		add_set(c);
	else {
		bytes_print(&m->text, "RESET %s", setting_names[i]);
		m->has_reset = true;
		if (!runs(c)) {
			query_close(c);
			return;
		}
		strcpy(m->state.now[i], m->start[i]);
		strcpy(m->state.session[i], m->start[i]);
		want_tag(c, "RESET");
	}
	query_close(c);
}

static void
forget_names(struct peer *m)
{
	unsigned i;

	for (i = 0; i < NAMES; i++)
		m->names[i] = NO_TEXT;
}

void
say_deallocate(struct client *c)
{
	query_open(c);
	bytes_print(&peer(c)->text, "DEALLOCATE ALL");
	if (runs(c)) {
		forget_names(peer(c));
		want_tag(c, "DEALLOCATE ALL");
		peer(c)->prepared = false;
	}
	query_close(c);
}

void
unpin(struct peer *m)
{
	n_pinned -= m->pinned;
	m->pinned = m->temp = m->listens = m->prepared = m->locked = false;
	m->work_mem[0] = '\0';
}

void
say_discard(struct client *c)
{
	struct peer *m = peer(c);

	if (m->status != 'I')
		return;
	query_open(c);
	m->has_reset = true;
	bytes_print(&m->text, "DISCARD ALL");
	forget_names(m);
	unpin(m);
	memcpy(m->state.now, m->start, sizeof(m->start));
	memcpy(m->state.session, m->start, sizeof(m->start));
	want_tag(c, "DISCARD ALL");
	query_close(c);
}

void
say_syntax(struct client *c)
{
	struct peer *m = peer(c);
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	query_open(c);
	bytes_print(&m->text, "SELECT 'a'; SELEC \"%s\"", t);
	want_error(c, "42601", "SELEC");
	m->failed = true;
	if (m->status == 'T')
		m->status = 'E';
	query_close(c);
}

void
say_empty(struct client *c)
{
	query_open(c);
	want_message(c, 'I', "", 0);
	query_close(c);
}

/* Among what is larger than a buffer: the text, or what comes. */
void
say_large(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = 1 + (unsigned)below(8000), i;
	struct bytes b = { 0 };
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	query_open(c);
	for (i = 0; i < n; i++)
		bytes_add(&b, t, TOKEN_LEN);
	if (percent(50))
		bytes_print(&m->text, "SELECT repeat('%s', %u)", t, n);
	else
		bytes_print(&m->text, "SELECT '%s'", b.p);
	if (runs(c))
		one_row(c, b.p);
	free(b.p);
	query_close(c);
}

/* Who may have left something behind has the token of this session's. */
static void
pin_first(struct client *c)
{
	struct peer *m = peer(c);

	if (m->pinned)
		return;
	own_token(c, m->token);
	m->pinned = true;
	n_pinned++;
}

static bool
may_pin(struct client *c)
{
	return peer(c)->pinned || n_pinned < PINS;
}

/* reverse(text), by its number. What a function does nobody knows: it pins. */
void
say_call(struct client *c)
{
	struct peer *m = peer(c);
	char t[TOKEN_LEN + 1];
	struct bytes b = { 0 };
	unsigned i;

	if (!may_pin(c))
		return;
	pin_first(c);
	own_token(c, t);
	bytes_add(&b, "\0\0\13\366\0\0\0\1\0\0\0\40", 12);
	bytes_add(&b, t, TOKEN_LEN);
	bytes_add(&b, "\0\0", 2);
	send_message(c, 'F', b.p, b.len);
	m->failed = false;
	if (runs(c)) {
		for (i = 0; i < TOKEN_LEN; i++)
			b.p[12 + i] = t[TOKEN_LEN - 1 - i];
		want_message(c, 'V', b.p + 8, 4 + TOKEN_LEN);
	}
	free(b.p);
	want_ready(c);
}

/* --------------------------------------------------------------------- COPY */

static void
copy_line(struct client *c, bool bad)
{
	char line[96], t[TOKEN_LEN + 1];
	int n;

	own_token(c, t);
	n = bad ? snprintf(line, sizeof(line), "%" PRIu64 "\n", c->session) :
	    snprintf(line, sizeof(line), "%" PRIu64 "\t%s\n", c->session, t);
	send_message(c, 'd', line, (size_t)n);
}

/* All of it comes at once, also what is too late when it has failed. */
void
say_copy_in(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = 1 + (unsigned)below(20), i, bad = n;
	bool there = !percent(10), taken;

	query_open(c);
	bytes_print(&m->text, "COPY %s FROM STDIN", there ? "kept" : "nowhere");
	query_send(c);
	taken = runs(c);
	if (taken && there)
		want_message(c, 'G', "", 0);
	else
		fails(c, "42P01", "nowhere");
	if (percent(20))
		bad = (unsigned)below(n);
	for (i = 0; i < n; i++)
		copy_line(c, i == bad);
	if (percent(15)) {
		send_message(c, 'f', "given up", 9);
		fails(c, bad < n ? "22P04" : "57014", bad < n ? "" :
		    "given up");
	} else {
		send_message(c, 'c', "", 0);
		if (bad < n)
			fails(c, "22P04", "");
	}
	if (!m->failed) {
		m->state.rows += n;
		want_tag(c, "COPY %u", n);
	} else if (m->status == 'I')
		m->state = m->saved;
	want_ready(c);
}

void
say_copy_out(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = (unsigned)below(50), i;
	char t[TOKEN_LEN + 1], line[64];

	own_token(c, t);
	query_open(c);
	bytes_print(&m->text, "COPY (SELECT '%s', g FROM generate_series(1,%u) "
	    "g) TO STDOUT", t, n);
	if (runs(c)) {
		want_message(c, 'H', "", 0);
		for (i = 1; i <= n; i++)
			want_message(c, 'd', line, (size_t)snprintf(line,
			    sizeof(line), "%s\t%u\n", t, i));
		want_message(c, 'c', "", 0);
		want_tag(c, "COPY %u", n);
	}
	query_close(c);
}

/* ----------------------------------------------------------------- sessions */

static void
say_begins(struct client *c, const char *tag, const char *format,
    const char *value)
{
	query_open(c);
	bytes_print(&peer(c)->text, format, value, value);
	want_tag(c, "%s", tag);
	query_close(c);
}

void
say_pin(struct client *c)
{
	struct peer *m = peer(c);

	if (m->status != 'I' || !may_pin(c))
		return;
	pin_first(c);
	switch (below(5)) {
	case 0:
		if (!m->temp)
			say_begins(c, "SELECT 1", "CREATE TEMP TABLE mine AS "
			    "SELECT text '%s' AS t", m->token);
		m->temp = true;
		break;
	case 1:
		if (!m->listens)
			say_begins(c, "LISTEN", "LISTEN \"%s\"", m->token);
		m->listens = true;
		say_begins(c, "NOTIFY", "NOTIFY \"%s\", '%s'", m->token);
		break;
	case 2:
		if (!m->prepared)
			say_begins(c, "PREPARE", "PREPARE mine AS SELECT '%s'",
			    m->token);
		m->prepared = true;
		break;
	case 3:
		/* Its last connection may still be there: who has it waits. */
		query_open(c);
		bytes_print(&m->text, "SELECT pg_advisory_lock(%u) IS NULL",
		    c->index);
		one_row(c, "f");
		m->locked = true;
		query_close(c);
		break;
	default:
		snprintf(m->work_mem, sizeof(m->work_mem), "%ukB", 1025 +
		    (unsigned)below(1022));
		say_begins(c, "SET", "SET work_mem = '%s'", m->work_mem);
	}
}

static void
say_value(struct client *c, const char *text, const char *tag,
    const char *value)
{
	query_open(c);
	bytes_print(&peer(c)->text, "%s", text);
	want_columns(c, 1);
	want_row(c, 1, value);
	want_tag(c, "%s", tag);
	query_close(c);
}

static void
say_own(struct client *c, const char *text, bool is_there, const char *code)
{
	if (is_there) {
		say_value(c, text, "SELECT 1", peer(c)->token);
		return;
	}
	query_open(c);
	bytes_print(&peer(c)->text, "%s", text);
	fails(c, code, "");
	query_close(c);
}

void
say_clean(struct client *c)
{
	struct peer *m = peer(c);

	if (m->status != 'I')
		return;
	switch (below(5)) {
	case 0:
		say_own(c, "SELECT t FROM mine", m->temp, "42P01");
		break;
	case 1:
		say_value(c, "SELECT count(*) FROM pg_listening_channels()",
		    "SELECT 1", m->listens ? "1" : "0");
		break;
	case 2:
		say_own(c, "EXECUTE mine", m->prepared, "26000");
		break;
	case 3:
		say_value(c, "SELECT count(*) FROM pg_locks WHERE locktype = "
		    "'advisory' AND pid = pg_backend_pid()", "SELECT 1",
		    m->locked ? "1" : "0");
		break;
	default:
		say_value(c, "SHOW work_mem", "SHOW", m->work_mem[0] != '\0' ?
		    m->work_mem : "4MB");
	}
}

/* A cancel may come while it lasts, or too late. */
void
say_slow(struct client *c)
{
	char t[TOKEN_LEN + 1];

	own_token(c, t);
	query_open(c);
	bytes_print(&peer(c)->text, "SELECT '%s' FROM pg_sleep(0.03)", t);
	one_row(c, t);
	want_or_cancelled(c, query_close(c));
}
