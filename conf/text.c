/*
 * Files to one text.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "conf/problems.h"
#include "conf/words.h"
#include "net/await.h"
#include "net/clock.h"

#define DEPTH_MAX 16            /* includes within includes */
#define READ_BYTES 65536
/* The file itself may be a pipe, "-c <(make-it)"; weir that runs waits for it,
   too, when it is to read it again, and does nothing else meanwhile. */
#define WRITER_MS 3000

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* ---------------------------------------------------------------- files */

/* Nothing may be waited for: a pipe without writer is an empty file. */
static int
file_open(const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1) {
		*why = strerrordesc_np(errno);
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		*why = "it is a folder";
		close(fd);
		return -1;
	}
	return fd;
}

/* Grows *bytes as needed and reads to the end; the size or -1. wait: for a pipe's
   writer, a while. */
static ssize_t
fd_read(int fd, bool wait, size_t max_bytes, char **bytes, const char **why)
{
	int64_t until_ms = wait ? clock_ms() + WRITER_MS : 0;
	size_t room = 0, n = 0;
	ssize_t got;

	for (;;) {
		if (room - n < READ_BYTES) {
			char *more = realloc(*bytes, n + 2 * READ_BYTES + 1);

			if (more == NULL) {
				*why = "out of memory";
				return -1;
			}
			*bytes = more;
			room = n + 2 * READ_BYTES;
		}
		got = read(fd, *bytes + n, READ_BYTES);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1 && errno == EAGAIN && wait &&
		    await_fd(fd, POLLIN, until_ms))
			continue;
		if (got == -1) {
			*why = errno == EAGAIN ? "its writer does not end" :
			    strerrordesc_np(errno);
			return -1;
		}
		n += (size_t)got;
		if (n > max_bytes) {
			*why = "it is too large";
			return -1;
		}
		if (got == 0)
			return (ssize_t)n;
	}
}

static char *
read_whole(const char *path, bool wait, size_t max_bytes, const char **why)
{
	char *bytes = NULL;
	int fd = file_open(path, why);
	ssize_t n;

	if (fd == -1)
		return NULL;
	n = fd_read(fd, wait, max_bytes, &bytes, why);
	close(fd);
	if (n >= 0 && memchr(bytes, '\0', (size_t)n) != NULL) {
		*why = "it holds a NUL byte, so it is no text";
		n = -1;
	}
	if (n < 0) {
		free(bytes);
		return NULL;
	}
	bytes[n] = '\0';
	return bytes;
}

bool
file_may_be_read(const char *path)
{
	struct stat st;

	/* null(4) */
	return stat(path, &st) < 0 || S_ISREG(st.st_mode) ||
	    S_ISDIR(st.st_mode) || (S_ISCHR(st.st_mode) &&
	    st.st_rdev == makedev(1, 3));
}

char *
file_read(const char *path, size_t max_bytes, const char **why)
{
	if (!file_may_be_read(path)) {
		*why = "it is a pipe or device";
		return NULL;
	}
	return read_whole(path, false, max_bytes, why);
}

char *
path_from(const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');
	char *joined;

	if (*path == '/' || slash == NULL)
		return strdup(path);
	if (asprintf(&joined, "%.*s/%s", (int)(slash - from), from, path) == -1)
		return NULL;
	return joined;
}

/* ---------------------------------------------------------- one text of all */

struct source_file {
	struct text *text;
	struct problems *problems;
	const struct source_file *includer;
	const char *path;
	unsigned index, depth;
	int      line;          /* of the next byte to be put */
	bool     fresh;         /* the text is at the start of a line */
	bool     failed;
};

static bool
room_for(void **v, size_t *room, size_t n, size_t size)
{
	size_t wanted = *room == 0 ? 64 : *room;
	void *more;

	while (wanted < n)
		wanted *= 2;
	if (wanted == *room)
		return true;
	more = realloc(*v, wanted * size);
	if (more == NULL)
		return false;
	*v = more;
	*room = wanted;
	return true;
}

