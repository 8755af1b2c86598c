/*
 * Routes. See route.h. They stand in order of preference already, so the first
 * that matches is the one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/route.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "net/hello.h"

/* Without ":port" and without the root's dot. */
static size_t
host_name_len(const char *host, size_t len)
{
	size_t i = len;

	while (i > 0 && host[i - 1] >= '0' && host[i - 1] <= '9')
		i--;
	if (i > 0 && host[i - 1] == ':')
		len = i - 1;
	if (len > 1 && host[len - 1] == '.')
		len--;
	return len;
}

static bool
host_matches(const char *pattern, const char *host, size_t len)
{
	/* The file may have the root's dot too: it is the same name. */
	size_t n = host_name_len(pattern, strlen(pattern));

	if (pattern[0] == '*') {
		pattern++, n--;         /* ".example.com" */
		return len > n &&
		    strncasecmp(host + len - n, pattern, n) == 0;
	}
	return len == n && strncasecmp(host, pattern, n) == 0;
}

const struct conf_route *
route_match(const struct conf_listener *l, const char *host, size_t host_len,
    const char *path, size_t path_len)
{
	size_t i;

	if (l->n_routes == 0)
		return NULL;
	host_len = host_name_len(host, host_len);
	for (i = 0; i < l->n_routes; i++) {
		const struct conf_route *r = &l->routes[i];

		if (r->host != NULL && !host_matches(r->host, host, host_len))
			continue;
		if (r->path != NULL && (path_len < strlen(r->path) ||
		    memcmp(path, r->path, strlen(r->path)) != 0))
			continue;
		return r;
	}
	return NULL;
}

/* Both are in lower case and without the root's dot. */
static bool
sni_matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern), len = strlen(name);

	if (pattern[0] != '*')
		return strcmp(name, pattern) == 0;
	pattern++, n--;                 /* ".example.com" */
	return len > n && strcmp(name + len - n, pattern) == 0;
}

const struct conf_route *
route_match_hello(const struct conf_listener *l, const struct hello *hello)
{
	size_t i;

	for (i = 0; i < l->n_routes; i++) {
		const struct conf_route *r = &l->routes[i];

		if (hello == NULL ? r->sni != NULL || r->alpn != NULL :
		    (r->sni != NULL && !sni_matches(r->sni, hello->name)) ||
		    (r->alpn != NULL && !hello_offers(hello, r->alpn)))
			continue;
		return r;
	}
	return NULL;
}

bool
route_by_hello(const struct conf_listener *l)
{
	/* The most specific one is the first, but for a name that is any. */
	for (size_t i = 0; i < l->n_routes; i++)
		if (l->routes[i].sni != NULL || l->routes[i].alpn != NULL)
			return true;
	return false;
}
