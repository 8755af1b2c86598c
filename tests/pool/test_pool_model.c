/*
 * Pool accounting under random use: after each step the lists, states, counters
 * and caps of the pools must agree; whenever the loops have run dry, nobody may
 * wait for what is there; and at the end everything must go.
 *
 * Workers take turns in this thread under a clock of the test's, so a run is
 * determined by its seed, but for what the kernel does. The first seed is
 * printed, and each run that fails says its own: MODEL_SEED=n MODEL_RUNS=1
 * repeats it, MODEL_TRACE=1 tells the steps.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/dice.h"
#include "tests/support/scene.h"

enum { GUESTS = 40, ENDS = 3, STEPS = 500, RUNS = 100 };

/* Asks, and checks what it gets. */
struct guest {
	struct ask ask;
	struct lease *lease;
	enum client_state state;
	uint64_t serial;                /* asks are numbered */
	bool returns_at_once;           /* from inside granted() */
	bool asks_again;                /* from inside refused(), once */
	bool lost;                      /* its connection is */
};

static struct scene s;
static struct guest guests[GUESTS];
static struct roster *roster;                   /* the newest */
static struct roster *next_roster[TURNS_MOST];  /* not arrived yet */
static struct {
	bool due, identity_changed;
} next_conf[TURNS_MOST];
static uint64_t dice, serial;
static unsigned n_keys, grants, refusals, open_before;
static bool tracing, polite, capped;    /* capped: each endpoint, too */

static const char *const keys[] = { "", "ann", "bob", "eve" };

#define TRACE(...) do {                                                      \
	if (tracing)                                                          \
		fprintf(stderr, __VA_ARGS__);                                 \
} while (0)

static unsigned
up_to(unsigned n)
{
	return dice_up_to(&dice, n);
}

static bool
chance(unsigned percent)
{
	return dice_chance(&dice, percent);
}

/* ------------------------------------------------------------------- guests */

static void let_go(struct guest *g, enum mark mark);
static void ask(struct guest *g);

static bool
same_key(const struct guest *g, const struct guest *h)
{
	return g->ask.key_len == h->ask.key_len && (g->ask.key_len == 0 ||
	    memcmp(g->ask.key, h->ask.key, g->ask.key_len) == 0);
}

/* Did g get one while somebody who asked earlier has nothing coming? */
static void
check_order(const struct guest *g)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		const struct guest *h = &guests[i];

		if (h->state == CLIENT_WAITS && h->ask.pool == g->ask.pool &&
		    h->serial < g->serial && same_key(g, h) && !h->ask.fresh &&
		    h->ask.avoid == NULL && h->ask.bound == NULL &&
		    h->ask.opening == NULL)
			fail_msg("ask %llu was overtaken by %llu",
			    (unsigned long long)h->serial,
			    (unsigned long long)g->serial);
	}
}

static void
check_grant(const struct guest *g)
{
	const struct upconn *u = g->lease->u;
	const struct pool *p = g->ask.pool;

	assert_ptr_equal(list_first(&u->riders), &g->lease->ride);
	assert_ptr_equal(g->lease->holder, g);
	assert_ptr_equal(u->pool, p);
	assert_int_equal(u->mark, MARK_CLEAN);
	assert_int_equal(u->shelf->key_len, g->ask.key_len);
	assert_int_equal(memcmp(u->shelf->key, g->ask.key, g->ask.key_len), 0);
	assert_true(u->shelf->site->current);
	assert_int_equal(u->identity, p->identity);
	assert_true(p->conf->pool.max_requests == 0 ||
	    u->uses <= (uint64_t)p->conf->pool.max_requests);
	if (g->ask.fresh)
		assert_false(g->lease->reused);
	assert_true(books_takes(p, u->shelf->site->endpoint));
	/* No byte that came for somebody else. */
	if (p->conf->pool.span != CONF_SPAN_SESSION || u->uses > 1)
		assert_int_equal(u->conn.in.len, 0);
	assert_int_equal(u->conn.out.len, 0);
	assert_false(u->conn.eof);
	assert_false(u->conn.paused);
}

