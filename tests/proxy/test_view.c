/*
 * A view adds up what the lanes have, of what is in the file. The runtime here
 * is made by hand: two lanes, nothing runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/live.h"
#include "proxy/view.h"

enum { LANES = 2, MS = 1000000 };

#define NOW_NS (100 * NS_PER_S)

/* One listener and one upstream; setup() fills in what must be there. */
struct world {
	struct runtime rt;
	struct lane lane[LANES], *lanes[LANES];
	struct conf conf;
	struct generation *gen;
	struct proto proto;
	struct door door[LANES];
	struct listener *listener;
	struct conf_listener conf_listener;
	struct live_socket sockets[2];
	struct live_listener live_listener;
	struct pool pool[LANES];
	struct upstream *upstream;
	struct conf_upstream conf_upstream;
	struct conf_endpoint conf_endpoints[2];
	struct live_endpoint live_endpoints[2];
	struct live_upstream live_upstream;
	bool ready, app_ready;
};

static struct world w;

/* Instead of the runtime's own. */
bool
runtime_ready(struct runtime *rt, char *missing, size_t size)
{
	(void)rt;
	snprintf(missing, size, "%s", w.ready ? "" : "this and that");
	return w.ready;
}

bool
live_upstream_ready(struct live_upstream *lu, char *missing, size_t size)
{
	(void)lu;
	snprintf(missing, size, "%s", w.app_ready ? "" : "app");
	return w.app_ready;
}

static struct addr
addr_of(const char *text)
{
	struct addr_text parsed;
	const char *why;
	struct addr a;

	assert_int_equal(addr_text_parse(text, false, &parsed, &why), 0);
	assert_int_equal(addr_from_text(&parsed, &a), 0);
	addr_text_fini(&parsed);
	return a;
}

static void
make_listener(void)
{
	static char name[] = "web";
	size_t i;

	w.proto.conf.name = "http";
	w.listener = calloc(1, sizeof(*w.listener) +
	    LANES * sizeof(w.listener->doors[0]));
	assert_non_null(w.listener);
	w.listener->name = name;
	w.listener->proto = &w.proto;
	w.listener->n_doors = LANES;
	for (i = 0; i < LANES; i++)
		w.listener->doors[i] = &w.door[i];
	w.sockets[0].addr = addr_of("127.0.0.1:8080");
	w.sockets[1].addr = addr_of("unix:/tmp/web.sock");
	w.live_listener = (struct live_listener){ .listener = w.listener,
	    .conf = &w.conf_listener, .sockets = w.sockets, .n_sockets = 2 };
	list_append(&w.rt.listeners, &w.live_listener.link);
}

static void
make_upstream(void)
{
	static char name[] = "app", one[] = "one", two[] = "two";
	struct addr a = addr_of("127.0.0.1:3000"), b = addr_of("[::1]:3000");
	struct roster *r = roster_new(2);
	size_t i;

	assert_non_null(r);
	r->v[0] = endpoint_new(one, one, &a, 1, 10);
	r->v[1] = endpoint_new(one, one, &b, 1, 10);
	assert_non_null(r->v[0]);
	assert_non_null(r->v[1]);
	w.upstream = calloc(1, sizeof(*w.upstream) +
	    LANES * sizeof(w.upstream->pools[0]));
	assert_non_null(w.upstream);
	w.upstream->name = name;
	w.upstream->n_pools = LANES;
	for (i = 0; i < LANES; i++) {
		w.upstream->pools[i] = &w.pool[i];
		atomic_init(&w.pool[i].oldest_ns, INT64_MAX);
	}
	w.conf_endpoints[0].name = one;
	w.conf_endpoints[1].name = two;
	w.conf_endpoints[1].weight = 5;
	w.live_endpoints[0] = (struct live_endpoint){
	    .conf = &w.conf_endpoints[0], .n_addrs = 2 };
	w.live_endpoints[1] = (struct live_endpoint){
	    .conf = &w.conf_endpoints[1], .error = "no such name" };
	w.conf_upstream = (struct conf_upstream){ .name = name,
	    .proto = &w.proto.conf,
	    .pool = { .span = CONF_SPAN_REQUEST, .max = 64 } };
	w.live_upstream = (struct live_upstream){ .upstream = w.upstream,
	    .conf = &w.conf_upstream, .endpoints = w.live_endpoints,
	    .n_endpoints = 2, .roster = r };
	list_append(&w.rt.upstreams, &w.live_upstream.link);
}

