/*
 * PROXY headers: any bytes, in any two pieces. What is taken is taken whole and
 * alike however it comes; what is refused stays refused; what is written of it
 * is read again as the same.
 *
 * Input: a byte that says where to cut, then the bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/proxy_header.h"

#define CHECK(that) do { if (!(that)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool
same(const struct proxy_header_bytes *a, const struct proxy_header_bytes *b)
{
	return a->len == b->len &&
	    (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

static void
inside(const struct proxy_header_bytes *b, const char *bytes, size_t len)
{
	CHECK(b->len == 0 || (b->at >= bytes && b->at + b->len <= bytes + len));
}

static bool
same_ip(const struct addr_ip *a, const struct addr_ip *b)
{
	return a->family == b->family && a->port == b->port &&
	    memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* An end of the one that came is the same in the one that goes out; where its
   fellow is IPv6 it is written as a mapped one, which is read as IPv4. */
static void
goes_out(const struct proxy_header *h, enum proxy_header_version version)
{
	char out[PROXY_HEADER_WRITE_MOST];
	size_t n = proxy_header_write(version, h, out);
	bool named = !h->own && h->from.family != AF_UNIX;
	struct proxy_header again;

	CHECK(n <= sizeof(out));
	CHECK(proxy_header_read(out, n, &again) == PARSE_DONE);
	CHECK(again.len == n && again.own == !named);
	if (named) {
		CHECK(same_ip(&again.from, &h->from));
		CHECK(same_ip(&again.to, &h->to));
	}
	if (version == PROXY_HEADER_V2) {
		CHECK(same(&again.authority, &h->authority));
		CHECK(same(&again.unique_id, &h->unique_id));
	}
}

static void
taken(const char *bytes, size_t len, const struct proxy_header *h)
{
	struct proxy_header again;

	CHECK(h->len <= len && h->len <= PROXY_HEADER_MOST);
	inside(&h->authority, bytes, h->len);
	inside(&h->unique_id, bytes, h->len);
	CHECK(h->authority.len <= PROXY_AUTHORITY_MOST);
	CHECK(h->unique_id.len <= PROXY_UNIQUE_ID_MOST);
	/* Exactly so many bytes, and no fewer, are it. */
	CHECK(proxy_header_read(bytes, h->len, &again) == PARSE_DONE);
	CHECK(again.len == h->len && again.own == h->own &&
	    again.tls == h->tls && same(&again.authority, &h->authority));
	CHECK(proxy_header_read(bytes, h->len - 1, &again) == PARSE_MORE);
	goes_out(h, PROXY_HEADER_V1);
	goes_out(h, PROXY_HEADER_V2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct proxy_header h, part;
	enum parse got, first;
	char *bytes;
	size_t cut;

	if (len == 0)
		return 0;
	cut = data[0];
	len--;
	/* Of its very size, so that what is read beyond it shows. */
	bytes = malloc(len + (len == 0));
	CHECK(bytes != NULL);
	memcpy(bytes, data + 1, len);
	got = proxy_header_read(bytes, len, &h);
	if (got == PARSE_DONE)
		taken(bytes, len, &h);
	if (got == PARSE_BAD)
		CHECK(h.why != NULL);
	if (got == PARSE_MORE)
		CHECK(len < PROXY_HEADER_MOST);
	if (cut < len) {
		first = proxy_header_read(bytes, cut, &part);
		if (first == PARSE_BAD)
			CHECK(got == PARSE_BAD);
		if (first == PARSE_DONE)
			CHECK(got == PARSE_DONE && part.len == h.len);
		if (got == PARSE_MORE)
			CHECK(first == PARSE_MORE);
	}
	free(bytes);
	return 0;
}
