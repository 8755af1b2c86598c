/*
 * Random heads, written and read again: they have to say the same. And nothing
 * is written beyond the room that was asked for.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/desk.h"

enum {
	RANDOM_HEADS = 4000,
	ROOM_ODD = 100001,              /* of no size that is pooled */
	ROOM_SLACK = 4096               /* for what a fault would write */
};

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_10 "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

static struct desk d;

static void
ask(const char *request)
{
	if (!desk_ask(&d, request, strlen(request)))
		fail_msg("refused: %s\n%s", http_of(d.x)->head->why, request);
}

static uint64_t dice = 88172645463325252u;

static uint32_t
roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)((dice >> 16) % below);
}

static char draft[HTTP_HEAD_MAX];
static size_t draft_len;

static void
add(const char *text)
{
	size_t n = strlen(text);

	/* A blank line and a line of its own size are left for the end. */
	if (draft_len + n < sizeof(draft) - 64) {
		memcpy(draft + draft_len, text, n);
		draft_len += n;
	}
}

static void
add_many(char c, size_t n)
{
	while (n-- > 0 && draft_len < sizeof(draft) - 64)
		draft[draft_len++] = c;
}

static const char *
one_of(const char *const *rows, size_t n)
{
	return rows[roll((uint32_t)n)];
}

#define ONE_OF(rows) one_of(rows, NELEMS(rows))

/* Tiny ones grow the most, by the space behind their colon. */
static void
add_fields(unsigned n)
{
	static const char *const known[] = {
		"X-Forwarded-For:\r\n", "X-Forwarded-For:1\r\n",
		"x-forwarded-for: 10.0.0.1, ::1\r\n", "X-Forwarded-Host:b\r\n",
		"X-Forwarded-Proto:https\r\n", "Forwarded:for=a\r\n",
		"Via:1.0 z\r\n", "Connection:X-A\r\n", "Connection:x-b,te\r\n",
		"Keep-Alive:timeout=9\r\n", "X-A:1\r\n", "X-B:2\r\n",
		"TE:trailers\r\n", "Proxy-Connection:close\r\n",
		"Upgrade:a\r\n", "Date:x\r\n", "Server:y\r\n"
	};
	unsigned shape = roll(4);

	while (n-- > 0)
		switch (shape) {
		case 0:
			add("a:\r\n");
			break;
		case 1:
			add(ONE_OF(known));
			break;
		case 2:
			add_many('n', 1 + roll(400));
			add(":");
			add_many('v', roll(400));
			add("\r\n");
			break;
		default:
			add(roll(2) ? "b:\t c \t\r\n" : ONE_OF(known));
			break;
		}
}

static void
draft_request(void)
{
	static const char *const lines[] = {
		"GET / HTTP/1.1", "HEAD /a?b HTTP/1.1", "P / HTTP/1.0",
		"OPTIONS * HTTP/1.1", "OPTIONS http://h HTTP/1.1",
		"POST http://h/?q HTTP/1.1", "DELETE /x HTTP/1.0"
	};
	static const char *const bodies[] = {
		"", "Content-Length:0\r\n", "Content-Length: 77\r\n",
		"Content-Length:9223372036854775807\r\n",
		"Transfer-Encoding:chunked\r\n"
	};
	static const char *const connections[] = {
		"", "Connection:close\r\n", "Connection:keep-alive\r\n",
		"Connection:upgrade\r\nUpgrade:u\r\n",
		"Connection:upgrade,TE\r\nUpgrade:u\r\nTE:trailers\r\n"
	};

	draft_len = 0;
	add(ONE_OF(lines));
	/* Where the target has a host they must be the same. */
	if (memmem(draft, draft_len, "//h", 3) != NULL || roll(4) > 0)
		add("\r\nHost:h\r\n");
	else {
		add("\r\nHost:");
		add_many('h', 1 + roll(roll(2) ? 20 : 15000));
		add("\r\n");
	}
	add_fields(roll(2) ? roll(8) : roll(230));
	add(ONE_OF(bodies));
	add(ONE_OF(connections));
	add_fields(roll(3));
	memcpy(draft + draft_len, "\r\n", 2);
	draft_len += 2;
}

