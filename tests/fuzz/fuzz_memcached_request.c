/*
 * memcached's requests: the same verdict, end and fields however the bytes
 * arrive; whatever is fit to be sent upstream is read there, as it was written,
 * as one loud request of the same size and keys; and keys lie in the request.
 * Input: the first two bytes say where to split, the others are a client's.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/memcached/keys.h"
#include "proxy/proto/memcached/write.h"

enum { STREAM_MAX = 8 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Each piece is a copy of its own, so that what lies behind it is seen. */
static enum parse
feed(struct memcached_request *r, enum memcached_wire wire,
    const char *bytes, size_t len, size_t first, bool bytewise)
{
	enum parse got = PARSE_MORE;
	size_t at = 0, used;

	memcached_request_init(r, wire);
	while (got == PARSE_MORE && at < len) {
		size_t n = at < first ? first - at : bytewise ? 1 : len - at;
		char *copy;

		if (n > len - at)
			n = len - at;
		copy = malloc(n);
		CHECK(copy != NULL);
		memcpy(copy, bytes + at, n);
		got = memcached_request_feed(r, copy, n, &used);
		free(copy);
		CHECK(used <= n && (got != PARSE_MORE || used == n));
		at += used;
	}
	CHECK(got == PARSE_BAD || r->size == at);
	CHECK(got != PARSE_BAD || r->error != NULL);
	return got;
}

static void
check_same(enum parse got, const struct memcached_request *a,
    enum parse other, const struct memcached_request *b)
{
	CHECK(got == other);
	CHECK(a->error == b->error && a->status == b->status);
	if (got == PARSE_BAD)
		return;
	CHECK(a->size == b->size && a->head == b->head);
	CHECK(a->body == b->body && a->value == b->value);
	CHECK(a->command == b->command && a->how == b->how);
	CHECK(a->quiet == b->quiet && a->shape == b->shape);
	CHECK(a->rewrite == b->rewrite && a->keys == b->keys);
	CHECK(a->key_base64 == b->key_base64);
	CHECK(a->key.at == b->key.at && a->key.len == b->key.len);
	CHECK(a->opcode == b->opcode && a->opaque == b->opaque);
}

static void
check_keys(const struct memcached_request *r, const char *bytes)
{
	struct memcached_keys k;
	struct memcached_span key, last = { 0, 0 };
	uint32_t n = 0;

	memcached_keys_init(&k, r, bytes);
	while (memcached_keys_next(&k, &key)) {
		CHECK(key.len > 0 && key.len <= MEMCACHED_KEY_MAX);
		CHECK(key.at >= last.at + last.len);
		CHECK((uint64_t)key.at + key.len <= r->size);
		for (uint32_t i = 0; r->wire == MEMCACHED_TEXT && i < key.len;
		    i++)
			CHECK((uint8_t)bytes[key.at + i] > ' ' &&
			    bytes[key.at + i] != 0x7f);
		last = key;
		n++;
	}
	CHECK(n == r->keys);
}

static void
check_sent(const struct memcached_request *r, const char *bytes)
{
	static char out[STREAM_MAX + 16];
	struct memcached_request again;
	size_t len = r->head;

	if (r->rewrite)
		len = memcached_head_write(r, bytes, out);
	else
		memcpy(out, bytes, r->head);
	CHECK(len <= r->head + 1u);
	memcpy(out + len, bytes + r->head, r->body);
	len += r->body;
	CHECK(feed(&again, r->wire, out, len, len, false) == PARSE_DONE);
	CHECK(again.size == len && again.error == NULL);
	CHECK(again.quiet == MEMCACHED_LOUD && !again.rewrite);
	CHECK(again.command == r->command && again.value == r->value);
	CHECK(again.keys == r->keys && again.key.len == r->key.len);
	CHECK(again.how == r->how && again.shape == r->shape);
	check_keys(r, bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *bytes = (const char *)data + 2;
	enum memcached_wire wire = MEMCACHED_UNTOLD;
	enum parse got = PARSE_DONE;
	size_t at;

	if (len < 3 || len - 2 > STREAM_MAX)
		return 0;
	len -= 2;
	at = (size_t)(data[0] << 8 | data[1]);
	while (len > 0 && got == PARSE_DONE) {
		struct memcached_request r, split, single;
		char out[MEMCACHED_ANSWER_MAX];

		got = feed(&r, wire, bytes, len, len, false);
		check_same(got, &r, feed(&split, wire, bytes, len, at % len,
		    false), &split);
		check_same(got, &r, feed(&single, wire, bytes, len, 0, true),
		    &single);
		if (r.error != NULL)
			CHECK(memcached_error_write(&r, out) <= sizeof(out));
		/* What weir answers itself is never sent. */
		else if (got == PARSE_DONE && r.how != MEMCACHED_OURS)
			check_sent(&r, bytes);
		if (got != PARSE_DONE)
			break;
		CHECK(r.size > 0);
		wire = r.wire;
		bytes += r.size;
		len -= r.size;
	}
	return 0;
}
