/*
 * traceparents and request ids: any bytes. What is valid begins as version 00
 * does, goes on in itself when cut there, and holds nothing that could end a
 * field or a line of a log.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/http/trace.h"

#define CHECK(that) do { if (!(that)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* A copy of just its size: what reads beyond it is found. */
	char *text = calloc(1, len > 0 ? len : 1), head[TRACE_PARENT_LEN];
	size_t i;

	CHECK(text != NULL);
	if (len > 0)
		memcpy(text, data, len);
	if (trace_parent_is_valid(text, len)) {
		CHECK(len >= TRACE_PARENT_LEN && len <= 255);
		memcpy(head, text, sizeof(head));
		CHECK(trace_parent_is_valid(head, sizeof(head)));
		memcpy(head, "00", 2);
		CHECK(trace_parent_is_valid(head, sizeof(head)));
		for (i = 0; i < sizeof(head); i++)
			CHECK(strchr("0123456789abcdef-", head[i]) != NULL);
	}
	if (trace_id_is_fit(text, len)) {
		CHECK(len > 0 && len <= TRACE_REQUEST_ID_MOST);
		for (i = 0; i < len; i++)
			CHECK(text[i] > ' ' && text[i] < 0x7f);
	}
	free(text);
	return 0;
}
