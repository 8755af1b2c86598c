/*
 * The error log: one line an event, to standard error, in text or JSON.
 *
 * A line is written by one write(2), so threads never mix theirs; while there
 * is a writer (net/writer.h), by that thread, and then a line that is the same
 * as the one before is not written but counted. The level, the format and the
 * way out are the only process-wide variables of weir: whatever fails anywhere
 * must be able to say so without being handed a pointer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_LOG_H
#define NET_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "net/err.h"

struct ring;

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG };

void log_set(enum log_level level, bool json);
enum log_level log_level(void);

/*
 * `who` names what the line is about ("listener web", "upstream app endpoint
 * 127.0.0.1:3000") and comes first; NULL = weir itself. Control characters in
 * the text are escaped.
 */
void log_line(enum log_level level, const char *who, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(who, ...) log_line(LOG_LEVEL_ERROR, who, __VA_ARGS__)
#define log_warn(who, ...)  log_line(LOG_LEVEL_WARN, who, __VA_ARGS__)
#define log_info(who, ...)  log_line(LOG_LEVEL_INFO, who, __VA_ARGS__)
#define log_debug(who, ...) do {                                             \
	if (log_level() >= LOG_LEVEL_DEBUG)                                   \
		log_line(LOG_LEVEL_DEBUG, who, __VA_ARGS__);                  \
} while (0)

/* ----------------------------------------------------------- for the writer */

enum { LOG_FOLD_MS = 10000 };           /* how long a line is remembered */

/*
 * From now on lines go into r, whichever thread they come from, and nobody else
 * fills it; NULL: directly again. Should the process abort, what is still in r
 * is written first.
 */
void log_divert(struct ring *r);

/*
 * Say how often the last line was repeated, if it was and its time is up (or
 * `now`). Returns ms until it has to be called again; -1 = no need to.
 */
int64_t log_unfold(bool now);

#endif
