/*
 * Settings to fields.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/read.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/expand.h"
#include "conf/schema.h"
#include "conf/value.h"

#define NAME_MAX_BYTES 63
#define EXPANSION_COST 256      /* bytes that one ${...} counts for */

/* ---------------------------------------------------------------- places */

int
line_of(const config_setting_t *v)
{
	return (int)config_setting_source_line(v);
}

const config_setting_t *
member_of(const struct spot *s, const char *key)
{
	return s->group == NULL ? NULL :
	    config_setting_get_member(s->group, key);
}

static void
join(char out[SPOT_PATH_MAX], const char *path, const char *key)
{
	const char *dot = *path != '\0' && *key != '\0' && *key != '[' ?
	    "." : "";

	snprintf(out, SPOT_PATH_MAX, "%.120s%s%.70s", path, dot, key);
}

void
complain(struct load *w, const struct spot *s, int line, const char *key,
    const char *fmt, ...)
{
	char path[SPOT_PATH_MAX], what[1024];
	va_list args;

	join(path, s->path, key);
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	problem_add(w->problems, line, *path == '\0' ? NULL : path, "%s", what);
}

const char *
spot_path(struct load *w, const struct spot *s, const char *key)
{
	char path[SPOT_PATH_MAX];

	join(path, s->path, key);
	return arena_copy(&w->source->arena, path);
}

static const char *
kind_of(const config_setting_t *v)
{
	switch (config_setting_type(v)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_LIST:
	case CONFIG_TYPE_ARRAY:
		return "a list";
	case CONFIG_TYPE_STRING:
		return "a text";
	case CONFIG_TYPE_BOOL:
		return "a bool";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	default:
		return "a number";
	}
}

struct spot
spot_in(struct load *w, const struct spot *s, const char *key)
{
	const config_setting_t *v = member_of(s, key);
	struct spot in = { .group = v,
	    .line = v == NULL ? s->line : line_of(v) };

	join(in.path, s->path, key);
	if (v != NULL && !config_setting_is_group(v)) {
		complain(w, &in, in.line, "", "is %s, expected a group: "
		    "{ key = value; ... }", kind_of(v));
		in.group = NULL;
	}
	return in;
}

struct spot
spot_list(struct load *w, const struct spot *s, const char *key)
{
	const config_setting_t *v = member_of(s, key);
	struct spot in = { .group = v,
	    .line = v == NULL ? s->line : line_of(v) };

	join(in.path, s->path, key);
	if (v != NULL && !config_setting_is_list(v) &&
	    !config_setting_is_array(v)) {
		complain(w, &in, in.line, "", "is %s, expected a list: "
		    "( ... )", kind_of(v));
		in.group = NULL;
	}
	return in;
}

struct spot
spot_at(struct load *w, const struct spot *list, unsigned i)
{
	const config_setting_t *v = config_setting_get_elem(list->group, i);
	struct spot in = { .group = v, .line = line_of(v) };
	char index[24];

	snprintf(index, sizeof(index), "[%u]", i);
	join(in.path, list->path, index);
	if (!config_setting_is_group(v)) {
		complain(w, &in, in.line, "", "is %s, expected a group: "
		    "{ key = value; ... }", kind_of(v));
		in.group = NULL;
	}
	return in;
}

/* --------------------------------------------------------------- secrets */

/* Allocations are of 8 or 16 bytes; fields, of 8. */
static size_t
row_of(const void *what)
{
	uintptr_t at = (uintptr_t)what / 8;

	return (at ^ at / HIDDEN_ROWS) % HIDDEN_ROWS;
}

void
source_hide(struct source *source, const void *what)
{
	struct hidden *h = arena_take(&source->arena, 1, sizeof(*h));

	if (h == NULL)
		return;
	*h = (struct hidden){ .next = source->hidden[row_of(what)],
	    .what = what };
	source->hidden[row_of(what)] = h;
	source->hides = true;
}

