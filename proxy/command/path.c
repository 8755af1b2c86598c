/*
 * Paths of the admin port. See path.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/path.h"

#include <stdlib.h>
#include <string.h>

void
path_begin(struct path *p, const char *fixed)
{
	*p = (struct path){ .between = '?' };
	p->out = memstream_open(&p->text);
	path_fixed(p, fixed);
}

void
path_fixed(struct path *p, const char *fixed)
{
	if (p->out != NULL)
		fputs(fixed, p->out);
}

/* RFC 3986 2.1, 2.3 */
void
path_word(struct path *p, const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-._~:";

	for (; p->out != NULL && *word != '\0'; word++)
		if (strchr(plain, *word) != NULL)
			putc(*word, p->out);
		else
			fprintf(p->out, "%%%02X", (unsigned char)*word);
}

void
path_query(struct path *p, const char *key, const char *value)
{
	if (p->out == NULL || value == NULL)
		return;
	fprintf(p->out, "%c%s=", p->between, key);
	path_word(p, value);
	p->between = '&';
}

char *
path_end(struct path *p)
{
	return p->out != NULL ? memstream_close(&p->text, NULL) : NULL;
}
