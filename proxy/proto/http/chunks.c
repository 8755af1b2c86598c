/*
 * Chunked bodies (RFC 9112 7.1); parse.h is the contract. The size line is
 * read a byte at a time, for it is dropped as it comes; the trailer section a
 * line at a time, as its fields are handed on.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "proxy/proto/http/fields.h"

enum {
	SIZE_DIGITS_MAX = 16
};

/* c->step; the order matters: below CHUNK_DATA all is framing. */
enum chunk_step {
	CHUNK_SIZE,             /* in a size line; c->sub says where */
	CHUNK_DATA_CR,          /* after the payload */
	CHUNK_DATA_LF,
	CHUNK_DATA,
	CHUNK_TRAILER,
	CHUNK_DONE,
	CHUNK_BAD
};

/*
 * c->sub. RFC 9112 7.1.1 without its BWS, which is there for reading what
 * others wrote wrongly; nobody is known to send it.
 *   chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )
 */
enum size_sub {
	SUB_FIRST_DIGIT,
	SUB_DIGITS,
	SUB_NAME_FIRST,
	SUB_NAME,
	SUB_VALUE_FIRST,
	SUB_VALUE,
	SUB_QUOTED,
	SUB_ESCAPED,
	SUB_QUOTE_END,
	SUB_LF
};

/*
 * Not from trailers into a message (RFC 9110 6.5.1): what frames, routes,
 * authenticates, modifies a request, controls a response or describes its
 * content; whoever merges trailers into the head would act on them. Names
 * that parse.h knows are not repeated here. "-" ends a prefix.
 */
static const char *const forbidden[] = {
	"age", "authorization", "cache-control", "content-", "cookie",
	"expires", "if-", "location", "max-forwards", "pragma", "range",
	"set-cookie", "vary", "warning", "www-authenticate"
};

