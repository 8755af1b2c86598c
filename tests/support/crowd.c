/*
 * Crowds. See crowd.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void
crowd_come(struct crowd *c, unsigned i)
{
	c->clients[i] = lane_scene_client(&c->scene, i == 0 ? "10.0.0.1" :
	    "10.0.0.2");
	c->lives++;
}

void
crowd_leave(struct crowd *c, unsigned i, bool at_once)
{
	if (c->clients[i] < 0)
		return;
	if (at_once)
		(void)shutdown(c->clients[i], SHUT_RDWR);
	close(c->clients[i]);
	c->clients[i] = -1;
}

int
crowd_far(struct crowd *c)
{
	struct far_end *far = &c->scene.far;

	far_end_accept(far);
	return far->n == 0 ? -1 : far->fds[far->n - 1 - c->server % far->n];
}

void
crowd_say(int fd, const void *bytes, size_t len)
{
	if (fd >= 0)
		(void)!send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
hear(int fd)
{
	static char bytes[64 * 1024];

	while (fd >= 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

void
crowd_hear(struct crowd *c)
{
	unsigned i;

	for (i = 0; i < c->scene.far.n; i++)
		hear(c->scene.far.fds[i]);
	for (i = 0; i < CROWD_CLIENTS; i++)
		hear(c->clients[i]);
}

void
crowd_happen(struct crowd *c, enum crowd_event event, unsigned who)
{
	int fd = crowd_far(c);

	switch (event) {
	case CROWD_SHUTS:
		if (c->clients[who] >= 0)
			(void)shutdown(c->clients[who], SHUT_WR);
		break;
	case CROWD_SERVER_CLOSES:
		if (fd >= 0)
			far_end_hang_up(&c->scene.far, fd);
		break;
	case CROWD_SERVER_RESETS:
		if (fd >= 0)
			far_end_reset(&c->scene.far, fd);
		break;
	case CROWD_PASSES:
		lane_scene_pass(&c->scene, 100);
		break;
	case CROWD_PASSES_LONG:
		lane_scene_pass(&c->scene, 30000);
		break;
	case CROWD_NEWER_SERVER:
		c->server++;
		break;
	case CROWD_CLOSES:
	case CROWD_RESETS:
	case N_CROWD_EVENTS:
		break;
	}
}

void
crowd_has_gone(struct crowd *c)
{
	if (lane_scene_session(&c->scene) == NULL)
		return;
	fprintf(stderr, "a session is left\n");
	abort();
}
