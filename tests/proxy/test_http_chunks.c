/*
 * Chunked bodies: each row of tests/data/http/chunks.inc is decoded whole,
 * split at every byte and fed byte by byte, always from a buffer of exactly
 * the bytes there are, with one result. Then random bodies and random damage.
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

#include "proxy/proto/http/parse.h"
#include "tests/data/http/case.h"

enum {
	BODY_MAX = 16 * 1024,
	SPLITS_MAX = 1200,      /* longer cases are split at some bytes only */
	RANDOM_BODIES = 5000,
	RANDOM_DAMAGE = 40000
};

static const struct chunk_case cases[] = {
#include "tests/data/http/chunks.inc"
};

/* What came out. */
struct result {
	enum parse verdict;
	const char *why;
	size_t size;            /* bytes consumed, skipped and taken */
	size_t payload_len, trailers_len;
	char payload[BODY_MAX], trailers[BODY_MAX];
};

/* The reader has bytes from r->size on in its buffer. */
static void
keep_piece(struct result *r, const char *bytes, const struct http_piece *p)
{
	char *to = p->is_trailer ? r->trailers : r->payload;
	size_t *len = p->is_trailer ? &r->trailers_len : &r->payload_len;

	assert_true(*len + p->take <= BODY_MAX);
	memcpy(to + *len, bytes + r->size + p->skip, p->take);
	*len += p->take;
	r->size += p->skip + p->take;
}

/* All that can be done with what has arrived, as parse.h tells callers to. */
static void
drain(struct http_chunks *c, struct result *r, const char *bytes,
    size_t arrived)
{
	struct http_piece p;

	do {
		size_t len = arrived - r->size;
		char *copy = malloc(len + 1);

		assert_non_null(copy);
		memcpy(copy + 1, bytes + r->size, len);
		r->verdict = http_chunks_next(c, copy + 1, len, &p);
		free(copy);
		if (r->verdict == PARSE_BAD)
			return;
		assert_true(p.skip <= len && p.take <= len - p.skip);
		if (r->verdict == PARSE_DONE)
			assert_int_equal(p.take, 0);
		keep_piece(r, bytes, &p);
	} while (r->verdict == PARSE_MORE && p.skip + p.take > 0 &&
	    r->size < arrived);
}

/* The first bytes arrive together, then all others or one by one. */
static void
decode(struct result *r, const char *bytes, size_t len, size_t first,
    bool bytewise)
{
	struct http_chunks c;

	http_chunks_init(&c);
	r->size = r->payload_len = r->trailers_len = 0;
	drain(&c, r, bytes, first);
	while (r->verdict == PARSE_MORE && first < len) {
		first = bytewise ? first + 1 : len;
		drain(&c, r, bytes, first);
	}
	r->why = c.why;
}

static bool
text_is(const char *text, size_t len, const char *want)
{
	if (want == NULL)
		want = "";
	return strlen(want) == len && memcmp(text, want, len) == 0;
}

static const char *
mismatch(const struct chunk_case *c, const struct result *r)
{
	if (r->verdict != c->verdict)
		return "verdict";
	if (r->verdict == PARSE_BAD && strcmp(r->why, c->why) != 0)
		return r->why;
	if (!text_is(r->payload, r->payload_len, c->payload))
		return "payload";
	if (!text_is(r->trailers, r->trailers_len, c->trailers))
		return "trailers";
	if (r->verdict == PARSE_DONE &&
	    r->size != (c->size != 0 ? c->size : c->len))
		return "size";
	return NULL;
}

static void
every_row_is_judged_as_it_says(void **state)
{
	static struct result r;
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		const char *what;

		decode(&r, cases[i].bytes, cases[i].len, cases[i].len, false);
		what = mismatch(&cases[i], &r);
		if (what == NULL)
			continue;
		print_error("%s: %s\n", cases[i].name, what);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void
every_row_split_anywhere_is_judged_alike(void **state)
{
	static struct result r;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		const struct chunk_case *c = &cases[i];
		size_t step = c->len > SPLITS_MAX ? c->len / SPLITS_MAX : 1;

		for (size_t at = 0; at <= c->len; at += step) {
			decode(&r, c->bytes, c->len, at, false);
			if (mismatch(c, &r) != NULL)
				fail_msg("%s: %s when split at %zu", c->name,
				    mismatch(c, &r), at);
		}
	}
}

static void
every_row_byte_by_byte_is_judged_alike(void **state)
{
	static struct result r;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		decode(&r, cases[i].bytes, cases[i].len, 0, true);
		if (mismatch(&cases[i], &r) != NULL)
			fail_msg("%s: %s byte by byte", cases[i].name,
			    mismatch(&cases[i], &r));
	}
}

static void
finished_and_refused_bodies_stay_so(void **state)
{
	struct http_chunks c;
	struct http_piece p;

	(void)state;
	http_chunks_init(&c);
	assert_int_equal(http_chunks_next(&c, "0\r\n\r\n", 5, &p), PARSE_DONE);
	assert_int_equal(http_chunks_next(&c, "1\r\na", 4, &p), PARSE_DONE);
	assert_int_equal(p.skip + p.take, 0);
	http_chunks_init(&c);
	assert_int_equal(http_chunks_next(&c, "x", 1, &p), PARSE_BAD);
	assert_int_equal(http_chunks_next(&c, "1\r\na", 4, &p), PARSE_BAD);
}

