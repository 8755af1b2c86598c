/*
 * Files that may change. See tls_watch.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOKS_BETWEEN = 60 };

/* By the change of its state, not of its bytes: one that becomes readable by
   chmod(1) counts, too. */
static struct tls_stamp
stamp_of(const char *path)
{
	struct tls_stamp stamp = { 0 };
	struct stat st;

	if (stat(path, &st) == 0)
		stamp = (struct tls_stamp){ .device = (uint64_t)st.st_dev,
		    .inode = (uint64_t)st.st_ino,
		    .size = (uint64_t)st.st_size,
		    .changed_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 +
		    st.st_ctim.tv_nsec };
	return stamp;
}

static bool
same(const struct tls_stamp *a, const struct tls_stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	    a->size == b->size && a->changed_ns == b->changed_ns;
}

int
tls_watch_add(struct tls_watch *w, const char *path)
{
	struct tls_watched *more;

	if (path == NULL)
		return 0;
	more = realloc(w->v, (w->n + 1) * sizeof(*more));
	if (more == NULL)
		return -1;
	w->v = more;
	more += w->n++;
	more->path = path;
	more->read = more->last = stamp_of(path);
	return 0;
}

void
tls_watch_fini(struct tls_watch *w)
{
	free(w->v);
	*w = (struct tls_watch){ 0 };
}

void
tls_watch_refused(struct tls_watch *w)
{
	w->again = LOOKS_BETWEEN;
}

bool
tls_watch_look(struct tls_watch *w)
{
	bool differs = false, rests = true;

	for (size_t i = 0; i < w->n; i++) {
		struct tls_watched *f = &w->v[i];
		struct tls_stamp now = stamp_of(f->path);

		differs = differs || !same(&now, &f->read);
		rests = rests && same(&now, &f->last);
		f->last = now;
	}
	if (w->again > 0 && --w->again == 0)
		differs = true;
	if (!differs || !rests)
		return false;
	w->again = 0;
	for (size_t i = 0; i < w->n; i++)
		w->v[i].read = w->v[i].last;
	return true;
}
