/*
 * What weir forbids itself once it has started, so that a mistake in a parser is
 * worth less to whoever finds it (`security.sandbox`):
 *
 *   - no new privileges by any exec (no_new_privs);
 *   - only the system calls that it needs (seccomp). Any other fails with
 *     ENOSYS, as on a kernel that has not got it: libraries know what to do
 *     then, and clients are better served by an error than by a dead proxy. The
 *     kernel's audit log names the call;
 *   - files are created, written and removed only in the folders that logs and
 *     Unix sockets of the configuration are in, and only programs in weir's own
 *     folder are executed (Landlock). Reading is left to the user's rights.
 *
 * A process that takes over (exec) inherits it, finds in its environment what it
 * is in, and does not put layer on layer: Landlock permits 16. It can only get
 * narrower, so a place that is not permitted needs a restart.
 *
 * What a kernel has not got is missing, and said; weir starts all the same.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SERVICE_SANDBOX_H
#define PROXY_SERVICE_SANDBOX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"

enum { SANDBOX_TEXT_MAX = 160 };

/* What may be done in a folder. */
enum sandbox_use {
	SANDBOX_FILES = 1,              /* create and write files */
	SANDBOX_SOCKETS = 2             /* create and remove Unix sockets */
};

struct sandbox_place {
	char *dir;                      /* without links */
	unsigned uses;
};

struct sandbox {
	const char *state;              /* "on", "log", "off", "unavailable" */
	char seccomp[SANDBOX_TEXT_MAX]; /* "on", or why not */
	char landlock[SANDBOX_TEXT_MAX];
	bool no_new_privs;
	char user[64];                  /* whom weir runs as */
	bool confined;                  /* places and core count */
	bool seals, seals_by_log;       /* sandbox_seal() has something to do */
	struct sandbox_place *places;   /* where something may be written */
	size_t n_places;
	bool core;                      /* the kernel may write a core of ours:
					   watchdog.action of the start */
};

/* Will sandbox_enter() hide other processes from weir? */
bool sandbox_will_hide(const struct conf *conf);

/* -1 with why: we were started by a weir whose sandbox does not permit what this
   configuration needs. */
int sandbox_may_start(const struct conf *conf, char *why, size_t size)
    MUST_CHECK;

/*
 * From here on, for files: Landlock is a matter of each thread, so before there
 * are others, and as the user that weir stays. -1 with why: out of memory.
 */
int sandbox_enter(struct sandbox *s, const struct conf *conf, char *why,
    size_t size) MUST_CHECK;

/* The rest, for all threads there are: when they have been started, which takes
   calls that weir does not need again. Logs what the sandbox is. */
void sandbox_seal(struct sandbox *s);

/* May a configuration be taken over within it? -1 with why: "needs a restart:
   ...". */
int sandbox_permits(const struct sandbox *s, const struct conf *conf,
    char *why, size_t size) MUST_CHECK;

void sandbox_fini(struct sandbox *s);

/* ------------------------------------------------ its parts, for sandbox.c */

/* Places to *v and *n, of which each is known once. -1: out of memory. */
int places_of(const struct conf *conf, struct sandbox_place **v, size_t *n)
    MUST_CHECK;
/* Those that a weir may well be given later, where there are such: folders that
   systemd made for it, and the usual ones. */
int places_usual(struct sandbox_place **v, size_t *n) MUST_CHECK;
void places_free(struct sandbox_place *v, size_t n);
/* The first of `wanted` that is not in `given`; NULL = all are. */
const struct sandbox_place *places_lacking(const struct sandbox_place *given,
    size_t n_given, const struct sandbox_place *wanted, size_t n_wanted);
/* What is in both, to *v and *n, as of places_of(). -1: out of memory. */
int places_common(const struct sandbox_place *a, size_t n_a,
    const struct sandbox_place *b, size_t n_b, struct sandbox_place **v,
    size_t *n) MUST_CHECK;

/* Permit only that from now on, in this thread and those that it starts. -1
   with why. core: the kernel may write a core of ours. */
int landlock_enter(const struct sandbox_place *v, size_t n, bool core,
    char *why, size_t size) MUST_CHECK;

/* Without that, would a core of ours fail? */
bool landlock_hinders_cores(void);

/* What the kernel loads this program with; "" = it needs nothing. */
void landlock_loader(char path[PATH_MAX]);

/* Which system calls are left to all threads of a process. */
enum seccomp_set {
	SECCOMP_WEIR,
	SECCOMP_LOG,                    /* all; others than weir's are logged */
	SECCOMP_SCOUT                   /* reading only; proxy/service/scout.h */
};

/* -1 with why. */
int seccomp_enter(enum seccomp_set set, char *why, size_t size);
/* Changes when the calls do. */
uint64_t seccomp_hash(void);
/* With n bytes more; not against malice. */
uint64_t sandbox_hash(uint64_t h, const void *bytes, size_t n);

#endif
