/*
 * proto/postgres/wire: heads, strings and reports however the bytes lie; and the
 * messages that are written.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

static struct block_store store;

/* In two pieces, each a slice of its own. */
static void
split(struct buf *b, const char *bytes, size_t len, size_t at)
{
	struct block *first = block_new(&store, BUF_SMALL);
	struct block *second = block_new(&store, BUF_SMALL);

	assert_true(first != NULL && second != NULL);
	memcpy(first->bytes, bytes, at);
	memcpy(second->bytes, bytes + at, len - at);
	first->used = (uint32_t)at;
	second->used = (uint32_t)(len - at);
	buf_init(b);
	if (at > 0)
		assert_int_equal(buf_append_block(&store, b, first, 0,
		    (uint32_t)at), 0);
	if (at < len)
		assert_int_equal(buf_append_block(&store, b, second, 0,
		    (uint32_t)(len - at)), 0);
	block_drop(&store, first);
	block_drop(&store, second);
}

static enum parse
head_of(const char *bytes, size_t len, struct pg_head *h)
{
	enum parse got = PARSE_BAD, each;
	struct pg_head other;
	struct buf b;
	size_t at;

	for (at = 0; at <= len; at++) {
		split(&b, bytes, len, at);
		each = pg_head_at(&b, 0, &other);
		buf_clear(&store, &b);
		if (at == 0) {
			got = each;
			*h = other;
		}
		assert_int_equal(each, got);
		if (got == PARSE_DONE) {
			assert_int_equal(other.type, h->type);
			assert_int_equal(other.size, h->size);
		}
	}
	return got;
}

static void
a_length_counts_itself_but_not_the_type(void **state)
{
	struct pg_head h;
	size_t n;

	(void)state;
	assert_int_equal(head_of(BYTES("Q\0\0\0\10abc\0"), &h), PARSE_DONE);
	assert_int_equal(h.type, 'Q');
	assert_int_equal(h.size, 9);
	assert_int_equal(head_of(BYTES("S\0\0\0\4"), &h), PARSE_DONE);
	assert_int_equal(h.size, 5);
	for (n = 0; n < PG_HEAD; n++)
		assert_int_equal(head_of("S\0\0\0\4", n, &h), PARSE_MORE);
}

static void
a_length_that_is_none_is_refused(void **state)
{
	struct pg_head h;

	(void)state;
	assert_int_equal(head_of(BYTES("S\0\0\0\0"), &h), PARSE_BAD);
	assert_int_equal(head_of(BYTES("S\0\0\0\3"), &h), PARSE_BAD);
	assert_int_equal(head_of(BYTES("d\x3f\xff\xff\xff"), &h), PARSE_DONE);
	assert_int_equal(h.size, 0x40000000);
	assert_int_equal(head_of(BYTES("d\x40\0\0\0"), &h), PARSE_BAD);
	assert_int_equal(head_of(BYTES("d\x7f\xff\xff\xff"), &h), PARSE_BAD);
	assert_int_equal(head_of(BYTES("d\x80\0\0\0"), &h), PARSE_BAD);
	assert_int_equal(head_of(BYTES("d\xff\xff\xff\xff"), &h), PARSE_BAD);
}

static void
a_head_is_read_at_any_place(void **state)
{
	static const char bytes[] = "xyzC\0\0\0\6ab";
	struct pg_head h;
	char out[6];
	struct buf b;
	size_t at;

	(void)state;
	for (at = 0; at <= sizeof(bytes) - 1; at++) {
		split(&b, bytes, sizeof(bytes) - 1, at);
		assert_int_equal(pg_head_at(&b, 3, &h), PARSE_DONE);
		assert_int_equal(h.type, 'C');
		assert_int_equal(h.size, 7);
		pg_copy_at(&b, 2, out, sizeof(out));
		assert_memory_equal(out, bytes + 2, sizeof(out));
		assert_int_equal(pg_head_at(&b, 6, &h), PARSE_MORE);
		buf_clear(&store, &b);
	}
}

