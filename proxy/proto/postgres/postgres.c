/*
 * PostgreSQL as a protocol of weir: its keys, its row in the table. See
 * postgres.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/postgres.h"

#include <string.h>

#include "net/tls_server.h"
#include "proxy/denied.h"
#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/console.h"
#include "proxy/proto/postgres/probe.h"

enum { USELESS_MOST = 10 };             /* users that are warned of, each */

static const char *const auth_words[] = {
	"trust", "scram-sha-256", "cert", NULL
};
static const char *const tls_words[] = { "require", "allow", NULL };
static const char *const state_words[] = { "pin", "warn", "refuse", NULL };
static const char *const target_words[] = {
	"any", "primary", "standby", NULL
};
static const char *const name_words[] = { "keep", "append", NULL };

static const char *const user_auth_words[] = {
	"listener", "trust", "scram-sha-256", "cert", NULL
};

static const struct conf_key user_keys[] = {
	{ .name = "name", .type = CONF_STRING,
	  .offset = offsetof(struct pg_user, name),
	  .help = "as the client says it" },
	{ .name = "database", .type = CONF_STRING,
	  .offset = offsetof(struct pg_user, database), .def = "*",
	  .help = "where this is said of; \"*\" is any" },
	{ .name = "password", .type = CONF_STRING,
	  .offset = offsetof(struct pg_user, password),
	  .help = "in clear text, best as ${file:...}; weir logs in with it, "
	      "too" },
	{ .name = "secret", .type = CONF_STRING,
	  .offset = offsetof(struct pg_user, secret),
	  .help = "as pg_authid has it: \"SCRAM-SHA-256$...\"" },
	{ .name = "auth", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_user, auth), .def = "listener",
	  .words = user_auth_words,
	  .help = "how this one proves who it is; listener: as all" },
	{ .name = "cert", .type = CONF_STRING,
	  .offset = offsetof(struct pg_user, cert),
	  .help = "with auth \"cert\": the common name that its certificate "
	      "has to have; name when absent" },
	{ .name = NULL }
};

static const struct conf_key listener_keys[] = {
	{ .name = "auth", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_listener_conf, auth),
	  .def = "scram-sha-256", .words = auth_words,
	  .help = "how clients prove who they are; trust: not at all, only "
	      "from this machine; cert: by a certificate with their name" },
	{ .name = "tls", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_listener_conf, tls),
	  .def = "require", .words = tls_words,
	  .help = "with the group tls: are clients without TLS refused, or let "
	      "in" },
	{ .name = "users", .type = CONF_RECORDS,
	  .offset = offsetof(struct pg_listener_conf, users),
	  .record = user_keys, .record_size = sizeof(struct pg_user),
	  .help = "who may log in: groups of name, database, password or "
	      "secret, auth" },
	{ .name = "users_file", .type = CONF_FILE,
	  .offset = offsetof(struct pg_listener_conf, users_file),
	  .help = "more of them, a line each: \"name\" \"secret\"" },
	{ .name = "auth_user", .type = CONF_STRING,
	  .offset = offsetof(struct pg_listener_conf, auth_user), .def = "",
	  .help = "asks the server for the secrets of users that are not "
	      "known; \"\" = nobody does" },
	{ .name = "auth_query", .type = CONF_STRING,
	  .offset = offsetof(struct pg_listener_conf, auth_query), .def = "",
	  .help = "by which it asks: $1 is the user, and the answer its name "
	      "and secret; \"\" = pg_authid, with VALID UNTIL" },
	{ .name = "auth_database", .type = CONF_STRING,
	  .offset = offsetof(struct pg_listener_conf, auth_database),
	  .def = "",
	  .help = "where it asks; \"\" = in the client's database" },
	{ .name = "on_session_state", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_listener_conf, on_session_state),
	  .def = "pin", .words = state_words,
	  .help = "what would outlive its transaction and cannot be carried: "
	      "keeps its connection, ends with a warning, or is refused" },
	{ .name = "prepared", .type = CONF_COUNT,
	  .offset = offsetof(struct pg_listener_conf, prepared),
	  .def = "200", .min = 1, .max = 100000,
	  .help = "prepared statements that an upstream connection has at a "
	      "time" },
	{ .name = "admin_users", .type = CONF_NAMES,
	  .offset = offsetof(struct pg_listener_conf, admin_users),
	  .help = "who may use the console: the database \"weir\", which is "
	      "one like others while nobody may" },
	{ .name = "stats_users", .type = CONF_NAMES,
	  .offset = offsetof(struct pg_listener_conf, stats_users),
	  .help = "who may only SHOW there" },
	{ .name = NULL }
};