static void
holds(struct guest *g)
{
	g->state = CLIENT_HOLDS;
	g->lease = g->ask.lease;
	g->lost = false;
	grants++;
	TRACE("  granted %llu\n", (unsigned long long)g->serial);
	check_grant(g);
	check_order(g);
}

/* Only when nothing is usable, and only if a hold ends is it told when. */
static void
check_refusal(const struct guest *g)
{
	const struct ask *a = &g->ask;
	bool none = a->refusal == REFUSAL_NO_ENDPOINT;
	bool held = a->refusal == REFUSAL_HELD;
	unsigned i;

	refusals++;
	assert_int_not_equal(a->refusal, REFUSAL_NONE);
	assert_int_equal(a->held_ns > 0, held);
	assert_int_equal(a->failed != NULL,
	    a->refusal == REFUSAL_CONNECT_FAILED ||
	    a->refusal == REFUSAL_CONNECT_TIMEOUT);
	for (i = 0; (none || held) && i < ENDS; i++)
		assert_false(books_takes(a->pool, s.endpoints[i]));
}

static void
granted(struct ask *a)
{
	struct guest *g = container_of(a, struct guest, ask);

	assert_int_equal(g->state, CLIENT_WAITS);
	holds(g);
	if (g->returns_at_once)
		let_go(g, MARK_CLEAN);
}

static void
refused(struct ask *a, enum refusal why)
{
	struct guest *g = container_of(a, struct guest, ask);

	TRACE("  refused %llu: %d\n", (unsigned long long)g->serial, why);
	assert_int_equal(g->state, CLIENT_WAITS);
	assert_true(why > REFUSAL_NONE && why < N_REFUSALS);
	assert_int_equal(a->refusal, why);
	assert_int_not_equal(why, REFUSAL_QUEUE_FULL);
	g->state = CLIENT_AWAY;
	check_refusal(g);
	if (g->asks_again) {
		g->asks_again = false;
		ask(g);
	}
}

static void
input(struct lease *l)
{
	struct guest *g = l->holder;

	assert_int_equal(g->state, CLIENT_HOLDS);
	assert_ptr_equal(g->lease, l);
	/* Some read it, some leave it. */
	if (chance(50))
		buf_clear(&l->u->conn.w->blocks, &l->u->conn.in);
	if (l->u->conn.eof && chance(50))
		let_go(g, MARK_BROKEN);
}

static void
drained(struct lease *l)
{
	assert_int_equal(((struct guest *)l->holder)->state, CLIENT_HOLDS);
}

static void
gone(struct lease *l, int error)
{
	struct guest *g = l->holder;

	(void)error;
	assert_int_equal(g->state, CLIENT_HOLDS);
	g->lost = true;
	if (chance(50))
		let_go(g, MARK_BROKEN);
}

static const struct lease_ops guest_ops = {
	.granted = granted,
	.refused = refused,
	.input = input,
	.drained = drained,
	.gone = gone
};

static void
ask(struct guest *g)
{
	g->serial = ++serial;
	TRACE("  ask %llu\n", (unsigned long long)g->serial);
	switch (lease_ask(&g->ask)) {
	case ASK_GRANTED:
		holds(g);
		return;
	case ASK_WAITS:
		g->state = CLIENT_WAITS;
		return;
	case ASK_REFUSED:
		check_refusal(g);
		return;
	}
}

static void
let_go(struct guest *g, enum mark mark)
{
	TRACE("  return %llu as %d\n", (unsigned long long)g->serial, mark);
	g->state = CLIENT_AWAY;
	upconn_mark(g->lease->u, g->lost ? MARK_BROKEN : mark, "test");
	lease_return(&g->lease);
	assert_null(g->lease);
}

static struct guest *
any_guest(enum client_state state)
{
	unsigned first = up_to(GUESTS - 1);

	for (unsigned i = 0; i < GUESTS; i++)
		if (guests[(first + i) % GUESTS].state == state)
			return &guests[(first + i) % GUESTS];
	return NULL;
}

