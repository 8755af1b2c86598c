/*
 * Redis: a command becomes an exchange. See way.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/way.h"

#include <string.h>
#include <strings.h>

void
redis_command_taken(struct session *s)
{
	struct redis_session *rs = redis_session(s);

	rs->is_whole = false;
	resp_command_init(&rs->command);
}

/* The command, which is in the input, becomes an exchange; NULL: it could not. */
struct exchange *
way_begin(struct session *s, const struct redis_way *way)
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
	rx->hash = way->hash;
	rx->silent = redis_is_silent(s);
	rx->piped.size = rs->command.size;
	x->up_end = true;
	return x;
}

void
way_go(struct exchange *x)
{
	redis_command_taken(x->s);
	exchange_route(x, x->policy->upstream);
}

void
way_send(struct session *s, const struct redis_way *way)
{
	struct exchange *x = way_begin(s, way);

	if (x == NULL)
		return;
	redis_of(x)->piped.keeps = way->row != NULL && way->row->read &&
	    !way->alone && way->row->how == REDIS_SHARED && s->kept == NULL &&
	    pipeline_of(s)->under_way == 1;
	way_go(x);
}

/* Written anew in place of what the client has sent, and, on a connection of
   many, followed by what takes it back. Then way_go(). */
struct exchange *
way_rewrite(struct session *s, const struct redis_way *way, unsigned n,
    const char *const *args, const char *const *back)
{
	struct exchange *x = way_begin(s, way);
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

void
way_refuse(struct session *s, struct redis_way *way, const char *text)
{
	const char *echo = "ECHO";
	struct exchange *x;

	if (!redis_session(s)->in_multi) {
		redis_say(s, "%s", text);
		return;
	}
	way->alone = true;
	x = way_rewrite(s, way, 1, &echo, &echo);
	if (x == NULL)
		return;
	redis_of(x)->refusal = strdup(text);
	redis_of(x)->piped.holds = true;
	redis_of(x)->piped.bars = false;
	way_go(x);
}

/* -------------------------------------------------------------------- words */

bool
way_is_word(const char *bytes, const struct resp_span *a, const char *word)
{
	return a->len == strlen(word) &&
	    strncasecmp(bytes + a->at, word, a->len) == 0;
}

/* As string2ll() of Redis: no plus, no leading zeros. */
bool
way_number(const char *bytes, const struct resp_span *a, uint32_t *out)
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

void
way_wrong_arity(struct session *s, const char *name)
{
	redis_say(s, "-ERR wrong number of arguments for '%s' command", name);
}
