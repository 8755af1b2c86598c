/*
 * pool/handover: connections of somebody go over with their key and with what
 * their protocol has to say of them, and are nobody else's there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/scene.h"

enum { MOST = 4 };

static struct scene s;
static struct cap_table caps;

/* --------------------------------------------------------- a protocol of ours */

/* What its connections have of their own. */
struct own {
	int number;                     /* 0 = cannot go */
};

static unsigned ends;

static void *
pack(struct upconn *u, size_t *len)
{
	const struct own *own = upconn_state_of(u);
	int *packed = own->number != 0 ? malloc(sizeof(int)) : NULL;

	*len = sizeof(int);
	if (packed != NULL)
		*packed = own->number;
	return packed;
}

static bool
adopt(struct upconn *u, const void *packed, size_t len)
{
	struct own *own = upconn_state_of(u);

	if (len != sizeof(own->number))
		return false;
	memcpy(&own->number, packed, sizeof(own->number));
	return true;
}

/* Words in small letters. */
static bool
is_key(const void *key, size_t len)
{
	const char *text = key;

	while (len > 0 && text[len - 1] >= 'a')
		len--;
	return len == 0;
}

static unsigned
groups(const void *key, size_t len, struct pool_group out[POOL_GROUPS])
{
	out[POOL_GROUP_USER] = (struct pool_group){ key, len };
	return len > 0 ? 1 : 0;
}

static void
fini(struct upconn *u)
{
	(void)u;
	ends++;
}

/* ------------------------------------------------------------------ the scene */

static void
begin(void)
{
	cap_table_init(&caps);
	scene_begin(&s, 1, 1);
	s.conf.pool.max = MOST;
	s.peer.state_size = sizeof(struct own);
	s.peer.pack = pack;
	s.peer.adopt = adopt;
	s.peer.is_key = is_key;
	s.peer.groups = groups;
	s.peer.fini = fini;
	scene_start(&s);
	s.upstream->cap = cap_take(&caps, -1);
	s.upstream->alike = true;
	ends = 0;
}

static void
end(void)
{
	struct cap *cap = s.upstream->cap;

	scene_end(&s);
	assert_int_equal(cap_total(cap), 0);
	cap_table_fini(&caps);
}

static void
come(struct client *c, const char *key)
{
	client_init(c, &s, 0);
	c->ask.key = key;
	c->ask.key_len = strlen(key);
	client_ask(c);
	scene_run(&s);
}

static struct own *
own_of(const struct client *c)
{
	assert_int_equal(c->state, CLIENT_HOLDS);
	return upconn_state_of(c->lease->u);
}

/* One is there afterwards, of that key, with that number. */
static void
warm(const char *key, int number)
{
	struct client c;

	come(&c, key);
	own_of(&c)->number = number;
	client_return(&c);
	scene_run(&s);
}

/* The only one that goes, and it has been sent. */
static struct handed *
sent(void)
{
	struct handed *h;
	struct list out;

	list_init(&out);
	assert_int_equal(handover_take_out(scene_pool(&s, 0), 9, 0, true,
	    &out), 1);
	h = container_of(list_first(&out), struct handed, link);
	list_remove(&h->link);
	upstream_slot_send(s.upstream);
	return h;
}

static void
come_back(struct handed *h)
{
	cap_move(s.upstream->cap, 1);
	handover_adopt(scene_pool(&s, 0), h);
	scene_run(&s);
}

/* ------------------------------------------------------------------- the tests */

static void
it_is_of_its_key_there(void **state)
{
	struct client c, other;

	(void)state;
	begin();
	warm("alice", 7);
	come_back(sent());
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	come(&other, "bob");
	assert_int_equal(scene_connects(&s), 2);
	come(&c, "alice");
	assert_int_equal(scene_connects(&s), 2);
	assert_true(c.lease->reused);
	assert_int_equal(own_of(&c)->number, 7);
	client_return(&c);
	client_return(&other);
	end();
}

static void
only_to_who_knows_of_keys(void **state)
{
	struct list out;

	(void)state;
	begin();
	warm("alice", 7);
	list_init(&out);
	assert_int_equal(handover_take_out(scene_pool(&s, 0), 9, 0, false,
	    &out), 0);
	/* Nor where what comes back could not be told from anything. */
	s.peer.is_key = NULL;
	assert_int_equal(handover_take_out(scene_pool(&s, 0), 9, 0, true,
	    &out), 0);
	s.peer.is_key = is_key;
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	end();
}

