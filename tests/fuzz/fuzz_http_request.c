/*
 * Request heads: fuzz_http.h has the properties. Input: the bytes of a head.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/fuzz/fuzz_http.h"

static enum parse
parse(struct http_head *h, const char *bytes, size_t len)
{
	return http_request_parse(h, bytes, len);
}

static size_t
write_start(const struct http_head *h, const char *bytes, char *out,
    size_t size)
{
	return (size_t)snprintf(out, size, "%.*s %.*s HTTP/1.%u\r\n",
	    h->method_name.len, bytes + h->method_name.at, h->target.len,
	    bytes + h->target.at, h->minor);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_head((const char *)data, len);
	return 0;
}
