/*
 * The mistakes people make in libconfig's grammar.
 *
 * Facts of the grammar are those of libconfig 1.5: ";" or "," may end a
 * setting, once; "," stands between elements of ( ) and [ ] and not after the
 * last; neighbouring strings join; only @include begins with "@".
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/syntax.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/problems.h"
#include "conf/text.h"
#include "conf/words.h"
#include "net/err.h"

#define DEPTH_MAX 64            /* no key is deeper than 6 */
#define KEYS_MAX 256            /* of a group: libconfig compares each with
				   all before it */
#define SHOWN_MAX 40            /* bytes of a word quoted in a message */

/* ------------------------------------------- what libconfig lets through */

/* An integer's digits as libconfig takes them; NULL for anything else. */
static const char *
integer_digits(const char *word, bool *is_hex, bool *is_long)
{
	size_t sign = *word == '+' || *word == '-', n, len = strlen(word);
	const char *digits = word + sign;

	*is_hex = sign == 0 && strncasecmp(word, "0x", 2) == 0;
	if (*is_hex)
		digits += 2;
	n = strspn(digits, *is_hex ? "0123456789abcdefABCDEF" : "0123456789");
	*is_long = strcmp(digits + n, "L") == 0 ||
	    strcmp(digits + n, "LL") == 0;
	if (n == 0 || (!*is_long && digits + n != word + len))
		return NULL;
	return digits;
}

static bool
is_float(const char *word)
{
	char *end;

	if (word[strspn(word, "0123456789.eE+-")] != '\0' ||
	    strpbrk(word, "0123456789") == NULL)
		return false;
	strtod(word, &end);
	return *end == '\0';
}

static void
word_text(const struct token *t, char out[SHOWN_MAX + 1])
{
	size_t n = t->len < SHOWN_MAX ? t->len : SHOWN_MAX;

	memcpy(out, t->at, n);
	out[n] = '\0';
}

/* As a message shows it: in quotes, which a string has. */
static void
quoted(const struct token *t, char out[SHOWN_MAX + 3])
{
	const char *quote = t->kind == TOKEN_STRING ? "" : "\"";
	char word[SHOWN_MAX + 1];

	word_text(t, word);
	snprintf(out, SHOWN_MAX + 3, "%s%s%s", quote, word, quote);
}

/* libconfig wraps what does not fit: 4294967297 would be read as 1. */
static void
number_check(const struct token *t, struct problems *p)
{
	char word[SHOWN_MAX + 1];
	bool is_hex, is_long;
	const char *digits;
	unsigned long long value;

	word_text(t, word);
	digits = integer_digits(word, &is_hex, &is_long);
	if (digits == NULL)
		return;
	errno = 0;
	value = strtoull(digits, NULL, is_hex ? 16 : 10);
	if (errno == ERANGE || value > (is_long ? LLONG_MAX : INT_MAX) ||
	    t->len > SHOWN_MAX)
		problem_add(p, t->line, NULL, "the number %s is out of range, "
		    "expected at most %d", word, INT_MAX);
}

static void
words_check(const struct text *text, struct problems *p)
{
	struct scanner s = { text->bytes, text->bytes, 1 };
	struct token t;

	while ((t = token_next(&s)).kind != TOKEN_END && t.len > 0) {
		if (t.kind == TOKEN_WORD)
			number_check(&t, p);
		if (t.kind == TOKEN_STRING &&
		    memmem(t.at, t.len, "\\x00", 4) != NULL)
			problem_add(p, t.line, NULL, "a string holds \\x00, "
			    "expected no NUL bytes");
	}
}

/* -------------------------------------------------------------- mistakes */

enum want { WANT_KEY, WANT_EQUALS, WANT_VALUE, WANT_ELEMENT, WANT_AFTER };

struct reader {
	struct token t, before;
	enum want want;
	struct {
		char open;
		int line;
		unsigned keys;
		const char *start;
	} stack[DEPTH_MAX];
	unsigned depth, keys;   /* of the top */
	struct token key;       /* last key of a group */
	struct problems *p;
	const struct text *text;
};

static char
closer_of(char open)
{
	return open == '{' ? '}' : open == '(' ? ')' : ']';
}

/* The innermost open bracket; '{' also at the top, which is a group. */
static char
inside(const struct reader *r)
{
	return r->depth == 0 ? '{' : r->stack[r->depth - 1].open;
}

