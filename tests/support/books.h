/*
 * The books of an upstream: do its lists, states, counters and caps agree?
 * Fails the running test where they do not. May be asked at any time outside of
 * the pool's own callbacks, in the thread that runs all its workers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_BOOKS_H
#define TESTS_SUPPORT_BOOKS_H

#include <stdbool.h>

struct endpoint;
struct pool;
struct upstream;

/*
 * at_rest: the loops have run dry, so that nothing is on its way from worker to
 * worker. Caps are not looked at: they may be lowered under what is open.
 */
void books_check(const struct upstream *up, bool at_rest);

/*
 * At rest: does anybody wait for what is there? An idle connection that fits,
 * a free place, or a place that an idle connection takes up which does not.
 */
void books_check_nobody_forgotten(const struct upstream *up);

/* Does new work of the pool go to e now, by bars, holds and backups? */
bool books_takes(const struct pool *p, const struct endpoint *e);

#endif
