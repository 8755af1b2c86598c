/*
 * The admin port's JSON as tables for people.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_SHOW_H
#define PROXY_COMMAND_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which rows; zeroed = all. */
struct show_filter {
	const char *upstream;           /* of this name only; NULL = all */
	bool leased;                    /* only leased connections */
	int64_t older_ms;               /* in their state at least so long */
};

void show_stats(FILE *out, const json_t *stats, const struct show_filter *f);
/* One endpoint of an upstream, as weir answers when it was changed. */
void show_endpoint(FILE *out, const char *upstream, const json_t *endpoint);
void show_connections(FILE *out, const json_t *j, const struct show_filter *f);
void show_dns(FILE *out, const json_t *j, const struct show_filter *f);
/* What was slow or failed and why; f->upstream may be a listener's name too. */
void show_why(FILE *out, const json_t *j, const struct show_filter *f);
/* The answer of /key, in a line. */
void show_key(FILE *out, const json_t *j);

#endif