/* One mistake is enough: always -1. */
static int mistake(struct reader *r, int line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int
mistake(struct reader *r, int line, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	problem_add(r->p, line, NULL, "%s", what);
	return -1;
}

static const char *
line_name(const struct reader *r, int line, char out[LINE_NAME_MAX])
{
	return text_line_name(r->text, line, r->t.line, out);
}

static int
at_close(struct reader *r, char close)
{
	char where[LINE_NAME_MAX];

	if (r->depth == 0)
		return mistake(r, r->t.line, "\"%c\" closes nothing", close);
	if (closer_of(inside(r)) != close)
		return mistake(r, r->t.line, "\"%c\" before the \"%c\" of %s "
		    "is closed, expected \"%c\"", close, inside(r),
		    line_name(r, r->stack[r->depth - 1].line, where),
		    closer_of(inside(r)));
	if (r->before.kind == TOKEN_MARK && *r->before.at == ',' &&
	    r->want != WANT_KEY)
		return mistake(r, r->before.line, "a comma before \"%c\", "
		    "expected none after the last element", close);
	if (r->want == WANT_VALUE || r->want == WANT_EQUALS)
		return mistake(r, r->t.line, "\"%c\" where a value is missing",
		    close);
	r->depth--;
	r->want = WANT_AFTER;
	return 0;
}

static int
at_open(struct reader *r, char open)
{
	if (inside(r) == '[')
		return mistake(r, r->t.line, "\"%c\" between [ and ], expected "
		    "( and ) around groups and lists", open);
	if (r->depth == DEPTH_MAX)
		return mistake(r, r->t.line, "nested too deep, expected at "
		    "most %d levels", DEPTH_MAX);
	r->stack[r->depth].open = open;
	r->stack[r->depth].keys = 0;
	r->stack[r->depth].start = r->t.at + 1;
	r->stack[r->depth++].line = r->t.line;
	r->want = open == '{' ? WANT_KEY : WANT_ELEMENT;
	return 0;
}

/* Not a name, wherever it stands. */
static bool
is_bool(const struct token *t)
{
	return (t->len == 4 && strncasecmp(t->at, "true", 4) == 0) ||
	    (t->len == 5 && strncasecmp(t->at, "false", 5) == 0);
}

static int
at_key(struct reader *r)
{
	unsigned *keys = r->depth == 0 ? &r->keys :
	    &r->stack[r->depth - 1].keys;
	char word[SHOWN_MAX + 3];

	if (r->t.kind == TOKEN_NAME && !is_bool(&r->t)) {
		if (++*keys > KEYS_MAX)
			return mistake(r, r->t.line, "more than %d keys in one "
			    "group, expected fewer", KEYS_MAX);
		r->key = r->t;
		r->want = WANT_EQUALS;
		return 0;
	}
	quoted(&r->t, word);
	return mistake(r, r->t.line, "%s where a key is expected, as in "
	    "key = value", word);
}

/* What needs no quotes, and strings. */
static bool
is_bare_value(const struct token *t)
{
	char word[SHOWN_MAX + 1];
	bool is_hex, is_long;

	word_text(t, word);
	if (t->kind == TOKEN_NAME)
		return is_bool(t);
	if (t->kind == TOKEN_WORD)
		return is_float(word) ||
		    integer_digits(word, &is_hex, &is_long) != NULL;
	return t->kind == TOKEN_STRING;
}

/* All that its writer would have put between the quotes. */
static void
bare_text(const struct token *t, char out[SHOWN_MAX + 1])
{
	struct token whole = *t;

	whole.len = strcspn(t->at, " \t\r\f\n;,\"(){}[]#");
	if (whole.len < t->len)
		whole.len = t->len;
	word_text(&whole, out);
}

static int
at_value(struct reader *r)
{
	char word[SHOWN_MAX + 1];

	word_text(&r->t, word);
	if (r->t.kind == TOKEN_MARK && strchr("{([", *r->t.at) != NULL)
		return at_open(r, *r->t.at);
	if (r->t.kind == TOKEN_MARK)
		return mistake(r, r->t.line, "\"%s\" where a value is missing",
		    word);
	if (!is_bare_value(&r->t)) {
		bare_text(&r->t, word);
		return mistake(r, r->t.line, "%s needs quotes, expected \"%s\"",
		    word, word);
	}
	r->want = WANT_AFTER;
	return 0;
}

static int
after_element(struct reader *r)
{
	char where[LINE_NAME_MAX];

	if (r->t.kind == TOKEN_MARK && *r->t.at == ',') {
		r->want = WANT_ELEMENT;
		return 0;
	}
	if (r->t.kind == TOKEN_STRING && r->before.kind == TOKEN_STRING)
		return 0;
	if (r->t.kind == TOKEN_MARK && strchr(";=:", *r->t.at) != NULL)
		return mistake(r, r->t.line, "\"%c\" in a list, expected \",\" "
		    "between its elements", *r->t.at);
	return mistake(r, r->before.line, "a comma is missing between two "
	    "elements of the \"%c\" of %s", inside(r),
	    line_name(r, r->stack[r->depth - 1].line, where));
}

static int
after_value(struct reader *r)
{
	char word[SHOWN_MAX + 3];

	if (inside(r) != '{')
		return after_element(r);
	if (r->t.kind == TOKEN_STRING && r->before.kind == TOKEN_STRING)
		return 0;
	r->want = WANT_KEY;
	if (r->t.kind == TOKEN_MARK && strchr(",;", *r->t.at) != NULL)
		return 0;
	if (r->t.kind == TOKEN_NAME)
		return at_key(r);
	quoted(&r->t, word);
	return mistake(r, r->t.line, "%s after a value, expected \";\" and "
	    "the next key", word);
}

/* After `key` came something else than "=" or ":". */
static int
at_equals(struct reader *r)
{
	char word[SHOWN_MAX + 1];

	if (r->t.kind == TOKEN_MARK && strchr("=:", *r->t.at) != NULL) {
		r->want = WANT_VALUE;
		return 0;
	}
	word_text(&r->key, word);
	return mistake(r, r->key.line, "\"=\" is missing after %s", word);
}

static int
at_end(struct reader *r)
{
	if (r->depth > 0)
		return mistake(r, r->stack[r->depth - 1].line, "the \"%c\" "
		    "that opens here is never closed, expected \"%c\"", inside(r),
		    closer_of(inside(r)));
	if (r->want == WANT_EQUALS)
		return at_equals(r);
	return r->want == WANT_VALUE ? mistake(r, r->before.line,
	    "a value is missing at the end of the file") : 0;
}

/* 0 to go on, -1 when the mistake has been named. */
static int
reader_step(struct reader *r)
{
	if (r->t.kind == TOKEN_END)
		return at_end(r);
	if (r->t.kind == TOKEN_MARK && strchr("})]", *r->t.at) != NULL)
		return at_close(r, *r->t.at);
	switch (r->want) {
	case WANT_KEY:
		return at_key(r);
	case WANT_EQUALS:
		return at_equals(r);
	case WANT_VALUE:
	case WANT_ELEMENT:
		return at_value(r);
	case WANT_AFTER:
		return after_value(r);
	}
	return 0;
}

/* The line of an earlier key of that name in the group at `from`, or 0. */
static int
earlier_key(struct scanner from, const struct token *key)
{
	unsigned depth = 0;

	for (;;) {
		struct token t = token_next(&from);

		if (t.at >= key->at || t.kind == TOKEN_END)
			return 0;
		if (t.kind == TOKEN_MARK && strchr("{([", *t.at) != NULL)
			depth++;
		if (t.kind == TOKEN_MARK && strchr("})]", *t.at) != NULL)
			depth--;
		if (depth == 0 && t.kind == TOKEN_NAME && t.len == key->len &&
		    memcmp(t.at, key->at, t.len) == 0)
			return t.line;
	}
}

void
syntax_check(const struct text *text, struct problems *p)
{
	struct scanner s = { text->bytes, text->bytes, 1 };
	struct reader r = { .want = WANT_KEY, .p = p, .text = text };

	words_check(text, p);
	do {
		r.before = r.t;
		r.t = token_next(&s);
	} while (reader_step(&r) == 0 && r.t.kind != TOKEN_END);
}

/* A key at or just before `line` that its group already has; 0 if none. */
static int
repeated_key(struct reader *r, int line)
{
	struct scanner group = { r->text->bytes, r->text->bytes, 1 };
	char word[SHOWN_MAX + 1], where[LINE_NAME_MAX];
	int earlier = 0;

	if (r->depth > 0) {
		group.at = r->stack[r->depth - 1].start;
		group.line = r->stack[r->depth - 1].line;
	}
	if (r->want == WANT_EQUALS && line - r->t.line <= 1)
		earlier = earlier_key(group, &r->t);
	if (earlier == 0)
		return 0;
	word_text(&r->t, word);
	return mistake(r, r->t.line, "%s is given twice in one group, first on "
	    "%s", word, line_name(r, earlier, where));
}

void
syntax_explain(const struct text *text, int line, const char *words,
    struct problems *p)
{
	struct scanner s = { text->bytes, text->bytes, 1 };
	struct reader r = { .want = WANT_KEY, .p = p, .text = text };

	if (strcmp(words, "mismatched element type in array") == 0)
		words = "elements of different types between [ and ], expected "
		    "( and )";
	while (strcmp(words, "duplicate setting name") == 0) {
		r.before = r.t;
		r.t = token_next(&s);
		if (r.t.line > line || reader_step(&r) == -1 ||
		    r.t.kind == TOKEN_END)
			break;
		if (repeated_key(&r, line) == -1)
			return;
	}
	problem_add(p, line, NULL, "%s", words);
}
