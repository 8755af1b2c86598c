/*
 * proto/postgres/users: files as PgBouncer has them, and what is wrong in one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/err.h"

#define SCRAM "SCRAM-SHA-256$4096:shKq9j6PgMP+tWYqx/DkbQ==$" \
	"384KP6+/KkhEhonoRIZ1zVlQMfFhIAfJT2IWI4k0hYY=:" \
	"cC800sMUAZ7tApcGLfxAim0geySa9AVZm9uEdJtDrU4="

static const unsigned char key[PG_SCRAM_KEY] = "of this process";
static char why[PG_USERS_WHY_MAX];

static struct pg_users *
load_after(const struct pg_users *was, const char *text, size_t len)
{
	char path[] = "/tmp/weir-users-XXXXXX";
	struct pg_users *users;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	users = pg_users_load(path, key, was, why);
	unlink(path);
	return users;
}

static struct pg_users *
load(const char *text, size_t len)
{
	return load_after(NULL, text, len);
}

static void
is_old(void *arg, const char *name, int line)
{
	++*(int *)arg;
	assert_string_equal(name, "old");
	assert_int_equal(line, 7);
}

static void
lines_are_users(void **state)
{
	static const char text[] =
	    "; a comment\n"
	    "# another \"one\"\n"
	    "\n"
	    "  \t\r\n"
	    "\"app\" \"" SCRAM "\"\n"
	    "\"joe \"\"the\"\" admin\" \"pen\"\"cil\" \"\" and more\r\n"
	    "\t \"old\"\t \"md50098e7fab7b4d8d091067152a80b3f12\"\n"
	    "\"none\" \"\"\n"
	    "\"J\xc3\xb6rg; #\" \" ;#\xff \"";
	struct pg_users *users = load(text, sizeof(text) - 1);
	const struct pg_secret *s;
	int n = 0;

	(void)state;
	assert_non_null(users);
	pg_users_md5(users, is_old, &n);
	assert_int_equal(n, 1);
	s = pg_users_find(users, "app");
	assert_non_null(s);
	assert_int_equal(s->kind, PG_SECRET_SCRAM);
	s = pg_users_find(users, "joe \"the\" admin");
	assert_non_null(s);
	assert_int_equal(s->kind, PG_SECRET_PLAIN);
	assert_string_equal(s->text, "pen\"cil");
	s = pg_users_find(users, "old");
	assert_non_null(s);
	assert_int_equal(s->kind, PG_SECRET_MD5);
	s = pg_users_find(users, "none");
	assert_non_null(s);
	assert_int_equal(s->kind, PG_SECRET_NONE);
	s = pg_users_find(users, "J\xc3\xb6rg; #");
	assert_non_null(s);
	assert_string_equal(s->text, " ;#\xff ");
	assert_null(pg_users_find(users, ""));
	assert_null(pg_users_find(users, "App"));
	assert_null(pg_users_find(users, "app "));
	pg_users_free(users);
	pg_users_free(NULL);
}

static void
an_empty_file_has_nobody(void **state)
{
	struct pg_users *users = load("", 0);

	(void)state;
	assert_non_null(users);
	assert_null(pg_users_find(users, "joe"));
	pg_users_free(users);
}

#define NAME "line 2: expected a name of 1 to 255 bytes in double quotes"
#define SECRET "line 2: expected a secret of at most 2048 bytes in double " \
	"quotes"
#define BLANK "line 2: expected a blank behind the name, and a secret in " \
	"double quotes"

static void
what_is_wrong_is_told_with_its_line(void **state)
{
	static const struct {
		const char *line, *why;
	} wrong[] = {
		{ "app \"x\"\n", NAME }, { "\"\" \"x\"\n", NAME },
		{ "\"app\n\" \"x\"\n", NAME }, { "\"app\"\"", NAME },
		{ "\"", NAME }, { "app", NAME },
		{ "\"app\"\n", BLANK }, { "\"app\"", BLANK },
		{ "\"app\":\"x\"\n", BLANK },
		{ "\"app\" \n\"x\"\n", SECRET }, { "\"app\" x\n", SECRET },
		{ "\"app\" \"x\n", SECRET }, { "\"app\" \"x\"\"", SECRET },
		{ "\"app\" \"SCRAM-SHA-256$1:\"\n", "line 2: not a "
		    "SCRAM-SHA-256 secret as pg_authid has them" },
		{ "\"first\" \"\"\n", "line 2: the name stands on line 1, "
		    "too" }
	};
	char text[256];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(wrong); i++) {
		snprintf(text, sizeof(text), "\"first\" \"\"\n%s\"last\" \"\"",
		    wrong[i].line);
		/* A line without its end stands last. */
		if (strchr(wrong[i].line, '\n') == NULL)
			text[11 + strlen(wrong[i].line)] = '\0';
		if (load(text, strlen(text)) != NULL)
			fail_msg("taken: %s", wrong[i].line);
		assert_non_null(strstr(why, ": line"));
		assert_string_equal(strstr(why, "line "), wrong[i].why);
	}
}

