/*
 * Fields of HTTP/2 as HTTP/1.1 head text and back. Whatever came: what is taken
 * is text that the parser of HTTP/1.1 reads as one head with as many fields as
 * came and not one more, of the same method, path and host, framed as the stream
 * is; or the parser refuses it. Back in HTTP/2 it is what may be sent there.
 *
 * Input: a byte of what it is and whether it ends, then fields: a byte of name
 * length, one of value length, both texts. A length of 255 means "as below": a
 * name from a table.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/http/h2.h"

#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

enum { FIELDS = 30, BYTES = 3000 };

static const char *const names[] = {
	":method", ":scheme", ":path", ":authority", ":protocol", ":status",
	"host", "cookie", "te", "content-length", "transfer-encoding",
	"connection", "upgrade", "expect", "x-forwarded-for", "trailer"
};

struct input {
	const uint8_t *at, *end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t
byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static const char *
take(struct input *in, size_t *len)
{
	const char *text = (const char *)in->at;
	size_t left = (size_t)(in->end - in->at);

	if (*len > left)
		*len = left;
	in->at += *len;
	return text;
}

static void
add_one(struct h2_text *t, struct input *in)
{
	size_t name_len = byte(in), value_len = byte(in);
	const char *name, *value;

	if (name_len >= 240) {
		name = names[name_len - 240];
		name_len = strlen(name);
	} else
		name = take(in, &name_len);
	value = take(in, &value_len);
	h2_text_add(t, name, name_len, value, value_len);
}

/* Each line is one field: nothing in a value has made another. */
static void
check_lines(const struct h2_text *t, const char *text, size_t len,
    bool has_start)
{
	size_t lines = 0, i;

	for (i = 0; i < len; i++) {
		CHECK(text[i] != '\0');
		if (text[i] == '\n') {
			CHECK(i > 0 && text[i - 1] == '\r');
			lines++;
		} else if (text[i] == '\r')
			CHECK(i + 1 < len && text[i + 1] == '\n');
	}
	/* Start line, Host, framing or three of an Upgrade, empty line. */
	CHECK(lines <= t->n_fields + (has_start ? 6u : 0u));
}

static bool
same(const struct h2_text *t, const struct h2_part *p, const char *raw,
    struct http_span s, const char *block)
{
	(void)t;
	return p->len == s.len && memcmp(block + p->at, raw + s.at, s.len) == 0;
}

static void
check_request(const struct h2_text *t, const char *block, const char *text,
    const struct http_head *h, bool ends)
{
	CHECK(h->size == t->len - t->start);
	if (!t->protocol.there)
		CHECK(same(t, &t->method, text, h->method_name, block));
	if (t->path.there)
		CHECK(same(t, &t->path, text, h->target, block));
	if (t->authority.there)
		CHECK(same(t, &t->authority, text, h->host, block));
	if (h->method == HTTP_M_CONNECT || t->protocol.there)
		CHECK(h->body == HTTP_BODY_NONE);
	else if (ends)
		CHECK(h->body == HTTP_BODY_NONE || h->length == 0);
	else
		CHECK(h->body == HTTP_BODY_CHUNKED ||
		    h->body == HTTP_BODY_LENGTH);
}

static void
check_fields(const struct h2_fields *f)
{
	bool regular = false;
	size_t i;

	for (i = 0; i < f->n; i++) {
		const char *name = (const char *)f->nv[i].name;
		size_t len = f->nv[i].namelen;

		if (name[0] == ':') {
			CHECK(!regular);
			continue;
		}
		regular = true;
		CHECK(h2_name_valid(name, len));
		CHECK(!h2_name_is_connection(name, len));
		CHECK(h2_value_valid((const char *)f->nv[i].value,
		    f->nv[i].valuelen));
	}
}

static void
check_head(const struct h2_text *t, const char *block, const char *text,
    size_t len, bool ends)
{
	static union {
		struct http_head h;
		char room[HTTP_HEAD_SIZE(FIELDS + 6)];
	} head;
	static struct h2_fields fields;
	struct http_head *h = &head.h;
	enum parse got;

	http_head_init(h, FIELDS + 6, BYTES + 500);
	got = t->kind == H2_REQUEST ? http_request_parse(h, text, len) :
	    http_response_parse(h, t->to_head ? HTTP_M_HEAD : HTTP_M_GET, text,
	    len);
	CHECK(got != PARSE_MORE);
	if (got == PARSE_BAD)
		return;
	CHECK(h->n_fields <= t->n_fields + 4);
	if (t->kind == H2_REQUEST) {
		check_request(t, block, text, h, ends);
		h2_fields_of_request(&fields, h, text, "http");
	} else
		h2_fields_of_answer(&fields, h, text, t->to_head);
	check_fields(&fields);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct block_store store;
	static struct h2_fields fields;
	struct input in = { data, data + len };
	size_t first = byte(&in);
	bool ends = (first & 4) != 0;
	struct h2_text t;
	struct block *b;
	uint32_t at, n;

	if (store.small.size == 0)
		block_store_init(&store);
	h2_text_begin(&t, &store, (enum h2_kind)(first % 3), FIELDS, BYTES);
	t.to_head = (first & 8) != 0;
	while (in.at < in.end)
		add_one(&t, &in);
	if (h2_text_end(&t, ends) < 0) {
		CHECK(t.block == NULL && t.refusal != 0 && t.why != NULL);
		return 0;
	}
	b = h2_text_take(&t, &at, &n);
	CHECK(t.refusal == 0 && at + n <= b->size);
	check_lines(&t, b->bytes + at, n, t.kind != H2_TRAILERS);
	if (t.kind == H2_TRAILERS) {
		CHECK(h2_fields_of_trailers(&fields, b->bytes + at, n) == 0);
		CHECK(fields.n == t.n_fields);
		check_fields(&fields);
	} else
		check_head(&t, b->bytes, b->bytes + at, n, ends);
	block_drop(&store, b);
	return 0;
}
