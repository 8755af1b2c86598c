/*
 * memcached's replies: each row, for the request it belongs to, is read whole,
 * split at every byte and byte by byte with one result; and what of it a quiet
 * client is to see.
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

#include "proxy/proto/memcached/reply.h"

#define BYTES(text) text, sizeof(text) - 1
#define K50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50
/* A binary request and a reply; keys and extras of less than 256 bytes. */
#define ASK(op, key, ext, body) \
	"\x80" op "\0" key ext "\0\0\0" "\0\0\0" body "opaq" \
	"\0\0\0\0\0\0\0\0"
#define SAYS(op, key, ext, status, body) \
	"\x81" op "\0" key ext "\0\0" status "\0\0\0" body "opaq" \
	"\0\0\0\0\0\0\0\0"
#define GETQ ASK("\x09", "\1", "\0", "\1") "a"
#define SETQ ASK("\x11", "\1", "\x08", "\x09") "12345678a"
#define STAT ASK("\x10", "\0", "\0", "\0")

struct row {
	const char *ask;                /* the request, as its client sent it */
	size_t ask_len;
	const char *bytes;
	size_t len;
	enum parse verdict;
	size_t size;                    /* 0 = all */
	bool wanted;
	const char *word;               /* NULL = binary */
	unsigned values;
};

#define ROW(ask, reply, verdict, size, wanted, word, values) \
	{ BYTES(ask), BYTES(reply), PARSE_##verdict, size, wanted, word, \
	    values }
#define DONE(ask, reply, wanted, word) \
	ROW(ask "\r\n", reply, DONE, 0, wanted, word, 0)
#define VALUES(ask, reply, n) \
	ROW(ask "\r\n", reply, DONE, 0, true, "END", n)
#define BAD(ask, reply) ROW(ask "\r\n", reply, BAD, 0, false, NULL, 0)
#define MORE(ask, reply) ROW(ask "\r\n", reply, MORE, 0, false, NULL, 0)
#define PACKET(ask, reply, wanted, values) \
	ROW(ask, reply, DONE, 0, wanted, NULL, values)

