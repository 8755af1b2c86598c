/*
 * What is kept of a user's password: the password itself, or what a PostgreSQL
 * server would keep of it. And the answer of method md5, which is made of
 * either.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_SECRET_H
#define PROXY_POSTGRES_SECRET_H

#include "proxy/proto/postgres/scram.h"

enum {
	PG_MD5_TEXT = 35,               /* "md5" and 32 digits */
	PG_MD5_SALT = 4
};

enum pg_secret_kind {
	PG_SECRET_NONE,                 /* nothing: no password fits */
	PG_SECRET_PLAIN,
	PG_SECRET_SCRAM,
	PG_SECRET_MD5                   /* no good for SCRAM */
};

struct pg_secret {
	enum pg_secret_kind kind;
	/* PLAIN: the password; MD5: "md5..."; else NULL. The secret's own. */
	char *text;
	/* To ask a client for: the real one of SCRAM and PLAIN, a mock of the
	   others. */
	struct pg_scram_secret scram;
};

/*
 * From what a user's entry says: "" is none, "SCRAM-SHA-256$..." and "md5" with
 * 32 digits are what pg_authid has, and all else is a password; it is worked on
 * for about two milliseconds, so that a login later takes as long for every
 * user. Its salt is pg_scram_salt_make()'s, so that it looks as nobody's does.
 * -1 with *why, a static text: a secret of SCRAM that is malformed, or no
 * memory.
 */
int pg_secret_parse(struct pg_secret *s, const char *text, const char *user,
    const unsigned char key[PG_SCRAM_KEY], const char **why) MUST_CHECK;

/*
 * The same without the work: `was` was made of a password for the same user with
 * the same key. False, and *s is as it was: it was of another text or kind, or
 * there is no memory.
 */
bool pg_secret_again(struct pg_secret *s, const char *text,
    const struct pg_secret *was) MUST_CHECK;

/* Wipes it. Also good for a zero one. */
void pg_secret_fini(struct pg_secret *s);

/* "md5" and digits, as pg_authid has them: MD5(password, user). Terminated;
   -1: no memory, or a libcrypto without MD5. */
int pg_md5_make(const char *password, const char *user,
    char out[PG_MD5_TEXT + 1]) MUST_CHECK;

/* What to answer AuthenticationMD5Password with (55.2.1), from what
   pg_md5_make() makes. */
int pg_md5_answer(const char *md5, const char salt[PG_MD5_SALT],
    char out[PG_MD5_TEXT + 1]) MUST_CHECK;

#endif
