/*
 * Paths of the admin port, put together of words that may hold any bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_PATH_H
#define PROXY_COMMAND_PATH_H

#include <stddef.h>
#include <stdio.h>

#include "net/err.h"
#include "net/memstream.h"

/* One in the making; begins with path_begin(). Memory that is out is told of at
   its end only. */
struct path {
	struct memstream text;
	FILE *out;                      /* of text; NULL = no memory */
	char between;                   /* before the next part of the query */
};

/* "/upstreams/", as it is. */
void path_begin(struct path *p, const char *fixed);

/* More of it, as it is; and any word, percent-encoded. */
void path_fixed(struct path *p, const char *fixed);
void path_word(struct path *p, const char *word);

/* A part of the query: "?key=value", then "&key=value"; NULL is left out. */
void path_query(struct path *p, const char *key, const char *value);

/* All of it, malloc'd; NULL when out of memory. */
char *path_end(struct path *p) MUST_CHECK;

#endif
