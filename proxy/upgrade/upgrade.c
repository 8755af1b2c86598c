/*
 * An upgrade, as seen by the weir that goes. See upgrade.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/log.h"
#include "net/tls_tickets.h"
#include "pool/handover.h"
#include "proxy/admin/admin.h"
#include "proxy/live.h"
#include "proxy/reload.h"
#include "proxy/upgrade/upgrade_clients.h"
#include "proxy/upgrade/upgrade_parts.h"
#include "proxy/upgrade/upgrade_pools.h"
#include "proxy/upgrade/upgrade_state.h"

enum {
	GO_MS = 10 * 1000,              /* from "go" to "serving" */
	REAP_MS = 10, REAP_PATIENCE = 300,
	IDLE_MS = 50,                   /* what was idle for so long nobody here
					   is about to use */
	COUNT_EVERY = 10,               /* sweeps */
	ANSWER_STEP_MS = 5,
	ANSWER_MS = 300,                /* that an answer of the admin port may
					   hold it up */
	LAST_MS = 2000
};

extern char **environ;

/* ------------------------------------------------------------------ the result */

static void
note_result(struct upgrade *up, const char *error)
{
	free(up->error);
	up->error = error != NULL ? strdup(error) : NULL;
	up->failed = error != NULL;
	up->tried = true;
	up->at_s = (int64_t)time(NULL);
}

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

static void
say(void *arg, json_t *j)
{
	struct upgrade *up = arg;

	(void)channel_send(&up->to_new, j, NULL, 0, NULL, 0);
}

static void
say_word(struct upgrade *up, const char *word)
{
	say(up, json_pack("{s:s}", "is", word));
}

/* Their numbers stay the listeners': they are sent before a lane can close one,
   for sockets only close when this weir goes. */
static void
tell_socket(struct upgrade *up, const struct addr *addr, const int *fds,
    size_t n, bool foreign)
{
	int some[MESSAGE_FDS_MOST];
	size_t i, k;

	for (i = 0; i < n; i += k) {
		size_t n_some = 0;

		for (k = 0; i + k < n && n_some < MESSAGE_FDS_MOST; k++)
			if (fds[i + k] >= 0)
				some[n_some++] = fds[i + k];
		if (n_some > 0)
			(void)channel_send(&up->to_new, json_pack(
			    "{s:s,s:b}", "is", "socket", "foreign", foreign),
			    &addr->ss, addr->len, some, n_some);
	}
}

static void
tell_gate(void *arg, const struct addr *addr, int fd, bool foreign)
{
	tell_socket(arg, addr, &fd, 1, foreign);
}

static void
tell_sockets(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	struct list *l;
	size_t i;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		const struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			tell_socket(up, &ll->sockets[i].addr,
			    ll->sockets[i].live, ll->sockets[i].n,
			    ll->sockets[i].foreign);
	}
	admin_each_gate(rt, tell_gate, up);
}

static void
tell_upstreams(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	char identity[IDENTITY_MOST];
	struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);
		const struct upstream *u = lu->upstream;

		if (lu->conf == NULL) {
			/* Its entry is in use all the same. */
			say(up, json_pack("{s:s,s:i}", "is", "upstream",
			    "cap", u->cap != NULL ?
			    cap_number(&rt->caps, u->cap) : -1));
			continue;
		}
		state_identity(lu->conf, u->peer, identity);
		say(up, json_pack("{s:s,s:s,s:s,s:s,s:i}", "is",
		    "upstream", "name", u->name, "protocol",
		    lu->conf->proto->name, "identity", identity, "cap",
		    u->cap != NULL ? cap_number(&rt->caps, u->cap) : -1));
	}
}

