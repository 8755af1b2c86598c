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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/live.h"
#include "proxy/override.h"
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
	struct override override;       /* endpoint NULL = there is none */
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

const char *const override_states[] = { "conf", "up", "drain", "down", NULL };

const struct override *
override_find(const struct live_upstream *lu, const char *endpoint)
{
	assert_ptr_equal(lu, &w.live_upstream);
	return w.override.endpoint != NULL &&
	    strcmp(w.override.endpoint, endpoint) == 0 ? &w.override : NULL;
}

size_t
override_count(const struct runtime *rt)
{
	assert_ptr_equal(rt, &w.rt);
	return w.override.endpoint != NULL;
}

uint64_t
inject_hits(const struct live_upstream *lu)
{
	assert_ptr_equal(lu, &w.live_upstream);
	return 0;
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
		atomic_init(&w.pool[i].oldest_parked_ns, INT64_MAX);
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
	w.live_upstream = (struct live_upstream){ .runtime = &w.rt,
	    .upstream = w.upstream,
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
		count_add(&d->limited[LIMIT_DENIED], 6 + i);
		count_add(&d->shadowed[CONF_LIMIT_REQUEST_RATE], 8);
		hist_add(&d->latency, (int64_t)(1 + i) * MS);
		atomic_store(&p->idle, 2 + i);
		atomic_store(&p->leased, 20);
		atomic_store(&p->opening, 1);
		atomic_store(&p->waiting, 5);
		count_add(&p->connects, 40);
		count_add(&p->discards[DISCARD_LIFETIME], 4);
		count_add(&p->limited[UPSTREAM_LIMIT_RETRY_AFTER], 3);
		count_add(&p->delayed[UPSTREAM_LIMIT_RATE], 5 + i);
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
	assert_int_equal(l->limited[LIMIT_DENIED], 13);
	assert_int_equal(l->limited[CONF_LIMIT_REQUEST_RATE], 0);
	assert_int_equal(l->shadowed[CONF_LIMIT_REQUEST_RATE], 16);
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
	assert_int_equal(up->limited[UPSTREAM_LIMIT_RETRY_AFTER], 6);
	assert_int_equal(up->delayed[UPSTREAM_LIMIT_RATE], 11);
	assert_int_equal(up->delayed[UPSTREAM_LIMIT_RETRY_AFTER], 0);
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
an_endpoint_that_is_barred_is_not_up(void **state)
{
	static const struct { enum endpoint_bar bar; const char *state; }
	rows[] = {
		{ BAR_CHECK, "down" }, { BAR_EJECTED, "ejected" },
		{ BAR_DRAIN, "drain" }, { BAR_DOWN, "down" }
	};
	struct endpoint *e = w.live_upstream.roster->v[1];
	struct view *v;
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		(void)endpoint_bar(e, rows[i].bar, true, NOW_NS);
		v = take();
		assert_int_equal(v->upstreams[0].endpoints[0].up, 1);
		assert_int_equal(v->upstreams[0].endpoints[1].up, 0);
		assert_string_equal(v->upstreams[0].endpoints[1].state,
		    rows[i].state);
		for (k = 0; view_states[k] != NULL; k++)
			if (strcmp(view_states[k], rows[i].state) == 0)
				break;
		assert_non_null(view_states[k]);
		view_free(v);
		(void)endpoint_bar(e, rows[i].bar, false, NOW_NS);
	}
	v = take();
	assert_int_equal(v->upstreams[0].endpoints[1].up, 1);
	view_free(v);
}

static void
an_endpoint_tells_of_its_health(void **state)
{
	struct endpoint *e = w.live_upstream.roster->v[1];
	const struct view_endpoint *row;
	struct view *v = take();

	(void)state;
	row = &v->upstreams[0].endpoints[1];
	assert_string_equal(row->health.last, "");
	assert_int_equal(row->health.checks, 0);
	assert_int_equal(row->held_us, 0);
	assert_int_equal(row->backup, 0);
	view_free(v);

	strcpy(e->health.last, "status 500");
	e->health.checks = 7;
	e->health.failures = 3;
	e->health.latency_us = 180;
	atomic_store(&e->ejections, 2);
	atomic_store(&e->backup, true);
	atomic_store(&e->hold_until_ns, NOW_NS + 1500 * MS);
	v = take();
	row = &v->upstreams[0].endpoints[1];
	assert_string_equal(row->health.last, "status 500");
	assert_int_equal(row->health.checks, 7);
	assert_int_equal(row->health.failures, 3);
	assert_int_equal(row->health.latency_us, 180);
	assert_int_equal(row->ejections, 2);
	assert_int_equal(row->backup, 1);
	assert_int_equal(row->held_us, 1500000);
	view_free(v);
	/* A pause that is over. */
	atomic_store(&e->hold_until_ns, NOW_NS - MS);
	v = take();
	assert_int_equal(v->upstreams[0].endpoints[1].held_us, 0);
	view_free(v);
}

static void
a_change_by_hand_is_of_all_addresses_of_the_name(void **state)
{
	static char one[] = "one", two[] = "two";
	const struct view_endpoint *row;
	time_t now = time(NULL);
	struct view *v = take();

	(void)state;
	assert_null(v->upstreams[0].endpoints[0].override.state);
	assert_int_equal(v->overrides, 0);
	view_free(v);

	w.override = (struct override){ .endpoint = one,
	    .state = OVERRIDE_DRAIN, .weight = 9,
	    .until_ns = NOW_NS + 600 * NS_PER_S };
	v = take();
	assert_int_equal(v->overrides, 1);
	row = v->upstreams[0].endpoints;
	assert_string_equal(row[0].override.state, "drain");
	assert_string_equal(row[1].override.state, "drain");
	assert_int_equal(row[1].override.weight, 9);
	assert_in_range(row[1].override.until_s, now + 600, now + 602);
	assert_null(row[2].override.state);
	view_free(v);

	/* For good, of one that has no address. */
	w.override = (struct override){ .endpoint = two,
	    .state = OVERRIDE_UP, .until_ns = INT64_MAX };
	v = take();
	row = v->upstreams[0].endpoints;
	assert_null(row[0].override.state);
	assert_string_equal(row[2].override.state, "up");
	assert_int_equal(row[2].override.weight, 0);
	assert_int_equal(row[2].override.until_s, 0);
	view_free(v);
}

static void
pressure_and_budget_are_told(void **state)
{
	struct view *v;

	(void)state;
	w.rt.pressure.budget = 64 << 20;
	atomic_store(&w.rt.pressure_level, PRESSURE_FULL);
	v = take();
	assert_int_equal(v->memory_budget, 64 << 20);
	assert_string_equal(view_pressures[v->pressure], "full");
	assert_int_equal(v->log_dropped, 0);
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
		TEST(an_endpoint_that_is_barred_is_not_up),
		TEST(an_endpoint_tells_of_its_health),
		TEST(a_change_by_hand_is_of_all_addresses_of_the_name),
		TEST(pressure_and_budget_are_told),
		TEST(what_has_left_the_file_is_not_shown),
		TEST(an_upstream_without_any_address_yet_is_shown),
		TEST(the_program_tells_of_itself)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
