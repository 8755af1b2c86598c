/*
 * Files of users. See users.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
/* Clients choose what is looked up, not what is in there: no seed. */
#define HASH_FUNCTION(bytes, len, hash) \
	((hash) = (unsigned)XXH64(bytes, len, 0))
/* Without memory a user is not added; uthash would end the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "conf/text.h"

struct user {
	UT_hash_handle hh;
	struct pg_secret secret;
	int line;
	char name[];
};

struct pg_users {
	struct user *by_name;
	unsigned char told[SHA256_DIGEST_LENGTH];       /* of all that the file
							   says, comments left
							   out */
};

/* The file, being read. */
struct reading {
	const char *path;
	const unsigned char *key;
	const struct pg_users *was;     /* NULL = none */
	int line;
	char *why;                      /* PG_USERS_WHY_MAX bytes */
	EVP_MD_CTX *told;
	char name[PG_USERS_NAME_MOST + 1];
	char secret[PG_USERS_SECRET_MOST + 1];
};

static int
refuse(struct reading *r, const char *what)
{
	snprintf(r->why, PG_USERS_WHY_MAX, "%.300s: line %d: %s", r->path,
	    r->line, what);
	return -1;
}

static const char *
blanks_skip(const char *at)
{
	return at + strspn(at, " \t\r");
}

/* A field in quotes at *at, which moves behind it. -1: there is none on this
   line, or it is longer. */
static int
field_read(const char **at, char *out, size_t most)
{
	const char *p = *at;
	size_t n = 0;

	if (*p++ != '"')
		return -1;
	for (;; p++) {
		if (*p == '\0' || *p == '\n')
			return -1;
		if (*p == '"' && *++p != '"')
			break;
		if (n == most)
			return -1;
		out[n++] = *p;
	}
	out[n] = '\0';
	*at = p;
	return 0;
}

static struct user *
find(const struct pg_users *users, const char *name)
{
	struct user *u;

	HASH_FIND(hh, users->by_name, name, (unsigned)strlen(name), u);
	return u;
}

static int
secret_make(struct pg_secret *s, const struct reading *r, const char **why)
{
	const struct user *was = r->was != NULL ? find(r->was, r->name) : NULL;

	if (was != NULL && pg_secret_again(s, r->secret, &was->secret))
		return 0;
	return pg_secret_parse(s, r->secret, r->name, r->key, why);
}

static int
user_add(struct pg_users *users, struct reading *r)
{
	struct user *u = find(users, r->name);
	size_t len = strlen(r->name);
	const char *why = "out of memory";
	char text[64];

	if (u != NULL) {
		snprintf(text, sizeof(text), "the name stands on line %d, too",
		    u->line);
		return refuse(r, text);
	}
	u = calloc(1, sizeof(*u) + len + 1);
	if (u == NULL)
		return refuse(r, why);
	memcpy(u->name, r->name, len + 1);
	u->line = r->line;
	if (secret_make(&u->secret, r, &why) == 0) {
		HASH_ADD_KEYPTR(hh, users->by_name, u->name, (unsigned)len, u);
		if (find(users, r->name) == u)
			return 0;
		why = "out of memory";
	}
	pg_secret_fini(&u->secret);
	free(u);
	return refuse(r, why);
}

/* One line, from its first byte. */
static int
line_read(struct pg_users *users, struct reading *r, const char *at)
{
	char text[128];

	at = blanks_skip(at);
	if (*at == '\0' || *at == '\n' || *at == ';' || *at == '#')
		return 0;
	if (field_read(&at, r->name, PG_USERS_NAME_MOST) < 0 ||
	    r->name[0] == '\0') {
		snprintf(text, sizeof(text), "expected a name of 1 to %d bytes "
		    "in double quotes", PG_USERS_NAME_MOST);
		return refuse(r, text);
	}
	if (*at != ' ' && *at != '\t')
		return refuse(r, "expected a blank behind the name, and a "
		    "secret in double quotes");
	at = blanks_skip(at);
	if (field_read(&at, r->secret, PG_USERS_SECRET_MOST) < 0) {
		snprintf(text, sizeof(text), "expected a secret of at most %d "
		    "bytes in double quotes", PG_USERS_SECRET_MOST);
		return refuse(r, text);
	}
	if (EVP_DigestUpdate(r->told, r->name, strlen(r->name) + 1) != 1 ||
	    EVP_DigestUpdate(r->told, r->secret, strlen(r->secret) + 1) != 1)
		return refuse(r, "out of memory");
	return user_add(users, r);
}

static int
lines_read(struct pg_users *users, struct reading *r, const char *text)
{
	r->told = EVP_MD_CTX_new();
	if (r->told == NULL ||
	    EVP_DigestInit_ex(r->told, EVP_sha256(), NULL) != 1)
		return refuse(r, "out of memory");
	while (text != NULL) {
		r->line++;
		if (line_read(users, r, text) < 0)
			return -1;
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return EVP_DigestFinal_ex(r->told, users->told, NULL) == 1 ? 0 :
	    refuse(r, "out of memory");
}

struct pg_users *
pg_users_load(const char *path, const unsigned char key[PG_SCRAM_KEY],
    const struct pg_users *was, char why[PG_USERS_WHY_MAX])
{
	struct reading r = { .path = path, .key = key, .was = was,
	    .why = why };
	const char *reason = "out of memory";
	struct pg_users *users = calloc(1, sizeof(*users));
	char *text = NULL;
	int rc = -1;

	if (users != NULL)
		text = file_read(path, PG_USERS_FILE_MOST, &reason);
	if (text == NULL) {
		snprintf(why, PG_USERS_WHY_MAX, "cannot read %.300s: %s, "
		    "expected a readable file of at most 4 MiB", path, reason);
	} else {
		rc = lines_read(users, &r, text);
		explicit_bzero(text, strlen(text));
		explicit_bzero(r.secret, sizeof(r.secret));
	}
	EVP_MD_CTX_free(r.told);
	free(text);
	if (rc == 0)
		return users;
	pg_users_free(users);
	return NULL;
}

const struct pg_secret *
pg_users_find(const struct pg_users *users, const char *name)
{
	const struct user *u = find(users, name);

	return u != NULL ? &u->secret : NULL;
}

void
pg_users_md5(const struct pg_users *users,
    void (*f)(void *arg, const char *name, int line), void *arg)
{
	const struct user *u;

	for (u = users->by_name; u != NULL; u = u->hh.next)
		if (u->secret.kind == PG_SECRET_MD5)
			f(arg, u->name, u->line);
}

bool
pg_users_alike(const struct pg_users *a, const struct pg_users *b)
{
	return memcmp(a->told, b->told, sizeof(a->told)) == 0;
}

void
pg_users_free(struct pg_users *users)
{
	struct user *u, *next;

	if (users == NULL)
		return;
	HASH_ITER(hh, users->by_name, u, next) {
		HASH_DEL(users->by_name, u);
		pg_secret_fini(&u->secret);
		free(u);
	}
	free(users);
}
