/*
 * Slow and failed exchanges across an upgrade. See upgrade_slow.h.
 *
 * Numbers and words are named fields of the message; texts, which need not be
 * UTF-8, are its raw bytes, each with a NUL at its end, and "texts" says which
 * they are. What is 0 or false is left out.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_slow.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/gather.h"
#include "proxy/slow.h"
#include "proxy/upgrade/upgrade_parts.h"

enum { TOLD_MOST = 1024 };              /* at a time: the newest */

/* ----------------------------------------------------------------- the tables */

enum type { A_TIME, A_NUMBER, AN_UNSIGNED, A_FLAG };

struct field {
	const char *name;
	enum type type;
	size_t offset;
};

struct text_field {
	const char *name;
	size_t offset, size;
};

#define FIELD(type, field) { #field, type, offsetof(struct slow_entry, field) }
#define TEXT(field) { #field, offsetof(struct slow_entry, field), \
	sizeof(((struct slow_entry *)0)->field) }

static const struct field fields[] = {
	FIELD(A_TIME, total_ns), FIELD(A_TIME, arrive_ns),
	FIELD(A_TIME, pause_ns), FIELD(A_TIME, queue_ns),
	FIELD(A_TIME, connect_ns), FIELD(A_TIME, tls_ns),
	FIELD(A_TIME, upload_ns), FIELD(A_TIME, first_ns),
	FIELD(A_TIME, client_ns), FIELD(A_TIME, idle_ns),
	FIELD(A_TIME, transfer_ns),
	FIELD(A_FLAG, hit), FIELD(A_FLAG, reused), FIELD(A_FLAG, came),
	FIELD(A_FLAG, lasts),
	FIELD(AN_UNSIGNED, retries), FIELD(AN_UNSIGNED, behind),
	FIELD(AN_UNSIGNED, open_then),
	FIELD(AN_UNSIGNED, pool.max), FIELD(AN_UNSIGNED, pool.most),
	FIELD(AN_UNSIGNED, pool.open), FIELD(AN_UNSIGNED, pool.idle),
	FIELD(AN_UNSIGNED, pool.leased), FIELD(AN_UNSIGNED, pool.waiting),
	FIELD(AN_UNSIGNED, pool.pinned), FIELD(AN_UNSIGNED, pool.max_pinned),
	FIELD(A_NUMBER, pool.min_idle), FIELD(A_NUMBER, pool.max_waiting),
	FIELD(AN_UNSIGNED, pool.endpoints), FIELD(AN_UNSIGNED, pool.usable),
	FIELD(AN_UNSIGNED, pool.bars)
};

static const struct text_field texts[] = {
	TEXT(last_error), TEXT(listener), TEXT(upstream), TEXT(endpoint),
	TEXT(request), TEXT(id), TEXT(trace), TEXT(user), TEXT(database),
	TEXT(said)
};

static const char *
fail_name(unsigned i)
{
	return fail_rows[i].name;
}

static const char *
outcome_name(unsigned i)
{
	return outcome_names[i];
}

static const char *
wait_name(unsigned i)
{
	return slow_wait_names[i];
}

/* -1: there is no such word here. */
static int
which(const char *word, const char *(*name)(unsigned), unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (name(i) != NULL && strcmp(name(i), word) == 0)
			return (int)i;
	return -1;
}

/* -------------------------------------------------------------------- packing */

static void
pack_field(json_t *j, const struct field *f, const struct slow_entry *e)
{
	const void *at = (const char *)e + f->offset;
	int64_t n = 0;

	switch (f->type) {
	case A_TIME:
	case A_NUMBER:
		n = *(const int64_t *)at;
		break;
	case AN_UNSIGNED:
		n = *(const unsigned *)at;
		break;
	case A_FLAG:
		n = *(const bool *)at;
		break;
	}
	if (n != 0)
		(void)json_object_set_new(j, f->name, f->type == A_FLAG ?
		    json_true() : json_integer(n));
}

static char *
pack_texts(const struct slow_entry *e, json_t *names, size_t *raw_len)
{
	/* They are all inside of it. */
	size_t room = sizeof(*e), i, len, at = 0;
	char *raw = malloc(room);

	for (i = 0; raw != NULL && i < NELEMS(texts); i++) {
		const char *text = (const char *)e + texts[i].offset;

		if (*text == '\0')
			continue;
		len = strlen(text) + 1;
		memcpy(raw + at, text, len);
		at += len;
		(void)json_array_append_new(names, json_string(texts[i].name));
	}
	*raw_len = at;
	return raw;
}

