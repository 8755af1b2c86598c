/*
 * Is an endpoint fit? Active checks and passive ejection of one upstream's
 * endpoints, on main's loop. What it finds it writes into the endpoints as bars
 * (pool/endpoint.h), and tells whoever owns it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HEALTH_CHECKER_H
#define HEALTH_CHECKER_H

#include "conf/conf.h"
#include "health/probe.h"
#include "net/worker.h"
#include "pool/endpoint.h"

struct checker;

/*
 * changed(arg) after a result, an ejection or the end of one has changed
 * whether an endpoint is usable: the pools have to look. Never called from
 * inside the functions below, whose callers tell the pools themselves. NULL
 * when out of memory.
 */
struct checker *checker_new(struct worker *main, const char *name,
    void (*changed)(void *arg), void *arg) MUST_CHECK;
void checker_free(struct checker *c);

/*
 * The configuration or the roster is new: checks begin, go on or end. What is
 * known of endpoints that stay is kept; a check that is switched off takes its
 * bar away. probe NULL = to be connected to is enough. roster: the checker
 * takes a reference of its own. -1 when out of memory: then some endpoints are
 * not checked until the next call.
 */
int checker_configure(struct checker *c, const struct conf_upstream *conf,
    const struct probe_ops *probe, struct roster *roster) MUST_CHECK;

/* The upstream has left the file: nothing is checked any more. */
void checker_leave(struct checker *c);

/*
 * What is set by hand for e has changed. forced: it counts as usable whatever
 * is found, until it is forced no more; what had been found then holds again.
 * With BAR_DOWN nothing is checked; when that has gone e is checked at once and
 * the first result decides. Does not call changed().
 */
void checker_hand(struct checker *c, struct endpoint *e, bool forced);

/* For how many ms yet is e ejected? 0 = it is not. */
int64_t checker_ejected_ms(struct checker *c, const struct endpoint *e);

/* It was ejected before this process began, and stays so for so long. Does not
   call changed(). */
void checker_eject(struct checker *c, struct endpoint *e, int64_t ms);

/* endpoint.suspect of all its endpoints, with the checker as arg: from any
   worker; e has failed eject_after times in a row. */
void checker_suspect(void *checker, struct endpoint *e);

#endif
