/*
 * Servers that do not serve: logins and requests that one refuses for what weir
 * has told it of itself, as lines of the error log, since a client does not see
 * why; and what else one says that has nothing to do with what it was asked.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/proto/redis/redis.h"
#include "proxy/runtime.h"
#include "proxy/session.h"

struct meaning {
	const char *word, *text;
};

/* Of nobody who has not logged in (server.c, processCommand()); of nobody at all
   (networking.c, clientAcceptHandler()). */
static const struct meaning shut[] = {
	{ "NOAUTH", "the server wants a password: redis.password of the "
	    "upstream" },
	{ "DENIED", "the server is in protected mode: it takes nobody from "
	    "another host" }
};

/* It cannot serve now (server.c, processCommand()). */
static const struct meaning ill[] = {
	{ "LOADING", "LOADING: it still reads its data" },
	{ "MASTERDOWN", "MASTERDOWN: it has lost its master" }
};

static const char *
find(const struct meaning *rows, size_t n, const char *word)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].text;
	return NULL;
}

const char *
redis_illness(const char *word)
{
	return find(ill, NELEMS(ill), word);
}

/* Do its clients log in by themselves? Until they do, it is right that the server
   wants them to. */
static bool
is_logged_in_to(const struct upconn *u)
{
	const struct lane *lane = u->pool->worker->owner;
	const struct conf *conf = lane->gen->conf;
	const struct redis_listener_conf *own;
	size_t i;

	for (i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		own = l->proto == &proto_redis.conf ? l->own : NULL;
		if (own != NULL && own->auth == REDIS_AUTH_FORWARD &&
		    strcmp(l->upstream->name, u->pool->conf->name) == 0)
			return true;
	}
	return false;
}

/* What that word of the server's is to be taken for; NULL: for itself. */
static const char *
meaning_of(const struct upconn *u, const char *word)
{
	const char *text = find(shut, NELEMS(shut), word);

	return text == NULL || (strcmp(word, "NOAUTH") == 0 &&
	    is_logged_in_to(u)) ? NULL : text;
}

bool
redis_is_shut(const struct upconn *u, const char *word)
{
	return redis_illness(word) != NULL || meaning_of(u, word) != NULL;
}

void
redis_refusal(struct upconn *u, const char *word, bool login)
{
	struct redis_upconn *ru = redis_upconn(u);
	const char *text = meaning_of(u, word);

	snprintf(ru->refusal, sizeof(ru->refusal), "%s weir: %s%s", word,
	    text != NULL ? text : "the server refused the connection",
	    text == NULL && login ? " (login)" : "");
}

/* What it holds against whom it takes us for. */
static void
tell(struct upconn *u, const char *what)
{
	const struct redis_upstream_conf *conf = u->pool->conf->own;
	struct redis_key key = redis_key_read(u->shelf->key,
	    u->shelf->key_len);
	const char *user = key.password != NULL ? key.user : conf->user;
	char db[16];

	snprintf(db, sizeof(db), "%u", (unsigned)key.db);
	denied_upconn(u, user != NULL && user[0] != '\0' ? user : "default", db, what);
}

/* Of what it said the first word is kept. */
void
redis_refused(struct upconn *u)
{
	const char *said = redis_upconn(u)->refusal, *text;
	char word[RESP_WORD_MAX], what[RESP_WORD_MAX + 128];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(said, " "), said);
	text = meaning_of(u, word);
	snprintf(what, sizeof(what), "%s%s%s", word, text != NULL ? ": " : "",
	    text != NULL ? text : "");
	tell(u, what);
	upconn_turned_away(u, said);
}

/* Where clients log in themselves it is theirs to do. */
static bool
keeps_out(const struct exchange *x, const char *word)
{
	return find(shut, NELEMS(shut), word) != NULL &&
	    (strcmp(word, "NOAUTH") != 0 ||
	    redis_conf(x->s)->auth != REDIS_AUTH_FORWARD);
}

void
redis_explain(struct upconn *u, struct owed *o, const char *word)
{
	struct exchange *x = o->x;
	char what[RESP_WORD_MAX + 128];

	if (keeps_out(x, word)) {
		snprintf(what, sizeof(what), "%s: %s", word,
		    find(shut, NELEMS(shut), word));
		tell(u, what);
		redis_upconn(u)->doubted = true;
		upconn_mark(u, MARK_DIRTY, "kept out");
		o->own[1] = 1;
	}
	/* Not before its last reply: until then it may fail otherwise. */
	if (o->own[1] == 0 || o->left > 1 || x->why != FAIL_NONE)
		return;
	x->why = FAIL_LOGIN;
	x->said = find(shut, NELEMS(shut), word);
	if (!x->part)
		count_add(&x->s->door->failures[FAIL_LOGIN], 1);
}
