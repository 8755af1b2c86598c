/*
 * pool/quota: caps on the connections of a user or a database, exact over all
 * workers, and in nobody else's way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

static struct scene s;

/* "user/database" */
static unsigned
groups(const void *key, size_t len, struct pool_group out[POOL_GROUPS])
{
	const char *text = key;
	const char *slash = len > 0 ? memchr(text, '/', len) : NULL;

	if (slash == NULL)
		return 0;
	out[POOL_GROUP_USER] = (struct pool_group){ text,
	    (size_t)(slash - text) };
	out[POOL_GROUP_DATABASE] = (struct pool_group){ slash + 1,
	    len - (size_t)(slash + 1 - text) };
	return POOL_GROUPS;
}

static void
begin(unsigned workers, int64_t per_user, int64_t per_database)
{
	scene_begin(&s, workers, 1);
	s.peer.groups = groups;
	s.conf.pool.max = 10;
	s.conf.pool.max_per_user = per_user;
	s.conf.pool.max_per_database = per_database;
	scene_start(&s);
}

static void
come(struct client *c, unsigned worker, const char *key)
{
	client_init(c, &s, worker);
	c->ask.key = key;
	c->ask.key_len = strlen(key);
	client_ask(c);
	scene_run(&s);
}

static void
who_is_over_waits_and_nobody_else_does(void **state)
{
	struct client a, b, other;

	(void)state;
	begin(1, 1, CONF_OFF);
	come(&a, 0, "ann/x");
	come(&b, 0, "ann/x");
	come(&other, 0, "bob/x");
	assert_int_equal(a.state, CLIENT_HOLDS);
	assert_int_equal(b.state, CLIENT_WAITS);
	assert_int_equal(other.state, CLIENT_HOLDS);
	/* The one that comes back is of his key. */
	client_return(&a);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(scene_connects(&s), 2);
	client_return(&b);
	client_return(&other);
	scene_end(&s);
}

static void
idle_one_of_the_group_makes_place(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 1, 2);
	come(&a, 0, "ann/x");
	client_return(&a);
	come(&b, 0, "ann/y");
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(atomic_load(&s.upstream->open), 1);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 1);
	/* And one that comes back while somebody waits for its place. */
	come(&c, 0, "ann/x");
	assert_int_equal(c.state, CLIENT_WAITS);
	client_return(&b);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(scene_discards(&s, DISCARD_OTHER_KEY), 2);
	client_return(&c);
	scene_end(&s);
}

static void
both_caps_hold(void **state)
{
	struct client a, b, c, d;

	(void)state;
	begin(1, 2, 2);
	come(&a, 0, "ann/x");
	come(&b, 0, "bob/x");
	come(&c, 0, "cat/x");
	assert_int_equal(c.state, CLIENT_WAITS);
	/* The database had none for cat: the user's place was given back. */
	come(&d, 0, "cat/y");
	assert_int_equal(d.state, CLIENT_HOLDS);
	client_return_as(&a, MARK_BROKEN);
	scene_run(&s);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&b);
	client_return(&c);
	client_return(&d);
	scene_end(&s);
}

static void
workers_count_together(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(2, 1, CONF_OFF);
	come(&a, 0, "ann/x");
	come(&b, 1, "ann/x");
	assert_int_equal(b.state, CLIENT_WAITS);
	client_return(&a);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	assert_int_equal(atomic_load(&s.upstream->open), 1);
	client_return(&b);
	scene_run(&s);
	/* Idle on the other worker, of another key. */
	come(&c, 0, "ann/y");
	assert_int_equal(c.state, CLIENT_HOLDS);
	assert_int_equal(atomic_load(&s.upstream->open), 1);
	client_return(&c);
	scene_end(&s);
}

static void
waiting_ends_as_ever(void **state)
{
	struct client a, b, c;

	(void)state;
	begin(1, 1, CONF_OFF);
	s.conf.pool.max_waiting = 1;
	come(&a, 0, "ann/x");
	come(&b, 0, "ann/y");
	come(&c, 0, "ann/z");
	assert_int_equal(c.state, CLIENT_REFUSED);
	assert_int_equal(c.refusal, REFUSAL_QUEUE_FULL);
	scene_pass(&s, 2010);
	assert_int_equal(b.refusal, REFUSAL_QUEUE_TIMEOUT);
	come(&b, 0, "ann/y");
	client_cancel(&b);
	client_return(&a);
	scene_end(&s);
}

static void
raised_cap_is_for_those_who_wait(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 1, CONF_OFF);
	come(&a, 0, "ann/x");
	come(&b, 0, "ann/x");
	assert_int_equal(b.state, CLIENT_WAITS);
	s.conf.pool.max_per_user = 2;
	scene_reload(&s, false);
	scene_run(&s);
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&a);
	client_return(&b);
	scene_end(&s);
}

static void
connects_that_fail_give_the_place_back(void **state)
{
	struct client a, b;

	(void)state;
	begin(1, 1, CONF_OFF);
	far_end_refuse(&s.ends[0]);
	come(&a, 0, "ann/x");
	assert_int_equal(a.state, CLIENT_REFUSED);
	far_end_welcome(&s.ends[0]);
	scene_pass(&s, 1000);
	come(&b, 0, "ann/x");
	assert_int_equal(b.state, CLIENT_HOLDS);
	client_return(&b);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_over_waits_and_nobody_else_does),
		cmocka_unit_test(idle_one_of_the_group_makes_place),
		cmocka_unit_test(both_caps_hold),
		cmocka_unit_test(workers_count_together),
		cmocka_unit_test(waiting_ends_as_ever),
		cmocka_unit_test(raised_cap_is_for_those_who_wait),
		cmocka_unit_test(connects_that_fail_give_the_place_back)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
