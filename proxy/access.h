/*
 * The access log: one line for each exchange, as text or JSON, through the
 * lane's ring to the writer thread (net/writer.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ACCESS_H
#define PROXY_ACCESS_H

#include <stdint.h>

struct exchange;

/* Wall-clock time as text, made once a second. One in each lane, zeroed. */
struct access_clock {
	int64_t valid_ns;               /* monotonic: since when offset holds */
	int64_t offset_ns;              /* wall clock less monotonic; 0 = never
					   looked */
	int64_t second;                 /* wall clock: what text says */
	char text[24];                  /* "2026-01-31T23:59:59." */
};

/*
 * x is over; its outcome is set, its lease, if it has one, has not been given
 * back yet. Costs nothing but a look when the log is off or access_when leaves
 * x out. When there is no room the line is dropped and counted.
 */
void access_log(const struct exchange *x);

#endif
