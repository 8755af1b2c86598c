/*
 * memcached's requests: each row is read whole, split at every byte and byte
 * by byte with one result; what is written of it for the upstream is read
 * again as a loud request for the same; and a get is split and joined.
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

#include "proxy/proto/memcached/keys.h"
#include "proxy/proto/memcached/write.h"

#define FORMAT "CLIENT_ERROR bad command line format\r\n"
#define CHUNK "CLIENT_ERROR bad data chunk\r\n"
#define K50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50
#define BYTES(text) text, sizeof(text) - 1
/* A binary header. */
#define HEAD(op, key, ext, body) \
	"\x80" op "\0" key ext "\0\0\0" "\0\0\0" body "opaq" \
	"\0\0\0\0\0\0\0\0"

struct row {
	const char *bytes;
	size_t len;
	enum parse verdict;
	size_t size;                    /* 0 = all */
	enum memcached_command command;
	enum memcached_quiet quiet;
	size_t value;
	const char *key;                /* NULL = none */
	const char *error;
	const char *sent;               /* NULL = the head as it came */
};

#define DONE(text, command, value, key) \
	{ BYTES(text), PARSE_DONE, 0, MEMCACHED_##command, MEMCACHED_LOUD, \
	    value, key, NULL, NULL }
#define REST(text, size, command, value, key) \
	{ BYTES(text), PARSE_DONE, size, MEMCACHED_##command, MEMCACHED_LOUD, \
	    value, key, NULL, NULL }
