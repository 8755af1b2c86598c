/*
 * What has been read of a list so far, found by what makes two of it alike: so
 * that a list of hundreds of thousands is not compared each with each. Whoever
 * sends a text to be judged has main do this.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_SEEN_H
#define CONF_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

struct arena;

/* A table in an arena; embedded. */
struct seen {
	const void **places;            /* NULL = no memory; NULLs in it are
					   free */
	size_t n;
	uint64_t seed;                  /* who writes a file does not choose
					   where things lie */
};

/* Room for so many; -1 when out of memory, and the arena knows. */
int seen_init(struct seen *s, struct arena *a, size_t most) MUST_CHECK;

/* A hash of a text, which may be NULL, and of what was hashed before: 0, or
   the hash of the text before this one. */
uint64_t seen_hash(const struct seen *s, uint64_t before, const char *text);

/*
 * The place of one that is alike: it holds the first of them, or NULL and the
 * caller puts its own there. Who is alike has the same hash.
 */
const void **seen_place(const struct seen *s, uint64_t hash, const void *one,
    bool (*alike)(const void *a, const void *b));

#endif