/* A trailer line fed byte by byte is searched once, not at every byte. */
static void
unfinished_trailer_is_not_searched_again(void **state)
{
	char body[4096] = "0\r\nX: ";
	struct http_chunks c;
	struct http_piece p;

	(void)state;
	memset(body + 6, 'x', sizeof(body) - 6);
	http_chunks_init(&c);
	assert_int_equal(http_chunks_next(&c, body, 3, &p), PARSE_MORE);
	assert_int_equal(p.skip, 3);
	for (size_t n = 1; n < sizeof(body) - 3; n++) {
		assert_int_equal(http_chunks_next(&c, body + 3, n, &p),
		    PARSE_MORE);
		assert_int_equal(p.skip + p.take, 0);
		assert_int_equal(c.seen, n);
	}
}

/* ----------------------------------------------------------------- random */

/* xorshift64: the same sequence on every run. */
static uint64_t
random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Random payload in random chunks; returns the length of the body. */
static size_t
random_body(uint64_t *seed, char *body, char *payload, size_t *payload_len)
{
	static const char *const extensions[] = {
		"", "", ";a", ";a=b", ";a=\"; \\\"\";b"
	};
	static const char *const trailers[] = {
		"", "X-A: b\r\n", "Host: a\r\nX-A: b\r\n"
	};
	unsigned n = (unsigned)(random_next(seed) % 6);
	size_t len = 0;

	*payload_len = 0;
	for (unsigned i = 0; i < n; i++) {
		size_t size = 1 + random_next(seed) % 300;

		len += (size_t)sprintf(body + len, i % 2 ? "%zx%s\r\n" :
		    "%zX%s\r\n", size, extensions[random_next(seed) %
		    NELEMS(extensions)]);
		for (size_t at = 0; at < size; at++)
			body[len + at] = (char)random_next(seed);
		memcpy(payload + *payload_len, body + len, size);
		*payload_len += size;
		len += size;
		len += (size_t)sprintf(body + len, "\r\n");
	}
	return len + (size_t)sprintf(body + len, "0\r\n%s\r\n",
	    trailers[random_next(seed) % NELEMS(trailers)]);
}

static void
written_body_decodes_to_its_payload(void **state)
{
	static char body[BODY_MAX], payload[BODY_MAX];
	static struct result r;
	uint64_t seed = 0xc0ffee;

	(void)state;
	for (unsigned i = 0; i < RANDOM_BODIES; i++) {
		size_t payload_len;
		size_t len = random_body(&seed, body, payload, &payload_len);

		for (unsigned way = 0; way < 3; way++) {
			decode(&r, body, len, way == 0 ? len :
			    random_next(&seed) % len, way == 2);
			assert_int_equal(r.verdict, PARSE_DONE);
			assert_int_equal(r.size, len);
			assert_int_equal(r.payload_len, payload_len);
			assert_memory_equal(r.payload, payload, payload_len);
		}
	}
}

static size_t
damage(uint64_t *seed, char *bytes, size_t len)
{
	static const char evil[] = "\r\n 019afF;=\"\\:\t\0\x7f\x80g";
	size_t at = random_next(seed) % len;
	char c = evil[random_next(seed) % (sizeof(evil) - 1)];

	if (random_next(seed) % 2 == 0) {
		bytes[at] = c;
		return len;
	}
	memmove(bytes + at + 1, bytes + at, len - at);
	bytes[at] = c;
	return len + 1;
}

static void
damaged_row_is_judged_alike(void **state)
{
	static struct result whole, other;
	uint64_t seed = 0xdead;
	char body[512];

	(void)state;
	for (unsigned i = 0; i < RANDOM_DAMAGE; i++) {
		const struct chunk_case *c =
		    &cases[random_next(&seed) % NELEMS(cases)];
		size_t len = c->len;

		if (len == 0 || len > sizeof(body) - 2)
			continue;
		memcpy(body, c->bytes, len);
		len = damage(&seed, body, len);
		len = damage(&seed, body, len);
		decode(&whole, body, len, len, false);
		decode(&other, body, len, i % 2 ? 0 : random_next(&seed) % len,
		    i % 2 != 0);
		assert_int_equal(whole.verdict, other.verdict);
		assert_ptr_equal(whole.why, other.why);
		assert_int_equal(whole.payload_len, other.payload_len);
		assert_memory_equal(whole.payload, other.payload,
		    whole.payload_len);
		assert_int_equal(whole.trailers_len, other.trailers_len);
		assert_memory_equal(whole.trailers, other.trailers,
		    whole.trailers_len);
		if (whole.verdict == PARSE_DONE)
			assert_int_equal(whole.size, other.size);
	}
}

/* 200,000 chunks of one byte: a call for each, and one for the end. */
static void
tiny_chunks_take_one_call_each(void **state)
{
	static char body[200000 * 6 + 5];
	struct http_chunks c;
	struct http_piece p;
	size_t at = 0, calls = 0;
	enum parse got;

	(void)state;
	for (size_t i = 0; i < 200000; i++)
		memcpy(body + i * 6, "1\r\nx\r\n", 6);
	memcpy(body + sizeof(body) - 5, "0\r\n\r\n", 5);
	http_chunks_init(&c);
	do {
		got = http_chunks_next(&c, body + at, sizeof(body) - at, &p);
		at += p.skip + p.take;
		calls++;
	} while (got == PARSE_MORE && p.skip + p.take > 0);
	assert_int_equal(got, PARSE_DONE);
	assert_int_equal(at, sizeof(body));
	assert_int_equal(calls, 200001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_judged_as_it_says),
		cmocka_unit_test(every_row_split_anywhere_is_judged_alike),
		cmocka_unit_test(every_row_byte_by_byte_is_judged_alike),
		cmocka_unit_test(finished_and_refused_bodies_stay_so),
		cmocka_unit_test(unfinished_trailer_is_not_searched_again),
		cmocka_unit_test(written_body_decodes_to_its_payload),
		cmocka_unit_test(damaged_row_is_judged_alike),
		cmocka_unit_test(tiny_chunks_take_one_call_each)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
