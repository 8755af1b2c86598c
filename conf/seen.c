/*
 * What has been read so far. See seen.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/seen.h"

#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "conf/arena.h"

int
seen_init(struct seen *s, struct arena *a, size_t most)
{
	s->n = 2 * most + 1;
	s->places = arena_take(a, s->n, sizeof(*s->places));
	/* Early at boot there may be nothing to have: then it is as good as
	   without. */
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) !=
	    sizeof(s->seed))
		s->seed = 0;
	return s->places != NULL ? 0 : -1;
}

uint64_t
seen_hash(const struct seen *s, uint64_t before, const char *text)
{
	/* None is not the same as an empty one, which has its NUL. */
	return text == NULL ? XXH64("", 0, s->seed ^ before) :
	    XXH64(text, strlen(text) + 1, s->seed ^ before);
}

const void **
seen_place(const struct seen *s, uint64_t hash, const void *one,
    bool (*alike)(const void *a, const void *b))
{
	size_t at = hash % s->n;

	while (s->places[at] != NULL && !alike(s->places[at], one))
		at = (at + 1) % s->n;
	return &s->places[at];
}
