/*
 * pool/site: when an endpoint rests because connecting failed, and which ones
 * are kept warm.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
begin(unsigned ends, int64_t max)
{
	scene_begin(&s, 1, ends);
	s.conf.pool.max = max;
	scene_start(&s);
}

static void
look_again(void)
{
	scene_set_roster(&s, (1u << s.n_ends) - 1);
}

static void
bar(unsigned end, enum endpoint_bar why, bool on)
{
	(void)endpoint_bar(s.endpoints[end], why, on, s.turns.now_ns);
	look_again();
}

static void
hold(unsigned end, int64_t ms)
{
	atomic_store(&s.endpoints[end]->hold_until_ns,
	    s.turns.now_ns + ms * NS_PER_MS);
}

static unsigned
end_of(const struct client *c)
{
	unsigned i;

	assert_int_equal(c->state, CLIENT_HOLDS);
	for (i = 0; s.endpoints[i] != c->lease->u->shelf->site->endpoint; i++)
		;
	return i;
}

static struct site *
site_at(unsigned end)
{
	return pool_site_of(scene_pool(&s, 0), s.endpoints[end]);
}

/* Asks and gives back: where was it? */
static unsigned
visit(void)
{
	struct client c;
	unsigned end;

	client_come(&c, &s, 0);
	end = end_of(&c);
	client_return(&c);
	return end;
}

static enum refusal
refused_visit(void)
{
	struct client c;

	client_init(&c, &s, 0);
	client_ask(&c);
	assert_int_equal(c.state, CLIENT_REFUSED);
	return c.refusal;
}

/* ------------------------------------------------------------------- rests */

static void
endpoint_rests_longer_each_time_connecting_fails(void **state)
{
	int64_t expected = 100, rest;
	struct client c;
	struct site *site;
	unsigned i;

	(void)state;
	begin(1, 10);
	site = site_at(0);
	far_end_refuse(&s.ends[0]);
	for (i = 0; i < 12; i++) {
		assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
		rest = (site->rest_until_ns - s.turns.now_ns) / NS_PER_MS;
		assert_in_range(rest, expected * 74 / 100,
		    expected * 126 / 100);
		/* Others that fail meanwhile are the same failure. */
		assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
		assert_int_equal(site->rests, i + 1);
		scene_pass(&s, rest + 1);
		expected = expected * 2 < 10000 ? expected * 2 : 10000;
	}
	far_end_welcome(&s.ends[0]);
	client_come(&c, &s, 0);
	assert_int_equal(site->rests, 0);
	assert_int_equal(site->rest_until_ns, 0);
	client_return(&c);
	scene_end(&s);
}

static void
resting_endpoint_is_passed_over(void **state)
{
	unsigned i;

	(void)state;
	begin(2, 10);
	far_end_refuse(&s.ends[0]);
	assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
	for (i = 0; i < 10; i++)
		assert_int_equal(visit(), 1);
	assert_int_equal(site_at(0)->rests, 1);
	far_end_welcome(&s.ends[0]);
	assert_int_equal(visit(), 1);
	scene_pass(&s, 126);
	assert_int_not_equal(visit(), visit());
	scene_end(&s);
}

static void
all_that_rest_are_used(void **state)
{
	struct client c;

	(void)state;
	begin(2, 10);
	far_end_refuse(&s.ends[0]);
	far_end_refuse(&s.ends[1]);
	assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
	assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
	assert_true(site_rests(site_at(0)) && site_rests(site_at(1)));
	far_end_welcome(&s.ends[1]);
	client_init(&c, &s, 0);
	c.ask.avoid = s.endpoints[0];
	client_ask(&c);
	assert_int_equal(end_of(&c), 1);
	client_return(&c);
	assert_true(site_rests(site_at(0)) && !site_rests(site_at(1)));
	scene_end(&s);
}

