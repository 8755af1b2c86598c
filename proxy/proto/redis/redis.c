/*
 * Redis as a protocol of weir: its keys, its row in the table. See redis.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/probe.h"

#define KIB 1024

static const char *const auth_words[] = { "ignore", "check", "forward", NULL };
static const char *const unknown_words[] = { "pin", "share", NULL };
static const char *const role_words[] = { "any", "master", "replica", NULL };

static const struct conf_key listener_keys[] = {
	{ .name = "auth", .type = CONF_ENUM,
	  .offset = offsetof(struct redis_listener_conf, auth),
	  .def = "ignore", .words = auth_words,
	  .help = "AUTH of clients: answered with +OK, checked by weir, or "
	      "made a pool of that user's" },
	{ .name = "user", .type = CONF_STRING,
	  .offset = offsetof(struct redis_listener_conf, user),
	  .help = "auth check: whom clients log in as; \"default\" when "
	      "absent" },
	{ .name = "password", .type = CONF_STRING,
	  .offset = offsetof(struct redis_listener_conf, password),
	  .help = "auth check: the password; user and password of the upstream "
	      "when absent" },
	{ .name = "unknown", .type = CONF_ENUM,
	  .offset = offsetof(struct redis_listener_conf, unknown),
	  .def = "pin", .words = unknown_words,
	  .help = "commands that weir does not know: on a connection of their "
	      "own, or among others" },
	{ .name = "share_max", .type = CONF_SIZE,
	  .offset = offsetof(struct redis_listener_conf, share_max),
	  .def = "64KiB", .min = KIB, .max = 128 * KIB,
	  .help = "larger commands have a connection of their own and are sent "
	      "as they come" },
	{ .name = NULL }
};

static const struct conf_key upstream_keys[] = {
	{ .name = "user", .type = CONF_STRING,
	  .offset = offsetof(struct redis_upstream_conf, user),
	  .help = "whom weir logs in as; the default user when absent" },
	{ .name = "password", .type = CONF_STRING,
	  .offset = offsetof(struct redis_upstream_conf, password),
	  .help = "its password; no login when both are absent" },
	{ .name = "role", .type = CONF_ENUM,
	  .offset = offsetof(struct redis_upstream_conf, role),
	  .def = "any", .words = role_words,
	  .help = "health checks: which servers are of use" },
	{ .name = NULL }
};

static bool
is_empty(const char *text)
{
	return text == NULL || *text == '\0';
}

/* Is a login of others used, one that they do not know? */
static bool
is_lent(const struct conf_listener *l)
{
	const struct redis_upstream_conf *back = l->upstream->own;
	size_t i;

	if (is_empty(back->password) || l->allow.n > 0)
		return false;
	for (i = 0; i < l->n_binds; i++)
		if (conf_bind_is_public(&l->binds[i]))
			return true;
	return false;
}

static void
warn_of_logins(const struct conf_listener *l, conf_say_fn *say, void *arg)
{
	const struct redis_listener_conf *front = l->own;
	const struct redis_upstream_conf *back = l->upstream->own;

	if (front->auth == REDIS_AUTH_CHECK && is_empty(front->password) &&
	    is_empty(back->password))
		say(arg, l->line, "redis.auth is \"check\" and there is no "
		    "password: no client can log in, expected redis.password");
	else if (front->auth == REDIS_AUTH_CHECK && is_empty(front->password) &&
	    !is_empty(front->user))
		say(arg, l->line, "redis.user has no redis.password: clients "
		    "have to log in as the upstream does");
	if (front->auth != REDIS_AUTH_CHECK && (!is_empty(front->user) ||
	    !is_empty(front->password)))
		say(arg, l->line, "redis.user and redis.password are not "
		    "looked at, expected redis.auth = \"check\"");
	if (front->auth != REDIS_AUTH_CHECK && is_lent(l))
		say(arg, l->line, "whoever can reach it has the login of "
		    "the upstream, without one of his own, expected "
		    "redis.auth = \"check\" or allow");
	if (front->auth == REDIS_AUTH_FORWARD &&
	    l->upstream->pool.max_lifetime_ms == CONF_OFF)
		say(arg, l->line, "redis.auth is \"forward\" and the "
		    "upstream's pool.max_lifetime is off: a password that was "
		    "changed stays good while a connection made with it does");
}

static void
warn_of_servers(const struct conf_upstream *u, conf_say_fn *say, void *arg)
{
	const struct redis_upstream_conf *back = u->own;
	bool asked = u->health.on && u->health.type != NULL &&
	    u->health.type == u->proto;

	if (back->role != REDIS_ROLE_ANY && !asked)
		say(arg, u->line, "redis.role is asked by nobody, expected "
		    "health with type \"redis\"");
	if (u->n_endpoints > 1 && u->balance != CONF_KEY_HASH &&
	    back->role == REDIS_ROLE_ANY)
		say(arg, u->line, "a command goes to any of its endpoints, "
		    "whatever its keys, expected balance = \"key_hash\" or a "
		    "redis.role");
}

static void
warn(const struct conf_listener *l, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	if (l != NULL && l->upstream != NULL)
		warn_of_logins(l, say, arg);
	if (u != NULL)
		warn_of_servers(u, say, arg);
}

static bool
is_same(const char *a, const char *b)
{
	return is_empty(a) || is_empty(b) ? is_empty(a) == is_empty(b) :
	    strcmp(a, b) == 0;
}

static bool
have_same_login(const void *a, const void *b)
{
	const struct redis_upstream_conf *one = a, *other = b;

	return is_same(one->user, other->user) &&
	    is_same(one->password, other->password);
}

static const char *const defaults[] = {
	"pool.max", "64",
	"pool.min_idle", "1",
	"pool.max_waiting", "10000",
	"pool.queue_timeout", "5s",
	"pool.idle_timeout", "off",
	"pool.max_lifetime", "off",
	"timeouts.idle", "off",
	NULL
};

static void
exchange_fini(struct exchange *x)
{
	struct redis_exchange *rx = redis_of(x);

	if (rx->who != NULL)
		redis_identity_fini(rx->who);
	free(rx->who);
	rx->who = NULL;
	free(rx->refusal);
	rx->refusal = NULL;
	free(rx->split);
	rx->split = NULL;
	pipeline_exchange_fini(x);
}

/* What was begun on a connection of its own is undone there. */
static void
session_fini(struct session *s)
{
	struct redis_session *rs = redis_session(s);

	if (s->kept != NULL)
		redis_undo_pins(s, "its client left");
	pipeline_unpin(s);
	redis_identity_fini(&rs->who);
	free(rs->name);
	free(rs->lib_name);
	free(rs->lib_version);
}

const struct proto proto_redis = {
	.conf = {
		.name = "redis",
		.probes = true,
		.keys = true,
		.spans = CONF_SPAN_OWED,
		.default_mode = "shared",
		.defaults = defaults,
		.listener_keys = listener_keys,
		.listener_size = sizeof(struct redis_listener_conf),
		.upstream_keys = upstream_keys,
		.upstream_size = sizeof(struct redis_upstream_conf),
		.warn = warn,
		.alike = have_same_login
	},
	.family = FAMILY_REDIS,
	.front = &redis_front,
	.back = &redis_back,
	.peer = &redis_peer,
	.probe = &redis_probe,
	.session_size = sizeof(struct redis_session),
	.session_fini = session_fini,
	.exchange_size = sizeof(struct redis_exchange),
	.exchange_zeroed = sizeof(struct redis_exchange),
	.exchange_fini = exchange_fini
};
