/*
 * JSON as text, without blanks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_SPELL_H
#define PROXY_ADMIN_SPELL_H

#include <jansson.h>

/*
 * What json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(15)) returns, in a
 * fraction of the time: a frame of many upstreams has 30,000 values, and goes
 * out each second. malloc'd; NULL when out of memory.
 */
char *spell_compact(const json_t *j);

#endif
