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
struct admin_past;
struct json_t;                          /* of jansson */
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

/*
 * What the charts draw and what percentiles are reckoned by, for a weir that
 * takes over: said by the one before, as trend_tell() and history_tell() do;
 * there gathered in *past, NULL at first, and put in the place of its own when
 * it has the numbers that those are of. Which also frees it, as does
 * admin_past_free(). What is of names that are not there is passed over.
 */
void admin_tell_past(struct runtime *rt, void (*say)(void *arg,
    struct json_t *j, const void *raw, size_t raw_len), void *arg);
void admin_take_past(struct runtime *rt, struct admin_past **past,
    const struct json_t *j, const void *raw, size_t raw_len);
void admin_put_past(struct runtime *rt, struct admin_past **past);
void admin_past_free(struct admin_past **past);

/* When the log's level goes back to the file's, of main's clock; INT64_MAX = not by
   itself. */
int64_t admin_quieten_ns(const struct runtime *rt);

/* Closes everything, removes socket files. Fine without admin_start(). */
void admin_stop(struct runtime *rt);

#endif
