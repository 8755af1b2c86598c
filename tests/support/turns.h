/*
 * Workers whose time is the test's. All of them run in the calling thread, turn
 * by turn, so that what passes between them does so in an order that can be
 * told; and a deadline passes when the test says that it is so late.
 *
 * Sockets are the kernel's: on loopback what was written has arrived.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_TURNS_H
#define TESTS_SUPPORT_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/worker.h"

enum { TURNS_MOST = 4 };

struct turns {
	struct worker   workers[TURNS_MOST];
	struct ev_check clocks[TURNS_MOST];
	unsigned n;
	int64_t  now_ns;
	uint64_t events;                /* that the loops have handled */
};

void turns_begin(struct turns *t, unsigned n);
void turns_end(struct turns *t);

/* One turn of one worker, without waiting for anything. */
void turns_step(struct turns *t, unsigned worker);

/* Turns of all, until nothing more comes of them. */
void turns_run(struct turns *t);

/* Time passes, deadline by deadline, with turns_run() at each. */
void turns_pass(struct turns *t, int64_t ms);

/* It is later all at once, as after a stopped process continues: one turn. */
void turns_leap(struct turns *t, int64_t ms);

/* Turns until done() says so; the kernel has 5 s of real time. */
bool turns_until(struct turns *t, bool (*done)(void *arg), void *arg);

/* Descriptors that this process has open. */
unsigned open_descriptors(void);

#endif
