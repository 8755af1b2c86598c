/*
 * Lone statements. See lone.h. PostgreSQL, chapter 4.1 "Lexical Structure", and
 * the pages of SET, RESET and DEALLOCATE.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/lone.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Where it is read. */
struct at {
	const char *text, *end;
};

static void
skip_space(struct at *a)
{
	while (a->text < a->end && isspace((unsigned char)*a->text))
		a->text++;
}

static bool
take_sign(struct at *a, char sign)
{
	skip_space(a);
	if (a->text == a->end || *a->text != sign)
		return false;
	a->text++;
	return true;
}

static bool
is_word_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static bool
take_word(struct at *a, const char *word)
{
	size_t len = strlen(word);

	skip_space(a);
	if ((size_t)(a->end - a->text) < len ||
	    strncasecmp(a->text, word, len) != 0 ||
	    (a->text + len < a->end && is_word_byte(a->text[len])))
		return false;
	a->text += len;
	return true;
}

/* Nothing behind it but, perhaps, the sign that ends a statement. */
static bool
is_over(struct at *a)
{
	(void)take_sign(a, ';');
	skip_space(a);
	return a->text == a->end;
}

/* A quoted name or literal, without a backslash and what is no ASCII: they may
   mean more than they say. */
static bool
take_quoted(struct at *a, char quote, char *out, size_t size)
{
	size_t n = 0;

	if (!take_sign(a, quote))
		return false;
	for (; a->text < a->end && n + 1 < size; a->text++) {
		char c = *a->text;

		if (c == quote && a->text + 1 < a->end &&
		    a->text[1] == quote)
			a->text++;
		else if (c == quote) {
			a->text++;
			out[n] = '\0';
			return n > 0 || quote == '\'';
		}
		if (c == '\\' || (unsigned char)c >= 0x80 || c == '\0')
			return false;
		out[n++] = c;
	}
	return false;
}

/* A name as it is, or one of two parts. */
static bool
take_name(struct at *a, char *out, size_t size)
{
	size_t n = 0;

	skip_space(a);
	if (a->text < a->end && *a->text == '"')
		return take_quoted(a, '"', out, size);
	while (a->text < a->end && (is_word_byte(*a->text) ||
	    (*a->text == '.' && n > 0)) && n + 1 < size)
		out[n++] = (char)tolower((unsigned char)*a->text++);
	out[n] = '\0';
	return n > 0 && !isdigit((unsigned char)out[0]) &&
	    (a->text == a->end || (unsigned char)*a->text < 0x80);
}

/* A number that the server keeps as it is written: not 007, +5, 1e3. */
static bool
is_number(const char *text)
{
	bool minus = *text == '-', zero;

	text += minus;
	if (!isdigit((unsigned char)*text))
		return false;
	zero = *text == '0';
	if (zero && (isdigit((unsigned char)text[1]) ||
	    (minus && text[1] == '\0')))
		return false;
	text += strspn(text, "0123456789");
	if (*text == '.' && isdigit((unsigned char)text[1]))
		text += 1 + strspn(text + 1, "0123456789");
	return *text == '\0';
}

/* A number, or a bare word, which is in lower case then and no longer than a
   name. */
static bool
take_bare(struct at *a, char *out, size_t size)
{
	size_t n = 0, i;

	skip_space(a);
	while (a->text < a->end && (is_word_byte(*a->text) ||
	    *a->text == '.' || *a->text == '-') && n + 1 < size)
		out[n++] = *a->text++;
	out[n] = '\0';
	if (n == 0 || (a->text < a->end && !isspace((unsigned char)*a->text) &&
	    strchr(";,", *a->text) == NULL))
		return false;
	if (!isalpha((unsigned char)out[0]) && out[0] != '_')
		return is_number(out);
	for (i = 0; i < n; i++) {
		if (!is_word_byte(out[i]))
			return false;
		out[i] = (char)tolower((unsigned char)out[i]);
	}
	return n < PG_LONE_NAME;
}

/* Parameters that are lists of names, and read as such by set_config(): what was
   quoted is to stay one name (PostgreSQL's GUC_LIST_QUOTE). */
static bool
is_list(const char *name)
{
	return strcmp(name, "search_path") == 0 ||
	    strcmp(name, "temp_tablespaces") == 0 ||
	    strcmp(name, "local_preload_libraries") == 0 ||
	    strcmp(name, "session_preload_libraries") == 0;
}

/* Must it be quoted to be one name in a list? Words that are the language's
   own need not be there, though the server does it. */
