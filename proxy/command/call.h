/*
 * One request to the admin port of a running weir, as the command-line client
 * makes it: plain blocking sockets, every step with a time limit.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_CALL_H
#define PROXY_COMMAND_CALL_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/err.h"
#include "proxy/command/whose.h"

/* Where that weir is. */
struct call_target {
	struct addr addr;
	char        shown[ADDR_TEXT_MAX];       /* for people and for Host */
	char       *token;              /* NULL = none; owned */
	struct whose *whose;            /* NULL = anybody's */
};

/* An answer that is being read. */
struct call {
	int      fd;
	unsigned status;
	char    *file;                  /* which it was started with, by the
					   head; until call_read() */
	int64_t  left;                  /* body bytes to come; -1 = until EOF */
	size_t   at, len;               /* read already: bytes[at .. len) */
	char     bytes[8192];
};

/*
 * "host:port", "unix:/path"; a name is looked up. An address of all interfaces
 * becomes the loopback one. -1 with a sentence in why.
 */
int call_target_parse(struct call_target *t, const char *text, char *why,
    size_t why_size) MUST_CHECK;
void call_target_set(struct call_target *t, const struct addr *addr);
void call_target_fini(struct call_target *t);

/*
 * Connect, send, read the head. method is "GET" or "POST", path begins with
 * "/". timeout_ms is for each wait, and for sending and the head together. -1
 * with a sentence in why that names the address; then there is nothing to end.
 */
int call_begin(struct call *c, const struct call_target *t, const char *method,
    const char *path, int64_t timeout_ms, char *why, size_t why_size)
    MUST_CHECK;

/* Next bytes of the body: how many, 0 at its end, -1 with why when it was cut
   off or late. */
int64_t call_read(struct call *c, char *out, size_t size, char *why,
    size_t why_size) MUST_CHECK;
void call_end(struct call *c);

/* As call_whole() with POST, and a text as the request's body. */
int call_post(const struct call_target *t, const char *path, const char *text,
    int64_t timeout_ms, char **body, char *why, size_t why_size) MUST_CHECK;

/* All of it: the status, or -1 with why. *body is malloc'd, ends with a NUL. */
int call_whole(const struct call_target *t, const char *method,
    const char *path, int64_t timeout_ms, char **body, char *why,
    size_t why_size) MUST_CHECK;

#endif
