/*
 * proto/postgres/scram: the example of RFC 7677, secrets that PostgreSQL 15
 * made, both ends with each other, and ends that lie.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char process_key[PG_SCRAM_KEY] = "of this process";

static const unsigned char rfc_salt[] = "[m\x99h\x9d\x12" "5\x8e\xec\xa0K\x14"
    "\x12" "6\xfa\x81";

#define RFC_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_CHALLENGE "r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE \
	",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_NO_PROOF "c=biws,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE
#define RFC_PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_FINAL RFC_NO_PROOF "," RFC_PROOF
#define RFC_SIGNATURE "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

/* ------------------------------------------------------------------ secrets */

/* As CREATE ROLE ... PASSWORD left them in pg_authid of PostgreSQL 15. */
static const struct {
	const char *password, *secret;
} made[] = {
	{ "pencil",
	  "SCRAM-SHA-256$4096:shKq9j6PgMP+tWYqx/DkbQ==$"
	  "384KP6+/KkhEhonoRIZ1zVlQMfFhIAfJT2IWI4k0hYY=:cC800sMUAZ7tApcGLfxAim0geySa9AVZm9uEdJtDrU4=" },
	{ "I\xc2\xadX\xe2\x85\xa8 \xc2\xaa", /* mapped away, NFKC */
	  "SCRAM-SHA-256$4096:iQJmQbblnUbafBiZIBOiwg==$"
	  "iVyPiBbv3LZmGQ7/wHcBQEUEdm557kf3fv9PSvW5qfw=:iiEs6G+rtqJE3c8cwRMgvQAsJBH587MgIk4kkvczn5g=" },
	{ "a\xe2\x80\x8b" "b", /* a space and nothing */
	  "SCRAM-SHA-256$4096:WZzFp1wmd7mhTPgGIYKqAg==$"
	  "Tehkmv0CLYZkJbL+96mjW2jwWnUbHkeNCiVlqI7QGuQ=:Xv/jiDn3Tjegh8yGMFbhAHVn7jsGxiMqyFzYjHWEbV0=" },
	{ "\xc2\xad", /* nothing is left */
	  "SCRAM-SHA-256$4096:O45QQKz2LmF81qfoy08Nmw==$"
	  "66k3bqd46qzZZk79O4AVgulcGJDkZBQ8VZoK+VRgw78=:4G+AuTylYVnKS8dKJKOvzAWyDNN0m3x35uLnzI4FDyo=" },
	{ "\xd8\xa7" "1", /* wrong direction */
	  "SCRAM-SHA-256$4096:0BgeLZmH0lk7SQhoHGj0BQ==$"
	  "/rEijQ/EIqEbbfhPHMYEbtYsQN7K3/QV+D2zP2FodNI=:cw4X/Rm96wbW2hriKnvfpkT70esPcU+j+ZapmI0wxKY=" },
	{ "x\xc8\xa1y", /* not in Unicode 3.2 */
	  "SCRAM-SHA-256$4096:dDiww1O6/d8TqXuKgRwegw==$"
	  "r2l17LHGVxFEdQaFunJxAhyeiNlAxaKlo/uXIPmvEPc=:t503JUX3PV1mjHEicTwYxTXcXmV01C+zOvptmkPGIL4=" },
	{ "a\xe1\x9a\x80" "b\xc2\xa0" "c", /* spaces */
	  "SCRAM-SHA-256$4096:IutDp/TGMkOZ8l35DCVc8A==$"
	  "F+JjsU/ZRNk+ZcwJTmgl4ObdW+6JxWoL53Tkhrwlmhs=:KHPIjGAH3MCp+TQR24AwTeMY+dWuhLLXCX2W1XGpB/A=" },
	{ "\xc3\xa9" "e\xcc\x81\xef\xac\x81", /* composed, ligature */
	  "SCRAM-SHA-256$4096:oaMMdXWwTcfW+MaAYVWfqg==$"
	  "lPbKpfImO72mWgUMYI8uF7AZSkBzZpZ5XZZnMeHRToQ=:56p6S0J/XJOWN4jIR856pJ387VU9KxU6vlVH6xTvU/8=" },
	{ "tab\x09here\xc3\xa9", /* a control character */
	  "SCRAM-SHA-256$4096:YWVIwXdBT+hrDJxeRwMy+A==$"
	  "zfSI03HxpcjIBGj5/kDO67uiWecO5ltsd0fT4T+gRRU=:Ri85pyT/rSTBaeC9+XRw2w4nRMu97nVdpQXr3EclMLs=" },
	{ "\xf0\x9f\x98\x80smile", /* not in Unicode 3.2 */
	  "SCRAM-SHA-256$4096:1SZjL71SClHALv3vgYLaRA==$"
	  "SVhgDwZLnhKIzlOTrYCHke1oYUb+Fg/lpZyAZoxUyH8=:tEBUwWauS6OHS/o2LCQDZ6DbyzT7YNgRNTRKJbE8y4Y=" },
	{ "\xcd\x85\xcc\x88x\xe1\xba\x9b\xcc\xa3",
	  "SCRAM-SHA-256$4096:U8V8KhDrVAXrwDr7UQbtpg==$"
	  "xXUstg5TRlJdEL0aAx87IoUdz71pvNFd1M8uXuujePw=:3O4RGYwNQAS7J9XSHe3rqYyX4AWU9vBs5UC7v0JBXH0=" }
};

