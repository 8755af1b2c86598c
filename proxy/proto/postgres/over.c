/*
 * Connections that go over from one weir to another: what the other one has to
 * know of one that is idle, and how it goes on with it there.
 *
 * That is a row of pieces, each with its kind and its length; kinds that are not
 * known are passed over. Numbers are in the machine's byte order: both are on
 * it. (Not JSON: a cancel key is a secret, and these bytes are wiped.)
 *
 * Prepared statements go over by their numbers, which no other weir gives to
 * another one (statements.h). As far as there is room their texts go along, so
 * that who prepares the same there finds it on the connection.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/lane.h"
#include "proxy/proto/postgres/pack.h"
#include "proxy/proto/postgres/postgres.h"

enum kind {
	KIND_CANCEL = 'C',              /* pid, key */
	KIND_WELCOME = 'W',             /* settings, as their text */
	KIND_SETTINGS = 'S',
	KIND_PREPARED = 'P',            /* its number; longest unused first */
	KIND_TEXT = 'T'                 /* struct text, the statement's body */
};

struct text {
	uint64_t id;
	uint32_t flags, zero;           /* PG_SCAN_* */
};

enum {
	HEAD = 1 + 4,                   /* kind, length */
	LOOK_MOST = 10000               /* statements that are looked at for
					   their texts: no lane is held up */
};

static struct pg_lane *
lane_of(const struct upconn *u)
{
	return ((struct lane *)u->pool->worker->owner)->own[FAMILY_POSTGRES];
}

/* -------------------------------------------------------------------- packing */

struct writer {
	char *bytes;                    /* PEER_PACKED_MOST */
	size_t len;
};

/* A piece of two parts. False: there is no room, and nothing is written. */
static bool
put(struct writer *w, enum kind kind, const void *a, size_t a_len,
    const void *b, size_t b_len)
{
	size_t room = PEER_PACKED_MOST - w->len;
	uint32_t len;
	char *at = w->bytes + w->len;

	if (room < HEAD || a_len > room - HEAD || b_len > room - HEAD - a_len)
		return false;
	len = (uint32_t)(a_len + b_len);
	*at = (char)kind;
	memcpy(at + 1, &len, sizeof(len));
	memcpy(at + HEAD, a, a_len);
	if (b_len > 0)
		memcpy(at + HEAD + a_len, b, b_len);
	w->len += HEAD + a_len + b_len;
	return true;
}

static bool
put_settings(struct writer *w, enum kind kind, const struct pg_settings *s)
{
	return s == NULL || put(w, kind, s->text, s->len, NULL, 0);
}

static bool
put_prepared(struct writer *w, struct pg_prepared_set *set)
{
	struct list *l, *tmp;

	list_each(l, tmp, &set->used) {
		uint64_t id = container_of(l, struct pg_prepared, link)->id;

		if (!put(w, KIND_PREPARED, &id, sizeof(id), NULL, 0))
			return false;
	}
	return true;
}

/* Those that this lane knows, until there is no room. */
static void
put_texts(struct writer *w, const struct pg_statements *all,
    const struct pg_prepared_set *set)
{
	const struct pg_statement *st = all->by_body;
	unsigned left = set->n, i;

	for (i = 0; st != NULL && left > 0 && i < LOOK_MOST; i++) {
		if (pg_prepared_has(set, st->id)) {
			struct text text = { st->id, st->flags, 0 };

			(void)put(w, KIND_TEXT, &text, sizeof(text), st->body,
			    st->len);
			left--;
		}
		st = st->hh.next;
	}
}

/* Nothing of anybody's under way, nor a message half read. */
static bool
is_at_rest(const struct upconn *u, const struct pg_upconn *pu)
{
	return pu->welcome != NULL && pu->exchange == NULL &&
	    pu->cancel == NULL && list_empty(&pu->askers) &&
	    pu->wash.awaited == 0 && pu->wash.drop_left == 0 &&
	    u->conn.in.len == 0;
}

void *
pg_over_pack(struct upconn *u, size_t *len)
{
	struct pg_upconn *pu = pg_upconn(u);
	struct writer w = { NULL, 0 };

	if (!is_at_rest(u, pu))
		return NULL;
	w.bytes = malloc(PEER_PACKED_MOST);
	if (w.bytes == NULL)
		return NULL;
	if (!put(&w, KIND_CANCEL, &pu->login.pid, sizeof(pu->login.pid),
	    pu->login.key, pu->login.key_len) ||
	    !put_settings(&w, KIND_WELCOME, pu->welcome) ||
	    !put_settings(&w, KIND_SETTINGS, pu->settings) ||
	    !put_prepared(&w, &pu->prepared)) {
		explicit_bzero(w.bytes, w.len);
		free(w.bytes);
		return NULL;
	}
	put_texts(&w, &lane_of(u)->statements, &pu->prepared);
	*len = w.len;
	return w.bytes;
}

