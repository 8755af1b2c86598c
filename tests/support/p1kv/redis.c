/*
 * The model of a Redis client: what it says, and what must come back.
 *
 * Nearly every reply is known to the byte, because each session has keys of
 * its own whose values are random tokens and name their database. Two clients
 * (2n and 2n + 1) are partners: one pushes what the other pops, publishes what
 * the other has subscribed to, and changes keys that the other watches. Values
 * that a shared counter takes are seen once each by all clients together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "redis.h"
#include "resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	unsigned share;
	bool plain;             /* may stand in a transaction */
} ops[N_OPS] = {
	[OP_SET] = { "set", 150, true },
	[OP_GET] = { "get", 200, true },
	[OP_MGET] = { "mget", 60, true },
	[OP_APPEND] = { "append", 40, true },
	[OP_INCR] = { "incr", 60, true },
	[OP_SHARED] = { "incr of all", 40, false },
	[OP_ECHO] = { "echo", 100, true },
	[OP_PING] = { "ping", 30, true },
	[OP_EVAL] = { "eval", 40, true },
	[OP_HASH] = { "hash", 40, true },
	[OP_LIST] = { "list", 20, true },
	[OP_SCORE] = { "zscore", 20, true },
	[OP_DEL] = { "del", 20, true },
	[OP_ERROR] = { "error", 20, true },
	[OP_UNKNOWN] = { "unknown command", 2, false },
	[OP_SELECT] = { "select", 20, false },
	[OP_HELLO] = { "hello", 10, false },
	[OP_NAME] = { "client name", 10, false },
	[OP_ID] = { "client id", 5, false },
	[OP_INFO] = { "client info", 3, false },
	[OP_PUSH] = { "rpush", 20, false },
	[OP_POP] = { "blpop", 15, false },
	[OP_MULTI] = { "multi", 10, false },
	[OP_SLOW_MULTI] = { "slow multi", 5, false },
	[OP_DISCARD] = { "discard", 4, false },
	[OP_OWN_WATCH] = { "watch", 6, false },
	[OP_SKIP] = { "reply skip", 4, false },
	[OP_OFF] = { "reply off", 2, false },
	[OP_RESET] = { "reset", 2, false },
	[OP_SPUBSUB] = { "subscribe two", 2, false },
	[OP_BIG] = { "large", 0, true },        /* by bigrate= */
	[OP_WATCH] = { "watch with partner", 0, false },
	[OP_SUBSCRIBE] = { "subscribe with partner", 0, false },
};

struct redis_count count;
static uint8_t seen[SHARED_MOST / 8];
static unsigned share_sum, share_plain;

static unsigned
share_of(unsigned op)
{
	const char *at = variant;
	size_t len = strlen(ops[op].name);

	for (; *variant != '\0' && at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, ops[op].name, len) == 0 && (at[len] == ',' ||
		    at[len] == '\0'))
			return ops[op].share > 0 ? ops[op].share : 1;
	}
	return *variant != '\0' ? 0 : ops[op].share;
}

/* --------------------------------------------------------- what is said now */

static void
say_op(struct client *c, enum op op)
{
	static void (*const simple[N_OPS])(struct client *c) = {
		[OP_SET] = say_set, [OP_GET] = say_get, [OP_MGET] = say_mget,
		[OP_APPEND] = say_append, [OP_INCR] = say_incr,
		[OP_SHARED] = say_shared, [OP_ECHO] = say_echo,
		[OP_PING] = say_ping, [OP_EVAL] = say_eval,
		[OP_HASH] = say_hash, [OP_LIST] = say_list,
		[OP_SCORE] = say_score, [OP_DEL] = say_del,
		[OP_ERROR] = say_error, [OP_UNKNOWN] = say_unknown,
		[OP_SELECT] = say_select, [OP_HELLO] = say_hello,
		[OP_NAME] = say_name, [OP_ID] = say_id, [OP_INFO] = say_info,
		[OP_PUSH] = say_push, [OP_POP] = say_pop,
		[OP_DISCARD] = say_discard, [OP_OWN_WATCH] = say_own_watch,
		[OP_SKIP] = say_skip, [OP_OFF] = say_off,
		[OP_RESET] = say_reset, [OP_SPUBSUB] = say_spubsub,
		[OP_BIG] = say_big,
	};

	count.done[op]++;
	if (simple[op] != NULL)
		simple[op](c);
	else
		say_multi(c, op == OP_SLOW_MULTI);
}

