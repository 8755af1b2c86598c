/*
 * Where lines of a log end: a file, a pipe, standard output or error, syslog.
 *
 * A sink never waits, except for a disk: what cannot be written now is refused,
 * what fails is lost. A line that was begun is finished before the next,
 * whatever happens in between. Belongs to one thread at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_SINK_H
#define NET_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/err.h"

struct sink;

/*
 * target: "stdout", "stderr", "syslog" (the socket /dev/log), "syslog:PATH" (a
 * socket elsewhere), else a file, which is made if need be. NULL: *why says
 * what is wrong, in words.
 */
struct sink *sink_open(const char *target, char *why, size_t size) MUST_CHECK;
void sink_close(struct sink *s);

/* Is it standard error, by whatever name? Two sinks on one pipe would tear each
   other's lines. */
bool sink_is_stderr(const struct sink *s);

/* Make the file that user's, who is to open it again later. Others stay. */
void sink_give(struct sink *s, uid_t uid, gid_t gid);

const char *sink_name(const struct sink *s);

enum sink_result {
	SINK_TAKEN,                     /* *taken bytes, whole lines, at least
					   one: go on with the rest */
	SINK_FULL,                      /* it would wait: see sink_poll_fd() */
	SINK_FAILED                     /* *taken bytes are lost; errno */
};

/* Write some of `lines`: whole lines, len > 0. */
enum sink_result sink_write(struct sink *s, const char *lines, size_t len,
    size_t *taken);

/* Finish a line that was begun. False: not now (errno), and if the sink is
   closed or opened again before it is, it stays a torn one. */
bool sink_finish(struct sink *s) MUST_CHECK;

/* To poll for POLLOUT after SINK_FULL; -1 = only time helps. */
int sink_poll_fd(const struct sink *s);

/* Is the file still where it was opened? Others always are. */
bool sink_is_current(const struct sink *s);

/* Open the file once more, by its name. -1 (errno): it stays as it is. Nothing
   to do for others. */
int sink_reopen(struct sink *s) MUST_CHECK;

/* Is it one that sink_reopen() has something to do for? */
bool sink_is_file(const struct sink *s);

#endif
