/*
 * What the histograms were a minute ago, so that percentiles are of the last
 * minute: a ring of cumulative snapshots for each, by the name of the listener
 * or upstream, so it outlives reloads as the counters do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_HISTORY_H
#define PROXY_HISTORY_H

#include <jansson.h>

#include "net/err.h"
#include "proxy/view.h"

enum {
	HISTORY_STEP_S = 5,
	HISTORY_STEPS = VIEW_WINDOW_S / HISTORY_STEP_S
};

/* NULL when out of memory. */
struct history *history_new(void) MUST_CHECK;
void history_free(struct history *h);

/*
 * Remember v; to be called every HISTORY_STEP_S. What is not in v any more is
 * forgotten. Out of memory, something is remembered later than it should be.
 */
void history_record(struct history *h, const struct view *v);

/*
 * Percentiles of what came to `all` since the oldest snapshot of the window;
 * since the start, while h knows nothing older. kind and name as history_record
 * has them: see the table there. h may be NULL: no history at all.
 */
void history_times(const struct history *h, const char *kind, const char *name,
    struct view_hist *hist);

/*
 * For another weir, which takes over and adds up from where this one has come:
 * an object for each name with raw bytes beside it; say() takes the reference to
 * j, and raw is read inside of the call.
 */
void history_tell(const struct history *h, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg);
/* One of those has come. Passed over if it makes no sense, or is of another
   shape. */
void history_take(struct history *h, const json_t *j, const void *raw,
    size_t raw_len);

#endif
