/*
 * Rows. See rows.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/escape.h"
#include "proxy/proto/postgres/wire.h"

enum {
	COUNT = 2,                      /* bytes of the number of columns */
	LENGTH = 4,                     /* bytes of a value's length */
	DESCRIPTION_MOST = 2048,        /* bytes of a RowDescription */
	TEXT_MOST = 8192,               /* bytes of a value; longer is cut */
	ROWS_MOST = 256 * 1024 * 1024   /* bytes of a result */
};

static void
set_u16(char *bytes, uint16_t n)
{
	bytes[0] = (char)(n >> 8);
	bytes[1] = (char)n;
}

/* Room for n bytes more; NULL when there is no memory for it. */
static char *
reserve(struct pg_rows *r, size_t n)
{
	size_t room = r->room > 0 ? r->room : 1024;
	char *bytes;

	if (r->len + n > ROWS_MOST)
		r->short_of_memory = true;
	if (r->short_of_memory)
		return NULL;
	while (room - r->len < n)
		room *= 2;
	if (room != r->room) {
		bytes = realloc(r->bytes, room);
		if (bytes == NULL) {
			r->short_of_memory = true;
			return NULL;
		}
		r->bytes = bytes;
		r->room = room;
	}
	return r->bytes + r->len;
}

void
pg_rows_begin(struct pg_rows *r)
{
	r->begun = r->len;
	r->fields = 0;
	if (reserve(r, PG_HEAD + COUNT) != NULL)
		r->len += PG_HEAD + COUNT;
}

void
pg_rows_text(struct pg_rows *r, const char *text)
{
	size_t len = text != NULL ? strnlen(text, TEXT_MOST) : 0;
	char *at = reserve(r, LENGTH + len * ESCAPE_GROWTH);
	char *end;

	r->fields++;
	if (at == NULL)
		return;
	end = at + LENGTH;
	if (text != NULL)
		end = escape_plain(end, text, len);
	/* Of NULL the length is -1. */
	pg_set_u32(at, text != NULL ? (uint32_t)(end - at - LENGTH) :
	    UINT32_MAX);
	r->len += (size_t)(end - at);
}

void
pg_rows_number(struct pg_rows *r, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64,
	    n > INT64_MAX ? (uint64_t)INT64_MAX : n);
	pg_rows_text(r, text);
}

void
pg_rows_end(struct pg_rows *r)
{
	if (r->short_of_memory)
		return;
	r->bytes[r->begun] = 'D';
	pg_set_u32(r->bytes + r->begun + 1, (uint32_t)(r->len - r->begun - 1));
	set_u16(r->bytes + r->begun + PG_HEAD, r->fields);
	r->n++;
}

void
pg_rows_fini(struct pg_rows *r)
{
	free(r->bytes);
	*r = (struct pg_rows){ 0 };
}

/* Behind the name: the table and the column in it, neither of which there is,
   the type, its size, its modifier, the format. */
static char *
describe(char *at, const struct pg_column *c)
{
	size_t len = strlen(c->name) + 1;

	memcpy(at, c->name, len);
	at += len;
	memset(at, 0, 18);
	pg_set_u32(at + 6, c->type);
	set_u16(at + 10, c->type == PG_COLUMN_NUMBER ? 8 : UINT16_MAX);
	pg_set_u32(at + 12, UINT32_MAX);
	return at + 18;
}

int
pg_put_columns(struct block_store *store, struct buf *out,
    const struct pg_column *columns)
{
	char body[DESCRIPTION_MOST], *at = body + COUNT;
	const struct pg_column *c;

	if (columns == NULL)
		return pg_put(store, out, 'n', NULL, 0);
	for (c = columns; c->name != NULL; c++) {
		/* They are weir's own tables. */
		if ((size_t)(body + sizeof(body) - at) < strlen(c->name) + 19)
			return -1;
		at = describe(at, c);
	}
	set_u16(body, (uint16_t)(c - columns));
	return pg_put(store, out, 'T', body, (size_t)(at - body));
}
