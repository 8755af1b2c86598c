/*
 * A scene for tests of proxy/: one lane with a listener "web" and an upstream
 * "app", run by the calling thread under the test's clock. Clients come in
 * through socket pairs, with the address that the test gives them; the upstream
 * is a scripted far end on loopback.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_LANE_SCENE_H
#define TESTS_SUPPORT_LANE_SCENE_H

#include "proxy/live.h"
#include "proxy/session.h"
#include "tests/support/far_end.h"

struct lane_scene {
	struct runtime rt;
	struct lane *lane;
	struct far_end far;
	struct listener *listener;
	struct door *door;              /* the listener's, on the lane */
	struct upstream *upstream;
	struct pool *pool;
	struct live_upstream live;
	struct roster *roster;
	struct ev_check clocks[2];
	int64_t now_ns;
	uint64_t events;
	unsigned descriptors;           /* before it began */
	const struct conf_proto *own[2];        /* of the test's own; NULL */
};

/*
 * protocol as in a file; then keys of the listener and of the upstream, of
 * which nothing but name, bind, protocol, upstream and endpoints is set.
 */
void lane_scene_begin(struct lane_scene *s, const char *protocol,
    const char *listener_keys, const char *upstream_keys);
/* The same with a protocol of the test's own; its family is another one's, and
   its states are no larger. */
void lane_scene_begin_as(struct lane_scene *s, const struct proto *own,
    const char *listener_keys, const char *upstream_keys);
/* Ends what still runs: everything must go, and every descriptor. */
void lane_scene_end(struct lane_scene *s);

/* A reload: the lane has a new snapshot in its next turn. */
void lane_scene_load(struct lane_scene *s, const char *listener_keys,
    const char *upstream_keys);
/* Snapshots that still live. */
unsigned lane_scene_generations(struct lane_scene *s);

/* Turns until nothing more comes of them; then the pool's books must agree. */
void lane_scene_run(struct lane_scene *s);
/* Time passes, deadline by deadline. */
void lane_scene_pass(struct lane_scene *s, int64_t ms);

/* A client of that address ("10.0.0.9", "::1" or "unix"); its end of the
   connection, not blocking, which the test closes. */
int lane_scene_client(struct lane_scene *s, const char *ip);
/* The session that came last; NULL when there is none. */
struct session *lane_scene_session(struct lane_scene *s);

/* Say it and run. */
void lane_scene_say(struct lane_scene *s, int fd, const char *text);
/* All that has come there, as text; "" = nothing, NULL = the end, or a RST. */
const char *lane_scene_hear(int fd);
/* The upstream's end of its n-th connection, by order of accepting. */
int lane_scene_far(struct lane_scene *s, unsigned n);

#endif
