/*
 * What the process takes from the system: descriptors, memory, time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_USAGE_H
#define PROXY_USAGE_H

#include <stdint.h>

struct usage {
	uint64_t fds, fds_max;
	uint64_t resident_bytes, virtual_bytes, virtual_max_bytes;
	uint64_t cpu_us;                /* user and system */
};

/* What cannot be found out is 0; no limit is UINT64_MAX. */
void usage_read(struct usage *u);

#endif
