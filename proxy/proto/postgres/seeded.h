/*
 * uthash for what comes from clients: texts, and names of users and databases.
 * Seeded with an address that they cannot know, so that nobody can choose some
 * that collide. Without memory one is not added, where uthash itself would end
 * the process.
 *
 * Comes before anything that includes <uthash.h>.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_POSTGRES_SEEDED_H
#define PROXY_PROTO_POSTGRES_SEEDED_H

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uintptr_t
seeded_here(void)
{
	static char here;

	return (uintptr_t)&here;
}

#define HASH_FUNCTION(bytes, len, hash) \
	((hash) = (unsigned)XXH64(bytes, len, seeded_here()))
#define HASH_NONFATAL_OOM 1

#endif
