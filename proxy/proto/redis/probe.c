/*
 * The check of health.type "redis". See probe.h.
 *
 * All questions go out at once, the answers come in their order, and the first
 * bad one decides. An error is bad whatever it says: a server that is loading
 * (LOADING), has lost its master (MASTERDOWN), is inside a long script (BUSY)
 * or does not know us (NOAUTH, WRONGPASS) is of no use to anybody.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/probe.h"

#include <stdio.h>
#include <string.h>

#include "proxy/proto/redis/redis.h"
#include "proxy/proto/redis/resp.h"

/* ROLE of a master lists its replicas, about 50 bytes each. */
enum { ANSWERS_MOST_BYTES = 64 * 1024 };

enum question { ASKED_AUTH, ASKED_PING, ASKED_ROLE, N_QUESTIONS };

static const char *const names[N_QUESTIONS] = {
	[ASKED_AUTH] = "AUTH", [ASKED_PING] = "PING", [ASKED_ROLE] = "ROLE"
};

struct state {
	enum question asked[N_QUESTIONS];
	unsigned n_asked, n_answered;
	enum redis_role role;           /* that was wanted when it was asked */
	bool begun;                     /* reply is being read */
	size_t bytes;                   /* of all answers so far */
	struct resp_reply reply;
	char text[PROBE_WHY_MAX];       /* how it begins */
	size_t text_len;
};

/* NULL: none, or of an upstream of another protocol, whose own is not ours. */
static const struct redis_upstream_conf *
own_of(const struct conf_upstream *conf)
{
	if (conf->proto != &proto_redis.conf)
		return NULL;
	return conf->own;
}

/* ---------------------------------------------------------------- questions */

/* A command of the words that are not NULL. */
static int
append(struct block_store *store, struct buf *out, const char *const *words,
    unsigned n)
{
	unsigned i, argc = 0;
	char text[32];
	int len;

	for (i = 0; i < n; i++)
		argc += words[i] != NULL;
	len = snprintf(text, sizeof(text), "*%u\r\n", argc);
	if (buf_append(store, out, text, (size_t)len) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (words[i] == NULL)
			continue;
		len = snprintf(text, sizeof(text), "$%zu\r\n",
		    strlen(words[i]));
		if (buf_append(store, out, text, (size_t)len) < 0 ||
		    buf_append(store, out, words[i], strlen(words[i])) < 0 ||
		    buf_append(store, out, "\r\n", 2) < 0)
			return -1;
	}
	return 0;
}

static int
put(struct state *s, enum question question, const char *first,
    const char *second, struct block_store *store, struct buf *out)
{
	const char *words[] = { names[question], first, second };

	s->asked[s->n_asked++] = question;
	return append(store, out, words, NELEMS(words));
}

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	const struct redis_upstream_conf *own = own_of(conf);
	struct state *s = state;
	const char *password;

	(void)e;
	if (own != NULL && (own->user != NULL || own->password != NULL)) {
		/* A user with "nopass" takes any, but one has to be there. */
		password = own->password != NULL ? own->password : "";
		if (put(s, ASKED_AUTH, own->user, password, store, out) < 0)
			return -1;
	}
	if (put(s, ASKED_PING, NULL, NULL, store, out) < 0)
		return -1;
	if (own == NULL || own->role == REDIS_ROLE_ANY)
		return 0;
	s->role = (enum redis_role)own->role;
	return put(s, ASKED_ROLE, NULL, NULL, store, out);
}

/* ------------------------------------------------------------------ answers */

/* "PING: LOADING Redis is loading ...": the server's words, cut. */
static enum probe_verdict
refused(const struct state *s, enum question question,
    char why[PROBE_WHY_MAX])
{
	size_t i;
	int at;

	at = snprintf(why, PROBE_WHY_MAX, "%s: ", names[question]);
	for (i = 1; i < s->text_len && at < PROBE_WHY_MAX - 1; i++) {
		if (s->text[i] == '\r')
			break;
		why[at++] = s->text[i] >= ' ' && s->text[i] <= '~' ?
		    s->text[i] : '?';
	}
	why[at] = '\0';
	return PROBE_BAD;
}

