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

static void
unknown_key(struct load *w, const struct spot *s, const struct conf_key *keys,
    const char *section, const config_setting_t *v)
{
	const char *name = config_setting_name(v);
	struct nearest near = { .word = name };
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
	/* "timeout" is one slip from "timeouts" and a key of health, too. */
	if (better == NULL || (near.best != NULL && near.distance == 1))
		better = near.best;
	if (better != NULL)
		complain(w, s, line_of(v), "", "unknown key \"%.60s\", did you "
		    "mean \"%s\"?", name, better);
	else
		complain(w, s, line_of(v), "", "unknown key \"%.60s\", "
		    "expected one of %s", name, *known == '\0' ? "none" : known);
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
