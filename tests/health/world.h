/*
 * The world of the checker's tests: endpoints whose far ends do as they are
 * told, a clock that is the test's, and a probe of a few letters: it asks "?",
 * takes "y" for well, "n" for ill and "b" for full, and at "m" asks once more. Each program
 * has its own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_HEALTH_WORLD_H
#define TESTS_HEALTH_WORLD_H

#include "health/checker.h"

#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/log.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

enum { ENDS = 4, INTERVAL = 1000, TIMEOUT = 300, STEP = 10 };

static struct world {
	struct turns turns;
	struct conf_upstream conf;
	struct far_end ends[ENDS];
	char says[ENDS];                /* 'y', 'n', 'm', '.' nothing, 'x' RST,
					   'f' FIN, 'g' well, then RST */
	struct endpoint *e[ENDS];
	struct roster *roster;
	struct checker *checker;
	unsigned changes;
	unsigned begun, ended;          /* states of the probe */
	unsigned descriptors;
} w;

/* -------------------------------------------------------------------- probe */

static inline int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	unsigned *asked = state;

	assert_ptr_equal(conf, &w.conf);
	assert_non_null(e);
	/* Zeroed for each check. */
	assert_int_equal((*asked)++, 0);
	w.begun++;
	return buf_append(store, out, "?", 1);
}

static inline enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	const unsigned *asked = state;
	size_t len;
	char said;

	(void)eof;
	assert_ptr_equal(conf, &w.conf);
	assert_int_equal(*asked, 1);
	if (in->len == 0)
		return PROBE_MORE;
	said = *buf_front(in, &len);
	if (said == '.')
		return PROBE_MORE;
	buf_drop(store, in, 1);
	if (said == 'm')
		return buf_append(store, out, "?", 1) == 0 ? PROBE_MORE :
		    PROBE_BAD;
	snprintf(why, PROBE_WHY_MAX, "it said %c", said);
	/* A goodbye, where nobody is left to hear it. */
	if (said == 'g' && buf_append(store, out, "!", 1) < 0)
		return PROBE_BAD;
	return said == 'y' || said == 'g' ? PROBE_OK : said == 'b' ? PROBE_FULL : PROBE_BAD;
}

/* Once for each check that was asked. */
static inline void
fini(void *state)
{
	unsigned *asked = state;

	assert_true(*asked <= 1);
	w.ended += *asked;
	*asked = 2;
}

static const struct probe_ops probe = {
	.state_size = sizeof(unsigned), .ask = ask, .answer = answer,
	.fini = fini
};

/* -------------------------------------------------------------------- world */

static inline void
changed(void *arg)
{
	assert_ptr_equal(arg, &w);
	w.changes++;
}

static inline void
make_roster(unsigned n)
{
	unsigned i;

	roster_drop(w.roster);
	w.roster = roster_new(n);
	assert_non_null(w.roster);
	for (i = 0; i < n; i++)
		w.roster->v[i] = endpoint_keep(w.e[i]);
}

static inline void
configure(const struct probe_ops *ops)
{
	assert_int_equal(checker_configure(w.checker, &w.conf, ops, w.roster),
	    0);
}

static inline int
set_up(void **state)
{
	char name[ADDR_TEXT_MAX];
	unsigned i;

	(void)state;
	memset(&w, 0, sizeof(w));
	connects_are_slow = false;
	w.descriptors = open_descriptors();
	turns_begin(&w.turns, 1);
	w.conf.health.on = true;
	w.conf.health.interval_ms = INTERVAL;
	w.conf.health.timeout_ms = TIMEOUT;
	w.conf.health.rise = 2;
	w.conf.health.fall = 3;
	w.conf.outlier.eject_for_ms = 10000;
	w.conf.outlier.max_ejected = 0.5;
	w.checker = checker_new(&w.turns.workers[0], "app", changed, &w);
	assert_non_null(w.checker);
	for (i = 0; i < ENDS; i++) {
		far_end_open(&w.ends[i]);
		w.says[i] = 'y';
		addr_print(&w.ends[i].addr, name);
		w.e[i] = endpoint_new(name, name, &w.ends[i].addr, 1,
		    UINT_MAX);
		assert_non_null(w.e[i]);
	}
	return 0;
}

static inline int
tear_down(void **state)
{
	unsigned i;

	(void)state;
	checker_free(w.checker);
	assert_int_equal(w.begun, w.ended);
	roster_drop(w.roster);
	turns_end(&w.turns);
	for (i = 0; i < ENDS; i++) {
		/* Nobody else has it any more. */
		assert_int_equal(atomic_load(&w.e[i]->refs), 1);
		endpoint_drop(w.e[i]);
		far_end_close(&w.ends[i]);
	}
	assert_int_equal(open_descriptors(), w.descriptors);
	return 0;
}

/* One far end does what it says: answers a question, or hangs up. */
static inline void
serve(unsigned i)
{
	struct far_end *f = &w.ends[i];
	unsigned k = 0;
	char heard[8];
	int n;

	far_end_accept(f);
	while (k < f->n) {
		int fd = f->fds[k];

		n = far_end_hear(fd, heard, sizeof(heard));
		if (n < 0 || (n > 0 && w.says[i] == 'x'))
			far_end_reset(f, fd);
		else if (n > 0 && w.says[i] == 'f')
			far_end_hang_up(f, fd);
		else {
			if (n > 0 && w.says[i] != '.')
				far_end_say(fd, &w.says[i], 1);
			if (n > 0 && w.says[i] == 'g')
				far_end_reset(f, fd);
			else
				k++;
		}
	}
}

static inline void
serve_all(void)
{
	unsigned i;

	for (i = 0; i < ENDS; i++)
		serve(i);
}

static inline void
pass(int64_t ms)
{
	for (; ms > 0; ms -= STEP) {
		turns_pass(&w.turns, ms < STEP ? ms : STEP);
		serve_all();
		turns_run(&w.turns);
	}
	serve_all();
}

static inline unsigned
bars(unsigned i)
{
	return atomic_load(&w.e[i]->bars);
}

static inline unsigned
asked(unsigned i)
{
	serve(i);
	return w.ends[i].accepted;
}

/* Until the next result of end 0. */
static inline void
one_check(void)
{
	uint64_t before = w.e[0]->health.checks;
	int64_t waited;

	for (waited = 0; w.e[0]->health.checks == before; waited += STEP) {
		assert_true(waited < 2 * INTERVAL);
		pass(STEP);
	}
}

static inline void
starts(unsigned n, const struct probe_ops *ops)
{
	make_roster(n);
	configure(ops);
}

#endif
