/*
 * libFuzzer: any text that somebody sends to be judged, with marks of files in
 * it (conf/sent.h). Each line is of a file that there is, and begins paths
 * somewhere; no include is left. What variables stand for is in no error,
 * warning or change, unless the sender has written it himself.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/diff.h"
#include "conf/problems.h"
#include "conf/sent.h"
#include "tests/conf/fake.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH "tests/data/conf/fuzz.conf"
#define NAME "d/a.conf"
#define WORD   "zqx"                    /* parts of what variables hold */
#define NUMBER "6532"

static struct conf *running;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char text[] = "listeners = ( { name = \"a\"; bind = "
	    "\"127.0.0.1:80\"; protocol = \"http\"; upstream = \"b\"; } );\n"
	    "upstreams = ( { name = \"b\"; endpoints = ( \"127.0.0.1:81\" "
	    "); } );\n";
	struct conf_input in = { .path = PATH, .text = text,
	    .protos = fake_protos, .live = true };
	struct conf_errors errors = { NULL, 0 };

	(void)argc, (void)argv;
	setenv("W", WORD "x", 1);
	setenv("N", NUMBER, 1);
	setenv("A", "127.0.0.1:" NUMBER, 1);
	setenv("P", "/" WORD "/y", 1);
	running = conf_load(&in, &errors);
	if (running == NULL)
		abort();
	return 0;
}

/* ------------------------------------------------------------------- lines */

static void
look_at_lines(const struct text *t)
{
	size_t n = 0;

	for (const char *at = t->bytes; *at != '\0'; at++)
		n += *at == '\n';
	if (n != t->n_lines || strlen(t->bytes) != t->n_bytes)
		abort();
	for (size_t i = 0; i < t->n_lines; i++)
		if (t->lines[i].file >= t->n_files || t->lines[i].line < 1 ||
		    *text_base_of(t, (int)i + 1) == '\0')
			abort();
}

static void
take(const char *text)
{
	struct problems *problems = calloc(1, sizeof(*problems));
	struct text t;

	if (problems == NULL)
		abort();
	if (sent_read(&t, PATH, NAME, text, problems) == 0)
		look_at_lines(&t);
	else if (problems->n == 0)
		abort();
	text_fini(&t);
	problems_fini(problems);
	free(problems);
}

/* ----------------------------------------------------------------- secrets */

/* What the sender has written may be said to him: he has no part of it where
   one letter of it is missing. */
static void
look_at(const char *said, const char *sent)
{
	if (said == NULL)
		return;
	if (strstr(said, WORD) != NULL && strchr(sent, 'q') == NULL)
		abort();
	if (strstr(said, NUMBER) != NULL && strchr(sent, '6') == NULL)
		abort();
}

static void
look_at_all(const struct conf_errors *e, const char *sent)
{
	for (size_t i = 0; i < e->n; i++)
		look_at(e->v[i], sent);
}

static void
compare(const struct conf *c, const char *sent)
{
	char place[256];
	struct diff d;

	if (diff_make(&d, running, c) < 0)
		abort();
	for (size_t i = 0; i < d.n; i++) {
		const struct diff_change *change = &d.v[i];

		conf_place(c, change->line, place, sizeof(place));
		look_at(place, sent);
		look_at(change->owner, sent);
		look_at(change->name, sent);
		look_at(change->path, sent);
		look_at(change->from, sent);
		look_at(change->to, sent);
		look_at(change->text, sent);
	}
	diff_fini(&d);
}

static void
judge(const char *text)
{
	struct conf_input in = { .path = PATH, .text = text, .name = NAME,
	    .protos = fake_protos, .live = true };
	struct conf_errors errors = { NULL, 0 }, warnings = { NULL, 0 };
	struct conf *c = conf_load(&in, &errors);

	if ((c == NULL) != (errors.n > 0))
		abort();
	look_at_all(&errors, text);
	if (c != NULL) {
		conf_warn(c, &warnings);
		look_at_all(&warnings, text);
		compare(c, text);
	}
	conf_errors_fini(&warnings);
	conf_errors_fini(&errors);
	conf_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	if (text == NULL)
		abort();
	/* Devices are left alone. */
	if (strstr(text, "/dev") == NULL && strstr(text, "/proc") == NULL) {
		take(text);
		judge(text);
	}
	free(text);
	return 0;
}
