/*
 * What a server owes: for each message that will be answered one entry, in
 * order, with what becomes of the answer. By it an answer is known to be one
 * that may come, weir's own requests among the client's are told apart, and
 * what a failed request takes along is undone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_OWED_H
#define PROXY_POSTGRES_OWED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

struct pg_name;
struct pg_statement;

/* Bits, so that an answer's row can say which it may belong to. */
enum pg_owed_kind {
	PG_OWED_QUERY = 1,              /* simple query: until ReadyForQuery */
	PG_OWED_CALL = 2,               /* function call: likewise */
	PG_OWED_SYNC = 4,
	PG_OWED_PARSE = 8,
	PG_OWED_BIND = 16,
	PG_OWED_DESCRIBE = 32,          /* of a statement */
	PG_OWED_PORTAL = 64,            /* describe of a portal */
	PG_OWED_EXECUTE = 128,
	PG_OWED_CLOSE = 256
};

enum pg_owed_how {
	PG_FORWARD,
	PG_SKIP,                        /* weir asked that itself */
	PG_SAY,                         /* was not sent: weir answers */
	PG_REWORD                       /* its error is put into the client's
					   words */
};

struct pg_owed {
	uint16_t kind;                  /* enum pg_owed_kind */
	uint8_t how;                    /* enum pg_owed_how */
	bool assumes;                   /* what is known of statements changes
					   with it */
	bool described;                 /* ParameterDescription has come */
	bool copied;                    /* the end of CopyData has been sent,
					   behind `id` Syncs */
	struct pg_statement *st;        /* a reference; NULL = is about none */
	struct pg_name *name;           /* PARSE: that it made; CLOSE: that it
					   took out of the table, and owns */
	uint64_t id;                    /* of weir's name at the server */
	struct pg_statement *former;    /* a reference: the client's unnamed
					   statement, until this took it away;
					   NULL = had none */
	bool forgets;                   /* it did take it away */
	bool former_large;              /* it was one that is not kept */
};

enum { PG_OWED_INLINE = 8, PG_OWED_MOST = 4096 };

/* Embedded in an exchange, zeroed. */
struct pg_owed_queue {
	struct pg_owed *more;           /* heap, when there are many */
	uint32_t first, n, room;        /* a ring; room 0 = the inline ones */
	struct pg_owed few[PG_OWED_INLINE];
};

/* A new last one, zeroed. NULL when out of memory. */
struct pg_owed *pg_owed_push(struct pg_owed_queue *q) MUST_CHECK;
/* From the oldest, i < n. */
struct pg_owed *pg_owed_at(struct pg_owed_queue *q, uint32_t i);

static inline struct pg_owed *
pg_owed_first(struct pg_owed_queue *q)
{
	return q->n > 0 ? pg_owed_at(q, 0) : NULL;
}

/* The oldest goes; what it holds is the caller's. */
void pg_owed_pop(struct pg_owed_queue *q);
/* The one at i goes, those behind it move up. */
void pg_owed_take_out(struct pg_owed_queue *q, uint32_t i);
void pg_owed_fini(struct pg_owed_queue *q);

#endif
