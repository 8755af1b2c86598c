/*
 * proto/postgres/rows: the bytes of rows and of what describes them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

static void
is(const struct pg_rows *r, const char *bytes, size_t len)
{
	assert_false(r->short_of_memory);
	assert_int_equal(r->len, len);
	assert_memory_equal(r->bytes, bytes, len);
}

static void
rows_are_messages_one_behind_the_other(void **state)
{
	struct pg_rows r = { 0 };

	(void)state;
	pg_rows_begin(&r);
	pg_rows_text(&r, "ab");
	pg_rows_text(&r, NULL);
	pg_rows_text(&r, "");
	pg_rows_number(&r, 705);
	pg_rows_end(&r);
	pg_rows_begin(&r);
	pg_rows_end(&r);
	assert_int_equal(r.n, 2);
	is(&r, BYTES("D\0\0\0\x1b\0\4\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0"
	    "\0\0\0\3" "705" "D\0\0\0\6\0\0"));
	pg_rows_fini(&r);
}

static void
numbers_are_those_of_int8(void **state)
{
	struct pg_rows r = { 0 };

	(void)state;
	pg_rows_begin(&r);
	pg_rows_number(&r, UINT64_MAX);
	pg_rows_end(&r);
	is(&r, BYTES("D\0\0\0\x1d\0\1\0\0\0\x13" "9223372036854775807"));
	pg_rows_fini(&r);
}

static void
what_clients_call_themselves_is_made_fit(void **state)
{
	struct pg_rows r = { 0 };

	(void)state;
	pg_rows_begin(&r);
	pg_rows_text(&r, "J\xc3\xb6rg");
	pg_rows_text(&r, "a\x1b[2J\n\xff");
	pg_rows_end(&r);
	is(&r, BYTES("D\0\0\0\x29\0\2\0\0\0\5J\xc3\xb6rg"
	    "\0\0\0\x16" "a\\u001b[2J\\u000a\\u00ff"));
	pg_rows_fini(&r);
}

/* Whatever is in it, a message's length says where the next one begins. */
static void
many_and_long_ones_keep_their_lengths(void **state)
{
	struct pg_rows r = { 0 };
	char text[10000];
	uint64_t n = 0;
	size_t at = 0;

	(void)state;
	memset(text, '\1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < 500; i++) {
		pg_rows_begin(&r);
		pg_rows_text(&r, text + sizeof(text) - 1 - i * 19);
		pg_rows_text(&r, text);
		pg_rows_end(&r);
	}
	for (; at < r.len; n++) {
		const unsigned char *b = (const void *)(r.bytes + at);

		assert_int_equal(b[0], 'D');
		at += 1 + ((size_t)b[1] << 24 | (size_t)b[2] << 16 |
		    (size_t)b[3] << 8 | b[4]);
	}
	assert_int_equal(at, r.len);
	assert_int_equal(n, 500);
	pg_rows_fini(&r);
}

static void
columns_have_their_types(void **state)
{
	static const struct pg_column columns[] = {
		{ "a", PG_COLUMN_TEXT }, { "bc", PG_COLUMN_NUMBER },
		{ .name = NULL }
	};
	struct block_store store;
	struct buf out = { 0 };

	(void)state;
	block_store_init(&store);
	assert_int_equal(pg_put_columns(&store, &out, columns), 0);
	assert_int_equal(pg_put_columns(&store, &out, NULL), 0);
	assert_int_equal(out.len, 53);
	assert_memory_equal(buf_flat(&store, &out, out.len),
	    "T\0\0\0\x2f\0\2"
	    "a\0" "\0\0\0\0" "\0\0" "\0\0\0\x19" "\xff\xff"
	    "\xff\xff\xff\xff" "\0\0"
	    "bc\0" "\0\0\0\0" "\0\0" "\0\0\0\x14" "\0\x08"
	    "\xff\xff\xff\xff" "\0\0" "n\0\0\0\4", 53);
	buf_clear(&store, &out);
	block_store_fini(&store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(rows_are_messages_one_behind_the_other),
		TEST(numbers_are_those_of_int8),
		TEST(what_clients_call_themselves_is_made_fit),
		TEST(many_and_long_ones_keep_their_lengths),
		TEST(columns_have_their_types)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
