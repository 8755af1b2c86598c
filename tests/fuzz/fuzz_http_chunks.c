/*
 * Chunked bodies: the same payload, trailers and end however the bytes arrive,
 * and no byte looked at twice. Input: the first two bytes say where to split,
 * the others are the body.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/http/parse.h"

enum { BODY_MAX = 16 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

struct result {
	enum parse verdict;
	const char *why;
	size_t size;
	size_t payload_len, trailers_len;
	char payload[BODY_MAX], trailers[BODY_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
keep_piece(struct result *r, const char *bytes, const struct http_piece *p)
{
	char *to = p->is_trailer ? r->trailers : r->payload;
	size_t *len = p->is_trailer ? &r->trailers_len : &r->payload_len;

	memcpy(to + *len, bytes + r->size + p->skip, p->take);
	*len += p->take;
	r->size += p->skip + p->take;
}

static void
drain(struct http_chunks *c, struct result *r, const char *bytes,
    size_t arrived)
{
	struct http_piece p;

	do {
		size_t len = arrived - r->size;

		r->verdict = http_chunks_next(c, bytes + r->size, len, &p);
		if (r->verdict == PARSE_BAD) {
			CHECK(c->why != NULL);
			return;
		}
		CHECK(p.skip <= len && p.take <= len - p.skip);
		CHECK(r->verdict == PARSE_MORE || p.take == 0);
		keep_piece(r, bytes, &p);
	} while (r->verdict == PARSE_MORE && p.skip + p.take > 0 &&
	    r->size < arrived);
	/* What stays is an unfinished trailer line, and was searched. */
	if (r->verdict == PARSE_MORE)
		CHECK(arrived - r->size == c->seen);
}

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

static void
check_same(const struct result *a, const struct result *b)
{
	CHECK(a->verdict == b->verdict && a->why == b->why);
	CHECK(a->verdict == PARSE_BAD || a->size == b->size);
	CHECK(a->payload_len == b->payload_len);
	CHECK(memcmp(a->payload, b->payload, a->payload_len) == 0);
	CHECK(a->trailers_len == b->trailers_len);
	CHECK(memcmp(a->trailers, b->trailers, a->trailers_len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct result whole, split, single;
	const char *bytes = (const char *)data + 2;
	size_t at;

	if (len < 2 || len - 2 > BODY_MAX)
		return 0;
	len -= 2;
	at = len > 0 ? (size_t)(data[0] << 8 | data[1]) % len : 0;
	decode(&whole, bytes, len, len, false);
	decode(&split, bytes, len, at, false);
	decode(&single, bytes, len, 0, true);
	check_same(&whole, &split);
	check_same(&whole, &single);
	return 0;
}
