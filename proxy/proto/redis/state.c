/*
 * Redis: commands that change what a client's connection is (database, user,
 * RESP version). The connection is of many, so what is sent is sent together
 * with what takes it back, and what it changed is kept in the session.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/proto/redis/way.h"

static bool
is_negative(const char *bytes, const struct resp_span *a)
{
	struct resp_span digits = { a->at + 1, a->len - 1 };
	uint32_t n;

	return a->len > 1 && bytes[a->at] == '-' &&
	    way_number(bytes, &digits, &n) && n > 0;
}

/*
 * Only the server knows how many databases there are, so it is asked: on the
 * common connection, and in the same breath told to go back.
 */
void
redis_do_select(struct session *s, struct redis_way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	char to[16], from[16];
	const char *args[] = { "SELECT", to }, *back[] = { "SELECT", from };
	struct exchange *x;
	uint32_t db;

	if (rs->command.argc != 2) {
		way_refuse(s, way, "-ERR wrong number of arguments for "
		    "'select' command");
		return;
	}
	if (!way_number(bytes, &rs->command.arg[1], &db)) {
		way_refuse(s, way, is_negative(bytes, &rs->command.arg[1]) ?
		    "-ERR DB index is out of range" :
		    "-ERR value is not an integer or out of range");
		return;
	}
	snprintf(to, sizeof(to), "%u", (unsigned)db);
	snprintf(from, sizeof(from), "%u", (unsigned)rs->who.db);
	rs->has_multi_db = rs->in_multi;
	rs->multi_db = db;
	x = way_rewrite(s, way, 2, args, back);
	if (x == NULL)
		return;
	redis_of(x)->db = db;
	way_go(x);
}

/* Login of AUTH or HELLO, its parts in texts of their own. */
struct login {
	char *user, *password;          /* user NULL: the default one */
};

static void
login_fini(struct login *l)
{
	if (l->password != NULL)
		explicit_bzero(l->password, strlen(l->password));
	free(l->user);
	free(l->password);
}

/* How long it takes does not tell how much of it is right. */
static bool
is_same(const char *given, const char *expected)
{
	size_t n = strlen(given), m = strlen(expected), i;
	unsigned differ = n != m;

	for (i = 0; i < n; i++)
		differ |= (unsigned char)given[i] ^
		    (unsigned char)expected[m == 0 ? 0 : i % m];
	return differ == 0;
}

static bool
is_right(const struct session *s, const struct login *l)
{
	const struct redis_listener_conf *conf = redis_conf(s);
	const struct redis_upstream_conf *up = s->door->conf->upstream->own;
	const char *user = conf->password != NULL ? conf->user : up->user;
	const char *password = conf->password != NULL ? conf->password :
	    up->password;

	if (user == NULL || *user == '\0')
		user = "default";
	return password != NULL && *password != '\0' &&
	    is_same(l->password, password) &&
	    is_same(l->user != NULL ? l->user : "default", user);
}

/* Who the client wants to be. NULL: out of memory. */
static struct redis_identity *
wanted(const struct session *s, const struct login *l)
{
	const struct redis_identity *now = &redis_session(s)->who;
	struct redis_identity *who = calloc(1, sizeof(*who));

	if (who != NULL && redis_identity_set(who, now->db, now->resp, l->user,
	    l->password) < 0) {
		free(who);
		return NULL;
	}
	return who;
}

/* NUL would end it early, for weir and not for the server. */
static bool
read_login(const char *bytes, const struct resp_span *user,
    const struct resp_span *password, struct login *out)
{
	*out = (struct login){ NULL, NULL };
	if (memchr(bytes + password->at, '\0', password->len) != NULL ||
	    (user != NULL &&
	    memchr(bytes + user->at, '\0', user->len) != NULL))
		return false;
	out->password = strndup(bytes + password->at, password->len);
	if (user != NULL)
		out->user = strndup(bytes + user->at, user->len);
	return out->password != NULL && (user == NULL || out->user != NULL);
}

/* Redis's own (acl.c). */
const char redis_wrong_pass[] =
    "-WRONGPASS invalid username-password pair or user is disabled.";

/* It is an exchange that fails, so that it stands wherever failures do. Its
   password is not kept. */
static void
refuse_login(struct session *s, const struct redis_way *way,
    const struct login *l)
{
	static const char why[] = "wrong password, or no such user";
	const char *user = l->user != NULL ? l->user : "default";
	struct exchange *x = way_begin(s, way);
	struct redis_identity *who;

	denied_client(s, user, "%s", why);
	if (x == NULL) {
		count_add(&s->door->failures[FAIL_AUTH], 1);
		return;
	}
	who = calloc(1, sizeof(*who));
	if (who != NULL && redis_identity_set(who, 0, 2, user, NULL) < 0) {
		free(who);
		who = NULL;
	}
	redis_of(x)->who = who;
	x->said = why;
	count_add(&s->door->requests, 1);
	redis_command_taken(s);
	exchange_fail(x, FAIL_AUTH);
}

/* By the listener's word on logins: may it go on? If not it has been told. With
   "forward" *who is to be tried, by whom it concerns. */
