/*
 * A scene for tests of pool/: one upstream with scripted far ends, pooled by
 * workers under the test's clock, and clients that ask for its connections.
 *
 * Whatever a client does is followed by a look at the books.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SCENE_H
#define TESTS_SUPPORT_SCENE_H

#include "pool/lease.h"
#include "tests/support/books.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

enum { SCENE_ENDS = 4 };

struct scene {
	struct turns turns;
	struct conf_upstream conf;      /* change it, then scene_reload() */
	struct peer_ops peer;
	struct upstream *upstream;
	struct far_end ends[SCENE_ENDS];
	struct endpoint *endpoints[SCENE_ENDS];
	unsigned n_ends;
	unsigned grants;
	unsigned descriptors;           /* before it began */
};

enum client_state { CLIENT_AWAY, CLIENT_WAITS, CLIENT_HOLDS, CLIENT_REFUSED };

struct client {
	struct scene *scene;
	struct ask ask;                 /* key, avoid, fresh, share, lasts,
					   with may be set */
	struct lease *lease;
	enum client_state state;
	enum refusal refusal;
	unsigned turn;                  /* number of its grant, from 1 */
	unsigned inputs, goners;        /* callbacks while it held a lease */
	void (*then)(struct client *c); /* last thing in granted and refused */
};

/* Sockets, workers and a configuration to be changed at will ... */
void scene_begin(struct scene *s, unsigned workers, unsigned ends);
/* ... until the pools are made and told of it, and of all endpoints. */
void scene_start(struct scene *s);
/* Before that: mode "shared", with a protocol that reads and forgets. */
void scene_share(struct scene *s);
/* Has the connection room for another lease while it has any? true at first. */
void scene_room(struct upconn *u, bool room);
/* Retires the pools: everything must go, and every descriptor. */
void scene_end(struct scene *s);

/* s->conf has changed: pool.max is in force at once, and all pools are told. */
void scene_reload(struct scene *s, bool identity_changed);
/* The endpoints are now those of the bits. */
void scene_set_roster(struct scene *s, unsigned bits);

struct pool *scene_pool(struct scene *s, unsigned worker);

/* Let the loops run dry, or time pass, and check the books. */
void scene_run(struct scene *s);
void scene_pass(struct scene *s, int64_t ms);

/* The far end of a connection. */
struct far_end *scene_far_end(struct scene *s, const struct upconn *u);
int scene_far_fd(struct scene *s, const struct upconn *u);
/* The n-th connection of a worker's pool, oldest first; NULL = has fewer. */
struct upconn *scene_upconn(struct scene *s, unsigned worker, unsigned n);
/* Connections opened so far, and in the state, of all workers. */
uint64_t scene_connects(struct scene *s);
unsigned scene_count(struct scene *s, enum upconn_state state);
uint64_t scene_discards(struct scene *s, enum discard why);

void client_init(struct client *c, struct scene *s, unsigned worker);
void client_ask(struct client *c);
/* Asks, and lets the loops run. */
void client_come(struct client *c, struct scene *s, unsigned worker);
/* Asks to ride with others of its key; or on u and no other. */
void client_share(struct client *c, struct scene *s, const char *key);
void client_follow(struct client *c, struct scene *s, struct upconn *u);
/* Asks to be alone, for a moment; or for as long as it likes. */
void client_part(struct client *c, struct scene *s, bool lasts);
void client_cancel(struct client *c);
/* Gives its lease back as it is, or with a mark. */
void client_return(struct client *c);
void client_return_as(struct client *c, enum mark mark);
/* Of n of them. */
void clients_return(struct client *c, unsigned n);
void clients_are(const struct client *c, unsigned n, enum client_state state);

/* How many leases are on u. */
unsigned scene_riders(const struct upconn *u);

#endif
