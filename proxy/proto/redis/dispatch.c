/*
 * Redis: what becomes of a client's command.
 *
 * Most go among those of others. One that may wait, or begins a state that
 * lasts, first lets the answers come that are due, and then has a connection of
 * its own. What is about the client's own connection is answered here, or sent
 * together with what takes it back.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/redis/redis.h"

static unsigned
bit(enum redis_pin pin)
{
	return 1u << pin;
}

void
redis_command_taken(struct session *s)
{
	struct redis_session *rs = redis_session(s);

	rs->is_whole = false;
	resp_command_init(&rs->command);
}

/* ------------------------------------------------------------------ sending */

/* How a command is to go. */
struct way {
	const struct redis_command *row;
	bool alone, waits, dirties;
	uint16_t pins;
	uint32_t replies;               /* 0: known when its turn has come */
	bool uncounted;
};

/* The command, which is in the input, becomes an exchange; NULL: it could not. */
static struct exchange *
begin(struct session *s, const struct way *way)
{
	struct redis_session *rs = redis_session(s);
	struct exchange *x = pipeline_begin(s);
	struct redis_exchange *rx;

	if (x == NULL) {
		session_reset(s);
		return NULL;
	}
	rx = redis_of(x);
	rx->row = way->row;
	rx->is_alone = way->alone;
	rx->waits = way->waits;
	rx->dirties = way->dirties;
	rx->pins = way->pins;
	rx->replies = way->replies;
	rx->uncounted = way->uncounted;
	rx->silent = redis_is_silent(s);
	rx->piped.size = rs->command.size;
	x->up_end = true;
	return x;
}

static void
go(struct exchange *x)
{
	redis_command_taken(x->s);
	exchange_route(x, x->policy->upstream);
}

static void
send_as(struct session *s, const struct way *way)
{
	struct exchange *x = begin(s, way);

	if (x == NULL)
		return;
	redis_of(x)->piped.keeps = way->row != NULL && !way->row->write &&
	    !way->alone && way->row->how == REDIS_SHARED && s->kept == NULL &&
	    pipeline_of(s)->under_way == 1;
	go(x);
}

/* Written anew in place of what the client has sent, and, on a connection of
   many, followed by what takes it back. Then go(). */
static struct exchange *
rewrite(struct session *s, const struct way *way, unsigned n,
    const char *const *args, const char *const *back)
{
	struct exchange *x = begin(s, way);
	struct block_store *store = &s->conn.w->blocks;

	if (x == NULL)
		return NULL;
	buf_drop(store, &s->conn.in, (size_t)redis_of(x)->piped.size);
	redis_of(x)->piped.size = 0;
	redis_of(x)->piped.bars = true;
	if (redis_write(store, &x->up, n, args) < 0 ||
	    (s->kept == NULL && redis_write(store, &x->up, 2, back) < 0)) {
		session_reset(s);
		return NULL;
	}
	return x;
}

/* --------------------------------------------------------- connection state */

static bool
is_word(const char *bytes, const struct resp_span *a, const char *word)
{
	return a->len == strlen(word) &&
	    strncasecmp(bytes + a->at, word, a->len) == 0;
}

/* As string2ll() of Redis: no plus, no leading zeros. */
static bool
read_number(const char *bytes, const struct resp_span *a, uint32_t *out)
{
	const char *p = bytes + a->at;
	uint32_t i;

	if (a->len == 0 || a->len > 9 || (p[0] == '0' && a->len > 1))
		return false;
	for (*out = 0, i = 0; i < a->len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		*out = *out * 10 + (uint32_t)(p[i] - '0');
	}
	return true;
}

static bool
is_negative(const char *bytes, const struct resp_span *a)
{
	struct resp_span digits = { a->at + 1, a->len - 1 };
	uint32_t n;

	return a->len > 1 && bytes[a->at] == '-' &&
	    read_number(bytes, &digits, &n) && n > 0;
}

static void
wrong_arity(struct session *s, const char *name)
{
	redis_say(s, "-ERR wrong number of arguments for '%s' command", name);
}

/*
 * Only the server knows how many databases there are, so it is asked: on the
 * common connection, and in the same breath told to go back.
 */
