/*
 * Bodies in queues of slices: whatever way the bytes are cut, what is taken is
 * what a decoder makes of them in one piece; what is written reads back.
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

#include "proxy/proto/http/http.h"

enum {
	WIRE_MAX = 200 * 1024,
	ROUNDS = 3000,
	DAMAGED = 3000
};

struct bytes {
	size_t len;
	char v[WIRE_MAX];
};

static struct block_store store;
static uint64_t dice = 88172645463325252u;

static uint32_t
roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)((dice >> 16) % below);
}

static void
add(struct bytes *b, const void *v, size_t len)
{
	assert_true(b->len + len <= WIRE_MAX);
	memcpy(b->v + b->len, v, len);
	b->len += len;
}

static void
add_text(struct bytes *b, const char *text)
{
	add(b, text, strlen(text));
}

/* A slice in a block of just its size, so that reading past it is seen. */
static void
add_slice(struct buf *b, const char *bytes, size_t len)
{
	struct block *block = block_new(&store, len);

	assert_non_null(block);
	memcpy(block->bytes, bytes, len);
	block->used = (uint32_t)len;
	assert_int_equal(buf_append_block(&store, b, block, 0, (uint32_t)len),
	    0);
	block_drop(&store, block);
}

static void
add_cut(struct buf *b, const char *bytes, size_t len, uint32_t longest)
{
	while (len > 0) {
		size_t part = 1 + roll(longest);

		if (part > len)
			part = len;
		add_slice(b, bytes, part);
		bytes += part;
		len -= part;
	}
}

static void
read_out(const struct buf *b, struct bytes *to)
{
	const struct slice *sl;

	to->len = 0;
	for (sl = b->first; sl != NULL; sl = sl->next)
		add(to, sl->block->bytes + sl->at, sl->len);
	assert_int_equal(to->len, b->len);
}

static void
holds(const struct buf *b, const void *bytes, size_t len)
{
	static struct bytes out;

	read_out(b, &out);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.v, bytes, len);
}

static int
setup(void **state)
{
	(void)state;
	block_store_init(&store);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	block_store_fini(&store);
	return 0;
}

/* ------------------------------------------------------------------ length */

static void
length_takes_its_bytes_and_no_more(void **state)
{
	struct buf in = { 0 }, out = { 0 };
	static struct bytes wire;
	unsigned round;

	(void)state;
	for (round = 0; round < 500; round++) {
		size_t total = roll(20000), body = roll(20000), fed = 0;
		uint64_t left = body;
		enum http_flow flow = FLOW_MORE;

		wire.len = total;
		for (size_t i = 0; i < total; i++)
			wire.v[i] = (char)roll(256);
		while (fed < total) {
			size_t part = 1 + roll(6000);

			if (part > total - fed)
				part = total - fed;
			add_cut(&in, wire.v + fed, part, 1500);
			fed += part;
			flow = http_take_length(&store, &left, &in, &out);
			assert_int_equal(flow, fed >= body ? FLOW_END :
			    FLOW_MORE);
			assert_int_equal(left, fed >= body ? 0 : body - fed);
		}
		if (total >= body) {
			holds(&out, wire.v, body);
			holds(&in, wire.v + body, total - body);
		} else
			holds(&out, wire.v, total);
		buf_clear(&store, &in);
		buf_clear(&store, &out);
	}
}

static void
empty_length_is_over_at_once(void **state)
{
	struct buf in = { 0 }, out = { 0 };
	uint64_t left = 0;

	(void)state;
	assert_int_equal(http_take_length(&store, &left, &in, &out), FLOW_END);
	add_slice(&in, "next", 4);
	assert_int_equal(http_take_length(&store, &left, &in, &out), FLOW_END);
	assert_int_equal(out.len, 0);
	holds(&in, "next", 4);
	buf_clear(&store, &in);
}

