/*
 * Redis: a client that goes on in another process, with all that it has set up on
 * its connection.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/redis.h"
#include "proxy/transfer.h"

/* What AUTH and CLIENT SETNAME take is a part of one command. */
enum { TEXT_MOST = 32 * 1024 };

/* That a password was asked for and given: of one that never was it says nothing
   to a listener that asks. */
static bool
has_proved(const struct session *s)
{
	return redis_conf(s)->auth == REDIS_AUTH_CHECK &&
	    redis_session(s)->let_in;
}

/* What is more is not taken in there. */
static bool
fits(const char *text)
{
	return text == NULL || strlen(text) <= TEXT_MOST;
}

json_t *
redis_hand_over(const struct session *s)
{
	const struct redis_session *rs = redis_session(s);
	int64_t age_ms = (s->conn.w->now_ns - rs->begun_ns) / NS_PER_MS;

	if (!pipeline_is_between(s) || rs->is_whole || rs->in_multi ||
	    rs->pins != 0 || rs->subs != 0 || rs->shard_subs != 0 ||
	    !fits(rs->who.user) || !fits(rs->who.password) ||
	    !fits(rs->name) || !fits(rs->lib_name) || !fits(rs->lib_version))
		return NULL;
	return json_pack("{s:I,s:i,s:o,s:o,s:b,s:i,s:o,s:o,s:o,s:I,s:I}",
	    "db", (json_int_t)rs->who.db, "resp", (int)rs->who.resp,
	    "user", transfer_text(rs->who.user),
	    "password", transfer_text(rs->who.password),
	    "let_in", (int)has_proved(s), "replies", (int)rs->replies,
	    "name", transfer_text(rs->name),
	    "lib_name", transfer_text(rs->lib_name),
	    "lib_version", transfer_text(rs->lib_version),
	    "id", (json_int_t)rs->id, "age_ms", (json_int_t)age_ms);
}

static json_int_t
number(const json_t *said, const char *name, json_int_t absent)
{
	const json_t *j = json_object_get(said, name);

	return json_is_integer(j) ? json_integer_value(j) : absent;
}

/* -1: it is none, or there is no memory. */
static int
adopt_identity(struct redis_session *rs, const json_t *said)
{
	json_int_t db = number(said, "db", 0), resp = number(said, "resp", 2);
	char *user = NULL, *password = NULL;
	int status = -1;

	if (db < 0 || db > UINT32_MAX || resp < 2 || resp > 3)
		return -1;
	if (transfer_read_text(json_object_get(said, "user"), &user,
	    TEXT_MOST) == 0 &&
	    transfer_read_text(json_object_get(said, "password"), &password,
	    TEXT_MOST) == 0 && (user == NULL || password != NULL))
		status = redis_identity_set(&rs->who, (uint32_t)db,
		    (uint8_t)resp, user, password);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(user);
	free(password);
	return status;
}

static int
adopt_words(struct redis_session *rs, const json_t *said)
{
	char **const where[] = { &rs->name, &rs->lib_name, &rs->lib_version };
	static const char *const names[] = { "name", "lib_name",
		"lib_version" };
	size_t i;

	for (i = 0; i < NELEMS(where); i++)
		if (transfer_read_text(json_object_get(said, names[i]),
		    where[i], TEXT_MOST) < 0 || (*where[i] != NULL &&
		    !redis_is_name(*where[i], strlen(*where[i]))))
			return -1;
	return 0;
}

bool
redis_take_in(struct session *s, const json_t *said)
{
	struct redis_session *rs = redis_session(s);
	json_int_t replies = number(said, "replies", REDIS_REPLIES_ON);
	json_int_t age_ms = number(said, "age_ms", 0);
	json_int_t id = number(said, "id", 0);

	redis_front.open(s);
	if (adopt_identity(rs, said) < 0 || adopt_words(rs, said) < 0 ||
	    replies < REDIS_REPLIES_ON || replies > REDIS_REPLIES_SKIP)
		return false;
	rs->replies = (uint8_t)replies;
	rs->let_in = rs->let_in || json_is_true(json_object_get(said,
	    "let_in"));
	if (id > 0)
		rs->id = (uint64_t)id;
	if (age_ms > 0 && age_ms < s->conn.w->now_ns / NS_PER_MS)
		rs->begun_ns -= age_ms * NS_PER_MS;
	return true;
}
