/*
 * net/ring: lines pass between two threads whole and in order, or are counted
 * as dropped; the bell wakes a sleeper for what it wants to be woken for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/ring.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 300 };

/* "NUMBER xxx...\n" of len bytes. False: there was no room. */
static bool
put(struct ring *r, unsigned long number, size_t len)
{
	char *at = ring_reserve(r, len > ROOM ? len : ROOM);
	size_t digits;

	if (at == NULL)
		return false;
	digits = (size_t)sprintf(at, "%lu ", number);
	assert_true(digits < len);
	memset(at + digits, 'x', len - digits - 1);
	at[len - 1] = '\n';
	ring_commit(r, len);
	return true;
}

/* The number of the line at p, which must be as put() made it. */
static unsigned long
number_of(const char *p, size_t len)
{
	char *rest;
	unsigned long n = strtoul(p, &rest, 10);
	const char *end = p + len - 1;

	assert_int_equal(*end, '\n');
	assert_int_equal(*rest, ' ');
	for (p = rest + 1; p < end; p++)
		assert_int_equal(*p, 'x');
	return n;
}

static size_t
first_line(const char *p, size_t len)
{
	const char *end = memchr(p, '\n', len);

	assert_non_null(end);
	return (size_t)(end + 1 - p);
}

static void
line_comes_out_as_it_went_in(void **state)
{
	struct ring *r = ring_new(NULL, BELL_ANY);
	const char *p;
	size_t len;

	(void)state;
	assert_non_null(r);
	assert_true(ring_is_empty(r));
	assert_int_equal(ring_front(r, &p), 0);
	assert_true(put(r, 7, 20));
	assert_true(put(r, 8, 30));
	assert_false(ring_is_empty(r));
	len = ring_front(r, &p);
	assert_int_equal(len, 50);
	assert_int_equal(number_of(p, 20), 7);
	ring_take(r, 20);
	len = ring_front(r, &p);
	assert_int_equal(len, 30);
	assert_int_equal(number_of(p, 30), 8);
	ring_take(r, 30);
	assert_true(ring_is_empty(r));
	ring_free(r);
}

static void
line_that_is_not_committed_is_none(void **state)
{
	struct ring *r = ring_new(NULL, BELL_ANY);
	const char *p;

	(void)state;
	assert_non_null(ring_reserve(r, 100));
	assert_non_null(ring_reserve(r, 200));
	assert_true(ring_is_empty(r));
	assert_true(put(r, 1, 10));
	assert_int_equal(ring_front(r, &p), 10);
	assert_int_equal(ring_dropped(r), 0);
	ring_free(r);
}

/* Random lengths, the ring between empty and full, many rounds. */
static void
lines_stay_whole_and_in_order(void **state)
{
	struct ring *r = ring_new(NULL, BELL_ANY);
	unsigned long in = 0, out = 0, refused = 0;
	const char *p, *both[2];
	size_t len, parts[2], left;
	int turn;

	(void)state;
	srand(1);
	for (turn = 0; turn < 4000; turn++) {
		int n = rand() % 600;

		while (n-- > 0)
			if (put(r, in, 10 + (size_t)(rand() % 3 == 0 ?
			    rand() % 5000 : rand() % 250)))
				in++;
			else
				refused++;
		ring_look(r, both, parts);
		left = rand() % 4 == 0 ? SIZE_MAX : (size_t)rand() % 100000;
		while (left > 0 && (len = ring_front(r, &p)) > 0) {
			size_t line = first_line(p, len);

			/* A look has seen the same. */
			if (parts[0] > 0)
				assert_ptr_equal(p, both[0]);
			assert_int_equal(number_of(p, line), out);
			out++;
			ring_take(r, line);
			left -= line < left ? line : left;
			if (parts[0] > 0) {
				both[0] += line;
				parts[0] -= line;
				if (parts[0] == 0) {
					both[0] = both[1];
					parts[0] = parts[1];
					parts[1] = 0;
				}
			}
		}
	}
	assert_true(in > 100000 && refused > 0);
	assert_true(in - out < RING_BYTES / 10);
	assert_int_equal(ring_dropped(r), refused);
	ring_free(r);
}

static void
full_ring_drops_and_counts(void **state)
{
	struct ring *r = ring_new(NULL, BELL_ANY);
	unsigned long n = 0, i, seen = 0;
	const char *p;
	size_t len;

	(void)state;
	while (put(r, n, 1000))
		n++;
	assert_true(n >= RING_BYTES / 1000 - 1);
	assert_true(ring_is_half_full(r));
	for (i = 0; i < 10; i++)
		assert_false(put(r, 0, 1000));
	assert_int_equal(ring_dropped(r), 11);
	while ((len = ring_front(r, &p)) > 0) {
		size_t line = first_line(p, len);

		assert_int_equal(number_of(p, line), seen);
		seen++;
		ring_take(r, line);
	}
	assert_int_equal(seen, n);
	assert_false(ring_is_half_full(r));
	assert_true(put(r, 1, 1000));
	assert_int_equal(ring_dropped(r), 11);
	ring_free(r);
}