/* ------------------------------------------------------------- the protocol */

/* A connection is greeted and washed at once, or when a step says so, or not in
   time. */
static bool
polite_begin(struct upconn *u)
{
	unsigned n = up_to(9);

	if (n == 3)
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
	return n < 3;
}

static void
wash_begin(struct upconn *u)
{
	if (polite_begin(u))
		upconn_ready(u);
}

static struct upconn *
any_upconn(bool opening)
{
	unsigned worker = up_to(s.turns.n - 1), n = 0;
	struct upconn *found = NULL, *u;

	for (; (u = scene_upconn(&s, worker, n)) != NULL; n++) {
		bool fits = u->state == UPCONN_GREETING ||
		    u->state == UPCONN_WASHING;

		if (fits == opening && chance(50))
			found = u;
	}
	return found;
}

/* -------------------------------------------------------------------- trace */

static const char *
name_of(const struct endpoint *e)
{
	unsigned i;

	for (i = 0; i < ENDS; i++)
		if (s.endpoints[i] == e)
			return e->name;
	return "?";
}

static void
trace_pool(struct pool *p)
{
	const struct list *l;

	TRACE("  pool %u, open %u of %u:", p->worker->index,
	    atomic_load(&p->upstream->open), atomic_load(&p->upstream->most));
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		const struct upconn *u =
		    container_of(l, const struct upconn, all);

		TRACE(" %llu %s@%s%s", (unsigned long long)u->id,
		    upconn_state_names[u->state],
		    u->shelf->site->endpoint->name, u->uses > 0 ? "+" : "");
	}
	TRACE("; asks:");
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		const struct guest *g =
		    container_of(l, const struct guest, ask.link);

		TRACE(" %llu%s%s%s%s", (unsigned long long)g->serial,
		    (const char *)g->ask.key,
		    g->ask.opening != NULL ? "..." : "",
		    g->ask.fresh ? " fresh" : "",
		    g->ask.avoid != NULL ? " not " : "");
		if (g->ask.avoid != NULL)
			TRACE("%s", g->ask.avoid->name);
		if (g->ask.bound != NULL)
			TRACE(" to %s", name_of(g->ask.bound));
	}
	TRACE("\n");
}

static void
trace_pools(void)
{
	unsigned i;

	for (i = 0; tracing && i < s.turns.n; i++)
		trace_pool(scene_pool(&s, i));
}

/* -------------------------------------------------------------------- steps */

static void
step_ask(void)
{
	struct guest *g = any_guest(CLIENT_AWAY);

	if (g == NULL)
		return;
	g->ask.pool = scene_pool(&s, up_to(s.turns.n - 1));
	g->ask.ops = &guest_ops;
	g->ask.holder = g;
	g->ask.key = keys[n_keys == 1 ? 0 : 1 + up_to(n_keys - 2)];
	g->ask.key_len = strlen(g->ask.key);
	g->ask.fresh = chance(10);
	g->ask.avoid = chance(10) ? s.endpoints[up_to(ENDS - 1)] : NULL;
	g->ask.hash = up_to(9);
	g->returns_at_once = chance(10);
	g->asks_again = chance(10);
	ask(g);
}

static void
step_cancel(void)
{
	struct guest *g = any_guest(CLIENT_WAITS);

	if (g == NULL)
		return;
	TRACE("  cancel %llu\n", (unsigned long long)g->serial);
	g->state = CLIENT_AWAY;
	ask_cancel(&g->ask);
}

static void
step_return(void)
{
	struct guest *g = any_guest(CLIENT_HOLDS);

	if (g == NULL)
		return;
	if (chance(5))
		conn_pause(&g->lease->u->conn);
	let_go(g, chance(70) ? MARK_CLEAN : chance(50) ? MARK_DIRTY :
	    MARK_BROKEN);
}

static void
step_answer(void)
{
	struct upconn *u = any_upconn(true);

	if (u == NULL || !polite)
		return;
	if (chance(80))
		upconn_ready(u);
	else
		upconn_broken(u, FAULT_BAD_ANSWER, 0);
}

