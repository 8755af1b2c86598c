/*
 * To be preloaded: one allocation fails, the one that the page says (control.h).
 * Who asked for it is written to standard error, and likewise who was about
 * when the process died of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "control.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH = 24 };

/* glibc's own, under names that no preloaded object takes. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static struct shim_control *page;

static void
tell(const char *what)
{
	void *at[DEPTH];
	int n = backtrace(at, DEPTH);

	if (write(2, what, strlen(what)) > 0)
		backtrace_symbols_fd(at, n, 2);
}

static void
dying(int number)
{
	tell("shim: died\n");
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static __attribute__((constructor)) void
begin(void)
{
	void *at[1];

	page = shim_open();
	if (page == NULL)
		return;
	/* The first one loads what it needs, which allocates. */
	(void)backtrace(at, 1);
	(void)signal(SIGSEGV, dying);
	(void)signal(SIGBUS, dying);
	(void)signal(SIGABRT, dying);
}

static bool
fails(void)
{
	if (page == NULL)
		return false;
	page->heap_seen++;
	if (page->heap_left <= 0 || atomic_fetch_sub(&page->heap_left, 1) != 1)
		return false;
	page->heap_failed++;
	tell("shim: no memory\n");
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
