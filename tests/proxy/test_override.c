/*
 * proxy/override: what was changed by hand, over reloads, for a time, and what
 * of it reaches the endpoints and the pools. One lane, main's clock the test's,
 * nothing listens anywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/override.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/log.h"
#include "proxy/generation.h"
#include "proxy/lane.h"
#include "proxy/live.h"

#define BEGINNING_NS (1000 * NS_PER_S)
#define TWO "endpoints = ( \"127.0.0.1:9\", { name = \"b\"; " \
	"address = \"127.0.0.2:9\"; weight = 7; } );"
#define ONE "endpoints = ( \"127.0.0.1:9\" );"

static struct world {
	struct runtime rt;
	struct lane *lane;
	struct live_upstream *lu;
	struct ev_check clock;
	int64_t now_ns;
	char why[200];
} w;

/* -------------------------------------------------------------------- world */

static void
turn_started(struct ev_loop *loop, struct ev_check *watcher, int revents)
{
	(void)loop, (void)watcher, (void)revents;
	w.rt.main.now_ns = w.now_ns;
}

static void
run(void)
{
	int i;

	for (i = 0; i < 5; i++) {
		ev_run(w.lane->worker.loop, EVRUN_NOWAIT);
		ev_run(w.rt.main.loop, EVRUN_NOWAIT);
	}
}

static void
pass(int64_t ms)
{
	int64_t until_ns = w.now_ns + ms * NS_PER_MS;
	struct worker *main = &w.rt.main;

	while (main->timer_at_ns <= until_ns) {
		if (main->timer_at_ns > w.now_ns)
			w.now_ns = main->timer_at_ns;
		main->now_ns = w.now_ns;
		ev_timer_stop(main->loop, &main->timer);
		ev_timer_set(&main->timer, 0., 0.);
		ev_timer_start(main->loop, &main->timer);
		run();
	}
	main->now_ns = w.now_ns = until_ns;
}

/* A snapshot with these keys for the upstream, taken over as a reload does. */
static void
load(const char *keys)
{
	struct conf_errors errors = { 0 };
	struct conf_input in = { .path = "override.conf",
	    .protos = proto_table };
	struct generation *g;
	struct order *o;
	struct conf *c;
	char *text;

	assert_true(asprintf(&text, "listeners = ( { name = \"web\"; "
	    "bind = \"127.0.0.1:8080\"; protocol = \"http\"; "
	    "upstream = \"app\"; } );\nupstreams = ( { name = \"app\"; %s } "
	    ");\n", keys) > 0);
	in.text = text;
	c = conf_load(&in, &errors);
	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	conf_errors_fini(&errors);
	free(text);
	g = generation_new(&w.rt, c);
	assert_non_null(g);
	list_append(&w.rt.generations, &g->link);
	if (w.lu == NULL)
		w.lu = live_upstream_new(&w.rt, &c->upstreams[0]);
	assert_non_null(w.lu);
	g->upstreams[0] = w.lu->upstream;
	assert_int_equal(live_upstream_configure(w.lu, &c->upstreams[0]), 0);
	o = order_new(g, 0, 0, 1);
	assert_non_null(o);
	o->n_pools = 1;
	o->pools[0] = (struct pool_order){ .pool = w.lu->upstream->pools[0],
	    .conf = &c->upstreams[0], .roster = roster_keep(w.lu->roster) };
	w.rt.gen = g;
	worker_post(&w.lane->worker, &o->mail);
	/* Main's turn comes when the test says so. */
	ev_run(w.lane->worker.loop, EVRUN_NOWAIT);
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	memset(&w, 0, sizeof(w));
	assert_int_equal(worker_init(&w.rt.main, 0, &w.rt), 0);
	w.rt.main.now_ns = w.now_ns = BEGINNING_NS;
	ev_check_init(&w.clock, turn_started);
	ev_set_priority(&w.clock, WORKER_PRI_CLOCK - 1);
	ev_check_start(w.rt.main.loop, &w.clock);
	list_init(&w.rt.generations);
	list_init(&w.rt.upstreams);
	list_init(&w.rt.listeners);
	w.lane = lane_new(&w.rt, 0);
	assert_non_null(w.lane);
	w.rt.lanes = &w.lane;
	w.rt.n_lanes = 1;
	load(TWO);
	return 0;
}

