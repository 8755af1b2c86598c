/*
 * A client that says anything while it is asked for its proof: nobody is let in
 * without one, and what was taken keeps to the RFC. Input: both its messages,
 * with a line end between them. And the whole of it as a secret of pg_authid.
 *
 * The server's nonce is "server" and the secret's keys are known, so that a
 * client of the corpus can prove something, too.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/scram.h"

enum { BYTES_MAX = 4096 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_secret(const char *text, size_t len)
{
	char *copy = strndup(text, len);
	struct pg_scram_secret secret;

	CHECK(copy != NULL);
	if (pg_scram_secret_parse(copy, &secret) == 0) {
		CHECK(secret.iterations >= 1);
		CHECK(secret.iterations <= PG_SCRAM_ITERATIONS_MOST);
		CHECK(secret.salt_len >= 1);
		CHECK(secret.salt_len <= PG_SCRAM_SALT_MOST && !secret.mock);
	}
	free(copy);
}

/* "password" with 16 times 'A', once. */
static const struct pg_scram_secret *
known(void)
{
	static const unsigned char salt[] = "AAAAAAAAAAAAAAAA";
	static struct pg_scram_secret secret;

	if (secret.salt_len == 0)
		CHECK(pg_scram_secret_make("password", salt, 16, 1,
		    &secret) == 0);
	return &secret;
}

/* The messages in memory of just their size. */
static enum pg_scram
say(const struct pg_scram_secret *secret, const char *first, size_t first_len,
    const char *last, size_t last_len)
{
	char out[PG_SCRAM_MESSAGE_MOST + 256];
	struct pg_scram_server s;
	enum pg_scram got;
	size_t n;

	got = pg_scram_server_first(&s, secret, first, first_len, "server",
	    out, sizeof(out), &n);
	if (got != PG_SCRAM_OK)
		return got;
	CHECK(first_len <= PG_SCRAM_MESSAGE_MOST);
	CHECK(n == strlen(out) && memcmp(out, "r=", 2) == 0);
	CHECK(first[0] == 'n' || first[0] == 'y');
	got = pg_scram_server_final(&s, last, last_len, out, sizeof(out), &n);
	if (got == PG_SCRAM_OK)
		CHECK(n == strlen(out) && n == 46);
	pg_scram_server_fini(&s);
	return got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *bytes = (const char *)data, *last;
	struct pg_scram_secret mock;
	enum pg_scram got, got_mock;
	size_t first_len, last_len;

	if (len > BYTES_MAX || len == 0)
		return 0;
	check_secret(bytes, len);
	last = memchr(bytes, '\n', len);
	if (last == NULL)
		return 0;
	first_len = (size_t)(last++ - bytes);
	last_len = len - first_len - 1;
	got = say(known(), bytes, first_len, last, last_len);
	mock = *known();
	mock.mock = true;
	got_mock = say(&mock, bytes, first_len, last, last_len);
	CHECK(got_mock != PG_SCRAM_OK);
	CHECK(got == got_mock || got == PG_SCRAM_OK);
	return 0;
}