static void
secrets_are_those_that_postgresql_makes(void **state)
{
	struct pg_scram_secret theirs, ours;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(made); i++) {
		assert_int_equal(pg_scram_secret_parse(made[i].secret,
		    &theirs), 0);
		assert_int_equal(theirs.salt_len, PG_SCRAM_SALT);
		assert_int_equal(theirs.iterations, PG_SCRAM_ITERATIONS);
		assert_int_equal(pg_scram_secret_make(made[i].password,
		    theirs.salt, theirs.salt_len, theirs.iterations, &ours),
		    0);
		if (memcmp(&ours, &theirs, sizeof(ours)) != 0)
			fail_msg("another secret for \"%s\"",
			    made[i].password);
	}
}

static void
bytes_that_are_no_utf8_count_as_they_are(void **state)
{
	struct pg_scram_secret a, b;

	(void)state;
	assert_int_equal(pg_scram_secret_make("\xff\xfe\xadz", rfc_salt, 16, 1,
	    &a), 0);
	assert_int_equal(pg_scram_secret_make("\xff\xfez", rfc_salt, 16, 1,
	    &b), 0);
	assert_memory_not_equal(a.stored_key, b.stored_key, PG_SCRAM_KEY);
	assert_int_equal(pg_scram_secret_make("", rfc_salt, 16, 1, &a), 0);
}

#define KEY "384KP6+/KkhEhonoRIZ1zVlQMfFhIAfJT2IWI4k0hYY="
#define SHORT_KEY "384KP6+/KkhEhonoRIZ1zVlQMfFhIAfJT2IWI4k0hQ=="
#define SALT_64 "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB" \
	"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="
#define SALT_65 "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB" \
	"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

static void
secrets_of_another_shape_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "SCRAM-SHA-256", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096",
		"SCRAM-SHA-256$4096:QUFB", "SCRAM-SHA-256$4096:QUFB$" KEY,
		"SCRAM-SHA-1$4096:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$0:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$-1:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$+1:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$04:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$1000001:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$99999999999:QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:QUF$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:QUF*$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:QR==$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:Q===$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:====$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:QU=B$" KEY ":" KEY,
		"SCRAM-SHA-256$4096: QUFB$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:" SALT_65 "$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:QUFB$" SHORT_KEY ":" KEY,
		"SCRAM-SHA-256$4096:QUFB$" KEY ":" SHORT_KEY,
		"SCRAM-SHA-256$4096:QUFB$" KEY ":",
		"SCRAM-SHA-256$4096:QUFB$:" KEY,
		"SCRAM-SHA-256$4096:QUFB$" KEY ":" KEY "A",
		"SCRAM-SHA-256$4096:QUFB$" KEY ":" KEY " ",
		"SCRAM-SHA-256$4096:QUFB$" KEY KEY ":" KEY
	};
	struct pg_scram_secret secret;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++)
		if (pg_scram_secret_parse(bad[i], &secret) == 0)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(pg_scram_secret_parse("SCRAM-SHA-256$1000000:"
	    SALT_64 "$" KEY ":" KEY, &secret), 0);
	assert_int_equal(secret.salt_len, PG_SCRAM_SALT_MOST);
}

