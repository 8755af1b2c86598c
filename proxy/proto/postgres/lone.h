/*
 * Texts that are one plain statement about the session, so plain that weir can
 * tell what it does without knowing SQL: SET, RESET, DEALLOCATE, and
 * set_config() with literals. Anything else is none of these.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_LONE_H
#define PROXY_POSTGRES_LONE_H

#include <stddef.h>

enum pg_lone_kind {
	PG_LONE_NONE,
	PG_LONE_SET,                    /* SET [SESSION] name TO | = value, or
					   SELECT set_config('name', 'value',
					   false) */
	PG_LONE_RESET,                  /* RESET name; SET ... TO DEFAULT */
	PG_LONE_DEALLOCATE              /* DEALLOCATE [PREPARE] name */
};

enum { PG_LONE_NAME = 64, PG_LONE_VALUE = 1024 };

struct pg_lone {
	enum pg_lone_kind kind;
	char name[PG_LONE_NAME];        /* as it is, in lower case if it was not
					   quoted */
	char value[PG_LONE_VALUE];      /* as set_config() takes it, and spelt
					   as the server does */
};

/* The text, without the 0 that ends it. */
void pg_lone_read(struct pg_lone *l, const char *text, size_t len);

#endif
