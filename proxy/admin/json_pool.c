/*
 * Upstreams' faults and advice as JSON. See json_pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/json_pool.h"

#include "proxy/inject.h"

static void
put(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *
json_fault(const struct view_upstream *v)
{
	json_t *o;

	if (v->fault.per_million == 0)
		return json_null();
	o = json_object();
	put(o, "delay_ms", number(v->fault.delay_ms));
	put(o, "reset", json_boolean(v->fault.what == INJECT_RESET));
	put(o, "error", json_boolean(v->fault.what == INJECT_ERROR));
	put(o, "percent", json_real((double)v->fault.per_million / 1e4));
	put(o, "until", json_integer(v->fault.until_s));
	put(o, "hit_total", number(v->fault.hits));
	return o;
}
