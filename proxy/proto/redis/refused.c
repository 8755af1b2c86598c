/*
 * Logins and requests that a server refuses for what weir has told it of itself,
 * as lines of the error log: a client does not see why.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/proto/redis/redis.h"
#include "proxy/session.h"

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
	const char *said = redis_upconn(u)->refusal;
	char word[RESP_WORD_MAX];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(said + 1, " "),
	    said + 1);
	tell(u, word);
	upconn_turned_away(u, said);
}

/* It wants a password and has been sent none: nobody sees why from the client's
   side. Where clients log in themselves it is theirs to do. */
void
redis_explain(struct upconn *u, const struct exchange *x, const char *word)
{
	if (strcmp(word, "NOAUTH") == 0 &&
	    redis_conf(x->s)->auth != REDIS_AUTH_FORWARD)
		tell(u, "NOAUTH: the server wants a password: redis.password "
		    "of the upstream");
}
