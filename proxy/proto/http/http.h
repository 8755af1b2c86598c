/*
 * HTTP: what its fronts (clients), its backs (upstreams) and the writer of heads
 * share, in either version. The back half knows nothing of the client's wire, the
 * front half nothing of the upstream's: they meet in struct http_exchange.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_HTTP_HTTP_H
#define PROXY_PROTO_HTTP_HTTP_H

#include "proxy/exchange.h"
#include "proxy/proto.h"
#include "proxy/proto/http/parse.h"
#include "proxy/proto/http/trace.h"

/* ----------------------------------------------------------- configuration */

enum { HTTP_FORWARDED_APPEND, HTTP_FORWARDED_REPLACE, HTTP_FORWARDED_OFF };

struct http_listener_conf {
	int forwarded;
	struct conf_nets trusted;
	struct conf_headers client_cert_headers;        /* value: a fact */
	bool http2;
	int64_t max_streams;
	int64_t max_wasted;
	bool trace;
	char *request_id;               /* the field's name, or "off" */
	const char *id_field;           /* likewise; NULL = off */
};

struct http_upstream_conf {
	char *host;                     /* "keep", "upstream" or a name */
	struct conf_headers set_headers;
	struct conf_names remove_headers;
	int version;
	int64_t max_streams;            /* version 2 */
};

enum { HTTP_VERSION_1_1, HTTP_VERSION_2 };

/* Why a lease outlasts its request: indices of http_pins. */
enum { HTTP_PIN_UPGRADE };

/* ----------------------------------------- in the session, in the lane */

struct http2;
struct http2_stream;
struct back2_stream;

struct http_session {
	struct http2 *h2;               /* NULL: it speaks HTTP/1.x */
	bool asked_before;              /* it comes from another weir, where it
					   has spoken that */
};

static inline struct http_session *
http_session_of(const struct session *s)
{
	return session_state(s);
}

/* --------------------------------------------------------- in the exchange */

enum http_taking {                      /* how far the request has been read */
	TAKING_HEAD,
	TAKING_BODY,
	TAKEN
};

enum http_giving {                      /* how far the answer has come */
	GIVING_NOTHING,                 /* not asked yet */
	GIVING_HEAD,
	GIVING_BODY,
	GIVEN,
	TUNNELLING
};

enum { HTTP_FIELDS_INLINE = 100 };

struct http_exchange {
	/* The request. Its head stays readable as long as the exchange. */
	struct block *raw_block;        /* one reference */
	const char *raw;                /* what head's spans point into */
	uint32_t raw_len;               /* of a head that is refused: what had
					   come of it */
	struct http_head *head;         /* inline or a piece */
	uint8_t taking;                 /* enum http_taking */
	struct http_chunks up_chunks;
	uint64_t up_left;               /* of a body with a length */
	uint64_t up_total;
	uint64_t up_mark;               /* up_total when its deadline was set */
	struct buf up_trailers;
	bool upgrade;                   /* asked for, and passed on */
	bool keep;                      /* the client's connection goes on */
	bool head_timed;                /* timeouts.header runs */
	struct http2_stream *stream;    /* NULL: HTTP/1.x */
	bool socket;                    /* behind a 101 both bodies are raw
					   bytes: the client's was an extended
					   CONNECT (RFC 8441), or the
					   upstream's is */
	bool grpc;                      /* a call: it may be silent for long in
					   either direction, and is told of
					   failures in its own way */
	const uint64_t *sent;           /* counts what the client takes of it */
	uint64_t sent_in_all;           /* HTTP/2: in place of it, at the end */
	struct trace trace;

	/* The answer. */
	uint8_t giving;                 /* enum http_giving */
	bool answer_ready;              /* head parsed, front to take it */
	bool continued;                 /* a 100 has come */
	bool answer_seen;               /* at least one byte has come */
	bool chunk_down;                /* towards the client */
	bool cut_down;                  /* ends by close: HTTP/1.0 client */
	struct http_head *answer;       /* a piece, while its head is read */
	const char *answer_raw;         /* valid inside front.reply only */
	struct http_chunks down_chunks;
	uint64_t down_left;
	struct buf down_trailers;
	unsigned interim;               /* 1xx so far */
	struct back2_stream *asking;    /* HTTP/2: what it is under way on */
	bool up_spent;                  /* likewise: more of its body has gone
					   than is kept to be sent again */
	uint64_t taken;                 /* bytes that whoever is waited for had
					   taken when the deadline was set */

	/* Not zeroed from here. */
	char made[TRACE_MADE];          /* ids of weir's: traceparent, request */
	char inline_head[HTTP_HEAD_SIZE(HTTP_FIELDS_INLINE)]
	    __attribute__((aligned(8)));
};

static inline struct http_exchange *
http_of(const struct exchange *x)
{
	return exchange_state(x);
}

extern const struct proto proto_http;
extern const struct front_ops http1_front;
extern const struct front_ops http2_front;
extern const struct back_ops http1_back;
extern const struct proto proto_http2_back;
extern const struct conf_key http_upstream_keys[];

