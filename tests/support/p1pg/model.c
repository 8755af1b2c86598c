/*
 * The model of PostgreSQL's clients: what is said when, logins, cancels, ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CANCELS = 64, CANCEL_SIZE = 16 };

/* Of 1000 in no transaction, and in one. */
static const struct op {
	const char *name;
	unsigned share, inside;
	void (*say)(struct client *c);
} ops[] = {
	{ "query", 200, 250, say_query },
	{ "batch", 200, 250, say_batch },
	{ "pipeline", 60, 60, say_pipeline },
	{ "transaction", 80, 200, say_transaction },
	{ "extended transaction", 40, 80, say_extended_transaction },
	{ "setting", 20, 20, say_setting },
	{ "deallocate", 5, 5, say_deallocate },
	{ "discard", 4, 0, say_discard },
	{ "copy in", 20, 20, say_copy_in },
	{ "copy out", 20, 20, say_copy_out },
	{ "extended copy", 20, 20, say_extended_copy },
	{ "call", 20, 20, say_call },
	{ "syntax", 10, 5, say_syntax },
	{ "empty", 10, 10, say_empty },
	{ "large", 0, 0, say_large },
	{ "large value", 0, 0, say_large_value },
	{ "pin", 6, 0, say_pin },
	{ "clean", 20, 0, say_clean },
	{ "cancel", 0, 0, NULL },
};

enum { N_OPS = sizeof(ops) / sizeof(ops[0]), OP_CANCEL = N_OPS - 1,
	OP_LARGE = N_OPS - 5 };

static uint64_t done[N_OPS];
static uint64_t cancelled;

/* ------------------------------------------------------------------ cancels */

/* Those under way, each on a connection of its own. */
static struct cancel {
	struct client *c;       /* NULL = the place is free */
	uint64_t session;
	struct sockaddr_in to;
	int fd;                 /* -1 = not begun */
	int64_t due_ms;
	char bytes[CANCEL_SIZE];
} cancels[CANCELS];

static int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
cancel_over(struct cancel *k)
{
	if (k->c->session == k->session && k->c->fd >= 0) {
		peer(k->c)->cancelling = false;
		wake(k->c);
	}
	k->c = NULL;
}

static void
cancel_begin(struct cancel *k)
{
	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (k->fd >= 0 && connect(k->fd, (struct sockaddr *)&k->to,
	    sizeof(k->to)) == 0 && send(k->fd, k->bytes, CANCEL_SIZE,
	    MSG_NOSIGNAL) == CANCEL_SIZE) {
		cancelled++;
		return;
	}
	if (k->fd >= 0)
		close(k->fd);
	cancel_over(k);
}

/* Whoever has something to say looks after all of them. */
static void
cancels_step(void)
{
	int64_t now_ms = clock_ms();
	struct cancel *k;
	ssize_t n;
	char byte;

	for (k = cancels; k < cancels + CANCELS; k++) {
		if (k->c == NULL || k->due_ms > now_ms)
			continue;
		if (k->fd < 0) {
			cancel_begin(k);
			continue;
		}
		n = recv(k->fd, &byte, 1, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n > 0)
			violation(k->c, "an answer to a cancel");
		close(k->fd);
		cancel_over(k);
	}
}

static bool
say_cancel(struct client *c)
{
	static const unsigned char head[] = { 0, 0, 0, CANCEL_SIZE, 4, 210,
		22, 46 };
	struct peer *m = peer(c);
	socklen_t len = sizeof(struct sockaddr_in);
	struct cancel *k = cancels;
	uint32_t pid = htonl(m->pid);

	while (k < cancels + CANCELS && k->c != NULL)
		k++;
	if (k == cancels + CANCELS || m->pinned)
		return false;
	done[OP_CANCEL]++;
	*k = (struct cancel){ .c = c, .session = c->session, .fd = -1,
	    .due_ms = clock_ms() + (int64_t)below(45) };
	(void)getpeername(c->fd, (struct sockaddr *)&k->to, &len);
	memcpy(k->bytes, head, sizeof(head));
	memcpy(k->bytes + 8, &pid, 4);
	memcpy(k->bytes + 12, m->key, 4);
	m->cancelling = true;
	say_slow(c);
	return true;
}

