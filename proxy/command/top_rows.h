/*
 * What `weir top` tells of listeners and upstreams: numbers of a frame of
 * /stats, and how fast they have grown since the frame before.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_ROWS_H
#define PROXY_COMMAND_TOP_ROWS_H

#include <jansson.h>
#include <stdbool.h>

#include "net/err.h"
#include "proxy/command/top_lately.h"

/* Two frames; the names in rows are theirs. */
struct top_frames {
	json_t *now, *before;           /* before: NULL = there are no rates */
	double  seconds;                /* between them */
	struct lately lately;
};

/* Of an upstream; failures are its endpoints'. */
struct top_row {
	const char *name, *protocol, *mode, *state;
	bool        bad;                /* the state wants somebody to look */
	double      requests_per_s, failures_per_s;
	double      errors_per_s;       /* that servers answered */
	long long   first_us, queue_us; /* p99 */
	long long   waiting, leased, idle, connecting, open, pinned, cap, max;
	long long   oldest_wait_us, usable, endpoints;
	bool        errs;               /* servers answer a considerable share
					   of the last minute with errors of
					   their own */
	json_t     *json;
};

struct top_listener {
	const char *name, *protocol;
	double      requests_per_s, failures_per_s, limited_per_s;
	double      fives_per_s;        /* answers with 5xx, weir's own too */
	long long   clients, p50_us, p99_us;
};

enum top_sort { SORT_REQUESTS, SORT_FAILURES, SORT_LATENCY, SORT_WAITING,
	SORT_NAME };
enum { TOP_SORTS = SORT_NAME + 1 };

/* "requests", ..., for people. */
extern const char *const top_sorts[TOP_SORTS];

/* malloc'd; NULL when there are none or no memory, and *n is 0. */
struct top_row *top_rows(const struct top_frames *f, size_t *n);
struct top_listener *top_listeners(const struct top_frames *f, size_t *n);

/* Largest first; equal ones by name. */
void top_rows_sort(struct top_row *rows, size_t n, enum top_sort by);

/* A frame becomes the present one, which f owns; NULL lets both go. */
void top_frames_take(struct top_frames *f, json_t *now);

enum { TOP_RATE = 12 };
/* "-" when it is not known. */
const char *top_rate(double per_s, char out[TOP_RATE]);

#endif
