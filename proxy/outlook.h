/*
 * What a plan (plan.h) has to say beside the file: clients that would have to
 * go, what was changed by hand, a reload that awaits its confirmation, and
 * whether new addresses are free.
 *
 * All of it is of this moment, and of a reload without a confirmation. Touches
 * nothing that lives. Main's alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_OUTLOOK_H
#define PROXY_OUTLOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"

struct runtime;

/* A listener that goes, or stays without an address that it has. */
struct outlook_listener {
	char *name;
	uint64_t clients;               /* connected now */
	bool goes;
	bool held;                      /* it has left the file before, and was
					   left in place for the confirmation */
	const char *how;                /* what becomes of them */
};

/* Something that was changed by hand. */
struct outlook_hand {
	char *upstream, *endpoint;      /* NULL = the upstream as a whole */
	const char *what;               /* "drain", "paused"; as /stats has it */
	unsigned weight;                /* 0 = as in the file */
	int64_t until_s;                /* Unix seconds; 0 = for good */
	bool stays;                     /* false: it ends, with what it is of */
	bool sleeps;                    /* until its endpoint is back: as
					   override_sleeps() */
};

struct outlook {
	int64_t confirm_until_s;        /* 0 = no reload awaits it */
	uint64_t generation;            /* that does */
	bool same;                      /* the file says what runs */
	struct outlook_listener *listeners;
	size_t n_listeners;
	struct outlook_hand *hands;
	size_t n_hands;
};

/* same: `next` is what runs; then nothing goes. -1 when out of memory;
   outlook_fini() in any case. */
int outlook_make(struct outlook *o, struct runtime *rt, const struct conf *next,
    bool same) MUST_CHECK;
void outlook_fini(struct outlook *o);

/*
 * Addresses of `next` at which nobody of this weir listens are tried, as a
 * reload would bind them; of very many the first few thousand. 0, or -1 with an
 * error for each that is not to be had.
 */
int outlook_try(struct runtime *rt, const struct conf *next,
    struct conf_errors *errors) MUST_CHECK;

/*
 * A warning for each address of the running weir that `next` has not, where the
 * socket is a service manager's: that goes on listening, so nobody can bind it
 * anew.
 */
void outlook_given_up(struct runtime *rt, const struct conf *next,
    struct conf_errors *warnings);

/* Sentences; false when there is nothing to say of it. */
bool outlook_confirm_text(const struct outlook *o, char *out, size_t size);
bool outlook_listener_text(const struct outlook_listener *l, char *out,
    size_t size);
void outlook_hand_text(const struct outlook_hand *h, char *out, size_t size);

/* All of them, a line each. */
void outlook_tell(const struct outlook *o, void (*say)(void *arg,
    const char *line), void *arg);

#endif