static const struct row rows[] = {
	VALUES("get a", "END\r\n", 0),
	VALUES("get a", "VALUE a 0 3\r\nabc\r\nEND\r\n", 1),
	VALUES("get a", "VALUE a 4294967295 0\r\n\r\nEND\r\n", 1),
	VALUES("get a", "VALUE a 0 5\r\nEND\r\n\r\nEND\r\n", 1),
	VALUES("get a", "VALUE a 0 10\r\n\r\nEND\r\nEND\r\nEND\r\n", 1),
	VALUES("gets a b", "VALUE a 0 1 18446744073709551615\r\nx\r\n"
	    "VALUE b 0 18 2\r\nVALUE a 0 1\r\nx\r\n\r\n\r\nEND\r\n", 2),
	VALUES("get " K250, "VALUE " K250 " 0 1\r\nx\r\nEND\r\n", 1),
	VALUES("gat 1 a", "VALUE a 0 1\r\nx\r\nEND\r\n", 1),
	ROW("get a\r\n", "END\r\nEND\r\n", DONE, 5, true, "END", 0),
	ROW("get a b\r\n", "VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory "
	    "writing get response\r\n", DONE, 0, true, "SERVER_ERROR", 1),
	DONE("get a", "CLIENT_ERROR x\r\n", true, "CLIENT_ERROR"),
	DONE("get a", "ERROR\r\n", true, "ERROR"),
	/* not what was asked for, or false lengths */
	BAD("get a", "VALUE b 0 1\r\nx\r\nEND\r\n"),
	BAD("get abcdefghi", "VALUE abcdefghj 0 1\r\nx\r\n"),
	BAD("get a", "VALUE aa 0 1\r\nx\r\n"),
	BAD("get a", "VALUE\0 a 0 1\r\nx\r\n"), BAD("get a", "END\0\r\n"),
	BAD("get a", "STORED\r\n"), BAD("get a", "HD\r\n"),
	BAD("get a", "END \r\n"), BAD("get a", "END\n"), BAD("get a", "\r\n"),
	BAD("get a", "VALUE a 0 1\r\nxx\r\n"),
	BAD("get a", "VALUE a 0 3\r\nx\r\nEND\r\n"),
	BAD("get a", "VALUE a 0 -1\r\n"), BAD("get a", "VALUE a 0 +1\r\n"),
	BAD("get a", "VALUE a 0 2147483646\r\n"),
	BAD("get a", "VALUE a 0 18446744073709551617\r\n"),
	BAD("get a", "VALUE a 0\r\n"), BAD("get a", "VALUE a 0 \r\n"),
	BAD("get a", "VALUE  0 1\r\n"), BAD("get a", "VALUE a x 1\r\n"),
	BAD("get a", "VALUE a 0 1 x\r\n"), BAD("get a", "VALUE a 0 1 2 3\r\n"),
	BAD("get a b", "VALUE k" K250 " 0 1\r\n"),
	MORE("get a", "VALUE a 0 3\r\nabc\r\n"), MORE("get a", "END\r"),
	/* one line */
	DONE("set a 0 0 1\r\nx", "STORED\r\n", true, "STORED"),
	DONE("set a 0 0 1\r\nx", "SERVER_ERROR object too large for cache\r\n",
	    true, "SERVER_ERROR"),
	DONE("cas a 0 0 1 2\r\nx", "EXISTS\r\n", true, "EXISTS"),
	DONE("delete a", "NOT_FOUND\r\n", true, "NOT_FOUND"),
	DONE("touch a 1", "TOUCHED\r\n", true, "TOUCHED"),
	DONE("incr a 1", "18446744073709551615\r\n", true, "184467440737095"),
	DONE("decr a 1", "9 \r\n", true, "9"),
	DONE("version", "VERSION 1.6.18\r\n", true, "VERSION"),
	DONE("flush_all", "OK\r\n", true, "OK"),
	DONE("slabs reassign 1 1", "BADCLASS invalid src\r\n", true,
	    "BADCLASS"),
	BAD("set a 0 0 1\r\nx", "DELETED\r\n"),
	BAD("set a 0 0 1\r\nx", "STORE\r\n"),
	BAD("set a 0 0 1\r\nx", "STORED\n"),
	BAD("delete a", "STORED\r\n"), BAD("incr a 1", "12x\r\n"),
	BAD("incr a 1", "\r\n"), BAD("incr a 1", "18446744073709551616\r\n"),
	BAD("version", "END\r\n"),
	/* what stands beyond the bytes that are looked at makes no difference */
	DONE("lru tune 1", K250 K250 "\0\r\n", true, "kkkkkkkkkkkkkkk"),
	BAD("lru tune 1", K250 "\0" K250 "\r\n"),
	ROW("mg a v\r\n", "VA 1 k" K250 " O" K250 "\r\nx\r\n", DONE, 0, true,
	    "VA", 1),
	BAD("get a b", "VALUE a 0 1 " K250 K250 "\r\n"),
	/* noreply: nothing at all, whatever came */
	DONE("set a 0 0 1 noreply\r\nx", "STORED\r\n", false, "STORED"),
	DONE("delete a noreply", "SERVER_ERROR x\r\n", false, "SERVER_ERROR"),
	/* meta commands */
	DONE("mg a", "HD\r\n", true, "HD"),
	DONE("mg a v", "EN\r\n", true, "EN"),
	DONE("mg a v q", "EN\r\n", false, "EN"),
	DONE("mg a q", "HD t-1\r\n", true, "HD"),
	ROW("mg a v q\r\n", "VA 4 s4 Oq\r\nEN\r\n\r\n", DONE, 0, true, "VA", 1),
	ROW("mg a v\r\n", "VA 0\r\n\r\n", DONE, 0, true, "VA", 1),
	DONE("mg a v q", "CLIENT_ERROR x\r\n", true, "CLIENT_ERROR"),
	DONE("ms a 1 q\r\nx", "HD\r\n", false, "HD"),
	DONE("ms a 1 q\r\nx", "NS O1\r\n", true, "NS"),
	DONE("ms a 1\r\nx", "HD\r\n", true, "HD"),
	DONE("md a q", "HD\r\n", false, "HD"),
	DONE("md a q", "NF\r\n", true, "NF"),
	ROW("ma a v q\r\n", "VA 1\r\n9\r\n", DONE, 0, false, "VA", 1),
	ROW("ma a v\r\n", "VA 1\r\n9\r\n", DONE, 0, true, "VA", 1),
	DONE("ma a q", "NF\r\n", true, "NF"),
	DONE("me a", "ME a exp=-1\r\n", true, "ME"),
	BAD("mg a v", "VA 1\r\nxx\r\n"), BAD("mg a v", "VA 1x\r\n"),
	BAD("mg a v", "VA -1\r\n"), BAD("mg a v", "VA\r\n"),
	BAD("mg a v", "STORED\r\n"), BAD("ms a 1\r\nx", "VA 1\r\n"),
	BAD("mg a", "MN\r\n"),
	/* statistics */
	ROW("stats\r\n", "STAT a END\r\nSTAT b 2\r\nEND\r\n", DONE, 0, true,
	    "END", 2),
	DONE("stats reset", "RESET\r\n", true, "RESET"),
	DONE("stats detail on", "OK\r\n", true, "OK"),
	DONE("stats x", "ERROR\r\n", true, "ERROR"),
	ROW("stats cachedump 1 0\r\n", "ITEM a [1 b; 0 s]\r\nEND\r\n", DONE, 0,
	    true, "END", 1),
	ROW("lru_crawler metadump all\r\n", "key=a exp=-1\r\nEND\r\n", DONE, 0,
	    true, "END", 1),
	ROW("lru_crawler metadump all\r\n", "key=a exp=-1\nEND\r\n", DONE, 0,
	    true, "END", 1),
	DONE("lru_crawler metadump all", "BUSY x\r\n", true, "BUSY"),
	BAD("stats", "STORED\r\n"), BAD("stats", "STAT a 1\r\nOK\r\n"),
	/* binary */
	PACKET(ASK("\0", "\1", "\0", "\1") "a",
	    SAYS("\0", "\0", "\4", "\0", "\7") "flagabc", true, 0),
	PACKET(GETQ, SAYS("\0", "\0", "\4", "\0", "\7") "flagabc", true, 0),
	PACKET(GETQ, SAYS("\0", "\0", "\0", "\1", "\x09") "Not found", false,
	    0),
	PACKET(GETQ, SAYS("\0", "\0", "\0", "\x82", "\0"), true, 0),
	PACKET(SETQ, SAYS("\1", "\0", "\0", "\0", "\0"), false, 0),
	PACKET(SETQ, SAYS("\1", "\0", "\0", "\2", "\1") "x", true, 0),
	PACKET(STAT, SAYS("\x10", "\3", "\0", "\0", "\4") "pid1"
	    SAYS("\x10", "\0", "\0", "\0", "\0"), true, 1),
	PACKET(STAT, SAYS("\x10", "\0", "\0", "\0", "\0"), true, 0),
	PACKET(STAT, SAYS("\x10", "\0", "\0", "\1", "\1") "x", true, 0),
	ROW(GETQ, SAYS("\x09", "\0", "\0", "\0", "\0"), BAD, 0, false, NULL, 0),
	ROW(GETQ, SAYS("\1", "\0", "\0", "\0", "\0"), BAD, 0, false, NULL, 0),
	ROW(GETQ, SAYS("\0", "\2", "\0", "\0", "\1"), BAD, 0, false, NULL, 0),
	ROW(GETQ, ASK("\0", "\0", "\0", "\0"), BAD, 0, false, NULL, 0),
	ROW(GETQ, "\x81\0\0\0\0\0\0\0\0\0\0\0opaQ\0\0\0\0\0\0\0\0", BAD, 0,
	    false, NULL, 0),
	ROW(GETQ, SAYS("\0", "\0", "\0", "\0", "\1"), MORE, 0, false, NULL, 0)
};

