/*
 * The wire. See wire.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REPORT_MOST = 1024 };

void
pg_copy_at(const struct buf *b, size_t at, char *out, size_t n)
{
	while (n > 0) {
		size_t len;
		const char *bytes = buf_at(b, at, &len);

		if (len > n)
			len = n;
		memcpy(out, bytes, len);
		out += len;
		at += len;
		n -= len;
	}
}

enum parse
pg_head_at(const struct buf *b, size_t at, struct pg_head *h)
{
	char copy[PG_HEAD];
	const char *bytes;
	uint32_t len;
	size_t there;

	if (b->len < at + PG_HEAD)
		return PARSE_MORE;
	bytes = buf_at(b, at, &there);
	if (there < PG_HEAD) {
		pg_copy_at(b, at, copy, sizeof(copy));
		bytes = copy;
	}
	len = pg_u32(bytes + 1);
	if (len < 4 || len > PG_MESSAGE_MOST)
		return PARSE_BAD;
	*h = (struct pg_head){ bytes[0], len + 1 };
	return PARSE_DONE;
}

const char *
pg_string(const char *bytes, size_t len, size_t *at)
{
	const char *text = bytes + *at, *end;

	if (*at >= len)
		return NULL;
	end = memchr(text, '\0', len - *at);
	if (end == NULL)
		return NULL;
	*at += (size_t)(end - text) + 1;
	return text;
}

/* True: it ends where it should. */
static bool
read_fields(const char *body, size_t len, struct pg_report *r)
{
	size_t at = 0;
	bool has_v = false;

	*r = (struct pg_report){ "", "", "", "" };
	while (at < len && body[at] != '\0') {
		char field = body[at++];
		const char *text = pg_string(body, len, &at);

		if (text == NULL)
			return false;
		if (field == 'V' || (field == 'S' && !has_v))
			r->severity = text;
		has_v = has_v || field == 'V';
		if (field == 'C')
			r->code = text;
		else if (field == 'M')
			r->message = text;
		else if (field == 'R')
			r->routine = text;
	}
	return at + 1 == len;
}

bool
pg_report_read(const char *body, size_t len, struct pg_report *r)
{
	return read_fields(body, len, r);
}

void
pg_report_begin(const char *body, size_t len, struct pg_report *r)
{
	(void)read_fields(body, len, r);
}

int
pg_put(struct block_store *store, struct buf *out, char type, const void *body,
    size_t len)
{
	char head[PG_HEAD] = { type };

	pg_set_u32(head + 1, (uint32_t)len + 4);
	if (buf_append(store, out, head, sizeof(head)) < 0 ||
	    (len > 0 && buf_append(store, out, body, len) < 0))
		return -1;
	return 0;
}

int
pg_put_ready(struct block_store *store, struct buf *out, char status)
{
	return pg_put(store, out, 'Z', &status, 1);
}

static size_t
put_field(char *body, size_t at, char field, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len > REPORT_MOST - 2 - at)
		return at;
	body[at] = field;
	memcpy(body + at + 1, text, len);
	return at + 1 + len;
}

int
pg_put_report(struct block_store *store, struct buf *out, char type,
    const char *severity, const char *code, const char *fmt, ...)
{
	char body[REPORT_MOST], text[REPORT_MOST / 2];
	size_t at = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	at = put_field(body, at, 'S', severity);
	at = put_field(body, at, 'V', severity);
	at = put_field(body, at, 'C', code);
	at = put_field(body, at, 'M', text);
	body[at++] = '\0';
	return pg_put(store, out, type, body, at);
}

int
pg_put_query(struct block_store *store, struct buf *out, const char *sql)
{
	return pg_put(store, out, 'Q', sql, strlen(sql) + 1);
}

int
pg_put_status(struct block_store *store, struct buf *out, const char *name,
    const char *value)
{
	size_t name_len = strlen(name) + 1, value_len = strlen(value) + 1;
	char head[PG_HEAD] = { 'S' };

	pg_set_u32(head + 1, (uint32_t)(4 + name_len + value_len));
	if (buf_append(store, out, head, sizeof(head)) < 0 ||
	    buf_append(store, out, name, name_len) < 0 ||
	    buf_append(store, out, value, value_len) < 0)
		return -1;
	return 0;
}
