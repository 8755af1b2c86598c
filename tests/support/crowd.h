/*
 * Two clients and their server, whom a fuzzer moves: they say anything to each
 * other through a lane of the program, and end at any time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_CROWD_H
#define TESTS_SUPPORT_CROWD_H

#include "tests/support/lane_scene.h"

enum { CROWD_CLIENTS = 2, CROWD_LIVES_MOST = 8 };

struct crowd {
	struct lane_scene scene;
	int clients[CROWD_CLIENTS];     /* -1 = has left */
	unsigned lives;                 /* clients that ever came */
	unsigned server;                /* which of its connections, counted from
					   the newest */
};

/* What else happens, by a number of the input. Who closes or resets is the
   caller's: another may come. */
enum crowd_event { CROWD_CLOSES, CROWD_RESETS, CROWD_SHUTS,
	CROWD_SERVER_CLOSES, CROWD_SERVER_RESETS, CROWD_PASSES,
	CROWD_PASSES_LONG, CROWD_NEWER_SERVER, N_CROWD_EVENTS };

void crowd_come(struct crowd *c, unsigned i);
void crowd_leave(struct crowd *c, unsigned i, bool at_once);
/* The server's end of the connection of which it is; -1 = there is none. */
int crowd_far(struct crowd *c);

/* As much as goes; of fd -1 nothing. */
void crowd_say(int fd, const void *bytes, size_t len);
/* What has come anywhere is read and forgotten. */
void crowd_hear(struct crowd *c);

/* To that client, or the server, or the time. */
void crowd_happen(struct crowd *c, enum crowd_event event, unsigned who);

/* Nobody is there any more: ends the process if a session is. */
void crowd_has_gone(struct crowd *c);

#endif
