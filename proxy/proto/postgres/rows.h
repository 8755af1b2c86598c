/*
 * Rows of a result of weir's own: DataRow messages (PostgreSQL 55.7), gathered
 * in a piece of memory that any thread may fill and another one send.
 *
 * Values are written as text, format code 0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_ROWS_H
#define PROXY_POSTGRES_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buf.h"

/* pg_type.oid of int8 and text. */
enum pg_column_type { PG_COLUMN_NUMBER = 20, PG_COLUMN_TEXT = 25 };

/* Arrays end with one whose name is NULL. */
struct pg_column {
	const char *name;
	enum pg_column_type type;
};

/* Zeroed at first, ends with pg_rows_fini(). */
struct pg_rows {
	char *bytes;
	size_t len, room;
	size_t begun;                   /* where the present row begins */
	uint16_t fields;                /* in it */
	uint64_t n;                     /* rows that are whole */
	bool short_of_memory;           /* what is there is of no use */
};

/* A row: begin, a call for each column in turn, end. */
void pg_rows_begin(struct pg_rows *r);
/* NULL is SQL's. What is no UTF-8, and control characters, are written out as
   escape_plain() does. */
void pg_rows_text(struct pg_rows *r, const char *text);
void pg_rows_number(struct pg_rows *r, uint64_t n);
void pg_rows_end(struct pg_rows *r);

void pg_rows_fini(struct pg_rows *r);

/* RowDescription; NULL: NoData. -1 when out of memory. */
int pg_put_columns(struct block_store *store, struct buf *out,
    const struct pg_column *columns) MUST_CHECK;

#endif
