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
#include "tests/support/crowd.h"

enum { RAW_CLIENTS = 1, RAW_SERVER = 2, NAMED_CLIENTS = 4 };
enum { INPUT_MAX = 8 * 1024 };

/* Upper two bits; the others are a number. */
enum what { FIRST_SAYS = 0x00, SECOND_SAYS = 0x40, SERVER_SAYS = 0x80,
	HAPPENS = 0xc0 };

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

static struct crowd crowd;
static uint8_t flags;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Turns until nothing more comes; new connections are logged in. */
static void
settle(void)
{
	struct far_end *far = &crowd.scene.far;
	unsigned known, i;

	do {
		known = far->accepted;
		lane_scene_run(&crowd.scene);
		far_end_accept(far);
		for (i = known; i < far->accepted; i++)
			if ((flags & RAW_SERVER) == 0)
				crowd_say(far->fds[far->n - far->accepted + i],
				    greeting, sizeof(greeting) - 1);
		crowd_hear(&crowd);
	} while (known != far->accepted);
}

static void
join(unsigned i)
{
	crowd_come(&crowd, i);
	if ((flags & NAMED_CLIENTS) != 0)
		crowd_say(crowd.clients[i], named, sizeof(named));
	else if ((flags & RAW_CLIENTS) == 0)
		crowd_say(crowd.clients[i], startup, sizeof(startup) - 1);
	settle();
}

static void
happen(unsigned number)
{
	enum crowd_event event = (enum crowd_event)(number % N_CROWD_EVENTS);
	unsigned who = number / N_CROWD_EVENTS % CROWD_CLIENTS;

	if (event != CROWD_CLOSES && event != CROWD_RESETS) {
		crowd_happen(&crowd, event, who);
		return;
	}
	crowd_leave(&crowd, who, event == CROWD_RESETS);
	settle();
	if (crowd.lives < CROWD_LIVES_MOST)
		join(who);
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
		crowd_say(what == SERVER_SAYS ? crowd_far(&crowd) :
		    crowd.clients[what == SECOND_SAYS], data + at, n);
		at += n;
		settle();
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	lane_scene_begin(&crowd.scene, "postgres", "postgres = { auth = \"trust\"; "
	    "prepared = 2; };", "pool = { max = 2; queue_timeout = \"5s\"; };"
	    "timeouts = { query = \"10s\"; transaction_idle = \"20s\"; };");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct far_end *far = &crowd.scene.far;
	unsigned i;

	if (len < 2 || len > INPUT_MAX)
		return 0;
	flags = data[0];
	crowd.lives = crowd.server = 0;
	for (i = 0; i < CROWD_CLIENTS; i++)
		join(i);
	play(data + 1, len - 1);
	for (i = 0; i < CROWD_CLIENTS; i++)
		crowd_leave(&crowd, i, false);
	settle();
	while (far->n > 0)
		far_end_reset(far, far->fds[0]);
	flags |= RAW_SERVER;
	settle();
	/* What still connects is refused, and what waits gives up. */
	while (far->n > 0)
		far_end_reset(far, far->fds[0]);
	lane_scene_pass(&crowd.scene, 120000);
	while (far->n > 0)
		far_end_reset(far, far->fds[0]);
	lane_scene_run(&crowd.scene);
	crowd_has_gone(&crowd);
	return 0;
}