static void
nobodys_secret_is_the_same_each_time(void **state)
{
	static const unsigned char other_key[PG_SCRAM_KEY] = "of another";
	struct pg_scram_secret a, b;

	(void)state;
	assert_int_equal(pg_scram_secret_mock(process_key, "eve", &a), 0);
	assert_int_equal(pg_scram_secret_mock(process_key, "eve", &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_true(a.mock);
	assert_int_equal(a.salt_len, PG_SCRAM_SALT);
	assert_int_equal(a.iterations, PG_SCRAM_ITERATIONS);
	assert_int_equal(pg_scram_secret_mock(process_key, "Eve", &b), 0);
	assert_memory_not_equal(a.salt, b.salt, PG_SCRAM_SALT);
	assert_int_equal(pg_scram_secret_mock(other_key, "eve", &b), 0);
	assert_memory_not_equal(a.salt, b.salt, PG_SCRAM_SALT);
}

/* ------------------------------------------------ the end that asks for proof */

struct asking {
	struct pg_scram_server s;
	struct pg_scram_secret secret;
	char out[PG_SCRAM_MESSAGE_MOST + 256];
	size_t len;
};

static enum pg_scram
first(struct asking *a, const char *message)
{
	assert_int_equal(pg_scram_secret_make("pencil", rfc_salt, 16, 4096,
	    &a->secret), 0);
	return pg_scram_server_first(&a->s, &a->secret, message,
	    strlen(message), RFC_NONCE, a->out, sizeof(a->out), &a->len);
}

static enum pg_scram
final(struct asking *a, const char *message)
{
	return pg_scram_server_final(&a->s, message, strlen(message), a->out,
	    sizeof(a->out), &a->len);
}

static void
the_example_of_the_rfc_holds(void **state)
{
	struct asking a;

	(void)state;
	assert_int_equal(first(&a, RFC_FIRST), PG_SCRAM_OK);
	assert_string_equal(a.out, RFC_CHALLENGE);
	assert_int_equal(a.len, strlen(RFC_CHALLENGE));
	assert_int_equal(final(&a, RFC_FINAL), PG_SCRAM_OK);
	assert_string_equal(a.out, RFC_SIGNATURE);
	assert_int_equal(a.len, strlen(RFC_SIGNATURE));
	assert_memory_equal(a.s.keys.server_key, a.secret.server_key,
	    PG_SCRAM_KEY);
	pg_scram_server_fini(&a.s);
}

static void
first_messages_are_taken_or_refused(void **state)
{
	static const char *const good[] = {
		"n,,n=,r=x", "y,,n=,r=x", "n,,n=*,r=!~", "n,,n=,r=x,e=1,f=",
		"n,,n=a=2Cb,r=x"
	}, *const bad[] = {
		"", "n", "n,", "n,,", "n,,n=", "n,,n=,", "n,,n=,r=",
		"n,,n=,r", "n,,r=x", "n,,r=x,n=", "n,a=joe,n=,r=x",
		"p=tls-server-end-point,,n=,r=x", "p,,n=,r=x", "x,,n=,r=x",
		"N,,n=,r=x", "n,,m=x,n=,r=x", "n,,n=,r=x y", "n,,n=,r=\xc3\xa9",
		"n,,n=,r=x,", "n,,n=,r=x,e", "n,,n=,r=x,1=2", "n,,n=,r=x\n",
		"n,n=,r=x", ",,n=,r=x"
	};
	struct asking a;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(good); i++)
		if (first(&a, good[i]) != PG_SCRAM_OK)
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < NELEMS(bad); i++)
		if (first(&a, bad[i]) != PG_SCRAM_MALFORMED)
			fail_msg("taken: %s", bad[i]);
}

