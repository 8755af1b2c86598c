/*
 * Members of a JSON object, for those who show it to people. What is missing, or
 * of another type, is 0 or "": client and weir may be of different versions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_FIELD_H
#define PROXY_COMMAND_FIELD_H

#include <jansson.h>
#include <stddef.h>

const char *field_text(const json_t *o, const char *key);
long long field_number(const json_t *o, const char *key);

/* Of an object inside. */
long long field_number_in(const json_t *o, const char *group, const char *key);

/* Of all numbers of an object inside. */
long long field_sum(const json_t *o, const char *group);

/* The one of that name in an array of objects; NULL. */
const json_t *field_row(const json_t *rows, const char *name);

/* The texts of an array, with commas between them, as many as out has room
   for. */
void field_joined(const json_t *o, const char *key, char *out, size_t size);

/* Seconds since 1970 as drift and the logs write them: returns out. */
enum { FIELD_MOMENT = 24 };
const char *field_moment(const json_t *o, const char *key,
    char out[FIELD_MOMENT]);

#endif
