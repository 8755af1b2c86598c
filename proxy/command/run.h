/*
 * `weir run -- COMMAND`: weir and the application that it serves as one. A small
 * process of one thread, which may be process 1, starts weir, and the
 * application when weir is warm; hands signals on; reaps whatever is left to it;
 * stops the application first, then weir; and returns the application's exit
 * status.
 *
 * It learns from weir what a service manager does (proxy/service/notify.h), and hands
 * that on to one if there is one. It neither drops privileges nor confines
 * itself: the application is to have what weir was started with.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_RUN_H
#define PROXY_COMMAND_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "net/err.h"

/* In weir's environment: the process that runs it. One that takes over ends with
   that too, which is its parent only when the one before has ended. */
#define RUN_VARIABLE "WEIR_RUN"

struct run_options {
	char **command;                 /* ends with NULL */
	int64_t timeout_ms;             /* to be warm */
	int64_t stop_ms;                /* from the signal to the kill */
	bool anyway;                    /* start it though weir is not warm */
	struct rlimit descriptors;      /* as weir was started; for the
					   application */
};

/* argv are the words between `run` and `--`. -1: it has been complained. */
int run_parse(struct run_options *o, int argc, char **argv) MUST_CHECK;

/*
 * serve() runs weir, in a process of its own, and returns its exit status.
 * Returns that of `weir run`: the application's; 128 and its number when a
 * signal ended it; 126 or 127 when it could not be started, as shells have it;
 * 1 when weir was not warm in time, or has failed.
 */
int run_command(const struct run_options *o, int (*serve)(void *arg),
    void *arg);

#endif
