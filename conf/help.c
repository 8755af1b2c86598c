/*
 * `weir -h config`: every row of every table, as text.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/log_fields.h"
#include "conf/rate.h"
#include "conf/schema.h"
#include "conf/value.h"

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

		snprintf(before, sizeof(before), "%s%.60s ", i == 0 ?
		    "; default: " : ", ", protos[i]->name);
		default_add(out, size, before, k, def == NULL ? "none" : def);
	}
	if (!varies && k->def != NULL)
		default_add(out, size, "; default: ", k,
		    schema_default(k, prefix, protos[0]));
}

static void
section(FILE *out, const char *path, const char *prefix, const char *help,
    const struct conf_key *keys, const struct conf_proto *const *protos)
{
	char kind[VALUE_WHY_MAX], defaults[512], line[1200];

	if (*path == '\0')
		fprintf(out, "Keys of %s\n", help);
	else
		fprintf(out, "\nKeys of %s: %s\n", path, help);
	for (; keys != NULL && keys->name != NULL; keys++) {
		kind_print(keys, kind);
		defaults_print(keys, prefix, protos, defaults,
		    sizeof(defaults));
		snprintf(line, sizeof(line), "%s (%s%s)", keys->name, kind,
		    defaults);
		paragraph(out, line, 2);
		paragraph(out, keys->help, INDENT);
	}
}

static void
own_section(FILE *out, const struct conf_proto *p, const char *where,
    const struct conf_key *keys)
{
	const struct conf_proto *const only[] = { p, NULL };
	char path[128], help[128];

	if (keys == NULL || keys->name == NULL)
		return;
	snprintf(path, sizeof(path), "%s.%.60s", where, p->name);
	snprintf(help, sizeof(help), "what only protocol %.60s has", p->name);
	section(out, path, p->name, help, keys, only);
}

void
conf_help(FILE *out, const struct conf_proto *const *protos)
{
	const struct schema_section *s;
	size_t i;

	for (s = schema_sections; s->path != NULL; s++)
		section(out, s->path, s->prefix, s->help, s->keys, protos);
	for (; *protos != NULL; protos++) {
		own_section(out, *protos, "listeners[]",
		    (*protos)->listener_keys);
		own_section(out, *protos, "upstreams[]",
		    (*protos)->upstream_keys);
	}
	fputs("\nFields of log.fields:\n", out);
	for (i = 0; i < CONF_N_FIELDS; i++)
		fprintf(out, "  %-16s%s\n", log_field_rows[i].name,
		    log_field_rows[i].help);
	fputs("\nDurations are \"250ms\" \"2s\" \"5m\" \"1h\", sizes \"512B\" "
	    "\"16KiB\" \"1MiB\",\nrates \"100/s\" \"6000/m\" \"10/h\".\n"
	    "Texts may hold ${NAME}, ${NAME:-default} and "
	    "${file:/path}; $${ is a plain ${.\n@include \"file\" puts a file "
	    "in place.\n", out);
}
