/*
 * What the groups `postgres` of a listener and of an upstream say.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_CONF_H
#define PROXY_POSTGRES_CONF_H

#include "conf/conf.h"
#include "proxy/proto/postgres/users.h"

enum pg_auth_method { PG_AUTH_TRUST, PG_AUTH_SCRAM, PG_AUTH_CERT };
/* On listeners with a group `tls`: without TLS ... */
enum pg_listener_tls {
	PG_TLS_REQUIRE,                 /* nobody comes in */
	PG_TLS_ALLOW                    /* those may who like */
};
enum pg_on_state { PG_STATE_PIN, PG_STATE_WARN, PG_STATE_REFUSE };
enum pg_target { PG_TARGET_ANY, PG_TARGET_PRIMARY, PG_TARGET_STANDBY };
enum pg_application_name { PG_APPLICATION_KEEP, PG_APPLICATION_APPEND };

struct pg_key;

/* A record of postgres.users. */
struct pg_user {
	int line;                       /* first */
	int auth;                       /* enum pg_user_auth */
	char *name, *database;          /* "*" = any */
	char *password, *secret;        /* at most one of them */
	char *cert;                     /* whom his certificate has to name;
					   NULL = the name */
	struct pg_secret known;         /* made of it */
};

enum pg_user_auth { PG_USER_LISTENER, PG_USER_TRUST, PG_USER_SCRAM,
	PG_USER_CERT };

struct pg_listener_conf {
	int auth;                       /* enum pg_auth_method */
	int tls;                        /* enum pg_listener_tls */
	struct conf_records users;      /* of struct pg_user */
	struct conf_file users_file;
	char *auth_query, *auth_user, *auth_database;   /* "" = none */
	int on_session_state;           /* enum pg_on_state */
	int64_t prepared;               /* statements that an upstream
					   connection has at a time */
	struct conf_names admin_users, stats_users;     /* of the console */
	struct pg_users *file_users;    /* of users_file; NULL = none */
};

struct pg_upstream_conf {
	char *user, *password;          /* NULL: the client's own */
	char *check_user, *check_password;      /* of health checks; NULL: as
					   above */
	char *check_database;           /* theirs */
	struct conf_names warm;         /* "user/database" */
	struct pg_key **warm_keys;      /* made of them */
	size_t n_warm_keys;
	bool direct_tls;                /* TLS begins without asking */
	int target;                     /* enum pg_target */
	int application_name;           /* enum pg_application_name */
};

#endif
