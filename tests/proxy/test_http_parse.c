/*
 * Request and response heads: each row of tests/data/http is parsed whole,
 * split at every byte and fed byte by byte, always from a buffer of exactly
 * the bytes there are, with one result. Then random heads and random damage.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/http/parse.h"
#include "tests/data/http/case.h"

enum {
	FIELDS = 101,
	TEXT_MAX = 64 * 1024,
	SPLITS_MAX = 1200,      /* longer cases are split at some bytes only */
	RANDOM_HEADS = 20000,
	RANDOM_DAMAGE = 40000
};

static const struct http_case requests[] = {
#include "tests/data/http/requests.inc"
};

static const struct http_case responses[] = {
#include "tests/data/http/responses.inc"
};

/* One kind of message, so that every test serves both. */
struct kind {
	bool is_request;
	const struct http_case *cases;
	size_t n;
};

static const struct kind kinds[] = {
	{ true, requests, NELEMS(requests) },
	{ false, responses, NELEMS(responses) }
};

static struct http_head *
head_new(void)
{
	struct http_head *h = malloc(HTTP_HEAD_SIZE(FIELDS));

	assert_non_null(h);
	return h;
}

static void
head_init(struct http_head *h, const struct http_case *c)
{
	http_head_init(h, c->max_fields != 0 ? c->max_fields : 100,
	    c->max_bytes != 0 ? c->max_bytes : 32 * 1024);
}

/* From a copy of exactly len bytes, elsewhere at each call. */
static enum parse
parse(struct http_head *h, bool is_request, enum http_method to,
    const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);
	char *at = copy + 1;    /* so that len 0 is an address too */
	enum parse got;

	assert_non_null(copy);
	memcpy(at, bytes, len);
	got = is_request ? http_request_parse(h, at, len) :
	    http_response_parse(h, to, at, len);
	free(copy);
	return got;
}

/* ------------------------------------------------------- a result as a text */

struct text {
	size_t len;
	char at[TEXT_MAX];
};

static void add(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);

static void
add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at + t->len, TEXT_MAX - t->len, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < TEXT_MAX - t->len);
	t->len += (size_t)n;
}

static void
add_span(struct text *t, const char *name, struct http_span s)
{
	add(t, "%s %u+%u\n", name, s.at, s.len);
}

/* All that a caller may read. */
static void
describe(struct text *t, enum parse got, const struct http_head *h)
{
	t->len = 0;
	add(t, "verdict %d\n", (int)got);
	if (got == PARSE_BAD)
		add(t, "%u %s\n", h->refusal, h->why);
	if (got != PARSE_DONE)
		return;
	add(t, "size %u method %u minor %u status %u body %u length %llu\n",
	    h->size, h->method, h->minor, h->status, h->body,
	    (unsigned long long)h->length);
	add(t, "keep_alive %d expect %d upgrade %d trailers %d\n",
	    h->keep_alive, h->expect_continue, h->upgrade, h->te_trailers);
	add_span(t, "method", h->method_name);
	add_span(t, "target", h->target);
	add_span(t, "path", h->path);
	add_span(t, "query", h->query);
	add_span(t, "host", h->host);
	add_span(t, "reason", h->reason);
	for (unsigned i = 0; i < h->n_fields; i++) {
		add(t, "field %u hop %d\n", h->field[i].id, h->field[i].hop);
		add_span(t, "name", h->field[i].name);
		add_span(t, "value", h->field[i].value);
	}
}

/* ---------------------------------------------------------------- the table */

static unsigned
flags_of(const struct http_head *h)
{
	return (h->keep_alive ? 0 : CLOSES) |
	    (h->expect_continue ? EXPECTS : 0) |
	    (h->upgrade ? UPGRADES : 0) | (h->te_trailers ? TE_TRAILERS : 0);
}

static bool
span_is(const char *bytes, struct http_span s, const char *want)
{
	return want == NULL || (strlen(want) == s.len &&
	    memcmp(bytes + s.at, want, s.len) == 0);
}

static bool
hops_are(const char *bytes, const struct http_head *h, const char *want)
{
	char got[512] = "";
	size_t len = 0;

	for (unsigned i = 0; want != NULL && i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		if (f->hop)
			len += (size_t)snprintf(got + len, sizeof(got) - len,
			    "%.*s ", f->name.len, bytes + f->name.at);
	}
	return want == NULL || strcmp(got, want) == 0;
}

