/*
 * What `weir -V` says.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_VERSION_H
#define PROXY_VERSION_H

#include <stdio.h>

struct json_t;

/* weir's version, then those of its libraries as they run. */
void version_print(FILE *out);

/* The same: "version", "libraries" by name, "kernel_tls". A new reference; NULL
   when out of memory. */
struct json_t *version_json(void);

#endif
