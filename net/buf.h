/*
 * Byte queues made of slices of reference-counted blocks. Moving bytes from one
 * queue to another moves slices; only what is small is copied, so that a small
 * slice never keeps a big block alive.
 *
 * Everything here belongs to one thread: the store of blocks is handed in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_BUF_H
#define NET_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/err.h"
#include "net/pile.h"

enum {
	BUF_SMALL = 2048,               /* block sizes, bytes of data in each */
	BUF_MEDIUM = 16 * 1024,
	BUF_LARGE = 256 * 1024,
	BUF_COPY = 2048                 /* slices up to this are copied on a move */
};

struct block {
	uint32_t refs;
	uint32_t size;                  /* bytes[] */
	uint32_t used;                  /* filled from the start; only grows */
	char     bytes[];
};

struct slice {
	struct slice *next;
	struct block *block;            /* one reference each */
	uint32_t at, len;               /* len > 0 */
};

struct buf {
	struct slice *first, *last;
	uint32_t len;                   /* bytes in all */
	uint32_t held;                  /* bytes of blocks that the slices keep
					   alive; what limits are held against */
};

struct block_store {                    /* one for each thread */
	struct pile small, medium, large, slices;
};

void block_store_init(struct block_store *s);
void block_store_fini(struct block_store *s);

/* One reference; size one of BUF_*, or larger and then not pooled. */
struct block *block_new(struct block_store *s, size_t size) MUST_CHECK;
void block_drop(struct block_store *s, struct block *b);

static inline struct block *
block_keep(struct block *b)
{
	b->refs++;
	return b;
}

static inline void
buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

/*
 * Room for writing at the end: at least `least` bytes, in a block of `size` if
 * a new one is needed. Returns NULL when out of memory, else the place and
 * *room; then buf_commit() says how much was written (0 is fine).
 */
char *buf_reserve(struct block_store *s, struct buf *b, size_t least,
    size_t size, size_t *room) MUST_CHECK;
void buf_commit(struct block_store *s, struct buf *b, size_t written);

/* Copy bytes to the end. -1 when out of memory, and then nothing changed. */
int buf_append(struct block_store *s, struct buf *b, const void *bytes,
    size_t len) MUST_CHECK;

/* Add a slice of a block to the end, taking a reference of its own. */
int buf_append_block(struct block_store *s, struct buf *b, struct block *block,
    uint32_t at, uint32_t len) MUST_CHECK;

/* Move the first n bytes of `from` (n <= from->len) to the end of `to`. On -1
   (out of memory) some may have moved: none is lost or doubled. */
int buf_move(struct block_store *s, struct buf *to, struct buf *from, size_t n)
    MUST_CHECK;

/* Likewise without copying: for bytes that move on before the turn ends. */
int buf_pass(struct block_store *s, struct buf *to, struct buf *from, size_t n)
    MUST_CHECK;

/* Forget the first n bytes, n <= len. */
void buf_drop(struct block_store *s, struct buf *b, size_t n);
void buf_clear(struct block_store *s, struct buf *b);

/* The first n bytes (n <= len) in one piece; NULL when out of memory. They may
   move into one block; n above BUF_LARGE is refused with NULL. */
const char *buf_flat(struct block_store *s, struct buf *b, size_t n) MUST_CHECK;

/* The first slice's bytes; *len 0 when empty. */
static inline const char *
buf_front(const struct buf *b, size_t *len)
{
	if (b->first == NULL) {
		*len = 0;
		return NULL;
	}
	*len = b->first->len;
	return b->first->block->bytes + b->first->at;
}

/* What is there from a position on, as far as it is in one piece; *len 0: nothing
   is. */
const char *buf_at(const struct buf *b, size_t at, size_t *len);

/* Fill at most max entries; returns how many, and the bytes in *total. */
int buf_iov(const struct buf *b, struct iovec *iov, int max, size_t *total);

#endif
