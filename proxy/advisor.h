/*
 * What an upstream's pool should be, by what was wanted of it in the last ten
 * minutes; and for how long its server keeps idle connections.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADVISOR_H
#define PROXY_ADVISOR_H

#include "proxy/advice.h"

struct live_upstream;

enum { ADVISOR_STEP_S = 60, ADVISOR_STEPS = 10 };

/* In live_upstream; zeroed but for begun_ns is a good start. Main's alone. */
struct advisor {
	struct demand_sum *past;        /* ADVISOR_STEPS of them, a ring; NULL:
					   nothing is remembered yet */
	int64_t at_ns[ADVISOR_STEPS];
	unsigned n;                     /* ever put into it */
	int64_t begun_ns;               /* its counters began then */
};

/* Remember what there is, if it is time for that; to be called every second. */
void advisor_look(struct live_upstream *lu);
void advisor_fini(struct live_upstream *lu);

/* What was wanted of it, and returns in how many seconds; 0: that is not
   counted. */
double advisor_window(const struct live_upstream *lu, struct demand_sum *sum);
/* The same of a weir before this one has been added to its counters. */
void advisor_was_added(struct live_upstream *lu, double seconds);

/* Returns how many seconds it is by; 0: nothing is known. */
double advisor_take(const struct live_upstream *lu, struct advice *a);

/* At which age its server closes idle connections, as far as closings have
   shown; 0 = not known. */
int64_t advisor_keep_alive_ms(const struct live_upstream *lu);

#endif
