/*
 * Fields between HTTP/2 and HTTP/1.1: proxy/proto/http/h2.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/http/h2.h"

struct pair {
	const char *name, *value;
};

static struct block_store store;

static int
make(void **state)
{
	(void)state;
	block_store_init(&store);
	return 0;
}

static int
unmake(void **state)
{
	(void)state;
	block_store_fini(&store);
	return 0;
}

static void
add(struct h2_text *t, const char *name, const char *value)
{
	h2_text_add(t, name, strlen(name), value, strlen(value));
}

/* The text, or NULL when it was refused; freed by the next call. */
static const char *
text_of(struct h2_text *t, bool ends)
{
	static char text[80000];
	struct block *b;
	uint32_t at, len;

	if (h2_text_end(t, ends) < 0)
		return NULL;
	b = h2_text_take(t, &at, &len);
	memcpy(text, b->bytes + at, len);
	text[len] = '\0';
	block_drop(&store, b);
	return text;
}

static const char *
collect(enum h2_kind kind, const struct pair *pairs, bool ends, unsigned *code)
{
	struct h2_text t;
	const char *text;

	h2_text_begin(&t, &store, kind, 20, 4000);
	for (; pairs->name != NULL; pairs++)
		add(&t, pairs->name, pairs->value);
	text = text_of(&t, ends);
	if (code != NULL)
		*code = t.refusal;
	return text;
}

#define PAIRS(...) (const struct pair[]){ __VA_ARGS__, { NULL, NULL } }
#define GET { ":method", "GET" }, { ":scheme", "http" }, { ":path", "/x" }, \
	{ ":authority", "h" }
#define POST { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/x" }, \
	{ ":authority", "h" }

static void
request_is_written_as_http_1_1(void **state)
{
	(void)state;
	assert_string_equal(collect(H2_REQUEST, PAIRS(GET, { "a", "1" },
	    { "b", "" }), true, NULL),
	    "GET /x HTTP/1.1\r\nHost: h\r\na: 1\r\nb: \r\n\r\n");
	/* In any order, and Host where there is no :authority. */
	assert_string_equal(collect(H2_REQUEST, PAIRS({ ":path", "*" },
	    { ":scheme", "https" }, { ":method", "OPTIONS" },
	    { "host", "h:80" }), true, NULL),
	    "OPTIONS * HTTP/1.1\r\nhost: h:80\r\n\r\n");
	assert_string_equal(collect(H2_REQUEST, PAIRS(GET, { "host", "H" }),
	    true, NULL), "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_string_equal(collect(H2_REQUEST, PAIRS({ ":method", "CONNECT" },
	    { ":authority", "h:1" }), false, NULL),
	    "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
}

static void
crumbs_are_joined_wherever_they_stand(void **state)
{
	(void)state;
	assert_string_equal(collect(H2_REQUEST, PAIRS(GET, { "cookie", "a=1" },
	    { "x", "1" }, { "cookie", "b=2" }, { "y", "2" },
	    { "cookie", "c=3" }), true, NULL),
	    "GET /x HTTP/1.1\r\nHost: h\r\ncookie: a=1; b=2; c=3\r\nx: 1\r\n"
	    "y: 2\r\n\r\n");
	/* A Host that has moved meanwhile is still compared. */
	assert_null(collect(H2_REQUEST, PAIRS({ ":method", "GET" },
	    { ":scheme", "http" }, { ":path", "/" }, { "cookie", "a" },
	    { "host", "h" }, { "cookie", "b" }, { "host", "i" }), true, NULL));
}

static void
framing_says_how_the_body_ends(void **state)
{
	(void)state;
	assert_string_equal(collect(H2_REQUEST, PAIRS(POST), false, NULL),
	    "POST /x HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n");
	assert_string_equal(collect(H2_REQUEST, PAIRS(POST), true, NULL),
	    "POST /x HTTP/1.1\r\nHost: h\r\ncontent-length: 0\r\n\r\n");
	assert_string_equal(collect(H2_REQUEST, PAIRS(POST,
	    { "content-length", "7" }), false, NULL),
	    "POST /x HTTP/1.1\r\nHost: h\r\ncontent-length: 7\r\n\r\n");
	assert_null(collect(H2_REQUEST, PAIRS(POST,
	    { "content-length", "7" }), true, NULL));
	assert_null(collect(H2_REQUEST, PAIRS(POST, { "content-length",
	    "9223372036854775808" }), false, NULL));
}

