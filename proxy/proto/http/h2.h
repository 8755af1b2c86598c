/*
 * What HTTP/2's front and back have in common: which frames are worth having,
 * and header fields between HTTP/2 and HTTP/1.1: what may be in one at all, a
 * collector that makes HTTP/1.1 head text of fields that come, and the fields of
 * a parsed head as they go.
 *
 * What comes is checked twice: here by RFC 9113 8.2 and 8.3, and then, as text,
 * by the parser that reads HTTP/1.1 (parse.h). So nothing downstream has to know
 * in which version a message came, and nothing passes in HTTP/2 that would not
 * have passed in HTTP/1.1.
 *
 * Knows no connection and no stream.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_H2_H
#define PROXY_PROTO_HTTP_H2_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buf.h"
#include "proxy/proto/http/parse.h"

/* ------------------------------------------------------- frames that come */

/* A frame costs work however little is in it. DATA pays for it with its bytes,
   or as the end; CONTINUATION with fields, of which max_header allows so many. */
static inline bool
h2_frame_brings(const nghttp2_frame_hd *hd)
{
	if (hd->type == NGHTTP2_CONTINUATION)
		return hd->length >= 256;
	return hd->type == NGHTTP2_DATA && (hd->length > 0 ||
	    (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

/* --------------------------------------------------- what may be in a field */

/* RFC 9113 8.2.1 and RFC 9110 5.1: a token without capital letters. Not for
   pseudo-header fields, whose names begin with a colon. */
bool h2_name_valid(const char *name, size_t len);
/* RFC 9113 8.2.1 and RFC 9110 5.5: no control but HTAB, and no blank at either
   end. May be empty. */
bool h2_value_valid(const char *value, size_t len);
/* RFC 9113 8.2.2: Connection and its like, in any case of letters. TE is not one
   of them: it may be there, and say "trailers". */
bool h2_name_is_connection(const char *name, size_t len);

/* --------------------------------------------------------- fields that come */

enum h2_kind { H2_REQUEST, H2_ANSWER, H2_TRAILERS };

/* Bytes of a field's value in the block. */
struct h2_part {
	uint32_t at, len;
	bool there;
};

enum { H2_KEY_LEN = 24 };               /* Sec-WebSocket-Key */

/*
 * A head in the making, in one block, of which the text is the end; what stands
 * before it is scratch. Faults are remembered: after one, what is added is only
 * counted.
 */
struct h2_text {
	struct block_store *store;
	struct block *block;            /* NULL = none yet, or taken */
	uint32_t len;                   /* used of the block */
	uint32_t start;                 /* where the text begins */
	uint32_t max_bytes, max_fields;
	uint32_t n_fields, n_crumbs;
	uint64_t offered;               /* bytes of all fields that came */
	uint32_t cookie_end;            /* of the Cookie line; 0 = none */
	uint8_t  kind;                  /* enum h2_kind */
	bool     begun;                 /* the start line has been written */
	bool     to_head;               /* answers: the request was HEAD; set by
					   the caller behind h2_text_begin() */
	uint16_t status;                /* answers */
	struct h2_part method, scheme, path, authority, protocol, host;
	bool     has_length;
	uint64_t length;
	/* The first fault: 0 = none. 400 means malformed (a stream error); else
	   what to answer: 414, 431, 503 (out of memory). Answers: 502. */
	uint16_t refusal;
	const char *why;
	char     key[H2_KEY_LEN + 1];   /* extended CONNECT: the key sent */
};

/*
 * Limits as those of http_head_init(); of trailers they are those of parse.h.
 * A cookie's crumbs are one field. Ends in h2_text_end() and h2_text_take(), or
 * in h2_text_drop().
 */
void h2_text_begin(struct h2_text *t, struct block_store *s, enum h2_kind kind,
    unsigned max_fields, unsigned max_bytes);

/* One field as it came, name with its colon if it has one. */
void h2_text_add(struct h2_text *t, const char *name, size_t name_len,
    const char *value, size_t value_len);

/*
 * All fields have come; ends: and no body will (END_STREAM). Writes how the body
 * ends: with neither END_STREAM nor Content-Length it is chunked. -1: t->refusal
 * and t->why say what is wrong, and there is no text.
 *
 * An extended CONNECT (RFC 8441) becomes a GET that asks for an Upgrade, with a
 * key of weir's own in t->key; h2_socket_accepts() tells whether the answer is
 * to that.
 *
 * Of trailers the text is field lines without an empty one behind them; those
 * that a trailer must not carry are left out, as http_chunks_next() does.
 */
int h2_text_end(struct h2_text *t, bool ends) MUST_CHECK;

/* The block, which is the caller's now; the text is *len bytes from *at. */
struct block *h2_text_take(struct h2_text *t, uint32_t *at, uint32_t *len);
void h2_text_drop(struct h2_text *t);

/* Is this a Sec-WebSocket-Accept for that key (RFC 6455 4.2.2)? */
bool h2_socket_accepts(const char key[H2_KEY_LEN + 1], const char *accept,
    size_t len);

/* ----------------------------------------------------------- fields that go */

/* Where fields are put together; one for a thread is enough. */
struct h2_fields {
	size_t n;
	nghttp2_nv nv[HTTP_FIELDS_MAX + 8];
	/* Private: names in small letters, and numbers. */
	size_t used;
	char   bytes[HTTP_HEAD_MAX + 128];
};

void h2_fields_init(struct h2_fields *f);
/* One more; the bytes are the caller's and stay while f is in use. */
void h2_fields_add(struct h2_fields *f, const char *name, const char *value,
    size_t value_len);

/* In place of others of that name; which is put into small letters, and is not
   longer than TRACE_NAME_MOST. */
void h2_fields_set(struct h2_fields *f, const char *name, const char *value,
    size_t value_len);

/*
 * The fields of a parsed head, into *f: pseudo-header fields first, names in
 * small letters, without what is of one connection only. They point into raw and
 * f, and are marked NO_COPY: who keeps them beyond the call that sends them takes
 * the marks off (nv[].flags).
 *
 * A request's :authority is its host, its :path "/" where it has none. Its
 * Content-Length goes along only if its body is framed by that.
 */
void h2_fields_of_request(struct h2_fields *f, const struct http_head *h,
    const char *raw, const char *scheme);
/* to_head: Content-Length tells what a GET would have given. */
void h2_fields_of_answer(struct h2_fields *f, const struct http_head *a,
    const char *raw, bool to_head);
/* Of whole field lines, as http_chunks_next() and h2_text_end() give them. -1:
   they are too many. */
int h2_fields_of_trailers(struct h2_fields *f, const char *lines, size_t len)
    MUST_CHECK;

#endif
