/*
 * The admin port's JSON: views spelled as /stats has them, and small answers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_JSON_H
#define PROXY_ADMIN_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "conf/conf.h"
#include "proxy/runtime.h"
#include "proxy/view.h"

/* Of any bytes: what is not UTF-8 becomes "?". NULL only without memory. */
json_t *json_text(const char *text) MUST_CHECK;

/* Sets a key; takes the reference to value. NULL is left out: then there is no
   memory for the whole either, which json_spell() says. */
void json_put(json_t *o, const char *key, json_t *value);

/* The whole of /stats. */
json_t *json_stats(const struct view *v) MUST_CHECK;

/* One row of an upstream's endpoints, as /stats has it. */
json_t *json_endpoint(const struct view_endpoint *v) MUST_CHECK;

/* {"error": all of it, "errors": [each]}: at least one. */
json_t *json_errors(const struct conf_errors *errors) MUST_CHECK;

/* What differs, as /plan has it; the lines are those of conf. */
struct diff;
json_t *json_changes(const struct diff *d, const struct conf *conf) MUST_CHECK;

/* The last reloads, as /stats has them. NULL is none. */
json_t *json_reloads(const struct reloads *r) MUST_CHECK;

/* {"error": text} */
json_t *json_error(const char *text) MUST_CHECK;

/* Names that are looked up, with their answers and their age. */
json_t *json_dns(const struct runtime *rt) MUST_CHECK;

/* The running configuration with its generation, time and hash. */
json_t *json_config(const struct generation *g) MUST_CHECK;

/* Text with a newline at its end, malloc'd; takes the reference to j. NULL
   when j is NULL or memory is out. */
char *json_spell(json_t *j, bool pretty) MUST_CHECK;

#endif
