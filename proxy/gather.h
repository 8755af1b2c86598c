/*
 * Something that every lane is asked for: a letter goes to each, which does its
 * part on that thread, and comes back to main.
 *
 * What is gathered outlives whoever wants it: it is freed when it is let go on
 * main and every letter has come back or was dropped, in whichever thread that
 * happens. Nothing here waits; who wants it by a time sets one of his own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_GATHER_H
#define PROXY_GATHER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "net/worker.h"

struct gather;
struct gather_part;
struct lane;

struct gather_ops {
	/* On the lane's thread: fills what surrounds the part. */
	void (*visit)(struct worker *w, struct gather_part *p);
	/* On main: the last part is back. May let go of all. Not called when a
	   lane has ended and its letter was dropped. */
	void (*whole)(struct gather *all);
	/* In any thread: frees it. */
	void (*release)(struct gather *all);
};

/* A lane's share, embedded: the lane fills it, then only main looks at it. */
struct gather_part {
	struct mail mail;
	struct gather *all;
	struct lane *lane;
	bool back;                      /* main's: it has been filled */
};

/* Embedded. */
struct gather {
	const struct gather_ops *ops;
	unsigned missing;               /* main's: parts not back */
	_Atomic unsigned refs;          /* letters out, and holders */
};

/* With one reference, the caller's. */
void gather_init(struct gather *all, const struct gather_ops *ops);

/* On main: post a part to a lane. All are asked before main's loop goes on. */
void gather_ask(struct gather *all, struct gather_part *p, struct lane *lane);

/* One reference more, and one less. */
void gather_keep(struct gather *all);
void gather_drop(struct gather *all);

#endif
