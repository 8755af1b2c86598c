/*
 * The file of a weir, in a field. See started.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/started.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/memstream.h"

enum { VALUE_MOST = 4096 };             /* half of what call.c takes as a head */

/* Not realpath(): a link, as of a mounted ConfigMap, may lead elsewhere by the
   time somebody compares. */
static char *
absolute(const char *path)
{
	char *here, *joined = NULL;

	while (strncmp(path, "./", 2) == 0)
		path += 2;
	here = *path != '/' ? getcwd(NULL, 0) : NULL;
	if (here == NULL)
		return strdup(path);
	if (asprintf(&joined, "%s/%s", strcmp(here, "/") == 0 ? "" : here,
	    path) < 0)
		joined = NULL;
	free(here);
	return joined;
}

/* Within a field's value blanks and all that is visible (RFC 9110 5.5); an end
   in a blank would be cut off. */
static bool
is_plain(const char *at)
{
	return *at != '%' && (*at == ' ' ? at[1] != '\0' :
	    *at > ' ' && *at < 0x7f);
}

char *
started_with(const char *path)
{
	struct memstream word;
	char *full, *value;
	const char *at;
	size_t len = 0;
	FILE *out;

	if (path == NULL)
		return strdup("(built in)");
	full = absolute(path);
	out = full != NULL ? memstream_open(&word) : NULL;
	if (out == NULL) {
		free(full);
		return NULL;
	}
	for (at = full; *at != '\0'; at++)
		if (is_plain(at))
			putc(*at, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*at);
	value = memstream_close(&word, &len);
	free(full);
	if (len <= VALUE_MOST)
		return value;
	free(value);
	return NULL;
}

static bool
is_one_file(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 &&
	    one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int
nibble(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) % 16 : -1;
}

/* In place; what is not rightly encoded stays as it is. */
static void
decode(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++)
		if (*text == '%' && nibble(text[1]) >= 0 &&
		    nibble(text[2]) >= 0) {
			*to++ = (char)(nibble(text[1]) * 16 +
			    nibble(text[2]));
			text += 2;
		} else
			*to++ = *text;
	*to = '\0';
}

bool
started_same(const char *value, const char *path)
{
	char *theirs = strdup(value), *ours = started_with(path);
	bool same = theirs != NULL && ours != NULL && strcmp(theirs, ours) == 0;

	if (!same && theirs != NULL && *theirs == '/') {
		decode(theirs);
		same = is_one_file(theirs, path);
	}
	free(theirs);
	free(ours);
	return same;
}
