/*
 * Fields of a parsed head, or of trailer lines, as HTTP/2 sends them. See h2.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <assert.h>
#include <string.h>

#include "proxy/proto/http/fields.h"
#include "proxy/proto/http/h2.h"

void
h2_fields_init(struct h2_fields *f)
{
	f->n = 0;
	f->used = 0;
}

static void
push(struct h2_fields *f, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	assert(f->n < NELEMS(f->nv));
	f->nv[f->n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name,
	    (uint8_t *)(uintptr_t)value, name_len, value_len,
	    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

void
h2_fields_add(struct h2_fields *f, const char *name, const char *value,
    size_t value_len)
{
	push(f, name, strlen(name), value, value_len);
}

/* There is room for the names of any head (HTTP_HEAD_MAX). */
static void
push_small(struct h2_fields *f, const char *name, size_t name_len,
    const char *value, size_t value_len)
{
	char *to = f->bytes + f->used;
	size_t i;

	assert(f->used + name_len <= sizeof(f->bytes));
	for (i = 0; i < name_len; i++)
		to[i] = name[i] >= 'A' && name[i] <= 'Z' ?
		    (char)(name[i] | 0x20) : name[i];
	f->used += name_len;
	push(f, to, name_len, value, value_len);
}

void
h2_fields_set(struct h2_fields *f, const char *name, const char *value,
    size_t value_len)
{
	size_t len = strlen(name), n = 0, i;

	for (i = 0; i < f->n; i++)
		if (f->nv[i].namelen != len || !http_same_word(
		    (const char *)f->nv[i].name, name, len))
			f->nv[n++] = f->nv[i];
	f->n = n;
	push_small(f, name, len, value, value_len);
}

static void
push_field(struct h2_fields *f, const char *raw, const struct http_field *field)
{
	push_small(f, raw + field->name.at, field->name.len,
	    raw + field->value.at, field->value.len);
}

static void
push_number(struct h2_fields *f, const char *name, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits), len;

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	len = sizeof(digits) - i;
	assert(f->used + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->used, digits + i, len);
	h2_fields_add(f, name, f->bytes + f->used, len);
	f->used += len;
}

/* What the message says of itself; its framing is HTTP/2's. */
static void
push_fields(struct h2_fields *f, const struct http_head *h, const char *raw)
{
	unsigned i;

	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *field = &h->field[i];

		if (!field->hop && field->id != HTTP_F_CONTENT_LENGTH &&
		    field->id != HTTP_F_HOST)
			push_field(f, raw, field);
	}
}

void
h2_fields_of_request(struct h2_fields *f, const struct http_head *h,
    const char *raw, const char *scheme)
{
	bool asterisk = h->path.len == 0 && h->method == HTTP_M_OPTIONS;

	h2_fields_init(f);
	h2_fields_add(f, ":method", raw + h->method_name.at,
	    h->method_name.len);
	h2_fields_add(f, ":scheme", scheme, strlen(scheme));
	if (h->host.len > 0)
		h2_fields_add(f, ":authority", raw + h->host.at, h->host.len);
	if (h->path.len > 0)
		h2_fields_add(f, ":path", raw + h->path.at, h->path.len);
	else                            /* RFC 9113 8.3.1 */
		h2_fields_add(f, ":path", asterisk ? "*" : "/", 1);
	push_fields(f, h, raw);
	if (h->te_trailers)
		h2_fields_add(f, "te", "trailers", 8);
	if (h->body == HTTP_BODY_LENGTH)
		push_number(f, "content-length", h->length);
}

void
h2_fields_of_answer(struct h2_fields *f, const struct http_head *a,
    const char *raw, bool to_head)
{
	int i;

	h2_fields_init(f);
	push_number(f, ":status", a->status);
	push_fields(f, a, raw);
	if (a->body == HTTP_BODY_LENGTH) {
		push_number(f, "content-length", a->length);
	} else if (a->status == 304 ||
	    (to_head && a->status >= 200 && a->status != 204)) {
		/* RFC 9110 8.6. Never in 1xx and 204. */
		i = http_field_find(a, HTTP_F_CONTENT_LENGTH, 0);
		if (i >= 0)
			push_field(f, raw, &a->field[i]);
	}
}

int
h2_fields_of_trailers(struct h2_fields *f, const char *lines, size_t len)
{
	const char *at = lines, *end = lines + len, *stop;

	h2_fields_init(f);
	if (len > HTTP_HEAD_MAX)
		return -1;
	for (; at < end; at = stop + 1) {
		struct http_field field;

		stop = memchr(at, '\n', (size_t)(end - at));
		if (stop == NULL || stop == at || f->n == HTTP_TRAILERS_MAX ||
		    http_field_line(at, (size_t)(stop - 1 - at), &field) !=
		    NULL)
			return -1;
		push_field(f, at, &field);
	}
	return 0;
}
