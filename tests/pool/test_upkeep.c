/*
 * pool/upkeep: warm connections, the idle timeout, and the server's own habits.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upkeep.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

static void
begin_warm(unsigned workers, int64_t min_idle)
{
	scene_begin(&s, workers, 1);
	s.conf.pool.min_idle = min_idle;
	scene_start(&s);
}

/* ------------------------------------------------------------ keeping warm */

static void
warm_connections_are_opened_and_replaced(void **state)
{
	struct client c;

	(void)state;
	begin_warm(1, 3);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	assert_int_equal(scene_connects(&s), 3);
	/* One is leased: soon there are three idle again. */
	client_come(&c, &s, 0);
	assert_int_equal(scene_connects(&s), 3);
	scene_pass(&s, 5);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	assert_int_equal(scene_connects(&s), 4);
	client_return_as(&c, MARK_BROKEN);
	/* One is closed by the far end. */
	client_come(&c, &s, 0);
	client_return(&c);
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, scene_upconn(&s, 0, 1)));
	scene_pass(&s, 1200);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	scene_end(&s);
}

static void
min_idle_backs_off_when_refused(void **state)
{
	unsigned tries, before;

	(void)state;
	scene_begin(&s, 1, 1);
	far_end_refuse(&s.ends[0]);
	s.conf.pool.min_idle = 3;
	before = connects_begun;
	scene_start(&s);
	/* conn_connect() asks the kernel twice for each. */
	tries = (connects_begun - before) / 2;
	assert_int_equal(tries, 1);
	scene_pass(&s, 1000);
	tries = (connects_begun - before) / 2;
	assert_in_range(tries, 3, 6);
	scene_pass(&s, 60000);
	tries = (connects_begun - before) / 2;
	assert_in_range(tries, 8, 13);
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	/* A server that comes back is found within the longest pause. */
	far_end_welcome(&s.ends[0]);
	scene_pass(&s, 38000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 3);
	scene_end(&s);
}

static void
slow_refusals_back_off_too(void **state)
{
	unsigned before;

	(void)state;
	scene_begin(&s, 1, 1);
	far_end_refuse(&s.ends[0]);
	connects_are_slow = true;
	s.conf.pool.min_idle = 1;
	before = connects_begun;
	scene_start(&s);
	scene_pass(&s, 60000);
	assert_in_range(connects_begun - before, 8, 14);
	scene_end(&s);
}

/* A server that accepts and closes at once must not be hammered. */
static void
server_that_closes_at_once_is_not_hammered(void **state)
{
	unsigned i;

	(void)state;
	begin_warm(1, 1);
	for (i = 0; i < 600; i++) {
		far_end_accept(&s.ends[0]);
		while (s.ends[0].n > 0)
			far_end_hang_up(&s.ends[0], s.ends[0].fds[0]);
		scene_pass(&s, 100);
	}
	assert_in_range(scene_connects(&s), 6, 14);
	scene_end(&s);
}

static void
use_ends_the_backing_off(void **state)
{
	struct client c;
	struct site *site;

	(void)state;
	scene_begin(&s, 1, 1);
	far_end_refuse(&s.ends[0]);
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	scene_pass(&s, 20000);
	site = pool_site_of(scene_pool(&s, 0), s.endpoints[0]);
	assert_true(site->rests > 5);
	site->warm_failures = 7;
	far_end_welcome(&s.ends[0]);
	client_come(&c, &s, 0);
	assert_int_equal(site->rests, 0);
	assert_int_equal(site->rest_until_ns, 0);
	assert_int_equal(site->warm_failures, 0);
	client_return(&c);
	scene_end(&s);
}

static void
warming_takes_no_place_while_somebody_waits(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max = 1;
	s.conf.pool.min_idle = 1;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return_as(&a, MARK_BROKEN);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

static void
warming_stays_under_the_caps(void **state)
{
	(void)state;
	scene_begin(&s, 1, 2);
	s.conf.pool.min_idle = 10;
	s.conf.pool.max = 10;
	atomic_store(&s.endpoints[0]->most, 2);
	atomic_store(&s.endpoints[1]->most, 3);
	scene_start(&s);
	scene_pass(&s, 100);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 2);
	assert_int_equal(atomic_load(&s.endpoints[1]->open), 3);
	s.conf.pool.min_idle = 10;
	s.conf.pool.max = 4;
	scene_reload(&s, false);
	scene_pass(&s, 100);
	assert_int_equal(atomic_load(&s.upstream->open), 4);
	scene_end(&s);
}

