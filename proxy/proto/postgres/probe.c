/*
 * The check of health.type "postgres". See probe.h.
 *
 * It logs in and asks pg_is_in_recovery(), as clients would. A server that is
 * starting up, shutting down or full says so at the login (57P03, 53300); one
 * that is full is not ill.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/probe.h"

#include <stdio.h>
#include <string.h>

#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/tls.h"

/* Of all answers to the query: its row and what the server says besides. */
enum { ANSWERS_MOST_BYTES = 64 * 1024 };

static const char query[] = "SELECT pg_catalog.pg_is_in_recovery()";

enum stage { STAGE_LOGIN, STAGE_QUERY };

struct state {
	enum stage stage;
	bool verified;                  /* by TLS */
	bool near;                      /* it is on this machine, or that */
	bool nameless;                  /* nobody is known who could log in */
	enum pg_target target;          /* that was wanted when it was asked */
	struct pg_key *key;             /* who logs in */
	struct pg_login login;
	size_t bytes;                   /* of the answers to the query */
	char in_recovery;               /* 't', 'f'; 0: not told yet */
};

/* One call of answer(). */
struct talk {
	struct state *s;
	struct block_store *store;
	struct buf *in, *out;
	char *why;                      /* PROBE_WHY_MAX bytes */
};

static bool
is_empty(const char *text)
{
	return text == NULL || *text == '\0';
}

/* NULL: none, or of an upstream of another protocol, whose own is not ours. */
static const struct pg_upstream_conf *
own_of(const struct conf_upstream *conf)
{
	if (conf->proto != &proto_postgres.conf)
		return NULL;
	return conf->own;
}

/* ------------------------------------------------------------ the question */

static struct pg_key *
key_of(const struct pg_upstream_conf *own, bool *nameless)
{
	const char *user = "weir", *password = NULL, *database = "postgres";

	if (own != NULL && !is_empty(own->check_user)) {
		user = own->check_user;
		password = own->check_password;
	} else if (own != NULL && !is_empty(own->user)) {
		user = own->user;
		password = own->password;
	} else
		*nameless = true;
	if (own != NULL && !is_empty(own->check_database))
		database = own->check_database;
	return pg_key_new(user, database, password != NULL ?
	    PG_KEY_PASSWORD : PG_KEY_PLAIN, password,
	    password != NULL ? strlen(password) : 0);
}

static struct pg_login_as
login_as(const struct state *s)
{
	return (struct pg_login_as){ .user = pg_key_user(s->key),
	    .database = pg_key_database(s->key),
	    .application_name = "weir check",
	    .password = s->key->kind == PG_KEY_PASSWORD ?
	    pg_key_secret(s->key) : NULL,
	    .secure = s->near };
}

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	const struct pg_upstream_conf *own = own_of(conf);
	struct state *s = state;
	struct pg_login_as as;

	s->target = own != NULL ? (enum pg_target)own->target : PG_TARGET_ANY;
	s->key = key_of(own, &s->nameless);
	if (s->key == NULL)
		return -1;
	s->near = s->verified || pg_is_near(&e->addr);
	as = login_as(s);
	return pg_login_start(&s->login, &as, store, out);
}

/* What speaks TLS as another protocol begins with it. */
static int
ask_tls(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *out)
{
	const struct pg_upstream_conf *own = own_of(conf);
	struct state *s = state;

	s->verified = conf->tls.verify;
	if (own == NULL || own->direct_tls)
		return 0;
	return pg_tls_ask(store, out) < 0 ? -1 : 1;
}

static enum probe_verdict
tls_answer(void *state, struct block_store *store, struct buf *in,
    const struct buf *out, char why[PROBE_WHY_MAX])
{
	struct pg_tls_wrong wrong;

	(void)state;
	switch (pg_tls_answer(store, in, out, &wrong)) {
	case PARSE_MORE:
		return PROBE_MORE;
	case PARSE_DONE:
		return PROBE_OK;
	case PARSE_BAD:
		break;
	}
	snprintf(why, PROBE_WHY_MAX, "TLS: %s", wrong.name);
	return PROBE_BAD;
}

/* ---------------------------------------------------------------- verdicts */

static enum probe_verdict
bad(const struct talk *t, const char *text)
{
	return probe_bad(t->why, text);
}

