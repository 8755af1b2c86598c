/*
 * To be preloaded: one allocation fails, that which the page says (control.h).
 * Who asked for it is written to standard error, and likewise who was about
 * when the process died of it.
 *
 * What libconfig asks for is neither counted nor refused: its 1.5 never looks
 * whether it got anything, and no caller can make up for that.
 *
 * SPDX-License-Identifier: MIT
 */
#include "control.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH = 24 };

/* glibc's own, under names that no preloaded object takes. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static struct shim_control *page;

static uintptr_t spared, spared_end;    /* where libconfig's code is */

static int
find(struct dl_phdr_info *info, size_t size, void *arg)
{
	size_t i;

	(void)size;
	(void)arg;
	if (strstr(info->dlpi_name, "libconfig") == NULL)
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type == PT_LOAD && (h->p_flags & PF_X)) {
			spared = info->dlpi_addr + h->p_vaddr;
			spared_end = spared + h->p_memsz;
		}
	}
	return 1;
}

/* Does libconfig ask, by itself or through strdup() and the like? */
static bool
is_spared(void)
{
	void *at[8];
	int i, n = spared != 0 ? backtrace(at, 8) : 0;

	for (i = 0; i < n; i++)
		if ((uintptr_t)at[i] >= spared &&
		    (uintptr_t)at[i] < spared_end)
			return true;
	return false;
}

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
	struct shim_control *found = shim_open();
	void *at[1];

	if (found == NULL)
		return;
	/* The first one loads what it needs, which allocates. */
	(void)backtrace(at, 1);
	(void)dl_iterate_phdr(find, NULL);
	(void)signal(SIGSEGV, dying);
	(void)signal(SIGBUS, dying);
	(void)signal(SIGABRT, dying);
	page = found;
}

static bool
fails(void)
{
	if (page == NULL || is_spared())
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
