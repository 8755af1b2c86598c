/*
 * What CLOCK_MONOTONIC says, for whoever is on no loop, or must know by how
 * much its loop's time is behind. On a loop it is w->now_ns, which is read once
 * a turn (net/worker.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_CLOCK_H
#define NET_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static inline int64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static inline int64_t
clock_ms(void)
{
	return clock_ns() / NS_PER_MS;
}

#endif
