/*
 * Two configurations compared. See diff.h.
 *
 * Each is told into a tree; the trees are walked side by side.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/tree.h"
#include "net/memstream.h"

const char *const diff_kinds[DIFF_N_KINDS] = {
	[DIFF_LISTENER] = "listener",
	[DIFF_UPSTREAM] = "upstream",
	[DIFF_ENDPOINT] = "endpoint",
	[DIFF_LIMIT] = "limit",
	[DIFF_SETTING] = "setting"
};

const char *const diff_hows[DIFF_N_HOWS] = {
	[DIFF_ADDED] = "added",
	[DIFF_REMOVED] = "removed",
	[DIFF_CHANGED] = "changed"
};

enum { PATH_MOST = 512, VALUE_MOST = 800 };

/* ---------------------------------------------------------------- changes */

/* Where the walk is. */
struct place {
	struct diff *d;
	enum diff_kind kind;            /* of what surrounds it */
	const char *owner, *name;       /* likewise; NULL at the top */
	size_t at;                      /* of path: what comes after the owner,
					   or the endpoint */
	char path[PATH_MOST];
	int line;
	bool failed;
};

static struct diff_change *
add(struct place *p)
{
	struct diff *d = p->d;
	struct diff_change *more = realloc(d->v, (d->n + 1) * sizeof(*more));

	if (more == NULL) {
		p->failed = true;
		return NULL;
	}
	d->v = more;
	d->v[d->n] = (struct diff_change){ .kind = p->kind, .line = p->line };
	return &d->v[d->n++];
}

static void
change_fini(struct diff_change *c)
{
	free(c->owner);
	free(c->name);
	free(c->path);
	free(c->from);
	free(c->to);
	free(c->text);
}

/* Ends with " ..." then, and with no part of a character. NULL stays NULL. */
static char *
shortened(char *text, size_t most)
{
	size_t n = most - 4;

	if (text == NULL || strlen(text) <= most)
		return text;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	strcpy(text + n, " ...");
	return text;
}

/* "upstream app: endpoint b: "; nothing at the top. */
static void
put_subject(FILE *out, const struct place *p)
{
	if (p->owner == NULL)
		return;
	fprintf(out, "%s %s: ", p->kind == DIFF_LISTENER ? "listener" :
	    "upstream", p->owner);
	if (p->kind == DIFF_ENDPOINT)
		fprintf(out, "endpoint %s: ", p->name);
}

/* The parts that every change has; text is taken over. */
static void
complete(struct place *p, struct diff_change *c, char *text)
{
	const char *name = p->name != NULL ? p->name : p->path;

	c->owner = p->owner == NULL ? NULL : strdup(p->owner);
	c->name = strdup(name);
	c->path = strdup(p->path);
	c->text = shortened(text, DIFF_TEXT_MOST);
	p->failed = p->failed || (p->owner != NULL && c->owner == NULL) ||
	    c->name == NULL || c->path == NULL || text == NULL;
}

/* Is it a limit that a value is of? */
static bool
is_limit(const struct place *p, const struct node *n)
{
	const char *key = p->path + p->at;

	if (strncmp(key, "limits.", 7) == 0)
		return true;
	return n != NULL && n->row != NULL &&
	    (n->row->type == CONF_COUNT || n->row->type == CONF_SIZE) &&
	    strncmp(n->row->name, "max", 3) == 0;
}

static char *
value_text(const struct place *p, const struct node *was,
    const struct node *now, const char *from, const char *to)
{
	struct memstream text;
	FILE *out = memstream_open(&text);

	if (out == NULL)
		return NULL;
	put_subject(out, p);
	fputs(p->path + p->at, out);
	if (node_is_secret(was) || node_is_secret(now))
		fputs(was == NULL ? " is set now (secret)" : now == NULL ?
		    " is not set any more (secret)" : " changed (secret)", out);
	else if (from != NULL && to != NULL && strcmp(from, to) == 0)
		fprintf(out, " changed: %s", to);
	else
		fprintf(out, " %s -> %s", from != NULL ? from : "not set",
		    to != NULL ? to : "not set");
	return memstream_close(&text, NULL);
}

