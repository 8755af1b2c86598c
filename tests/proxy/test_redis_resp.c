/*
 * Commands: each row of tests/data/redis/commands.inc is read whole, split at
 * every byte and byte by byte, always from a buffer of exactly the bytes there
 * are, with one result. Then limits, and random commands.
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

#include "proxy/proto/redis/resp.h"
#include "tests/data/redis/case.h"
#include "tests/data/redis/pieces.h"

enum {
	RANDOM_COMMANDS = 4000,
	RANDOM_DAMAGE = 40000,
	BYTES_MAX = 64 * 1024
};

static const struct command_case commands[] = {
#include "tests/data/redis/commands.inc"
};

static enum parse
command_read(struct resp_command *c, const char *bytes, size_t len,
    const struct pieces *pieces)
{
	enum parse got;
	size_t at = 0, used;

	resp_command_init(c);
	do {
		size_t n = piece_next(pieces, at, len);
		char *copy = exact_copy(bytes + at, n);

		got = resp_command_feed(c, copy + 1, n, &used);
		free(copy);
		assert_true(used <= n);
		if (got == PARSE_MORE)
			assert_int_equal(used, n);
		at += used;
		assert_int_equal(c->size, at);
	} while (got == PARSE_MORE && at < len);
	return got;
}

/* ----------------------------------------------------------------- the rows */

/* "GET|key|" of what is kept. */
static void
words_write(char *out, const struct resp_command *c, const char *bytes)
{
	for (uint32_t i = 0; i < c->args && i < RESP_ARGS_KEPT; i++) {
		memcpy(out, bytes + c->arg[i].at, c->arg[i].len);
		out += c->arg[i].len;
		*out++ = '|';
	}
	*out = '\0';
}

/* The same from the whole command; all of them are to be met. */
static uint32_t
words_walk(char *out, const char *bytes, size_t len)
{
	struct resp_args a;
	struct resp_span arg;
	uint32_t n = 0;

	resp_args_init(&a, bytes, len);
	while (resp_args_next(&a, &arg)) {
		if (n++ >= RESP_ARGS_KEPT)
			continue;
		memcpy(out, bytes + arg.at, arg.len);
		out += arg.len;
		*out++ = '|';
	}
	*out = '\0';
	return n;
}

static const char *
inline_mismatch(const struct command_case *row, const struct resp_command *c)
{
	char out[1024];
	uint32_t argc;
	size_t len = resp_inline_write(row->bytes, c->size, out, sizeof(out),
	    &argc);
	const char *want = row->written != NULL ? row->written : "";

	if (c->args != 0)
		return "args";
	if (argc != row->argc)
		return "argc as written";
	return len == strlen(want) && memcmp(out, want, len) == 0 ? NULL :
	    "what is written";
}

static const char *
command_mismatch(const struct command_case *row, const struct resp_command *c,
    enum parse got)
{
	const char *want = row->words != NULL ? row->words : "";
	bool is_inline = row->len > 0 && row->bytes[0] != '*';
	char words[256];

	if (got != row->verdict)
		return "verdict";
	if (got == PARSE_BAD)
		return strcmp(c->error, row->error) == 0 ? NULL : c->error;
	if (c->argc != row->argc)
		return "argc";
	if (c->is_inline != is_inline)
		return "is_inline";
	words_write(words, c, row->bytes);
	if (strcmp(words, want) != 0)
		return "words";
	if (got == PARSE_MORE)
		return c->args == row->args ? NULL : "args";
	if (c->size != (row->size != 0 ? row->size : row->len))
		return "size";
	if (is_inline)
		return inline_mismatch(row, c);
	if (c->args != c->argc)
		return "args";
	if (words_walk(words, row->bytes, c->size) != c->argc ||
	    strcmp(words, want) != 0)
		return "arguments walked";
	return NULL;
}

