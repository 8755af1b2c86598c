/*
 * Replies: each row of tests/data/redis/replies.inc is read whole, split at
 * every byte and byte by byte, always from a buffer of exactly the bytes there
 * are, with one result. Then limits, and random replies.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/redis/resp.h"
#include "tests/data/redis/case.h"
#include "tests/data/redis/pieces.h"

enum {
	RANDOM_REPLIES = 4000,
	RANDOM_DAMAGE = 40000,
	BYTES_MAX = 64 * 1024,
	DEPTH = 100000
};

static const struct reply_case replies[] = {
#include "tests/data/redis/replies.inc"
};

static enum parse
reply_read(struct resp_reply *r, const char *bytes, size_t len,
    const struct pieces *pieces)
{
	enum parse got;
	size_t at = 0, used;

	resp_reply_init(r);
	do {
		size_t n = piece_next(pieces, at, len);
		char *copy = exact_copy(bytes + at, n);

		got = resp_reply_feed(r, copy + 1, n, &used);
		free(copy);
		assert_true(used <= n);
		if (got == PARSE_MORE)
			assert_int_equal(used, n);
		at += used;
		assert_int_equal(r->size, at);
		assert_true(strlen(r->word) < RESP_WORD_MAX);
	} while (got == PARSE_MORE && at < len);
	return got;
}

/* ----------------------------------------------------------------- the rows */

static const char *
reply_mismatch(const struct reply_case *row, const struct resp_reply *r,
    enum parse got)
{
	if (got != row->verdict)
		return "verdict";
	if (got == PARSE_BAD)
		return NULL;
	if (r->type != row->type)
		return "type";
	if (r->is_null != row->is_null)
		return "is_null";
	if (strcmp(r->word, row->word != NULL ? row->word : "") != 0)
		return "word";
	if (r->number != row->number)
		return "number";
	if (r->elements != row->elements)
		return "elements";
	if (got == PARSE_DONE &&
	    r->size != (row->size != 0 ? row->size : row->len))
		return "size";
	return NULL;
}

static unsigned
reply_judge(const struct reply_case *row, struct pieces pieces)
{
	struct resp_reply r;
	enum parse got = reply_read(&r, row->bytes, row->len, &pieces);
	const char *what = reply_mismatch(row, &r, got);

	if (what == NULL)
		return 0;
	print_error("%s: %s (first %zu%s)\n", row->name, what, pieces.first,
	    pieces.bytewise ? ", then one by one" : "");
	return 1;
}

static void
replies_are_judged_alike_however_they_come(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < NELEMS(replies); i++)
		for (size_t at = 0; at <= replies[i].len; at++) {
			struct pieces split = { at, false };
			struct pieces rest = { at, true };

			wrong += reply_judge(&replies[i], split);
			wrong += reply_judge(&replies[i], rest);
		}
	assert_int_equal(wrong, 0);
}

static void
finished_and_refused_replies_stay_so(void **state)
{
	struct resp_reply r;
	size_t used;

	(void)state;
	resp_reply_init(&r);
	assert_int_equal(resp_reply_feed(&r, ":1\r\n", 4, &used), PARSE_DONE);
	assert_int_equal(resp_reply_feed(&r, ":2\r\n", 4, &used), PARSE_DONE);
	assert_int_equal(used, 0);
	assert_int_equal(r.number, 1);
	resp_reply_init(&r);
	assert_int_equal(resp_reply_feed(&r, "x", 1, &used), PARSE_BAD);
	assert_int_equal(resp_reply_feed(&r, ":1\r\n", 4, &used), PARSE_BAD);
}

/* ------------------------------------------------------------------- limits */

static void
arrays_of_depth_100000_are_read(void **state)
{
	static char bytes[DEPTH * 4 + 4];
	struct resp_reply r;

	(void)state;
	for (size_t i = 0; i < DEPTH; i++)
		memcpy(bytes + i * 4, "*1\r\n", 4);
	memcpy(bytes + DEPTH * 4, ":1\r\n", 4);
	for (unsigned way = 0; way < 3; way++) {
		struct pieces p = { way == 0 ? sizeof(bytes) : 123457,
		    way == 2 };

		assert_int_equal(reply_read(&r, bytes, sizeof(bytes), &p),
		    PARSE_DONE);
		assert_int_equal(r.size, sizeof(bytes));
		assert_int_equal(r.elements, 1);
		assert_int_equal(r.number, 0);
		assert_int_equal(reply_read(&r, bytes, sizeof(bytes) - 1, &p),
		    PARSE_MORE);
	}
}

/* 2^32 elements of 2^32 elements of ...: refused before anything overflows. */
static void
promises_beyond_reason_are_refused(void **state)
{
	static const char *const counts[] = {
		"*4294967295\r\n", "%4294967295\r\n", "|4294967295\r\n",
		"~4294967295\r\n", ">4294967295\r\n"
	};
	struct resp_reply r;
	size_t used;

	(void)state;
	for (size_t i = 0; i < NELEMS(counts); i++) {
		enum parse got = PARSE_MORE;
		unsigned n = 0;

		resp_reply_init(&r);
		while (got == PARSE_MORE) {
			assert_true(r.pending <= RESP_PENDING_MAX);
			assert_true(n++ < 1000);
			got = resp_reply_feed(&r, counts[i], strlen(counts[i]),
			    &used);
		}
		assert_int_equal(got, PARSE_BAD);
		assert_true(n > 100);
	}
}