static void
step_far_end(void)
{
	struct upconn *u = any_upconn(false);
	int fd = u != NULL ? scene_far_fd(&s, u) : -1;
	unsigned n = up_to(3);

	if (fd < 0)
		return;
	TRACE("  far end %u of %s %llu\n", n, upconn_state_names[u->state],
	    (unsigned long long)u->id);
	if (n == 0)
		far_end_hang_up(scene_far_end(&s, u), fd);
	else if (n == 1)
		far_end_reset(scene_far_end(&s, u), fd);
	else if (n == 2)
		far_end_shut(fd);
	else
		(void)send(fd, "unasked", 7, MSG_NOSIGNAL);
}

static void
step_reachable(void)
{
	struct far_end *f = &s.ends[up_to(ENDS - 1)];

	if (chance(70))
		far_end_welcome(f);
	else
		far_end_refuse(f);
	connects_are_slow = chance(50);
}

static void
step_time(void)
{
	turns_pass(&s.turns, chance(90) ? up_to(20) : up_to(600));
}

/* A reload comes to the workers one by one. */
static void
step_reload(void)
{
	bool identity_changed = chance(30);

	s.conf.pool.max = 1 + up_to(11);
	s.conf.pool.max_idle = chance(50) ? 1000 :
	    s.conf.pool.min_idle + up_to(4);
	atomic_store(&s.upstream->most, (unsigned)s.conf.pool.max);
	for (unsigned i = 0; i < s.turns.n; i++) {
		next_conf[i].due = true;
		next_conf[i].identity_changed |= identity_changed;
	}
}

static struct roster *
roster_of(unsigned bits)
{
	struct roster *r = roster_new((size_t)__builtin_popcount(bits));
	unsigned i, n = 0;

	assert_non_null(r);
	for (i = 0; i < ENDS; i++)
		if (bits & (1u << i))
			r->v[n++] = endpoint_keep(s.endpoints[i]);
	return r;
}

static void
step_roster(void)
{
	unsigned bits = chance(5) ? 0 : 1 + up_to((1u << ENDS) - 2), i;

	TRACE("  endpoints %u\n", bits);
	for (i = 0; i < ENDS; i++) {
		atomic_store(&s.endpoints[i]->weight, 1 + up_to(3));
		atomic_store(&s.endpoints[i]->most, capped && chance(30) ?
		    1 + up_to(3) : UINT_MAX);
	}
	roster_drop(roster);
	roster = roster_of(bits);
	for (i = 0; i < s.turns.n; i++) {
		roster_drop(next_roster[i]);
		next_roster[i] = roster_keep(roster);
	}
}

/* A bar comes or goes, or a pause; then the pools are told to look again. */
static void
step_bar(void)
{
	struct endpoint *e = s.endpoints[up_to(ENDS - 1)];
	enum endpoint_bar bar = 1u << up_to(3);
	unsigned i;

	TRACE("  bar %u of %s\n", bar, e->name);
	(void)endpoint_bar(e, bar, chance(50), s.turns.now_ns);
	if (chance(60))
		for (i = 0; i < 4; i++)
			(void)endpoint_bar(e, 1u << i, false, s.turns.now_ns);
	if (chance(20))
		atomic_store(&e->backup, !atomic_load(&e->backup));
	atomic_store(&s.upstream->paused, chance(15));
	/* Also where nothing has changed. */
	for (i = 0; i < s.turns.n; i++)
		if (next_roster[i] == NULL)
			next_roster[i] = roster_keep(roster);
}

/* Somebody's answer asked for a pause. */
static void
step_hold(void)
{
	struct endpoint *e = s.endpoints[up_to(ENDS - 1)];
	int64_t until = s.turns.now_ns + up_to(300) * NS_PER_MS;

	TRACE("  hold %s\n", e->name);
	atomic_store(&e->hold_until_ns, until);
}

