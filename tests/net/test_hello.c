/*
 * ClientHellos: what they ask for, however they are cut; and what is none.
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

#include "net/hello.h"

/* ------------------------------------------------------ a hello, written */

/* Bytes under construction; `open` are vectors whose length is not known. */
struct text {
	unsigned char bytes[HELLO_WIRE_MAX * 2];
	size_t len;
};

static void
put(struct text *t, unsigned n, size_t value)
{
	while (n-- > 0)
		t->bytes[t->len++] = (unsigned char)(value >> 8 * n);
}

static void
put_bytes(struct text *t, const void *bytes, size_t n)
{
	memcpy(t->bytes + t->len, bytes, n);
	t->len += n;
}

static void
put_zeros(struct text *t, size_t n)
{
	memset(t->bytes + t->len, 0, n);
	t->len += n;
}

/* Place for a length of n bytes; closed with what has been put since. */
static size_t
begin(struct text *t, unsigned n)
{
	put(t, n, 0);
	return t->len;
}

static void
end(struct text *t, unsigned n, size_t at)
{
	size_t len = t->len;

	t->len = at - n;
	put(t, n, len - at);
	t->len = len;
}

/* What a test wants of a hello; zeroed: none of it. */
struct wish {
	const char *name;               /* of SNI */
	const char *name2;              /* a second one */
	unsigned name_type2;
	const char *alpn;               /* with a byte of length before each */
	size_t key_share;               /* bytes */
	size_t session_id;
	bool no_extensions, grease;
	unsigned twice;                 /* an extension that is there twice */
};

static void
put_server_name(struct text *t, const struct wish *w)
{
	size_t ext, list, name;

	put(t, 2, 0);
	ext = begin(t, 2);
	list = begin(t, 2);
	put(t, 1, 0);
	name = begin(t, 2);
	put_bytes(t, w->name, strlen(w->name));
	end(t, 2, name);
	if (w->name2 != NULL) {
		put(t, 1, w->name_type2);
		name = begin(t, 2);
		put_bytes(t, w->name2, strlen(w->name2));
		end(t, 2, name);
	}
	end(t, 2, list);
	end(t, 2, ext);
}

static void
put_extensions(struct text *t, const struct wish *w)
{
	size_t all = begin(t, 2), ext, list;

	if (w->grease) {
		put(t, 2, 0x3a3a);
		put(t, 2, 0);
	}
	if (w->key_share > 0) {
		put(t, 2, 51);
		ext = begin(t, 2);
		list = begin(t, 2);
		put(t, 2, 0x11ec);
		put(t, 2, w->key_share);
		put_zeros(t, w->key_share);
		end(t, 2, list);
		end(t, 2, ext);
	}
	if (w->name != NULL)
		put_server_name(t, w);
	if (w->alpn != NULL) {
		put(t, 2, 16);
		ext = begin(t, 2);
		list = begin(t, 2);
		put_bytes(t, w->alpn, strlen(w->alpn));
		end(t, 2, list);
		end(t, 2, ext);
	}
	put(t, 2, 43);
	put(t, 2, 3);
	put_bytes(t, "\x02\x03\x04", 3);
	if (w->twice != 0) {
		put(t, 2, w->twice);
		put(t, 2, 0);
	}
	if (w->grease) {
		put(t, 2, 0xcaca);
		put(t, 2, 1);
		put(t, 1, 0);
	}
	end(t, 2, all);
}

/* A handshake message. */
static void
put_hello(struct text *t, const struct wish *w)
{
	size_t message;

	t->len = 0;
	put(t, 1, 1);
	message = begin(t, 3);
	put(t, 2, 0x0303);
	put_zeros(t, 32);
	put(t, 1, w->session_id);
	put_zeros(t, w->session_id);
	put(t, 2, 4);
	put_bytes(t, "\x13\x01\xc0\x2f", 4);
	put_bytes(t, "\x01\x00", 2);
	if (!w->no_extensions)
		put_extensions(t, w);
	end(t, 3, message);
}

/* In records with at most `most` bytes of it each. */
static void
put_records(struct text *t, const struct text *message, size_t most)
{
	size_t at, n;

	t->len = 0;
	for (at = 0; at < message->len; at += n) {
		n = message->len - at < most ? message->len - at : most;
		put_bytes(t, "\x16\x03\x01", 3);
		put(t, 2, n);
		put_bytes(t, message->bytes + at, n);
	}
}

/* ------------------------------------------------------------ and read */

static struct block_store blocks;
static struct text message, wire;
static struct hello hello;

