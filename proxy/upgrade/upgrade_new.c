/*
 * An upgrade, as seen by the weir that comes. See upgrade.h.
 *
 * SPDX-License-Identifier: MIT
 */
/* Without memory the upgrade fails; uthash would end the process. */
#define HASH_NONFATAL_OOM 1

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "net/clock.h"
#include "net/log.h"
#include "net/tls_tickets.h"
#include "proxy/admin/admin.h"
#include "proxy/change.h"
#include "proxy/errors.h"
#include "proxy/lane.h"
#include "proxy/live.h"
#include "proxy/upgrade/upgrade_clients.h"
#include "proxy/upgrade/upgrade.h"
#include "proxy/upgrade/upgrade_parts.h"
#include "proxy/upgrade/upgrade_past.h"
#include "proxy/upgrade/upgrade_pools.h"
#include "proxy/upgrade/upgrade_slow.h"
#include "proxy/upgrade/upgrade_state.h"

enum { JOIN_MS = 10 * 1000, TELL_MS = 2000, ADDRS_MOST = 4096 };

/* Numbers that one weir may give to clients, so that it gives none that a client
   of one before it may have; so many that there are enough, and so few that they
   stay exact in languages whose numbers are doubles. */
#define CLIENTS_MOST (UINT64_C(1) << 36)

/* What the weir before said of one of its upstreams. */
struct known_upstream {
	UT_hash_handle hh;
	char *key;                      /* "NAME PROTOCOL" */
	char *identity;
	int cap;                        /* -1 = has none */
};

/* And of a name. */
struct known_name {
	UT_hash_handle hh;
	char *key;                      /* "UPSTREAM KEY" */
	struct addr *addrs;
	size_t n;
	int64_t good_at_ms;             /* by clock_ms(); -1 = not known */
};

/* ------------------------------------------------- before the file is read */

/* No name of an upstream has a blank in it. NULL when out of memory. */
static char *
known_key(const char *upstream, const char *what)
{
	char *key;

	return asprintf(&key, "%s %s", upstream, what) < 0 ? NULL : key;
}

static bool
take_hello(struct upgrade *up, const struct message *m, int *fds)
{
	struct runtime *rt = up->rt;
	int64_t side = message_number(m, "side", 0, CAP_SIDES - 1, 0);

	if (m->n_fds != 1 || rt->caps.v != NULL)
		return false;
	if (cap_table_join(&rt->caps, fds[0], (unsigned)side) < 0) {
		fds[0] = -1;
		return false;
	}
	fds[0] = -1;
	up->old_pid = (pid_t)message_number(m, "pid", 0, INT32_MAX, 0);
	up->count = (uint64_t)message_number(m, "upgrades", 0, INT64_MAX, 0);
	up->keys_go = json_is_true(json_object_get(m->j, "keys"));
	up->orders.go = json_is_true(json_object_get(m->j, "orders"));
	up->alone = json_is_true(json_object_get(m->j, "alone"));
	up->replaced = (uint64_t)message_number(m, "replaced", 0, INT64_MAX,
	    0);
	if (*message_text(m, "died") != '\0')
		up->died = strdup(message_text(m, "died"));
	rt->ids_before = (uint64_t)message_number(m, "last_id", 0, INT64_MAX,
	    0);
	atomic_store(&rt->last_id, rt->ids_before);
	rt->clients_before = (up->count + 1) * CLIENTS_MOST;
	rt->number_before = (uint64_t)message_number(m, "generation", 0,
	    INT64_MAX, 0);
	return true;
}

static bool
take_socket(struct upgrade *up, const struct message *m, int *fds)
{
	bool foreign = json_is_true(json_object_get(m->j, "foreign"));
	struct addr addr;
	char text[ADDR_TEXT_MAX], why[256];
	size_t i;

	if (message_bound_addr(m, &addr) < 0)
		return false;
	for (i = 0; i < m->n_fds; i++) {
		if (inherit_add(&up->rt->inherited, fds[i], &addr, foreign,
		    true, why, sizeof(why)) < 0) {
			log_error("upgrade", "a socket of %s: %s",
			    addr_print(&addr, text), why);
			return false;
		}
		fds[i] = -1;
	}
	return true;
}