bool
source_hides(const struct source *source, const void *what)
{
	const struct hidden *h = source->hidden[row_of(what)];

	for (; h != NULL; h = h->next)
		if (h->what == what)
			return true;
	return false;
}

bool
setting_hides(const struct load *w, const config_setting_t *v)
{
	int n = v == NULL || config_setting_is_scalar(v) ? 0 :
	    config_setting_length(v);
	const char *text = v == NULL ? NULL : config_setting_get_string(v);

	if (text != NULL)
		return strstr(text, w->source->sent ? "${" : "${file:") != NULL;
	for (int i = 0; i < n; i++)
		if (setting_hides(w, config_setting_get_elem(v, (unsigned)i)))
			return true;
	return false;
}

/* ----------------------------------------------------------------- texts */

/*
 * What a sender has expanded is bounded in all: 4 MiB of "${file:x}" would be
 * some hundred GiB. One that cannot be read costs as much as a long one.
 */
static bool
may_expand(struct source *source, const char *text)
{
	if (!source->sent)
		return true;
	while ((text = strstr(text, "${")) != NULL) {
		source->expanded += EXPANSION_COST;
		text += 2;
	}
	return source->expanded <= TEXT_MAX_BYTES;
}

static char *
text_of(struct load *w, const struct spot *s, const char *key,
    const config_setting_t *v, bool *hidden)
{
	const char *written = config_setting_get_string(v);
	char why[EXPAND_WHY_MAX] = "more than 16 MiB of what ${...} stands for "
	    "in a text that is sent, expected less", *text = NULL, *copy;
	struct source *source = w->source;

	if (may_expand(source, written))
		text = expand(written, text_base_of(&source->text, line_of(v)),
		    hidden, why);
	if (text == NULL) {
		source->expanded += SECRET_MAX_BYTES;
		complain(w, s, line_of(v), key, "%s", why);
		return NULL;
	}
	/* The environment is not the sender's. */
	if (source->sent && strcmp(text, written) != 0) {
		source->expanded += strlen(text);
		*hidden = true;
	}
	copy = arena_copy(&w->source->arena, text);
	free(text);
	return copy;
}

char *
read_text(struct load *w, const struct spot *s, const char *key,
    const config_setting_t *v)
{
	bool hidden = false;
	char *text;

	if (config_setting_type(v) != CONFIG_TYPE_STRING) {
		complain(w, s, line_of(v), key, "is %s, expected text in "
		    "quotes", kind_of(v));
		return NULL;
	}
	text = text_of(w, s, key, v, &hidden);
	if (hidden && text != NULL)
		source_hide(w->source, text);
	return text;
}

char *
read_member(struct load *w, const struct spot *s, const char *key)
{
	const config_setting_t *v = member_of(s, key);

	return v == NULL ? NULL : read_text(w, s, key, v);
}

/* A secret must not come to light through a message about it. */
const char *
shown(const struct load *w, const char *text)
{
	return source_hides(w->source, text) ? "(hidden)" : text;
}

/* One text of a row that has a check. */
static bool
text_ok(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v, const char *text)
{
	const char *why = "is wrong";

	if (row->check == NULL || row->check(text, &why) == 0)
		return true;
	complain(w, s, line_of(v), row->name, "\"%.80s\": %s",
	    shown(w, text), why);
	return false;
}

int
list_length(const config_setting_t *v)
{
	return config_setting_is_list(v) || config_setting_is_array(v) ?
	    config_setting_length(v) : 1;
}

const config_setting_t *
list_at(const config_setting_t *v, int i)
{
	return config_setting_is_list(v) || config_setting_is_array(v) ?
	    config_setting_get_elem(v, (unsigned)i) : v;
}

