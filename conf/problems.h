/*
 * What is wrong with a file, gathered while it is read and put in file order.
 *
 * Lines are those of the text with its includes in place (conf/text.h); who
 * prints them asks the text for file and line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_PROBLEMS_H
#define CONF_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

#define PROBLEMS_MAX 100        /* more help nobody */

struct problem {
	int   line;             /* 0 = the whole file */
	char *text;             /* "path: what, expected" */
};

struct problems {
	struct problem v[PROBLEMS_MAX];
	size_t n;
	size_t left_out;        /* beyond PROBLEMS_MAX */
	bool   failed;          /* out of memory while noting one */
};

/*
 * Notes a problem. path ("listeners.web.bind") may be NULL. Control characters
 * become "?": values from a file end up on terminals and in logs.
 */
void problem_add(struct problems *p, int line, const char *path,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Is what is noted from here on only counted? Then words need not be looked for. */
static inline bool
problems_full(const struct problems *p)
{
	return p->n == PROBLEMS_MAX;
}

/* By line; those of one line stay as they came. */
void problems_sort(struct problems *p);
void problems_fini(struct problems *p);

#endif
