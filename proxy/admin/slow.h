/*
 * GET /slow: what every lane has kept of slow and failed exchanges (slow.h), and
 * why each was so (why.h). The lanes are asked by mail, as for a census.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_SLOW_H
#define PROXY_ADMIN_SLOW_H

struct caller;

/* The page. */
void slow_get(struct caller *c);

#endif
