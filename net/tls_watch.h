/*
 * Have files changed since they were read? By name, so that renaming another
 * over one of them, or a folder's symlink, counts.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_WATCH_H
#define NET_TLS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

/* What a name stands for; all 0 = nothing. */
struct tls_stamp {
	uint64_t device, inode, size;
	int64_t changed_ns;
};

struct tls_watched {
	const char *path;               /* borrowed */
	struct tls_stamp read, last;    /* as it was read; as last seen */
};

/* Begins zeroed, ends with tls_watch_fini(). */
struct tls_watch {
	struct tls_watched *v;
	size_t n;
	unsigned again;                 /* looks until it is time to try again;
					   0 = nothing was refused */
};

/* One more, as it is now; path NULL is fine and nothing. -1 = no memory. */
int tls_watch_add(struct tls_watch *w, const char *path) MUST_CHECK;
void tls_watch_fini(struct tls_watch *w);

/*
 * Do any differ from what was read, and has none changed since the last call?
 * Who replaces several files, one after the other, is given the time between
 * two calls. Then what is there now counts as read.
 */
bool tls_watch_look(struct tls_watch *w);

/* What it said has changed could not be used, perhaps for a passing reason:
   true once more after 60 looks. */
void tls_watch_refused(struct tls_watch *w);

#endif
