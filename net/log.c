/*
 * The error log. See log.h. Formats into buffers of fixed size: a line longer
 * than that is cut, never allocated for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/log.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/escape.h"
#include "net/ring.h"

enum {
	TEXT_MAX_BYTES = 2048,
	WHO_MAX_BYTES = 512,            /* escaped */
	LINE_MAX_BYTES = TEXT_MAX_BYTES + 256,
	DIRECT_WAIT_MS = 1000,          /* for a pipe that is full */
	ABORT_WAIT_MS = 100
};

_Static_assert(LINE_MAX_BYTES <= (int)RING_LINE_MAX, "a line fits into a ring");

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic bool as_json;

/* The way out, and the last line that went it, to fold those that follow. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct ring *) way;      /* NULL = directly */
static struct {
	bool known;
	enum log_level level;
	char who[WHO_MAX_BYTES], text[TEXT_MAX_BYTES];
	int64_t since_ns;               /* monotonic */
	unsigned long repeated;
} last;

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

/* ------------------------------------------------------------------- a line */

/* So many bytes of text, at most n, that no character is cut in two. */
static size_t
whole_characters(const char *text, size_t len, size_t n)
{
	size_t cut = n;

	if (n >= len)
		return len;
	while (cut > 0 && n - cut < 4 && (text[cut] & 0xc0) == 0x80)
		cut--;
	return cut > 0 && n - cut < 4 ? cut : n;
}

/* Append text, escaped: a line is one line in both formats. What does not fit
   before end is cut off. */
static char *
put(char *out, const char *end, const char *text, bool json)
{
	size_t len = strlen(text);

	while (len > 0 && end - out >= ESCAPE_GROWTH) {
		size_t n = whole_characters(text, len,
		    (size_t)(end - out) / ESCAPE_GROWTH);

		out = json ? escape_json(out, text, n) :
		    escape_plain(out, text, n);
		text += n;
		len -= n;
	}
	return out;
}

static char *
put_word(char *out, const char *word)
{
	return stpcpy(out, word);
}

/* At most LINE_MAX_BYTES; returns the length, newline included. */
static size_t
line_build(char *line, enum log_level level, const char *who, const char *text)
{
	bool json = atomic_load_explicit(&as_json, memory_order_relaxed);
	const char *end = line + (LINE_MAX_BYTES - 4);
	char stamp[32], *out = line;
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	out += sprintf(out, json ?
	    "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"" : "%s.%03ldZ %s",
	    stamp, ts.tv_nsec / 1000000, level_names[level]);
	if (who != NULL && who[0] != '\0') {
		out = put_word(out, json ? ",\"who\":\"" : " ");
		out = put(out, line + WHO_MAX_BYTES, who, json);
		out = put_word(out, json ? "\"" : ":");
	}
	out = put_word(out, json ? ",\"text\":\"" : " ");
	out = put(out, end, text, json);
	out = put_word(out, json ? "\"}\n" : "\n");
	return (size_t)(out - line);
}

/* Waits a while for a slow reader, but not for ever: one that never reads again
   must not keep weir from ending. */
static void
write_directly(const char *line, size_t len)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t done;

	if (poll(&p, 1, DIRECT_WAIT_MS) == 0)
		return;
	done = write(STDERR_FILENO, line, len);
	(void)done;                     /* nowhere left to complain to */
}

static void
say_directly(enum log_level level, const char *who, const char *text)
{
	char line[LINE_MAX_BYTES];

	write_directly(line, line_build(line, level, who, text));
}

/* The lock is held. */
static void
say_through(struct ring *r, enum log_level level, const char *who,
    const char *text)
{
	char *line = ring_reserve(r, LINE_MAX_BYTES);

	if (line != NULL)
		ring_commit(r, line_build(line, level, who, text));
}

/* ------------------------------------------------------------------ folding */

static int64_t
ms_left(void)
{
	return LOG_FOLD_MS - (clock_ns() - last.since_ns) / NS_PER_MS;
}

static bool
is_repeated(enum log_level level, const char *who, const char *text)
{
	return last.known && level == last.level && ms_left() > 0 &&
	    strcmp(who, last.who) == 0 && strcmp(text, last.text) == 0;
}

static void
remember(enum log_level level, const char *who, const char *text)
{
	/* A name that does not fit is not compared either. */
	last.known = strlen(who) < sizeof(last.who);
	if (!last.known)
		return;
	last.level = level;
	strcpy(last.who, who);
	strcpy(last.text, text);
	last.since_ns = clock_ns();
	last.repeated = 0;
}

/* Say how often it was, if it was. */
static void
unfold(struct ring *r)
{
	char more[64], text[TEXT_MAX_BYTES];
	size_t n;

	if (!last.known || last.repeated == 0)
		return;
	n = (size_t)snprintf(more, sizeof(more), " (repeated %lu time%s)",
	    last.repeated, last.repeated == 1 ? "" : "s");
	snprintf(text, sizeof(text), "%.*s%s", (int)(sizeof(text) - 1 - n),
	    last.text, more);
	last.repeated = 0;
	say_through(r, last.level, last.who, text);
}

int64_t
log_unfold(bool now)
{
	struct ring *r;
	int64_t left = -1;

	pthread_mutex_lock(&lock);
	r = atomic_load(&way);
	if (r != NULL && last.known && !now && ms_left() > 0)
		left = ms_left();
	else if (r != NULL && last.known && last.repeated > 0) {
		/* It goes on: one line for each such time. */
		unfold(r);
		last.since_ns = clock_ns();
		left = LOG_FOLD_MS;
	} else
		last.known = false;
	pthread_mutex_unlock(&lock);
	return left;
}

void
log_line(enum log_level level, const char *who, const char *fmt, ...)
{
	char text[TEXT_MAX_BYTES];
	struct ring *r;
	va_list ap;

	if (level > log_level())
		return;
	if (who == NULL)
		who = "";
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&lock);
	r = atomic_load(&way);
	if (r != NULL && is_repeated(level, who, text))
		last.repeated++;
	else if (r != NULL) {
		unfold(r);
		remember(level, who, text);
		say_through(r, level, who, text);
	}
	pthread_mutex_unlock(&lock);
	if (r == NULL)
		say_directly(level, who, text);
}

/* ------------------------------------------------------------------ the way */

/* The process dies: what the writer has not written yet is perhaps why. Better
   a line twice than not at all. */
static void
aborted(int number)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	struct ring *r = atomic_load(&way);
	const char *lines[2];
	size_t len[2];
	ssize_t done;
	int i;

	if (r != NULL)
		ring_look(r, lines, len);
	for (i = 0; r != NULL && i < 2; i++)
		if (len[i] > 0 && poll(&p, 1, ABORT_WAIT_MS) > 0) {
			done = write(STDERR_FILENO, lines[i], len[i]);
			(void)done;
		}
	/* abort() does so itself, a supervisor that sends it does not. */
	(void)raise(number);
}

void
log_divert(struct ring *r)
{
	struct sigaction act = { .sa_handler = aborted,
	    .sa_flags = (int)SA_RESETHAND };

	pthread_mutex_lock(&lock);
	if (r == NULL && atomic_load(&way) != NULL)
		unfold(atomic_load(&way));
	last.known = false;
	atomic_store(&way, r);
	pthread_mutex_unlock(&lock);
	if (r != NULL)
		(void)sigaction(SIGABRT, &act, NULL);
}
