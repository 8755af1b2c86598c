/*
 * Texts that are sent. See sent.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/sent.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/problems.h"
#include "conf/read.h"
#include "conf/words.h"
#include "net/memstream.h"

#define MARK "#@ "

/* ------------------------------------------------------------------ sending */

static void
put_mark(FILE *out, const struct text *t, const struct text_line *at)
{
	const char *name = t->files[at->file];

	fprintf(out, MARK "%d \"", at->line);
	for (; *name != '\0'; name++)
		if (*name != '\n')      /* no name that can be written here */
			putc(*name, out);
	fputs("\"\n", out);
}

/* Each line, and before it where it is from when that does not follow. */
static void
put_lines(FILE *out, const struct text *t)
{
	struct text_line next = { 0, 1 };
	const char *at = t->bytes, *end;
	size_t i;

	for (i = 0; i < t->n_lines && *at != '\0'; i++) {
		end = strchrnul(at, '\n');
		if (t->lines[i].file != next.file ||
		    t->lines[i].line != next.line)
			put_mark(out, t, &t->lines[i]);
		fprintf(out, "%.*s\n", (int)(end - at), at);
		next = t->lines[i];
		next.line++;
		at = *end == '\0' ? end : end + 1;
	}
}

char *
sent_make(const char *path, struct conf_errors *errors)
{
	struct problems *problems = calloc(1, sizeof(*problems));
	struct memstream lines;
	char *bytes = NULL;
	struct text t = { 0 };
	size_t len = 0;

	*errors = (struct conf_errors){ NULL, 0 };
	if (problems != NULL && text_read(&t, path, NULL, problems) == 0 &&
	    memstream_open(&lines) != NULL) {
		put_lines(lines.out, &t);
		bytes = memstream_close(&lines, &len);
	}
	if (bytes != NULL && len > SENT_MAX_BYTES) {
		free(bytes);
		bytes = NULL;
		problem_add(problems, 0, NULL, "is too long to be sent, "
		    "expected at most 4 MiB with all includes");
	}
	if (bytes == NULL)
		report_problems(&t, path, problems, errors);
	text_fini(&t);
	if (problems != NULL)
		problems_fini(problems);
	free(problems);
	return bytes;
}

/* ------------------------------------------------------------------- taking */

/* The folder that `path` is in, with its slash: so many bytes of it. */
static size_t
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Where a file that the sender calls `file` would be; malloc'd or NULL. */
static char *
base_of(const char *path, const char *name, const char *file)
{
	size_t there = folder_of(name), here = folder_of(path);
	char *base;

	if (strcmp(file, name) == 0)
		return strdup(path);
	if (strncmp(file, name, there) != 0 || file[there] == '/')
		return strdup(file);
	if (asprintf(&base, "%.*s%s", (int)here, path, file + there) < 0)
		return NULL;
	return base;
}

struct taking {
	struct text *t;
	const char *path, *name;
	struct text_line next;
};

/* The number of a file, which is new or was there before; -1 = out of memory,
   or one of too many. */
static int
file_number(struct taking *k, const char *file)
{
	struct text *t = k->t;
	char **files, **bases;
	size_t i;

	for (i = 0; i < t->n_files; i++)
		if (strcmp(t->files[i], file) == 0)
			return (int)i;
	if (t->n_files > TEXT_FILES_MAX)
		return -1;
	files = realloc(t->files, (t->n_files + 1) * sizeof(*files));
	if (files != NULL)
		t->files = files;
	bases = realloc(t->bases, (t->n_files + 1) * sizeof(*bases));
	if (bases != NULL)
		t->bases = bases;
	if (files == NULL || bases == NULL)
		return -1;
	files[t->n_files] = strdup(file);
	bases[t->n_files] = base_of(k->path, k->name, file);
	if (files[t->n_files] == NULL || bases[t->n_files] == NULL) {
		free(files[t->n_files]);
		free(bases[t->n_files]);
		return -1;
	}
	return (int)t->n_files++;
}

/* '#@ 12 "name"', of len bytes: 1 = it was one, 0 = it is none, -1 = as above.
   A name that no file can have is none. */
static int
take_mark(struct taking *k, const char *at, size_t len)
{
	char *line, *name, *end;
	long number;
	int file;

	if (len < sizeof(MARK) || strncmp(at, MARK, sizeof(MARK) - 1) != 0)
		return 0;
	line = strndup(at, len);
	if (line == NULL)
		return -1;
	number = strtol(line + sizeof(MARK) - 1, &name, 10);
	end = line + len - 1;
	if (number < 1 || number > INT_MAX / 2 || strncmp(name, " \"", 2) != 0 ||
	    end <= name + 2 || *end != '"' || end - name - 2 >= PATH_MAX) {
		free(line);
		return 0;
	}
	*end = '\0';
	file = file_number(k, name + 2);
	free(line);
	if (file < 0)
		return -1;
	k->next = (struct text_line){ (unsigned)file, (int)number };
	return 1;
}

static int
take_lines(struct taking *k, const char *given)
{
	struct text *t = k->t;
	size_t len, n = 0;
	const char *at;
	int mark;

	for (at = given; *at != '\0'; at++)
		n += *at == '\n';
	t->bytes = malloc(strlen(given) + 2);
	t->lines = calloc(n + 1, sizeof(*t->lines));
	if (t->bytes == NULL || t->lines == NULL)
		return -1;
	for (at = given; *at != '\0'; at += len + (at[len] == '\n')) {
		len = strcspn(at, "\n");
		mark = take_mark(k, at, len);
		if (mark < 0)
			return -1;
		if (mark > 0)
			continue;
		t->lines[t->n_lines++] = k->next;
		k->next.line += k->next.line < INT_MAX;
		memcpy(t->bytes + t->n_bytes, at, len);
		t->n_bytes += len;
		t->bytes[t->n_bytes++] = '\n';
	}
	t->bytes[t->n_bytes] = '\0';
	return 0;
}

bool
sent_hides(const struct conf *c)
{
	const struct source *source = c->source;

	return source->sent && source->hides;
}

bool
sent_hides_name(const struct conf *c, const char *name)
{
	const struct source *source = c->source;

	return source->sent && source_hides(source, name);
}

/* What text_read() would have found while it looked for includes. */
static int
refuse_includes(const struct text *t, struct problems *p)
{
	struct scanner s = { t->bytes, t->bytes, 1 };
	struct token token;
	const char *why;

	do {
		token = token_next(&s);
		why = token.kind == TOKEN_INCLUDE ? "@include in a text that is "
		    "sent, expected the other file's text in its place, as "
		    "`weir plan` puts it there" : text_refusal(&token);
		if (why != NULL) {
			problem_add(p, token.line, NULL, "%s", why);
			return -1;
		}
	} while (token.kind != TOKEN_END);
	return 0;
}

int
sent_read(struct text *t, const char *path, const char *name,
    const char *given, struct problems *p)
{
	struct taking k = { .t = t, .path = path, .name = name,
	    .next = { 0, 1 } };

	*t = (struct text){ 0 };
	text_hash(t, given);
	if (strncmp(given, "\xef\xbb\xbf", 3) == 0)     /* UTF-8 mark */
		given += 3;
	if (file_number(&k, name) < 0 || take_lines(&k, given) == -1) {
		problem_add(p, 0, NULL, "the configuration does not fit in "
		    "memory");
		return -1;
	}
	return refuse_includes(t, p);
}
