/*
 * Plans. See plan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/plan.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/sent.h"
#include "net/tls_client.h"
#include "net/tls_server.h"
#include "pool/keyring.h"
#include "proxy/live.h"
#include "proxy/proto.h"
#include "proxy/reload.h"
#include "proxy/runtime.h"

/* What only a start can change; patterns of fnmatch(3). An address that is bound
   stays as it is, queue and permissions too. */
static const char *const at_start[] = {
	"workers",
	"user",
	"group",
	"security.sandbox",
	"listeners.*.bind[[]*].backlog",
	"listeners.*.bind[[]*].mode",
	"listeners.*.bind[[]*].owner",
	"listeners.*.bind[[]*].group",
	"admin.*bind.backlog",
	"admin.*bind.mode",
	"admin.*bind.owner",
	"admin.*bind.group"
};

bool
plan_waits_for_start(const char *path)
{
	size_t i;

	for (i = 0; i < NELEMS(at_start); i++)
		if (fnmatch(at_start[i], path, 0) == 0)
			return true;
	return false;
}

/* --------------------------------------------- what the keys do not show */

static bool
is_alike(const struct conf_upstream *a, const struct conf_upstream *b)
{
	return a->proto->alike == NULL || a->own == NULL || b->own == NULL ||
	    a->proto->alike(a->own, b->own);
}

