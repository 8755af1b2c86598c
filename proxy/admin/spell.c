/*
 * JSON as text. See spell.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/spell.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_AT_FIRST = 8192, NUMBER_MOST = 40 };

struct text {
	char  *bytes;
	size_t len, room;
	bool   failed;                  /* out of memory: nothing is added */
};

/* A place for so many more; NULL when there is none. */
static char *
place(struct text *t, size_t more)
{
	if (t->room - t->len < more) {
		size_t room = (t->len + more) * 2 + ROOM_AT_FIRST;
		char *bytes = t->failed ? NULL : realloc(t->bytes, room);

		if (bytes == NULL) {
			t->failed = true;
			return NULL;
		}
		t->bytes = bytes;
		t->room = room;
	}
	return t->bytes + t->len;
}

static void
add(struct text *t, const char *bytes, size_t len)
{
	char *at = place(t, len);

	if (at == NULL)
		return;
	memcpy(at, bytes, len);
	t->len += len;
}

static void
add_letter(struct text *t, char c)
{
	add(t, &c, 1);
}

static void
add_escaped(struct text *t, unsigned char c)
{
	static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
	const char *found = c != '\0' ? strchr(letters, c) : NULL;
	char spelled[8];
	int len;

	if (found != NULL)
		len = snprintf(spelled, sizeof(spelled), "\\%c",
		    names[found - letters]);
	else
		len = snprintf(spelled, sizeof(spelled), "\\u%04X", c);
	add(t, spelled, (size_t)len);
}

/* RFC 8259 7: what must be escaped, and no more. jansson's strings are UTF-8. */
static void
add_string(struct text *t, const char *bytes, size_t len)
{
	size_t plain = 0, i;

	add_letter(t, '"');
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		add(t, bytes + plain, i - plain);
		add_escaped(t, c);
		plain = i + 1;
	}
	add(t, bytes + plain, len - plain);
	add_letter(t, '"');
}

static void
add_integer(struct text *t, json_int_t n)
{
	char digits[NUMBER_MOST], *at = digits + sizeof(digits);
	/* Of the least number there is no positive one in its own type. */
	unsigned long long rest = n < 0 ? 0ULL - (unsigned long long)n :
	    (unsigned long long)n;

	do
		*--at = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (n < 0)
		*--at = '-';
	add(t, at, (size_t)(digits + sizeof(digits) - at));
}

/* One that looks like an integer would come back as one; exponents are as short
   as they can be. */
static void
add_real(struct text *t, double x)
{
	char number[NUMBER_MOST], *e, *digits;
	int len = snprintf(number, sizeof(number), "%.15g", x);

	e = strchr(number, 'e');
	if (e == NULL) {
		add(t, number, (size_t)len);
		if (strchr(number, '.') == NULL)
			add(t, ".0", 2);
		return;
	}
	digits = e + 1 + (e[1] == '-' || e[1] == '+');
	digits += strspn(digits, "0");
	add(t, number, (size_t)(e + 1 - number));
	if (e[1] == '-')
		add_letter(t, '-');
	add(t, digits, strlen(digits));
}

static void add_value(struct text *t, const json_t *j);

static void
add_object(struct text *t, json_t *o)
{
	const char *key;
	json_t *value;
	bool more = false;

	add_letter(t, '{');
	json_object_foreach(o, key, value) {
		if (more)
			add_letter(t, ',');
		more = true;
		add_string(t, key, strlen(key));
		add_letter(t, ':');
		add_value(t, value);
	}
	add_letter(t, '}');
}

static void
add_array(struct text *t, const json_t *a)
{
	size_t n = json_array_size(a), i;

	add_letter(t, '[');
	for (i = 0; i < n; i++) {
		if (i > 0)
			add_letter(t, ',');
		add_value(t, json_array_get(a, i));
	}
	add_letter(t, ']');
}

static void
add_value(struct text *t, const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		/* Only to walk through it: jansson has no other way. */
		add_object(t, (json_t *)(uintptr_t)j);
		break;
	case JSON_ARRAY:
		add_array(t, j);
		break;
	case JSON_STRING:
		add_string(t, json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
		add_integer(t, json_integer_value(j));
		break;
	case JSON_REAL:
		add_real(t, json_real_value(j));
		break;
	case JSON_TRUE:
		add(t, "true", 4);
		break;
	case JSON_FALSE:
		add(t, "false", 5);
		break;
	case JSON_NULL:
		add(t, "null", 4);
		break;
	}
}

char *
spell_compact(const json_t *j)
{
	struct text t = { .bytes = NULL };

	add_value(&t, j);
	add(&t, "", 1);
	if (!t.failed)
		return t.bytes;
	free(t.bytes);
	return NULL;
}