static const struct conf_key upstream_keys[] = {
	{ .name = "user", .type = CONF_STRING,
	  .offset = offsetof(struct pg_upstream_conf, user),
	  .help = "whom weir logs in as; the client's own name and password "
	      "when absent" },
	{ .name = "password", .type = CONF_STRING,
	  .offset = offsetof(struct pg_upstream_conf, password),
	  .help = "its password" },
	{ .name = "check_user", .type = CONF_STRING,
	  .offset = offsetof(struct pg_upstream_conf, check_user),
	  .help = "whom health checks log in as; as user when absent" },
	{ .name = "check_password", .type = CONF_STRING,
	  .offset = offsetof(struct pg_upstream_conf, check_password),
	  .help = "its password" },
	{ .name = "check_database", .type = CONF_STRING,
	  .offset = offsetof(struct pg_upstream_conf, check_database),
	  .def = "postgres",
	  .help = "where they log in" },
	{ .name = "direct_tls", .type = CONF_BOOL,
	  .offset = offsetof(struct pg_upstream_conf, direct_tls),
	  .def = "false",
	  .help = "with the group tls: it begins without asking the server, "
	      "since PostgreSQL 17" },
	{ .name = "target", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_upstream_conf, target),
	  .def = "any", .words = target_words,
	  .help = "health checks: which servers are of use" },
	{ .name = "warm", .type = CONF_NAMES,
	  .offset = offsetof(struct pg_upstream_conf, warm),
	  .help = "\"USER/DATABASE\": whose connections are kept warm, "
	      "pool.min_idle of each" },
	{ .name = "application_name", .type = CONF_ENUM,
	  .offset = offsetof(struct pg_upstream_conf, application_name),
	  .def = "keep", .words = name_words,
	  .help = "append: the client's address is added to it" },
	{ .name = NULL }
};

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
have_same_login(const void *a, const void *b)
{
	const struct pg_upstream_conf *one = a, *other = b;

	return is_same(one->user, other->user) &&
	    is_same(one->password, other->password);
}

/* -------------------------------------------------------------------- users */

/* Does the listener want a certificate of everybody? Of some? */
static bool
asks_certificates(const struct conf_listener *l)
{
	return l->tls.common.on && l->tls.client_auth != TLS_CLIENT_NONE;
}

/* Users that run, while those of another configuration are prepared. */
struct former {
	const struct pg_user *v;
	size_t n, at;                   /* behind the one that was found last:
					   mostly they stand as before */
};

/* Where there is one with that name and password, its work is not done anew: it
   is two milliseconds of main's loop. */
static bool
is_known(struct former *f, struct pg_user *u, const char *text)
{
	const struct pg_user *was;
	size_t i;

	for (i = 0; i < f->n; i++, f->at++) {
		f->at %= f->n;
		was = &f->v[f->at];
		if (was->name != NULL && strcmp(was->name, u->name) == 0 &&
		    pg_secret_again(&u->known, text, &was->known)) {
			f->at++;
			return true;
		}
	}
	return false;
}

static void
prepare_user(const struct conf_listener *l, struct pg_user *u,
    struct former *f, conf_say_fn *say, void *arg)
{
	const char *text = u->password != NULL ? u->password : u->secret, *why;
	enum pg_auth_method method = pg_auth_method_of(l->own, u);
	bool is_secret;

	if (u->name == NULL || *u->name == '\0')
		say(arg, u->line, "users: a user has no name");
	if (u->password != NULL && u->secret != NULL)
		say(arg, u->line, "users: password and secret are both given, "
		    "expected one of them");
	if (text == NULL && method == PG_AUTH_SCRAM)
		say(arg, u->line, "users: there is neither password nor "
		    "secret, expected one, or auth = \"trust\"");
	if (method == PG_AUTH_CERT && !asks_certificates(l))
		say(arg, u->line, "users: auth is \"cert\", and no client is "
		    "asked for one, expected tls.client_auth = \"optional\" or "
		    "\"required\"");
	if (method != PG_AUTH_CERT && u->cert != NULL)
		say(arg, u->line, "users: cert is of no use, expected auth = "
		    "\"cert\"");
	if (text == NULL || u->name == NULL)
		return;
	if (!is_known(f, u, text) && pg_secret_parse(&u->known, text, u->name,
	    pg_auth_mock_key(), &why) < 0) {
		say(arg, u->line, "users: %s", why);
		return;
	}
	is_secret = u->known.kind != PG_SECRET_PLAIN;
	if (u->secret != NULL && !is_secret)
		say(arg, u->line, "users: secret is none, expected "
		    "\"SCRAM-SHA-256$...\" as pg_authid has it, or password");
	else if (u->known.kind == PG_SECRET_MD5 && method == PG_AUTH_SCRAM)
		say(arg, u->line, "users: an MD5 secret cannot be proven by "
		    "SCRAM-SHA-256, expected \"SCRAM-SHA-256$...\" or a "
		    "password");
}

