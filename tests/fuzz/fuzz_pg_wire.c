/*
 * PostgreSQL's wire in both directions: two clients and their server say
 * anything to each other through a lane of the program, in any order and in any
 * pieces; they end at any time. Nothing but what the sanitizers see, and the
 * pool's books, is judged; and that in the end nothing is left.
 *
 * Input: a byte of flags, then records: a byte of what and how many, and with
 * SAYS that many bytes. Who is not told to be raw logs in first as all do, so
 * that the bytes are about requests and their answers.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/lane_scene.h"

enum { RAW_CLIENTS = 1, RAW_SERVER = 2, NAMED_CLIENTS = 4 };
enum { CLIENTS = 2, INPUT_MAX = 8 * 1024, LIVES_MOST = 8 };

/* Upper two bits; the others are a number. */
enum what { FIRST_SAYS = 0x00, SECOND_SAYS = 0x40, SERVER_SAYS = 0x80,
	HAPPENS = 0xc0 };

/* What happens, by the number. */
enum event { CLOSES, RESETS, SHUTS, SERVER_CLOSES, SERVER_RESETS, PASSES,
	PASSES_LONG, NEWER_SERVER, N_EVENTS };

static const char startup[] =
    "\0\0\0\x22\0\3\0\0user\0alice\0database\0shop\0\0";
static const char named[] = "\0\0\0\x43\0\3\0\0user\0alice\0database\0shop\0"
    "application_name\0me\0TimeZone\0CET\0";
static const char greeting[] = "R\0\0\0\x8\0\0\0\0"
    "S\0\0\0\x16" "application_name\0\0"
    "S\0\0\0\x19" "client_encoding\0UTF8\0"
    "S\0\0\0\x17" "DateStyle\0ISO, MDY\0"
    "S\0\0\0\x19" "server_version\0" "15.18\0"
    "S\0\0\0\x23" "standard_conforming_strings\0on\0"
    "S\0\0\0\x11" "TimeZone\0UTC\0"
    "K\0\0\0\xc\0\0\0\x7secr" "Z\0\0\0\5I";

static struct lane_scene scene;
static int clients[CLIENTS];
static unsigned lives;
static unsigned server;                 /* counted from the newest */
static uint8_t flags;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void
hear(int fd)
{
	static char bytes[64 * 1024];

	while (fd >= 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void
say(int fd, const void *bytes, size_t len)
{
	if (fd >= 0)
		(void)!send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Turns until nothing more comes; new connections are logged in. */
static void
settle(void)
{
	unsigned known, i;

	do {
		known = scene.far.accepted;
		lane_scene_run(&scene);
		far_end_accept(&scene.far);
		for (i = known; i < scene.far.accepted; i++)
			if ((flags & RAW_SERVER) == 0)
				say(scene.far.fds[scene.far.n - 1 -
				    (scene.far.accepted - 1 - i)], greeting,
				    sizeof(greeting) - 1);
		for (i = 0; i < scene.far.n; i++)
			hear(scene.far.fds[i]);
		for (i = 0; i < CLIENTS; i++)
			hear(clients[i]);
	} while (known != scene.far.accepted);
}

static void
join(unsigned i)
{
	clients[i] = lane_scene_client(&scene, i == 0 ? "10.0.0.1" :
	    "10.0.0.2");
	lives++;
	if ((flags & NAMED_CLIENTS) != 0)
		say(clients[i], named, sizeof(named));
	else if ((flags & RAW_CLIENTS) == 0)
		say(clients[i], startup, sizeof(startup) - 1);
	settle();
}

static void
leave(unsigned i, bool at_once)
{
	if (clients[i] < 0)
		return;
	if (at_once)
		(void)shutdown(clients[i], SHUT_RDWR);
	close(clients[i]);
	clients[i] = -1;
}

static int
far_fd(void)
{
	far_end_accept(&scene.far);
	return scene.far.n == 0 ? -1 :
	    scene.far.fds[scene.far.n - 1 - server % scene.far.n];
}

static void
happen(unsigned number)
{
	unsigned who = number / N_EVENTS % CLIENTS;
	int fd = far_fd();

	switch ((enum event)(number % N_EVENTS)) {
	case CLOSES:
	case RESETS:
		leave(who, number % N_EVENTS == RESETS);
		settle();
		if (lives < LIVES_MOST)
			join(who);
		break;
	case SHUTS:
		if (clients[who] >= 0)
			(void)shutdown(clients[who], SHUT_WR);
		break;
	case SERVER_CLOSES:
		if (fd >= 0)
			far_end_hang_up(&scene.far, fd);
		break;
	case SERVER_RESETS:
		if (fd >= 0)
			far_end_reset(&scene.far, fd);
		break;
	case PASSES:
		lane_scene_pass(&scene, 100);
		break;
	case PASSES_LONG:
		lane_scene_pass(&scene, 30000);
		break;
	case NEWER_SERVER:
		server++;
		break;
	case N_EVENTS:
		break;
	}
}

/* One after the other, as the bytes say. */
static void
play(const uint8_t *data, size_t len)
{
	size_t at = 0, n;
	unsigned what;

	while (at < len) {
		what = data[at] & 0xc0;
		n = data[at++] & 0x3f;
		if (what == HAPPENS) {
			happen((unsigned)n);
			settle();
			continue;
		}
		/* So that whole messages fit in. */
		if (n >= 48 && at < len)
			n = (n - 48) << 8 | data[at++];
		if (n > len - at)
			n = len - at;
		say(what == SERVER_SAYS ? far_fd() :
		    clients[what == SECOND_SAYS], data + at, n);
		at += n;
		settle();
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	lane_scene_begin(&scene, "postgres", "postgres = { auth = \"trust\"; "
	    "prepared = 2; };", "pool = { max = 2; queue_timeout = \"5s\"; };"
	    "timeouts = { query = \"10s\"; transaction_idle = \"20s\"; };");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned i;

	if (len < 2 || len > INPUT_MAX)
		return 0;
	flags = data[0];
	lives = server = 0;
	for (i = 0; i < CLIENTS; i++)
		join(i);
	play(data + 1, len - 1);
	for (i = 0; i < CLIENTS; i++)
		leave(i, false);
	settle();
	while (scene.far.n > 0)
		far_end_reset(&scene.far, scene.far.fds[0]);
	flags |= RAW_SERVER;
	settle();
	/* What still connects is refused, and what waits gives up. */
	while (scene.far.n > 0)
		far_end_reset(&scene.far, scene.far.fds[0]);
	lane_scene_pass(&scene, 120000);
	while (scene.far.n > 0)
		far_end_reset(&scene.far, scene.far.fds[0]);
	lane_scene_run(&scene);
	if (lane_scene_session(&scene) != NULL) {
		fprintf(stderr, "a session is left\n");
		abort();
	}
	return 0;
}
