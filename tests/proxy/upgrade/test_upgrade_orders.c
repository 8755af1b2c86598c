/*
 * proxy/upgrade_orders: what the weir that serves says of an upstream is so in
 * the one that drains, once; what makes no sense there changes nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/override.h"
#include "tests/support/live_scene.h"

static struct live_scene s;

static int
set_up(void **state)
{
	(void)state;
	live_scene_begin(&s);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	live_scene_end(&s);
	return 0;
}

/* As it comes: with the rest of the message's members. */
static void
obey(const char *members)
{
	struct message m = { .is = "orders" };
	char text[1024];

	assert_true(snprintf(text, sizeof(text), "{\"is\":\"orders\",\"n\":1,"
	    "\"upstream\":\"app\"%s}", members) < (int)sizeof(text));
	m.j = json_loads(text, 0, NULL);
	assert_non_null(m.j);
	orders_obey(&s.rt, &m);
	json_decref(m.j);
}

static bool
paused(void)
{
	return atomic_load(&s.lu->upstream->paused);
}

static void
all_of_it_is_so_and_what_is_not_in_it_is_over(void **state)
{
	const struct override *b;

	(void)state;
	obey(",\"paused\":true,\"endpoints\":{\"b\":{\"state\":\"down\","
	    "\"weight\":3,\"left_ms\":60000}},\"fault\":{\"delay_ms\":20,"
	    "\"what\":\"error\",\"per_million\":500000,\"left_ms\":60000}");
	assert_true(paused());
	b = override_find(s.lu, "b");
	assert_non_null(b);
	assert_int_equal(b->state, OVERRIDE_DOWN);
	assert_int_equal(b->weight, 3);
	assert_true(b->until_ns == s.rt.main.now_ns + 60 * NS_PER_S);
	assert_int_equal(s.lu->injection.wish.delay_ms, 20);
	assert_int_equal(s.lu->injection.wish.what, INJECT_ERROR);
	assert_int_equal(atomic_load(&s.lu->upstream->inject.per_million),
	    500000);
	/* Its weight is the file's again. */
	obey(",\"endpoints\":{\"b\":{\"state\":\"drain\",\"weight\":0}}");
	assert_false(paused());
	b = override_find(s.lu, "b");
	assert_non_null(b);
	assert_int_equal(b->state, OVERRIDE_DRAIN);
	assert_int_equal(b->weight, 0);
	assert_true(b->until_ns == INT64_MAX);
	assert_int_equal(s.lu->injection.wish.per_million, 0);
	obey(",\"endpoints\":{}");
	assert_null(s.lu->overrides);
}

static void
the_same_again_changes_nothing(void **state)
{
	static const char same[] = ",\"endpoints\":{\"b\":{\"state\":\"drain\","
	    "\"weight\":0,\"left_ms\":60000}},\"fault\":{\"delay_ms\":20,"
	    "\"what\":\"nothing\",\"per_million\":1,\"left_ms\":60000}";
	int64_t until_ns, fault_until_ns;

	(void)state;
	obey(same);
	until_ns = s.lu->overrides->until_ns;
	fault_until_ns = s.lu->injection.until_ns;
	/* It has been under way for a moment. */
	s.rt.main.now_ns += NS_PER_S / 2;
	obey(same);
	assert_true(s.lu->overrides->until_ns == until_ns);
	assert_true(s.lu->injection.until_ns == fault_until_ns);
	s.rt.main.now_ns += NS_PER_S;
	obey(same);
	assert_true(s.lu->overrides->until_ns > until_ns);
	assert_true(s.lu->injection.until_ns > fault_until_ns);
}

static void
where_nothing_is_said_of_endpoints_they_stay(void **state)
{
	(void)state;
	obey(",\"endpoints\":{\"b\":{\"state\":\"down\"}}");
	obey(",\"paused\":true");
	assert_true(paused());
	assert_non_null(override_find(s.lu, "b"));
	obey(",\"endpoints\":[1]");
	assert_non_null(override_find(s.lu, "b"));
}

static void
what_there_is_not_is_passed_over(void **state)
{
	(void)state;
	obey(",\"endpoints\":{\"c\":{\"state\":\"down\"},\"b\":{\"state\":"
	    "\"up and down\"},\"127.0.0.1:9\":7},\"fault\":{\"delay_ms\":20,"
	    "\"what\":\"worse\",\"per_million\":1,\"left_ms\":1000}");
	assert_null(s.lu->overrides);
	assert_int_equal(s.lu->injection.wish.per_million, 0);
	obey(",\"fault\":{\"what\":\"nothing\",\"per_million\":1}");
	assert_int_equal(s.lu->injection.wish.per_million, 0);
	s.lu->upstream->name[0] = 'o';
	obey(",\"paused\":true");
	assert_false(paused());
	s.lu->upstream->name[0] = 'a';
}

static void
numbers_out_of_range_are_the_nearer_end(void **state)
{
	(void)state;
	obey(",\"endpoints\":{\"b\":{\"state\":\"down\",\"weight\":1000000,"
	    "\"left_ms\":-5}},\"fault\":{\"delay_ms\":9223372036854775807,"
	    "\"what\":\"reset\",\"per_million\":2000000,"
	    "\"left_ms\":9223372036854775807}");
	assert_int_equal(s.lu->overrides->weight, 1000);
	assert_true(s.lu->overrides->until_ns == s.rt.main.now_ns +
	    NS_PER_MS);
	assert_int_equal(s.lu->injection.wish.delay_ms, 3600 * 1000);
	assert_int_equal(s.lu->injection.wish.per_million, INJECT_ALL);
	assert_int_equal(s.lu->injection.wish.for_ms, MESSAGE_LONG_MS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_it_is_so_and_what_is_not_in_it_is_over),
		TEST(the_same_again_changes_nothing),
		TEST(where_nothing_is_said_of_endpoints_they_stay),
		TEST(what_there_is_not_is_passed_over),
		TEST(numbers_out_of_range_are_the_nearer_end)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
