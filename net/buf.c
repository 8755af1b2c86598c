/*
 * Byte queues. See buf.h.
 *
 * A block is filled from its start; whoever holds the slice that ends where the
 * filling ends may go on filling it. That is how many small reads share a block
 * although slices of it have moved on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
block_store_init(struct block_store *s)
{
	pile_init(&s->small, sizeof(struct block) + BUF_SMALL, 512);
	pile_init(&s->medium, sizeof(struct block) + BUF_MEDIUM, 64);
	pile_init(&s->large, sizeof(struct block) + BUF_LARGE, 8);
	pile_init(&s->slices, sizeof(struct slice), 1024);
}

void
block_store_fini(struct block_store *s)
{
	pile_fini(&s->small);
	pile_fini(&s->medium);
	pile_fini(&s->large);
	pile_fini(&s->slices);
}

static struct pile *
pile_of(struct block_store *s, size_t size)
{
	switch (size) {
	case BUF_SMALL:
		return &s->small;
	case BUF_MEDIUM:
		return &s->medium;
	case BUF_LARGE:
		return &s->large;
	default:
		return NULL;
	}
}

struct block *
block_new(struct block_store *s, size_t size)
{
	struct pile *p = pile_of(s, size);
	struct block *b = p != NULL ? pile_get(p) :
	    malloc(sizeof(struct block) + size);

	if (b == NULL)
		return NULL;
	b->refs = 1;
	b->size = (uint32_t)size;
	b->used = 0;
	return b;
}

void
block_drop(struct block_store *s, struct block *b)
{
	struct pile *p;

	if (--b->refs > 0)
		return;
	p = pile_of(s, b->size);
	if (p != NULL)
		pile_put(p, b);
	else
		free(b);
}

/* Takes over the caller's reference to block. */
static int
push(struct block_store *s, struct buf *b, struct block *block, uint32_t at,
    uint32_t len)
{
	struct slice *sl = pile_get(&s->slices);

	if (sl == NULL)
		return -1;
	*sl = (struct slice){ NULL, block, at, len };
	if (b->last != NULL)
		b->last->next = sl;
	else
		b->first = sl;
	b->last = sl;
	b->len += len;
	b->held += block->size;
	return 0;
}

/* Unlink the first slice; its block reference goes to the caller. */
static struct block *
pop(struct block_store *s, struct buf *b)
{
	struct slice *sl = b->first;
	struct block *block = sl->block;

	b->first = sl->next;
	if (b->first == NULL)
		b->last = NULL;
	b->len -= sl->len;
	b->held -= block->size;
	pile_put(&s->slices, sl);
	return block;
}

/* Bytes that may still be written behind the last slice. */
static size_t
tail_room(const struct buf *b)
{
	const struct slice *sl = b->last;

	if (sl == NULL || sl->at + sl->len != sl->block->used)
		return 0;
	return sl->block->size - sl->block->used;
}

char *
buf_reserve(struct block_store *s, struct buf *b, size_t least, size_t size,
    size_t *room)
{
	struct block *block;

	*room = tail_room(b);
	if (*room >= least)
		return b->last->block->bytes + b->last->block->used;
	if (size < least)
		size = least;
	block = block_new(s, size);
	if (block == NULL)
		return NULL;
	/* An empty slice for buf_commit() to grow or to take away. */
	if (push(s, b, block, 0, 0) < 0) {
		block_drop(s, block);
		return NULL;
	}
	*room = size;
	return block->bytes;
}

void
buf_commit(struct block_store *s, struct buf *b, size_t written)
{
	struct slice *sl = b->last;

	sl->len += (uint32_t)written;
	sl->block->used += (uint32_t)written;
	b->len += (uint32_t)written;
	if (sl->len > 0)
		return;
	if (b->first == sl) {
		block_drop(s, pop(s, b));
		return;
	}
	for (sl = b->first; sl->next != b->last; sl = sl->next)
		;
	b->held -= b->last->block->size;
	block_drop(s, b->last->block);
	pile_put(&s->slices, b->last);
	sl->next = NULL;
	b->last = sl;
}

static size_t
block_size_for(size_t len)
{
	return len <= BUF_SMALL ? BUF_SMALL : len <= BUF_MEDIUM ? BUF_MEDIUM :
	    BUF_LARGE;
}

int
buf_append(struct block_store *s, struct buf *b, const void *bytes, size_t len)
{
	size_t room = tail_room(b);
	char *to;

	if (len == 0)
		return 0;
	if (room < len) {
		to = buf_reserve(s, b, len, block_size_for(len), &room);
		if (to == NULL)
			return -1;
	} else
		to = b->last->block->bytes + b->last->block->used;
	memcpy(to, bytes, len);
	buf_commit(s, b, len);
	return 0;
}