static void
one_that_cannot_go_makes_room(void **state)
{
	struct list out;

	(void)state;
	begin();
	warm("alice", 0);
	list_init(&out);
	assert_int_equal(handover_take_out(scene_pool(&s, 0), 9, 0, true,
	    &out), 0);
	assert_int_equal(scene_count(&s, UPCONN_IDLE), 1);
	handover_make_room(scene_pool(&s, 0), 1, DISCARD_OTHER_KEY);
	scene_run(&s);
	assert_int_equal(upstream_open(s.upstream), 0);
	end();
}

/* Bytes of the key or of what is packed are others, or fewer. */
static void
spoil(char *byte, size_t *len)
{
	struct handed *h;

	warm("alice", 7);
	h = sent();
	if (byte != NULL)
		h->bytes[0] = *byte;
	if (len != NULL)
		h->packed_len = *len;
	come_back(h);
	assert_int_equal(upstream_open(s.upstream), 0);
	assert_null(shelf_find(container_of(scene_pool(&s, 0)->sites.next,
	    struct site, link), "alice", 5));
}

static void
what_makes_no_sense_is_closed(void **state)
{
	char byte = '!';
	size_t len = 1;

	(void)state;
	begin();
	spoil(&byte, NULL);
	assert_int_equal(ends, 1);
	/* What was begun of it is ended. */
	spoil(NULL, &len);
	assert_int_equal(ends, 3);
	end();
}

static void
it_has_its_place_in_a_group(void **state)
{
	struct handed *h;

	(void)state;
	begin();
	s.conf.pool.max_per_user = 1;
	scene_reload(&s, false);
	warm("alice", 7);
	h = sent();
	/* Its place there is free, and taken by another. */
	warm("alice", 8);
	come_back(h);
	assert_int_equal(upstream_open(s.upstream), 1);
	h = sent();
	come_back(h);
	assert_int_equal(upstream_open(s.upstream), 1);
	upconn_close(scene_upconn(&s, 0, 0), N_DISCARDS);
	warm("alice", 9);
	assert_int_equal(upstream_open(s.upstream), 1);
	end();
}

static void
its_place_is_for_who_waits_with_another_key(void **state)
{
	struct handed *h;
	struct client c;

	(void)state;
	begin();
	s.conf.pool.max = 1;
	scene_reload(&s, false);
	warm("alice", 7);
	h = sent();
	come(&c, "bob");
	assert_int_equal(c.state, CLIENT_WAITS);
	come_back(h);
	assert_int_equal(own_of(&c)->number, 0);
	assert_int_equal(scene_connects(&s), 2);
	assert_int_equal(upstream_open(s.upstream), 1);
	client_return(&c);
	end();
}

static const void *
warm_key(const struct conf_upstream *conf, size_t i, size_t *len)
{
	(void)conf;
	*len = 5;
	return i == 0 ? "alice" : NULL;
}

static void
what_is_to_come_is_not_opened_to_be_warm(void **state)
{
	(void)state;
	begin();
	s.peer.warm_key = warm_key;
	s.conf.pool.min_idle = 2;
	assert_true(cap_count(s.upstream->cap, 1, 2));
	s.upstream->keys_go = true;
	scene_reload(&s, false);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 1);
	/* Nor what has been sent and is not here yet. */
	cap_move(s.upstream->cap, 1);
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 1);
	cap_move(s.upstream->cap, 0);
	/* From one that does not know of keys nothing comes. */
	s.upstream->keys_go = false;
	scene_pass(&s, 2000);
	assert_int_equal(scene_connects(&s), 2);
	cap_bury(&caps);
	s.conf.pool.min_idle = 0;
	scene_reload(&s, false);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_of_its_key_there),
		cmocka_unit_test(only_to_who_knows_of_keys),
		cmocka_unit_test(one_that_cannot_go_makes_room),
		cmocka_unit_test(what_makes_no_sense_is_closed),
		cmocka_unit_test(it_has_its_place_in_a_group),
		cmocka_unit_test(its_place_is_for_who_waits_with_another_key),
		cmocka_unit_test(what_is_to_come_is_not_opened_to_be_warm)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
