/*
 * pool/endpoint and pool/upstream: references, faults and places.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/endpoint.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pool/upstream.h"
#include "tests/support/scene.h"

static struct endpoint *
new_one(void)
{
	struct addr_text text;
	struct endpoint *e;
	struct addr addr;
	const char *why;

	assert_int_equal(addr_text_parse("127.0.0.1:80", false, &text, &why),
	    0);
	assert_int_equal(addr_from_text(&text, &addr), 0);
	addr_text_fini(&text);
	e = endpoint_new("app", "app.test:80", &addr, 3, UINT_MAX);
	assert_non_null(e);
	return e;
}

static void
endpoint_is_what_it_was_made_of(void **state)
{
	struct endpoint *e = new_one();

	(void)state;
	assert_string_equal(e->name, "app");
	assert_string_equal(e->authority, "app.test:80");
	assert_string_equal(e->resolved, "127.0.0.1:80");
	assert_int_equal(atomic_load(&e->weight), 3);
	assert_true(atomic_load(&e->current));
	assert_string_equal(atomic_load(&e->last_error), "");
	endpoint_drop(e);
	endpoint_drop(NULL);
}

static void
faults_are_counted_and_the_last_is_told(void **state)
{
	struct endpoint *e = new_one();
	unsigned i;

	(void)state;
	for (i = 0; i < N_FAULTS; i++) {
		endpoint_fault(e, i, 0);
		endpoint_fault(e, i, 0);
		assert_int_equal(atomic_load(&e->faults[i]), 2);
		assert_string_equal(atomic_load(&e->last_error),
		    endpoint_fault_names[i]);
	}
	endpoint_fault(e, FAULT_CONNECT_FAILED, ECONNREFUSED);
	assert_string_equal(atomic_load(&e->last_error), "Connection refused");
	/* One that the system has no words for. */
	endpoint_fault(e, FAULT_RESET, 99999);
	assert_string_equal(atomic_load(&e->last_error), "reset");
	endpoint_drop(e);
}

static unsigned suspicions;

static void
suspect(void *arg, struct endpoint *e)
{
	assert_ptr_equal(arg, e);
	suspicions++;
}

static void
faults_in_a_row_make_it_suspect(void **state)
{
	struct endpoint *e = new_one();
	unsigned i;

	(void)state;
	suspicions = 0;
	e->suspect = suspect;
	e->suspect_arg = e;
	for (i = 0; i < 10; i++)
		endpoint_fault(e, FAULT_RESET, 0);
	assert_int_equal(suspicions, 0);
	assert_int_equal(atomic_load(&e->failing), 10);
	endpoint_ok(e);
	assert_int_equal(atomic_load(&e->failing), 0);
	atomic_store(&e->eject_after, 3);
	for (i = 1; i <= 9; i++) {
		endpoint_fault(e, i % N_FAULTS, 0);
		assert_int_equal(suspicions, i / 3);
	}
	/* A row that is broken begins anew. */
	endpoint_ok(e);
	endpoint_fault(e, FAULT_RESET, 0);
	endpoint_fault(e, FAULT_RESET, 0);
	endpoint_ok(e);
	endpoint_fault(e, FAULT_RESET, 0);
	assert_int_equal(suspicions, 3);
	e->suspect = NULL;
	for (i = 0; i < 6; i++)
		endpoint_fault(e, FAULT_RESET, 0);
	endpoint_drop(e);
}

static void
bars_come_and_go_each_by_itself(void **state)
{
	struct endpoint *e = new_one();

	(void)state;
	assert_int_equal(atomic_load(&e->up_since_ns), 0);
	assert_false(endpoint_bar(e, BAR_CHECK, false, 5));
	assert_int_equal(atomic_load(&e->up_since_ns), 0);
	atomic_store(&e->since_s, 1);
	assert_true(endpoint_bar(e, BAR_CHECK, true, 10));
	assert_true(atomic_load(&e->since_s) > 1);
	atomic_store(&e->since_s, 1);
	assert_false(endpoint_bar(e, BAR_CHECK, true, 11));
	assert_false(endpoint_bar(e, BAR_DRAIN, true, 12));
	assert_false(endpoint_bar(e, BAR_CHECK, false, 13));
	assert_int_equal(atomic_load(&e->bars), BAR_DRAIN);
	assert_int_equal(atomic_load(&e->up_since_ns), 0);
	assert_int_equal(atomic_load(&e->since_s), 1);
	assert_true(endpoint_bar(e, BAR_DRAIN, false, 14));
	assert_int_equal(atomic_load(&e->up_since_ns), 14);
	assert_true(atomic_load(&e->since_s) > 1);
	assert_false(endpoint_bar(e, BAR_DRAIN, false, 15));
	assert_int_equal(atomic_load(&e->up_since_ns), 14);
	endpoint_drop(e);
}