/* NULL = as the row says; else what differs. */
static const char *
mismatch(const struct http_case *c, enum parse got, const struct http_head *h)
{
	if (got != c->verdict)
		return "verdict";
	if (got == PARSE_BAD)
		return h->refusal != c->refusal ? "refusal" :
		    strcmp(h->why, c->why) != 0 ? h->why : NULL;
	if (got == PARSE_MORE)
		return NULL;
	if (h->body != c->body || h->length != c->length)
		return "framing";
	if (h->size != (c->size != 0 ? c->size : c->len))
		return "size";
	if (h->n_fields != c->n_fields)
		return "n_fields";
	if (flags_of(h) != c->flags)
		return "flags";
	if (c->status != 0 && h->status != c->status)
		return "status";
	if (!span_is(c->bytes, h->path, c->path) ||
	    !span_is(c->bytes, h->query, c->query))
		return "target";
	if (!span_is(c->bytes, h->host, c->host))
		return "host";
	if (c->value != NULL && !span_is(c->bytes, h->field[0].value,
	    c->value))
		return "value";
	return hops_are(c->bytes, h, c->hop) ? NULL : "hop";
}

static void
every_row_is_judged_as_it_says(void **state)
{
	struct http_head *h = head_new();
	unsigned wrong = 0;

	(void)state;
	for (size_t k = 0; k < NELEMS(kinds); k++) {
		for (size_t i = 0; i < kinds[k].n; i++) {
			const struct http_case *c = &kinds[k].cases[i];
			const char *what;
			enum parse got;

			head_init(h, c);
			got = parse(h, kinds[k].is_request, c->to, c->bytes,
			    c->len);
			what = mismatch(c, got, h);
			if (what == NULL)
				continue;
			print_error("%s: %s\n", c->name, what);
			wrong++;
		}
	}
	free(h);
	assert_int_equal(wrong, 0);
	assert_true(NELEMS(requests) + NELEMS(responses) >= 220);
}

/* Parse bytes[0, first), then all. An early verdict must stand. */
static enum parse
parse_split(struct http_head *h, const struct kind *k,
    const struct http_case *c, size_t first)
{
	enum parse got = parse(h, k->is_request, c->to, c->bytes, first);

	if (got == PARSE_DONE)
		assert_true(h->size <= first);
	if (got != PARSE_MORE)
		assert_int_equal(parse(h, k->is_request, c->to, c->bytes,
		    c->len), got);
	else
		got = parse(h, k->is_request, c->to, c->bytes, c->len);
	return got;
}

static void
assert_same(const struct http_case *c, const char *how, const struct text *a,
    const struct text *b)
{
	if (strcmp(a->at, b->at) != 0)
		fail_msg("%s, %s:\n%s\ninstead of\n%s", c->name, how, a->at,
		    b->at);
}

static void
every_row_split_anywhere_is_judged_alike(void **state)
{
	struct http_head *h = head_new();
	static struct text whole, split;

	(void)state;
	for (size_t n = 0; n < NELEMS(requests) + NELEMS(responses); n++) {
		const struct kind *k = &kinds[n >= NELEMS(requests)];
		const struct http_case *c = k->is_request ? &requests[n] :
		    &responses[n - NELEMS(requests)];
		size_t step = c->len > SPLITS_MAX ? c->len / SPLITS_MAX : 1;

		head_init(h, c);
		describe(&whole, parse(h, k->is_request, c->to, c->bytes,
		    c->len), h);
		for (size_t at = 0; at <= c->len; at += step) {
			head_init(h, c);
			describe(&split, parse_split(h, k, c, at), h);
			assert_same(c, "split", &split, &whole);
		}
	}
	free(h);
}

static enum parse
parse_bytewise(struct http_head *h, bool is_request, enum http_method to,
    const char *bytes, size_t len)
{
	enum parse got = parse(h, is_request, to, bytes, 0);

	for (size_t n = 1; n <= len && got == PARSE_MORE; n++)
		got = parse(h, is_request, to, bytes, n);
	return got;
}

static void
every_row_byte_by_byte_is_judged_alike(void **state)
{
	struct http_head *h = head_new();
	static struct text whole, single;

	(void)state;
	for (size_t n = 0; n < NELEMS(requests) + NELEMS(responses); n++) {
		const struct kind *k = &kinds[n >= NELEMS(requests)];
		const struct http_case *c = k->is_request ? &requests[n] :
		    &responses[n - NELEMS(requests)];

		head_init(h, c);
		describe(&whole, parse(h, k->is_request, c->to, c->bytes,
		    c->len), h);
		head_init(h, c);
		describe(&single, parse_bytewise(h, k->is_request, c->to,
		    c->bytes, c->len), h);
		assert_same(c, "byte by byte", &single, &whole);
	}
	free(h);
}

