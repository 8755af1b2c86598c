/*
 * Tables on a terminal: columns as wide as what is in them, numbers to the
 * right; and the notes below them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TABLE_H
#define PROXY_COMMAND_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "net/err.h"

enum { TABLE_COLUMNS = 16 };

/* Embedded; begins zeroed, ends with table_fini(). */
struct table {
	const char *const *heads;       /* "-NAME": text, to the left; others
					   are numbers; ends with NULL */
	char **cells;                   /* row after row; NULL = no memory */
	size_t n_cells, room;
};

void table_init(struct table *t, const char *const *heads);
void table_fini(struct table *t);

/* The next cell, from left to right. Control characters become "?". */
void table_add(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Nothing at all when there are no rows. Columns are two blanks apart; one where
   that makes it fit 80. */
void table_print(const struct table *t, FILE *out);

/* Likewise after an empty line, and t ends. */
void table_section(struct table *t, FILE *out);

/* "head: text", broken at blanks before column 80; all lines but the first are
   set in. Control characters become "?". */
void table_note(FILE *out, const char *head, const char *text);

#endif
