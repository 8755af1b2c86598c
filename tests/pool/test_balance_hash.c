/*
 * pool/balance: source_hash. A client keeps its endpoint; when one goes only
 * its own clients move; and no endpoint is overrun by a few busy clients.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pool/lease.h"
#include "tests/support/scene.h"

enum { CLIENTS = 6000 };

static struct scene s;

static void
begin(unsigned ends)
{
	scene_begin(&s, 1, ends);
	s.conf.balance = CONF_SOURCE_HASH;
	scene_start(&s);
}

static unsigned
pick(uint64_t hash)
{
	struct ask a = { .hash = hash };
	const struct site *site = balance_pick(scene_pool(&s, 0), &a);
	unsigned e;

	assert_non_null(site);
	for (e = 0; s.endpoints[e] != site->endpoint; e++)
		;
	return e;
}

static void
pick_all(unsigned char where[CLIENTS], unsigned n[SCENE_ENDS])
{
	unsigned i;

	memset(n, 0, SCENE_ENDS * sizeof(n[0]));
	for (i = 0; i < CLIENTS; i++)
		n[where[i] = (unsigned char)pick(i)]++;
}

static void
clients_are_spread_by_weight(void **state)
{
	static unsigned char where[CLIENTS];
	unsigned n[SCENE_ENDS], i;

	(void)state;
	begin(4);
	pick_all(where, n);
	for (i = 0; i < 4; i++)
		assert_in_range(n[i], CLIENTS / 4 - 150, CLIENTS / 4 + 150);
	atomic_store(&s.endpoints[0]->weight, 3);
	pick_all(where, n);
	assert_in_range(n[0], CLIENTS / 2 - 200, CLIENTS / 2 + 200);
	for (i = 1; i < 4; i++)
		assert_in_range(n[i], CLIENTS / 6 - 150, CLIENTS / 6 + 150);
	scene_end(&s);
}

/* Removed, barred, held, or resting: it is all the same. */
static void
only_the_clients_of_one_that_goes_are_moved(void **state)
{
	static unsigned char before[CLIENTS], after[CLIENTS];
	unsigned n[SCENE_ENDS], m[SCENE_ENDS], how, i;
	struct site *site;

	(void)state;
	begin(4);
	pick_all(before, n);
	for (how = 0; how < 4; how++) {
		if (how == 0)
			scene_set_roster(&s, 13);
		site = pool_site_of(scene_pool(&s, 0), s.endpoints[1]);
		if (how == 1)
			atomic_store(&s.endpoints[1]->bars, BAR_CHECK);
		else if (how == 2)
			atomic_store(&s.endpoints[1]->hold_until_ns,
			    s.turns.now_ns + 1);
		else if (how == 3)
			site->rest_until_ns = s.turns.now_ns + 1;
		pick_all(after, m);
		assert_int_equal(m[1], 0);
		for (i = 0; i < CLIENTS; i++)
			if (before[i] != 1)
				assert_int_equal(after[i], before[i]);
		/* They go to all of the others. */
		for (i = 0; i < 4; i++)
			if (i != 1)
				assert_in_range(m[i] - n[i], n[1] / 3 - 100,
				    n[1] / 3 + 100);
		atomic_store(&s.endpoints[1]->bars, 0);
		atomic_store(&s.endpoints[1]->hold_until_ns, 0);
		if (how == 3)
			site->rest_until_ns = 0;
		/* And all come home. */
		scene_set_roster(&s, 15);
		pick_all(after, m);
		assert_memory_equal(after, before, CLIENTS);
	}
	scene_end(&s);
}

static void
more_weight_moves_clients_only_to_it(void **state)
{
	static unsigned char before[CLIENTS], after[CLIENTS];
	unsigned n[SCENE_ENDS], m[SCENE_ENDS], i;

	(void)state;
	begin(3);
	pick_all(before, n);
	atomic_store(&s.endpoints[2]->weight, 2);
	pick_all(after, m);
	for (i = 0; i < CLIENTS; i++)
		assert_true(after[i] == before[i] || after[i] == 2);
	assert_true(m[2] > n[2]);
	scene_end(&s);
}

/* Another worker, or another weir, has the same endpoints in another order. */
static void
where_a_client_goes_does_not_depend_on_order(void **state)
{
	static unsigned char before[CLIENTS], after[CLIENTS];
	struct roster *r = roster_new(3);
	unsigned n[SCENE_ENDS], i;

	(void)state;
	begin(3);
	pick_all(before, n);
	assert_non_null(r);
	scene_set_roster(&s, 0);
	for (i = 0; i < 3; i++)
		r->v[i] = endpoint_keep(s.endpoints[2 - i]);
	pool_set_roster(scene_pool(&s, 0), r);
	pick_all(after, n);
	assert_memory_equal(after, before, CLIENTS);
	scene_end(&s);
}

/* A name with several addresses is several endpoints; with one, its clients
   stay with the name when the address changes. */