static void
known_upstream_free(struct known_upstream *k)
{
	free(k->key);
	free(k->identity);
	free(k);
}

static bool
take_upstream(struct upgrade *up, const struct message *m)
{
	struct known_upstream *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return false;
	k->key = known_key(message_text(m, "name"),
	    message_text(m, "protocol"));
	k->identity = strdup(message_text(m, "identity"));
	k->cap = (int)message_number(m, "cap", -1, CAP_MOST - 1, -1);
	if (k->cap >= 0)
		up->known_caps[k->cap] = true;
	if (k->key != NULL && k->identity != NULL) {
		HASH_ADD_KEYPTR(hh, up->upstreams, k->key,
		    (unsigned)strlen(k->key), k);
		if (k->hh.tbl != NULL)
			return true;
	}
	known_upstream_free(k);
	return false;
}

static void
known_name_free(struct known_name *k)
{
	free(k->key);
	free(k->addrs);
	free(k);
}

static bool
take_name(struct upgrade *up, const struct message *m)
{
	const json_t *all = json_object_get(m->j, "addresses");
	size_t n = json_array_size(all), i;
	struct known_name *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return false;
	k->key = known_key(message_text(m, "upstream"),
	    message_text(m, "key"));
	k->good_at_ms = message_number(m, "age_ms", -1, MESSAGE_LONG_MS, -1);
	if (k->good_at_ms >= 0)
		k->good_at_ms = clock_ms() - k->good_at_ms;
	k->addrs = calloc(n + 1, sizeof(*k->addrs));
	for (i = 0; k->addrs != NULL && i < n && i < ADDRS_MOST; i++) {
		const char *text = json_string_value(json_array_get(all, i));

		if (text != NULL && message_addr(text, &k->addrs[k->n]) == 0)
			k->n++;
	}
	if (k->key != NULL && k->addrs != NULL) {
		HASH_ADD_KEYPTR(hh, up->names, k->key,
		    (unsigned)strlen(k->key), k);
		if (k->hh.tbl != NULL)
			return true;
	}
	known_name_free(k);
	return false;
}

static bool
take_beginning(struct upgrade *up, const struct message *m, int *fds)
{
	if (strcmp(m->is, "hello") == 0)
		return take_hello(up, m, fds);
	if (strcmp(m->is, "socket") == 0)
		return take_socket(up, m, fds);
	if (strcmp(m->is, "upstream") == 0)
		return take_upstream(up, m);
	if (strcmp(m->is, "name") == 0)
		return take_name(up, m);
	/* Of another version's shape there are none: clients shake hands. */
	if (strcmp(m->is, "tickets") == 0 &&
	    tls_tickets_take(m->raw, m->raw_len) < 0)
		log_info("upgrade", "the keys of TLS tickets are of another "
		    "kind: sessions are not resumed");
	if (strcmp(m->is, "begin") == 0)
		up->begun = true;
	return true;
}

/* ---------------------------------------------------------------- taking over */

static void
spared(void *arg)
{
	((struct upgrade *)arg)->sparing_back = false;
}

static void
say_word(struct upgrade *up, const char *word)
{
	(void)channel_send(&up->to_old, json_pack("{s:s}", "is", word), NULL,
	    0, NULL, 0);
}

/* Those who wait there may need what is idle here, as long as that drains. */
static void
look_again(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, look);

	if (!channel_is_open(&up->to_old))
		return;
	upgrade_publish(up->rt);
	orders_send(up);
	if (!up->sparing_back) {
		up->sparing_back = true;
		if (!spare_connections(up->rt, &up->to_old, INT64_MAX, spared,
		    up))
			up->sparing_back = false;
	}
	deadline_set(&up->rt->main, d, UPGRADE_SWEEP_MS);
}

/* The old one goes on. */
static void
desert(struct upgrade *up)
{
	if (!up->rt->draining)
		log_error("upgrade", "the weir that this one was to take over "
		    "from has gone, or does not want it any more");
	up->deserted = true;
	runtime_stop(up->rt);
}

static void
say_declined(struct upgrade *up)
{
	(void)channel_send(&up->to_old, json_pack("{s:s,s:s}", "is", "failed",
	    "why", "the new weir was told to end"), NULL, 0, NULL, 0);
}

