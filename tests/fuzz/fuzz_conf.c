/*
 * libFuzzer: any text as a configuration file. It is either a configuration
 * that can be printed, warned about and freed, or errors; and never libconfig's
 * bare "syntax error", which would mean that conf/syntax reads another grammar.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/diff.h"
#include "tests/conf/fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Includes and secrets of the corpus are there; devices are left alone. */
#define PATH "tests/data/conf/fuzz.conf"

static bool
is_bare(const char *error)
{
	static const char end[] = ": syntax error";
	size_t n = strlen(error), n_end = sizeof(end) - 1;

	return n >= n_end && strcmp(error + n - n_end, end) == 0;
}

static void
use(struct conf *c)
{
	struct conf_errors warnings = { NULL, 0 };
	char *json = conf_json(c);
	struct diff d;

	if (json == NULL)
		abort();
	free(json);
	if (diff_make(&d, c, c) < 0 || d.n > 0)
		abort();
	diff_fini(&d);
	conf_warn(c, &warnings);
	conf_errors_fini(&warnings);
	conf_free(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	/* One that begins with a mark, as if it had been sent. */
	struct conf_input in = { .path = PATH, .text = text,
	    .name = text != NULL && strncmp(text, "#@", 2) == 0 ? "d/a.conf" :
	    NULL, .protos = fake_protos };
	struct conf_errors errors = { NULL, 0 };
	struct conf *c;

	if (text == NULL || strstr(text, "/dev") != NULL ||
	    strstr(text, "/proc") != NULL) {
		free(text);
		return 0;
	}
	c = conf_load(&in, &errors);
	if ((c == NULL) != (errors.n > 0))
		abort();
	if (errors.n == 1 && is_bare(errors.v[0]))
		abort();
	if (c != NULL)
		use(c);
	conf_errors_fini(&errors);
	free(text);
	return 0;
}
