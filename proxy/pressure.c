/*
 * The budget of memory. See pressure.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"

enum {                                  /* percent of the budget */
	TIGHT_FROM = 85, TIGHT_BELOW = 80,
	FULL_FROM = 95, FULL_BELOW = 90
};

#define TRIM_PAUSE_NS INT64_C(5000000000)
#define TRIM_WORTH (UINT64_C(8) << 20)

/* ------------------------------------------------------------- the cgroup */

/* The first line of a small file, without its newline. */
static int
line_read(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	char *got;

	if (f == NULL)
		return -1;
	got = fgets(line, (int)size, f);
	fclose(f);
	if (got == NULL)
		return -1;
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

/* "0::/path" is the line of version 2 (cgroups(7)); it may be among others. */
static int
cgroup_path(const char *file, char *path, size_t size)
{
	FILE *f = fopen(file, "re");
	int found = -1;

	if (f == NULL)
		return -1;
	while (found == -1 && fgets(path, (int)size, f) != NULL)
		if (strncmp(path, "0::/", 4) == 0)
			found = 0;
	fclose(f);
	if (found == -1)
		return -1;
	path[strcspn(path, "\n")] = '\0';
	memmove(path, path + 3, strlen(path + 3) + 1);
	/* Outside of what this namespace shows: only its top can be seen. */
	if (strncmp(path, "/..", 3) == 0)
		path[0] = '\0';
	return 0;
}

/* "max" or bytes (Linux, cgroup-v2.rst: memory.max). */
static uint64_t
cgroup_max(const char *root, const char *path)
{
	char file[2 * PATH_MAX], line[64], *end;
	unsigned long long bytes;

	snprintf(file, sizeof(file), "%s%s/memory.max", root, path);
	if (line_read(file, line, sizeof(line)) == -1 ||
	    line[0] < '0' || line[0] > '9')
		return UINT64_MAX;
	errno = 0;
	bytes = strtoull(line, &end, 10);
	return errno != 0 || *end != '\0' ? UINT64_MAX : bytes;
}

/* The least of the own group and all above it: each holds for those below. */
static uint64_t
cgroup_limit(const struct pressure_source *source)
{
	char path[PATH_MAX], *slash;
	uint64_t least = UINT64_MAX, here;

	if (cgroup_path(source->cgroup, path, sizeof(path)) == -1)
		return UINT64_MAX;
	for (;;) {
		here = cgroup_max(source->cgroup_root, path);
		if (here < least)
			least = here;
		slash = strrchr(path, '/');
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

/* -------------------------------------------------------------- its begin */

static uint64_t
heap_allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

void
pressure_init_at(struct pressure_watch *p, int64_t max_memory_bytes,
    const struct pressure_source *source)
{
	*p = (struct pressure_watch){ .source = *source };
	if (p->source.statm == NULL)
		p->source.statm = "/proc/self/statm";
	if (p->source.cgroup == NULL)
		p->source.cgroup = "/proc/self/cgroup";
	if (p->source.cgroup_root == NULL)
		p->source.cgroup_root = "/sys/fs/cgroup";
	if (p->source.allocated == NULL)
		p->source.allocated = heap_allocated;
	p->statm_fd = open(p->source.statm, O_RDONLY | O_CLOEXEC);
	pressure_set(p, max_memory_bytes);
}

void
pressure_init(struct pressure_watch *p, int64_t max_memory_bytes)
{
	pressure_init_at(p, max_memory_bytes, &(struct pressure_source){ 0 });
}

void
pressure_fini(struct pressure_watch *p)
{
	if (p->statm_fd >= 0)
		close(p->statm_fd);
	p->statm_fd = -1;
}

void
pressure_set(struct pressure_watch *p, int64_t max_memory_bytes)
{
	p->budget = max_memory_bytes < CONF_OFF ? (uint64_t)max_memory_bytes :
	    cgroup_limit(&p->source);
}

/* --------------------------------------------------------------- each look */

/* The second number: pages in memory (proc_pid_statm(5)). */
static uint64_t
resident(const struct pressure_watch *p)
{
	char line[128], *next;
	ssize_t n;

	n = p->statm_fd < 0 ? -1 :
	    pread(p->statm_fd, line, sizeof(line) - 1, 0);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	(void)strtoull(line, &next, 10);
	return strtoull(next, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool
is_beyond(const struct pressure_watch *p, unsigned percent)
{
	return p->budget != UINT64_MAX &&
	    (double)p->used >= (double)p->budget * percent / 100;
}

enum pressure
pressure_look(struct pressure_watch *p)
{
	enum pressure was = p->level;

	p->used = resident(p);
	if (p->least == 0 || (p->trimmed && p->used < p->least))
		p->least = p->used;
	p->trimmed = false;
	if (is_beyond(p, was == PRESSURE_FULL ? FULL_BELOW : FULL_FROM))
		p->level = PRESSURE_FULL;
	else if (is_beyond(p, was == PRESSURE_NONE ? TIGHT_FROM : TIGHT_BELOW))
		p->level = PRESSURE_TIGHT;
	else
		p->level = PRESSURE_NONE;
	if (p->level < was)
		p->fell = true;
	return p->level;
}

uint64_t
pressure_budget(const struct pressure_watch *p)
{
	return p->budget;
}

uint64_t
pressure_used(const struct pressure_watch *p)
{
	return p->used;
}

/* --------------------------------------------------------------- trimming */

/* More than half of what is resident is heap that nobody uses. */
static bool
is_mostly_unused(const struct pressure_watch *p)
{
	uint64_t in_use = p->source.allocated();

	return p->used >= in_use + TRIM_WORTH && p->used >= 2 * in_use;
}

bool
pressure_wants_trim(struct pressure_watch *p, int64_t now_ns)
{
	bool pressed = p->level != PRESSURE_NONE || p->fell;
	bool grown = p->used >= p->least + TRIM_WORTH &&
	    p->used >= 2 * p->least;

	if (now_ns < p->next_trim_ns || (!pressed && !grown))
		return false;
	/* Asking the heap walks all that is free in it, as a trim does: both
	   are paid for with the same pause. */
	p->next_trim_ns = now_ns + TRIM_PAUSE_NS;
	p->trimmed = pressed || is_mostly_unused(p);
	p->fell = false;
	return p->trimmed;
}