static int
tear_down(void **state)
{
	struct list *l;

	(void)state;
	pool_close_all(w.lu->upstream->pools[0]);
	run();
	lane_free(w.lane);
	live_upstream_free(w.lu);
	while ((l = list_first(&w.rt.generations)) != NULL)
		generation_free(container_of(l, struct generation, link));
	ev_check_stop(w.rt.main.loop, &w.clock);
	worker_fini(&w.rt.main);
	return 0;
}

static struct endpoint *
endpoint(const char *name)
{
	size_t i;

	for (i = 0; i < w.lu->roster->n; i++)
		if (strcmp(w.lu->roster->v[i]->name, name) == 0)
			return w.lu->roster->v[i];
	fail_msg("no endpoint %s", name);
	return NULL;
}

static unsigned
bars(const char *name)
{
	return atomic_load(&endpoint(name)->bars);
}

static unsigned
weight(const char *name)
{
	return atomic_load(&endpoint(name)->weight);
}

static int
set_for(const char *name, int state, unsigned wanted, int64_t for_ms)
{
	return override_set(w.lu, name, state, wanted, for_ms, w.why,
	    sizeof(w.why));
}

static void
set(const char *name, int state, unsigned wanted)
{
	assert_int_equal(set_for(name, state, wanted, CONF_OFF), 0);
}

/* Was the lane told to look again? */
static bool
told(void)
{
	bool mail = atomic_load(&w.lane->worker.inbox) != NULL;

	run();
	return mail;
}

/* -------------------------------------------------------------------- cases */

static void
states_have_the_words_of_the_command(void **state)
{
	(void)state;
	assert_string_equal(override_states[OVERRIDE_CONF], "conf");
	assert_string_equal(override_states[OVERRIDE_UP], "up");
	assert_string_equal(override_states[OVERRIDE_DRAIN], "drain");
	assert_string_equal(override_states[OVERRIDE_DOWN], "down");
	assert_null(override_states[OVERRIDE_DOWN + 1]);
}

static void
drain_and_down_bar_the_one_endpoint_and_tell_the_pools(void **state)
{
	const struct override *o;

	(void)state;
	assert_false(told());
	set("b", OVERRIDE_DRAIN, 0);
	assert_true(told());
	assert_int_equal(bars("b"), BAR_DRAIN);
	assert_int_equal(bars("127.0.0.1:9"), 0);
	o = override_find(w.lu, "b");
	assert_non_null(o);
	assert_int_equal(o->state, OVERRIDE_DRAIN);
	assert_int_equal(o->weight, 0);
	assert_true(o->until_ns == INT64_MAX);
	assert_true(o->since_s > 0);
	assert_null(override_find(w.lu, "127.0.0.1:9"));
	set("b", OVERRIDE_DOWN, 0);
	assert_true(told());
	assert_int_equal(bars("b"), BAR_DOWN);
	assert_int_equal(override_count(&w.rt), 1);
	set("127.0.0.1:9", OVERRIDE_DOWN, 0);
	assert_int_equal(override_count(&w.rt), 2);
}

static void
conf_ends_it(void **state)
{
	(void)state;
	set("b", OVERRIDE_DOWN, 3);
	assert_true(told());
	set("b", OVERRIDE_CONF, 0);
	assert_true(told());
	assert_int_equal(bars("b"), 0);
	assert_int_equal(weight("b"), 7);
	assert_null(override_find(w.lu, "b"));
	/* Once more is no mistake, and no news. */
	set("b", OVERRIDE_CONF, 0);
	assert_false(told());
}

static void
a_weight_comes_alone_or_with_a_state(void **state)
{
	(void)state;
	set("b", -1, 100);
	assert_int_equal(weight("b"), 100);
	assert_int_equal(bars("b"), 0);
	set("b", OVERRIDE_DRAIN, 0);
	assert_int_equal(weight("b"), 100);
	assert_int_equal(bars("b"), BAR_DRAIN);
	set("b", -1, 5);
	assert_int_equal(weight("b"), 5);
	assert_int_equal(bars("b"), BAR_DRAIN);
	set("b", OVERRIDE_CONF, 9);
	assert_int_equal(weight("b"), 9);
	assert_int_equal(bars("b"), 0);
	assert_int_equal(override_find(w.lu, "b")->state, OVERRIDE_CONF);
	set("b", OVERRIDE_CONF, 0);
	assert_int_equal(weight("b"), 7);
}

