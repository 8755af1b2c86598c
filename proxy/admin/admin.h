/*
 * The admin port: numbers, the dashboard and a few orders, over HTTP/1.1 on
 * main's loop. It reads the runtime and calls its functions; nothing of the
 * proxy depends on it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_ADMIN_H
#define PROXY_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"

struct addr;
struct admin_change;
struct runtime;

/*
 * Bind what conf says and serve it; sets rt->admin. -1 with a sentence in why,
 * and then nothing is bound.
 */
int admin_start(struct runtime *rt, const struct conf *conf, char *why,
    size_t why_size) MUST_CHECK;

/*
 * For a reload: bind the addresses that are new in next, touching nothing live.
 * NULL with a sentence in why. What comes back ends in admin_commit(), from
 * where on next is what counts, or in admin_abandon().
 */
struct admin_change *admin_prepare(struct runtime *rt, const struct conf *next,
    char *why, size_t why_size) MUST_CHECK;
/* Addresses of `back` stay open, too; NULL: none does. */
void admin_commit(struct runtime *rt, struct admin_change *change,
    const struct conf *back);
void admin_abandon(struct admin_change *change);

/* While another weir takes over nobody new is let in: who connects waits for
   whoever it is that goes on. */
void admin_rest(struct runtime *rt, bool on);
/* Is somebody to be answered yet? */
bool admin_owes(const struct runtime *rt);
/* All who are connected are let go. */
void admin_dismiss(struct runtime *rt);
void admin_each_gate(struct runtime *rt, void (*each)(void *arg,
    const struct addr *addr, int fd, bool foreign), void *arg);

/* When the log's level goes back to the file's, of main's clock; INT64_MAX = not by
   itself. */
int64_t admin_quieten_ns(const struct runtime *rt);

/* Closes everything, removes socket files. Fine without admin_start(). */
void admin_stop(struct runtime *rt);

#endif
