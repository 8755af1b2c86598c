/*
 * Which file a weir was started with, as each answer of its admin port says in
 * the field Weir-File: so that who reads an address in one file does not give
 * orders to the weir of another.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_STARTED_H
#define PROXY_STARTED_H

#include <stdbool.h>

#include "net/err.h"

#define STARTED_FIELD "Weir-File"

/*
 * The field's value: the absolute path, links in it not followed, and
 * percent-encoded (RFC 3986 2.1) but for what may stand in a field as it is;
 * path NULL: "(built in)". Malloc'd; NULL when out of memory, or when it is too
 * long for a head: then nobody compares.
 */
char *started_with(const char *path) MUST_CHECK;

/* Is it the file at path, as far as can be seen from here: the same path, or the
   same file by another one? */
bool started_same(const char *value, const char *path);

#endif
