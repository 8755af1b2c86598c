/*
 * Between parse.c, fields.c and chunks.c only: what a byte may be, and the
 * rules of field lines. Nothing here is for the rest of weir; parse.h is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_FIELDS_H
#define PROXY_PROTO_HTTP_FIELDS_H

#include "proxy/proto/http/parse.h"

/* What a byte may be part of. */
enum {
	TOKEN = 1,              /* RFC 9110 5.6.2 tchar */
	VALUE = 2,              /* RFC 9110 5.5: VCHAR, SP, HTAB, obs-text */
	TARGET = 4,             /* visible ASCII but "#": a fragment is never
				   sent (3.2) */
	HOSTNAME = 8,           /* RFC 3986 unreserved. Its sub-delims and
				   percent-encoding are in no name that can be
				   looked up, and two hops may decode them
				   differently */
	MARK = TOKEN | VALUE | TARGET,
	PLAIN = VALUE | TARGET,
	WORD = TOKEN | VALUE | TARGET | HOSTNAME
};

extern const uint8_t http_byte_class[256];

/* The first byte that is not of that class. */
static inline const char *
skip_class(const char *p, const char *end, uint8_t class)
{
	while (p < end && (http_byte_class[(uint8_t)*p] & class) != 0)
		p++;
	return p;
}

static inline const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static inline struct http_span
span(const char *bytes, const char *from, const char *to)
{
	return (struct http_span){ (uint16_t)(from - bytes),
	    (uint16_t)(to - from) };
}

/* Equal but for the case of ASCII letters? Both have len bytes. */
bool http_same_word(const char *a, const char *b, size_t len);

#define IS_WORD(p, len, word) \
	((len) == sizeof(word) - 1 && \
	    http_same_word(p, word, sizeof(word) - 1))

/* The first byte that a field value or a reason cannot hold. */
const char *http_skip_value(const char *p, const char *end);

/*
 * uri-host [ ":" port ] of RFC 9110 7.2; the port may be empty (RFC 3986
 * 3.2.3) unless needed, as in the target of CONNECT (RFC 9112 3.2.3).
 */
bool http_host_valid(const char *p, const char *end, bool needs_port);

enum http_step {
	STEP_START,             /* nothing taken yet */
	STEP_START_AGAIN,       /* one empty line was skipped */
	STEP_FIELDS,
	STEP_DONE,
	STEP_BAD
};

static inline enum parse
http_refuse(struct http_head *h, unsigned refusal, const char *why)
{
	h->step = STEP_BAD;
	h->refusal = (uint16_t)refusal;
	h->why = why;
	return PARSE_BAD;
}

/*
 * Cut the field line [line, end), without its CRLF, into the next free
 * h->field and act on what it says of framing. bytes is the head's beginning.
 */
enum parse http_field_take(struct http_head *h, const char *bytes,
    const char *line, const char *end, bool is_request) MUST_CHECK;

/* Which of the fields that weir knows; the name is a token. */
enum http_field_id http_field_id(const char *name, size_t len);

/* Is it none that a trailer may carry? See http_chunks_next(). */
bool http_trailer_forbidden(const char *name, size_t name_len);

/* Likewise a trailer line, into f: spans count from line. NULL, or a fault. */
const char *http_field_line(const char *line, size_t len,
    struct http_field *f) MUST_CHECK;

/*
 * What only the whole head tells: named fields become hop, keep_alive
 * (RFC 9112 9.3) and upgrade are decided.
 */
enum parse http_connection_finish(struct http_head *h, const char *bytes)
    MUST_CHECK;

#endif
