/*
 * postgres.warm: the users and databases for which connections are kept warm.
 *
 * A connection belongs to who has logged in on it, so pairs are kept warm, and
 * by the very keys that clients will ask for, made here when the file is read
 * of what it says of the user. Whose password nobody but he knows cannot be
 * logged in before he comes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/postgres.h"

/* A pair taken apart. */
struct pair {
	char *user;                     /* malloc'd; the database follows */
	const char *database;
};

static bool
pair_read(struct pair *pair, const char *text)
{
	char *slash;

	pair->user = strdup(text);
	slash = pair->user != NULL ? strchr(pair->user, '/') : NULL;
	if (slash == NULL || slash == pair->user || slash[1] == '\0') {
		free(pair->user);
		return false;
	}
	*slash = '\0';
	pair->database = slash + 1;
	return true;
}

/* As auth.c would let him in. NULL with *why: it would not, or no memory. */
static struct pg_key *
key_by(const struct conf_listener *l, const struct conf_upstream *u,
    const struct pair *pair, const char **why)
{
	const struct pg_listener_conf *front = l->own;
	const struct pg_secret *known = pg_auth_known(front, pair->user,
	    pair->database);
	struct pg_key *key;

	*why = "no listener knows this user, expected one of postgres.users, "
	    "or postgres.user of this upstream";
	if (known == NULL && front->auth != PG_AUTH_TRUST)
		return NULL;
	*why = "the password of this user is not known, but a secret that "
	    "nobody can log in with, expected the password itself";
	if (known != NULL && known->kind == PG_SECRET_SCRAM)
		return NULL;
	*why = "out of memory";
	key = pg_auth_key(u, pair->user, pair->database, known, NULL);
	return key;
}

/* By the first of the upstream's listeners that can. */
static struct pg_key *
key_of(const struct conf *c, const struct conf_upstream *u,
    const struct pair *pair, const char **why)
{
	const struct pg_upstream_conf *own = u->own;
	struct pg_key *key = NULL;
	size_t i;

	*why = "out of memory";
	if (own->user != NULL && *own->user != '\0') {
		if (strcmp(own->user, pair->user) == 0)
			return pg_auth_key(u, pair->user, pair->database, NULL,
			    NULL);
		*why = "all clients are postgres.user there, expected that one";
		return NULL;
	}
	*why = "no listener leads to this upstream, expected postgres.user";
	for (i = 0; i < c->n_listeners && key == NULL; i++)
		if (c->listeners[i].upstream == u &&
		    c->listeners[i].proto == u->proto &&
		    c->listeners[i].own != NULL)
			key = key_by(&c->listeners[i], u, pair, why);
	return key;
}

static void
prepare_one(struct conf_upstream *u, const struct conf *c, const char *text,
    conf_say_fn *say, void *arg)
{
	struct pg_upstream_conf *own = u->own;
	const char *why;
	struct pair pair;
	struct pg_key *key;

	if (!pair_read(&pair, text)) {
		say(arg, u->line, "warm: \"%.80s\" is no pair, expected "
		    "\"USER/DATABASE\"", text);
		return;
	}
	key = key_of(c, u, &pair, &why);
	if (key == NULL)
		say(arg, u->line, "warm: \"%.80s\": %s", text, why);
	else
		own->warm_keys[own->n_warm_keys++] = key;
	free(pair.user);
}

void
pg_warm_prepare(struct conf_upstream *u, const struct conf *c,
    conf_say_fn *say, void *arg)
{
	struct pg_upstream_conf *own = u->own;
	size_t i;

	if (own->warm.n == 0) {
		if (u->pool.min_idle > 0)
			say(arg, u->line, "pool.min_idle is given, but nobody "
			    "whose connections they are, expected warm = ( "
			    "\"USER/DATABASE\" )");
		return;
	}
	if (u->pool.min_idle > u->pool.max_idle / (int64_t)own->warm.n)
		say(arg, u->line, "warm: pool.min_idle of each are more than "
		    "pool.max_idle in all, expected fewer, or more of that");
	own->warm_keys = calloc(own->warm.n, sizeof(*own->warm_keys));
	if (own->warm_keys == NULL) {
		say(arg, u->line, "warm: out of memory");
		return;
	}
	for (i = 0; i < own->warm.n; i++)
		prepare_one(u, c, own->warm.v[i], say, arg);
}

void
pg_warm_release(struct conf_upstream *u)
{
	struct pg_upstream_conf *own = u->own;
	size_t i;

	for (i = 0; i < own->n_warm_keys; i++)
		pg_key_free(own->warm_keys[i]);
	free(own->warm_keys);
	own->warm_keys = NULL;
	own->n_warm_keys = 0;
}

const void *
pg_warm_key(const struct conf_upstream *u, size_t i, size_t *len)
{
	const struct pg_upstream_conf *own = u->own;

	if (i >= own->n_warm_keys)
		return NULL;
	*len = pg_key_size(own->warm_keys[i]);
	return own->warm_keys[i];
}
