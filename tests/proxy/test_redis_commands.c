/*
 * proto/redis/commands: the table itself, looking up, keys of commands by
 * position and by their own rules. That the rows are those of a server is
 * tests/real/test_redis_table.py's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/commands.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/err.h"

static const struct redis_command *
row_of(const char *name, const char *sub)
{
	return redis_command_find(name, strlen(name), sub,
	    sub != NULL ? strlen(sub) : 0);
}

/* The row of "client|setname". */
static const struct redis_command *
row_of_both(const char *name)
{
	const char *bar = strchr(name, '|');
	size_t len = bar != NULL ? (size_t)(bar - name) : strlen(name);

	return redis_command_find(name, len, bar != NULL ? bar + 1 : NULL,
	    bar != NULL ? strlen(bar + 1) : 0);
}

static void
is(const struct redis_command *row, const char *name)
{
	if (row == NULL)
		fail_msg("no row for %s", name);
	assert_string_equal(row->name, name);
}

/* What may be sent twice. */
static void
what_changes_or_tells_something_is_no_read(void **state)
{
	static const char *const reads[] = { "get", "mget", "hgetall", "ping",
		"scan", "zunion", "exists" };
	static const char *const others[] = { "set", "eval", "evalsha", "fcall",
		"publish", "spublish", "bgsave", "script|load", "acl|setuser",
		"config|set", "getex", "spop", "multi", "blpop" };
	const struct redis_command *row;
	size_t n;

	(void)state;
	for (n = 0; n < NELEMS(reads); n++)
		assert_true(row_of_both(reads[n])->read);
	for (n = 0; n < NELEMS(others); n++)
		assert_false(row_of_both(others[n])->read);
	for (n = 0; (row = redis_command_at(n)) != NULL; n++)
		if (row->read && (row->write || row->how != REDIS_SHARED))
			fail_msg("%s is read, and more", row->name);
}

/* ------------------------------------------------------------------- lookup */

static void
every_row_is_found_in_any_case(void **state)
{
	const struct redis_command *row;
	char text[64];
	size_t i, n, pass;

	(void)state;
	for (n = 0; (row = redis_command_at(n)) != NULL; n++) {
		for (pass = 0; pass < 3; pass++) {
			assert_int_equal(row->name_len, strlen(row->name));
			assert_true(row->name_len < sizeof(text));
			strcpy(text, row->name);
			for (i = 0; text[i] != '\0'; i++)
				if (pass == 1 || (pass == 2 && i % 2 == 0))
					text[i] = (char)toupper(text[i]);
			/* Only if no other has the same name. */
			assert_ptr_equal(row_of_both(text), row);
		}
	}
	assert_true(n > 370);
}

/* find() ends at the first that is longer. */
static void
rows_are_sorted_by_letter_length_and_name(void **state)
{
	const struct redis_command *row, *last = NULL;
	size_t i;

	(void)state;
	for (i = 0; (row = redis_command_at(i)) != NULL; i++) {
		if (strchr(row->name, '|') != NULL)
			continue;
		if (last != NULL && last->name[0] == row->name[0]) {
			assert_true(last->name_len <= row->name_len);
			if (last->name_len == row->name_len)
				assert_true(strcmp(last->name, row->name) < 0);
		} else if (last != NULL)
			assert_true(last->name[0] < row->name[0]);
		last = row;
	}
}

static void
subcommands_are_sorted_and_named_after_their_container(void **state)
{
	const struct redis_command *row, *sub;
	size_t i, j, containers = 0;

	(void)state;
	for (i = 0; (row = redis_command_at(i)) != NULL; i++) {
		assert_int_equal(row->container, row->n_subs > 0);
		assert_int_equal(row->container, row->subs != NULL);
		containers += row->container;
		for (j = 0; j < row->n_subs; j++) {
			sub = &row->subs[j];
			assert_ptr_equal(redis_command_at(i + 1 + j), sub);
			assert_memory_equal(sub->name, row->name,
			    row->name_len);
			assert_int_equal(sub->name[row->name_len], '|');
			if (j == 0)
				continue;
			assert_true(sub[-1].name_len <= sub->name_len);
			if (sub[-1].name_len == sub->name_len)
				assert_true(strcmp(sub[-1].name,
				    sub->name) < 0);
		}
	}
	assert_int_equal(containers, 15);
}

