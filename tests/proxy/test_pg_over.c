/*
 * proto/postgres/over: what one weir says of a connection is what the next one
 * knows of it; what makes no sense costs that connection and nothing else.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/handover.h"
#include "proxy/proto/postgres/postgres.h"
#include "tests/support/lane_scene.h"

static const char welcome[] = "client_encoding\0UTF8\0server_version\00016.1";
static const char set[] = "application_name\0shop";
static const char body[] = "SELECT $1\0\0\1\0\0\0\27";

#define ID ((UINT64_C(1) << 48) + 7)

static struct lane_scene s;
static struct cap_table caps;

struct packed {
	size_t len;
	char bytes[1024];
};

static void
put(struct packed *p, char kind, const void *bytes, size_t len)
{
	uint32_t size = (uint32_t)len;

	p->bytes[p->len] = kind;
	memcpy(p->bytes + p->len + 1, &size, sizeof(size));
	memcpy(p->bytes + p->len + 5, bytes, len);
	p->len += 5 + len;
}

static struct packed
usual(void)
{
	struct { uint64_t id; uint32_t flags, zero; } text = { ID,
	    PG_SCAN_READS, 0 };
	char statement[sizeof(text) + sizeof(body) - 1];
	struct packed p = { 0 };
	uint64_t id = ID, other = ID + 1;

	memcpy(statement, &text, sizeof(text));
	memcpy(statement + sizeof(text), body, sizeof(body) - 1);
	put(&p, 'C', "\1\2\3\4key!", 8);
	put(&p, 'W', welcome, sizeof(welcome));
	put(&p, 'S', set, sizeof(set));
	put(&p, 'P', &other, sizeof(other));
	put(&p, 'P', &id, sizeof(id));
	put(&p, 'T', statement, sizeof(statement));
	return p;
}

static void
begin(void)
{
	cap_table_init(&caps);
	lane_scene_begin(&s, "postgres", "postgres = { auth = \"trust\"; };",
	    "pool = { max = 4; };");
	s.upstream->cap = cap_take(&caps, -1);
	s.upstream->alike = true;
}

static void
end(void)
{
	lane_scene_end(&s);
	cap_table_fini(&caps);
}

/* It comes; the server's end, or -1 where it was closed. The caller closes. */
static int
come(const void *key, size_t key_len, const struct packed *p)
{
	const struct endpoint *e = s.roster->v[0];
	struct handed *h = handed_new(key_len, p->len, 0);
	int fds[2];

	assert_non_null(h);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	/* The other one has counted it as ours. */
	assert_true(cap_count(s.upstream->cap, s.upstream->side, 4));
	h->upstream = s.upstream;
	h->fd = fds[0];
	snprintf(h->name, sizeof(h->name), "%s", e->name);
	h->addr = e->addr;
	memcpy(h->bytes, key, key_len);
	memcpy(h->bytes + key_len, p->bytes, p->len);
	handover_adopt(s.pool, h);
	lane_scene_run(&s);
	if (atomic_load(&s.pool->idle) == 1)
		return fds[1];
	assert_int_equal(atomic_load(&s.pool->idle), 0);
	assert_int_equal(upstream_open(s.upstream), 0);
	close(fds[1]);
	return -1;
}

static struct upconn *
only(void)
{
	return container_of(list_first(&s.pool->upconns), struct upconn, all);
}

/* Whatever there is is closed again. */
static void
end_of(int fd)
{
	if (fd < 0)
		return;
	upconn_close(only(), N_DISCARDS);
	lane_scene_run(&s);
	close(fd);
}

static struct pg_key *
key_new(void)
{
	struct pg_key *key = pg_key_new("alice", "shop", PG_KEY_PASSWORD,
	    "secret", 6);

	assert_non_null(key);
	return key;
}

static void
it_is_known_as_it_was(void **state)
{
	struct pg_lane *lane;
	struct packed p = usual();
	struct pg_key *key = key_new();
	struct pg_upconn *pu;
	size_t len;
	void *again;
	int fd;

	(void)state;
	begin();
	lane = s.lane->own[FAMILY_POSTGRES];
	fd = come(key, pg_key_size(key), &p);
	assert_true(fd >= 0);
	pu = pg_upconn(only());
	assert_memory_equal(&pu->login.pid, "\1\2\3\4", 4);
	assert_int_equal(pu->login.key_len, 4);
	assert_memory_equal(pu->login.key, "key!", 4);
	assert_string_equal(pg_settings_find(pu->settings,
	    "application_name"), "shop");
	assert_string_equal(pg_settings_find(pu->welcome, "server_version"),
	    "16.1");
	assert_true(pu->standard);
	assert_true(pg_prepared_has(&pu->prepared, ID));
	assert_int_equal(pg_prepared_oldest(&pu->prepared), ID + 1);
	assert_int_equal(lane->statements.by_body->id, ID);
	assert_int_equal(lane->statements.by_body->flags, PG_SCAN_READS);
	/* Clients of that key are let in without asking. */
	assert_non_null(pg_known_find(lane, s.upstream, key));
	again = pg_over_pack(only(), &len);
	assert_non_null(again);
	assert_int_equal(len, p.len);
	assert_memory_equal(again, p.bytes, len);
	free(again);
	pg_key_free(key);
	end_of(fd);
	end();
}

