/*
 * Users whom only the server knows: it is asked for their secret, on a
 * connection of its own user, leased for that alone and with no client's
 * settings (CVE-2025-12819). The query has to look at VALID UNTIL itself, as
 * the one does that is asked by default (CVE-2025-2291).
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/postgres.h"

static const char usual_query[] =
    "SELECT rolname, CASE WHEN rolvaliduntil < pg_catalog.now() THEN NULL "
    "ELSE rolpassword END FROM pg_catalog.pg_authid "
    "WHERE rolname = $1 AND rolcanlogin";

/* -------------------------------------------------------- the process's key */

static unsigned char mock_key[PG_SCRAM_KEY];
static pthread_once_t mock_once = PTHREAD_ONCE_INIT;

static void
make_key(void)
{
	/* Without randomness users can be told apart, but nobody gets in. */
	(void)RAND_bytes(mock_key, sizeof(mock_key));
}

const unsigned char *
pg_auth_mock_key(void)
{
	(void)pthread_once(&mock_once, make_key);
	return mock_key;
}

/* ------------------------------------------------------------------- asking */

void
pg_ask_server(struct session *s)
{
	const struct pg_listener_conf *conf = pg_conf(s);
	const struct conf_upstream *up = s->door->conf->upstream;
	struct pg_auth *a = pg_session(s)->auth;
	const char *database = *conf->auth_database != '\0' ?
	    conf->auth_database : a->database;
	const struct pg_secret *known = pg_auth_known(conf, conf->auth_user,
	    database);
	struct exchange *x;

	a->stage = PG_AUTH_ASKS;
	a->query_key = known != NULL && known->kind == PG_SECRET_PLAIN ?
	    pg_key_new(conf->auth_user, database, PG_KEY_PASSWORD,
	    known->text, strlen(known->text)) :
	    pg_key_new(conf->auth_user, database, PG_KEY_PLAIN, NULL, 0);
	x = a->query_key != NULL ? exchange_new(s) : NULL;
	if (x == NULL) {
		pg_say_fatal(s, "53200", "weir: out of memory");
		return;
	}
	pg_of(x)->purpose = PG_FOR_AUTH;
	pg_who_logs_in(x, a->user, a->database);
	exchange_route(x, up);
}

static int
put(struct exchange *x, enum pg_owed_kind kind, char type, const void *body,
    size_t len)
{
	if (kind != 0) {
		struct pg_owed *o = pg_owed_push(&pg_of(x)->owed);

		if (o == NULL)
			return -1;
		o->kind = (uint16_t)kind;
		o->how = PG_SKIP;
	}
	return pg_put(exchange_blocks(x), &x->lease->u->conn.out, type, body,
	    len);
}

/* Bind: no names, one parameter, as text, and likewise what comes. */
static int
put_bind(struct exchange *x, const char *user)
{
	size_t len = strlen(user);
	char *body = calloc(1, 2 + 2 + 2 + 4 + len + 2);
	int got;

	if (body == NULL)
		return -1;
	body[5] = 1;
	pg_set_u32(body + 6, (uint32_t)len);
	memcpy(body + 10, user, len);
	got = put(x, PG_OWED_BIND, 'B', body, 12 + len);
	free(body);
	return got;
}

int
pg_ask_put(struct exchange *x)
{
	const struct pg_listener_conf *conf = pg_conf(x->s);
	const char *query = *conf->auth_query != '\0' ? conf->auth_query :
	    usual_query;
	size_t len = strlen(query);
	char *parse = calloc(1, 1 + len + 1 + 2);
	int got;

	if (parse == NULL)
		return -1;
	memcpy(parse + 1, query, len);
	pg_upconn(x->lease->u)->unnamed = 0;
	got = put(x, PG_OWED_PARSE, 'P', parse, 1 + len + 3);
	free(parse);
	if (got < 0 || put_bind(x, pg_session(x->s)->auth->user) < 0 ||
	    put(x, PG_OWED_EXECUTE, 'E', "\0\0\0\0", 5) < 0 ||
	    put(x, PG_OWED_SYNC, 'S', NULL, 0) < 0)
		return -1;
	conn_send(&x->lease->u->conn);
	return 0;
}

/* --------------------------------------------------------------- the answer */

/* A column's text, malloc'd; *text NULL: it is null. False: malformed. */
static bool
column(const char *body, size_t len, size_t *at, char **text)
{
	uint32_t n;

	*text = NULL;
	if (len - *at < 4)
		return false;
	n = pg_u32(body + *at);
	*at += 4;
	if (n == UINT32_MAX)
		return true;
	if (n > len - *at)
		return false;
	*text = strndup(body + *at, n);
	*at += n;
	return *text != NULL;
}

bool
pg_ask_row(struct exchange *x, const char *body, size_t len)
{
	struct pg_auth *a = pg_session(x->s)->auth;
	char *name = NULL, *secret = NULL;
	const char *why;
	size_t at = 2;
	bool good;

	/* The first one counts. */
	if (a->answer != NULL)
		return true;
	good = len >= 2 && pg_u16(body) >= 2 &&
	    column(body, len, &at, &name) && column(body, len, &at, &secret);
	/* Whatever the query may be about: this is whom it was asked for. */
	if (good && secret != NULL && name != NULL &&
	    strcmp(name, a->user) == 0) {
		a->answer = calloc(1, sizeof(*a->answer));
		good = a->answer != NULL;
		/* One that is no good for SCRAM is as none: not to be told
		   apart, and not the server's fault. */
		if (good && pg_secret_parse(a->answer, secret, a->user,
		    pg_auth_mock_key(), &why) < 0) {
			free(a->answer);
			a->answer = NULL;
		}
	}
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(name);
	free(secret);
	return good;
}

void
pg_ask_over(struct session *s)
{
	struct pg_auth *a = pg_session(s)->auth;
	struct pg_secret *answer = a->answer;

	a->answer = NULL;
	pg_auth_challenge(s, answer);
	if (answer != NULL)
		pg_secret_fini(answer);
	free(answer);
}
