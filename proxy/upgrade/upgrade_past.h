/*
 * What there was before an upgrade, to compare with: the last reloads, what the
 * charts of the dashboard draw, and what advice is made of. Nothing depends on it: what is too large, or
 * there is no memory for, is left out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_PAST_H
#define PROXY_UPGRADE_UPGRADE_PAST_H

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_message.h"

/* The last reloads; there are no more of them until this upgrade is over. */
void past_tell_reloads(struct runtime *rt);
/* What the charts draw, and what advice is made of, as it is now. */
void past_tell_numbers(struct runtime *rt);

/* Is m one of those? Then it has been taken. */
bool past_take(struct runtime *rt, const struct message *m);

/* A reload as the raw bytes say, which is the caller's. -1: it makes no sense; then
   there is nothing to free. */
int past_unpack_reload(const struct message *m,
    struct reload_entry *e) MUST_CHECK;
/* The object, and malloc'd raw bytes; NULL when out of memory. */
json_t *past_pack_reload(const struct reload_entry *e, char **raw,
    size_t *raw_len) MUST_CHECK;

#endif