static void
what_is_missing_or_new_does_no_harm(void **state)
{
	struct pg_key *key = key_new();
	struct packed p = { 0 };
	int fd;

	(void)state;
	begin();
	assert_int_equal(come(key, pg_key_size(key), &p), -1);
	put(&p, '?', "whatever", 8);
	put(&p, 'W', welcome, sizeof(welcome));
	fd = come(key, pg_key_size(key), &p);
	assert_true(fd >= 0);
	assert_null(pg_upconn(only())->settings);
	assert_int_equal(pg_upconn(only())->login.key_len, 0);
	pg_key_free(key);
	end_of(fd);
	end();
}

static void
any_byte_may_be_another_and_any_may_be_missing(void **state)
{
	struct packed p = usual(), other;
	struct pg_key *key = key_new();
	size_t size = pg_key_size(key), i;

	(void)state;
	begin();
	for (i = 0; i < p.len; i++) {
		other = p;
		other.bytes[i] ^= (char)(1 << i % 8);
		end_of(come(key, size, &other));
		other = p;
		other.len = i;
		end_of(come(key, size, &other));
	}
	for (i = 0; i < size; i++) {
		((char *)key)[i] ^= 64;
		end_of(come(key, size, &p));
		((char *)key)[i] ^= 64;
		assert_int_equal(come(key, i, &p), -1);
	}
	pg_key_free(key);
	end();
}

/* Lengths that promise too much, lists that do not end, a secret of another
   kind. */
static void
what_is_no_such_thing_is_closed(void **state)
{
	static const struct {
		char kind;
		const char *bytes;
		size_t len;
	} bad[] = {
		{ 'C', "abc", 3 },
		{ 'S', "a\0b", 3 }, { 'S', "a", 2 }, { 'S', "\0b", 3 },
		{ 'W', welcome, sizeof(welcome) },      /* twice */
		{ 'P', "abc", 3 }, { 'P', "\0\0\0\0\0\0\0", 8 },
		{ 'P', "\377\377\377\377\377\377\1", 8 },  /* of tomorrow */
		{ 'T', body, sizeof(body) - 1 }
	};
	struct pg_key *key = key_new();
	struct packed p;
	size_t i;

	(void)state;
	begin();
	for (i = 0; i < NELEMS(bad); i++) {
		p.len = 0;
		put(&p, 'W', welcome, sizeof(welcome));
		put(&p, bad[i].kind, bad[i].bytes, bad[i].len);
		assert_int_equal(come(key, pg_key_size(key), &p), -1);
	}
	p = usual();
	key->kind = PG_KEY_SCRAM;
	assert_int_equal(come(key, pg_key_size(key), &p), -1);
	assert_int_equal(come(key, 0, &p), -1);
	pg_key_free(key);
	end();
}

/* A list that comparing would not take for what it is. */
static void
settings_that_are_none_are_not_taken(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = {
		{ "a\0001\0a\0002", 8 }, { "a\0001\0A\0002", 8 },
		{ "a\0001\0b", 6 }, { "a\0001\0\0002", 7 }, { "a\0001", 3 }
	};
	struct pg_key *key = key_new();
	struct packed p;
	size_t i;
	int fd;

	(void)state;
	begin();
	for (i = 0; i < NELEMS(rows); i++) {
		p = (struct packed){ 0 };
		put(&p, 'C', "\1\2\3\4key!", 8);
		put(&p, 'W', welcome, sizeof(welcome));
		put(&p, 'S', rows[i].text, rows[i].len);
		fd = come(key, pg_key_size(key), &p);
		if (fd >= 0)
			fail_msg("row %zu was believed", i);
	}
	pg_key_free(key);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_known_as_it_was),
		cmocka_unit_test(settings_that_are_none_are_not_taken),
		cmocka_unit_test(what_is_missing_or_new_does_no_harm),
		cmocka_unit_test(
		    any_byte_may_be_another_and_any_may_be_missing),
		cmocka_unit_test(what_is_no_such_thing_is_closed)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
