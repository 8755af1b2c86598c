/*
 * A ring of lines between two threads: one fills it, one empties it, neither
 * ever waits for the other. A line is written in place; when there is no room
 * for it, it is dropped and counted.
 *
 * The bell wakes whoever empties the rings, with one system call, and only when
 * it sleeps and wants to be woken for that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_RING_H
#define NET_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

enum {
	RING_BYTES = 256 * 1024,        /* of each ring */
	RING_LINE_MAX = 64 * 1024       /* most that can be reserved */
};

/* What a sleeper wants to be woken for; each includes those above it. */
enum bell_level {
	BELL_SILENT,                    /* awake */
	BELL_URGENT,                    /* lines that cannot wait */
	BELL_HALF,                      /* a ring that is half full */
	BELL_ANY
};

/* Owned by whoever sleeps; must outlive its rings. */
struct bell {
	_Atomic int wanted;             /* enum bell_level */
	int fd;                         /* readable when rung */
};

/* -1: no descriptor (errno). */
int bell_init(struct bell *b) MUST_CHECK;
void bell_fini(struct bell *b);

/* The sleeper: say what for, look at the rings once more, sleep until b->fd is
   readable; and when awake. */
void bell_listen(struct bell *b, enum bell_level level);
void bell_silence(struct bell *b);

struct ring;

/* One that rings b for each line, as `level`, and when it is half full. b may
   be NULL. NULL when out of memory. */
struct ring *ring_new(struct bell *b, enum bell_level level) MUST_CHECK;
void ring_free(struct ring *r);

/*
 * For the one thread that fills it. Room for a line of at most `most` bytes;
 * NULL: there is none, and the line is counted as dropped. Then write it there
 * and say its length, with the newline at its end, which is the only one in it;
 * or do nothing, and there was no line.
 */
char *ring_reserve(struct ring *r, size_t most) MUST_CHECK;
void ring_commit(struct ring *r, size_t len);

/* For the one thread that empties it. The oldest lines, as many as lie in one
   piece; 0 when it is empty. Then take the first n bytes of them away. */
size_t ring_front(struct ring *r, const char **lines);
void ring_take(struct ring *r, size_t n);

bool ring_is_empty(struct ring *r);
bool ring_is_half_full(struct ring *r);

/* Everything in it, in two pieces (lengths 0 = none), without taking it: for a
   process that dies, whichever thread notices. */
void ring_look(struct ring *r, const char *lines[2], size_t len[2]);

/* From any thread. Lines dropped since the start. */
uint64_t ring_dropped(const struct ring *r);

#endif
