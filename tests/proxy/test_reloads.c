/*
 * proxy/reloads and what proxy/drift remembers of them: ten, the newest first;
 * what a start alone can change until it is as it was.
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

#include <cmocka.h>

#include "net/err.h"
#include "proxy/drift.h"
#include "proxy/reloads.h"

/* A diff of one change of a key. */
static struct diff
one(struct diff_change *c, const char *path, const char *from, const char *to)
{
	*c = (struct diff_change){ .kind = DIFF_SETTING, .how = DIFF_CHANGED,
	    .path = (char *)path, .from = (char *)from, .to = (char *)to,
	    .text = (char *)path };
	return (struct diff){ c, 1 };
}

static void
ten_are_kept_newest_first(void **state)
{
	struct reloads r = { .n = 0 };
	struct diff_change c;
	char path[16];

	(void)state;
	for (unsigned i = 1; i <= 15; i++) {
		struct diff d;

		snprintf(path, sizeof(path), "key%u", i);
		d = one(&c, path, "1", "2");
		reloads_add(&r, RELOAD_OK, i, &d, NULL);
		assert_int_equal(r.n, i < RELOADS_KEPT ? i : RELOADS_KEPT);
		assert_int_equal(r.v[0].generation, i);
		assert_string_equal(r.v[0].texts[0], path);
		assert_int_equal(r.v[r.n - 1].generation, i < RELOADS_KEPT ?
		    1 : i - RELOADS_KEPT + 1);
	}
	reloads_add(&r, RELOAD_REFUSED, 15, NULL, "why");
	assert_string_equal(r.v[0].error, "why");
	assert_int_equal(r.v[0].n_texts, 0);
	assert_null(r.v[1].error);
	reloads_fini(&r);
	assert_int_equal(r.n, 0);
}

static void
of_many_changes_the_first_are_kept_and_the_rest_counted(void **state)
{
	struct diff_change v[RELOADS_TEXTS_MOST + 7];
	struct diff d = { v, NELEMS(v) };
	struct reloads r = { .n = 0 };
	char text[] = "text";

	(void)state;
	for (size_t i = 0; i < NELEMS(v); i++)
		v[i] = (struct diff_change){ .text = text };
	reloads_add(&r, RELOAD_OK, 1, &d, NULL);
	assert_int_equal(r.v[0].n_texts, RELOADS_TEXTS_MOST);
	assert_int_equal(r.v[0].left_out, 7);
	reloads_fini(&r);
}

static void
what_waits_for_a_start_is_remembered_until_it_is_as_it_was(void **state)
{
	struct drift_pending p = { .n = 0 };
	struct diff_change c;
	struct diff d = one(&c, "workers", "1", "2");

	(void)state;
	drift_note(&p, &d);
	d = one(&c, "drain_delay", "1s", "2s");
	drift_note(&p, &d);
	assert_int_equal(p.n, 1);
	d = one(&c, "workers", "2", "3");
	drift_note(&p, &d);
	assert_int_equal(p.n, 1);
	assert_string_equal(p.v[0].from, "1");
	assert_string_equal(p.v[0].to, "3");
	d = one(&c, "user", NULL, "weir");
	drift_note(&p, &d);
	assert_int_equal(p.n, 2);
	assert_null(p.v[1].from);
	d = one(&c, "workers", "3", "1");
	drift_note(&p, &d);
	assert_int_equal(p.n, 1);
	d = one(&c, "user", "weir", NULL);
	drift_note(&p, &d);
	assert_int_equal(p.n, 0);
	drift_fini(&p);
}

/* Its queue and permissions are what they were when it was bound: one that goes
   and comes back is bound anew. */
static void
an_address_that_goes_takes_along_what_it_waits_for(void **state)
{
	struct drift_pending p = { .n = 0 };
	struct diff_change c;
	struct diff d = one(&c, "listeners.a.bind[127.0.0.1:1].backlog", "9",
	    "8");

	(void)state;
	drift_note(&p, &d);
	d = one(&c, "listeners.ab.bind[127.0.0.1:2].backlog", "9", "8");
	drift_note(&p, &d);
	assert_int_equal(p.n, 2);
	d = one(&c, "listeners.a", NULL, NULL);
	c.how = DIFF_REMOVED;
	drift_note(&p, &d);
	assert_int_equal(p.n, 1);
	d = one(&c, "listeners.ab.bind[127.0.0.1:2]", NULL, NULL);
	c.how = DIFF_REMOVED;
	drift_note(&p, &d);
	assert_int_equal(p.n, 0);
	drift_fini(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_are_kept_newest_first),
		cmocka_unit_test(
		    of_many_changes_the_first_are_kept_and_the_rest_counted),
		cmocka_unit_test(
		    what_waits_for_a_start_is_remembered_until_it_is_as_it_was),
		cmocka_unit_test(
		    an_address_that_goes_takes_along_what_it_waits_for)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