#define SENT(text, command, quiet, value, key, sent) \
	{ BYTES(text), PARSE_DONE, 0, MEMCACHED_##command, \
	    MEMCACHED_##quiet, value, key, NULL, sent }
#define FAIL(text, size, verdict, error) \
	{ BYTES(text), PARSE_##verdict, size, 0, 0, 0, NULL, error, NULL }
#define MORE(text) \
	{ BYTES(text), PARSE_MORE, 0, 0, 0, 0, NULL, NULL, NULL }

static const struct row rows[] = {
	DONE("get a\r\n", GET, 0, "a"),
	DONE("get " K250 " b\r\n", GET, 0, K250),
	DONE("gets a b c\r\n", GETS, 0, "a"),
	DONE("gat 10 a b\r\n", GAT, 0, "a"),
	DONE("gats -1 a\r\n", GATS, 0, "a"),
	DONE("set a 1 0 3\r\nabc\r\n", SET, 3, "a"),
	DONE("set a 4294967295 -1 0\r\n\r\n", SET, 0, "a"),
	DONE("add a 0 0 5\r\nEND\r\n\r\n", ADD, 5, "a"),
	DONE("cas a 0 0 1 18446744073709551615\r\nx\r\n", CAS, 1, "a"),
	REST("set a 0 0 3\r\nabc\r\nget b\r\n", 18, SET, 3, "a"),
	REST("get a\r\nget b\r\n", 7, GET, 0, "a"),
	DONE("delete a\r\n", DELETE, 0, "a"),
	DONE("delete noreply\r\n", DELETE, 0, "noreply"),
	DONE("incr a 1\r\n", INCR, 0, "a"),
	DONE("touch a 0\r\n", TOUCH, 0, "a"),
	DONE("mg a v k\r\n", MG, 0, "a"),
	DONE("ms a 3 T0\r\nabc\r\n", MS, 3, "a"),
	DONE("md a\r\n", MD, 0, "a"),
	DONE("ma a N0\r\n", MA, 0, "a"),
	DONE("me a\r\n", ME, 0, "a"),
	DONE("mn\r\n", MN, 0, NULL),
	DONE("version\r\n", VERSION, 0, NULL),
	DONE("quit\r\n", QUIT, 0, NULL),
	DONE("stats\r\n", STATS, 0, NULL),
	DONE("stats items\r\n", STATS, 0, NULL),
	DONE("flush_all\r\n", FLUSH_ALL, 0, NULL),
	/* quiet ones and odd spacing are written anew */
	SENT("set a 0 0 1 noreply\r\nx\r\n", SET, NOREPLY, 1, "a",
	    "set a 0 0 1\r\n"),
	SENT("cas a 0 0 1 7 noreply\r\nx\r\n", CAS, NOREPLY, 1, "a",
	    "cas a 0 0 1 7\r\n"),
	SENT("delete a noreply\r\n", DELETE, NOREPLY, 0, "a",
	    "delete a\r\n"),
	SENT("delete a 0 noreply\r\n", DELETE, NOREPLY, 0, "a",
	    "delete a 0\r\n"),
	SENT("delete noreply noreply\r\n", DELETE, NOREPLY, 0, "noreply",
	    "delete noreply\r\n"),
	SENT("incr a 5 noreply\r\n", INCR, NOREPLY, 0, "a", "incr a 5\r\n"),
	SENT("touch a 5 noreply\r\n", TOUCH, NOREPLY, 0, "a",
	    "touch a 5\r\n"),
	SENT("flush_all noreply\r\n", FLUSH_ALL, NOREPLY, 0, NULL,
	    "flush_all\r\n"),
	SENT("verbosity 1 noreply\r\n", VERBOSITY, NOREPLY, 0, NULL,
	    "verbosity 1\r\n"),
	SENT("slabs automove 1 noreply\r\n", SLABS, NOREPLY, 0, NULL,
	    "slabs automove 1\r\n"),
	DONE("slabs reassign 1 noreply\r\n", SLABS, 0, NULL),
	SENT("mg a v q k\r\n", MG, NO_EN, 0, "a", "mg a v k\r\n"),
	SENT("mg q q\r\n", MG, NO_EN, 0, "q", "mg q\r\n"),
	SENT("ms a 1 q\r\nx\r\n", MS, NO_HD, 1, "a", "ms a 1\r\n"),
	SENT("md a q\r\n", MD, NO_HD, 0, "a", "md a\r\n"),
	SENT("ma a qx v\r\n", MA, NO_HD_VA, 0, "a", "ma a v\r\n"),
	SENT(" get  a   b \r\n", GET, LOUD, 0, "a", "get a b\r\n"),
	SENT("get a\n", GET, LOUD, 0, "a", "get a\r\n"),
	SENT("set a 0 0 1\nx\r\n", SET, LOUD, 1, "a", "set a 0 0 1\r\n"),
	/* what memcached answers itself, and goes on */
	FAIL("\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("\n", 0, DONE, "ERROR\r\n"),
	FAIL("x\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("GET a\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("get\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("get a" K250 "\r\n", 0, DONE, FORMAT),
	FAIL("get a a" K250 " b\r\n", 0, DONE, FORMAT),
	FAIL("gat x a\r\n", 0, DONE,
	    "CLIENT_ERROR invalid exptime argument\r\n"),
	FAIL("set a 0 0\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("set a 0 0 1 2 3\r\n", 0, DONE, "ERROR\r\n"),
	FAIL("set a 0 0 -1\r\nx", 14, DONE, FORMAT),
	FAIL("set a 0 0 2147483646\r\nx", 22, DONE, FORMAT),
	FAIL("set a 0 0 4294967295\r\nx", 22, DONE, FORMAT),
	FAIL("set a 0 0 3x\r\nabc\r\n", 14, DONE, FORMAT),
	FAIL("set a x 0 3\r\nabc\r\n", 13, DONE, FORMAT),
	FAIL("set a x 0 3 noreply\r\nabc\r\n", 21, DONE, ""),
	FAIL("set a" K250 " 0 0 1\r\nx\r\n", 263, DONE, FORMAT),
	FAIL("cas a 0 0 1 x\r\nx\r\n", 15, DONE, FORMAT),
	FAIL("ms a\r\n", 0, DONE, FORMAT),
	FAIL("ms a S1\r\nx\r\n", 9, DONE, FORMAT),
	FAIL("mg a q q\r\n", 0, DONE, "CLIENT_ERROR duplicate flag\r\n"),
	FAIL("md a q qq\r\n", 0, DONE,
	    "CLIENT_ERROR invalid or duplicate flag\r\n"),
	FAIL("mg a 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8\r\n", 0, DONE,
	    "CLIENT_ERROR options flags are too long\r\n"),
	FAIL("touch a noreply\r\n", 0, DONE, ""),
	FAIL("verbosity noreply\r\n", 0, DONE, ""),
	/* the first would be one to the upstream */
	FAIL("touch a noreply noreply\r\n", 0, DONE, ""),
	FAIL("incr a noreply noreply\r\n", 0, DONE, ""),
	FAIL("delete a noreply noreply\r\n", 0, DONE, ""),
	FAIL("flush_all noreply noreply\r\n", 0, DONE, ""),
	FAIL("lru x y noreply noreply\r\n", 0, DONE, ""),
	FAIL("slabs automove noreply noreply\r\n", 0, DONE, ""),
	FAIL("set a 0 0 noreply\r\n", 0, DONE, ""),
	FAIL("set a 0 0 3\r\nabcd\r\n", 18, DONE, CHUNK),
	FAIL("set a 0 0 3\r\nabc\n\r", 18, DONE, CHUNK),
	FAIL("set a 0 0 3 noreply\r\nabcd\r\n", 26, DONE, ""),
	FAIL("ms a 3 q\r\nabcd\r\n", 15, DONE, CHUNK),
	FAIL("watch\r\n", 0, DONE,
	    "CLIENT_ERROR watch commands not allowed\r\n"),
	FAIL("shutdown graceful\r\n", 0, DONE,
	    "ERROR: shutdown not enabled\r\n"),
	/* swallowed with the value */
	FAIL("ms a 3 q q\r\nabc\r\nget", 17, DONE,
	    "CLIENT_ERROR duplicate flag\r\n"),
	FAIL("set a 0 0 3 norepl\r\nabc\r\nget", 25, DONE, FORMAT),
	FAIL("set a 4294967296 0 3\r\nabc\r\nget", 27, DONE, FORMAT),
	FAIL("set a 0 +1 3\r\nabc\r\nget", 19, DONE, FORMAT),
	/* nobody can tell where the next one begins */
	FAIL("set a 0 0 4294967299\r\n", 0, BAD, FORMAT),
	FAIL("set a 0 0 +3\r\n", 0, BAD, FORMAT),
	FAIL("set a 0 0 -0\r\n", 0, BAD, FORMAT),
	FAIL("set a 0 0 00000000000000000000000000003\r\n", 0, BAD, FORMAT),
	FAIL("ms a +3\r\n", 0, BAD, FORMAT),
	FAIL("set a 0 0 3\0\r\n", 0, BAD, FORMAT),
	FAIL("set a\tb 0 0 3\r\n", 0, BAD, FORMAT),
	FAIL("ms a\rb 3\r\n", 0, BAD, FORMAT),
	FAIL("get a\0b\r\n", 0, DONE, FORMAT),
	FAIL("get a\rb\r\n", 0, DONE, FORMAT),
	FAIL("get a\r\r\n", 0, DONE, FORMAT),
	FAIL("GET / HTTP/1.1\r\n", 0, BAD, ""),
	/* not whole */
	MORE("get a"), MORE("get a\r"), MORE("set a 0 0 3\r\nabc"),
	MORE("set a 0 0 3\r\nabc\r"), MORE("\x80"),
	/* binary */
	DONE(HEAD("\0", "\1", "\0", "\1") "a", GET, 0, "a"),
	SENT(HEAD("\x0d", "\1", "\0", "\1") "a", GET, NO_MISS, 0, "a",
	    "\x80\x0c"),
	SENT(HEAD("\x11", "\1", "\x08", "\x0c") "12345678" "abcd", SET,
	    NO_SUCCESS, 3, "a", "\x80\1"),
	REST(HEAD("\1", "\1", "\x08", "\x09") "12345678a" "\x80", 33, SET, 0,
	    "a"),
	DONE(HEAD("\x0a", "\0", "\0", "\0"), NOOP, 0, NULL),
	DONE(HEAD("\x10", "\2", "\0", "\2") "ab", STATS, 0, NULL),
	DONE(HEAD("\x08", "\0", "\4", "\4") "1234", FLUSH_ALL, 0, NULL),
	FAIL(HEAD("\x99", "\1", "\0", "\3") "abc" "\x80", 27, DONE,
	    "Unknown command"),
	FAIL(HEAD("\x20", "\0", "\0", "\0"), 0, DONE, "Unknown command"),
	FAIL(HEAD("\0", "\0", "\0", "\0"), 0, BAD, "Invalid arguments"),
	FAIL(HEAD("\0", "\1", "\0", "\2"), 0, BAD, "Invalid arguments"),
	FAIL(HEAD("\x1c", "\1", "\4", "\6"), 0, BAD, "Invalid arguments"),
	FAIL(HEAD("\0", "\2", "\0", "\1"), 0, BAD, "Unknown command"),
	FAIL(HEAD("\0", "\xfb", "\0", "\xfb"), 0, BAD, "Invalid arguments"),
	MORE(HEAD("\0", "\1", "\0", "\1")),
};

/* Feed the first bytes together, then all others or one by one, each piece a
   copy of its own. */
static enum parse
feed(struct memcached_request *r, const char *bytes, size_t len, size_t first,
    bool bytewise)
{
	enum parse got = PARSE_MORE;
	size_t at = 0, used;

	memcached_request_init(r, MEMCACHED_UNTOLD);
	while (got == PARSE_MORE && at < len) {
		size_t n = at < first ? first - at : bytewise ? 1 : len - at;
		char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, bytes + at, n);
		got = memcached_request_feed(r, copy, n, &used);
		free(copy);
		assert_true(used <= n);
		if (got == PARSE_MORE)
			assert_int_equal(used, n);
		at += used;
	}
	if (got == PARSE_DONE)
		assert_int_equal(r->size, at);
	return got;
}

static bool
sent_is(const struct row *c, const struct memcached_request *r)
{
	char out[4096];
	size_t len;

	if (c->sent == NULL || c->error != NULL)
		return c->error != NULL || !r->rewrite;
	if (!r->rewrite)
		return false;
	len = memcached_head_write(r, c->bytes, out);
	if (r->wire == MEMCACHED_BINARY)
		return len == 24 && memcmp(out, c->sent, 2) == 0 &&
		    memcmp(out + 2, c->bytes + 2, 22) == 0;
	return len == strlen(c->sent) && memcmp(out, c->sent, len) == 0;
}

static const char *
mismatch(const struct row *c, const struct memcached_request *r,
    enum parse got)
{
	if (got != c->verdict)
		return "verdict";
	if (got == PARSE_DONE && r->size != (c->size > 0 ? c->size : c->len))
		return "size";
	if ((r->error == NULL) != (c->error == NULL))
		return r->error != NULL ? r->error : "no error";
	if (c->error != NULL)
		return strcmp(c->error, r->error) == 0 ? NULL : r->error;
	if (got != PARSE_DONE)
		return NULL;
	if (r->head + r->body != r->size)
		return "body";
	if (r->command != c->command)
		return "command";
	if (r->quiet != c->quiet)
		return "quiet";
	if (r->value != c->value)
		return "value";
	if ((c->key == NULL) != (r->keys == 0))
		return "keys";
	if (c->key != NULL && (r->key.len != strlen(c->key) ||
	    memcmp(c->bytes + r->key.at, c->key, r->key.len) != 0))
		return "key";
	return sent_is(c, r) ? NULL : "sent";
}

static void
check_row(const struct row *c, size_t first, bool bytewise)
{
	struct memcached_request r;
	enum parse got = feed(&r, c->bytes, c->len, first, bytewise);
	const char *what = mismatch(c, &r, got);

	if (what != NULL)
		fail_msg("row %d, \"%.40s\": %s (first %zu)",
		    (int)(c - rows), c->bytes, what, first);
}

static void
every_row_is_read_as_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++)
		check_row(&rows[i], rows[i].len, false);
}

static void
every_row_split_anywhere_is_read_alike(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++)
		for (size_t at = 1; at < rows[i].len; at++)
			check_row(&rows[i], at, false);
}

static void
every_row_byte_by_byte_is_read_alike(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++)
		check_row(&rows[i], 0, true);
}

/* So that each has exactly one reply. */
static void
what_is_sent_is_loud_and_asks_the_same(void **state)
{
	struct memcached_request r, again;
	char out[4096];
	size_t len;

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		const struct row *c = &rows[i];

		if (feed(&r, c->bytes, c->len, c->len, false) != PARSE_DONE ||
		    r.error != NULL)
			continue;
		len = memcached_head_write(&r, c->bytes, out);
		assert_true(len <= r.head + 1);
		memcpy(out + len, c->bytes + r.head, r.body);
		len += r.body;
		assert_int_equal(feed(&again, out, len, len, false),
		    PARSE_DONE);
		assert_int_equal(again.size, len);
		assert_null(again.error);
		assert_false(again.rewrite);
		assert_int_equal(again.quiet, MEMCACHED_LOUD);
		assert_int_equal(again.command, r.command);
		assert_int_equal(again.value, r.value);
		assert_int_equal(again.keys, r.keys);
	}
}