/* ---------------------------------------------------------- what is said now */

/* variant: names of those that are wanted, commas between them. */
static unsigned
share_of(const struct op *op, bool inside)
{
	unsigned share = inside ? op->inside : op->share;
	const char *at = variant;
	size_t len = strlen(op->name);

	if (*variant == '\0')
		return share;
	for (; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, op->name, len) == 0 && (at[len] == ',' ||
		    at[len] == '\0'))
			return share;
	}
	return 0;
}

static void
say_op(struct client *c)
{
	static unsigned sums[2];
	bool inside = peer(c)->status != 'I';
	unsigned op, at;

	if (below(10000) < big_rate) {
		op = OP_LARGE + (unsigned)below(2);
		done[op]++;
		ops[op].say(c);
		return;
	}
	if (sums[inside] == 0)
		for (op = 0; op < N_OPS; op++)
			sums[inside] += share_of(&ops[op], inside);
	at = (unsigned)below(sums[inside]);
	for (op = 0; at >= share_of(&ops[op], inside); op++)
		at -= share_of(&ops[op], inside);
	done[op]++;
	ops[op].say(c);
}

static void
pg_join(struct client *c)
{
	static const char *const zones[] = { "Europe/Berlin", "Asia/Tokyo" };
	struct peer *m = peer(c);
	unsigned i;

	m->status = 'I';
	m->unnamed = NO_TEXT;
	for (i = 0; i < NAMES; i++)
		m->names[i] = NO_TEXT;
	own_token(c, m->start[SET_NAME]);
	strcpy(m->start[SET_ZONE], percent(80) ? "UTC" : zones[below(2)]);
	strcpy(m->start[SET_DATES], percent(80) ? "ISO, MDY" : "SQL, DMY");
	memcpy(m->state.now, m->start, sizeof(m->start));
	memcpy(m->state.session, m->start, sizeof(m->start));
}

static void
say_login(struct client *c)
{
	struct bytes login = { 0 };

	peer(c)->said_login = true;
	send_startup(c);
	bytes_add(&login, "login", 5);
	want_add(&c->wants, WANT_LOGIN, &login);
}

static void
pg_begin(struct client *c)
{
	struct peer *m = peer(c);
	unsigned n = percent(60) ? 1 : 1 + (unsigned)below(8);

	cancels_step();
	if (!m->said_login) {
		say_login(c);
		return;
	}
	if (m->cancelling) {
		wake(c);
		return;
	}
	if ((c->left == 0 && m->status == 'I') || enough()) {
		if (percent(30)) {
			leave_now(c);
			return;
		}
		send_message(c, 'X', "", 0);
		c->ending = true;
		return;
	}
	c->left -= c->left > 0;
	if (m->status == 'I' && below(1000) < 8 && say_cancel(c))
		return;
	while (n-- > 0 && c->out.len < READ_SIZE)
		say_op(c);
	if (c->wants.n == 0)
		say_query(c);
}

/* -------------------------------------------------------------- what is heard */

static bool
pg_is_push(const struct client *c, const char *p)
{
	(void)c;
	(void)p;
	return false;
}

static void
pg_then(struct client *c, const struct want *w)
{
	(void)c;
	(void)w;
}

static void
pg_gone(struct client *c)
{
	struct peer *m = peer(c);

	unpin(m);
	free(m->text.p);
	free(m->want.p);
	free(m->said.p);
	m->text = m->want = m->said = (struct bytes){ 0 };
}

static void
pg_report(void)
{
	const char *comma = "";
	unsigned op;

	printf(", \"cancelled\": %" PRIu64 ", \"done\": {", cancelled);
	for (op = 0; op < N_OPS; op++) {
		printf("%s\"%s\": %" PRIu64, comma, ops[op].name, done[op]);
		comma = ", ";
	}
	printf("}");
}

const struct model model = {
	.size = sizeof(struct peer),
	.join = pg_join,
	.begin = pg_begin,
	.is_push = pg_is_push,
	.size_of = pg_size_of,
	.judge = pg_judge,
	.then = pg_then,
	.refusal = pg_refusal,
	.gone = pg_gone,
	.report = pg_report,
};