static void
arrive(unsigned i)
{
	if (next_roster[i] != NULL) {
		TRACE("  roster arrives at %u\n", i);
		pool_set_roster(scene_pool(&s, i), next_roster[i]);
		next_roster[i] = NULL;
	}
	if (next_conf[i].due) {
		TRACE("  conf arrives at %u\n", i);
		pool_revive(scene_pool(&s, i));
		pool_configure(scene_pool(&s, i), &s.conf,
		    next_conf[i].identity_changed, NULL);
		next_conf[i].due = next_conf[i].identity_changed = false;
	}
}

static void
step_retire(void)
{
	for (unsigned i = 0; i < s.turns.n; i++) {
		if (!scene_pool(&s, i)->retired)
			pool_retire(scene_pool(&s, i));
		next_conf[i].due = true;
	}
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned weight;
} steps[] = {
	{ "ask", step_ask, 33 },
	{ "cancel", step_cancel, 5 },
	{ "return", step_return, 26 },
	{ "answer", step_answer, 8 },
	{ "far end", step_far_end, 7 },
	{ "reachable", step_reachable, 2 },
	{ "time", step_time, 10 },
	{ "reload", step_reload, 2 },
	{ "roster", step_roster, 2 },
	{ "bar", step_bar, 3 },
	{ "hold", step_hold, 1 },
	{ "retire", step_retire, 1 }
};

static void
step(void)
{
	unsigned n = up_to(99), i = 0;

	while (n >= steps[i].weight)
		n -= steps[i++].weight;
	TRACE("%s\n", steps[i].name);
	steps[i].run();
	trace_pools();
}

/* ------------------------------------------------------------------- checks */

static void
check_caps(void)
{
	unsigned open = atomic_load(&s.upstream->open);
	unsigned most = atomic_load(&s.upstream->most);

	/* Lowered under what is open, it only falls. */
	if (open > most && open > open_before)
		fail_msg("%u open, %u before, %u allowed", open, open_before,
		    most);
	open_before = open;
}

static void
check_guests(void)
{
	unsigned waiting = 0, held = 0, i;
	int64_t longest = s.conf.pool.queue_timeout_ms * NS_PER_MS;

	for (i = 0; i < GUESTS; i++) {
		const struct guest *g = &guests[i];

		waiting += g->state == CLIENT_WAITS;
		held += g->state == CLIENT_HOLDS;
		if (g->state == CLIENT_WAITS && g->ask.opening == NULL)
			assert_true(s.turns.now_ns - g->ask.since_ns <=
			    longest);
	}
	for (i = 0; i < s.turns.n; i++) {
		waiting -= atomic_load(&scene_pool(&s, i)->waiting);
		held -= atomic_load(&scene_pool(&s, i)->leased);
	}
	assert_int_equal(waiting, 0);
	assert_int_equal(held, 0);
}

static bool
all_have_heard(void)
{
	unsigned i;

	for (i = 0; i < s.turns.n; i++)
		if (next_roster[i] != NULL || next_conf[i].due)
			return false;
	return true;
}

static void
check_at_rest(void)
{
	turns_run(&s.turns);
	TRACE("at rest\n");
	trace_pools();
	books_check(s.upstream, true);
	check_guests();
	/* Places may have been added that a pool does not know of yet. */
	if (all_have_heard())
		books_check_nobody_forgotten(s.upstream);
}

/* --------------------------------------------------------------------- runs */