static void
warm_connections_go_where_there_are_fewest_for_the_weight(void **state)
{
	(void)state;
	scene_begin(&s, 1, 3);
	s.conf.pool.min_idle = 12;
	atomic_store(&s.endpoints[2]->weight, 4);
	scene_start(&s);
	assert_int_equal(atomic_load(&s.endpoints[0]->open), 2);
	assert_int_equal(atomic_load(&s.endpoints[1]->open), 2);
	assert_int_equal(atomic_load(&s.endpoints[2]->open), 8);
	scene_end(&s);
}

static void
min_idle_is_shared_out_to_workers(void **state)
{
	(void)state;
	begin_warm(3, 5);
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->idle), 2);
	assert_int_equal(atomic_load(&scene_pool(&s, 1)->idle), 2);
	assert_int_equal(atomic_load(&scene_pool(&s, 2)->idle), 1);
	scene_end(&s);
}

/* What one worker may keep another must not open only to close it. */
static void
warming_and_trimming_do_not_chase_each_other(void **state)
{
	struct client first, c[2];
	unsigned i;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.min_idle = 2;
	s.conf.pool.max_idle = 2;
	scene_start(&s);
	client_init(&first, &s, 0);
	client_ask(&first);
	for (i = 0; i < 2; i++) {
		client_init(&c[i], &s, 1);
		client_ask(&c[i]);
	}
	for (i = 0; i < 2; i++)
		client_return(&c[i]);
	/* The second worker has them all, the first none. */
	assert_int_equal(atomic_load(&scene_pool(&s, 0)->idle), 0);
	assert_int_equal(atomic_load(&scene_pool(&s, 1)->idle), 2);
	scene_pass(&s, 10000);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	assert_int_equal(scene_connects(&s), 3);
	client_return(&first);
	scene_end(&s);
}

/* ---------------------------------------------------------- too long unused */

static void
unused_connections_are_closed_in_time(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.idle_timeout_ms = 1000;
	scene_start(&s);
	client_come(&a, &s, 0);
	client_come(&b, &s, 0);
	client_return(&a);
	scene_pass(&s, 800);
	client_return(&b);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	scene_pass(&s, 500);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_pass(&s, 800);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	assert_int_equal(scene_discards(&s, DISCARD_IDLE_TIMEOUT), 2);
	scene_end(&s);
}

static void
server_that_says_how_long_is_believed(void **state)
{
	struct client c;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.idle_timeout_ms = 60000;
	scene_start(&s);
	client_come(&c, &s, 0);
	c.lease->u->idle_hint_ms = 70000;
	assert_int_equal(upkeep_idle_ms(c.lease->u), 60000);
	c.lease->u->idle_hint_ms = 4000;
	assert_int_equal(upkeep_idle_ms(c.lease->u), 4000);
	client_return(&c);
	scene_pass(&s, 3900);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	scene_pass(&s, 16000);
	assert_int_equal(scene_discards(&s, DISCARD_IDLE_TIMEOUT), 1);
	scene_end(&s);
}

/* -------------------------------------------------------------------- habit */

/* The server closes each connection that was idle for `ms`. */
static void
closed_after(int64_t ms)
{
	struct client c;
	struct upconn *u;

	client_come(&c, &s, 0);
	u = c.lease->u;
	client_return(&c);
	scene_pass(&s, ms);
	if (scene_count(&s, UPCONN_IDLE) == 0)
		return;
	far_end_hang_up(&s.ends[0], scene_far_fd(&s, u));
	scene_run(&s);
}