/* replication.c, roleCommand(): "master", "slave", or "sentinel". */
static enum probe_verdict
judge_role(const struct state *s, char why[PROBE_WHY_MAX])
{
	bool master = strcmp(s->reply.word, "master") == 0;
	bool replica = strcmp(s->reply.word, "slave") == 0;

	if (s->reply.type != '*' || (!master && !replica))
		return probe_bad(why, "ROLE: neither master nor replica");
	if (s->role == REDIS_ROLE_MASTER && !master)
		return probe_bad(why, "a replica, not a master");
	if (s->role == REDIS_ROLE_REPLICA && !replica)
		return probe_bad(why, "a master, not a replica");
	return PROBE_OK;
}

/* networking.c, acceptCommonHandler() */
static bool
is_full(const struct state *s)
{
	static const char text[] = "-ERR max number of clients";

	return s->text_len >= sizeof(text) - 1 &&
	    memcmp(s->text, text, sizeof(text) - 1) == 0;
}

/* A whole reply; OK when all questions are answered with it. */
static enum probe_verdict
judge(struct state *s, char why[PROBE_WHY_MAX])
{
	enum question question = s->asked[s->n_answered++];
	const char *wanted = question == ASKED_AUTH ? "OK" : "PONG";
	enum probe_verdict got = PROBE_OK;

	if (s->reply.type == '-') {
		(void)refused(s, question, why);
		return is_full(s) ? PROBE_FULL : PROBE_BAD;
	}
	if (question == ASKED_ROLE)
		got = judge_role(s, why);
	else if (s->reply.type != '+' || strcmp(s->reply.word, wanted) != 0) {
		snprintf(why, PROBE_WHY_MAX, "%s: not the answer of Redis",
		    names[question]);
		return PROBE_BAD;
	}
	if (got == PROBE_OK && s->n_answered < s->n_asked)
		return PROBE_MORE;
	return got;
}

/* Remember how the reply begins. */
static void
keep_text(struct state *s, const char *bytes, size_t len)
{
	size_t room = sizeof(s->text) - s->text_len;

	if (len > room)
		len = room;
	memcpy(s->text + s->text_len, bytes, len);
	s->text_len += len;
}

static enum probe_verdict
unfinished(const struct state *s, bool eof, char why[PROBE_WHY_MAX])
{
	if (!eof)
		return PROBE_MORE;
	return probe_bad(why, s->bytes == 0 ? "closed without an answer" :
	    s->begun ? "closed inside the answer" : "closed before the answer");
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	struct state *s = state;
	enum probe_verdict verdict = PROBE_MORE;
	const char *bytes;
	size_t len, used;
	enum parse got;

	(void)conf;
	(void)out;
	while (verdict == PROBE_MORE) {
		bytes = buf_front(in, &len);
		if (len == 0)
			return unfinished(s, eof, why);
		if (!s->begun) {
			resp_reply_init(&s->reply);
			s->text_len = 0;
		}
		got = resp_reply_feed(&s->reply, bytes, len, &used);
		if (got == PARSE_BAD)
			return probe_bad(why, "not Redis");
		keep_text(s, bytes, used);
		buf_drop(store, in, used);
		s->begun = got == PARSE_MORE;
		s->bytes += used;
		if (got == PARSE_DONE)
			verdict = judge(s, why);
		if (verdict == PROBE_MORE && s->bytes >= ANSWERS_MOST_BYTES)
			return probe_bad(why, "answer too long");
	}
	return verdict;
}

const struct probe_ops redis_probe = {
	.state_size = sizeof(struct state),
	.ask = ask,
	.answer = answer
};