static void
line_open(struct source_file *f)
{
	struct text *t = f->text;

	if (!room_for((void **)&t->lines, &t->lines_room, t->n_lines + 1,
	    sizeof(*t->lines))) {
		f->failed = true;
		return;
	}
	t->lines[t->n_lines++] = (struct text_line){ f->index, f->line };
	f->fresh = false;
}

static void
put(struct source_file *f, const char *bytes, size_t n)
{
	struct text *t = f->text;

	if (t->n_bytes + n > TEXT_MAX_BYTES || !room_for((void **)&t->bytes,
	    &t->bytes_room, t->n_bytes + n + 1, 1)) {
		f->failed = true;
		return;
	}
	for (size_t i = 0; i < n && !f->failed; i++) {
		if (f->fresh)
			line_open(f);
		if (bytes[i] == '\n') {
			f->line++;
			f->fresh = true;
		}
	}
	memcpy(t->bytes + t->n_bytes, bytes, n);
	t->n_bytes += n;
	t->bytes[t->n_bytes] = '\0';
}

/* The line of the text that a problem found here belongs to. */
static int
here(struct source_file *f)
{
	if (f->fresh)
		line_open(f);
	return (int)f->text->n_lines;
}

static int
name_file(struct text *t, const char *path)
{
	char **more = realloc(t->files, (t->n_files + 1) * sizeof(*more));

	if (more == NULL)
		return -1;
	t->files = more;
	t->files[t->n_files] = strdup(path);
	if (t->files[t->n_files] == NULL)
		return -1;
	t->n_files++;
	return 0;
}

static int file_add(struct text *t, const struct source_file *includer,
    const char *path, const char *bytes, struct problems *p);

/* The path in an include directive, escapes undone; malloc'd or NULL. */
static char *
include_path(const struct token *directive, const char *from)
{
	const char *quote = memchr(directive->at, '"', directive->len);
	const char *end = directive->at + directive->len - 1;
	char *name = malloc(directive->len), *to = name, *path;

	if (name == NULL)
		return NULL;
	for (const char *at = quote + 1; at < end; at++) {
		if (*at == '\\' && (at[1] == '\\' || at[1] == '"'))
			at++;
		*to++ = *at;
	}
	*to = '\0';
	path = path_from(from, name);
	free(name);
	return path;
}

/* Why this file may not be included here, or NULL. */
static const char *
include_refusal(const struct source_file *f, const char *path)
{
	for (const struct source_file *s = f; s != NULL; s = s->includer)
		if (strcmp(s->path, path) == 0)
			return "it includes itself";
	if (f->depth + 1 == DEPTH_MAX)
		return "includes are nested too deep";
	if (f->text->n_files >= TEXT_FILES_MAX)
		return "there are more than 1000 of them";
	return NULL;
}

static int
include(struct source_file *f, const struct token *directive)
{
	const char *why = "out of memory";
	char *path = include_path(directive, f->path), *bytes = NULL;
	int result = -1;

	if (path != NULL && (why = include_refusal(f, path)) == NULL)
		bytes = file_read(path, TEXT_MAX_BYTES, &why);
	if (bytes == NULL) {
		problem_add(f->problems, here(f), NULL, "cannot include %s: "
		    "%s, expected a readable file", path == NULL ? "" : path,
		    why);
		free(path);
		return -1;
	}
	if (!f->fresh) {        /* only blanks stand before a directive */
		f->text->bytes[f->text->n_bytes - 1] = '\n';
		f->fresh = true;
	}
	result = file_add(f->text, f, path, bytes, f->problems);
	f->failed = f->failed || result == -1;
	free(bytes);
	free(path);
	return result;
}

const char *
text_refusal(const struct token *t)
{
	if (t->kind == TOKEN_OPEN_STRING)
		return "the string that begins here is never closed, "
		    "expected \"";
	if (t->kind == TOKEN_OPEN_COMMENT)
		return "the comment that begins here is never closed, "
		    "expected */";
	if (t->kind == TOKEN_ODD && *t->at == '@')
		return "\"@\" is out of place, expected @include \"file\" on "
		    "a line of its own";
	return NULL;
}

