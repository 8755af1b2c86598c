/*
 * The reader of request.h: a line (line.c) and the value behind it, or a binary
 * packet.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/line.h"

#include <string.h>

void
memcached_request_init(struct memcached_request *r, enum memcached_wire wire)
{
	/* What words hold is not read before it is written. In two halves: at
	   once it becomes a "rep stos", which takes as long as reading a
	   short line. */
	memset(r, 0, offsetof(struct memcached_request, error));
	memset(&r->error, 0, offsetof(struct memcached_request, word) -
	    offsetof(struct memcached_request, error));
	r->wire = (uint8_t)wire;
}

/* Bytes of a value and the CR LF behind it, of which either may be the first
   of a piece. */
static enum parse
value_feed(struct memcached_request *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t take = r->left < len ? (size_t)r->left : len;

	if (r->left - take < 2 && r->state == MEMCACHED_STATE_VALUE) {
		if (r->left >= 2 && bytes[r->left - 2] != '\r')
			r->faults |= MEMCACHED_FAULT_CHUNK;
		if (r->left == take && take > 0 && bytes[take - 1] != '\n')
			r->faults |= MEMCACHED_FAULT_CHUNK;
	}
	r->left -= take;
	r->size += take;
	*used += take;
	if (r->left > 0)
		return PARSE_MORE;
	if (r->faults & MEMCACHED_FAULT_CHUNK)
		(void)memcached_line_refuse(r,
		    "CLIENT_ERROR bad data chunk\r\n");
	return PARSE_DONE;
}

/* ------------------------------------------------------------------ binary */

static uint32_t
read_u32(const char *bytes)
{
	const uint8_t *b = (const uint8_t *)bytes;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

static enum parse
packet_refuse(struct memcached_request *r, uint16_t status, const char *text,
    enum parse how)
{
	r->status = status;
	r->error = text;
	r->state = MEMCACHED_STATE_SWALLOW;
	return how;
}

/* What memcached 1.6.18 demands of an opcode's lengths
   (dispatch_bin_command), and no byte behind the key that it would not read. */
static bool
packet_is_sound(const struct memcached_opcode *row, uint8_t extras,
    uint32_t key, uint32_t value)
{
	if (extras != row->extras && !(row->extras_optional && extras == 0))
		return false;
	if (key == 0 ? row->has_key : !row->may_have_key)
		return false;
	return value == 0 || row->has_value;
}

/* PARSE_MORE: go on with r->left bytes. */
static enum parse
packet_begin(struct memcached_request *r, const char *h)
{
	const struct memcached_opcode *row;
	uint32_t body = read_u32(h + 8), key = read_u32(h) & 0xffff;
	uint8_t extras = (uint8_t)h[4];

	/* memcached 1.6.18 closes in silence. */
	if ((uint8_t)h[0] != 0x80) {
		r->error = "";
		return PARSE_BAD;
	}
	r->opcode = (uint8_t)h[1];
	memcpy(&r->opaque, h + 12, sizeof(r->opaque));
	row = memcached_opcode_find(r->opcode);
	r->head = MEMCACHED_HEADER;
	r->body = r->left = body;
	r->state = MEMCACHED_STATE_BODY;
	if (key + extras > body)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_BAD);
	if (key > MEMCACHED_KEY_MAX)
		return packet_refuse(r, 0x04, "Invalid arguments", PARSE_BAD);
	r->command = row->command;
	r->how = row->how;
	r->shape = row->shape;
	r->quiet = row->quiet;
	if (row->command == MEMCACHED_UNKNOWN)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_MORE);
	r->value = body - extras - key;
	if (!packet_is_sound(row, extras, key, body - extras - key))
		return packet_refuse(r, 0x04, "Invalid arguments", PARSE_BAD);
	if (r->value > MEMCACHED_VALUE_MAX)
		return packet_refuse(r, 0x03, "Too large.", PARSE_BAD);
	if (row->how == MEMCACHED_REFUSED)
		return packet_refuse(r, 0x81, "Unknown command", PARSE_MORE);
	r->rewrite = row->loud != r->opcode;
	if (row->has_key) {
		r->keys = 1;
		r->key = (struct memcached_span){ MEMCACHED_HEADER + extras,
		    key };
	}
	return PARSE_MORE;
}

static enum parse
header_feed(struct memcached_request *r, const char *bytes, size_t len,
    size_t *used)
{
	size_t missing = MEMCACHED_HEADER - (size_t)r->kept;
	const char *h = bytes;

	*used = len < missing ? len : missing;
	if (r->kept > 0 || len < missing) {
		memcpy(r->word + r->kept, bytes, *used);
		r->kept = (uint8_t)(r->kept + *used);
		h = r->word;
	}
	r->size += *used;
	return len < missing ? PARSE_MORE : packet_begin(r, h);
}

_Static_assert(sizeof(((struct memcached_request *)0)->word) >=
    MEMCACHED_HEADER, "a header is kept there");

enum parse
memcached_request_feed(struct memcached_request *r, const char *bytes,
    size_t len, size_t *used)
{
	enum parse got;

	*used = 0;
	if (len == 0)
		return PARSE_MORE;
	if (r->state == MEMCACHED_STATE_START) {
		if (r->wire == MEMCACHED_UNTOLD)
			r->wire = (uint8_t)bytes[0] == 0x80 ?
			    MEMCACHED_BINARY : MEMCACHED_TEXT;
		r->state = r->wire == MEMCACHED_BINARY ?
		    MEMCACHED_STATE_HEADER : MEMCACHED_STATE_LINE;
	}
	if (r->head == 0) {
		got = r->state == MEMCACHED_STATE_LINE ?
		    memcached_line_feed(r, bytes, len, used) :
		    header_feed(r, bytes, len, used);
		if (got != PARSE_MORE || r->head == 0)
			return got;
	}
	return value_feed(r, bytes + *used, len - *used, used);
}