/* Whoever comes in by his certificate has to have shown one. */
static void
prepare_tls(const struct conf_listener *l, conf_say_fn *say, void *arg)
{
	const struct pg_listener_conf *own = l->own;

	if (own->tls == PG_TLS_ALLOW && !l->tls.common.on)
		say(arg, l->line, "tls: \"allow\" without the group tls, "
		    "expected tls = { certificate = ...; }");
	if (own->auth != PG_AUTH_CERT)
		return;
	if (!l->tls.common.on || l->tls.client_auth != TLS_CLIENT_REQUIRED)
		say(arg, l->line, "auth: \"cert\" asks for certificates that "
		    "nobody has to show, expected tls.client_auth = "
		    "\"required\"");
	else if (own->tls == PG_TLS_ALLOW)
		say(arg, l->line, "tls: \"allow\" lets in whom auth = \"cert\" "
		    "does not, expected \"require\"");
	if (own->users.n == 0 && own->users_file.full == NULL)
		say(arg, l->line, "auth: \"cert\" lets in whom it knows, and "
		    "there is nobody, expected users or users_file");
}

static void
prepare(struct conf_listener *l, const struct conf_listener *was,
    conf_say_fn *say, void *arg)
{
	const struct pg_listener_conf *before = was != NULL ? was->own : NULL;
	struct pg_listener_conf *own = l->own;
	struct pg_user *v = own->users.v;
	struct former f = { .v = NULL };
	char why[PG_USERS_WHY_MAX];
	size_t i;

	if (before != NULL)
		f = (struct former){ .v = before->users.v,
		    .n = before->users.n };
	for (i = 0; i < own->users.n; i++)
		prepare_user(l, &v[i], &f, say, arg);
	prepare_tls(l, say, arg);
	for (i = 0; own->auth == PG_AUTH_TRUST && i < l->n_binds; i++)
		if (conf_bind_is_public(&l->binds[i])) {
			say(arg, l->binds[i].line, "auth: \"trust\" on an "
			    "address that others can reach, expected "
			    "\"scram-sha-256\", or auth = \"trust\" of single "
			    "users");
			break;
		}
	if (own->users_file.full == NULL)
		return;
	own->file_users = pg_users_load(own->users_file.full,
	    pg_auth_mock_key(), before != NULL ? before->file_users : NULL,
	    why);
	if (own->file_users == NULL)
		say(arg, l->line, "users_file: %s", why);
}

static void
release(struct conf_listener *l)
{
	struct pg_listener_conf *own = l->own;
	struct pg_user *v = own->users.v;
	size_t i;

	for (i = 0; i < own->users.n; i++)
		pg_secret_fini(&v[i].known);
	pg_users_free(own->file_users);
	own->file_users = NULL;
}

static const char *
file_changed(const void *was, const void *now)
{
	const struct pg_listener_conf *a = was, *b = now;

	return a->file_users == NULL || b->file_users == NULL ||
	    strcmp(a->users_file.full, b->users_file.full) != 0 ||
	    pg_users_alike(a->file_users, b->file_users) ? NULL : "users_file";
}

/* --------------------------------------------------------------- warnings */

static bool
is_empty(const char *text)
{
	return text == NULL || *text == '\0';
}

/* Of a file of users, for its warnings. */
struct useless {
	const struct conf_listener *l;
	conf_say_fn *say;
	void *arg;
	unsigned n;
};

