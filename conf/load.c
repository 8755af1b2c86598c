/*
 * A file to a struct conf: the order in which its parts are read, the parts
 * at its top, and the errors of all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/conf.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/expand.h"
#include "conf/log_fields.h"
#include "conf/read.h"
#include "conf/schema.h"
#include "conf/sent.h"
#include "conf/syntax.h"

/* ------------------------------------------------------------------ admin */

/* bind and probe_bind: an address, a group, or "off". */
static struct conf_bind *
read_admin_bind(struct load *w, const struct spot *s, const char *key)
{
	const char *text = schema_find(schema_admin, key)->def;
	const config_setting_t *v = member_of(s, key);
	struct conf_bind *binds;
	size_t n = 0;
	int line = 0;

	if (v != NULL && config_setting_type(v) != CONFIG_TYPE_STRING) {
		binds = read_binds(w, s, key, &n);
		if (n > 1)
			complain(w, s, line_of(v), key, "is a list of %zu, "
			    "expected one address", n);
		return n > 0 ? binds : NULL;
	}
	if (v != NULL) {
		text = read_text(w, s, key, v);
		line = line_of(v);
	}
	return text == NULL || strcmp(text, "off") == 0 ? NULL :
	    bind_from_text(w, s, line, key, text);
}

/* What may stand behind "Bearer" in one field: no blank, no control. */
static bool
is_token(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

static void
read_token(struct load *w, const struct spot *s)
{
	struct conf *c = w->c;
	char why[EXPAND_WHY_MAX], *token;
	int line;

	if (c->admin.token_file == NULL)
		return;
	line = line_of(member_of(s, "token_file"));
	token = secret_read(text_base_of(&w->source->text, line),
	    c->admin.token_file, why);
	if (token == NULL) {
		complain(w, s, line, "token_file", "%s",
		    source_hides(w->source, c->admin.token_file) ?
		    "(hidden) cannot be read, expected a readable file" : why);
		return;
	}
	if (is_token(token))
		c->admin.token = arena_copy(&w->source->arena, token);
	else
		complain(w, s, line, "token_file", "the file does not hold "
		    "one token, expected a line without blanks");
	free(token);
}

static void
read_admin(struct load *w, const struct spot *top)
{
	struct spot s = spot_in(w, top, "admin");
	const config_setting_t *hosts = member_of(&s, "hosts");
	struct conf *c = w->c;
	struct conf_names names = { NULL, 0 };

	read_keys(w, &s, schema_admin, "admin", NULL, c);
	read_unknown(w, &s, schema_admin, "admin", false, NULL);
	c->admin.bind = read_admin_bind(w, &s, "bind");
	c->admin.probe_bind = read_admin_bind(w, &s, "probe_bind");
	read_token(w, &s);
	if (hosts != NULL)
		names = read_names(w, &s, schema_find(schema_admin, "hosts"),
		    hosts);
	c->admin.hosts = names.v;
	c->admin.n_hosts = names.n;
	if (c->admin.bind != NULL && conf_bind_is_public(c->admin.bind) &&
	    member_of(&s, "token_file") == NULL)
		complain(w, &s, c->admin.bind->line, "bind", "others can reach "
		    "this address, expected token_file beside it, or an "
		    "address such as \"127.0.0.1:9901\"");
}

/* -------------------------------------------------------------------- top */

/* What this process may use, which in a container is not all there is. */
static int64_t
count_cpus(void)
{
	cpu_set_t set;
	int64_t most = schema_find(schema_top, "workers")->max;

	if (sched_getaffinity(0, sizeof(set), &set) == -1)
		return 1;
	return CPU_COUNT(&set) < most ? CPU_COUNT(&set) : most;
}

/* A path of the access log starts at the folder of the file that names it. */
static void
place_access_log(struct load *w, const struct spot *s)
{
	const config_setting_t *v = member_of(s, "access");
	char *written = w->c->log.access, *path;

	if (v == NULL || written == NULL || strchr(written, '/') == NULL)
		return;
	path = path_from(text_base_of(&w->source->text, line_of(v)), written);
	w->c->log.access = path == NULL ? NULL :
	    arena_copy(&w->source->arena, path);
	w->source->arena.failed = w->source->arena.failed || path == NULL;
	if (source_hides(w->source, written))
		source_hide(w->source, w->c->log.access);
	free(path);
}

static void
check_people(struct load *w, const struct spot *top)
{
	const struct conf *c = w->c;

	if (c->user != NULL && !user_exists(c->user))
		complain(w, top, line_of(member_of(top, "user")), "user",
		    "no user \"%.80s\" is known here, expected one that exists",
		    shown(w, c->user));
	if (c->group != NULL && !group_exists(c->group))
		complain(w, top, line_of(member_of(top, "group")), "group",
		    "no group \"%.80s\" is known here, expected one that "
		    "exists", shown(w, c->group));
}

static struct spot
read_group(struct load *w, const struct spot *top, const char *name,
    const struct conf_key *keys)
{
	struct spot spot = spot_in(w, top, name);

	read_keys(w, &spot, keys, name, NULL, w->c);
	read_unknown(w, &spot, keys, name, false, NULL);
	return spot;
}

static void
read_top(struct load *w, const struct spot *top)
{
	struct spot log;

	read_keys(w, top, schema_top, "", NULL, w->c);
	read_unknown(w, top, schema_top, "", false, NULL);
	(void)read_group(w, top, "dns", schema_dns);
	(void)read_group(w, top, "security", schema_security);
	(void)read_group(w, top, "watchdog", schema_watchdog);
	log = read_group(w, top, "log", schema_log);
	place_access_log(w, &log);
	log_fields_read(w, &log);
	check_people(w, top);
	if (w->c->workers == 0)
		w->c->workers = count_cpus();
}

/* Admin first: its default address then is what a listener collides with. */
static void
read_all(struct load *w, const config_t *tree)
{
	struct spot top = { .group = config_root_setting(tree), .line = 1 };

	if (w->in->only_admin) {
		read_admin(w, &top);
		return;
	}
	read_top(w, &top);
	read_admin(w, &top);
	read_listeners(w, &top);
	read_upstream_names(w, &top);
	resolve_references(w);
	read_upstreams(w);
	sort_routes(w);
	check_taken(w);
}

/* ----------------------------------------------------------------- loading */

/*
 * libconfig 1.5 does not look whether it got memory: it crashes, or forgets
 * settings without a word. So it is made sure beforehand that there is plenty,
 * which free() leaves with the allocator.
 */
static bool
set_memory_aside(const struct text *text)
{
	void *plenty = malloc(strlen(text->bytes) * 64 + 65536);

	free(plenty);
	return plenty != NULL;
}

static void
read_file(struct load *w)
{
	struct text *text = &w->source->text;
	config_t tree;

	if ((w->in->name == NULL ? text_read(text, w->in->path, w->in->text,
	    w->problems) : sent_read(text, w->in->path, w->in->name,
	    w->in->text, w->problems)) == -1)
		return;
	syntax_check(text, w->problems);
	if (w->problems->n > 0)
		return;
	snprintf(w->c->hash, sizeof(w->c->hash), "%016" PRIx64, text->hash);
	if (!set_memory_aside(text)) {
		w->problems->failed = true;
		return;
	}
	config_init(&tree);
	if (config_read_string(&tree, text->bytes) == CONFIG_TRUE)
		read_all(w, &tree);
	else
		syntax_explain(text, config_error_line(&tree),
		    config_error_text(&tree), w->problems);
	config_destroy(&tree);
}

static void
error_add(struct conf_errors *e, char *line)
{
	char **more = line == NULL ? NULL :
	    realloc(e->v, (e->n + 1) * sizeof(*more));

	if (more == NULL) {
		free(line);
		return;
	}
	e->v = more;
	e->v[e->n++] = line;
}

static char *
error_line(const struct text *t, const struct problem *p)
{
	char *line;
	int n = p->line == 0 ?
	    asprintf(&line, "%s: %s", text_file_of(t, 0), p->text) :
	    asprintf(&line, "%s:%d: %s", text_file_of(t, p->line),
	    text_line_of(t, p->line), p->text);

	return n == -1 ? NULL : line;
}

void
report_problems(const struct text *text, const char *path, struct problems *p,
    struct conf_errors *errors)
{
	char *more;

	if (p != NULL)
		problems_sort(p);
	for (size_t i = 0; p != NULL && i < p->n; i++)
		error_add(errors, error_line(text, &p->v[i]));
	if (p != NULL && p->left_out > 0 && asprintf(&more,
	    "%s: and %zu errors more", path, p->left_out) != -1)
		error_add(errors, more);
	if (errors->n == 0)
		error_add(errors, strdup("out of memory while reading the "
		    "configuration"));
}

static struct conf *
conf_new(const struct conf_input *in)
{
	struct conf *c = calloc(1, sizeof(*c));
	struct source *source = calloc(1, sizeof(*source));

	if (c == NULL || source == NULL) {
		free(c);
		free(source);
		return NULL;
	}
	source->protos = in->protos;
	source->unused_end = &source->unused;
	c->source = source;
	source->refs = 1;
	source->live = in->live;
	source->sent = in->name != NULL;
	c->path = arena_copy(&source->arena, in->name != NULL ? in->name :
	    in->path);
	return c;
}

struct conf *
conf_load(const struct conf_input *in, struct conf_errors *errors)
{
	struct problems *problems = calloc(1, sizeof(*problems));
	struct load w = { .in = in, .c = conf_new(in), .problems = problems };
	bool good = false;

	*errors = (struct conf_errors){ NULL, 0 };
	w.references_end = &w.references;
	w.taken_end = &w.taken;
	if (w.c != NULL && problems != NULL) {
		w.source = w.c->source;
		read_file(&w);
		good = problems->n == 0 && !problems->failed &&
		    !w.source->arena.failed;
		free(w.source->text.bytes);
		w.source->text.bytes = NULL;
	}
	if (good) {
		free(problems);
		return w.c;
	}
	if (w.source != NULL) {
		report_problems(&w.source->text, w.c->path, problems, errors);
		problems_fini(problems);
	} else {
		error_add(errors, strdup("out of memory"));
	}
	free(problems);
	conf_free(w.c);
	return NULL;
}

struct conf *
conf_keep(struct conf *c)
{
	struct source *source = c->source;

	source->refs++;
	return c;
}

void
conf_free(struct conf *c)
{
	struct source *source;

	if (c == NULL)
		return;
	source = c->source;
	if (--source->refs > 0)
		return;
	for (size_t i = 0; i < c->n_listeners; i++) {
		struct conf_listener *l = &c->listeners[i];

		if (l->proto != NULL && l->proto->release != NULL &&
		    l->own != NULL)
			l->proto->release(l);
	}
	for (size_t i = 0; i < c->n_upstreams; i++) {
		struct conf_upstream *u = &c->upstreams[i];

		if (u->proto != NULL && u->proto->release_upstream != NULL &&
		    u->own != NULL)
			u->proto->release_upstream(u);
	}
	tls_release(c);
	text_fini(&source->text);
	arena_fini(&source->arena);
	free(source);
	free(c);
}

void
conf_errors_fini(struct conf_errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->v[i]);
	free(e->v);
	*e = (struct conf_errors){ NULL, 0 };
}

/* ----------------------------------------------------------------- finding */

void
conf_place(const struct conf *c, int line, char *out, size_t size)
{
	const struct source *source = c->source;

	if (line == 0)
		snprintf(out, size, "%s", c->path);
	else
		snprintf(out, size, "%s:%d",
		    text_file_of(&source->text, line),
		    text_line_of(&source->text, line));
}

int
conf_line(const struct conf *c, int line)
{
	const struct source *source = c->source;

	return text_line_of(&source->text, line);
}