static bool
check_login(struct session *s, const struct redis_way *way,
    const struct login *l, struct redis_identity **who)
{
	struct redis_session *rs = redis_session(s);

	*who = NULL;
	switch ((enum redis_auth)redis_conf(s)->auth) {
	case REDIS_AUTH_IGNORE:
		return true;
	case REDIS_AUTH_CHECK:
		if (!is_right(s, l)) {
			refuse_login(s, way, l);
			return false;
		}
		rs->let_in = true;
		return true;
	case REDIS_AUTH_FORWARD:
		break;
	}
	if (s->kept != NULL) {
		redis_say(s, "-ERR weir: AUTH is not possible while the "
		    "connection is pinned");
		return false;
	}
	*who = wanted(s, l);
	if (*who == NULL)
		redis_say(s, "-ERR weir: out of memory");
	return *who != NULL;
}

/* A lease of that identity is all it takes: the connection has logged in. */
void
redis_do_auth(struct session *s, const struct redis_way *way,
    const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	const struct resp_command *c = &rs->command;
	struct redis_identity *who;
	struct exchange *x;
	struct login l;
	bool good;

	if (c->argc != 2 && c->argc != 3) {
		way_wrong_arity(s, "auth");
		return;
	}
	if (!read_login(bytes, c->argc == 3 ? &c->arg[1] : NULL,
	    &c->arg[c->argc - 1], &l)) {
		login_fini(&l);
		redis_say(s, "%s", redis_wrong_pass);
		return;
	}
	good = check_login(s, way, &l, &who);
	login_fini(&l);
	if (!good)
		return;
	if (who == NULL) {
		redis_say(s, "+OK");
		return;
	}
	x = way_begin(s, way);
	if (x == NULL) {
		redis_identity_fini(who);
		free(who);
		return;
	}
	buf_drop(&s->conn.w->blocks, &s->conn.in,
	    (size_t)redis_of(x)->piped.size);
	redis_of(x)->piped.size = 0;
	redis_of(x)->piped.bars = true;
	redis_of(x)->who = who;
	way_go(x);
}

/* What HELLO asks for. */
struct hello {
	uint32_t version;
	bool has_login;
	struct login login;
	struct resp_span name;          /* len 0: none, or an empty one */
	bool has_name;
};

/* False: malformed, and it has been told. */
static bool
read_hello(struct session *s, const char *bytes, struct hello *h)
{
	struct redis_session *rs = redis_session(s);
	struct resp_span a, b;
	struct resp_args args;

	*h = (struct hello){ .version = rs->who.resp };
	resp_args_init(&args, bytes, (size_t)rs->command.size);
	(void)resp_args_next(&args, &a);
	if (resp_args_next(&args, &a)) {
		if (!way_number(bytes, &a, &h->version)) {
			redis_say(s, "-ERR Protocol version is not an integer "
			    "or out of range");
			return false;
		}
		if (h->version < 2 || h->version > 3) {
			redis_say(s, "-NOPROTO unsupported protocol version");
			return false;
		}
	}
	while (resp_args_next(&args, &a)) {
		if (way_is_word(bytes, &a, "auth") && !h->has_login &&
		    resp_args_next(&args, &a) && resp_args_next(&args, &b) &&
		    read_login(bytes, &a, &b, &h->login)) {
			h->has_login = true;
		} else if (way_is_word(bytes, &a, "setname") &&
		    resp_args_next(&args, &h->name)) {
			h->has_name = true;
		} else {
			redis_say(s, "-ERR Syntax error in HELLO option "
			    "'%.*s'", (int)(a.len > 64 ? 64 : a.len),
			    bytes + a.at);
			return false;
		}
	}
	return true;
}

void
redis_do_hello(struct session *s, const struct redis_way *way,
    const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	char to[4], from[4];
	const char *args[] = { "HELLO", to }, *back[] = { "HELLO", from };
	struct redis_identity *who = NULL;
	struct exchange *x;
	struct hello h;

	if (!read_hello(s, bytes, &h) ||
	    (h.has_login && !check_login(s, way, &h.login, &who))) {
		login_fini(&h.login);
		return;
	}
	login_fini(&h.login);
	if (!rs->let_in) {
		redis_say(s, "-NOAUTH HELLO must be called with the client "
		    "already authenticated, otherwise the HELLO <proto> AUTH "
		    "<user> <pass> option can be used to authenticate the "
		    "client and select the RESP protocol version at the same "
		    "time");
		return;
	}
	if (h.has_name && !redis_name_set(s, bytes + h.name.at, h.name.len))
		return;
	snprintf(to, sizeof(to), "%u", (unsigned)h.version);
	snprintf(from, sizeof(from), "%u", (unsigned)rs->who.resp);
	x = way_rewrite(s, way, 2, args, back);
	if (x == NULL) {
		if (who != NULL)
			redis_identity_fini(who);
		free(who);
		return;
	}
	redis_of(x)->resp = (uint8_t)h.version;
	redis_of(x)->piped.holds = true;
	redis_of(x)->who = who;
	way_go(x);
}

/* As if it had just come; what is pinned is washed. */
void
redis_do_reset(struct session *s)
{
	if (s->kept != NULL) {
		redis_undo_pins(s, "reset");
		pipeline_unpin(s);
	}
	if (redis_session_reset(s) < 0)
		redis_say(s, "-ERR weir: out of memory");
	else
		redis_say(s, "+RESET");
}

