/*
 * pool/shards: balance = "key_hash" in a pool. A key keeps its endpoint, full or
 * not; what becomes of it when that is down is on_down's word.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/shards.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pool/balance.h"
#include "pool/keyring.h"
#include "tests/support/scene.h"

enum { KEYS = 3000, NOWHERE = 99 };

static struct scene s;
static struct conf_endpoint ends[SCENE_ENDS];
static char names[SCENE_ENDS][16];

static void
begin_with(unsigned workers, unsigned n, enum conf_on_down on_down)
{
	unsigned i;

	scene_begin(&s, workers, n);
	for (i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "end%u", i);
		ends[i] = (struct conf_endpoint){ .name = names[i],
		    .named = true, .weight = 1, .max = CONF_OFF };
	}
	s.conf.endpoints = ends;
	s.conf.n_endpoints = n;
	s.conf.balance = CONF_KEY_HASH;
	s.conf.key_hash = (struct conf_key_hash){
	    .function = CONF_KEY_FNV1A_64, .ring = CONF_RING_KETAMA,
	    .tag = (char *)"", .on_down = on_down };
	scene_start(&s);
}

static void
begin(unsigned n, enum conf_on_down on_down)
{
	begin_with(1, n, on_down);
}

static unsigned
number_of(const struct endpoint *e)
{
	unsigned i;

	for (i = 0; i < s.n_ends && s.endpoints[i] != e; i++)
		;
	return i < s.n_ends ? i : NOWHERE;
}

static uint32_t
hash_of(unsigned key)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "key%u", key);

	return keyring_hash(&s.conf, text, (size_t)n);
}

static unsigned
pick(unsigned key)
{
	struct ask a = { .hash = hash_of(key) };
	const struct site *site = balance_pick(scene_pool(&s, 0), &a);

	return site == NULL ? NOWHERE : number_of(site->endpoint);
}

static void
pick_all(unsigned where[KEYS])
{
	unsigned i;

	for (i = 0; i < KEYS; i++)
		where[i] = pick(i);
}

/* A key that is at the endpoint. */
static unsigned
key_at(unsigned end)
{
	unsigned i;

	for (i = 0; pick(i) != end; i++)
		assert_true(i < KEYS);
	return i;
}

/* A bar as main sets it: the roster is posted once more. */
static void
bar(unsigned end, enum endpoint_bar which, bool on)
{
	(void)endpoint_bar(s.endpoints[end], which, on, s.turns.now_ns);
	scene_set_roster(&s, (1u << s.n_ends) - 1);
	scene_run(&s);
}

static void
come_to(struct client *c, unsigned worker, unsigned key)
{
	client_init(c, &s, worker);
	c->ask.hash = hash_of(key);
	client_ask(c);
	scene_run(&s);
}

static void
come(struct client *c, unsigned key)
{
	come_to(c, 0, key);
}

static void
keys_go_where_the_ring_says(void **state)
{
	struct keyring_node nodes[SCENE_ENDS];
	struct keyring *r;
	unsigned i;

	(void)state;
	begin(4, CONF_ON_DOWN_FAIL);
	for (i = 0; i < 4; i++)
		nodes[i] = (struct keyring_node){ names[i], 1, true };
	r = keyring_new(CONF_RING_KETAMA, nodes, 4);
	assert_non_null(r);
	for (i = 0; i < KEYS; i++) {
		assert_int_equal(pick(i), keyring_find(r, hash_of(i)));
		assert_int_equal(number_of(pool_endpoint_of_key(
		    scene_pool(&s, 0), hash_of(i))), pick(i));
	}
	keyring_free(r);
	scene_end(&s);
}

static void
keys_of_one_that_is_down_fail_and_no_other_moves(void **state)
{
	static unsigned before[KEYS], after[KEYS];
	static const enum endpoint_bar bars[] = { BAR_CHECK, BAR_EJECTED,
		BAR_DRAIN, BAR_DOWN };
	unsigned b, i;

	(void)state;
	begin(3, CONF_ON_DOWN_FAIL);
	pick_all(before);
	for (b = 0; b < NELEMS(bars); b++) {
		bar(1, bars[b], true);
		pick_all(after);
		for (i = 0; i < KEYS; i++)
			assert_int_equal(after[i], before[i] == 1 ? NOWHERE :
			    before[i]);
		bar(1, bars[b], false);
	}
	pick_all(after);
	assert_memory_equal(after, before, sizeof(after));
	scene_end(&s);
}