static enum parse
chunks_refuse(struct http_chunks *c, const char *why)
{
	c->step = CHUNK_BAD;
	c->why = why;
	return PARSE_BAD;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One more digit of chunk-size: at most 16, and below 2^63. */
static bool
size_digit(struct http_chunks *c, int digit)
{
	if (c->line_bytes > SIZE_DIGITS_MAX || c->left > INT64_MAX >> 4)
		return false;
	c->left = c->left << 4 | (unsigned)digit;
	return true;
}

/* What may follow a whole extension, or the size itself. */
static int
part_end(char c)
{
	if (c == ';')
		return SUB_NAME_FIRST;
	return c == '\r' ? SUB_LF : -1;
}

/* Where a byte of an extension leads; -1 = nowhere. */
static int
extension_next(int sub, char c)
{
	uint8_t class = http_byte_class[(uint8_t)c];

	switch (sub) {
	case SUB_NAME_FIRST:
		return class & TOKEN ? SUB_NAME : -1;
	case SUB_NAME:
		if (class & TOKEN)
			return SUB_NAME;
		return c == '=' ? SUB_VALUE_FIRST : part_end(c);
	case SUB_VALUE_FIRST:
		if (c == '"')
			return SUB_QUOTED;
		return class & TOKEN ? SUB_VALUE : -1;
	case SUB_VALUE:
		return class & TOKEN ? SUB_VALUE : part_end(c);
	case SUB_QUOTED:
		if (c == '"')
			return SUB_QUOTE_END;
		if (c == '\\')
			return SUB_ESCAPED;
		return class & VALUE ? SUB_QUOTED : -1;
	case SUB_ESCAPED:
		return class & VALUE ? SUB_QUOTED : -1;
	default:
		return part_end(c);
	}
}

/* The size line is over: RFC 9112 7.1, last-chunk = 1*"0". */
static void
size_end(struct http_chunks *c)
{
	c->step = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
	c->sub = SUB_FIRST_DIGIT;
	c->line_bytes = 0;
}

/* One byte of a size line; NULL or a fault. */
static const char *
size_byte(struct http_chunks *c, char byte)
{
	int digit, next;

	if (++c->line_bytes > HTTP_CHUNK_LINE_MAX)
		return "chunk line too long";
	if (c->sub == SUB_LF) {
		if (byte != '\n')
			return "bare CR in chunk line";
		size_end(c);
		return NULL;
	}
	if (c->sub <= SUB_DIGITS) {
		digit = hex_value(byte);
		if (digit >= 0) {
			c->sub = SUB_DIGITS;
			return size_digit(c, digit) ? NULL :
			    "chunk size too large";
		}
		next = c->sub == SUB_DIGITS ? part_end(byte) : -1;
		if (next < 0)
			return byte == '\n' ? "bare LF in chunk line" :
			    "bad chunk size";
	} else {
		next = extension_next(c->sub, byte);
		if (next < 0)
			return byte == '\n' ? "bare LF in chunk line" :
			    "bad chunk extension";
	}
	c->sub = (uint8_t)next;
	return NULL;
}

/* Framing up to the next payload or the trailer section. */
static enum parse
framing_skip(struct http_chunks *c, const char *bytes, size_t len,
    struct http_piece *p)
{
	const char *why;

	for (; p->skip < len && c->step < CHUNK_DATA; p->skip++) {
		char byte = bytes[p->skip];

		if (c->step == CHUNK_SIZE) {
			why = size_byte(c, byte);
			if (why != NULL)
				return chunks_refuse(c, why);
		} else if (c->step == CHUNK_DATA_CR) {
			if (byte != '\r')
				return chunks_refuse(c, "no CRLF after chunk");
			c->step = CHUNK_DATA_LF;
		} else {
			if (byte != '\n')
				return chunks_refuse(c, "no CRLF after chunk");
			c->step = CHUNK_SIZE;
		}
	}
	return PARSE_MORE;
}

static enum parse
payload_take(struct http_chunks *c, size_t len, struct http_piece *p)
{
	p->take = len - p->skip;
	if (p->take >= c->left) {
		p->take = (size_t)c->left;
		c->step = CHUNK_DATA_CR;
	}
	c->left -= p->take;
	return PARSE_MORE;
}

bool
http_trailer_forbidden(const char *name, size_t name_len)
{
	if (http_field_id(name, name_len) != HTTP_F_OTHER)
		return true;
	for (size_t i = 0; i < NELEMS(forbidden); i++) {
		size_t len = strlen(forbidden[i]);
		bool prefix = forbidden[i][len - 1] == '-';

		if ((prefix ? name_len > len : name_len == len) &&
		    http_same_word(name, forbidden[i], len))
			return true;
	}
	return false;
}

/*
 * One whole line of the trailer section, len bytes with its CRLF. Sets
 * p->take if it is to be handed on, else adds it to p->skip.
 */
static enum parse
trailer_line(struct http_chunks *c, const char *line, size_t len,
    struct http_piece *p)
{
	struct http_field f;
	const char *why;

	if (len < 2 || line[len - 2] != '\r')
		return chunks_refuse(c, "bare LF in trailer");
	if (len == 2) {
		p->skip += len;
		c->step = CHUNK_DONE;
		return PARSE_DONE;
	}
	if (++c->n_trailers > HTTP_TRAILERS_MAX)
		return chunks_refuse(c, "too many trailers");
	why = http_field_line(line, len - 2, &f);
	if (why != NULL)
		return chunks_refuse(c, why);
	if (http_trailer_forbidden(line, f.name.len)) {
		p->skip += len;
	} else {
		p->take = len;
		p->is_trailer = true;
	}
	return PARSE_MORE;
}

/* Lines up to one to take, the end, or what has not come yet. */
static enum parse
trailers_next(struct http_chunks *c, const char *bytes, size_t len,
    struct http_piece *p)
{
	enum parse got = PARSE_MORE;

	while (got == PARSE_MORE && p->take == 0) {
		const char *line = bytes + p->skip, *lf = NULL;
		size_t here = len - p->skip;
		size_t limit = HTTP_TRAILER_MAX - c->line_bytes;

		if (here < limit)
			limit = here;
		if (c->seen < limit)
			lf = memchr(line + c->seen, '\n', limit - c->seen);
		if (lf == NULL) {
			c->seen = (uint32_t)limit;
			if (c->line_bytes + limit == HTTP_TRAILER_MAX)
				return chunks_refuse(c, "trailers too large");
			break;
		}
		c->seen = 0;
		c->line_bytes += (uint32_t)(lf + 1 - line);
		got = trailer_line(c, line, (size_t)(lf + 1 - line), p);
	}
	return got;
}

void
http_chunks_init(struct http_chunks *c)
{
	memset(c, 0, sizeof(*c));
}

enum parse
http_chunks_next(struct http_chunks *c, const char *bytes, size_t len,
    struct http_piece *p)
{
	enum parse got;

	*p = (struct http_piece){ 0 };
	if (c->step < CHUNK_DATA) {
		got = framing_skip(c, bytes, len, p);
		if (got != PARSE_MORE)
			return got;
	}
	if (c->step == CHUNK_DATA)
		return payload_take(c, len, p);
	if (c->step == CHUNK_TRAILER)
		return trailers_next(c, bytes, len, p);
	if (c->step == CHUNK_DONE)
		return PARSE_DONE;
	return c->step == CHUNK_BAD ? PARSE_BAD : PARSE_MORE;
}
