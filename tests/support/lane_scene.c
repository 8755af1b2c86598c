/*
 * A scene for tests of proxy/. See lane_scene.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/lane_scene.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/generation.h"
#include "proxy/lane.h"
#include "tests/support/books.h"
#include "tests/support/turns.h"

/* Any moment does; not 0, which some may take for "never". */
#define BEGINNING_NS (1000 * NS_PER_S)

/* ------------------------------------------------------------------- time */

static struct worker *
worker_at(struct lane_scene *s, unsigned i)
{
	return i == 0 ? &s->lane->worker : &s->rt.main;
}

static void
set_now(struct lane_scene *s, int64_t now_ns)
{
	s->now_ns = now_ns;
	s->lane->worker.now_ns = s->rt.main.now_ns = now_ns;
}

static void
turn_started(struct ev_loop *loop, struct ev_check *watcher, int revents)
{
	struct lane_scene *s = watcher->data;

	(void)revents;
	set_now(s, s->now_ns);
	/* What is still to be invoked is what has happened. */
	s->events += ev_pending_count(loop);
}

static void
take_clocks(struct lane_scene *s)
{
	unsigned i;

	set_now(s, BEGINNING_NS);
	for (i = 0; i < 2; i++) {
		ev_check_init(&s->clocks[i], turn_started);
		ev_set_priority(&s->clocks[i], WORKER_PRI_CLOCK - 1);
		s->clocks[i].data = s;
		ev_check_start(worker_at(s, i)->loop, &s->clocks[i]);
	}
}

static void
run(struct lane_scene *s)
{
	unsigned quiet = 0, i;

	while (quiet < 2) {
		uint64_t before = s->events;

		for (i = 0; i < 2; i++)
			ev_run(worker_at(s, i)->loop, EVRUN_NOWAIT);
		quiet = s->events == before ? quiet + 1 : 0;
	}
}

void
lane_scene_run(struct lane_scene *s)
{
	run(s);
	books_check(s->upstream, true);
	books_check_nobody_forgotten(s->upstream);
}

/* The loop's timer belongs to real time: due now, and polled like the rest. */
static void
ring(struct worker *w)
{
	ev_timer_stop(w->loop, &w->timer);
	ev_timer_set(&w->timer, 0., 0.);
	ev_timer_start(w->loop, &w->timer);
	ev_run(w->loop, EVRUN_NOWAIT);
}

void
lane_scene_pass(struct lane_scene *s, int64_t ms)
{
	int64_t until_ns = s->now_ns + ms * NS_PER_MS;
	struct worker *w = &s->lane->worker;

	run(s);
	while (w->timer_at_ns <= until_ns) {
		if (w->timer_at_ns > s->now_ns)
			set_now(s, w->timer_at_ns);
		ring(w);
		run(s);
	}
	set_now(s, until_ns);
	lane_scene_run(s);
}

/* --------------------------------------------------------------- snapshots */

static struct conf *
conf_of(struct lane_scene *s, const char *protocol, const char *listener_keys,
    const char *upstream_keys)
{
	struct conf_errors errors = { 0 };
	struct conf_input in = { .path = "scene.conf", .protos =
	    s->own[0] != NULL ? s->own : proto_table };
	struct sockaddr_in far;
	struct conf *c;
	char *text;

	memcpy(&far, &s->far.addr.ss, sizeof(far));
	assert_true(asprintf(&text, "listeners = ( { name = \"web\"; "
	    "bind = \"127.0.0.1:8080\"; protocol = \"%s\"; "
	    "upstream = \"app\"; %s } );\nupstreams = ( { name = \"app\"; "
	    "endpoints = ( \"127.0.0.1:%u\" ); %s } );\n", protocol,
	    listener_keys, ntohs(far.sin_port), upstream_keys) > 0);
	in.text = text;
	c = conf_load(&in, &errors);
	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	conf_errors_fini(&errors);
	free(text);
	return c;
}

void
lane_scene_load(struct lane_scene *s, const char *listener_keys,
    const char *upstream_keys)
{
	struct conf *c = conf_of(s, s->listener->proto->conf.name,
	    listener_keys, upstream_keys);
	struct generation *g = generation_new(&s->rt, c);
	struct order *o;

	assert_non_null(g);
	g->number = s->rt.gen != NULL ? s->rt.gen->number + 1 : 1;
	g->upstreams[0] = s->upstream;
	list_append(&s->rt.generations, &g->link);
	atomic_store(&s->upstream->most, (unsigned)c->upstreams[0].pool.max);
	atomic_store(&s->upstream->pins_most,
	    (unsigned)c->upstreams[0].pool.max - 1);
	o = order_new(g, 1, 0, 1);
	assert_non_null(o);
	o->n_doors = o->n_pools = 1;
	o->doors[0] = (struct door_order){ s->door, &c->listeners[0], false };
	o->pools[0] = (struct pool_order){ .pool = s->pool,
	    .conf = &c->upstreams[0],
	    .roster = s->rt.gen == NULL ? roster_keep(s->roster) : NULL };
	s->rt.gen = g;
	worker_post(&s->lane->worker, &o->mail);
}

unsigned
lane_scene_generations(struct lane_scene *s)
{
	const struct list *l;
	unsigned n = 0;

	for (l = s->rt.generations.next; l != &s->rt.generations; l = l->next)
		n++;
	return n;
}

/* -------------------------------------------------------------- beginning */

static const struct proto *
proto_named(const char *name)
{
	const struct conf_proto *const *c;

	for (c = proto_table; *c != NULL; c++)
		if (strcmp((*c)->name, name) == 0)
			return proto_of(*c);
	fail_msg("no protocol %s", name);
	return NULL;
}

