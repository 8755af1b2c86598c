/*
 * Frames of /stats/stream, one a second, for `weir top`: read without keeping
 * whoever waits for other things too from them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_FEED_H
#define PROXY_COMMAND_TOP_FEED_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/command/call.h"

/* Embedded; zeroed, then feed_open() any number of times, then feed_close(). */
struct feed {
	struct call call;
	bool   open;                    /* call.fd may be polled for input */
	char  *text;                    /* what has come of a frame */
	size_t len, room;
};

/* -1 with a sentence in why; waits at most a few seconds. */
int feed_open(struct feed *f, const struct call_target *t, char *why,
    size_t why_size) MUST_CHECK;
void feed_close(struct feed *f);

/*
 * Take what has come: call.fd is readable, or it has just been opened. *frame is
 * the newest whole frame, which the caller owns, or NULL when none is whole
 * yet. -1 with a sentence in why: the stream is over, and closed.
 */
int feed_read(struct feed *f, json_t **frame, char *why, size_t why_size)
    MUST_CHECK;

#endif
