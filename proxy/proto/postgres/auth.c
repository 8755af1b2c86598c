/*
 * Who a client is: trusted, named by the certificate that it has shown, or
 * asked for the proof of SCRAM-SHA-256 (PostgreSQL 55.3.1), bound to weir's own
 * certificate where it can. Who is known stands in the file, in a file of users,
 * or is asked of the server (ask.c). Nobody is told which users there are: one
 * who is not known is asked likewise, and fails likewise.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/denied.h"
#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/console.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/tls.h"

/* Why nobody can log in as that. */
static const char no_user[] = "no such user";
static const char no_entry[] = "no entry for database";         /* "shop" */
static const char no_secret[] = "it has no password here";
static const char only_md5[] = "its secret is MD5, which nobody can prove here";

static const char mechanism[] = "SCRAM-SHA-256";
static const char mechanism_plus[] = "SCRAM-SHA-256-PLUS";

enum {
	MESSAGE_MOST = PG_SCRAM_MESSAGE_MOST + 64,
	WHY_MOST = DENIED_NAME + 64
};

static struct block_store *
store_of(const struct session *s)
{
	return &s->conn.w->blocks;
}

void
pg_auth_free(struct pg_auth *a)
{
	if (a == NULL)
		return;
	pg_scram_server_fini(&a->scram);
	explicit_bzero(&a->secret, sizeof(a->secret));
	if (a->answer != NULL)
		pg_secret_fini(a->answer);
	free(a->answer);
	pg_key_free(a->query_key);
	free(a->user);
	free(a->database);
	free(a);
}

static void
no_memory(struct session *s)
{
	pg_say_fatal(s, "53200", "weir: out of memory");
}

void
pg_auth_refuse(struct session *s, const char *user, const char *database,
    const char *why, const char *code, const char *fmt, ...)
{
	struct exchange *x = exchange_new(s);
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	denied_client(s, user, "%s", why);
	if (x == NULL) {
		count_add(&s->door->failures[FAIL_AUTH], 1);
		pg_say_fatal(s, code, "%s", text);
		return;
	}
	pg_of(x)->purpose = PG_FOR_GREETING;
	pg_who_logs_in(x, user, database);
	x->said = why;
	if (pg_put_report(store_of(s), &s->conn.out, 'E', "FATAL", code, "%s",
	    text) < 0) {
		session_reset_for(s, FAIL_AUTH);
		return;
	}
	pg_of(x)->fatal = true;
	exchange_fail(x, FAIL_AUTH);
}

/* No entry that is for this database. */
static void
say_no_entry(const char *database, char *why, size_t size)
{
	char name[DENIED_NAME];

	snprintf(why, size, "%s %s", no_entry, denied_name(database, name));
}

/* What the log has of it, the client is not told. */
static void
is_refused(struct session *s)
{
	const struct pg_auth *a = pg_session(s)->auth;
	char why[WHY_MOST];

	if (a->flaw == no_entry)
		say_no_entry(a->database, why, sizeof(why));
	else
		snprintf(why, sizeof(why), "%s", a->flaw != NULL ? a->flaw :
		    "wrong password");
	pg_auth_refuse(s, a->user, a->database, why, "28P01", "password "
	    "authentication failed for user \"%.64s\"", a->user);
}

/* ---------------------------------------------------------------- who is it */

static const struct pg_user *
record_of(const struct pg_listener_conf *conf, const char *user,
    const char *database)
{
	const struct pg_user *v = conf->users.v;
	size_t i;

	for (i = 0; i < conf->users.n; i++)
		if (strcmp(v[i].name, user) == 0 &&
		    (strcmp(v[i].database, "*") == 0 ||
		    strcmp(v[i].database, database) == 0))
			return &v[i];
	return NULL;
}

static bool
is_named(const struct pg_listener_conf *conf, const char *user)
{
	const struct pg_user *v = conf->users.v;
	size_t i;

	for (i = 0; i < conf->users.n; i++)
		if (strcmp(v[i].name, user) == 0)
			return true;
	return false;
}

