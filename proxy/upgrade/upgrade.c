/*
 * An upgrade, as seen by the weir that goes, until the new one serves; then it is
 * upgrade_leave.c's. See upgrade.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/admin/admin.h"
#include "proxy/errors.h"
#include "proxy/reload.h"
#include "proxy/upgrade/upgrade_clients.h"
#include "proxy/upgrade/upgrade_parts.h"
#include "proxy/upgrade/upgrade_past.h"
#include "proxy/upgrade/upgrade_pools.h"
#include "proxy/upgrade/upgrade_state.h"

enum {
	GO_MS = 10 * 1000,              /* from "go" to "serving" */
	REAP_MS = 10, REAP_PATIENCE = 300,
	ANSWER_STEP_MS = 5,
	ANSWER_MS = 300                 /* that an answer of the admin port may
					   hold it up */
};

/* ------------------------------------------------------------------ is there one */

bool
upgrade_is_under_way(const struct runtime *rt, const char **why)
{
	const struct upgrade *up = rt->upgrade;

	*why = "an upgrade is under way";
	if (up == NULL)
		return false;
	if (up->phase != UPGRADE_IDLE)
		return true;
	*why = "this weir is taking over from another";
	return up->old_pid > 0 && !up->going;
}

bool
upgrade_has_other(const struct runtime *rt)
{
	const struct upgrade *up = rt->upgrade;

	return up != NULL && (up->phase != UPGRADE_IDLE || up->old_pid > 0);
}

/* --------------------------------------------------------------------- telling */

void
upgrade_say(void *arg, json_t *j)
{
	struct upgrade *up = arg;

	(void)channel_send(&up->to_new, j, NULL, 0, NULL, 0);
}

void
upgrade_say_word(struct upgrade *up, const char *word)
{
	upgrade_say(up, json_pack("{s:s}", "is", word));
}

/* --------------------------------------------------------------------- failing */

void
upgrade_tell_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "ended with status %d",
		    WEXITSTATUS(status));
}

/* How it ended, unless it has said why. */
static void
conclude(struct upgrade *up, int status)
{
	char text[256], how[128];

	upgrade_tell_end(status, how, sizeof(how));
	if (up->said != NULL)
		snprintf(text, sizeof(text), "%.200s", up->said);
	else
		snprintf(text, sizeof(text), "the new weir %s", how);
	free(up->said);
	up->said = NULL;
	up->pid = 0;
	counts_free(up->counts);
	up->counts = NULL;
	heir_forget_sockets(up);
	cap_bury(&up->rt->caps);
	upgrade_publish(up->rt);
	if (up->heir.left) {
		heir_failed(up, text);
		return;
	}
	log_error("upgrade failed", "%s; this weir goes on", text);
	upgrade_note_result(up, text);
	up->phase = UPGRADE_IDLE;
}

bool
upgrade_is_gone(const struct upgrade *up, int *status)
{
	pid_t got = waitpid(up->pid, status, WNOHANG);

	return got > 0 || (got < 0 && errno == ECHILD);
}

static void
reap(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	int status = 0;

	if (!upgrade_is_gone(up, &status)) {
		if (up->sweeps++ == REAP_PATIENCE)
			(void)kill(up->pid, SIGKILL);
		deadline_set(&up->rt->main, d, REAP_MS);
		return;
	}
	conclude(up, status);
}

void
upgrade_fail(struct upgrade *up, const char *said)
{
	struct runtime *rt = up->rt;

	if (up->said == NULL && said != NULL)
		up->said = strdup(said);
	deadline_clear(&up->limit);
	if (!up->heir.left && (up->phase == UPGRADE_GIVING ||
	    up->phase == UPGRADE_GOING))
		admin_rest(rt, false);
	up->phase = UPGRADE_FAILING;
	channel_finish(&up->to_new);
	up->sweeps = 0;
	if (said != NULL) {
		assert(up->pid > 0);    /* 0 would be whoever is of our group */
		(void)kill(up->pid, SIGKILL);
	}
	up->again.passed = reap;
	deadline_set(&rt->main, &up->again, said != NULL ? 0 : REAP_MS);
}