static void
ask_of(const struct row *c, struct memcached_ask *a)
{
	struct memcached_request r;
	size_t used;

	memcached_request_init(&r, MEMCACHED_UNTOLD);
	assert_int_equal(memcached_request_feed(&r, c->ask, c->ask_len,
	    &used), PARSE_DONE);
	assert_null(r.error);
	memcached_ask_init(a, &r, c->ask);
}

static enum parse
feed(struct memcached_reply *r, const struct row *c, size_t first,
    bool bytewise)
{
	struct memcached_ask a;
	enum parse got = PARSE_MORE;
	size_t at = 0, used;

	ask_of(c, &a);
	memcached_reply_init(r, &a);
	while (got == PARSE_MORE && at < c->len) {
		size_t n = at < first ? first - at : bytewise ? 1 :
		    c->len - at;
		char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, c->bytes + at, n);
		got = memcached_reply_feed(r, copy, n, &used);
		free(copy);
		assert_true(used <= n);
		if (got == PARSE_MORE)
			assert_int_equal(used, n);
		at += used;
		/* What streams was wanted in the end. */
		if (got == PARSE_MORE && memcached_reply_streams(r) &&
		    c->verdict == PARSE_DONE)
			assert_true(c->wanted);
	}
	if (got == PARSE_DONE)
		assert_int_equal(r->size, at);
	return got;
}

