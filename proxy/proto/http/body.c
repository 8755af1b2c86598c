/*
 * Message bodies: decoding what comes, encoding what goes. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "proxy/proto/http/http.h"

enum http_flow
http_take_length(struct block_store *s, uint64_t *left, struct buf *in,
    struct buf *out)
{
	size_t n = *left < in->len ? (size_t)*left : in->len;

	if (buf_pass(s, out, in, n) < 0)
		return FLOW_NO_MEMORY;
	*left -= n;
	return *left == 0 ? FLOW_END : FLOW_MORE;
}

/*
 * The decoder wants a trailer line in one piece. When it could do nothing with
 * the first slice alone, offer it all that is there.
 */
static const char *
offer(struct block_store *s, struct buf *in, bool stuck, size_t *len)
{
	const char *bytes = buf_front(in, len);

	if (!stuck || *len == in->len)
		return bytes;
	*len = in->len < HTTP_TRAILER_MAX * 2 ? in->len : HTTP_TRAILER_MAX * 2;
	return buf_flat(s, in, *len);
}

enum http_flow
http_take_chunks(struct block_store *s, struct http_chunks *c, struct buf *in,
    struct buf *out, struct buf *trailers)
{
	bool stuck = false;

	while (in->len > 0) {
		struct http_piece p;
		size_t len;
		const char *bytes = offer(s, in, stuck, &len);
		enum parse got;

		if (bytes == NULL)
			return FLOW_NO_MEMORY;
		got = http_chunks_next(c, bytes, len, &p);
		if (got == PARSE_BAD)
			return FLOW_BAD;
		if (got == PARSE_MORE && p.skip + p.take == 0) {
			if (stuck || len == in->len)
				return FLOW_MORE;
			stuck = true;
			continue;
		}
		stuck = false;
		buf_drop(s, in, p.skip);
		if (p.take > 0 && buf_pass(s, p.is_trailer ? trailers : out,
		    in, p.take) < 0)
			return FLOW_NO_MEMORY;
		if (got == PARSE_DONE)
			return FLOW_END;
	}
	return FLOW_MORE;
}

int
http_write_chunk(struct block_store *s, struct buf *out, struct buf *body)
{
	char line[16];
	int n = snprintf(line, sizeof(line), "%x\r\n", body->len);

	if (buf_append(s, out, line, (size_t)n) < 0 ||
	    buf_move(s, out, body, body->len) < 0 ||
	    buf_append(s, out, "\r\n", 2) < 0)
		return -1;
	return 0;
}

int
http_write_last_chunk(struct block_store *s, struct buf *out,
    struct buf *trailers)
{
	if (buf_append(s, out, "0\r\n", 3) < 0 ||
	    buf_move(s, out, trailers, trailers->len) < 0 ||
	    buf_append(s, out, "\r\n", 2) < 0)
		return -1;
	return 0;
}