static void
decline(struct upgrade *up)
{
	deadline_clear(&up->look);
	say_declined(up);
	channel_finish(&up->to_old);
	desert(up);
}

static void
look_whether_ready(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, look);
	struct runtime *rt = up->rt;
	char missing[256];
	bool ready = runtime_ready(rt, missing, sizeof(missing));

	if (rt->draining) {
		decline(up);
		return;
	}
	if (!ready && !up->alone && rt->main.now_ns - up->started_ns <
	    UPGRADE_WARM_MS * NS_PER_MS) {
		deadline_set(&rt->main, d, UPGRADE_SWEEP_MS);
		return;
	}
	if (!ready && up->alone)
		log_info("upgrade", "not ready, and taking over all the same, "
		    "for nobody serves: %s", missing);
	else if (!ready)
		log_warn("upgrade", "not ready after %d s, and taking over all "
		    "the same: %s", UPGRADE_WARM_MS / 1000, missing);
	up->ready = true;
	(void)channel_send(&up->to_old, json_pack("{s:s,s:b,s:b}", "is",
	    "ready", "clients", true, "keys", true), NULL, 0, NULL, 0);
}

/* A copy of one of our sockets, on its way. */
struct lent {
	int fd;
};

static void
lent_news(void *arg, enum sending is)
{
	struct lent *lent = arg;

	if (is != SENDING_DONE && is != SENDING_NEVER)
		return;
	close(lent->fd);
	free(lent);
}

static void
lend(struct upgrade *up, const struct addr *addr, int fd, bool foreign)
{
	struct lent *lent = malloc(sizeof(*lent));

	if (lent == NULL)
		return;
	lent->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (lent->fd >= 0 && channel_send_away(&up->to_old, json_pack(
	    "{s:s,s:b}", "is", "socket", "foreign", foreign), &addr->ss,
	    addr->len, lent->fd, lent_news, lent))
		return;
	if (lent->fd >= 0)
		close(lent->fd);
	free(lent);
}

static void
lend_some(void *arg, const struct addr *addr, const int *fds, size_t n,
    bool foreign)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fds[i] >= 0)
			lend(arg, addr, fds[i], foreign);
}

/* As long as the old one lives: should this one die, it needs them for the
   next. */
static void
lend_sockets(struct upgrade *up)
{
	upgrade_each_socket(up->rt, lend_some, up);
	say_word(up, "sockets");
}

void
upgrade_sockets_changed(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up != NULL && up->going && channel_is_open(&up->to_old))
		lend_sockets(up);
}

void
upgrade_resign(struct upgrade *up)
{
	if (up->going && channel_is_open(&up->to_old))
		say_word(up, "stopping");
}

/* By hand all of what the old one has is as it is here. */
static void
tell_orders(struct upgrade *up)
{
	const struct known_upstream *k;

	orders_begin(up);
	for (k = up->upstreams; k != NULL; k = k->hh.next) {
		char *name = strndup(k->key, strcspn(k->key, " "));

		if (name != NULL && *name != '\0')
			orders_say_left(up, name);
		free(name);
	}
}

static void
take_over(struct upgrade *up)
{
	struct runtime *rt = up->rt;

	up->going = true;
	rt->owns_files = true;
	inherit_end(&rt->inherited);
	change_open_doors(rt);
	admin_rest(rt, false);
	up->count++;
	up->tried = true;
	up->at_s = (int64_t)time(NULL);
	lend_sockets(up);
	say_word(up, "serving");
	tell_orders(up);
	log_info("upgrade", "took over from process %ld", (long)up->old_pid);
	/* The lanes have what was counted before, and nobody has asked yet. */
	admin_put_past(rt, &up->past);
}

/* The lanes have what came before: numbers, connections. */
static void
go(void *arg)
{
	struct upgrade *up = arg;

	up->prepared = true;
	if (!channel_is_open(&up->to_old))
		return;         /* see mourn() */
	if (up->rt->draining) {
		decline(up);
		return;
	}
	take_over(up);
	up->look.passed = look_again;
	deadline_set(&up->rt->main, &up->look, UPGRADE_SWEEP_MS);
}

