/*
 * POST /upgrade: another binary takes over. What came of it is in /stats.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_UPGRADES_H
#define PROXY_ADMIN_UPGRADES_H

struct caller;

void upgrades_begin(struct caller *c);

#endif
