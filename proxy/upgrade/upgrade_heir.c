/*
 * Who replaces a weir that took over and died. See upgrade_heir.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_heir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/upgrade/upgrade_parts.h"

enum {
	SOCKETS_MOST = 65536,
	PAUSE_LEAST_MS = 50, PAUSE_MOST_MS = 10 * 1000,
	SOON_MS = 10 * 1000,            /* who dies later had begun well */
	BAD_MANY = 3,                   /* then the binary is perhaps to blame */
	STAY_MS = 5 * 1000,             /* a binary that is no good mostly shows
					   it by then */
	ROUND_MS = 5
};

/* The one that runs here, even when another lies in its place by now. */
#define OWN_BINARY "/proc/self/exe"

/* -------------------------------------------------------------------- sockets */

static void
sockets_close(struct heir_sockets *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		close(s->v[i].fd);
	free(s->v);
	*s = (struct heir_sockets){ 0 };
}

bool
heir_take_socket(struct upgrade *up, const struct message *m, int *fds)
{
	struct heir_sockets *to = &up->heir.coming;
	struct heir_socket *more;
	struct addr addr;
	size_t i;

	if (message_bound_addr(m, &addr) < 0)
		return false;
	if (up->heir.dismissed || (up->phase != UPGRADE_GOING &&
	    up->phase != UPGRADE_LEAVING))
		return true;
	more = to->n + m->n_fds > SOCKETS_MOST ? NULL :
	    realloc(to->v, (to->n + m->n_fds + 1) * sizeof(*more));
	if (more == NULL)
		return true;
	to->v = more;
	/* What was lost on the way has been logged. */
	for (i = 0; i < m->n_fds; i++) {
		if (fds[i] < 0)
			continue;
		to->v[to->n++] = (struct heir_socket){ .addr = addr,
		    .fd = fds[i], .foreign = json_is_true(
		    json_object_get(m->j, "foreign")) };
		fds[i] = -1;
	}
	return true;
}

static void
sockets_swap(struct heir *h)
{
	sockets_close(&h->held);
	h->held = h->coming;
	h->coming = (struct heir_sockets){ 0 };
}

void
heir_take_sockets(struct upgrade *up)
{
	/* The first time: when it serves. */
	if (up->phase == UPGRADE_LEAVING)
		sockets_swap(&up->heir);
}

void
heir_forget_sockets(struct upgrade *up)
{
	sockets_close(&up->heir.coming);
	if (up->phase == UPGRADE_LEAVING)
		sockets_close(&up->heir.held);
}

void
heir_each_socket(const struct heir *h, void (*f)(void *arg,
    const struct addr *addr, const int *fds, size_t n, bool foreign), void *arg)
{
	size_t i;

	for (i = 0; i < h->held.n; i++)
		f(arg, &h->held.v[i].addr, &h->held.v[i].fd, 1,
		    h->held.v[i].foreign);
}

/* Nobody serves, nor will: they go, and with them their files. */
static void
sockets_abandon(struct heir_sockets *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].addr.sa.sa_family == AF_UNIX && !s->v[i].foreign)
			(void)unlink(s->v[i].addr.un.sun_path);
	sockets_close(s);
}

/* ------------------------------------------------------------------- the end */

static void
end_now(struct upgrade *up)
{
	deadline_clear(&up->again);
	deadline_clear(&up->limit);
	deadline_clear(&up->heir.limit);
	deadline_clear(&up->heir.stay);
	if (up->then != NULL)
		up->then(up->rt);
}

/* There will be nobody to wait for. */
static void
settle(struct upgrade *up)
{
	up->phase = UPGRADE_LEAVING;
	deadline_clear(&up->again);
	upgrade_keep_clients(up);
	if (up->then != NULL && !up->heir.finishing)
		end_now(up);
}

static void
limit_passed(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, heir.limit);

	log_error("upgrade", "no other weir could be had that serves: this one "
	    "ends, and from now on nobody listens");
	end_now(up);
}

bool
heir_is_awaited(const struct upgrade *up)
{
	if (up->phase != UPGRADE_LEAVING)
		return true;
	/* Is it dead? It will be known in a moment. */
	return up->pid > 0 && !channel_is_open(&up->to_new);
}

void
heir_hurry(struct upgrade *up)
{
	if (!deadline_armed(&up->heir.limit))
		deadline_set(&up->rt->main, &up->heir.limit, UPGRADE_LIMIT_MS);
}

static void
stay_passed(struct deadline *d)
{
	end_now(container_of(d, struct upgrade, heir.stay));
}

bool
heir_stays(struct upgrade *up)
{
	struct worker *w = &up->rt->main;
	int64_t left_ns = up->heir.served_ns + STAY_MS * NS_PER_MS - w->now_ns;

	/* It may have ended of its own accord meanwhile, and what is not empty
	   has had its time. */
	if (up->pid == 0 || !channel_is_open(&up->to_new) ||
	    up->heir.dismissed || left_ns <= 0 || up->rt->lanes_busy > 0)
		return false;
	log_info("upgrade", "process %ld, this one, has drained; stays for "
	    "%lld ms in case process %ld dies", (long)getpid(),
	    (long long)(left_ns / NS_PER_MS), (long)up->pid);
	upgrade_say_word(up, "staying");
	deadline_set_ns(w, &up->heir.stay, left_ns);
	return true;
}