static void
ask_for_one_that_is_down_is_refused_at_once(void **state)
{
	struct client c[3];
	unsigned key;

	(void)state;
	begin(2, CONF_ON_DOWN_FAIL);
	key = key_at(1);
	bar(1, BAR_CHECK, true);
	come(&c[0], key);
	assert_int_equal(c[0].state, CLIENT_REFUSED);
	assert_int_equal(c[0].refusal, REFUSAL_NO_ENDPOINT);
	/* Also while others wait for the endpoint that is up. */
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	come(&c[0], key_at(0));
	assert_int_equal(c[0].state, CLIENT_HOLDS);
	come(&c[1], key_at(0));
	assert_int_equal(c[1].state, CLIENT_WAITS);
	come(&c[2], key);
	assert_int_equal(c[2].state, CLIENT_REFUSED);
	assert_int_equal(c[2].refusal, REFUSAL_NO_ENDPOINT);
	client_return(&c[0]);
	scene_run(&s);
	assert_int_equal(c[1].state, CLIENT_HOLDS);
	client_return(&c[1]);
	scene_end(&s);
}

static void
keys_of_one_that_is_down_are_rehashed(void **state)
{
	static unsigned before[KEYS], after[KEYS];
	unsigned i, n[3] = { 0 };

	(void)state;
	begin(3, CONF_ON_DOWN_REHASH);
	pick_all(before);
	bar(1, BAR_EJECTED, true);
	pick_all(after);
	for (i = 0; i < KEYS; i++)
		if (before[i] != 1)
			assert_int_equal(after[i], before[i]);
		else
			n[after[i]]++;
	assert_int_equal(n[1], 0);
	assert_true(n[0] > 0 && n[2] > 0);
	bar(1, BAR_EJECTED, false);
	pick_all(after);
	assert_memory_equal(after, before, sizeof(after));
	/* Without anybody there is nobody. */
	for (i = 0; i < 3; i++)
		bar(i, BAR_CHECK, true);
	assert_int_equal(pick(0), NOWHERE);
	scene_end(&s);
}

/* Between a bar and the letter that tells of it. */
static void
bar_counts_before_anybody_tells(void **state)
{
	unsigned key;

	(void)state;
	begin(2, CONF_ON_DOWN_REHASH);
	key = key_at(1);
	(void)endpoint_bar(s.endpoints[1], BAR_CHECK, true, s.turns.now_ns);
	assert_int_equal(pick(key), 0);
	bar(1, BAR_CHECK, false);
	assert_int_equal(pick(key), 1);
	scene_end(&s);
}

static void
waiting_ask_moves_with_its_key(void **state)
{
	struct client first, waits;
	unsigned key;

	(void)state;
	begin(2, CONF_ON_DOWN_REHASH);
	key = key_at(1);
	atomic_store(&s.endpoints[1]->most, 1);
	come(&first, key);
	come(&waits, key);
	assert_int_equal(waits.state, CLIENT_WAITS);
	bar(1, BAR_DRAIN, true);
	assert_int_equal(waits.state, CLIENT_HOLDS);
	assert_int_equal(number_of(waits.lease->u->shelf->site->endpoint), 0);
	client_return(&first);
	client_return(&waits);
	scene_end(&s);
}

static void
waiting_ask_is_refused_when_its_endpoint_fails(void **state)
{
	struct client first, waits;
	unsigned key;

	(void)state;
	begin(2, CONF_ON_DOWN_FAIL);
	key = key_at(1);
	atomic_store(&s.endpoints[1]->most, 1);
	come(&first, key);
	come(&waits, key);
	assert_int_equal(waits.state, CLIENT_WAITS);
	bar(1, BAR_CHECK, true);
	assert_int_equal(waits.state, CLIENT_REFUSED);
	assert_int_equal(waits.refusal, REFUSAL_NO_ENDPOINT);
	client_return(&first);
	scene_end(&s);
}

