/*
 * Deadlines. See deadline.h; the timer that fires them is in worker.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/deadline.h"

#include "net/worker.h"

void
deadline_init(struct deadline *d, void (*passed)(struct deadline *))
{
	list_init(&d->link);
	d->at_ns = INT64_MAX;
	d->passed = passed;
}

/*
 * The list for a duration. Configurations use a handful; reloads that keep
 * inventing new ones take over lists that have run empty. Only when all are in
 * use does one serve another duration than its own, if it can one a little
 * longer: to keep its order then costs a walk.
 */
static struct duration *
duration_of(struct worker *w, int64_t ms)
{
	struct duration *next = NULL, *empty = NULL;
	unsigned i;

	for (i = 0; i < w->n_durations; i++) {
		struct duration *d = &w->durations[i];

		if (d->ms == ms)
			return d;
		if (list_empty(&d->armed))
			empty = d;
		if (d->ms > ms && (next == NULL || d->ms < next->ms))
			next = d;
	}
	if (w->n_durations < WORKER_DURATIONS) {
		empty = &w->durations[w->n_durations++];
		list_init(&empty->armed);
	}
	if (empty == NULL)
		return next != NULL ? next : &w->durations[0];
	empty->ms = ms;
	return empty;
}

void
deadline_set_since(struct worker *w, struct deadline *d, int64_t in_ms,
    int64_t since_ns)
{
	struct duration *list;
	struct list *before;
	int64_t at_ns;

	list_remove(&d->link);
	if (in_ms >= INT64_MAX / NS_PER_MS / 2)
		return;
	list = duration_of(w, in_ms);
	d->at_ns = since_ns + in_ms * NS_PER_MS;
	before = list->armed.prev;
	while (before != &list->armed &&
	    container_of(before, struct deadline, link)->at_ns > d->at_ns)
		before = before->prev;
	list_prepend(before, &d->link);
	/* One that was due before it was set is due now: the timer was not late
	   for it. */
	at_ns = d->at_ns > w->now_ns ? d->at_ns : w->now_ns;
	if (at_ns < w->timer_at_ns) {
		w->timer_at_ns = at_ns;
		ev_timer_stop(w->loop, &w->timer);
		ev_timer_set(&w->timer, (double)(at_ns - w->now_ns) / 1e9, 0.);
		ev_timer_start(w->loop, &w->timer);
	}
}

void
deadline_set(struct worker *w, struct deadline *d, int64_t in_ms)
{
	deadline_set_since(w, d, in_ms, w->now_ns);
}

void
deadline_set_ns(struct worker *w, struct deadline *d, int64_t in_ns)
{
	int64_t ms = 1;

	/* As one of a longer, round duration that began in the past: so these
	   take a dozen lists, not one each. */
	while (ms < INT64_MAX / NS_PER_MS / 2 && ms * NS_PER_MS < in_ns)
		ms *= 2;
	deadline_set_since(w, d, ms, w->now_ns + in_ns - ms * NS_PER_MS);
}