static void
length_is_known_before_the_value(void **state)
{
	static const char line[] = "set a 0 0 2147483645\r\n";
	struct memcached_request r;
	size_t used;

	(void)state;
	memcached_request_init(&r, MEMCACHED_TEXT);
	assert_int_equal(memcached_request_feed(&r, line, sizeof(line) - 1,
	    &used), PARSE_MORE);
	assert_int_equal(r.head, sizeof(line) - 1);
	assert_int_equal(r.value, 2147483645);
	assert_int_equal(r.body, 2147483647);
	assert_null(r.error);
}

/* A command with words up to a line of len bytes. */
static void
line_fill(char *line, const char *command, size_t len)
{
	size_t command_len = strlen(command);

	for (size_t i = 0; i < len; i++)
		line[i] = i < command_len ? command[i] : i == command_len ||
		    i % 100 == 0 ? ' ' : i == len - 2 ? '\r' :
		    i == len - 1 ? '\n' : 'k';
}

/* The limit is the line's, however it comes. */
static void
long_lines_are_refused_alike(void **state)
{
	static const struct {
		const char *command;
		size_t limit;
	} limits[] = {
		{ "get", 65536 }, { "gets", 65536 }, { "mg", 2048 },
		{ "gat", 2048 }, { "bget", 2048 }, { "nonsense", 2048 }
	};
	static char line[70000];
	struct memcached_request r;

	(void)state;
	for (size_t i = 0; i < NELEMS(limits); i++) {
		size_t limit = limits[i].limit;

		line_fill(line, limits[i].command, limit);
		for (size_t first = 0; first < limit; first += 511) {
			assert_int_equal(feed(&r, line, limit, first, false),
			    PARSE_DONE);
			if (limit > 2048)
				assert_null(r.error);
		}
		line_fill(line, limits[i].command, limit + 1);
		for (size_t first = 0; first < limit; first += 511) {
			assert_int_equal(feed(&r, line, limit + 1, first,
			    false), PARSE_BAD);
			assert_string_equal(r.error,
			    "CLIENT_ERROR line too long\r\n");
		}
	}
}

