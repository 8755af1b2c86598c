/*
 * Who looks at other processes for a weir that is confined: Landlock hides
 * their descriptors from it (landlock(7), ptrace restrictions), by which
 * process.h finds who a local client is. A process of weir's user, forked before
 * weir confines itself, which reads, answers that one question, and may do
 * nothing else.
 *
 * It lives until the last weir that has its socket has ended: one that takes
 * over inherits it, since what it could start itself would be confined too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SERVICE_SCOUT_H
#define PROXY_SERVICE_SCOUT_H

#include <stdbool.h>

#include "proxy/process.h"

/*
 * Its socket: inherited, or, where that is wanted, of one that begins now. With
 * one thread. -1 = there is none; when one could not be started, that has been
 * logged.
 */
int scout_open(bool wanted);

/* As process_look(), by it. From any thread. Without an answer nothing is
   found. */
void scout_look(int scout, struct process_end *ends, size_t n);

#endif
