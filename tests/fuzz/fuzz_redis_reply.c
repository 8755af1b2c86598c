/*
 * Replies: the same verdict, size and facts however the bytes arrive; and
 * where hiredis accepts a reply, too, it ends where hiredis has it end. Input:
 * the first two bytes say where to split, the others are replies, one after
 * the other.
 *
 * Where the two differ, and why:
 *   weir refuses, hiredis accepts: a CR or LF alone in a line of text, and a
 *     bulk that CR LF does not end. hiredis looks for the pair, and takes the
 *     two bytes after a bulk for it; others look for one of them. And numbers
 *     that Redis does not write: hiredis 0.14 takes "", "+5", "-0", "00" and
 *     what overflows, takes any length below zero for a null, and words for -1.
 *   weir refuses, hiredis waits: weir needs no whole line to see what is wrong
 *     with it; and bulks of 4 GiB.
 *   hiredis refuses, weir does not: arrays nested deeper than hiredis's stack,
 *     counts above INT_MAX, and the types of RESP3 (hiredis 0.14 has none,
 *     1.0 not all, and it reads what is in a double or a verbatim string).
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/read.h>

#include "proxy/proto/redis/resp.h"

enum { BYTES_MAX = 16 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

/* What was seen while a reply was read a byte at a time. */
struct seen {
	bool resp3;             /* a type that RESP2 does not have */
	bool strict;            /* refused for a reason that is weir's own */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum parse
read_in_pieces(struct resp_reply *r, const char *bytes, size_t len,
    size_t first)
{
	enum parse got;
	size_t at = 0, used, n = first;

	resp_reply_init(r);
	do {
		got = resp_reply_feed(r, bytes + at, n, &used);
		CHECK(used <= n && (got == PARSE_DONE || used == n));
		CHECK(strlen(r->word) < RESP_WORD_MAX);
		CHECK(r->pending <= RESP_PENDING_MAX);
		at += used;
		CHECK(r->size == at);
		n = len - at;
	} while (got == PARSE_MORE && at < len);
	return got;
}

/* Is what stands after a type byte no number, or none for that type? A line
   in part, its last byte the one that was refused, or whole. */
static bool
number_is_odd(char type, const char *text, size_t len)
{
	char digits[32], again[32];
	long long n;

	if (len > 1 && memcmp(text + len - 2, "\r\n", 2) == 0)
		len -= 2;
	if (len >= sizeof(digits))
		return true;
	memcpy(digits, text, len);
	digits[len] = '\0';
	n = strtoll(digits, NULL, 10);
	snprintf(again, sizeof(again), "%lld", n);
	if (strlen(again) != len || memcmp(again, text, len) != 0)
		return true;
	return type != ':' && (n < -1 || n > (long long)RESP_ELEMENTS_MAX);
}

/* The byte at "at" was refused, in a line that began at line_at. */
static bool
refusal_is_strict(const struct resp_reply *r, const char *bytes,
    size_t line_at, size_t at)
{
	if (at == line_at)
		return false;
	if (r->part == '+' || r->part == '-')
		return bytes[at] == '\n' || bytes[at - 1] == '\r';
	if (r->part == '$' && (r->left == 1 || r->left == 2))
		return bytes[at] != (r->left == 2 ? '\r' : '\n');
	return number_is_odd(r->part, bytes + line_at + 1, at - line_at);
}

static enum parse
read_bytewise(struct resp_reply *r, const char *bytes, size_t len,
    struct seen *seen)
{
	enum parse got = PARSE_MORE;
	size_t used, line_at = 0;
	uint8_t at_type;

	memset(seen, 0, sizeof(*seen));
	resp_reply_init(r);
	at_type = r->state;
	for (size_t at = 0; got == PARSE_MORE && at < len; at++) {
		if (r->state == at_type)
			line_at = at;
		got = resp_reply_feed(r, bytes + at, 1, &used);
		CHECK(used == 1 && r->size == at + 1);
		seen->resp3 |= strchr("+-:$*", r->part) == NULL;
		if (got == PARSE_BAD)
			seen->strict = refusal_is_strict(r, bytes, line_at, at);
	}
	return got;
}

static void
check_same(const struct resp_reply *a, const struct resp_reply *b)
{
	CHECK(a->size == b->size && a->type == b->type);
	CHECK(a->is_null == b->is_null);
	CHECK(strcmp(a->word, b->word) == 0);
	CHECK(a->number == b->number && a->elements == b->elements);
	CHECK(a->pending == b->pending && a->top_left == b->top_left);
}

/* The type that hiredis has for a reply of RESP2. */
static int
hiredis_type(const struct resp_reply *r)
{
	if (r->is_null)
		return REDIS_REPLY_NIL;
	switch (r->type) {
	case '+':
		return REDIS_REPLY_STATUS;
	case '-':
		return REDIS_REPLY_ERROR;
	case ':':
		return REDIS_REPLY_INTEGER;
	default:
		return r->type == '$' ? REDIS_REPLY_STRING : REDIS_REPLY_ARRAY;
	}
}

static void
check_hiredis(const struct resp_reply *r, enum parse got, const char *bytes,
    size_t len, const struct seen *seen)
{
	/* Without functions of its own a reader's reply is its type. */
	redisReader *reader = redisReaderCreateWithFunctions(NULL);
	void *reply = NULL;

	CHECK(reader != NULL);
	CHECK(redisReaderFeed(reader, bytes, len) == REDIS_OK);
	if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
		CHECK(got == PARSE_BAD || seen->resp3 ||
		    strstr(reader->errstr, "depth") != NULL ||
		    (got == PARSE_MORE &&
		    strstr(reader->errstr, "out of range") != NULL));
	} else if (reply == NULL)
		CHECK(got == PARSE_MORE || got == PARSE_BAD);
	else if (got == PARSE_BAD)
		CHECK(seen->strict || seen->resp3);
	else {
		CHECK(got == PARSE_DONE);
		CHECK(r->size == len - (reader->len - reader->pos));
		if (!seen->resp3)
			CHECK(hiredis_type(r) == (int)(intptr_t)reply);
	}
	redisReaderFree(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct resp_reply whole, other;
	const char *bytes = (const char *)data + 2;
	enum parse got = PARSE_DONE;

	if (len < 2 || len - 2 > BYTES_MAX)
		return 0;
	len -= 2;
	while (got == PARSE_DONE && len > 0) {
		size_t at = (size_t)(data[0] << 8 | data[1]) % len;
		struct seen seen;

		got = read_in_pieces(&whole, bytes, len, len);
		CHECK(read_in_pieces(&other, bytes, len, at) == got);
		if (got != PARSE_BAD)
			check_same(&whole, &other);
		CHECK(read_bytewise(&other, bytes, len, &seen) == got);
		if (got != PARSE_BAD)
			check_same(&whole, &other);
		check_hiredis(&whole, got, bytes, len, &seen);
		if (got != PARSE_DONE)
			break;
		CHECK(whole.size > 0);
		bytes += whole.size;
		len -= whole.size;
	}
	return 0;
}