static void
how_a_command_travels(void **state)
{
	static const struct {
		const char *line;
		enum memcached_how how;
	} ways[] = {
		{ "get a\r\n", MEMCACHED_SHARED },
		{ "stats\r\n", MEMCACHED_SHARED },
		{ "stats cachedump 1 0\r\n", MEMCACHED_ALONE },
		{ "stats detail dump\r\n", MEMCACHED_ALONE },
		{ "lru_crawler metadump all\r\n", MEMCACHED_ALONE },
		{ "lru_crawler enable\r\n", MEMCACHED_SHARED },
		{ "mn\r\n", MEMCACHED_OURS }, { "quit\r\n", MEMCACHED_OURS },
		{ "watch\r\n", MEMCACHED_REFUSED }
	};
	struct memcached_request r;

	(void)state;
	for (size_t i = 0; i < NELEMS(ways); i++) {
		size_t len = strlen(ways[i].line);

		assert_int_equal(feed(&r, ways[i].line, len, 0, true),
		    PARSE_DONE);
		assert_int_equal(r.how, ways[i].how);
		assert_int_equal(r.how >= MEMCACHED_REFUSED, r.error != NULL);
		assert_int_equal(r.how == MEMCACHED_ALONE || r.error != NULL,
		    r.refusal != NULL);
	}
}