static void
a_first_message_is_bounded(void **state)
{
	char text[PG_SCRAM_MESSAGE_MOST + 2] = "n,,n=,r=";
	struct asking a;

	(void)state;
	memset(text + 8, 'x', PG_SCRAM_MESSAGE_MOST - 8);
	assert_int_equal(first(&a, text), PG_SCRAM_OK);
	text[PG_SCRAM_MESSAGE_MOST] = 'x';
	assert_int_equal(first(&a, text), PG_SCRAM_MALFORMED);
	/* And never without its NUL in it. */
	assert_int_equal(pg_scram_server_first(&a.s, &a.secret, "n,,n=,r=\0",
	    9, NULL, a.out, sizeof(a.out), &a.len), PG_SCRAM_MALFORMED);
	assert_int_equal(pg_scram_server_first(&a.s, &a.secret, RFC_FIRST,
	    strlen(RFC_FIRST), NULL, a.out, 40, &a.len), PG_SCRAM_MALFORMED);
}

static void
last_messages_are_refused(void **state)
{
	static const char *const bad[] = {
		"", RFC_NO_PROOF, RFC_NO_PROOF ",", RFC_NO_PROOF ",p=",
		RFC_NO_PROOF ",p=dHzb", RFC_FINAL ",", RFC_FINAL ",e=1",
		RFC_FINAL "A", RFC_NO_PROOF "x," RFC_PROOF,
		/* "y,,", "n,a=b,", "p=x,,", and none */
		"c=eSws,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE "," RFC_PROOF,
		"c=bixhPWIs,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE "," RFC_PROOF,
		"c=cD14LCw=,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE "," RFC_PROOF,
		"c=,r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE "," RFC_PROOF,
		"r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE "," RFC_PROOF,
		"c=biws,r=rOprNGfwEbeRWgbNEkqO," RFC_PROOF,
		"c=biws,r=," RFC_PROOF, "c=biws," RFC_PROOF,
		"r=rOprNGfwEbeRWgbNEkqO" RFC_NONCE ",c=biws," RFC_PROOF,
		RFC_NO_PROOF "," RFC_PROOF "," RFC_PROOF
	};
	struct asking a;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++) {
		assert_int_equal(first(&a, RFC_FIRST), PG_SCRAM_OK);
		if (final(&a, bad[i]) != PG_SCRAM_MALFORMED)
			fail_msg("taken: %s", bad[i]);
	}
	memset(&a.s, 0, sizeof(a.s));
	assert_int_equal(final(&a, RFC_FINAL), PG_SCRAM_MALFORMED);
}

