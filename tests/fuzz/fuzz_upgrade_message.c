/*
 * proxy/upgrade_message: whatever a process says that one was started by, a
 * packet is read within its bounds; what was made is read as it was. And what it
 * says of a client is taken in or refused, at a listener of each protocol whose
 * clients go over; then the client asks, and leaves, and nothing is left of it.
 * So is what it says of the past, and what is ordered of one that drains.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/log.h"
#include "proxy/admin/trend.h"
#include "proxy/override.h"
#include "proxy/slow.h"
#include "proxy/transfer.h"
#include "proxy/upgrade/upgrade_clients.h"
#include "proxy/upgrade/upgrade_message.h"
#include "proxy/upgrade/upgrade_orders.h"
#include "proxy/upgrade/upgrade_past.h"
#include "proxy/upgrade/upgrade_slow.h"
#include "proxy/why.h"
#include "tests/support/lane_scene.h"
#include "tests/support/live_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct place {
	const char *protocol, *keys, *asks;
	struct lane_scene scene;
};

static struct place places[] = {
	{ .protocol = "redis", .keys = "redis = { auth = \"check\"; "
	    "password = \"p\"; };", .asks = "CLIENT INFO\r\n" },
	{ .protocol = "memcached", .keys = "", .asks = "verbosity\r\n" },
	{ .protocol = "http", .keys = "", .asks = "GET /\r\n\r\n" },
	{ .protocol = "postgres", .keys = "postgres = { auth = \"trust\"; };",
	    .asks = "oops!" }
};

static struct live_scene ordered;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	size_t i;

	(void)argc, (void)argv;
	for (i = 0; i < NELEMS(places); i++)
		lane_scene_begin(&places[i].scene, places[i].protocol,
		    places[i].keys, "");
	live_scene_begin(&ordered);
	/* Each of them is a line. */
	log_set(LOG_LEVEL_ERROR, false);
	return 0;
}

static void
take_in(struct place *p, const struct message *m)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	transfer_take_in(p->scene.door, fds[0], m->j);
	(void)!send(fds[1], p->asks, strlen(p->asks), MSG_NOSIGNAL);
	lane_scene_run(&p->scene);
	close(fds[1]);
	lane_scene_run(&p->scene);
	if (!list_empty(&p->scene.door->sessions))
		abort();
}

/* Points of which there are times already. */
static void
take_chart(const struct message *m)
{
	json_t *times = json_pack("{s:s,s:i,s:[iii]}", "is", "trend",
	    "step_s", HISTORY_STEP_S, "at", 1, 2, 3);
	struct trend *t = trend_new();

	if (t == NULL || times == NULL)
		abort();
	trend_take(t, times, NULL, 0);
	json_decref(times);
	trend_take(t, m->j, m->raw, m->raw_len);
	json_decref(trend_json(t));
	trend_free(t);
}

static void
take_window(const struct message *m)
{
	struct history *h = history_new();
	struct view_hist hist = { .all = { .count = 7 } };

	if (h == NULL)
		abort();
	history_take(h, m->j, m->raw, m->raw_len);
	history_times(h, "latency", "web", &hist);
	history_free(h);
}

/* Where an earlier weir's state lies, everything is within its bounds. */
static void
take_past(const struct message *m)
{
	static struct slow slow;
	struct slow_entry e;
	struct reload_entry reload;
	char said[WHY_TEXT];

	if (slow_unpack(m, 1, &e) == 0) {
		if (e.why >= N_FAILS || e.outcome >= N_OUTCOMES ||
		    e.waited_for >= SLOW_N_WAITS || e.total_ns < 0 ||
		    e.at_ns > 1 || memchr(e.request, 0, SLOW_REQUEST) == NULL)
			abort();
		slow_add(&slow, &e, 1);
		why_say(why_rule(&e), &e, said);
	}
	if (past_unpack_reload(m, &reload) == 0) {
		if (reload.n_texts > RELOADS_TEXTS_MOST)
			abort();
		reload_entry_fini(&reload);
	}
	take_chart(m);
	take_window(m);
}

/* Whatever was ordered is within its bounds, and the next order ends it. */
static void
take_orders(const struct message *m)
{
	struct message none = { .j = json_pack("{s:s,s:{}}", "upstream", "app",
	    "endpoints") };
	const struct live_upstream *lu = ordered.lu;
	const struct override *o;

	orders_obey(&ordered.rt, m);
	for (o = lu->overrides; o != NULL; o = o->next)
		if (o->state > OVERRIDE_DOWN || o->weight > 1000 ||
		    (strcmp(o->endpoint, "b") != 0 &&
		    strcmp(o->endpoint, "127.0.0.1:9") != 0))
			abort();
	if (lu->injection.wish.per_million > INJECT_ALL ||
	    lu->injection.wish.what > INJECT_RESET)
		abort();
	if (none.j == NULL)
		abort();
	orders_obey(&ordered.rt, &none);
	json_decref(none.j);
	if (lu->overrides != NULL || lu->injection.wish.per_million != 0 ||
	    atomic_load(&lu->upstream->paused))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n_fds = size > 0 ? data[0] % (MESSAGE_FDS_MOST + 2) : 0, len;
	struct message m, again;
	struct addr addr;
	void *packet;
	size_t i;

	if (size == 0 || message_parse(data + 1, size - 1, n_fds, &m) !=
	    PARSE_DONE)
		return 0;
	if (m.raw_len > size || m.raw + m.raw_len != data + size)
		abort();
	(void)message_number(&m, "n", -5, 5, 0);
	(void)message_text(&m, "t");
	take_past(&m);
	for (i = 0; strcmp(m.is, "client") == 0 && i < NELEMS(places); i++)
		take_in(&places[i], &m);
	if (strcmp(m.is, "orders") == 0)
		take_orders(&m);
	if (message_bound_addr(&m, &addr) == 0 && (addr.len != m.raw_len ||
	    memcmp(&addr.ss, m.raw, addr.len) != 0))
		abort();
	for (i = 0; strcmp(m.is, "ask") == 0 && i < NELEMS(places); i++) {
		take_question(&places[i].scene.rt, &m);
		lane_scene_run(&places[i].scene);
	}
	packet = message_make(m.j, m.raw, m.raw_len, n_fds, &len);
	if (packet != NULL) {
		if (message_parse(packet, len, n_fds, &again) != PARSE_DONE ||
		    again.raw_len != m.raw_len ||
		    !json_equal(again.j, m.j))
			abort();
		message_fini(&again);
	}
	free(packet);
	message_fini(&m);
	return 0;
}
