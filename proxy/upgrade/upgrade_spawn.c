/*
 * Starting the weir that is to take over, and what it is told before it reads
 * its file. How that goes on is in upgrade.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls_tickets.h"
#include "proxy/admin/admin.h"
#include "proxy/live.h"
#include "proxy/upgrade/upgrade_heir.h"
#include "proxy/upgrade/upgrade_parts.h"
#include "proxy/upgrade/upgrade_state.h"

/* -------------------------------------------------------------------- sockets */

struct each {
	void (*f)(void *arg, const struct addr *addr, const int *fds, size_t n,
	    bool foreign);
	void *arg;
};

static void
each_gate(void *arg, const struct addr *addr, int fd, bool foreign)
{
	const struct each *each = arg;

	each->f(each->arg, addr, &fd, 1, foreign);
}

void
upgrade_each_socket(struct runtime *rt, void (*f)(void *arg,
    const struct addr *addr, const int *fds, size_t n, bool foreign), void *arg)
{
	struct each each = { f, arg };
	struct list *l;
	size_t i;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		const struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			f(arg, &ll->sockets[i].addr, ll->sockets[i].live,
			    ll->sockets[i].n, ll->sockets[i].foreign);
	}
	if (rt->admin != NULL)
		admin_each_gate(rt, each_gate, &each);
}

/* Their numbers stay the listeners': they are sent before a lane can close one,
   for sockets only close when this weir goes. */
static void
tell_socket(void *arg, const struct addr *addr, const int *fds, size_t n,
    bool foreign)
{
	struct upgrade *up = arg;
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

/* ------------------------------------------------------------- the beginning */

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
			upgrade_say(up, json_pack("{s:s,s:i}", "is", "upstream",
			    "cap", u->cap != NULL ?
			    cap_number(&rt->caps, u->cap) : -1));
			continue;
		}
		state_identity(lu->conf, u->peer, identity);
		upgrade_say(up, json_pack("{s:s,s:s,s:s,s:s,s:i}", "is",
		    "upstream", "name", u->name, "protocol",
		    lu->conf->proto->name, "identity", identity, "cap",
		    u->cap != NULL ? cap_number(&rt->caps, u->cap) : -1));
	}
}

void
upgrade_tell_beginning(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	uint8_t secrets[TLS_TICKETS_SECRETS];

	(void)channel_send(&up->to_new, json_pack(
	    "{s:s,s:s,s:I,s:i,s:I,s:I,s:I,s:b,s:b,s:b,s:I,s:s}", "is", "hello",
	    "version", WEIR_VERSION, "pid", (json_int_t)getpid(), "side",
	    (int)!rt->caps.side, "generation",
	    (json_int_t)rt->gen->number + (json_int_t)up->heir.served,
	    "upgrades", (json_int_t)up->count, "last_id",
	    (json_int_t)atomic_load(&rt->last_id), "keys", true, "orders",
	    true, "alone", up->heir.left, "replaced", (json_int_t)up->replaced, "died",
	    up->died != NULL ? up->died : ""), NULL, 0, &rt->caps.fd, 1);
	tls_tickets_copy(secrets);
	(void)channel_send(&up->to_new, json_pack("{s:s}", "is", "tickets"),
	    secrets, sizeof(secrets), NULL, 0);
	explicit_bzero(secrets, sizeof(secrets));
	if (up->heir.left)
		heir_each_socket(&up->heir, tell_socket, up);
	else
		upgrade_each_socket(rt, tell_socket, up);
	tell_upstreams(up);
	state_tell_names(rt, upgrade_say, up);
	upgrade_say_word(up, "begin");
}

/* ------------------------------------------------------------------ the process */

/* Ours, but for what is of one process only. NULL when out of memory. */
static char **
environment(int fd)
{
	static const char *const not[] = { (UPGRADE_VARIABLE "="),
		"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=",
		"WATCHDOG_PID=", NULL };
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

int
upgrade_spawn(struct upgrade *up, const char *program, int fd)
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
	error = posix_spawnp(&up->pid, program, &files, &attr, up->argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(env[0]);
	free(env);
	return error;
}
