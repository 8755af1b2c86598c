/*
 * Where a reply of Redis ends. Written for the test alone: it shares nothing
 * with what it tests. Source: Redis protocol specification.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1KV_RESP_H
#define TESTS_SUPPORT_P1KV_RESP_H

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Size of the reply at p; 0 = more is needed, -1 = no reply. */
static inline ssize_t
resp_size(const char *p, size_t n)
{
	size_t at = 0;
	long long due = 1, number;
	const char *end;

	for (; due > 0; due--) {
		if (at >= n)
			return 0;
		if (strchr("+-:$*_#,(!=%~>|", p[at]) == NULL || p[at] == '\0')
			return -1;
		end = memchr(p + at, '\n', n - at);
		if (end == NULL)
			return n - at > 65536 ? -1 : 0;
		if (end[-1] != '\r')
			return -1;
		number = strtoll(p + at + 1, NULL, 10);
		switch (p[at]) {
		case '$':
		case '!':
		case '=':
			at = (size_t)(end + 1 - p);
			if (number < 0)
				break;
			if (n - at < (size_t)number + 2)
				return 0;
			at += (size_t)number;
			if (p[at] != '\r' || p[at + 1] != '\n')
				return -1;
			at += 2;
			break;
		case '|':
			due++;          /* what it is about follows */
			/* Fall through. */
		case '%':
			due += 2 * number;
			at = (size_t)(end + 1 - p);
			break;
		case '*':
		case '~':
		case '>':
			due += number > 0 ? number : 0;
			at = (size_t)(end + 1 - p);
			break;
		default:
			at = (size_t)(end + 1 - p);
		}
	}
	return (ssize_t)at;
}

#endif