static void
length_beyond_any_memory_is_counted_right(void **state)
{
	struct buf in = { 0 }, out = { 0 };
	uint64_t left = UINT64_C(1) << 40;

	(void)state;
	add_slice(&in, "abc", 3);
	assert_int_equal(http_take_length(&store, &left, &in, &out), FLOW_MORE);
	assert_int_equal(left, (UINT64_C(1) << 40) - 3);
	holds(&out, "abc", 3);
	buf_clear(&store, &out);
}

/* ------------------------------------------------------------------ chunks */

/* A chunked message, and what is in it. */
struct message {
	struct bytes wire, payload, trailers;
};

static void
make_chunk(struct message *m)
{
	static const char *const extensions[] = {
		"", "", ";a", ";a=b", ";a=\"q;\\\"x\"", ";a=b;c=d"
	};
	size_t len = roll(4) > 0 ? 1 + roll(40) : 1 + roll(9000), i;
	char line[64];

	snprintf(line, sizeof(line), roll(2) ? "%zx%s\r\n" : "%04zX%s\r\n",
	    len, extensions[roll(NELEMS(extensions))]);
	add_text(&m->wire, line);
	for (i = 0; i < len; i++) {
		/* Bytes that look like framing. */
		char c = "0\r\n;aF: x"[roll(9)];

		add(&m->wire, &c, 1);
		add(&m->payload, &c, 1);
	}
	add_text(&m->wire, "\r\n");
}

static void
make_trailer(struct message *m)
{
	char value[1500];
	size_t len = roll(4) > 0 ? roll(20) : roll(sizeof(value) - 1);

	memset(value, 'v', len);
	value[len] = '\0';
	if (roll(4) == 0) {
		/* Dropped: a trailer must not carry it (RFC 9110 6.5.1). */
		add_text(&m->wire, "Content-Length: 5\r\n");
		return;
	}
	add_text(&m->wire, "X-Sum: ");
	add_text(&m->wire, value);
	add_text(&m->wire, "\r\n");
	add_text(&m->trailers, "X-Sum: ");
	add_text(&m->trailers, value);
	add_text(&m->trailers, "\r\n");
}

static void
make_message(struct message *m)
{
	unsigned chunks = roll(8), trailers = roll(2) ? 0 : roll(5);

	m->wire.len = m->payload.len = m->trailers.len = 0;
	while (chunks-- > 0)
		make_chunk(m);
	add_text(&m->wire, roll(2) ? "0\r\n" : "00;last\r\n");
	while (trailers-- > 0)
		make_trailer(m);
	add_text(&m->wire, "\r\n");
}

/* What a decoder that sees all bytes at once makes of them. */
static enum http_flow
decode_flat(const struct bytes *wire, struct bytes *payload, size_t *used)
{
	struct http_chunks c;
	struct http_piece p;
	enum parse got;

	http_chunks_init(&c);
	payload->len = 0;
	*used = 0;
	do {
		got = http_chunks_next(&c, wire->v + *used, wire->len - *used,
		    &p);
		if (got == PARSE_BAD)
			return FLOW_BAD;
		if (!p.is_trailer)
			add(payload, wire->v + *used + p.skip, p.take);
		*used += p.skip + p.take;
	} while (got == PARSE_MORE && p.skip + p.take > 0);
	return got == PARSE_DONE ? FLOW_END : FLOW_MORE;
}

static void
chunks_are_taken_however_they_are_cut(void **state)
{
	static const uint32_t longest[] = { 1, 2, 7, 100, 5000, 70000 };
	static struct message m;
	static struct bytes flat;
	unsigned round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		struct buf in = { 0 }, out = { 0 }, trailers = { 0 };
		uint32_t most = longest[roll(NELEMS(longest))];
		enum http_flow flow = FLOW_MORE;
		struct http_chunks c;
		size_t fed = 0, used;

		make_message(&m);
		assert_int_equal(decode_flat(&m.wire, &flat, &used), FLOW_END);
		assert_int_equal(used, m.wire.len);
		assert_int_equal(flat.len, m.payload.len);
		add_text(&m.wire, "GET / ");
		http_chunks_init(&c);
		/* Arrives in portions, each of them in slices. */
		while (flow == FLOW_MORE) {
			size_t part = 1 + roll(most * 2);

			assert_true(fed < m.wire.len);
			if (part > m.wire.len - fed)
				part = m.wire.len - fed;
			add_cut(&in, m.wire.v + fed, part, most);
			fed += part;
			flow = http_take_chunks(&store, &c, &in, &out,
			    &trailers);
		}
		assert_int_equal(flow, FLOW_END);
		holds(&out, m.payload.v, m.payload.len);
		holds(&trailers, m.trailers.v, m.trailers.len);
		/* Nothing of what follows was taken. */
		holds(&in, m.wire.v + used, fed - used);
		buf_clear(&store, &in);
		buf_clear(&store, &out);
		buf_clear(&store, &trailers);
	}
}