static unsigned
command_judge(const struct command_case *row, struct pieces pieces)
{
	struct resp_command c;
	enum parse got = command_read(&c, row->bytes, row->len, &pieces);
	const char *what = command_mismatch(row, &c, got);

	if (what == NULL)
		return 0;
	print_error("%s: %s (first %zu%s)\n", row->name, what, pieces.first,
	    pieces.bytewise ? ", then one by one" : "");
	return 1;
}

static void
commands_are_judged_alike_however_they_come(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < NELEMS(commands); i++)
		for (size_t at = 0; at <= commands[i].len; at++) {
			struct pieces split = { at, false };
			struct pieces rest = { at, true };

			wrong += command_judge(&commands[i], split);
			wrong += command_judge(&commands[i], rest);
		}
	assert_int_equal(wrong, 0);
}

static void
finished_and_refused_commands_stay_so(void **state)
{
	struct resp_command c;
	size_t used;

	(void)state;
	resp_command_init(&c);
	assert_int_equal(resp_command_feed(&c, "a\n", 2, &used), PARSE_DONE);
	assert_int_equal(resp_command_feed(&c, "b\n", 2, &used), PARSE_DONE);
	assert_int_equal(used, 0);
	assert_int_equal(c.size, 2);
	resp_command_init(&c);
	assert_int_equal(resp_command_feed(&c, "*x\r", 3, &used), PARSE_BAD);
	assert_int_equal(resp_command_feed(&c, "b\n", 2, &used), PARSE_BAD);
	assert_non_null(c.error);
}

/* ------------------------------------------------------------------- limits */

/* A line without an end: head, then fill up to len. */
static void
line_is_refused_at(const char *head, char fill, size_t line_at,
    const char *error)
{
	static char bytes[2 * RESP_INLINE_MAX];
	size_t len = line_at + RESP_INLINE_MAX;
	struct resp_command c;

	memset(bytes, fill, sizeof(bytes));
	memcpy(bytes, head, strlen(head));
	for (unsigned way = 0; way < 3; way++) {
		struct pieces p = { way == 0 ? len : len / 2, way == 2 };

		assert_int_equal(command_read(&c, bytes, len, &p), PARSE_MORE);
		assert_int_equal(command_read(&c, bytes, len + 1, &p),
		    PARSE_BAD);
		assert_string_equal(c.error, error);
	}
}

static void
endless_lines_are_refused_after_64_kib(void **state)
{
	(void)state;
	line_is_refused_at("*", '1', 0,
	    "Protocol error: too big mbulk count string");
	line_is_refused_at("*x", '\0', 0,
	    "Protocol error: too big mbulk count string");
	line_is_refused_at("*1\r\n$", '1', 4,
	    "Protocol error: too big bulk count string");
	line_is_refused_at("*1\r\n", 'x', 4,
	    "Protocol error: too big bulk count string");
	line_is_refused_at("a", 'x', 0,
	    "Protocol error: too big inline request");
	line_is_refused_at("a", '\0', 0,
	    "Protocol error: too big inline request");
	line_is_refused_at("\"\"x", ' ', 0,
	    "Protocol error: too big inline request");
}

static void
longest_inline_command_is_written_into_the_room_promised(void **state)
{
	enum { LEN = RESP_INLINE_MAX + 1, SIZE = LEN * 16 + 64 };
	char *line = malloc(LEN), *out = malloc(SIZE);
	struct pieces whole = { LEN, false };
	struct resp_command c;
	struct resp_args a;
	struct resp_span arg;
	uint32_t argc, n = 0;
	size_t len;

	(void)state;
	assert_non_null(line);
	assert_non_null(out);
	for (size_t i = 0; i < LEN; i++)
		line[i] = i % 2 ? ' ' : 'a';
	line[LEN - 1] = '\n';
	assert_int_equal(command_read(&c, line, LEN, &whole), PARSE_DONE);
	len = resp_inline_write(line, LEN, out, SIZE, &argc);
	assert_int_equal(argc, LEN / 2);
	assert_int_equal(argc, c.argc);
	resp_args_init(&a, out, len);
	while (resp_args_next(&a, &arg)) {
		assert_int_equal(arg.len, 1);
		n++;
	}
	assert_int_equal(n, argc);
	free(line);
	free(out);
}

