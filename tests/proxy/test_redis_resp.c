/*
 * RESP: each row of tests/data/redis is read whole, split at every byte and
 * byte by byte, always from a buffer of exactly the bytes there are, with one
 * result. Then limits, and random commands and replies.
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

enum {
	RANDOM_COMMANDS = 4000,
	RANDOM_REPLIES = 4000,
	RANDOM_DAMAGE = 40000,
	BYTES_MAX = 64 * 1024,
	DEPTH = 100000
};

static const struct command_case commands[] = {
#include "tests/data/redis/commands.inc"
};

static const struct reply_case replies[] = {
#include "tests/data/redis/replies.inc"
};

/* How bytes arrive: the first ones together, then all others or one by one. */
struct pieces {
	size_t first;
	bool bytewise;
};

static size_t
piece_next(const struct pieces *p, size_t at, size_t len)
{
	if (at < p->first)
		return p->first < len ? p->first - at : len - at;
	return p->bytewise && at < len ? 1 : len - at;
}

/* -------------------------------------------------------------------- feeding */

/* A copy of exactly these bytes, so that a sanitizer sees the one after. */
static char *
exact_copy(const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy + 1, bytes, len);
	return copy;
}

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

static enum parse
reply_read(struct resp_reply *r, const char *bytes, size_t len,
    const struct pieces *pieces)
{
	enum parse got;
	size_t at = 0, used;

	resp_reply_init(r);
	do {
		size_t n = piece_next(pieces, at, len);
		char *copy = exact_copy(bytes + at, n);

		got = resp_reply_feed(r, copy + 1, n, &used);
		free(copy);
		assert_true(used <= n);
		if (got == PARSE_MORE)
			assert_int_equal(used, n);
		at += used;
		assert_int_equal(r->size, at);
		assert_true(strlen(r->word) < RESP_WORD_MAX);
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

static const char *
reply_mismatch(const struct reply_case *row, const struct resp_reply *r,
    enum parse got)
{
	if (got != row->verdict)
		return "verdict";
	if (got == PARSE_BAD)
		return NULL;
	if (r->type != row->type)
		return "type";
	if (r->is_null != row->is_null || r->is_attributed !=
	    row->is_attributed)
		return "is_null or is_attributed";
	if (strcmp(r->word, row->word != NULL ? row->word : "") != 0)
		return "word";
	if (r->number != row->number)
		return "number";
	if (r->elements != row->elements)
		return "elements";
	if (r->bulk != row->bulk)
		return "bulk";
	if (got == PARSE_DONE &&
	    r->size != (row->size != 0 ? row->size : row->len))
		return "size";
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

static unsigned
reply_judge(const struct reply_case *row, struct pieces pieces)
{
	struct resp_reply r;
	enum parse got = reply_read(&r, row->bytes, row->len, &pieces);
	const char *what = reply_mismatch(row, &r, got);

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
			struct pieces split = { at, false }, rest = { at, true };

			wrong += command_judge(&commands[i], split);
			wrong += command_judge(&commands[i], rest);
		}
	assert_int_equal(wrong, 0);
}

static void
replies_are_judged_alike_however_they_come(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < NELEMS(replies); i++)
		for (size_t at = 0; at <= replies[i].len; at++) {
			struct pieces split = { at, false }, rest = { at, true };

			wrong += reply_judge(&replies[i], split);
			wrong += reply_judge(&replies[i], rest);
		}
	assert_int_equal(wrong, 0);
}

static void
finished_and_refused_ones_stay_so(void **state)
{
	struct resp_command c;
	struct resp_reply r;
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
	resp_reply_init(&r);
	assert_int_equal(resp_reply_feed(&r, ":1\r\n", 4, &used), PARSE_DONE);
	assert_int_equal(resp_reply_feed(&r, ":2\r\n", 4, &used), PARSE_DONE);
	assert_int_equal(used, 0);
	assert_int_equal(r.number, 1);
	resp_reply_init(&r);
	assert_int_equal(resp_reply_feed(&r, "x", 1, &used), PARSE_BAD);
	assert_int_equal(resp_reply_feed(&r, ":1\r\n", 4, &used), PARSE_BAD);
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

static void
arrays_of_depth_100000_are_read(void **state)
{
	static char bytes[DEPTH * 4 + 4];
	struct resp_reply r;

	(void)state;
	for (size_t i = 0; i < DEPTH; i++)
		memcpy(bytes + i * 4, "*1\r\n", 4);
	memcpy(bytes + DEPTH * 4, ":1\r\n", 4);
	for (unsigned way = 0; way < 3; way++) {
		struct pieces p = { way == 0 ? sizeof(bytes) : 123457,
		    way == 2 };

		assert_int_equal(reply_read(&r, bytes, sizeof(bytes), &p),
		    PARSE_DONE);
		assert_int_equal(r.size, sizeof(bytes));
		assert_int_equal(r.elements, 1);
		assert_int_equal(r.number, 0);
		assert_int_equal(reply_read(&r, bytes, sizeof(bytes) - 1, &p),
		    PARSE_MORE);
	}
}

/* 2^32 elements of 2^32 elements of ...: refused before anything overflows. */
static void
promises_beyond_reason_are_refused(void **state)
{
	static const char *const counts[] = {
		"*4294967295\r\n", "%4294967295\r\n", "|4294967295\r\n",
		"~4294967295\r\n", ">4294967295\r\n"
	};
	struct resp_reply r;
	size_t used;

	(void)state;
	for (size_t i = 0; i < NELEMS(counts); i++) {
		enum parse got = PARSE_MORE;
		unsigned n = 0;

		resp_reply_init(&r);
		while (got == PARSE_MORE) {
			assert_true(r.pending <= RESP_PENDING_MAX);
			assert_true(n++ < 1000);
			got = resp_reply_feed(&r, counts[i], strlen(counts[i]),
			    &used);
		}
		assert_int_equal(got, PARSE_BAD);
		assert_true(n > 100);
	}
}

/* A bulk of 512 MiB passes in pieces, and nothing of it is looked at. */
static void
largest_bulk_passes_in_pieces(void **state)
{
	static char piece[1024 * 1024];
	struct resp_command c;
	struct resp_reply r;
	size_t used;

	(void)state;
	resp_command_init(&c);
	resp_reply_init(&r);
	assert_int_equal(resp_command_feed(&c, "*1\r\n$536870912\r\n", 16,
	    &used), PARSE_MORE);
	assert_int_equal(resp_reply_feed(&r, "$536870912\r\n", 12, &used),
	    PARSE_MORE);
	assert_int_equal(r.bulk, RESP_BULK_MAX);
	for (size_t i = 0; i < RESP_BULK_MAX / sizeof(piece); i++) {
		assert_int_equal(resp_command_feed(&c, piece, sizeof(piece),
		    &used), PARSE_MORE);
		assert_int_equal(resp_reply_feed(&r, piece, sizeof(piece),
		    &used), PARSE_MORE);
	}
	assert_int_equal(resp_command_feed(&c, "\r\n*", 3, &used), PARSE_DONE);
	assert_int_equal(used, 2);
	assert_int_equal(c.arg[0].at, 16);
	assert_int_equal(c.arg[0].len, RESP_BULK_MAX);
	assert_int_equal(resp_reply_feed(&r, "\r\n*", 3, &used), PARSE_DONE);
	assert_int_equal(used, 2);
}

/* ------------------------------------------------------------------- random */

/* xorshift64: the same sequence on every run. */
static uint64_t
random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct pieces
random_pieces(uint64_t *seed, size_t len)
{
	struct pieces p = { random_next(seed) % (len + 1),
	    random_next(seed) % 2 != 0 };

	return p;
}

static size_t
random_text(uint64_t *seed, char *out, size_t most)
{
	static const char evil[] = "\r\n$*:+-0123456789 \0ab";
	size_t len = random_next(seed) % (most + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = evil[random_next(seed) % (sizeof(evil) - 1)];
	return len;
}

static size_t
bulk_write(char *out, char type, const char *text, size_t len)
{
	size_t at = (size_t)sprintf(out, "%c%zu\r\n", type, len);

	memcpy(out + at, text, len);
	memcpy(out + at + len, "\r\n", 2);
	return at + len + 2;
}

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

/* One element of any type, with what is in it. */
static size_t
random_element(uint64_t *seed, char *out, unsigned depth)
{
	static const char *const lines[] = {
		"+OK\r\n", "-ERR no\r\n", ":1\r\n", ":-9223372036854775808\r\n",
		"$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", "#f\r\n", ",1.5\r\n",
		",inf\r\n", "(123456789012345678901234567890\r\n", "$0\r\n\r\n",
		"*0\r\n", "%0\r\n"
	};
	static const char lists[] = "*~>%|", bulks[] = "$!=";
	unsigned kind = (unsigned)(random_next(seed) % (depth > 0 ? 3 : 2));
	unsigned n;
	char type, text[40];
	size_t len;

	if (kind == 0) {
		const char *line = lines[random_next(seed) % NELEMS(lines)];

		return (size_t)sprintf(out, "%s", line);
	}
	if (kind == 1) {
		len = random_text(seed, text, sizeof(text));
		type = bulks[random_next(seed) % (sizeof(bulks) - 1)];
		return bulk_write(out, type, text, len);
	}
	n = (unsigned)(random_next(seed) % 4);
	type = lists[random_next(seed) % (sizeof(lists) - 1)];
	len = (size_t)sprintf(out, "%c%u\r\n", type, n);
	if (type == '%' || type == '|')
		n *= 2;
	if (type == '|')        /* it comes before an element */
		n++;
	while (n-- > 0)
		len += random_element(seed, out + len, depth - 1);
	return len;
}

static void
same_reply(const struct resp_reply *a, const struct resp_reply *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->is_null, b->is_null);
	assert_int_equal(a->is_attributed, b->is_attributed);
	assert_string_equal(a->word, b->word);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->elements, b->elements);
	assert_int_equal(a->bulk, b->bulk);
}

static void
written_replies_are_read_back(void **state)
{
	static char bytes[BYTES_MAX];
	uint64_t seed = 0xfade;

	(void)state;
	for (unsigned i = 0; i < RANDOM_REPLIES; i++) {
		struct resp_reply whole, other;
		size_t len = random_element(&seed, bytes, 5);
		struct pieces one = { len + 2, false };
		struct pieces p = random_pieces(&seed, len);

		assert_true(len + 2 < sizeof(bytes));
		memcpy(bytes + len, "+O", 2);
		assert_int_equal(reply_read(&whole, bytes, len + 2, &one),
		    PARSE_DONE);
		assert_int_equal(whole.size, len);
		assert_int_equal(whole.pending, 0);
		assert_int_equal(whole.top_left, 0);
		assert_int_equal(reply_read(&other, bytes, len + 2, &p),
		    PARSE_DONE);
		assert_int_equal(other.size, len);
		same_reply(&whole, &other);
		p.first = random_next(&seed) % len;
		assert_int_equal(reply_read(&other, bytes, len - 1, &p),
		    PARSE_MORE);
	}
}

/* One byte other, gone or more. */
static size_t
damage(uint64_t *seed, char *bytes, size_t len)
{
	static const char evil[] = "\r\n 0129-+\"'\\$*:%|>_#,(!=~\0\x80xg";
	size_t at = random_next(seed) % len;
	char c = evil[random_next(seed) % (sizeof(evil) - 1)];
	unsigned way = (unsigned)(random_next(seed) % 3);

	if (way == 0)
		memmove(bytes + at, bytes + at + 1, --len - at);
	else if (way == 1)
		bytes[at] = c;
	else {
		memmove(bytes + at + 1, bytes + at, len++ - at);
		bytes[at] = c;
	}
	return len;
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

static void
damaged_replies_are_judged_alike(void **state)
{
	uint64_t seed = 0xfeed;
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < RANDOM_DAMAGE; i++) {
		const struct reply_case *row =
		    &replies[random_next(&seed) % NELEMS(replies)];
		struct resp_reply whole, other;
		struct pieces one = { 0, false }, p;
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
		got = reply_read(&whole, bytes, len, &one);
		assert_int_equal(reply_read(&other, bytes, len, &p), got);
		if (got == PARSE_BAD)
			continue;
		assert_int_equal(whole.size, other.size);
		same_reply(&whole, &other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_judged_alike_however_they_come),
		cmocka_unit_test(replies_are_judged_alike_however_they_come),
		cmocka_unit_test(finished_and_refused_ones_stay_so),
		cmocka_unit_test(endless_lines_are_refused_after_64_kib),
		cmocka_unit_test(
		    longest_inline_command_is_written_into_the_room_promised),
		cmocka_unit_test(inline_command_is_not_written_beyond_its_room),
		cmocka_unit_test(arguments_end_where_the_bytes_do),
		cmocka_unit_test(arrays_of_depth_100000_are_read),
		cmocka_unit_test(promises_beyond_reason_are_refused),
		cmocka_unit_test(largest_bulk_passes_in_pieces),
		cmocka_unit_test(written_commands_are_read_back),
		cmocka_unit_test(quoted_words_are_written_as_they_were_meant),
		cmocka_unit_test(written_replies_are_read_back),
		cmocka_unit_test(damaged_commands_are_judged_alike),
		cmocka_unit_test(damaged_replies_are_judged_alike)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
