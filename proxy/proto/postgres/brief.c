/*
 * The first words of a statement, for people who look at connections.
 *
 * Words, names and stars up to what may be a value: nothing that a client wants
 * to be kept is among them. Comments in front, as some programs write them, are
 * passed over.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/brief.h"

#include <string.h>
#include <strings.h>

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* PostgreSQL 4.1.5; nested ones end at their first end here. */
static const char *
skip_comments(const char *at, const char *end)
{
	const char *stop;

	for (;;) {
		while (at < end && is_blank(*at))
			at++;
		if (end - at < 2)
			return at;
		if (at[0] == '-' && at[1] == '-')
			stop = memchr(at, '\n', (size_t)(end - at));
		else if (at[0] == '/' && at[1] == '*') {
			stop = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);
			stop = stop != NULL ? stop + 1 : NULL;
		} else
			return at;
		if (stop == NULL)
			return end;
		at = stop + 1;
	}
}

/* A digit belongs to a name only where it does not begin it. */
static bool
is_word(char c, char before)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    c == '.' || c == '*' || c == ',' || c == '"' ||
	    (c >= '0' && c <= '9' && before != ' ' && before != '.' &&
	    before != ',');
}

/* SET name TO value: the value may look like a word. */
static bool
ends_with_to(const char *text, size_t n)
{
	return n >= 4 && strncasecmp(text + n - 4, " to ", 4) == 0;
}

void
pg_brief_note(struct pg_brief *b, const char *text, size_t len)
{
	const char *end = text + len, *at = skip_comments(text, end);
	size_t n = 0;

	for (; at < end && n < sizeof(b->text); at++) {
		char before = n > 0 ? b->text[n - 1] : ' ';

		if (is_blank(*at)) {
			if (before == ' ')
				continue;
			b->text[n++] = ' ';
			if (ends_with_to(b->text, n))
				break;
		} else if (is_word(*at, before))
			b->text[n++] = *at;
		else
			break;
	}
	while (n > 0 && b->text[n - 1] == ' ')
		n--;
	b->len = (uint8_t)n;
}