static void
names_and_secrets_are_bounded(void **state)
{
	char name[257], secret[2050], text[4096];
	struct pg_users *users;

	(void)state;
	memset(name, 'n', sizeof(name));
	memset(secret, 's', sizeof(secret));
	snprintf(text, sizeof(text), "\"%.255s\" \"%.2048s\"", name, secret);
	users = load(text, strlen(text));
	assert_non_null(users);
	name[255] = '\0';
	assert_non_null(pg_users_find(users, name));
	pg_users_free(users);
	name[255] = 'n';
	snprintf(text, sizeof(text), "\"%.256s\" \"%.2048s\"", name, secret);
	assert_null(load(text, strlen(text)));
	snprintf(text, sizeof(text), "\"%.255s\" \"%.2049s\"", name, secret);
	assert_null(load(text, strlen(text)));
	assert_null(load("\"a\" \"\0\"", 8));
	assert_non_null(strstr(why, "it holds a NUL byte"));
}

static void
a_file_that_is_not_there_is_named(void **state)
{
	(void)state;
	assert_null(pg_users_load("/nonexistent/users", key, NULL, why));
	assert_string_equal(why, "cannot read /nonexistent/users: No such "
	    "file or directory, expected a readable file of at most 4 MiB");
}

static void
two_files_are_alike_by_their_users_alone(void **state)
{
	static const struct { const char *text; bool alike; } rows[] = {
		{ "\"a\" \"1\"\n\"b\" \"2\"\n", true },
		{ "; why\n\t\"a\" \"1\" and more\r\n\n\"b\" \"2\"", true },
		{ "\"a\" \"1\"\n\"b\" \"3\"\n", false },
		{ "\"a\" \"1\"\n\"c\" \"2\"\n", false },
		{ "\"a\" \"1\"\n", false },
		{ "", false },
		{ "\"a1\" \"\"\n\"b\" \"2\"\n", false }
	};
	struct pg_users *first = load(rows[0].text, strlen(rows[0].text));

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct pg_users *users = load(rows[i].text,
		    strlen(rows[i].text));

		assert_non_null(users);
		assert_int_equal(pg_users_alike(first, users), rows[i].alike);
		pg_users_free(users);
	}
	pg_users_free(first);
}

static bool
is_as_in(const struct pg_users *a, const struct pg_users *b, const char *name)
{
	const struct pg_secret *one = pg_users_find(a, name);
	const struct pg_secret *other = pg_users_find(b, name);

	return strcmp(one->text, other->text) == 0 && memcmp(&one->scram,
	    &other->scram, sizeof(one->scram)) == 0;
}

/* What stays says that it was not made anew: it is marked. */
static void
a_password_that_has_not_changed_is_not_worked_on_again(void **state)
{
	static const char before[] = "\"a\" \"1\"\n\"b\" \"2\"\n"
	    "\"c\" \"3\"\n";
	static const char after[] = "\"c\" \"1\"\n\"b\" \"2\"\n"
	    "\"d\" \"2\"\n\"a\" \"md50098e7fab7b4d8d091067152a80b3f12\"\n";
	struct pg_users *was = load(before, sizeof(before) - 1);
	struct pg_users *anew = load(after, sizeof(after) - 1);
	struct pg_users *now;
	struct pg_secret *b;

	(void)state;
	b = (struct pg_secret *)(uintptr_t)pg_users_find(was, "b");
	b->scram.server_key[0] ^= 1;
	now = load_after(was, after, sizeof(after) - 1);
	assert_true(is_as_in(now, was, "b"));
	assert_false(is_as_in(now, anew, "b"));
	b->scram.server_key[0] ^= 1;
	assert_true(is_as_in(was, anew, "b"));
	assert_true(is_as_in(now, anew, "a"));
	assert_true(is_as_in(now, anew, "c"));
	assert_true(is_as_in(now, anew, "d"));
	pg_users_free(was);
	assert_string_equal(pg_users_find(now, "b")->text, "2");
	pg_users_free(now);
	pg_users_free(anew);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(lines_are_users),
		TEST(an_empty_file_has_nobody),
		TEST(what_is_wrong_is_told_with_its_line),
		TEST(names_and_secrets_are_bounded),
		TEST(two_files_are_alike_by_their_users_alone),
		TEST(a_file_that_is_not_there_is_named),
		TEST(a_password_that_has_not_changed_is_not_worked_on_again)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
