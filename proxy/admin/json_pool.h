/*
 * The parts of /stats about what is done to an upstream by hand, and what its
 * pool should be.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_JSON_POOL_H
#define PROXY_ADMIN_JSON_POOL_H

#include <jansson.h>

#include "proxy/view.h"

/* null when there is none. */
json_t *json_fault(const struct view_upstream *v);

/* null until enough was seen. */
json_t *json_advice(const struct view_upstream *v);

#endif
