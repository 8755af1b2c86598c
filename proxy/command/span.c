/*
 * Spans of time. See span.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/span.h"

#include <stdio.h>

/* Of what is less than a thousand. */
static const char *
digits(double n, const char *unit, char out[SPAN_TEXT])
{
	snprintf(out, SPAN_TEXT, "%.*f%s", n < 9.995 ? 2 : n < 99.95 ? 1 : 0,
	    n, unit);
	return out;
}

const char *
span_s(long long s, char out[SPAN_TEXT])
{
	if (s < 0)
		snprintf(out, SPAN_TEXT, "-");
	else if (s < 60)
		snprintf(out, SPAN_TEXT, "%llds", s);
	else if (s < 3600)
		snprintf(out, SPAN_TEXT, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, SPAN_TEXT, "%lldh%02lldm", s / 3600,
		    s % 3600 / 60);
	else
		snprintf(out, SPAN_TEXT, "%lldd%02lldh", s / 86400,
		    s % 86400 / 3600);
	return out;
}

const char *
span_us(long long us, char out[SPAN_TEXT])
{
	if (us >= 60 * 1000000LL || us < 0)
		return span_s(us < 0 ? -1 : us / 1000000, out);
	if (us >= 1000000)
		return digits((double)us / 1e6, "s", out);
	if (us >= 1000)
		return digits((double)us / 1e3, "ms", out);
	snprintf(out, SPAN_TEXT, "%lldus", us);
	return out;
}

const char *
span_ms(long long ms, char out[SPAN_TEXT])
{
	/* What is as large as that has no thousandths. */
	if (ms < 0 || ms >= 3600 * 1000)
		return span_s(ms < 0 ? -1 : ms / 1000, out);
	if (ms >= 1000)
		return span_us(ms * 1000, out);
	snprintf(out, SPAN_TEXT, "%lldms", ms);
	return out;
}