/* Any room is enough, or is said to be too small; none is written beyond. */
static void
inline_command_is_not_written_beyond_its_room(void **state)
{
	static const char line[] = "SET \"a\\x20b\" 'c d' e\r\n";
	static const char want[] =
	    "*4\r\n$3\r\nSET\r\n$3\r\na b\r\n$3\r\nc d\r\n$1\r\ne\r\n";
	size_t written = 0;

	(void)state;
	for (size_t size = 0; size < (sizeof(line) - 1) * 16 + 64; size++) {
		char *out = malloc(size);
		uint32_t argc;
		size_t len;

		assert_true(out != NULL || size == 0);
		len = resp_inline_write(line, sizeof(line) - 1, out, size,
		    &argc);
		if (len != SIZE_MAX) {
			assert_int_equal(argc, 4);
			assert_int_equal(len, sizeof(want) - 1);
			assert_memory_equal(out, want, len);
			written++;
		} else
			assert_int_equal(written, 0);
		free(out);
	}
	assert_true(written > 0);
	assert_int_equal(resp_inline_write("\"a", 2, NULL, 0, &(uint32_t){ 0 }),
	    SIZE_MAX);
}

static void
arguments_end_where_the_bytes_do(void **state)
{
	static const char whole[] = "*3\r\n$1\r\na\r\n$2\r\nbc\r\n$0\r\n\r\n";
	uint32_t n;

	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		char *copy = exact_copy(whole, len);
		struct resp_args a;
		struct resp_span arg;

		resp_args_init(&a, copy + 1, len);
		for (n = 0; resp_args_next(&a, &arg); n++)
			assert_true(arg.at + arg.len + 2 <= len);
		assert_int_equal(n, (len >= 11) + (len >= 19) + (len >= 25));
		free(copy);
	}
}

/* A bulk of 512 MiB passes in pieces, and nothing of it is looked at. */
static void
largest_bulk_passes_in_pieces(void **state)
{
	static char piece[1024 * 1024];
	struct resp_command c;
	size_t used;

	(void)state;
	resp_command_init(&c);
	assert_int_equal(resp_command_feed(&c, "*1\r\n$536870912\r\n", 16,
	    &used), PARSE_MORE);
	for (size_t i = 0; i < RESP_BULK_MAX / sizeof(piece); i++)
		assert_int_equal(resp_command_feed(&c, piece, sizeof(piece),
		    &used), PARSE_MORE);
	assert_int_equal(resp_command_feed(&c, "\r\n*", 3, &used), PARSE_DONE);
	assert_int_equal(used, 2);
	assert_int_equal(c.arg[0].at, 16);
	assert_int_equal(c.arg[0].len, RESP_BULK_MAX);
}

/* ------------------------------------------------------------------- random */

static void
written_commands_are_read_back(void **state)
{
	static char bytes[BYTES_MAX];
	uint64_t seed = 0xc0ffee;

	(void)state;
	for (unsigned i = 0; i < RANDOM_COMMANDS; i++) {
		uint32_t argc = 1 + (uint32_t)(random_next(&seed) % 12), n = 0;
		struct resp_span want[12], arg;
		struct resp_command c;
		struct resp_args a;
		struct pieces p;
		char text[1500];
		size_t len = (size_t)sprintf(bytes, "*%u\r\n", argc);

		for (uint32_t k = 0; k < argc; k++) {
			size_t most = random_next(&seed) % 50 == 0 ? 1500 : 20;
			size_t size = random_text(&seed, text, most);

			len += bulk_write(bytes + len, '$', text, size);
			want[k].len = (uint32_t)size;
			want[k].at = (uint32_t)(len - 2 - size);
		}
		memcpy(bytes + len, "*1", 2);
		p = random_pieces(&seed, len);
		assert_int_equal(command_read(&c, bytes, len + 2, &p),
		    PARSE_DONE);
		assert_int_equal(c.size, len);
		assert_int_equal(c.argc, argc);
		assert_int_equal(c.args, argc);
		for (uint32_t k = 0; k < argc && k < RESP_ARGS_KEPT; k++)
			assert_memory_equal(&c.arg[k], &want[k],
			    sizeof(want[k]));
		resp_args_init(&a, bytes, len);
		while (resp_args_next(&a, &arg)) {
			assert_true(n < argc);
			assert_memory_equal(&arg, &want[n], sizeof(arg));
			n++;
		}
		assert_int_equal(n, argc);
	}
}