/* ------------------------------------------------------ HTTP/2 (front2.c) */

/* Do the first bytes of a connection say that HTTP/2 follows (RFC 9113 3.4)?
   False too while they are not enough to tell. */
bool http2_is_preface(const char *bytes, size_t len);

/*
 * From now on s, which has no exchange, speaks HTTP/2; its client's preface is
 * still to be read, by the next session_bytes(). For a client that has sent one
 * unasked, or has agreed upon "h2" in its TLS handshake. May close s.
 */
void http2_begin(struct session *s);

/* session_fini: what http2_begin() has made, if it has. */
void http2_end(struct session *s);

/* ---------------------------------------------------- requests (request.c) */

/* Room for a head as large as x's listener allows. NULL when out of memory. */
struct http_head *http_head_new(struct exchange *x) MUST_CHECK;

/*
 * The head is whole and valid, hx->keep and hx->upgrade are decided: take the
 * lead to where it goes. x and its session may be over when this returns.
 */
void http_dispatch(struct exchange *x);

enum outcome http_outcome(unsigned status);

/* ------------------------------------------------------ answers (back1.c) */

/* Room for an answer's head. NULL when out of memory. */
struct http_head *http_answer_new(struct exchange *x) MUST_CHECK;

/* peer_ops.errors of HTTP: statuses of 500 and more. HTTP/2 has those of gRPC
   behind them, see grpc.h. */
#define HTTP_ERROR_NAMES "500", "502", "503", "504", "5xx"
enum { HTTP_N_ERRORS = 5 };
extern const char *const http_error_names[];

/* What an answer's status says of the endpoint; errors are counted. */
void http_heed_status(struct upconn *u, struct exchange *x);

/* What waits for the client, of x and of its session. */
size_t http_held_for_client(const struct exchange *x);

/* RFC 9110 9.2: is it safe, idempotent or as the route declares? */
bool http_may_repeat(const struct exchange *x, enum conf_retry_what what);

/* --------------------------------------------------------- heads (head.c) */

/* The request as u shall get it, as HTTP/1.1, into *out. -1 when out of
   memory. */
int http_write_request(struct exchange *x, struct upconn *u, struct buf *out)
    MUST_CHECK;

/* The answer's head as the client shall get it, by what front1.c has decided
   about framing (hx->keep, chunk_down, cut_down). */
int http_write_answer(struct exchange *x) MUST_CHECK;

/* Does the client stand in http.trusted? What it forwards is believed. */
bool http_is_trusted(const struct exchange *x);

/* What weir's own answers say, in any version. */
#define HTTP_ALLOW "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"

struct http_failure {
	char status[4], length[12];
	char retry_after[24];           /* in seconds; empty = not to be said */
	char body[384];                 /* one line of text */
};

/* x: what it is about, with its ids, if it has such; NULL = no request. */
void http_failure_words(struct http_failure *f, struct exchange *x,
    unsigned status, const char *name, const char *text,
    int64_t retry_after_ns);

/* weir's own answer: one line of text. */
int http_write_failure(struct exchange *x, unsigned status, const char *name,
    const char *text) MUST_CHECK;

/* "%zx\r\n" before, "\r\n" behind: moves body into out as one chunk. */
int http_write_chunk(struct block_store *s, struct buf *out, struct buf *body)
    MUST_CHECK;
int http_write_last_chunk(struct block_store *s, struct buf *out,
    struct buf *trailers) MUST_CHECK;

/* What a client is told that is turned away at the door: front_ops.refuse. */
size_t http_write_refusal(enum limit why, int64_t retry_after_ns, char *out,
    size_t size);
/* And one that speaks without TLS where that is spoken: front_ops.plain. */
size_t http_write_plain(char *out, size_t size);

/* ------------------------------------------- who and what (facts.c) */

/* limits.client = "header:NAME": who x's client is to the limits. */
struct client_key http_client_key(const struct exchange *x);

/* For the access log: front_ops.words. */
void http_words(const struct exchange *x, struct access_words *w);
const char *http_asks(const struct exchange *x, size_t *len, bool *is_line);
const char *http_header(const struct exchange *x, const char *name,
    size_t *len);

/* An answer's Retry-After, in ms from now; 0 = has none that is valid
   (RFC 9110 10.2.3). */
int64_t http_retry_after_ms(const struct http_head *a, const char *raw);

/* ---------------------------------------------------- bodies (body.c) */

enum http_flow {
	FLOW_MORE,                      /* took all there was */
	FLOW_END,                       /* the body is complete */
	FLOW_BAD,                       /* framing broken; *why */
	FLOW_NO_MEMORY
};

/* Take what `in` holds of a body, decoded, into `out`, trailer lines into
   `trailers`. */
enum http_flow http_take_length(struct block_store *s, uint64_t *left,
    struct buf *in, struct buf *out) MUST_CHECK;
enum http_flow http_take_chunks(struct block_store *s, struct http_chunks *c,
    struct buf *in, struct buf *out, struct buf *trailers) MUST_CHECK;

#endif