/* Backups have keys while nobody else has. */
static void
backups_share_the_keys_of_all_that_are_down(void **state)
{
	static unsigned where[KEYS];
	unsigned i, n[SCENE_ENDS] = { 0 };

	(void)state;
	begin(4, CONF_ON_DOWN_REHASH);
	for (i = 2; i < 4; i++) {
		ends[i].backup = true;
		atomic_store(&s.endpoints[i]->backup, true);
	}
	scene_reload(&s, false);
	scene_set_roster(&s, 15);
	pick_all(where);
	for (i = 0; i < KEYS; i++)
		assert_in_range(where[i], 0, 1);
	bar(0, BAR_CHECK, true);
	pick_all(where);
	for (i = 0; i < KEYS; i++)
		assert_int_equal(where[i], 1);
	bar(1, BAR_CHECK, true);
	pick_all(where);
	for (i = 0; i < KEYS; i++) {
		assert_in_range(where[i], 2, 3);
		n[where[i]]++;
	}
	assert_true(n[2] > 0 && n[3] > 0);
	scene_end(&s);
}

/* Its keys would be written elsewhere, and be gone when it has an address. */
static void
one_without_an_address_has_its_keys(void **state)
{
	static unsigned before[KEYS], after[KEYS];
	unsigned i;

	(void)state;
	begin(3, CONF_ON_DOWN_FAIL);
	pick_all(before);
	scene_set_roster(&s, 5);
	pick_all(after);
	for (i = 0; i < KEYS; i++)
		assert_int_equal(after[i], before[i] == 1 ? NOWHERE :
		    before[i]);
	scene_set_roster(&s, 7);
	pick_all(after);
	assert_memory_equal(after, before, sizeof(after));
	scene_end(&s);
}

static void
weight_set_by_hand_moves_keys_to_it(void **state)
{
	static unsigned before[KEYS], after[KEYS];
	unsigned i, more = 0;

	(void)state;
	begin(3, CONF_ON_DOWN_FAIL);
	pick_all(before);
	atomic_store(&s.endpoints[2]->weight, 4);
	scene_set_roster(&s, 7);
	pick_all(after);
	for (i = 0; i < KEYS; i++)
		more += before[i] != 2 && after[i] == 2;
	assert_true(more > KEYS / 5);
	scene_end(&s);
}

/* Full, resting, to be avoided: it is the key's all the same. */
static void
key_waits_for_its_endpoint(void **state)
{
	struct client first, waits;
	unsigned key;

	(void)state;
	begin(2, CONF_ON_DOWN_REHASH);
	key = key_at(1);
	atomic_store(&s.endpoints[1]->most, 1);
	pool_site_of(scene_pool(&s, 0), s.endpoints[1])->rest_until_ns =
	    s.turns.now_ns + NS_PER_S;
	come(&first, key);
	assert_int_equal(first.state, CLIENT_HOLDS);
	client_init(&waits, &s, 0);
	waits.ask.hash = hash_of(key);
	waits.ask.avoid = s.endpoints[1];
	client_ask(&waits);
	scene_run(&s);
	assert_int_equal(waits.state, CLIENT_WAITS);
	client_return(&first);
	scene_run(&s);
	assert_int_equal(waits.state, CLIENT_HOLDS);
	assert_int_equal(number_of(waits.lease->u->shelf->site->endpoint), 1);
	assert_int_equal(scene_connects(&s), 1);
	client_return(&waits);
	scene_end(&s);
}

/* One slow server must not hold up the keys of the others. */
static void
who_waits_for_one_endpoint_does_not_delay_another(void **state)
{
	struct client slow[3], other[2];
	unsigned key0, key1, i;

	(void)state;
	begin(2, CONF_ON_DOWN_FAIL);
	key0 = key_at(0), key1 = key_at(1);
	for (i = 0; i < 2; i++)
		atomic_store(&s.endpoints[i]->most, 1);
	for (i = 0; i < 3; i++)
		come(&slow[i], key0);
	assert_int_equal(slow[1].state, CLIENT_WAITS);
	come(&other[0], key1);
	assert_int_equal(other[0].state, CLIENT_HOLDS);
	/* It waits behind two that are older; the place is only of use to it. */
	come(&other[1], key1);
	assert_int_equal(other[1].state, CLIENT_WAITS);
	client_return_as(&other[0], MARK_BROKEN);
	scene_run(&s);
	assert_int_equal(other[1].state, CLIENT_HOLDS);
	assert_int_equal(slow[1].state, CLIENT_WAITS);
	/* What is of no use to those who wait stays open. */
	client_return(&other[1]);
	scene_run(&s);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(slow[i].state, CLIENT_HOLDS);
		assert_int_equal(slow[i].turn, i == 0 ? 1 : i + 3);
		client_return(&slow[i]);
		scene_run(&s);
	}
	assert_int_equal(scene_connects(&s), 3);
	scene_end(&s);
}

