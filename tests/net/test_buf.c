/*
 * net/buf: byte queues against flat arrays, under random use; and what they
 * share, copy and keep alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { QUEUES = 4, MOST = 1200000, STEPS = 20000 };

static struct block_store store;

static void
append(struct buf *b, const char *text)
{
	assert_int_equal(buf_append(&store, b, text, strlen(text)), 0);
}

static void
is(struct buf *b, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(b->len, len);
	if (len > 0)
		assert_memory_equal(buf_flat(&store, b, len), text, len);
}

/* -------------------------------------------------------------- the model */

static struct buf queue[QUEUES];
static char *flat[QUEUES];
static uint64_t dice;

static uint32_t
roll(uint32_t n)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((dice >> 33) % n);
}

/* Small things mostly, and around the sizes that matter. */
static size_t
some_length(void)
{
	static const size_t edges[] = { BUF_COPY, BUF_SMALL, BUF_MEDIUM / 4,
		BUF_MEDIUM, BUF_LARGE / 4, BUF_LARGE };

	switch (roll(4)) {
	case 0:
		return roll(20);
	case 1:
		return edges[roll(NELEMS(edges))] + roll(3) - 1;
	case 2:
		return roll(3000);
	default:
		return roll(40000);
	}
}

/* As many as anybody wants, which begin anywhere. */
static const char *
some_bytes(void)
{
	enum { STARTS = 4096 };
	static char bytes[BUF_LARGE * 2 + STARTS];
	size_t i;

	if (bytes[0] == 0)
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(1 + roll(255));
	return bytes + roll(STARTS);
}

static void
check_queue(const struct buf *b, const char *bytes)
{
	const struct slice *sl;
	size_t len = 0, held = 0;

	for (sl = b->first; sl != NULL; sl = sl->next) {
		assert_true(sl->len > 0);
		assert_true(sl->block->refs > 0);
		assert_true(sl->at + sl->len <= sl->block->used);
		assert_true(sl->block->used <= sl->block->size);
		assert_memory_equal(sl->block->bytes + sl->at, bytes + len,
		    sl->len);
		if (sl->next == NULL)
			assert_ptr_equal(b->last, sl);
		len += sl->len;
		held += sl->block->size;
	}
	assert_int_equal(b->len, len);
	assert_int_equal(b->held, held);
	assert_true(len > 0 || (b->first == NULL && b->last == NULL));
}

static void
flat_add(unsigned to, const char *bytes, size_t len)
{
	memcpy(flat[to] + queue[to].len - len, bytes, len);
}

/* The model's half of buf_move, buf_pass and buf_drop. */
static void
flat_move(int to, unsigned from, size_t n, size_t from_len)
{
	if (to >= 0)
		flat_add((unsigned)to, flat[from], n);
	memmove(flat[from], flat[from] + n, from_len - n);
}

static void
step_append(unsigned q)
{
	size_t len = some_length();
	const char *bytes = some_bytes();

	assert_int_equal(buf_append(&store, &queue[q], bytes, len), 0);
	flat_add(q, bytes, len);
}

static void
step_reserve(unsigned q)
{
	static const size_t sizes[] = { BUF_SMALL, BUF_MEDIUM, BUF_LARGE };
	size_t least = some_length() + 1, room, written;
	const char *bytes = some_bytes();
	char *to;

	to = buf_reserve(&store, &queue[q], least, sizes[roll(3)], &room);
	assert_non_null(to);
	assert_true(room >= least);
	written = roll(3) == 0 ? 0 : roll((uint32_t)(room + 1));
	memcpy(to, bytes, written);
	buf_commit(&store, &queue[q], written);
	flat_add(q, bytes, written);
}

