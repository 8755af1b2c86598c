/*
 * Socket addresses: reading and printing them, comparing them, networks.
 *
 * A host whose last label is a number is an IPv4 address or an error, never
 * a name: "127.0.0.256" must not end up as a question to a name server.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535
#define NAME_MAX_BYTES 253      /* RFC 1035 3.1, as text without last dot */
#define LABEL_MAX_BYTES 63      /* RFC 1035 2.3.4 */
#define IPV4_BYTES 4
#define IPV6_BYTES 16

static const uint8_t mapped_prefix[12] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff    /* RFC 4291 2.5.5.2 */
};

/* ------------------------------------------------------------ from text */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Underscores are not in RFC 1123, but container networks use them. */
static bool
is_name_byte(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static int
port_parse(const char *text, bool allow_zero, uint16_t *port, const char **why)
{
	unsigned value = 0;

	if (*text == '\0') {
		*why = "the port is missing, expected \"host:port\"";
		return -1;
	}
	for (; *text != '\0'; text++) {
		if (!is_digit(*text)) {
			*why = "port is not a number, expected 1 to 65535";
			return -1;
		}
		if (value <= PORT_MAX)
			value = value * 10 + (unsigned)(*text - '0');
	}
	if (value > PORT_MAX || (value == 0 && !allow_zero)) {
		*why = "port is out of range, expected 1 to 65535";
		return -1;
	}
	*port = (uint16_t)value;
	return 0;
}

static int
name_check(const char *name, const char **why)
{
	size_t label = 0, len = strlen(name);
	bool numeric = true;

	if (len > 0 && name[len - 1] == '.')    /* fully qualified */
		len--;
	if (len == 0 || len > NAME_MAX_BYTES) {
		*why = "a host name has 1 to 253 characters";
		return -1;
	}
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.' && label > 0) {
			label = 0;
			numeric = true;
			continue;
		}
		if (!is_name_byte(name[i]) || ++label > LABEL_MAX_BYTES) {
			*why = "not a host name or an IP address";
			return -1;
		}
		numeric = numeric && is_digit(name[i]);
	}
	if (label == 0 || numeric) {
		*why = "not a host name or an IP address";
		return -1;
	}
	return 0;
}

static int
host_check(const char *host, bool bracketed, bool *is_literal,
    const char **why)
{
	uint8_t ip[IPV6_BYTES];

	if (bracketed) {
		if (inet_pton(AF_INET6, host, ip) != 1) {
			*why = "expected an IPv6 address in the brackets";
			return -1;
		}
		*is_literal = true;
		return 0;
	}
	if (*host == '\0' || strcmp(host, "*") == 0) {
		*why = "the host is missing, expected for instance "
		    "\"127.0.0.1:80\", or \"0.0.0.0:80\" or \"[::]:80\" for "
		    "every address of this machine";
		return -1;
	}
	if (strchr(host, ':') != NULL) {
		*why = "an IPv6 address needs brackets and a port, expected "
		    "for instance \"[::1]:80\"";
		return -1;
	}
	*is_literal = inet_pton(AF_INET, host, ip) == 1;
	return *is_literal ? 0 : name_check(host, why);
}

static int
unix_parse(const char *path, struct addr_text *out, const char **why)
{
	size_t len = strlen(path);

	if (*path != '/' || path[len - 1] == '/') {
		*why = "expected an absolute path of a socket after \"unix:\"";
		return -1;
	}
	if (len >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*why = "the path is too long, a Unix socket's has at most "
		    "107 bytes";
		return -1;
	}
	out->host = strdup(path);
	if (out->host == NULL) {
		*why = "out of memory";
		return -1;
	}
	out->is_unix = true;
	return 0;
}

int
addr_text_parse(const char *text, bool allow_port_zero, struct addr_text *out,
    const char **why)
{
	bool bracketed = *text == '[';
	const char *start = text + bracketed, *end;
	char *host;

	*out = (struct addr_text){ 0 };
	if (strncmp(text, "unix:", 5) == 0)
		return unix_parse(text + 5, out, why);
	end = bracketed ? strchr(start, ']') : strrchr(start, ':');
	if (end == NULL || (bracketed && end[1] != ':')) {
		*why = "the port is missing, expected \"host:port\", "
		    "\"[v6]:port\" or \"unix:/path\"";
		return -1;
	}
	host = strndup(start, (size_t)(end - start));
	if (host == NULL) {
		*why = "out of memory";
		return -1;
	}
	if (host_check(host, bracketed, &out->is_literal, why) == -1 ||
	    port_parse(end + 1 + bracketed, allow_port_zero, &out->port,
	    why) == -1) {
		free(host);
		*out = (struct addr_text){ 0 };
		return -1;
	}
	out->host = host;
	return 0;
}