static void
warn_md5(void *arg, const char *user, int line)
{
	struct useless *un = arg;
	const struct pg_listener_conf *own = un->l->own;
	char name[DENIED_NAME];

	/* It has to log in at the server, and no client as it. */
	if (strcmp(user, own->auth_user) == 0)
		return;
	if (un->n++ < USELESS_MOST)
		un->say(un->arg, un->l->line, "users_file: %.300s: line %d: "
		    "nobody can log in as %s, an MD5 secret cannot be proven "
		    "by SCRAM-SHA-256, expected \"SCRAM-SHA-256$...\" or a "
		    "password", own->users_file.full, line,
		    denied_name(user, name));
}

static void
warn_users(const struct conf_listener *l, conf_say_fn *say, void *arg)
{
	const struct pg_listener_conf *own = l->own;
	struct useless un = { l, say, arg, 0 };

	if (own->auth != PG_AUTH_SCRAM || own->file_users == NULL)
		return;
	pg_users_md5(own->file_users, warn_md5, &un);
	if (un.n > USELESS_MOST)
		say(arg, l->line, "users_file: %.300s: %u more have MD5 "
		    "secrets", own->users_file.full, un.n - USELESS_MOST);
}

static void
warn(const struct conf_listener *l, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	const struct pg_upstream_conf *back = u != NULL ? u->own : NULL;
	bool asked = u != NULL && u->health.on && u->health.type == u->proto;

	if (l != NULL)
		warn_users(l, say, arg);
	if (back == NULL || back->target == PG_TARGET_ANY)
		return;
	if (!asked)
		say(arg, u->line, "postgres.target is asked by nobody, "
		    "expected health with type \"postgres\"");
	else if (is_empty(back->check_user) && is_empty(back->user))
		say(arg, u->line, "postgres.target is asked by nobody who may "
		    "log in, expected postgres.check_user or postgres.user");
}

static const char *const defaults[] = {
	"pool.max", "16",
	"pool.max_waiting", "10000",
	"pool.queue_timeout", "60s",
	"pool.idle_timeout", "10m",
	"pool.max_lifetime", "1h",
	"timeouts.idle", "off",
	"tls.alpn", "(postgresql)",
	"upstream.tls.alpn", "(postgresql)",
	NULL
};

static void
session_fini(struct session *s)
{
	struct pg_session *ps = pg_session(s);
	struct pg_statements *all = &pg_lane(s)->statements;

	/* What was set up on a connection of its own goes with it. */
	if (s->kept != NULL) {
		pg_state_leaves(s->kept->u, ps->pins);
		pg_upconn(s->kept->u)->wash.discards = true;
		pg_upconn(s->kept->u)->wash.status = 'I';
		upconn_mark(s->kept->u, MARK_DIRTY, "its client left");
	}
	pg_slot_free(s);
	pg_names_clear(all, &ps->names);
	pg_statement_drop(all, ps->unnamed);
	ps->unnamed = NULL;
	pg_settings_drop(ps->startup);
	pg_settings_drop(ps->settings);
	pg_settings_drop(ps->named);
	pg_settings_drop(ps->named_of);
	/* The log may have something to say of an exchange yet. */
	free(ps->user);
	ps->user = NULL;
	pg_key_free(ps->key);
	ps->key = NULL;
	pg_auth_free(ps->auth);
	ps->auth = NULL;
	pg_console_free(ps->console);
}

const struct proto proto_postgres = {
	.conf = {
		.name = "postgres",
		.spans = CONF_SPAN_SESSION | CONF_SPAN_TRANSACTION,
		.default_mode = "transaction",
		.probes = true,
		.groups = true,
		.server_cap = "max_connections",
		.defaults = defaults,
		.listener_keys = listener_keys,
		.listener_size = sizeof(struct pg_listener_conf),
		.upstream_keys = upstream_keys,
		.upstream_size = sizeof(struct pg_upstream_conf),
		.warn = warn,
		.prepare = prepare,
		.release = release,
		.prepare_upstream = pg_warm_prepare,
		.release_upstream = pg_warm_release,
		.alike = have_same_login,
		.file_changed = file_changed
	},
	.family = FAMILY_POSTGRES,
	.front = &pg_front,
	.back = &pg_back,
	.peer = &pg_peer,
	.probe = &pg_probe,
	.session_size = sizeof(struct pg_session),
	.session_fini = session_fini,
	.exchange_size = sizeof(struct pg_exchange),
	.exchange_zeroed = sizeof(struct pg_exchange),
	.exchange_fini = pg_who_forget,
	.lane_size = sizeof(struct pg_lane),
	.lane_init = pg_lane_init,
	.lane_fini = pg_lane_fini,
	.asked = pg_cancel_from_afar
};