/*
 * Write once more, behind bytes that leave just too little room: the room asked
 * for is then seen to be at least what is written.
 */
static void
needs_no_more_than_it_reserves(struct buf *out, int (*write)(void))
{
	struct block *block = block_new(desk_store(&d), ROOM_ODD + ROOM_SLACK);
	size_t len = strlen(d.text);
	char *text = strdup(d.text);

	assert_true(block != NULL && text != NULL);
	assert_true(len < ROOM_ODD);
	memset(block->bytes, 'x', ROOM_ODD);
	block->size = ROOM_ODD;
	block->used = (uint32_t)(ROOM_ODD - len + 1);
	buf_clear(desk_store(&d), out);
	assert_int_equal(buf_append_block(desk_store(&d), out, block, 0,
	    block->used), 0);
	assert_int_equal(write(), 0);
	assert_int_equal(block->used, ROOM_ODD - len + 1);
	assert_ptr_not_equal(out->last->block, block);
	assert_true(out->last->block->used <= out->last->block->size);
	buf_drop(desk_store(&d), out, block->used);
	block_drop(desk_store(&d), block);
	assert_string_equal(desk_text(&d, out), text);
	free(text);
}

static int
write_request(void)
{
	return http_write_request(d.x, &d.u, &d.u.conn.out);
}

static int
write_answer(void)
{
	return http_write_answer(d.x);
}

static bool
same_span(const char *a, struct http_span as, const char *b,
    struct http_span bs)
{
	return as.len == bs.len && memcmp(a + as.at, b + bs.at, as.len) == 0;
}

/* Only what this hop says may be of this hop. */
static void
only_own_hop_fields(const struct http_head *h)
{
	static const uint8_t own[] = {
		HTTP_F_CONNECTION, HTTP_F_TE, HTTP_F_TRANSFER_ENCODING,
		HTTP_F_UPGRADE
	};
	unsigned of[NELEMS(own)] = { 0 }, i, j;

	for (i = 0; i < h->n_fields; i++) {
		if (!h->field[i].hop)
			continue;
		for (j = 0; j < NELEMS(own) && own[j] != h->field[i].id; j++)
			;
		assert_true(j < NELEMS(own));
		assert_int_equal(++of[j], 1);
	}
}

/* What was written means what was read. */
static void
request_reads_back(const char *text)
{
	const struct http_exchange *hx = http_of(d.x);
	const struct http_head *was = hx->head;
	struct http_head *h = malloc(HTTP_HEAD_SIZE(HTTP_FIELDS_MAX));
	size_t len = strlen(text);

	assert_non_null(h);
	http_head_init(h, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	if (http_request_parse(h, text, len) != PARSE_DONE)
		fail_msg("%s: %s", h->why, text);
	assert_int_equal(h->size, len);
	assert_int_equal(h->minor, 1);
	assert_int_equal(h->body, was->body);
	assert_int_equal(h->length, was->length);
	assert_int_equal(h->te_trailers, was->te_trailers);
	assert_int_equal(h->upgrade, hx->upgrade);
	assert_true(h->keep_alive);
	assert_true(same_span(text, h->method_name, hx->raw,
	    was->method_name));
	if (was->path.len > 0 && hx->raw[was->path.at] == '/')
		assert_true(same_span(text, h->path, hx->raw, was->path));
	only_own_hop_fields(h);
	free(h);
}

static void
random_requests_read_back_and_keep_to_their_room(void **state)
{
	static const char *const worlds[][3] = {
		{ "192.0.2.1", "", "" },
		{ "192.0.2.1", "http = { forwarded = \"off\"; };", "" },
		{ "2001:db8:1111:2222:3333:4444:5555:6666",
		    "http = { trusted = ( \"2001:db8::/32\" ); };",
		    "http = { host = \"upstream\"; set_headers = { "
		    "X-A = \"set\"; X-Long-Enough = \"0123456789\"; }; "
		    "remove_headers = ( \"a\", \"Date\" ); };" },
		{ "unix", "http = { forwarded = \"replace\"; };",
		    "http = { host = \"other.name\"; };" }
	};
	unsigned round, taken = 0;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(worlds); i++) {
		desk_open(&d, worlds[i][0], worlds[i][1], worlds[i][2]);
		for (round = 0; round < RANDOM_HEADS / 4; round++) {
			draft_request();
			if (!desk_ask(&d, draft, draft_len))
				continue;
			taken++;
			/* It may grow beyond what weir itself would take. */
			assert_int_equal(write_request(), 0);
			(void)desk_text(&d, &d.u.conn.out);
			if (strlen(d.text) <= HTTP_HEAD_MAX)
				request_reads_back(d.text);
			needs_no_more_than_it_reserves(&d.u.conn.out,
			    write_request);
		}
		desk_close(&d);
	}
	assert_in_range(taken, RANDOM_HEADS / 3, RANDOM_HEADS);
}