static void
do_select(struct session *s, struct way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	char to[16], from[16];
	const char *args[] = { "SELECT", to }, *back[] = { "SELECT", from };
	struct exchange *x;
	uint32_t db;

	if (rs->command.argc != 2) {
		wrong_arity(s, "select");
		return;
	}
	if (!read_number(bytes, &rs->command.arg[1], &db)) {
		redis_say(s, is_negative(bytes, &rs->command.arg[1]) ?
		    "-ERR DB index is out of range" :
		    "-ERR value is not an integer or out of range");
		return;
	}
	snprintf(to, sizeof(to), "%u", (unsigned)db);
	snprintf(from, sizeof(from), "%u", (unsigned)rs->who.db);
	rs->has_multi_db = rs->in_multi;
	rs->multi_db = db;
	x = rewrite(s, way, 2, args, back);
	if (x == NULL)
		return;
	redis_of(x)->db = db;
	go(x);
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

static const char wrong_pass[] =
    "-WRONGPASS invalid username-password pair or user is disabled.";

/* By the listener's word on logins: may it go on? If not it has been told. With
   "forward" *who is to be tried, by whom it concerns. */
static bool
check_login(struct session *s, const struct login *l,
    struct redis_identity **who)
{
	struct redis_session *rs = redis_session(s);

	*who = NULL;
	switch ((enum redis_auth)redis_conf(s)->auth) {
	case REDIS_AUTH_IGNORE:
		return true;
	case REDIS_AUTH_CHECK:
		rs->let_in = is_right(s, l);
		if (!rs->let_in)
			redis_say(s, "%s", wrong_pass);
		return rs->let_in;
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
static void
do_auth(struct session *s, struct way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	const struct resp_command *c = &rs->command;
	struct redis_identity *who;
	struct exchange *x;
	struct login l;
	bool good;

	if (c->argc != 2 && c->argc != 3) {
		wrong_arity(s, "auth");
		return;
	}
	if (!read_login(bytes, c->argc == 3 ? &c->arg[1] : NULL,
	    &c->arg[c->argc - 1], &l)) {
		login_fini(&l);
		redis_say(s, "%s", wrong_pass);
		return;
	}
	good = check_login(s, &l, &who);
	login_fini(&l);
	if (!good)
		return;
	if (who == NULL) {
		redis_say(s, "+OK");
		return;
	}
	x = begin(s, way);
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
	go(x);
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
		if (!read_number(bytes, &a, &h->version)) {
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
		if (is_word(bytes, &a, "auth") && !h->has_login &&
		    resp_args_next(&args, &a) && resp_args_next(&args, &b) &&
		    read_login(bytes, &a, &b, &h->login)) {
			h->has_login = true;
		} else if (is_word(bytes, &a, "setname") &&
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

static void
do_hello(struct session *s, struct way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	char to[4], from[4];
	const char *args[] = { "HELLO", to }, *back[] = { "HELLO", from };
	struct redis_identity *who = NULL;
	struct exchange *x;
	struct hello h;

	if (!read_hello(s, bytes, &h) ||
	    (h.has_login && !check_login(s, &h.login, &who))) {
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
	x = rewrite(s, way, 2, args, back);
	if (x == NULL) {
		if (who != NULL)
			redis_identity_fini(who);
		free(who);
		return;
	}
	redis_of(x)->resp = (uint8_t)h.version;
	redis_of(x)->piped.holds = true;
	redis_of(x)->who = who;
	go(x);
}

/* As if it had just come; what is pinned is washed. */
static void
do_reset(struct session *s)
{
	struct upconn *u = s->kept != NULL ? s->kept->u : NULL;

	if (u != NULL) {
		upconn_mark(u, redis_session(s)->pins & bit(REDIS_PIN_MONITOR) ?
		    MARK_BROKEN : MARK_DIRTY, "reset");
		pipeline_unpin(s);
	}
	if (redis_session_reset(s) < 0)
		redis_say(s, "-ERR weir: out of memory");
	else
		redis_say(s, "+RESET");
}

/* ---------------------------------------------------------------- whole MULTI */

/*
 * A transaction that is in the input from MULTI to EXEC goes out in one piece
 * on a connection of many: nobody's command can come between. How long it is,
 * or 0: it is not all there, or has something in it that lasts.
 */
static size_t
transaction_size(struct session *s, uint32_t *replies)
{
	const struct redis_session *rs = redis_session(s);
	size_t most = s->conn.in.len, at = (size_t)rs->command.size, used;
	const char *bytes;

	if (most > (size_t)redis_conf(s)->share_max)
		most = (size_t)redis_conf(s)->share_max;
	bytes = buf_flat(&s->conn.w->blocks, &s->conn.in, most);
	if (bytes == NULL)
		return 0;
	for (*replies = 1; at < most; ) {
		const struct redis_command *row;
		const char *p = bytes + at;
		struct resp_command c;

		resp_command_init(&c);
		if (resp_command_feed(&c, p, most - at, &used) != PARSE_DONE ||
		    c.is_inline || c.argc == 0)
			return 0;
		row = redis_command_find(p + c.arg[0].at, c.arg[0].len,
		    c.argc > 1 ? p + c.arg[1].at : NULL,
		    c.argc > 1 ? c.arg[1].len : 0);
		at += used;
		++*replies;
		if (row != NULL && (row->op == REDIS_OP_EXEC ||
		    row->op == REDIS_OP_DISCARD) && c.argc == 1)
			return at;
		if (row == NULL || row->how != REDIS_SHARED)
			return 0;
	}
	return 0;
}

/* --------------------------------------------------------------- what lasts */

static void
promote(struct session *s, struct way *way, enum redis_pin why)
{
	way->alone = true;
	way->pins = (uint16_t)bit(why);
	send_as(s, way);
}

static bool
do_multi(struct session *s, struct way *way)
{
	struct redis_session *rs = redis_session(s);
	uint32_t replies = 0;
	size_t size = s->kept == NULL && rs->command.argc == 1 &&
	    rs->replies == REDIS_REPLIES_ON ? transaction_size(s, &replies) : 0;

	if (size > 0) {
		way->replies = replies;
		rs->command.size = size;
		send_as(s, way);
		return true;
	}
	if (rs->command.argc != 1 || rs->in_multi) {
		way->alone = s->kept != NULL;
		send_as(s, way);        /* the server says what is wrong */
		return true;
	}
	if (!pipeline_may_promote(s))
		return false;
	rs->in_multi = true;
	promote(s, way, REDIS_PIN_MULTI);
	return true;
}

/* SUBSCRIBE and its kin are answered once for each channel. */
static void
do_subscribe(struct session *s, struct way *way)
{
	uint32_t argc = redis_session(s)->command.argc;

	way->replies = argc > 1 ? argc - 1 : 1;
	promote(s, way, REDIS_PIN_SUBSCRIBE);
}

static void
do_unsubscribe(struct session *s, struct way *way)
{
	uint32_t argc = redis_session(s)->command.argc;

	way->replies = argc > 1 ? argc - 1 : s->kept != NULL ? 0 : 1;
	way->alone = s->kept != NULL;
	send_as(s, way);
}

/* What follows is read by the server as it is, and answered between its lines:
   no reply is counted any more. */
static void
do_monitor(struct session *s, struct way *way)
{
	promote(s, way, REDIS_PIN_MONITOR);
}

static bool
has_word(struct session *s, const char *bytes, const char *word)
{
	struct resp_args args;
	struct resp_span a;

	resp_args_init(&args, bytes, (size_t)redis_session(s)->command.size);
	while (resp_args_next(&args, &a))
		if (is_word(bytes, &a, word))
			return true;
	return false;
}

/*
 * The server is not told. Its replies are what says that a command has been
 * carried out, and weir wants to know; the client is spared them. Who is not
 * answered is not slowed down by answers either: so his commands go on a
 * connection of his own, if there is one.
 */
static void
do_reply(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	const struct resp_span *a = &rs->command.arg[2];
	bool off, skip;

	if (rs->command.argc != 3) {
		wrong_arity(s, "client|reply");
		return;
	}
	off = is_word(bytes, a, "off");
	skip = is_word(bytes, a, "skip");
	if (!off && !skip) {
		if (is_word(bytes, a, "on")) {
			rs->replies = REDIS_REPLIES_ON;
			redis_unpin(s, REDIS_PIN_REPLY);
		}
		redis_say(s, is_word(bytes, a, "on") ? "+OK" :
		    "-ERR syntax error");
		return;
	}
	redis_answer(s, "", 0);
	/* SKIP within OFF is nothing (networking.c). */
	if (off || rs->replies == REDIS_REPLIES_ON)
		rs->replies = off ? REDIS_REPLIES_OFF : REDIS_REPLIES_SKIP;
}

/* One with ON and OFF. */
static void
do_switch(struct session *s, struct way *way, const char *bytes)
{
	const struct redis_command *row = way->row;

	if (row->op == REDIS_OP_CLIENT_TRACKING &&
	    has_word(s, bytes, "redirect"))
		redis_say(s, "-ERR weir: REDIRECT is not available through a "
		    "pool: clients share connections");
	else if (redis_session(s)->command.argc >= 3 &&
	    is_word(bytes, &redis_session(s)->command.arg[2], "on"))
		promote(s, way, row->pin);
	else
		send_as(s, way);
}

/* ----------------------------------------------------------------- dispatch */

/* False: it has to wait. */
static bool
do_pins(struct session *s, struct way *way, const char *bytes)
{
	if (way->row->op == REDIS_OP_MULTI)
		return do_multi(s, way);
	if (!pipeline_may_promote(s))
		return false;
	switch (way->row->op) {
	case REDIS_OP_SUBSCRIBE:
	case REDIS_OP_PSUBSCRIBE:
	case REDIS_OP_SSUBSCRIBE:
		do_subscribe(s, way);
		break;
	case REDIS_OP_MONITOR:
		do_monitor(s, way);
		break;
	case REDIS_OP_CLIENT_TRACKING:
	case REDIS_OP_CLIENT_NO_EVICT:
	case REDIS_OP_CLIENT_NO_TOUCH:
		do_switch(s, way, bytes);
		break;
	default:
		/* Nobody knows what it does. */
		if (redis_conf(s)->unknown == REDIS_UNKNOWN_SHARE)
			send_as(s, way);
		else
			promote(s, way, way->row->pin);
	}
	return true;
}

static void
do_ends(struct session *s, struct way *way)
{
	switch (way->row->op) {
	case REDIS_OP_UNSUBSCRIBE:
	case REDIS_OP_PUNSUBSCRIBE:
	case REDIS_OP_SUNSUBSCRIBE:
		do_unsubscribe(s, way);
		return;
	case REDIS_OP_EXEC:
	case REDIS_OP_DISCARD:
		redis_session(s)->in_multi = false;
		break;
	default:
		break;
	}
	way->alone = s->kept != NULL;
	send_as(s, way);
}

/* In a transaction the answer's place is in the server's: let it say the name
   that only weir knows. */
static void
send_name(struct session *s, struct way *way)
{
	const char *args[] = { "ECHO", redis_session(s)->name };
	struct exchange *x = rewrite(s, way, 2, args, args);

	if (x != NULL)
		go(x);
}

static bool
do_ours(struct session *s, struct way *way, const char *bytes)
{
	struct redis_session *rs = redis_session(s);

	way->alone = s->kept != NULL;
	/* What is under way was asked for by whom the client was. */
	if ((way->row->op == REDIS_OP_RESET || way->row->op == REDIS_OP_AUTH ||
	    way->row->op == REDIS_OP_SELECT ||
	    way->row->op == REDIS_OP_HELLO) && !rs->in_multi &&
	    !list_empty(&s->exchanges))
		return false;
	switch (way->row->op) {
	case REDIS_OP_SELECT:
		do_select(s, way, bytes);
		return true;
	case REDIS_OP_AUTH:
		do_auth(s, way, bytes);
		return true;
	case REDIS_OP_HELLO:
		do_hello(s, way, bytes);
		return true;
	case REDIS_OP_RESET:
		if (!list_empty(&s->exchanges))
			return false;
		do_reset(s);
		return true;
	case REDIS_OP_QUIT:
		redis_say(s, "+OK");
		s->leaving = true;
		return true;
	case REDIS_OP_CLIENT_REPLY:
		do_reply(s, bytes);
		return true;
	case REDIS_OP_CLIENT_GETNAME:
		if (rs->in_multi) {
			send_name(s, way);
			return true;
		}
		break;
	default:
		break;
	}
	redis_answer_client(s, way->row, bytes);
	return true;
}

enum { REFUSAL_MAX = 160 };

/* What neither goes upstream nor is looked at further, and in which words. */
static bool
is_refused(const struct session *s, const struct redis_command *row,
    char out[REFUSAL_MAX])
{
	const struct redis_session *rs = redis_session(s);
	enum redis_op op = row != NULL ? row->op : REDIS_OP_NONE;

	if (!rs->let_in && op != REDIS_OP_AUTH && op != REDIS_OP_HELLO &&
	    op != REDIS_OP_QUIT && op != REDIS_OP_RESET) {
		snprintf(out, REFUSAL_MAX, "-NOAUTH Authentication required.");
		return true;
	}
	if (row == NULL)
		return false;
	if (row->how == REDIS_REFUSED) {
		snprintf(out, REFUSAL_MAX, "-ERR weir: '%s' is not available "
		    "through a pool", row->name);
		return true;
	}
	/* In a transaction it would be queued, and be carried out where only
	   the server sees what comes of it. */
	if (rs->in_multi && ((row->how == REDIS_OURS &&
	    op != REDIS_OP_SELECT && op != REDIS_OP_RESET &&
	    op != REDIS_OP_QUIT && (op != REDIS_OP_CLIENT_GETNAME ||
	    rs->name == NULL)) || (row->how == REDIS_PINS &&
	    op != REDIS_OP_MULTI && op != REDIS_OP_WATCH))) {
		snprintf(out, REFUSAL_MAX, "-ERR weir: '%s' is not available "
		    "inside MULTI through a pool", row->name);
		return true;
	}
	return false;
}

/* After MONITOR, and as long as it lasts, replies are lines among lines. */
static bool
is_monitoring(const struct session *s)
{
	return (redis_session(s)->pins & bit(REDIS_PIN_MONITOR)) != 0;
}

static const struct redis_command *
row_of(const struct resp_command *c, const char *bytes)
{
	if (c->argc == 0 || c->args == 0)
		return NULL;
	return redis_command_find(bytes + c->arg[0].at, c->arg[0].len,
	    c->args > 1 ? bytes + c->arg[1].at : NULL,
	    c->args > 1 ? c->arg[1].len : 0);
}

static bool
do_unknown(struct session *s, struct way *way)
{
	if (redis_conf(s)->unknown == REDIS_UNKNOWN_PIN) {
		if (!pipeline_may_promote(s))
			return false;
		way->alone = true;
		way->dirties = true;
	}
	send_as(s, way);
	return true;
}

/* Nobody would wait for it: for what is not worth an error. */
static bool
may_pin(const struct session *s)
{
	const struct pool *p = redis_pool(s);

	return atomic_load(&p->upstream->pins) <
	    atomic_load(&p->upstream->pins_most);
}

bool
redis_dispatch(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	struct way way = { .row = row_of(&rs->command, bytes), .replies = 1 };
	const struct redis_command *row = way.row;
	char refusal[REFUSAL_MAX];

	if (is_refused(s, row, refusal)) {
		redis_say(s, "%s", refusal);
		return true;
	}
	if (is_monitoring(s) && (row == NULL || (row->op != REDIS_OP_QUIT &&
	    row->op != REDIS_OP_RESET))) {
		way.uncounted = way.alone = true;
		send_as(s, &way);
		return true;
	}
	if (row == NULL)
		return do_unknown(s, &way);
	if (rs->replies == REDIS_REPLIES_OFF && s->kept == NULL &&
	    row->how == REDIS_SHARED && may_pin(s)) {
		if (!pipeline_may_promote(s))
			return false;
		promote(s, &way, REDIS_PIN_REPLY);
		return true;
	}
	switch (row->how) {
	case REDIS_SHARED:
		break;
	case REDIS_ALONE:
	case REDIS_BLOCKS:
		if (rs->in_multi || (row->how == REDIS_BLOCKS &&
		    !redis_command_blocks(row, bytes,
		    (size_t)rs->command.size)))
			break;
		if (!pipeline_may_promote(s))
			return false;
		way.alone = true;
		way.waits = row->how == REDIS_BLOCKS;
		break;
	case REDIS_PINS:
		return do_pins(s, &way, bytes);
	case REDIS_ENDS:
		do_ends(s, &way);
		return true;
	case REDIS_OURS:
		return do_ours(s, &way, bytes);
	case REDIS_REFUSED:
		return true;
	}
	send_as(s, &way);
	return true;
}

/* Told now; what is still to come of it will be read and forgotten. */
static void
refuse_large(struct session *s, const char *text)
{
	struct redis_session *rs = redis_session(s);
	struct exchange *x = pipeline_begin(s);

	rs->discards = true;
	buf_drop(&s->conn.w->blocks, &s->conn.in, (size_t)rs->command.size);
	if (x == NULL || buf_append(exchange_blocks(x), &x->down, text,
	    strlen(text)) < 0 || buf_append(exchange_blocks(x), &x->down,
	    "\r\n", 2) < 0)
		session_reset(s);
	else
		pipeline_answer(x);
}

/* Only what is an ordinary command may be that large. */
void
redis_dispatch_large(struct session *s, const char *bytes)
{
	struct redis_session *rs = redis_session(s);
	struct way way = { .row = row_of(&rs->command, bytes), .replies = 1,
	    .alone = true };
	const struct redis_command *row = way.row;
	char refusal[REFUSAL_MAX];
	struct exchange *x;

	if (is_refused(s, row, refusal)) {
		refuse_large(s, refusal);
		return;
	}
	if (rs->command.is_inline || rs->command.args == 0 ||
	    (row != NULL && row->how != REDIS_SHARED &&
	    row->how != REDIS_BLOCKS)) {
		refuse_large(s, "-ERR weir: this command is larger than "
		    "redis.share_max, and only ordinary ones may be");
		return;
	}
	way.dirties = row == NULL;
	way.waits = row != NULL && row->how == REDIS_BLOCKS && !rs->in_multi;
	x = begin(s, &way);
	if (x == NULL)
		return;
	redis_of(x)->piped.streams = true;
	rs->large = x;
	exchange_route(x, x->policy->upstream);
}