/* A bulk of 4 GiB passes in pieces, and nothing of it is looked at. */
static void
largest_bulk_passes_in_pieces(void **state)
{
	static char piece[1024 * 1024];
	uint64_t left = RESP_REPLY_BULK_MAX;
	struct resp_reply r;
	size_t used;

	(void)state;
	resp_reply_init(&r);
	assert_int_equal(resp_reply_feed(&r, "$4294967295\r\n", 13, &used),
	    PARSE_MORE);
	while (left > 0) {
		size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);

		assert_int_equal(resp_reply_feed(&r, piece, n, &used),
		    PARSE_MORE);
		left -= n;
	}
	assert_int_equal(resp_reply_feed(&r, "\r\n*", 3, &used), PARSE_DONE);
	assert_int_equal(used, 2);
	assert_int_equal(r.size, UINT64_C(4294967295) + 15);
}

/* ------------------------------------------------------------------- random */

/* One element of any type, with what is in it. */
static size_t
random_element(uint64_t *seed, char *out, unsigned depth)
{
	static const char *const lines[] = {
		"+OK\r\n", "-ERR no\r\n", ":1\r\n", ":-9223372036854775808\r\n",
		"$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", "#f\r\n", ",1.5\r\n",
		",inf\r\n", "(123456789012345678901234567890\r\n", "$0\r\n\r\n",
		"*0\r\n", "%0\r\n"
	};
	static const char lists[] = "*~>%|", bulks[] = "$!=";
	unsigned kind = (unsigned)(random_next(seed) % (depth > 0 ? 3 : 2));
	unsigned n;
	char type, text[40];
	size_t len;

	if (kind == 0) {
		const char *line = lines[random_next(seed) % NELEMS(lines)];

		return (size_t)sprintf(out, "%s", line);
	}
	if (kind == 1) {
		len = random_text(seed, text, sizeof(text));
		type = bulks[random_next(seed) % (sizeof(bulks) - 1)];
		return bulk_write(out, type, text, len);
	}
	n = (unsigned)(random_next(seed) % 4);
	type = lists[random_next(seed) % (sizeof(lists) - 1)];
	len = (size_t)sprintf(out, "%c%u\r\n", type, n);
	if (type == '%' || type == '|')
		n *= 2;
	if (type == '|')        /* it comes before an element */
		n++;
	while (n-- > 0)
		len += random_element(seed, out + len, depth - 1);
	return len;
}

static void
same_reply(const struct resp_reply *a, const struct resp_reply *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->is_null, b->is_null);
	assert_string_equal(a->word, b->word);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->elements, b->elements);
}

static void
written_replies_are_read_back(void **state)
{
	static char bytes[BYTES_MAX];
	uint64_t seed = 0xfade;

	(void)state;
	for (unsigned i = 0; i < RANDOM_REPLIES; i++) {
		struct resp_reply whole, other;
		size_t len = random_element(&seed, bytes, 5);
		struct pieces one = { len + 2, false };
		struct pieces p = random_pieces(&seed, len);

		assert_true(len + 2 < sizeof(bytes));
		memcpy(bytes + len, "+O", 2);
		assert_int_equal(reply_read(&whole, bytes, len + 2, &one),
		    PARSE_DONE);
		assert_int_equal(whole.size, len);
		assert_int_equal(whole.pending, 0);
		assert_int_equal(whole.top_left, 0);
		assert_int_equal(reply_read(&other, bytes, len + 2, &p),
		    PARSE_DONE);
		assert_int_equal(other.size, len);
		same_reply(&whole, &other);
		p.first = random_next(&seed) % len;
		assert_int_equal(reply_read(&other, bytes, len - 1, &p),
		    PARSE_MORE);
	}
}

static void
damaged_replies_are_judged_alike(void **state)
{
	uint64_t seed = 0xfeed;
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < RANDOM_DAMAGE; i++) {
		const struct reply_case *row =
		    &replies[random_next(&seed) % NELEMS(replies)];
		struct resp_reply whole, other;
		struct pieces one = { 0, false }, p;
		size_t len = row->len;
		enum parse got;

		if (len == 0)
			continue;
		memcpy(bytes, row->bytes, len);
		len = damage(&seed, bytes, len);
		if (len > 0)
			len = damage(&seed, bytes, len);
		one.first = len;
		p = random_pieces(&seed, len);
		got = reply_read(&whole, bytes, len, &one);
		assert_int_equal(reply_read(&other, bytes, len, &p), got);
		if (got == PARSE_BAD)
			continue;
		assert_int_equal(whole.size, other.size);
		same_reply(&whole, &other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_judged_alike_however_they_come),
		cmocka_unit_test(finished_and_refused_replies_stay_so),
		cmocka_unit_test(arrays_of_depth_100000_are_read),
		cmocka_unit_test(promises_beyond_reason_are_refused),
		cmocka_unit_test(largest_bulk_passes_in_pieces),
		cmocka_unit_test(written_replies_are_read_back),
		cmocka_unit_test(damaged_replies_are_judged_alike)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