static void
draft_answer(void)
{
	static const char *const lines[] = {
		"HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.0 200 Fine",
		"HTTP/1.1 304 x", "HTTP/1.1 204 ", "HTTP/1.1 103 hints",
		"HTTP/1.1 999 ?"
	};
	static const char *const bodies[] = {
		"", "Content-Length:0\r\n", "Content-Length:123\r\n",
		"Transfer-Encoding:chunked\r\n", "Connection:close\r\n"
	};

	draft_len = 0;
	add(ONE_OF(lines));
	add("\r\n");
	add_fields(roll(2) ? roll(8) : roll(230));
	add(ONE_OF(bodies));
	add_fields(roll(3));
	memcpy(draft + draft_len, "\r\n", 2);
	draft_len += 2;
}

static void
answer_reads_back(const char *text)
{
	const struct http_exchange *hx = http_of(d.x);
	const struct http_head *was = hx->answer;
	struct http_head *h = malloc(HTTP_HEAD_SIZE(HTTP_FIELDS_MAX));
	size_t len = strlen(text);

	assert_non_null(h);
	http_head_init(h, HTTP_FIELDS_MAX, HTTP_HEAD_MAX);
	if (http_response_parse(h, (enum http_method)hx->head->method, text,
	    len) != PARSE_DONE)
		fail_msg("%s: %s", h->why, text);
	assert_int_equal(h->size, len);
	assert_int_equal(h->status, was->status);
	assert_true(same_span(text, h->reason, hx->answer_raw, was->reason));
	assert_int_equal(h->body, hx->chunk_down ? HTTP_BODY_CHUNKED :
	    was->body == HTTP_BODY_CHUNKED ? HTTP_BODY_CLOSE : was->body);
	assert_int_equal(h->length, was->length);
	if (was->status >= 200)
		assert_int_equal(h->keep_alive, hx->keep &&
		    h->body != HTTP_BODY_CLOSE);
	only_own_hop_fields(h);
	free(h);
}

static void
random_answers_read_back_and_keep_to_their_room(void **state)
{
	static const char *const requests[] = { GET, HEAD, GET_10 };
	unsigned round, taken = 0;

	(void)state;
	desk_open(&d, "192.0.2.1", "", "");
	for (round = 0; round < RANDOM_HEADS; round++) {
		struct http_exchange *hx;
		struct buf *out;

		if (round % 16 == 0)
			ask(ONE_OF(requests));
		hx = http_of(d.x);
		draft_answer();
		if (!desk_answer(&d, draft, draft_len))
			continue;
		taken++;
		hx->chunk_down = hx->head->minor == 1 &&
		    hx->answer->body >= HTTP_BODY_CHUNKED;
		hx->keep = roll(2) && (hx->head->minor == 1 ||
		    hx->answer->body < HTTP_BODY_CHUNKED);
		out = &d.x->s->conn.out;
		assert_int_equal(http_write_answer(d.x), 0);
		answer_reads_back(desk_text(&d, out));
		needs_no_more_than_it_reserves(out, write_answer);
		buf_clear(desk_store(&d), out);
	}
	assert_in_range(taken, RANDOM_HEADS / 3, RANDOM_HEADS);
	desk_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    random_requests_read_back_and_keep_to_their_room),
		cmocka_unit_test(
		    random_answers_read_back_and_keep_to_their_room)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
