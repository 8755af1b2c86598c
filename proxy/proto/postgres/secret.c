/*
 * Secrets of users. See secret.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/secret.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum { MD5_BYTES = 16 };

/* As PostgreSQL tells it from a password: digits in lower case. */
static bool
is_md5(const char *text)
{
	return strlen(text) == PG_MD5_TEXT && strncmp(text, "md5", 3) == 0 &&
	    strspn(text + 3, "0123456789abcdef") == PG_MD5_TEXT - 3;
}

static int
plain(struct pg_secret *s, const char *text, const char *user,
    const unsigned char key[PG_SCRAM_KEY])
{
	unsigned char salt[PG_SCRAM_SALT];

	s->kind = PG_SECRET_PLAIN;
	if (pg_scram_salt_make(key, user, salt) < 0)
		return -1;
	return pg_scram_secret_make(text, salt, sizeof(salt),
	    PG_SCRAM_ITERATIONS, &s->scram);
}

int
pg_secret_parse(struct pg_secret *s, const char *text, const char *user,
    const unsigned char key[PG_SCRAM_KEY], const char **why)
{
	int rc;

	*s = (struct pg_secret){ .kind = PG_SECRET_NONE };
	if (strncmp(text, "SCRAM-SHA-256$", 14) == 0) {
		s->kind = PG_SECRET_SCRAM;
		*why = "not a SCRAM-SHA-256 secret as pg_authid has them";
		return pg_scram_secret_parse(text, &s->scram);
	}
	*why = "out of memory";
	if (*text == '\0')
		return pg_scram_secret_mock(key, user, &s->scram);
	if (is_md5(text)) {
		s->kind = PG_SECRET_MD5;
		rc = pg_scram_secret_mock(key, user, &s->scram);
	} else
		rc = plain(s, text, user, key);
	if (rc == 0)
		s->text = strdup(text);
	if (s->text != NULL)
		return 0;
	pg_secret_fini(s);
	return -1;
}

bool
pg_secret_again(struct pg_secret *s, const char *text,
    const struct pg_secret *was)
{
	char *copy;

	if (was->kind != PG_SECRET_PLAIN || strcmp(was->text, text) != 0)
		return false;
	copy = strdup(text);
	if (copy == NULL)
		return false;
	*s = *was;
	s->text = copy;
	return true;
}

void
pg_secret_fini(struct pg_secret *s)
{
	if (s->text != NULL)
		explicit_bzero(s->text, strlen(s->text));
	free(s->text);
	explicit_bzero(s, sizeof(*s));
}

/* ---------------------------------------------------------------------- md5 */

/* "md5" and MD5(a, b). */
static int
md5(const void *a, size_t a_len, const void *b, size_t b_len,
    char out[PG_MD5_TEXT + 1])
{
	static const char digits[] = "0123456789abcdef";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char bytes[MD5_BYTES];
	bool done;
	size_t i;

	done = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, a, a_len) == 1 &&
	    EVP_DigestUpdate(ctx, b, b_len) == 1 &&
	    EVP_DigestFinal_ex(ctx, bytes, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!done)
		return -1;
	memcpy(out, "md5", 3);
	for (i = 0; i < sizeof(bytes); i++) {
		out[3 + 2 * i] = digits[bytes[i] >> 4];
		out[4 + 2 * i] = digits[bytes[i] & 15];
	}
	out[PG_MD5_TEXT] = '\0';
	return 0;
}

int
pg_md5_make(const char *password, const char *user, char out[PG_MD5_TEXT + 1])
{
	return md5(password, strlen(password), user, strlen(user), out);
}

int
pg_md5_answer(const char *stored, const char salt[PG_MD5_SALT],
    char out[PG_MD5_TEXT + 1])
{
	return md5(stored + 3, PG_MD5_TEXT - 3, salt, PG_MD5_SALT, out);
}
