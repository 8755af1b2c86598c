/*
 * What a protocol brings to active checks: a question, or a talk of a few, and
 * one verdict on the answers. Connecting, deadlines and closing are the
 * checker's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HEALTH_PROBE_H
#define HEALTH_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "conf/conf.h"
#include "net/buf.h"
#include "pool/endpoint.h"

enum { PROBE_WHY_MAX = 64 };

enum probe_verdict {
	PROBE_MORE,                     /* the answer is not complete */
	PROBE_OK,
	PROBE_BAD,                      /* why[] says what is wrong */
	PROBE_FULL                      /* it lives, and has no place for one
					   more: why[] has its words */
};

/* PROBE_BAD, for that reason. */
static inline enum probe_verdict
probe_bad(char why[PROBE_WHY_MAX], const char *text)
{
	snprintf(why, PROBE_WHY_MAX, "%s", text);
	return PROBE_BAD;
}

struct probe_ops {
	size_t state_size;              /* zeroed for each check */
	/* Connected to a server that is to speak TLS as conf says now. 0: it does
	   from the start. 1: *out has what is to be said first, and the answer
	   goes to tls_answer(). -1 when out of memory. Before ask(), which
	   comes when TLS is on. NULL = 0. */
	int (*ask_tls)(const struct conf_upstream *conf, void *state,
	    struct block_store *store, struct buf *out);
	/* *in grew. PROBE_OK: it has been taken, and TLS begins. `out` is what
	   of the question has not been sent yet. */
	enum probe_verdict (*tls_answer)(void *state,
	    struct block_store *store, struct buf *in, const struct buf *out,
	    char why[PROBE_WHY_MAX]);
	/* Connected: append the question to *out. -1 when out of memory. */
	int (*ask)(const struct conf_upstream *conf, const struct endpoint *e,
	    void *state, struct block_store *store, struct buf *out);
	/* *in grew, or the server ended (eof). Takes what it has read, and
	   appends to *out what is to be said next; with PROBE_OK a farewell,
	   which need not arrive. */
	enum probe_verdict (*answer)(const struct conf_upstream *conf,
	    void *state, struct block_store *store, struct buf *in,
	    struct buf *out, bool eof, char why[PROBE_WHY_MAX]);
	/* The check is over, whatever came of it: the end of its state. NULL =
	   there is nothing to let go of. */
	void (*fini)(void *state);
};

#endif
