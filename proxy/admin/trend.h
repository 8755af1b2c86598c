/*
 * The last minutes of the numbers that the dashboard draws, so that a page that
 * has just been opened shows where they come from: a ring of points for each
 * listener and upstream, by its name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_TREND_H
#define PROXY_ADMIN_TREND_H

#include <jansson.h>

#include "net/err.h"
#include "proxy/history.h"

enum { TREND_POINTS = 60 };             /* HISTORY_STEP_S apart: 5 minutes */

/* NULL when out of memory. */
struct trend *trend_new(void) MUST_CHECK;
void trend_free(struct trend *t);

/*
 * Remember v, which is of at_s (wall clock); to be called every HISTORY_STEP_S.
 * What is not in v any more is forgotten; what there is no memory for has no
 * points.
 */
void trend_record(struct trend *t, const struct view *v, int64_t at_s);

/*
 * For another weir, which takes over: the times, then each row, as objects with
 * raw bytes beside them: say() takes the reference to j, and raw is read inside
 * of the call.
 */
void trend_tell(const struct trend *t, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg);
/* One of those has come, in their order; t is new. Passed over if it makes no
   sense, or is of another shape. */
void trend_take(struct trend *t, const json_t *j, const void *raw,
    size_t raw_len);

/*
 * { "step_s", "at": [ seconds ], "listeners": [ { "name", NUMBER: [ ... ] } ],
 * "upstreams": likewise }: oldest first, totals as they were then, null where a
 * name was not there yet. "by_reason" of a row has groups of totals as /stats has
 * them, { GROUP: { REASON: [ ... ] } }; a reason that is not in it was 0 always.
 */
json_t *trend_json(const struct trend *t);

#endif