static const char *
flaw_of(const struct pg_listener_conf *conf, const char *user,
    const struct pg_secret *secret)
{
	if (secret == NULL)
		return is_named(conf, user) ? no_entry : no_user;
	switch (secret->kind) {
	case PG_SECRET_NONE:
		return no_secret;
	case PG_SECRET_MD5:
		return only_md5;
	case PG_SECRET_PLAIN:
	case PG_SECRET_SCRAM:
		break;
	}
	return NULL;
}

enum pg_auth_method
pg_auth_method_of(const struct pg_listener_conf *conf, const struct pg_user *u)
{
	switch ((enum pg_user_auth)u->auth) {
	case PG_USER_LISTENER:
		break;
	case PG_USER_TRUST:
		return PG_AUTH_TRUST;
	case PG_USER_SCRAM:
		return PG_AUTH_SCRAM;
	case PG_USER_CERT:
		return PG_AUTH_CERT;
	}
	return (enum pg_auth_method)conf->auth;
}

const struct pg_secret *
pg_auth_known(const struct pg_listener_conf *conf, const char *user,
    const char *database)
{
	const struct pg_user *u = record_of(conf, user, database);

	if (u != NULL)
		return &u->known;
	return conf->file_users != NULL ?
	    pg_users_find(conf->file_users, user) : NULL;
}

enum pg_auth_method
pg_auth_asks(const struct pg_listener_conf *conf, const char *user,
    const char *database)
{
	const struct pg_user *u = record_of(conf, user, database);

	return u != NULL ? pg_auth_method_of(conf, u) :
	    (enum pg_auth_method)conf->auth;
}

/* ------------------------------------------------------------------- let in */

/* What weir shows the server: its own login if it has one, else the password or
   the keys of the client. */
struct pg_key *
pg_auth_key(const struct conf_upstream *up, const char *user,
    const char *database, const struct pg_secret *secret,
    const struct pg_scram_keys *keys)
{
	const struct pg_upstream_conf *back = pg_back_conf(up);

	if (back->user != NULL && *back->user != '\0')
		return pg_key_new(back->user, database,
		    back->password != NULL ? PG_KEY_PASSWORD : PG_KEY_PLAIN,
		    back->password, back->password != NULL ?
		    strlen(back->password) : 0);
	if (secret != NULL && secret->kind == PG_SECRET_PLAIN)
		return pg_key_new(user, database, PG_KEY_PASSWORD,
		    secret->text, strlen(secret->text));
	if (secret != NULL && secret->kind == PG_SECRET_MD5)
		return pg_key_new(user, database, PG_KEY_MD5, secret->text,
		    strlen(secret->text));
	if (keys != NULL)
		return pg_key_new(user, database, PG_KEY_SCRAM, keys,
		    sizeof(*keys));
	return pg_key_new(user, database, PG_KEY_PLAIN, NULL, 0);
}

static void
let_in(struct session *s, const char *user, const char *database,
    const struct pg_secret *secret, const struct pg_scram_keys *keys)
{
	struct pg_session *ps = pg_session(s);
	struct pg_key *key;

	if (pg_console_is_meant(s, database)) {
		pg_auth_free(ps->auth);
		ps->auth = NULL;
		pg_console_begin(s, user);
		return;
	}
	key = pg_auth_key(s->door->conf->upstream, user, database, secret,
	    keys);
	ps->user = strdup(user);
	pg_auth_free(ps->auth);
	ps->auth = NULL;
	if (key != NULL && ps->user != NULL) {
		pg_let_in(s, key);
		return;
	}
	pg_key_free(key);
	no_memory(s);
}

/* ---------------------------------------------------------- its certificate */

/* Whoever has a certificate for one name may not ask for another, and who is
   not known does not come in with any. They are told the same; the log is told
   which it was. */
