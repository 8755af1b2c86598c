/*
 * The rows of the table of commands, as commands.c looks them up. Everybody
 * else asks commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_TABLE_H
#define PROXY_REDIS_TABLE_H

#include "proxy/proto/redis/commands.h"

/* The commands of one first letter, short ones first, then by name. */
struct redis_letter {
	const struct redis_command *rows;
	size_t n;
};

extern const struct redis_letter redis_table[26];

#endif
