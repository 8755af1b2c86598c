/*
 * What a request to the admin port is for: paths with names in them, and the
 * words of a query. Pure functions over text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_TARGET_H
#define PROXY_ADMIN_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

/*
 * Does a path fit a pattern such as "/upstreams/NAME/endpoints/ENDPOINT"? Words
 * in capitals stand for any text that is not empty; the last one for all that
 * follows, slashes included: an endpoint may be called unix:/path.
 */
bool target_fits(const char *pattern, const char *path);

/*
 * The text for which the n-th such word stands (from 0), percent-decoded. -1
 * when the path does not fit, the text is longer than out, or it is not rightly
 * encoded: "%" without two hexadecimal digits, or a NUL (RFC 3986 2.1).
 */
int target_part(const char *pattern, const char *path, unsigned n, char *out,
    size_t size) MUST_CHECK;

/*
 * The value of a key, percent-decoded: "" when it has none, NULL when the key
 * is not there. What is longer than out is cut; what is not rightly encoded
 * stays as it is.
 */
const char *target_query(const char *query, const char *key, char *out,
    size_t size);

/*
 * The first key that is not one of known (which ends with NULL), or that comes
 * for the second time: whoever wrote it meant something that is not going to
 * happen. NULL = there is none. "pretty" is known everywhere.
 */
const char *target_stray(const char *query, const char *const *known,
    char *out, size_t size);

#endif