static int
text_before(const void *one, const void *other)
{
	return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* What the keys show: the paths of its changes, sorted; the changes' own. */
struct shown {
	const char **v;
	size_t n;
};

static int
shown_take(struct shown *s, const struct diff *d)
{
	size_t i;

	s->n = d->n;
	s->v = calloc(d->n + 1, sizeof(*s->v));
	if (s->v == NULL)
		return -1;
	for (i = 0; i < d->n; i++)
		s->v[i] = d->v[i].path;
	qsort(s->v, s->n, sizeof(*s->v), text_before);
	return 0;
}

/* As diff_has(), of a path that few begin with: not one by one from the first,
   since it is asked for each upstream. */
static bool
shown_has(const struct shown *s, const char *path)
{
	size_t low = 0, high = s->n, len = strlen(path), mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (strcmp(s->v[mid], path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->n && strncmp(s->v[low], path, len) == 0; low++)
		if (strchr(".[", s->v[low][len]) != NULL)
			return true;
	return false;
}

/* What facts are of. */
struct subject {
	struct diff *d;
	const struct shown *shown;
	enum diff_kind kind;
	const char *group, *name;       /* "listeners"; as it may be shown */
	int line;
};

static struct subject
subject_of(struct diff *d, const struct shown *shown, enum diff_kind kind,
    const struct conf *now, const char *name, int line)
{
	return (struct subject){ .d = d, .shown = shown, .kind = kind,
	    .group = kind == DIFF_LISTENER ? "listeners" : "upstreams",
	    .name = sent_hides_name(now, name) ? "(hidden)" : name,
	    .line = line };
}

/* A fact about a key, which is not said where the key itself has changed. */
static int
add_fact(const struct subject *s, const char *key, const char *what)
{
	char path[512], text[160];
	int n = snprintf(path, sizeof(path), "%s.%s.%s", s->group, s->name,
	    key);

	if (n < 0 || (size_t)n >= sizeof(path) || shown_has(s->shown, path))
		return 0;
	snprintf(text, sizeof(text), ": %s", what);
	return diff_add_fact(s->d, s->kind, s->name, text, s->line);
}

/* Days, of UTC as certificates have them; the moment where those are one. */
static void
expiries(char *out, size_t size, int64_t was_s, int64_t now_s)
{
	const char *form = was_s / 86400 == now_s / 86400 ? "%F %T" : "%F";
	time_t a = (time_t)was_s, b = (time_t)now_s;
	char from[40], to[40];
	struct tm tm_a, tm_b;

	*out = '\0';
	if (was_s != now_s && gmtime_r(&a, &tm_a) != NULL &&
	    gmtime_r(&b, &tm_b) != NULL &&
	    strftime(from, sizeof(from), form, &tm_a) > 0 &&
	    strftime(to, sizeof(to), form, &tm_b) > 0)
		snprintf(out, size, " (expires %s -> %s)", from, to);
}

/* How the keys are called whose files they are; several: of `certificates`. */
static int
add_tls_files(const struct subject *s, const struct tls_files *was,
    const struct tls_files *now, bool several)
{
	static const char *const of_one[TLS_N_FILES] = { "certificate", "key",
	    "ocsp", "ca", "crl" };
	char key[40], what[160], more[100];
	size_t i;

	for (i = 0; i < TLS_N_FILES; i++) {
		bool listed = several && i <= TLS_FILE_OCSP;

		if (tls_files_alike(was, now, (enum tls_file)i))
			continue;
		*more = '\0';
		if (i == TLS_FILE_CERTIFICATE)
			expiries(more, sizeof(more), was->not_after_s,
			    now->not_after_s);
		snprintf(key, sizeof(key), "tls.%s%s", listed ? "certificates" :
		    i == TLS_FILE_CA && s->kind == DIFF_LISTENER ? "client_" :
		    "", listed ? "" : of_one[i]);
		snprintf(what, sizeof(what), "%s: %s%s changed%s", key,
		    listed ? "file of a " : "file", listed ? of_one[i] : "",
		    more);
		if (add_fact(s, key, what) < 0)
			return -1;
	}
	return 0;
}

static int
add_upstream_files(const struct subject *s, const struct conf_upstream *was,
    const struct conf_upstream *now)
{
	struct tls_files before, after;

	if (was->tls.client != NULL && now->tls.client != NULL) {
		tls_client_files(was->tls.client, &before);
		tls_client_files(now->tls.client, &after);
		if (add_tls_files(s, &before, &after, false) < 0)
			return -1;
	}
	return was->proto != now->proto || is_alike(was, now) ? 0 :
	    add_fact(s, now->proto->name, "how it logs in has changed");
}

static int
add_listener_files(const struct subject *s, const struct conf_listener *was,
    const struct conf_listener *now)
{
	struct tls_files before, after;
	char what[120], path[80];
	const char *key;

	if (was->tls.server != NULL && now->tls.server != NULL) {
		tls_server_files(was->tls.server, &before);
		tls_server_files(now->tls.server, &after);
		if (add_tls_files(s, &before, &after,
		    was->tls.certificates.n + now->tls.certificates.n > 0) < 0)
			return -1;
	}
	if (was->proto != now->proto || now->proto->file_changed == NULL)
		return 0;
	key = now->proto->file_changed(was->own, now->own);
	if (key == NULL)
		return 0;
	snprintf(path, sizeof(path), "%s.%s", now->proto->name, key);
	snprintf(what, sizeof(what), "%s: file changed", path);
	return add_fact(s, path, what);
}

static int
add_token(struct diff *d, const struct conf *was, const struct conf *now)
{
	bool same = (was->admin.token == NULL) == (now->admin.token == NULL) &&
	    (was->admin.token == NULL ||
	    strcmp(was->admin.token, now->admin.token) == 0);

	if (same || diff_has(d, "admin.token_file"))
		return 0;
	return diff_add_fact(d, DIFF_SETTING, NULL, "admin.token_file: the "
	    "token in it has changed (secret)", 0);
}

static int
add_facts(struct diff *d, const struct shown *shown, const struct conf *was,
    const struct conf *now)
{
	const struct conf_listener *l;
	const struct conf_upstream *u;
	struct subject s;
	size_t i;

	for (i = 0; i < now->n_listeners; i++) {
		l = conf_listener_find(was, now->listeners[i].name);
		s = subject_of(d, shown, DIFF_LISTENER, now,
		    now->listeners[i].name, now->listeners[i].line);
		if (l != NULL &&
		    add_listener_files(&s, l, &now->listeners[i]) < 0)
			return -1;
	}
	for (i = 0; i < now->n_upstreams; i++) {
		u = conf_upstream_find(was, now->upstreams[i].name);
		s = subject_of(d, shown, DIFF_UPSTREAM, now,
		    now->upstreams[i].name, now->upstreams[i].line);
		if (u != NULL &&
		    add_upstream_files(&s, u, &now->upstreams[i]) < 0)
			return -1;
	}
	return add_token(d, was, now);
}

int
plan_diff(struct diff *d, const struct conf *was, const struct conf *now)
{
	struct shown shown;
	int result;

	if (diff_make(d, was, now) < 0)
		return -1;
	result = shown_take(&shown, d);
	if (result == 0)
		result = add_facts(d, &shown, was, now);
	free(shown.v);
	if (result < 0)
		diff_fini(d);
	return result;
}

/* -------------------------------------------------------------------- keys */

/* So many keys tell the share to within half a percent. */
enum { KEYS_TRIED = 20000 };

/* nodes: room for all endpoints. NULL when out of memory. */
static struct keyring *
ring_of(const struct conf_upstream *u, struct keyring_node *nodes)
{
	struct keyring *ring = NULL;
	size_t i, n = 0;

	for (i = 0; i < u->n_endpoints; i++, n++) {
		nodes[i] = (struct keyring_node){
		    .label = keyring_label(&u->endpoints[i]),
		    .weight = u->endpoints[i].weight, .usable = true };
		if (nodes[i].label == NULL)
			break;
	}
	if (n == u->n_endpoints)
		ring = keyring_new(u->key_hash.ring, nodes, n);
	for (i = 0; i < n; i++)
		free((char *)nodes[i].label);
	return ring;
}

static bool
same_server(const struct conf_endpoint *a, const struct conf_endpoint *b)
{
	const char *x = a->srv != NULL ? a->srv : a->address.host;
	const char *y = b->srv != NULL ? b->srv : b->address.host;

	return strcmp(x, y) == 0 && a->address.port == b->address.port;
}

static double
moved_between(const struct conf_upstream *was, const struct keyring *a,
    const struct conf_upstream *now, const struct keyring *b)
{
	unsigned i, moved = 0;
	size_t from, to;
	char key[24];
	int len;

	for (i = 0; i < KEYS_TRIED; i++) {
		len = snprintf(key, sizeof(key), "key:%u", i);
		from = keyring_find(a, keyring_hash(was, key, (size_t)len));
		to = keyring_find(b, keyring_hash(now, key, (size_t)len));
		moved += from == KEYRING_NONE || to == KEYRING_NONE ||
		    !same_server(&was->endpoints[from], &now->endpoints[to]);
	}
	return (double)moved / KEYS_TRIED;
}

static double
moved_share(const struct conf_upstream *was, const struct conf_upstream *now)
{
	struct keyring_node *nodes;
	struct keyring *a, *b;
	double moved = -1;

	if (was->balance != CONF_KEY_HASH || now->balance != CONF_KEY_HASH ||
	    was->key_hash.ring == CONF_RING_RANDOM ||
	    now->key_hash.ring == CONF_RING_RANDOM)
		return -1;
	nodes = calloc(was->n_endpoints + now->n_endpoints + 1,
	    sizeof(*nodes));
	if (nodes == NULL)
		return -1;
	a = ring_of(was, nodes);
	b = ring_of(now, nodes);
	if (a != NULL && b != NULL)
		moved = moved_between(was, a, now, b);
	keyring_free(a);
	keyring_free(b);
	free(nodes);
	return moved;
}

/* ------------------------------------------------------------- connections */

static unsigned
of_endpoint(const struct endpoint *e, unsigned *idle)
{
	unsigned open = atomic_load(&e->open);
	unsigned busy = atomic_load(&e->leased) + atomic_load(&e->opening);

	/* Read one by one while they change. */
	if (busy > open)
		busy = open;
	*idle = open - busy;
	return busy;
}

static const struct conf_endpoint *
named(const struct conf_upstream *u, const char *name)
{
	size_t i;

	for (i = 0; i < u->n_endpoints; i++)
		if (strcmp(u->endpoints[i].name, name) == 0)
			return &u->endpoints[i];
	return NULL;
}

/* Is an address of the roster still one in the new file? What a name stands for
   stays while the name does. */
static bool
endpoint_stays(const struct endpoint *e, const struct conf_upstream *was,
    const struct conf_upstream *now)
{
	const struct conf_endpoint *a = named(was, e->name);
	const struct conf_endpoint *b = named(now, e->name);

	return a != NULL && b != NULL && same_server(a, b);
}

static bool
same_identity(const struct conf_upstream *was, const struct conf_upstream *now)
{
	return was->send_proxy == now->send_proxy && is_alike(was, now) &&
	    tls_client_alike(was->tls.client, now->tls.client);
}

/* As pools do it: what is beyond max goes first, then what is idle beyond
   max_idle. */
static void
trim(struct plan_pool *p, unsigned idle, const struct conf_pool *pool)
{
	unsigned open = p->stay, surplus = 0, more = 0;

	if (open > pool->max)
		surplus = open - (unsigned)pool->max;
	if (surplus > idle) {
		p->close_later += surplus - idle;
		p->stay -= surplus - idle;
		surplus = idle;
	}
	if (idle - surplus > pool->max_idle)
		more = idle - surplus - (unsigned)pool->max_idle;
	p->close_now += surplus + more;
	p->stay -= surplus + more;
}

static void
count_pool(struct plan_pool *p, const struct live_upstream *lu,
    const struct conf_upstream *now)
{
	bool alike = now != NULL && now->proto == lu->conf->proto &&
	    same_identity(lu->conf, now);
	unsigned idle, busy, kept = 0;
	size_t i;

	for (i = 0; lu->roster != NULL && i < lu->roster->n; i++) {
		const struct endpoint *e = lu->roster->v[i];

		busy = of_endpoint(e, &idle);
		if (idle + busy == 0)
			continue;       /* nor is it looked for by name */
		if (alike && endpoint_stays(e, lu->conf, now)) {
			p->stay += idle + busy;
			kept += idle;
		} else {
			p->close_now += idle;
			p->close_later += busy;
		}
	}
	if (alike)
		trim(p, kept, &now->pool);
}

/* The names of upstreams that something changes of, sorted; the changes' own.
   NULL when out of memory. */
static const char **
touched_names(const struct diff *d, size_t *n)
{
	const char **v = calloc(d->n + 1, sizeof(*v));
	size_t i;

	*n = 0;
	for (i = 0; v != NULL && i < d->n; i++)
		if (d->v[i].owner != NULL &&
		    strncmp(d->v[i].path, "upstreams.", 10) == 0)
			v[(*n)++] = d->v[i].owner;
	if (v != NULL)
		qsort(v, *n, sizeof(*v), text_before);
	return v;
}

static int
count_pools(struct plan *p, struct runtime *rt, const char **touched,
    size_t n_touched)
{
	struct list *l;
	size_t n = 0;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		n++;
	p->pools = calloc(n + 1, sizeof(*p->pools));
	if (p->pools == NULL)
		return -1;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);
		struct plan_pool *pool = &p->pools[p->n_pools];
		const struct conf_upstream *now;

		if (lu->conf == NULL)
			continue;
		pool->upstream = strdup(lu->conf->name);
		if (pool->upstream == NULL)
			return -1;
		p->n_pools++;
		/* Of a file that says what runs nothing goes, nor does what
		   is held for a confirmation. */
		now = p->outlook.same ? lu->conf :
		    conf_upstream_find(p->conf, lu->conf->name);
		pool->touched = bsearch(&pool->upstream, touched, n_touched,
		    sizeof(*touched), text_before) != NULL;
		count_pool(pool, lu, now);
		pool->moved = now == NULL ? -1 : moved_share(lu->conf, now);
	}
	return 0;
}