/* The verdict on bytes that come in pieces of that size, after a first piece; a
   message that is malformed is BAD, too. Nothing may change behind the end. */
static enum hello_found
found_in_pieces(const void *bytes, size_t len, size_t first, size_t size)
{
	enum hello_found found = HELLO_MORE;
	struct hello_reader r = { 0 };
	struct buf in;
	size_t at = 0;

	buf_init(&in);
	while (at < len && found == HELLO_MORE) {
		size_t n = at == 0 && first > 0 ? first : size;

		n = n > len - at ? len - at : n;
		assert_int_equal(buf_append(&blocks, &in,
		    (const char *)bytes + at, n), 0);
		at += n;
		found = hello_walk(&r, &in);
	}
	if (found == HELLO_WHOLE) {
		assert_int_equal(hello_walk(&r, &in), HELLO_WHOLE);
		if (hello_read(&r, &in, &hello) < 0)
			found = HELLO_BAD;
	}
	buf_clear(&blocks, &in);
	return found;
}

static enum hello_found
found_in(const struct text *t)
{
	return found_in_pieces(t->bytes, t->len, 0, t->len);
}

/* The same of a wish, in one record. */
static enum hello_found
found_for(const struct wish *w)
{
	put_hello(&message, w);
	put_records(&wire, &message, 16384);
	return found_in(&wire);
}

static enum hello_found
found_for_name(const char *name)
{
	return found_for(&(struct wish){ .name = name });
}

static const struct wish usual = {
	.name = "Api.Example.com", .alpn = "\x02h2\x08http/1.1",
	.session_id = 32, .key_share = 1216, .grease = true
};

static void
assert_usual(void)
{
	assert_string_equal(hello.name, "api.example.com");
	assert_true(hello_offers(&hello, "h2"));
	assert_true(hello_offers(&hello, "http/1.1"));
	assert_false(hello_offers(&hello, "http/1.0"));
	assert_false(hello_offers(&hello, "h"));
	assert_false(hello_offers(&hello, ""));
}

static void
hello_is_read_whatever_it_is_cut_into(void **state)
{
	size_t at;

	(void)state;
	put_hello(&message, &usual);
	put_records(&wire, &message, 16384);
	for (at = 1; at < wire.len; at++) {
		assert_int_equal(found_in_pieces(wire.bytes, wire.len, at,
		    wire.len), HELLO_WHOLE);
		assert_usual();
		assert_int_equal(found_in_pieces(wire.bytes, at, 0, at),
		    HELLO_MORE);
	}
	assert_int_equal(found_in_pieces(wire.bytes, wire.len, 0, 1),
	    HELLO_WHOLE);
	assert_usual();
}

static void
message_is_read_from_records_of_any_size(void **state)
{
	size_t most;

	(void)state;
	put_hello(&message, &usual);
	for (most = 1; most <= message.len; most++) {
		put_records(&wire, &message, most);
		assert_int_equal(found_in(&wire), HELLO_WHOLE);
		assert_usual();
		if (most > 8)
			continue;
		assert_int_equal(found_in_pieces(wire.bytes, wire.len, 0, 1),
		    HELLO_WHOLE);
		assert_usual();
	}
}

static void
what_follows_in_other_records_is_left_alone(void **state)
{
	(void)state;
	put_hello(&message, &usual);
	put_records(&wire, &message, 16384);
	put_bytes(&wire, "\x17\x03\x03\x00\x01x", 6);
	assert_int_equal(found_in(&wire), HELLO_WHOLE);
	assert_usual();
}

static void
what_follows_in_the_same_record_is_refused(void **state)
{
	(void)state;
	put_hello(&message, &usual);
	put(&message, 1, 0);
	put_records(&wire, &message, 16384);
	assert_int_equal(found_in(&wire), HELLO_BAD);
	put_records(&wire, &message, 100);
	assert_int_equal(found_in(&wire), HELLO_BAD);
}

static void
large_hello_is_read_up_to_the_limit(void **state)
{
	struct wish w = usual;
	size_t n;

	(void)state;
	w.key_share = 1;
	put_hello(&message, &w);
	n = HELLO_MAX - message.len;
	w.key_share = n + 1;
	put_hello(&message, &w);
	assert_int_equal(message.len, HELLO_MAX);
	put_records(&wire, &message, 1400);
	assert_int_equal(found_in_pieces(wire.bytes, wire.len, 0, 100),
	    HELLO_WHOLE);
	assert_usual();
	w.key_share = n + 2;
	put_hello(&message, &w);
	put_records(&wire, &message, 1400);
	/* At its head already, not when all of it has come. */
	assert_int_equal(found_in_pieces(wire.bytes, 9, 0, 9), HELLO_BAD);
	assert_int_equal(found_in(&wire), HELLO_BAD);
}

