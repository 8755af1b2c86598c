/*
 * A check's talk, without a checker and without a connection: it asks, and
 * hears an answer in pieces of any size.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_PROBE_TALK_H
#define TESTS_SUPPORT_PROBE_TALK_H

#include "health/probe.h"

struct probe_talk {
	const struct probe_ops *ops;
	const struct conf_upstream *conf;       /* the test's */
	struct block_store store;
	struct buf said;                /* by the probe, after its question */
};

void probe_talk_begin(struct probe_talk *t, const struct probe_ops *ops,
    const struct conf_upstream *conf);
void probe_talk_end(struct probe_talk *t);

/* Of an endpoint of that name it asks this. */
void probe_talk_asks(struct probe_talk *t, const char *authority,
    const char *wanted, size_t len);

/* Asks, and hears text in pieces of `piece` bytes, then the end if eof. */
enum probe_verdict probe_talk_hear(struct probe_talk *t, const char *text,
    size_t len, size_t piece, bool eof, char why[PROBE_WHY_MAX]);

/* In pieces of every size, with an end, the verdict is that; and where that is
   not good, why. */
void probe_talk_says(struct probe_talk *t, const char *text, size_t len,
    enum probe_verdict wanted, const char *wanted_why);

#endif
