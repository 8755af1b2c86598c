/*
 * The first words of a statement, without any value of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_POSTGRES_BRIEF_H
#define PROXY_PROTO_POSTGRES_BRIEF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed: there was none. Not terminated. */
struct pg_brief {
	uint8_t len;
	char text[47];
};

void pg_brief_note(struct pg_brief *b, const char *text, size_t len);

#endif