/* RFC 9110 9.1: methods are case-sensitive. */
static void
methods_are_known_by_exact_name(void **state)
{
	static const char *const names[] = {
		[HTTP_M_GET] = "GET", [HTTP_M_HEAD] = "HEAD",
		[HTTP_M_POST] = "POST", [HTTP_M_PUT] = "PUT",
		[HTTP_M_DELETE] = "DELETE", [HTTP_M_CONNECT] = "CONNECT",
		[HTTP_M_OPTIONS] = "OPTIONS", [HTTP_M_TRACE] = "TRACE",
		[HTTP_M_PATCH] = "PATCH"
	};
	struct http_head *h = head_new();
	char head[128];
	int n;

	(void)state;
	for (unsigned i = HTTP_M_GET; i < NELEMS(names); i++) {
		for (unsigned other = 0; other < 3; other++) {
			n = snprintf(head, sizeof(head), "%s%s %s HTTP/1.1\r\n"
			    "Host: a\r\n\r\n", names[i],
			    other == 1 ? "X" : "",
			    i == HTTP_M_CONNECT && other == 0 ? "a:1" : "/");
			if (other == 2)
				head[1] |= 0x20;
			http_head_init(h, FIELDS, 1000);
			assert_int_equal(parse(h, true, HTTP_M_GET, head,
			    (size_t)n), PARSE_DONE);
			assert_int_equal(h->method, other == 0 ? i :
			    HTTP_M_OTHER);
		}
	}
	free(h);
}

/* Names that every proxy must know are known, in any case. */
static void
known_fields_are_found_by_id(void **state)
{
	static const char *const names[] = {
		"Connection", "Content-Length", "Date", "Expect", "Forwarded",
		"Host", "HTTP2-Settings", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Proxy-Connection", "Retry-After",
		"Server", "TE", "traceparent", "Tracestate", "Trailer",
		"Transfer-Encoding", "Upgrade", "Via", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto"
	};
	struct http_head *h = head_new();
	char head[256];
	int n;

	(void)state;
	for (unsigned i = 0; i < NELEMS(names); i++) {
		const char *value = i + 1 == HTTP_F_CONTENT_LENGTH ? "0" :
		    i + 1 == HTTP_F_TRANSFER_ENCODING ? "chunked" : "x";

		n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nA: b\r\n"
		    "%sX: c\r\n%.*sx%s: d\r\n%s: %s\r\n\r\n", names[i],
		    (int)strlen(names[i]) - 1, names[i], "", names[i], value);
		http_head_init(h, FIELDS, 1000);
		assert_int_equal(parse(h, false, HTTP_M_GET, head, (size_t)n),
		    PARSE_DONE);
		assert_int_equal(http_field_find(h, i + 1, 0), 3);
		assert_int_equal(http_field_find(h, i + 1, 3), 3);
		assert_int_equal(http_field_find(h, i + 1, 4), -1);
		for (unsigned f = 0; f < 3; f++)
			assert_int_equal(h->field[f].id, HTTP_F_OTHER);
	}
	free(h);
}

/*
 * A head of 60 KiB, a byte at a time, with the longest possible lines: were
 * work done again at each call, this would take minutes.
 */