static void
server_that_closes_idle_early_is_learned(void **state)
{
	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.idle_timeout_ms = 60000;
	scene_start(&s);
	closed_after(5000);
	closed_after(5020);
	assert_int_equal(scene_pool(&s, 0)->habit.learned_ms, 0);
	closed_after(4990);
	assert_int_equal(scene_pool(&s, 0)->habit.learned_ms, 4990 - 499);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 3);
	/* From now on weir is sooner. */
	closed_after(8000);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 3);
	assert_int_equal(scene_discards(&s, DISCARD_IDLE_TIMEOUT), 1);
	/* Ten minutes later it may have another habit. */
	scene_pass(&s, 602000);
	assert_int_equal(scene_pool(&s, 0)->habit.learned_ms, 0);
	closed_after(8000);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 4);
	scene_end(&s);
}

static void
closings_at_different_ages_are_no_habit(void **state)
{
	(void)state;
	begin_warm(1, 0);
	closed_after(5000);
	closed_after(2000);
	closed_after(9000);
	closed_after(3000);
	assert_int_equal(scene_pool(&s, 0)->habit.learned_ms, 0);
	scene_end(&s);
}

static void
closing_all_at_one_moment_is_no_habit(void **state)
{
	struct client c[5];
	unsigned i;

	(void)state;
	begin_warm(1, 0);
	for (i = 0; i < 5; i++)
		client_come(&c[i], &s, 0);
	for (i = 0; i < 5; i++)
		client_return(&c[i]);
	scene_pass(&s, 5000);
	far_end_accept(&s.ends[0]);
	while (s.ends[0].n > 0)
		far_end_hang_up(&s.ends[0], s.ends[0].fds[0]);
	scene_run(&s);
	assert_int_equal(scene_discards(&s, DISCARD_CLOSED_IDLE), 5);
	assert_int_equal(scene_pool(&s, 0)->habit.learned_ms, 0);
	scene_end(&s);
}

/* ------------------------------------------------------------------ surplus */

static void
no_more_idle_than_max_idle(void **state)
{
	struct client c[5];
	unsigned i;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.max_idle = 2;
	scene_start(&s);
	for (i = 0; i < 5; i++)
		client_come(&c[i], &s, 0);
	for (i = 0; i < 5; i++)
		client_return(&c[i]);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 2);
	assert_int_equal(scene_discards(&s, DISCARD_SURPLUS), 3);
	s.conf.pool.max_idle = 0;
	scene_reload(&s, false);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	client_come(&c[0], &s, 0);
	client_return(&c[0]);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 0);
	scene_end(&s);
}

/* ---------------------------------------------------------------- keepalive */

static int
keepalive_of(const struct upconn *u)
{
	socklen_t len = sizeof(int);
	int on = 0, idle_s = 0;

	assert_int_equal(getsockopt(conn_fd(&u->conn), SOL_SOCKET, SO_KEEPALIVE,
	    &on, &len), 0);
	assert_int_equal(getsockopt(conn_fd(&u->conn), IPPROTO_TCP,
	    TCP_KEEPIDLE, &idle_s, &len), 0);
	return on ? idle_s : 0;
}

