/*
 * Host, Origin, token. See guard.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "proxy/started.h"

struct text {
	const char *at;
	size_t len;
};

static struct text
text_of(const char *bytes, struct http_span span)
{
	return (struct text){ bytes + span.at, span.len };
}

static bool
text_is(struct text t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.at, word, t.len) == 0;
}

bool
guard_is_exposed(const struct addr *bind)
{
	struct addr_ip ip;
	static const uint8_t one[16] = { [15] = 1 };

	if (bind->sa.sa_family == AF_UNIX)
		return false;
	addr_to_ip(bind, &ip);
	if (ip.family == AF_INET)
		return ip.ip[0] != 127;
	return memcmp(ip.ip, one, sizeof(one)) != 0;
}

/* ------------------------------------------------------------------- Host */

static struct text
without_port(struct text host)
{
	const char *end;

	if (host.len > 0 && host.at[0] == '[')
		end = memchr(host.at, ']', host.len);
	else
		end = memchr(host.at, ':', host.len);
	if (end == NULL)
		return host;
	if (*end == ']')
		end++;
	return (struct text){ host.at, (size_t)(end - host.at) };
}

static bool
is_ip_literal(struct text host)
{
	char copy[INET6_ADDRSTRLEN + 2];
	unsigned char ip[16];

	if (host.len >= sizeof(copy))
		return false;
	memcpy(copy, host.at, host.len);
	copy[host.len] = '\0';
	if (host.len < 2 || copy[0] != '[')
		return inet_pton(AF_INET, copy, ip) == 1;
	copy[host.len - 1] = '\0';
	return host.at[host.len - 1] == ']' &&
	    inet_pton(AF_INET6, copy + 1, ip) == 1;
}

static bool
host_passes(const struct conf *conf, struct text host)
{
	size_t i;

	host = without_port(host);
	if (text_is(host, "localhost") || is_ip_literal(host))
		return true;
	for (i = 0; i < conf->admin.n_hosts; i++)
		if (text_is(host, conf->admin.hosts[i]))
			return true;
	return false;
}

/* ----------------------------------------------------------------- Origin */

/* Our own page, with or without TLS before us, names the very authority that
   its requests go to (RFC 6454 7). */
static bool
origin_passes(struct text origin, struct text host)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t i, len;

	for (i = 0; i < NELEMS(schemes); i++) {
		len = strlen(schemes[i]);
		if (origin.len == len + host.len && host.len > 0 &&
		    strncasecmp(origin.at, schemes[i], len) == 0 &&
		    strncasecmp(origin.at + len, host.at, host.len) == 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ token */

/* Takes as long for a wrong first letter as for a wrong last one. */
static bool
same_secret(struct text given, const char *secret)
{
	size_t len = strlen(secret), i;
	unsigned char different = given.len != len;

	for (i = 0; i < given.len; i++)
		different |= (unsigned char)(given.at[i] ^
		    secret[len > 0 ? i % len : 0]);
	return len > 0 && different == 0;
}

/* RFC 6750 2.1; the scheme's case does not matter (RFC 9110 11.1). */
static bool
token_passes(struct text field, const char *token)
{
	static const char scheme[] = "Bearer ";
	size_t len = sizeof(scheme) - 1;

	if (token == NULL || field.len <= len ||
	    strncasecmp(field.at, scheme, len) != 0)
		return false;
	return same_secret((struct text){ field.at + len, field.len - len },
	    token);
}

enum verdict
guard_judge(const struct conf *conf, bool probe, bool exposed,
    const struct http_head *h, const char *bytes)
{
	struct text host = text_of(bytes, h->host);
	unsigned tokens = 0, good = 0, i;

	if (!probe && !host_passes(conf, host))
		return VERDICT_HOST;
	for (i = 0; i < h->n_fields; i++) {
		struct text name = text_of(bytes, h->field[i].name);
		struct text value = text_of(bytes, h->field[i].value);

		if (text_is(name, "origin") && !origin_passes(value, host))
			return VERDICT_ORIGIN;
		if (text_is(name, "authorization")) {
			tokens++;
			good += token_passes(value, conf->admin.token);
		}
	}
	if (probe || (conf->admin.token == NULL && !exposed))
		return VERDICT_PASS;
	return tokens == 1 && good == 1 ? VERDICT_PASS : VERDICT_TOKEN;
}

/* -------------------------------------------------------------------- file */

bool
guard_is_meant(const char *file, const struct http_head *h, const char *bytes)
{
	unsigned i;

	for (i = 0; i < h->n_fields; i++) {
		struct text value = text_of(bytes, h->field[i].value);

		if (text_is(text_of(bytes, h->field[i].name), STARTED_FIELD) &&
		    (file == NULL || value.len != strlen(file) ||
		    memcmp(value.at, file, value.len) != 0))
			return false;
	}
	return true;
}