static void
what_is_not_there_is_not_found(void **state)
{
	static const char *const names[] = {
		"", "g", "ge", "gett", "xget", "get ", " get", "get\r", "-get",
		"zzz", "zrevrangebyscorezrevrangebyscore", "json.get",
		"ft.search", "bf.add", "client|setname", "@get", "[get", "`get", "{get",
		"g\x05t", "hos:", "host\x1a", "\xe7" "et"
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(names); i++)
		assert_null(row_of(names[i], NULL));
	assert_null(redis_command_find("get\0", 4, NULL, 0));
	assert_null(redis_command_find("g\0t", 3, NULL, 0));
	assert_null(redis_command_find(NULL, 0, NULL, 0));
}

static void
a_container_answers_for_what_it_does_not_know(void **state)
{
	(void)state;
	is(row_of("client", NULL), "client");
	is(row_of("Client", "SetName"), "client|setname");
	is(row_of("CLIENT", "SETNAM"), "client");
	is(row_of("client", "setnamee"), "client");
	is(row_of("client", "client|setname"), "client");
	is(row_of("command", NULL), "command");
	is(row_of("command", "docs"), "command|docs");
	/* What a newer server may do to a connection is not known. */
	assert_int_equal(row_of("client", "capa")->how, REDIS_PINS);
	assert_int_equal(row_of("client", "capa")->pin, REDIS_PIN_UNKNOWN);
	assert_int_equal(row_of("object", "age")->how, REDIS_SHARED);
	/* A second word that is not a subcommand changes nothing. */
	is(row_of("get", "setname"), "get");
	is(row_of("ping", "client"), "ping");
}

/* --------------------------------------------------------------------- rows */

static void
rows_agree_with_themselves(void **state)
{
	const struct redis_command *row;
	size_t i;

	(void)state;
	for (i = 0; (row = redis_command_at(i)) != NULL; i++) {
		assert_int_equal(row->first != 0, row->last != 0);
		assert_int_equal(row->first != 0, row->step != 0);
		assert_true(row->first >= 0 && row->step >= 0);
		assert_true(row->last < 0 || row->last >= row->first);
		assert_int_equal(row->keynum != 0,
		    row->finder == REDIS_BY_COUNT);
		if (row->finder != REDIS_BY_POSITION)
			assert_true(row->movable);
		/* Only what is shared is taken apart, key by key. */
		if (row->split != REDIS_SPLIT_NONE) {
			assert_int_equal(row->how, REDIS_SHARED);
			assert_int_equal(row->last, -1);
			assert_false(row->movable);
		}
		if (row->how == REDIS_ALONE)
			assert_int_equal(row->pin, REDIS_PIN_ALONE);
		if (row->how == REDIS_BLOCKS)
			assert_int_equal(row->pin, REDIS_PIN_BLOCKED);
		if (row->how == REDIS_ENDS || row->how == REDIS_OURS)
			assert_int_not_equal(row->op, REDIS_OP_NONE);
		if (row->how == REDIS_REFUSED || row->how == REDIS_ALONE)
			assert_int_equal(row->op, REDIS_OP_NONE);
	}
}

/* Every operation is somebody's; of two only WAIT. */
static void
each_operation_has_its_row(void **state)
{
	const struct redis_command *row;
	unsigned seen[REDIS_OP_CLIENT_UNBLOCK + 1] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; (row = redis_command_at(i)) != NULL; i++)
		seen[row->op]++;
	for (i = REDIS_OP_NONE + 1; i < NELEMS(seen); i++)
		assert_int_equal(seen[i], i == REDIS_OP_WAIT ? 2 : 1);
}

static void
each_pin_has_a_name(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < REDIS_N_PINS; i++)
		assert_non_null(redis_pin_names[i]);
	assert_null(redis_pin_names[REDIS_N_PINS]);
}