static void
run_begin(unsigned workers, uint64_t seed)
{
	dice = seed;
	serial = 0;
	memset(guests, 0, sizeof(guests));
	scene_begin(&s, workers, ENDS);
	s.conf.pool.max = 1 + up_to(7);
	s.conf.pool.min_idle = chance(50) ? 0 : up_to(3);
	s.conf.pool.max_waiting = chance(50) ? 1000 : up_to(10);
	s.conf.pool.queue_timeout_ms = 200;
	s.conf.pool.span = chance(70) ? CONF_SPAN_REQUEST : CONF_SPAN_SESSION;
	s.conf.pool.idle_timeout_ms = chance(50) ? CONF_OFF : 100;
	s.conf.pool.max_lifetime_ms = chance(50) ? CONF_OFF : 300;
	s.conf.pool.max_requests = chance(50) ? 0 : 1 + up_to(9);
	s.conf.pool.tcp_keepalive_ms = chance(50) ? CONF_OFF : 1000;
	s.conf.timeouts.connect_ms = chance(50) ? 100 : 400;
	s.conf.balance = CONF_ROUND_ROBIN + up_to(3);
	s.conf.when_all_down = chance(30) ? CONF_ALL_DOWN_TRY :
	    CONF_ALL_DOWN_FAIL;
	s.conf.slow_start_ms = chance(50) ? CONF_OFF : 1 + up_to(500);
	n_keys = chance(50) ? 1 : NELEMS(keys);
	capped = chance(50);
	polite = chance(50);
	if (polite)
		s.peer = (struct peer_ops){ .greet = polite_begin,
			.wash = wash_begin };
	scene_start(&s);
	roster = roster_of((1u << ENDS) - 1);
	open_before = atomic_load(&s.upstream->open);
}

static void
run_end(void)
{
	unsigned i;

	for (i = 0; i < GUESTS; i++) {
		guests[i].asks_again = false;
		if (guests[i].state == CLIENT_WAITS)
			ask_cancel(&guests[i].ask);
		guests[i].state = guests[i].state == CLIENT_WAITS ?
		    CLIENT_AWAY : guests[i].state;
		if (guests[i].state == CLIENT_HOLDS)
			let_go(&guests[i], MARK_CLEAN);
	}
	atomic_store(&s.upstream->paused, false);
	for (i = 0; i < s.turns.n; i++) {
		arrive(i);
		pool_revive(scene_pool(&s, i));
	}
	roster_drop(roster);
	scene_end(&s);
}

static void
run(unsigned workers, uint64_t seed)
{
	unsigned i;

	run_begin(workers, seed);
	for (i = 0; i < STEPS; i++) {
		step();
		books_check(s.upstream, false);
		check_caps();
		if (chance(20))
			turns_step(&s.turns, up_to(workers - 1));
		if (chance(30))
			arrive(up_to(workers - 1));
		books_check(s.upstream, false);
		if (chance(60))
			check_at_rest();
		check_caps();
		if (i % 50 == 0)
			for (unsigned e = 0; e < ENDS; e++)
				far_end_tidy(&s.ends[e]);
	}
	run_end();
}

static const struct dice_seed once_failed[] = {
	{ 2, 891457 },          /* idle beside who waits: he came first now */
	{ 3, 880718 }           /* a roster came to the worker with idle ones */
};

static void
runs(unsigned workers)
{
	uint64_t first = dice_number("MODEL_SEED", 20240 + workers * 1000);
	uint64_t n = dice_number("MODEL_RUNS", RUNS), i;

	tracing = getenv("MODEL_TRACE") != NULL;
	dice_again(once_failed, NELEMS(once_failed), workers, run);
	grants = refusals = 0;
	for (i = 0; i < n; i++) {
		print_message("%u workers, MODEL_SEED=%llu\n", workers,
		    (unsigned long long)(first + i));
		run(workers, first + i);
	}
	print_message("%llu steps, %u grants, %u refusals\n",
	    (unsigned long long)n * STEPS, grants, refusals);
	/* It was about something. */
	assert_true(n < RUNS || (grants > n * STEPS / 10 && refusals > 0));
}

static void
books_of_one_worker_balance_whatever_happens(void **state)
{
	(void)state;
	runs(1);
}

static void
books_of_two_workers_balance_whatever_happens(void **state)
{
	(void)state;
	runs(2);
}

static void
books_of_three_workers_balance_whatever_happens(void **state)
{
	(void)state;
	runs(3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(books_of_one_worker_balance_whatever_happens),
		cmocka_unit_test(books_of_two_workers_balance_whatever_happens),
		cmocka_unit_test(
		    books_of_three_workers_balance_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
