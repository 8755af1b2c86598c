/*
 * Commands: the same verdict, size and arguments however the bytes arrive;
 * what is walked is what was read; an inline one written as multibulk is read
 * back with as many arguments. Input: the first two bytes say where to split,
 * the others are commands, one after the other.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/resp.h"

enum { BYTES_MAX = 16 * 1024 };

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The first bytes together, then all others or one by one. */
static enum parse
read_in_pieces(struct resp_command *c, const char *bytes, size_t len,
    size_t first, bool bytewise)
{
	enum parse got;
	size_t at = 0, used, n = first;

	resp_command_init(c);
	do {
		got = resp_command_feed(c, bytes + at, n, &used);
		CHECK(used <= n && (got == PARSE_DONE || used == n));
		at += used;
		CHECK(c->size == at);
		n = bytewise && at < len ? 1 : len - at;
	} while (got == PARSE_MORE && at < len);
	return got;
}

static void
check_same(const struct resp_command *a, const struct resp_command *b,
    enum parse got)
{
	if (got == PARSE_BAD) {
		CHECK(strcmp(a->error, b->error) == 0);
		return;
	}
	CHECK(a->size == b->size && a->argc == b->argc && a->args == b->args);
	CHECK(a->is_inline == b->is_inline);
	for (uint32_t i = 0; i < a->args && i < RESP_ARGS_KEPT; i++)
		CHECK(a->arg[i].at == b->arg[i].at &&
		    a->arg[i].len == b->arg[i].len);
}

static void
check_walk(const struct resp_command *c, const char *bytes)
{
	struct resp_args a;
	struct resp_span arg;
	uint32_t n = 0;

	resp_args_init(&a, bytes, c->size);
	for (; resp_args_next(&a, &arg); n++) {
		CHECK((uint64_t)arg.at + arg.len + 2 <= c->size);
		if (n < RESP_ARGS_KEPT)
			CHECK(arg.at == c->arg[n].at &&
			    arg.len == c->arg[n].len);
	}
	CHECK(n == c->argc && n == c->args);
}

static void
check_written(const struct resp_command *c, const char *bytes)
{
	static char out[BYTES_MAX * 16 + 64];
	struct resp_command again;
	uint32_t argc;
	size_t used, len = resp_inline_write(bytes, c->size, out,
	    c->size * 16 + 64, &argc);

	CHECK(len != SIZE_MAX && argc == c->argc && c->args == 0);
	CHECK((len == 0) == (argc == 0));
	if (len == 0)
		return;
	resp_command_init(&again);
	CHECK(resp_command_feed(&again, out, len, &used) == PARSE_DONE);
	CHECK(used == len && again.argc == argc && !again.is_inline);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct resp_command whole, other;
	const char *bytes = (const char *)data + 2;
	enum parse got = PARSE_DONE;

	if (len < 2 || len - 2 > BYTES_MAX)
		return 0;
	len -= 2;
	while (got == PARSE_DONE && len > 0) {
		size_t at = (size_t)(data[0] << 8 | data[1]) % len;

		got = read_in_pieces(&whole, bytes, len, len, false);
		CHECK(read_in_pieces(&other, bytes, len, at, false) == got);
		check_same(&whole, &other, got);
		CHECK(read_in_pieces(&other, bytes, len, 0, true) == got);
		check_same(&whole, &other, got);
		if (got != PARSE_DONE)
			break;
		CHECK(whole.size > 0);
		if (whole.is_inline)
			check_written(&whole, bytes);
		else
			check_walk(&whole, bytes);
		bytes += whole.size;
		len -= whole.size;
	}
	return 0;
}
