/*
 * Replies as servers send them, RESP2 and RESP3; resp.h is the contract. A
 * reply nested however deep is a count of elements that are due yet, no stack.
 * Whole strings and numbers are stepped over with arithmetic; what came in
 * part, or is rare, goes a byte at a time through the states below.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/resp.h"

#include <string.h>

#include "proxy/proto/redis/number.h"

enum reply_state {
	REPLY_TYPE,             /* an element begins */
	REPLY_TEXT,             /* a line that ends where it ends */
	REPLY_NUMBER,           /* a number, a length, a count */
	REPLY_LF,
	REPLY_BULK,
	REPLY_DONE,
	REPLY_BAD
};

/* What an element's type byte begins. */
enum reply_kind {
	KIND_NONE,
	KIND_LINE,              /* any text */
	KIND_DOUBLE,
	KIND_BOOLEAN,
	KIND_NULL,
	KIND_INTEGER,
	KIND_BULK,
	KIND_LIST,
	KIND_MAP,
	KIND_ATTRIBUTE
};

static const uint8_t kinds[256] = {
	['+'] = KIND_LINE, ['-'] = KIND_LINE, [','] = KIND_DOUBLE,
	/* Of a script's making, and so any text (scripting: RESP3 replies). */
	['('] = KIND_LINE, ['#'] = KIND_BOOLEAN, ['_'] = KIND_NULL,
	[':'] = KIND_INTEGER, ['$'] = KIND_BULK, ['!'] = KIND_BULK,
	['='] = KIND_BULK, ['*'] = KIND_LIST, ['~'] = KIND_LIST,
	['>'] = KIND_LIST, ['%'] = KIND_MAP, ['|'] = KIND_ATTRIBUTE
};

/* r->level: where the element being read stands. */
enum reply_level {
	LEVEL_ITSELF,           /* it is the reply */
	LEVEL_DIRECT,           /* an element of the reply */
	LEVEL_DEEP              /* of an element, or in an attribute */
};

void
resp_reply_init(struct resp_reply *r)
{
	r->size = 0;
	r->type = 0;
	r->is_null = false;
	r->word[0] = '\0';
	r->number = 0;
	r->elements = 0;
	r->pending = r->top_left = 1;
	r->left = 0;
	number_init(&r->value);
	r->state = REPLY_TYPE;
	r->word_len = 0;
	r->part = 0;
	r->worded = false;
	r->level = LEVEL_ITSELF;
}

static enum parse
reply_refuse(struct resp_reply *r)
{
	r->state = REPLY_BAD;
	return PARSE_BAD;
}

/* ----------------------------------------------------------------- elements */

static bool
has_word(char type)
{
	return type == '+' || type == '-' || type == '!';
}

/*
 * An element of this type begins. It is of the reply's own level if nothing
 * deeper is due. An attribute is no element, but comes before one.
 */
static void
element_begin(struct resp_reply *r, char type)
{
	r->part = type;
	r->worded = false;
	if (r->pending != r->top_left)
		r->level = LEVEL_DEEP;
	else if (r->type != 0) {
		r->level = LEVEL_DIRECT;
		r->worded = r->top_left == r->elements &&
		    (has_word(type) || type == '$');
	} else {
		r->level = LEVEL_ITSELF;
		if (type == '|')
			return;
		r->type = type;
		r->worded = has_word(type);
	}
}

/* It is complete, but for what is nested in it. */
static enum parse
element_end(struct resp_reply *r)
{
	r->state = REPLY_TYPE;
	if (r->level != LEVEL_DEEP)
		r->top_left--;
	if (--r->pending > 0)
		return PARSE_MORE;
	r->state = REPLY_DONE;
	return PARSE_DONE;
}

