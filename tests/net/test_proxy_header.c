/*
 * net/proxy_header: what is one, to the last byte and at every split; what is
 * refused, and why; what is written can be read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define V4_ENDS "192.0.2.1:56324", "198.51.100.2:443"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xdc\x04\x01\xbb"
#define V6_ENDS "[2001:db8::1]:56324", "[2001:db8::2]:443"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01" \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02\xdc\x04\x01\xbb"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define A_NAME "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define NAME_255 A_NAME A_NAME A_NAME A_NAME "0123456789abcde"
#define UNIX_ADDRESSES HUNDRED HUNDRED "0123456789abcdef"

/* A row's bytes, which may hold zeros. */
#define BYTES(text) (text), sizeof(text) - 1

struct good {
	const char *bytes;
	size_t len;
	const char *from, *to;          /* NULL: the connection's own */
	const char *authority, *unique_id;
	bool tls;
};

static const struct good goods[] = {
	{ BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), V4_ENDS,
	    NULL, NULL, false },
	{ BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	    "255.255.255.255:65535", "255.255.255.255:65535", NULL, NULL,
	    false },
	{ BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0",
	    "0.0.0.0:0", NULL, NULL, false },
	{ BYTES("PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n"), V6_ENDS,
	    NULL, NULL, false },
	{ BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n"),
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535", NULL, NULL,
	    false },
	/* As limits and rules know them. */
	{ BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 56324 443"
	    "\r\n"), V4_ENDS, NULL, NULL, false },
	{ BYTES("PROXY UNKNOWN\r\n"), NULL, NULL, NULL, NULL, false },
	{ BYTES("PROXY UNKNOWN \r\n"), NULL, NULL, NULL, NULL, false },
	{ BYTES("PROXY UNKNOWN what\0ever it is\r\n"), NULL, NULL, NULL, NULL,
	    false },
	/* The longest there may be: 107 bytes. */
	{ BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), NULL,
	    NULL, NULL, NULL, false },
	{ BYTES(SIG "\x21\x11\0\x0c" V4), V4_ENDS, NULL, NULL, false },
	{ BYTES(SIG "\x21\x21\0\x24" V6), V6_ENDS, NULL, NULL, false },
	{ BYTES(SIG "\x21\x21\0\x24" MAPPED), V4_ENDS, NULL, NULL, false },
	{ BYTES(SIG "\x21\x31\0\xd8" UNIX_ADDRESSES), "unix:", "unix:", NULL,
	    NULL, false },
	{ BYTES(SIG "\x20\0\0\0"), NULL, NULL, NULL, NULL, false },
	/* LOCAL: the rest is skipped, whatever it is. */
	{ BYTES(SIG "\x20\x11\0\x0c" V4), NULL, NULL, NULL, NULL, false },
	{ BYTES(SIG "\x20\x12\0\x03" "\x02\xff\xff"), NULL, NULL, NULL, NULL,
	    false },
	{ BYTES(SIG "\x20\xff\0\x01" "x"), NULL, NULL, NULL, NULL, false },
	{ BYTES(SIG "\x21\0\0\0"), NULL, NULL, NULL, NULL, false },
	{ BYTES(SIG "\x21\0\0\x09" "\x02\0\6a.test"), NULL, NULL, "a.test",
	    NULL, false },
	{ BYTES(SIG "\x21\x11\0\x1d" V4 "\x02\0\6a.test" "\x05\0\5ab\0\1c"),
	    V4_ENDS, "a.test", "ab", false },
	{ BYTES(SIG "\x21\x11\x01\x0e" V4 "\x02\0\xff" NAME_255), V4_ENDS,
	    NAME_255, NULL, false },
	{ BYTES(SIG "\x21\x11\0\x8f" V4 "\x05\0\x80" HUNDRED TEN TEN
	    "01234567"), V4_ENDS, NULL, HUNDRED TEN TEN "01234567", false },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x05\0\0"), V4_ENDS, NULL, NULL,
	    false },
	/* NOOP, more than once; ALPN; NETNS; what is not known. */
	{ BYTES(SIG "\x21\x11\0\x2d" V4 "\x04\0\0" "\x04\0\4pads" "\x04\0\0"
	    "\x01\0\2h2" "\x30\0\2ns" "\xe0\0\0" "\xee\0\1x" "\xee\0\0"),
	    V4_ENDS, NULL, NULL, false },
	/* TLS: with nothing more, not, with subs. */
	{ BYTES(SIG "\x21\x11\0\x14" V4 "\x20\0\5\1\0\0\0\0"), V4_ENDS, NULL,
	    NULL, true },
	{ BYTES(SIG "\x21\x11\0\x14" V4 "\x20\0\5\0\0\0\0\1"), V4_ENDS, NULL,
	    NULL, false },
	{ BYTES(SIG "\x21\x11\0\x24" V4 "\x20\0\x15\7\0\0\0\0"
	    "\x21\0\7TLSv1.3" "\x22\0\3bob"), V4_ENDS, NULL, NULL, true },
	/* Sums as another implementation makes them. */
	{ BYTES(SIG "\x21\x11\0\x13" V4 "\x03\0\4" "\x20\xec\x95\x49"),
	    V4_ENDS, NULL, NULL, false },
	{ BYTES(SIG "\x21\x11\0\x1c" V4 "\x03\0\4" "\x35\xdf\xb2\xc7"
	    "\x02\0\6a.test"), V4_ENDS, "a.test", NULL, false },
};

