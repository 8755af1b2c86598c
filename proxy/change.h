/*
 * The step from one snapshot to the next: sockets by address, all else by name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_CHANGE_H
#define PROXY_CHANGE_H

#include "proxy/runtime.h"

struct change;

/*
 * Everything that may fail: binds what is new, makes what is new, takes the
 * memory. Touches nothing live. NULL with a sentence in why, and then conf is
 * still the caller's; else it belongs to the change.
 */
struct change *change_prepare(struct runtime *rt, struct conf *conf, char *why,
    size_t why_size) MUST_CHECK;

/*
 * The way back from `after`, which is prepared and is to be committed next, to
 * conf, of which all is still in place. What it needs of sockets is taken now.
 * As above; conf stays alive for as long as it is anybody's.
 */
struct change *change_prepare_back(struct runtime *rt, struct conf *conf,
    const struct change *after, char *why, size_t why_size) MUST_CHECK;

/* Makes room in `c` for the addresses that back has and c has not, which are to
   stay. -1 when out of memory. */
int change_hold(struct change *c, const struct change *back) MUST_CHECK;

/*
 * Cannot fail. The new snapshot is rt->gen; lanes take it over by mail. What
 * `back` has stays in place, whether it is in the new one or not; NULL: nothing
 * does. A snapshot of the same conf as the running one keeps its number.
 */
void change_commit(struct change *c, const struct change *back);

/* conf is the caller's again. */
void change_abandon(struct change *c);

/* What was withheld (rt->withheld) goes to the lanes: they accept. */
void change_open_doors(struct runtime *rt);

/* At the end of the program: the files of Unix sockets. */
void change_unlink_sockets(struct runtime *rt);

#endif
