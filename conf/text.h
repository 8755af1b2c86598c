/*
 * The text of a configuration: its file and all it includes, as one text, and
 * which line came from where.
 *
 * Includes are put in place here and not by libconfig, which would open
 * anything, and relative to one folder. Understands no key.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_TEXT_H
#define CONF_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/err.h"

#define TEXT_MAX_BYTES (16 * 1024 * 1024)       /* with all includes */
#define SECRET_MAX_BYTES (1024 * 1024)          /* of one ${file:} */
#define TEXT_FILES_MAX 1000                     /* includes of one */
#define LINE_NAME_MAX 256

struct problems;
struct token;

struct text_line {
	unsigned file;          /* index into files */
	int      line;          /* in that file, from 1 */
};

struct text {
	char  *bytes;           /* NUL-terminated, holds no other NUL */
	size_t n_bytes, bytes_room;
	struct text_line *lines;        /* of line 1 and on of bytes */
	size_t n_lines, lines_room;
	char **files;           /* paths; the first is the main file's */
	char **bases;           /* of a text that was sent: where those files
				   would be; NULL = there they are */
	size_t n_files;
	uint64_t hash;          /* of all files' bytes, FNV-1a */
};

/*
 * Reads `path`, or takes `given` as its text when that is not NULL. Notes all
 * that keeps it from being read; -1 then. End with text_fini in any case.
 */
int text_read(struct text *t, const char *path, const char *given,
    struct problems *p) MUST_CHECK;
void text_fini(struct text *t);

/* File and line of a line of bytes; line 0 (the whole) is the main file's. */
const char *text_file_of(const struct text *t, int line);
int text_line_of(const struct text *t, int line);

/* Where relative paths of that line start: for path_from(). */
const char *text_base_of(const struct text *t, int line);

/* For who reads texts in another way: why a word ends the reading, or NULL; takes
   a file's bytes into the hash. */
const char *text_refusal(const struct token *token);
void text_hash(struct text *t, const char *bytes);

/* "line 3", or "other.conf:3" when `seen_from` is of another file. */
const char *text_line_name(const struct text *t, int line, int seen_from,
    char out[LINE_NAME_MAX]);

/*
 * Is it a file or folder, or nothing? Anything else may have no end, do something
 * when it is opened, or be empty when it is read again: a reload would not find
 * what the start has. /dev/null is a file, and empty.
 */
bool file_may_be_read(const char *path);

/*
 * A whole file, NUL-terminated; the caller frees it. NULL with *why, a static
 * text, when it cannot be read, may not be, is a folder, holds a NUL byte or
 * more than max_bytes.
 */
char *file_read(const char *path, size_t max_bytes, const char **why);

/* `path` as seen from the folder of the file `from`; malloc'd or NULL. */
char *path_from(const char *from, const char *path);

#endif