static void
addresses_of_one_name_are_told_apart(void **state)
{
	static unsigned char before[CLIENTS];
	struct endpoint *twin;
	struct roster *r;
	unsigned n[SCENE_ENDS], i, moved = 0;
	uint64_t hash;

	(void)state;
	begin(3);
	hash = pool_site_of(scene_pool(&s, 0), s.endpoints[0])->hash;
	pick_all(before, n);
	/* e0 at the address of e1. */
	twin = endpoint_new(s.endpoints[0]->name, "x", &s.endpoints[1]->addr,
	    1, 10);
	assert_non_null(twin);
	r = roster_new(2);
	assert_non_null(r);
	r->v[0] = endpoint_keep(twin);
	r->v[1] = endpoint_keep(s.endpoints[2]);
	pool_set_roster(scene_pool(&s, 0), r);
	assert_true(pool_site_of(scene_pool(&s, 0), twin)->hash == hash);
	r = roster_new(3);
	assert_non_null(r);
	r->v[0] = endpoint_keep(twin);
	r->v[1] = endpoint_keep(s.endpoints[0]);
	r->v[2] = endpoint_keep(s.endpoints[2]);
	pool_set_roster(scene_pool(&s, 0), r);
	for (i = 0; i < CLIENTS; i++) {
		struct ask a = { .hash = i };

		moved += balance_pick(scene_pool(&s, 0), &a)->endpoint == twin;
	}
	assert_in_range(moved, CLIENTS / 3 - 150, CLIENTS / 3 + 150);
	scene_set_roster(&s, 7);
	pick_all(before, n);
	assert_true(pool_site_of(scene_pool(&s, 0), s.endpoints[0])->hash ==
	    hash);
	endpoint_drop(twin);
	scene_end(&s);
}

/* ------------------------------------------------------------- bounded load */

static uint64_t
hash_for(unsigned end)
{
	uint64_t hash = 0;

	while (pick(hash) != end)
		hash++;
	return hash;
}

static void
load(unsigned a, unsigned b, unsigned c)
{
	atomic_store(&s.endpoints[0]->leased, a);
	atomic_store(&s.endpoints[1]->opening, b);
	atomic_store(&s.endpoints[2]->leased, c);
}

static void
no_endpoint_carries_much_more_than_its_share(void **state)
{
	uint64_t hash;
	unsigned next;

	(void)state;
	begin(3);
	hash = hash_for(0);
	/* ceil(1.25 * (11 + 9 + 9 + 1) / 3) = 13 */
	load(12, 9, 8);
	assert_int_equal(pick(hash), 0);
	load(13, 8, 8);
	assert_int_not_equal(pick(hash), 0);
	/* Always the same second choice, unless that is over, too. */
	next = pick(hash);
	load(20, 0, 0);
	assert_int_equal(pick(hash), next);
	load(16, next == 1 ? 16 : 0, next == 2 ? 16 : 0);
	assert_int_equal(pick(hash), 3 - next);
	/* A share is by weight: 1.25 * 30 * 3 / 5 = 22.5 */
	atomic_store(&s.endpoints[0]->weight, 3);
	load(22, 4, 3);
	assert_int_equal(pick(hash), 0);
	load(23, 3, 3);
	assert_int_not_equal(pick(hash), 0);
	load(0, 0, 0);
	scene_end(&s);
}

static void
full_endpoint_is_passed_over_until_all_are_full(void **state)
{
	struct endpoint *e;
	uint64_t hash;
	unsigned i;

	(void)state;
	begin(3);
	hash = hash_for(0);
	e = s.endpoints[0];
	atomic_store(&e->most, 1);
	atomic_store(&e->open, 1);
	assert_int_not_equal(pick(hash), 0);
	for (i = 1; i < 3; i++)
		atomic_store(&s.endpoints[i]->most, 0);
	assert_int_equal(pick(hash), 0);
	atomic_store(&e->open, 0);
	scene_end(&s);
}

/* The bound as a whole: clients that are all of one endpoint. */
static void
busy_clients_overflow_evenly(void **state)
{
	struct client c[60];
	unsigned i, n[3] = { 0, 0, 0 };
	uint64_t hash;

	(void)state;
	begin(3);
	hash = hash_for(1);
	for (i = 0; i < NELEMS(c); i++) {
		client_init(&c[i], &s, 0);
		c[i].ask.hash = hash;
		client_ask(&c[i]);
		assert_int_equal(c[i].state, CLIENT_HOLDS);
		n[c[i].lease->u->shelf->site->endpoint == s.endpoints[0] ? 0 :
		    c[i].lease->u->shelf->site->endpoint ==
		    s.endpoints[1] ? 1 : 2]++;
	}
	/* 1.25 * 60 / 3 */
	assert_int_equal(n[1], 25);
	assert_int_equal(n[0] + n[2], 35);
	assert_true(n[0] <= 25 && n[2] <= 25);
	for (i = 0; i < NELEMS(c); i++)
		client_return(&c[i]);
	scene_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_are_spread_by_weight),
		cmocka_unit_test(only_the_clients_of_one_that_goes_are_moved),
		cmocka_unit_test(more_weight_moves_clients_only_to_it),
		cmocka_unit_test(where_a_client_goes_does_not_depend_on_order),
		cmocka_unit_test(addresses_of_one_name_are_told_apart),
		cmocka_unit_test(no_endpoint_carries_much_more_than_its_share),
		cmocka_unit_test(
		    full_endpoint_is_passed_over_until_all_are_full),
		cmocka_unit_test(busy_clients_overflow_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
