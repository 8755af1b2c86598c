/*
 * pool/site: which endpoints take new work, and what becomes of connections and
 * waiters when that changes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static const enum endpoint_bar all_bars[] = {
	BAR_CHECK, BAR_EJECTED, BAR_DRAIN, BAR_DOWN
};

static void
begin(unsigned ends, int64_t max)
{
	scene_begin(&s, 1, ends);
	s.conf.pool.max = max;
	scene_start(&s);
}

/* With the roster that they have. */
static void
look_again(void)
{
	unsigned i;

	for (i = 0; i < s.turns.n; i++)
		pool_set_roster(scene_pool(&s, i),
		    roster_keep(scene_pool(&s, i)->roster));
	books_check(s.upstream, false);
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

static void
return_all(struct client *c, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (c[i].state == CLIENT_HOLDS)
			client_return(&c[i]);
}

/* -------------------------------------------------------------------- bars */

static void
barred_endpoint_gets_nothing_new(void **state)
{
	unsigned i, n;

	(void)state;
	begin(2, 10);
	for (i = 0; i < NELEMS(all_bars); i++) {
		bar(0, all_bars[i], true);
		for (n = 0; n < 4; n++)
			assert_int_equal(visit(), 1);
		bar(0, all_bars[i], false);
		assert_int_not_equal(visit(), visit());
	}
	scene_end(&s);
}

static void
bar_closes_what_is_idle_now_and_what_is_leased_on_return(void **state)
{
	struct client c[4];
	unsigned i;

	(void)state;
	begin(2, 10);
	for (i = 0; i < 4; i++)
		client_come(&c[i], &s, 0);
	assert_int_equal(end_of(&c[0]), 0);
	assert_int_equal(end_of(&c[2]), 0);
	client_return(&c[0]);
	client_return(&c[1]);
	bar(0, BAR_CHECK, true);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_equal(scene_discards(&s, DISCARD_ENDPOINT_DOWN), 1);
	assert_int_equal(c[2].state, CLIENT_HOLDS);
	client_return(&c[2]);
	assert_int_equal(scene_discards(&s, DISCARD_ENDPOINT_DOWN), 2);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 0);
	client_return(&c[3]);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	scene_end(&s);
}

/* The bar is there already, the look is under way. */
static void
bar_counts_before_the_look(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 10);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return(&b);
	assert_true(endpoint_bar(s.endpoints[0], BAR_DOWN, true,
	    s.turns.now_ns));
	client_return(&a);
	assert_int_equal(scene_discards(&s, DISCARD_ENDPOINT_DOWN), 1);
	assert_int_equal(visit(), 1);
	assert_int_equal(visit(), 1);
	scene_end(&s);
}

static void
sessions_go_on_only_where_it_drains(void **state)
{
	static const bool goes_on[] = { false, false, true, false };
	struct client c;
	unsigned i;

	(void)state;
	begin(1, 10);
	client_come(&c, &s, 0);
	assert_true(upconn_may_go_on(c.lease->u));
	for (i = 0; i < NELEMS(all_bars); i++) {
		bar(0, all_bars[i], true);
		assert_int_equal(upconn_may_go_on(c.lease->u), goes_on[i]);
		bar(0, all_bars[i], false);
	}
	bar(0, BAR_DRAIN, true);
	bar(0, BAR_CHECK, true);
	assert_false(upconn_may_go_on(c.lease->u));
	bar(0, BAR_DRAIN, false);
	bar(0, BAR_CHECK, false);
	scene_set_roster(&s, 0);
	assert_false(upconn_may_go_on(c.lease->u));
	client_return(&c);
	scene_end(&s);
}

