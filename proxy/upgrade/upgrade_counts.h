/*
 * Counters across an upgrade: what the old weir has counted is told to the new
 * one, all of it when that takes over and then what came to it, to the last
 * moment; there it is added to what the new one counts itself. So no total ever
 * goes back. By name: the two may be of different versions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_COUNTS_H
#define PROXY_UPGRADE_UPGRADE_COUNTS_H

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_message.h"

struct counts;

/* Of the one that tells: what it has told so far. NULL when out of memory. */
struct counts *counts_new(void) MUST_CHECK;
void counts_free(struct counts *c);

/* Say what has been counted since the last time, a message for each listener,
   upstream, endpoint and for the program. say() takes the reference; NULL: there
   was no memory for it. */
void counts_tell(struct counts *c, struct runtime *rt,
    void (*say)(void *arg, json_t *j), void *arg);

/* One of those has come. What is of lanes is added by mail to the first one: it
   is there when that has worked off its mail. */
void counts_take(struct runtime *rt, const struct message *m);

#endif