static void
make_upstream(struct lane_scene *s, const struct proto *proto)
{
	struct worker *w = &s->lane->worker;
	char name[ADDR_TEXT_MAX];

	addr_print(&s->far.addr, name);
	s->upstream = upstream_new("app", proto->peer, &w, 1);
	assert_non_null(s->upstream);
	s->pool = s->upstream->pools[0];
	s->roster = roster_new(1);
	assert_non_null(s->roster);
	s->roster->v[0] = endpoint_new(name, name, &s->far.addr, 1, UINT_MAX);
	assert_non_null(s->roster->v[0]);
	atomic_store(&s->roster->v[0]->current, true);
	/* So that the lane finds its pools when it ends. */
	s->live.upstream = s->upstream;
	list_append(&s->rt.upstreams, &s->live.link);
}

static void
begin(struct lane_scene *s, const struct proto *proto,
    const char *listener_keys, const char *upstream_keys)
{
	signal(SIGPIPE, SIG_IGN);       /* as the program has it */
	connects_are_slow = false;
	s->descriptors = open_descriptors();
	assert_int_equal(worker_init(&s->rt.main, 0, &s->rt), 0);
	list_init(&s->rt.generations);
	list_init(&s->rt.upstreams);
	list_init(&s->rt.listeners);
	s->rt.client_fds = INT_MAX;
	s->lane = lane_new(&s->rt, 0);
	assert_non_null(s->lane);
	s->rt.lanes = &s->lane;
	s->rt.n_lanes = 1;
	take_clocks(s);
	far_end_open(&s->far);
	make_upstream(s, proto);
	s->listener = listener_new("web", proto, &s->lane, 1);
	assert_non_null(s->listener);
	s->door = s->listener->doors[0];
	lane_scene_load(s, listener_keys, upstream_keys);
	lane_scene_run(s);
}

void
lane_scene_begin(struct lane_scene *s, const char *protocol,
    const char *listener_keys, const char *upstream_keys)
{
	memset(s, 0, sizeof(*s));
	begin(s, proto_named(protocol), listener_keys, upstream_keys);
}

void
lane_scene_begin_as(struct lane_scene *s, const struct proto *own,
    const char *listener_keys, const char *upstream_keys)
{
	memset(s, 0, sizeof(*s));
	s->own[0] = &own->conf;
	begin(s, own, listener_keys, upstream_keys);
}

void
lane_scene_end(struct lane_scene *s)
{
	struct list *l;

	lane_post_end(s->lane);
	run(s);
	assert_true(list_empty(&s->door->sessions));
	assert_int_equal(count_read(&s->door->active), 0);
	assert_int_equal(atomic_load(&s->listener->active), 0);
	assert_int_equal(atomic_load(&s->upstream->open), 0);
	assert_int_equal(s->rt.gen->users[0], 0);
	assert_int_equal(lane_scene_generations(s), 1);
	upstream_free(s->upstream);
	roster_drop(s->roster);
	listener_free(s->listener);
	while ((l = list_first(&s->rt.generations)) != NULL)
		generation_free(container_of(l, struct generation, link));
	lane_free(s->lane);
	worker_fini(&s->rt.main);
	far_end_close(&s->far);
	assert_int_equal(open_descriptors(), s->descriptors);
}

/* ----------------------------------------------------------------- clients */

static void
address_of(const char *ip, struct addr *a)
{
	struct addr_text parsed;
	const char *why;
	char text[64];

	if (strcmp(ip, "unix") == 0) {
		memset(a, 0, sizeof(*a));
		a->sa.sa_family = AF_UNIX;
		a->len = sizeof(sa_family_t);
		return;
	}
	snprintf(text, sizeof(text), strchr(ip, ':') != NULL ? "[%s]:4711" :
	    "%s:4711", ip);
	assert_int_equal(addr_text_parse(text, false, &parsed, &why), 0);
	assert_int_equal(addr_from_text(&parsed, a), 0);
	addr_text_fini(&parsed);
}

int
lane_scene_client(struct lane_scene *s, const char *ip)
{
	struct addr_ip client;
	struct addr peer;
	int fds[2];

	address_of(ip, &peer);
	addr_to_ip(&peer, &client);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fds), 0);
	atomic_fetch_add(&s->listener->active, 1);
	session_new(s->door, fds[0], &client, false);
	lane_scene_run(s);
	return fds[1];
}

struct session *
lane_scene_session(struct lane_scene *s)
{
	if (list_empty(&s->door->sessions))
		return NULL;
	return container_of(s->door->sessions.prev, struct session, link);
}

void
lane_scene_say(struct lane_scene *s, int fd, const char *text)
{
	far_end_say(fd, text, strlen(text));
	lane_scene_run(s);
}

const char *
lane_scene_hear(int fd)
{
	static char heard[256 * 1024];
	size_t len = 0;
	int n = 0;

	while (len < sizeof(heard) - 1 && (n = far_end_hear(fd, heard + len,
	    sizeof(heard) - 1 - len)) > 0)
		len += (size_t)n;
	if (len == 0 && n < 0)
		return NULL;
	heard[len] = '\0';
	return heard;
}

int
lane_scene_far(struct lane_scene *s, unsigned n)
{
	int one = 1;

	far_end_accept(&s->far);
	assert_true(n < s->far.n);
	/* What is said is there at once, also while nothing was answered. */
	assert_int_equal(setsockopt(s->far.fds[n], IPPROTO_TCP, TCP_NODELAY,
	    &one, sizeof(one)), 0);
	return s->far.fds[n];
}