/* What it has is good still, and it is first of all an endpoint. */
static void
resting_endpoint_is_better_than_none_with_room(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	far_end_refuse(&s.ends[0]);
	assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
	far_end_welcome(&s.ends[0]);
	client_come(&a, &s, 0);
	assert_int_equal(end_of(&a), 1);
	client_come(&b, &s, 0);
	assert_int_equal(end_of(&b), 0);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static bool
refuse_greeting(struct upconn *u)
{
	upconn_broken(u, FAULT_BAD_ANSWER, 0);
	return false;
}

static void
failed_greeting_is_a_failed_connect(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	s.peer.greet = refuse_greeting;
	scene_start(&s);
	client_come(&a, &s, 0);
	assert_int_equal(a.refusal, REFUSAL_CONNECT_FAILED);
	assert_ptr_equal(a.ask.failed, s.endpoints[0]);
	assert_int_equal(site_at(0)->rests, 1);
	scene_end(&s);
}

static void
cannot_be_washed(struct upconn *u)
{
	upconn_broken(u, FAULT_BAD_ANSWER, 0);
}

static void
failed_wash_is_no_failed_connect(void **state)
{
	struct client a;

	(void)state;
	scene_begin(&s, 1, 1);
	s.peer.wash = cannot_be_washed;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_return_as(&a, MARK_DIRTY);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(site_at(0)->rests, 0);
	assert_int_equal(atomic_load(&s.endpoints[0]->failing), 1);
	scene_end(&s);
}

/* Of descriptors, say: no endpoint is to blame. */
static void
shortage_of_this_machine_blames_nobody(void **state)
{
	struct rlimit before, now;
	struct client a;
	int next;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.min_idle = 0;
	scene_start(&s);
	next = dup(0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	client_init(&a, &s, 0);
	client_ask(&a);
	s.conf.pool.min_idle = 1;
	scene_reload(&s, false);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(a.refusal, REFUSAL_NO_DESCRIPTORS);
	assert_null(a.ask.failed);
	assert_int_equal(site_at(0)->rests, 0);
	assert_int_equal(atomic_load(&s.endpoints[0]->failing), 0);
	assert_int_equal(atomic_load(
	    &s.endpoints[0]->faults[FAULT_CONNECT_FAILED]), 0);
	/* Warming backs off all the same. */
	assert_int_equal(site_at(0)->warm_failures, 1);
	scene_pass(&s, 1000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_end(&s);
}

static void
look_again_ends_no_rest_but_coming_back_does(void **state)
{
	struct site *site;

	(void)state;
	begin(2, 10);
	site = site_at(0);
	far_end_refuse(&s.ends[0]);
	assert_int_equal(refused_visit(), REFUSAL_CONNECT_FAILED);
	assert_true(site_rests(site));
	look_again();
	bar(1, BAR_CHECK, true);
	bar(1, BAR_CHECK, false);
	assert_true(site_rests(site));
	assert_int_equal(site->rests, 1);
	bar(0, BAR_CHECK, true);
	assert_true(site_rests(site));
	bar(0, BAR_CHECK, false);
	assert_false(site_rests(site));
	assert_int_equal(site->rests, 0);
	scene_end(&s);
}

/* -------------------------------------------------------------------- warm */

static void
only_what_takes_work_is_kept_warm(void **state)
{
	(void)state;
	scene_begin(&s, 1, 4);
	s.conf.pool.min_idle = 6;
	atomic_store(&s.endpoints[3]->backup, true);
	atomic_store(&s.endpoints[0]->bars, BAR_CHECK);
	hold(1, 3000);
	scene_start(&s);
	assert_int_equal(site_at(0)->idle, 0);
	assert_int_equal(site_at(1)->idle, 0);
	assert_int_equal(site_at(2)->idle, 6);
	assert_int_equal(site_at(3)->idle, 0);
	/* Then there is only the backup. */
	bar(2, BAR_DOWN, true);
	assert_int_equal(site_at(2)->idle, 0);
	assert_int_equal(site_at(3)->idle, 6);
	scene_end(&s);
}

/* Half of what is kept, although the other endpoint has it all by now. */
static void
endpoint_that_comes_back_is_warmed_at_once(void **state)
{
	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.min_idle = 4;
	scene_start(&s);
	assert_int_equal(site_at(0)->idle, 2);
	bar(0, BAR_CHECK, true);
	assert_int_equal(site_at(0)->idle, 0);
	assert_int_equal(site_at(1)->idle, 4);
	bar(0, BAR_CHECK, false);
	assert_int_equal(site_at(0)->idle, 2);
	assert_int_equal(site_at(1)->idle, 4);
	/* And not once more. */
	look_again();
	assert_int_equal(site_at(0)->idle, 2);
	scene_end(&s);
}

/* What is new has not come back: there is no more than is asked for. */
static void
endpoints_that_are_new_get_no_part_of_their_own(void **state)
{
	(void)state;
	scene_begin(&s, 2, 3);
	s.conf.pool.min_idle = 6;
	scene_start(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 6);
	scene_set_roster(&s, 3);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 6);
	look_again();
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 6);
	scene_end(&s);
}

/* One that refuses does not keep the others from being warmed. */
static void
warming_goes_round_an_endpoint_that_refuses(void **state)
{
	unsigned before;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.min_idle = 4;
	far_end_refuse(&s.ends[0]);
	before = connects_begun;
	scene_start(&s);
	assert_int_equal(site_at(1)->idle, 4);
	scene_pass(&s, 60000);
	/* Nor is it asked again: there is enough. conn_connect() asks the kernel
	   twice for each. */
	assert_int_equal(connects_begun - before, 2 * 5);
	scene_end(&s);
}

/* One of two is gone: what it had is opened at the other, not later. */
static void
warming_does_not_wait_for_one_that_is_gone(void **state)
{
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.min_idle = 4;
	scene_start(&s);
	far_end_accept(&s.ends[0]);
	far_end_refuse(&s.ends[0]);
	for (i = 0; i < 2; i++)
		far_end_hang_up(&s.ends[0], s.ends[0].fds[0]);
	scene_run(&s);
	assert_int_equal(site_at(0)->idle, 0);
	site_at(0)->warm_after_ns = 0;
	scene_pass(&s, 5);
	assert_int_equal(site_at(0)->rests, 1);
	assert_int_equal(site_at(1)->idle, 4);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    endpoint_rests_longer_each_time_connecting_fails),
		cmocka_unit_test(resting_endpoint_is_passed_over),
		cmocka_unit_test(all_that_rest_are_used),
		cmocka_unit_test(
		    resting_endpoint_is_better_than_none_with_room),
		cmocka_unit_test(failed_greeting_is_a_failed_connect),
		cmocka_unit_test(failed_wash_is_no_failed_connect),
		cmocka_unit_test(shortage_of_this_machine_blames_nobody),
		cmocka_unit_test(look_again_ends_no_rest_but_coming_back_does),
		cmocka_unit_test(only_what_takes_work_is_kept_warm),
		cmocka_unit_test(endpoint_that_comes_back_is_warmed_at_once),
		cmocka_unit_test(
		    endpoints_that_are_new_get_no_part_of_their_own),
		cmocka_unit_test(warming_goes_round_an_endpoint_that_refuses),
		cmocka_unit_test(warming_does_not_wait_for_one_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
