/*
 * pool/lease: what becomes of a connection that is given back, and what its
 * holder hears of it before.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* One worker, one endpoint, so many connections. */
static void
begin(int64_t max)
{
	scene_begin(&s, 1, 1);
	s.conf.pool.max = max;
	scene_start(&s);
}

static void
broken_is_closed(void **state)
{
	struct client a, b;

	(void)state;
	begin(1);
	client_come(&a, &s, 0);
	client_return_as(&a, MARK_BROKEN);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	client_come(&b, &s, 0);
	assert_false(b.lease->reused);
	/* A mark does not become better. */
	upconn_mark(b.lease->u, MARK_BROKEN, "first");
	upconn_mark(b.lease->u, MARK_DIRTY, "second");
	upconn_mark(b.lease->u, MARK_BROKEN, "third");
	assert_string_equal(b.lease->u->mark_why, "first");
	client_return(&b);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
unread_unsent_and_held_are_closed(void **state)
{
	struct client c;

	(void)state;
	begin(1);
	client_come(&c, &s, 0);
	far_end_say(scene_far_fd(&s, c.lease->u), "late", 4);
	scene_run(&s);
	assert_int_equal(c.inputs, 1);
	client_return(&c);
	assert_int_equal(scene_discards(&s, DISCARD_NOT_CLEAN), 1);

	client_come(&c, &s, 0);
	assert_int_equal(buf_append(&s.turns.workers[0].blocks,
	    &c.lease->u->conn.out, "more", 4), 0);
	client_return(&c);
	assert_int_equal(scene_discards(&s, DISCARD_NOT_CLEAN), 2);

	client_come(&c, &s, 0);
	c.lease->u->holds++;
	client_return(&c);
	assert_int_equal(scene_discards(&s, DISCARD_NOT_CLEAN), 3);

	client_come(&c, &s, 0);
	far_end_shut(scene_far_fd(&s, c.lease->u));
	scene_run(&s);
	client_return(&c);
	assert_int_equal(scene_discards(&s, DISCARD_NOT_CLEAN), 4);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

static void
holder_hears_of_a_reset(void **state)
{
	struct client c;

	(void)state;
	begin(1);
	client_come(&c, &s, 0);
	far_end_reset(&s.ends[0], scene_far_fd(&s, c.lease->u));
	scene_run(&s);
	assert_int_equal(c.goners, 1);
	client_return_as(&c, MARK_BROKEN);
	scene_end(&s);
}

/* The last holder stopped reading; its end is heard all the same. */
static void
returned_connection_is_listened_to_again(void **state)
{
	struct client c, next;

	(void)state;
	begin(1);
	client_come(&c, &s, 0);
	conn_pause(&c.lease->u->conn);
	client_return(&c);
	client_come(&next, &s, 0);
	far_end_say(scene_far_fd(&s, next.lease->u), "hello", 5);
	scene_run(&s);
	assert_int_equal(next.inputs, 1);
	buf_clear(&s.turns.workers[0].blocks, &next.lease->u->conn.in);
	conn_pause(&next.lease->u->conn);
	client_return(&next);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, scene_upconn(&s, 0, 0)));
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 1);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_is_closed),
		cmocka_unit_test(unread_unsent_and_held_are_closed),
		cmocka_unit_test(holder_hears_of_a_reset),
		cmocka_unit_test(returned_connection_is_listened_to_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
