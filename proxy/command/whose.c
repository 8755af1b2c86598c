/*
 * Whose weir it is. See whose.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/whose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/started.h"

void
whose_init(struct whose *w, enum whose_care care, const char *path)
{
	*w = (struct whose){ .care = care, .path = path };
	if (care == WHOSE_OURS)
		w->sent = started_with(path);
}

void
whose_fini(struct whose *w)
{
	free(w->sent);
	w->sent = NULL;
}

/* It was refused for how we call the file that it was started with. */
static enum whose_verdict
call_it(struct whose *w, const char *value, char *why, size_t size)
{
	char *copy = strdup(value);

	if (copy == NULL) {
		snprintf(why, size, "out of memory");
		return WHOSE_BAD;
	}
	free(w->sent);
	w->sent = copy;
	return WHOSE_AGAIN;
}

enum whose_verdict
whose_judge(struct whose *w, unsigned status, const char *value,
    const char *shown, char *why, size_t size)
{
	bool told = w->judged;

	if (w->care == WHOSE_ANY || w->path == NULL || value == NULL)
		return WHOSE_GOOD;
	w->judged = true;
	if (started_same(value, w->path))
		return status == 409 && w->sent != NULL &&
		    strcmp(w->sent, value) != 0 ?
		    call_it(w, value, why, size) : WHOSE_GOOD;
	if (w->care == WHOSE_OURS) {
		w->foreign = true;
		snprintf(why, size, "the weir at %s was started with %s, not "
		    "with %s; --admin %s asks it all the same", shown, value,
		    w->path, shown);
		return WHOSE_BAD;
	}
	/* Once, and of the first answer: a screen is drawn by then. */
	if (!told)
		fprintf(stderr, "weir: the weir at %s was started with %s, not "
		    "with %s\n", shown, value, w->path);
	return WHOSE_GOOD;
}
