/*
 * Rings of lines, and the bell. See ring.h.
 *
 * Positions count bytes since the start and only grow. A line never lies across
 * the end: what is left of the ring there is skipped, and since less than one
 * round lies between the two threads, one place to remember that is enough.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/count.h"

enum { CACHE_LINE = 64 };

_Static_assert((RING_BYTES & (RING_BYTES - 1)) == 0, "wraps by a mask");
_Static_assert(RING_LINE_MAX <= RING_BYTES / 4, "a long line must find room");

struct ring {
	/* Of the one that fills it. */
	uint64_t start;                 /* where the reserved line begins */
	uint64_t head_seen;             /* head, when last looked */
	struct bell *bell;              /* NULL = nobody to wake */
	enum bell_level level;
	counter dropped;
	/* Published by it: skip before tail, tail before the bell is asked. */
	_Atomic uint64_t skip;          /* bytes end here; go on in the next
					   round. Only for this or the last
					   one. */
	_Atomic uint64_t tail;          /* end of the last whole line */
	char apart[CACHE_LINE];
	/* Of the one that empties it. */
	_Atomic uint64_t head;
	char apart_too[CACHE_LINE];
	char bytes[RING_BYTES];
};

/* --------------------------------------------------------------------- bell */

int
bell_init(struct bell *b)
{
	atomic_init(&b->wanted, BELL_SILENT);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->fd < 0 ? -1 : 0;
}

void
bell_fini(struct bell *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

/*
 * Asleep or not, and a line or none, are written by different threads, and each
 * reads the other's afterwards: sequential consistency, or both could miss it.
 */
void
bell_listen(struct bell *b, enum bell_level level)
{
	atomic_store(&b->wanted, (int)level);
}

void
bell_silence(struct bell *b)
{
	uint64_t rings;
	ssize_t n;

	atomic_store(&b->wanted, BELL_SILENT);
	n = read(b->fd, &rings, sizeof(rings));
	(void)n;                        /* nothing there is fine */
}

/* From any thread, in signal handlers too. */
static void
bell_ring(struct bell *b, enum bell_level level)
{
	static const uint64_t one = 1;
	ssize_t n;

	if (atomic_load(&b->wanted) < (int)level)
		return;
	/* Only the first of many calls the kernel. */
	if (atomic_exchange(&b->wanted, BELL_SILENT) == BELL_SILENT)
		return;
	n = write(b->fd, &one, sizeof(one));
	(void)n;                        /* full = it has been rung */
}

/* --------------------------------------------------------------------- ring */

struct ring *
ring_new(struct bell *b, enum bell_level level)
{
	/* Pages that no line ever reaches are never touched. */
	struct ring *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->bell = b;
	r->level = level;
	return r;
}

void
ring_free(struct ring *r)
{
	free(r);
}

static inline size_t
offset_of(uint64_t position)
{
	return (size_t)(position & (RING_BYTES - 1));
}

static bool
has_room(struct ring *r, uint64_t end)
{
	if (likely(end - r->head_seen <= RING_BYTES))
		return true;
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return end - r->head_seen <= RING_BYTES;
}

char *
ring_reserve(struct ring *r, size_t most)
{
	uint64_t start = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (offset_of(start) + most > RING_BYTES)
		start += RING_BYTES - offset_of(start);
	if (unlikely(most > RING_LINE_MAX || !has_room(r, start + most))) {
		count_add(&r->dropped, 1);
		return NULL;
	}
	r->start = start;
	return r->bytes + offset_of(start);
}

/* As far as the last look tells; a look now if that is too far. */
static bool
has_reached_half(struct ring *r, uint64_t tail)
{
	if (likely(tail - r->head_seen < RING_BYTES / 2))
		return false;
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return tail - r->head_seen >= RING_BYTES / 2;
}

void
ring_commit(struct ring *r, size_t len)
{
	uint64_t before = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint64_t tail = r->start + len;

	assert(len > 0 && len <= RING_LINE_MAX);
	if (r->start != before)
		atomic_store_explicit(&r->skip, before, memory_order_relaxed);
	atomic_store(&r->tail, tail);   /* before the bell's wish is read */
	if (r->bell != NULL)
		bell_ring(r->bell, has_reached_half(r, tail) &&
		    r->level > BELL_HALF ? BELL_HALF : r->level);
}

/* Where the oldest line begins. */
static uint64_t
oldest(struct ring *r, uint64_t tail)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	if (head != tail && offset_of(head) != 0 &&
	    head == atomic_load_explicit(&r->skip, memory_order_relaxed))
		head += RING_BYTES - offset_of(head);
	return head;
}

/* Bytes in one piece from head on. */
static size_t
piece(struct ring *r, uint64_t head, uint64_t tail)
{
	uint64_t round = head - offset_of(head) + RING_BYTES;
	uint64_t skip = atomic_load_explicit(&r->skip, memory_order_relaxed);

	if (tail <= round)
		return (size_t)(tail - head);
	/* The tail is in the next round: this one ends at its end or where the
	   rest was skipped. */
	return (size_t)((skip > head && skip < round ? skip : round) - head);
}

size_t
ring_front(struct ring *r, const char **lines)
{
	uint64_t tail = atomic_load(&r->tail);
	uint64_t head = oldest(r, tail);

	*lines = r->bytes + offset_of(head);
	return piece(r, head, tail);
}

void
ring_take(struct ring *r, size_t n)
{
	uint64_t head = oldest(r, atomic_load_explicit(&r->tail,
	    memory_order_relaxed));

	atomic_store_explicit(&r->head, head + n, memory_order_release);
}

bool
ring_is_empty(struct ring *r)
{
	return atomic_load(&r->tail) ==
	    atomic_load_explicit(&r->head, memory_order_relaxed);
}

bool
ring_is_half_full(struct ring *r)
{
	return atomic_load(&r->tail) - atomic_load_explicit(&r->head,
	    memory_order_relaxed) >= RING_BYTES / 2;
}

void
ring_look(struct ring *r, const char *lines[2], size_t len[2])
{
	uint64_t tail = atomic_load(&r->tail);
	uint64_t head = oldest(r, tail);

	lines[0] = r->bytes + offset_of(head);
	len[0] = piece(r, head, tail);
	/* Whatever does not end the round begins the next one. */
	lines[1] = r->bytes;
	len[1] = tail - offset_of(tail) > head ? offset_of(tail) : 0;
}

uint64_t
ring_dropped(const struct ring *r)
{
	return count_read(&r->dropped);
}
