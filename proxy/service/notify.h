/*
 * What weir tells whoever started it: the datagrams of sd_notify(3), without
 * libsystemd. Without NOTIFY_SOCKET in the environment nothing is said.
 *
 *   READY=1      once it is warm, as /readyz says it; at the latest after
 *                NOTIFY_READY_MS, because an upstream that is down is no reason
 *                to have weir killed and started again
 *   STATUS=...   what is missing to be ready, whenever that changes
 *   RELOADING=1  with MONOTONIC_USEC, and READY=1 after it
 *   STOPPING=1   when it drains
 *   WATCHDOG=1   at half of WATCHDOG_USEC, by main's loop, while every
 *                worker's loop turns (proxy/service/watchdog.h)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SERVICE_NOTIFY_H
#define PROXY_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "net/deadline.h"
#include "net/err.h"

struct runtime;

enum { NOTIFY_READY_MS = 10 * 1000, NOTIFY_STATUS_MAX = 400 };

struct notify {
	struct sockaddr_un to;
	socklen_t to_len;               /* 0 = nobody wants to know */
	int64_t ping_every_ns;          /* 0 = nobody waits for WATCHDOG=1 */
	int64_t ping_at_ns, ready_by_ns;
	bool was_ready;                 /* READY=1 has been said, or is owed */
	bool ready_owed;                /* it could not be sent */
	bool unheard;                   /* nor the last of all; it is logged */
	bool stopping;
	char status[NOTIFY_STATUS_MAX]; /* the last one that was sent */
	struct runtime *runtime;
	struct deadline tick;
};

/*
 * Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment,
 * which stays as it is: a process that takes over finds them there too. A
 * WATCHDOG_PID that is not ours means that somebody else is waited for.
 */
void notify_init(struct notify *n);

/*
 * Send lines of "NAME=value" in one datagram. It costs three calls of the kernel
 * and never waits: where the manager's queue is full it is not sent. 0 also when
 * nobody wants to know; -1 when it could not be sent, which has been logged, the
 * first time of several. A text that begins with READY=1 is owed then, until one
 * is sent or a reload or the end makes it needless: main's tick pays that, once a
 * second; who has no runtime looks at n->ready_owed.
 */
int notify_send(struct notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* From now on pid is the service: for a process that has taken over from us.
   Whoever sends it is believed while it is the main process itself, which is so
   once only: up to half a second is waited for a queue that is full. */
int notify_main_pid(struct notify *n, pid_t pid);

/* rt->notify has been read; main's loop is about to run. */
void notify_start(struct runtime *rt);
/* Around a reload; error: why it was refused, NULL = it was not. */
void notify_reloading(struct runtime *rt);
void notify_reloaded(struct runtime *rt, const char *error);
/* Main is at something long, in one turn of its loop, and gets on with it: sends
   the ping that is due. Often is fine. */
void notify_alive(struct runtime *rt);
/* Another process speaks for the service from now on: whoever takes over says
   nothing before. */
void notify_end(struct runtime *rt);
/* That process has died: it is us again until another takes over. Nothing is said
   but that, and the pings. Believed where NotifyAccess= of systemd.exec(5) is not
   only the main process. */
void notify_bereft(struct runtime *rt);
/* It drains or ends. Twice is fine. */
void notify_stopping(struct runtime *rt);

#endif
