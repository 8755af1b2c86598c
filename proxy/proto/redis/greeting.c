/*
 * Redis towards its servers: what is said on a connection before it serves, and
 * when it is washed: logging in, whether there is a place for us, and whether it
 * serves us at all.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pool/adapt.h"
#include "proxy/proto/redis/redis.h"

static int
owe(struct upconn *u, unsigned tag)
{
	return pipeline_owe(u, NULL, 1, tag);
}

static int
log_in(struct upconn *u, struct block_store *store, const char *user,
    const char *password)
{
	const char *args[3] = { "AUTH", user, password };

	if (user == NULL || *user == '\0') {
		args[1] = password;
		return redis_write(store, &u->conn.out, 2, args) < 0 ? -1 :
		    owe(u, REDIS_TAG_LOGIN);
	}
	return redis_write(store, &u->conn.out, 3, args) < 0 ? -1 :
	    owe(u, REDIS_TAG_LOGIN);
}

static int
set_up(struct upconn *u, struct block_store *store, const char *command,
    uint32_t value)
{
	const char *args[2] = { command, NULL };
	char number[16];

	snprintf(number, sizeof(number), "%u", (unsigned)value);
	args[1] = number;
	return redis_write(store, &u->conn.out, 2, args) < 0 ? -1 :
	    owe(u, REDIS_TAG_SETUP);
}

static bool
is_set(const char *text)
{
	return text != NULL && *text != '\0';
}

/* Is it to be asked whether it serves us? Who opens one for a client does not wait
   for that: the answer to his command says it, too. But who waits until weir is
   ready goes by those that are kept warm; one answer is enough, for whoever
   watches the server (MONITOR) sees the question. */
static bool
is_doubtful(struct upconn *u)
{
	const struct redis_upconn *ru = redis_upconn(u);

	return ru->doubted || (u->state == UPCONN_GREETING &&
	    u->opener == NULL && !ru->heard && !u->shelf->site->proven);
}

static int
put_ping(struct upconn *u, unsigned tag)
{
	const char *ping = "PING";

	return redis_write(&u->pool->worker->blocks, &u->conn.out, 1, &ping) < 0
	    ? -1 : owe(u, tag);
}

/* All that makes it what its key says; nothing where that is what a server does
   by itself. */
static int
say_hello(struct upconn *u)
{
	const struct redis_upstream_conf *conf = u->pool->conf->own;
	struct block_store *store = &u->pool->worker->blocks;
	struct redis_key key = redis_key_read(u->shelf->key,
	    u->shelf->key_len);
	struct redis_upconn *ru = redis_upconn(u);
	const char *user = key.user, *password = key.password;

	ru->refusal[0] = '\0';
	ru->unwell = false;
	if (password == NULL && (is_set(conf->password) ||
	    is_set(conf->user))) {
		user = conf->user;
		password = is_set(conf->password) ? conf->password : "";
	}
	if ((password != NULL && log_in(u, store, user, password) < 0) ||
	    (key.resp != 2 && set_up(u, store, "HELLO", key.resp) < 0) ||
	    (key.db != 0 && set_up(u, store, "SELECT", key.db) < 0) ||
	    (is_doubtful(u) && put_ping(u, REDIS_TAG_ASKED) < 0))
		return -1;
	conn_send(&u->conn);
	return 0;
}

/* A server with too many clients says so and closes, whatever it is asked
   (networking.c, acceptCommonHandler). That has to be told from the answer to a
   client's command, and from what it thinks of a login. */
static int
knock(struct upconn *u)
{
	if (put_ping(u, REDIS_TAG_KNOCK) < 0)
		return -1;
	redis_upconn(u)->knocks = true;
	conn_send(&u->conn);
	return 0;
}

bool
redis_greet(struct upconn *u)
{
	pipeline_open(u, &redis_pipeline);
	if ((u->pool->conf->pool.adapt ? knock(u) : say_hello(u)) < 0) {
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
		return false;
	}
	return pipe_of(u)->first == NULL;
}

/* Nothing was set up but what say_hello() does, and that is in the key. */
bool
redis_adopt(struct upconn *u, const void *packed, size_t len)
{
	(void)packed, (void)len;
	pipeline_open(u, &redis_pipeline);
	return true;
}

/* RESET of Redis 6.2 undoes whatever a client can do to a connection. An older
   server does not know it, and the connection is closed for that. */
void
redis_wash(struct upconn *u)
{
	const char *reset = "RESET";

	if (redis_write(&u->pool->worker->blocks, &u->conn.out, 1, &reset) < 0
	    || owe(u, REDIS_TAG_RESET) < 0 || say_hello(u) < 0)
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
}

/* False: there is more to say. */
static bool
is_let_in(struct upconn *u)
{
	struct redis_upconn *ru = redis_upconn(u);

	if (!ru->knocks)
		return true;
	ru->knocks = false;
	if (ru->crowded) {
		/* A reload may have switched pool.adapt off meanwhile. */
		if (!upconn_crowded(u))
			upconn_turned_away(u, "ERR max number of clients "
			    "reached");
		return false;
	}
	if (ru->refusal[0] != '\0')
		return true;            /* it has closed it */
	if (say_hello(u) < 0) {
		upconn_broken(u, FAULT_CONNECT_FAILED, ENOMEM);
		return false;
	}
	return pipe_of(u)->first == NULL;
}

void
redis_greeted(struct upconn *u)
{
	struct redis_upconn *ru = redis_upconn(u);

	if (!is_let_in(u))
		return;
	if (ru->refusal[0] == '\0') {
		upconn_ready(u);
	} else if (u->state == UPCONN_WASHING)
		upconn_close(u, DISCARD_NOT_CLEAN);     /* nobody's fault */
	else if (ru->unwell && u->opener != NULL)
		upconn_broken(u, FAULT_UNAVAILABLE, 0);
	else if (ru->unwell)            /* that is counted, and will pass */
		upconn_turned_away(u, ru->refusal);
	else
		redis_refused(u);
}

void
redis_greeting_answered(struct upconn *u, unsigned tag)
{
	struct redis_upconn *ru = redis_upconn(u);
	const struct resp_reply *r = &ru->reply;
	bool is_error = r->type == '-';

	/* Others, such as NOAUTH and LOADING, come again. */
	if (tag == REDIS_TAG_KNOCK) {
		ru->crowded = is_error && strcmp(r->word, "ERR") == 0;
		ru->heard = !is_error;
		if (!is_error || strcmp(r->word, "DENIED") != 0)
			return;
	}
	if (tag == REDIS_TAG_ASKED)
		u->shelf->site->proven = !is_error ||
		    !redis_is_shut(u, r->word);
	if (ru->refusal[0] != '\0' || (!is_error &&
	    (tag != REDIS_TAG_RESET || strcmp(r->word, "RESET") == 0)))
		return;
	/* NOPERM, MISCONF, an unknown command: it talks to us. */
	if (tag == REDIS_TAG_ASKED && !redis_is_shut(u, r->word))
		return;
	ru->unwell = redis_illness(r->word) != NULL;
	redis_refusal(u, r->word, tag == REDIS_TAG_LOGIN);
}
