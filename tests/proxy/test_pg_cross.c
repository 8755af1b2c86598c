/*
 * proto/postgres/cross and pack: what comes from another process is taken as it
 * was there, found by the number that the client was told, and not taken at all
 * where it makes no sense.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/proto/postgres/postgres.h"
#include "tests/support/lane_scene.h"

/* A 0 of a text in C is U+0100 in it. */
#define Z "\\u0100"
#define PARSE(text) text Z Z Z          /* no types */
#define SECRET "0123456789abcdef0123456789abcde" Z

static const char whole[] = "{\"pid\": 3145735, \"secret\": \"" SECRET "\", "
    "\"user\": \"bob\", \"proved\": false, "
    "\"minor\": 0, \"vouched\": true, \"key\": {\"user\": \"ann\", "
    "\"database\": \"shop\", \"kind\": \"password\", \"secret\": \"pw\"}, "
    "\"startup\": \"DateStyle" Z "ISO" Z "\", "
    "\"settings\": \"application_name" Z "caf\\u00e9" Z "\", "
    "\"unnamed\": {\"body\": \"" PARSE("SELECT 1") "\", \"id\": "
    "281474976710661, \"flags\": 0, \"shared\": false, \"retired\": false}, "
    "\"names\": [{\"body\": \"SELECT $1" Z Z "\\u0001" Z Z Z "\\u0017\", "
    "\"id\": 562949953421316, \"flags\": 64, \"shared\": true, "
    "\"retired\": false, \"name\": \"a\"}, {\"body\": \"" PARSE("SELECT 2")
    "\", \"id\": 7, \"flags\": 0, \"shared\": false, \"retired\": false, "
    "\"name\": \"b\"}]}";

static json_t *
json_of(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	if (j == NULL)
		fail_msg("no JSON: %s", text);
	return j;
}

static void
begin(struct lane_scene *s)
{
	lane_scene_begin(s, "postgres", "postgres = { auth = \"trust\"; };",
	    "");
}

/* A client that has come; *fd is its end. */
static struct session *
arrival(struct lane_scene *s, int *fd)
{
	*fd = lane_scene_client(s, "10.0.0.9");
	return lane_scene_session(s);
}

static void
departure(struct lane_scene *s, struct session *session, int fd)
{
	session_close(session);
	close(fd);
	lane_scene_run(s);
}

static bool
adopt(struct session *s, json_t *said)
{
	bool good = pg_cross_adopt(s, said);

	json_decref(said);
	return good;
}

/* ----------------------------------------------------------------- the truth */

static void
what_was_there_is_here(void **state)
{
	json_t *said = json_of(whole), *back, *b;
	struct lane_scene s;
	struct session *session;
	int fd;

	(void)state;
	begin(&s);
	session = arrival(&s, &fd);
	assert_true(pg_cross_adopt(session, said));
	assert_true(session_is_idle(session));
	back = pg_cross_pack(session);
	assert_non_null(back);
	/* A number that nobody can have given is not kept. */
	b = json_array_get(json_object_get(back, "names"), 1);
	assert_true(json_integer_value(json_object_get(b, "id")) > 7);
	json_object_set_new(b, "id", json_integer(7));
	assert_true(json_equal(said, back));
	json_decref(back);
	json_decref(said);
	departure(&s, session, fd);
	lane_scene_end(&s);
}

static void
one_text_is_one_statement(void **state)
{
	struct session *a, *b;
	struct lane_scene s;
	json_t *other;
	int fds[2];

	(void)state;
	begin(&s);
	a = arrival(&s, &fds[0]);
	b = arrival(&s, &fds[1]);
	assert_true(adopt(a, json_of(whole)));
	other = json_of(whole);
	json_object_set_new(other, "pid", json_integer(5));
	assert_true(adopt(b, other));
	assert_ptr_equal(pg_name_find(&pg_session(a)->names, "a")->st,
	    pg_name_find(&pg_session(b)->names, "a")->st);
	assert_ptr_not_equal(pg_name_find(&pg_session(a)->names, "b")->st,
	    pg_name_find(&pg_session(b)->names, "b")->st);
	departure(&s, a, fds[0]);
	departure(&s, b, fds[1]);
	lane_scene_end(&s);
}

