/*
 * An inline command, as people type it, made a multibulk one. Quotes and
 * escapes are those of Redis 7.0 (sds.c, sdssplitargs()); resp.c has found
 * where the line ends, and whether its quotes are balanced.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/resp.h"

#include <stdio.h>
#include <string.h>

#include "proxy/proto/redis/inline.h"

/* Where bytes go, or only how many there are (at NULL). */
struct sink {
	char *at;
	size_t len;
};

static void
sink_byte(struct sink *s, char byte)
{
	if (s->at != NULL)
		s->at[s->len] = byte;
	s->len++;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After a backslash in double quotes, at least one byte; returns the rest. */
static const char *
escape_read(const char *p, const char *end, struct sink *to)
{
	static const char names[] = "nrtba", bytes[] = "\n\r\t\b\a";
	const char *name;

	if (*p == 'x' && end - p > 2 && hex_value(p[1]) >= 0 &&
	    hex_value(p[2]) >= 0) {
		sink_byte(to, (char)(hex_value(p[1]) << 4 | hex_value(p[2])));
		return p + 3;
	}
	name = *p != '\0' ? strchr(names, *p) : NULL;
	sink_byte(to, name != NULL ? bytes[name - names] : *p);
	return p + 1;
}

/* After the opening quote; returns what follows the closing one, or NULL. */
static const char *
quoted_read(const char *p, const char *end, struct sink *to)
{
	char quote = p[-1];

	while (p < end && *p != quote) {
		bool escape = *p == '\\' && end - p > 1;

		if (escape && quote == '"') {
			p = escape_read(p + 1, end, to);
			continue;
		}
		if (escape && p[1] == quote)    /* the only one in '...' */
			p++;
		sink_byte(to, *p++);
	}
	if (p == end || (p + 1 < end && !is_space(p[1])))
		return NULL;
	return p + 1;
}

/* One word, not empty before end; returns what follows it, or NULL. */
static const char *
word_read(const char *p, const char *end, struct sink *to)
{
	while (p < end && !ends_word(*p)) {
		if (*p == '"' || *p == '\'')
			return quoted_read(p + 1, end, to);
		sink_byte(to, *p++);
	}
	return p;
}

static const char *
space_skip(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* How many words there are; SIZE_MAX: unbalanced quotes. */
static size_t
words_count(const char *p, const char *end)
{
	size_t n = 0;

	for (p = space_skip(p, end); p < end; p = space_skip(p, end)) {
		struct sink nowhere = { NULL, 0 };

		p = word_read(p, end, &nowhere);
		if (p == NULL)
			return SIZE_MAX;
		n++;
	}
	return n;
}

size_t
resp_inline_write(const char *line, size_t len, char *out, size_t size,
    uint32_t *argc)
{
	enum { HEAD_MAX = 24 }; /* "$", 20 digits, CR LF, NUL */
	const char *p, *end = line + len;
	size_t n = words_count(line, end), at;

	*argc = 0;
	if (n == 0 || n > RESP_ARGC_MAX)
		return n == 0 ? 0 : SIZE_MAX;
	if (size < HEAD_MAX)
		return SIZE_MAX;
	at = (size_t)snprintf(out, HEAD_MAX, "*%zu\r\n", n);
	for (p = space_skip(line, end); p < end; p = space_skip(p, end)) {
		struct sink measure = { NULL, 0 }, write = { NULL, 0 };

		word_read(p, end, &measure);
		if (size - at < HEAD_MAX || size - at - HEAD_MAX <
		    measure.len + 2)
			return SIZE_MAX;
		at += (size_t)snprintf(out + at, HEAD_MAX, "$%zu\r\n",
		    measure.len);
		write.at = out + at;
		p = word_read(p, end, &write);
		at += write.len;
		out[at++] = '\r';
		out[at++] = '\n';
	}
	*argc = (uint32_t)n;
	return at;
}
