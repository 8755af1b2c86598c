/*
 * `weir -h config`: every row of every table, as text or as JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/log_fields.h"
#include "conf/rate.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "net/escape.h"

#define WIDTH 79
#define INDENT 6

/* Words of text, broken at WIDTH. */
static void
paragraph(FILE *out, const char *text, size_t indent)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > 0 && column + 1 + n > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0)
			column = (size_t)fprintf(out, "%*s", (int)indent, "");
		else
			column += (size_t)fprintf(out, " ");
		column += fwrite(text, 1, n, out);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* "number 0 to 256", "duration 1ms to 24h or off", "one of a, b". */
static void
kind_print(const struct conf_key *k, char out[VALUE_WHY_MAX])
{
	static const char *const kinds[] = {
		[CONF_COUNT] = "number", [CONF_DURATION] = "duration",
		[CONF_SIZE] = "size", [CONF_STRING] = "text",
		[CONF_NETS] = "list of networks",
		[CONF_NAMES] = "list of texts",
		[CONF_HEADERS] = "group of texts",
		[CONF_FILE] = "path", [CONF_RECORDS] = "list of groups",
		[CONF_SHARE] = "share 0 to 1", [CONF_STATUSES] = "statuses",
		[CONF_LIMIT] = "number", [CONF_RATE] = "rate",
		[CONF_BANDWIDTH] = "bandwidth",
		[CONF_GROUP] = "group", [CONF_LIST] = "list"
	};
	char min[VALUE_TEXT_MAX], max[VALUE_TEXT_MAX];

	switch (k->type) {
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_LIMIT:
		snprintf(out, VALUE_WHY_MAX, "%s %s to %s%s", kinds[k->type],
		    value_print_number(k->type, k->min, min),
		    value_print_number(k->type, k->max, max),
		    k->may_be_off ? " or off" : "");
		break;
	case CONF_RATE:
	case CONF_BANDWIDTH:
		snprintf(out, VALUE_WHY_MAX, "%s %s to %s%s", kinds[k->type],
		    rate_print(k->type, k->min, 1000, min),
		    rate_print(k->type, k->max, 1000, max),
		    k->may_be_off ? " or off" : "");
		break;
	case CONF_BOOL:
	case CONF_ENUM:
		value_expected(k, out);
		break;
	default:
		snprintf(out, VALUE_WHY_MAX, "%s", kinds[k->type]);
	}
}

/* A unit or a word is written in quotes; a number, true and ( ) are not. */
static bool
is_quoted(const struct conf_key *k, const char *def)
{
	switch (k->type) {
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_STRING:
	case CONF_ENUM:
	case CONF_STATUSES:
		return true;
	default:
		return strcmp(def, "off") == 0;
	}
}

static void
default_add(char *out, size_t size, const char *before,
    const struct conf_key *k, const char *def)
{
	size_t n = strlen(out);
	const char *quote = is_quoted(k, def) ? "\"" : "";

	if (n == 0)
		before += strspn(before, ", ");

	snprintf(out + n, size - n, "%s%s%s%s", before, quote, def, quote);
}

static void
defaults_print(const struct conf_key *k, const char *prefix,
    const struct conf_proto *const *protos, char *out, size_t size)
{
	bool varies = false;

	out[0] = '\0';
	for (size_t i = 0; protos[i] != NULL; i++) {
		const char *a = schema_default(k, prefix, protos[i]);
		const char *b = schema_default(k, prefix, protos[0]);

		varies = varies || (a == NULL) != (b == NULL) ||
		    (a != NULL && strcmp(a, b) != 0);
	}
	for (size_t i = 0; varies && protos[i] != NULL; i++) {
		const char *def = schema_default(k, prefix, protos[i]);
		char before[80];

		snprintf(before, sizeof(before), ", %.60s ", protos[i]->name);
		default_add(out, size, before, k, def == NULL ? "none" : def);
	}
	if (!varies && k->def != NULL)
		default_add(out, size, "", k,
		    schema_default(k, prefix, protos[0]));
}

static void
key_print(FILE *out, const struct conf_key *key, const char *prefix,
    const struct conf_proto *const *protos)
{
	char kind[VALUE_WHY_MAX], defaults[512], line[1200];

	kind_print(key, kind);
	defaults_print(key, prefix, protos, defaults, sizeof(defaults));
	snprintf(line, sizeof(line), "%s (%s%s%s)", key->name, kind,
	    defaults[0] != '\0' ? "; default: " : "", defaults);
	paragraph(out, line, 2);
	paragraph(out, key->help, INDENT);
}

/* What is printed: rows of whose path word is a part. */
struct choice {
	FILE *out;
	bool json;
	const char *word;               /* NULL = all */
	bool any;                       /* something has been */
};

/* Nobody has to write the [] of "listeners[].routes[]". */
static void
path_plain(const char *path, char *out, size_t size)
{
	size_t n = 0;

	for (; *path != '\0' && n + 1 < size; path++)
		if (*path != '[' && *path != ']')
			out[n++] = *path;
	out[n] = '\0';
}