static void
check_row(const struct row *c, size_t first, bool bytewise)
{
	struct memcached_reply r;
	enum parse got = feed(&r, c, first, bytewise);

	if (got != c->verdict)
		fail_msg("row %d, \"%.40s\" to \"%.40s\": verdict %d (first "
		    "%zu)", (int)(c - rows), c->bytes, c->ask, got, first);
	if (got != PARSE_DONE)
		return;
	if (r.size != (c->size > 0 ? c->size : c->len) ||
	    memcached_reply_wanted(&r) != c->wanted || r.values != c->values ||
	    (c->word != NULL && strcmp(r.word, c->word) != 0))
		fail_msg("row %d, \"%.40s\" to \"%.40s\": size %d, word %s, "
		    "wanted %d, %u values (first %zu)", (int)(c - rows),
		    c->bytes, c->ask, (int)r.size, r.word,
		    memcached_reply_wanted(&r), r.values, first);
	if (c->word != NULL)
		assert_int_equal(r.is_error, strstr(c->word, "ERROR") != NULL);
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

/* Two replies in one piece: the second begins where the first ends. */
static void
pipelined_replies_are_parted(void **state)
{
	static const char bytes[] = "VALUE a 0 4\r\nEN\r\n\r\nEND\r\n"
	    "STORED\r\n";
	static const struct row get = VALUES("get a", "END\r\n", 0);
	static const struct row set = DONE("set a 0 0 1\r\nx", "STORED\r\n",
	    true, "STORED");
	struct memcached_ask a;
	struct memcached_reply r;
	size_t used, len = sizeof(bytes) - 1;

	(void)state;
	ask_of(&get, &a);
	memcached_reply_init(&r, &a);
	assert_int_equal(memcached_reply_feed(&r, bytes, len, &used),
	    PARSE_DONE);
	assert_int_equal(used, len - 8);
	ask_of(&set, &a);
	memcached_reply_init(&r, &a);
	assert_int_equal(memcached_reply_feed(&r, bytes + used, 8, &used),
	    PARSE_DONE);
	assert_int_equal(used, 8);
}

/* A reply in an endless line, and STAT lines as long as they may be. */
static void
line_has_a_limit(void **state)
{
	static char line[MEMCACHED_REPLY_LINE_MAX + 8];
	static const struct row stats = DONE("stats", "", true, "END");
	struct memcached_ask a;
	struct memcached_reply r;
	size_t used;

	(void)state;
	ask_of(&stats, &a);
	for (size_t first = 0; first < MEMCACHED_REPLY_LINE_MAX; first += 77) {
		memset(line, 'x', sizeof(line));
		memcpy(line, "STAT ", 5);
		memcached_reply_init(&r, &a);
		assert_int_equal(memcached_reply_feed(&r, line, first, &used),
		    PARSE_MORE);
		assert_int_equal(memcached_reply_feed(&r, line + first,
		    MEMCACHED_REPLY_LINE_MAX - first, &used), PARSE_BAD);
		memcpy(line + MEMCACHED_REPLY_LINE_MAX - 2, "\r\nEND\r\n", 7);
		memcached_reply_init(&r, &a);
		assert_int_equal(memcached_reply_feed(&r, line, first, &used),
		    PARSE_MORE);
		assert_int_equal(memcached_reply_feed(&r, line + first,
		    MEMCACHED_REPLY_LINE_MAX + 5 - first, &used), PARSE_DONE);
		assert_int_equal(r.values, 1);
	}
}

static void
large_value_is_seen_coming(void **state)
{
	static const struct row get = VALUES("get a", "END\r\n", 0);
	struct memcached_ask a;
	struct memcached_reply r;
	size_t used;

	(void)state;
	ask_of(&get, &a);
	memcached_reply_init(&r, &a);
	assert_int_equal(memcached_reply_feed(&r, "VALUE a 0 2147483645\r\n",
	    22, &used), PARSE_MORE);
	assert_int_equal(r.value, 2147483645);
	assert_true(memcached_reply_streams(&r));
}

static void
quiet_opcode_is_restored(void **state)
{
	static const struct row get = PACKET(GETQ, "", true, 0);
	char reply[] = SAYS("\0", "\0", "\0", "\0", "\0");
	struct memcached_ask a;

	(void)state;
	ask_of(&get, &a);
	memcached_reply_restore(&a, 0, reply, 1);
	memcached_reply_restore(&a, 2, reply + 2, sizeof(reply) - 2);
	assert_int_equal(reply[1], 0);
	memcached_reply_restore(&a, 1, reply + 1, 1);
	assert_int_equal(reply[1], 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_read_as_it_says),
		cmocka_unit_test(every_row_split_anywhere_is_read_alike),
		cmocka_unit_test(every_row_byte_by_byte_is_read_alike),
		cmocka_unit_test(pipelined_replies_are_parted),
		cmocka_unit_test(line_has_a_limit),
		cmocka_unit_test(large_value_is_seen_coming),
		cmocka_unit_test(quiet_opcode_is_restored)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
