/*
 * Transfer. See transfer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/transfer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/gate.h"
#include "proxy/proxied.h"
#include "proxy/runtime.h"
#include "proxy/session.h"
#include "proxy/upgrade/upgrade_message.h"

enum {
	BATCH = 128,                    /* in one turn: others wait meanwhile */
	UNDER_WAY_MOST = 512,           /* the rest waits where it can still be
					   served */
	LOOKS = 2048,                   /* sessions of a door in one sweep */
	SAID_MOST = 120 * 1024,         /* bytes: it is to fit into a message */
	TURN_MOST = 256 * 1024,         /* bytes told in one turn: some ms */
	LARGE_S = 16,                   /* what was too large is not told anew
					   before that: it takes its time, and
					   seldom becomes less */
	SOON_MS = 1,                    /* to the next batch */
	SWEEP_MS = 20
};

/* ------------------------------------------------------------------- spelling */

static const char digits[] = "0123456789abcdef";

json_t *
transfer_bytes(const void *bytes, size_t len)
{
	const unsigned char *b = bytes;
	char *text = malloc(2 * len + 1);
	json_t *j;
	size_t i;

	if (text == NULL)
		return NULL;
	for (i = 0; i < len; i++) {
		text[2 * i] = digits[b[i] >> 4];
		text[2 * i + 1] = digits[b[i] & 15];
	}
	j = json_stringn_nocheck(text, 2 * len);
	/* It may be a secret. */
	explicit_bzero(text, 2 * len);
	free(text);
	return j;
}

/* -1: it is none. */
static int
digit(char c)
{
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

size_t
transfer_read_bytes(const json_t *j, void *out, size_t most)
{
	const char *text = json_string_value(j);
	size_t len = json_string_length(j), i;
	unsigned char *to = out;

	if (text == NULL || len % 2 != 0 || len / 2 > most)
		return 0;
	for (i = 0; i < len; i += 2) {
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return 0;
		to[i / 2] = (unsigned char)(high << 4 | low);
	}
	return len / 2;
}

json_t *
transfer_text(const char *text)
{
	return text != NULL ? transfer_bytes(text, strlen(text)) : json_null();
}

int
transfer_read_text(const json_t *j, char **out, size_t most)
{
	size_t len = json_string_length(j) / 2;

	*out = NULL;
	if (j == NULL || json_is_null(j))
		return 0;
	if (!json_is_string(j) || json_string_length(j) % 2 != 0 || len > most)
		return -1;
	*out = malloc(len + 1);
	if (*out == NULL)
		return -1;
	if (transfer_read_bytes(j, *out, len) == len &&
	    memchr(*out, '\0', len) == NULL) {
		(*out)[len] = '\0';
		return 0;
	}
	explicit_bzero(*out, len + 1);          /* half of a password, maybe */
	free(*out);
	*out = NULL;
	return -1;
}

int
transfer_addr(const char *text, struct addr_ip *out)
{
	struct addr addr;

	memset(out, 0, sizeof(*out));
	if (strcmp(text, "-") == 0)
		return 0;
	if (strncmp(text, "unix:", 5) == 0) {
		out->family = AF_UNIX;
		return 0;
	}
	if (message_addr(text, &addr) < 0)
		return -1;
	addr_to_ip(&addr, out);
	return 0;
}

/* -------------------------------------------------------------------- leaving */

void
crosser_end(struct crosser *c)
{
	atomic_fetch_sub(&c->to->under_way, 1);
	list_remove(&c->link);
	json_decref(c->said);
	close(c->fd);
	free(c);
}

/* What a lane sends to main at a time. Owned by the mail. */
struct parcel {
	struct mail mail;
	struct crossing *to;
	struct list crossers;
	unsigned room;                  /* for so many more */
	size_t told;                    /* bytes, also of those that stay */
};

static void
parcel_arrived(struct worker *w, struct mail *m)
{
	struct parcel *p = container_of(m, struct parcel, mail);
	struct list *l;

	(void)w;
	while ((l = list_first(&p->crossers)) != NULL) {
		list_remove(l);
		p->to->came(p->to, container_of(l, struct crosser, link));
	}
	free(p);
}

static void
parcel_dropped(struct mail *m)
{
	struct parcel *p = container_of(m, struct parcel, mail);
	struct list *l;

	while ((l = list_first(&p->crossers)) != NULL)
		crosser_end(container_of(l, struct crosser, link));
	free(p);
}

static struct parcel *
parcel_new(struct crossing *to)
{
	unsigned under_way = atomic_load(&to->under_way);
	struct parcel *p;

	if (atomic_load(&to->over) || under_way >= UNDER_WAY_MOST)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->mail = (struct mail){ .deliver = parcel_arrived,
	    .drop = parcel_dropped };
	p->to = to;
	p->room = UNDER_WAY_MOST - under_way < BATCH ?
	    UNDER_WAY_MOST - under_way : BATCH;
	list_init(&p->crossers);
	return p;
}

static void
parcel_post(struct parcel *p)
{
	if (list_empty(&p->crossers))
		free(p);
	else
		worker_post(p->to->main, &p->mail);
}

static bool
is_full(const struct parcel *p)
{
	return p->room == 0 || p->told >= TURN_MOST;
}

/* For session.too_large: another one every LARGE_S, and never 0. */
static uint8_t
period_of(const struct worker *w)
{
	return (uint8_t)(w->now_ns / (LARGE_S * NS_PER_S) % UINT8_MAX + 1);
}

static bool
may_go(const struct session *s)
{
	const struct conn *c = &s->conn;

	return s->opened && !s->closed && !s->leaving && !s->in_bytes &&
	    session_may_cross(s) && session_is_idle(s) && !c->eof &&
	    !c->broken && !c->held && !c->shut &&
	    s->too_large != period_of(c->w);
}

/* NULL when out of memory, or its front does not let it go. *size is how long it
   will be. */
static json_t *
describe(const struct session *s, size_t *size)
{
	const struct worker *w = s->conn.w;
	json_t *state = s->front->pack(s), *j;
	char client[ADDR_TEXT_MAX];
	int64_t left_ms = deadline_armed(&s->deadline) ?
	    (s->deadline.at_ns - w->now_ns) / NS_PER_MS : CONF_OFF;

	if (state == NULL)
		return NULL;
	addr_ip_print(&s->client, true, client);
	j = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:o}", "is", "client",
	    "listener", s->door->listener->name, "protocol",
	    s->door->listener->proto->conf.name, "client", client, "idle_s",
	    (json_int_t)((uint32_t)(w->now_ns / NS_PER_S) - s->idle_since_s),
	    "left_ms", (json_int_t)(left_ms > 0 ? left_ms : 0), "met",
	    (int)s->met, "state", state);
	if (j == NULL)
		return NULL;
	*size = proxied_pack(s, j) == 0 ? json_dumpb(j, NULL, 0,
	    JSON_COMPACT) : 0;
	if (*size > 0)
		return j;
	json_decref(j);
	return NULL;
}