static int
setup(void **state)
{
	size_t i;

	(void)state;
	memset(&w, 0, sizeof(w));
	for (i = 0; i < LANES; i++)
		w.lanes[i] = &w.lane[i];
	w.gen = calloc(1, sizeof(*w.gen));
	assert_non_null(w.gen);
	w.gen->conf = &w.conf;
	w.gen->number = 7;
	w.gen->at_s = 1700000000;
	strcpy(w.conf.hash, "abc");
	w.rt.gen = w.gen;
	w.rt.lanes = w.lanes;
	w.rt.n_lanes = LANES;
	w.rt.main.now_ns = NOW_NS;
	w.rt.started_ns = NOW_NS - 12 * NS_PER_S - 500 * MS;
	w.rt.reload = (struct reload_result){ .ok = true, .at_s = 1700000001 };
	list_init(&w.rt.listeners);
	list_init(&w.rt.upstreams);
	make_listener();
	make_upstream();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	roster_drop(w.live_upstream.roster);
	free(w.upstream);
	free(w.listener);
	free(w.gen);
	return 0;
}

static struct view *
take(void)
{
	struct view *v = view_take(&w.rt, NULL);

	assert_non_null(v);
	return v;
}

static void
lanes_are_added_up(void **state)
{
	const struct view_listener *l;
	const struct view_upstream *up;
	struct view *v;
	unsigned i;

	(void)state;
	for (i = 0; i < LANES; i++) {
		struct door *d = &w.door[i];
		struct pool *p = &w.pool[i];

		count_add(&d->active, 10 + i);
		count_add(&d->accepted, 100 + i);
		count_add(&d->rejected, 3);
		count_add(&d->requests, 1000 + i);
		count_add(&d->received, 1u << 31);
		count_add(&d->sent, 7);
		count_add(&d->outcomes[OUTCOME_2XX], 900);
		count_add(&d->failures[FAIL_QUEUE_FULL], 1 + i);
		hist_add(&d->latency, (int64_t)(1 + i) * MS);
		atomic_store(&p->idle, 2 + i);
		atomic_store(&p->leased, 20);
		atomic_store(&p->opening, 1);
		atomic_store(&p->waiting, 5);
		count_add(&p->connects, 40);
		count_add(&p->discards[DISCARD_LIFETIME], 4);
		hist_add(&p->queue, 3 * MS);
	}
	atomic_store(&w.upstream->open, 47);
	v = take();
	assert_int_equal(v->n_listeners, 1);
	l = &v->listeners[0];
	assert_string_equal(l->name, "web");
	assert_string_equal(l->protocol, "http");
	assert_int_equal(l->n_binds, 2);
	assert_string_equal(l->binds[0], "127.0.0.1:8080");
	assert_string_equal(l->binds[1], "unix:/tmp/web.sock");
	assert_int_equal(l->active, 21);
	assert_int_equal(l->accepted, 201);
	assert_int_equal(l->rejected, 6);
	assert_int_equal(l->requests, 2001);
	assert_int_equal(l->received, UINT64_C(1) << 32);
	assert_int_equal(l->sent, 14);
	assert_int_equal(l->outcomes[OUTCOME_2XX], 1800);
	assert_int_equal(l->failures[FAIL_QUEUE_FULL], 3);
	assert_int_equal(l->failures[FAIL_QUEUE_TIMEOUT], 0);
	assert_int_equal(l->latency.all.count, 2);
	assert_int_equal(l->latency.window.max, 2000);
	assert_int_equal(v->n_upstreams, 1);
	up = &v->upstreams[0];
	assert_string_equal(up->name, "app");
	assert_string_equal(up->mode, "request");
	assert_int_equal(up->max, 64);
	assert_int_equal(up->open, 47);
	assert_int_equal(up->idle, 5);
	assert_int_equal(up->leased, 40);
	assert_int_equal(up->connecting, 2);
	assert_int_equal(up->waiting, 10);
	assert_int_equal(up->connects, 80);
	assert_int_equal(up->discards[DISCARD_LIFETIME], 8);
	assert_int_equal(up->queue.all.count, 2);
	view_free(v);
}

