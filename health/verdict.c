/*
 * Verdicts. See verdict.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "health/verdict.h"

#define NS_OF_MS 1000000LL

bool
verdict_take(struct verdict *v, bool good, int64_t rise, int64_t fall)
{
	if (!v->known) {
		*v = (struct verdict){ .known = true, .up = good };
		return true;
	}
	if (good == v->up) {
		v->against = 0;
		return false;
	}
	if (++v->against < (good ? rise : fall))
		return false;
	v->up = good;
	v->against = 0;
	return true;
}

int64_t
ejection_begin(struct ejection *x, int64_t eject_for_ms, int64_t now_ns)
{
	/* Divided, not multiplied: for_ms may be large. */
	if ((now_ns - x->in_since_ns) / NS_OF_MS >= x->for_ms)
		x->row = 0;
	if (x->row < EJECTION_ROW_MOST)
		x->row++;
	if (eject_for_ms > INT64_MAX / NS_OF_MS / EJECTION_ROW_MOST)
		eject_for_ms = INT64_MAX / NS_OF_MS / EJECTION_ROW_MOST;
	x->out = true;
	x->for_ms = eject_for_ms * x->row;
	return x->for_ms;
}

void
ejection_end(struct ejection *x, int64_t now_ns)
{
	x->out = false;
	x->in_since_ns = now_ns;
}

bool
ejection_allowed(size_t n, size_t ejected, size_t usable, double share)
{
	/* 0.29 of 100 is 28.999...: what was meant is 29. */
	size_t most = (size_t)((double)n * share + 1e-6);

	if (most < 1)
		most = 1;
	return usable > 1 && ejected < most;
}