static bool
take_message(struct upgrade *up, const struct message *m)
{
	struct runtime *rt = up->rt;

	if (strcmp(m->is, "count") == 0)
		counts_take(rt, m);
	else if (strcmp(m->is, "slow") == 0)
		slow_take(rt, m);
	else if (strcmp(m->is, "heard") == 0)
		orders_were_heard(up, m);
	else if (strcmp(m->is, "go") == 0) {
		rt->log_dropped += (uint64_t)message_number(m, "log_dropped",
		    0, INT64_MAX, 0);
		if (rt->draining)
			say_declined(up);
		if (!up->ready || up->told || rt->draining ||
		    lane_roll_call(rt, go, up) < 0)
			return false;
		up->told = true;
	} else if (strcmp(m->is, "staying") == 0)
		up->old_stays = true;
	else if (strcmp(m->is, "bye") == 0)
		up->parted = true;
	else if (!up->going && !past_take(rt, m))
		state_take(rt, m);
	return true;
}

static bool
came(struct channel *c, const struct message *m, int *fds)
{
	struct upgrade *up = container_of(c, struct upgrade, to_old);
	bool good;
	size_t i;

	if (up->begun && strcmp(m->is, "connection") == 0)
		return take_connection(up->rt, m, fds);
	if (up->going && strcmp(m->is, "client") == 0)
		return take_client(up->rt, m, fds);
	good = up->begun ? take_message(up, m) : take_beginning(up, m, fds);
	for (i = 0; i < m->n_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return good;
}

/* Whoever comes next is told anew what connections here are. */
static void
all_are_alike(struct runtime *rt)
{
	struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		atomic_store(&container_of(l, struct live_upstream,
		    link)->upstream->alike, true);
}

/* Who has started this one and ended is its parent no more, not even unburied. */
static bool
is_gone(const struct upgrade *up)
{
	return getppid() != up->old_pid;
}

/*
 * The channel has ended. As long as the old one lives it counts. If "go" was said
 * and it is gone, nobody serves but this one; if it lives, it has thought better
 * of it, and kills this one.
 */
static void
mourn(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, look);
	bool gone = is_gone(up);

	if (gone && !up->going && up->rt->draining) {
		desert(up);
		return;
	}
	if (!gone || !(up->going || up->prepared)) {
		upgrade_publish(up->rt);
		deadline_set(&up->rt->main, d, UPGRADE_SWEEP_MS);
		return;
	}
	if (!up->going)
		take_over(up);
	cap_bury(&up->rt->caps);
	all_are_alike(up->rt);
	/* Places that it had are free now. */
	upgrade_publish(up->rt);
	log_info("upgrade", "process %ld has %s", (long)up->old_pid,
	    up->parted ? "drained" : "ended before it had drained");
	up->old_pid = 0;
	upgrade_begin_queued(up);
}

static void
old_ended(struct channel *c)
{
	struct upgrade *up = container_of(c, struct upgrade, to_old);

	deadline_clear(&up->look);
	orders_end(up);
	if (!up->begun)
		return;
	if (!up->told) {
		desert(up);
		return;
	}
	up->look.passed = mourn;
	deadline_set(&up->rt->main, &up->look, 0);
}

/* -------------------------------------------------------------- life, death */

/* Anybody can cause it: where that is more than the other one takes, it is not
   asked. */
static void
ask_before(struct runtime *rt, const char *protocol, json_t *said)
{
	struct upgrade *up = rt->upgrade;
	json_t *j;

	if (up == NULL || !up->going || !channel_is_open(&up->to_old) ||
	    !list_empty(&up->to_old.queue)) {
		json_decref(said);
		return;
	}
	j = json_pack("{s:s,s:s,s:o}", "is", "ask", "protocol", protocol,
	    "said", said);
	(void)channel_try(&up->to_old, j, NULL, 0);
}

int
upgrade_join(struct runtime *rt, int fd, struct conf_errors *errors)
{
	struct upgrade *up = rt->upgrade;

	if (!inherit_is_given(fd) || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		errors_add(errors, UPGRADE_VARIABLE " names no descriptor: it "
		    "is for weir alone");
		return -1;
	}
	/* What people look for; "exe" where that one started its own binary, by
	   its name in /proc. */
	(void)prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
	channel_init(&up->to_old, fd, came, old_ended);
	deadline_init(&up->look, look_whether_ready);
	rt->ask_before = ask_before;
	rt->withheld = true;
	rt->owns_files = false;
	while (!up->begun && channel_wait(&up->to_old, JOIN_MS) > 0)
		;
	if (up->begun && rt->caps.v != NULL)
		return 0;
	errors_add(errors, "the weir to take over from did not say what is "
	    "needed for that");
	return -1;
}

