/*
 * Addresses in the file: of endpoints, and with mode and owner of listeners
 * and the admin port; and that no two listen on the same one.
 *
 * SPDX-License-Identifier: MIT
 */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"

bool
user_exists(const char *name)
{
	return getpwnam(name) != NULL;
}

bool
group_exists(const char *name)
{
	return getgrnam(name) != NULL;
}

/* -------------------------------------------------------------- addresses */

bool
read_address(struct load *w, const struct spot *s, int line, const char *key,
    const char *text, struct addr_text *out)
{
	const char *why = "", *port = strrchr(text, ':');
	struct addr_text heap;

	if (addr_text_parse(text, false, &heap, &why) == -1) {
		if (strncmp(why, "port is ", 8) == 0 && port != NULL)
			complain(w, s, line, key, "port %.40s %s",
			    shown(w, text) == text ? port + 1 : "(hidden)",
			    why + 5);
		else
			complain(w, s, line, key, "\"%.120s\" is no address: "
			    "%s", shown(w, text), why);
		return false;
	}
	*out = heap;
	out->host = arena_copy(&w->source->arena, heap.host);
	addr_text_fini(&heap);
	if (source_hides(w->source, text))
		source_hide(w->source, out->host);
	return out->host != NULL;
}

/* ------------------------------------------------------------------ binds */

/* "0660" to 0660; -1 when it is no such thing. */
static int
mode_parse(const char *text)
{
	size_t n = strlen(text);

	if (n < 3 || n > 4 || strspn(text, "01234567") != n ||
	    strtol(text, NULL, 8) > 0777)
		return -1;
	return (int)strtol(text, NULL, 8);
}

static int
line_at(const struct spot *s, const char *key)
{
	const config_setting_t *v = member_of(s, key);

	return v == NULL ? s->line : line_of(v);
}

/* Mode and owner: only files have them. */
static void
bind_rights(struct load *w, const struct spot *s,
    const struct bind_words *words, struct conf_bind *b)
{
	static const char *const keys[] = { "mode", "owner", "group" };

	for (size_t i = 0; i < NELEMS(keys) && !b->text.is_unix; i++)
		if (member_of(s, keys[i]) != NULL)
			complain(w, s, line_at(s, keys[i]), keys[i], "is for "
			    "Unix sockets, expected an address such as "
			    "\"unix:/run/weir/web.sock\" with it");
	if (words->mode != NULL && (b->mode = mode_parse(words->mode)) == -1)
		complain(w, s, line_at(s, "mode"), "mode", "\"%.20s\" is no "
		    "file mode, expected one such as \"0660\"",
		    shown(w, words->mode));
	if (words->owner != NULL && !user_exists(words->owner))
		complain(w, s, line_at(s, "owner"), "owner", "no user "
		    "\"%.80s\" is known here, expected one that exists",
		    shown(w, words->owner));
	if (words->group != NULL && !group_exists(words->group))
		complain(w, s, line_at(s, "group"), "group", "no group "
		    "\"%.80s\" is known here, expected one that exists",
		    shown(w, words->group));
	b->owner = words->owner;
	b->group = words->group;
}

static void
note_taken(struct load *w, const struct conf_bind *b, const char *path)
{
	struct taken *t = arena_take(&w->source->arena, 1, sizeof(*t));

	if (t == NULL || path == NULL)
		return;
	*t = (struct taken){ .bind = b, .path = path };
	*w->taken_end = t;
	w->taken_end = &t->next;
}

/* `key` names the text in messages: "bind", "bind[1]" or "address". */
static bool
bind_address(struct load *w, const struct spot *s, int line, const char *key,
    const char *text, struct conf_bind *b)
{
	unsigned port;

	*b = (struct conf_bind){ .mode = -1, .line = line };
	if (!read_address(w, s, line, key, text, &b->text))
		return false;
	if (addr_from_text(&b->text, &b->addr) == 0)
		return true;
	port = source_hides(w->source, text) ? 8080 : b->text.port;
	complain(w, s, line, key, "\"%.120s\" has a host name, expected an IP "
	    "address, such as \"127.0.0.1:%u\" or \"0.0.0.0:%u\"",
	    shown(w, text), port, port);
	return false;
}

static bool
read_bind_group(struct load *w, const struct spot *in, struct conf_bind *b)
{
	struct bind_words words = { 0 };

	read_keys(w, in, schema_bind, "bind", NULL, &words);
	read_unknown(w, in, schema_bind, "listeners[].bind", false, NULL);
	if (words.address == NULL) {
		if (member_of(in, "address") == NULL)
			complain(w, in, in->line, "address", "is missing, "
			    "expected one such as \"127.0.0.1:8080\"");
		return false;
	}
	if (!bind_address(w, in, line_at(in, "address"), "address",
	    words.address, b))
		return false;
	b->backlog = (int)words.backlog;
	bind_rights(w, in, &words, b);
	return true;
}