static void
is_end(const struct addr_ip *a, const char *text)
{
	char out[ADDR_TEXT_MAX];

	assert_string_equal(addr_ip_print(a, true, out), text);
}

static void
is_word(const struct proxy_header_bytes *w, const char *text)
{
	if (text == NULL) {
		assert_int_equal(w->len, 0);
		return;
	}
	assert_in_range(w->len, strlen(text), PROXY_AUTHORITY_MOST);
	assert_memory_equal(w->at, text, strlen(text));
}

static void
is_read(const struct good *g, const char *bytes, size_t len)
{
	struct proxy_header h;

	assert_int_equal(proxy_header_read(bytes, len, &h), PARSE_DONE);
	assert_int_equal(h.len, g->len);
	assert_int_equal(h.own, g->from == NULL);
	if (g->from != NULL) {
		is_end(&h.from, g->from);
		is_end(&h.to, g->to);
	}
	is_word(&h.authority, g->authority);
	is_word(&h.unique_id, g->unique_id);
	assert_int_equal(h.tls, g->tls);
}

static void
good_headers_are_read_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(goods); i++) {
		const struct good *g = &goods[i];

		for (size_t n = 0; n < g->len; n++) {
			struct proxy_header h;
			/* Of its very size: what is read beyond it shows. */
			char *bytes = malloc(n + (n == 0));

			assert_non_null(bytes);
			memcpy(bytes, g->bytes, n);
			if (proxy_header_read(bytes, n, &h) != PARSE_MORE)
				fail_msg("row %zu, %zu bytes", i, n);
			free(bytes);
		}
		is_read(g, g->bytes, g->len);
	}
}

/* Not a byte of what follows belongs to it. */
static void
what_follows_is_left_alone(void **state)
{
	static const char *const followers[] = {
		"GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
		"\r\n\r\n", "\x16\x03\x01", "\n"
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(goods); i++)
		for (size_t k = 0; k < NELEMS(followers); k++) {
			size_t n = strlen(followers[k]);
			char *bytes = malloc(goods[i].len + n);

			assert_non_null(bytes);
			memcpy(bytes, goods[i].bytes, goods[i].len);
			memcpy(bytes + goods[i].len, followers[k], n);
			is_read(&goods[i], bytes, goods[i].len + n);
			free(bytes);
		}
}

