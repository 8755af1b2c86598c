/*
 * Members of JSON objects. See field.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/field.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *
field_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

long long
field_number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

long long
field_number_in(const json_t *o, const char *group, const char *key)
{
	return field_number(json_object_get(o, group), key);
}

long long
field_sum(const json_t *o, const char *group)
{
	json_t *numbers = json_object_get(o, group), *n;
	long long sum = 0;
	const char *key;

	json_object_foreach(numbers, key, n)
		sum += (long long)json_integer_value(n);
	return sum;
}

void
field_joined(const json_t *o, const char *key, char *out, size_t size)
{
	const json_t *texts = json_object_get(o, key);
	size_t i, at = 0;

	*out = '\0';
	for (i = 0; i < json_array_size(texts) && at < size; i++) {
		const char *text = json_string_value(json_array_get(texts, i));
		int n = snprintf(out + at, size - at, "%s%s", i > 0 ? "," : "",
		    text != NULL ? text : "");

		at += n > 0 ? (size_t)n : 0;
	}
}

const char *
field_moment(const json_t *o, const char *key, char out[FIELD_MOMENT])
{
	time_t at = (time_t)field_number(o, key);
	struct tm tm;

	*out = '\0';
	if (gmtime_r(&at, &tm) != NULL)
		strftime(out, FIELD_MOMENT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

const json_t *
field_row(const json_t *rows, const char *name)
{
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		if (strcmp(field_text(json_array_get(rows, i), "name"),
		    name) == 0)
			return json_array_get(rows, i);
	return NULL;
}