static bool
read_bind_text(struct load *w, const struct spot *s, int line,
    const char *key, const char *text, struct conf_bind *b)
{
	struct bind_words words = { 0 };
	const struct spot none = { 0 };

	if (!bind_address(w, s, line, key, text, b))
		return false;
	read_keys(w, &none, schema_bind, "bind", NULL, &words);
	b->backlog = (int)words.backlog;
	note_taken(w, b, spot_path(w, s, key));
	return true;
}

static bool
read_bind(struct load *w, const struct spot *s, const char *key,
    const config_setting_t *v, struct conf_bind *b)
{
	struct spot in = { .group = v, .line = line_of(v) };
	char *text;

	if (config_setting_is_group(v)) {
		snprintf(in.path, sizeof(in.path), "%.120s.%.60s", s->path,
		    key);
		if (!read_bind_group(w, &in, b))
			return false;
		note_taken(w, b, spot_path(w, s, key));
		return true;
	}
	text = read_text(w, s, key, v);
	return text != NULL && read_bind_text(w, s, line_of(v), key, text, b);
}

struct conf_bind *
read_binds(struct load *w, const struct spot *s, const char *key, size_t *n)
{
	const config_setting_t *v = member_of(s, key);
	int length = list_length(v);
	struct conf_bind *binds = arena_take(&w->source->arena,
	    (size_t)length, sizeof(*binds));

	*n = 0;
	for (int i = 0; i < length && binds != NULL; i++) {
		const config_setting_t *one = list_at(v, i);
		char name[SPOT_PATH_MAX];

		if (one == v)
			snprintf(name, sizeof(name), "%s", key);
		else
			snprintf(name, sizeof(name), "%s[%d]", key, i);
		*n += read_bind(w, s, name, one, &binds[*n]);
	}
	if (length == 0)
		complain(w, s, line_of(v), key, "is an empty list, expected at "
		    "least one address such as \"127.0.0.1:8080\"");
	return binds;
}

struct conf_bind *
bind_from_text(struct load *w, const struct spot *s, int line,
    const char *key, const char *text)
{
	struct conf_bind *b = arena_take(&w->source->arena, 1, sizeof(*b));

	return b != NULL && read_bind_text(w, s, line, key, text, b) ? b :
	    NULL;
}

/* ------------------------------------------------------------- collisions */

static void
complain_taken(struct load *w, const struct taken *late,
    const struct taken *early)
{
	char where[LINE_NAME_MAX + 3] = "its default", text[ADDR_TEXT_MAX];

	if (early->bind->line > 0)
		text_line_name(&w->source->text, early->bind->line,
		    late->bind->line, where);
	problem_add(w->problems, late->bind->line, late->path, "\"%s\" is "
	    "taken by %s (%s), expected another address",
	    source_hides(w->source, late->bind->text.host) ? "(hidden)" :
	    addr_print(&late->bind->addr, text), early->path, where);
}

static bool
have_one_address(const void *a, const void *b)
{
	return addr_equal(&((const struct taken *)a)->bind->addr,
	    &((const struct taken *)b)->bind->addr);
}

void
check_taken(struct load *w)
{
	char text[ADDR_TEXT_MAX];
	const struct taken *a, *b;
	struct seen seen;
	const void **place;
	size_t n = 0;

	for (a = w->taken; a != NULL; a = a->next)
		n++;
	if (seen_init(&seen, &w->source->arena, n) < 0)
		return;
	for (a = w->taken; a != NULL; a = a->next) {
		place = seen_place(&seen, seen_hash(&seen, 0,
		    addr_print(&a->bind->addr, text)), a, have_one_address);
		b = *place;
		if (b == NULL)
			*place = a;
		else if (a->bind->line >= b->bind->line)
			complain_taken(w, a, b);
		else
			complain_taken(w, b, a);
	}
}

bool
conf_bind_is_public(const struct conf_bind *b)
{
	struct addr_ip ip;
	struct addr_net v4, v6;

	addr_to_ip(&b->addr, &ip);
	if (ip.family == AF_UNIX || addr_net_parse("127.0.0.0/8", &v4) == -1 ||
	    addr_net_parse("::1", &v6) == -1)
		return false;
	return !addr_net_holds(&v4, &ip) && !addr_net_holds(&v6, &ip);
}