static void
a_string_ends_within_its_bytes(void **state)
{
	static const char bytes[] = "one\0\0last";
	size_t at = 0;

	(void)state;
	assert_string_equal(pg_string(bytes, 9, &at), "one");
	assert_int_equal(at, 4);
	assert_string_equal(pg_string(bytes, 9, &at), "");
	assert_int_equal(at, 5);
	assert_null(pg_string(bytes, 9, &at));
	assert_int_equal(at, 5);
	at = 9;
	assert_null(pg_string(bytes, 9, &at));
	at = 12;
	assert_null(pg_string(bytes, 9, &at));
}

static void
a_report_is_read(void **state)
{
	struct pg_report r;

	(void)state;
	assert_true(pg_report_read(BYTES("SFEHLER\0VERROR\0C42P01\0Mno\0"
	    "Rparse\0Xunknown\0\0"), &r));
	assert_string_equal(r.severity, "ERROR");
	assert_string_equal(r.code, "42P01");
	assert_string_equal(r.message, "no");
	assert_string_equal(r.routine, "parse");
	/* In any order; of an old server, without V. */
	assert_true(pg_report_read(BYTES("VFATAL\0SFATAAL\0\0"), &r));
	assert_string_equal(r.severity, "FATAL");
	assert_string_equal(r.code, "");
	assert_true(pg_report_read(BYTES("SPANIC\0\0"), &r));
	assert_string_equal(r.severity, "PANIC");
	assert_true(pg_report_read(BYTES("\0"), &r));
}

static void
a_malformed_report_is_refused(void **state)
{
	static const char bytes[] = "SERROR\0C42P01\0\0";
	struct pg_report r;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(bytes) - 1; n++) {
		/* On the heap, so that a byte too far is seen. */
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, bytes, n);
		assert_false(pg_report_read(copy, n, &r));
		free(copy);
	}
	assert_false(pg_report_read(BYTES("SERROR\0\0C\0"), &r));
	assert_false(pg_report_read(BYTES("\0\0"), &r));
}

static void
is(struct buf *b, const char *bytes, size_t len)
{
	assert_int_equal(b->len, len);
	assert_memory_equal(buf_flat(&store, b, len), bytes, len);
	buf_clear(&store, b);
}

static void
messages_are_written(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(pg_put(&store, &b, 'H', NULL, 0), 0);
	is(&b, BYTES("H\0\0\0\4"));
	assert_int_equal(pg_put_ready(&store, &b, 'T'), 0);
	is(&b, BYTES("Z\0\0\0\5T"));
	assert_int_equal(pg_put_query(&store, &b, "COMMIT"), 0);
	is(&b, BYTES("Q\0\0\0\13COMMIT\0"));
	assert_int_equal(pg_put_status(&store, &b, "a", ""), 0);
	is(&b, BYTES("S\0\0\0\7a\0\0"));
	assert_int_equal(pg_put_report(&store, &b, 'E', "ERROR", "0A000",
	    "no %d", 7), 0);
	is(&b, BYTES("E\0\0\0\40SERROR\0VERROR\0C0A000\0Mno 7\0\0"));
}

/* However long the words, what is written is a report. */
static void
a_long_report_is_cut(void **state)
{
	static char text[5000];
	struct pg_report r;
	struct pg_head h;
	struct buf b;

	(void)state;
	buf_init(&b);
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(pg_put_report(&store, &b, 'N', "WARNING", "01000",
	    "%s", text), 0);
	assert_int_equal(pg_head_at(&b, 0, &h), PARSE_DONE);
	assert_int_equal(h.size, b.len);
	assert_true(pg_report_read(buf_flat(&store, &b, b.len) + PG_HEAD,
	    b.len - PG_HEAD, &r));
	assert_string_equal(r.code, "01000");
	assert_in_range(strlen(r.message), 100, 1024);
	buf_clear(&store, &b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_length_counts_itself_but_not_the_type),
		cmocka_unit_test(a_length_that_is_none_is_refused),
		cmocka_unit_test(a_head_is_read_at_any_place),
		cmocka_unit_test(a_string_ends_within_its_bytes),
		cmocka_unit_test(a_report_is_read),
		cmocka_unit_test(a_malformed_report_is_refused),
		cmocka_unit_test(messages_are_written),
		cmocka_unit_test(a_long_report_is_cut),
	};
	int bad;

	block_store_init(&store);
	bad = cmocka_run_group_tests(tests, NULL, NULL);
	block_store_fini(&store);
	return bad;
}
