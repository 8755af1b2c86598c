/*
 * ClientHellos: the same verdict and contents however the bytes arrive; what is
 * found lies in the message, and a name is one that is read as itself again.
 * Input: the first two bytes say where to split, the others are a client's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/hello.h"

enum { STREAM_MAX = 3 * HELLO_WIRE_MAX };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A verdict, the length of what was walked, and whether it could be read. */
struct verdict {
	enum hello_found found;
	struct hello_reader r;
	int read;
};

/* In blocks of their own, so that a look beyond a piece is seen. */
static int
append(struct block_store *blocks, struct buf *in, const uint8_t *bytes,
    size_t n)
{
	struct block *b = block_new(blocks, n);
	int failed;

	CHECK(b != NULL);
	memcpy(b->bytes, bytes, n);
	b->used = (uint32_t)n;
	failed = buf_append_block(blocks, in, b, 0, (uint32_t)n);
	block_drop(blocks, b);
	return failed;
}

static struct verdict
walk(const uint8_t *bytes, size_t len, size_t first, bool bytewise,
    struct hello *h)
{
	struct verdict v = { .found = HELLO_MORE };
	struct block_store blocks;
	size_t at = 0;
	struct buf in;

	block_store_init(&blocks);
	buf_init(&in);
	while (v.found == HELLO_MORE && at < len) {
		size_t n = at < first ? first - at : bytewise ? 1 : len - at;

		if (n > len - at)
			n = len - at;
		CHECK((bytewise ? buf_append(&blocks, &in, bytes + at, n) :
		    append(&blocks, &in, bytes + at, n)) == 0);
		at += n;
		v.found = hello_walk(&v.r, &in);
		CHECK(v.r.at <= in.len && v.r.at <= HELLO_WIRE_MAX);
		CHECK(v.r.got <= HELLO_MAX && v.r.got <= v.r.at);
	}
	if (v.found == HELLO_WHOLE) {
		CHECK(v.r.got == v.r.len && v.r.left == 0);
		v.read = hello_read(&v.r, &in, h);
	}
	buf_clear(&blocks, &in);
	block_store_fini(&blocks);
	return v;
}

static void
check_contents(const struct hello *h, size_t len)
{
	char name[HELLO_NAME_MAX + 1], protocol[256];
	size_t at, n;

	if (h->name[0] != '\0') {
		CHECK(hello_name(h->name, strlen(h->name), name) ==
		    (int)strlen(h->name));
		CHECK(strcmp(name, h->name) == 0);
	}
	if (h->alpn == NULL)
		return;
	CHECK(h->alpn > h->bytes && h->alpn_len >= 2);
	CHECK((size_t)(h->alpn - h->bytes) + h->alpn_len <= len);
	for (at = 0; at < h->alpn_len; at += n + 1) {
		n = h->alpn[at];
		CHECK(n > 0 && at + 1 + n <= h->alpn_len);
		memcpy(protocol, h->alpn + at + 1, n);
		protocol[n] = '\0';
		CHECK(strlen(protocol) < n || hello_offers(h, protocol));
	}
}

static void
check_same(const struct verdict *a, const struct hello *h,
    const struct verdict *b, const struct hello *other)
{
	CHECK(a->found == b->found && a->read == b->read);
	if (a->found != HELLO_WHOLE)
		return;
	CHECK(a->r.at == b->r.at && a->r.len == b->r.len);
	CHECK(memcmp(h->bytes, other->bytes, a->r.len) == 0);
	CHECK(strcmp(h->name, other->name) == 0);
	CHECK(h->alpn_len == other->alpn_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct hello whole, split, single;
	struct verdict a, b, c;
	enum hello_kind kind;
	size_t at;

	if (len < 3 || len - 2 > STREAM_MAX)
		return 0;
	len -= 2;
	at = (size_t)(data[0] << 8 | data[1]) % len;
	data += 2;
	a = walk(data, len, len, false, &whole);
	b = walk(data, len, at, false, &split);
	c = walk(data, len, 0, true, &single);
	check_same(&a, &whole, &b, &split);
	check_same(&a, &whole, &c, &single);
	if (a.found == HELLO_WHOLE && a.read == 0)
		check_contents(&whole, a.r.len);
	kind = hello_kind((const char *)data, len);
	if (a.found == HELLO_NOT_TLS)
		CHECK(kind != HELLO_KIND_TLS);
	if (a.found == HELLO_WHOLE)
		CHECK(kind == HELLO_KIND_TLS);
	return 0;
}
