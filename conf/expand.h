/*
 * ${NAME}, ${NAME:-default}, ${file:/path} and $${ in strings.
 *
 * A default stands for a variable that is unset or empty, as in a shell, and
 * ends at the first "}". What was put in is not looked at again. Files lose
 * the line breaks at their end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_EXPAND_H
#define CONF_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#define EXPAND_WHY_MAX 512

/*
 * The expanded text, malloc'd; NULL with `why` filled in when it cannot be.
 * Relative files are seen from the folder of the file `from`. *hidden says
 * whether any of it came from a file, which makes it a secret.
 */
char *expand(const char *text, const char *from, bool *hidden,
    char why[EXPAND_WHY_MAX]);

/* A file's text without the line breaks at its end, or NULL and `why`. */
char *secret_read(const char *from, const char *path,
    char why[EXPAND_WHY_MAX]);

#endif