static void
errors_and_answers_are_memcached_s(void **state)
{
	static const char unknown[] = HEAD("\x99", "\0", "\0", "\0");
	static const char noop[] = HEAD("\x0a", "\0", "\0", "\0");
	static const char quitq[] = HEAD("\x17", "\0", "\0", "\0");
	static const char setq[] = HEAD("\x11", "\1", "\x08", "\x09");
	struct memcached_request r;
	char out[MEMCACHED_ANSWER_MAX];

	(void)state;
	assert_int_equal(feed(&r, unknown, 24, 0, true), PARSE_DONE);
	assert_int_equal(memcached_error_write(&r, out), 39);
	assert_memory_equal(out, "\x81\x99\0\0\0\0\0\x81\0\0\0\x0fopaq"
	    "\0\0\0\0\0\0\0\0Unknown command", 39);
	assert_int_equal(feed(&r, noop, 24, 0, true), PARSE_DONE);
	assert_int_equal(memcached_answer_write(&r, out), 24);
	assert_memory_equal(out, "\x81\x0a\0\0\0\0\0\0\0\0\0\0opaq"
	    "\0\0\0\0\0\0\0\0", 24);
	assert_int_equal(feed(&r, quitq, 24, 0, true), PARSE_DONE);
	assert_int_equal(memcached_answer_write(&r, out), 0);
	assert_int_equal(feed(&r, setq, 24, 0, true), PARSE_MORE);
	assert_int_equal(memcached_failure_write(&r, 0x86, "weir: no", out),
	    32);
	assert_memory_equal(out, "\x81\x11\0\0\0\0\0\x86\0\0\0\x08opaq", 16);
	assert_int_equal(feed(&r, "mn\r\n", 4, 0, true), PARSE_DONE);
	assert_int_equal(memcached_answer_write(&r, out), 4);
	assert_memory_equal(out, "MN\r\n", 4);
	assert_int_equal(feed(&r, "get a\r\n", 7, 0, true), PARSE_DONE);
	assert_int_equal(memcached_failure_write(&r, 0x86,
	    "SERVER_ERROR weir: no", out), 23);
	assert_memory_equal(out, "SERVER_ERROR weir: no\r\n", 23);
	assert_int_equal(feed(&r, "delete a noreply\r\n", 18, 0, true),
	    PARSE_DONE);
	assert_int_equal(memcached_failure_write(&r, 0x86, "x", out), 0);
}