static void
what_was_said_is_what_is_proven(void **state)
{
	struct asking a;

	(void)state;
	/* Another header, name, or extension: the proof is of what was said. */
	assert_int_equal(first(&a, "n,,n=eve,r=rOprNGfwEbeRWgbNEkqO"),
	    PG_SCRAM_OK);
	assert_int_equal(final(&a, RFC_FINAL), PG_SCRAM_BAD_PROOF);
	assert_int_equal(first(&a, RFC_FIRST), PG_SCRAM_OK);
	assert_int_equal(final(&a, RFC_NO_PROOF ",e=1," RFC_PROOF),
	    PG_SCRAM_BAD_PROOF);
	assert_int_equal(first(&a, RFC_FIRST), PG_SCRAM_OK);
	assert_int_equal(final(&a, RFC_NO_PROOF
	    ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVg="),
	    PG_SCRAM_BAD_PROOF);
}

static void
nobody_is_let_in_with_nobodys_secret(void **state)
{
	struct asking a;

	(void)state;
	assert_int_equal(first(&a, RFC_FIRST), PG_SCRAM_OK);
	a.s.secret.mock = true;
	assert_int_equal(final(&a, RFC_FINAL), PG_SCRAM_BAD_PROOF);
}

/* -------------------------------------------------- the end that gives proof */

/* Both ends in one go; what the asking one says in the end. */
static enum pg_scram
meet(const char *password, const struct pg_scram_keys *keys,
    struct pg_scram_memo *memo, const struct pg_scram_secret *secret,
    struct pg_scram_server *s)
{
	struct pg_scram_client c;
	char to[1500], from[1500];
	size_t to_len, from_len;
	enum pg_scram got;

	assert_int_equal(pg_scram_client_first(&c, to, sizeof(to), &to_len),
	    PG_SCRAM_OK);
	assert_int_equal(pg_scram_server_first(s, secret, to, to_len, NULL,
	    from, sizeof(from), &from_len), PG_SCRAM_OK);
	assert_int_equal(pg_scram_client_final(&c, password, keys, memo, from,
	    from_len, to, sizeof(to), &to_len), PG_SCRAM_OK);
	got = pg_scram_server_final(s, to, to_len, from, sizeof(from),
	    &from_len);
	if (got == PG_SCRAM_OK)
		assert_int_equal(pg_scram_client_verify(&c, from, from_len),
		    PG_SCRAM_OK);
	pg_scram_client_fini(&c);
	return got;
}

/* Likewise, with what each has of the channel. */
static enum pg_scram
meet_bound(const struct pg_scram_binding *client,
    const struct pg_scram_binding *server)
{
	struct pg_scram_secret secret;
	struct pg_scram_server s;
	struct pg_scram_client c;
	char to[1500], from[1500];
	size_t to_len, from_len;
	enum pg_scram got;

	assert_int_equal(pg_scram_secret_make("pencil",
	    (const unsigned char *)"salt", 4, 8, &secret), 0);
	assert_int_equal(pg_scram_client_first_bound(&c, client, to, 128,
	    &to_len), PG_SCRAM_OK);
	got = pg_scram_server_first_bound(&s, &secret, server, to, to_len,
	    NULL, from, sizeof(from), &from_len);
	if (got != PG_SCRAM_OK)
		return got;
	assert_int_equal(pg_scram_client_final(&c, "pencil", NULL, NULL, from,
	    from_len, to, sizeof(to), &to_len), PG_SCRAM_OK);
	got = pg_scram_server_final(&s, to, to_len, from, sizeof(from),
	    &from_len);
	if (got == PG_SCRAM_OK)
		assert_int_equal(pg_scram_client_verify(&c, from, from_len),
		    PG_SCRAM_OK);
	return got;
}

static void
a_proof_is_bound_to_the_channel(void **state)
{
	struct pg_scram_binding none = { 0 }, unused = { .len = 32,
	    .channel = PG_SCRAM_UNUSED }, a, b;
	unsigned len, i;

	(void)state;
	assert_int_equal(meet_bound(&none, &none), PG_SCRAM_OK);
	/* Who could, where it is not offered; who cannot, where it is. */
	assert_int_equal(meet_bound(&unused, &none), PG_SCRAM_OK);
	assert_int_equal(meet_bound(&none, &unused), PG_SCRAM_OK);
	assert_int_equal(meet_bound(&unused, &unused), PG_SCRAM_DOWNGRADED);
	for (len = 20; len <= PG_SCRAM_DIGEST_MOST; len++) {
		a = (struct pg_scram_binding){ .channel = PG_SCRAM_BOUND,
		    .len = len };
		for (i = 0; i < len; i++)
			a.digest[i] = (unsigned char)(i * 37 + len);
		assert_int_equal(meet_bound(&a, &a), PG_SCRAM_OK);
		assert_int_equal(meet_bound(&a, &none), PG_SCRAM_MALFORMED);
		assert_int_equal(meet_bound(&a, &unused), PG_SCRAM_MALFORMED);
		assert_int_equal(meet_bound(&none, &a), PG_SCRAM_MALFORMED);
		assert_int_equal(meet_bound(&unused, &a), PG_SCRAM_MALFORMED);
		for (i = 0; i < len; i++) {
			b = a;
			b.digest[i] ^= 1;
			assert_int_equal(meet_bound(&a, &b),
			    PG_SCRAM_MALFORMED);
		}
		b = a;
		b.len--;
		assert_int_equal(meet_bound(&a, &b), PG_SCRAM_MALFORMED);
		assert_int_equal(meet_bound(&b, &a), PG_SCRAM_MALFORMED);
	}
}

static void
both_ends_agree(void **state)
{
	struct pg_scram_secret secret;
	struct pg_scram_server s;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(made); i++) {
		assert_int_equal(pg_scram_secret_parse(made[i].secret,
		    &secret), 0);
		assert_int_equal(meet(made[i].password, NULL, NULL, &secret,
		    &s), PG_SCRAM_OK);
		assert_int_equal(meet("pencils", NULL, NULL, &secret, &s),
		    PG_SCRAM_BAD_PROOF);
	}
}