static void
large_head_byte_by_byte_is_linear(void **state)
{
	struct http_head *h = head_new();
	char *head = malloc(HTTP_HEAD_MAX);
	enum parse got = PARSE_MORE;
	size_t len;

	(void)state;
	assert_non_null(head);
	len = (size_t)sprintf(head, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	memset(head + len, 'x', HTTP_HEAD_MAX - len - 4);
	memcpy(head + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	http_head_init(h, 2, HTTP_HEAD_MAX);
	for (size_t n = 0; n <= HTTP_HEAD_MAX && got == PARSE_MORE; n++) {
		got = http_request_parse(h, head, n);
		if (n < HTTP_HEAD_MAX)
			assert_int_equal(h->line + h->seen, n);
	}
	assert_int_equal(got, PARSE_DONE);
	assert_int_equal(h->size, HTTP_HEAD_MAX);
	free(head);
	free(h);
}

/* ----------------------------------------------------------------- random */

/* xorshift64: the same sequence on every run. */
static uint64_t
random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

#define PICK(seed, table) (table)[random_next(seed) % NELEMS(table)]

/* A head that should be accepted, of parts that go together. */
static size_t
random_head(uint64_t *seed, bool is_request, char *out, size_t size)
{
	static const char *const starts[] = {
		"GET / HTTP/1.1\r\nHost: example.com\r\n",
		"POST /a?b=c HTTP/1.1\r\nHost:example.com:80\r\n",
		"PUT http://example.com/x HTTP/1.1\r\nhost: EXAMPLE.com\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\n",
		"DELETE /%20 HTTP/1.0\r\nConnection: keep-alive\r\n",
		"\r\nBREW /pot HTTP/1.1\r\nHost: [::1]:1\r\n"
	};
	static const char *const statuses[] = {
		"HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 \r\n",
		"HTTP/1.0 302 Found\r\n", "HTTP/1.1 503\r\n"
	};
	static const char *const framings[] = {
		"", "Content-Length: 17\r\n", "content-length:  0 \r\n",
		"Content-Length: 9223372036854775807\r\n"
	};
	static const char *const others[] = {
		"Connection: x-a, close\r\n", "Connection: upgrade,,TE\r\n",
		"Upgrade: websocket\r\n", "TE: trailers, deflate;q=0.1\r\n",
		"X-A:b\r\n", "x-a: \tlong value, with \"all\" in it \t\r\n",
		"X-Empty:\r\n", "Keep-Alive: timeout=5\r\n",
		"X-Bytes: \x80\xff\r\n", "Via: 1.1 a\r\n"
	};
	unsigned n = (unsigned)(random_next(seed) % 8);
	unsigned framing = (unsigned)(random_next(seed) % (n + 1));
	size_t len;

	len = (size_t)snprintf(out, size, "%s", is_request ?
	    PICK(seed, starts) : PICK(seed, statuses));
	for (unsigned i = 0; i <= n; i++) {
		len += (size_t)snprintf(out + len, size - len, "%s",
		    i == framing ? PICK(seed, framings) : PICK(seed, others));
	}
	len += (size_t)snprintf(out + len, size - len, "\r\n");
	return len;
}

/* Write a parsed head anew, from its spans alone. */
static size_t
write_head(const struct http_head *h, bool is_request, const char *bytes,
    char *out, size_t size)
{
	size_t len;

	len = (size_t)(is_request ? snprintf(out, size,
	    "%.*s %.*s HTTP/1.%u\r\n", h->method_name.len,
	    bytes + h->method_name.at, h->target.len, bytes + h->target.at,
	    h->minor) : snprintf(out, size, "HTTP/1.%u %u %.*s\r\n", h->minor,
	    h->status, h->reason.len, bytes + h->reason.at));
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		len += (size_t)snprintf(out + len, size - len,
		    "%.*s: %.*s\r\n", f->name.len, bytes + f->name.at,
		    f->value.len, bytes + f->value.at);
	}
	len += (size_t)snprintf(out + len, size - len, "\r\n");
	assert_true(len < size);
	return len;
}

static void
assert_same_span(const char *a, struct http_span x, const char *b,
    struct http_span y)
{
	assert_int_equal(x.len, y.len);
	assert_memory_equal(a + x.at, b + y.at, x.len);
}

static void
assert_same_message(const struct http_head *h, const char *a,
    const struct http_head *g, const char *b)
{
	assert_int_equal(h->method, g->method);
	assert_int_equal(h->status, g->status);
	assert_int_equal(h->body, g->body);
	assert_int_equal(h->length, g->length);
	assert_int_equal(flags_of(h), flags_of(g));
	assert_int_equal(h->n_fields, g->n_fields);
	assert_same_span(a, h->path, b, g->path);
	assert_same_span(a, h->query, b, g->query);
	assert_same_span(a, h->host, b, g->host);
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i], *e = &g->field[i];

		assert_int_equal(f->id, e->id);
		assert_int_equal(f->hop, e->hop);
		assert_same_span(a, f->name, b, e->name);
		assert_same_span(a, f->value, b, e->value);
	}
}

/* Parse, write, parse again: the same message; h and g are scratch. */
static void
assert_written_is_same(struct http_head *h, struct http_head *g,
    bool is_request, enum http_method to, const char *bytes)
{
	static char out[TEXT_MAX];
	size_t len = write_head(h, is_request, bytes, out, sizeof(out));

	http_head_init(g, FIELDS, HTTP_HEAD_MAX);
	assert_int_equal(parse(g, is_request, to, out, len), PARSE_DONE);
	assert_int_equal(g->size, len);
	assert_same_message(h, bytes, g, out);
}