static void
the_oldest_wait_is_of_all_lanes(void **state)
{
	struct view *v = take();

	(void)state;
	assert_int_equal(v->upstreams[0].oldest_wait_us, 0);
	view_free(v);
	atomic_store(&w.pool[0].oldest_ns, NOW_NS - 2 * MS);
	atomic_store(&w.pool[1].oldest_ns, NOW_NS - 5 * MS);
	v = take();
	assert_int_equal(v->upstreams[0].oldest_wait_us, 5000);
	view_free(v);
	/* A lane's clock may be ahead of main's. */
	atomic_store(&w.pool[0].oldest_ns, NOW_NS + 2 * MS);
	atomic_store(&w.pool[1].oldest_ns, INT64_MAX);
	v = take();
	assert_int_equal(v->upstreams[0].oldest_wait_us, 0);
	view_free(v);
}

static void
each_address_is_a_row_and_names_without_one_too(void **state)
{
	const struct view_endpoint *e;
	struct view *v;

	(void)state;
	endpoint_fault(w.live_upstream.roster->v[1], FAULT_RESET, 0);
	atomic_store(&w.live_upstream.roster->v[1]->open, 3);
	v = take();
	assert_int_equal(v->upstreams[0].n_endpoints, 3);
	e = v->upstreams[0].endpoints;
	assert_string_equal(e[0].name, "one");
	assert_string_equal(e[0].resolved, "127.0.0.1:3000");
	assert_string_equal(e[0].state, "up");
	assert_string_equal(e[1].name, "one");
	assert_string_equal(e[1].resolved, "[::1]:3000");
	assert_int_equal(e[1].open, 3);
	assert_int_equal(e[1].failures[FAULT_RESET], 1);
	assert_string_equal(e[1].last_error, "reset");
	assert_string_equal(e[2].name, "two");
	assert_string_equal(e[2].resolved, "");
	assert_string_equal(e[2].state, "unresolved");
	assert_string_equal(e[2].last_error, "no such name");
	assert_int_equal(e[2].weight, 5);
	assert_int_equal(e[2].up, 0);
	view_free(v);
}

static void
what_has_left_the_file_is_not_shown(void **state)
{
	struct view *v;

	(void)state;
	w.live_listener.conf = NULL;
	w.live_upstream.conf = NULL;
	v = take();
	assert_int_equal(v->n_listeners, 0);
	assert_int_equal(v->n_upstreams, 0);
	view_free(v);
}

static void
an_upstream_without_any_address_yet_is_shown(void **state)
{
	struct roster *r = w.live_upstream.roster;
	struct view *v;

	(void)state;
	w.live_upstream.roster = NULL;
	w.live_endpoints[0].n_addrs = 0;
	v = take();
	w.live_upstream.roster = r;
	assert_int_equal(v->upstreams[0].n_endpoints, 2);
	assert_string_equal(v->upstreams[0].endpoints[0].state, "unresolved");
	view_free(v);
}

static void
the_program_tells_of_itself(void **state)
{
	struct view *v = take();

	(void)state;
	assert_int_equal(v->pid, getpid());
	assert_int_equal(v->workers, LANES);
	assert_int_equal(v->generation, 7);
	assert_int_equal(v->config_at_s, 1700000000);
	assert_int_equal(v->reload_at_s, 1700000001);
	assert_string_equal(v->config_hash, "abc");
	assert_true(v->uptime_s > 12.49 && v->uptime_s < 12.51);
	assert_int_equal(v->draining, 0);
	assert_int_equal(v->ready, 0);
	assert_string_equal(v->missing, "this and that");
	assert_int_equal(v->upstreams[0].ready, 0);
	assert_true(v->reload_ok);
	assert_null(v->reload_error);
	view_free(v);

	w.ready = w.app_ready = w.rt.draining = true;
	w.rt.reload.ok = false;
	w.rt.reload.error = w.conf.hash;
	v = take();
	assert_int_equal(v->draining, 1);
	assert_int_equal(v->ready, 1);
	assert_string_equal(v->missing, "");
	assert_int_equal(v->upstreams[0].ready, 1);
	assert_false(v->reload_ok);
	assert_string_equal(v->reload_error, "abc");
	view_free(v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lanes_are_added_up),
		TEST(the_oldest_wait_is_of_all_lanes),
		TEST(each_address_is_a_row_and_names_without_one_too),
		TEST(what_has_left_the_file_is_not_shown),
		TEST(an_upstream_without_any_address_yet_is_shown),
		TEST(the_program_tells_of_itself)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
