/*
 * The error log. See log.h. Formats into a fixed buffer: a line longer than
 * that is cut, never allocated for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, WHO_MAX_BYTES = 512 };

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic bool as_json;

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void
log_set(enum log_level level, bool json)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
	atomic_store_explicit(&as_json, json, memory_order_relaxed);
}

enum log_level
log_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level,
	    memory_order_relaxed);
}

/* Append text, escaped as in JSON; a line is one line in both formats. */
static size_t
put(char *out, size_t at, size_t room, const char *text, bool quotes)
{
	for (; *text && at + 7 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			at += (size_t)snprintf(out + at, room - at, "\\u%04x", c);
		else if (quotes && (c == '"' || c == '\\')) {
			out[at++] = '\\';
			out[at++] = (char)c;
		} else
			out[at++] = (char)c;
	}
	return at;
}

void
log_line(enum log_level level, const char *who, const char *fmt, ...)
{
	bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 256], stamp[32];
	struct timespec ts;
	struct tm tm;
	va_list ap;
	size_t at;
	ssize_t done;

	if (level > log_level())
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	at = (size_t)snprintf(line, sizeof(line),
	    json ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"" : "%s.%03ldZ %s",
	    stamp, ts.tv_nsec / 1000000, level_names[level]);
	if (who != NULL) {
		at += (size_t)snprintf(line + at, sizeof(line) - at,
		    json ? ",\"who\":\"" : " ");
		at = put(line, at, WHO_MAX_BYTES, who, json);
		at += (size_t)snprintf(line + at, sizeof(line) - at,
		    json ? "\"" : ":");
	}
	at += (size_t)snprintf(line + at, sizeof(line) - at,
	    json ? ",\"text\":\"" : " ");
	at = put(line, at, sizeof(line) - 4, text, json);
	at += (size_t)snprintf(line + at, sizeof(line) - at,
	    json ? "\"}\n" : "\n");
	done = write(STDERR_FILENO, line, at);
	(void)done;             /* nowhere left to complain to */
}