/* Six bytes for one: the message is within its limit, the wire is not. */
static void
many_tiny_records_are_too_much(void **state)
{
	struct wish w = { .name = "a.org", .key_share = 4000 };

	(void)state;
	put_hello(&message, &w);
	put_records(&wire, &message, 1);
	assert_true(wire.len < HELLO_WIRE_MAX);
	assert_int_equal(found_in(&wire), HELLO_WHOLE);
	w.key_share = 8000;
	put_hello(&message, &w);
	put_records(&wire, &message, 1);
	assert_int_equal(found_in(&wire), HELLO_BAD);
}

static void
hello_may_have_no_name_and_no_protocols(void **state)
{
	(void)state;
	assert_int_equal(found_for(&(struct wish){ .no_extensions = true }),
	    HELLO_WHOLE);
	assert_string_equal(hello.name, "");
	assert_null(hello.alpn);
	assert_false(hello_offers(&hello, "h2"));
	assert_int_equal(found_for(&(struct wish){ .alpn = "\x02h2" }),
	    HELLO_WHOLE);
	assert_string_equal(hello.name, "");
	assert_true(hello_offers(&hello, "h2"));
}

static void
names_are_those_of_hosts(void **state)
{
	static const char *const good[][2] = {
		{ "a", "a" }, { "localhost", "localhost" },
		{ "WWW.Example.COM", "www.example.com" },
		{ "a-b_c.x1", "a-b_c.x1" }, { "xn--bcher-kva.example",
		    "xn--bcher-kva.example" },
		{ "1.2.3.4.example", "1.2.3.4.example" }, { "4a.4b", "4a.4b" },
		/* No name of RFC 6066, but clear what is meant. */
		{ "example.com.", "example.com" },
		/* No names, which is what is meant. */
		{ "127.0.0.1", "" }, { "10.1", "" }, { "0", "" },
		{ "::1", "" }, { "2001:db8::1", "" },
		{ "::ffff:127.0.0.1", "" }, { "1.2.3.4.", "" }
	};
	static const char *const bad[] = {
		"", ".", "..", ".a", "a..b", "a..", "a b", "a\n", "a/b",
		"a:443", "*.a", "[::1]", "::g", "a@b", "\xc3\xa4.de", "a\x7f"
	};
	char label[70], name[300];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(good); i++) {
		assert_int_equal(found_for_name(good[i][0]), HELLO_WHOLE);
		assert_string_equal(hello.name, good[i][1]);
	}
	for (i = 0; i < NELEMS(bad); i++)
		assert_int_equal(found_for_name(bad[i]), HELLO_BAD);
	memset(label, 'a', sizeof(label));
	snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.61s", label, label,
	    label, label);
	assert_int_equal(strlen(name), HELLO_NAME_MAX);
	assert_int_equal(found_for_name(name), HELLO_WHOLE);
	assert_string_equal(hello.name, name);
	snprintf(name, sizeof(name), "%.63s.%.63s.%.63s.%.62s", label, label,
	    label, label);
	assert_int_equal(found_for_name(name), HELLO_BAD);
	snprintf(name, sizeof(name), "%.64s.org", label);
	assert_int_equal(found_for_name(name), HELLO_BAD);
	assert_int_equal(hello_name("a\0b", 3, name), -1);
	assert_int_equal(hello_name("::1\0", 4, name), -1);
}

static void
second_name_must_be_of_another_type(void **state)
{
	struct wish w = { .name = "a.org", .name2 = "b.org" };

	(void)state;
	assert_int_equal(found_for(&w), HELLO_BAD);
	w.name_type2 = 7;
	assert_int_equal(found_for(&w), HELLO_WHOLE);
	assert_string_equal(hello.name, "a.org");
}

static void
extension_that_comes_twice_is_refused(void **state)
{
	static const unsigned types[] = { 0xcaca, 43, 16, 51, 0x3a3a };
	struct wish w = usual;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(types); i++) {
		w.twice = types[i];
		assert_int_equal(found_for(&w), HELLO_BAD);
	}
	w.twice = 0x5a5a;
	assert_int_equal(found_for(&w), HELLO_WHOLE);
}

