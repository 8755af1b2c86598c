/*
 * The PostgreSQL wire, protocol 3: messages' heads, and the messages that weir
 * writes itself. What is in them is their readers' business.
 *
 * A message is a byte of type, a length of four bytes that counts itself and
 * what follows, and that (PostgreSQL 55.2); the first one of a client has no
 * type.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_WIRE_H
#define PROXY_POSTGRES_WIRE_H

#include <stdbool.h>

#include "net/buf.h"

enum {
	PG_HEAD = 5,                    /* bytes of type and length */
	PG_MESSAGE_MOST = 0x3fffffff,   /* of the length; the server's own limit
					   is 1 GB */
	PG_STARTUP_MOST = 10000         /* of a first message; likewise */
};

/* First messages, by the number behind their length (55.2.9, 55.2.11). */
#define PG_CANCEL_REQUEST  80877102u
#define PG_SSL_REQUEST     80877103u
#define PG_GSSENC_REQUEST  80877104u

struct pg_head {
	char type;
	uint32_t size;                  /* of all of it, the type included */
};

static inline uint32_t
pg_u32(const char *bytes)
{
	const unsigned char *b = (const unsigned char *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

static inline uint16_t
pg_u16(const char *bytes)
{
	const unsigned char *b = (const unsigned char *)bytes;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline void
pg_set_u32(char *bytes, uint32_t n)
{
	bytes[0] = (char)(n >> 24);
	bytes[1] = (char)(n >> 16);
	bytes[2] = (char)(n >> 8);
	bytes[3] = (char)n;
}

/* The head of the message that begins at a place of b. PARSE_BAD: its length is
   none. */
enum parse pg_head_at(const struct buf *b, size_t at, struct pg_head *h);

/* The n bytes from there, copied out; there are as many. */
void pg_copy_at(const struct buf *b, size_t at, char *out, size_t n);

/* A string that ends within the bytes from *at on, which moves behind its end;
   NULL: it does not end there. */
const char *pg_string(const char *bytes, size_t len, size_t *at);

/*
 * What an ErrorResponse or NoticeResponse says (55.8), pointing into it; absent
 * fields are "". False: it is malformed.
 */
struct pg_report {
	const char *severity;           /* not localised: field V, or else S */
	const char *code, *message, *routine;
};

bool pg_report_read(const char *body, size_t len, struct pg_report *r);
/* Likewise from its beginning alone: what is not there is "". */
void pg_report_begin(const char *body, size_t len, struct pg_report *r);

/* ------------------------------------------------------ writing; -1: memory */

int pg_put(struct block_store *store, struct buf *out, char type,
    const void *body, size_t len) MUST_CHECK;
int pg_put_ready(struct block_store *store, struct buf *out, char status)
    MUST_CHECK;
/* ErrorResponse, or with type 'N' a NoticeResponse. */
int pg_put_report(struct block_store *store, struct buf *out, char type,
    const char *severity, const char *code, const char *fmt, ...)
    PRINTF_LIKE(6, 7) MUST_CHECK;
int pg_put_query(struct block_store *store, struct buf *out, const char *sql)
    MUST_CHECK;
int pg_put_status(struct block_store *store, struct buf *out, const char *name,
    const char *value) MUST_CHECK;

#endif
