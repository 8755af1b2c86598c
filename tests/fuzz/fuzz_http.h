/*
 * Properties that hold for every head, whatever the bytes: shared by
 * fuzz_http_request.c and fuzz_http_response.c, each of which defines parse().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_FUZZ_HTTP_H
#define TESTS_FUZZ_FUZZ_HTTP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/http/parse.h"

enum {
	FUZZ_FIELDS = 24,       /* small, so that limits are met */
	FUZZ_BYTES = 2048
};

/* Not assert(): a build without it would look for nothing. */
#define CHECK(claim) \
	do { \
		if (!(claim)) { \
			fprintf(stderr, "not so: %s\n", #claim); \
			abort(); \
		} \
	} while (0)

union fuzz_head {
	struct http_head h;
	char room[HTTP_HEAD_SIZE(FUZZ_FIELDS)];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum parse parse(struct http_head *h, const char *bytes, size_t len);
static size_t write_start(const struct http_head *h, const char *bytes,
    char *out, size_t size);

static inline enum parse
parse_bytewise(struct http_head *h, const char *bytes, size_t len)
{
	enum parse got = PARSE_MORE;

	for (size_t n = 0; n <= len && got == PARSE_MORE; n++) {
		got = parse(h, bytes, n);
		if (got == PARSE_MORE)  /* linear: all there is was looked at */
			CHECK((size_t)h->line + h->seen == n);
	}
	return got;
}

static inline void
check_inside(const struct http_head *h, struct http_span s)
{
	CHECK((unsigned)s.at + s.len <= h->size);
}

static inline void
check_sound(const struct http_head *h, const char *bytes, size_t len)
{
	CHECK(h->size <= len && h->size <= h->max_bytes);
	CHECK(memcmp(bytes + h->size - 4, "\r\n\r\n", 4) == 0);
	CHECK(h->n_fields <= h->max_fields);
	CHECK(h->body <= HTTP_BODY_CLOSE && h->length <= INT64_MAX);
	CHECK(h->body == HTTP_BODY_LENGTH || h->length == 0);
	check_inside(h, h->method_name);
	check_inside(h, h->target);
	check_inside(h, h->path);
	check_inside(h, h->query);
	check_inside(h, h->host);
	check_inside(h, h->reason);
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];
		const char *value = bytes + f->value.at;

		CHECK(f->name.len > 0);
		check_inside(h, f->name);
		check_inside(h, f->value);
		for (unsigned at = 0; at < f->value.len; at++)
			CHECK(value[at] != '\0' && value[at] != '\r' &&
			    value[at] != '\n');
	}
}

static inline void
check_same_span(const char *a, struct http_span x, const char *b,
    struct http_span y)
{
	CHECK(x.len == y.len && memcmp(a + x.at, b + y.at, x.len) == 0);
}

static inline void
check_same(const struct http_head *h, const char *a, const struct http_head *g,
    const char *b)
{
	CHECK(h->method == g->method && h->status == g->status);
	CHECK(h->body == g->body && h->length == g->length);
	CHECK(h->keep_alive == g->keep_alive && h->upgrade == g->upgrade);
	CHECK(h->expect_continue == g->expect_continue);
	CHECK(h->te_trailers == g->te_trailers);
	CHECK(h->n_fields == g->n_fields);
	check_same_span(a, h->path, b, g->path);
	check_same_span(a, h->query, b, g->query);
	check_same_span(a, h->host, b, g->host);
	for (unsigned i = 0; i < h->n_fields; i++) {
		CHECK(h->field[i].id == g->field[i].id);
		CHECK(h->field[i].hop == g->field[i].hop);
		check_same_span(a, h->field[i].name, b, g->field[i].name);
		check_same_span(a, h->field[i].value, b, g->field[i].value);
	}
}

/* What weir would send on is read as what it has read. */
static inline void
check_written(const struct http_head *h, const char *bytes)
{
	static union fuzz_head again;
	static char out[2 * FUZZ_BYTES];
	size_t len = write_start(h, bytes, out, sizeof(out));

	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		len += (size_t)snprintf(out + len, sizeof(out) - len,
		    "%.*s: %.*s\r\n", f->name.len, bytes + f->name.at,
		    f->value.len, bytes + f->value.at);
	}
	len += (size_t)snprintf(out + len, sizeof(out) - len, "\r\n");
	CHECK(len < sizeof(out));
	http_head_init(&again.h, FUZZ_FIELDS, sizeof(out));
	CHECK(parse(&again.h, out, len) == PARSE_DONE);
	CHECK(again.h.size == len);
	check_same(h, bytes, &again.h, out);
}

static inline void
check_head(const char *bytes, size_t len)
{
	static union fuzz_head whole, single;
	enum parse got;

	http_head_init(&whole.h, FUZZ_FIELDS, FUZZ_BYTES);
	http_head_init(&single.h, FUZZ_FIELDS, FUZZ_BYTES);
	got = parse(&whole.h, bytes, len);
	CHECK(parse_bytewise(&single.h, bytes, len) == got);
	if (got == PARSE_BAD) {
		CHECK(whole.h.refusal >= 400 && whole.h.why != NULL);
		CHECK(whole.h.refusal == single.h.refusal);
		CHECK(strcmp(whole.h.why, single.h.why) == 0);
	}
	if (got != PARSE_DONE)
		return;
	check_sound(&whole.h, bytes, len);
	CHECK(whole.h.size == single.h.size);
	check_same(&whole.h, bytes, &single.h, bytes);
	check_written(&whole.h, bytes);
}

#endif
