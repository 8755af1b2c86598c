/*
 * Where a key goes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_KEYS_H
#define PROXY_ADMIN_KEYS_H

struct caller;

/* GET /key?upstream=NAME&key=KEY, of an upstream with balance = "key_hash". */
void keys_get(struct caller *c);

#endif