void
upgrade_started(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (!rt->withheld) {
		inherit_end(&rt->inherited);
		return;
	}
	up->started_ns = rt->main.now_ns;
	channel_attach(&up->to_old, &rt->main);
	deadline_set(&rt->main, &up->look, UPGRADE_SWEEP_MS);
}

void
upgrade_not_started(struct runtime *rt, const struct conf_errors *errors)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || !channel_is_open(&up->to_old))
		return;
	(void)channel_send(&up->to_old, json_pack("{s:s,s:s}", "is", "failed",
	    "why", errors->n > 0 ? errors->v[0] : "it could not start"), NULL,
	    0, NULL, 0);
	(void)channel_push(&up->to_old, TELL_MS);
}

bool
upgrade_was_deserted(const struct runtime *rt)
{
	return rt->upgrade != NULL && rt->upgrade->deserted;
}

void
upgrade_forget(struct upgrade *up)
{
	struct known_upstream *u = up->upstreams, *next_u;
	struct known_name *n = up->names, *next_n;

	if (up->look.passed != NULL)
		deadline_clear(&up->look);
	channel_close(&up->to_old);
	admin_past_free(&up->past);
	HASH_CLEAR(hh, up->upstreams);
	for (; u != NULL; u = next_u) {
		next_u = u->hh.next;
		known_upstream_free(u);
	}
	HASH_CLEAR(hh, up->names);
	for (; n != NULL; n = next_n) {
		next_n = n->hh.next;
		known_name_free(n);
	}
}

/* ------------------------------------------------------------------- finding */

/* Entries of upstreams that the file has no more are in use there. */
static void
reserve(struct runtime *rt)
{
	size_t i;

	for (i = 0; i < CAP_MOST; i++)
		rt->caps.taken[i] = rt->caps.taken[i] ||
		    rt->upgrade->known_caps[i];
}

static const struct known_upstream *
known_upstream(const struct runtime *rt, const struct conf_upstream *conf)
{
	const struct known_upstream *k = NULL;
	char *key;

	if (rt->upgrade == NULL || !rt->withheld)
		return NULL;
	key = known_key(conf->name, conf->proto->name);
	if (key != NULL)
		HASH_FIND_STR(rt->upgrade->upstreams, key, k);
	free(key);
	return k;
}

void
upgrade_find_cap(struct runtime *rt, const struct conf_upstream *conf,
    struct upstream *up)
{
	const struct known_upstream *k = known_upstream(rt, conf);
	char identity[IDENTITY_MOST];

	up->side = rt->caps.side;
	/* One that the weir before does not have, or has otherwise, counts in an
	   entry of its own: nothing comes. */
	up->alike = true;
	up->keys_go = rt->upgrade != NULL && rt->upgrade->keys_go;
	if (k == NULL || k->cap < 0) {
		if (rt->upgrade != NULL)
			reserve(rt);
		up->cap = cap_take(&rt->caps, -1);
		return;
	}
	rt->caps.taken[k->cap] = false;
	up->cap = cap_take(&rt->caps, k->cap);
	state_identity(conf, up->peer, identity);
	up->alike = strcmp(identity, k->identity) == 0;
}

struct addr *
upgrade_find_name(struct runtime *rt, const char *upstream, const char *key,
    size_t *n, int64_t *age_ms)
{
	const struct known_name *k = NULL;
	struct addr *copy;
	char *text;

	if (rt->upgrade == NULL || !rt->withheld)
		return NULL;
	text = known_key(upstream, key);
	if (text != NULL)
		HASH_FIND_STR(rt->upgrade->names, text, k);
	free(text);
	if (k == NULL || k->n == 0)
		return NULL;
	copy = malloc(k->n * sizeof(*copy));
	if (copy == NULL)
		return NULL;
	memcpy(copy, k->addrs, k->n * sizeof(*copy));
	*n = k->n;
	*age_ms = k->good_at_ms < 0 ? -1 : clock_ms() - k->good_at_ms;
	return copy;
}
