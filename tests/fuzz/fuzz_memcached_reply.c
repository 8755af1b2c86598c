/*
 * memcached's replies: the same verdict and end however the bytes arrive, what
 * is streamed was wanted, and the blocks of a get's reply are its values.
 * Input: the first two bytes say where to split, the third for which request,
 * the others are the server's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/memcached/keys.h"
#include "proxy/proto/memcached/reply.h"

enum { STREAM_MAX = 16 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

#define PACKET(op, key, ext, body) \
	"\x80" op "\0" key ext "\0\0\0" "\0\0\0" body "opaq\0\0\0\0\0\0\0\0"
#define ASK(text) { text, sizeof(text) - 1 }

static const struct {
	const char *bytes;
	size_t len;
} asks[] = {
	ASK("get a\r\n"), ASK("gets a b\r\n"), ASK("set a 0 0 1\r\nx\r\n"),
	ASK("set a 0 0 1 noreply\r\nx\r\n"), ASK("delete a\r\n"),
	ASK("incr a 1\r\n"), ASK("mg a v q\r\n"), ASK("ms a 1 q\r\nx\r\n"),
	ASK("md a q\r\n"), ASK("ma a v q\r\n"), ASK("me a\r\n"),
	ASK("stats\r\n"), ASK("lru_crawler metadump all\r\n"),
	ASK("lru tune 1\r\n"), ASK("version\r\n"),
	ASK(PACKET("\0", "\1", "\0", "\1") "a"),
	ASK(PACKET("\x09", "\1", "\0", "\1") "a"),
	ASK(PACKET("\x14", "\1", "\0", "\1") "a"),
	ASK(PACKET("\x10", "\0", "\0", "\0"))
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum parse
feed(struct memcached_reply *r, const struct memcached_ask *a,
    const char *bytes, size_t len, size_t first, bool bytewise)
{
	enum parse got = PARSE_MORE;
	bool streams = false;
	size_t at = 0, used;

	memcached_reply_init(r, a);
	while (got == PARSE_MORE && at < len) {
		size_t n = at < first ? first - at : bytewise ? 1 : len - at;
		char *copy = malloc(n);

		CHECK(copy != NULL);
		memcpy(copy, bytes + at, n);
		got = memcached_reply_feed(r, copy, n, &used);
		free(copy);
		CHECK(used <= n && (got != PARSE_MORE || used == n));
		at += used;
		if (got == PARSE_MORE)
			streams = memcached_reply_streams(r);
	}
	CHECK(got == PARSE_BAD || r->size == at);
	CHECK(got != PARSE_DONE || !streams || memcached_reply_wanted(r));
	return got;
}

/* Taken apart by whatever keys it has, of which only so much is seen. */
static void
check_blocks(const struct memcached_reply *r, const char *bytes)
{
	const char *end = bytes + r->size, *at = bytes;
	uint32_t n = 0;

	while (end - at != 5 || memcmp(at, "END\r\n", 5) != 0) {
		const char *key = at + 6;
		const char *space = memchr(key, ' ', (size_t)(end - key));
		size_t len = (size_t)(end - at), size;

		CHECK(space != NULL);
		size = memcached_block_size(at, len < MEMCACHED_REPLY_KEPT ?
		    len : MEMCACHED_REPLY_KEPT, key, (size_t)(space - key));
		CHECK(size > 0 && size < len);
		at += size;
		n++;
	}
	CHECK(n == r->values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *bytes = (const char *)data + 3;
	struct memcached_request request;
	struct memcached_ask a;
	struct memcached_reply whole, other;
	enum parse got;
	size_t at, i, used;

	if (len < 4 || len - 3 > STREAM_MAX)
		return 0;
	len -= 3;
	at = (size_t)(data[0] << 8 | data[1]) % len;
	i = data[2] % NELEMS(asks);
	memcached_request_init(&request, MEMCACHED_UNTOLD);
	CHECK(memcached_request_feed(&request, asks[i].bytes, asks[i].len,
	    &used) == PARSE_DONE);
	memcached_ask_init(&a, &request, asks[i].bytes);
	got = feed(&whole, &a, bytes, len, len, false);
	for (unsigned way = 0; way < 2; way++) {
		CHECK(feed(&other, &a, bytes, len, way ? 0 : at, way) == got);
		if (got != PARSE_DONE)
			continue;
		CHECK(whole.size == other.size);
		CHECK(whole.values == other.values);
		CHECK(whole.status == other.status);
		CHECK(whole.is_error == other.is_error);
		CHECK(strcmp(whole.word, other.word) == 0);
		CHECK(memcached_reply_wanted(&whole) ==
		    memcached_reply_wanted(&other));
	}
	if (got == PARSE_DONE && a.shape == MEMCACHED_VALUES &&
	    !whole.is_error)
		check_blocks(&whole, bytes);
	return 0;
}
