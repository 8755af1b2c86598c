/*
 * What of the running weir is not as its file says: the file on disk has
 * changed, something was changed by hand, or waits.
 *
 * Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_DRIFT_H
#define PROXY_DRIFT_H

#include <stdint.h>

#include "conf/diff.h"

struct runtime;

/* Called for each: "upstream app endpoint b", "drain by hand until ...". */
typedef void drift_say(void *arg, const char *what, const char *text);

/* All that is not of the file: changes by hand, a reload that is not confirmed,
   what waits for the next start. */
void drift_list(struct runtime *rt, drift_say *say, void *arg);

/*
 * A change that is in the file and, because only a start can make it, not in
 * force. Zeroed is empty.
 */
struct drift_pending {
	struct drift_change {
		char *path, *from, *to; /* from: since the start */
	} *v;
	size_t n;
};

/* A snapshot came in, and this is what it changed. */
void drift_note(struct drift_pending *p, const struct diff *d);
void drift_fini(struct drift_pending *p);

#endif
