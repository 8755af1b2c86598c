/*
 * Deadlines: what happens when something did not happen in time.
 *
 * Each distinct duration has one list, in order of expiry because all of its
 * entries wait equally long; so arming and disarming cost the same however many
 * there are, and one timer a worker serves them all (net/worker.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_DEADLINE_H
#define NET_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/list.h"

struct worker;

struct deadline {
	struct list link;
	int64_t at_ns;                  /* worker time; meaningful while linked */
	void  (*passed)(struct deadline *d);    /* may free what embeds d */
};

void deadline_init(struct deadline *d, void (*passed)(struct deadline *));

/*
 * Arm, or arm anew, to pass in so many ms. A duration of CONF_OFF's size
 * (INT64_MAX) disarms.
 */
void deadline_set(struct worker *w, struct deadline *d, int64_t in_ms);

/*
 * Arm to pass in_ms after since_ns, a moment not in the future. For what is
 * touched so often that it only notes the time of each touch, and looks at it
 * when the deadline passes.
 */
void deadline_set_since(struct worker *w, struct deadline *d, int64_t in_ms,
    int64_t since_ns);

/* Arm to pass in so many ns: for times that nobody has configured (a backoff, a
   wait that was worked out), of which there may be any number. */
void deadline_set_ns(struct worker *w, struct deadline *d, int64_t in_ns);

static inline void
deadline_clear(struct deadline *d)
{
	list_remove(&d->link);
}

static inline bool
deadline_armed(const struct deadline *d)
{
	return list_linked(&d->link);
}

#endif