static void
tell_beginning(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	uint8_t secrets[TLS_TICKETS_SECRETS];

	(void)channel_send(&up->to_new, json_pack(
	    "{s:s,s:s,s:I,s:i,s:I,s:I,s:I,s:b}", "is", "hello", "version",
	    WEIR_VERSION, "pid", (json_int_t)getpid(), "side",
	    (int)!rt->caps.side, "generation", (json_int_t)rt->gen->number,
	    "upgrades", (json_int_t)up->count, "last_id",
	    (json_int_t)atomic_load(&rt->last_id), "keys", true), NULL, 0,
	    &rt->caps.fd, 1);
	tls_tickets_copy(secrets);
	(void)channel_send(&up->to_new, json_pack("{s:s}", "is", "tickets"),
	    secrets, sizeof(secrets), NULL, 0);
	explicit_bzero(secrets, sizeof(secrets));
	tell_sockets(up);
	tell_upstreams(up);
	state_tell_names(rt, say, up);
	say_word(up, "begin");
}

/* --------------------------------------------------------------------- failing */

/* How it ended, unless it has said why. */
static void
conclude(struct upgrade *up, int status)
{
	char text[256];

	if (up->said != NULL)
		snprintf(text, sizeof(text), "%.200s", up->said);
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "the new weir was killed by "
		    "signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof(text), "the new weir ended with status "
		    "%d", WEXITSTATUS(status));
	log_error("upgrade failed", "%s; this weir goes on", text);
	note_result(up, text);
	free(up->said);
	up->said = NULL;
	up->pid = 0;
	counts_free(up->counts);
	up->counts = NULL;
	up->phase = UPGRADE_IDLE;
	cap_bury(&up->rt->caps);
	upgrade_publish(up->rt);
}

/* The new one, for certain. */
static bool
is_gone(const struct upgrade *up, int *status)
{
	pid_t got = waitpid(up->pid, status, WNOHANG);

	return got > 0 || (got < 0 && errno == ECHILD);
}

static void
reap(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	int status = 0;

	if (!is_gone(up, &status)) {
		if (up->sweeps++ == REAP_PATIENCE)
			(void)kill(up->pid, SIGKILL);
		deadline_set(&up->rt->main, d, REAP_MS);
		return;
	}
	conclude(up, status);
}

/* said NULL: it has ended by itself. */
static void
fail(struct upgrade *up, const char *said)
{
	struct runtime *rt = up->rt;

	if (up->said == NULL && said != NULL)
		up->said = strdup(said);
	deadline_clear(&up->limit);
	if (up->phase == UPGRADE_GIVING || up->phase == UPGRADE_GOING)
		admin_rest(rt, false);
	up->phase = UPGRADE_FAILING;
	channel_finish(&up->to_new);
	up->sweeps = 0;
	if (said != NULL)
		(void)kill(up->pid, SIGKILL);
	up->again.passed = reap;
	deadline_set(&rt->main, &up->again, said != NULL ? 0 : REAP_MS);
}

static void
too_slow(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, limit);

	fail(up, up->phase == UPGRADE_STARTING ? "the new weir was not ready "
	    "in time" : "the new weir was ready, but did not begin to serve "
	    "in time");
}

void
upgrade_cancel(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || up->phase == UPGRADE_IDLE ||
	    up->phase == UPGRADE_FAILING || up->phase == UPGRADE_LEAVING)
		return;
	fail(up, "the weir that runs was told to end");
}

/* --------------------------------------------------------------------- leaving */

void
upgrade_publish(struct runtime *rt)
{
	struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);
		struct upstream *u = lu->upstream;
		unsigned n;

		if (u->cap == NULL || lu->conf == NULL)
			continue;
		n = upstream_waits(u);
		atomic_store(&u->cap->waiting[u->side], n);
		/* A place may have become free there: nobody tells. */
		if (n > 0 && !upstream_is_full(u))
			live_upstream_tell(lu);
	}
}

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
		fail(up, "the new weir cannot be told all: a name or a path "
		    "is too long or no UTF-8, or there is no memory");
	else {
		upgrade_publish(up->rt);
		deadline_set(&up->rt->main, d, UPGRADE_SWEEP_MS);
	}
}

static void
spared(void *arg)
{
	((struct upgrade *)arg)->sparing = false;
}

/* The channel has ended. As long as the new one lives it counts, and what it
   frees is looked for. */
static void
mourn(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	int status = 0;

	if (is_gone(up, &status)) {
		log_error("upgrade", "process %ld, which took over, has ended",
		    (long)up->pid);
		cap_bury(&up->rt->caps);
	} else
		deadline_set(&up->rt->main, d, UPGRADE_SWEEP_MS);
	upgrade_publish(up->rt);
}

