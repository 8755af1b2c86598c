/*
 * Errors of a start or a reload that are not of a line of the file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ERRORS_H
#define PROXY_ERRORS_H

#include "conf/conf.h"
#include "net/err.h"

/* One more; conf_errors_fini() ends it with the others. When memory is short it
   is left out. */
void errors_add(struct conf_errors *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