static void
what_makes_no_sense_is_refused_and_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(set_for("c", OVERRIDE_DOWN, 0, CONF_OFF), -1);
	assert_string_equal(w.why, "upstream app has no endpoint c");
	assert_int_equal(set_for("b", -1, 0, CONF_OFF), -1);
	assert_int_equal(set_for("b", -1, 1001, CONF_OFF), -1);
	assert_int_equal(set_for("b", OVERRIDE_DOWN + 1, 0, CONF_OFF), -1);
	assert_int_equal(set_for("b", OVERRIDE_DOWN, 0, 0), -1);
	assert_int_equal(override_count(&w.rt), 0);
	assert_int_equal(bars("b"), 0);
	assert_int_equal(weight("b"), 7);
	assert_false(told());
	set("b", -1, 1000);
}

static void
it_ends_when_its_time_is_up(void **state)
{
	(void)state;
	assert_int_equal(set_for("b", OVERRIDE_DOWN, 3, 600000), 0);
	assert_int_equal(set_for("127.0.0.1:9", OVERRIDE_DRAIN, 0, 1200000),
	    0);
	assert_true(told());
	assert_true(override_find(w.lu, "b")->until_ns == w.now_ns +
	    600 * NS_PER_S);
	pass(599999);
	assert_int_equal(bars("b"), BAR_DOWN);
	pass(1);
	assert_int_equal(bars("b"), 0);
	assert_int_equal(weight("b"), 7);
	assert_null(override_find(w.lu, "b"));
	assert_int_equal(bars("127.0.0.1:9"), BAR_DRAIN);
	pass(600000);
	assert_int_equal(override_count(&w.rt), 0);
}

static void
a_later_word_on_the_time_counts(void **state)
{
	(void)state;
	assert_int_equal(set_for("b", OVERRIDE_DOWN, 0, 1000), 0);
	set("b", OVERRIDE_DOWN, 0);
	pass(100000);
	assert_int_equal(bars("b"), BAR_DOWN);
	assert_int_equal(set_for("b", -1, 2, 1000), 0);
	pass(1001);
	assert_int_equal(override_count(&w.rt), 0);
	/* A thousand years are for good. */
	assert_int_equal(set_for("b", OVERRIDE_DOWN, 0, CONF_OFF / 1000), 0);
	assert_true(override_find(w.lu, "b")->until_ns == INT64_MAX);
}

static void
a_reload_keeps_it_and_its_time(void **state)
{
	struct endpoint *before = endpoint("b");

	(void)state;
	assert_int_equal(set_for("b", OVERRIDE_DRAIN, 3, 10000), 0);
	pass(5000);
	load(TWO " balance = \"round_robin\";");
	assert_ptr_equal(endpoint("b"), before);
	assert_int_equal(bars("b"), BAR_DRAIN);
	assert_int_equal(weight("b"), 3);
	pass(4999);
	assert_int_equal(bars("b"), BAR_DRAIN);
	pass(1);
	assert_int_equal(bars("b"), 0);
}

static void
another_address_of_that_name_gets_it_too(void **state)
{
	(void)state;
	set("b", OVERRIDE_DOWN, 3);
	load("endpoints = ( { name = \"b\"; address = \"127.0.0.3:9\"; } );");
	assert_string_equal(endpoint("b")->resolved, "127.0.0.3:9");
	assert_int_equal(bars("b"), BAR_DOWN);
	assert_int_equal(weight("b"), 3);
}

static void
it_ends_when_its_endpoint_leaves_the_file(void **state)
{
	(void)state;
	set("b", OVERRIDE_DOWN, 0);
	set("127.0.0.1:9", -1, 4);
	load(ONE);
	assert_null(override_find(w.lu, "b"));
	assert_non_null(override_find(w.lu, "127.0.0.1:9"));
	load(TWO);
	assert_int_equal(bars("b"), 0);
	assert_int_equal(override_count(&w.rt), 1);
	live_upstream_leave(w.lu);
	assert_int_equal(override_count(&w.rt), 0);
}