static void
without_usable_endpoint_everybody_is_refused_at_once(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(2, 2);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	(void)endpoint_bar(s.endpoints[0], BAR_CHECK, true, s.turns.now_ns);
	bar(1, BAR_EJECTED, true);
	/* Nothing has come back, no time has passed. */
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(c.refusal, REFUSAL_NO_ENDPOINT);
	assert_int_equal(refused_visit(), REFUSAL_NO_ENDPOINT);
	client_return(&a);
	client_return(&b);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

/* All of them, although somebody elsewhere has waited longer, and although all
   places are taken. */
static void
waiters_of_all_workers_are_refused_at_once(void **state)
{
	struct client holder, c[6];
	unsigned i;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 1;
	scene_start(&s);
	client_come(&holder, &s, 0);
	for (i = 0; i < 6; i++) {
		client_come(&c[i], &s, i % 2);
		scene_pass(&s, 50);
	}
	bar(0, BAR_CHECK, true);
	for (i = 0; i < 6; i++)
		assert_int_equal(c[i].refusal, REFUSAL_NO_ENDPOINT);
	client_return(&holder);
	scene_end(&s);
}

/* Whoever is refused asks again, from inside, and is refused again. */
static struct client stubborn;
static unsigned stubborn_refusals;

static void
stubborn_refused(struct ask *a, enum refusal why)
{
	assert_int_equal(why, REFUSAL_NO_ENDPOINT);
	stubborn_refusals++;
	assert_int_equal(lease_ask(a), ASK_REFUSED);
	assert_int_equal(a->refusal, REFUSAL_NO_ENDPOINT);
	stubborn.state = CLIENT_REFUSED;
}

static void
who_asks_again_when_refused_is_refused_again(void **state)
{
	static const struct lease_ops ops = { .refused = stubborn_refused };
	struct client holder, later;

	(void)state;
	begin(1, 1);
	stubborn_refusals = 0;
	client_come(&holder, &s, 0);
	client_init(&stubborn, &s, 0);
	stubborn.ask.ops = &ops;
	assert_int_equal(lease_ask(&stubborn.ask), ASK_WAITS);
	client_come(&later, &s, 0);
	bar(0, BAR_DOWN, true);
	assert_int_equal(stubborn_refusals, 1);
	assert_int_equal(later.refusal, REFUSAL_NO_ENDPOINT);
	client_return(&holder);
	scene_end(&s);
}

/* A server that answers nothing is found to be down while somebody waits for a
   connection to it. */
static void
connect_to_a_barred_endpoint_is_given_up(void **state)
{
	struct client a, b;

	(void)state;
	begin(2, 10);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(a.state, CLIENT_WAITS);
	assert_int_equal(end_of(&b), 1);
	bar(0, BAR_CHECK, true);
	scene_run(&s);
	assert_int_equal(end_of(&a), 1);
	assert_int_equal(scene_discards(&s, DISCARD_ENDPOINT_DOWN), 1);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
connect_to_the_only_endpoint_is_given_up_with_its_asker(void **state)
{
	struct client a;

	(void)state;
	begin(1, 10);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	assert_int_equal(a.state, CLIENT_WAITS);
	bar(0, BAR_CHECK, true);
	assert_int_equal(a.refusal, REFUSAL_NO_ENDPOINT);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	scene_end(&s);
}

/* It has waited for its connect for longer than the queue allows; now it is in
   the queue. */
static void
given_up_connect_leaves_no_ask_without_a_deadline(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.timeouts.connect_ms = 10000;
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	far_end_clog(&s.ends[0]);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(end_of(&b), 1);
	scene_pass(&s, 3000);
	assert_int_equal(a.state, CLIENT_WAITS);
	bar(0, BAR_CHECK, true);
	assert_int_equal(a.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(a.refusal, REFUSAL_QUEUE_TIMEOUT);
	client_return(&b);
	scene_end(&s);
}

static void
endpoint_that_is_usable_again_serves_who_waits(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[0]->most, 1);
	scene_start(&s);
	bar(1, BAR_CHECK, true);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(b.state, CLIENT_WAITS);
	bar(1, BAR_CHECK, false);
	assert_int_equal(end_of(&b), 1);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* ----------------------------------------------------------------- backups */

static void
backup_is_used_only_when_no_other_is_usable(void **state)
{
	struct client c[3];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 3);
	atomic_store(&s.endpoints[0]->backup, true);
	scene_start(&s);
	for (i = 0; i < 6; i++)
		assert_int_not_equal(visit(), 0);
	bar(1, BAR_CHECK, true);
	for (i = 0; i < 3; i++)
		assert_int_equal(visit(), 2);
	bar(2, BAR_CHECK, true);
	for (i = 0; i < 3; i++)
		assert_int_equal(visit(), 0);
	/* Its connection stays when the others are back, unused. */
	bar(1, BAR_CHECK, false);
	for (i = 0; i < 3; i++)
		assert_int_equal(visit(), 1);
	assert_int_equal(site_at(0)->idle, 1);
	bar(2, BAR_CHECK, false);
	/* Held counts as unusable; full does not. */
	hold(1, 1000);
	hold(2, 1000);
	assert_int_equal(visit(), 0);
	scene_pass(&s, 1000);
	atomic_store(&s.endpoints[1]->most, 1);
	atomic_store(&s.endpoints[2]->most, 1);
	for (i = 0; i < 3; i++)
		client_come(&c[i], &s, 0);
	assert_int_equal(c[2].state, CLIENT_WAITS);
	client_return(&c[0]);
	assert_int_not_equal(end_of(&c[2]), 0);
	return_all(c, 3);
	scene_end(&s);
}

/* Its lease comes home when others are usable again and somebody waits. */
static void
backup_that_comes_home_is_given_to_nobody(void **state)
{
	struct client c[3];

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.max = 2;
	atomic_store(&s.endpoints[0]->backup, true);
	scene_start(&s);
	bar(1, BAR_EJECTED, true);
	client_come(&c[0], &s, 0);
	assert_int_equal(end_of(&c[0]), 0);
	bar(1, BAR_EJECTED, false);
	client_come(&c[1], &s, 0);
	client_come(&c[2], &s, 0);
	assert_int_equal(c[2].state, CLIENT_WAITS);
	/* It needs the place, not the connection. */
	client_return(&c[0]);
	assert_int_equal(end_of(&c[2]), 1);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	return_all(c, 3);
	scene_end(&s);
}

/* ------------------------------------------------------- when all are down */

static void
all_down_may_be_tried(void **state)
{
	struct client c;
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 3);
	s.conf.when_all_down = CONF_ALL_DOWN_TRY;
	scene_start(&s);
	for (i = 0; i < 3; i++)
		(void)visit();
	bar(0, BAR_DRAIN, true);
	bar(1, BAR_CHECK, true);
	/* One is usable. */
	for (i = 0; i < 3; i++)
		assert_int_equal(visit(), 2);
	assert_int_equal(site_at(1)->idle, 0);
	bar(2, BAR_EJECTED, true);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	assert_int_not_equal(visit(), visit());
	/* What they have is kept and used. */
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	assert_int_equal(site_at(0)->idle, 0);
	/* By hand is by hand. */
	bar(1, BAR_DOWN, true);
	assert_int_equal(visit(), 2);
	bar(2, BAR_DRAIN, true);
	assert_int_equal(refused_visit(), REFUSAL_NO_ENDPOINT);
	/* One is up again: what was only tried is left. */
	bar(1, BAR_DOWN, false);
	client_come(&c, &s, 0);
	assert_int_equal(end_of(&c), 1);
	bar(0, BAR_DRAIN, false);
	client_return(&c);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(visit(), 0);
	scene_end(&s);
}

/* ------------------------------------------------------------------- holds */

static void
held_endpoint_rests_and_keeps_its_connections(void **state)
{
	struct client a;

	(void)state;
	begin(2, 10);
	client_come(&a, &s, 0);
	assert_int_equal(end_of(&a), 0);
	assert_int_equal(visit(), 1);
	hold(0, 2000);
	client_return(&a);
	assert_int_equal(visit(), 1);
	assert_int_equal(visit(), 1);
	look_again();
	assert_int_equal(site_at(0)->idle, 1);
	scene_pass(&s, 2000);
	assert_int_not_equal(visit(), visit());
	assert_int_equal(scene_connects(&s), 2);
	scene_end(&s);
}

static void
all_held_is_refused_with_the_shortest_time(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(3, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(b.state, CLIENT_WAITS);
	hold(0, 4000);
	hold(1, 3000);
	hold(2, 9000);
	bar(2, BAR_CHECK, true);
	/* The look has found that the one who waits waits for nothing. */
	assert_int_equal(b.refusal, REFUSAL_HELD);
	assert_int_equal(b.ask.held_ns, 3000 * NS_PER_MS);
	client_return(&a);
	scene_pass(&s, 500);
	client_init(&c, &s, 0);
	client_ask(&c);
	assert_int_equal(c.refusal, REFUSAL_HELD);
	assert_int_equal(c.ask.held_ns, 2500 * NS_PER_MS);
	/* Down is not held, whatever it asked for. */
	bar(1, BAR_DRAIN, true);
	client_ask(&c);
	assert_int_equal(c.ask.held_ns, 3500 * NS_PER_MS);
	bar(0, BAR_DOWN, true);
	client_ask(&c);
	assert_int_equal(c.refusal, REFUSAL_NO_ENDPOINT);
	assert_int_equal(c.ask.held_ns, 0);
	scene_end(&s);
}

/* The lease that comes home says that its endpoint is held now. */
static void
hold_refuses_who_waits_when_a_lease_comes_home(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 1);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	hold(0, 1000);
	client_return(&a);
	assert_int_equal(b.refusal, REFUSAL_HELD);
	assert_int_equal(site_at(0)->idle, 1);
	scene_end(&s);
}

static void
end_of_a_hold_serves_who_waits_at_once(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.max = 3;
	atomic_store(&s.endpoints[0]->most, 1);
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(end_of(&b), 1);
	hold(1, 700);
	client_return(&b);
	client_come(&c, &s, 0);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_pass(&s, 699);
	assert_int_equal(c.state, CLIENT_WAITS);
	scene_pass(&s, 1);
	assert_int_equal(end_of(&c), 1);
	assert_true(c.lease->reused);
	client_return(&a);
	client_return(&c);
	scene_end(&s);
}

static void
who_leaves_takes_his_timer_along(void **state)
{
	struct client a, c;

	(void)state;
	scene_begin(&s, 1, 2);
	atomic_store(&s.endpoints[0]->most, 1);
	scene_start(&s);
	hold(1, 700);
	client_come(&a, &s, 0);
	client_come(&c, &s, 0);
	assert_true(deadline_armed(&scene_pool(&s, 0)->holding));
	client_cancel(&c);
	assert_false(deadline_armed(&scene_pool(&s, 0)->holding));
	client_return(&a);
	scene_end(&s);
}

/* It is the other worker that has the connection; nobody tells of the hold, be
   it long or over before anybody has looked. */
static void
end_of_a_hold_serves_who_waits_elsewhere(void **state)
{
	static const int64_t longs[] = { 100, 500, 1900 };
	struct client a, b, c;
	unsigned i;

	(void)state;
	for (i = 0; i < NELEMS(longs); i++) {
		scene_begin(&s, 2, 2);
		s.conf.pool.max = 2;
		s.conf.pool.queue_timeout_ms = 5000;
		atomic_store(&s.endpoints[0]->most, 1);
		atomic_store(&s.endpoints[1]->most, 1);
		scene_start(&s);
		client_come(&a, &s, 0);
		client_come(&b, &s, 0);
		client_come(&c, &s, 1);
		assert_int_equal(c.state, CLIENT_WAITS);
		hold(1, longs[i]);
		client_return(&b);
		scene_run(&s);
		assert_int_equal(c.state, CLIENT_WAITS);
		/* Of no use there, it has not moved. */
		assert_int_equal(scene_pool(&s, 0)->idle, 1);
		scene_pass(&s, longs[i] + 1000);
		assert_int_equal(end_of(&c), 1);
		assert_true(c.lease->reused);
		client_return(&a);
		client_return(&c);
		scene_end(&s);
	}
}

/* Where there is room it is the place that another worker's waiter gets. */
static void
held_connection_leaves_its_place_to_another_worker(void **state)
{
	struct client a, b;
	unsigned when;

	(void)state;
	/* It comes home before somebody waits, or after. */
	for (when = 0; when < 2; when++) {
		scene_begin(&s, 2, 2);
		s.conf.pool.max = 1;
		scene_start(&s);
		client_come(&a, &s, 0);
		assert_int_equal(end_of(&a), 0);
		hold(0, 60000);
		if (when == 0)
			client_return(&a);
		client_init(&b, &s, 1);
		client_ask(&b);
		assert_int_equal(b.state, CLIENT_WAITS);
		if (when == 1)
			client_return(&a);
		scene_run(&s);
		assert_int_equal(end_of(&b), 1);
		assert_int_equal(count_read(&scene_pool(&s, 0)->closes), 1);
		assert_int_equal(count_read(&scene_pool(&s, 1)->closes), 0);
		client_return(&b);
		scene_end(&s);
	}
}

/* Where its place would not help, it stays. */
static void
held_connection_stays_when_its_place_is_of_no_use(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 2, 2);
	atomic_store(&s.endpoints[1]->most, 1);
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	assert_int_equal(end_of(&b), 1);
	hold(0, 60000);
	client_return(&a);
	client_come(&c, &s, 1);
	assert_int_equal(c.state, CLIENT_WAITS);
	assert_int_equal(scene_pool(&s, 0)->idle, 1);
	client_return(&b);
	scene_run(&s);
	assert_int_equal(end_of(&c), 1);
	assert_int_equal(scene_pool(&s, 0)->idle, 1);
	client_return(&c);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(barred_endpoint_gets_nothing_new),
		cmocka_unit_test(
		    bar_closes_what_is_idle_now_and_what_is_leased_on_return),
		cmocka_unit_test(bar_counts_before_the_look),
		cmocka_unit_test(sessions_go_on_only_where_it_drains),
		cmocka_unit_test(
		    without_usable_endpoint_everybody_is_refused_at_once),
		cmocka_unit_test(waiters_of_all_workers_are_refused_at_once),
		cmocka_unit_test(who_asks_again_when_refused_is_refused_again),
		cmocka_unit_test(connect_to_a_barred_endpoint_is_given_up),
		cmocka_unit_test(
		    connect_to_the_only_endpoint_is_given_up_with_its_asker),
		cmocka_unit_test(
		    given_up_connect_leaves_no_ask_without_a_deadline),
		cmocka_unit_test(
		    endpoint_that_is_usable_again_serves_who_waits),
		cmocka_unit_test(backup_is_used_only_when_no_other_is_usable),
		cmocka_unit_test(backup_that_comes_home_is_given_to_nobody),
		cmocka_unit_test(all_down_may_be_tried),
		cmocka_unit_test(held_endpoint_rests_and_keeps_its_connections),
		cmocka_unit_test(all_held_is_refused_with_the_shortest_time),
		cmocka_unit_test(
		    hold_refuses_who_waits_when_a_lease_comes_home),
		cmocka_unit_test(end_of_a_hold_serves_who_waits_at_once),
		cmocka_unit_test(who_leaves_takes_his_timer_along),
		cmocka_unit_test(end_of_a_hold_serves_who_waits_elsewhere),
		cmocka_unit_test(
		    held_connection_leaves_its_place_to_another_worker),
		cmocka_unit_test(
		    held_connection_stays_when_its_place_is_of_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
