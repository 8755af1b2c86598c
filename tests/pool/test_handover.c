/*
 * pool/handover: connections leave a pool and come into one as they were; those
 * that may not go stay.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/upkeep.h"
#include "tests/support/scene.h"

static struct scene s;
static struct cap_table caps;

static void
begin(void)
{
	cap_table_init(&caps);
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 4;
	scene_start(&s);
	s.upstream->cap = cap_take(&caps, -1);
	s.upstream->alike = true;
}

static void
end(void)
{
	struct cap *cap = s.upstream->cap;

	scene_end(&s);
	assert_int_equal(cap_total(cap), 0);
	cap_table_fini(&caps);
}

/* So many clients at once, which then give back what they got. */
static void
warm(unsigned n)
{
	struct client c[4];
	unsigned i;

	for (i = 0; i < n; i++)
		client_come(&c[i], &s, 0);
	for (i = 0; i < n; i++)
		client_return(&c[i]);
	scene_run(&s);
}

static struct handed *
first(struct list *out)
{
	struct handed *h = container_of(list_first(out), struct handed, link);

	list_remove(&h->link);
	return h;
}

/* And they have been sent. */
static unsigned
taken(unsigned most, int64_t idle_ms, struct list *out)
{
	const struct list *l;
	unsigned n = 0, told;

	list_init(out);
	told = handover_take_out(scene_pool(&s, 0), most, idle_ms,
	    false, out);
	for (l = out->next; l != out; l = l->next, n++)
		upstream_slot_send(s.upstream);
	assert_int_equal(told, n);
	return n;
}

/* As if another process had sent it. */
static void
come_back(struct handed *h)
{
	cap_move(s.upstream->cap, 1);
	handover_adopt(scene_pool(&s, 0), h);
	scene_run(&s);
}

static void
one_that_leaves_and_comes_is_the_same(void **state)
{
	uint64_t id, uses;
	struct client c;
	struct list out;
	struct handed *h;

	(void)state;
	begin();
	warm(1);
	id = scene_upconn(&s, 0, 0)->id;
	uses = scene_upconn(&s, 0, 0)->uses;
	scene_pass(&s, 300);
	assert_int_equal(taken(9, 100, &out), 1);
	h = first(&out);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_true(h->idle_ms >= 300 && h->age_ms >= h->idle_ms);
	/* On its way it holds its place. */
	assert_int_equal(upstream_open(s.upstream), 1);
	come_back(h);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_equal(scene_upconn(&s, 0, 0)->id, id);
	assert_int_equal(scene_upconn(&s, 0, 0)->uses, uses);
	/* It goes on being idle. */
	assert_true(s.turns.now_ns - scene_upconn(&s, 0, 0)->since_ns >=
	    300 * NS_PER_MS);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_true(c.lease->reused);
	/* It is heard. */
	far_end_say(scene_far_fd(&s, c.lease->u), "x", 1);
	scene_run(&s);
	assert_int_equal(c.inputs, 1);
	assert_int_equal(scene_connects(&s), 1);
	client_return_as(&c, MARK_BROKEN);
	end();
}

static void
those_in_use_or_just_used_stay(void **state)
{
	struct client c;
	struct list out;

	(void)state;
	begin();
	warm(2);
	client_come(&c, &s, 0);
	assert_int_equal(taken(9, 1000, &out), 0);
	scene_pass(&s, 2000);
	assert_int_equal(taken(9, 1000, &out), 1);
	assert_int_equal(scene_count(&s, UPCONN_LEASED), 1);
	come_back(first(&out));
	client_return(&c);
	end();
}

static void
no_more_than_wanted_go(void **state)
{
	struct list out;

	(void)state;
	begin();
	warm(3);
	assert_int_equal(taken(2, 0, &out), 2);
	come_back(first(&out));
	come_back(first(&out));
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	end();
}

