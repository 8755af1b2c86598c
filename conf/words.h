/*
 * The words of a configuration file, as libconfig would split it.
 *
 * Knows no order of words; conf/syntax does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_WORDS_H
#define CONF_WORDS_H

#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,             /* key, or true and false */
	TOKEN_WORD,             /* number, or what should have had quotes */
	TOKEN_STRING,
	TOKEN_MARK,             /* one of = : , ; { } ( ) [ ] */
	TOKEN_INCLUDE,          /* @include "file" at a line's start */
	TOKEN_OPEN_STRING,      /* no closing quote before the end */
	TOKEN_OPEN_COMMENT,
	TOKEN_ODD               /* one byte that begins nothing */
};

struct token {
	enum token_kind kind;
	const char *at;
	size_t len;             /* an include's: from @ to the last quote; 0 of
				   TOKEN_END and what is never closed */
	int    line;            /* where it begins */
};

struct scanner {
	const char *text;       /* NUL-terminated */
	const char *at;
	int line;
};

struct token token_next(struct scanner *s);

#endif
