/*
 * Settings. See settings.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/settings.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
pg_settings_drop(struct pg_settings *s)
{
	if (s != NULL && atomic_fetch_sub_explicit(&s->refs, 1,
	    memory_order_acq_rel) == 1)
		free(s);
}

struct pg_settings *
pg_settings_of(const char *text, size_t len)
{
	struct pg_settings *s = malloc(sizeof(*s) + len);

	if (s == NULL)
		return NULL;
	atomic_init(&s->refs, 1);
	s->len = (uint32_t)len;
	if (len > 0)
		memcpy(s->text, text, len);
	return s;
}

void
pg_settings_set(struct pg_settings **s, struct pg_settings *other)
{
	struct pg_settings *old = *s;

	if (old == other)
		return;
	*s = pg_settings_keep(other);
	pg_settings_drop(old);
}

bool
pg_settings_next(const struct pg_settings *s, uint32_t *at, const char **name,
    const char **value)
{
	if (s == NULL || *at >= s->len)
		return false;
	*name = s->text + *at;
	*value = *name + strlen(*name) + 1;
	*at = (uint32_t)(*value + strlen(*value) + 1 - s->text);
	return true;
}

const char *
pg_settings_find(const struct pg_settings *s, const char *name)
{
	const char *each, *value;
	uint32_t at = 0;

	while (pg_settings_next(s, &at, &each, &value))
		if (strcasecmp(each, name) == 0)
			return value;
	return NULL;
}

/* Names differ only in how they were spelt first; their order may, too. */
bool
pg_settings_equal(const struct pg_settings *a, const struct pg_settings *b)
{
	const char *name, *value, *other;
	uint32_t at = 0;

	if (a == b)
		return true;
	if (a == NULL || b == NULL || a->len != b->len)
		return false;
	if (memcmp(a->text, b->text, a->len) == 0)
		return true;
	/* As long as each other, and names are there once: one way is enough. */
	while (pg_settings_next(a, &at, &name, &value)) {
		other = pg_settings_find(b, name);
		if (other == NULL || strcmp(other, value) != 0)
			return false;
	}
	return true;
}

static void
add(struct pg_settings *s, const char *name, const char *value)
{
	size_t name_len = strlen(name) + 1, value_len = strlen(value) + 1;

	memcpy(s->text + s->len, name, name_len);
	memcpy(s->text + s->len + name_len, value, value_len);
	s->len += (uint32_t)(name_len + value_len);
}

/* Bytes that it will have, and names; value NULL = without that one. */
static size_t
size_with(const struct pg_settings *s, const char *name, const char *value,
    unsigned *names)
{
	size_t size = value != NULL ? strlen(name) + strlen(value) + 2 : 0;
	const char *each, *of_each;
	uint32_t at = 0, from = 0;

	*names = value != NULL;
	for (; pg_settings_next(s, &at, &each, &of_each); from = at)
		if (strcasecmp(each, name) != 0) {
			size += at - from;
			++*names;
		}
	return size;
}

bool
pg_settings_fit(const struct pg_settings *s, const char *name,
    const char *value)
{
	unsigned names;

	return size_with(s, name, value, &names) <= PG_SETTINGS_CARRIED &&
	    names <= PG_SETTINGS_NAMES;
}

int
pg_settings_change(struct pg_settings **s, const char *name, const char *value)
{
	const char *now = pg_settings_find(*s, name), *each, *of_each;
	struct pg_settings *changed;
	uint32_t at = 0;
	unsigned names;
	size_t room;

	if (value == NULL ? now == NULL :
	    now != NULL && strcmp(now, value) == 0)
		return 0;
	room = size_with(*s, name, value, &names);
	if (room > PG_SETTINGS_MOST)
		return -1;
	changed = malloc(sizeof(*changed) + room);
	if (changed == NULL)
		return -1;
	atomic_init(&changed->refs, 1);
	changed->len = 0;
	/* A server may have told of a name twice: it is there once afterwards. */
	while (pg_settings_next(*s, &at, &each, &of_each))
		if (strcasecmp(each, name) != 0)
			add(changed, each, of_each);
	if (value != NULL)
		add(changed, name, value);
	pg_settings_drop(*s);
	*s = changed;
	if (changed->len == 0) {
		free(changed);
		*s = NULL;
	}
	return 0;
}
