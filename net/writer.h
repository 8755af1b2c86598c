/*
 * The writer: one thread that writes all logs, so that no disk, pipe or
 * collector ever holds up the others.
 *
 * Threads leave lines in rings; the error log (net/log.h) has one of its own.
 * Lines of the access log are written some 20 ms later, many at a time; those
 * of the error log at once. What cannot be written is dropped and counted.
 * Nobody wakes while nothing is logged.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_WRITER_H
#define NET_WRITER_H

#include <stdint.h>

#include "net/err.h"
#include "net/ring.h"
#include "net/sink.h"

struct writer;

/* With a ring for each of n lanes. NULL when out of memory or descriptors. */
struct writer *writer_new(unsigned n) MUST_CHECK;

/*
 * Where the access log goes from now on: takes *s over and nulls it; NULL =
 * nowhere ("off"). Cannot fail: what can is sink_open(), which a reload calls
 * beforehand. Before writer_start() or after it, always from the same thread.
 */
void writer_set_access(struct writer *w, struct sink **s);

/* Starts the thread and sends the error log through it. -1 (errno): everything
   stays as it is, the error log goes on directly, nothing empties the rings. */
int writer_start(struct writer *w) MUST_CHECK;

/* Lane i's own ring for access lines, for no other thread. */
struct ring *writer_ring(struct writer *w, unsigned i);

/* From any thread: open files again by their names, soon. */
void writer_reopen(struct writer *w);

/* From any thread: lines of all logs that were lost since the start. */
uint64_t writer_dropped(const struct writer *w);

/*
 * Writes what is left, for at most a second, and ends the thread; from here on
 * the error log goes directly again. Nobody may fill a ring any more. Then
 * frees w, unless the thread hangs in a write that never returns. NULL is fine.
 */
void writer_end(struct writer *w);

#endif
