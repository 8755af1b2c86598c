/*
 * The budget of memory: how much of it is used, and when heap that nobody uses
 * any more should go back to the system. Decides; closes and frees nothing.
 *
 * The budget is max_memory, else the limit of the process's own cgroup, else
 * there is none and no pressure ever. Looked at by main, about every 100 ms.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PRESSURE_H
#define PROXY_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

enum pressure {
	PRESSURE_NONE,
	PRESSURE_TIGHT,                 /* close idle clients */
	PRESSURE_FULL                   /* refuse new ones too */
};

/* Where a test has its files and its heap; NULL = the system's. */
struct pressure_source {
	const char *statm;              /* /proc/self/statm */
	const char *cgroup;             /* /proc/self/cgroup */
	const char *cgroup_root;        /* /sys/fs/cgroup */
	uint64_t  (*allocated)(void);   /* bytes of the heap in use */
};

/* Embedded in the runtime; only main touches it. */
struct pressure_watch {
	struct pressure_source source;
	int       statm_fd;             /* -1: cannot be read, used is 0 */
	uint64_t  budget;               /* bytes; UINT64_MAX = none */
	uint64_t  used;                 /* resident bytes at the last look */
	uint64_t  least;                /* used at the first look, or after the
					   trim that left least; 0 = not yet */
	enum pressure level;
	bool      fell;                 /* level did, since the last trim */
	bool      trimmed;              /* since the last look */
	int64_t   next_trim_ns;
};

/* CONF_OFF: the cgroup's limit, if there is one. */
void pressure_init(struct pressure_watch *p, int64_t max_memory_bytes);
void pressure_init_at(struct pressure_watch *p, int64_t max_memory_bytes,
    const struct pressure_source *source);
void pressure_fini(struct pressure_watch *p);

/* The same budget anew, after a reload; the level follows at the next look. */
void pressure_set(struct pressure_watch *p, int64_t max_memory_bytes);

/*
 * Reads what is resident. Tight from 85 % of the budget, full from 95 %; less
 * again only below 80 % and 90 %, so that it does not flutter.
 */
enum pressure pressure_look(struct pressure_watch *p);

/* Bytes; UINT64_MAX = there is none. */
uint64_t pressure_budget(const struct pressure_watch *p);
uint64_t pressure_used(const struct pressure_watch *p);

/*
 * After a look: should malloc_trim(0) be called now? Then the caller does. At
 * most every 5 s: while there is pressure (what clients gave back is still
 * resident until then) and once when it has fallen; without, when more than
 * half of what is resident, and 8 MiB, is heap that nobody uses.
 */
bool pressure_wants_trim(struct pressure_watch *p, int64_t now_ns);

#endif
