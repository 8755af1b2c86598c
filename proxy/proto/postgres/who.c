/*
 * Whose an exchange is, for the logs: as the client calls itself, and the
 * database that it asks for. Of one that logs in that is kept in the exchange,
 * with what the logs call it; else it is the session's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/proto/postgres/postgres.h"

/* Owned by its exchange. */
struct pg_who {
	size_t user_len, database_len;
	size_t request_len;             /* 0 = it does not log in */
	char text[];                    /* user, database, request */
};

/* Out of memory nothing is said. */
static void
keep(struct exchange *x, const char *user, const char *database,
    const char *request)
{
	size_t user_len = strlen(user), database_len = strlen(database);
	size_t request_len = strlen(request);
	struct pg_who *who = malloc(sizeof(*who) + user_len + database_len +
	    request_len);

	free(pg_of(x)->who);
	pg_of(x)->who = who;
	if (who == NULL)
		return;
	who->user_len = user_len;
	who->database_len = database_len;
	who->request_len = request_len;
	memcpy(who->text, user, user_len);
	memcpy(who->text + user_len, database, database_len);
	memcpy(who->text + user_len + database_len, request, request_len);
}

void
pg_who_logs_in(struct exchange *x, const char *user, const char *database)
{
	char name[DENIED_NAME], where[DENIED_NAME];
	char request[2 * DENIED_NAME + 32];

	/* Names without blanks: none can look like more than it is. */
	snprintf(request, sizeof(request), "login user=%s database=%s",
	    denied_name(user, name), denied_name(database, where));
	keep(x, user, database, request);
}

void
pg_who_stays(struct exchange *x)
{
	const struct pg_session *ps = pg_session(x->s);

	if (pg_of(x)->who == NULL && ps->user != NULL && ps->key != NULL)
		keep(x, ps->user, pg_key_database(ps->key), "");
}

void
pg_who_words(const struct exchange *x, struct access_words *w)
{
	const struct pg_session *ps = pg_session(x->s);
	const struct pg_who *who = pg_of(x)->who;

	if (who == NULL) {
		w->user = ps->user;
		w->user_len = ps->user != NULL ? strlen(ps->user) : 0;
		w->database = ps->key != NULL ? pg_key_database(ps->key) : NULL;
		w->database_len = ps->key != NULL ? ps->key->database_len : 0;
		return;
	}
	w->user = who->text;
	w->user_len = who->user_len;
	w->database = w->user + who->user_len;
	w->database_len = who->database_len;
	if (who->request_len == 0)
		return;
	w->request = w->database + who->database_len;
	w->request_len = who->request_len;
}

void
pg_who_forget(struct exchange *x)
{
	free(pg_of(x)->who);
	pg_of(x)->who = NULL;
}