static void
those_with_a_key_stay_and_make_room(void **state)
{
	struct client c;
	struct list out;

	(void)state;
	begin();
	client_init(&c, &s, 0);
	c.ask.key = "user";
	c.ask.key_len = 4;
	client_ask(&c);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	scene_run(&s);
	warm(1);
	assert_int_equal(taken(9, 0, &out), 1);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	handover_make_room(scene_pool(&s, 0), 9, DISCARD_OTHER_KEY);
	scene_run(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	come_back(first(&out));
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	end();
}

static void
none_goes_of_a_protocol_with_a_state(void **state)
{
	struct list out;

	(void)state;
	begin();
	warm(1);
	s.peer.state_size = 8;
	assert_false(handover_is_possible(scene_pool(&s, 0)));
	assert_int_equal(taken(9, 0, &out), 0);
	s.peer.state_size = 0;
	s.upstream->alike = false;
	assert_int_equal(taken(9, 0, &out), 0);
	assert_int_equal(handover_coming(s.upstream, &s.conf), 0);
	end();
}

static void
one_that_is_of_no_use_is_closed_and_its_place_free(void **state)
{
	struct list out;
	struct handed *h;

	(void)state;
	begin();
	warm(1);
	assert_int_equal(taken(9, 0, &out), 1);
	h = first(&out);
	snprintf(h->name, sizeof(h->name), "another");
	come_back(h);
	assert_int_equal(upstream_open(s.upstream), 0);
	/* So is one on which something came meanwhile. */
	warm(1);
	far_end_say(scene_far_fd(&s, scene_upconn(&s, 0, 0)), "x", 1);
	assert_int_equal(taken(9, 0, &out), 1);
	come_back(first(&out));
	assert_int_equal(upstream_open(s.upstream), 0);
	end();
}

static void
who_waits_gets_one_that_comes(void **state)
{
	struct client c;
	struct list out;

	(void)state;
	begin();
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	warm(1);
	assert_int_equal(taken(9, 0, &out), 1);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	come_back(first(&out));
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	end();
}

static void
what_is_to_come_is_not_opened_to_be_warm(void **state)
{
	(void)state;
	begin();
	s.conf.pool.min_idle = 3;
	assert_true(cap_count(s.upstream->cap, 1, 2));
	assert_true(cap_count(s.upstream->cap, 1, 2));
	scene_reload(&s, false);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 1);
	cap_bury(&caps);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 3);
	/* Who waits there comes first. */
	upconn_close(scene_upconn(&s, 0, 0), N_DISCARDS);
	atomic_store(&s.upstream->cap->waiting[1], 2);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 3);
	atomic_store(&s.upstream->cap->waiting[1], 0);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 4);
	atomic_store(&s.upstream->leaving, true);
	upconn_close(scene_upconn(&s, 0, 0), N_DISCARDS);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 4);
	s.conf.pool.min_idle = 0;
	scene_reload(&s, false);
	end();
}

static void
what_is_opened_while_leaving_is_kept_for_who_is_left(void **state)
{
	struct client c;
	struct list out;

	(void)state;
	begin();
	warm(1);
	atomic_store(&s.upstream->leaving, true);
	client_come(&c, &s, 0);
	warm(1);
	client_return(&c);
	scene_run(&s);
	assert_int_equal(atomic_load(&s.upstream->needed), 1);
	scene_pass(&s, 1000);
	/* That from before goes, the other one where it is waited for. */
	assert_int_equal(taken(9, 50, &out), 1);
	handed_free(first(&out));
	cap_discount(s.upstream->cap, 1);
	assert_int_equal(taken(9, 50, &out), 0);
	assert_int_equal(taken(9, 0, &out), 1);
	assert_int_equal(atomic_load(&s.upstream->needed), 0);
	/* It was sent for, and then nobody came for it any more. */
	come_back(first(&out));
	assert_int_equal(atomic_load(&s.upstream->needed), 1);
	scene_pass(&s, HANDOVER_NEEDED_MS - 2000);
	assert_int_equal(taken(9, 50, &out), 0);
	scene_pass(&s, 2000);
	assert_int_equal(taken(9, 50, &out), 1);
	assert_int_equal(atomic_load(&s.upstream->needed), 0);
	come_back(first(&out));
	end();
}

static void
what_others_need_is_not_to_come(void **state)
{
	(void)state;
	begin();
	s.conf.pool.min_idle = 1;
	assert_true(cap_count(s.upstream->cap, 1, 2));
	assert_int_equal(handover_coming(s.upstream, &s.conf), 1);
	atomic_store(&s.upstream->cap->needed[1], 1);
	assert_int_equal(handover_coming(s.upstream, &s.conf), 0);
	cap_bury(&caps);
	assert_int_equal(atomic_load(&s.upstream->cap->needed[1]), 0);
	end();
}

static void
what_was_learned_elsewhere_holds_here(void **state)
{
	(void)state;
	begin();
	warm(1);
	upkeep_learn(scene_pool(&s, 0), 10000);
	scene_pass(&s, 8000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_pass(&s, 3000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(scene_discards(&s, DISCARD_IDLE_TIMEOUT), 1);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_leaves_and_comes_is_the_same),
		cmocka_unit_test(those_in_use_or_just_used_stay),
		cmocka_unit_test(no_more_than_wanted_go),
		cmocka_unit_test(those_with_a_key_stay_and_make_room),
		cmocka_unit_test(none_goes_of_a_protocol_with_a_state),
		cmocka_unit_test(
		    one_that_is_of_no_use_is_closed_and_its_place_free),
		cmocka_unit_test(who_waits_gets_one_that_comes),
		cmocka_unit_test(what_is_to_come_is_not_opened_to_be_warm),
		cmocka_unit_test(
		    what_is_opened_while_leaving_is_kept_for_who_is_left),
		cmocka_unit_test(what_others_need_is_not_to_come),
		cmocka_unit_test(what_was_learned_elsewhere_holds_here)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