/* An aggregate of n elements. */
static enum parse
aggregate_begin(struct resp_reply *r, uint64_t n)
{
	if (n > RESP_ELEMENTS_MAX)
		return reply_refuse(r);
	if (kinds[(uint8_t)r->part] != KIND_LIST)
		n *= 2;
	if (n > RESP_PENDING_MAX - r->pending)
		return reply_refuse(r);
	r->pending += n;
	if (r->part == '|') {
		r->state = REPLY_TYPE;
		return PARSE_MORE;
	}
	if (r->level == LEVEL_ITSELF) {
		r->elements = n;
		r->top_left += n;
	}
	return element_end(r);
}

static enum parse
integer_end(struct resp_reply *r, int64_t n)
{
	if (r->level != LEVEL_DEEP)
		r->number = n;
	return element_end(r);
}

static enum parse
null_end(struct resp_reply *r)
{
	if (r->level == LEVEL_ITSELF)
		r->is_null = true;
	return element_end(r);
}

/* Bytes of a string whose first word is wanted. */
static void
word_take(struct resp_reply *r, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)bytes[i] <= ' ' ||
		    r->word_len == RESP_WORD_MAX - 1) {
			r->worded = false;
			break;
		}
		r->word[r->word_len++] = bytes[i];
	}
	r->word[r->word_len] = '\0';
}

/* ------------------------------------------------------- whole and ordinary */

/* A line of text that is whole before end: what follows it, or NULL. */
static const char *
text_skip(struct resp_reply *r, const char *p, const char *end)
{
	const char *text = p;

	while (p < end && *p != '\r' && *p != '\n')
		p++;
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
		return NULL;
	if (r->worded)
		word_take(r, text, (size_t)(p - text));
	return p + 2;
}

/*
 * The element at p, if it is an ordinary one and, unless an aggregate, whole
 * before end: what follows it, and *got. NULL: nothing was done but
 * element_begin(), which may be done again: it is for the slow way.
 */
static const char *
element_skip(struct resp_reply *r, const char *p, const char *end,
    enum parse *got)
{
	enum reply_kind kind = kinds[(uint8_t)*p];
	const char *next;
	uint32_t n;

	if (kind == KIND_LINE) {
		next = text_skip(r, p + 1, end);
		if (next != NULL)
			*got = element_end(r);
		return next;
	}
	if (kind < KIND_INTEGER)
		return NULL;
	next = number_line(p + 1, end, &n);
	if (next == NULL)
		return NULL;
	if (kind == KIND_INTEGER)
		*got = integer_end(r, n);
	else if (kind != KIND_BULK)
		*got = aggregate_begin(r, n);
	else {
		if ((size_t)(end - next) < (size_t)n + 2 ||
		    next[n] != '\r' || next[n + 1] != '\n')
			return NULL;
		if (r->worded)
			word_take(r, next, n);
		next += n + 2;
		*got = element_end(r);
	}
	return next;
}

/* ------------------------------------------------------------ a byte a time */

static enum parse
type_byte(struct resp_reply *r, char byte)
{
	enum reply_kind kind = kinds[(uint8_t)byte];

	if (kind == KIND_NONE)
		return reply_refuse(r);
	number_init(&r->value);
	r->state = kind < KIND_INTEGER ? REPLY_TEXT : REPLY_NUMBER;
	return PARSE_MORE;
}

/* May this byte be in such a line? Doubles by their alphabet only ("inf",
   "nan" and "-nan" are sent, too): where they end is all that matters. */
static bool
text_accepts(struct resp_reply *r, enum reply_kind kind, char byte)
{
	bool begun = r->value.begun, digit = byte >= '0' && byte <= '9';

	switch (kind) {
	case KIND_DOUBLE:
		r->value.begun = true;
		return digit || (byte != '\0' &&
		    strchr("+-.eEinfaINFA", byte) != NULL);
	case KIND_BOOLEAN:
		r->value.begun = true;
		return !begun && (byte == 't' || byte == 'f');
	case KIND_NULL:
		return false;
	default:
		return byte != '\n';
	}
}

