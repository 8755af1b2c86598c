/*
 * Settings: what differs on a session from what the server gives everybody.
 *
 * A list is immutable and counted; the empty one is NULL. Clients and upstream
 * connections that agree have the same one, so that agreeing costs a comparison
 * of pointers. Connections move between threads: the count is atomic.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_SETTINGS_H
#define PROXY_POSTGRES_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

enum {
	PG_SETTINGS_MOST = 64 * 1024,   /* bytes of a list */
	PG_SETTINGS_CARRIED = 40 * 1024,
					/* up to here a client may fill one: what
					   the server reports of its own accord,
					   and a reset takes back to the start-up
					   packet, has room above */
	PG_SETTINGS_NAMES = 500         /* likewise: each is compared with all */
};

struct pg_settings {
	_Atomic unsigned refs;
	uint32_t len;
	char text[];                    /* name, value, each with its end; as
					   first set, names in any case */
};

static inline struct pg_settings *
pg_settings_keep(struct pg_settings *s)
{
	if (s != NULL)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void pg_settings_drop(struct pg_settings *s);

/* Take `other` in the place of *s. */
void pg_settings_set(struct pg_settings **s, struct pg_settings *other);

/* A list of that text, which may be empty all the same; with a reference. NULL
   when out of memory. */
struct pg_settings *pg_settings_of(const char *text, size_t len) MUST_CHECK;

/* NULL = not in it. */
const char *pg_settings_find(const struct pg_settings *s, const char *name);

bool pg_settings_equal(const struct pg_settings *a,
    const struct pg_settings *b);

/* Would the list stay within PG_SETTINGS_CARRIED and PG_SETTINGS_NAMES with
   it? */
bool pg_settings_fit(const struct pg_settings *s, const char *name,
    const char *value);

/* *s gets another value of that name, or with NULL none. -1: out of memory or
   above PG_SETTINGS_MOST, and *s is as it was. */
int pg_settings_change(struct pg_settings **s, const char *name,
    const char *value) MUST_CHECK;

/* One after the other: *at begins as 0. False at the end. */
bool pg_settings_next(const struct pg_settings *s, uint32_t *at,
    const char **name, const char **value);

#endif
