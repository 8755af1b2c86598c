/*
 * Which snapshot an exchange runs under, and when an old one is done with.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_GENERATION_H
#define PROXY_GENERATION_H

#include "proxy/runtime.h"

/* Room for the lanes; conf is taken over. The arrays are the caller's to fill.
   NULL when out of memory (conf is then still the caller's). */
struct generation *generation_new(struct runtime *rt, struct conf *conf)
    MUST_CHECK;
void generation_free(struct generation *g);

struct upstream *generation_upstream(const struct generation *g,
    const struct conf_upstream *conf);

/* On a lane: an exchange, or a door that has left the file, begins to use it,
   and ends. */
static inline struct generation *
generation_use(struct lane *lane, struct generation *g)
{
	g->users[lane->worker.index]++;
	return g;
}

void generation_done(struct lane *lane, struct generation *g);

static inline void
generation_leave(struct lane *lane, struct generation *g)
{
	if (--g->users[lane->worker.index] == 0 && g != lane->gen)
		generation_done(lane, g);
}

/* On a lane: from now on use this one. */
void generation_switch(struct lane *lane, struct generation *g);

#endif
