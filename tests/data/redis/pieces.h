/*
 * What both tests of RESP need: bytes that arrive in pieces, and random ones.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_DATA_REDIS_PIECES_H
#define TESTS_DATA_REDIS_PIECES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How bytes arrive: the first ones together, then all others or one by one. */
struct pieces {
	size_t first;
	bool bytewise;
};

static inline size_t
piece_next(const struct pieces *p, size_t at, size_t len)
{
	if (at < p->first)
		return p->first < len ? p->first - at : len - at;
	return p->bytewise && at < len ? 1 : len - at;
}

/* A copy of exactly these bytes, so that a sanitizer sees the one after. */
static char *
exact_copy(const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		abort();
	memcpy(copy + 1, bytes, len);
	return copy;
}

/* xorshift64: the same sequence on every run. */
static inline uint64_t
random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static inline struct pieces
random_pieces(uint64_t *seed, size_t len)
{
	struct pieces p = { random_next(seed) % (len + 1),
	    random_next(seed) % 2 != 0 };

	return p;
}

static inline size_t
random_text(uint64_t *seed, char *out, size_t most)
{
	static const char evil[] = "\r\n$*:+-0123456789 \0ab";
	size_t len = random_next(seed) % (most + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = evil[random_next(seed) % (sizeof(evil) - 1)];
	return len;
}

static inline size_t
bulk_write(char *out, char type, const char *text, size_t len)
{
	size_t at = (size_t)sprintf(out, "%c%zu\r\n", type, len);

	memcpy(out + at, text, len);
	memcpy(out + at + len, "\r\n", 2);
	return at + len + 2;
}

/* One byte other, gone or more. */
static inline size_t
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

#endif