static enum op
choose(uint64_t sum, bool plain)
{
	uint64_t at = below(sum);
	unsigned op;

	for (op = 0; op < N_OPS; op++) {
		if (plain && !ops[op].plain)
			continue;
		if (at < share_of(op))
			return op;
		at -= share_of(op);
	}
	return OP_ECHO;
}

/* One that may stand in a transaction. */
void
say_plain(struct client *c)
{
	enum op op = choose(share_plain, true);

	if (op == OP_HASH || (op == OP_ERROR &&
	    peer(c)->values[peer(c)->db][0].parts == 0))
		op = OP_GET;
	count.done[op]++;
	say_op(c, op);
	count.done[op]--;
}

static void
say_some(struct client *c)
{
	unsigned n = percent(40) ? 1 : 1 + (unsigned)below(20);

	while (n-- > 0) {
		if (below(10000) < big_rate)
			say_op(c, OP_BIG);
		else
			say_op(c, choose(share_sum, false));
	}
}

static void
redis_join(struct client *c)
{
	unsigned op;

	peer(c)->resp = 2;
	if (share_sum > 0)
		return;
	for (op = 0; op < N_OPS; op++) {
		share_sum += share_of(op);
		share_plain += ops[op].plain ? share_of(op) : 0;
	}
}

static void
redis_begin(struct client *c)
{
	struct peer *m = peer(c);

	if (m->scene != NO_SCENE) {
		scene_go_on(c);
		return;
	}
	errand_do(c);
	if (c->left == 0 || enough()) {
		if (c->wants.n > 0 || c->pushes.n > 0)
			return;
		if (percent(50)) {
			leave_now(c);
			return;
		}
		say(c, 1, "QUIT");
		hear(c, "+OK\r\n");
		c->ending = true;
		return;
	}
	c->left--;
	if (percent(4) && (*variant == '\0' || share_of(OP_WATCH) > 0) &&
	    scene_possible(c) && c->wants.n == 0)
		scene_begin(c);
	else
		say_some(c);
}

/* ------------------------------------------------------------- what is heard */

static bool
redis_is_push(const struct client *c, const char *p)
{
	(void)c;
	return *p == '>';
}

static ssize_t
redis_size_of(const struct client *c, const struct want *w, const char *p,
    size_t n)
{
	(void)c;
	(void)w;
	return resp_size(p, n);
}

static const char *
judge_number(struct client *c, const struct want *w, const char *p)
{
	long long n = strtoll(p + 1, NULL, 10);

	if (*p != ':')
		return "an integer";
	if (w->kind == PUBLISHED)
		return n == 1 || (n == 0 && (!has_partner(c) ||
		    peer(partner(c))->with != c->session)) ? NULL :
		    "one subscriber";
	if (w->kind == RANGE)
		return n >= (long long)w->low && n <= (long long)w->high ?
		    NULL : "an integer of that list or hash";
	if (w->kind == ID) {
		if (peer(c)->id != 0 && peer(c)->id != n)
			return "the same id as before";
		peer(c)->id = n;
		return NULL;
	}
	if (n <= peer(c)->shared || n >= SHARED_MOST)
		return "more than was read before";
	peer(c)->shared = n;
	if (seen[n / 8] >> n % 8 & 1)
		return "a number that nobody has got before";
	seen[n / 8] |= (uint8_t)(1 << n % 8);
	return NULL;
}

