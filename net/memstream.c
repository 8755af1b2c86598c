/*
 * Texts in memory. See memstream.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/memstream.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 256 };

/* With room for the NUL. */
static int
make_room(struct memstream *m, size_t more)
{
	size_t room = m->room > 0 ? m->room : ROOM_FIRST;
	char *bytes;

	if (more > SIZE_MAX / 2 - m->len - 1)
		return -1;
	while (room < m->len + more + 1)
		room *= 2;
	if (room == m->room)
		return 0;
	bytes = realloc(m->bytes, room);
	if (bytes == NULL)
		return -1;
	m->bytes = bytes;
	m->room = room;
	return 0;
}

/* 0 is an error, for which the stream keeps its flag (fopencookie(3)). */
static ssize_t
append(void *cookie, const char *from, size_t len)
{
	struct memstream *m = cookie;

	if (make_room(m, len) < 0)
		return 0;
	memcpy(m->bytes + m->len, from, len);
	m->len += len;
	return (ssize_t)len;
}

/* For ftell() only. */
static int
whereabouts(void *cookie, off64_t *at, int whence)
{
	struct memstream *m = cookie;

	if (whence != SEEK_CUR || *at != 0)
		return -1;
	*at = (off64_t)m->len;
	return 0;
}

FILE *
memstream_open(struct memstream *m)
{
	static const cookie_io_functions_t io = {
		.write = append, .seek = whereabouts
	};

	*m = (struct memstream){ .len = 0 };
	m->out = fopencookie(m, "w", io);
	/* It is one thread's: a lock for each putc() is most of what a large
	   text costs. */
	if (m->out != NULL)
		(void)__fsetlocking(m->out, FSETLOCKING_BYCALLER);
	return m->out;
}

char *
memstream_close(struct memstream *m, size_t *len)
{
	bool whole = fflush(m->out) == 0 && !ferror(m->out);

	whole = fclose(m->out) == 0 && whole && make_room(m, 0) == 0;
	m->out = NULL;
	if (!whole) {
		free(m->bytes);
		m->bytes = NULL;
		return NULL;
	}
	m->bytes[m->len] = '\0';
	if (len != NULL)
		*len = m->len;
	return m->bytes;
}
