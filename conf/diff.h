/*
 * What differs between two configurations, key by key, for people and programs.
 *
 * Compares all that conf_tell() tells, so that no row of the schema, no key of
 * a protocol can be forgotten. Listeners, upstreams, endpoints and whatever
 * else has a name are the same one while their name is. Secrets are compared
 * and never shown. What the files hold that a configuration names is not
 * compared here.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_DIFF_H
#define CONF_DIFF_H

#include <stddef.h>

#include "conf/conf.h"

/* What a change is of; the names are DIFF_KINDS by this. */
enum diff_kind {
	DIFF_LISTENER, DIFF_UPSTREAM, DIFF_ENDPOINT, DIFF_LIMIT, DIFF_SETTING,
	DIFF_N_KINDS
};
enum diff_how { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED, DIFF_N_HOWS };

extern const char *const diff_kinds[DIFF_N_KINDS];
extern const char *const diff_hows[DIFF_N_HOWS];

/* Longer ones end with "...": whole lists are long. */
enum { DIFF_TEXT_MOST = 2000 };

struct diff_change {
	enum diff_kind kind;
	enum diff_how how;
	char *owner;            /* the listener or upstream it is of, or in;
				   NULL = a key at the top */
	char *name;             /* of what it is of: an endpoint's; else as
				   owner, or the path */
	char *path;             /* "upstreams.app.pool.max" */
	char *from, *to;        /* as users write them, cut likewise; NULL = not
				   set, or a secret */
	char *text;             /* "upstream app: pool.max 64 -> 32"; at most
				   DIFF_TEXT_MOST bytes */
	int line;               /* of the listener, upstream or endpoint in the
				   newer one, for conf_place(); 0 = none */
};

/* Starts zeroed, ends with diff_fini(). */
struct diff {
	struct diff_change *v;
	size_t n;
};

/* What leads from `was` to `now`, in the order of the file. -1 when out of
   memory, and *d is empty. */
int diff_make(struct diff *d, const struct conf *was, const struct conf *now)
    MUST_CHECK;
void diff_fini(struct diff *d);

/* Is there a change of this path, or below it? */
bool diff_has(const struct diff *d, const char *path);

/*
 * One more, of a listener or an upstream as a whole, that the keys do not show;
 * what is "files that it names have changed". -1 when out of memory.
 */
int diff_add_fact(struct diff *d, enum diff_kind kind, const char *owner,
    const char *what, int line) MUST_CHECK;

#endif
