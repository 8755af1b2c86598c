/*
 * pool/keyring: a key has one server, by weight; when a server goes, or comes,
 * no more keys move than must. That it is the same server as with twemproxy is
 * proved by tests/real/test_nutcracker_keys.py.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pool/keyhash.h"

enum { KEYS = 20000, SERVERS = 5 };

static struct keyring_node nodes[SERVERS];
static struct conf_upstream conf;

static void
begin(void)
{
	static const char *const labels[SERVERS] = {
		"10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379", "10.0.0.4",
		"cache-5"
	};
	unsigned i;

	for (i = 0; i < SERVERS; i++)
		nodes[i] = (struct keyring_node){ labels[i], 1, true };
	memset(&conf, 0, sizeof(conf));
	conf.key_hash.function = CONF_KEY_FNV1A_64;
	conf.key_hash.tag = (char *)"";
}

static void
find_all(enum conf_key_ring ring, unsigned servers, size_t where[KEYS],
    unsigned n[SERVERS])
{
	struct keyring *r = keyring_new(ring, nodes, servers);
	unsigned i;

	assert_non_null(r);
	memset(n, 0, SERVERS * sizeof(n[0]));
	for (i = 0; i < KEYS; i++) {
		char key[32];
		int len = snprintf(key, sizeof(key), "user:%u:name", i);

		where[i] = keyring_find(r, keyring_hash(&conf, key,
		    (size_t)len));
		assert_in_range(where[i], 0, servers - 1);
		n[where[i]]++;
	}
	keyring_free(r);
}

static void
keys_are_spread_by_weight(void **state)
{
	static size_t where[KEYS];
	unsigned n[SERVERS], i;

	(void)state;
	begin();
	nodes[2].weight = 4;
	find_all(CONF_RING_KETAMA, SERVERS, where, n);
	/* Eighths; 160 points a server leave some unevenness. */
	for (i = 0; i < SERVERS; i++)
		assert_in_range(n[i], KEYS / 8 * nodes[i].weight * 7 / 10,
		    KEYS / 8 * nodes[i].weight * 13 / 10);
	find_all(CONF_RING_MODULA, SERVERS, where, n);
	for (i = 0; i < SERVERS; i++)
		assert_in_range(n[i], KEYS / 8 * nodes[i].weight * 9 / 10,
		    KEYS / 8 * nodes[i].weight * 11 / 10);
}

static void
only_keys_of_one_that_goes_are_moved(void **state)
{
	static size_t before[KEYS], after[KEYS];
	unsigned n[SERVERS], m[SERVERS], gone, i;

	(void)state;
	begin();
	find_all(CONF_RING_KETAMA, SERVERS, before, n);
	for (gone = 0; gone < SERVERS; gone++) {
		nodes[gone].usable = false;
		find_all(CONF_RING_KETAMA, SERVERS, after, m);
		assert_int_equal(m[gone], 0);
		for (i = 0; i < KEYS; i++)
			if (before[i] != gone)
				assert_int_equal(after[i], before[i]);
		/* They go to several of the others. */
		for (i = 0; i < SERVERS; i++)
			if (i != gone)
				assert_true(m[i] > n[i]);
		nodes[gone].usable = true;
	}
	find_all(CONF_RING_KETAMA, SERVERS, after, m);
	assert_memory_equal(after, before, sizeof(before));
}

static void
one_more_takes_only_its_part(void **state)
{
	static size_t before[KEYS], after[KEYS];
	unsigned n[SERVERS], m[SERVERS], i;

	(void)state;
	begin();
	find_all(CONF_RING_KETAMA, SERVERS - 1, before, n);
	find_all(CONF_RING_KETAMA, SERVERS, after, m);
	for (i = 0; i < KEYS; i++)
		assert_true(after[i] == before[i] || after[i] == SERVERS - 1);
	assert_in_range(m[SERVERS - 1], KEYS / SERVERS * 7 / 10,
	    KEYS / SERVERS * 13 / 10);
}

/* With modula nearly all keys move: that is what it is known for. */
static void
modula_moves_most_keys(void **state)
{
	static size_t before[KEYS], after[KEYS];
	unsigned n[SERVERS], moved = 0, i;

	(void)state;
	begin();
	find_all(CONF_RING_MODULA, SERVERS - 1, before, n);
	find_all(CONF_RING_MODULA, SERVERS, after, n);
	for (i = 0; i < KEYS; i++)
		moved += before[i] != after[i];
	assert_in_range(moved, KEYS * 7 / 10, KEYS * 9 / 10);
}

static void
order_of_servers_does_not_count(void **state)
{
	static const enum conf_key_ring rings[] = {
		CONF_RING_KETAMA, CONF_RING_MODULA
	};
	static size_t before[KEYS], after[KEYS];
	unsigned n[SERVERS], r, i;

	(void)state;
	for (r = 0; r < 2; r++) {
		begin();
		find_all(rings[r], SERVERS, before, n);
		for (i = 0; i < SERVERS / 2; i++) {
			struct keyring_node node = nodes[i];

			nodes[i] = nodes[SERVERS - 1 - i];
			nodes[SERVERS - 1 - i] = node;
		}
		find_all(rings[r], SERVERS, after, n);
		for (i = 0; i < KEYS; i++)
			assert_int_equal(before[i], SERVERS - 1 - after[i]);
	}
}

