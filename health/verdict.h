/*
 * When is an endpoint down, and when is it out? Arithmetic alone: it asks
 * nobody, waits for nothing and knows no clock but the one it is handed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HEALTH_VERDICT_H
#define HEALTH_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What active checks have found so far; all zero at the beginning. */
struct verdict {
	bool known;                     /* there was a result */
	bool up;
	int64_t against;                /* results in a row that differ */
};

/*
 * One more result. The first decides at once; then `rise` good ones in a row
 * bring up, `fall` bad ones in a row bring down. True when it decided
 * something: the first, or a change.
 */
bool verdict_take(struct verdict *v, bool good, int64_t rise, int64_t fall);

/* Failures of the traffic itself: a row of ejections; all zero at the
   beginning. */
struct ejection {
	bool out;
	unsigned row;                   /* ejections in a row, this one too */
	int64_t for_ms;                 /* how long the last one was */
	int64_t in_since_ns;            /* when it ended */
};

enum { EJECTION_ROW_MOST = 30 };

/*
 * It goes out now: for how many ms? Each in a row is longer than the one before
 * by eject_for_ms, up to thirty times that. A row is forgotten when the
 * endpoint has stayed in for as long as it was out last.
 */
int64_t ejection_begin(struct ejection *x, int64_t eject_for_ms,
    int64_t now_ns);
void ejection_end(struct ejection *x, int64_t now_ns);

/*
 * May a usable endpoint be ejected? n: endpoints in all; ejected: of these;
 * usable: without bars of any kind, the one in question among them; share: the
 * largest part of n that may be out, but one always may.
 */
bool ejection_allowed(size_t n, size_t ejected, size_t usable, double share);

#endif
