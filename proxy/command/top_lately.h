/*
 * Totals as they were within the last minute, for `weir top`: what has happened
 * a moment ago is still of interest when its rate is 0 again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_LATELY_H
#define PROXY_COMMAND_TOP_LATELY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct call_target;

enum { LATELY_S = 60, LATELY_STEP_S = 5,
	LATELY_MOST = LATELY_S / LATELY_STEP_S + 2 };

/* Embedded; zeroed, then lately_clear(). */
struct lately {
	struct {
		double  at_s;           /* uptime */
		json_t *rows;           /* few members of few rows of a frame */
	} v[LATELY_MOST];               /* oldest first */
	size_t n;
	bool recalled;                  /* what was before the first has been
					   asked for */
};

/* A frame of the same process as those before. */
void lately_take(struct lately *l, const json_t *frame);
void lately_clear(struct lately *l);

/* What was before the one frame that there is, as /stats/history says it; while
   there are more, nothing. The latter asks weir for it, once, for two seconds at
   most. */
void lately_fill(struct lately *l, const json_t *history);
void lately_recall(struct lately *l, const struct call_target *t);

/* As the row of a group, "listeners" or "upstreams", was when the minute began, or
   when it was first seen in it: with few of its members. NULL: never. */
const json_t *lately_row(const struct lately *l, const char *group,
    const char *name);

/* So many seconds it reaches back from the newest frame. */
double lately_seconds(const struct lately *l, const json_t *now);

#endif
