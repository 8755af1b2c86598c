/*
 * Tokens, after libconfig 1.5's scanner: # // and comments between slash and
 * star, names that may hold "-" and "*", strings that may run over lines.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool
is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '*';
}

static bool
is_word_byte(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' &&
	    strchr("+-._", c) != NULL);
}

static void
advance(struct scanner *s, size_t n)
{
	for (; n > 0; n--, s->at++)
		if (*s->at == '\n')
			s->line++;
}

/* Past blanks and comments; false at a comment that never ends. */
static bool
skip_blank(struct scanner *s)
{
	for (;;) {
		advance(s, strspn(s->at, " \t\r\f\n"));
		if (*s->at == '#' || strncmp(s->at, "//", 2) == 0) {
			advance(s, strcspn(s->at, "\n"));
		} else if (strncmp(s->at, "/*", 2) == 0) {
			const char *end = strstr(s->at + 2, "*/");

			if (end == NULL)
				return false;
			advance(s, (size_t)(end + 2 - s->at));
		} else {
			return true;
		}
	}
}

/* Bytes of the string that begins at the quote; 0 when it never ends. */
static size_t
string_bytes(const char *quote)
{
	const char *at = quote + 1;

	while (*at != '\0' && *at != '"')
		at += *at == '\\' && (at[1] == '\\' || at[1] == '"') ? 2 : 1;
	return *at == '"' ? (size_t)(at + 1 - quote) : 0;
}

/* Bytes of an include directive at the "@"; 0 when it is none. */
static size_t
include_bytes(const struct scanner *s)
{
	const char *at = s->at, *back = s->at;
	size_t blank, string;

	while (back > s->text && (back[-1] == ' ' || back[-1] == '\t'))
		back--;
	if ((back > s->text && back[-1] != '\n') ||
	    strncmp(at, "@include", 8) != 0)
		return 0;
	at += 8;
	blank = strspn(at, " \t");
	if (blank == 0 || at[blank] != '"')
		return 0;
	string = string_bytes(at + blank);
	return string == 0 ? 0 : 8 + blank + string;
}

static size_t
run_bytes(const char *at, bool (*belongs)(char))
{
	size_t n = 0;

	while (belongs(at[n]))
		n++;
	return n;
}

static void
token_read(const struct scanner *s, struct token *t)
{
	char c = *s->at;

	t->len = 1;
	if (c == '\0') {
		t->kind = TOKEN_END;
		t->len = 0;
	} else if (c == '"') {
		t->len = string_bytes(s->at);
		t->kind = t->len > 0 ? TOKEN_STRING : TOKEN_OPEN_STRING;
	} else if (isalpha((unsigned char)c) || c == '*') {
		t->kind = TOKEN_NAME;
		t->len = run_bytes(s->at, is_name_byte);
	} else if (is_word_byte(c)) {
		t->kind = TOKEN_WORD;
		t->len = run_bytes(s->at, is_word_byte);
	} else if (strchr("=:,;{}()[]", c) != NULL) {
		t->kind = TOKEN_MARK;
	} else if (c == '@' && include_bytes(s) > 0) {
		t->kind = TOKEN_INCLUDE;
		t->len = include_bytes(s);
	} else {
		t->kind = TOKEN_ODD;
	}
}

struct token
token_next(struct scanner *s)
{
	bool closed = skip_blank(s);
	struct token t = { .kind = TOKEN_OPEN_COMMENT, .at = s->at,
	    .line = s->line };

	if (closed)
		token_read(s, &t);
	advance(s, t.len);
	return t;
}
