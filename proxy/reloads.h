/*
 * The last reloads: what came of them and what they changed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_RELOADS_H
#define PROXY_RELOADS_H

#include <stddef.h>
#include <stdint.h>

#include "conf/diff.h"

enum { RELOADS_KEPT = 10, RELOADS_TEXTS_MOST = 100 };

enum reload_end {
	RELOAD_OK,
	RELOAD_REFUSED,                 /* nothing has changed */
	RELOAD_REVERTED,                /* nobody confirmed it: what was before
					   is back */
	RELOAD_CONFIRMED,
	RELOAD_N_ENDS
};

/* "ok", "refused", "reverted", "confirmed" */
extern const char *const reload_ends[RELOAD_N_ENDS];

struct reload_entry {
	enum reload_end end;
	int64_t at_s;                   /* wall clock */
	uint64_t generation;            /* that runs since */
	char **texts;                   /* a change each; owned */
	size_t n_texts;
	size_t left_out;                /* beyond RELOADS_TEXTS_MOST */
	char *error;                    /* all of them, a line each; NULL = none;
					   owned */
};

/* Zeroed is empty. */
struct reloads {
	struct reload_entry v[RELOADS_KEPT];    /* newest first */
	size_t n;
};

/* One more. d and error may be NULL. When memory is short it has less to say. */
void reloads_add(struct reloads *r, enum reload_end end, uint64_t generation,
    const struct diff *d, const char *error);
/* One of the weir before this one, newer than what is there. Takes over what e
   owns. */
void reloads_put(struct reloads *r, struct reload_entry *e);
void reload_entry_fini(struct reload_entry *e);
void reloads_fini(struct reloads *r);

#endif
