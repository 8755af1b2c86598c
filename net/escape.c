/*
 * Escaping for logs. See escape.h.
 *
 * Nearly all text needs none, so eight bytes are looked at together; only
 * those with something in them go byte by byte.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "net/err.h"

#define ONES  0x0101010101010101ULL
#define HIGHS 0x8080808080808080ULL

static const char hex[] = "0123456789abcdef";

/* Nonzero when a byte of w is c; none of w's bytes may be above 0x7f. */
static inline uint64_t
any_is(uint64_t w, unsigned char c)
{
	uint64_t v = w ^ (ONES * c);

	return (v - ONES) & ~v & HIGHS;
}

/* Are all eight printable ASCII, and none a quote or backslash? */
static inline bool
is_plain8(uint64_t w)
{
	uint64_t odd = (w & HIGHS) | ((w - ONES * 0x20) & ~w & HIGHS) |
	    any_is(w, 0x7f) | any_is(w, '"') | any_is(w, '\\');

	return odd == 0;
}

static inline bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static char *
put_u(char *out, unsigned c)
{
	out[0] = '\\';
	out[1] = 'u';
	out[2] = hex[c >> 12];
	out[3] = hex[c >> 8 & 15];
	out[4] = hex[c >> 4 & 15];
	out[5] = hex[c & 15];
	return out + 6;
}

static char *
put_x(char *out, unsigned char c)
{
	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return out + 4;
}

/* Bytes of the UTF-8 character at p (RFC 3629 4); 0 = it is none. */
static size_t
utf8_len(const unsigned char *p, size_t len)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2, i;

	if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
		return 0;
	for (i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, surrogates, beyond U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* One character from 0x80 on; *used bytes of it. */
static char *
put_character(char *out, const unsigned char *p, size_t len, size_t *used)
{
	size_t n = utf8_len(p, len);

	*used = n > 0 ? n : 1;
	if (n == 0)
		return put_u(out, p[0]);
	if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
		return put_u(out, p[1]);
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8)
		return put_u(out, 0x2000 | (p[2] & 0x3f));
	memcpy(out, p, n);
	return out + n;
}

/* One byte or character that is not plain; *used bytes of it. */
static char *
put_odd(char *out, const unsigned char *p, size_t len, bool quotes,
    size_t *used)
{
	if (p[0] >= 0x80)
		return put_character(out, p, len, used);
	*used = 1;
	if (p[0] < 0x20 || p[0] == 0x7f)
		return put_u(out, p[0]);
	if (quotes)
		*out++ = '\\';
	*out++ = (char)p[0];
	return out;
}

static char *
put_odd_ascii(char *out, unsigned char c)
{
	if (c != '"' && c != '\\')
		return put_x(out, c);
	out[0] = '\\';
	out[1] = (char)c;
	return out + 2;
}

/* Copies what is plain at p; returns how much of it. */
static inline size_t
copy_plain(char *out, const unsigned char *p, size_t len)
{
	size_t n = 0;
	uint64_t w;

	for (; len - n >= 8; n += 8) {
		memcpy(&w, p + n, 8);
		if (!is_plain8(w))
			break;
		memcpy(out + n, &w, 8);
	}
	for (; n < len && is_plain(p[n]); n++)
		out[n] = (char)p[n];
	return n;
}

static char *
escape_unicode(char *out, const unsigned char *p, size_t len, bool quotes)
{
	size_t n;

	for (;;) {
		n = copy_plain(out, p, len);
		out += n;
		p += n;
		len -= n;
		if (likely(len == 0))
			return out;
		out = put_odd(out, p, len, quotes, &n);
		p += n;
		len -= n;
	}
}

char *
escape_json(char *out, const char *text, size_t len)
{
	return escape_unicode(out, (const unsigned char *)text, len, true);
}

char *
escape_plain(char *out, const char *text, size_t len)
{
	return escape_unicode(out, (const unsigned char *)text, len, false);
}

char *
escape_ascii(char *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (;;) {
		n = copy_plain(out, p, len);
		out += n;
		p += n;
		len -= n;
		if (likely(len == 0))
			return out;
		out = put_odd_ascii(out, *p);
		p++;
		len--;
	}
}

void
escape_tame(char *text)
{
	unsigned char *p = (unsigned char *)text;
	size_t len = strlen(text), n;
	char out[ESCAPE_GROWTH];

	/* What would be escaped: that is longer than any character is. */
	for (; len > 0; p += n, len -= n) {
		n = 1;
		if (is_plain(*p))
			continue;
		if (*p >= 0x80 && utf8_len(p, len) == 0)
			*p = '?';
		else if (put_odd(out, p, len, false, &n) - out > 4)
			memset(p, ' ', n);
	}
}
