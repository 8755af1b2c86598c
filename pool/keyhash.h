/*
 * Hash functions of keys, bit for bit as twemproxy computes them, so that a key
 * is found where twemproxy has put it.
 *
 * They spread well-meant keys over servers and are no defence against chosen
 * ones: who chooses keys chooses their server, here as there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_KEYHASH_H
#define POOL_KEYHASH_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

/* MD5's 16 bytes (RFC 1321) as four numbers, lowest byte first. */
struct keyhash_md5 {
	uint32_t part[4];
};

/* Takes no memory and cannot fail. len may be 0. */
uint32_t keyhash(enum conf_key_function f, const void *key, size_t len);

struct keyhash_md5 keyhash_md5(const void *bytes, size_t len);

#endif