static void
all_can_be_dropped(void **state)
{
	(void)state;
	set("b", OVERRIDE_DOWN, 3);
	assert_int_equal(set_for("127.0.0.1:9", OVERRIDE_DRAIN, 0, 1000), 0);
	(void)told();
	override_drop_all(&w.rt);
	assert_true(told());
	assert_int_equal(override_count(&w.rt), 0);
	assert_int_equal(bars("b"), 0);
	assert_int_equal(bars("127.0.0.1:9"), 0);
	assert_int_equal(weight("b"), 7);
	pass(2000);
	override_drop_all(&w.rt);
	assert_false(told());
}

/* Nobody listens at these addresses. */
static void
up_holds_against_the_checks_until_it_ends(void **state)
{
	(void)state;
	load(TWO " health = { type = \"tcp\"; interval = \"1s\"; };");
	pass(500);
	assert_int_equal(bars("b"), BAR_CHECK);
	set("b", OVERRIDE_UP, 0);
	assert_true(told());
	assert_int_equal(bars("b"), 0);
	pass(10000);
	assert_int_equal(bars("b"), 0);
	assert_true(endpoint("b")->health.checks > 5);
	load(TWO " health = { type = \"tcp\"; interval = \"2s\"; };");
	pass(10000);
	assert_int_equal(bars("b"), 0);
	set("b", OVERRIDE_CONF, 0);
	assert_int_equal(bars("b"), BAR_CHECK);
}

static void
down_is_not_checked_and_looked_at_when_it_ends(void **state)
{
	uint64_t before;

	(void)state;
	load(TWO " health = { type = \"tcp\"; interval = \"1s\"; };");
	pass(500);
	set("b", OVERRIDE_DOWN, 0);
	before = endpoint("b")->health.checks;
	pass(10000);
	assert_int_equal(endpoint("b")->health.checks, before);
	set("b", OVERRIDE_CONF, 0);
	pass(1);
	assert_int_equal(endpoint("b")->health.checks, before + 1);
}

/* ---------------------------------------------------------------- readiness */

static bool
ready(void)
{
	return live_upstream_ready(w.lu, w.why, sizeof(w.why));
}

static void
readiness_wants_one_endpoint_that_is_known_to_be_usable(void **state)
{
	(void)state;
	load(TWO " health = { type = \"tcp\"; }; ready = \"always\";");
	assert_false(ready());
	assert_string_equal(w.why, "upstream app: no endpoint has been "
	    "checked yet");
	pass(1000);
	assert_false(ready());
	assert_string_equal(w.why, "upstream app: no endpoint is usable: "
	    "127.0.0.1:9 is down (connection refused)");
	strcpy(w.lu->roster->v[0]->health.last, "ok");
	assert_false(ready());
	assert_non_null(strstr(w.why, "(its last check passed, more"));
	/* One is enough, if only somebody says so. */
	set("b", OVERRIDE_UP, 0);
	assert_true(ready());
	set("b", OVERRIDE_CONF, 0);
	assert_false(ready());
	load(TWO " ready = \"always\";");
	assert_true(ready());
	set("127.0.0.1:9", OVERRIDE_DRAIN, 0);
	assert_true(ready());
	set("b", OVERRIDE_DOWN, 0);
	assert_false(ready());
	assert_string_equal(w.why, "upstream app: no endpoint is usable: "
	    "127.0.0.1:9 is drain");
}

static void
ready_once_is_enough_at_the_start(void **state)
{
	(void)state;
	load(TWO " health = { type = \"tcp\"; };");
	assert_false(ready());
	set("b", OVERRIDE_UP, 0);
	assert_true(ready());
	set("b", OVERRIDE_DOWN, 0);
	assert_true(ready());
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(states_have_the_words_of_the_command),
		TEST(drain_and_down_bar_the_one_endpoint_and_tell_the_pools),
		TEST(conf_ends_it),
		TEST(a_weight_comes_alone_or_with_a_state),
		TEST(what_makes_no_sense_is_refused_and_changes_nothing),
		TEST(it_ends_when_its_time_is_up),
		TEST(a_later_word_on_the_time_counts),
		TEST(a_reload_keeps_it_and_its_time),
		TEST(another_address_of_that_name_gets_it_too),
		TEST(it_ends_when_its_endpoint_leaves_the_file),
		TEST(all_can_be_dropped),
		TEST(up_holds_against_the_checks_until_it_ends),
		TEST(down_is_not_checked_and_looked_at_when_it_ends),
		TEST(readiness_wants_one_endpoint_that_is_known_to_be_usable),
		TEST(ready_once_is_enough_at_the_start)
	};

	log_set(LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