static void
sweep(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	struct runtime *rt = up->rt;

	upgrade_publish(rt);
	if (!up->sparing) {
		up->sparing = true;
		if (!spare_connections(rt, &up->to_new, IDLE_MS, spared, up))
			up->sparing = false;
	}
	if (up->counts != NULL && ++up->sweeps % COUNT_EVERY == 0)
		counts_tell(up->counts, rt, say, up);
	deadline_set(&rt->main, d, UPGRADE_SWEEP_MS);
}

static void
leave(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	struct list *l;

	log_info("upgrade", "process %ld serves; this one drains",
	    (long)up->pid);
	note_result(up, NULL);
	up->phase = UPGRADE_LEAVING;
	(void)notify_main_pid(&rt->notify, up->pid);
	notify_end(rt);
	deadline_clear(&up->limit);
	rt->owns_files = false;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		atomic_store(&container_of(l, struct live_upstream,
		    link)->upstream->leaving, true);
	admin_stop(rt);
	runtime_leave(rt, up->takes_clients);
	if (up->takes_clients)
		clients_begin(&up->clients, rt, &up->to_new);
	up->sweeps = 0;
	up->again.passed = sweep;
	deadline_set(&rt->main, &up->again, UPGRADE_SWEEP_MS);
}

static void
all_sent(void *arg)
{
	struct upgrade *up = arg;

	(void)channel_push(&up->to_new, LAST_MS);
	up->then(up->rt);
}

bool
upgrade_finish(struct runtime *rt, void (*then)(struct runtime *rt))
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || up->phase != UPGRADE_LEAVING ||
	    !channel_is_open(&up->to_new) || up->then != NULL)
		return false;
	deadline_clear(&up->again);
	up->then = then;
	return spare_connections(rt, &up->to_new, 0, all_sent, up);
}

void
upgrade_last_words(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || up->phase != UPGRADE_LEAVING ||
	    !channel_is_open(&up->to_new))
		return;
	if (up->counts != NULL)
		counts_tell(up->counts, rt, say, up);
	say_word(up, "bye");
	(void)channel_push(&up->to_new, LAST_MS);
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
	admin_dismiss(rt);
	state_tell(rt, say, up);
	counts_tell(up->counts, rt, say, up);
	up->phase = UPGRADE_GOING;
	say(up, json_pack("{s:s,s:I}", "is", "go", "log_dropped",
	    (json_int_t)(writer_dropped(rt->writer) + rt->log_dropped)));
	deadline_set(&rt->main, &up->limit, GO_MS);
}

/* Those who ask for numbers have been answered. */
static void
give(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	struct runtime *rt = up->rt;

	if (admin_owes(rt) && up->sweeps++ < ANSWER_MS / ANSWER_STEP_MS) {
		deadline_set(&rt->main, d, ANSWER_STEP_MS);
		return;
	}
	up->counts = counts_new();
	up->sparing = up->counts != NULL && spare_connections(rt, &up->to_new,
	    IDLE_MS, given, up);
	if (!up->sparing && up->phase == UPGRADE_GIVING)
		fail(up, "out of memory");
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
	admin_rest(rt, true);
	up->sweeps = 0;
	up->again.passed = give;
	deadline_set(&rt->main, &up->limit, GO_MS);
	deadline_set(&rt->main, &up->again, 0);
}

static bool
came(struct channel *c, const struct message *m, int *fds)
{
	struct upgrade *up = container_of(c, struct upgrade, to_new);
	size_t i;

	if (strcmp(m->is, "connection") == 0)
		return take_connection(up->rt, m, fds);
	for (i = 0; i < m->n_fds; i++)
		close(fds[i]);
	if (strcmp(m->is, "ready") == 0 && up->phase == UPGRADE_STARTING)
		new_is_ready(up, m);
	else if (strcmp(m->is, "serving") == 0 && up->phase == UPGRADE_GOING)
		leave(up);
	else if (strcmp(m->is, "failed") == 0 && up->said == NULL)
		up->said = strdup(message_text(m, "why"));
	return true;
}

