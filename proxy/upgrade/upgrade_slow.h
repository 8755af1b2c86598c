/*
 * Slow and failed exchanges (proxy/slow.h) across an upgrade: what the old weir
 * has kept is told while the new one starts, and then what came to it, to the
 * last moment; there the lanes keep it beside their own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_SLOW_H
#define PROXY_UPGRADE_UPGRADE_SLOW_H

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_channel.h"
#include "proxy/upgrade/upgrade_message.h"

struct slow_entry;

/* One that tells, in its struct upgrade; zeroed: nothing has been told. Main's. */
struct slow_told {
	uint64_t *numbers;              /* of each lane's, the last one; NULL:
					   none */
	bool asking;                    /* lanes have been asked */
};

/*
 * Ask the lanes for what they have kept since it was told last, and tell it when
 * all have answered: a moment later. Mail that is posted to every lane after this
 * comes back when that has been done. Where memory is short less is told.
 */
void slow_tell(struct runtime *rt);
/* Likewise at once: the lanes have ended. */
void slow_tell_rest(struct runtime *rt);
/* Another one is told from the beginning. */
void slow_forget_told(struct slow_told *told);

/* One of those has come. */
void slow_take(struct runtime *rt, const struct message *m);

/* The message about an exchange that ended at e->at_ns, as it is at now_ns: its
   object and, malloc'd, its raw bytes. NULL when out of memory. */
json_t *slow_pack(const struct slow_entry *e, int64_t now_ns, char **raw,
    size_t *raw_len) MUST_CHECK;
/* -1: it makes no sense. */
int slow_unpack(const struct message *m, int64_t now_ns,
    struct slow_entry *e) MUST_CHECK;

#endif
