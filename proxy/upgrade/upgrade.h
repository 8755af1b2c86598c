/*
 * One weir takes over from another without a moment in which nobody accepts,
 * and without losing a request, a connection that could be kept, or a number.
 *
 * The running one starts the binary it was started from, whatever lies there
 * now, and hands it, over a channel: its listening sockets, its secrets for TLS
 * tickets, the addresses it knows. The new one loads the file, makes all it
 * needs, waits until it is warm, and says "ready"; so far it accepts nothing, and
 * if it fails the old one goes on. Then idle connections, changes by hand and
 * counters go over, and "go" is said: the new one accepts, says "serving", and
 * the old one stops accepting and drains. What it counts and whatever becomes
 * idle there follows, until it ends. Both count pool.max in the same memory
 * (pool/cap.h).
 *
 * upgrade.c is the one that goes, and upgrade_leave.c from the moment on that the
 * other one serves; upgrade_new.c is the one that comes. Main's loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_H
#define PROXY_UPGRADE_UPGRADE_H

#include <sys/types.h>

#include "net/list.h"
#include "proxy/runtime.h"

struct live_upstream;

/* By runtime_start(), before the file is read: takes over what the weir before
   hands in, and the sockets of a service manager. -1 with a sentence in errors:
   the former has gone or makes no sense. */
int upgrade_init(struct runtime *rt, struct conf_errors *errors) MUST_CHECK;

/* Everything has been made and the lanes run: who took over goes on with that. */
void upgrade_started(struct runtime *rt);

/* The start has come to nothing: tell the weir before why. */
void upgrade_not_started(struct runtime *rt, const struct conf_errors *errors);

/* How this program was called. argv lives as long as the runtime. */
void upgrade_set_program(struct runtime *rt, char **argv);

/*
 * Begin: the new one has been started, *pid; 0: it will be in a moment, when the
 * weir before, which was only staying, has ended. -1 with a sentence in why: not now,
 * or not here. How it ended is in the numbers below and in the log.
 */
int upgrade_begin(struct runtime *rt, pid_t *pid, char *why, size_t size)
    MUST_CHECK;

/* Is one under way, or does the weir before still drain? Then nothing may be
   reloaded (*why says it). */
bool upgrade_is_under_way(const struct runtime *rt, const char **why);

/* Is there another weir, which may send connections as it makes them? */
bool upgrade_has_other(const struct runtime *rt);

/* The end is asked for: what is not over is given up, and whoever has taken over
   is not replaced any more. */
void upgrade_cancel(struct runtime *rt);

/* All lanes of one that goes are empty, or its time is up: it sends what it still
   has and then calls then(rt). False: it is none, nothing is called. */
bool upgrade_finish(struct runtime *rt, void (*then)(struct runtime *rt));

/* The lanes have ended: the rest of what was counted is told. */
void upgrade_last_words(struct runtime *rt);
void upgrade_fini(struct runtime *rt);

/* A reload has been taken over: listening sockets may be others. */
void upgrade_sockets_changed(struct runtime *rt);

/* Did the one that took over die, and could no other be had? */
bool upgrade_left_nobody(const struct runtime *rt);

/* Did the weir before vanish before this one could take over? */
bool upgrade_was_deserted(const struct runtime *rt);

/* Of an upstream that is made: where it is counted. */
void upgrade_find_cap(struct runtime *rt, const struct conf_upstream *conf,
    struct upstream *up);

/* Addresses that the weir before knew for a name, by live_endpoint.key: malloc'd,
   *n of them; NULL = none. *age_ms as follow_age_ms() has it. */
struct addr *upgrade_find_name(struct runtime *rt, const char *upstream,
    const char *key, size_t *n, int64_t *age_ms);

/* What was changed by hand of lu is something else, or it has left the file: so
   be it in the weir before, too, while that drains. */
void upgrade_ordered(struct live_upstream *lu);

/*
 * Who answers for an order: wait until the weir before obeys as well
 * (rt->unheard). w->heard(w) is called once, unless w->link is removed before.
 * Never while it has stopped, or when weir ends.
 */
struct upgrade_wait {
	struct list link;
	void (*heard)(struct upgrade_wait *w);
};
void upgrade_wait(struct runtime *rt, struct upgrade_wait *w);

/* For /stats. */
struct upgrade_result {
	uint64_t count;                 /* upgrades that went well, since the
					   first start */
	const char *last;               /* "none", "ok", "failed" */
	const char *state;              /* "idle", "starting", "taking_over",
					   "leaving" */
	const char *error;              /* of the last one; "" = none */
	int64_t at_s;                   /* 0 = never */
	uint64_t replaced;              /* that had taken over and died while
					   the one before still drained */
	const char *died;               /* the last of those, and how; "" =
					   none */
	int64_t before_pid;             /* the weir before, while it drains;
					   0 = none does */
};
struct upgrade_result upgrade_result(const struct runtime *rt);

#endif