static void
too_slow(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, limit);

	upgrade_fail(up, up->phase == UPGRADE_STARTING ? "the new weir was not "
	    "ready in time" : "the new weir was ready, but did not begin to "
	    "serve in time");
}

void
upgrade_cancel(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL)
		return;
	upgrade_resign(up);
	heir_dismiss(up);
	if (up->phase != UPGRADE_IDLE && up->phase != UPGRADE_FAILING &&
	    up->phase != UPGRADE_LEAVING && up->phase != UPGRADE_BEREFT)
		upgrade_fail(up, "the weir that runs was told to end");
}

/* --------------------------------------------------------------------- waiting */

/* Until the new one serves: what it opens to be warm takes places that others may
   wait for here. */
static void
count_crowd(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, crowd);

	if (up->phase != UPGRADE_STARTING && up->phase != UPGRADE_GIVING &&
	    up->phase != UPGRADE_GOING)
		return;
	if (up->to_new.unsaid)
		upgrade_fail(up, "the new weir cannot be told all: a name or a "
		    "path is too long or no UTF-8, or there is no memory");
	else {
		upgrade_publish(up->rt);
		deadline_set(&up->rt->main, d, UPGRADE_SWEEP_MS);
	}
}

/* ---------------------------------------------------------------- what is said */

/* All that can be spared is in the queue: the rest, and then it may accept. */
static void
given(void *arg)
{
	struct upgrade *up = arg;
	struct runtime *rt = up->rt;

	up->sparing = false;
	if (up->phase != UPGRADE_GIVING)
		return;
	if (!up->heir.left)
		admin_dismiss(rt);
	state_tell(rt, upgrade_say, up);
	counts_tell(up->counts, rt, upgrade_say, up);
	past_tell_numbers(rt);
	up->phase = UPGRADE_GOING;
	upgrade_say(up, json_pack("{s:s,s:I}", "is", "go", "log_dropped",
	    (json_int_t)writer_dropped(rt->writer) +
	    (json_int_t)rt->log_dropped));
	deadline_set(&rt->main, &up->limit, GO_MS);
}

/* Those who ask for numbers have been answered. */
static void
give(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	struct runtime *rt = up->rt;

	if (!up->heir.left && admin_owes(rt) &&
	    up->sweeps++ < ANSWER_MS / ANSWER_STEP_MS) {
		deadline_set(&rt->main, d, ANSWER_STEP_MS);
		return;
	}
	up->counts = counts_new();
	slow_tell(rt);
	up->sparing = up->counts != NULL && spare_connections(rt, &up->to_new,
	    UPGRADE_IDLE_MS, given, up);
	if (!up->sparing && up->phase == UPGRADE_GIVING)
		upgrade_fail(up, "out of memory");
}

static void
new_is_ready(struct upgrade *up, const struct message *m)
{
	struct runtime *rt = up->rt;

	up->takes_clients = json_is_true(json_object_get(m->j, "clients"));
	log_info("upgrade", "process %ld is ready", (long)up->pid);
	up->phase = UPGRADE_GIVING;
	up->keys_go = json_is_true(json_object_get(m->j, "keys"));
	/* Nobody may read numbers here that are newer than what he reads there
	   next. */
	if (!up->heir.left)
		admin_rest(rt, true);
	up->sweeps = 0;
	up->again.passed = give;
	deadline_set(&rt->main, &up->limit, GO_MS);
	deadline_set(&rt->main, &up->again, 0);
}

/* It accepts nothing any more, neither new clients nor those from here. */
static void
new_stops(struct upgrade *up)
{
	log_info("upgrade", "process %ld, which took over, is to end: the "
	    "clients that are left here stay and are drained", (long)up->pid);
	upgrade_stop_sending(up);
	heir_dismiss(up);
}

