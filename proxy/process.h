/*
 * Which process of this machine is at the other end of a client's connection.
 *
 * Only where the kernel lets weir know: the socket is found by sock_diag(7),
 * which tells its inode and its owner's uid to everybody, the process by the
 * descriptors in proc(5), which are hidden from other users; and in another PID
 * or network namespace nothing is found. What is not known stays so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROCESS_H
#define PROXY_PROCESS_H

#include "net/addr.h"
#include "net/worker.h"

struct process_finder;

enum { PROCESS_NAME_MAX = 17 };         /* proc_pid_comm(5), with its NUL */

/* One end that is looked for. */
struct process_end {
	struct addr_ip peer, here;      /* the client's address, and weir's that
					   it is connected to; family 0 = a Unix
					   socket, of which the pid is known */
	int64_t pid, uid;               /* -1 = not known */
	uint64_t inode;                 /* 0 = not found */
	char name[PROCESS_NAME_MAX];    /* of the process; "" = not known */
};

/*
 * What is looked for at a time. The mail is delivered to main when that is over,
 * or dropped where main has ended; until then it is the finder's.
 */
struct process_search {
	struct mail over;
	struct process_search *next;    /* the finder's */
	struct process_end *ends;
	size_t n;
};

/* Find them here and now: up to 2 s, so not on a loop. */
void process_look(struct process_end *ends, size_t n);

/* Its thread, which sends its answers to main, begins with the first search. NULL
   when out of memory. */
struct process_finder *process_finder_new(struct worker *main) MUST_CHECK;
/* Let the one with that socket look (scout.h) instead of its thread; -1 = none.
   Before the first search. Its end, after which nothing is found any more, is
   logged by main's loop. */
void process_finder_use(struct process_finder *f, int scout);
/* Before main's end: waits for the search that is under way, drops the rest. */
void process_finder_free(struct process_finder *f);

/* Without a thread, or a finder (NULL), the answer is that nothing is known. */
void process_search(struct process_finder *f, struct worker *main,
    struct process_search *what);

#endif
