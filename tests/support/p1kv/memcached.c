/*
 * The model of a memcached client: text and meta commands, or the binary
 * protocol (a client speaks one of them throughout), what it says and what
 * must come back. Facts: memcached's doc/protocol.txt, and for errors what
 * memcached 1.6 says.
 *
 * Nearly every reply is known to the byte: each session has keys of its own
 * whose values are random tokens.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memcached.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	unsigned text, binary;          /* shares */
} ops[N_OPS] = {
	[OP_SET] = { "set", 150, 150 },
	[OP_GET] = { "get", 200, 200 },
	[OP_MULTI_GET] = { "get of many", 60, 0 },
	[OP_GETS] = { "gets", 30, 0 },
	[OP_CAS] = { "cas", 30, 0 },
	[OP_ADD] = { "add", 30, 30 },
	[OP_REPLACE] = { "replace", 30, 30 },
	[OP_APPEND] = { "append", 30, 30 },
	[OP_PREPEND] = { "prepend", 20, 20 },
	[OP_INCR] = { "incr", 40, 40 },
	[OP_DECR] = { "decr", 20, 20 },
	[OP_DELETE] = { "delete", 20, 20 },
	[OP_TOUCH] = { "touch", 10, 0 },
	[OP_GAT] = { "gat", 10, 0 },
	[OP_NOREPLY] = { "noreply", 40, 0 },
	[OP_VERSION] = { "version", 10, 10 },
	[OP_ERROR] = { "error", 15, 0 },
	[OP_TOO_LARGE] = { "too large", 1, 1 },
	[OP_META_GET] = { "mg", 100, 0 },
	[OP_META_SET] = { "ms", 50, 0 },
	[OP_META_QUIET] = { "quiet mg", 40, 0 },
	[OP_META_DELETE] = { "md", 10, 0 },
	[OP_META_INCR] = { "ma", 20, 0 },
	[OP_META_NOOP] = { "mn", 10, 10 },
	[OP_SHARED] = { "incr of all", 30, 0 },
	[OP_BIG] = { "large", 0, 0 },           /* by bigrate= */
	[OP_QUIET_GETS] = { "getkq", 0, 60 },
	[OP_QUIET_SETS] = { "setq", 0, 40 },
};

static struct {
	uint64_t done[N_OPS];
} count;
static uint8_t seen[1 << 21];

/* ------------------------------------------------------- keys, values */

void
key_of(const struct client *c, unsigned k, char out[64])
{
	(void)snprintf(out, 64, "k:%" PRIu64 ":%u", c->session, k);
}

void
counter_key(const struct client *c, char out[64])
{
	(void)snprintf(out, 64, "n:%" PRIu64, c->session);
}

/* A value: a token, or what looks like the end of a reply with a token. */
void
value_make(struct value *v)
{
	static const char *const forms[] = { "%s", "%s", "%s", "END\r\n%s",
	    "%s\r\nEND\r\n", "VALUE x 0 2\r\nab\r\nEND\r\n%s", "HD\r\n%s\r\n" };
	char token[TOKEN_LEN + 1];

	token_text(token_make(), token);
	v->len = (size_t)sprintf(v->text, forms[below(7)], token);
	v->set = true;
	v->flags = percent(30) ? (unsigned)below(100000) : 0;
	v->cas = 0;
}

/* ------------------------------------------------------------------- rounds */

static void
mc_join(struct client *c)
{
	peer(c)->binary = strcmp(variant, "binary") == 0 ||
	    (strcmp(variant, "text") != 0 && percent(30));
}

static enum op
choose(bool binary)
{
	unsigned op, sum = 0;
	uint64_t at;

	for (op = 0; op < N_OPS; op++)
		sum += binary ? ops[op].binary : ops[op].text;
	at = below(sum);
	for (op = 0; op < N_OPS; op++) {
		unsigned share = binary ? ops[op].binary : ops[op].text;

		if (at < share)
			return op;
		at -= share;
	}
	return OP_GET;
}

static void
mc_begin(struct client *c)
{
	unsigned n = percent(40) ? 1 : 1 + (unsigned)below(20);
	bool binary = peer(c)->binary;
	enum op op;

	if (c->left == 0 || enough()) {
		if (percent(50)) {
			leave_now(c);
			return;
		}
		if (binary)
			say_binary_quit(c);
		else
			bytes_print(&c->out, "quit\r\n");
		c->ending = true;
		return;
	}
	c->left--;
	while (n-- > 0) {
		op = below(10000) < big_rate ? OP_BIG : choose(binary);
		count.done[op]++;
		(binary ? say_binary : say_text)(c, op);
	}
	/* Whose commands were all quiet has nothing to wait for. */
	if (c->wants.n == 0 && !binary)
		say_get(c, 0, "get");
}