static void
keys_that_a_login_left_are_good_for_another(void **state)
{
	struct pg_scram_secret secret;
	struct pg_scram_server s;
	struct pg_scram_keys keys;

	(void)state;
	assert_int_equal(pg_scram_secret_parse(made[0].secret, &secret), 0);
	assert_int_equal(meet("pencil", NULL, NULL, &secret, &s),
	    PG_SCRAM_OK);
	keys = s.keys;
	assert_int_equal(meet(NULL, &keys, NULL, &secret, &s), PG_SCRAM_OK);
	/* Not for the same password with another salt. */
	assert_int_equal(pg_scram_secret_make("pencil", rfc_salt, 16, 4096,
	    &secret), 0);
	assert_int_equal(meet(NULL, &keys, NULL, &secret, &s),
	    PG_SCRAM_BAD_PROOF);
}

static void
a_memo_saves_the_work_and_follows_the_salt(void **state)
{
	struct pg_scram_secret secret;
	struct pg_scram_server s;
	struct pg_scram_memo memo = { 0 };

	(void)state;
	assert_int_equal(pg_scram_secret_parse(made[0].secret, &secret), 0);
	assert_int_equal(meet("pencil", NULL, &memo, &secret, &s),
	    PG_SCRAM_OK);
	assert_memory_equal(memo.salt, secret.salt, PG_SCRAM_SALT);
	/* The password is not looked at. */
	assert_int_equal(meet("chalk", NULL, &memo, &secret, &s),
	    PG_SCRAM_OK);
	assert_int_equal(pg_scram_secret_make("pencil", rfc_salt, 16, 4096,
	    &secret), 0);
	assert_int_equal(meet("pencil", NULL, &memo, &secret, &s),
	    PG_SCRAM_OK);
	assert_int_equal(pg_scram_secret_make("pencil", rfc_salt, 16, 4097,
	    &secret), 0);
	assert_int_equal(meet("pencil", NULL, &memo, &secret, &s),
	    PG_SCRAM_OK);
	assert_int_equal(memo.iterations, 4097);
	pg_scram_memo_wipe(&memo);
}

/* The answer to a challenge of "%s" where our nonce goes. */
static enum pg_scram
challenge(struct pg_scram_client *c, const char *fmt)
{
	char ours[128], text[4096], out[1500];
	size_t len;

	assert_int_equal(pg_scram_client_first(c, ours, sizeof(ours), &len),
	    PG_SCRAM_OK);
	assert_memory_equal(ours, "n,,n=,r=", 8);
	snprintf(text, sizeof(text), fmt, ours + 8);
	return pg_scram_client_final(c, "pencil", NULL, NULL, text,
	    strlen(text), out, sizeof(out), &len);
}