struct conf_names
read_names(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v)
{
	struct conf_names names = { NULL, 0 };
	int n = list_length(v);

	if (config_setting_is_group(v)) {
		complain(w, s, line_of(v), row->name, "is a group, expected a "
		    "list of texts such as ( \"a\", \"b\" )");
		return names;
	}
	names.v = arena_take(&w->source->arena, (size_t)n, sizeof(*names.v));
	for (int i = 0; i < n && names.v != NULL; i++) {
		const config_setting_t *one = list_at(v, i);
		char *text = read_text(w, s, row->name, one);

		if (text != NULL && text_ok(w, s, row, one, text))
			names.v[names.n++] = text;
	}
	return names;
}

static struct conf_nets
read_nets(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v)
{
	struct conf_names names = read_names(w, s, row, v);
	struct conf_nets nets = { NULL, 0 };

	nets.v = arena_take(&w->source->arena, names.n, sizeof(*nets.v));
	for (size_t i = 0; i < names.n && nets.v != NULL; i++) {
		if (addr_net_parse(names.v[i], &nets.v[nets.n]) == 0) {
			if (source_hides(w->source, names.v[i]))
				source_hide(w->source, &nets.v[nets.n]);
			nets.n++;
		} else
			complain(w, s, line_of(v), row->name, "\"%.80s\" is "
			    "not a network, expected one such as "
			    "\"10.0.0.0/8\" or \"::1\", host bits zero",
			    shown(w, names.v[i]));
	}
	return nets;
}

/* RFC 9110 5.5: no CR, LF or NUL; other controls have no use either. */
static bool
is_header_value(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') ||
		    *text == 0x7f)
			return false;
	return true;
}

static bool
name_ok(struct load *w, const struct spot *in, const struct conf_key *row,
    const config_setting_t *field)
{
	const char *name = config_setting_name(field), *why = "is wrong";

	if (row->check_name == NULL || row->check_name(name, &why) == 0)
		return true;
	complain(w, in, line_of(field), name, "%s", why);
	return false;
}

static struct conf_headers
read_headers(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v)
{
	struct conf_headers headers = { NULL, 0 };
	struct spot in = spot_in(w, s, row->name);
	int n = in.group == NULL ? 0 : config_setting_length(v);

	headers.v = arena_take(&w->source->arena, (size_t)n,
	    sizeof(*headers.v));
	for (int i = 0; i < n && headers.v != NULL; i++) {
		const config_setting_t *one = config_setting_get_elem(v,
		    (unsigned)i);
		char *text = read_text(w, &in, config_setting_name(one), one);

		if (text == NULL || !text_ok(w, s, row, one, text) ||
		    !name_ok(w, &in, row, one))
			continue;
		if (!is_header_value(text)) {
			complain(w, &in, line_of(one), config_setting_name(one),
			    "holds a control character, expected none in a "
			    "field");
			continue;
		}
		headers.v[headers.n++] = (struct conf_header){
		    .name = arena_copy(&w->source->arena,
		    config_setting_name(one)), .value = text };
	}
	return headers;
}

/* ---------------------------------------------------------------- by row */

void
read_scalar(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v, void *field)
{
	char number[32], why[VALUE_WHY_MAX], *text = number;
	bool hidden = false, numeric = row->type != CONF_ENUM &&
	    row->type != CONF_BOOL;
	int type = config_setting_type(v);

	if (type == CONFIG_TYPE_STRING)
		text = text_of(w, s, row->name, v, &hidden);
	else if (type == CONFIG_TYPE_BOOL && row->type == CONF_BOOL)
		snprintf(number, sizeof(number), "%s",
		    config_setting_get_bool(v) ? "true" : "false");
	else if ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) &&
	    numeric)
		snprintf(number, sizeof(number), "%lld",
		    config_setting_get_int64(v));
	else if (type == CONFIG_TYPE_FLOAT && row->type == CONF_SHARE)
		snprintf(number, sizeof(number), "%.15g",
		    config_setting_get_float(v));
	else {
		complain(w, s, line_of(v), row->name, "is %s, expected %s",
		    kind_of(v), value_expected(row, why));
		return;
	}
	if (hidden) {
		source_hide(w->source, field);
		w->source->hides_numbers = true;
	}
	if (text != NULL && value_parse(row, text, hidden ? "(hidden)" : text,
	    field, why) == -1)
		complain(w, s, line_of(v), row->name, "%s", why);
}