static bool
needs_quotes(const char *item)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz_0123456789";

	return *item == '\0' || isdigit((unsigned char)*item) ||
	    item[strspn(item, plain)] != '\0';
}

static bool
take_item(struct at *a, bool lists, char *out, size_t size)
{
	char item[PG_LONE_VALUE], quote;
	const char *mark;
	bool quoted;

	skip_space(a);
	quote = a->text < a->end ? *a->text : '\0';
	quoted = quote == '\'' || quote == '"';
	if (!(quoted ? take_quoted(a, quote, item, sizeof(item)) :
	    take_bare(a, item, sizeof(item))))
		return false;
	/* As the server spells it, which is what SHOW says. */
	mark = quoted && lists && needs_quotes(item) ? "\"" : "";
	if ((*mark != '\0' && strchr(item, '"') != NULL) ||
	    (quote == '"' && strlen(item) >= PG_LONE_NAME) ||
	    strlen(item) + 3 > size)
		return false;
	strcpy(out, mark);
	strcat(out, item);
	strcat(out, mark);
	return true;
}

/* What stands behind TO, as set_config() would have it. */
static bool
take_value(struct at *a, bool lists, char *out, size_t size)
{
	size_t n = 0;

	do {
		if (n > 0 && n + 3 < size) {
			memcpy(out + n, ", ", 3);
			n += 2;
		}
		if (!take_item(a, lists, out + n, size - n))
			return false;
		n += strlen(out + n);
	} while (take_sign(a, ','));
	return true;
}

/* What SET may begin with, and is no parameter. */
static bool
is_other(const char *name)
{
	static const char *const words[] = { "local", "session", "transaction",
		"constraints", "time", "names", "role", "schema", "xml",
		"session_authorization", "is_superuser", "seed", "all" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(name, words[i]) == 0)
			return true;
	return false;
}

static enum pg_lone_kind
read_set(struct pg_lone *l, struct at a)
{
	(void)take_word(&a, "session");
	if (!take_name(&a, l->name, sizeof(l->name)) || is_other(l->name) ||
	    (!take_sign(&a, '=') && !take_word(&a, "to")))
		return PG_LONE_NONE;
	if (take_word(&a, "default"))
		return is_over(&a) ? PG_LONE_RESET : PG_LONE_NONE;
	return take_value(&a, is_list(l->name), l->value,
	    sizeof(l->value)) && is_over(&a) ?
	    PG_LONE_SET : PG_LONE_NONE;
}

static enum pg_lone_kind
read_set_config(struct pg_lone *l, struct at a)
{
	char *c;

	if (take_word(&a, "pg_catalog") && !take_sign(&a, '.'))
		return PG_LONE_NONE;
	if (!take_word(&a, "set_config") || !take_sign(&a, '(') ||
	    !take_quoted(&a, '\'', l->name, sizeof(l->name)) ||
	    !take_sign(&a, ',') ||
	    !take_quoted(&a, '\'', l->value, sizeof(l->value)) ||
	    !take_sign(&a, ',') || !take_word(&a, "false") ||
	    !take_sign(&a, ')') || !is_over(&a))
		return PG_LONE_NONE;
	for (c = l->name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return is_other(l->name) ? PG_LONE_NONE : PG_LONE_SET;
}

static enum pg_lone_kind
read_reset(struct pg_lone *l, struct at a)
{
	return take_name(&a, l->name, sizeof(l->name)) && !is_other(l->name) &&
	    is_over(&a) ? PG_LONE_RESET : PG_LONE_NONE;
}

static enum pg_lone_kind
read_deallocate(struct pg_lone *l, struct at a)
{
	struct at before;

	before = a;
	if (take_word(&a, "prepare") && is_over(&a))
		a = before;             /* that is its name */
	return take_name(&a, l->name, sizeof(l->name)) &&
	    strcmp(l->name, "all") != 0 && is_over(&a) ? PG_LONE_DEALLOCATE :
	    PG_LONE_NONE;
}

void
pg_lone_read(struct pg_lone *l, const char *text, size_t len)
{
	struct at a = { text, text + len };

	l->kind = PG_LONE_NONE;
	l->name[0] = l->value[0] = '\0';
	if (take_word(&a, "set"))
		l->kind = read_set(l, a);
	else if (take_word(&a, "select"))
		l->kind = read_set_config(l, a);
	else if (take_word(&a, "reset"))
		l->kind = read_reset(l, a);
	else if (take_word(&a, "deallocate"))
		l->kind = read_deallocate(l, a);
}