json_t *
slow_pack(const struct slow_entry *e, int64_t now_ns, char **raw,
    size_t *raw_len)
{
	char client[ADDR_TEXT_MAX];
	json_t *names = json_array(), *j;
	size_t i;

	*raw = pack_texts(e, names, raw_len);
	j = *raw == NULL ? NULL : json_pack(
	    "{s:s,s:I,s:s,s:s,s:s,s:i,s:s,s:O}", "is", "slow", "ago_ns",
	    (json_int_t)(now_ns - e->at_ns), "why", fail_name(e->why),
	    "outcome", outcome_name(e->outcome), "waited_for",
	    wait_name(e->waited_for), "status", (int)e->status, "client",
	    addr_ip_print(&e->client, true, client), "texts", names);
	json_decref(names);
	for (i = 0; j != NULL && i < NELEMS(fields); i++)
		pack_field(j, &fields[i], e);
	if (j == NULL) {
		free(*raw);
		*raw = NULL;
	}
	return j;
}

/* ------------------------------------------------------------------ unpacking */

#define LONG_NS (MESSAGE_LONG_MS * NS_PER_MS)

static void
unpack_field(const struct field *f, const struct message *m,
    struct slow_entry *e)
{
	void *at = (char *)e + f->offset;

	switch (f->type) {
	case A_TIME:
		*(int64_t *)at = message_number(m, f->name, 0, LONG_NS, 0);
		return;
	case A_NUMBER:
		*(int64_t *)at = message_number(m, f->name, 0, INT64_MAX, 0);
		return;
	case AN_UNSIGNED:
		*(unsigned *)at = (unsigned)message_number(m, f->name, 0,
		    UINT32_MAX, 0);
		return;
	case A_FLAG:
		*(bool *)at = json_is_true(json_object_get(m->j, f->name));
		return;
	}
}

static void
take_text(struct slow_entry *e, const char *name, const char *text)
{
	size_t i;

	for (i = 0; i < NELEMS(texts); i++)
		if (name != NULL && strcmp(name, texts[i].name) == 0)
			strncpy((char *)e + texts[i].offset, text,
			    texts[i].size - 1);
}

