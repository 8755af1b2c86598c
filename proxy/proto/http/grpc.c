/*
 * gRPC. See grpc.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/grpc.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/http/h2.h"
#include "proxy/proto/http/http.h"

/* "application/grpc" [("+proto" / "+json" / {custom})] */
static bool
is_grpc_type(const char *type, size_t len)
{
	static const char name[] = "application/grpc";
	size_t n = sizeof(name) - 1;

	return len >= n && strncasecmp(type, name, n) == 0 &&
	    (len == n || type[n] == '+' || type[n] == ';');
}

bool
grpc_is_call(const struct exchange *x)
{
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	static const char name[] = "content-type";
	unsigned i;

	if (h->method != HTTP_M_POST)
		return false;
	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		if (f->name.len == sizeof(name) - 1 && strncasecmp(hx->raw +
		    f->name.at, name, sizeof(name) - 1) == 0)
			return is_grpc_type(hx->raw + f->value.at,
			    f->value.len);
	}
	return false;
}

/* The mapping document has the HTTP statuses, of which several mean different
   things here: a limit, a time that is over, or nobody there. */
enum grpc_status
grpc_status_of(enum fail why)
{
	switch (why) {
	case FAIL_LIMITED:
	case FAIL_UPSTREAM_LIMITED:
	case FAIL_TOO_LARGE:
		return GRPC_RESOURCE_EXHAUSTED;
	case FAIL_BODY_TIMEOUT:
	case FAIL_RESPONSE_TIMEOUT:
	case FAIL_STALLED:
	case FAIL_TOTAL_TIMEOUT:
		return GRPC_DEADLINE_EXCEEDED;
	case FAIL_NO_ROUTE:
		return GRPC_UNIMPLEMENTED;
	case FAIL_BAD_REQUEST:
	case FAIL_BAD_RESPONSE:
		return GRPC_INTERNAL;
	default:
		return GRPC_UNAVAILABLE;
	}
}

void
grpc_message(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (; *text != '\0' && n + 4 <= size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c <= 0x7e && c != '%') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
}

void
grpc_fields_of_failure(struct h2_fields *f, enum fail why, char *text,
    size_t size)
{
	const struct fail_row *row = &fail_rows[why];
	char words[192];
	int n = snprintf(text, size, "%d", (int)grpc_status_of(why));
	char *message = text + n + 1;

	snprintf(words, sizeof(words), "%s: %s", row->name, row->text);
	grpc_message(words, message, size - (size_t)n - 1);
	h2_fields_init(f);
	h2_fields_add(f, ":status", "200", 3);
	h2_fields_add(f, "content-type", "application/grpc", 16);
	h2_fields_add(f, "grpc-status", text, (size_t)n);
	h2_fields_add(f, "grpc-message", message, strlen(message));
}

/* ----------------------------------------------------------- grpc.health.v1 */

enum {
	FRAME_BYTES = 5,                /* compressed or not, and the length */
	TAG_SERVICE = 0x0a,             /* field 1, bytes */
	TAG_STATUS = 0x08               /* field 1, a number */
};

size_t
grpc_health_ask(const char *service, unsigned char out[GRPC_SERVICE_MOST + 8])
{
	size_t len = service != NULL ? strlen(service) : 0;
	size_t n = FRAME_BYTES;

	if (len > GRPC_SERVICE_MOST)
		len = GRPC_SERVICE_MOST;
	memset(out, 0, FRAME_BYTES);
	if (len > 0) {
		out[n++] = TAG_SERVICE;
		out[n++] = (unsigned char)len;
		memcpy(out + n, service, len);
		n += len;
	}
	out[4] = (unsigned char)(n - FRAME_BYTES);
	return n;
}

/* A number of protocol buffers: seven bits a byte, the least first. */
static bool
number_take(const unsigned char **p, const unsigned char *end, uint64_t *n)
{
	unsigned shift = 0;

	for (*n = 0; *p < end && shift < 64; shift += 7) {
		unsigned char c = *(*p)++;

		*n |= (uint64_t)(c & 0x7f) << shift;
		if ((c & 0x80) == 0)
			return true;
	}
	return false;
}

/* Past the value of a field that is not known: by its wire type. */
static bool
value_skip(const unsigned char **p, const unsigned char *end, unsigned type)
{
	uint64_t n = 0;

	switch (type) {
	case 0:
		return number_take(p, end, &n);
	case 1:
		n = 8;
		break;
	case 2:
		if (!number_take(p, end, &n))
			return false;
		break;
	case 5:
		n = 4;
		break;
	default:
		return false;
	}
	if (n > (uint64_t)(end - *p))
		return false;
	*p += n;
	return true;
}

enum parse
grpc_health_read(const unsigned char *bytes, size_t len, enum grpc_health *out)
{
	const unsigned char *p = bytes + FRAME_BYTES, *end = bytes + len;
	uint64_t tag, n;

	if (len < FRAME_BYTES)
		return PARSE_MORE;
	if (bytes[0] != 0 || bytes[1] != 0 || bytes[2] != 0)
		return PARSE_BAD;
	n = (uint64_t)bytes[3] << 8 | bytes[4];
	if (n > len - FRAME_BYTES)
		return PARSE_MORE;
	if (n < len - FRAME_BYTES)
		return PARSE_BAD;       /* there is one answer */
	*out = GRPC_HEALTH_UNKNOWN;
	while (p < end) {
		if (!number_take(&p, end, &tag))
			return PARSE_BAD;
		if (tag != TAG_STATUS) {
			if (!value_skip(&p, end, (unsigned)tag & 7))
				return PARSE_BAD;
			continue;
		}
		if (!number_take(&p, end, &n))
			return PARSE_BAD;
		*out = n <= GRPC_HEALTH_SERVICE_UNKNOWN ?
		    (enum grpc_health)n : GRPC_HEALTH_UNKNOWN;
	}
	return PARSE_DONE;
}