static const char *
judge_pop(struct client *c, const struct want *w, const char *p, size_t n)
{
	char text[200];
	int len;

	peer(c)->pops_owed--;
	if ((n == 5 && memcmp(p, "*-1\r\n", 5) == 0 && w->size == 2) ||
	    (n == 3 && memcmp(p, "_\r\n", 3) == 0 && w->size == 3)) {
		count.pops_empty++;
		return NULL;
	}
	len = snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$%d\r\ne%u\r\n",
	    w->len, w->text, snprintf(NULL, 0, "e%u", peer(c)->popped),
	    peer(c)->popped);
	if (n != (size_t)len || memcmp(p, text, n) != 0)
		return "the next element of that list";
	peer(c)->popped++;
	count.pops++;
	return NULL;
}

static bool
has(const char *p, size_t n, const char *text, size_t len)
{
	return memmem(p, n, text, len) != NULL;
}

static const char *
redis_judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	switch ((enum kind)w->kind) {
	case RANGE:
	case ONCE:
	case ID:
	case PUBLISHED:
		return judge_number(c, w, p);
	case POP:
		return judge_pop(c, w, p, n);
	case HAS:
	case STATUS_DB:
		/* A map begins with what is wanted; a text has it somewhere. */
		if (!has(p, n, w->text, w->len))
			return w->text;
		if (w->kind == STATUS_DB && *p != '$' && *p != '=')
			return "a text";
		return has(p, n, w->other, w->other_len) ? NULL : w->other;
	}
	return "nothing";
}

static void
redis_then(struct client *c, const struct want *w)
{
	struct peer *m = peer(c);
	struct client *p = partner(c);

	switch ((enum then)w->then) {
	case GOT_WATCH:
		m->scene = WATCH_SET;
		if (m->touched)
			errand_give(c, ERRAND_SET, 1);
		else
			m->errand = ERRAND_DONE;
		wake(c);
		break;
	case GOT_SUBSCRIBED:
		m->scene = SUB_WAITS;
		m->news_left = 1 + (unsigned)below(NEWS);
		errand_give(c, ERRAND_PUBLISH, m->news_left);
		break;
	case GOT_NEWS:
		count.news++;
		m->news_left--;
		wake(c);
		break;
	case GOT_ERRAND:
		if (p != NULL && p->fd >= 0 && peer(p)->with == c->session) {
			peer(p)->errand = ERRAND_DONE;
			wake(p);
		}
		break;
	case NOTHING:
	case GOT_POP:
		break;
	}
}

static bool
redis_refusal(const char *p, size_t n)
{
	return n > 11 && memcmp(p, "-ERR weir: ", 11) == 0;
}

static void
redis_gone(struct client *c)
{
	struct peer *m = peer(c);
	struct client *p = partner(c);

	free(m->later.p);
	m->later = (struct bytes){ 0 };
	/* Whether it has done what it was asked for, nobody knows. */
	if (p != NULL && p->fd >= 0 && peer(p)->with == c->session &&
	    (peer(p)->errand == ERRAND_SET ||
	    peer(p)->errand == ERRAND_PUBLISH))
		leave_now(p);
}

static void
redis_report(void)
{
	const char *comma = "";
	unsigned op;

	printf(", \"pops\": %" PRIu64 ", \"pops_empty\": %" PRIu64
	    ", \"news\": %" PRIu64 ", \"conflicts\": %" PRIu64
	    ", \"kept\": %" PRIu64 ", \"done\": {", count.pops,
	    count.pops_empty, count.news, count.conflicts, count.kept);
	for (op = 0; op < N_OPS; op++) {
		printf("%s\"%s\": %" PRIu64, comma, ops[op].name,
		    count.done[op]);
		comma = ", ";
	}
	printf("}");
}

const struct model model = {
	.size = sizeof(struct peer),
	.join = redis_join,
	.begin = redis_begin,
	.is_push = redis_is_push,
	.size_of = redis_size_of,
	.judge = redis_judge,
	.then = redis_then,
	.refusal = redis_refusal,
	.gone = redis_gone,
	.report = redis_report,
};