static void
a_number_means_who_was_told_it(void **state)
{
	static const char key[] = "0123456789abcdef0123456789abcde";
	struct session *session, *other;
	struct pg_lane *lane;
	struct lane_scene s;
	json_t *said;
	int fds[2];

	(void)state;
	begin(&s);
	session = arrival(&s, &fds[0]);
	assert_true(adopt(session, json_of(whole)));
	lane = pg_lane(session);
	assert_ptr_equal(pg_told_find(lane, 3145735, key, 4), session);
	assert_null(pg_told_find(lane, 3145735, "0124", 4));
	assert_null(pg_told_find(lane, 3145735, key, sizeof(key)));
	assert_null(pg_told_find(lane, 3145736, key, 4));
	/* The one that it has here nobody was told. */
	assert_null(pg_told_find(lane, pg_slot_pid(session), key, 4));
	assert_int_equal(pg_told_pid(session), 3145735);
	/* Nobody else has both. */
	other = arrival(&s, &fds[1]);
	assert_false(adopt(other, json_of(whole)));
	departure(&s, other, fds[1]);
	/* It may be the one that it would have here. */
	other = arrival(&s, &fds[1]);
	said = json_of(whole);
	json_object_set_new(said, "pid", json_integer(3));
	assert_true(adopt(other, said));
	assert_int_equal(pg_slot_pid(other), 3);
	assert_ptr_equal(pg_told_find(lane, 3, key, 4), other);
	departure(&s, other, fds[1]);
	assert_ptr_equal(pg_told_find(lane, 3145735, key, 4), session);
	departure(&s, session, fds[0]);
	assert_null(pg_told_find(lane, 3145735, key, 4));
	assert_int_equal(lane->n_told, 0);
	lane_scene_end(&s);
}

/* ---------------------------------------------------------------------- lies */

/* Where, and what is there; "" = nothing is. */
struct lie {
	const char *in, *name, *text;
};

static const struct lie lies[] = {
	{ "", "pid", "" }, { "", "pid", "0" }, { "", "pid", "-5" },
	{ "", "pid", "2147483648" }, { "", "pid", "\"7\"" },
	{ "", "secret", "" }, { "", "secret", "\"short\"" },
	{ "", "secret", "\"0" SECRET "\"" }, { "", "secret", "[]" },
	{ "", "user", "\"\"" }, { "", "user", "1" },
	{ "", "user", "\"a" Z "\"" }, { "", "key", "" },
	{ "", "key", "\"ann\"" }, { "key", "user", "" },
	{ "key", "user", "\"\"" }, { "key", "user", "\"a" Z "b\"" },
	{ "key", "user", "\"\\u20ac\"" }, { "key", "database", "\"\"" },
	{ "key", "database", "1" }, { "key", "kind", "\"admin\"" },
	{ "key", "kind", "3" }, { "key", "kind", "\"scram\"" },
	{ "key", "kind", "\"plain\"" }, { "key", "secret", "\"a" Z "\"" },
	{ "key", "secret", "" }, { "", "settings", "\"DateStyle\"" },
	{ "", "settings", "\"DateStyle" Z "\"" },
	{ "", "settings", "\"" Z "ISO" Z "\"" },
	{ "", "settings", "\"a" Z "1" Z "A" Z "2" Z "\"" },
	{ "", "settings", "\"a" Z "1" Z "b" Z "2\"" },
	{ "", "startup", "{}" }, { "", "startup", "\"a" Z "\\u0101" Z "\"" },
	{ "", "unnamed", "[]" }, { "", "unnamed", "{}" },
	{ "unnamed", "body", "\"SELECT 1\"" },
	{ "unnamed", "body", "\"SELECT 1" Z Z "\"" },
	{ "unnamed", "body", "\"SELECT 1" Z "\\u00ff\\u00ff" Z Z Z Z "\"" },
	{ "unnamed", "body", "\"\"" }, { "name", "name", "" },
	{ "name", "name", "\"\"" }, { "name", "name", "\"b\"" },
	{ "name", "name", "\"x" Z "\"" }, { "name", "body", "" },
	{ "", "names", "[1]" }
};

/* Of what is said, the part of that name. */
static json_t *
part_of(json_t *said, const char *name)
{
	if (*name == '\0')
		return said;
	return strcmp(name, "name") == 0 ?
	    json_array_get(json_object_get(said, "names"), 0) :
	    json_object_get(said, name);
}

/* What would not be believed there stays here. */
static void
too_many_settings_stay(void **state)
{
	struct pg_settings *s = NULL;
	json_t *j = NULL;
	char name[16];
	int i;

	(void)state;
	for (i = 0; i < 501; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(pg_settings_change(&s, name, "1"), 0);
		json_decref(j);
		j = pg_settings_pack(s);
		assert_true((j != NULL) == (i < 500));
	}
	pg_settings_drop(s);
}

static void
lies_are_not_believed(void **state)
{
	struct lane_scene s;
	size_t i;

	(void)state;
	begin(&s);
	for (i = 0; i < NELEMS(lies); i++) {
		const struct lie *lie = &lies[i];
		json_t *said = json_of(whole), *in = part_of(said, lie->in);
		struct session *session;
		int fd;

		if (*lie->text == '\0')
			assert_int_equal(json_object_del(in, lie->name), 0);
		else
			json_object_set_new(in, lie->name,
			    json_of(lie->text));
		session = arrival(&s, &fd);
		if (adopt(session, said))
			fail_msg("%s.%s: %s was believed", lie->in,
			    lie->name, lie->text);
		departure(&s, session, fd);
	}
	lane_scene_end(&s);
}