/* -------------------------------------------------------------- all of it */

static int
compare(struct plan *p, struct runtime *rt)
{
	const char **touched;
	size_t i, n;
	int result;

	if (plan_diff(&p->diff, rt->gen->conf, p->conf) < 0)
		return -1;
	p->at_start = calloc(p->diff.n + 1, sizeof(*p->at_start));
	if (p->at_start == NULL)
		return -1;
	for (i = 0; i < p->diff.n; i++)
		p->at_start[i] = plan_waits_for_start(p->diff.v[i].path);
	if (outlook_make(&p->outlook, rt, p->conf, p->diff.n == 0) < 0)
		return -1;
	touched = touched_names(&p->diff, &n);
	result = touched == NULL ? -1 : count_pools(p, rt, touched, n);
	free(touched);
	return result;
}

/* What the sandbox does not permit a reload is refused, too. */
static int
fits_sandbox(struct plan *p, const struct runtime *rt)
{
	char why[512];

	if (sandbox_permits(&rt->sandbox, p->conf, why, sizeof(why)) == 0)
		return 0;
	p->errors.v = calloc(1, sizeof(*p->errors.v));
	/* It names a path. */
	if (p->errors.v != NULL && asprintf(&p->errors.v[0], "%s: %s",
	    p->conf->path, sent_hides(p->conf) ? "needs a restart: "
	    "security.sandbox does not permit a place that it names" :
	    why) >= 0)
		p->errors.n = 1;
	return -1;
}

