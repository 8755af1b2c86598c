/*
 * Print what weir's HTTP parser makes of every row of tests/data/http, and of
 * as many damaged rows as the argument says: one JSON object a line, for
 * llhttp_compare.mjs. Bytes are in hexadecimal.
 *
 * usage: parse_dump [DAMAGED]
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/http/parse.h"
#include "tests/data/http/case.h"

enum {
	FIELDS = 101,
	DAMAGED_MAX = 1024      /* longer rows are left as they are */
};

static const struct http_case requests[] = {
#include "tests/data/http/requests.inc"
};

static const struct http_case responses[] = {
#include "tests/data/http/responses.inc"
};

static const struct chunk_case chunks[] = {
#include "tests/data/http/chunks.inc"
};

static const char *const verdicts[] = {
	[PARSE_DONE] = "done", [PARSE_MORE] = "more", [PARSE_BAD] = "bad"
};

static const char *const bodies[] = {
	[HTTP_BODY_NONE] = "none", [HTTP_BODY_LENGTH] = "length",
	[HTTP_BODY_CHUNKED] = "chunked", [HTTP_BODY_CLOSE] = "close"
};

static union {
	struct http_head h;
	char room[HTTP_HEAD_SIZE(FIELDS)];
} head;

static void
print_hex(const char *key, const char *bytes, size_t len)
{
	printf(",\"%s\":\"", key);
	for (size_t i = 0; i < len; i++)
		printf("%02x", (unsigned char)bytes[i]);
	printf("\"");
}

/* A name is printable and has no backslash; quotes are turned into others. */
static void
print_begin(const char *kind, const char *name, bool damaged,
    enum parse verdict)
{
	printf("{\"kind\":\"%s\",\"name\":\"", kind);
	for (; *name != '\0'; name++)
		putchar(*name == '"' ? '\'' : *name);
	printf("%s\",\"verdict\":\"%s\"", damaged ? ", damaged" : "",
	    verdicts[verdict]);
}

static void
dump_head(const struct http_case *c, bool is_request, const char *bytes,
    size_t len, bool damaged)
{
	struct http_head *h = &head.h;
	enum parse got;

	http_head_init(h, c->max_fields != 0 ? c->max_fields : 100,
	    c->max_bytes != 0 ? c->max_bytes : 32 * 1024);
	got = is_request ? http_request_parse(h, bytes, len) :
	    http_response_parse(h, c->to, bytes, len);
	print_begin(is_request ? "request" : "response", c->name, damaged,
	    got);
	print_hex("bytes", bytes, len);
	printf(",\"to_head\":%s,\"to_connect\":%s",
	    c->to == HTTP_M_HEAD ? "true" : "false",
	    c->to == HTTP_M_CONNECT ? "true" : "false");
	if (got == PARSE_DONE) {
		printf(",\"size\":%u,\"body\":\"%s\",\"length\":\"%llu\","
		    "\"status\":%u,\"n_fields\":%u,\"keep_alive\":%s",
		    h->size, bodies[h->body], (unsigned long long)h->length,
		    h->status, h->n_fields, h->keep_alive ? "true" : "false");
		print_hex("method", bytes + h->method_name.at,
		    h->method_name.len);
		print_hex("target", bytes + h->target.at, h->target.len);
	}
	printf("}\n");
}

static void
dump_chunks(const char *name, const char *bytes, size_t len, bool damaged)
{
	static char payload[64 * 1024];
	size_t payload_len = 0, at = 0;
	struct http_chunks c;
	struct http_piece p;
	enum parse got;

	http_chunks_init(&c);
	do {
		got = http_chunks_next(&c, bytes + at, len - at, &p);
		if (got == PARSE_BAD)
			break;
		if (!p.is_trailer) {
			memcpy(payload + payload_len, bytes + at + p.skip,
			    p.take);
			payload_len += p.take;
		}
		at += p.skip + p.take;
	} while (got == PARSE_MORE && p.skip + p.take > 0 && at < len);
	print_begin("chunks", name, damaged, got);
	print_hex("bytes", bytes, len);
	print_hex("payload", payload, payload_len);
	printf(",\"size\":%zu}\n", at);
}

/* xorshift64: the same sequence on every run. */
static uint64_t
random_next(void)
{
	static uint64_t seed = 0x11ea5eed;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static size_t
damage(char *bytes, size_t len)
{
	static const char evil[] =
	    "\r\n\r\n\t :,;\0\"#/?[]@\x7f\x80\xff" "0159aAfHTP.=";

	for (uint64_t n = 1 + random_next() % 3; n > 0 && len > 0; n--) {
		size_t at = random_next() % len;
		char c = evil[random_next() % (sizeof(evil) - 1)];

		if (random_next() % 3 == 0) {
			bytes[at] = c;
		} else if (random_next() % 2 == 0) {
			memmove(bytes + at, bytes + at + 1, --len - at);
		} else {
			memmove(bytes + at + 1, bytes + at, len++ - at);
			bytes[at] = c;
		}
	}
	return len;
}

static void
dump_damaged(void)
{
	static const size_t n = NELEMS(requests) + NELEMS(responses) +
	    NELEMS(chunks);
	char bytes[DAMAGED_MAX + 8];
	size_t i = random_next() % n;
	const struct http_case *c = i < NELEMS(requests) ? &requests[i] :
	    i < NELEMS(requests) + NELEMS(responses) ?
	    &responses[i - NELEMS(requests)] : NULL;
	const struct chunk_case *k = c == NULL ?
	    &chunks[i - NELEMS(requests) - NELEMS(responses)] : NULL;
	size_t len = c != NULL ? c->len : k->len;

	if (len > DAMAGED_MAX)
		return;
	memcpy(bytes, c != NULL ? c->bytes : k->bytes, len);
	len = damage(bytes, len);
	if (c != NULL)
		dump_head(c, i < NELEMS(requests), bytes, len, true);
	else
		dump_chunks(k->name, bytes, len, true);
}

int
main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0;

	for (size_t i = 0; i < NELEMS(requests); i++)
		dump_head(&requests[i], true, requests[i].bytes,
		    requests[i].len, false);
	for (size_t i = 0; i < NELEMS(responses); i++)
		dump_head(&responses[i], false, responses[i].bytes,
		    responses[i].len, false);
	for (size_t i = 0; i < NELEMS(chunks); i++)
		dump_chunks(chunks[i].name, chunks[i].bytes, chunks[i].len,
		    false);
	for (; n > 0; n--)
		dump_damaged();
	return 0;
}
