/*
 * Keys of commands: whatever the arguments, each key is one of them, whole, in
 * order and once; and of a command that was cut none reaches beyond its bytes.
 * Input: the first two bytes say where to cut, then one argument a line.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/commands.h"

enum { INPUT_MAX = 4096, ARGS_MAX = INPUT_MAX + 1 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

struct line {
	char bytes[INPUT_MAX * 8 + 64];
	size_t len;
	struct resp_span arg[ARGS_MAX];
	size_t argc;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
write_line(struct line *line, const char *text, size_t len)
{
	size_t at = 0, word, i;
	const char *end;

	line->argc = 1;
	for (i = 0; i < len; i++)
		line->argc += text[i] == '\n';
	line->len = (size_t)sprintf(line->bytes, "*%zu\r\n", line->argc);
	for (i = 0; i < line->argc; i++) {
		end = memchr(text + at, '\n', len - at);
		word = end != NULL ? (size_t)(end - text) - at : len - at;
		line->len += (size_t)sprintf(line->bytes + line->len,
		    "$%zu\r\n", word);
		line->arg[i] = (struct resp_span){ (uint32_t)line->len,
		    (uint32_t)word };
		memcpy(line->bytes + line->len, text + at, word);
		memcpy(line->bytes + line->len + word, "\r\n", 2);
		line->len += word + 2;
		at += word + 1;
	}
}

static void
check_whole(const struct redis_command *row, const struct line *line)
{
	static struct resp_span keys[ARGS_MAX];
	size_t n, i, at = 1;

	n = redis_command_keys(row, line->bytes, line->len, keys, ARGS_MAX);
	CHECK(n < line->argc);
	for (i = 0; i < n; i++, at++) {
		while (at < line->argc && line->arg[at].at != keys[i].at)
			at++;
		CHECK(at < line->argc);
		CHECK(line->arg[at].len == keys[i].len);
	}
	CHECK(redis_command_keys(row, line->bytes, line->len, keys, 1) == n);
	CHECK(row->first != 0 || row->movable || n == 0);
	CHECK(row->how == REDIS_BLOCKS ||
	    !redis_command_blocks(row, line->bytes, line->len));
}

static void
check_cut(const struct redis_command *row, const struct line *line, size_t cut)
{
	static struct resp_span keys[ARGS_MAX];
	/* So that the sanitizer sees what is read beyond it. */
	char *bytes = malloc(cut + 1);
	size_t n, i;

	CHECK(bytes != NULL);
	memcpy(bytes + 1, line->bytes, cut);
	n = redis_command_keys(row, bytes + 1, cut, keys, ARGS_MAX);
	for (i = 0; i < n && i < ARGS_MAX; i++)
		CHECK(keys[i].at <= cut && keys[i].len <= cut - keys[i].at);
	(void)redis_command_blocks(row, bytes + 1, cut);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct line line;
	const struct redis_command *row;
	struct resp_span sub;

	if (len < 2 || len - 2 > INPUT_MAX)
		return 0;
	write_line(&line, (const char *)data + 2, len - 2);
	sub = line.argc > 1 ? line.arg[1] : (struct resp_span){ 0, 0 };
	row = redis_command_find(line.bytes + line.arg[0].at, line.arg[0].len,
	    line.bytes + sub.at, sub.len);
	if (row == NULL)
		return 0;
	check_whole(row, &line);
	check_cut(row, &line, (size_t)(data[0] << 8 | data[1]) % line.len);
	return 0;
}