/* A key has another value: one of the two may be NULL. */
static void
change_value(struct place *p, const struct node *was, const struct node *now)
{
	struct diff_change *c = add(p);
	bool secret = node_is_secret(was) || node_is_secret(now);

	if (c == NULL)
		return;
	c->how = DIFF_CHANGED;
	if (is_limit(p, now != NULL ? now : was))
		c->kind = DIFF_LIMIT;
	if (was != NULL && !secret)
		c->from = shortened(node_spelled(was), VALUE_MOST);
	if (now != NULL && !secret)
		c->to = shortened(node_spelled(now), VALUE_MOST);
	p->failed = p->failed || (!secret && ((was != NULL &&
	    c->from == NULL) || (now != NULL && c->to == NULL)));
	complete(p, c, value_text(p, was, now, c->from, c->to));
}

/* ------------------------------------------------------------------ lists */

/* What a list's element is called, or NULL. */
static const struct node *
name_of(const struct node *n)
{
	const struct node *name = node_child(n, "name");

	return name != NULL ? name : node_child(n, "address");
}

static const char *
seen(const struct node *n)
{
	return n->shown != NULL ? n->shown : n->text;
}

static bool
all_named(const struct node *list)
{
	const struct node *n;

	for (n = list->first; n != NULL; n = n->next)
		if (name_of(n) == NULL)
			return false;
	return true;
}

/* An element and what it is called. */
struct called {
	const char *name;
	size_t at;
	struct node *node;
};

static const char *
called_by_name(const struct node *n)
{
	return name_of(n)->text;
}

static const char *
called_by_key(const struct node *n)
{
	return n->key;
}

