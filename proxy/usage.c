/*
 * The process as the system sees it. See usage.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Linux 6.2 and later tell the number as the folder's size; before, each has
   to be looked at. */
static uint64_t
fds_open(void)
{
	struct stat st;
	uint64_t n = 0;
	DIR *dir;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n > 3 ? n - 3 : 0;       /* ".", ".." and dir itself */
}

/* Two numbers of pages: all, and those in memory (proc_pid_statm(5)). */
static void
memory_read(struct usage *u)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");
	char line[128], *next;

	if (f == NULL)
		return;
	if (fgets(line, sizeof(line), f) != NULL) {
		u->virtual_bytes = strtoull(line, &next, 10) * size;
		u->resident_bytes = strtoull(next, NULL, 10) * size;
	}
	fclose(f);
}

static uint64_t
limit(__rlimit_resource_t what)
{
	struct rlimit r;

	if (getrlimit(what, &r) < 0)
		return 0;
	return r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
}

static uint64_t
microseconds(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

void
usage_read(struct usage *u)
{
	struct rusage r;

	*u = (struct usage){ 0 };
	u->fds = fds_open();
	u->fds_max = limit(RLIMIT_NOFILE);
	u->virtual_max_bytes = limit(RLIMIT_AS);
	memory_read(u);
	if (getrusage(RUSAGE_SELF, &r) == 0)
		u->cpu_us = microseconds(&r.ru_utime) +
		    microseconds(&r.ru_stime);
}
