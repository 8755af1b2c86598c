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

/* ---------------------------------------------------------- a server's errors */

const char *const grpc_error_names[] = {
	HTTP_ERROR_NAMES, "grpc_unknown", "grpc_deadline_exceeded",
	"grpc_unimplemented", "grpc_internal", "grpc_unavailable",
	"grpc_data_loss", NULL
};

/* In the order of the names. OpenTelemetry, "Semantic conventions for gRPC":
   which codes are an error of a server span; the others are the caller's. */
static const struct {
	enum grpc_status status;
	const char *said;
} errors[] = {
	{ GRPC_UNKNOWN, "grpc-status 2, UNKNOWN" },
	{ GRPC_DEADLINE_EXCEEDED, "grpc-status 4, DEADLINE_EXCEEDED" },
	{ GRPC_UNIMPLEMENTED, "grpc-status 12, UNIMPLEMENTED" },
	{ GRPC_INTERNAL, "grpc-status 13, INTERNAL" },
	{ GRPC_UNAVAILABLE, "grpc-status 14, UNAVAILABLE" },
	{ GRPC_DATA_LOSS, "grpc-status 15, DATA_LOSS" }
};

_Static_assert(NELEMS(grpc_error_names) == HTTP_N_ERRORS + NELEMS(errors) + 1,
    "each has a name");

/* Of one or two digits ("gRPC over HTTP2"); -1 = none that is known. */
static int
status_read(const char *text, size_t len)
{
	int status = 0;
	size_t i;

	if (len == 0 || len > 2)
		return -1;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		status = status * 10 + (text[i] - '0');
	}
	return status;
}

/* Names are in lower case, as HTTP/2 has them (RFC 9113 8.2.1). */
static int
status_find(const char *lines, size_t len)
{
	static const char name[] = "grpc-status:";
	const char *end = lines + len, *at, *stop;
	size_t n = sizeof(name) - 1;

	for (at = lines; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		if (stop == NULL)
			return -1;
		if ((size_t)(stop - at) < n || memcmp(at, name, n) != 0)
			continue;
		for (at += n; at < stop && *at == ' '; at++)
			;
		return status_read(at, strcspn(at, " \r\n"));
	}
	return -1;
}

void
grpc_heed(struct upconn *u, struct exchange *x, const char *lines, size_t len)
{
	int status = status_find(lines, len);
	unsigned i;

	/* Once, wherever a server says it twice. */
	for (i = 0; x->said == NULL && i < NELEMS(errors); i++)
		if ((int)errors[i].status == status) {
			count_add(&u->pool->errors[HTTP_N_ERRORS + i], 1);
			x->said = errors[i].said;
			return;
		}
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
