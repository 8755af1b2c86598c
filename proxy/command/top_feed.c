/*
 * The stream of frames. See top_feed.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPEN_MS = 3000,
	FRAME_MOST = 64 * 1024 * 1024,
	READ_MOST = 64 * 1024           /* in a go; keys come in between */
};

int
feed_open(struct feed *f, const struct call_target *t, char *why, size_t size)
{
	feed_close(f);
	if (call_begin(&f->call, t, "GET", "/stats/stream", OPEN_MS, why,
	    size) < 0)
		return -1;
	f->open = true;
	if (f->call.status == 200)
		return 0;
	snprintf(why, size, "/stats/stream: %u%s", f->call.status,
	    f->call.status == 401 ? ": the token is missing or wrong" : "");
	feed_close(f);
	return -1;
}

void
feed_close(struct feed *f)
{
	if (f->open)
		call_end(&f->call);
	free(f->text);
	*f = (struct feed){ .open = false };
}

/* Room for more and for a NUL. */
static int
grow(struct feed *f, size_t more)
{
	size_t room = (f->len + more + 1) * 2;
	char *text;

	if (f->room - f->len > more)
		return 0;
	text = room < FRAME_MOST ? realloc(f->text, room) : NULL;
	if (text == NULL)
		return -1;
	f->text = text;
	f->room = room;
	return 0;
}

/* The last event that is whole leaves the text, and those before it: who shows
   the present has no use for them. NULL: there is none. */
static json_t *
take(struct feed *f)
{
	static const char begin[] = "data: ";
	char *end = NULL, *next = f->text, *at = f->text;
	json_t *frame = NULL;

	/* An event ends with an empty line (HTML 9.2.5). */
	while ((next = strstr(next, "\n\n")) != NULL) {
		at = end != NULL ? end + 2 : f->text;
		end = next;
		next += 2;
	}
	if (end == NULL)
		return NULL;
	*end = '\0';
	if (strncmp(at, begin, sizeof(begin) - 1) == 0)
		frame = json_loads(at + sizeof(begin) - 1, 0, NULL);
	f->len -= (size_t)(end + 2 - f->text);
	memmove(f->text, end + 2, f->len + 1);
	return frame;
}

int
feed_read(struct feed *f, json_t **frame, char *why, size_t size)
{
	size_t got = 0;
	int64_t n;

	*frame = NULL;
	do {
		if (grow(f, sizeof(f->call.bytes)) < 0) {
			snprintf(why, size, "a frame is too large");
			n = -1;
			break;
		}
		n = call_read(&f->call, f->text + f->len,
		    f->room - f->len - 1, why, size);
		if (n > 0) {
			f->len += (size_t)n;
			f->text[f->len] = '\0';
			got += (size_t)n;
		}
	} while (n > 0 && f->call.at < f->call.len && got < READ_MOST);
	if (n > 0) {
		*frame = take(f);
		return 0;
	}
	if (n == 0)
		snprintf(why, size, "weir has closed the connection");
	feed_close(f);
	return -1;
}