static bool
is_certified(const struct session *s, const char *user, const char *database,
    const struct pg_secret *known, char why[WHY_MOST])
{
	const struct pg_user *u = record_of(pg_conf(s), user, database);
	char name[PG_TLS_NAME_MOST + 1], shown[DENIED_NAME];

	if (known == NULL && is_named(pg_conf(s), user))
		say_no_entry(database, why, WHY_MOST);
	else if (known == NULL)
		strcpy(why, no_user);
	else if (pg_tls_client_name(conn_ssl(&s->conn), name) < 0)
		strcpy(why, "no certificate that names anybody");
	else if (strcmp(name, u != NULL && u->cert != NULL ? u->cert :
	    user) != 0)
		snprintf(why, WHY_MOST, "the certificate names %s",
		    denied_name(name, shown));
	else
		return true;
	return false;
}

static void
take_certificate(struct session *s, const char *user, const char *database,
    const struct pg_secret *known)
{
	char why[WHY_MOST];

	if (is_certified(s, user, database, known, why)) {
		pg_session(s)->proved = true;
		let_in(s, user, database, known, NULL);
	} else
		pg_auth_refuse(s, user, database, why, "28000", "certificate "
		    "authentication failed for user \"%.64s\"", user);
}

/* ---------------------------------------------------------------- its proof */

/* AuthenticationSASL, AuthenticationSASLContinue, AuthenticationSASLFinal. */
static void
say(struct session *s, uint32_t what, const char *text, size_t len)
{
	char body[4 + MESSAGE_MOST + 256];

	pg_set_u32(body, what);
	memcpy(body + 4, text, len);
	if (pg_put(store_of(s), &s->conn.out, 'R', body, 4 + len) < 0)
		session_reset(s);
	else
		conn_send(&s->conn);
}

void
pg_auth_challenge(struct session *s, const struct pg_secret *secret)
{
	struct pg_auth *a = pg_session(s)->auth;
	char offer[sizeof(mechanism_plus) + sizeof(mechanism) + 1] = { 0 };
	size_t at = 0;

	a->flaw = flaw_of(pg_conf(s), a->user, secret);
	if (secret != NULL && secret->kind != PG_SECRET_NONE)
		a->secret = secret->scram;
	else if (pg_scram_secret_mock(pg_auth_mock_key(), a->user,
	    &a->secret) < 0) {
		no_memory(s);
		return;
	}
	a->stage = PG_AUTH_FIRST;
	a->binding = pg_tls_binding(conn_ssl(&s->conn), true);
	if (a->binding.len > 0) {
		memcpy(offer, mechanism_plus, sizeof(mechanism_plus));
		at = sizeof(mechanism_plus);
	}
	memcpy(offer + at, mechanism, sizeof(mechanism));
	say(s, 10, offer, at + sizeof(mechanism) + 1);
}

static bool
has_ended_well(struct session *s, enum pg_scram got)
{
	const struct pg_auth *a = pg_session(s)->auth;

	switch (got) {
	case PG_SCRAM_OK:
		return true;
	case PG_SCRAM_BAD_PROOF:
		is_refused(s);
		return false;
	case PG_SCRAM_DOWNGRADED:
		pg_auth_refuse(s, a->user, a->database, "its SCRAM says that "
		    "there is no channel binding here, and there is: somebody "
		    "may be in between", "28000", "the client supports SCRAM "
		    "channel binding but thinks the server does not: somebody "
		    "may be in between");
		return false;
	case PG_SCRAM_MALFORMED:
		pg_say_fatal(s, "08P01", "malformed SCRAM message");
		return false;
	case PG_SCRAM_FAILED:
		no_memory(s);
		return false;
	}
	return false;
}