/* What has to be known of it; NULL: it stays. */
static json_t *
tell(struct parcel *p, struct session *s)
{
	size_t size = 0;
	json_t *j = describe(s, &size);

	p->told += size;
	if (size <= SAID_MOST)
		return j;
	s->too_large = period_of(s->conn.w);
	json_decref(j);
	return NULL;
}

/* False: there is no room for more. */
static bool
go(struct parcel *p, struct session *s)
{
	struct crosser *c;

	if (is_full(p))
		return false;
	c = may_go(s) ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL)
		return true;
	c->said = tell(p, s);
	if (c->said == NULL) {
		free(c);
		return true;
	}
	c->to = p->to;
	c->fd = session_take_out(s);
	list_init(&c->link);
	list_append(&p->crossers, &c->link);
	atomic_fetch_add(&p->to->under_way, 1);
	p->room--;
	return true;
}

/* Those looked at go to the end of the list, so that the next sweep looks at
   others. */
static void
sweep_door(struct parcel *p, struct door *d)
{
	uint64_t looks = count_read(&d->active);

	for (looks = looks < LOOKS ? looks : LOOKS; looks > 0; looks--) {
		struct list *l = list_first(&d->sessions);

		if (l == NULL)
			return;
		list_remove(l);
		list_append(&d->sessions, l);
		if (!go(p, container_of(l, struct session, link)))
			return;
	}
}

static void
sweep(struct deadline *d)
{
	struct transfer *t = container_of(d, struct transfer, sweep);
	struct lane *lane = container_of(t, struct lane, transfer);
	struct parcel *p = parcel_new(t->to);
	struct list *l, *tmp;
	bool more = false;

	if (p != NULL) {
		list_each(l, tmp, &lane->doors) {
			struct door *door = container_of(l, struct door, link);

			if (door->crosses && !is_full(p))
				sweep_door(p, door);
		}
		more = is_full(p);
		parcel_post(p);
	}
	if (!atomic_load(&t->to->over))
		deadline_set(&lane->worker, d, more ? SOON_MS : SWEEP_MS);
}

