/*
 * What the rest of weir wants to know of a request or an answer: whose it is to
 * the limits, what the log says of it, when to come again. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "proxy/proto/http/http.h"

/* ------------------------------------------------------------- whose it is */

struct text {
	const char *at;
	size_t len;
};

static bool
is_named(const struct exchange *x, const struct http_field *f)
{
	const char *name = x->policy->client_header;

	return f->name.len == strlen(name) &&
	    strncasecmp(http_of(x)->raw + f->name.at, name, f->name.len) == 0;
}

/* "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1" */
static bool
as_address(struct text t, struct addr_ip *out)
{
	char text[64];
	struct addr_net net;
	size_t n = 0, i, colons = 0;

	if (t.len == 0 || t.len >= sizeof(text))
		return false;
	for (i = 0; i < t.len; i++)
		colons += t.at[i] == ':';
	for (i = t.at[0] == '['; i < t.len; i++) {
		if ((t.at[0] == '[' && t.at[i] == ']') ||
		    (colons == 1 && t.at[i] == ':'))
			break;
		text[n++] = t.at[i];
	}
	text[n] = '\0';
	if (strchr(text, '/') != NULL || addr_net_parse(text, &net) < 0)
		return false;
	*out = net.base;
	return true;
}

/* The last element of a list, taken off it; blanks around it are not its. */
static struct text
last_of(struct text *list)
{
	size_t end = list->len, at;
	struct text t;

	while (end > 0 && (list->at[end - 1] == ' ' ||
	    list->at[end - 1] == '\t'))
		end--;
	for (at = end; at > 0 && list->at[at - 1] != ','; at--)
		;
	list->len = at > 0 ? at - 1 : 0;
	while (at < end && (list->at[at] == ' ' || list->at[at] == '\t'))
		at++;
	t = (struct text){ list->at + at, end - at };
	return t;
}

static bool
trusts(const struct exchange *x, const struct addr_ip *ip)
{
	const struct http_listener_conf *conf = x->policy->own;
	size_t i;

	for (i = 0; i < conf->trusted.n; i++)
		if (addr_net_holds(&conf->trusted.v[i], ip))
			return true;
	return false;
}

/*
 * Each proxy adds the address it was asked from at the end, so the last one that
 * is no trusted proxy's is the client: what stands before it anybody can have
 * written. Without the field it is the peer itself.
 */
struct client_key
http_client_key(const struct exchange *x)
{
	const struct http_head *h = http_of(x)->head;
	struct client_key key = client_key_of(&x->s->client);
	struct addr_ip ip;
	int i;

	if (!http_is_trusted(x))
		return key;
	for (i = (int)h->n_fields - 1; i >= 0; i--) {
		const struct http_field *f = &h->field[i];
		struct text list = { http_of(x)->raw + f->value.at,
		    f->value.len };

		if (!is_named(x, f))
			continue;
		while (list.len > 0) {
			struct text t = last_of(&list);

			if (t.len == 0)
				continue;
			if (!as_address(t, &ip))
				return client_key_text(t.at, t.len);
			key = client_key_of(&ip);
			if (!trusts(x, &ip))
				return key;
		}
	}
	return key;
}

/* ----------------------------------------------------------------- the log */

const char *
http_header(const struct exchange *x, const char *name, size_t *len)
{
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	size_t name_len = strlen(name);
	unsigned i;

	*len = 0;
	if (hx->taking == TAKING_HEAD)
		return NULL;            /* refused: its fields are not known */
	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->field[i];

		if (f->name.len != name_len ||
		    strncasecmp(hx->raw + f->name.at, name, name_len) != 0)
			continue;
		*len = f->value.len;
		return hx->raw + f->value.at;
	}
	return NULL;
}

void
http_words(const struct exchange *x, struct access_words *w)
{
	const struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	const char *at = hx->raw, *end = hx->raw + hx->raw_len;

	w->id = hx->trace.id;
	w->id_len = hx->trace.id_len;
	if (hx->trace.parent_len > 0) {
		w->trace = hx->trace.parent + TRACE_ID_AT;
		w->trace_len = TRACE_ID_LEN;
	}
	/* Empty lines may stand before it (RFC 9112 2.2). */
	while (at < end && (*at == '\r' || *at == '\n'))
		at++;
	if (at == end)
		return;
	w->request = at;
	while (at < end && *at != '\r' && *at != '\n')
		at++;
	w->request_len = (size_t)(at - w->request);
	w->is_line = true;
	if (hx->taking == TAKING_HEAD)
		return;                 /* refused: its fields are not known */
	w->host = hx->raw + h->host.at;
	w->host_len = h->host.len;
	w->agent = http_header(x, "User-Agent", &w->agent_len);
}

const char *
http_asks(const struct exchange *x, size_t *len, bool *is_line)
{
	const struct http_exchange *hx = http_of(x);

	*len = hx->raw_len;
	*is_line = true;
	return hx->raw;
}

/* -------------------------------------------------------------- Retry-After */

/* RFC 9110 5.6.7: IMF-fixdate and the two old forms. */
static int64_t
until_date_ms(const char *text)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
		"%a %b %e %H:%M:%S %Y"
	};
	size_t i;

	for (i = 0; i < NELEMS(forms); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0')
			return ((int64_t)timegm(&tm) - (int64_t)time(NULL)) *
			    1000;
	}
	return 0;
}

int64_t
http_retry_after_ms(const struct http_head *a, const char *raw)
{
	int at = http_field_find(a, HTTP_F_RETRY_AFTER, 0);
	char text[64], *end;
	long seconds;

	if (at < 0 || a->field[at].value.len == 0 ||
	    a->field[at].value.len >= sizeof(text))
		return 0;
	memcpy(text, raw + a->field[at].value.at, a->field[at].value.len);
	text[a->field[at].value.len] = '\0';
	if (text[0] < '0' || text[0] > '9') {
		int64_t ms = until_date_ms(text);

		return ms > 0 ? ms : 0;
	}
	seconds = strtol(text, &end, 10);
	if (*end != '\0')
		return 0;
	return seconds > INT32_MAX ? (int64_t)INT32_MAX * 1000 :
	    (int64_t)seconds * 1000;
}
