/*
 * What the way up shares: one message at a time, and what becomes of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_UP_H
#define PROXY_POSTGRES_UP_H

#include "proxy/proto/postgres/postgres.h"

/* What becomes of one message. */
enum pg_step {
	PG_STEP_DONE,                      /* it is on its way, or dropped */
	PG_STEP_WAIT,                      /* more of it has to come, or what is
					   before it has to be answered */
	PG_STEP_BAD,                       /* malformed: its client is told so */
	PG_STEP_NO_MEMORY,
	PG_STEP_OVER                       /* the exchange has ended */
};

static inline struct block_store *
pg_up_store(const struct exchange *x)
{
	return exchange_blocks(x);
}

static inline struct buf *
pg_up_in(const struct exchange *x)
{
	return &x->s->conn.in;
}

static inline struct buf *
pg_up_out(const struct exchange *x)
{
	return &x->lease->u->conn.out;
}

/* So many bytes of the client's go on as they are, also those that have not
   come yet. */
enum pg_step pg_up_pass(struct exchange *x, uint32_t size);
/* Those of px->up_left, read on the way while px->scanning. */
enum pg_step pg_up_pass_some(struct exchange *x);
/* So many go nowhere. */
enum pg_step pg_up_drop(struct exchange *x, uint32_t size);
/* A new last one that is owed; NULL when out of memory. */
struct pg_owed *pg_up_owe(struct exchange *x, enum pg_owed_kind kind,
    enum pg_owed_how how) MUST_CHECK;
/*
 * A message that goes by what is known of statements has to wait while requests
 * of an earlier batch that may change it, or fail to, are not answered: only
 * within a batch does the one fail with the other. here: what it is about was
 * said in this batch.
 */
bool pg_up_must_wait(struct exchange *x, bool here) MUST_CHECK;
/* Is nothing of earlier batches owed? */
bool pg_up_is_first(struct exchange *x);
/* One whose own answer is to be known for it waits until it is. */
bool pg_up_must_be_first(struct exchange *x) MUST_CHECK;
/* The first `size` bytes in one piece; NULL: *step says why. */
const char *pg_up_whole(struct exchange *x, uint32_t size, enum pg_step *step);
/* The unnamed statement is none any more, neither the client's nor the
   server's, once o is carried out: it has the former one until then. */
void pg_forget_unnamed(struct exchange *x, struct pg_owed *o);

/* prepare.c: the connection has it when what is sent now is read. -1 when out of
   memory. */
int pg_provide(struct exchange *x, struct pg_statement *st) MUST_CHECK;
/* Is the text DEALLOCATE of a statement that the client has prepared by the
   protocol? Then nothing else may be sent before it is answered, and name is
   the server's for it. */
bool pg_deallocates(struct exchange *x, const char *text, size_t len,
    char name[PG_SERVER_NAME]) MUST_CHECK;
/* Messages about prepared statements. */
enum pg_step pg_take_parse(struct exchange *x, const struct pg_head *h);
enum pg_step pg_take_bind(struct exchange *x, const struct pg_head *h);
enum pg_step pg_take_describe(struct exchange *x, const struct pg_head *h);
enum pg_step pg_take_close(struct exchange *x, const struct pg_head *h);

#endif