static void
answer_is_written_as_http_1_1(void **state)
{
	struct h2_text t;
	unsigned code;

	(void)state;
	assert_string_equal(collect(H2_ANSWER, PAIRS({ ":status", "200" },
	    { "a", "1" }), false, NULL),
	    "HTTP/1.1 200 \r\na: 1\r\ntransfer-encoding: chunked\r\n\r\n");
	assert_string_equal(collect(H2_ANSWER, PAIRS({ ":status", "404" }),
	    true, NULL), "HTTP/1.1 404 \r\ncontent-length: 0\r\n\r\n");
	assert_string_equal(collect(H2_ANSWER, PAIRS({ ":status", "204" }),
	    true, NULL), "HTTP/1.1 204 \r\n\r\n");
	assert_string_equal(collect(H2_ANSWER, PAIRS({ ":status", "103" }),
	    false, NULL), "HTTP/1.1 103 \r\n\r\n");
	assert_null(collect(H2_ANSWER, PAIRS({ ":status", "101" }), false,
	    &code));
	assert_int_equal(code, 502);
	assert_null(collect(H2_ANSWER, PAIRS({ ":status", "20" }), true, NULL));
	assert_null(collect(H2_ANSWER, PAIRS({ ":status", "099" }), true,
	    NULL));
	assert_null(collect(H2_ANSWER, PAIRS({ "a", "1" }), true, NULL));
	assert_null(collect(H2_ANSWER, PAIRS({ ":path", "/" }), true, NULL));
	h2_text_begin(&t, &store, H2_ANSWER, 20, 4000);
	t.to_head = true;
	add(&t, ":status", "200");
	add(&t, "content-length", "7");
	assert_string_equal(text_of(&t, true),
	    "HTTP/1.1 200 \r\ncontent-length: 7\r\n\r\n");
}

static void
trailers_are_lines(void **state)
{
	(void)state;
	assert_string_equal(collect(H2_TRAILERS, PAIRS({ "grpc-status", "0" },
	    { "content-length", "1" }, { "host", "x" }, { "b", "2" }), true,
	    NULL), "grpc-status: 0\r\nb: 2\r\n");
	assert_null(collect(H2_TRAILERS, PAIRS({ ":path", "/" }), true, NULL));
	assert_null(collect(H2_TRAILERS, PAIRS({ "te", "gzip" }), true, NULL));
}

static void
socket_is_an_upgrade_with_a_key_of_its_own(void **state)
{
	struct h2_text t;
	char want[200];

	(void)state;
	h2_text_begin(&t, &store, H2_REQUEST, 20, 4000);
	add(&t, ":method", "CONNECT");
	add(&t, ":protocol", "websocket");
	add(&t, ":scheme", "https");
	add(&t, ":path", "/chat");
	add(&t, ":authority", "h");
	add(&t, "sec-websocket-key", "theirs");
	assert_int_equal(h2_text_end(&t, false), 0);
	snprintf(want, sizeof(want), "GET /chat HTTP/1.1\r\nHost: h\r\n"
	    "upgrade: websocket\r\nconnection: Upgrade\r\n"
	    "sec-websocket-key: %s\r\n\r\n", t.key);
	assert_int_equal(strlen(t.key), H2_KEY_LEN);
	assert_int_equal(t.len - t.start, strlen(want));
	assert_memory_equal(t.block->bytes + t.start, want, strlen(want));
	h2_text_drop(&t);
	/* RFC 6455 1.3 */
	assert_true(h2_socket_accepts("dGhlIHNhbXBsZSBub25jZQ==",
	    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28));
	assert_false(h2_socket_accepts("dGhlIHNhbXBsZSBub25jZQ==",
	    "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", 28));
	assert_false(h2_socket_accepts("dGhlIHNhbXBsZSBub25jZQ==", "", 0));
}