struct plan *
plan_make(struct runtime *rt, const char *text, const char *name)
{
	struct plan *p = calloc(1, sizeof(*p));
	struct conf_input in = runtime_input(rt);

	if (p == NULL)
		return NULL;
	p->barred = reload_barred(rt);
	if (text != NULL) {
		in.text = text;
		in.name = name;
	}
	p->conf = conf_load(&in, &p->errors);
	notify_alive(rt);
	p->ok = p->conf != NULL && fits_sandbox(p, rt) == 0;
	if (!p->ok)
		return p;
	conf_warn(p->conf, &p->warnings);
	conf_missing(p->conf, &p->warnings);
	outlook_given_up(rt, p->conf, &p->warnings);
	/* In an upgrade it may be the new weir that has them. */
	p->ok = p->barred != NULL || outlook_try(rt, p->conf, &p->errors) == 0;
	if (compare(p, rt) < 0) {
		plan_free(p);
		return NULL;
	}
	notify_alive(rt);
	return p;
}

void
plan_free(struct plan *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->n_pools; i++)
		free(p->pools[i].upstream);
	free(p->pools);
	free(p->at_start);
	outlook_fini(&p->outlook);
	diff_fini(&p->diff);
	conf_errors_fini(&p->errors);
	conf_errors_fini(&p->warnings);
	conf_free(p->conf);
	free(p);
}

