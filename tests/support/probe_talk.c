/*
 * Checks' talks. See probe_talk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/probe_talk.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void
probe_talk_begin(struct probe_talk *t, const struct probe_ops *ops,
    const struct conf_upstream *conf)
{
	*t = (struct probe_talk){ .ops = ops, .conf = conf };
	block_store_init(&t->store);
}

void
probe_talk_end(struct probe_talk *t)
{
	buf_clear(&t->store, &t->said);
	block_store_fini(&t->store);
}

/* The state of a check that has just asked; the question is in t->said. */
static void *
ask(struct probe_talk *t, const char *authority)
{
	struct addr none = { .sa.sa_family = AF_UNIX };
	struct endpoint *e = endpoint_new("e", authority, &none, 1, UINT_MAX);
	void *state = calloc(1, t->ops->state_size + 1);

	assert_non_null(state);
	assert_non_null(e);
	assert_int_equal(t->ops->ask(t->conf, e, state, &t->store, &t->said),
	    0);
	endpoint_drop(e);
	return state;
}

static void
forget(struct probe_talk *t, void *state)
{
	if (t->ops->fini != NULL)
		t->ops->fini(state);
	free(state);
}

void
probe_talk_asks(struct probe_talk *t, const char *authority,
    const char *wanted, size_t len)
{
	void *state = ask(t, authority);

	assert_int_equal(t->said.len, len);
	assert_memory_equal(buf_flat(&t->store, &t->said, len), wanted, len);
	buf_clear(&t->store, &t->said);
	/* Twice is fine. */
	if (t->ops->fini != NULL)
		t->ops->fini(state);
	forget(t, state);
}

enum probe_verdict
probe_talk_hear(struct probe_talk *t, const char *text, size_t len,
    size_t piece, bool eof, char why[PROBE_WHY_MAX])
{
	enum probe_verdict got = PROBE_MORE;
	struct buf in = { 0 };
	size_t at = 0, n;
	void *state;

	buf_clear(&t->store, &t->said);
	state = ask(t, "e:1");
	buf_clear(&t->store, &t->said);
	why[0] = '\0';
	while (got == PROBE_MORE && at < len) {
		n = len - at < piece ? len - at : piece;
		assert_int_equal(buf_append(&t->store, &in, text + at, n), 0);
		at += n;
		got = t->ops->answer(t->conf, state, &t->store, &in, &t->said,
		    false, why);
	}
	if (got == PROBE_MORE && eof)
		got = t->ops->answer(t->conf, state, &t->store, &in, &t->said,
		    true, why);
	buf_clear(&t->store, &in);
	forget(t, state);
	return got;
}

void
probe_talk_says(struct probe_talk *t, const char *text, size_t len,
    enum probe_verdict wanted, const char *wanted_why)
{
	char why[PROBE_WHY_MAX];
	size_t piece;

	for (piece = 1; piece <= len + 1; piece++) {
		assert_int_equal(probe_talk_hear(t, text, len, piece, true,
		    why), wanted);
		if (wanted != PROBE_OK)
			assert_string_equal(why, wanted_why);
	}
}
