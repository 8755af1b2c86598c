/*
 * Holders. See holder.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/holder.h"

/* RFC 9112 3: method SP request-target SP version; and empty lines may stand
   before it (2.2). */
static bool
ends_line(char c, unsigned *blanks)
{
	return c == '?' || c == '\r' || c == '\n' ||
	    (c == ' ' && ++*blanks == 2);
}

void
brief_print(const struct brief *a, char out[BRIEF_MOST + 1])
{
	size_t i = 0, n = 0;
	unsigned blanks = 0;

	while (a->is_line && i < a->len &&
	    (a->text[i] == '\r' || a->text[i] == '\n'))
		i++;
	for (; i < a->len; i++) {
		unsigned char c = (unsigned char)a->text[i];

		if (a->is_line && ends_line(a->text[i], &blanks))
			break;
		out[n++] = c < ' ' || c >= 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}
