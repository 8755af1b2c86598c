/*
 * Spans of time in tables and on the screen of `weir top`, in one spelling: three
 * digits up to a minute, then the two largest units. At most seven letters up to
 * 99 days: "350us", "1.50ms", "303ms", "12.3s", "5m03s", "2h05m", "3d04h".
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_SPAN_H
#define PROXY_COMMAND_SPAN_H

enum { SPAN_TEXT = 24 };

/* Each returns out. Less than 0 is not known: "-". */
const char *span_us(long long us, char out[SPAN_TEXT]);
/* Not measured more finely: "5ms", but "1.50s". */
const char *span_ms(long long ms, char out[SPAN_TEXT]);
/* "7s" */
const char *span_s(long long s, char out[SPAN_TEXT]);

#endif