static void
ring_without_a_server_has_no_key(void **state)
{
	enum conf_key_ring ring;

	(void)state;
	begin();
	for (ring = CONF_RING_KETAMA; ring <= CONF_RING_RANDOM; ring++) {
		struct keyring *r = keyring_new(ring, nodes, 0);

		assert_non_null(r);
		assert_true(keyring_find(r, 1) == KEYRING_NONE);
		keyring_free(r);
		nodes[0].usable = false;
		r = keyring_new(ring, nodes, 1);
		assert_non_null(r);
		assert_true(keyring_find(r, 1) == KEYRING_NONE);
		keyring_free(r);
		nodes[0].usable = true;
	}
}

static void
hash_of_a_server_finds_it(void **state)
{
	enum conf_key_ring ring;
	uint32_t hash;
	size_t i;

	(void)state;
	begin();
	nodes[2].weight = 3;
	nodes[3].usable = false;
	for (ring = CONF_RING_KETAMA; ring <= CONF_RING_MODULA; ring++) {
		struct keyring *r = keyring_new(ring, nodes, SERVERS);

		assert_non_null(r);
		for (i = 0; i < SERVERS; i++) {
			assert_int_equal(keyring_hash_of(r, i, &hash), i != 3);
			if (i != 3)
				assert_int_equal(keyring_find(r, hash), i);
		}
		keyring_free(r);
	}
}

static void
hashes_of_both_ends_have_a_server(void **state)
{
	enum conf_key_ring ring;

	(void)state;
	begin();
	for (ring = CONF_RING_KETAMA; ring <= CONF_RING_RANDOM; ring++) {
		struct keyring *r = keyring_new(ring, nodes, SERVERS);

		assert_non_null(r);
		assert_in_range(keyring_find(r, 0), 0, SERVERS - 1);
		assert_in_range(keyring_find(r, UINT32_MAX), 0, SERVERS - 1);
		keyring_free(r);
	}
}

/* Too light for a point of its own: as with twemproxy it has no key. */
static void
weight_that_makes_no_point_has_no_key(void **state)
{
	static size_t where[KEYS];
	unsigned n[SERVERS];

	(void)state;
	begin();
	nodes[0].weight = 1000;
	find_all(CONF_RING_KETAMA, 2, where, n);
	assert_int_equal(n[1], 0);
}

static uint32_t
hash(const char *key)
{
	return keyring_hash(&conf, key, strlen(key));
}

static void
tag_leaves_what_stands_between(void **state)
{
	(void)state;
	begin();
	assert_int_not_equal(hash("user:{7}:a"), hash("user:{7}:b"));
	conf.key_hash.tag = (char *)"{}";
	assert_int_equal(hash("user:{7}:a"), hash("7"));
	assert_int_equal(hash("{7}"), hash("7"));
	/* The first of each; what comes after does not count. */
	assert_int_equal(hash("}{7}{8}"), hash("7"));
	assert_int_equal(hash("{{7}}"), hash("{7"));
	conf.key_hash.tag = (char *)"$$";
	assert_int_equal(hash("a$7$b$8$"), hash("7"));
}

static void
broken_tag_leaves_the_whole_key(void **state)
{
	static const char *const keys[] = {
		"{}", "a{}b", "{7", "7}", "}7{", "{", ""
	};
	unsigned i;

	(void)state;
	begin();
	conf.key_hash.tag = (char *)"{}";
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(hash(keys[i]), *keys[i] == '\0' ? 0 :
		    keyhash(CONF_KEY_FNV1A_64, keys[i], strlen(keys[i])));
}

static void
labelled(struct conf_endpoint e, const char *wanted)
{
	char *label = keyring_label(&e);

	assert_non_null(label);
	assert_string_equal(label, wanted);
	free(label);
}

static void
labels_are_as_twemproxy_has_them(void **state)
{
	(void)state;
	labelled((struct conf_endpoint){ .name = (char *)"10.0.0.1:6379",
	    .address = { (char *)"10.0.0.1", 6379, false, true } },
	    "10.0.0.1:6379");
	labelled((struct conf_endpoint){ .name = (char *)"cache.local:11211",
	    .address = { (char *)"cache.local", 11211, false, false } },
	    "cache.local");
	labelled((struct conf_endpoint){ .name = (char *)"one", .named = true,
	    .address = { (char *)"10.0.0.1", 11211, false, true } }, "one");
	labelled((struct conf_endpoint){ .name = (char *)"[::1]:6379",
	    .address = { (char *)"::1", 6379, false, true } }, "::1:6379");
	labelled((struct conf_endpoint){ .name = (char *)"unix:/run/r.sock",
	    .address = { (char *)"/run/r.sock", 0, true, false } },
	    "/run/r.sock:");
}

/* The longest that twemproxy hashes; nothing is written beyond it. */
static void
long_label_is_cut(void **state)
{
	static char name[400];
	struct keyring *r;

	(void)state;
	begin();
	memset(name, 'x', sizeof(name) - 1);
	nodes[0].label = name;
	r = keyring_new(CONF_RING_KETAMA, nodes, 2);
	assert_non_null(r);
	assert_in_range(keyring_find(r, 0), 0, 1);
	keyring_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_spread_by_weight),
		cmocka_unit_test(only_keys_of_one_that_goes_are_moved),
		cmocka_unit_test(one_more_takes_only_its_part),
		cmocka_unit_test(modula_moves_most_keys),
		cmocka_unit_test(order_of_servers_does_not_count),
		cmocka_unit_test(ring_without_a_server_has_no_key),
		cmocka_unit_test(hash_of_a_server_finds_it),
		cmocka_unit_test(hashes_of_both_ends_have_a_server),
		cmocka_unit_test(weight_that_makes_no_point_has_no_key),
		cmocka_unit_test(tag_leaves_what_stands_between),
		cmocka_unit_test(broken_tag_leaves_the_whole_key),
		cmocka_unit_test(labels_are_as_twemproxy_has_them),
		cmocka_unit_test(long_label_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
