/*
 * What was changed by hand on the admin port: an endpoint of an upstream kept
 * up, drained or down, or given another weight. Such changes outlive reloads;
 * they end by hand ("conf"), by their time, or when the endpoint leaves the
 * file. If that is a reload that awaits its confirmation they sleep until then:
 * should it go back, all that was before is back. Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_OVERRIDE_H
#define PROXY_OVERRIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/deadline.h"
#include "net/err.h"

struct endpoint;
struct live_upstream;
struct runtime;

enum override_state {
	OVERRIDE_CONF,                  /* as the file and the checks say */
	OVERRIDE_UP,                    /* usable, whatever those say */
	OVERRIDE_DRAIN,                 /* nothing new goes there */
	OVERRIDE_DOWN                   /* likewise, and it is not checked */
};

/* "conf", "up", "drain", "down" by enum override_state; ends with NULL. */
extern const char *const override_states[];

/* One endpoint as the file names it, with all its addresses. Owned by
   lu->overrides. */
struct override {
	struct override *next;
	struct live_upstream *owner;
	char *endpoint;
	enum override_state state;
	unsigned weight;                /* 0 = the file's */
	int64_t until_ns;               /* monotonic; INT64_MAX = for good */
	int64_t since_s;                /* wall clock, of the last change */
	struct deadline deadline;
};

/*
 * Change one endpoint. state: enum override_state, or negative = leave it as
 * it is; weight 0 = leave it as it is, else 1 to 1000; for_ms CONF_OFF = for
 * good. OVERRIDE_CONF ends what there is, its weight too, unless a weight comes
 * with it. -1 with a text in why when there is no such endpoint, nothing is
 * asked for, a number is out of range, or memory is short; then nothing has
 * changed.
 */
int override_set(struct live_upstream *lu, const char *endpoint, int state,
    unsigned weight, int64_t for_ms, char *why, size_t size) MUST_CHECK;

/*
 * Make it exactly that, as another weir has it, where weight 0 is the file's. Is
 * it so already, to the second, then nothing happens. Likewise -1.
 */
int override_copy(struct live_upstream *lu, const char *endpoint,
    enum override_state state, unsigned weight, int64_t for_ms, char *why,
    size_t size) MUST_CHECK;

/* NULL = it is as the file says. */
const struct override *override_find(const struct live_upstream *lu,
    const char *endpoint);

/* Its endpoint is not in the file that runs, but in the one that comes back
   should nobody confirm it. */
bool override_sleeps(const struct override *o);

/* How many there are, in all upstreams; but for those that sleep. */
size_t override_count(const struct runtime *rt);

/* End them all. */
void override_drop_all(struct runtime *rt);

/* For proxy/live: the roster is new: write what was changed by hand into its
   endpoints, and forget that of endpoints that have left the file and will not
   come back (lu->held). Tells no pool. */
void override_apply(struct live_upstream *lu);

/* For proxy/live: the upstream has left the file. */
void override_clear(struct live_upstream *lu);

#endif