static const struct {
	const char *bytes;
	size_t len;
	const char *why;
} bads[] = {
	{ BYTES("GET / HTTP/1.1\r\n"), "no PROXY header" },
	{ BYTES("P "), "no PROXY header" },
	{ BYTES("PROXX"), "no PROXY header" },
	{ BYTES("PROXY\t"), "no PROXY header" },
	{ BYTES("proxy TCP4"), "no PROXY header" },
	{ BYTES(" PROXY TCP4"), "no PROXY header" },
	{ BYTES("\n"), "no PROXY header" },
	{ BYTES("\x16\x03\x01\x02"), "no PROXY header" },
	{ BYTES("\r\n\r\n\0\r\nQUIT\r"), "no PROXY header" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"),
	    "the line does not end in CR LF" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n"),
	    "the line does not end in CR LF" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r "),
	    "the line does not end in CR LF" },
	{ BYTES("PROXY UNKNOWN\rx\r\n"),
	    "the line does not end in CR LF" },
	{ BYTES("PROXY UNKNOWN x\ny\r\n"),
	    "the line does not end in CR LF" },
	{ BYTES("PROXY \r\n"), "no protocol" },
	{ BYTES("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
	    "no protocol" },
	{ BYTES("PROXY TCP4\r\n"), "no protocol" },
	{ BYTES("PROXY UNKNOWNS\r\n"), "no protocol" },
	{ BYTES("PROXY UNKNOWNS x\r\n"), "no protocol" },
	{ BYTES("PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n"),
	    "unknown protocol" },
	{ BYTES("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"),
	    "unknown protocol" },
	{ BYTES("PROXY TCP4 1.1.1.1\r\n"), "bad address" },
	{ BYTES("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"), "bad address" },
	{ BYTES("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP4 0x1.1.1.1 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP4 ::1 ::2 1 2\r\n"), "bad address" },
	{ BYTES("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP6 [::1] [::2] 1 2\r\n"), "bad address" },
	{ BYTES("PROXY TCP6 fe80::1%lo ::2 1 2\r\n"), "bad address" },
	{ BYTES("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::2 1 2\r\n"),
	    "bad address" },
	{ BYTES("PROXY TCP6 1::2::3 ::2 1 2\r\n"), "bad address" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2\r\n"), "bad address" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2  1 2\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"), "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"),
	    "bad port" },
	{ BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 4294967297\r\n"),
	    "bad port" },
	/* 107 bytes without an end; 108 with one. */
	{ BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN
	    "012"), "the line is too long" },
	{ BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN
	    "01\r\n"), "the line is too long" },
	{ BYTES(SIG "\x11"), "unknown version" },
	{ BYTES(SIG "\x31\x11\0\x0c" V4), "unknown version" },
	{ BYTES(SIG "\x01"), "unknown version" },
	{ BYTES(SIG "\x22"), "unknown command" },
	{ BYTES(SIG "\x2f\x11\0\x0c" V4), "unknown command" },
	{ BYTES(SIG "\x21\x12"), "datagrams" },
	{ BYTES(SIG "\x21\x22\0\x24" V6), "datagrams" },
	{ BYTES(SIG "\x21\x32"), "datagrams" },
	{ BYTES(SIG "\x21\x01"), "unknown address family" },
	{ BYTES(SIG "\x21\x10"), "unknown address family" },
	{ BYTES(SIG "\x21\x13"), "unknown address family" },
	{ BYTES(SIG "\x21\x41"), "unknown address family" },
	{ BYTES(SIG "\x21\xff"), "unknown address family" },
	{ BYTES(SIG "\x21\x11\0\x0b"), "too short for its addresses" },
	{ BYTES(SIG "\x21\x11\0\0"), "too short for its addresses" },
	{ BYTES(SIG "\x21\x21\0\x0c"), "too short for its addresses" },
	{ BYTES(SIG "\x21\x31\0\x24"), "too short for its addresses" },
	{ BYTES(SIG "\x21\x11\xff\xff"), "too long" },
	{ BYTES(SIG "\x21\x11\x0f\xf1"), "too long" },
	{ BYTES(SIG "\x20\0\xff\xff"), "too long" },
	{ BYTES(SIG "\x21\x11\0\x0d" V4 "\x04"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\x11\0\x0e" V4 "\x04\0"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x04\0\x01"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x04\0\x01" "x"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\x11\0\x12" V4 "\x02\xff\xff" "abc"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\0\0\x04" "\x04\0\2x"),
	    "a TLV goes past the end" },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x02\0\0"),
	    "bad authority" },
	{ BYTES(SIG "\x21\x11\0\x12" V4 "\x02\0\3a\0b"),
	    "bad authority" },
	{ BYTES(SIG "\x21\x11\0\x12" V4 "\x02\0\3a\nb"),
	    "bad authority" },
	{ BYTES(SIG "\x21\x11\0\x12" V4 "\x02\0\3a b"),
	    "bad authority" },
	{ BYTES(SIG "\x21\x11\x01\x0f" V4 "\x02\x01\0" NAME_255 "x"),
	    "bad authority" },
	{ BYTES(SIG "\x21\x11\0\x90" V4 "\x05\0\x81" HUNDRED TEN TEN
	    "012345678"), "unique id too long" },
	{ BYTES(SIG "\x21\x11\0\x17" V4 "\x05\0\1a" "\x04\0\0"
	    "\x05\0\1a"), "a TLV came twice" },
	{ BYTES(SIG "\x21\x11\0\x16" V4 "\x02\0\2aa" "\x02\0\2bb"),
	    "a TLV came twice" },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x20\0\0"),
	    "bad TLV of TLS" },
	{ BYTES(SIG "\x21\x11\0\x13" V4 "\x20\0\4\1\0\0\0"),
	    "bad TLV of TLS" },
	{ BYTES(SIG "\x21\x11\0\x16" V4 "\x20\0\7\1\0\0\0\0\x21\0"),
	    "bad TLV of TLS" },
	{ BYTES(SIG "\x21\x11\0\x18" V4 "\x20\0\x09\1\0\0\0\0"
	    "\x21\0\2x"), "bad TLV of TLS" },
	{ BYTES(SIG "\x21\x11\0\x13" V4 "\x03\0\4" "\x20\xec\x95\x48"),
	    "wrong checksum" },
	{ BYTES(SIG "\x21\x11\0\x13" V4 "\x03\0\4" "\x49\x95\xec\x20"),
	    "wrong checksum" },
	{ BYTES(SIG "\x21\x11\0\x13" V4 "\x03\0\4" "\0\0\0\0"),
	    "wrong checksum" },
	{ BYTES(SIG "\x21\x11\0\x0f" V4 "\x03\0\0"),
	    "wrong checksum" },
};