static void
commands_travel_as_they_should(void **state)
{
	static const struct {
		const char *name;
		enum redis_how how;
	} rows[] = {
		{ "get", REDIS_SHARED }, { "set", REDIS_SHARED },
		{ "ping", REDIS_SHARED }, { "eval", REDIS_SHARED },
		{ "fcall", REDIS_SHARED }, { "script|load", REDIS_SHARED },
		{ "function|list", REDIS_SHARED }, { "scan", REDIS_SHARED },
		{ "publish", REDIS_SHARED }, { "spublish", REDIS_SHARED },
		{ "config|set", REDIS_SHARED }, { "command", REDIS_SHARED },
		{ "client|list", REDIS_SHARED }, { "save", REDIS_SHARED },
		{ "client|getredir", REDIS_SHARED }, { "role", REDIS_SHARED },
		{ "replicaof", REDIS_SHARED }, { "slaveof", REDIS_SHARED },
		{ "pfselftest", REDIS_SHARED }, { "readwrite", REDIS_SHARED },
		{ "acl|whoami", REDIS_SHARED }, { "swapdb", REDIS_SHARED },
		{ "cluster|myshardid", REDIS_SHARED },
		{ "script|kill", REDIS_ALONE }, { "debug", REDIS_ALONE },
		{ "function|kill", REDIS_ALONE }, { "shutdown", REDIS_ALONE },
		{ "function|stats", REDIS_ALONE }, { "failover", REDIS_ALONE },
		{ "client|kill", REDIS_ALONE }, { "module|load", REDIS_ALONE },
		{ "client|pause", REDIS_ALONE },
		{ "client|unpause", REDIS_ALONE },
		{ "blpop", REDIS_BLOCKS }, { "bzmpop", REDIS_BLOCKS },
		{ "xread", REDIS_BLOCKS }, { "wait", REDIS_BLOCKS },
		{ "waitaof", REDIS_BLOCKS }, { "migrate", REDIS_BLOCKS },
		{ "multi", REDIS_PINS }, { "watch", REDIS_PINS },
		{ "subscribe", REDIS_PINS }, { "monitor", REDIS_PINS },
		{ "client|reply", REDIS_OURS },
		{ "client|caching", REDIS_PINS },
		{ "client|no-touch", REDIS_PINS }, { "readonly", REDIS_PINS },
		{ "asking", REDIS_PINS },
		{ "exec", REDIS_ENDS }, { "discard", REDIS_ENDS },
		{ "unwatch", REDIS_ENDS }, { "sunsubscribe", REDIS_ENDS },
		{ "select", REDIS_OURS }, { "auth", REDIS_OURS },
		{ "hello", REDIS_OURS }, { "reset", REDIS_OURS },
		{ "quit", REDIS_OURS }, { "client|setinfo", REDIS_OURS },
		{ "client|unblock", REDIS_OURS },
		{ "sync", REDIS_REFUSED }, { "psync", REDIS_REFUSED },
		{ "replconf", REDIS_REFUSED }, { "post", REDIS_REFUSED },
		{ "host:", REDIS_REFUSED }, { "script|debug", REDIS_REFUSED },
		{ "restore-asking", REDIS_REFUSED }
	};
	const struct redis_command *row;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		row = row_of_both(rows[i].name);
		is(row, rows[i].name);
		if (row->how != rows[i].how)
			fail_msg("%s: %d, not %d", row->name, (int)row->how,
			    (int)rows[i].how);
	}
}

/* --------------------------------------------------------------------- keys */

/* "GET a" as it goes over the wire; a word "." is an empty one. */
struct line {
	char bytes[1024];
	size_t len;
	const struct redis_command *row;
};

static void
write_line(struct line *line, const char *text)
{
	char copy[256], *word[64], *rest;
	size_t n = 0, i, len;
	int at;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	for (rest = copy; (word[n] = strsep(&rest, " ")) != NULL; n++)
		assert_true(n + 1 < NELEMS(word));
	at = sprintf(line->bytes, "*%zu\r\n", n);
	for (i = 0; i < n; i++) {
		len = strcmp(word[i], ".") == 0 ? 0 : strlen(word[i]);
		at += sprintf(line->bytes + at, "$%zu\r\n%.*s\r\n", len,
		    (int)len, word[i]);
	}
	line->len = (size_t)at;
	line->row = row_of(word[0], n > 1 ? word[1] : NULL);
	assert_non_null(line->row);
}