static enum parse
text_byte(struct resp_reply *r, char byte)
{
	enum reply_kind kind = kinds[(uint8_t)r->part];

	if (byte == '\r') {
		r->state = REPLY_LF;
		return kind == KIND_LINE || kind == KIND_NULL ||
		    r->value.begun ? PARSE_MORE : reply_refuse(r);
	}
	if (!text_accepts(r, kind, byte))
		return reply_refuse(r);
	if (r->worded)
		word_take(r, &byte, 1);
	return PARSE_MORE;
}

static enum parse
number_take(struct resp_reply *r, char byte)
{
	if (byte == '\r' && r->value.begun)
		r->state = REPLY_LF;
	else if (!number_byte(&r->value, byte))
		return reply_refuse(r);
	return PARSE_MORE;
}

/* A line has ended. */
static enum parse
line_end(struct resp_reply *r)
{
	enum reply_kind kind = kinds[(uint8_t)r->part];
	uint64_t n = r->value.value;

	if (kind == KIND_NULL)
		return null_end(r);
	if (kind < KIND_INTEGER)
		return element_end(r);
	if (kind == KIND_INTEGER)
		return integer_end(r, (int64_t)(r->value.minus ? -n : n));
	if (r->value.minus)     /* RESP2 has two nulls: "$-1" and "*-1" */
		return n == 1 && (r->part == '$' || r->part == '*') ?
		    null_end(r) : reply_refuse(r);
	if (kind != KIND_BULK)
		return aggregate_begin(r, n);
	if (n > RESP_REPLY_BULK_MAX)
		return reply_refuse(r);
	r->left = n + 2;
	r->state = REPLY_BULK;
	return PARSE_MORE;
}

/* One of the two bytes after a bulk. */
static enum parse
bulk_end(struct resp_reply *r, char byte)
{
	if (byte != (r->left == 2 ? '\r' : '\n'))
		return reply_refuse(r);
	return --r->left > 0 ? PARSE_MORE : element_end(r);
}

static enum parse
reply_byte(struct resp_reply *r, char byte)
{
	switch ((enum reply_state)r->state) {
	case REPLY_TYPE:
		return type_byte(r, byte);
	case REPLY_TEXT:
		return text_byte(r, byte);
	case REPLY_NUMBER:
		return number_take(r, byte);
	case REPLY_LF:
		return byte == '\n' ? line_end(r) : reply_refuse(r);
	case REPLY_BULK:
		return bulk_end(r, byte);
	case REPLY_DONE:
		return PARSE_DONE;
	case REPLY_BAD:
		break;
	}
	return PARSE_BAD;
}

/* What this piece has of a bulk, without its CR LF; how much that is. */
static size_t
bulk_skip(struct resp_reply *r, const char *bytes, size_t len)
{
	size_t n = r->left - 2 < len ? (size_t)(r->left - 2) : len;

	if (r->worded)
		word_take(r, bytes, n);
	r->left -= n;
	return n;
}

enum parse
resp_reply_feed(struct resp_reply *r, const char *bytes, size_t len,
    size_t *used)
{
	const char *p = bytes, *end = bytes + len;
	enum parse got = PARSE_MORE;

	if (r->state >= REPLY_DONE) {
		*used = 0;
		return r->state == REPLY_DONE ? PARSE_DONE : PARSE_BAD;
	}
	while (p < end && got == PARSE_MORE) {
		if (r->state == REPLY_TYPE) {
			const char *next;

			element_begin(r, *p);
			next = element_skip(r, p, end, &got);
			if (next != NULL) {
				p = next;
				continue;
			}
		} else if (r->state == REPLY_BULK && r->left > 2) {
			p += bulk_skip(r, p, (size_t)(end - p));
			continue;
		}
		got = reply_byte(r, *p++);
	}
	*used = got == PARSE_BAD ? len : (size_t)(p - bytes);
	r->size += *used;
	return got;
}