/* "login: 57P03 the database system is starting up": its words, cut. */
static enum probe_verdict
refused(const struct talk *t, const char *what, const char *code,
    const char *message)
{
	char *c;

	/* What weir has not itself it says in its own name. */
	if (strncmp(message, "weir: ", 6) == 0) {
		message += 6;
		code = "";
	}
	snprintf(t->why, PROBE_WHY_MAX, "%s: %.5s%s%s", what, code,
	    *code != '\0' ? " " : "", message);
	for (c = t->why; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return PROBE_BAD;
}

static enum probe_verdict
well_but_unnamed(const struct talk *t)
{
	if (t->s->target == PG_TARGET_ANY)
		return PROBE_OK;
	return bad(t, "target is not known: there is no check_user");
}

static enum probe_verdict
unfinished(const struct talk *t, bool eof)
{
	if (!eof)
		return PROBE_MORE;
	if (t->in->len > 0)
		return bad(t, "closed inside the answer");
	return bad(t, t->s->stage == STAGE_LOGIN && t->s->login.heard == 0 ?
	    "closed without an answer" : "closed before the answer");
}

/* ------------------------------------------------------------------- login */

/* Is it asked for a proof that nobody has? Then it is well enough to ask. */
static bool
is_challenged(const struct talk *t)
{
	struct pg_head h;
	char number[4];
	size_t at;

	if (!t->s->nameless)
		return false;
	/* A notice may stand before it. */
	for (at = 0; pg_head_at(t->in, at, &h) == PARSE_DONE &&
	    h.size <= t->in->len - at; at += h.size) {
		if (h.type != 'R' || h.size < PG_HEAD + 4)
			continue;
		pg_copy_at(t->in, at + PG_HEAD, number, 4);
		return pg_u32(number) != 0;     /* 55.7: 0 is "Ok" */
	}
	return false;
}

static enum probe_verdict
log_in(const struct talk *t, bool eof)
{
	struct pg_login_as as = login_as(t->s);
	struct pg_login *login = &t->s->login;

	if (is_challenged(t))
		return well_but_unnamed(t);
	switch (pg_login_feed(login, &as, t->store, t->in, t->out)) {
	case PG_LOGIN_MORE:
		return unfinished(t, eof);
	case PG_LOGIN_REFUSED:
		if (t->s->nameless && !pg_error_is_servers(login->sqlstate))
			return well_but_unnamed(t);
		(void)refused(t, "login", login->sqlstate, login->said);
		return strcmp(login->sqlstate, "53300") == 0 ? PROBE_FULL :
		    PROBE_BAD;
	case PG_LOGIN_BAD:
		return refused(t, "login", "", login->said);
	case PG_LOGIN_DONE:
		break;
	}
	t->s->stage = STAGE_QUERY;
	pg_login_forget(login);
	if (pg_put_query(t->store, t->out, query) < 0)
		return bad(t, "out of memory");
	return PROBE_MORE;
}

/* --------------------------------------------------------------- the query */

/* DataRow (55.7): one column, one byte. */
static bool
take_row(struct state *s, const char *body, size_t len)
{
	if (s->in_recovery != 0 || len != 7 || pg_u16(body) != 1 ||
	    pg_u32(body + 2) != 1 || (body[6] != 't' && body[6] != 'f'))
		return false;
	s->in_recovery = body[6];
	return true;
}

/* ReadyForQuery: all has been said. */
static enum probe_verdict
judge(const struct talk *t)
{
	bool standby = t->s->in_recovery == 't';

	if (t->s->in_recovery == 0)
		return bad(t, "query: no answer");
	if (t->s->target == PG_TARGET_PRIMARY && standby)
		return bad(t, "a standby, not a primary");
	if (t->s->target == PG_TARGET_STANDBY && !standby)
		return bad(t, "a primary, not a standby");
	/* 55.2.10: Terminate, so that its log has no complaint. */
	(void)!pg_put(t->store, t->out, 'X', NULL, 0);
	return PROBE_OK;
}

static enum probe_verdict
take(const struct talk *t, char type, const char *body, size_t len)
{
	struct pg_report r;

	switch (type) {
	case 'T': case 'C': case 'N': case 'S':
		return PROBE_MORE;
	case 'D':
		return take_row(t->s, body, len) ? PROBE_MORE :
		    bad(t, "query: not the answer of PostgreSQL");
	case 'E':
		if (!pg_report_read(body, len, &r))
			break;
		return refused(t, "query", r.code, r.message);
	case 'Z':
		if (len == 1 && *body == 'I')
			return judge(t);
		break;
	}
	return bad(t, "query: not the answer of PostgreSQL");
}

static enum probe_verdict
hear(const struct talk *t, bool eof)
{
	enum probe_verdict verdict = PROBE_MORE;
	const char *bytes;
	struct pg_head h;

	while (verdict == PROBE_MORE) {
		enum parse got = pg_head_at(t->in, 0, &h);

		if (got == PARSE_MORE)
			return unfinished(t, eof);
		if (got == PARSE_BAD)
			return bad(t, "query: not the answer of PostgreSQL");
		if (h.size > ANSWERS_MOST_BYTES - t->s->bytes)
			return bad(t, "answer too long");
		if (t->in->len < h.size)
			return unfinished(t, eof);
		bytes = buf_flat(t->store, t->in, h.size);
		if (bytes == NULL)
			return PROBE_MORE;      /* the deadline decides */
		t->s->bytes += h.size;
		verdict = take(t, h.type, bytes + PG_HEAD, h.size - PG_HEAD);
		buf_drop(t->store, t->in, h.size);
	}
	return verdict;
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	struct talk t = { state, store, in, out, why };
	enum probe_verdict verdict = PROBE_MORE;

	(void)conf;
	if (t.s->stage == STAGE_LOGIN)
		verdict = log_in(&t, eof);
	if (verdict == PROBE_MORE && t.s->stage == STAGE_QUERY)
		verdict = hear(&t, eof);
	return verdict;
}

static void
fini(void *state)
{
	struct state *s = state;

	pg_login_fini(&s->login);
	pg_key_free(s->key);
	s->key = NULL;
}

const struct probe_ops pg_probe = {
	.state_size = sizeof(struct state),
	.ask_tls = ask_tls,
	.tls_answer = tls_answer,
	.ask = ask,
	.answer = answer,
	.fini = fini
};
