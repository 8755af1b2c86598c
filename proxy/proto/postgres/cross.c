/*
 * Clients that go on in another process. Between two exchanges a client is no
 * more than who it is, what it has set and prepared, and the number and secret
 * by which it cancels; all of that goes along, and it notices nothing.
 *
 * One whose state is on a connection (a pin) stays where that is.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/pack.h"
#include "proxy/proto/postgres/postgres.h"

enum { USER_MOST = 255 };               /* startup.c takes no more */

/* Of what a client has set and prepared: one message has to take it. */
enum { STATE_MOST = 112 * 1024 };

/* -------------------------------------------------------------------- going */

static size_t
size_of(const struct pg_settings *s)
{
	return s != NULL ? s->len : 0;
}

static bool
may_go(const struct session *s)
{
	const struct pg_session *ps = pg_session(s);
	size_t size = ps->names.bytes + size_of(ps->startup) +
	    size_of(ps->settings) +
	    (ps->unnamed != NULL ? ps->unnamed->len : 0);

	return ps->phase == PG_READY && list_empty(&s->exchanges) &&
	    s->kept == NULL && ps->pins == 0 && !ps->skipping &&
	    !ps->forsaken && ps->drop_left == 0 && size <= STATE_MOST;
}

/* Takes the reference; false when out of memory. */
static bool
put(json_t *to, const char *name, json_t *value)
{
	return json_object_set_new(to, name, value) == 0;
}

static bool
put_names(json_t *to, const struct pg_names *names)
{
	json_t *all = json_array(), *each;
	const struct pg_name *n;

	for (n = names->by_name; n != NULL; n = n->hh.next) {
		each = pg_statement_pack(n->st);
		if (!put(each, "name", pg_bytes_pack(n->name,
		    strlen(n->name))) ||
		    json_array_append(all, each) < 0) {
			json_decref(each);
			json_decref(all);
			return false;
		}
		json_decref(each);
	}
	return put(to, "names", all);
}

json_t *
pg_cross_pack(const struct session *s)
{
	const struct pg_session *ps = pg_session(s);
	json_t *j;

	if (!may_go(s))
		return NULL;
	j = json_object();
	if (put(j, "pid", json_integer(pg_told_pid(s))) &&
	    put(j, "secret", pg_bytes_pack(ps->secret, PG_SECRET)) &&
	    put(j, "minor", json_integer(ps->minor)) &&
	    put(j, "user", pg_bytes_pack(ps->user, strlen(ps->user))) &&
	    put(j, "proved", json_boolean(ps->proved)) &&
	    put(j, "vouched", json_boolean(ps->vouched)) &&
	    put(j, "key", pg_key_pack(ps->key)) &&
	    put(j, "startup", pg_settings_pack(ps->startup)) &&
	    put(j, "settings", pg_settings_pack(ps->settings)) &&
	    (ps->unnamed == NULL ||
	    put(j, "unnamed", pg_statement_pack(ps->unnamed))) &&
	    put_names(j, &ps->names))
		return j;
	json_decref(j);
	return NULL;
}

/* ------------------------------------------------------------------- coming */

static int
take_secret(struct pg_session *ps, const json_t *j)
{
	size_t len = 0;
	char *secret = pg_bytes_unpack(j, PG_SECRET, &len);
	bool good = secret != NULL && len == PG_SECRET;

	if (good)
		memcpy(ps->secret, secret, PG_SECRET);
	if (secret != NULL)
		explicit_bzero(secret, len);
	free(secret);
	return good ? 0 : -1;
}

/* As if the client had prepared it here: within the same bounds, and no name
   twice. */
static int
take_name(struct session *s, const json_t *j)
{
	struct pg_session *ps = pg_session(s);
	struct pg_statements *all = &pg_lane(s)->statements;
	struct pg_statement *st = NULL;
	struct pg_name *n = NULL;
	size_t len = 0;
	char *name = pg_bytes_unpack(json_object_get(j, "name"),
	    PG_NAME_MOST - 1, &len);

	if (name != NULL && len > 0 && strlen(name) == len &&
	    pg_name_find(&ps->names, name) == NULL)
		st = pg_statement_unpack(all, j);
	if (st != NULL && ps->names.bytes + st->len + len <=
	    PG_NAMES_MOST_BYTES)
		n = pg_name_add(&ps->names, name, st);
	pg_statement_drop(all, st);
	free(name);
	return n != NULL ? 0 : -1;
}

static int
take_statements(struct session *s, const json_t *said)
{
	const json_t *names = json_object_get(said, "names");
	const json_t *unnamed = json_object_get(said, "unnamed");
	struct pg_session *ps = pg_session(s);
	size_t i;

	for (i = 0; i < json_array_size(names); i++)
		if (take_name(s, json_array_get(names, i)) < 0)
			return -1;
	if (unnamed == NULL)
		return 0;
	ps->unnamed = pg_statement_unpack(&pg_lane(s)->statements, unnamed);
	return ps->unnamed != NULL ? 0 : -1;
}

static int
take_number(struct session *s, const json_t *j)
{
	json_int_t pid = json_integer_value(j);

	return pid > 0 && pid <= INT32_MAX && pg_slot_take(s) == 0 ?
	    pg_told_add(s, (uint32_t)pid) : -1;
}

/* The listener lets nobody in who comes as this one is there. */
static bool
needs_tls(const struct session *s)
{
	return s->door->conf->tls.server != NULL &&
	    pg_conf(s)->tls == PG_TLS_REQUIRE;
}

/* Who he is he has shown as this listener wants it shown. One without TLS, as all
   that come here, has no certificate. */
static bool
is_let_in(struct session *s)
{
	const struct pg_session *ps = pg_session(s);

	switch (pg_auth_asks(pg_conf(s), ps->user, pg_key_database(ps->key))) {
	case PG_AUTH_TRUST:
		return true;
	case PG_AUTH_SCRAM:
		return ps->proved;
	case PG_AUTH_CERT:
		break;
	}
	return false;
}

/* Another version may not say it. */
static int
take_user(struct pg_session *ps, const json_t *j)
{
	const char *of_key = pg_key_user(ps->key);
	size_t len = strlen(of_key);

	ps->user = j != NULL ? pg_bytes_unpack(j, USER_MOST, &len) :
	    strdup(of_key);
	return ps->user != NULL && len > 0 && strlen(ps->user) == len ? 0 : -1;
}

/* What fails half way session_fini takes back. */
bool
pg_cross_adopt(struct session *s, const json_t *said)
{
	struct pg_session *ps = pg_session(s);

	if (needs_tls(s))
		return false;
	ps->minor = json_integer_value(json_object_get(said, "minor")) >= 2 ?
	    2 : 0;
	ps->vouched = json_is_true(json_object_get(said, "vouched"));
	ps->proved = json_is_true(json_object_get(said, "proved"));
	ps->key = pg_key_unpack(json_object_get(said, "key"));
	if (ps->key == NULL ||
	    take_user(ps, json_object_get(said, "user")) < 0 ||
	    !is_let_in(s) ||
	    take_secret(ps, json_object_get(said, "secret")) < 0 ||
	    take_number(s, json_object_get(said, "pid")) < 0 ||
	    pg_settings_unpack(json_object_get(said, "startup"),
	    &ps->startup) < 0 ||
	    pg_settings_unpack(json_object_get(said, "settings"),
	    &ps->settings) < 0 || take_statements(s, said) < 0)
		return false;
	ps->phase = PG_READY;
	s->conn.gathers = true;
	deadline_set(s->conn.w, &s->deadline,
	    s->door->conf->timeouts.idle_ms);
	return true;
}
