/*
 * A file of users and their secrets (postgres.users_file), written as
 * PgBouncer's auth_file is:
 *
 *	; a comment, or one that begins with #
 *	"app" "SCRAM-SHA-256$4096:..."
 *	"joe ""the"" admin" "a password"   what follows is passed over
 *
 * Each line has a name and a secret in double quotes; "" within is one. The
 * secret may be anything that secret.h takes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_USERS_H
#define PROXY_POSTGRES_USERS_H

#include "proxy/proto/postgres/secret.h"

enum {
	PG_USERS_FILE_MOST = 4 * 1024 * 1024,   /* bytes */
	PG_USERS_NAME_MOST = 255,
	PG_USERS_SECRET_MOST = 2048,
	PG_USERS_WHY_MAX = 512
};

struct pg_users;                        /* does not change once it is read, so
					   that any thread may look */

/*
 * Read a file; NULL with why, for a person: "PATH: line 3: ..., expected ...".
 * No secret is told in it. Passwords take about two milliseconds each
 * (pg_secret_parse()), the key being the process's own: the same one each time,
 * or what clients are shown changes with a reload; those that `was` has already,
 * which was read with the same key, take none. NULL: there is none. A name that
 * is given twice is refused.
 */
struct pg_users *pg_users_load(const char *path,
    const unsigned char key[PG_SCRAM_KEY], const struct pg_users *was,
    char why[PG_USERS_WHY_MAX]) MUST_CHECK;

/* NULL: there is no such user. Good until pg_users_free(). */
const struct pg_secret *pg_users_find(const struct pg_users *users,
    const char *name);

/* Those whose secret is MD5, which SCRAM cannot prove, in the file's order. */
void pg_users_md5(const struct pg_users *users,
    void (*f)(void *arg, const char *name, int line), void *arg);

/* The same names with the same secrets, in the same order? */
bool pg_users_alike(const struct pg_users *a, const struct pg_users *b);

/* Wipes them; NULL is fine. */
void pg_users_free(struct pg_users *users);

#endif