int
buf_append_block(struct block_store *s, struct buf *b, struct block *block,
    uint32_t at, uint32_t len)
{
	if (push(s, b, block_keep(block), at, len) == 0)
		return 0;
	block->refs--;
	return -1;
}

/* Move from->first whole, slice and all. */
static void
relink_first(struct buf *to, struct buf *from)
{
	struct slice *sl = from->first;

	from->first = sl->next;
	if (from->first == NULL)
		from->last = NULL;
	from->len -= sl->len;
	from->held -= sl->block->size;
	sl->next = NULL;
	if (to->last != NULL)
		to->last->next = sl;
	else
		to->first = sl;
	to->last = sl;
	to->len += sl->len;
	to->held += sl->block->size;
}

int
buf_pass(struct block_store *s, struct buf *to, struct buf *from, size_t n)
{
	while (n > 0) {
		struct slice *sl = from->first;

		if (sl->len <= n) {
			n -= sl->len;
			relink_first(to, from);
			continue;
		}
		if (buf_append_block(s, to, sl->block, sl->at,
		    (uint32_t)n) < 0)
			return -1;
		buf_drop(s, from, n);
		n = 0;
	}
	return 0;
}

int
buf_move(struct block_store *s, struct buf *to, struct buf *from, size_t n)
{
	while (n > 0) {
		struct slice *sl = from->first;
		uint32_t part = sl->len <= n ? sl->len : (uint32_t)n;

		if (part <= BUF_COPY && (to->last != NULL ||
		    part < sl->block->size / 4)) {
			if (buf_append(s, to, sl->block->bytes + sl->at,
			    part) < 0)
				return -1;
			buf_drop(s, from, part);
		} else if (part == sl->len) {
			relink_first(to, from);
		} else {
			if (buf_append_block(s, to, sl->block, sl->at,
			    part) < 0)
				return -1;
			buf_drop(s, from, part);
		}
		n -= part;
	}
	return 0;
}

void
buf_drop(struct block_store *s, struct buf *b, size_t n)
{
	while (n > 0) {
		struct slice *sl = b->first;

		if (n < sl->len) {
			sl->at += (uint32_t)n;
			sl->len -= (uint32_t)n;
			b->len -= (uint32_t)n;
			return;
		}
		n -= sl->len;
		block_drop(s, pop(s, b));
	}
}

void
buf_clear(struct block_store *s, struct buf *b)
{
	while (b->first != NULL)
		block_drop(s, pop(s, b));
}

const char *
buf_flat(struct block_store *s, struct buf *b, size_t n)
{
	struct buf flat = { 0 };
	struct block *block;
	size_t got = 0;

	if (b->first == NULL)
		return NULL;
	if (b->first->len >= n)
		return b->first->block->bytes + b->first->at;
	if (n > BUF_LARGE)
		return NULL;
	/* Room to grow in: a head that comes in small pieces is not copied
	   again for each of them. */
	block = block_new(s, n * 2 <= BUF_MEDIUM ? BUF_MEDIUM : BUF_LARGE);
	if (block == NULL)
		return NULL;
	while (got < n) {
		struct slice *sl = b->first;
		size_t part = sl->len < n - got ? sl->len : n - got;

		memcpy(block->bytes + got, sl->block->bytes + sl->at, part);
		got += part;
		block->used = (uint32_t)got;
		if (got == n && push(s, &flat, block, 0, (uint32_t)n) < 0) {
			/* Cannot happen: the slices just dropped are on the
			   pile, unless n was within the first one. */
			block_drop(s, block);
			return NULL;
		}
		buf_drop(s, b, part);
	}
	assert(flat.last != NULL);      /* the last turn has pushed */
	flat.last->next = b->first;
	b->first = flat.first;
	if (b->last == NULL)
		b->last = flat.last;
	b->len += flat.len;
	b->held += flat.held;
	return block->bytes;
}

const char *
buf_at(const struct buf *b, size_t at, size_t *len)
{
	const struct slice *sl = b->first;

	for (; sl != NULL; at -= sl->len, sl = sl->next)
		if (at < sl->len) {
			*len = sl->len - at;
			return sl->block->bytes + sl->at + at;
		}
	*len = 0;
	return NULL;
}

int
buf_iov(const struct buf *b, struct iovec *iov, int max, size_t *total)
{
	const struct slice *sl = b->first;
	int n = 0;

	for (*total = 0; sl != NULL && n < max; sl = sl->next, n++) {
		iov[n].iov_base = sl->block->bytes + sl->at;
		iov[n].iov_len = sl->len;
		*total += sl->len;
	}
	return n;
}
