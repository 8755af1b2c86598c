/*
 * Variables and secrets in strings.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/expand.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/text.h"
#include "net/memstream.h"

#define EXPANDED_MAX_BYTES (4 * SECRET_MAX_BYTES)

char *
secret_read(const char *from, const char *path, char why[EXPAND_WHY_MAX])
{
	const char *reason = "out of memory";
	char *full = path_from(from, path), *text = NULL;
	size_t n;

	if (full != NULL)
		text = file_read(full, SECRET_MAX_BYTES, &reason);
	if (text == NULL) {
		snprintf(why, EXPAND_WHY_MAX, "cannot read %.300s: %s, "
		    "expected a readable file of at most 1 MiB",
		    full == NULL ? path : full, reason);
	} else {
		n = strlen(text);
		while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
			text[--n] = '\0';
	}
	free(full);
	return text;
}

static bool
is_variable_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	while (isalnum((unsigned char)*name) || *name == '_')
		name++;
	return *name == '\0';
}

/* What stands for the text between "${" and "}"; malloc'd. */
static char *
replacement(char *inner, const char *from, bool *hidden,
    char why[EXPAND_WHY_MAX])
{
	char *fallback = strstr(inner, ":-");
	const char *value;
	char *copy;

	if (strncmp(inner, "file:", 5) == 0) {
		*hidden = true;
		return secret_read(from, inner + 5, why);
	}
	if (fallback != NULL) {
		*fallback = '\0';
		fallback += 2;
	}
	if (!is_variable_name(inner)) {
		snprintf(why, EXPAND_WHY_MAX, "\"${%.100s}\" is not understood"
		    ", expected ${NAME}, ${NAME:-default}, ${file:/path}, or $${ "
		    "for a plain ${", inner);
		return NULL;
	}
	value = getenv(inner);
	if ((value == NULL || *value == '\0') && fallback != NULL)
		value = fallback;
	if (value == NULL) {
		snprintf(why, EXPAND_WHY_MAX, "the environment has no %.100s, "
		    "expected it set, or a default as in ${%.100s:-default}",
		    inner, inner);
		return NULL;
	}
	copy = strdup(value);
	if (copy == NULL)
		snprintf(why, EXPAND_WHY_MAX, "out of memory");
	return copy;
}

/* Handles the "${" at *at; moves *at behind the "}". */
static int
expand_one(FILE *out, const char **at, const char *from, bool *hidden,
    char why[EXPAND_WHY_MAX])
{
	const char *end = strchr(*at, '}');
	char *inner, *value;

	if (end == NULL) {
		snprintf(why, EXPAND_WHY_MAX, "\"${\" without \"}\", expected "
		    "${NAME}, or $${ for a plain ${");
		return -1;
	}
	inner = strndup(*at + 2, (size_t)(end - *at) - 2);
	value = inner == NULL ? NULL : replacement(inner, from, hidden, why);
	free(inner);
	if (value == NULL)
		return -1;
	fputs(value, out);
	free(value);
	*at = end + 1;
	return 0;
}

char *
expand(const char *text, const char *from, bool *hidden,
    char why[EXPAND_WHY_MAX])
{
	struct memstream whole;
	int result = 0;
	char *bytes;
	FILE *out;

	snprintf(why, EXPAND_WHY_MAX, "out of memory");
	/* As nearly all are. */
	if (strstr(text, "${") == NULL &&
	    strlen(text) <= EXPANDED_MAX_BYTES)
		return strdup(text);
	out = memstream_open(&whole);
	if (out == NULL)
		return NULL;
	while (*text != '\0' && result == 0) {
		if (strncmp(text, "$${", 3) == 0) {
			fputs("${", out);
			text += 3;
		} else if (strncmp(text, "${", 2) == 0) {
			result = expand_one(out, &text, from, hidden, why);
		} else {
			fputc(*text++, out);
		}
		if (ftell(out) > EXPANDED_MAX_BYTES) {
			snprintf(why, EXPAND_WHY_MAX, "the expanded text is "
			    "too long, expected at most 4 MiB");
			result = -1;
		}
	}
	bytes = memstream_close(&whole, NULL);
	if (result == 0)
		return bytes;
	free(bytes);
	return NULL;
}