static void
damaged_chunks_are_judged_as_in_one_piece(void **state)
{
	static struct message m;
	static struct bytes flat;
	unsigned round, bad = 0;

	(void)state;
	for (round = 0; round < DAMAGED; round++) {
		struct buf in = { 0 }, out = { 0 }, trailers = { 0 };
		struct http_chunks c;
		enum http_flow want, got;
		size_t used;

		make_message(&m);
		m.wire.v[roll((uint32_t)m.wire.len)] = "\r\n:;0zF \0"[roll(9)];
		want = decode_flat(&m.wire, &flat, &used);
		bad += want == FLOW_BAD;
		add_cut(&in, m.wire.v, m.wire.len, 1 + roll(300));
		http_chunks_init(&c);
		got = http_take_chunks(&store, &c, &in, &out, &trailers);
		assert_int_equal(got, want);
		if (want == FLOW_BAD)
			assert_non_null(c.why);
		else
			holds(&out, flat.v, flat.len);
		buf_clear(&store, &in);
		buf_clear(&store, &out);
		buf_clear(&store, &trailers);
	}
	assert_in_range(bad, DAMAGED / 20, DAMAGED - 1);
}

/* A trailer line has to be seen whole: also when it comes byte by byte, behind
   a body whose blocks are still there. */
static void
trailer_in_many_slices_comes_out_in_one_piece(void **state)
{
	struct buf in = { 0 }, out = { 0 }, trailers = { 0 };
	static struct bytes wire;
	char value[HTTP_TRAILER_MAX - 100];
	struct http_chunks c;
	size_t i, len;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	wire.len = 0;
	add_text(&wire, "3\r\nabc\r\n0\r\nX-Long: ");
	add_text(&wire, value);
	add_text(&wire, "\r\n\r\n");
	http_chunks_init(&c);
	for (i = 0; i + 1 < wire.len; i++) {
		add_slice(&in, wire.v + i, 1);
		assert_int_equal(http_take_chunks(&store, &c, &in, &out,
		    &trailers), FLOW_MORE);
	}
	add_slice(&in, "\n", 1);
	assert_int_equal(http_take_chunks(&store, &c, &in, &out, &trailers),
	    FLOW_END);
	holds(&out, "abc", 3);
	(void)buf_front(&trailers, &len);
	assert_int_equal(len, trailers.len);
	assert_int_equal(len, strlen("X-Long: \r\n") + sizeof(value) - 1);
	buf_clear(&store, &out);
	buf_clear(&store, &trailers);
}

static void
endless_trailer_is_refused_not_collected(void **state)
{
	struct buf in = { 0 }, out = { 0 }, trailers = { 0 };
	enum http_flow flow = FLOW_MORE;
	struct http_chunks c;
	unsigned fed = 0;

	(void)state;
	http_chunks_init(&c);
	add_slice(&in, "0\r\nX: ", 6);
	while (flow == FLOW_MORE) {
		assert_in_range(fed, 0, 2 * HTTP_TRAILER_MAX);
		add_slice(&in, "vvvvvvvvvvvvvvvv", 16);
		fed += 16;
		flow = http_take_chunks(&store, &c, &in, &out, &trailers);
	}
	assert_int_equal(flow, FLOW_BAD);
	assert_non_null(c.why);
	buf_clear(&store, &in);
}

