/*
 * What there was before an upgrade. See upgrade_past.h.
 *
 * The texts of a reload are raw bytes, each with a NUL at its end, for names in
 * them need not be UTF-8: the changes, then its errors.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_past.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/admin/admin.h"
#include "proxy/upgrade/upgrade_demand.h"
#include "proxy/upgrade/upgrade_parts.h"

enum { ERROR_MOST = 16 * 1024, TEXTS_MOST = 64 * 1024 };

_Static_assert(ERROR_MOST + TEXTS_MOST + 1024 + MESSAGE_HEAD < MESSAGE_MOST,
    "a reload is a message");

/* -------------------------------------------------------------------- reloads */

/* The first ones that there is room for. */
static size_t
texts_that_fit(const struct reload_entry *e, size_t *bytes)
{
	size_t n = 0, len;

	for (*bytes = 0; n < e->n_texts; n++, *bytes += len) {
		len = strlen(e->texts[n]) + 1;
		if (len > TEXTS_MOST - *bytes)
			break;
	}
	return n;
}

json_t *
past_pack_reload(const struct reload_entry *e, char **raw, size_t *raw_len)
{
	size_t error = e->error != NULL ? strnlen(e->error, ERROR_MOST - 1) : 0;
	size_t bytes, n = texts_that_fit(e, &bytes), i;
	char *at = malloc(bytes + error + 1);

	*raw = at;
	*raw_len = bytes + (e->error != NULL ? error + 1 : 0);
	if (at == NULL)
		return NULL;
	for (i = 0; i < n; i++)
		at = stpcpy(at, e->texts[i]) + 1;
	if (e->error != NULL) {
		memcpy(at, e->error, error);
		at[error] = '\0';
	}
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:b}", "is", "reload",
	    "result", reload_ends[e->end], "at", (json_int_t)e->at_s,
	    "generation", (json_int_t)e->generation, "changes", (json_int_t)n,
	    "left_out", (json_int_t)e->left_out + (json_int_t)(e->n_texts - n),
	    "failed", e->error != NULL);
}

/* A copy of the next text; NULL: there is none, or no memory. */
static char *
next_text(const char **at, size_t *left)
{
	const char *text = *at;
	const char *end = *left > 0 ? memchr(text, '\0', *left) : NULL;

	if (end == NULL)
		return NULL;
	*left -= (size_t)(end + 1 - text);
	*at = end + 1;
	return strdup(text);
}

static int
end_of(const char *word)
{
	int i;

	for (i = 0; i < RELOAD_N_ENDS; i++)
		if (strcmp(reload_ends[i], word) == 0)
			return i;
	return -1;
}

int
past_unpack_reload(const struct message *m, struct reload_entry *e)
{
	size_t n = (size_t)message_number(m, "changes", 0, RELOADS_TEXTS_MOST,
	    0), left = m->raw_len;
	const char *at = (const char *)m->raw;
	int end = end_of(message_text(m, "result"));

	*e = (struct reload_entry){ .end = RELOAD_OK };
	if (end < 0)
		return -1;
	e->end = (enum reload_end)end;
	e->at_s = message_number(m, "at", 0, INT64_MAX, 0);
	e->generation = (uint64_t)message_number(m, "generation", 0,
	    INT64_MAX, 0);
	e->left_out = (size_t)message_number(m, "left_out", 0, UINT32_MAX, 0);
	e->texts = calloc(n + 1, sizeof(*e->texts));
	if (e->texts == NULL)
		return -1;
	for (; e->n_texts < n; e->n_texts++) {
		e->texts[e->n_texts] = next_text(&at, &left);
		if (e->texts[e->n_texts] == NULL)
			goto fail;
	}
	if (json_is_true(json_object_get(m->j, "failed"))) {
		e->error = next_text(&at, &left);
		if (e->error == NULL)
			goto fail;
	}
	return 0;
fail:
	reload_entry_fini(e);
	return -1;
}

static void
say(void *arg, json_t *j, const void *raw, size_t raw_len)
{
	(void)channel_try(&((struct upgrade *)arg)->to_new, j, raw, raw_len);
}

void
past_tell_reloads(struct runtime *rt)
{
	size_t i, raw_len;
	char *raw;

	/* The oldest first: the other one puts each before those that it
	   has. */
	for (i = rt->reloads.n; i-- > 0;) {
		json_t *j = past_pack_reload(&rt->reloads.v[i], &raw,
		    &raw_len);

		say(rt->upgrade, j, raw, raw_len);
		free(raw);
	}
}

static void
take_reload(struct runtime *rt, const struct message *m)
{
	struct reload_entry e;

	if (past_unpack_reload(m, &e) == 0)
		reloads_put(&rt->reloads, &e);
}

/* -------------------------------------------------------------------- numbers */

void
past_tell_numbers(struct runtime *rt)
{
	demand_tell(rt, say, rt->upgrade);
	admin_tell_past(rt, say, rt->upgrade);
}

bool
past_take(struct runtime *rt, const struct message *m)
{
	static const char *const charts[] = { "trend", "trend_row", "window" };
	size_t i;

	if (strcmp(m->is, "reload") == 0) {
		take_reload(rt, m);
		return true;
	}
	if (strcmp(m->is, "demand") == 0) {
		demand_take(rt, m);
		return true;
	}
	for (i = 0; i < NELEMS(charts); i++)
		if (strcmp(m->is, charts[i]) == 0) {
			admin_take_past(rt, &rt->upgrade->past, m->j, m->raw,
			    m->raw_len);
			return true;
		}
	return false;
}
