/*
 * What separates words of an inline command: for its reader (resp.c) and its
 * writer (resp_inline.c), which have to agree.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_INLINE_H
#define PROXY_REDIS_INLINE_H

#include <stdbool.h>

/* isspace() of the C locale. */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends a word outside of quotes: fewer than separate words. */
static inline bool
ends_word(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

#endif
