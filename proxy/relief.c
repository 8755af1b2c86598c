/*
 * Relief. See relief.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/relief.h"

#include <ev.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/lane.h"

enum {
	LOOK_MS = 100,
	ROOM_AT_A_LOOK = 256,           /* clients closed by a lane at most */
	EV_TRIES = 50, EV_PAUSE_US = 20000
};

static const char *const words[] = {
	[PRESSURE_NONE] = "memory is enough again",
	[PRESSURE_TIGHT] = "memory runs short: idle clients are closed",
	[PRESSURE_FULL] = "memory is at its limit: clients are refused"
};

static void
look(struct deadline *d)
{
	struct runtime *rt = container_of(d, struct runtime, look);
	enum pressure was = atomic_load(&rt->pressure_level);
	enum pressure now = pressure_look(&rt->pressure);
	size_t i;

	atomic_store(&rt->pressure_level, now);
	if (now != was)
		log_warn(NULL, "%s (%llu of %llu MiB)", words[now],
		    (unsigned long long)pressure_used(&rt->pressure) >> 20,
		    (unsigned long long)pressure_budget(&rt->pressure) >> 20);
	for (i = 0; now != PRESSURE_NONE && i < rt->n_lanes; i++)
		lane_post_room(rt->lanes[i], ROOM_AT_A_LOOK);
	if (pressure_wants_trim(&rt->pressure, rt->main.now_ns))
		(void)malloc_trim(0);
	deadline_set(&rt->main, d, LOOK_MS);
}

void
relief_start(struct runtime *rt)
{
	deadline_init(&rt->look, look);
	pressure_init(&rt->pressure, rt->gen->conf->max_memory_bytes);
	deadline_set(&rt->main, &rt->look, LOOK_MS);
}

void
relief_configure(struct runtime *rt, const struct conf *conf)
{
	pressure_set(&rt->pressure, conf->max_memory_bytes);
}

/* ------------------------------------------------------------ libev's memory */

/* Other threads free memory all the time: whoever waits a little gets some. */
static void *
patient(void *old, long size)
{
	void *p;
	int i;

	if (size == 0) {
		free(old);
		return NULL;
	}
	for (i = 0; (p = realloc(old, (size_t)size)) == NULL && i < EV_TRIES;
	    i++) {
		(void)malloc_trim(0);
		usleep(i == 0 ? 0 : EV_PAUSE_US);
	}
	return p;
}

void
relief_patience(void)
{
	ev_set_allocator(patient);
}