/* SASLInitialResponse: the mechanism, and what it begins with. */
static void
first(struct session *s, const char *body, size_t len)
{
	struct pg_auth *a = pg_session(s)->auth;
	char out[MESSAGE_MOST + 256];
	size_t at = 0, out_len;
	const char *chosen = pg_string(body, len, &at);

	if (a->binding.len > 0)
		a->binding.channel = chosen != NULL &&
		    strcmp(chosen, mechanism_plus) == 0 ? PG_SCRAM_BOUND :
		    PG_SCRAM_UNUSED;
	if (chosen == NULL || strcmp(chosen, a->binding.channel ==
	    PG_SCRAM_BOUND ? mechanism_plus : mechanism) != 0) {
		pg_say_fatal(s, "08P01", "client selected an invalid SASL "
		    "authentication mechanism");
		return;
	}
	if (len - at < 4 || pg_u32(body + at) != len - at - 4) {
		pg_say_fatal(s, "08P01", "malformed SCRAM message");
		return;
	}
	at += 4;
	if (!has_ended_well(s, pg_scram_server_first_bound(&a->scram,
	    &a->secret, &a->binding, body + at, len - at, NULL, out,
	    sizeof(out), &out_len)))
		return;
	a->stage = PG_AUTH_FINAL;
	say(s, 11, out, out_len);
}

static void
final(struct session *s, const char *body, size_t len)
{
	struct pg_auth *a = pg_session(s)->auth;
	const struct pg_secret *known;
	struct pg_scram_keys keys;
	char out[MESSAGE_MOST + 256];
	char *user, *database;
	size_t out_len;

	if (!has_ended_well(s, pg_scram_server_final(&a->scram, body, len, out,
	    sizeof(out), &out_len)))
		return;
	/* Looked up anew: a reload may have come between. */
	known = pg_auth_known(pg_conf(s), a->user, a->database);
	keys = a->scram.keys;
	user = a->user;
	database = a->database;
	a->user = a->database = NULL;
	say(s, 12, out, out_len);
	pg_session(s)->proved = true;
	if (!s->closed)
		let_in(s, user, database, known != NULL &&
		    known->kind == PG_SECRET_PLAIN ? known : NULL, &keys);
	explicit_bzero(&keys, sizeof(keys));
	free(user);
	free(database);
}

void
pg_auth_take(struct session *s)
{
	struct pg_auth *a = pg_session(s)->auth;
	char body[MESSAGE_MOST];
	struct pg_head h;

	if (a->stage == PG_AUTH_ASKS)
		return;
	switch (pg_head_at(&s->conn.in, 0, &h)) {
	case PARSE_MORE:
		return;
	case PARSE_BAD:
		pg_say_fatal(s, "08P01", "invalid message length");
		return;
	case PARSE_DONE:
		break;
	}
	if (h.type != 'p' || h.size > PG_HEAD + sizeof(body)) {
		pg_say_fatal(s, "08P01", "expected SASL response, got message "
		    "type %d", (unsigned char)h.type);
		return;
	}
	if (s->conn.in.len < h.size)
		return;
	pg_copy_at(&s->conn.in, PG_HEAD, body, h.size - PG_HEAD);
	buf_drop(store_of(s), &s->conn.in, h.size);
	if (a->stage == PG_AUTH_FIRST)
		first(s, body, h.size - PG_HEAD);
	else
		final(s, body, h.size - PG_HEAD);
	explicit_bzero(body, sizeof(body));
}

void
pg_auth_begin(struct session *s, const char *user, const char *database)
{
	const struct pg_listener_conf *conf = pg_conf(s);
	const struct pg_secret *known = pg_auth_known(conf, user, database);
	struct pg_session *ps = pg_session(s);
	struct pg_auth *a;

	switch (pg_auth_asks(conf, user, database)) {
	case PG_AUTH_TRUST:
		let_in(s, user, database, known, NULL);
		return;
	case PG_AUTH_CERT:
		take_certificate(s, user, database, known);
		return;
	case PG_AUTH_SCRAM:
		break;
	}
	a = ps->auth = calloc(1, sizeof(*a));
	if (a != NULL) {
		a->user = strdup(user);
		a->database = strdup(database);
	}
	if (a == NULL || a->user == NULL || a->database == NULL) {
		no_memory(s);
		return;
	}
	ps->phase = PG_AUTH;
	if (known == NULL && *conf->auth_user != '\0')
		pg_ask_server(s);
	else
		pg_auth_challenge(s, known);
}