static struct conf_file
read_path(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v)
{
	struct conf_file file = { .path = read_text(w, s, row->name, v) };
	char *full;

	if (file.path == NULL || *file.path == '\0')
		return (struct conf_file){ NULL, NULL };
	full = path_from(text_base_of(&w->source->text, line_of(v)), file.path);
	if (full != NULL && !file_may_be_read(full)) {
		complain(w, s, line_of(v), row->name, "\"%.200s\" is a pipe "
		    "or device, expected a file", shown(w, file.path));
		free(full);
		return (struct conf_file){ NULL, NULL };
	}
	if (full != NULL)
		file.full = arena_copy(&w->source->arena, full);
	if (file.full != NULL && source_hides(w->source, file.path))
		source_hide(w->source, file.full);
	free(full);
	return file;
}

static struct conf_records
read_records(struct load *w, const struct spot *s, const struct conf_key *row)
{
	struct conf_records records = { NULL, 0 };
	struct spot list = spot_list(w, s, row->name);
	unsigned n = list.group == NULL ? 0 :
	    (unsigned)config_setting_length(list.group);

	records.v = arena_take(&w->source->arena, n, row->record_size);
	for (unsigned i = 0; i < n && records.v != NULL; i++) {
		struct spot at = spot_at(w, &list, i);
		char *one = (char *)records.v + records.n * row->record_size;

		if (at.group == NULL)
			continue;
		read_keys(w, &at, row->record, "", NULL, one);
		read_unknown(w, &at, row->record, "", false, NULL);
		*(int *)(void *)one = at.line;
		records.n++;
	}
	return records;
}

static void
read_value(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v, void *field)
{
	char *text;

	switch (row->type) {
	case CONF_BOOL:
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_ENUM:
	case CONF_SHARE:
	case CONF_STATUSES:
		read_scalar(w, s, row, v, field);
		break;
	case CONF_LIMIT:
	case CONF_RATE:
	case CONF_BANDWIDTH:
		read_limit(w, s, row, v, field);
		break;
	case CONF_STRING:
		text = read_text(w, s, row->name, v);
		if (text != NULL && text_ok(w, s, row, v, text))
			*(char **)field = text;
		/* It was given: no protocol is to say that it is missing. */
		else if (text == NULL && strcmp(row->name, "password") == 0 &&
		    config_setting_type(v) == CONFIG_TYPE_STRING)
			*(char **)field = arena_copy(&w->source->arena,
			    config_setting_get_string(v));
		break;
	case CONF_NETS:
		*(struct conf_nets *)field = read_nets(w, s, row, v);
		break;
	case CONF_NAMES:
		*(struct conf_names *)field = read_names(w, s, row, v);
		break;
	case CONF_HEADERS:
		*(struct conf_headers *)field = read_headers(w, s, row, v);
		break;
	case CONF_FILE:
		*(struct conf_file *)field = read_path(w, s, row, v);
		break;
	case CONF_RECORDS:
		*(struct conf_records *)field = read_records(w, s, row);
		break;
	case CONF_GROUP:
	case CONF_LIST:
		break;
	}
}

/* "(a, b)" of a row's default, one word after the other. */
static size_t
default_words(struct load *w, const char *def, char ***words)
{
	char *copy = arena_copy(&w->source->arena, def), *rest;
	size_t n = 0;

	*words = arena_take(&w->source->arena, strlen(def) + 1,
	    sizeof(**words));
	for (char *word = copy == NULL ? NULL : strtok_r(copy, "(), ", &rest);
	    word != NULL && *words != NULL; word = strtok_r(NULL, "(), ",
	    &rest))
		(*words)[n++] = word;
	return n;
}