static void
broken_framing_is_told(void **state)
{
	static const char *const wires[] = {
		"g\r\n", "\r\n", " 5\r\n", "5 \r\n", "-1\r\n", "+1\r\n",
		"0x5\r\n", "5\n", "5;a\n", "3\r\nabcd", "3\r\nabc\n",
		"8000000000000000\r\n", "10000000000000000\r\n",
		"0\r\nno colon\r\n\r\n", "0\r\n: nameless\r\n\r\n",
		"0\r\nX : y\r\n\r\n", "0\r\nX: a\n\r\n", "0\r\n folded\r\n\r\n"
	};
	size_t i, cut;

	(void)state;
	for (i = 0; i < NELEMS(wires); i++)
		for (cut = 0; cut < 2; cut++) {
			struct buf in = { 0 }, out = { 0 }, trailers = { 0 };
			struct http_chunks c;

			http_chunks_init(&c);
			add_cut(&in, wires[i], strlen(wires[i]),
			    cut ? 1 : 100);
			if (http_take_chunks(&store, &c, &in, &out,
			    &trailers) != FLOW_BAD)
				fail_msg("taken: %s", wires[i]);
			assert_non_null(c.why);
			assert_int_equal(trailers.len, 0);
			buf_clear(&store, &in);
			buf_clear(&store, &out);
		}
}

/* ----------------------------------------------------------------- writing */

static void
chunk_is_written_with_its_size_in_hex(void **state)
{
	struct buf body = { 0 }, out = { 0 }, trailers = { 0 };
	static const char wire[] = "1b\r\n0123456789abcdefghijklmnopq\r\n"
	    "0\r\nA: b\r\n\r\n";

	(void)state;
	add_slice(&body, "0123456789abcdefghijklmnopq", 27);
	add_slice(&trailers, "A: b\r\n", 6);
	assert_int_equal(http_write_chunk(&store, &out, &body), 0);
	assert_int_equal(body.len, 0);
	assert_int_equal(http_write_last_chunk(&store, &out, &trailers), 0);
	assert_int_equal(trailers.len, 0);
	holds(&out, wire, sizeof(wire) - 1);
	buf_clear(&store, &out);
}

static void
what_is_written_reads_back(void **state)
{
	static struct bytes payload;
	unsigned round;

	(void)state;
	for (round = 0; round < 500; round++) {
		struct buf body = { 0 }, wire = { 0 }, out = { 0 };
		struct buf trailers = { 0 }, got = { 0 };
		unsigned chunks = roll(6);
		struct http_chunks c;

		payload.len = 0;
		while (chunks-- > 0) {
			size_t len = 1 + roll(roll(2) ? 30000 : 10), from, i;

			from = payload.len;
			for (i = 0; i < len; i++)
				payload.v[from + i] = (char)roll(256);
			payload.len += len;
			add_cut(&body, payload.v + from, len, 1 + roll(9000));
			assert_int_equal(http_write_chunk(&store, &wire,
			    &body), 0);
		}
		if (roll(2))
			add_cut(&trailers, "A: b\r\nC: d\r\n", 12, 3);
		chunks = trailers.len;
		assert_int_equal(http_write_last_chunk(&store, &wire,
		    &trailers), 0);
		http_chunks_init(&c);
		assert_int_equal(http_take_chunks(&store, &c, &wire, &out,
		    &got), FLOW_END);
		assert_int_equal(wire.len, 0);
		holds(&out, payload.v, payload.len);
		holds(&got, "A: b\r\nC: d\r\n", chunks);
		buf_clear(&store, &out);
		buf_clear(&store, &got);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(length_takes_its_bytes_and_no_more),
		TEST(empty_length_is_over_at_once),
		TEST(length_beyond_any_memory_is_counted_right),
		TEST(chunks_are_taken_however_they_are_cut),
		TEST(damaged_chunks_are_judged_as_in_one_piece),
		TEST(trailer_in_many_slices_comes_out_in_one_piece),
		TEST(endless_trailer_is_refused_not_collected),
		TEST(broken_framing_is_told),
		TEST(chunk_is_written_with_its_size_in_hex),
		TEST(what_is_written_reads_back)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