static void
state_is_named_by_its_strongest_bar(void **state)
{
	struct endpoint *e = new_one();

	(void)state;
	assert_string_equal(endpoint_state(e), "up");
	(void)endpoint_bar(e, BAR_EJECTED, true, 1);
	assert_string_equal(endpoint_state(e), "ejected");
	(void)endpoint_bar(e, BAR_CHECK, true, 1);
	assert_string_equal(endpoint_state(e), "down");
	(void)endpoint_bar(e, BAR_DRAIN, true, 1);
	assert_string_equal(endpoint_state(e), "drain");
	(void)endpoint_bar(e, BAR_DOWN, true, 1);
	assert_string_equal(endpoint_state(e), "down");
	endpoint_drop(e);
}

static void
every_reason_has_a_name(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < N_FAULTS; i++)
		assert_non_null(endpoint_fault_names[i]);
	for (i = 0; i < N_DISCARDS; i++)
		assert_non_null(discard_names[i]);
	for (i = 0; i < N_UPSTREAM_LIMITS; i++)
		assert_non_null(upstream_limit_names[i]);
	for (i = 0; i <= UPCONN_CLOSED; i++)
		assert_non_null(upconn_state_names[i]);
}

static void
roster_lets_its_endpoints_go_with_its_last_reference(void **state)
{
	struct endpoint *a = new_one(), *b = new_one();
	struct roster *r = roster_new(2);

	(void)state;
	assert_non_null(r);
	r->v[0] = endpoint_keep(a);
	r->v[1] = endpoint_keep(b);
	roster_keep(r);
	roster_drop(r);
	assert_int_equal(atomic_load(&a->refs), 2);
	roster_drop(r);
	assert_int_equal(atomic_load(&a->refs), 1);
	assert_int_equal(atomic_load(&b->refs), 1);
	endpoint_drop(a);
	endpoint_drop(b);
	roster_drop(NULL);
	/* One that is not filled. */
	roster_drop(roster_new(3));
}

static void
places_of_an_upstream_are_counted(void **state)
{
	static const struct peer_ops peer;
	struct upstream *up;
	struct worker *w;
	struct turns t;

	(void)state;
	turns_begin(&t, 1);
	w = &t.workers[0];
	up = upstream_new("app", &peer, &w, 1);
	assert_non_null(up);
	assert_string_equal(up->name, "app");
	assert_false(upstream_slot_take(up));
	atomic_store(&up->most, 2);
	assert_true(upstream_slot_take(up));
	assert_true(upstream_slot_take(up));
	assert_false(upstream_slot_take(up));
	/* Lowered: not before it has fallen under it. */
	atomic_store(&up->most, 1);
	upstream_slot_free(up);
	assert_false(upstream_slot_take(up));
	upstream_slot_free(up);
	assert_true(upstream_slot_take(up));
	upstream_slot_free(up);
	upstream_free(up);
	upstream_free(NULL);
	turns_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoint_is_what_it_was_made_of),
		cmocka_unit_test(faults_are_counted_and_the_last_is_told),
		cmocka_unit_test(faults_in_a_row_make_it_suspect),
		cmocka_unit_test(bars_come_and_go_each_by_itself),
		cmocka_unit_test(state_is_named_by_its_strongest_bar),
		cmocka_unit_test(every_reason_has_a_name),
		cmocka_unit_test(
		    roster_lets_its_endpoints_go_with_its_last_reference),
		cmocka_unit_test(places_of_an_upstream_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