static void
connections_that_live_are_probed(void **state)
{
	struct client a, b;

	(void)state;
	scene_begin(&s, 1, 1);
	s.conf.pool.tcp_keepalive_ms = 30000;
	scene_start(&s);
	client_come(&a, &s, 0);
	assert_int_equal(keepalive_of(a.lease->u), 0);
	scene_pass(&s, 900);
	client_come(&b, &s, 0);
	scene_pass(&s, 1500);
	assert_int_equal(keepalive_of(a.lease->u), 30);
	scene_pass(&s, 1500);
	assert_int_equal(keepalive_of(b.lease->u), 30);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

/* One that came from another worker, where it was seen to, is no sign that all
   before it have been. */
static void
connections_beside_a_transferred_one_are_probed(void **state)
{
	struct client a, b, c;

	(void)state;
	scene_begin(&s, 2, 1);
	s.conf.pool.max = 2;
	s.conf.pool.tcp_keepalive_ms = 30000;
	scene_start(&s);
	client_come(&a, &s, 0);
	scene_pass(&s, 2500);
	assert_int_equal(keepalive_of(a.lease->u), 30);
	client_come(&b, &s, 1);
	client_come(&c, &s, 1);
	client_return(&a);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(keepalive_of(b.lease->u), 0);
	scene_pass(&s, 2500);
	assert_int_equal(keepalive_of(b.lease->u), 30);
	client_return(&b);
	client_return(&c);
	scene_end(&s);
}

/* ---------------------------------------------------------- keys kept warm */

static const char *const warm_keys[] = { "ann", "bob", NULL };

static const void *
warm_key(const struct conf_upstream *conf, size_t i, size_t *len)
{
	assert_ptr_equal(conf, &s.conf);
	if (warm_keys[i] != NULL)
		*len = strlen(warm_keys[i]);
	return warm_keys[i];
}

static void
begin_keyed(int64_t min_idle)
{
	scene_begin(&s, 1, 1);
	s.peer.warm_key = warm_key;
	s.conf.pool.min_idle = min_idle;
}

static unsigned
open_of(const char *key)
{
	struct pool *p = scene_pool(&s, 0);
	struct site *site = pool_site_of(p, s.endpoints[0]);
	struct shelf *sh = shelf_find(site, key, strlen(key));

	return sh != NULL ? sh->open : 0;
}

static void
each_key_that_is_named_has_its_own(void **state)
{
	struct client c;

	(void)state;
	begin_keyed(2);
	scene_start(&s);
	assert_int_equal(open_of("ann"), 2);
	assert_int_equal(open_of("bob"), 2);
	assert_int_equal(scene_connects(&s), 4);
	assert_int_equal(upkeep_warm_total(s.upstream, &s.conf), 4);
	/* What others have idle does not make up for it. */
	client_init(&c, &s, 0);
	c.ask.key = "eve", c.ask.key_len = 3;
	client_ask(&c);
	scene_run(&s);
	client_return(&c);
	client_init(&c, &s, 0);
	c.ask.key = "ann", c.ask.key_len = 3;
	client_ask(&c);
	scene_pass(&s, 5);
	assert_int_equal(open_of("ann"), 3);
	assert_int_equal(open_of("bob"), 2);
	client_return_as(&c, MARK_BROKEN);
	scene_pass(&s, 5);
	assert_int_equal(open_of("ann"), 2);
	assert_int_equal(scene_connects(&s), 6);
	scene_end(&s);
}

static bool
no_bob(struct upconn *u)
{
	if (memcmp(u->shelf->key, "bob", 3) != 0)
		return true;
	upconn_turned_away(u, "not him");
	return false;
}

static void
who_is_turned_away_is_not_tried_at_once_again(void **state)
{
	(void)state;
	begin_keyed(1);
	s.peer.greet = no_bob;
	scene_start(&s);
	assert_int_equal(open_of("ann"), 1);
	scene_pass(&s, 1000);
	assert_in_range(scene_connects(&s), 3, 7);
	scene_pass(&s, 60000);
	assert_in_range(scene_connects(&s), 8, 14);
	s.peer.greet = NULL;
	scene_pass(&s, 38000);
	assert_int_equal(open_of("ann"), 1);
	assert_int_equal(open_of("bob"), 1);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warm_connections_are_opened_and_replaced),
		cmocka_unit_test(min_idle_backs_off_when_refused),
		cmocka_unit_test(slow_refusals_back_off_too),
		cmocka_unit_test(server_that_closes_at_once_is_not_hammered),
		cmocka_unit_test(use_ends_the_backing_off),
		cmocka_unit_test(warming_takes_no_place_while_somebody_waits),
		cmocka_unit_test(warming_stays_under_the_caps),
		cmocka_unit_test(
		    warm_connections_go_where_there_are_fewest_for_the_weight),
		cmocka_unit_test(min_idle_is_shared_out_to_workers),
		cmocka_unit_test(warming_and_trimming_do_not_chase_each_other),
		cmocka_unit_test(unused_connections_are_closed_in_time),
		cmocka_unit_test(server_that_says_how_long_is_believed),
		cmocka_unit_test(server_that_closes_idle_early_is_learned),
		cmocka_unit_test(closings_at_different_ages_are_no_habit),
		cmocka_unit_test(closing_all_at_one_moment_is_no_habit),
		cmocka_unit_test(no_more_idle_than_max_idle),
		cmocka_unit_test(connections_that_live_are_probed),
		cmocka_unit_test(
		    connections_beside_a_transferred_one_are_probed),
		cmocka_unit_test(each_key_that_is_named_has_its_own),
		cmocka_unit_test(who_is_turned_away_is_not_tried_at_once_again)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
