/*
 * Errors. See errors.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
errors_add(struct conf_errors *e, const char *fmt, ...)
{
	char **more = realloc(e->v, (e->n + 1) * sizeof(*more));
	va_list ap;

	if (more == NULL)
		return;
	e->v = more;
	va_start(ap, fmt);
	if (vasprintf(&e->v[e->n], fmt, ap) >= 0)
		e->n++;
	va_end(ap);
}
