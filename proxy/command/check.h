/*
 * `weir check`: a file is judged, nothing is bound and nobody asked.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_CHECK_H
#define PROXY_COMMAND_CHECK_H

#include <stdbool.h>

struct check_options {
	const char *path;
	bool offline;                   /* certificates are not opened */
	bool json;
};

/* Prints mistakes and warnings to standard error; to standard output that the
   file is fine, or all of it as JSON. Returns the exit status. */
int check_run(const struct check_options *o);

#endif
