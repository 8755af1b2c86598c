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

struct probe_ops {
	size_t state_size;              /* zeroed for each check */
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
