/*
 * Tables. See table.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 80, NOTE_WIDE = 79, NOTE_INDENT = 4 };

void
table_init(struct table *t, const char *const *heads)
{
	*t = (struct table){ .heads = heads };
}

void
table_fini(struct table *t)
{
	size_t i;

	for (i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
}

/* Names come from a file, and a terminal obeys more than letters. */
static void
tame(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void
table_add(struct table *t, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int len;

	if (t->n_cells == t->room) {
		size_t room = t->room * 2 + 64;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (cells == NULL)
			return;
		t->cells = cells;
		t->room = room;
	}
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		text = NULL;
	else
		tame(text);
	t->cells[t->n_cells++] = text;
}

/* Letters, not bytes: UTF-8 continuation bytes take no place. */
static int
width(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Blanks are owed until something follows them: no line ends in any. */
static void
print_cell(FILE *out, const char *text, int wide, bool left, int gap,
    int *owed)
{
	int pad = wide - width(text);

	if (!left)
		*owed += pad;
	if (*text != '\0') {
		fprintf(out, "%*s%s", *owed, "", text);
		*owed = 0;
	}
	*owed += left ? pad + gap : gap;
}

static int
gap_of(const int *wide, size_t n)
{
	int all = (int)n - 1;
	size_t i;

	for (i = 0; i < n; i++)
		all += wide[i];
	return all <= WIDE && all + (int)n - 1 > WIDE ? 1 : 2;
}

void
table_print(const struct table *t, FILE *out)
{
	int wide[TABLE_COLUMNS] = { 0 }, owed = 0, gap;
	size_t n = 0, i;

	while (n < TABLE_COLUMNS && t->heads[n] != NULL) {
		wide[n] = width(t->heads[n]) - (t->heads[n][0] == '-');
		n++;
	}
	if (n == 0 || t->n_cells == 0)
		return;
	for (i = 0; i < t->n_cells; i++)
		if (t->cells[i] != NULL && width(t->cells[i]) > wide[i % n])
			wide[i % n] = width(t->cells[i]);
	gap = gap_of(wide, n);
	for (i = 0; i < n; i++)
		print_cell(out, t->heads[i] + (t->heads[i][0] == '-'), wide[i],
		    t->heads[i][0] == '-', gap, &owed);
	for (i = 0; i < t->n_cells; i++) {
		if (i % n == 0) {
			putc('\n', out);
			owed = 0;
		}
		print_cell(out, t->cells[i] != NULL ? t->cells[i] : "",
		    wide[i % n], t->heads[i % n][0] == '-', gap, &owed);
	}
	putc('\n', out);
}

void
table_section(struct table *t, FILE *out)
{
	if (t->n_cells > 0)
		putc('\n', out);
	table_print(t, out);
	table_fini(t);
}

void
table_note(FILE *out, const char *head, const char *text)
{
	char *all, *word;
	int at = -1;                    /* the last column used; -1 = none */

	if (asprintf(&all, "%s: %s", head, text) < 0)
		return;
	tame(all);
	for (word = all; *word != '\0'; word += strspn(word, " ")) {
		size_t len = strcspn(word, " ");
		char after = word[len];

		word[len] = '\0';
		if (at < 0 || at + 1 + width(word) <= NOTE_WIDE) {
			fprintf(out, "%s%s", at < 0 ? "" : " ", word);
			at += 1 + width(word);
		} else {
			fprintf(out, "\n%*s%s", NOTE_INDENT, "", word);
			at = NOTE_INDENT + width(word);
		}
		word[len] = after;
		word += len;
	}
	putc('\n', out);
	free(all);
}