static void
limits_tell_what_to_answer(void **state)
{
	static char large[5000];
	struct h2_text t;
	unsigned code, i;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	assert_null(collect(H2_REQUEST, PAIRS(GET, { "a", large }), true,
	    &code));
	assert_int_equal(code, 431);
	large[0] = '/';
	assert_null(collect(H2_REQUEST, PAIRS({ ":method", "GET" },
	    { ":scheme", "http" }, { ":path", large }), true, &code));
	assert_int_equal(code, 414);
	h2_text_begin(&t, &store, H2_REQUEST, 20, 4000);
	add(&t, ":method", "GET");
	add(&t, ":scheme", "http");
	add(&t, ":path", "/");
	for (i = 0; i < 21; i++)
		add(&t, "a", "1");
	assert_int_equal(h2_text_end(&t, true), -1);
	assert_int_equal(t.refusal, 431);
	assert_null(t.block);
}

static const char raw_answer[] = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
    "Connection: X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n"
    "Keep-Alive: 1\r\nSET-COOKIE: C=1\r\n\r\n";

static struct http_head *
head_of(const char *raw, bool request)
{
	static char room[HTTP_HEAD_SIZE(HTTP_FIELDS_MAX)]
	    __attribute__((aligned(8)));
	struct http_head *h = (struct http_head *)(void *)room;

	http_head_init(h, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	assert_int_equal(request ? http_request_parse(h, raw, strlen(raw)) :
	    http_response_parse(h, HTTP_M_GET, raw, strlen(raw)), PARSE_DONE);
	return h;
}

/* "name=value;" for each. */
static const char *
spelled(const struct h2_fields *f)
{
	static char text[4000];
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s;",
		    (int)f->nv[i].namelen, (const char *)f->nv[i].name,
		    (int)f->nv[i].valuelen, (const char *)f->nv[i].value);
	return text;
}

static void
fields_of_heads_are_small_and_of_the_message(void **state)
{
	static struct h2_fields f;
	static const char request[] = "GET http://h/p?q HTTP/1.1\r\nHost: h\r\n"
	    "TE: trailers\r\nContent-Length: 5\r\nX-A: B\r\n\r\n";
	static const char bare[] = "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char sized[] = "HTTP/1.1 206 P\r\nContent-Length: 12\r\n\r\n";

	(void)state;
	h2_fields_of_answer(&f, head_of(raw_answer, false), raw_answer, false);
	assert_string_equal(spelled(&f),
	    ":status=200;content-type=a/b;set-cookie=C=1;");
	h2_fields_of_answer(&f, head_of(sized, false), sized, false);
	assert_string_equal(spelled(&f), ":status=206;content-length=12;");
	h2_fields_of_request(&f, head_of(request, true), request, "http");
	assert_string_equal(spelled(&f), ":method=GET;:scheme=http;"
	    ":authority=h;:path=/p?q;x-a=B;te=trailers;content-length=5;");
	h2_fields_of_request(&f, head_of(bare, true), bare, "https");
	assert_string_equal(spelled(&f),
	    ":method=OPTIONS;:scheme=https;:authority=h;:path=*;");
}

static void
fields_of_trailers_are_lines_apart(void **state)
{
	static struct h2_fields f;
	static const char lines[] = "Grpc-Status: 0\r\nA:  b \r\n";

	(void)state;
	assert_int_equal(h2_fields_of_trailers(&f, lines, strlen(lines)), 0);
	assert_string_equal(spelled(&f), "grpc-status=0;a=b;");
	assert_int_equal(h2_fields_of_trailers(&f, "A: b", 4), -1);
	assert_int_equal(h2_fields_of_trailers(&f, "\r\n", 2), -1);
	assert_int_equal(h2_fields_of_trailers(&f, "A b\r\n", 5), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_written_as_http_1_1),
		cmocka_unit_test(crumbs_are_joined_wherever_they_stand),
		cmocka_unit_test(framing_says_how_the_body_ends),
		cmocka_unit_test(answer_is_written_as_http_1_1),
		cmocka_unit_test(trailers_are_lines),
		cmocka_unit_test(socket_is_an_upgrade_with_a_key_of_its_own),
		cmocka_unit_test(limits_tell_what_to_answer),
		cmocka_unit_test(fields_of_heads_are_small_and_of_the_message),
		cmocka_unit_test(fields_of_trailers_are_lines_apart)
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