static void
written_head_parses_to_same_framing(void **state)
{
	struct http_head *h = head_new(), *g = head_new();
	uint64_t seed = 0x5eed;
	char head[2048];

	(void)state;
	for (unsigned i = 0; i < RANDOM_HEADS; i++) {
		bool is_request = i % 2 == 0;
		enum http_method to = i % 5 == 0 ? HTTP_M_HEAD : HTTP_M_GET;
		size_t len = random_head(&seed, is_request, head,
		    sizeof(head));
		enum parse got;

		http_head_init(h, 100, 4096);
		got = parse(h, is_request, to, head, len);
		if (got != PARSE_DONE)
			fail_msg("%s for\n%s", got == PARSE_BAD ? h->why :
			    "more", head);
		assert_int_equal(h->size, len);
		assert_written_is_same(h, g, is_request, to, head);
	}
	free(g);
	free(h);
}

/* Change, drop, double or insert a few bytes. Returns the new length. */
static size_t
damage(uint64_t *seed, char *bytes, size_t len, size_t size)
{
	static const char evil[] =
	    "\r\n\t :,;\0\"#/?[]@\x7f\x80\xff" "09aAHTP.";

	for (uint64_t n = 1 + random_next(seed) % 3; n > 0 && len > 0; n--) {
		size_t at = random_next(seed) % len;
		char c = evil[random_next(seed) % (sizeof(evil) - 1)];

		switch (random_next(seed) % 4) {
		case 0:
			bytes[at] = c;
			break;
		case 1:
			memmove(bytes + at, bytes + at + 1, --len - at);
			break;
		case 2:
			c = bytes[at];
			/* fall through */
		default:
			if (len == size)
				break;
			memmove(bytes + at + 1, bytes + at, len++ - at);
			bytes[at] = c;
		}
	}
	return len;
}

static void
assert_inside(const struct http_head *h, struct http_span s)
{
	assert_true((unsigned)s.at + s.len <= h->size);
}

static void
assert_sane(const struct http_head *h, size_t len)
{
	assert_true(h->size <= len && h->size <= h->max_bytes);
	assert_true(h->n_fields <= h->max_fields);
	assert_true(h->length <= INT64_MAX);
	assert_true(h->body == HTTP_BODY_LENGTH || h->length == 0);
	assert_inside(h, h->method_name);
	assert_inside(h, h->target);
	assert_inside(h, h->path);
	assert_inside(h, h->query);
	assert_inside(h, h->host);
	assert_inside(h, h->reason);
	for (unsigned i = 0; i < h->n_fields; i++) {
		assert_true(h->field[i].name.len > 0);
		assert_inside(h, h->field[i].name);
		assert_inside(h, h->field[i].value);
	}
}

/* A random row, damaged: one verdict however it arrives, and a sound one. */
static void
damaged_row_is_judged_alike(void **state)
{
	struct http_head *h = head_new(), *g = head_new();
	static struct text whole, single;
	uint64_t seed = 0xbad5eed;
	unsigned accepted = 0;
	char head[1024];

	(void)state;
	for (unsigned i = 0; i < RANDOM_DAMAGE; i++) {
		const struct kind *k = &kinds[i % 4 == 0];
		const struct http_case *c =
		    &k->cases[random_next(&seed) % k->n];
		enum parse got;
		size_t len;

		if (c->len > sizeof(head) - 8)
			continue;
		memcpy(head, c->bytes, c->len);
		len = damage(&seed, head, c->len, sizeof(head));
		head_init(g, c);
		describe(&single, parse_bytewise(g, k->is_request, c->to,
		    head, len), g);
		head_init(h, c);
		got = parse(h, k->is_request, c->to, head, len);
		describe(&whole, got, h);
		assert_same(c, "damaged", &single, &whole);
		if (got != PARSE_DONE)
			continue;
		accepted++;
		assert_sane(h, len);
		assert_written_is_same(h, g, k->is_request, c->to, head);
	}
	assert_true(accepted > RANDOM_DAMAGE / 50);
	free(g);
	free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_judged_as_it_says),
		cmocka_unit_test(every_row_split_anywhere_is_judged_alike),
		cmocka_unit_test(every_row_byte_by_byte_is_judged_alike),
		cmocka_unit_test(methods_are_known_by_exact_name),
		cmocka_unit_test(known_fields_are_found_by_id),
		cmocka_unit_test(large_head_byte_by_byte_is_linear),
		cmocka_unit_test(written_head_parses_to_same_framing),
		cmocka_unit_test(damaged_row_is_judged_alike)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
