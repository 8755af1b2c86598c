/*
 * Keys that nobody knows, and what they may have been meant to be. See read.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/read.h"

#include <stdio.h>
#include <string.h>

#include "conf/schema.h"
#include "conf/value.h"

/* "pool.max" for a "max" that stands one level too high, or NULL. */
static const char *
deeper_key(const char *section, const char *name, char out[SPOT_PATH_MAX])
{
	size_t n = strlen(section);
	const struct schema_section *sub;

	for (sub = schema_sections; sub->path != NULL; sub++) {
		const char *rest = sub->path + n;

		if (strncmp(sub->path, section, n) != 0 || n == 0 ||
		    *rest != '.' || strchr(rest + 1, '.') != NULL ||
		    strchr(rest, '[') != NULL ||
		    schema_find(sub->keys, name) == NULL)
			continue;
		snprintf(out, SPOT_PATH_MAX, "%s.%s", rest + 1, name);
		return out;
	}
	return NULL;
}

/* Where in the file a key of that name may stand. */
struct homes {
	const char *name;
	unsigned n;                     /* of them; text has the first few */
	char text[256];
};

enum { HOMES_MOST = 3 };                /* "name" is at home nearly everywhere */

static void
home_add(struct homes *h, const struct conf_key *keys, const char *path,
    const char *below)
{
	size_t len = strlen(h->text);

	if (schema_find(keys, h->name) == NULL || ++h->n > HOMES_MOST)
		return;
	snprintf(h->text + len, sizeof(h->text) - len, "%s%s%s%s",
	    len > 0 ? " or " : "", *path != '\0' ? path : "the file itself",
	    *below != '\0' ? "." : "", below);
}

/* A protocol's own group, and the lists in it. */
static void
homes_in_own(struct homes *h, const struct conf_key *keys, const char *where,
    const char *proto)
{
	char path[SPOT_PATH_MAX], below[SPOT_PATH_MAX];

	snprintf(path, sizeof(path), "%s.%.60s", where, proto);
	home_add(h, keys, path, "");
	for (; keys != NULL && keys->name != NULL; keys++) {
		snprintf(below, sizeof(below), "%.60s[]", keys->name);
		if (keys->type == CONF_RECORDS)
			home_add(h, keys->record, path, below);
	}
}

static void
homes_find(struct homes *h, const struct conf_proto *const *protos)
{
	const struct schema_section *s;

	for (s = schema_sections; s->path != NULL; s++)
		home_add(h, s->keys, s->path, "");
	for (; *protos != NULL; protos++) {
		homes_in_own(h, (*protos)->listener_keys, "listeners[]",
		    (*protos)->name);
		homes_in_own(h, (*protos)->upstream_keys, "upstreams[]",
		    (*protos)->name);
	}
}

static bool
is_at_home(const struct homes *h)
{
	return h->n > 0 && h->n <= HOMES_MOST;
}

static void
unknown_key(struct load *w, const struct spot *s, const struct conf_key *keys,
    const char *section, const config_setting_t *v)
{
	const char *name = config_setting_name(v);
	struct nearest near = { .word = name };
	struct homes homes = { .name = name };
	char deeper[SPOT_PATH_MAX], known[512] = "";
	const char *better;

	if (problems_full(w->problems)) {
		complain(w, s, line_of(v), "", "unknown key");
		return;
	}
	better = deeper_key(section, name, deeper);
	for (const struct conf_key *k = keys; k != NULL && k->name != NULL;
	    k++) {
		size_t n = strlen(known);

		nearest_try(&near, k->name);
		snprintf(known + n, sizeof(known) - n, "%s%s", n == 0 ? "" :
		    ", ", k->name);
	}
	homes_find(&homes, w->in->protos);
	/* "timeout" is one slip from "timeouts" and a key of health, too. What is
	   spelled as another key is rather that one than two slips. */
	if (near.best != NULL && (near.distance == 1 || (better == NULL &&
	    !is_at_home(&homes))))
		better = near.best;
	if (better != NULL)
		complain(w, s, line_of(v), "", "unknown key \"%.60s\", did you "
		    "mean \"%s\"?", name, better);
	else
		complain(w, s, line_of(v), "", "unknown key \"%.60s\", %s%s%s"
		    "expected one of %s", name,
		    is_at_home(&homes) ? "it belongs to " : "",
		    is_at_home(&homes) ? homes.text : "",
		    is_at_home(&homes) ? "; " : "",
		    *known == '\0' ? "none" : known);
}

void
read_unknown(struct load *w, const struct spot *s, const struct conf_key *keys,
    const char *section, bool with_protos, const struct conf_proto *own)
{
	int n = s->group == NULL ? 0 : config_setting_length(s->group);

	for (int i = 0; i < n; i++) {
		const config_setting_t *v = config_setting_get_elem(s->group,
		    (unsigned)i);
		const char *name = config_setting_name(v);
		const struct conf_proto *proto = with_protos ?
		    find_proto(w->in->protos, name) : NULL;

		if (schema_find(keys, name) != NULL)
			continue;
		if (proto == NULL)
			unknown_key(w, s, keys, section, v);
		else if (own != NULL && strcmp(proto->name, own->name) != 0)
			complain(w, s, line_of(v), name, "is for protocol %s, "
			    "expected a group named %s", proto->name,
			    own->name);
	}
}