/* ----------------------------------------------------------------- telling */

void
plan_text(const struct diff_change *c, char *out, size_t size)
{
	snprintf(out, size, "%s%s", c->text, plan_waits_for_start(c->path) ?
	    " (at the next start only)" : "");
}

/* What becomes of some of them, behind what is said already; `is`: of one. */
static void
say_some(char *out, size_t size, bool more, unsigned n, const char *is,
    const char *are)
{
	size_t at = strlen(out);

	if (n > 0)
		snprintf(out + at, size - at, "%s%u %s", more ? ", " : "", n,
		    n == 1 ? is : are);
}

bool
plan_pool_text(const struct plan_pool *p, char *out, size_t size)
{
	unsigned closing = p->close_now + p->close_later;
	unsigned all = p->stay + closing;

	if (all == 0 || (closing == 0 && !p->touched))
		return false;
	snprintf(out, size, "upstream %s: of %u connection%s ", p->upstream,
	    all, all == 1 ? "" : "s");
	say_some(out, size, false, p->stay, "stays", "stay");
	say_some(out, size, p->stay > 0, p->close_now, "closes at once",
	    "close at once");
	say_some(out, size, p->stay + p->close_now > 0, p->close_later,
	    "closes when it is given back", "close when they are given back");
	return true;
}

bool
plan_barred_text(const struct plan *p, char *out, size_t size)
{
	if (p->barred == NULL)
		return false;
	snprintf(out, size, "%s: no reload is taken now, and addresses were "
	    "not tried", p->barred);
	return true;
}

void
plan_tell(const struct plan *p, void (*say)(void *arg, const char *line),
    void *arg)
{
	char line[PLAN_TEXT_MOST];
	size_t i;

	if (plan_barred_text(p, line, sizeof(line)))
		say(arg, line);
	if (p->ok && p->diff.n == 0)
		say(arg, "nothing would change");
	for (i = 0; i < p->diff.n; i++) {
		plan_text(&p->diff.v[i], line, sizeof(line));
		say(arg, line);
	}
	outlook_tell(&p->outlook, say, arg);
	for (i = 0; i < p->n_pools; i++) {
		if (plan_pool_text(&p->pools[i], line, sizeof(line)))
			say(arg, line);
		if (p->pools[i].moved <= 0)
			continue;
		snprintf(line, sizeof(line), "upstream %s: %.1f %% of its keys "
		    "go to another endpoint", p->pools[i].upstream,
		    p->pools[i].moved * 100);
		say(arg, line);
	}
}
