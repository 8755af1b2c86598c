/*
 * Parameters on connections that are of many: what a client has set is set
 * there before its first message, and only where it differs; and what a
 * connection has is kept in mind, since texts are read by some of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/postgres/postgres.h"

/* Reported, but nobody can set them. */
bool
pg_state_is_fixed(const char *name)
{
	static const char *const names[] = {
		"in_hot_standby", "integer_datetimes", "is_superuser",
		"server_encoding", "server_version", "session_authorization"
	};
	size_t i;

	for (i = 0; i < NELEMS(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

int
pg_state_noted(struct upconn *u, const char *name, const char *value)
{
	struct pg_upconn *pu = pg_upconn(u);
	const char *usual = pg_settings_find(pu->welcome, name);

	if (pg_state_is_fixed(name))
		return pg_settings_change(&pu->welcome, name, value);
	if (pg_settings_change(&pu->settings, name, usual != NULL &&
	    strcmp(usual, value) == 0 ? NULL : value) < 0)
		return -1;
	pg_state_look(u);
	return 0;
}

int
pg_state_changed(struct exchange *x, const char *name, const char *value,
    bool *pass)
{
	struct pg_upconn *pu = pg_upconn(x->lease->u);
	const struct pg_owed *o = pg_owed_first(&pg_of(x)->owed);
	const char *known = pg_settings_find(pg_of(x)->wanted, name);

	if (known == NULL)
		known = pg_settings_find(pu->welcome, name);
	/* What weir sets is as the client has it: no news, but where the server
	   spells it otherwise. Nor is what it resets to set it anew. */
	*pass = o == NULL || o->how != PG_SKIP || known == NULL ||
	    (strcmp(known, value) != 0 && ((o->id & 1) == 0 ||
	    pg_settings_find(pg_of(x)->wanted, name) == NULL));
	if (*pass && pg_name_is_ours(x, name, value)) {
		*pass = false;
		if (pg_name_say_own(x) < 0)
			return -1;
	}
	return pg_state_noted(x->lease->u, name, value);
}

static const char standard_strings[] = "standard_conforming_strings";
static const char encoding[] = "client_encoding";

bool
pg_state_is_of_reading(const char *name)
{
	return strcasecmp(name, encoding) == 0 ||
	    strcasecmp(name, standard_strings) == 0;
}

/* Names of encodings are compared by letters and digits alone. */
static bool
is_spelt(const char *name, const char *like)
{
	for (; *name != '\0'; name++) {
		if (!isalnum((unsigned char)*name))
			continue;
		if (toupper((unsigned char)*name) != *like)
			return false;
		like++;
	}
	return *like == '\0';
}

/* Encodings of clients that have bytes of ASCII inside of characters
   (PostgreSQL 24.3.1: those no server has). */
static bool
is_wide(const char *name)
{
	static const char *const names[] = { "BIG5", "WIN950", "WINDOWS950",
		"GB18030", "GBK", "WIN936", "WINDOWS936", "JOHAB",
		"SHIFTJIS2004", "SJIS2004", "SHIFTJIS", "SJIS", "MSKANJI",
		"WIN932", "WINDOWS932", "UHC", "WIN949", "WINDOWS949" };
	size_t i;

	for (i = 0; name != NULL && i < NELEMS(names); i++)
		if (is_spelt(name, names[i]))
			return true;
	return false;
}

/* What it has it set to; NULL = the server does not say. */
static const char *
value_of(const struct pg_upconn *pu, const char *name)
{
	const char *value = pg_settings_find(pu->settings, name);

	return value != NULL ? value : pg_settings_find(pu->welcome, name);
}

static bool
is_off(const char *value)
{
	static const char *const words[] = { "off", "false", "no", "0", "f",
		"n", "of", "fa", "fal", "fals" };
	size_t i;

	for (i = 0; value != NULL && i < NELEMS(words); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}

void
pg_state_look(struct upconn *u)
{
	struct pg_upconn *pu = pg_upconn(u);

	pu->standard = !is_off(value_of(pu, standard_strings));
	pu->wide = is_wide(value_of(pu, encoding));
}

/* What is about to be set there counts already: what is sent behind it is read
   by it. */
static void
look_ahead(struct upconn *u, const struct pg_settings *wanted)
{
	struct pg_upconn *pu = pg_upconn(u);
	const char *value = pg_settings_find(wanted, standard_strings);

	if (value == NULL)
		value = pg_settings_find(pu->welcome, standard_strings);
	pu->standard = !is_off(value);
	value = pg_settings_find(wanted, encoding);
	if (value == NULL)
		value = pg_settings_find(pu->welcome, encoding);
	pu->wide = is_wide(value);
}

void
pg_state_scan(const struct exchange *x, struct pg_scan *scan)
{
	const struct pg_upconn *pu = pg_upconn(x->lease->u);

	pg_scan_begin(scan, pu->standard);
	if (pu->wide)
		pg_scan_wide(scan);
}

/* As a literal that reads alike whatever standard_conforming_strings says. */
static int
put_literal(struct block_store *store, struct buf *out, const char *text)
{
	size_t len;

	if (buf_append(store, out, "E'", 2) < 0)
		return -1;
	for (; *text != '\0'; text += len) {
		len = strcspn(text, "'\\");
		if (len == 0) {
			if (buf_append(store, out, "\\", 1) < 0)
				return -1;
			len = 1;
		}
		if (buf_append(store, out, text, len) < 0)
			return -1;
	}
	return buf_append(store, out, "'", 1);
}

static int
owe(struct exchange *x, uint32_t at, bool resets)
{
	struct pg_owed *o = pg_owed_push(&pg_of(x)->owed);

	if (o == NULL)
		return -1;
	o->kind = PG_OWED_QUERY;
	o->how = PG_SKIP;
	o->id = (uint64_t)at << 1 | resets;
	return 0;
}

/* set_config() takes a value as it stands in a start-up packet, also one that
   is a list. */
static int
put_set(struct upconn *u, struct exchange *x, const char *name,
    const char *value)
{
	static const char before[] = "SELECT pg_catalog.set_config(";
	struct block_store *store = exchange_blocks(x);
	struct buf text;
	char head[PG_HEAD] = { 'Q' };
	int bad;

	buf_init(&text);
	bad = buf_append(store, &text, before, sizeof(before) - 1) < 0 ||
	    put_literal(store, &text, name) < 0 ||
	    buf_append(store, &text, ",", 1) < 0 ||
	    put_literal(store, &text, value) < 0 ||
	    buf_append(store, &text, ",false)", 8) < 0;
	pg_set_u32(head + 1, text.len + 4);
	bad = bad || buf_append(store, &u->conn.out, head, sizeof(head)) < 0 ||
	    buf_move(store, &u->conn.out, &text, text.len) < 0;
	buf_clear(store, &text);
	return bad ? -1 : 0;
}

/* Names come from start-up packets or from the server: "a.b" are two. */
static int
put_reset(struct upconn *u, struct exchange *x, const char *name)
{
	char sql[160] = "RESET \"";
	size_t n = strlen(sql);

	for (; *name != '\0' && n < sizeof(sql) - 8; name++) {
		if (*name == '.') {
			memcpy(sql + n, "\".\"", 3);
			n += 3;
		} else if (*name != '"')
			sql[n++] = *name;
	}
	sql[n++] = '"';
	sql[n] = '\0';
	return pg_put_query(exchange_blocks(x), &u->conn.out, sql);
}

/* Where the setting of that name is in a list; false: is not there. */
static bool
place_of(const struct pg_settings *list, const char *name, uint32_t *place,
    const char **value)
{
	const char *each;
	uint32_t at = 0;

	for (*place = 0; pg_settings_next(list, &at, &each, value); *place = at)
		if (strcasecmp(each, name) == 0)
			return true;
	return false;
}

/* What a start-up packet says the server may refuse: then its own value holds,
   not what another client has left there. */
static int
leave_others(struct upconn *u, struct exchange *x, const char *name)
{
	const char *value;
	uint32_t at;

	if (pg_session(x->s)->vouched ||
	    !place_of(pg_of(x)->had, name, &at, &value))
		return 0;
	return owe(x, at, true) < 0 || put_reset(u, x, name) < 0 ? -1 : 0;
}

/* Not the encoding: see below. */
static int
set_missing(struct upconn *u, struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	const char *name, *value, *has;
	uint32_t at = 0, from = 0;

	for (; pg_settings_next(px->wanted, &at, &name, &value); from = at) {
		has = pg_settings_find(px->had, name);
		if (strcasecmp(name, encoding) == 0 ||
		    (has != NULL && strcmp(has, value) == 0))
			continue;
		if (leave_others(u, x, name) < 0 || owe(x, from, false) < 0 ||
		    put_set(u, x, name, value) < 0)
			return -1;
	}
	return 0;
}

static int
reset_others(struct upconn *u, struct exchange *x)
{
	struct pg_exchange *px = pg_of(x);
	const char *name, *value;
	uint32_t at = 0, from = 0;

	for (; pg_settings_next(px->had, &at, &name, &value); from = at) {
		if (strcasecmp(name, encoding) == 0 ||
		    pg_settings_find(px->wanted, name) != NULL)
			continue;
		if (owe(x, from, true) < 0 || put_reset(u, x, name) < 0)
			return -1;
	}
	return 0;
}

/* Literals are read by the encoding that is set, and in some a byte of ASCII
   can be half of a character: other settings are set while it is the server's
   own, the client's comes last. */
static int
leave_encoding(struct upconn *u, struct exchange *x)
{
	const char *value;
	uint32_t at;

	if (!place_of(pg_of(x)->had, encoding, &at, &value))
		return 0;
	return owe(x, at, true) < 0 || put_reset(u, x, encoding) < 0 ? -1 : 0;
}

static int
take_encoding(struct upconn *u, struct exchange *x)
{
	const char *value;
	uint32_t at;

	if (!place_of(pg_of(x)->wanted, encoding, &at, &value))
		return 0;
	return owe(x, at, false) < 0 || put_set(u, x, encoding, value) < 0 ?
	    -1 : 0;
}

/* Each is a request of its own, so that one that is refused takes no other
   along; all go in one write, and what the client asks right behind. */
int
pg_state_agree(struct upconn *u, struct exchange *x)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_exchange *px = pg_of(x);
	struct pg_settings **wanted = pg_name_wanted(x);

	if (wanted == NULL)
		return -1;
	if (pg_settings_equal(pu->settings, *wanted)) {
		pg_settings_set(wanted, pu->settings);
		px->wanted = pg_settings_keep(*wanted);
		return 0;
	}
	px->wanted = pg_settings_keep(*wanted);
	px->had = pg_settings_keep(pu->settings);
	/* A simple query takes the unnamed statement along. */
	pu->unnamed = 0;
	if (leave_encoding(u, x) < 0 || reset_others(u, x) < 0 ||
	    set_missing(u, x) < 0 || take_encoding(u, x) < 0)
		return -1;
	look_ahead(u, px->wanted);
	return 0;
}

int
pg_state_restore(struct exchange *x, const struct pg_settings *from,
    bool known)
{
	struct pg_exchange *px = pg_of(x);
	struct upconn *u = x->lease->u;
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_settings *now = pg_settings_keep(pu->settings);
	const char *name, *value, *has;
	uint32_t at = 0;
	int bad = 0;

	while (bad == 0 && pg_settings_next(from, &at, &name, &value)) {
		has = pg_settings_find(now, name);
		if ((has == NULL || strcmp(has, pg_state_unknown) == 0) &&
		    (known || pg_settings_find(pu->welcome, name) != NULL))
			bad = pg_settings_change(&now, name, value);
	}
	/* In a transaction that name may be rolled back: the next exchange has
	   it as it is to be. */
	if (bad == 0 && known)
		bad = pg_name_restored(x, &now);
	if (bad == 0 && now != pu->settings) {
		pg_settings_set(&px->had, pu->settings);
		pg_settings_set(&px->wanted, now);
		pu->unnamed = 0;
		bad = leave_encoding(u, x) < 0 || set_missing(u, x) < 0 ||
		    take_encoding(u, x) < 0 ? -1 : 0;
		look_ahead(u, now);
		conn_send(&u->conn);
	}
	pg_settings_drop(now);
	return bad;
}

/* What weir's own request was about. */
static const char *
subject_of(const struct exchange *x, const struct pg_owed *o,
    const char **value)
{
	const struct pg_exchange *px = pg_of(x);
	uint32_t at = (uint32_t)(o->id >> 1);
	const char *name = NULL;

	*value = NULL;
	(void)pg_settings_next((o->id & 1) != 0 ? px->had : px->wanted, &at,
	    &name, value);
	if ((o->id & 1) != 0)
		*value = NULL;
	return name;
}

/* Of what the server reports it has said what it is. */
void
pg_state_agreed(struct exchange *x, const struct pg_owed *o)
{
	struct pg_upconn *pu = pg_upconn(x->lease->u);
	const char *value, *name = subject_of(x, o, &value);

	if (name != NULL && pg_settings_find(pu->welcome, name) == NULL &&
	    pg_settings_change(&pu->settings, name, value) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
}

/* The client was greeted with the value that it asked for. */
static int
tell_own(struct exchange *x, const char *name)
{
	const struct pg_settings *welcome = pg_upconn(x->lease->u)->welcome;
	const char *value;
	uint32_t at;

	if (!place_of(welcome, name, &at, &value))
		return 0;
	(void)pg_settings_next(welcome, &at, &name, &value);
	return pg_put_status(exchange_blocks(x), &x->s->conn.out, name, value);
}

/* A start-up packet may name what this server does not have, or not so: that is
   told once, and forgotten. */
void
pg_state_refused(struct exchange *x, const struct pg_owed *o,
    const struct pg_report *r)
{
	struct pg_session *ps = pg_session(x->s);
	const char *value, *name = subject_of(x, o, &value);

	/* A cancel that was the client's has hit weir's own request: what it
	   wanted it still wants. */
	if (value != NULL && strcmp(r->code, "57014") == 0 &&
	    pg_settings_change(&pg_of(x)->restores, name, value) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
	if (value == NULL || strcmp(r->code, "57014") == 0) {
		upconn_mark(x->lease->u, MARK_DIRTY, "not as it should be");
		pg_of(x)->dirty = true;
		return;
	}
	if (pg_put_report(exchange_blocks(x), &x->s->conn.out, 'N', "WARNING",
	    r->code, "weir: parameter \"%.64s\" of the startup packet is not "
	    "set: %.200s", name, r->message) < 0 || tell_own(x, name) < 0 ||
	    pg_settings_change(&ps->startup, name, NULL) < 0)
		upconn_mark(x->lease->u, MARK_BROKEN, "out of memory");
	conn_send(&x->s->conn);
}
