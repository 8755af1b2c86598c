/*
 * What a reload would change, said before it is done; and what one has changed.
 *
 * Reads and compares, and tries whether new addresses are free; touches nothing
 * that lives. Numbers of connections and clients are of this moment. Main's
 * alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PLAN_H
#define PROXY_PLAN_H

#include "conf/conf.h"
#include "conf/diff.h"
#include "net/err.h"
#include "proxy/outlook.h"

struct runtime;

/* Of one upstream that runs: what becomes of its connections. */
struct plan_pool {
	char *upstream;
	bool touched;                   /* something of it changes, or it leaves */
	unsigned stay;                  /* idle and leased, with what opens */
	unsigned close_now;             /* idle */
	unsigned close_later;           /* leased, or opening: when they come
					   back */
	double moved;                   /* share of its keys that would go to
					   another endpoint, 0 .. 1; negative =
					   it does not go by keys */
};

struct plan {
	bool ok;                        /* the file could be taken over; if not,
					   and there is conf: for its addresses
					   or the sandbox */
	const char *barred;             /* reload_barred(); then addresses were
					   not tried */
	struct conf_errors errors;      /* as `weir check` has them */
	struct conf_errors warnings;
	struct diff diff;               /* empty: nothing would change */
	struct plan_pool *pools;
	size_t n_pools;
	struct outlook outlook;         /* of one that has no mistakes */
	/* By index in diff: it takes effect at the next start only. */
	bool *at_start;
	struct conf *conf;              /* as read; NULL: it has mistakes */
};

/*
 * A reload of a text (conf/sent.h) that its sender calls `name`, or of the file
 * itself (NULL). NULL when out of memory; ends with plan_free().
 */
struct plan *plan_make(struct runtime *rt, const char *text, const char *name)
    MUST_CHECK;
void plan_free(struct plan *p);

/* Like diff_make(), and what the files hold that both name. */
int plan_diff(struct diff *d, const struct conf *was, const struct conf *now)
    MUST_CHECK;

/* What a person is told of a change. */
enum { PLAN_TEXT_MOST = DIFF_TEXT_MOST + 48 };
void plan_text(const struct diff_change *c, char *out, size_t size);

/* Does a change of this path take effect at the next start only? */
bool plan_waits_for_start(const char *path);

/* What becomes of an upstream's connections, in a sentence; false when nothing
   does. */
bool plan_pool_text(const struct plan_pool *p, char *out, size_t size);

/* That no reload is taken now; false when one is. */
bool plan_barred_text(const struct plan *p, char *out, size_t size);

/*
 * What a person is told of it, without warnings and errors: a line each, for
 * `say`; one that says so when nothing would change. For nobody else's eyes
 * than those of the errors: no line holds a secret.
 */
void plan_tell(const struct plan *p, void (*say)(void *arg, const char *line),
    void *arg);

#endif
