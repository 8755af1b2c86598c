/*
 * What `weir -V` says.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_VERSION_H
#define PROXY_VERSION_H

#include <stdio.h>

/* weir's version, then those of its libraries as they run. */
void version_print(FILE *out);

#endif
