/*
 * A stream into memory, for texts that are put together by fprintf().
 *
 * As open_memstream(3), which does not tell of memory that it did not get: a
 * part is left out, the stream has no error, and fclose() returns 0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_MEMSTREAM_H
#define NET_MEMSTREAM_H

#include <stddef.h>
#include <stdio.h>

#include "net/err.h"

/* Embedded; must not move between the two calls. */
struct memstream {
	FILE  *out;                     /* ftell() says how much is there */
	char  *bytes;
	size_t len, room;
};

/* m->out, or NULL when out of memory: then there is nothing to close. */
FILE *memstream_open(struct memstream *m) MUST_CHECK;

/* Closes it. The text, malloc'd, with a NUL behind its *len bytes (len may be
   NULL); NULL when memory did not suffice for all of it. */
char *memstream_close(struct memstream *m, size_t *len) MUST_CHECK;

#endif