static void
step_block(unsigned q)
{
	struct block *block = block_new(&store, BUF_MEDIUM);
	const char *bytes = some_bytes();
	uint32_t at = roll(BUF_MEDIUM - 1), len = 1 + roll(BUF_MEDIUM - at);

	assert_non_null(block);
	memcpy(block->bytes, bytes, BUF_MEDIUM);
	block->used = BUF_MEDIUM;
	assert_int_equal(buf_append_block(&store, &queue[q], block, at, len),
	    0);
	assert_int_equal(block->refs, 2);
	block_drop(&store, block);
	flat_add(q, bytes + at, len);
}

static void
step_move(unsigned q)
{
	unsigned to = (q + 1 + roll(QUEUES - 1)) % QUEUES;
	size_t len = queue[q].len, n = roll((uint32_t)len + 1);

	if (queue[to].len + n > MOST)
		return;
	if (roll(2) == 0)
		assert_int_equal(buf_move(&store, &queue[to], &queue[q], n), 0);
	else
		assert_int_equal(buf_pass(&store, &queue[to], &queue[q], n), 0);
	flat_move((int)to, q, n, len);
	check_queue(&queue[to], flat[to]);
}

static void
step_drop(unsigned q)
{
	size_t len = queue[q].len, n = roll((uint32_t)len + 1);

	buf_drop(&store, &queue[q], n);
	flat_move(-1, q, n, len);
}

static void
step_flat(unsigned q)
{
	size_t n = roll(queue[q].len + 1), len;
	const char *bytes = buf_flat(&store, &queue[q], n);

	if (queue[q].len == 0) {
		assert_null(bytes);
		return;
	}
	if (bytes == NULL) {
		assert_true(n > BUF_LARGE);
		return;
	}
	assert_memory_equal(bytes, flat[q], n);
	assert_ptr_equal(bytes, buf_front(&queue[q], &len));
	assert_true(len >= n);
}

