/*
 * HTTP/1.x on the wire to facts: request heads, response heads, chunked
 * bodies. Strict: what two implementations could read in two ways is refused
 * (RFC 9112 11.2), never repaired. Single pass and resumable at every byte.
 *
 * Allocates nothing, keeps no pointer to the bytes; knows no connection.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_PARSE_H
#define PROXY_PROTO_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

enum {
	HTTP_FIELDS_MAX = 256,          /* most that max_headers may allow */
	HTTP_HEAD_MAX = 60 * 1024       /* most bytes: offsets fit 16 bits */
};

/* Fields that a proxy must know. HTTP_F_OTHER = 0 is all the rest. */
enum http_field_id {
	HTTP_F_OTHER,
	HTTP_F_CONNECTION,
	HTTP_F_CONTENT_LENGTH,
	HTTP_F_DATE,
	HTTP_F_EXPECT,
	HTTP_F_FORWARDED,
	HTTP_F_HOST,
	HTTP_F_HTTP2_SETTINGS,
	HTTP_F_KEEP_ALIVE,
	HTTP_F_PROXY_AUTHENTICATE,
	HTTP_F_PROXY_AUTHORIZATION,
	HTTP_F_PROXY_CONNECTION,
	HTTP_F_RETRY_AFTER,
	HTTP_F_SERVER,
	HTTP_F_TE,
	HTTP_F_TRACEPARENT,
	HTTP_F_TRACESTATE,
	HTTP_F_TRAILER,
	HTTP_F_TRANSFER_ENCODING,
	HTTP_F_UPGRADE,
	HTTP_F_VIA,
	HTTP_F_X_FORWARDED_FOR,
	HTTP_F_X_FORWARDED_HOST,
	HTTP_F_X_FORWARDED_PROTO
};

enum http_method {
	HTTP_M_OTHER,                   /* any other token: neither safe nor
					   idempotent as far as weir knows */
	HTTP_M_GET, HTTP_M_HEAD, HTTP_M_POST, HTTP_M_PUT, HTTP_M_DELETE,
	HTTP_M_CONNECT, HTTP_M_OPTIONS, HTTP_M_TRACE, HTTP_M_PATCH
};

/* Where the body ends (RFC 9112 6.3). */
enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,               /* head.length bytes; may be 0 */
	HTTP_BODY_CHUNKED,
	HTTP_BODY_CLOSE                 /* responses: until the peer closes */
};

struct http_span {                      /* bytes [at, at + len) of the head */
	uint16_t at, len;
};

struct http_field {
	struct http_span name, value;   /* value without surrounding OWS */
	uint8_t id;                     /* enum http_field_id */
	bool    hop;                    /* hop-by-hop: RFC 9110 7.6.1, or named
					   by Connection; not to be forwarded.
					   Also set for Connection itself,
					   Keep-Alive, Proxy-Connection, TE,
					   Transfer-Encoding, Upgrade and
					   HTTP2-Settings. Never for Host,
					   Content-Length, X-Forwarded-*, Via,
					   Forwarded, whatever Connection names:
					   a client must not strip those. */
};

struct http_head {
	/* Set by the caller before the first call (http_head_init). */
	uint16_t max_fields;            /* <= HTTP_FIELDS_MAX */
	uint16_t max_bytes;             /* <= HTTP_HEAD_MAX; whole head */

	/* The parser's place; a caller reads only `size`. */
	uint16_t line;                  /* start of the line not yet parsed */
	uint16_t seen;                  /* bytes searched for its end */
	uint8_t  step;
	uint16_t size;                  /* PARSE_DONE: bytes of the head with
					   blank line and leading CRLF */

	/* PARSE_BAD: what to answer and why; static text, "bare LF". */
	uint16_t    refusal;            /* 400 414 417 431 501 505; responses:
					   always 502 */
	const char *why;

	/* Start line */
	uint8_t  method;                /* enum http_method */
	uint8_t  minor;                 /* HTTP/1.minor: 0 or 1 */
	uint16_t status;                /* responses: 100..999 */
	struct http_span method_name;
	struct http_span target;        /* as sent */
	struct http_span path;          /* path and query as they go upstream,
					   always beginning with "/" (or "*");
					   absolute-form is taken apart. Empty
					   path of an absolute-form: len 0,
					   means "/" (with OPTIONS "*", RFC
					   9112 3.2.4). CONNECT: len 0 */
	struct http_span query;         /* the part after "?", inside path */
	struct http_span host;          /* host[:port] that counts: Host, equal
					   to absolute-form's authority when
					   both are there; len 0 when HTTP/1.0
					   sent none or Host is empty */
	struct http_span reason;