/* --------------------------------------------------------------------- coming */

static bool
take_settings(struct pg_settings **to, const char *text, size_t len)
{
	if (*to != NULL)
		return false;
	*to = pg_settings_come(text, len);
	return *to != NULL;
}

static bool
take_cancel(struct pg_login *login, const char *bytes, size_t len)
{
	size_t key_len = len - sizeof(login->pid);

	if (len < sizeof(login->pid) || key_len > sizeof(login->key))
		return false;
	memcpy(&login->pid, bytes, sizeof(login->pid));
	memcpy(login->key, bytes + sizeof(login->pid), key_len);
	login->key_len = key_len;
	return true;
}

/* Ours come home, too, and those of the weir that follows us: the two never give
   the same number (statements.c). A weir that lies of them could as well lie of
   the text that stands behind any. */
static bool
take_prepared(struct pg_prepared_set *set, const char *bytes, size_t len)
{
	uint64_t id;

	if (len != sizeof(id))
		return false;
	memcpy(&id, bytes, sizeof(id));
	return pg_statement_is_given(id) && pg_prepared_add(set, id) == 0;
}

/* Kept for who comes next. */
static bool
take_text(struct upconn *u, const char *bytes, size_t len)
{
	struct pg_statements *all = &lane_of(u)->statements;
	struct pg_statement *st;
	struct text text;
	bool is_new;

	if (len < sizeof(text))
		return false;
	memcpy(&text, bytes, sizeof(text));
	bytes += sizeof(text);
	len -= sizeof(text);
	if (!pg_statement_is_body(bytes, len))
		return false;
	st = pg_statement_come(all, text.id, bytes, len, true, &is_new);
	if (st == NULL)
		return false;
	if (is_new)
		st->flags = text.flags & PG_SCAN_ALL;
	pg_statement_drop(all, st);
	return true;
}

static bool
take(struct upconn *u, char kind, const char *bytes, size_t len)
{
	struct pg_upconn *pu = pg_upconn(u);

	switch (kind) {
	case KIND_CANCEL:
		return take_cancel(&pu->login, bytes, len);
	case KIND_WELCOME:
		return take_settings(&pu->welcome, bytes, len);
	case KIND_SETTINGS:
		return take_settings(&pu->settings, bytes, len);
	case KIND_PREPARED:
		return take_prepared(&pu->prepared, bytes, len);
	case KIND_TEXT:
		return take_text(u, bytes, len);
	}
	return true;
}

static bool
take_all(struct upconn *u, const char *bytes, size_t len)
{
	uint32_t size;

	for (; len > 0; bytes += size, len -= size) {
		char kind = *bytes;

		if (len < HEAD)
			return false;
		memcpy(&size, bytes + 1, sizeof(size));
		bytes += HEAD;
		len -= HEAD;
		if (size > len || !take(u, kind, bytes, size))
			return false;
	}
	return true;
}

/* What a server has said to this key lets clients in without asking it. */
static void
hear_greeting(struct upconn *u)
{
	struct lane *lane = u->pool->worker->owner;
	const struct pg_key *key = (const void *)u->shelf->key;
	struct pg_upconn *pu = pg_upconn(u);
	struct pg_settings *known = pg_known_find(lane_of(u),
	    u->pool->upstream, key);

	if (known == NULL)
		pg_greeting_heard(lane, u->pool->upstream, key, pu->welcome);
	else if (pg_settings_equal(known, pu->welcome))
		pg_settings_set(&pu->welcome, known);
}

bool
pg_over_adopt(struct upconn *u, const void *packed, size_t len)
{
	struct pg_upconn *pu = pg_upconn(u);

	pg_peer_begin(u);
	if (u->shelf->key_len == 0 || !take_all(u, packed, len) ||
	    pu->welcome == NULL)
		return false;
	pg_state_look(u);
	hear_greeting(u);
	return true;
}

/* ----------------------------------------------------------------------- keys */

bool
pg_over_is_key(const void *bytes, size_t len)
{
	const char *text = (const char *)bytes + sizeof(struct pg_key);
	struct pg_key head;
	size_t database_at, secret_at;

	if (len < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	database_at = (size_t)head.user_len + 1;
	secret_at = database_at + head.database_len + 1;
	return len == pg_key_size(&head) && head.zero == 0 &&
	    text[database_at - 1] == '\0' && text[secret_at - 1] == '\0' &&
	    text[secret_at + head.secret_len] == '\0' &&
	    strlen(text) == head.user_len && head.user_len > 0 &&
	    strlen(text + database_at) == head.database_len &&
	    pg_key_is_secret((enum pg_key_kind)head.kind, text + secret_at,
	    head.secret_len);
}