static bool
came(struct channel *c, const struct message *m, int *fds)
{
	struct upgrade *up = container_of(c, struct upgrade, to_new);
	bool good = true;
	size_t i;

	if (strcmp(m->is, "connection") == 0)
		return take_connection(up->rt, m, fds);
	if (strcmp(m->is, "socket") == 0)
		good = heir_take_socket(up, m, fds);
	for (i = 0; i < m->n_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (strcmp(m->is, "sockets") == 0)
		heir_take_sockets(up);
	else if (strcmp(m->is, "ask") == 0)
		take_question(up->rt, m);
	else if (strcmp(m->is, "orders") == 0 && up->phase == UPGRADE_LEAVING)
		orders_take(up, m);
	else if (strcmp(m->is, "stopping") == 0 &&
	    up->phase == UPGRADE_LEAVING)
		new_stops(up);
	else if (strcmp(m->is, "ready") == 0 && up->phase == UPGRADE_STARTING)
		new_is_ready(up, m);
	else if (strcmp(m->is, "serving") == 0 && up->phase == UPGRADE_GOING)
		upgrade_leave(up);
	else if (strcmp(m->is, "failed") == 0 && up->said == NULL)
		up->said = strdup(message_text(m, "why"));
	return good;
}

static void
new_ended(struct channel *c)
{
	struct upgrade *up = container_of(c, struct upgrade, to_new);

	if (up->phase == UPGRADE_LEAVING)
		upgrade_mourn(up);
	else if (up->phase != UPGRADE_IDLE && up->phase != UPGRADE_FAILING)
		upgrade_fail(up, NULL);
}

/* -------------------------------------------------------------------- starting */

static const char *
hindrance(const struct upgrade *up)
{
	const struct runtime *rt = up->rt;

	if (rt->draining || rt->stopping)
		return "weir is draining";
	/* Lanes may yet have to answer what the one before asked. */
	if (up->phase != UPGRADE_IDLE || up->sparing)
		return "an upgrade is under way";
	/* The new one would read the file, and nothing could go back. */
	if (reload_awaits(rt) != 0)
		return "a reload awaits its confirmation: weir confirm first";
	if (up->old_pid > 0 && !up->old_stays)
		return up->going ? "the weir that this one took over from "
		    "still drains: try again when it has ended" :
		    "this weir is taking over from another";
	if (up->argv == NULL || rt->path == NULL)
		return "weir demo is not upgraded: end it and start it again";
	if (getpid() == 1)
		return "weir is process 1 here, and when that ends, so does "
		    "the container: start a new one, or weir by weir run";
	if (rt->caps.v == NULL)
		return "there was no memory to share when weir started";
	return NULL;
}

int
upgrade_start(struct upgrade *up, const char *program)
{
	struct runtime *rt = up->rt;
	int fds[2], error;

	if (channel_pair(fds) < 0)
		return errno;
	error = upgrade_spawn(up, program, fds[1]);
	close(fds[1]);
	if (error != 0) {
		up->pid = 0;
		close(fds[0]);
		return error;
	}
	log_info("upgrade", "process %ld is to take over%s%s", (long)up->pid,
	    program != up->argv[0] ? ", of the binary that runs here: " : "",
	    program != up->argv[0] ? program : "");
	up->phase = UPGRADE_STARTING;
	channel_init(&up->to_new, fds[0], came, new_ended);
	channel_attach(&up->to_new, &rt->main);
	/* While clients wait for it: it does not have to be warm. */
	deadline_set(&rt->main, &up->limit, up->heir.left ? UPGRADE_AGAIN_MS :
	    UPGRADE_LIMIT_MS);
	deadline_set(&rt->main, &up->crowd, 0);
	/* One that could not be told all of it does not become ready, and one
	   that has ended already is noticed by that. */
	upgrade_tell_beginning(up);
	/* While it starts: by far the most of it has gone over when it is
	   ready. */
	past_tell_reloads(rt);
	slow_forget_told(&up->slow);
	slow_tell(rt);
	return 0;
}

int
upgrade_begin(struct runtime *rt, pid_t *pid, char *why, size_t size)
{
	struct upgrade *up = rt->upgrade;
	const char *hinders = hindrance(up);
	int error;

	if (hinders == NULL && up->queued)
		hinders = "an upgrade is under way";
	if (hinders != NULL) {
		snprintf(why, size, "%s", hinders);
		return -1;
	}
	/* In memory both have their side, and a third has none. */
	if (up->old_pid > 0) {
		upgrade_resign(up);
		up->queued = true;
		*pid = 0;
		return 0;
	}
	/* By its path, or its name in PATH: what lies there by now, which
	   /proc/self/exe would not tell. */
	error = upgrade_start(up, up->argv[0]);
	if (error != 0) {
		snprintf(why, size, "cannot start %s: %s%s", up->argv[0],
		    strerror(error), error == EACCES ? "; within the sandbox "
		    "only what lies in the folder of the one that runs can "
		    "be" : "");
		upgrade_note_result(up, why);
		log_error("upgrade failed", "%s", why);
		return -1;
	}
	*pid = up->pid;
	return 0;
}

void
upgrade_begin_queued(struct upgrade *up)
{
	char why[512];
	pid_t pid;

	if (!up->queued)
		return;
	up->queued = false;
	if (upgrade_begin(up->rt, &pid, why, sizeof(why)) == 0)
		return;
	log_warn("upgrade", "%s", why);
	upgrade_note_result(up, why);
}

/* ----------------------------------------------------------------- life, death */

void
upgrade_set_program(struct runtime *rt, char **argv)
{
	rt->upgrade->argv = argv;
}

static int
number_of(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	return *text != '\0' && *end == '\0' && n > STDERR_FILENO &&
	    n < 1 << 20 ? (int)n : -1;
}

int
upgrade_init(struct runtime *rt, struct conf_errors *errors)
{
	const char *text = getenv(UPGRADE_VARIABLE);
	int fd = text != NULL ? number_of(text) : -1;
	struct upgrade *up = calloc(1, sizeof(*up));

	(void)unsetenv(UPGRADE_VARIABLE);
	if (up == NULL) {
		errors_add(errors, "out of memory");
		return -1;
	}
	up->rt = rt;
	up->to_new.fd = up->to_old.fd = -1;
	list_init(&up->to_new.queue);
	list_init(&up->to_old.queue);
	deadline_init(&up->limit, too_slow);
	deadline_init(&up->again, reap);
	deadline_init(&up->crowd, count_crowd);
	heir_init(&up->heir);
	orders_init(&up->orders);
	rt->upgrade = up;
	if (fd >= 0)
		return upgrade_join(rt, fd, errors);
	cap_table_init(&rt->caps);
	inherit_from_manager(&rt->inherited);
	return 0;
}

void
upgrade_fini(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL)
		return;
	deadline_clear(&up->limit);
	deadline_clear(&up->again);
	deadline_clear(&up->crowd);
	if (up->rest.again.passed != NULL)
		deadline_clear(&up->rest.again);
	/* Ended before it was over: nobody is to go on with half of it. */
	if (up->pid > 0 && up->phase != UPGRADE_LEAVING) {
		(void)kill(up->pid, SIGKILL);
		(void)waitpid(up->pid, NULL, 0);
	}
	channel_close(&up->to_new);
	heir_fini(&up->heir);
	upgrade_forget(up);
	counts_free(up->counts);
	slow_forget_told(&up->slow);
	clients_free(up->clients);
	free(up->died);
	free(up->error);
	free(up->said);
	free(up);
	rt->upgrade = NULL;
}