/* False: they do not end where the raw bytes do. */
static bool
unpack_texts(const struct message *m, struct slow_entry *e)
{
	const json_t *names = json_object_get(m->j, "texts");
	const char *at = (const char *)m->raw, *end;
	size_t left = m->raw_len, i;

	for (i = 0; i < json_array_size(names); i++) {
		end = left > 0 ? memchr(at, '\0', left) : NULL;
		if (end == NULL)
			return false;
		take_text(e, json_string_value(json_array_get(names, i)), at);
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	return left == 0;
}

static void
unpack_client(const char *text, struct addr_ip *client)
{
	struct addr addr;

	if (strcmp(text, "unix:") == 0)
		client->family = AF_UNIX;
	else if (message_addr(text, &addr) == 0)
		addr_to_ip(&addr, client);
}

int
slow_unpack(const struct message *m, int64_t now_ns, struct slow_entry *e)
{
	int why = which(message_text(m, "why"), fail_name, N_FAILS);
	int outcome = which(message_text(m, "outcome"), outcome_name,
	    N_OUTCOMES);
	int waited_for = which(message_text(m, "waited_for"), wait_name,
	    SLOW_N_WAITS);
	size_t i;

	memset(e, 0, sizeof(*e));
	/* Of a kind that this version does not know: nothing can be said of
	   it. */
	if (why < 0 || outcome < 0 || !unpack_texts(m, e))
		return -1;
	e->why = (enum fail)why;
	e->outcome = (enum outcome)outcome;
	e->waited_for = waited_for < 0 ? SLOW_WAIT_NONE :
	    (enum slow_wait)waited_for;
	e->status = (uint16_t)message_number(m, "status", 0, UINT16_MAX, 0);
	e->at_ns = now_ns - message_number(m, "ago_ns", 0, LONG_NS, 0);
	unpack_client(message_text(m, "client"), &e->client);
	for (i = 0; i < NELEMS(fields); i++)
		unpack_field(&fields[i], m, e);
	return 0;
}

/* -------------------------------------------------------------------- telling */

struct part {
	struct gather_part letter;
	unsigned n;
	struct slow_entry *v;           /* room for SLOW_MOST */
};

struct gathering {
	struct gather all;              /* held by main */
	struct runtime *rt;
	size_t n_parts;
	struct part parts[];
};

static void
release(struct gather *all)
{
	struct gathering *g = container_of(all, struct gathering, all);
	size_t i;

	for (i = 0; i < g->n_parts; i++)
		free(g->parts[i].v);
	free(g);
}

/* On a lane. */
static void
visit(struct worker *w, struct gather_part *letter)
{
	struct part *p = container_of(letter, struct part, letter);

	p->n = slow_copy(letter->lane->slow, w->now_ns, p->v);
}

static int
oldest_first(const void *a, const void *b)
{
	const struct slow_entry *const *x = a, *const *y = b;

	return ((*x)->at_ns > (*y)->at_ns) - ((*x)->at_ns < (*y)->at_ns);
}

/* What has not been told of a lane yet. */
static size_t
pick(const struct part *p, uint64_t *told, const struct slow_entry **v)
{
	uint64_t last = *told;
	size_t n = 0;
	unsigned i;

	for (i = 0; i < p->n; i++) {
		if (p->v[i].number > *told)
			v[n++] = &p->v[i];
		if (p->v[i].number > last)
			last = p->v[i].number;
	}
	*told = last;
	return n;
}

static void
say(struct upgrade *up, const struct slow_entry *e)
{
	size_t raw_len;
	char *raw;
	json_t *j = slow_pack(e, up->rt->main.now_ns, &raw, &raw_len);

	(void)channel_try(&up->to_new, j, raw, raw_len);
	free(raw);
}

/* The oldest first: should they not have all of the room there, those go. */
static void
say_all(struct gathering *g)
{
	struct upgrade *up = g->rt->upgrade;
	const struct slow_entry **v;
	size_t n = 0, i;

	v = malloc((g->n_parts * SLOW_MOST + 1) * sizeof(*v));
	if (v == NULL)
		return;
	for (i = 0; i < g->n_parts; i++)
		n += pick(&g->parts[i], &up->slow.numbers[i], v + n);
	qsort(v, n, sizeof(*v), oldest_first);
	for (i = n > TOLD_MOST ? n - TOLD_MOST : 0; i < n; i++)
		say(up, v[i]);
	free(v);
}

static void
whole(struct gather *all)
{
	struct gathering *g = container_of(all, struct gathering, all);
	struct upgrade *up = g->rt->upgrade;

	up->slow.asking = false;
	if (channel_is_open(&up->to_new) && up->slow.numbers != NULL)
		say_all(g);
	gather_drop(all);
}

static const struct gather_ops ops = { visit, whole, release };

/* NULL when out of memory, or there is nobody to tell. */
static struct gathering *
gathering_new(struct runtime *rt)
{
	struct slow_told *told = &rt->upgrade->slow;
	struct gathering *g = NULL;
	size_t i;

	if (told->numbers == NULL)
		told->numbers = calloc(rt->n_lanes, sizeof(*told->numbers));
	if (told->numbers != NULL && channel_is_open(&rt->upgrade->to_new))
		g = calloc(1, sizeof(*g) + rt->n_lanes * sizeof(g->parts[0]));
	if (g == NULL)
		return NULL;
	gather_init(&g->all, &ops);
	g->rt = rt;
	g->n_parts = rt->n_lanes;
	for (i = 0; i < g->n_parts; i++) {
		g->parts[i].v = malloc(SLOW_MOST * sizeof(g->parts[i].v[0]));
		if (g->parts[i].v == NULL) {
			gather_drop(&g->all);
			return NULL;
		}
	}
	return g;
}

void
slow_tell(struct runtime *rt)
{
	struct gathering *g;
	size_t i;

	if (rt->upgrade->slow.asking)
		return;
	g = gathering_new(rt);
	if (g == NULL)
		return;
	rt->upgrade->slow.asking = true;
	for (i = 0; i < g->n_parts; i++)
		gather_ask(&g->all, &g->parts[i].letter, rt->lanes[i]);
}

void
slow_tell_rest(struct runtime *rt)
{
	struct gathering *g = gathering_new(rt);
	size_t i;

	for (i = 0; g != NULL && i < g->n_parts; i++)
		g->parts[i].n = slow_copy(rt->lanes[i]->slow,
		    rt->main.now_ns, g->parts[i].v);
	if (g != NULL) {
		say_all(g);
		gather_drop(&g->all);
	}
}

void
slow_forget_told(struct slow_told *told)
{
	free(told->numbers);
	told->numbers = NULL;
}

/* --------------------------------------------------------------------- taking */

/* On its way to a lane. */
struct slow_mail {
	struct mail mail;
	struct slow *slow;
	struct slow_entry e;
};

static void
mail_dropped(struct mail *m)
{
	free(container_of(m, struct slow_mail, mail));
}

static void
mail_arrived(struct worker *w, struct mail *m)
{
	struct slow_mail *sm = container_of(m, struct slow_mail, mail);

	slow_add(sm->slow, &sm->e, w->now_ns);
	free(sm);
}

void
slow_take(struct runtime *rt, const struct message *m)
{
	struct slow_mail *sm = malloc(sizeof(*sm));
	struct lane *lane;

	if (sm == NULL || slow_unpack(m, rt->main.now_ns, &sm->e) < 0) {
		free(sm);
		return;
	}
	/* In turn: each lane has room for as many. */
	lane = rt->lanes[rt->upgrade->slow_taken++ % rt->n_lanes];
	sm->mail = (struct mail){ .deliver = mail_arrived,
	    .drop = mail_dropped };
	sm->slow = lane->slow;
	worker_post(&lane->worker, &sm->mail);
}
