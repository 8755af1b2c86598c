/*
 * Snapshots: each lane counts its own users, and the last lane to let go of an
 * old one has it freed, by mail to main. Nothing runs but main's loop.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/generation.h"

enum { LANES = 3 };

static struct world {
	struct runtime rt;
	struct lane lane[LANES];
} w;

static struct conf *
conf(void)
{
	struct conf_errors errors = { 0 };
	struct conf_input in = { .path = "generation.conf", .text =
	    "listeners = ( { name = \"web\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"b\"; } );\n"
	    "upstreams = ( { name = \"a\"; protocol = \"http\"; "
	    "endpoints = ( \"127.0.0.1:3000\" ); }, { name = \"b\"; "
	    "endpoints = ( \"127.0.0.1:3001\" ); } );\n",
	    .protos = proto_table };
	struct conf *c = conf_load(&in, &errors);

	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	conf_errors_fini(&errors);
	return c;
}

static struct generation *
generation(void)
{
	struct generation *g = generation_new(&w.rt, conf());

	assert_non_null(g);
	list_append(&w.rt.generations, &g->link);
	return g;
}

static unsigned
living(void)
{
	const struct list *l;
	unsigned n = 0;

	for (l = w.rt.generations.next; l != &w.rt.generations; l = l->next)
		n++;
	return n;
}

static void
deliver_mail(void)
{
	ev_run(w.rt.main.loop, EVRUN_NOWAIT);
}

static void
switch_all(struct generation *g)
{
	unsigned i;

	for (i = 0; i < LANES; i++)
		generation_switch(&w.lane[i], g);
	deliver_mail();
}

static int
setup(void **state)
{
	unsigned i;

	(void)state;
	memset(&w, 0, sizeof(w));
	list_init(&w.rt.generations);
	w.rt.n_lanes = LANES;
	for (i = 0; i < LANES; i++) {
		w.lane[i].runtime = &w.rt;
		w.lane[i].worker.index = i;
	}
	return worker_init(&w.rt.main, 0, &w.rt);
}

/* As the runtime does at its end. */
static int
teardown(void **state)
{
	struct list *l;

	(void)state;
	while ((l = list_first(&w.rt.generations)) != NULL)
		generation_free(container_of(l, struct generation, link));
	worker_fini(&w.rt.main);
	return 0;
}

static void
unused_one_goes_when_every_lane_has_the_next(void **state)
{
	struct generation *one = generation(), *two;
	unsigned i;

	(void)state;
	switch_all(one);
	two = generation();
	for (i = 0; i < LANES; i++) {
		deliver_mail();
		assert_int_equal(living(), 2);
		generation_switch(&w.lane[i], two);
		assert_ptr_equal(w.lane[i].gen, two);
	}
	/* Main frees it, nobody else. */
	assert_int_equal(living(), 2);
	deliver_mail();
	assert_int_equal(living(), 1);
	assert_ptr_equal(container_of(list_first(&w.rt.generations),
	    struct generation, link), two);
}

static void
each_user_of_each_lane_holds_it(void **state)
{
	struct generation *one = generation();
	unsigned i, j;

	(void)state;
	switch_all(one);
	for (i = 0; i < LANES; i++)
		for (j = 0; j <= i; j++)
			assert_ptr_equal(generation_use(&w.lane[i], one), one);
	for (i = 0; i < LANES; i++)
		assert_int_equal(one->users[i], i + 1);
	switch_all(generation());
	for (i = LANES; i-- > 0;)
		for (j = 0; j <= i; j++) {
			deliver_mail();
			assert_int_equal(living(), 2);
			generation_leave(&w.lane[i], one);
		}
	deliver_mail();
	assert_int_equal(living(), 1);
}

static void
present_one_stays_without_users(void **state)
{
	struct generation *one = generation();
	unsigned round;

	(void)state;
	switch_all(one);
	for (round = 0; round < 3; round++) {
		(void)generation_use(&w.lane[1], one);
		generation_leave(&w.lane[1], one);
		deliver_mail();
		assert_int_equal(living(), 1);
		assert_int_equal(atomic_load(&one->lanes), LANES);
	}
}

/* A door that has left the file uses an old one anew, from a session on. */
static void
old_one_still_in_use_may_be_used_again(void **state)
{
	struct generation *one = generation();

	(void)state;
	switch_all(one);
	(void)generation_use(&w.lane[0], one);
	switch_all(generation());
	(void)generation_use(&w.lane[0], one);
	generation_leave(&w.lane[0], one);
	deliver_mail();
	assert_int_equal(living(), 2);
	generation_leave(&w.lane[0], one);
	deliver_mail();
	assert_int_equal(living(), 1);
}

static void
many_reloads_leave_only_what_is_used(void **state)
{
	struct generation *held[4] = { NULL };
	unsigned i;

	(void)state;
	for (i = 0; i < 40; i++) {
		struct generation *g = generation();

		switch_all(g);
		if (i % 10 == 0)
			held[i / 10] = generation_use(&w.lane[i % LANES], g);
	}
	assert_int_equal(living(), 5);
	/* In another order than they came in. */
	for (i = 0; i < 4; i++) {
		unsigned k = (i + 2) % 4;

		generation_leave(&w.lane[k * 10 % LANES], held[k]);
		deliver_mail();
		assert_int_equal(living(), 4 - i);
	}
}

static void
farewell_that_main_never_reads_is_no_leak(void **state)
{
	struct generation *two;
	unsigned i;

	(void)state;
	switch_all(generation());
	two = generation();
	for (i = 0; i < LANES; i++)
		generation_switch(&w.lane[i], two);
	assert_non_null(atomic_load(&w.rt.main.inbox));
	assert_int_equal(living(), 2);
	/* Its mail is dropped at the end, and the snapshot freed with all. */
}

static void
upstream_is_found_by_its_place_in_the_file(void **state)
{
	static struct upstream a, b;
	struct generation *g = generation();

	(void)state;
	g->upstreams[0] = &a;
	g->upstreams[1] = &b;
	assert_ptr_equal(generation_upstream(g, &g->conf->upstreams[0]), &a);
	assert_ptr_equal(generation_upstream(g,
	    g->conf->listeners[0].upstream), &b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unused_one_goes_when_every_lane_has_the_next),
		TEST(each_user_of_each_lane_holds_it),
		TEST(present_one_stays_without_users),
		TEST(old_one_still_in_use_may_be_used_again),
		TEST(many_reloads_leave_only_what_is_used),
		TEST(farewell_that_main_never_reads_is_no_leak),
		TEST(upstream_is_found_by_its_place_in_the_file)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
