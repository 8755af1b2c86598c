/*
 * Bytes in, verdict out: the rows of commands.inc and replies.inc, which the
 * unit test runs whole, split at every byte and byte by byte.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_DATA_REDIS_CASE_H
#define TESTS_DATA_REDIS_CASE_H

#include "proxy/proto/redis/resp.h"

/* Unset: accepted, and size == len. */
struct command_case {
	const char *name;
	const char *bytes;
	size_t      len;
	enum parse  verdict;
	const char *error;
	size_t      size;
	uint32_t    argc;
	uint32_t    args;       /* PARSE_MORE; when accepted all are complete */
	const char *words;      /* those kept, "|" after each */
	const char *written;    /* an inline command as multibulk */
};

struct reply_case {
	const char *name;
	const char *bytes;
	size_t      len;
	enum parse  verdict;
	size_t      size;
	char        type;
	bool        is_null;
	const char *word;       /* NULL = "" */
	int64_t     number;
	uint64_t    elements;
};

#define BYTES(text) .bytes = (text), .len = sizeof(text) - 1
#define MORE .verdict = PARSE_MORE
#define BAD(text) .verdict = PARSE_BAD, .error = "Protocol error: " text
#define BAD_COUNT BAD("invalid multibulk length")
#define BAD_LENGTH BAD("invalid bulk length")
#define BAD_DOLLAR(c) BAD("expected '$', got '" c "'")
#define NO_LF BAD("CR without LF")
#define NO_END BAD("no CR LF after a bulk")
#define UNBALANCED BAD("unbalanced quotes in request")
#define HTTP BAD("HTTP is not spoken here")
#define BAD_REPLY .verdict = PARSE_BAD

#endif