/* Copies the file, its includes put in place, to the end of the text. */
static int
file_copy(struct source_file *f, const char *bytes)
{
	struct scanner s = { bytes, bytes, 1 };
	const char *done = bytes;

	while (!f->failed) {
		struct token t = token_next(&s);
		const char *why = text_refusal(&t);

		if (t.kind == TOKEN_END) {
			put(f, done, strlen(done));
			break;
		}
		if (t.kind == TOKEN_INCLUDE || why != NULL) {
			put(f, done, (size_t)(t.at - done));
			done = t.at + t.len;
			if (f->failed)
				break;
			if (why != NULL) {
				problem_add(f->problems, here(f), NULL, "%s",
				    why);
				return -1;
			}
			if (include(f, &t) == -1)
				return -1;
		}
	}
	return f->failed ? -1 : 0;
}

void
text_hash(struct text *t, const char *bytes)
{
	if (t->hash == 0)
		t->hash = FNV_BASIS;
	for (; *bytes != '\0'; bytes++)
		t->hash = (t->hash ^ (unsigned char)*bytes) * FNV_PRIME;
}

static int
file_add(struct text *t, const struct source_file *includer, const char *path,
    const char *bytes, struct problems *p)
{
	struct source_file f = { .text = t, .problems = p, .path = path,
	    .includer = includer, .index = (unsigned)t->n_files, .line = 1,
	    .depth = includer == NULL ? 0 : includer->depth + 1,
	    .fresh = true };
	int result = -1;

	text_hash(t, bytes);
	if (strncmp(bytes, "\xef\xbb\xbf", 3) == 0)     /* UTF-8 mark */
		bytes += 3;
	if (name_file(t, path) == 0)
		result = file_copy(&f, bytes);
	else
		p->failed = true;
	if (f.failed && p->n == 0)
		problem_add(p, 0, NULL, "the configuration does not fit in "
		    "memory, expected at most 16 MiB with all includes");
	if (result == 0 && !f.fresh)
		put(&f, "\n", 1);
	return f.failed ? -1 : result;
}

int
text_read(struct text *t, const char *path, const char *given,
    struct problems *p)
{
	const char *why = NULL;
	char *bytes = NULL;
	int result;

	*t = (struct text){ .bytes = NULL };
	if (given == NULL) {
		bytes = read_whole(path, true, TEXT_MAX_BYTES, &why);
		if (bytes == NULL) {
			problem_add(p, 0, NULL, "cannot be read: %s, expected "
			    "a configuration file", why);
			if (name_file(t, path) == -1)
				p->failed = true;
			return -1;
		}
	}
	result = file_add(t, NULL, path, given != NULL ? given : bytes, p);
	free(bytes);
	return result;
}

void
text_fini(struct text *t)
{
	for (size_t i = 0; i < t->n_files; i++) {
		free(t->files[i]);
		if (t->bases != NULL)
			free(t->bases[i]);
	}
	free(t->files);
	free(t->bases);
	free(t->lines);
	free(t->bytes);
	*t = (struct text){ 0 };
}

/* --------------------------------------------------------------- places */

const char *
text_file_of(const struct text *t, int line)
{
	if (t->n_files == 0)
		return "";
	if (line < 1 || (size_t)line > t->n_lines)
		return t->files[0];
	return t->files[t->lines[line - 1].file];
}

const char *
text_base_of(const struct text *t, int line)
{
	unsigned file = line < 1 || (size_t)line > t->n_lines ? 0 :
	    t->lines[line - 1].file;

	return t->n_files == 0 || t->bases == NULL ? text_file_of(t, line) :
	    t->bases[file];
}

int
text_line_of(const struct text *t, int line)
{
	if (line < 1 || (size_t)line > t->n_lines)
		return line;
	return t->lines[line - 1].line;
}

const char *
text_line_name(const struct text *t, int line, int seen_from,
    char out[LINE_NAME_MAX])
{
	const char *file = text_file_of(t, line);

	if (strcmp(file, text_file_of(t, seen_from)) == 0)
		snprintf(out, LINE_NAME_MAX, "line %d", text_line_of(t, line));
	else
		snprintf(out, LINE_NAME_MAX, "%s:%d", file,
		    text_line_of(t, line));
	return out;
}