static void
default_nets(struct load *w, const char *def, struct conf_nets *out)
{
	char **words;
	size_t n = default_words(w, def, &words);

	out->v = arena_take(&w->source->arena, n, sizeof(*out->v));
	for (size_t i = 0; i < n && out->v != NULL; i++)
		if (addr_net_parse(words[i], &out->v[out->n]) == 0)
			out->n++;
}

/* A COUNT, DURATION or SIZE without default is -1: whoever reads it decides. */
static void
default_scalar(struct load *w, const struct conf_key *row, const char *def,
    void *field)
{
	char why[VALUE_WHY_MAX];

	if (def == NULL && row->type != CONF_BOOL && row->type != CONF_ENUM)
		*(int64_t *)field = -1;
	else if (def != NULL && value_parse(row, def, def, field, why) == -1)
		problem_add(w->problems, 0, row->name, "the default is "
		    "refused: %s", why);
}

void
read_default(struct load *w, const struct conf_key *row, const char *def,
    void *field)
{
	struct conf_names *names = field;

	switch (row->type) {
	case CONF_STRING:
		*(char **)field = def == NULL ? NULL :
		    arena_copy(&w->source->arena, def);
		break;
	case CONF_NETS:
		if (def != NULL)
			default_nets(w, def, field);
		break;
	case CONF_NAMES:
		if (def != NULL)
			names->n = default_words(w, def, &names->v);
		break;
	case CONF_HEADERS:
	case CONF_FILE:
	case CONF_RECORDS:
	case CONF_GROUP:
	case CONF_LIST:
		break;
	case CONF_LIMIT:
	case CONF_RATE:
	case CONF_BANDWIDTH:
		limit_defaults(w, row, field);
		default_scalar(w, row, def, field);
		break;
	default:
		default_scalar(w, row, def, field);
	}
}

void
read_keys(struct load *w, const struct spot *s, const struct conf_key *keys,
    const char *prefix, const struct conf_proto *proto, void *into)
{
	for (; keys != NULL && keys->name != NULL; keys++) {
		const config_setting_t *v = member_of(s, keys->name);
		void *field;

		if (keys->offset == BY_HAND)
			continue;
		field = (char *)into + keys->offset;
		read_default(w, keys, schema_default(keys, prefix, proto),
		    field);
		if (v != NULL)
			read_value(w, s, keys, v, field);
	}
}

const struct conf_proto *
find_proto(const struct conf_proto *const *protos, const char *name)
{
	for (; *protos != NULL; protos++)
		if (strcmp((*protos)->name, name) == 0)
			return *protos;
	return NULL;
}

/* ----------------------------------------------------------------- names */

bool
read_name_ok(struct load *w, const struct spot *s, int line, const char *name)
{
	size_t n = 0;

	while (isalnum((unsigned char)name[n]) ||
	    (name[n] != '\0' && strchr("_.-", name[n]) != NULL))
		n++;
	if (n > 0 && n <= NAME_MAX_BYTES && name[n] == '\0')
		return true;
	complain(w, s, line, "name", "\"%.80s\" is no good name, expected 1 to "
	    "63 letters, digits, \"_\", \".\" and \"-\"", shown(w, name));
	return false;
}

void
complain_proto(struct load *w, const struct spot *s, int line,
    const char *name)
{
	struct nearest near = { .word = shown(w, name) };
	char known[512] = "";

	for (const struct conf_proto *const *p = w->in->protos; *p != NULL;
	    p++) {
		size_t n = strlen(known);

		nearest_try(&near, (*p)->name);
		snprintf(known + n, sizeof(known) - n, "%s%s", n == 0 ? "" :
		    ", ", (*p)->name);
	}
	if (near.best != NULL)
		complain(w, s, line, "protocol", "unknown protocol \"%.60s\", "
		    "did you mean \"%s\"?", shown(w, name), near.best);
	else
		complain(w, s, line, "protocol", "unknown protocol \"%.60s\", "
		    "expected one of %s", shown(w, name), known);
}
