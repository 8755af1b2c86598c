/*
 * A client that proves who it is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_AUTH_H
#define PROXY_POSTGRES_AUTH_H

#include "proxy/proto/postgres/conf.h"
#include "proxy/proto/postgres/scram.h"

struct pg_key;
struct exchange;
struct session;

enum pg_auth_stage {
	PG_AUTH_ASKS,                   /* the server is asked for its secret */
	PG_AUTH_FIRST,                  /* of two messages of SCRAM's */
	PG_AUTH_FINAL
};

/* Owned by its session while it is in PG_AUTH. */
struct pg_auth {
	enum pg_auth_stage stage;
	char *user, *database;
	struct pg_scram_secret secret;
	struct pg_scram_server scram;
	const char *flaw;               /* why no proof fits; static, NULL: one
					   does */
	struct pg_scram_binding binding;        /* offered, unless len is 0 */
	struct pg_key *query_key;       /* who asks the server */
	struct pg_secret *answer;       /* what it said; NULL: knows no such */
};

/* How one of postgres.users proves who he is. */
enum pg_auth_method pg_auth_method_of(const struct pg_listener_conf *conf,
    const struct pg_user *u);
/* And anybody who says that he is that one. */
enum pg_auth_method pg_auth_asks(const struct pg_listener_conf *conf,
    const char *user, const char *database);
/* What weir itself knows of a user; NULL: nothing. */
const struct pg_secret *pg_auth_known(const struct pg_listener_conf *conf,
    const char *user, const char *database);
/* Ask for the proof; secret NULL: there is no such user. */
void pg_auth_challenge(struct session *s, const struct pg_secret *secret);
/*
 * s, which has no exchange, is not let in: that is a failed one, counted and
 * logged. why is what the logs have of it, with nothing secret in it; the client
 * is told code and text alone, and s is over.
 */
void pg_auth_refuse(struct session *s, const char *user, const char *database,
    const char *why, const char *code, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* The key of the pool; NULL when out of memory. */
struct pg_key *pg_auth_key(const struct conf_upstream *up, const char *user,
    const char *database, const struct pg_secret *secret,
    const struct pg_scram_keys *keys) MUST_CHECK;
/* The process's own, to make salts of for users that there are not. */
const unsigned char *pg_auth_mock_key(void);

/* ask.c: the server is asked for the user's secret; ends in the challenge. */
void pg_ask_server(struct session *s);
/* Its lease is there: -1 when out of memory. */
int pg_ask_put(struct exchange *x) MUST_CHECK;
/* A row of the answer; false: it is none that could be meant. */
bool pg_ask_row(struct exchange *x, const char *body, size_t len);
/* The exchange is over. */
void pg_ask_over(struct session *s);

#endif
