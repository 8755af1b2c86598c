/*
 * The line in the log about a lease that is held for too long: who holds it, for
 * what, in which process. A lane sees the lease, main has the process looked
 * for, and logs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LEAKS_H
#define PROXY_LEAKS_H

struct lease;

/* upstream->leaked; arg is the runtime. On a lane. Out of memory, nobody is told:
   it is counted all the same. */
void leaks_tell(void *arg, const struct lease *l);

#endif