void
addr_text_fini(struct addr_text *t)
{
	free(t->host);
	*t = (struct addr_text){ 0 };
}

static void
unix_fill(const char *path, struct addr *out)
{
	size_t len = strlen(path);

	out->un.sun_family = AF_UNIX;
	memcpy(out->un.sun_path, path, len + 1);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    len + 1);
}

int
addr_from_text(const struct addr_text *t, struct addr *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->ss;

	memset(out, 0, sizeof(*out));
	if (t->is_unix) {
		if (strlen(t->host) >= sizeof(out->un.sun_path))
			return -1;
		unix_fill(t->host, out);
		return 0;
	}
	if (!t->is_literal)
		return -1;
	if (inet_pton(AF_INET, t->host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(t->port);
		out->len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, t->host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(t->port);
		out->len = sizeof(*v6);
		return 0;
	}
	return -1;
}

/* -------------------------------------------------------------- to text */

/* Bytes of the path, 0 for an unnamed socket; abstract names count too. */
static size_t
unix_path_bytes(const struct addr *a)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t len;

	if (a->len <= head)
		return 0;
	len = a->len - head;
	if (len > sizeof(a->un.sun_path))
		len = sizeof(a->un.sun_path);
	return a->un.sun_path[0] == '\0' ? (len > 1 ? len : 0)
	    : strnlen(a->un.sun_path, len);
}

static void
unix_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	size_t len = unix_path_bytes(a);
	char *to = stpcpy(out, "unix:");

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)a->un.sun_path[i];

		if (i == 0 && c == '\0')
			c = '@';        /* as ss(8) shows abstract names */
		*to++ = c < ' ' || c == 0x7f ? '?' : (char)c;
	}
	*to = '\0';
}

static void
ip_print(int family, const void *ip, unsigned port, bool with_port,
    char out[ADDR_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(family, ip, text, sizeof(text));
	if (!with_port)
		snprintf(out, ADDR_TEXT_MAX, "%s", text);
	else if (family == AF_INET)
		snprintf(out, ADDR_TEXT_MAX, "%s:%u", text, port);
	else
		snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", text, port);
}

const char *
addr_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->ss;

	switch (a->len == 0 ? AF_UNSPEC : a->sa.sa_family) {
	case AF_INET:
		ip_print(AF_INET, &v4->sin_addr, ntohs(v4->sin_port), true,
		    out);
		break;
	case AF_INET6:
		ip_print(AF_INET6, &v6->sin6_addr, ntohs(v6->sin6_port), true,
		    out);
		break;
	case AF_UNIX:
		unix_print(a, out);
		break;
	default:
		snprintf(out, ADDR_TEXT_MAX, "-");
	}
	return out;
}

/* inet_ntop() goes through printf; this is in the path of every request. */
static void
ipv4_print(const uint8_t *ip, char *out)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		if (ip[i] >= 100)
			*out++ = (char)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*out++ = (char)('0' + ip[i] / 10 % 10);
		*out++ = (char)('0' + ip[i] % 10);
		*out++ = i < 3 ? '.' : '\0';
	}
}

const char *
addr_ip_print(const struct addr_ip *a, bool with_port,
    char out[ADDR_TEXT_MAX])
{
	switch (a->family) {
	case AF_INET:
		if (!with_port) {
			ipv4_print(a->ip, out);
			break;
		}
		/* FALLTHROUGH */
	case AF_INET6:
		ip_print(a->family, a->ip, a->port, with_port, out);
		break;
	case AF_UNIX:
		snprintf(out, ADDR_TEXT_MAX, "unix:");
		break;
	default:
		snprintf(out, ADDR_TEXT_MAX, "-");
	}
	return out;
}

/* ------------------------------------------------------------ comparing */