	/* Framing and connection */
	uint8_t  body;                  /* enum http_body */
	uint64_t length;
	bool keep_alive;                /* may the sender's connection go on
					   (RFC 9112 9.3)? */
	bool expect_continue;           /* a valid "Expect: 100-continue" */
	bool upgrade;                   /* named by Connection, Upgrade there;
					   never in HTTP/1.0 */
	bool te_trailers;
	uint16_t n_fields;
	struct http_field field[];      /* room for max_fields */
};

#define HTTP_HEAD_SIZE(max_fields) (sizeof(struct http_head) + \
	(max_fields) * sizeof(struct http_field))

/* Forgets all; cheap: does not touch field[]. */
void http_head_init(struct http_head *h, unsigned max_fields,
    unsigned max_bytes);

/*
 * Parse the head that begins at bytes[0]; len counts all bytes there are, also
 * those of earlier calls (they may have moved, but not changed). PARSE_MORE:
 * call again when len has grown; work already done is not done again.
 * PARSE_DONE: h->size bytes are the head. PARSE_BAD: h->refusal, h->why.
 *
 * Beside the grammar these enforce, for requests: RFC 9112 3.2 (Host: exactly
 * one for HTTP/1.1, at most one for 1.0, valid, equal to the authority of an
 * absolute-form), 6.1 to 6.3 (no Transfer-Encoding with Content-Length, none in
 * HTTP/1.0, only exactly "chunked" once: others 501; repeated Content-Length,
 * equal or not, is refused), no CONNECT with a body, asterisk-form only with
 * OPTIONS, authority-form only with CONNECT. CONNECT itself parses.
 */
enum parse http_request_parse(struct http_head *h, const char *bytes,
    size_t len) MUST_CHECK;

/*
 * Likewise for a response to a request of the given method. h->body follows
 * RFC 9112 6.3: none for HEAD, 1xx, 204, 304 and 2xx to CONNECT. keep_alive
 * is false also when the body ends at close, and for a 204 that announces a
 * body all the same. Refused besides: a 1xx that announces a body, a 101
 * without Upgrade.
 */
enum parse http_response_parse(struct http_head *h, enum http_method method,
    const char *bytes, size_t len) MUST_CHECK;

/* The first field of that id at or after index `from`; -1 = none. */
int http_field_find(const struct http_head *h, enum http_field_id id,
    unsigned from);

/* ----------------------------------------------------------------- chunks */

struct http_chunks {
	uint64_t left;                  /* payload of this chunk to come */
	uint32_t line_bytes;            /* size line or trailers so far */
	uint16_t n_trailers;
	uint8_t  step;
	uint8_t  sub;
	const char *why;                /* PARSE_BAD */
	uint32_t seen;                  /* bytes of an unfinished trailer line
					   searched for its end */
};

/*
 * What http_chunks_next() found: framing bytes to drop, then bytes to take.
 * What it takes is body or, after the last chunk, one trailer field line with
 * its CRLF.
 */
struct http_piece {
	size_t skip;
	size_t take;                    /* may be 0 */
	bool   is_trailer;
};

/* Trailer section beyond these is refused; size lines with extensions too. */
enum { HTTP_TRAILER_MAX = 8 * 1024, HTTP_TRAILERS_MAX = 64,
	HTTP_CHUNK_LINE_MAX = 4 * 1024 };

void http_chunks_init(struct http_chunks *c);

/*
 * Decode the next piece of a chunked body. The caller drops p->skip bytes,
 * takes p->take bytes and calls again with what remains, until
 *   PARSE_DONE  the body and its trailer section are over after skip bytes
 *               (take is 0); what follows belongs to the next message,
 *   PARSE_MORE  skip + take were consumed and nothing more can be done: call
 *               again when there are more bytes. In the size line and in the
 *               body everything is consumed (skip + take == len); of the
 *               trailer section the unfinished last line stays and must be
 *               offered again, whole, at bytes[0],
 *   PARSE_BAD   c->why.
 * A call that could go on returns PARSE_MORE too; a caller loops while
 * skip + take > 0 and bytes remain.
 * Chunk extensions are checked and dropped (RFC 9112 7.1.1); bare LF anywhere,
 * spaces around the size, sizes over 2^63-1 and anything else unusual is
 * PARSE_BAD. Trailer fields obey the syntax of header fields; those that a
 * trailer must not carry (RFC 9110 6.5.1: framing, routing, Host,
 * Authorization, Content-*, and every field that http_field_id names) are
 * dropped, in skip.
 */
enum parse http_chunks_next(struct http_chunks *c, const char *bytes,
    size_t len, struct http_piece *p) MUST_CHECK;

#endif