static void
bad_headers_are_refused_with_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(bads); i++) {
		struct proxy_header h;
		enum parse got = PARSE_MORE;
		size_t n;

		/* At whichever byte it shows, and then for good. */
		for (n = 0; n <= bads[i].len && got == PARSE_MORE; n++)
			got = proxy_header_read(bads[i].bytes, n, &h);
		if (got != PARSE_BAD)
			fail_msg("row %zu: taken", i);
		if (strcmp(h.why, bads[i].why) != 0)
			fail_msg("row %zu: %s", i, h.why);
		assert_int_equal(proxy_header_read(bads[i].bytes, bads[i].len,
		    &h), PARSE_BAD);
	}
}

static struct addr_ip
ip(const char *text, unsigned port)
{
	struct addr_ip a = { .port = (uint16_t)port };

	a.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(a.family, text, a.ip), 1);
	return a;
}

static void
what_is_written_is_this(void **state)
{
	static const struct {
		enum proxy_header_version version;
		const char *from, *to, *authority, *unique_id;
		const char *bytes;
		size_t len;
	} rows[] = {
		{ PROXY_HEADER_V1, "192.0.2.1", "198.51.100.2", NULL, NULL,
		    BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n") },
		{ PROXY_HEADER_V1, "2001:db8::1", "2001:db8::2", "a", "b",
		    BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n")
		},
		{ PROXY_HEADER_V1, "192.0.2.1", "2001:db8::2", NULL, NULL,
		    BYTES("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443"
		    "\r\n") },
		{ PROXY_HEADER_V1, NULL, NULL, NULL, NULL,
		    BYTES("PROXY UNKNOWN\r\n") },
		{ PROXY_HEADER_V2, "192.0.2.1", "198.51.100.2", NULL, NULL,
		    BYTES(SIG "\x21\x11\0\x0c" V4) },
		{ PROXY_HEADER_V2, "2001:db8::1", "2001:db8::2", NULL, NULL,
		    BYTES(SIG "\x21\x21\0\x24" V6) },
		{ PROXY_HEADER_V2, "192.0.2.1", "198.51.100.2", "a.test", "id",
		    BYTES(SIG "\x21\x11\0\x1a" V4 "\x02\0\6a.test" "\x05\0\2id")
		},
		{ PROXY_HEADER_V2, NULL, NULL, NULL, "id",
		    BYTES(SIG "\x21\0\0\x05" "\x05\0\2id") },
		{ PROXY_HEADER_NONE, "192.0.2.1", "198.51.100.2", NULL, NULL,
		    BYTES("") },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct proxy_header h = { .from.family = AF_UNIX };
		char out[PROXY_HEADER_WRITE_MOST];

		if (rows[i].from != NULL) {
			h.from = ip(rows[i].from, 56324);
			h.to = ip(rows[i].to, 443);
		}
		if (rows[i].authority != NULL)
			h.authority = (struct proxy_header_bytes){
			    rows[i].authority, strlen(rows[i].authority) };
		if (rows[i].unique_id != NULL)
			h.unique_id = (struct proxy_header_bytes){
			    rows[i].unique_id, strlen(rows[i].unique_id) };
		assert_int_equal(proxy_header_write(rows[i].version, &h, out),
		    rows[i].len);
		assert_memory_equal(out, rows[i].bytes, rows[i].len);
	}
}

static void
longest_header_that_is_written_fits(void **state)
{
	char out[PROXY_HEADER_WRITE_MOST];
	struct proxy_header h = { .from = ip("ffff:ffff:ffff:ffff:ffff:ffff:"
	    "ffff:ffff", 65535), .to = ip("ffff:ffff:ffff:ffff:ffff:ffff:"
	    "ffff:ffff", 65535),
	    .authority = { NAME_255, PROXY_AUTHORITY_MOST },
	    .unique_id = { NAME_255, PROXY_UNIQUE_ID_MOST } };
	struct proxy_header again;
	size_t n;

	(void)state;
	assert_int_equal(proxy_header_write(PROXY_HEADER_V1, &h, out), 104);
	n = proxy_header_write(PROXY_HEADER_V2, &h, out);
	assert_int_equal(n, PROXY_HEADER_WRITE_MOST);
	assert_int_equal(proxy_header_read(out, n, &again), PARSE_DONE);
	assert_int_equal(again.len, n);
	assert_int_equal(again.authority.len, PROXY_AUTHORITY_MOST);
	assert_int_equal(again.unique_id.len, PROXY_UNIQUE_ID_MOST);
}

/* What stands in the file of a socket pair, whose ends have no address. */
static void
own_connections_say_local(void **state)
{
	static const struct {
		enum proxy_header_version version;
		const char *bytes;
		size_t len;
	} rows[] = {
		{ PROXY_HEADER_V2, BYTES(SIG "\x20\0\0\0") },
		{ PROXY_HEADER_V1, BYTES("PROXY UNKNOWN\r\n") },
		{ PROXY_HEADER_NONE, BYTES("") },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char out[256];
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(proxy_header_send_own(fds[0],
		    rows[i].version), 0);
		close(fds[0]);
		assert_int_equal(read(fds[1], out, sizeof(out)), rows[i].len);
		assert_memory_equal(out, rows[i].bytes, rows[i].len);
		close(fds[1]);
	}
}

static void
header_to_nobody_is_an_error(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	assert_int_equal(proxy_header_send_own(fds[0], PROXY_HEADER_V2), -1);
	close(fds[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_headers_are_read_at_every_split),
		cmocka_unit_test(what_follows_is_left_alone),
		cmocka_unit_test(bad_headers_are_refused_with_a_reason),
		cmocka_unit_test(what_is_written_is_this),
		cmocka_unit_test(longest_header_that_is_written_fits),
		cmocka_unit_test(own_connections_say_local),
		cmocka_unit_test(header_to_nobody_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