/* ------------------------------------------------------------------- another */

/* What lies in the place of this binary, as in every upgrade; after that has come
   to nothing several times, every second time the one that runs here. */
static const char *
choose_program(const struct upgrade *up)
{
	unsigned bad = up->heir.bad;

	return bad >= BAD_MANY && (bad - BAD_MANY) % 2 == 0 ? OWN_BINARY :
	    up->argv[0];
}

static void
start_another(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	const char *program = choose_program(up);
	char why[512];
	int error;

	/* Lanes bring what was for the one that has died. */
	if (up->sparing || up->heir.finishing) {
		deadline_set(&up->rt->main, d, ROUND_MS);
		return;
	}
	error = upgrade_start(up, program);
	if (error == 0)
		return;
	snprintf(why, sizeof(why), "%s cannot be started: %s", program,
	    strerror(error));
	heir_failed(up, why);
}

/* Arms what starts it. Returns the pause. */
static int64_t
try_again(struct upgrade *up)
{
	struct heir *h = &up->heir;
	int64_t pause_ms = h->pause_ms;

	h->pause_ms = pause_ms == 0 ? PAUSE_LEAST_MS :
	    pause_ms * 2 > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause_ms * 2;
	up->phase = UPGRADE_BEREFT;
	up->again.passed = start_another;
	deadline_set_ns(&up->rt->main, &up->again, pause_ms * NS_PER_MS);
	return pause_ms;
}

void
heir_failed(struct upgrade *up, const char *why)
{
	int64_t pause_ms;

	up->heir.bad++;
	if (up->heir.dismissed) {
		settle(up);
		return;
	}
	pause_ms = try_again(up);
	log_error("upgrade", "%s; nobody serves, and another is started in "
	    "%lld ms", why, (long long)pause_ms);
}

static void
note_death(struct upgrade *up, int status)
{
	char how[128], text[256];

	upgrade_tell_end(status, how, sizeof(how));
	snprintf(text, sizeof(text), "process %ld, which took over, %s",
	    (long)up->pid, how);
	free(up->died);
	up->died = strdup(text);
	up->replaced++;
}

void
heir_died(struct upgrade *up, int status)
{
	struct heir *h = &up->heir;
	bool meant = h->dismissed || (WIFEXITED(status) &&
	    WEXITSTATUS(status) == 0);
	int64_t pause_ms;

	counts_free(up->counts);
	up->counts = NULL;
	if (meant) {
		log_info("upgrade", "process %ld, which took over, has ended",
		    (long)up->pid);
		up->pid = 0;
		sockets_close(&h->held);
		settle(up);
		return;
	}
	note_death(up, status);
	up->pid = 0;
	deadline_clear(&h->stay);
	if (up->then != NULL)
		heir_hurry(up);
	h->bereft = true;
	sockets_close(&h->coming);
	if (up->rt->main.now_ns - h->served_ns < SOON_MS * NS_PER_MS)
		h->bad++;
	else {
		h->bad = 0;
		h->pause_ms = 0;
	}
	notify_bereft(up->rt);
	pause_ms = try_again(up);
	log_error("upgrade", "%s; nobody serves, clients wait in the queues of "
	    "%zu socket%s, and another is started in %lld ms",
	    up->died != NULL ? up->died : "who took over has died",
	    h->held.n, h->held.n == 1 ? "" : "s", (long long)pause_ms);
}

void
heir_serves(struct upgrade *up)
{
	struct heir *h = &up->heir;

	deadline_clear(&h->limit);
	sockets_swap(h);
	h->left = true;
	h->bereft = false;
	h->served++;
	h->served_ns = up->rt->main.now_ns;
	up->count++;
}

void
heir_dismiss(struct upgrade *up)
{
	struct heir *h = &up->heir;

	if (!h->left || h->dismissed)
		return;
	h->dismissed = true;
	if (h->bereft) {
		(void)notify_send(&up->rt->notify, "STOPPING=1");
		sockets_abandon(&h->held);
	}
	sockets_close(&h->held);
	sockets_close(&h->coming);
	if (deadline_armed(&h->stay))
		end_now(up);
	else if (up->phase == UPGRADE_BEREFT)
		settle(up);
	else if (up->phase != UPGRADE_LEAVING && up->phase != UPGRADE_FAILING)
		upgrade_fail(up, "the weir that runs was told to end");
}

/* -------------------------------------------------------------- life, death */

void
heir_init(struct heir *h)
{
	deadline_init(&h->limit, limit_passed);
	deadline_init(&h->stay, stay_passed);
}

void
heir_fini(struct heir *h)
{
	deadline_clear(&h->limit);
	deadline_clear(&h->stay);
	if (h->bereft)
		sockets_abandon(&h->held);
	sockets_close(&h->held);
	sockets_close(&h->coming);
}