static void
challenges_that_are_none_are_refused(void **state)
{
	static const char *const good[] = {
		"r=%sx,s=QUFB,i=1", "r=%sx,s=" SALT_64 ",i=10,e=1"
	}, *const bad[] = {
		"", "r=%s", "r=%sx,s=QUFB", "r=%sx,i=1", "s=QUFB,i=1",
		"r=%sx,i=1,s=QUFB", "r=%s,s=QUFB,i=1", "r=,s=QUFB,i=1",
		"r=zzzzzzzzzzzzzzzzzzzzzzzzx,s=QUFB,i=1",
		"r=x%s,s=QUFB,i=1", "r=%s ,s=QUFB,i=1",
		"r=%sx,s=,i=1", "r=%sx,s=QUF,i=1", "r=%sx,s=" SALT_65 ",i=1",
		"r=%sx,s=QUFB,i=", "r=%sx,s=QUFB,i=0", "r=%sx,s=QUFB,i=-1",
		"r=%sx,s=QUFB,i=01", "r=%sx,s=QUFB,i=1000001",
		"r=%sx,s=QUFB,i=2147483647", "r=%sx,s=QUFB,i=4294967297",
		"r=%sx,s=QUFB,i=1,", "r=%sx,s=QUFB,i=1,x",
		"m=1,r=%sx,s=QUFB,i=1", "e=other-error"
	};
	struct pg_scram_client c;
	char text[PG_SCRAM_MESSAGE_MOST + 100], out[1500];
	size_t i, len;

	(void)state;
	for (i = 0; i < NELEMS(good); i++)
		if (challenge(&c, good[i]) != PG_SCRAM_OK)
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < NELEMS(bad); i++) {
		if (challenge(&c, bad[i]) != PG_SCRAM_MALFORMED)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(c.why);
	}
	assert_int_equal(pg_scram_client_first(&c, text, sizeof(text), &len),
	    PG_SCRAM_OK);
	memcpy(text, "r=", 2);
	memmove(text + 2, text + 8, len - 8);
	memset(text + len - 6, 'x', sizeof(text) - len + 6);
	memcpy(text + sizeof(text) - 11, ",s=QUFB,i=1", 11);
	assert_int_equal(pg_scram_client_final(&c, "pencil", NULL, NULL, text,
	    sizeof(text), out, sizeof(out), &len), PG_SCRAM_MALFORMED);
	assert_int_equal(challenge(&c, "r=%sx,s=QUFB,i=1"), PG_SCRAM_OK);
	/* Once only. */
	assert_int_equal(pg_scram_client_final(&c, "pencil", NULL, NULL,
	    "r=x,s=QUFB,i=1", 14, out, sizeof(out), &len),
	    PG_SCRAM_MALFORMED);
}

static enum pg_scram
verify(struct pg_scram_client *c, const char *text)
{
	return pg_scram_client_verify(c, text, strlen(text));
}

static void
a_server_that_proves_nothing_is_not_believed(void **state)
{
	struct pg_scram_client c;
	char out[128];
	size_t len;

	(void)state;
	assert_int_equal(pg_scram_client_first(&c, out, sizeof(out), &len),
	    PG_SCRAM_OK);
	assert_int_equal(verify(&c, "v=" KEY), PG_SCRAM_MALFORMED);
	assert_int_equal(challenge(&c, "r=%sx,s=QUFB,i=1"), PG_SCRAM_OK);
	assert_int_equal(verify(&c, "v=" KEY), PG_SCRAM_BAD_PROOF);
	assert_string_equal(c.why, "the server does not know the password");
	assert_int_equal(verify(&c, "e=invalid-proof"), PG_SCRAM_BAD_PROOF);
	assert_int_equal(verify(&c, ""), PG_SCRAM_MALFORMED);
	assert_int_equal(verify(&c, "v="), PG_SCRAM_MALFORMED);
	assert_int_equal(verify(&c, "v=" SHORT_KEY), PG_SCRAM_MALFORMED);
	assert_int_equal(verify(&c, "v=" KEY "A"), PG_SCRAM_MALFORMED);
	assert_int_equal(verify(&c, "v=" KEY ","), PG_SCRAM_MALFORMED);
	assert_int_equal(verify(&c, "x=1,v=" KEY), PG_SCRAM_MALFORMED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(secrets_are_those_that_postgresql_makes),
		TEST(bytes_that_are_no_utf8_count_as_they_are),
		TEST(secrets_of_another_shape_are_refused),
		TEST(nobodys_secret_is_the_same_each_time),
		TEST(the_example_of_the_rfc_holds),
		TEST(first_messages_are_taken_or_refused),
		TEST(a_first_message_is_bounded),
		TEST(last_messages_are_refused),
		TEST(what_was_said_is_what_is_proven),
		TEST(nobody_is_let_in_with_nobodys_secret),
		TEST(a_proof_is_bound_to_the_channel),
		TEST(both_ends_agree),
		TEST(keys_that_a_login_left_are_good_for_another),
		TEST(a_memo_saves_the_work_and_follows_the_salt),
		TEST(challenges_that_are_none_are_refused),
		TEST(a_server_that_proves_nothing_is_not_believed)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
