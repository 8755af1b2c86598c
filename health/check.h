/*
 * One check of one endpoint: connect, ask, read the answer, close, with one
 * deadline over all of it. What the result means is the checker's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HEALTH_CHECK_H
#define HEALTH_CHECK_H

#include "health/probe.h"
#include "net/worker.h"

struct check;

enum check_result {
	CHECK_GOOD,
	CHECK_BAD,                      /* why says what is wrong */
	CHECK_FULL,                     /* it serves those who are there, and
					   has no place for a check */
	CHECK_NOTHING                   /* it says nothing of the endpoint: this
					   machine is short of something, or
					   this process was stopped */
};

typedef void check_done_fn(void *arg, enum check_result result,
    const char *why);

/*
 * Begin. probe NULL = to be connected to is enough. done(arg) is called once,
 * perhaps from inside this call, and then NULL is returned; else the check is,
 * and the caller forgets it when done() comes. e and conf stay for as long.
 */
struct check *check_begin(struct worker *main,
    const struct conf_upstream *conf, const struct probe_ops *probe,
    const struct endpoint *e, check_done_fn *done, void *arg) MUST_CHECK;

/* Go on under a new configuration. */
void check_configure(struct check *k, const struct conf_upstream *conf);

/* No more of it; done() is not called. */
void check_abandon(struct check *k);

#endif