static bool
is_chosen(const struct choice *c, const char *path, const char *name)
{
	char all[256], plain[256], word[256];

	if (c->word == NULL)
		return true;
	snprintf(all, sizeof(all), "%s%s%s", path, *path != '\0' ? "." : "",
	    name);
	path_plain(all, plain, sizeof(plain));
	path_plain(c->word, word, sizeof(word));
	return strcasestr(plain, word) != NULL;
}

/* ,"name":"text"; the texts are weir's own, and short. */
static void
member(FILE *out, const char *before, const char *name, const char *text)
{
	char escaped[ESCAPE_GROWTH * 1024];
	char *end = escape_json(escaped, text, strnlen(text, 1024));

	fprintf(out, "%s\"%s\":\"%.*s\"", before, name,
	    (int)(end - escaped), escaped);
}

static void
key_json(struct choice *c, const char *path, const struct conf_key *key,
    const char *prefix, const struct conf_proto *const *protos)
{
	char kind[VALUE_WHY_MAX], defaults[512], all[256];

	kind_print(key, kind);
	defaults_print(key, prefix, protos, defaults, sizeof(defaults));
	snprintf(all, sizeof(all), "%s%s%s", path, *path != '\0' ? "." : "",
	    key->name);
	member(c->out, c->any ? ",{" : "{", "key", all);
	member(c->out, ",", "kind", kind);
	if (defaults[0] != '\0')
		member(c->out, ",", "default", defaults);
	member(c->out, ",", "help", key->help);
	putc('}', c->out);
	c->any = true;
}

static void
title(struct choice *c, const char *path, const char *help)
{
	fprintf(c->out, "%sKeys of %s%s%s\n", c->any ? "\n" : "", path,
	    *path != '\0' ? ": " : "", help);
	c->any = true;
}

static void
section(struct choice *c, const char *path, const char *prefix,
    const char *help, const struct conf_key *keys,
    const struct conf_proto *const *protos)
{
	bool begun = c->word == NULL && !c->json;

	if (begun)
		title(c, path, help);
	for (; keys != NULL && keys->name != NULL; keys++) {
		if (!is_chosen(c, path, keys->name))
			continue;
		if (c->json) {
			key_json(c, path, keys, prefix, protos);
			continue;
		}
		if (!begun)
			title(c, path, help);
		begun = true;
		key_print(c->out, keys, prefix, protos);
	}
}

static void
fields_section(struct choice *c)
{
	bool begun = false;
	size_t i;

	for (i = 0; i < CONF_N_FIELDS; i++) {
		if (!is_chosen(c, "log.fields", log_field_rows[i].name))
			continue;
		if (!begun)
			fprintf(c->out, "%sFields of log.fields:\n", c->any ?
			    "\n" : "");
		begun = c->any = true;
		fprintf(c->out, "  %-16s%s\n", log_field_rows[i].name,
		    log_field_rows[i].help);
	}
}

static void
own_section(struct choice *c, const struct conf_proto *p, const char *where,
    const struct conf_key *keys)
{
	const struct conf_proto *const only[] = { p, NULL };
	char path[128], help[128];

	if (keys == NULL || keys->name == NULL)
		return;
	snprintf(path, sizeof(path), "%s.%.60s", where, p->name);
	snprintf(help, sizeof(help), "what only protocol %.60s has", p->name);
	section(c, path, p->name, help, keys, only);
}

static void
sections(struct choice *c, const struct conf_proto *const *protos)
{
	const struct schema_section *s;

	for (s = schema_sections; s->path != NULL; s++)
		section(c, s->path, s->prefix, s->help, s->keys, protos);
	for (; *protos != NULL; protos++) {
		own_section(c, *protos, "listeners[]",
		    (*protos)->listener_keys);
		own_section(c, *protos, "upstreams[]",
		    (*protos)->upstream_keys);
	}
}

bool
conf_help_json(FILE *out, const struct conf_proto *const *protos,
    const char *word)
{
	struct choice c = { .out = out, .word = word, .json = true };
	bool any = false;

	fputs("{\"keys\":[", out);
	sections(&c, protos);
	fputs("],\"fields\":[", out);
	for (size_t i = 0; i < CONF_N_FIELDS; i++) {
		const struct log_field_row *row = &log_field_rows[i];

		if (!is_chosen(&c, "log.fields", row->name))
			continue;
		member(out, any ? ",{" : "{", "name", row->name);
		member(out, ",", "help", row->help);
		putc('}', out);
		any = true;
	}
	fputs("]}\n", out);
	return any || c.any;
}

bool
conf_help(FILE *out, const struct conf_proto *const *protos, const char *word)
{
	struct choice c = { .out = out, .word = word };

	sections(&c, protos);
	fields_section(&c);
	if (word != NULL)
		return c.any;
	fputs("\nDurations are \"250ms\" \"2s\" \"5m\" \"1h\", sizes \"512B\" "
	    "\"16KiB\" \"1MiB\",\nrates \"100/s\" \"6000/m\" \"10/h\".\n"
	    "Texts may hold ${NAME}, ${NAME:-default} and "
	    "${file:/path}; $${ is a plain ${.\n@include \"file\" puts a file "
	    "in place.\n", out);
	return true;
}
