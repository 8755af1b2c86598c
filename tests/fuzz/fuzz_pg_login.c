/*
 * A PostgreSQL server that says anything while it is logged in to: the same
 * verdict, answers and facts however the bytes arrive, and all within bounds.
 * Input: a byte that says what we know and may, two that say where to split,
 * the others are the server's.
 *
 * Random bytes and PBKDF2 are this file's own, so that the same input does the
 * same, and soon; a server of the corpus can then prove that it knows the
 * password, too.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "proxy/proto/postgres/login.h"
#include "proxy/proto/postgres/scram.h"

enum { BYTES_MAX = 16 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

enum { HAS_PASSWORD = 1, HAS_KEYS = 2, HAS_MD5 = 4, IS_SECURE = 8 };

/* One way to hear it. */
struct hearing {
	struct pg_login login;
	struct buf in, out;
	enum pg_login_got got;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
RAND_bytes(unsigned char *bytes, int n)
{
	memset(bytes, 0, (size_t)n);
	return 1;
}

int
PKCS5_PBKDF2_HMAC(const char *password, int password_len,
    const unsigned char *salt, int salt_len, int iterations,
    const EVP_MD *digest, int n, unsigned char *out)
{
	CHECK(password_len >= 0 && salt_len > 0 && iterations > 0);
	CHECK(iterations <= PG_SCRAM_ITERATIONS_MOST);
	(void)password;
	(void)salt;
	(void)digest;
	memset(out, 'p', (size_t)n);
	return 1;
}

static void
hear(struct hearing *h, const struct pg_login_as *as,
    struct block_store *store, const char *bytes, size_t len, size_t first,
    size_t piece)
{
	size_t at = 0, n = first;

	memset(h, 0, sizeof(*h));
	CHECK(pg_login_start(&h->login, as, store, &h->out) == 0);
	h->got = PG_LOGIN_MORE;
	while (h->got == PG_LOGIN_MORE && at < len) {
		if (n == 0 || n > len - at)
			n = len - at;
		CHECK(buf_append(store, &h->in, bytes + at, n) == 0);
		at += n;
		n = piece;
		h->got = pg_login_feed(&h->login, as, store, &h->in, &h->out);
		CHECK(memchr(h->login.said, '\0', sizeof(h->login.said)));
		CHECK(h->login.key_len <= PG_LOGIN_KEY_MOST);
		CHECK(h->login.params_len <= PG_LOGIN_PARAMS_MOST);
	}
	CHECK((h->got == PG_LOGIN_REFUSED) == (h->login.sqlstate[0] != '\0'));
	CHECK(h->got != PG_LOGIN_BAD || h->login.said[0] != '\0');
	/* What was not heard yet is no part of what was made of it. */
	CHECK(buf_append(store, &h->in, bytes + at, len - at) == 0);
}

static void
check_same_bytes(struct block_store *store, struct buf *a, struct buf *b)
{
	CHECK(a->len == b->len);
	CHECK(a->len == 0 || memcmp(buf_flat(store, a, a->len),
	    buf_flat(store, b, b->len), a->len) == 0);
}

static void
check_same(struct block_store *store, struct hearing *a, struct hearing *b)
{
	const struct pg_login *la = &a->login, *lb = &b->login;

	CHECK(a->got == b->got);
	CHECK(strcmp(la->said, lb->said) == 0);
	CHECK(strcmp(la->sqlstate, lb->sqlstate) == 0);
	CHECK(la->pid == lb->pid && la->key_len == lb->key_len);
	CHECK(memcmp(la->key, lb->key, la->key_len) == 0);
	CHECK(la->params_len == lb->params_len);
	CHECK(la->params_len == 0 ||
	    memcmp(la->params, lb->params, la->params_len) == 0);
	CHECK((la->scram == NULL) == (lb->scram == NULL));
	check_same_bytes(store, &a->out, &b->out);
	/* A message may be refused before all of it has come. */
	if (a->got != PG_LOGIN_BAD)
		check_same_bytes(store, &a->in, &b->in);
}

static void
end(struct hearing *h, struct block_store *store)
{
	pg_login_fini(&h->login);
	buf_clear(store, &h->in);
	buf_clear(store, &h->out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct pg_scram_keys keys = { "client's", "server's" };
	struct pg_login_as as = { .user = "joe", .database = "shop" };
	const char *bytes = (const char *)data + 3;
	struct block_store store;
	struct hearing whole, split, bytewise;

	if (len < 4 || len - 3 > BYTES_MAX)
		return 0;
	as.password = data[0] & HAS_PASSWORD ? "pencil" : NULL;
	as.keys = data[0] & HAS_KEYS ? &keys : NULL;
	as.md5 = data[0] & HAS_MD5 ?
	    "md50098e7fab7b4d8d091067152a80b3f12" : NULL;
	as.secure = data[0] & IS_SECURE;
	len -= 3;
	block_store_init(&store);
	hear(&whole, &as, &store, bytes, len, len, len);
	hear(&split, &as, &store, bytes, len,
	    (size_t)(data[1] << 8 | data[2]) % len, 0);
	check_same(&store, &whole, &split);
	hear(&bytewise, &as, &store, bytes, len, 1, 1);
	check_same(&store, &whole, &bytewise);
	end(&whole, &store);
	end(&split, &store);
	end(&bytewise, &store);
	block_store_fini(&store);
	return 0;
}
