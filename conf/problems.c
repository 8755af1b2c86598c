/*
 * Problems: noting and sorting.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PROBLEM_TEXT_MAX 1024

void
problem_add(struct problems *p, int line, const char *path, const char *fmt,
    ...)
{
	char what[PROBLEM_TEXT_MAX], *text;
	va_list args;

	if (p->n == PROBLEMS_MAX) {
		p->left_out++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	if (asprintf(&text, "%s%s%s", path != NULL ? path : "",
	    path != NULL ? ": " : "", what) == -1) {
		p->failed = true;
		return;
	}
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	p->v[p->n++] = (struct problem){ .line = line, .text = text };
}

/* Insertion keeps the order of equals, and there are few. */
void
problems_sort(struct problems *p)
{
	for (size_t i = 1; i < p->n; i++) {
		struct problem one = p->v[i];
		size_t at = i;

		for (; at > 0 && p->v[at - 1].line > one.line; at--)
			p->v[at] = p->v[at - 1];
		p->v[at] = one;
	}
}

void
problems_fini(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].text);
	p->n = 0;
}
