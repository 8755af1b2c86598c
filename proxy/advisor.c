/*
 * Advisors. See advisor.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/advisor.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/live.h"

static void
sum_up(const struct live_upstream *lu, struct demand_sum *sum)
{
	const struct upstream *up = lu->upstream;
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < up->n_pools; i++)
		demand_sum_add(sum, &up->pools[i]->demand);
}

static int64_t
now_of(const struct live_upstream *lu)
{
	return lu->runtime->main.now_ns;
}

void
advisor_look(struct live_upstream *lu)
{
	struct advisor *a = &lu->advisor;
	int64_t now_ns = now_of(lu);
	int64_t last_ns = a->n > 0 ?
	    a->at_ns[(a->n - 1) % ADVISOR_STEPS] : a->begun_ns;

	if (now_ns - last_ns < ADVISOR_STEP_S * NS_PER_S)
		return;
	/* Out of memory, the window is longer than it should be. */
	if (a->past == NULL)
		a->past = calloc(ADVISOR_STEPS, sizeof(*a->past));
	if (a->past == NULL)
		return;
	sum_up(lu, &a->past[a->n % ADVISOR_STEPS]);
	a->at_ns[a->n++ % ADVISOR_STEPS] = now_ns;
}

void
advisor_fini(struct live_upstream *lu)
{
	free(lu->advisor.past);
	lu->advisor = (struct advisor){ .past = NULL };
}

double
advisor_window(const struct live_upstream *lu, struct demand_sum *sum)
{
	const struct advisor *ad = &lu->advisor;
	unsigned oldest = ad->n % ADVISOR_STEPS;
	int64_t from_ns = ad->begun_ns;

	if (lu->conf->pool.span == CONF_SPAN_OWED)
		return 0;
	sum_up(lu, sum);
	if (ad->n >= ADVISOR_STEPS) {
		demand_sum_less(sum, &ad->past[oldest]);
		from_ns = ad->at_ns[oldest];
	}
	return (double)(now_of(lu) - from_ns) / 1e9;
}

void
advisor_was_added(struct live_upstream *lu, double seconds)
{
	struct advisor *a = &lu->advisor;

	/* What this one remembers is without it. */
	a->n = 0;
	a->begun_ns = now_of(lu) - (int64_t)(seconds * 1e9);
}

double
advisor_take(const struct live_upstream *lu, struct advice *a)
{
	struct demand_sum sum;
	double seconds = advisor_window(lu, &sum);

	*a = (struct advice){ .known = false };
	if (seconds <= 0)
		return 0;
	advice_make(a, &sum, seconds, (unsigned)lu->conf->pool.max);
	return a->known ? seconds : 0;
}

int64_t
advisor_keep_alive_ms(const struct live_upstream *lu)
{
	const struct upstream *up = lu->upstream;
	int64_t least = 0, ms;
	size_t i;

	for (i = 0; i < up->n_pools; i++) {
		ms = atomic_load(&up->pools[i]->closes_ms);
		if (ms > 0 && (least == 0 || ms < least))
			least = ms;
	}
	return least;
}