static void
protocols_have_names_of_one_byte_at_least(void **state)
{
	static const struct { const char *list; size_t len; bool good; } t[] = {
		{ "", 0, false }, { "\0", 1, false }, { "\x01", 1, false },
		{ "\x01h", 2, true }, { "\x02h2\0", 4, false },
		{ "\x02h2\x05http", 8, false }, { "\x02h2\x01", 4, false }
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(t); i++) {
		struct wish w = { .no_extensions = true };
		size_t all, ext, list;

		put_hello(&message, &w);
		all = begin(&message, 2);
		put(&message, 2, 16);
		ext = begin(&message, 2);
		list = begin(&message, 2);
		put_bytes(&message, t[i].list, t[i].len);
		end(&message, 2, list);
		end(&message, 2, ext);
		end(&message, 2, all);
		end(&message, 3, 4);
		put_records(&wire, &message, 16384);
		assert_int_equal(found_in(&wire), t[i].good ? HELLO_WHOLE :
		    HELLO_BAD);
	}
}

/* Each byte that is a length, one more and one less: never whole. */
static void
lengths_that_do_not_fit_are_refused(void **state)
{
	struct wish w = { .name = "a.org", .alpn = "\x02h2",
	    .session_id = 32 };
	static const size_t lengths[] = {
		3,              /* the message */
		38,             /* session id */
		72,             /* cipher suites */
		77,             /* compression */
		80,             /* extensions */
		84, 86, 89,     /* SNI: the extension, the list, the name */
		98, 100, 101    /* ALPN likewise */
	};
	size_t i;

	(void)state;
	put_hello(&message, &w);
	put_records(&wire, &message, 16384);
	assert_int_equal(found_in(&wire), HELLO_WHOLE);
	assert_int_equal(wire.bytes[5 + 89], 5);
	assert_int_equal(wire.bytes[5 + 101], 2);
	for (i = 0; i < NELEMS(lengths); i++) {
		wire.bytes[5 + lengths[i]]++;
		assert_int_not_equal(found_in(&wire), HELLO_WHOLE);
		wire.bytes[5 + lengths[i]] -= 2;
		assert_int_not_equal(found_in(&wire), HELLO_WHOLE);
		wire.bytes[5 + lengths[i]]++;
	}
	/* Every truncation that says that it is one. */
	for (i = message.len - 1; i > 4; i--) {
		message.len = i;
		end(&message, 3, 4);
		put_records(&wire, &message, 16384);
		/* But just before the extensions. */
		assert_int_equal(found_in(&wire), i == 79 ? HELLO_WHOLE :
		    HELLO_BAD);
	}
}

static void
session_id_has_32_bytes_at_most(void **state)
{
	(void)state;
	assert_int_equal(found_for(&(struct wish){ .session_id = 32 }),
	    HELLO_WHOLE);
	assert_int_equal(found_for(&(struct wish){ .session_id = 33 }),
	    HELLO_BAD);
}

static void
records_must_be_of_a_handshake_and_not_empty(void **state)
{
	static const struct { const char *bytes; size_t len; } bad[] = {
		{ "\x16\x03\x01\x00\x00", 5 },
		{ "\x16\x03\x01\x40\x01", 5 },
		{ "\x16\x03\x01\x00\x01\x02", 6 },      /* a ServerHello */
		{ "\x16\x03\x01\x00\x01\x01\x15", 7 },  /* then an alert */
		{ "\x16\x03\x01\x00\x01\x01\x16\x02", 8 },
		{ "\x16\x03\x01\x00\x01\x01\x16\x03\x05", 9 },
		{ "\x16\x03\x01\x00\x01\x01\x16\x03\x03\x00\x00", 11 }
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++) {
		assert_int_equal(found_in_pieces(bad[i].bytes, bad[i].len, 0,
		    bad[i].len), HELLO_BAD);
		assert_int_equal(found_in_pieces(bad[i].bytes, bad[i].len, 0,
		    1), HELLO_BAD);
		assert_int_equal(found_in_pieces(bad[i].bytes, bad[i].len - 1,
		    0, 1), HELLO_MORE);
	}
}

/* The last byte of each is the first that says so. */
static void
what_is_no_tls_is_told_at_once(void **state)
{
	static const struct { const char *bytes; size_t len; } other[] = {
		{ "G", 1 }, { "\x16\x02", 2 }, { "\x16G", 2 },
		{ "\x16\x03\x05", 3 }, { "\x15", 1 }, { "\0", 1 },
		{ "\x80", 1 }           /* SSLv2: 80 2e 01 00 02 ... */
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(other); i++) {
		assert_int_equal(found_in_pieces(other[i].bytes, other[i].len,
		    0, 1), HELLO_NOT_TLS);
		if (other[i].len > 1)
			assert_int_equal(found_in_pieces(other[i].bytes,
			    other[i].len - 1, 0, 1), HELLO_MORE);
	}
}