/* --------------------------------------------------------------------- keys */

static void
keys_come_in_order_and_repeated(void **state)
{
	static const char line[] = " gat  10   a bb  a ccc \r\n";
	static const char *const want[] = { "a", "bb", "a", "ccc" };
	struct memcached_request r;
	struct memcached_keys k;
	struct memcached_span key;

	(void)state;
	assert_int_equal(feed(&r, line, sizeof(line) - 1, 0, true),
	    PARSE_DONE);
	assert_int_equal(r.keys, 4);
	memcached_keys_init(&k, &r, line);
	for (size_t i = 0; i < 4; i++) {
		assert_true(memcached_keys_next(&k, &key));
		assert_int_equal(key.len, strlen(want[i]));
		assert_memory_equal(line + key.at, want[i], key.len);
	}
	assert_false(memcached_keys_next(&k, &key));
}

static void
one_key_is_the_only_one(void **state)
{
	static const char set[] = "set abc 0 0 1\r\nx\r\n";
	static const char packet[] = HEAD("\0", "\2", "\0", "\2") "a ";
	struct memcached_request r;
	struct memcached_keys k;
	struct memcached_span key;

	(void)state;
	assert_int_equal(feed(&r, set, sizeof(set) - 1, 0, true), PARSE_DONE);
	memcached_keys_init(&k, &r, set);
	assert_true(memcached_keys_next(&k, &key));
	assert_int_equal(key.at, 4);
	assert_int_equal(key.len, 3);
	assert_false(memcached_keys_next(&k, &key));
	assert_int_equal(feed(&r, packet, sizeof(packet) - 1, 0, true),
	    PARSE_DONE);
	memcached_keys_init(&k, &r, packet);
	assert_true(memcached_keys_next(&k, &key));
	assert_int_equal(key.at, 24);
	assert_int_equal(key.len, 2);
	assert_false(memcached_keys_next(&k, &key));
}

