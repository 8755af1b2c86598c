/*
 * proto/postgres/secret: what a user's entry is taken for, and md5.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* As PostgreSQL 15 has them: user md5user, user scram, both "pencil". */
#define STORED_MD5 "md50098e7fab7b4d8d091067152a80b3f12"
#define STORED_SCRAM "SCRAM-SHA-256$4096:shKq9j6PgMP+tWYqx/DkbQ==$" \
	"384KP6+/KkhEhonoRIZ1zVlQMfFhIAfJT2IWI4k0hYY=:" \
	"cC800sMUAZ7tApcGLfxAim0geySa9AVZm9uEdJtDrU4="

static const unsigned char key[PG_SCRAM_KEY] = "of this process";

static void
is_taken_for(const char *text, enum pg_secret_kind kind, bool mock)
{
	struct pg_secret s;
	const char *why;

	assert_int_equal(pg_secret_parse(&s, text, "joe", key, &why), 0);
	assert_int_equal(s.kind, kind);
	assert_int_equal(s.scram.mock, mock);
	assert_int_equal(s.scram.salt_len, PG_SCRAM_SALT);
	assert_int_equal(s.scram.iterations, PG_SCRAM_ITERATIONS);
	if (kind == PG_SECRET_PLAIN || kind == PG_SECRET_MD5)
		assert_string_equal(s.text, text);
	else
		assert_null(s.text);
	pg_secret_fini(&s);
	assert_null(s.text);
	pg_secret_fini(&s);
}

static void
entries_are_taken_for_what_they_look_like(void **state)
{
	(void)state;
	is_taken_for("", PG_SECRET_NONE, true);
	is_taken_for("pencil", PG_SECRET_PLAIN, false);
	is_taken_for(STORED_SCRAM, PG_SECRET_SCRAM, false);
	is_taken_for(STORED_MD5, PG_SECRET_MD5, true);
	is_taken_for(STORED_MD5 "0", PG_SECRET_PLAIN, false);
	is_taken_for("md50098E7FAB7B4D8D091067152A80B3F12", PG_SECRET_PLAIN,
	    false);
	is_taken_for("md5", PG_SECRET_PLAIN, false);
	is_taken_for("SCRAM-SHA-256", PG_SECRET_PLAIN, false);
}

static void
a_malformed_secret_is_no_password(void **state)
{
	struct pg_secret s;
	const char *why = NULL;

	(void)state;
	assert_int_equal(pg_secret_parse(&s, "SCRAM-SHA-256$4096:", "joe", key,
	    &why), -1);
	assert_string_equal(why,
	    "not a SCRAM-SHA-256 secret as pg_authid has them");
}

static void
a_passwords_salt_is_the_one_that_nobody_had(void **state)
{
	struct pg_scram_secret nobody;
	struct pg_secret s;
	const char *why;

	(void)state;
	assert_int_equal(pg_scram_secret_mock(key, "joe", &nobody), 0);
	assert_int_equal(pg_secret_parse(&s, "pencil", "joe", key, &why), 0);
	assert_memory_equal(s.scram.salt, nobody.salt, PG_SCRAM_SALT);
	pg_secret_fini(&s);
}

static void
md5_is_postgresqls(void **state)
{
	char made[PG_MD5_TEXT + 1], answer[PG_MD5_TEXT + 1];

	(void)state;
	assert_int_equal(pg_md5_make("pencil", "md5user", made), 0);
	assert_string_equal(made, STORED_MD5);
	assert_int_equal(pg_md5_answer(made, "\x01\0\xff" "a", answer), 0);
	assert_string_equal(answer, "md50332f7abc7c0c17b621657406d13d568");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(entries_are_taken_for_what_they_look_like),
		TEST(a_malformed_secret_is_no_password),
		TEST(a_passwords_salt_is_the_one_that_nobody_had),
		TEST(md5_is_postgresqls)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