static void
first_bytes_tell_what_is_spoken(void **state)
{
	static const struct {
		const char *bytes; size_t len; enum hello_kind kind;
	} t[] = {
		{ "", 0, HELLO_KIND_MORE },
		{ "\x16", 1, HELLO_KIND_MORE },
		{ "\x16\x03\x01\x7f\xff", 5, HELLO_KIND_MORE },
		{ "\x16\x03\x01\x02\x00\x01", 6, HELLO_KIND_TLS },
		{ "\x16\x03\x00\x02\x00\x01\xfc", 7, HELLO_KIND_TLS },
		{ "\x16\x03\x04\x02\x00\x01", 6, HELLO_KIND_TLS },
		{ "\x16\x03\x01\x02\x00\x02", 6, HELLO_KIND_OTHER },
		{ "\x16\x03\x05", 3, HELLO_KIND_OTHER },
		{ "\x16\x04", 2, HELLO_KIND_OTHER },
		{ "\x15\x03\x01", 3, HELLO_KIND_OTHER },
		{ "\x80\x2e\x01\x03\x01", 5, HELLO_KIND_OTHER },
		{ "G", 1, HELLO_KIND_MORE }, { "GET ", 4, HELLO_KIND_MORE },
		{ "GET /", 5, HELLO_KIND_HTTP },
		{ "GET k", 5, HELLO_KIND_OTHER },       /* Redis, inline */
		{ "GETX", 4, HELLO_KIND_OTHER },
		{ "get /", 5, HELLO_KIND_OTHER },
		{ "P", 1, HELLO_KIND_MORE }, { "PATCH /", 7, HELLO_KIND_HTTP },
		{ "POST /x", 7, HELLO_KIND_HTTP },
		{ "PUT /", 5, HELLO_KIND_HTTP },
		{ "PING\r\n", 6, HELLO_KIND_OTHER },
		{ "OPTIONS *", 9, HELLO_KIND_HTTP },
		{ "CONNECT a:1", 11, HELLO_KIND_HTTP },
		{ "PRI * HTTP/2.0\r\n", 16, HELLO_KIND_HTTP },
		{ "PROXY TCP4", 10, HELLO_KIND_OTHER },
		{ "SSH-2.0", 7, HELLO_KIND_OTHER },
		{ "\0\0\0\x08\x04\xd2\x16\x2f", 8, HELLO_KIND_OTHER }
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(t); i++) {
		/* A copy, so that nothing behind it can be looked at. */
		char *copy = malloc(t[i].len + 1);

		assert_non_null(copy);
		memcpy(copy + 1, t[i].bytes, t[i].len);
		assert_int_equal(hello_kind(copy + 1, t[i].len), t[i].kind);
		free(copy);
	}
}

static void
alert_is_a_record_of_seven_bytes(void **state)
{
	char out[HELLO_ALERT_LEN];

	(void)state;
	hello_alert(HELLO_ALERT_UNRECOGNIZED_NAME, out);
	assert_memory_equal(out, "\x15\x03\x01\x00\x02\x02\x70", sizeof(out));
}

static int
make_blocks(void **state)
{
	(void)state;
	block_store_init(&blocks);
	return 0;
}

static int
drop_blocks(void **state)
{
	(void)state;
	block_store_fini(&blocks);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is_read_whatever_it_is_cut_into),
		cmocka_unit_test(message_is_read_from_records_of_any_size),
		cmocka_unit_test(what_follows_in_other_records_is_left_alone),
		cmocka_unit_test(what_follows_in_the_same_record_is_refused),
		cmocka_unit_test(large_hello_is_read_up_to_the_limit),
		cmocka_unit_test(many_tiny_records_are_too_much),
		cmocka_unit_test(hello_may_have_no_name_and_no_protocols),
		cmocka_unit_test(names_are_those_of_hosts),
		cmocka_unit_test(second_name_must_be_of_another_type),
		cmocka_unit_test(extension_that_comes_twice_is_refused),
		cmocka_unit_test(protocols_have_names_of_one_byte_at_least),
		cmocka_unit_test(lengths_that_do_not_fit_are_refused),
		cmocka_unit_test(session_id_has_32_bytes_at_most),
		cmocka_unit_test(records_must_be_of_a_handshake_and_not_empty),
		cmocka_unit_test(what_is_no_tls_is_told_at_once),
		cmocka_unit_test(first_bytes_tell_what_is_spoken),
		cmocka_unit_test(alert_is_a_record_of_seven_bytes)
	};

	return cmocka_run_group_tests(tests, make_blocks, drop_blocks);
}