/* An inline command of random bytes, all quoted, comes out as those bytes. */
static void
quoted_words_are_written_as_they_were_meant(void **state)
{
	uint64_t seed = 0xbeef;

	(void)state;
	for (unsigned i = 0; i < RANDOM_COMMANDS; i++) {
		char line[400], want[400], out[16 * 400 + 64], text[30];
		size_t len = (size_t)sprintf(line, "ECHO \""), size, got;
		struct resp_command c;
		struct pieces p;
		uint32_t argc;

		size = random_text(&seed, text, sizeof(text));
		for (size_t k = 0; k < size; k++)
			len += (size_t)sprintf(line + len,
			    (uint8_t)text[k] <= ' ' || text[k] == '0' ?
			    "\\x%02x" : "%c", (uint8_t)text[k]);
		len += (size_t)sprintf(line + len, "\"\r\n");
		got = (size_t)sprintf(want, "*2\r\n$4\r\nECHO\r\n");
		got += bulk_write(want + got, '$', text, size);
		p = random_pieces(&seed, len);
		assert_int_equal(command_read(&c, line, len, &p), PARSE_DONE);
		assert_int_equal(c.argc, 2);
		assert_int_equal(resp_inline_write(line, len, out, sizeof(out),
		    &argc), got);
		assert_memory_equal(out, want, got);
	}
}

static void
damaged_commands_are_judged_alike(void **state)
{
	uint64_t seed = 0xdead;
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < RANDOM_DAMAGE; i++) {
		const struct command_case *row =
		    &commands[random_next(&seed) % NELEMS(commands)];
		struct resp_command whole, other;
		struct pieces one = { sizeof(bytes), false }, p;
		size_t len = row->len;
		enum parse got;

		if (len == 0)
			continue;
		memcpy(bytes, row->bytes, len);
		len = damage(&seed, bytes, len);
		if (len > 0)
			len = damage(&seed, bytes, len);
		one.first = len;
		p = random_pieces(&seed, len);
		got = command_read(&whole, bytes, len, &one);
		assert_int_equal(command_read(&other, bytes, len, &p), got);
		if (got == PARSE_BAD) {
			assert_string_equal(whole.error, other.error);
			continue;
		}
		assert_int_equal(whole.size, other.size);
		assert_int_equal(whole.argc, other.argc);
		assert_int_equal(whole.args, other.args);
		assert_int_equal(whole.is_inline, other.is_inline);
		for (uint32_t k = 0; k < whole.args && k < RESP_ARGS_KEPT; k++)
			assert_memory_equal(&whole.arg[k], &other.arg[k],
			    sizeof(whole.arg[k]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_judged_alike_however_they_come),
		cmocka_unit_test(finished_and_refused_commands_stay_so),
		cmocka_unit_test(endless_lines_are_refused_after_64_kib),
		cmocka_unit_test(
		    longest_inline_command_is_written_into_the_room_promised),
		cmocka_unit_test(inline_command_is_not_written_beyond_its_room),
		cmocka_unit_test(arguments_end_where_the_bytes_do),
		cmocka_unit_test(largest_bulk_passes_in_pieces),
		cmocka_unit_test(written_commands_are_read_back),
		cmocka_unit_test(quoted_words_are_written_as_they_were_meant),
		cmocka_unit_test(damaged_commands_are_judged_alike)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
