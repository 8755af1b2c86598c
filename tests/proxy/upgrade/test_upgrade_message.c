/*
 * proxy/upgrade_message: a packet is what its head says, to the byte and to the
 * descriptor, or nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_message.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned char *packet;
static size_t len;

static int
make(void **state)
{
	json_t *j = json_pack("{s:s,s:s,s:i,s:I}", "is", "connection",
	    "upstream", "app", "uses", 7, "large", (json_int_t)1 << 40);

	(void)state;
	packet = message_make(j, "raw!", 4, 2, &len);
	assert_non_null(packet);
	json_decref(j);
	return 0;
}

static int
unmake(void **state)
{
	(void)state;
	free(packet);
	return 0;
}

/* A copy in memory of exactly its size, so that reading beyond is noticed. */
static enum parse
parse(const void *bytes, size_t n, size_t n_fds, struct message *m)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);
	enum parse got;

	memcpy(copy, bytes, n);
	got = message_parse(copy, n, n_fds, m);
	if (got == PARSE_DONE)
		message_fini(m);
	free(copy);
	return got;
}

static void
put32(size_t at, uint32_t n)
{
	memcpy(packet + at, &n, sizeof(n));
}

static void
what_was_made_is_read(void **state)
{
	struct message m;

	(void)state;
	assert_int_equal(message_parse(packet, len, 2, &m), PARSE_DONE);
	assert_string_equal(m.is, "connection");
	assert_string_equal(message_text(&m, "upstream"), "app");
	assert_int_equal(message_number(&m, "uses", 0, 10, 0), 7);
	assert_int_equal(m.raw_len, 4);
	assert_memory_equal(m.raw, "raw!", 4);
	assert_int_equal(m.n_fds, 2);
	message_fini(&m);
}

static void
what_is_missing_or_of_another_kind_has_its_default(void **state)
{
	struct message m;

	(void)state;
	assert_int_equal(message_parse(packet, len, 2, &m), PARSE_DONE);
	assert_string_equal(message_text(&m, "nothing"), "");
	assert_string_equal(message_text(&m, "uses"), "");
	assert_int_equal(message_number(&m, "nothing", 0, 10, 3), 3);
	assert_int_equal(message_number(&m, "upstream", 0, 10, 4), 4);
	assert_int_equal(message_number(&m, "large", 0, 10, 0), 10);
	assert_int_equal(message_number(&m, "uses", 8, 10, 0), 8);
	message_fini(&m);
}

static void
what_was_promised_is_known_without_what_was_lost(void **state)
{
	(void)state;
	assert_int_equal(message_promised(packet, len), 2);
	assert_int_equal(message_promised(packet, MESSAGE_HEAD - 1), 0);
	put32(4, MESSAGE_FDS_MOST + 1);
	assert_int_equal(message_promised(packet, len), 0);
	put32(4, 2);
	packet[0] ^= 1;
	assert_int_equal(message_promised(packet, len), 0);
}

static void
any_part_of_it_is_none(void **state)
{
	struct message m;
	size_t n;

	(void)state;
	for (n = 0; n < len; n++)
		assert_int_equal(parse(packet, n, 2, &m), PARSE_BAD);
}

static void
more_than_it_says_is_none(void **state)
{
	unsigned char *more = malloc(len + 1);
	struct message m;

	(void)state;
	memcpy(more, packet, len);
	more[len] = 'x';
	assert_int_equal(parse(more, len + 1, 2, &m), PARSE_BAD);
	free(more);
}

static void
lengths_that_lie_are_refused(void **state)
{
	static const uint32_t lies[] = { 0, 1, 0x7fffffff, 0x80000000,
		0xffffffff, 0xfffffff0 };
	uint32_t text, raw, fds;
	struct message m;
	size_t i;

	(void)state;
	memcpy(&fds, packet + 4, 4);
	memcpy(&text, packet + 8, 4);
	memcpy(&raw, packet + 12, 4);
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		put32(8, lies[i]);
		assert_int_equal(parse(packet, len, 2, &m), PARSE_BAD);
		put32(8, text);
		put32(12, lies[i]);
		assert_int_equal(parse(packet, len, 2, &m), PARSE_BAD);
		/* Both, so that the sum is right again. */
		put32(8, lies[i]);
		put32(12, text + raw - lies[i]);
		assert_int_equal(parse(packet, len, 2, &m), PARSE_BAD);
		put32(8, text);
		put32(12, raw);
		put32(4, lies[i]);
		assert_int_equal(parse(packet, len, 2, &m), PARSE_BAD);
		put32(4, fds);
	}
	assert_int_equal(parse(packet, len, 2, &m), PARSE_DONE);
}

