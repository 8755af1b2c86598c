/*
 * Reloads: one snapshot takes over from another, for good or until somebody has
 * confirmed it.
 *
 * A reload is load, check, prepare, commit. Preparing may fail and touches
 * nothing that is live; committing cannot fail, except for memory, which is
 * taken beforehand.
 *
 * Of one that awaits its confirmation the way back is prepared too, before it is
 * committed, so that going back cannot fail: its memory is taken, its sockets
 * are held. Nothing is taken away meanwhile. Listeners and addresses that have
 * left the file still accept, and serve under the snapshot that had them; so do
 * upstreams, with their warm pools. A client that found its port closed, or
 * waited in a queue that nobody reads, would be hurt by what may turn out to be
 * a mistake; and what is confirmed is that all this may go.
 *
 * Meanwhile, as RFC 6241 8.4 has it: a further reload with a confirmation begins
 * its time anew, and the way back still leads to what was last taken for good;
 * one without is for good itself. Unlike there, one without whose file says what
 * runs already confirms nothing: SIGHUP may come from somebody who knows
 * nothing of it. A file that says what was last taken for good is no change
 * that would have to be confirmed. Draining ends the wait, and nothing goes
 * back.
 *
 * Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/diff.h"
#include "net/deadline.h"
#include "net/err.h"

struct passage;
struct runtime;

/* A reload that awaits its confirmation. Zeroed: there is none. */
struct confirm {
	struct passage *back;           /* prepared; NULL = nothing is awaited */
	int64_t until_ns;               /* as it was promised; the deadline is
					   a little later */
	int64_t until_s;                /* wall clock; 0 without `back` */
	bool drop_overrides;            /* when it is confirmed */
	struct deadline deadline;
};

/* What a confirmation finds. */
enum confirmed {
	CONFIRMED,                      /* what was awaited is for good */
	CONFIRMED_BEFORE,               /* nothing is awaited, and what runs is
					   what the last reload has taken, or
					   the start */
	CONFIRMED_NOT,                  /* nothing is, and that is otherwise:
					   who means the last one is wrong */
	CONFIRMED_SHORT                 /* of memory; it is awaited still */
};

/* What came of it. */
struct reload_done {
	struct diff diff;               /* what it changed */
	struct conf_errors warnings;    /* what cannot be taken back */
	int64_t confirm_until_s;        /* 0 = nothing is awaited */
};

/* NULL, or why none would be taken now, whatever its file says: static text. */
const char *reload_barred(const struct runtime *rt);

/*
 * Load the file again and take it over: all or nothing. confirm_ms 0 = for good.
 * 0, or -1 with every error; then all is as it was. Logged and remembered either
 * way. *done is for the caller to end with reload_done_fini(), in any case.
 */
int reload_take(struct runtime *rt, int64_t confirm_ms,
    struct conf_errors *errors, struct reload_done *done) MUST_CHECK;
void reload_done_fini(struct reload_done *done);

/* For one that awaits its confirmation: end all changes by hand when it comes. */
void reload_drop_overrides(struct runtime *rt);

/* It is for good. *why: a sentence, for the last two. */
enum confirmed reload_confirm(struct runtime *rt, const char **why) MUST_CHECK;

/* Unix seconds until when somebody has to; 0 = nothing is awaited. */
int64_t reload_awaits(const struct runtime *rt);

/* weir drains or ends: nothing goes back any more. */
void reload_end(struct runtime *rt);

#endif
