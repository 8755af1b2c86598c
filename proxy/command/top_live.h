/*
 * `weir top` on a terminal: keys, signals and frames, whichever comes first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_LIVE_H
#define PROXY_COMMAND_TOP_LIVE_H

#include "proxy/command/call.h"

/*
 * Runs until q or a signal: 0. -1: weir has gone for good, and why says so. 1:
 * this terminal cannot be drawn on, nothing was done. The terminal is as it was
 * before in every case.
 */
int top_live(const struct call_target *t, char *why, size_t why_size)
    MUST_CHECK;

/* A weir that is not there may be back in a moment: it is tried again for so
   long. */
enum { TOP_GONE_MS = 10 * 1000, TOP_RETRY_MS = 500, TOP_SILENT_MS = 5 * 1000 };

#endif