/* One that has got a connection of its own stays, and is told to leave where it can
   be. */
static void
look_at_ready(struct deadline *d)
{
	struct transfer *t = container_of(d, struct transfer, soon);
	struct parcel *p = parcel_new(t->to);
	struct list *l;

	while ((l = list_first(&t->ready)) != NULL) {
		struct session *s = container_of(l, struct session, ready);

		list_remove(l);
		if (s->kept != NULL && s->front->redirects)
			s->leaving = true;
		else if (p != NULL)
			(void)go(p, s);
	}
	if (p != NULL)
		parcel_post(p);
}

void
transfer_offer(struct session *s)
{
	struct transfer *t = &s->door->lane->transfer;

	if (t->to == NULL || s->closed || !s->door->crosses ||
	    list_linked(&s->ready))
		return;
	list_append(&t->ready, &s->ready);
	/* Not before what it is told has been written. */
	if (!deadline_armed(&t->soon))
		deadline_set(s->conn.w, &t->soon, 0);
}

void
transfer_begin(struct lane *lane, struct crossing *to)
{
	lane->transfer.to = to;
	deadline_set(&lane->worker, &lane->transfer.sweep, 0);
}

void
transfer_init(struct transfer *t)
{
	t->to = NULL;
	deadline_init(&t->soon, look_at_ready);
	deadline_init(&t->sweep, sweep);
	list_init(&t->ready);
}

void
transfer_end(struct transfer *t)
{
	t->to = NULL;
	deadline_clear(&t->soon);
	deadline_clear(&t->sweep);
}

/* --------------------------------------------------------------------- coming */

/* Times go on where they were. */
static void
set_times(struct session *s, const json_t *said)
{
	struct worker *w = s->conn.w;
	json_int_t left_ms = json_integer_value(json_object_get(said,
	    "left_ms"));

	if (deadline_armed(&s->deadline) && left_ms >= 0 &&
	    left_ms < (s->deadline.at_ns - w->now_ns) / NS_PER_MS &&
	    json_is_integer(json_object_get(said, "left_ms")))
		deadline_set_ns(w, &s->deadline, left_ms * NS_PER_MS);
}

static void
set_idle_since(struct session *s, const json_t *said)
{
	json_int_t idle_s = json_integer_value(json_object_get(said, "idle_s"));

	if (idle_s > 0 && idle_s < (json_int_t)s->idle_since_s)
		s->idle_since_s -= (uint32_t)idle_s;
}

static bool
is_taken_in(const struct door *d)
{
	const struct front_ops *front = d->listener->proto->front;

	return !d->closed && d->conf != NULL && front->adopt != NULL &&
	    (d->conf->tls.server == NULL || front->asks_tls);
}

/* Descriptors beyond that are for upstreams, as for those who connect. */
static bool
has_room(struct door *d, int fd)
{
	if (fd <= d->lane->runtime->client_fds ||
	    sessions_make_room(d->lane, 2) > 0)
		return true;
	gate_refused(d, LIMIT_DESCRIPTORS);
	return false;
}

static void
note(const struct door *d, const char *client)
{
	if (d->closed)
		log_info(d->listener->name, "a client of the weir before "
		    "(%.64s) is closed: this one drains, too", client);
	else
		log_debug(d->listener->name, "a client of the weir before "
		    "(%.64s) cannot go on here", client);
}

void
transfer_take_in(struct door *d, int fd, const json_t *said)
{
	const char *text = json_string_value(json_object_get(said, "client"));
	struct addr_ip client;
	struct session *s;

	if (text == NULL || transfer_addr(text, &client) < 0 ||
	    !is_taken_in(d) || !has_room(d, fd)) {
		note(d, text != NULL ? text : "");
		close(fd);
		return;
	}
	s = session_take_in(d, fd, &client, gate_crossed(d, &client));
	if (s == NULL)
		return;
	s->met = s->met || json_is_true(json_object_get(said, "met"));
	set_idle_since(s, said);
	proxied_adopt(s, said);
	s->opened = true;
	if (s->front->adopt(s, json_object_get(said, "state"))) {
		set_times(s, said);
		return;
	}
	note(d, text);
	session_close(s);
}
