/*
 * Tables of configurations and the errors they bring, whole lines.
 *
 * Most rows are one value put into a file that is otherwise good: ROW_BIND
 * "{ }" asks what a bind of { } brings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_CONF_ROWS_H
#define TESTS_CONF_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "tests/conf/fake.h"

enum row_kind {
	ROW_FILE,               /* the text is the whole file */
	ROW_TOP,                /* line 1 of a file */
	ROW_LISTENER,           /* keys of the listener, in line 1 */
	ROW_BIND,               /* its bind */
	ROW_ROUTES,             /* its routes */
	ROW_UPSTREAM,           /* keys of the upstream, in line 2 */
	ROW_ENDPOINTS           /* its endpoints */
};

struct row {
	enum row_kind kind;
	const char *text;
	const char *errors;     /* one a line; "" = it is good */
};

/* The file of a row, to be freed. */
static inline char *
row_file(enum row_kind kind, const char *text)
{
	const char *routes_a = kind == ROW_ROUTES ? "routes = " : "";
	const char *routes_z = kind == ROW_ROUTES ? ";" : "";
	char *file;

	if (kind == ROW_FILE)
		return strdup(text);
	if (asprintf(&file, "%s%slisteners = ( { name = \"a\"; bind = %s; "
	    "protocol = \"http\"; upstream = \"x\"; %s%s%s } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = %s; %s } );\n",
	    kind == ROW_TOP ? text : "", kind == ROW_TOP ? "\n" : "",
	    kind == ROW_BIND ? text : "\"127.0.0.1:8080\"",
	    routes_a, kind == ROW_LISTENER || kind == ROW_ROUTES ? text : "",
	    routes_z,
	    kind == ROW_ENDPOINTS ? text : "( \"127.0.0.1:3000\" )",
	    kind == ROW_UPSTREAM ? text : "") == -1)
		return NULL;
	return file;
}

/* All errors of a text, one a line; to be freed. text NULL reads the path. */
static inline char *
errors_of(const char *path, const char *text)
{
	struct conf_input in = { .path = path, .text = text,
	    .protos = fake_protos };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);
	char *all = NULL;
	size_t n;
	FILE *out = open_memstream(&all, &n);

	assert_non_null(out);
	assert_true((c == NULL) == (errors.n > 0));
	for (size_t i = 0; i < errors.n; i++)
		fprintf(out, "%s%s", i > 0 ? "\n" : "", errors.v[i]);
	fclose(out);
	conf_errors_fini(&errors);
	conf_free(c);
	return all;
}

static inline void
rows_hold(const struct row *rows, size_t n)
{
	setenv("WEIR_TEST_SET", "abc", 1);
	unsetenv("WEIR_TEST_UNSET");
	for (size_t i = 0; i < n; i++) {
		char *file = row_file(rows[i].kind, rows[i].text);
		char *errors = errors_of("weir.conf", file);

		if (strcmp(errors, rows[i].errors) != 0)
			fail_msg("%s\nbrings\n%s\nand not\n%s", rows[i].text,
			    errors, rows[i].errors);
		free(errors);
		free(file);
	}
}

/* The conf of a row that is good, to be freed. */
static inline struct conf *
conf_of(enum row_kind kind, const char *text)
{
	char *file = row_file(kind, text);
	struct conf_input in = { .path = "weir.conf", .text = file,
	    .protos = fake_protos };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);

	if (c == NULL)
		fail_msg("%s\nbrings\n%s", text, errors.v[0]);
	free(file);
	conf_errors_fini(&errors);
	return c;
}

/* A folder of its own for a test's files; put_file() returns their paths. */
static inline char *
temp_folder(void)
{
	char *path = strdup("/tmp/weir-conf-XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	return path;
}

static inline char *
put_file(const char *folder, const char *name, const char *bytes, size_t n)
{
	char *path;
	FILE *f;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	return path;
}

static inline char *
put_text(const char *folder, const char *name, const char *text)
{
	return put_file(folder, name, text, strlen(text));
}

/* Removes a file and its path. */
static inline void
drop_file(char *path)
{
	remove(path);
	free(path);
}

#endif