static void
new_ended(struct channel *c)
{
	struct upgrade *up = container_of(c, struct upgrade, to_new);

	if (up->phase == UPGRADE_LEAVING) {
		clients_end(up->clients);
		up->again.passed = mourn;
		deadline_set(&up->rt->main, &up->again, 0);
	} else if (up->phase != UPGRADE_IDLE && up->phase != UPGRADE_FAILING)
		fail(up, NULL);
}

/* -------------------------------------------------------------------- starting */

/* Ours, but for what is of one process only. NULL when out of memory. */
static char **
environment(int fd)
{
	static const char *const not[] = { UPGRADE_VARIABLE "=", "LISTEN_PID=",
		"LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID=", NULL };
	size_t n = 0, k, i;
	char **env;

	while (environ[n] != NULL)
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (env == NULL || asprintf(&env[0], UPGRADE_VARIABLE "=%d", fd) < 0) {
		free(env);
		return NULL;
	}
	for (i = 0, n = 1; environ[i] != NULL; i++) {
		for (k = 0; not[k] != NULL; k++)
			if (strncmp(environ[i], not[k], strlen(not[k])) == 0)
				break;
		if (not[k] == NULL)
			env[n++] = environ[i];
	}
	return env;
}

/* 0 or an errno. fd is what the new one gets. */
static int
spawn(struct upgrade *up, int fd)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char **env = environment(fd);
	sigset_t none, usual;
	int error;

	if (env == NULL)
		return ENOMEM;
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	/* The same number: that takes FD_CLOEXEC from it, there alone. */
	(void)posix_spawn_file_actions_adddup2(&files, fd, fd);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &usual);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF);
	/* By its path, or its name in PATH: what lies there by now, which
	   /proc/self/exe would not tell. */
	error = posix_spawnp(&up->pid, up->argv[0], &files, &attr, up->argv,
	    env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(env[0]);
	free(env);
	return error;
}

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
	if (up->old_pid > 0)
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
upgrade_begin(struct runtime *rt, pid_t *pid, char *why, size_t size)
{
	struct upgrade *up = rt->upgrade;
	const char *hinders = hindrance(up);
	int fds[2], error;

	if (hinders != NULL) {
		snprintf(why, size, "%s", hinders);
		return -1;
	}
	if (channel_pair(fds) < 0)
		error = errno;
	else {
		error = spawn(up, fds[1]);
		close(fds[1]);
		if (error != 0)
			close(fds[0]);
	}
	if (error != 0) {
		snprintf(why, size, "cannot start %s: %s%s", up->argv[0],
		    strerror(error), error == EACCES ? "; within the sandbox "
		    "only what lies in the folder of the one that runs can "
		    "be" : "");
		note_result(up, why);
		log_error("upgrade failed", "%s", why);
		return -1;
	}
	log_info("upgrade", "process %ld is to take over", (long)up->pid);
	up->phase = UPGRADE_STARTING;
	channel_init(&up->to_new, fds[0], came, new_ended);
	channel_attach(&up->to_new, &rt->main);
	deadline_set(&rt->main, &up->limit, UPGRADE_LIMIT_MS);
	deadline_set(&rt->main, &up->crowd, 0);
	/* One that could not be told all of it does not become ready, and one
	   that has ended already is noticed by that. */
	tell_beginning(up);
	*pid = up->pid;
	return 0;
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
	if (up == NULL)
		return -1;
	up->rt = rt;
	up->to_new.fd = up->to_old.fd = -1;
	list_init(&up->to_new.queue);
	list_init(&up->to_old.queue);
	deadline_init(&up->limit, too_slow);
	deadline_init(&up->again, reap);
	deadline_init(&up->crowd, count_crowd);
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
	/* Ended before it was over: nobody is to go on with half of it. */
	if (up->pid > 0 && up->phase != UPGRADE_LEAVING) {
		(void)kill(up->pid, SIGKILL);
		(void)waitpid(up->pid, NULL, 0);
	}
	channel_close(&up->to_new);
	upgrade_forget(up);
	counts_free(up->counts);
	clients_free(up->clients);
	free(up->error);
	free(up->said);
	free(up);
	rt->upgrade = NULL;
}