/* The same when they wait on another worker, and for longer. */
static void
who_waits_elsewhere_for_one_endpoint_does_not_delay_another(void **state)
{
	struct client slow[2], other[2];
	unsigned key0, key1, end;

	(void)state;
	for (end = 0; end < 2; end++) {
		begin_with(2, 2, CONF_ON_DOWN_FAIL);
		key0 = key_at(0), key1 = key_at(1);
		atomic_store(&s.endpoints[0]->most, 1);
		s.conf.pool.max = 2;
		scene_reload(&s, false);
		come_to(&slow[0], 0, key0);
		come_to(&slow[1], 0, key0);
		assert_int_equal(slow[1].state, CLIENT_WAITS);
		scene_pass(&s, 100);
		come_to(&other[0], 1, key1);
		come_to(&other[1], 1, key1);
		assert_int_equal(other[0].state, CLIENT_HOLDS);
		assert_int_equal(other[1].state, CLIENT_WAITS);
		client_return_as(&other[0], end == 0 ? MARK_CLEAN :
		    MARK_BROKEN);
		scene_run(&s);
		assert_int_equal(other[1].state, CLIENT_HOLDS);
		assert_int_equal(slow[1].state, CLIENT_WAITS);
		client_return(&slow[0]);
		scene_run(&s);
		assert_int_equal(slow[1].state, CLIENT_HOLDS);
		client_return(&slow[1]);
		client_return(&other[1]);
		scene_end(&s);
	}
}

/* What comes free on another worker is looked for with the next tick. */
static void
full_endpoint_of_another_worker_is_waited_for(void **state)
{
	struct client has, waits;
	unsigned key;

	(void)state;
	begin_with(2, 2, CONF_ON_DOWN_FAIL);
	key = key_at(0);
	atomic_store(&s.endpoints[0]->most, 1);
	come_to(&has, 0, key);
	come_to(&waits, 1, key);
	assert_int_equal(waits.state, CLIENT_WAITS);
	client_return_as(&has, MARK_BROKEN);
	turns_pass(&s.turns, 1001);
	scene_run(&s);
	assert_int_equal(waits.state, CLIENT_HOLDS);
	client_return(&waits);
	scene_end(&s);
}

/* At the cap, the place of another endpoint's idle connection is what helps. */
static void
place_of_an_idle_one_elsewhere_is_taken_at_the_cap(void **state)
{
	struct client zero, one;

	(void)state;
	begin(2, CONF_ON_DOWN_FAIL);
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	come(&zero, key_at(0));
	come(&one, key_at(1));
	assert_int_equal(one.state, CLIENT_WAITS);
	client_return(&zero);
	scene_run(&s);
	assert_int_equal(one.state, CLIENT_HOLDS);
	assert_int_equal(number_of(one.lease->u->shelf->site->endpoint), 1);
	client_return(&one);
	scene_run(&s);
	come(&zero, key_at(0));
	assert_int_equal(zero.state, CLIENT_HOLDS);
	client_return(&zero);
	scene_end(&s);
}

static void
random_ring_uses_all(void **state)
{
	unsigned i, n[3] = { 0 };

	(void)state;
	begin(3, CONF_ON_DOWN_FAIL);
	s.conf.key_hash.ring = CONF_RING_RANDOM;
	scene_reload(&s, false);
	for (i = 0; i < 600; i++)
		n[pick(1)]++;
	for (i = 0; i < 3; i++)
		assert_in_range(n[i], 120, 280);
	assert_null(pool_endpoint_of_key(scene_pool(&s, 0), 1));
	scene_end(&s);
}