static void
line_beyond_the_longest_is_dropped(void **state)
{
	struct ring *r = ring_new(NULL, BELL_ANY);

	(void)state;
	assert_null(ring_reserve(r, RING_LINE_MAX + 1));
	assert_int_equal(ring_dropped(r), 1);
	assert_true(put(r, 1, RING_LINE_MAX));
	ring_free(r);
}

/* --------------------------------------------------------------------- bell */

static bool
has_rung(const struct bell *b)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void
bell_rings_for_what_is_wanted(void **state)
{
	struct bell b;
	struct ring *lane, *errors;

	(void)state;
	assert_int_equal(bell_init(&b), 0);
	lane = ring_new(&b, BELL_ANY);
	errors = ring_new(&b, BELL_URGENT);
	/* Awake: nobody rings. */
	assert_true(put(lane, 1, 100) && put(errors, 1, 100));
	assert_false(has_rung(&b));

	bell_listen(&b, BELL_ANY);
	assert_true(put(lane, 2, 100));
	assert_true(has_rung(&b));
	bell_silence(&b);
	assert_false(has_rung(&b));

	bell_listen(&b, BELL_HALF);
	assert_true(put(lane, 3, 100));
	assert_false(has_rung(&b));
	assert_true(put(errors, 3, 100));
	assert_true(has_rung(&b));
	bell_silence(&b);

	bell_listen(&b, BELL_SILENT);
	assert_true(put(errors, 4, 100));
	assert_false(has_rung(&b));
	ring_free(lane);
	ring_free(errors);
	bell_fini(&b);
}

static void
half_full_ring_rings_once(void **state)
{
	struct bell b;
	struct ring *r;
	size_t used = 0;

	(void)state;
	assert_int_equal(bell_init(&b), 0);
	r = ring_new(&b, BELL_ANY);
	bell_listen(&b, BELL_HALF);
	while (used + 1000 < RING_BYTES / 2) {
		assert_true(put(r, used, 1000));
		used += 1000;
		assert_false(has_rung(&b));
	}
	assert_true(put(r, used, 1000));
	assert_true(has_rung(&b));
	bell_silence(&b);
	/* Whoever is awake needs no bell, however full it is. */
	assert_true(put(r, used, 1000));
	assert_false(has_rung(&b));
	/* Somebody who waits for other things is not disturbed by it. */
	bell_listen(&b, BELL_URGENT);
	assert_true(put(r, used, 1000));
	assert_false(has_rung(&b));
	ring_free(r);
	bell_fini(&b);
}

/* ------------------------------------------------------------------ threads */

enum { MANY = 200000 };

struct producer {
	struct ring *ring;
	unsigned long refused;
};

static void *
produce(void *arg)
{
	struct producer *me = arg;
	unsigned seed = 7;
	unsigned long i;

	for (i = 0; i < MANY; i++)
		if (!put(me->ring, i, 20 + (size_t)rand_r(&seed) % 200))
			me->refused++;
	/* The last one is not to get lost. */
	while (!put(me->ring, MANY, 20))
		me->refused++;
	return NULL;
}

/* The sleeper never misses a line: it sleeps without a limit. */
static void
two_threads_lose_nothing_that_is_not_counted(void **state)
{
	struct bell b;
	struct producer producer = { 0 };
	unsigned long next = 0, missing = 0, number = 0;
	unsigned long final_refused = 0;
	pthread_t thread;
	const char *p;
	size_t len;

	(void)state;
	assert_int_equal(bell_init(&b), 0);
	producer.ring = ring_new(&b, BELL_ANY);
	assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
	while (number != MANY) {
		struct pollfd wait = { .fd = b.fd, .events = POLLIN };

		bell_listen(&b, BELL_ANY);
		if (ring_is_empty(producer.ring) && poll(&wait, 1, 30000) == 0)
			fail_msg("the bell has not rung after line %lu", next);
		bell_silence(&b);
		while ((len = ring_front(producer.ring, &p)) > 0) {
			size_t line = first_line(p, len);

			number = number_of(p, line);
			assert_true(number >= next);
			missing += number - next;
			next = number + 1;
			ring_take(producer.ring, line);
		}
	}
	pthread_join(thread, NULL);
	assert_true(ring_is_empty(producer.ring));
	/* Attempts of the last line have no number of their own. */
	final_refused = producer.refused - missing;
	assert_int_equal(ring_dropped(producer.ring), missing + final_refused);
	assert_int_equal(next, MANY + 1);
	ring_free(producer.ring);
	bell_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_comes_out_as_it_went_in),
		cmocka_unit_test(line_that_is_not_committed_is_none),
		cmocka_unit_test(lines_stay_whole_and_in_order),
		cmocka_unit_test(full_ring_drops_and_counts),
		cmocka_unit_test(line_beyond_the_longest_is_dropped),
		cmocka_unit_test(bell_rings_for_what_is_wanted),
		cmocka_unit_test(half_full_ring_rings_once),
		cmocka_unit_test(two_threads_lose_nothing_that_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
