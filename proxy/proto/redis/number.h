/*
 * Numbers of RESP lines, for the two readers of resp.h: the whole line at once
 * where it is there and ordinary, else a byte at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_NUMBER_H
#define PROXY_REDIS_NUMBER_H

#include "proxy/proto/redis/resp.h"

/*
 * "digits CR LF" of at most nine digits, whole before end. Returns what follows
 * it, or NULL: anything else, which the slow way has to judge.
 */
static inline const char *
number_line(const char *p, const char *end, uint32_t *value)
{
	enum { DIGITS_MAX = 9 };
	uint32_t n, digit;

	if (end - p < 3)
		return NULL;
	n = (uint8_t)(*p++ - '0');
	if (n > 9)
		return NULL;
	if (n > 0) {
		const char *stop = end - p > DIGITS_MAX - 1 ?
		    p + DIGITS_MAX - 1 : end;

		while (p < stop && (digit = (uint8_t)(*p - '0')) <= 9) {
			n = n * 10 + digit;
			p++;
		}
	}
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
		return NULL;
	*value = n;
	return p + 2;
}

static inline void
number_init(struct resp_number *n)
{
	n->value = 0;
	n->begun = n->minus = false;
}

/* One more byte; false if it makes a number no more. */
static inline bool
number_byte(struct resp_number *n, char byte)
{
	uint64_t most = (uint64_t)INT64_MAX + n->minus;
	unsigned digit = (uint8_t)(byte - '0');

	if (byte == '-' && !n->begun && !n->minus) {
		n->minus = true;
		return true;
	}
	if (digit > 9)
		return false;
	if (n->begun && n->value == 0)
		return false;
	if (!n->begun && digit == 0 && n->minus)
		return false;
	if (n->value > (most - digit) / 10)
		return false;
	n->value = n->value * 10 + digit;
	n->begun = true;
	return true;
}

#endif