static void
step_iov(unsigned q)
{
	struct iovec iov[8];
	size_t total, at = 0;
	int n = buf_iov(&queue[q], iov, 1 + (int)roll(8), &total), i;

	for (i = 0; i < n; i++) {
		assert_memory_equal(iov[i].iov_base, flat[q] + at,
		    iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_int_equal(total, at);
}

static void
step(unsigned q)
{
	bool is_full = queue[q].len > MOST - 2 * BUF_LARGE;

	switch (roll(10)) {
	case 0:
	case 1:
		if (!is_full)
			step_append(q);
		return;
	case 2:
		if (!is_full)
			step_reserve(q);
		return;
	case 3:
		if (!is_full)
			step_block(q);
		return;
	case 4:
	case 5:
	case 6:
		step_move(q);
		return;
	case 7:
		step_drop(q);
		return;
	case 8:
		step_flat(q);
		return;
	default:
		step_iov(q);
		if (roll(50) == 0)
			buf_clear(&store, &queue[q]);
	}
}

static void
queues_are_flat_arrays_whatever_happens(void **state)
{
	const char *seed = getenv("MODEL_SEED");
	unsigned i, q;

	(void)state;
	dice = seed != NULL ? strtoull(seed, NULL, 0) : 20240;
	print_message("MODEL_SEED=%llu\n", (unsigned long long)dice);
	block_store_init(&store);
	for (q = 0; q < QUEUES; q++) {
		buf_init(&queue[q]);
		flat[q] = malloc(MOST + 2 * BUF_LARGE);
		assert_non_null(flat[q]);
	}
	for (i = 0; i < STEPS; i++) {
		q = roll(QUEUES);
		step(q);
		check_queue(&queue[q], flat[q]);
	}
	for (q = 0; q < QUEUES; q++) {
		buf_clear(&store, &queue[q]);
		check_queue(&queue[q], flat[q]);
		free(flat[q]);
	}
	block_store_fini(&store);
}

/* ------------------------------------------------------------------ claims */

static void
appended_bytes_share_a_block(void **state)
{
	struct buf b = { 0 };
	unsigned i;

	(void)state;
	block_store_init(&store);
	for (i = 0; i < 100; i++)
		append(&b, "0123456789");
	assert_ptr_equal(b.first, b.last);
	assert_int_equal(b.len, 1000);
	assert_int_equal(b.held, BUF_SMALL);
	buf_clear(&store, &b);
	block_store_fini(&store);
}

/* Small reads go on filling the block although their bytes have moved on. */
static void
block_is_filled_on_after_a_drop(void **state)
{
	struct buf b = { 0 };
	struct block *block;

	(void)state;
	block_store_init(&store);
	append(&b, "first second");
	block = b.first->block;
	buf_drop(&store, &b, 6);
	append(&b, " third");
	assert_ptr_equal(b.last->block, block);
	is(&b, "second third");
	buf_clear(&store, &b);
	block_store_fini(&store);
}

/* Two queues have slices of one block: only the one whose slice ends where the
   filling does may go on. */
static void
shared_block_is_not_written_over(void **state)
{
	struct buf a = { 0 }, b = { 0 };

	(void)state;
	block_store_init(&store);
	append(&a, "one two");
	assert_int_equal(buf_pass(&store, &b, &a, 4), 0);
	assert_ptr_equal(a.first->block, b.first->block);
	append(&b, "B");
	append(&a, "A");
	is(&b, "one B");
	is(&a, "twoA");
	buf_clear(&store, &a);
	buf_clear(&store, &b);
	block_store_fini(&store);
}

static void
dropped_blocks_are_used_again(void **state)
{
	struct buf b = { 0 };
	struct block *block;

	(void)state;
	block_store_init(&store);
	append(&b, "x");
	block = b.first->block;
	buf_drop(&store, &b, 1);
	assert_null(b.first);
	append(&b, "y");
	assert_ptr_equal(b.first->block, block);
	is(&b, "y");
	buf_clear(&store, &b);
	block_store_fini(&store);
}

/* Ten bytes of a big block that stay behind must not keep it alive. */
static void
small_slice_does_not_keep_a_big_block(void **state)
{
	struct buf from = { 0 }, to = { 0 };
	size_t room;

	(void)state;
	block_store_init(&store);
	memcpy(buf_reserve(&store, &from, 1, BUF_LARGE, &room), "0123456789",
	    10);
	buf_commit(&store, &from, 10);
	assert_int_equal(from.held, BUF_LARGE);
	assert_int_equal(buf_move(&store, &to, &from, 10), 0);
	assert_true(to.held <= BUF_SMALL);
	assert_int_equal(from.held, 0);
	is(&to, "0123456789");
	buf_clear(&store, &to);
	block_store_fini(&store);
}

static void
big_slices_move_without_copying(void **state)
{
	struct buf from = { 0 }, to = { 0 };
	const char *at;
	size_t room, len;

	(void)state;
	block_store_init(&store);
	at = buf_reserve(&store, &from, 1, BUF_LARGE, &room);
	assert_non_null(at);
	buf_commit(&store, &from, BUF_LARGE);
	append(&to, "head");
	assert_int_equal(buf_move(&store, &to, &from, BUF_LARGE / 2), 0);
	assert_int_equal(buf_move(&store, &to, &from, BUF_LARGE / 2), 0);
	buf_drop(&store, &to, 4);
	assert_ptr_equal(buf_front(&to, &len), at);
	assert_int_equal(to.len, BUF_LARGE);
	buf_clear(&store, &to);
	block_store_fini(&store);
}

static void
reserved_and_not_written_leaves_nothing(void **state)
{
	struct buf b = { 0 };
	size_t room;

	(void)state;
	block_store_init(&store);
	assert_non_null(buf_reserve(&store, &b, 100, BUF_MEDIUM, &room));
	assert_int_equal(room, BUF_MEDIUM);
	buf_commit(&store, &b, 0);
	assert_null(b.first);
	assert_int_equal(b.held, 0);
	append(&b, "text");
	assert_non_null(buf_reserve(&store, &b, BUF_SMALL, BUF_SMALL, &room));
	buf_commit(&store, &b, 0);
	is(&b, "text");
	assert_int_equal(b.held, BUF_SMALL);
	/* More than a block has. */
	assert_non_null(buf_reserve(&store, &b, BUF_LARGE * 3, BUF_SMALL,
	    &room));
	assert_true(room >= BUF_LARGE * 3);
	buf_commit(&store, &b, 0);
	is(&b, "text");
	buf_clear(&store, &b);
	block_store_fini(&store);
}

static void
flat_that_fits_one_slice_is_not_copied(void **state)
{
	struct buf b = { 0 };
	const char *at;
	size_t len;

	(void)state;
	block_store_init(&store);
	append(&b, "one piece");
	at = buf_front(&b, &len);
	assert_int_equal(len, 9);
	assert_ptr_equal(buf_flat(&store, &b, 9), at);
	buf_clear(&store, &b);
	assert_null(buf_front(&b, &len));
	assert_int_equal(len, 0);
	block_store_fini(&store);
}

/* A head that comes in small pieces is not copied again for each of them. */
static void
flat_has_room_to_grow(void **state)
{
	struct buf b = { 0 }, piece = { 0 };
	const char *at = NULL;
	unsigned i, moved = 0;

	(void)state;
	block_store_init(&store);
	for (i = 0; i < 200; i++) {
		append(&piece, "0123456789012345678901234567890123456789");
		assert_int_equal(buf_move(&store, &b, &piece, 40), 0);
		if (buf_flat(&store, &b, b.len) != at)
			moved++;
		at = buf_flat(&store, &b, b.len);
	}
	assert_true(moved <= 4);
	buf_clear(&store, &b);
	block_store_fini(&store);
}

static void
flat_of_too_much_is_refused_and_changes_nothing(void **state)
{
	static char bytes[BUF_LARGE + 10];
	struct buf b = { 0 };
	size_t half = BUF_LARGE / 2;

	(void)state;
	block_store_init(&store);
	assert_int_equal(buf_append(&store, &b, bytes, half), 0);
	assert_int_equal(buf_append(&store, &b, bytes, half), 0);
	assert_int_equal(buf_append(&store, &b, "end", 3), 0);
	assert_null(buf_flat(&store, &b, BUF_LARGE + 3));
	assert_int_equal(b.len, BUF_LARGE + 3);
	assert_non_null(buf_flat(&store, &b, BUF_LARGE));
	buf_drop(&store, &b, BUF_LARGE);
	is(&b, "end");
	assert_null(buf_flat(&store, &(struct buf){ 0 }, 0));
	buf_clear(&store, &b);
	block_store_fini(&store);
}

/* Memory falls again after a flood. */
static void
store_keeps_only_so_many_blocks(void **state)
{
	struct buf b = { 0 };
	unsigned i;

	(void)state;
	block_store_init(&store);
	for (i = 0; i < 40; i++) {
		struct block *block = block_new(&store, BUF_LARGE);

		assert_non_null(block);
		block->used = 1;
		assert_int_equal(buf_append_block(&store, &b, block, 0, 1), 0);
		block_drop(&store, block);
	}
	assert_int_equal(b.held, 40 * BUF_LARGE);
	buf_clear(&store, &b);
	assert_int_equal(store.large.kept, store.large.keep);
	assert_true(store.large.keep < 40);
	block_store_fini(&store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_are_flat_arrays_whatever_happens),
		cmocka_unit_test(appended_bytes_share_a_block),
		cmocka_unit_test(block_is_filled_on_after_a_drop),
		cmocka_unit_test(shared_block_is_not_written_over),
		cmocka_unit_test(dropped_blocks_are_used_again),
		cmocka_unit_test(small_slice_does_not_keep_a_big_block),
		cmocka_unit_test(big_slices_move_without_copying),
		cmocka_unit_test(reserved_and_not_written_leaves_nothing),
		cmocka_unit_test(flat_that_fits_one_slice_is_not_copied),
		cmocka_unit_test(flat_has_room_to_grow),
		cmocka_unit_test(
		    flat_of_too_much_is_refused_and_changes_nothing),
		cmocka_unit_test(store_keeps_only_so_many_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