static bool
mc_is_push(const struct client *c, const char *p)
{
	(void)c;
	(void)p;
	return false;
}

/* Size of a line with its end, 0 = not whole. */
static size_t
line_size(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	return end != NULL ? (size_t)(end + 1 - p) : 0;
}

static ssize_t
values_size(const char *p, size_t n)
{
	size_t at = 0, line;
	unsigned long size;

	while ((line = line_size(p + at, n - at)) > 0) {
		if (line < 6 || memcmp(p + at, "VALUE ", 6) != 0)
			return (ssize_t)(at + line);
		if (sscanf(p + at, "VALUE %*s %*u %lu", &size) != 1)
			return -1;
		at += line + size + 2;
		if (at > n)
			return 0;
	}
	return 0;
}

static ssize_t
mc_size_of(const struct client *c, const struct want *w, const char *p,
    size_t n)
{
	size_t line;
	uint32_t body;

	(void)c;
	if (w->high == PACKET) {
		if (n < HEAD)
			return 0;
		if ((unsigned char)*p != 0x81)
			return -1;
		memcpy(&body, p + 8, 4);
		return n < HEAD + ntohl(body) ? 0 :
		    (ssize_t)(HEAD + ntohl(body));
	}
	if (w->high == VALUES)
		return values_size(p, n);
	line = line_size(p, n);
	if (line == 0 || w->high == LINE || memcmp(p, "VA ", 3) != 0)
		return (ssize_t)line;
	line += strtoul(p + 3, NULL, 10) + 2;
	return n < line ? 0 : (ssize_t)line;
}

static const char *
judge_gets(struct client *c, const struct want *w, const char *p, size_t n)
{
	char text[VALUE_MOST + 200], key[64];
	const char *end = memchr(p, '\r', n), *at = end;
	uint64_t cas;
	int len;

	while (at != NULL && at > p && at[-1] != ' ')
		at--;
	if (at == NULL || (cas = strtoull(at, NULL, 10)) == 0)
		return "a value with cas";
	key_of(c, (unsigned)w->low, key);
	len = snprintf(text, sizeof(text), "VALUE %s %u %zu %" PRIu64
	    "\r\n%s\r\nEND\r\n", key, (unsigned)w->size, w->len, cas, w->text);
	if (n != (size_t)len || memcmp(p, text, n) != 0)
		return w->text;
	/* It may have been changed since by what is behind it. */
	if (peer(c)->values[w->low].set && w->len ==
	    peer(c)->values[w->low].len && memcmp(w->text,
	    peer(c)->values[w->low].text, w->len) == 0)
		peer(c)->values[w->low].cas = cas;
	return NULL;
}

static const char *
mc_judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	unsigned long number;

	switch ((enum kind)w->kind) {
	case GETS:
		return judge_gets(c, w, p, n);
	case SHARED:
		number = strtoul(p, NULL, 10);
		if (*p < '1' || *p > '9' || number >= sizeof(seen) * 8)
			return "a number";
		if (seen[number / 8] >> number % 8 & 1)
			return "a number that nobody has got before";
		seen[number / 8] |= (uint8_t)(1 << number % 8);
		return NULL;
	case B_GET:
		if (n == w->len && memcmp(p, w->text, 16) == 0 &&
		    memcmp(p + HEAD, w->text + HEAD, n - HEAD) == 0)
			return NULL;
		return "another packet";
	case B_VERSION:
		if (w->high == LINE)
			return memcmp(p, w->text, w->len) == 0 ? NULL :
			    w->text;
		return p[1] == VERSION && memcmp(p + 12, w->text + 12, 4) == 0 ?
		    NULL : "a version";
	}
	return "nothing";
}

static void
mc_then(struct client *c, const struct want *w)
{
	(void)c;
	(void)w;
}

static bool
mc_refusal(const char *p, size_t n)
{
	return n > 20 && memcmp(p, "SERVER_ERROR weir: ", 19) == 0;
}

static void
mc_gone(struct client *c)
{
	(void)c;
}

static void
mc_report(void)
{
	const char *comma = "";
	unsigned op;

	printf(", \"done\": {");
	for (op = 0; op < N_OPS; op++) {
		printf("%s\"%s\": %" PRIu64, comma, ops[op].name,
		    count.done[op]);
		comma = ", ";
	}
	printf("}");
}

const struct model model = {
	.size = sizeof(struct peer),
	.join = mc_join,
	.begin = mc_begin,
	.is_push = mc_is_push,
	.size_of = mc_size_of,
	.judge = mc_judge,
	.then = mc_then,
	.refusal = mc_refusal,
	.gone = mc_gone,
	.report = mc_report,
};
