/*
 * Relief. See relief.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/relief.h"

#include <ev.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "net/log.h"
#include "net/patient.h"
#include "proxy/lane.h"

enum {
	LOOK_MS = 100,
	ROOM_AT_A_LOOK = 256            /* clients closed by a lane at most */
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
	/* What it takes without clients: soon there may be a crowd. */
	(void)pressure_look(&rt->pressure);
	deadline_set(&rt->main, &rt->look, LOOK_MS);
}

void
relief_configure(struct runtime *rt, const struct conf *conf)
{
	pressure_set(&rt->pressure, conf->max_memory_bytes);
}

/* --------------------------------------------------------------- libraries */

static void *
for_libev(void *old, long size)
{
	if (size > 0)
		return patient_resize(old, (size_t)size);
	free(old);
	return NULL;
}

/* What two weirs tell each other as JSON, and what is made of it on the way, has
   secrets of clients in it. */
static void
free_wiped(void *memory)
{
	if (memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

void
relief_patience(void)
{
	ev_set_allocator(for_libev);
	json_set_alloc_funcs(patient_alloc, free_wiped);
}