static void
what_is_too_long_is_not_taken(void **state)
{
	static const struct {
		const char *in, *name;
		size_t most;
	} rows[] = {
		{ "key", "user", 255 }, { "key", "database", 255 },
		{ "key", "secret", PG_STARTUP_MOST },
		{ "name", "name", PG_NAME_MOST - 1 }
	};
	static char text[PG_STARTUP_MOST + 2];
	struct lane_scene s;
	size_t i;

	(void)state;
	begin(&s);
	for (i = 0; i < 2 * NELEMS(rows); i++) {
		size_t len = rows[i / 2].most + i % 2;
		json_t *said = json_of(whole);
		struct session *session;
		int fd;

		memset(text, 'x', len);
		json_object_set_new(part_of(said, rows[i / 2].in),
		    rows[i / 2].name, json_stringn(text, len));
		session = arrival(&s, &fd);
		assert_int_equal(adopt(session, said), i % 2 == 0);
		departure(&s, session, fd);
	}
	lane_scene_end(&s);
}

/* Who has not shown who he is does not go on where that is asked of him. */
static void
a_proof_is_asked_for(void **state)
{
	static const struct {
		const char *conf;
		bool proved, good;
	} rows[] = {
		{ "auth = \"scram-sha-256\"; users = ({ name = \"bob\"; "
		    "password = \"x\"; });", false, false },
		{ "auth = \"scram-sha-256\"; users = ({ name = \"bob\"; "
		    "password = \"x\"; });", true, true },
		{ "auth = \"scram-sha-256\"; users = ({ name = \"bob\"; "
		    "auth = \"trust\"; });", false, true },
		{ "auth = \"trust\"; users = ({ name = \"bob\"; "
		    "auth = \"scram-sha-256\"; password = \"x\"; });", false, false },
		{ "auth = \"trust\"; users = ({ name = \"ann\"; "
		    "auth = \"scram-sha-256\"; password = \"x\"; });", false, true }
	};
	struct session *session;
	struct lane_scene s;
	char conf[160];
	json_t *said;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		snprintf(conf, sizeof(conf), "postgres = { %s };",
		    rows[i].conf);
		lane_scene_begin(&s, "postgres", conf, "");
		session = arrival(&s, &fd);
		said = json_of(whole);
		json_object_set_new(said, "proved",
		    json_boolean(rows[i].proved));
		if (adopt(session, said) != rows[i].good)
			fail_msg("row %zu", i);
		departure(&s, session, fd);
		lane_scene_end(&s);
	}
}

/* Another version may have less to say. */
static void
what_is_missing_has_a_default(void **state)
{
	static const char *const names[] = { "minor", "vouched", "startup",
		"settings", "unnamed", "names", "user", "proved" };
	json_t *said = json_of(whole), *of;
	struct session *session;
	struct lane_scene s;
	size_t i;
	int fd;

	(void)state;
	begin(&s);
	of = part_of(said, "name");
	json_object_del(of, "flags");
	json_object_del(of, "id");
	session = arrival(&s, &fd);
	assert_true(pg_cross_adopt(session, said));
	assert_int_equal(pg_name_find(&pg_session(session)->names,
	    "a")->st->flags, PG_SCAN_UNSURE);
	departure(&s, session, fd);
	for (i = 0; i < NELEMS(names); i++)
		assert_int_equal(json_object_del(said, names[i]), 0);
	session = arrival(&s, &fd);
	assert_true(adopt(session, said));
	assert_null(pg_session(session)->settings);
	departure(&s, session, fd);
	lane_scene_end(&s);
}

/* --------------------------------------------------------------------- bytes */

static void
all_bytes_go_and_come(void **state)
{
	unsigned char all[256];
	json_t *j;
	size_t len, i;
	char *back;

	(void)state;
	for (i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)i;
	j = pg_bytes_pack(all, sizeof(all));
	assert_non_null(j);
	assert_null(pg_bytes_unpack(j, sizeof(all) - 1, &len));
	back = pg_bytes_unpack(j, sizeof(all), &len);
	assert_non_null(back);
	assert_int_equal(len, sizeof(all));
	assert_memory_equal(back, all, sizeof(all));
	free(back);
	json_decref(j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_there_is_here),
		cmocka_unit_test(one_text_is_one_statement),
		cmocka_unit_test(a_number_means_who_was_told_it),
		cmocka_unit_test(too_many_settings_stay),
		cmocka_unit_test(lies_are_not_believed),
		cmocka_unit_test(what_is_too_long_is_not_taken),
		cmocka_unit_test(a_proof_is_asked_for),
		cmocka_unit_test(what_is_missing_has_a_default),
		cmocka_unit_test(all_bytes_go_and_come)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
