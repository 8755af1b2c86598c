/*
 * Response heads: fuzz_http.h has the properties. Input: the bytes of a head,
 * read as the answer to three kinds of request.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/fuzz/fuzz_http.h"

static enum http_method to;

static enum parse
parse(struct http_head *h, const char *bytes, size_t len)
{
	return http_response_parse(h, to, bytes, len);
}

static size_t
write_start(const struct http_head *h, const char *bytes, char *out,
    size_t size)
{
	return (size_t)snprintf(out, size, "HTTP/1.%u %u %.*s\r\n", h->minor,
	    h->status, h->reason.len, bytes + h->reason.at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum http_method methods[] = {
		HTTP_M_GET, HTTP_M_HEAD, HTTP_M_CONNECT
	};

	for (size_t i = 0; i < NELEMS(methods); i++) {
		to = methods[i];
		check_head((const char *)data, len);
	}
	return 0;
}