/* Field by field: padding and sin6_flowinfo say nothing about the place. */
bool
addr_equal(const struct addr *a, const struct addr *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)&b->ss;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->ss;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->ss;
	size_t path;

	if (a->len == 0 || b->len == 0)
		return a->len == b->len;
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a4->sin_port == b4->sin_port &&
		    a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	case AF_INET6:
		return a6->sin6_port == b6->sin6_port &&
		    a6->sin6_scope_id == b6->sin6_scope_id &&
		    memcmp(&a6->sin6_addr, &b6->sin6_addr, IPV6_BYTES) == 0;
	case AF_UNIX:
		path = unix_path_bytes(a);
		return path == unix_path_bytes(b) &&
		    memcmp(a->un.sun_path, b->un.sun_path, path) == 0;
	default:
		return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
	}
}

void
addr_to_ip(const struct addr *a, struct addr_ip *out)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->ss;
	const uint8_t *ip;

	*out = (struct addr_ip){ 0 };
	if (a->len == 0)
		return;
	switch (a->sa.sa_family) {
	case AF_INET:
		out->family = AF_INET;
		out->port = ntohs(v4->sin_port);
		memcpy(out->ip, &v4->sin_addr, IPV4_BYTES);
		break;
	case AF_INET6:
		ip = v6->sin6_addr.s6_addr;
		out->port = ntohs(v6->sin6_port);
		if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
			out->family = AF_INET;
			memcpy(out->ip, ip + sizeof(mapped_prefix),
			    IPV4_BYTES);
		} else {
			out->family = AF_INET6;
			memcpy(out->ip, ip, IPV6_BYTES);
		}
		break;
	case AF_UNIX:
		out->family = AF_UNIX;
		break;
	}
}

/* ------------------------------------------------------------- networks */

/* The mask of byte i of an address whose first `bits` bits count. */
static uint8_t
mask_byte(unsigned bits, unsigned i)
{
	if (bits >= (i + 1) * 8)
		return 0xff;
	return bits <= i * 8 ? 0 : (uint8_t)(0xff << (8 - (bits - i * 8)));
}

static int
bits_parse(const char *text, unsigned max, unsigned *bits)
{
	unsigned value = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 3 || (len > 1 && *text == '0'))
		return -1;
	for (; *text != '\0'; text++) {
		if (!is_digit(*text))
			return -1;
		value = value * 10 + (unsigned)(*text - '0');
	}
	*bits = value;
	return value <= max ? 0 : -1;
}

/* A network of mapped addresses becomes one of IPv4, as clients do. */
static void
net_unmap(struct addr_ip *base, unsigned *bits)
{
	if (base->family != AF_INET6 || *bits < sizeof(mapped_prefix) * 8 ||
	    memcmp(base->ip, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return;
	memmove(base->ip, base->ip + sizeof(mapped_prefix), IPV4_BYTES);
	memset(base->ip + IPV4_BYTES, 0, sizeof(mapped_prefix));
	base->family = AF_INET;
	*bits -= (unsigned)sizeof(mapped_prefix) * 8;
}

int
addr_net_parse(const char *text, struct addr_net *out)
{
	char ip[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	unsigned bits, max;

	*out = (struct addr_net){ 0 };
	if (len >= sizeof(ip))
		return -1;
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, out->base.ip) == 1)
		out->base.family = AF_INET;
	else if (inet_pton(AF_INET6, ip, out->base.ip) == 1)
		out->base.family = AF_INET6;
	else
		return -1;
	max = bits = out->base.family == AF_INET ? 32 : 128;
	if (text[len] == '/' && bits_parse(text + len + 1, max, &bits) == -1)
		return -1;
	for (unsigned i = 0; i < max / 8; i++)
		if ((out->base.ip[i] & ~mask_byte(bits, i)) != 0)
			return -1;
	net_unmap(&out->base, &bits);
	out->bits = (uint8_t)bits;
	return 0;
}

bool
addr_net_holds(const struct addr_net *n, const struct addr_ip *a)
{
	if (n->base.family != a->family || a->family == AF_UNIX)
		return false;
	for (unsigned i = 0; i * 8 < n->bits; i++)
		if ((a->ip[i] & mask_byte(n->bits, i)) != n->base.ip[i])
			return false;
	return n->base.family != 0;
}