static int
called_before(const void *one, const void *other)
{
	const struct called *a = one, *b = other;
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* All of a list, sorted; the caller frees it. NULL = out of memory. */
static struct called *
sorted(struct node *list, const char *(*name)(const struct node *n))
{
	struct called *v = calloc(list->n + 1, sizeof(*v));
	struct node *n;
	size_t i = 0;

	for (n = list->first; v != NULL && n != NULL; n = n->next, i++) {
		v[i] = (struct called){ name(n), i, n };
		n->twin = NULL;
	}
	if (v != NULL)
		qsort(v, i, sizeof(*v), called_before);
	return v;
}

/* As most lists and groups are: the same names in the same order. */
static bool
pair_in_order(struct node *was, struct node *now,
    const char *(*name)(const struct node *n))
{
	struct node *a = was->first, *b = now->first;

	for (; a != NULL && b != NULL && strcmp(name(a), name(b)) == 0;
	    a = a->next, b = b->next) {
		a->twin = b;
		b->twin = a;
	}
	return a == NULL && b == NULL;
}

/* Pairs those of the same name: of several that are called alike the first with
   the first. Whoever sends a text has main do this: not one by one. */
static void
pair(struct place *p, struct node *was, struct node *now,
    const char *(*name)(const struct node *n))
{
	struct called *a, *b;
	size_t i = 0, k = 0;
	int order;

	if (pair_in_order(was, now, name))
		return;
	a = sorted(was, name);
	b = sorted(now, name);
	p->failed = p->failed || a == NULL || b == NULL;
	while (a != NULL && b != NULL && i < was->n && k < now->n) {
		order = strcmp(a[i].name, b[k].name);
		if (order == 0) {
			a[i].node->twin = b[k].node;
			b[k].node->twin = a[i].node;
		}
		i += order <= 0;
		k += order >= 0;
	}
	free(a);
	free(b);
}

/* What is said of one that comes or goes, beside its name. */
static void
put_gist(FILE *out, const struct node *n)
{
	static const char *const keys[] = { "protocol", "address", "srv" };
	const struct node *list = node_child(n, "bind");
	const struct node *c;
	const char *between = " (";
	size_t i;

	for (c = list == NULL ? NULL : list->first; c != NULL; c = c->next) {
		fprintf(out, "%s%s", between, seen(name_of(c)));
		between = ", ";
	}
	for (i = 0; i < NELEMS(keys); i++)
		if ((c = node_child(n, keys[i])) != NULL &&
		    c->text != name_of(n)->text &&
		    strcmp(c->text, name_of(n)->text) != 0) {
			fprintf(out, "%s%s", between, seen(c));
			between = ", ";
		}
	list = node_child(n, "endpoints");
	if (list != NULL) {
		fprintf(out, "%s%zu endpoint%s", between, list->n,
		    list->n == 1 ? "" : "s");
		between = ", ";
	}
	if (*between == ',')
		putc(')', out);
}

static char *
coming_text(const struct place *p, const struct node *n, enum diff_how how)
{
	struct memstream text;
	FILE *out = memstream_open(&text);

	if (out == NULL)
		return NULL;
	if (p->kind == DIFF_ENDPOINT)
		fprintf(out, "upstream %s: endpoint %s", p->owner, p->name);
	else if (p->path[p->at] == '\0')
		fprintf(out, "%s %s", diff_kinds[p->kind], p->owner);
	else {
		/* "bind[ADDRESS]" as a path, "bind ADDRESS" in words. */
		put_subject(out, p);
		fprintf(out, "%.*s %s", (int)strcspn(p->path + p->at, "["),
		    p->path + p->at, seen(name_of(n)));
	}
	fprintf(out, " %s", diff_hows[how]);
	put_gist(out, n);
	return memstream_close(&text, NULL);
}

static void
come_or_go(struct place *p, const struct node *n, enum diff_how how)
{
	struct diff_change *c = add(p);

	if (c == NULL)
		return;
	c->how = how;
	if (how == DIFF_REMOVED)
		c->line = 0;
	complete(p, c, coming_text(p, n, how));
}

static void compare(struct place *p, struct node *was, struct node *now);

/* Room for ".key" or "[key]" behind the path; what does not fit is cut, which
   no name of the schema is long enough for. */
static size_t
go_to(struct place *p, const char *fmt, const char *key)
{
	size_t len = strlen(p->path);

	snprintf(p->path + len, sizeof(p->path) - len, fmt, key);
	return len;
}

/* An element with a name: `was` or `now` may be NULL. */
static void
compare_named(struct place *p, const char *list, struct node *was,
    struct node *now)
{
	const struct place before = *p;
	const struct node *name = name_of(was != NULL ? was : now);
	bool listeners = strcmp(p->path, "listeners") == 0;
	bool upstreams = strcmp(p->path, "upstreams") == 0;
	bool endpoints = p->kind == DIFF_UPSTREAM &&
	    strcmp(list, "endpoints") == 0;
	size_t len = go_to(p, listeners || upstreams || endpoints ? ".%s" :
	    "[%s]", seen(name));

	if (listeners || upstreams)
		p->owner = seen(name);
	if (listeners || upstreams || endpoints) {
		p->kind = listeners ? DIFF_LISTENER : upstreams ?
		    DIFF_UPSTREAM : DIFF_ENDPOINT;
		p->name = seen(name);
		p->at = strlen(p->path);
	}
	if (was == NULL || now == NULL)
		come_or_go(p, was != NULL ? was : now, was == NULL ?
		    DIFF_ADDED : DIFF_REMOVED);
	else {
		p->at += p->at == strlen(p->path);
		(void)go_to(p, "%s", ".");
		compare(p, was, now);
	}
	p->path[len] = '\0';
	p->kind = before.kind;
	p->owner = before.owner;
	p->name = before.name;
	p->at = before.at;
	p->line = before.line;
}

/* Do those that are in both stand in another order? */
static bool
reordered(const struct node *was, const struct node *now)
{
	const struct node *a = was->first, *b = now->first;

	for (;;) {
		while (a != NULL && a->twin == NULL)
			a = a->next;
		while (b != NULL && b->twin == NULL)
			b = b->next;
		if (a == NULL || b == NULL)
			return false;
		if (a->twin != b)
			return true;
		a = a->next;
		b = b->next;
	}
}

static void
say_order(struct place *p)
{
	struct diff_change *c = add(p);
	char *text = NULL;

	if (c == NULL)
		return;
	c->how = DIFF_CHANGED;
	if (asprintf(&text, "upstream %s: its endpoints stand in another order",
	    p->owner) < 0)
		text = NULL;
	complete(p, c, text);
}

static void
compare_names(struct place *p, const char *list, struct node *was,
    struct node *now)
{
	struct node *n;

	pair(p, was, now, called_by_name);
	for (n = was->first; n != NULL; n = n->next)
		if (n->twin == NULL)
			compare_named(p, list, n, NULL);
	for (n = now->first; n != NULL; n = n->next)
		compare_named(p, list, n->twin, n);
	if (p->kind == DIFF_UPSTREAM && strcmp(list, "endpoints") == 0 &&
	    reordered(was, now))
		say_order(p);
}

static struct node *
nth(const struct node *list, size_t n)
{
	struct node *c = list->first;

	while (n-- > 0)
		c = c->next;
	return c;
}

/* How many at the end are the same, of those behind the first `head`. */
static size_t
common_tail(const struct node *was, const struct node *now, size_t head)
{
	const struct node *a, *b;
	size_t most = was->n < now->n ? was->n - head : now->n - head, tail = 0;

	/* The last run of pairs that are alike. */
	a = nth(was, was->n - most);
	b = nth(now, now->n - most);
	for (; a != NULL; a = a->next, b = b->next)
		tail = node_alike(a, b) ? tail + 1 : 0;
	return tail;
}

/* Values, or groups without a name, by where they stand: what is the same at
   the beginning and at the end is passed over. */
static void
compare_values(struct place *p, struct node *was, struct node *now)
{
	struct node *a = was->first, *b = now->first;
	size_t head = 0, tail, len;
	char index[32];

	while (a != NULL && b != NULL && node_alike(a, b)) {
		a = a->next;
		b = b->next;
		head++;
	}
	tail = common_tail(was, now, head);
	if (was->n - head - tail == 1 && now->n - head - tail == 1 &&
	    a != NULL && b != NULL &&
	    a->bracket == '{' && b->bracket == '{') {
		snprintf(index, sizeof(index), "%zu", head);
		len = go_to(p, "[%s].", index);
		compare(p, a, b);
		p->path[len] = '\0';
		return;
	}
	was->skip = now->skip = head;
	was->keep = was->n - head - tail;
	now->keep = now->n - head - tail;
	change_value(p, was, now);
}

/* ------------------------------------------------------------------ groups */

static bool
is_list(const struct node *n)
{
	return n->bracket == '[';
}

static void
compare_key(struct place *p, const char *key, struct node *was,
    struct node *now)
{
	size_t len = go_to(p, "%s", key);

	if (was != NULL && now != NULL && node_alike(was, now))
		;
	else if (was == NULL || now == NULL || was->bracket != now->bracket ||
	    was->bracket == 0)
		change_value(p, was, now);
	else if (!is_list(was)) {
		(void)go_to(p, "%s", ".");
		compare(p, was, now);
	} else if (all_named(was) && all_named(now) && was->n + now->n > 0)
		compare_names(p, key, was, now);
	else
		compare_values(p, was, now);
	p->path[len] = '\0';
}

/* Two groups; p->path ends where their keys begin. One may be there several
   times: header fields. */
static void
compare(struct place *p, struct node *was, struct node *now)
{
	struct node *n;

	pair(p, was, now, called_by_key);
	for (n = now->first; n != NULL; n = n->next)
		compare_key(p, n->key, n->twin, n);
	for (n = was->first; n != NULL; n = n->next)
		if (n->twin == NULL)
			compare_key(p, n->key, n, NULL);
}

/* ---------------------------------------------------------------- all of it */

/* *at: where the last one was found. Changes come in the order of the file, so
   the next is there or right behind. */
static int
endpoint_line(const struct conf_upstream *u, size_t *at, const char *name)
{
	size_t i;

	for (i = 0; i < u->n_endpoints; i++, ++*at) {
		*at %= u->n_endpoints;
		if (strcmp(u->endpoints[*at].name, name) == 0)
			return u->endpoints[*at].line;
	}
	return u->line;
}

/* Lines are of things, not of keys: a key's change is found there. */
static void
find_line(struct diff_change *c, const struct conf *now, size_t *at)
{
	const struct conf_listener *l;
	const struct conf_upstream *u;

	if (c->owner == NULL || c->how == DIFF_REMOVED)
		return;
	if (strncmp(c->path, "listeners.", 10) == 0) {
		l = conf_listener_find(now, c->owner);
		c->line = l != NULL ? l->line : 0;
		return;
	}
	u = conf_upstream_find(now, c->owner);
	if (u == NULL)
		return;
	c->line = u->line;
	if (c->kind == DIFF_ENDPOINT || strcmp(c->name, c->owner) != 0)
		c->line = endpoint_line(u, at, c->name);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && strcmp(text + a - b, end) == 0;
}

/* A key that neither file has and that goes by pool.max: the change of that one
   says all. */
static bool
is_derived(const struct diff_change *c, const struct conf *was,
    const struct conf *now)
{
	bool idle = ends_with(c->path, ".pool.max_idle");
	const struct conf_upstream *a, *b;

	if ((!idle && !ends_with(c->path, ".pool.max_pinned")) ||
	    c->kind != DIFF_LIMIT || c->owner == NULL)
		return false;
	a = conf_upstream_find(was, c->owner);
	b = conf_upstream_find(now, c->owner);
	if (a == NULL || b == NULL || a->pool.max == b->pool.max)
		return false;
	return idle ? a->pool.max_idle_follows && b->pool.max_idle_follows :
	    a->pool.max_pinned_follows && b->pool.max_pinned_follows;
}

static void
drop_derived(struct diff *d, const struct conf *was, const struct conf *now)
{
	size_t i, n = 0;

	for (i = 0; i < d->n; i++)
		if (is_derived(&d->v[i], was, now))
			change_fini(&d->v[i]);
		else
			d->v[n++] = d->v[i];
	d->n = n;
}

int
diff_make(struct diff *d, const struct conf *was, const struct conf *now)
{
	struct place *p = calloc(1, sizeof(*p));
	struct tree a = { .top = NULL }, b = { .top = NULL };
	bool good = p != NULL;
	size_t i, endpoint = 0;

	*d = (struct diff){ NULL, 0 };
	if (good) {
		p->d = d;
		p->kind = DIFF_SETTING;
		good = tree_make(&a, was) == 0 && tree_make(&b, now) == 0;
	}
	if (good)
		compare(p, a.top, b.top);
	good = good && !p->failed;
	tree_fini(&a);
	tree_fini(&b);
	free(p);
	if (!good) {
		diff_fini(d);
		return -1;
	}
	drop_derived(d, was, now);
	for (i = 0; i < d->n; i++)
		find_line(&d->v[i], now, &endpoint);
	return 0;
}

void
diff_fini(struct diff *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		change_fini(&d->v[i]);
	free(d->v);
	*d = (struct diff){ NULL, 0 };
}

bool
diff_has(const struct diff *d, const char *path)
{
	size_t i, len = strlen(path);

	for (i = 0; i < d->n; i++)
		if (strncmp(d->v[i].path, path, len) == 0 &&
		    (d->v[i].path[len] == '\0' || d->v[i].path[len] == '.' ||
		    d->v[i].path[len] == '['))
			return true;
	return false;
}

int
diff_add_fact(struct diff *d, enum diff_kind kind, const char *owner,
    const char *what, int line)
{
	struct place *p = calloc(1, sizeof(*p));
	struct diff_change *c;
	char *text = NULL;
	bool good = false;

	if (p == NULL)
		return -1;
	p->d = d;
	p->kind = kind;
	p->owner = p->name = owner;
	p->line = line;
	snprintf(p->path, sizeof(p->path), "%s%s%s", kind == DIFF_LISTENER ?
	    "listeners" : kind == DIFF_UPSTREAM ? "upstreams" : "admin",
	    owner != NULL ? "." : "", owner != NULL ? owner : "");
	c = add(p);
	if (c != NULL) {
		c->how = DIFF_CHANGED;
		if (asprintf(&text, "%s%s%s%s", owner == NULL ? "" :
		    diff_kinds[kind], owner == NULL ? "" : " ",
		    owner == NULL ? "" : owner, what) < 0)
			text = NULL;
		complete(p, c, text);
		good = !p->failed;
	}
	free(p);
	return good ? 0 : -1;
}