static void
base64_keys_are_what_they_stand_for(void **state)
{
	static const struct {
		const char *key, *plain;
	} keys[] = {
		{ "Zm9v", "foo" }, { "Zm8=", "fo" }, { "Zg==", "f" },
		{ "/+8=", "\xff\xef" }, { "Zm9", NULL }, { "Zm9v!", NULL },
		{ "Zm9!", NULL }, { "=m9v", NULL }, { "", NULL },
		{ "Z===", NULL }
	};
	struct memcached_request r;
	char out[16];

	(void)state;
	for (size_t i = 0; i < NELEMS(keys); i++) {
		size_t len = memcached_key_decode(keys[i].key,
		    strlen(keys[i].key), out);

		if (keys[i].plain == NULL) {
			assert_true(len == SIZE_MAX);
			continue;
		}
		assert_int_equal(len, strlen(keys[i].plain));
		assert_memory_equal(out, keys[i].plain, len);
	}
	assert_int_equal(feed(&r, "mg Zm9v v b\r\n", 13, 0, true), PARSE_DONE);
	assert_true(r.key_base64);
	assert_int_equal(feed(&r, "mg b v k\r\n", 10, 0, true), PARSE_DONE);
	assert_false(r.key_base64);
}

/* Join the replies of two parts; the key's first letter says which. */
static const char *
join(const char *keys, const char *first, const char *second)
{
	static char out[256];
	const char *parts[2] = { first, second };
	size_t n = 0;

	while (*keys != '\0') {
		size_t len = strcspn(keys, " "), size;
		const char **part = &parts[keys[0] == 'b'];

		size = memcached_block_size(*part, strlen(*part), keys, len);
		memcpy(out + n, *part, size);
		*part += size;
		n += size;
		keys += len + strspn(keys + len, " ");
	}
	if (strcmp(parts[0], "END\r\n") != 0 ||
	    strcmp(parts[1], "END\r\n") != 0)
		return "left over";
	memcpy(out + n, "END\r\n", 6);
	return out;
}

static void
joined_replies_stand_in_the_order_of_keys(void **state)
{
	(void)state;
	assert_string_equal(join("a1 b1 a2", "VALUE a1 0 1\r\nx\r\n"
	    "VALUE a2 0 5\r\nEND\r\n\r\nEND\r\n",
	    "VALUE b1 7 2 99\r\n\r\n\r\nEND\r\n"),
	    "VALUE a1 0 1\r\nx\r\nVALUE b1 7 2 99\r\n\r\n\r\n"
	    "VALUE a2 0 5\r\nEND\r\n\r\nEND\r\n");
	/* misses, and the same key more than once */
	assert_string_equal(join("a1 b1 a1 a a1", "VALUE a1 0 1\r\nx\r\n"
	    "VALUE a1 0 1\r\nx\r\nVALUE a1 0 1\r\nx\r\nEND\r\n", "END\r\n"),
	    "VALUE a1 0 1\r\nx\r\nVALUE a1 0 1\r\nx\r\nVALUE a1 0 1\r\nx\r\n"
	    "END\r\n");
	assert_string_equal(join("a1 b1", "END\r\n", "END\r\n"), "END\r\n");
	/* a value like a reply */
	assert_string_equal(join("a1 a2", "VALUE a1 0 19\r\n"
	    "VALUE a2 0 3\r\nabc\r\n\r\nEND\r\n", "END\r\n"),
	    "VALUE a1 0 19\r\nVALUE a2 0 3\r\nabc\r\n\r\nEND\r\n");
}

static void
blocks_nobody_asked_for_are_left_over(void **state)
{
	(void)state;
	assert_string_equal(join("a1", "VALUE a 0 1\r\nx\r\nEND\r\n",
	    "END\r\n"), "left over");
	assert_string_equal(join("a1 a2", "VALUE a2 0 1\r\nx\r\n"
	    "VALUE a1 0 1\r\nx\r\nEND\r\n", "END\r\n"), "left over");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_read_as_it_says),
		cmocka_unit_test(every_row_split_anywhere_is_read_alike),
		cmocka_unit_test(every_row_byte_by_byte_is_read_alike),
		cmocka_unit_test(what_is_sent_is_loud_and_asks_the_same),
		cmocka_unit_test(length_is_known_before_the_value),
		cmocka_unit_test(long_lines_are_refused_alike),
		cmocka_unit_test(how_a_command_travels),
		cmocka_unit_test(errors_and_answers_are_memcached_s),
		cmocka_unit_test(keys_come_in_order_and_repeated),
		cmocka_unit_test(one_key_is_the_only_one),
		cmocka_unit_test(base64_keys_are_what_they_stand_for),
		cmocka_unit_test(joined_replies_stand_in_the_order_of_keys),
		cmocka_unit_test(blocks_nobody_asked_for_are_left_over)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
