/*
 * The process at the other end of a connection: this one, of TCP over both
 * versions of IP and of a Unix socket; nobody for what is not connected.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/worker.h"
#include "proxy/process.h"

struct pair {
	int listens, asks;
};

static void
pair_make(struct pair *p, int family, struct process_end *e)
{
	struct addr a = { .len = sizeof(a.ss) }, peer = a;
	struct addr_text text = { .host = (char *)(family == AF_INET ?
	    "127.0.0.1" : "::1"), .is_literal = true };

	assert_int_equal(addr_from_text(&text, &a), 0);
	p->listens = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	p->asks = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listens, &a.sa, a.len), 0);
	assert_int_equal(listen(p->listens, 5), 0);
	assert_int_equal(getsockname(p->listens, &a.sa, &a.len), 0);
	assert_int_equal(connect(p->asks, &a.sa, a.len), 0);
	assert_int_equal(getsockname(p->asks, &peer.sa, &peer.len), 0);
	*e = (struct process_end){ .pid = -1, .uid = -1 };
	addr_to_ip(&peer, &e->peer);
	addr_to_ip(&a, &e->here);
}

static void
pair_end(struct pair *p)
{
	close(p->listens);
	close(p->asks);
}

static void
is_me(const struct process_end *e)
{
	char name[64] = "";
	FILE *f = fopen("/proc/self/comm", "re");

	assert_non_null(f);
	assert_non_null(fgets(name, sizeof(name), f));
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	assert_int_equal(e->pid, getpid());
	assert_string_equal(e->name, name);
}

static void
both_families_are_found_and_one_end_twice(void **state)
{
	struct process_end ends[4];
	struct pair four, six;
	int i;

	(void)state;
	pair_make(&four, AF_INET, &ends[0]);
	pair_make(&six, AF_INET6, &ends[1]);
	ends[2] = ends[0];
	ends[3] = (struct process_end){ .pid = getpid(), .uid = 0 };
	process_look(ends, 4);
	for (i = 0; i < 4; i++)
		is_me(&ends[i]);
	for (i = 0; i < 3; i++)
		assert_int_equal(ends[i].uid, getuid());
	pair_end(&four);
	pair_end(&six);
}

static void
nobody_is_behind_what_is_not_connected(void **state)
{
	struct process_end ends[2];
	struct pair p;

	(void)state;
	pair_make(&p, AF_INET, &ends[0]);
	/* Somebody listens there, but that is not he who was asked about. */
	ends[0].peer.port = ends[0].here.port;
	ends[0].here.port = 1;
	ends[1] = (struct process_end){ .pid = -1, .uid = -1 };
	process_look(ends, 2);
	assert_int_equal(ends[0].pid, -1);
	assert_int_equal(ends[0].uid, -1);
	assert_int_equal(ends[1].pid, -1);
	assert_string_equal(ends[0].name, "");
	pair_end(&p);
}

/* ------------------------------------------------------------- its own thread */

struct search {
	struct process_search search;
	struct process_end end;
	unsigned *n_left, *n_dropped;
};

static struct search *
search_of(struct mail *m)
{
	return container_of(container_of(m, struct process_search, over),
	    struct search, search);
}

static void
over(struct worker *w, struct mail *m)
{
	struct search *s = search_of(m);

	is_me(&s->end);
	if (--*s->n_left == 0)
		worker_stop(w);
}

static void
dropped(struct mail *m)
{
	++*search_of(m)->n_dropped;
}

static void
finder_answers_each_in_turn_and_drops_what_is_left(void **state)
{
	enum { N = 20 };
	struct process_finder *f;
	struct search s[2 * N];
	unsigned left = N, lost = 0, i;
	struct worker w;
	struct pair p;

	(void)state;
	assert_int_equal(worker_init(&w, 0, NULL), 0);
	f = process_finder_new(&w);
	assert_non_null(f);
	pair_make(&p, AF_INET, &s[0].end);
	for (i = 0; i < 2 * N; i++) {
		s[i].end = s[0].end;
		s[i].n_left = &left;
		s[i].n_dropped = &lost;
		s[i].search = (struct process_search){ .ends = &s[i].end,
		    .n = 1, .over = { .deliver = over, .drop = dropped } };
	}
	for (i = 0; i < N; i++)
		process_search(f, &w, &s[i].search);
	worker_run(&w);
	assert_int_equal(left, 0);
	for (i = N; i < 2 * N; i++)
		process_search(f, &w, &s[i].search);
	process_finder_free(f);
	worker_fini(&w);
	assert_int_equal(lost, N);
	pair_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_are_found_and_one_end_twice),
		cmocka_unit_test(nobody_is_behind_what_is_not_connected),
		cmocka_unit_test(
		    finder_answers_each_in_turn_and_drops_what_is_left)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
