/*
 * Trees. See tree.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/facts.h"
#include "net/memstream.h"

enum { LIST_WHOLE = 8 };        /* longer lists are cut where they are alike */

static struct node *
grow(struct tree *t, const char *key)
{
	struct node *n = arena_take(&t->arena, 1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->key = key == NULL ? NULL : arena_copy(&t->arena, key);
	n->end = &n->first;
	n->up = t->at;
	if (t->at == NULL)
		return n;
	*t->at->end = n;
	t->at->end = &n->next;
	t->at->n++;
	return n;
}

static void
tree_open(void *arg, const char *key, char bracket)
{
	struct tree *t = arg;
	struct node *n = t->arena.failed ? NULL : grow(t, key);

	if (n == NULL)
		return;
	n->bracket = bracket;
	t->at = n;
	if (t->top == NULL)
		t->top = n;
}

static void
tree_close(void *arg, char bracket)
{
	struct tree *t = arg;

	(void)bracket;
	if (!t->arena.failed)
		t->at = t->at->up;
}

static void
tree_fact(void *arg, const struct fact *f)
{
	struct tree *t = arg;
	struct node *n = t->arena.failed ? NULL : grow(t, f->key);

	if (n == NULL)
		return;
	n->row = f->row;
	n->text = arena_copy(&t->arena, f->text);
	n->bare = f->bare && !f->hidden;
	if (f->hidden)
		n->shown = arena_copy(&t->arena, f->shown != NULL ? f->shown :
		    FACT_HIDDEN);
}

static const struct fact_ops tree_ops = {
	.open = tree_open,
	.close = tree_close,
	.fact = tree_fact
};

int
tree_make(struct tree *t, const struct conf *c)
{
	*t = (struct tree){ .top = NULL };
	conf_tell(c, &tree_ops, t);
	return t->arena.failed ? -1 : 0;
}

struct node *
node_child(const struct node *n, const char *key)
{
	struct node *c;

	for (c = n == NULL ? NULL : n->first; c != NULL; c = c->next)
		if (c->key != NULL && strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

bool
node_alike(const struct node *a, const struct node *b)
{
	const struct node *c, *d;

	if (a->bracket != b->bracket || a->n != b->n ||
	    (a->key == NULL) != (b->key == NULL) ||
	    (a->key != NULL && strcmp(a->key, b->key) != 0))
		return false;
	if (a->bracket == 0)
		return strcmp(a->text, b->text) == 0;
	for (c = a->first, d = b->first; c != NULL; c = c->next, d = d->next)
		if (!node_alike(c, d))
			return false;
	return true;
}

/* --------------------------------------------------------------- spelling */

static void
spell_text(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', out);
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			putc(*text, out);
	}
	putc('"', out);
}

/* Of a long list the part that is the same in both is "...". */
static void
spell(FILE *out, const struct node *n)
{
	bool cut = n->n > LIST_WHOLE && n->skip + n->keep > 0;
	const struct node *c;
	size_t i = 0;

	if (n->bracket == 0) {
		if (n->bare)
			fputs(n->text, out);
		else
			spell_text(out, n->shown != NULL ? n->shown : n->text);
		return;
	}
	fputs(n->bracket == '{' ? "{" : "(", out);
	if (cut && n->skip > 0)
		fputs(" ...", out);
	for (c = n->first; c != NULL; c = c->next, i++) {
		if (cut && (i < n->skip || i >= n->skip + n->keep))
			continue;
		putc(' ', out);
		if (c->key != NULL)
			fprintf(out, "%s = ", c->key);
		spell(out, c);
		if (n->bracket == '{')
			putc(';', out);
		else if (c->next != NULL)
			putc(',', out);
	}
	if (cut && n->skip + n->keep < n->n)
		fputs(" ...", out);
	fputs(n->bracket == '{' ? " }" : " )", out);
}

char *
node_spelled(const struct node *n)
{
	struct memstream text;
	FILE *out = memstream_open(&text);

	if (out == NULL)
		return NULL;
	if (n->bracket == 0 && strpbrk(n->text, "\"\\ ") == NULL &&
	    *n->text != '\0' && n->shown == NULL)
		fputs(n->text, out);
	else
		spell(out, n);
	return memstream_close(&text, NULL);
}

bool
node_is_secret(const struct node *n)
{
	return n != NULL && n->bracket == 0 && n->shown != NULL;
}

void
tree_fini(struct tree *t)
{
	arena_fini(&t->arena);
}