static void
descriptors_have_to_be_those_that_were_promised(void **state)
{
	struct message m;

	(void)state;
	assert_int_equal(parse(packet, len, 1, &m), PARSE_BAD);
	assert_int_equal(parse(packet, len, 3, &m), PARSE_BAD);
	put32(4, MESSAGE_FDS_MOST + 1);
	assert_int_equal(parse(packet, len, MESSAGE_FDS_MOST + 1, &m),
	    PARSE_BAD);
}

static void
what_is_no_object_with_is_is_refused(void **state)
{
	static const char *const texts[] = { "[]", "{}", "{\"is\":1}",
		"{\"is\":null}", "{\"is\":\"a\"", "{\"is\":\"a\",\"is\":\"b\"}",
		"{\"is\":\"\\u0000\"}", "\"is\"", "" };
	unsigned char other[MESSAGE_HEAD + 64];
	struct message m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint32_t n = (uint32_t)strlen(texts[i]), none = 0;

		memcpy(other, packet, 4);
		memcpy(other + 4, &none, 4);
		memcpy(other + 8, &n, 4);
		memcpy(other + 12, &none, 4);
		memcpy(other + MESSAGE_HEAD, texts[i], n);
		assert_int_equal(parse(other, MESSAGE_HEAD + n, 0, &m),
		    PARSE_BAD);
	}
}

static void
another_magic_is_refused(void **state)
{
	struct message m;

	(void)state;
	packet[3]++;
	assert_int_equal(parse(packet, len, 2, &m), PARSE_BAD);
}

static void
addresses_are_read_or_refused(void **state)
{
	static const char *const bad[] = { "", "1.2.3.4", "host:80", "[::1]",
		"1.2.3.4:65536", "unix:", ":80" };
	char text[ADDR_TEXT_MAX];
	struct addr a;
	size_t i;

	(void)state;
	assert_int_equal(message_addr("[::1]:8080", &a), 0);
	assert_string_equal(addr_print(&a, text), "[::1]:8080");
	assert_int_equal(message_addr("unix:/run/a.sock", &a), 0);
	assert_string_equal(addr_print(&a, text), "unix:/run/a.sock");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(message_addr(bad[i], &a), -1);
}

static void
bound_addresses_are_as_long_as_their_family(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct message m = { 0 };
	struct addr a, b;

	(void)state;
	assert_int_equal(message_addr("[fe80::1]:80", &a), 0);
	((struct sockaddr_in6 *)&a.ss)->sin6_scope_id = 7;
	m.raw = (const unsigned char *)&a.ss;
	m.raw_len = a.len;
	assert_int_equal(message_bound_addr(&m, &b), 0);
	assert_int_equal(((struct sockaddr_in6 *)&b.ss)->sin6_scope_id,
	    7);
	assert_int_equal(b.len, a.len);
	assert_string_equal(addr_print(&b, text), "[fe80::1]:80");
	m.raw_len--;
	assert_int_equal(message_bound_addr(&m, &b), -1);
	m.raw_len = sizeof(a.ss);
	assert_int_equal(message_bound_addr(&m, &b), -1);
	m.raw_len = 1;
	assert_int_equal(message_bound_addr(&m, &b), -1);
	a.sa.sa_family = AF_NETLINK;
	m.raw_len = a.len;
	assert_int_equal(message_bound_addr(&m, &b), -1);
}

static void
nothing_too_large_is_made(void **state)
{
	json_t *j = json_pack("{s:s}", "is", "x");
	char *raw = calloc(1, MESSAGE_MOST);
	size_t n;

	(void)state;
	assert_null(message_make(j, raw, MESSAGE_MOST, 0, &n));
	assert_null(message_make(j, raw, 1, MESSAGE_FDS_MOST + 1, &n));
	free(raw);
	json_decref(j);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_made_is_read),
		TEST(what_is_missing_or_of_another_kind_has_its_default),
		TEST(what_was_promised_is_known_without_what_was_lost),
		TEST(any_part_of_it_is_none),
		TEST(more_than_it_says_is_none),
		TEST(lengths_that_lie_are_refused),
		TEST(descriptors_have_to_be_those_that_were_promised),
		TEST(what_is_no_object_with_is_is_refused),
		TEST(another_magic_is_refused),
		TEST(addresses_are_read_or_refused),
		TEST(bound_addresses_are_as_long_as_their_family),
		TEST(nothing_too_large_is_made)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