static void
balance_may_change_in_a_reload(void **state)
{
	struct client c;

	(void)state;
	begin(2, CONF_ON_DOWN_FAIL);
	s.conf.balance = CONF_ROUND_ROBIN;
	scene_reload(&s, false);
	assert_null(scene_pool(&s, 0)->shards);
	come(&c, 1);
	assert_int_equal(c.state, CLIENT_HOLDS);
	client_return(&c);
	s.conf.balance = CONF_KEY_HASH;
	scene_reload(&s, false);
	assert_int_not_equal(pick(1), NOWHERE);
	scene_end(&s);
}

/* Its configuration has gone, its ring has not. */
static void
retired_pool_serves_by_its_last_ring(void **state)
{
	static unsigned before[KEYS], after[KEYS];

	(void)state;
	begin(3, CONF_ON_DOWN_REHASH);
	pick_all(before);
	pool_retire(scene_pool(&s, 0));
	memset(ends, 0xaa, sizeof(ends));
	scene_set_roster(&s, 7);
	pick_all(after);
	assert_memory_equal(after, before, sizeof(after));
	scene_end(&s);
}

/* As twemproxy would have to be told of them. */
static void
addresses_of_one_name_are_servers_of_their_own(void **state)
{
	struct conf_endpoint name = { .name = (char *)"cache:11211",
	    .address = { (char *)"cache", 11211, false, false }, .weight = 1 };
	struct conf_upstream conf = { .endpoints = &name, .n_endpoints = 1,
	    .balance = CONF_KEY_HASH };
	struct roster *r = roster_new(2);
	struct keyring_node nodes[2] = { { "10.0.0.1", 1, true },
	    { "10.0.0.2", 1, true } };
	struct keyring *ring = keyring_new(CONF_RING_KETAMA, nodes, 2);
	struct shards *sh;
	uint32_t i;

	(void)state;
	assert_non_null(r);
	assert_non_null(ring);
	for (i = 0; i < 2; i++) {
		struct addr_text t = { .port = 11211, .is_literal = true,
		    .host = (char *)nodes[i].label };
		struct addr at;

		assert_int_equal(addr_from_text(&t, &at), 0);
		r->v[i] = endpoint_new(name.name, name.name, &at, 1, 1);
		assert_non_null(r->v[i]);
	}
	sh = shards_new(&conf, r, NULL);
	assert_non_null(sh);
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(shards_find(sh, i * 4294967u),
		    r->v[keyring_find(ring, i * 4294967u)]);
	shards_free(sh);
	keyring_free(ring);
	roster_drop(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_go_where_the_ring_says),
		cmocka_unit_test(
		    keys_of_one_that_is_down_fail_and_no_other_moves),
		cmocka_unit_test(ask_for_one_that_is_down_is_refused_at_once),
		cmocka_unit_test(keys_of_one_that_is_down_are_rehashed),
		cmocka_unit_test(bar_counts_before_anybody_tells),
		cmocka_unit_test(waiting_ask_moves_with_its_key),
		cmocka_unit_test(
		    waiting_ask_is_refused_when_its_endpoint_fails),
		cmocka_unit_test(backups_share_the_keys_of_all_that_are_down),
		cmocka_unit_test(one_without_an_address_has_its_keys),
		cmocka_unit_test(weight_set_by_hand_moves_keys_to_it),
		cmocka_unit_test(key_waits_for_its_endpoint),
		cmocka_unit_test(
		    who_waits_for_one_endpoint_does_not_delay_another),
		cmocka_unit_test(
		    who_waits_elsewhere_for_one_endpoint_does_not_delay_another),
		cmocka_unit_test(full_endpoint_of_another_worker_is_waited_for),
		cmocka_unit_test(
		    place_of_an_idle_one_elsewhere_is_taken_at_the_cap),
		cmocka_unit_test(random_ring_uses_all),
		cmocka_unit_test(balance_may_change_in_a_reload),
		cmocka_unit_test(retired_pool_serves_by_its_last_ring),
		cmocka_unit_test(
		    addresses_of_one_name_are_servers_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