/* The keys of text are those of wanted, one space between them. */
static void
keys_are(const char *text, const char *wanted)
{
	struct resp_span keys[64];
	struct line line;
	char got[256] = "";
	size_t n, i;
	int at = 0;

	write_line(&line, text);
	n = redis_command_keys(line.row, line.bytes, line.len, keys,
	    NELEMS(keys));
	for (i = 0; i < n; i++)
		at += sprintf(got + at, "%s%.*s", i > 0 ? " " : "",
		    keys[i].len > 0 ? (int)keys[i].len : 1,
		    keys[i].len > 0 ? line.bytes + keys[i].at : ".");
	if (strcmp(got, wanted) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", text, got, wanted);
}

struct example {
	const char *line, *keys;
};

static void
all_are(const struct example *examples, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		keys_are(examples[i].line, examples[i].keys);
}

static void
keys_stand_where_the_row_says(void **state)
{
	static const struct example examples[] = {
		{ "get a", "a" }, { "GET .", "." }, { "get", "" },
		{ "set a b ex 10", "a" }, { "mget a", "a" },
		{ "mget a b c", "a b c" }, { "mget", "" },
		{ "mset a 1 b 2 c 3", "a b c" }, { "mset a", "a" },
		{ "msetnx a 1 b 2", "a b" }, { "rename a b", "a b" },
		{ "rename a", "" }, { "bitop and to a b", "to a b" },
		{ "bitop not to", "to" }, { "bitop and", "" },
		{ "blpop a 0", "a" }, { "brpop a b c 0", "a b c" },
		{ "blpop", "" }, { "blpop a", "" },
		{ "blmove a b left right 0", "a b" },
		{ "object encoding a", "a" }, { "object help", "" },
		{ "memory usage a samples 5", "a" }, { "memory doctor", "" },
		{ "xinfo stream a full", "a" }, { "xgroup create a g $", "a" },
		{ "pfdebug getreg a", "a" }, { "pfmerge to a b", "to a b" },
		{ "lcs a b idx", "a b" }, { "watch a b", "a b" },
		{ "spublish ch text", "ch" }, { "ssubscribe a b", "a b" },
		{ "sunsubscribe", "" }, { "publish ch text", "" },
		{ "ping a", "" }, { "select 1", "" }, { "keys a", "" },
		{ "client setname a", "" }, { "config get a", "" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
counted_keys_are_counted(void **state)
{
	static const struct example examples[] = {
		{ "eval script 0", "" }, { "eval script 0 a b", "" },
		{ "eval script 2 a b c", "a b" }, { "EVALSHA s 1 a", "a" },
		{ "eval_ro s 1 a", "a" }, { "fcall f 3 a b c", "a b c" },
		{ "fcall_ro f 1 a 1", "a" },
		{ "zunion 2 a b weights 1 2", "a b" }, { "zdiff 1 a", "a" },
		{ "zinter 2 a b withscores", "a b" },
		{ "zintercard 2 a b limit 3", "a b" },
		{ "sintercard 1 a limit 3", "a" },
		{ "zunionstore to 2 a b aggregate max", "to a b" },
		{ "zinterstore to 1 a", "to a" },
		{ "zdiffstore to 2 a to", "to a to" },
		{ "lmpop 2 a b left", "a b" }, { "zmpop 1 a min", "a" },
		{ "blmpop 0 2 a b right count 2", "a b" },
		{ "bzmpop 1.5 1 a max", "a" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
a_count_that_is_none_has_no_keys(void **state)
{
	static const struct example examples[] = {
		{ "eval", "" }, { "eval s", "" }, { "eval s x a", "" },
		{ "eval s 2 a", "" }, { "eval s -1 a", "" },
		{ "eval s +1 a", "" }, { "eval s 01 a", "" },
		{ "eval s 1x a", "" }, { "eval s . a", "" },
		{ "eval s 99999999999999999999 a", "" },
		{ "eval s 4294967297 a", "" },
		{ "eval s 18446744073709551617 a", "" },
		{ "zunionstore to 2 a", "" }, { "zunionstore to 0 a", "" },
		{ "zunionstore to", "" }, { "zunionstore", "" },
		{ "lmpop 9 a left", "" }, { "blmpop 0", "" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
streams_have_as_many_keys_as_ids(void **state)
{
	static const struct example examples[] = {
		{ "xread streams a 0", "a" },
		{ "XREAD COUNT 2 BLOCK 0 STREAMS a b 0 $", "a b" },
		{ "xread block streams streams a 0", "a" },
		{ "xread streams streams 0", "streams" },
		{ "xread streams block count 0 0", "block count" },
		{ "xreadgroup group g c streams a >", "a" },
		{ "xreadgroup group streams c count 1 noack streams a b > >",
		    "a b" },
		{ "xreadgroup GROUP streams block streams a >", "a" },
		{ "xread", "" }, { "xread streams", "" },
		{ "xread streams a", "" }, { "xread streams a b 0", "" },
		{ "xread count 2 block 0", "" },
		{ "xread count streams a 0", "" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
migrate_has_one_key_or_those_after_keys(void **state)
{
	static const struct example examples[] = {
		{ "migrate h 1 a 0 100", "a" },
		{ "migrate h 1 a 0 100 copy replace", "a" },
		{ "migrate h 1 . 0 100 keys a b c", "a b c" },
		{ "migrate h 1 . 0 100 copy auth keys keys a", "a" },
		{ "migrate h 1 . 0 100 auth2 keys keys KEYS a keys", "a keys" },
		{ "migrate h 1 a 0 100 auth keys", "a" },
		{ "migrate h 1 a 0 100 keys b", "" },
		{ "migrate h 1 . 0 100 keys", "" }, { "migrate h 1", "" },
		{ "migrate h 1 keys 0 100", "keys" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
what_is_stored_into_is_a_key(void **state)
{
	static const struct example examples[] = {
		{ "sort a", "a" }, { "sort a by w_* get # store to", "a to" },
		{ "sort a limit 0 store store to", "a to" },
		{ "sort a get store", "a" }, { "sort a by store alpha", "a" },
		{ "sort a get store get store store b store c", "a c" },
		{ "sort store store to", "store to" }, { "sort a store", "a" },
		{ "sort a store .", "a ." }, { "sort", "" },
		{ "sort_ro a by w_* get store", "a" },
		{ "georadius a 1 2 3 km", "a" },
		{ "georadius a 1 2 3 km count 5 store to", "a to" },
		{ "georadius a 1 2 3 km StoreDist to", "a to" },
		{ "georadius a 1 2 3 km store b storedist c", "a c" },
		{ "georadius store 1 2 3 km asc", "store" },
		{ "georadius_ro a 1 2 3 km", "a" },
		{ "georadiusbymember a store 3 km", "a" },
		{ "georadiusbymember a m 3 km store to", "a to" },
		{ "geosearchstore to a fromlonlat 1 2 byradius 3 km", "to a" }
	};

	(void)state;
	all_are(examples, NELEMS(examples));
}

static void
no_more_keys_are_written_than_fit(void **state)
{
	struct resp_span keys[3];
	struct line line;

	(void)state;
	write_line(&line, "mget a b c d");
	keys[2].at = keys[2].len = 77;
	assert_int_equal(redis_command_keys(line.row, line.bytes, line.len,
	    keys, 2), 4);
	assert_int_equal(line.bytes[keys[0].at], 'a');
	assert_int_equal(line.bytes[keys[1].at], 'b');
	assert_int_equal(keys[2].at, 77);
	assert_int_equal(redis_command_keys(line.row, line.bytes, line.len,
	    NULL, 0), 4);
}

static void
bytes_of_a_key_are_not_looked_at(void **state)
{
	static const char bytes[] = "*3\r\n$4\r\nMGET\r\n$6\r\na\r\n$1\0\r\n"
	    "$2\r\n*1\r\n";
	struct resp_span keys[2];

	(void)state;
	assert_int_equal(redis_command_keys(row_of("mget", NULL), bytes,
	    sizeof(bytes) - 1, keys, 2), 2);
	assert_int_equal(keys[0].len, 6);
	assert_memory_equal(bytes + keys[0].at, "a\r\n$1\0", 6);
	assert_int_equal(keys[1].len, 2);
	assert_memory_equal(bytes + keys[1].at, "*1", 2);
}

/* The contract is a whole command; half of one must not lead astray. */
static void
a_cut_command_has_no_keys_beyond_its_bytes(void **state)
{
	static const char *const lines[] = {
		"mget a b c", "zunionstore to 2 a b",
		"xread block 1 streams a 0",
		"migrate h 1 . 0 100 keys a b c", "sort a by b store c",
		"georadius a 1 2 3 km store to", "blpop a b 0"
	};
	struct resp_span keys[8];
	size_t i, len, n, k;
	struct line line;
	char *cut;

	(void)state;
	for (i = 0; i < NELEMS(lines); i++) {
		write_line(&line, lines[i]);
		for (len = 0; len < line.len; len++) {
			/* So that a sanitizer sees what is read beyond it. */
			cut = malloc(len + 1);
			assert_non_null(cut);
			memmove(cut + 1, line.bytes, len);
			n = redis_command_keys(line.row, cut + 1, len, keys, 8);
			for (k = 0; k < n && k < 8; k++)
				assert_true(keys[k].at + keys[k].len <= len);
			redis_command_blocks(line.row, cut + 1, len);
			free(cut);
		}
	}
}

/* ------------------------------------------------------------------- blocks */

static void
blocks(const char *text, bool wanted)
{
	struct line line;

	write_line(&line, text);
	if (redis_command_blocks(line.row, line.bytes, line.len) != wanted)
		fail_msg("%s", text);
}

static void
streams_block_only_when_told(void **state)
{
	(void)state;
	blocks("xread streams a 0", false);
	blocks("xread BLOCK 0 streams a 0", true);
	blocks("xread count 10 block 0 streams a 0", true);
	blocks("xread streams block 0", false);
	blocks("xread count block streams a 0", false);
	blocks("xread", false);
	blocks("xreadgroup group block block streams a >", false);
	blocks("xreadgroup group g c noack block 10 streams a >", true);
	blocks("xreadgroup block 10 group g c streams a >", true);
	blocks("blpop a 0", true);
	blocks("wait 1 0", true);
	blocks("waitaof 1 0 0", true);
	blocks("migrate h 1 a 0 100", true);
	blocks("get a", false);
	blocks("multi", false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_or_tells_something_is_no_read),
		cmocka_unit_test(every_row_is_found_in_any_case),
		cmocka_unit_test(rows_are_sorted_by_letter_length_and_name),
		cmocka_unit_test(
		    subcommands_are_sorted_and_named_after_their_container),
		cmocka_unit_test(what_is_not_there_is_not_found),
		cmocka_unit_test(a_container_answers_for_what_it_does_not_know),
		cmocka_unit_test(rows_agree_with_themselves),
		cmocka_unit_test(each_operation_has_its_row),
		cmocka_unit_test(each_pin_has_a_name),
		cmocka_unit_test(commands_travel_as_they_should),
		cmocka_unit_test(keys_stand_where_the_row_says),
		cmocka_unit_test(counted_keys_are_counted),
		cmocka_unit_test(a_count_that_is_none_has_no_keys),
		cmocka_unit_test(streams_have_as_many_keys_as_ids),
		cmocka_unit_test(migrate_has_one_key_or_those_after_keys),
		cmocka_unit_test(what_is_stored_into_is_a_key),
		cmocka_unit_test(no_more_keys_are_written_than_fit),
		cmocka_unit_test(bytes_of_a_key_are_not_looked_at),
		cmocka_unit_test(a_cut_command_has_no_keys_beyond_its_bytes),
		cmocka_unit_test(streams_block_only_when_told)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
