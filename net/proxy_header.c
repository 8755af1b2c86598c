/*
 * PROXY headers. See proxy_header.h.
 *
 * Strict: what has two readings is refused, since who reads it otherwise than
 * weir would hold the connection for somebody else's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	HEAD = 16,                      /* of version 2, before addresses */
	TLV_HEAD = 3, SSL_HEAD = 5, CRC_LEN = 4,
	INET_LEN = 12, INET6_LEN = 36, UNIX_LEN = 216
};

/* PROXY 2.2: commands, and family with transport. */
enum { LOCAL = 0x0, PROXY = 0x1 };
enum {
	UNSPEC = 0x00, TCP4 = 0x11, UDP4 = 0x12, TCP6 = 0x21, UDP6 = 0x22,
	UNIX_STREAM = 0x31, UNIX_DGRAM = 0x32
};

/* PROXY 2.2: types of TLVs. */
enum {
	TLV_AUTHORITY = 0x02, TLV_CRC32C = 0x03, TLV_UNIQUE_ID = 0x05,
	TLV_SSL = 0x20
};

enum { SSL_CLIENT = 0x01 };             /* bits of the first byte of SSL */

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static enum parse
bad(struct proxy_header *h, const char *why)
{
	h->why = why;
	return PARSE_BAD;
}

/* An IPv4-mapped address is the IPv4 one, to limits and rules. */
static void
set_ip(struct addr_ip *a, int family, const void *ip, unsigned port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *bytes = ip;

	memset(a, 0, sizeof(*a));
	a->port = (uint16_t)port;
	a->family = (uint8_t)family;
	if (family == AF_INET6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		a->family = AF_INET;
		bytes += sizeof(mapped);
	}
	memcpy(a->ip, bytes, a->family == AF_INET ? 4 : 16);
}

/* --------------------------------------------------------------- version 1 */

/* What is left of the line. */
struct words {
	const char *at, *end;
};

/* The next word of the line, terminated; false when it is not followed by the
   sign that has to be there, or does not fit. */
static bool
take_word(struct words *w, char sign, char *out, size_t size)
{
	const char *at = w->at;
	size_t n = 0;

	while (at < w->end && *at != ' ' && *at != '\r')
		at++;
	n = (size_t)(at - w->at);
	if (at == w->end || *at != sign || n == 0 || n >= size ||
	    memchr(w->at, '\0', n) != NULL)
		return false;
	memcpy(out, w->at, n);
	out[n] = '\0';
	w->at = at + 1;
	return true;
}

static bool
take_ip(struct words *w, int family, uint8_t ip[16])
{
	char word[INET6_ADDRSTRLEN];

	return take_word(w, ' ', word, sizeof(word)) &&
	    inet_pton(family, word, ip) == 1;
}

/* PROXY 2.1: decimal, 0 to 65535, no zero in front. */
static bool
take_port(struct words *w, char sign, unsigned *port)
{
	char word[6];
	const char *c;

	if (!take_word(w, sign, word, sizeof(word)) ||
	    (word[0] == '0' && word[1] != '\0'))
		return false;
	for (*port = 0, c = word; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		*port = *port * 10 + (unsigned)(*c - '0');
	}
	return *port <= 65535;
}

static enum parse
read_line(const char *line, size_t len, struct proxy_header *h)
{
	struct words w = { line + 6, line + len };
	unsigned from_port, to_port;
	uint8_t from[16], to[16];
	char word[8];
	int family;

	h->len = len;
	/* PROXY 2.1: what comes after it is ignored. */
	if (strncmp(w.at, "UNKNOWN", 7) == 0 &&
	    (w.at[7] == ' ' || w.at[7] == '\r')) {
		h->own = true;
		return PARSE_DONE;
	}
	if (!take_word(&w, ' ', word, sizeof(word)))
		return bad(h, "no protocol");
	family = strcmp(word, "TCP4") == 0 ? AF_INET :
	    strcmp(word, "TCP6") == 0 ? AF_INET6 : 0;
	if (family == 0)
		return bad(h, "unknown protocol");
	if (!take_ip(&w, family, from) || !take_ip(&w, family, to))
		return bad(h, "bad address");
	if (!take_port(&w, ' ', &from_port) || !take_port(&w, '\r', &to_port))
		return bad(h, "bad port");
	set_ip(&h->from, family, from, from_port);
	set_ip(&h->to, family, to, to_port);
	return PARSE_DONE;
}

/* PROXY 2.1: the line ends in CR LF, within 107 bytes; neither stands alone. */
static enum parse
read_v1(const char *bytes, size_t len, struct proxy_header *h)
{
	size_t most = len < PROXY_HEADER_V1_MOST ? len : PROXY_HEADER_V1_MOST;
	const char *end = memchr(bytes, '\n', most), *cr;

	cr = memchr(bytes, '\r', end != NULL ? (size_t)(end - bytes) : most);
	if (end != NULL && (cr == NULL || cr + 1 != end))
		return bad(h, "the line does not end in CR LF");
	if (end != NULL)
		return read_line(bytes, (size_t)(end - bytes) + 1, h);
	if (cr != NULL && cr + 1 != bytes + most)
		return bad(h, "the line does not end in CR LF");
	if (len >= PROXY_HEADER_V1_MOST)
		return bad(h, "the line is too long");
	return PARSE_MORE;
}

/* --------------------------------------------------------------- version 2 */

static unsigned
get_u16(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (unsigned)b[0] << 8 | b[1];
}

static uint32_t
get_u32(const char *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

/* RFC 4960 Appendix B, four bits at a time: once for each connection. */
static uint32_t
crc32c(uint32_t crc, const char *bytes, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75
	};
	size_t i;

	for (i = 0; i < len; i++) {
		crc ^= (unsigned char)bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* PROXY 2.2.3: of the whole header, with zeros in place of the sum itself; in
   network byte order, as HAProxy sends it. */
static bool
crc_is_right(const char *bytes, size_t len, const char *sum)
{
	static const char zeros[CRC_LEN];
	uint32_t crc = ~UINT32_C(0);

	crc = crc32c(crc, bytes, (size_t)(sum - bytes));
	crc = crc32c(crc, zeros, CRC_LEN);
	crc = crc32c(crc, sum + CRC_LEN,
	    len - (size_t)(sum - bytes) - CRC_LEN);
	return ~crc == get_u32(sum);
}

/* Cuts the next TLV off; false when it goes past the end. */
static bool
take_tlv(struct proxy_header_bytes *rest, unsigned *type,
    struct proxy_header_bytes *value)
{
	size_t len;

	if (rest->len < TLV_HEAD)
		return false;
	*type = (unsigned char)rest->at[0];
	len = get_u16(rest->at + 1);
	if (len > rest->len - TLV_HEAD)
		return false;
	*value = (struct proxy_header_bytes){ rest->at + TLV_HEAD, len };
	rest->at += TLV_HEAD + len;
	rest->len -= TLV_HEAD + len;
	return true;
}

/* PROXY 2.2.6: bits, the result of verifying, then TLVs again. */
static bool
read_ssl(const struct proxy_header_bytes *value, bool *tls)
{
	struct proxy_header_bytes rest, sub;
	unsigned type;

	if (value->len < SSL_HEAD)
		return false;
	*tls = (value->at[0] & SSL_CLIENT) != 0;
	rest = (struct proxy_header_bytes){ value->at + SSL_HEAD,
	    value->len - SSL_HEAD };
	while (rest.len > 0)
		if (!take_tlv(&rest, &type, &sub))
			return false;
	return true;
}

/* A name, which others will log. */
static bool
is_authority(const struct proxy_header_bytes *v)
{
	size_t i;

	if (v->len == 0 || v->len > PROXY_AUTHORITY_MOST)
		return false;
	for (i = 0; i < v->len; i++)
		if ((unsigned char)v->at[i] <= ' ' || v->at[i] == 0x7f)
			return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *
read_tlv(struct proxy_header *h, const char *bytes, unsigned type,
    const struct proxy_header_bytes *v)
{
	switch (type) {
	case TLV_AUTHORITY:
		if (!is_authority(v))
			return "bad authority";
		h->authority = *v;
		return NULL;
	case TLV_UNIQUE_ID:
		if (v->len > PROXY_UNIQUE_ID_MOST)
			return "unique id too long";
		h->unique_id = *v;
		return NULL;
	case TLV_SSL:
		return read_ssl(v, &h->tls) ? NULL : "bad TLV of TLS";
	case TLV_CRC32C:
		return v->len == CRC_LEN && crc_is_right(bytes, h->len, v->at) ?
		    NULL : "wrong checksum";
	default:
		return NULL;            /* PROXY 2.2: may be skipped */
	}
}

static enum parse
read_tlvs(struct proxy_header *h, const char *bytes, size_t at)
{
	struct proxy_header_bytes rest = { bytes + at, h->len - at }, value;
	uint64_t seen = 0;
	unsigned type;
	const char *why;

	while (rest.len > 0) {
		if (!take_tlv(&rest, &type, &value))
			return bad(h, "a TLV goes past the end");
		/* Which of two would be meant? */
		if (type <= TLV_SSL && type != 4 && (seen >> type & 1) != 0)
			return bad(h, "a TLV came twice");
		if (type <= TLV_SSL)
			seen |= UINT64_C(1) << type;
		why = read_tlv(h, bytes, type, &value);
		if (why != NULL)
			return bad(h, why);
	}
	return PARSE_DONE;
}

/* How many bytes of addresses there are; -1: none that weir can use. */
static int
address_len(unsigned family, const char **why)
{
	switch (family) {
	case UNSPEC:
		return 0;
	case TCP4:
		return INET_LEN;
	case TCP6:
		return INET6_LEN;
	case UNIX_STREAM:
		return UNIX_LEN;
	case UDP4:
	case UDP6:
	case UNIX_DGRAM:
		*why = "datagrams";
		return -1;
	default:
		*why = "unknown address family";
		return -1;
	}
}

static void
read_addresses(struct proxy_header *h, unsigned family, const char *at)
{
	switch (family) {
	case TCP4:
		set_ip(&h->from, AF_INET, at, get_u16(at + 8));
		set_ip(&h->to, AF_INET, at + 4, get_u16(at + 10));
		return;
	case TCP6:
		set_ip(&h->from, AF_INET6, at, get_u16(at + 32));
		set_ip(&h->to, AF_INET6, at + 16, get_u16(at + 34));
		return;
	case UNIX_STREAM:
		/* Paths say nothing of who it is. */
		h->from.family = h->to.family = AF_UNIX;
		return;
	default:
		h->own = true;
		return;
	}
}

static enum parse
read_v2(const char *bytes, size_t len, struct proxy_header *h)
{
	unsigned command, family;
	int addresses;

	if (len > 12 && (bytes[12] & 0xf0) != 0x20)
		return bad(h, "unknown version");
	command = len > 12 ? bytes[12] & 0x0f : LOCAL;
	if (command != LOCAL && command != PROXY)
		return bad(h, "unknown command");
	family = len > 13 ? (unsigned char)bytes[13] : UNSPEC;
	/* PROXY 2.2: of LOCAL all the rest is to be ignored. */
	addresses = command == LOCAL ? 0 : address_len(family, &h->why);
	if (addresses < 0)
		return PARSE_BAD;
	if (len < HEAD)
		return PARSE_MORE;
	h->len = HEAD + get_u16(bytes + 14);
	if (h->len > PROXY_HEADER_MOST)
		return bad(h, "too long");
	if (h->len < HEAD + (size_t)addresses)
		return bad(h, "too short for its addresses");
	if (len < h->len)
		return PARSE_MORE;
	if (command == LOCAL) {
		h->own = true;
		return PARSE_DONE;
	}
	read_addresses(h, family, bytes + HEAD);
	return read_tlvs(h, bytes, HEAD + (size_t)addresses);
}

enum parse
proxy_header_read(const char *bytes, size_t len, struct proxy_header *h)
{
	size_t n = len < sizeof(signature) ? len : sizeof(signature);

	memset(h, 0, sizeof(*h));
	if (len == 0)
		return PARSE_MORE;
	if (memcmp(bytes, signature, n) == 0)
		return n < sizeof(signature) ? PARSE_MORE :
		    read_v2(bytes, len, h);
	n = len < 6 ? len : 6;
	if (memcmp(bytes, "PROXY ", n) == 0)
		return n < 6 ? PARSE_MORE : read_v1(bytes, len, h);
	return bad(h, "no PROXY header");
}

/* ----------------------------------------------------------------- writing */

static bool
is_ip(const struct addr_ip *a)
{
	return a->family == AF_INET || a->family == AF_INET6;
}

static void
put_ip(char *out, const struct addr_ip *a, int family)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (family == AF_INET6 && a->family == AF_INET) {
		memcpy(out, mapped, sizeof(mapped));
		memcpy(out + sizeof(mapped), a->ip, 4);
	} else
		memcpy(out, a->ip, family == AF_INET ? 4 : 16);
}

static void
put_u16(char *out, size_t n)
{
	out[0] = (char)(n >> 8);
	out[1] = (char)n;
}

/* AF_INET or AF_INET6 for both; 0: there is nothing to be said. */
static int
family_of(const struct proxy_header *h)
{
	if (h->own || !is_ip(&h->from) || !is_ip(&h->to))
		return 0;
	return h->from.family == AF_INET && h->to.family == AF_INET ?
	    AF_INET : AF_INET6;
}

static size_t
write_v1(const struct proxy_header *h, char *out)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], ip[16];
	char line[PROXY_HEADER_V1_MOST + 1];
	int family = family_of(h), n;

	if (family == 0)
		n = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	else {
		put_ip(ip, &h->from, family);
		(void)inet_ntop(family, ip, from, sizeof(from));
		put_ip(ip, &h->to, family);
		(void)inet_ntop(family, ip, to, sizeof(to));
		n = snprintf(line, sizeof(line), "PROXY %s %s %s %u %u\r\n",
		    family == AF_INET ? "TCP4" : "TCP6", from, to,
		    h->from.port, h->to.port);
	}
	memcpy(out, line, (size_t)n);
	return (size_t)n;
}

static char *
put_tlv(char *out, unsigned type, const struct proxy_header_bytes *v)
{
	if (v->len == 0)
		return out;
	*out = (char)type;
	put_u16(out + 1, v->len);
	memcpy(out + TLV_HEAD, v->at, v->len);
	return out + TLV_HEAD + v->len;
}

static size_t
write_v2(const struct proxy_header *h, char *out)
{
	int family = family_of(h);
	size_t ip = family == AF_INET ? 4 : 16;
	char *p = out + HEAD;

	memcpy(out, signature, sizeof(signature));
	out[12] = 0x20 | PROXY;
	out[13] = family == 0 ? UNSPEC : family == AF_INET ? TCP4 : TCP6;
	if (family != 0) {
		put_ip(p, &h->from, family);
		put_ip(p + ip, &h->to, family);
		put_u16(p + 2 * ip, h->from.port);
		put_u16(p + 2 * ip + 2, h->to.port);
		p += 2 * ip + 4;
	}
	p = put_tlv(p, TLV_AUTHORITY, &h->authority);
	p = put_tlv(p, TLV_UNIQUE_ID, &h->unique_id);
	put_u16(out + 14, (size_t)(p - out) - HEAD);
	return (size_t)(p - out);
}

size_t
proxy_header_write(enum proxy_header_version version,
    const struct proxy_header *h, char out[PROXY_HEADER_WRITE_MOST])
{
	switch (version) {
	case PROXY_HEADER_V1:
		return write_v1(h, out);
	case PROXY_HEADER_V2:
		return write_v2(h, out);
	case PROXY_HEADER_NONE:
		break;
	}
	return 0;
}

/* PROXY 2.1, 2.2: at once, and it always fits, for nothing was sent before. */
int
proxy_header_send(int fd, const char *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EAGAIN)
		errno = ENOBUFS;
	return -1;
}

int
proxy_header_send_own(int fd, enum proxy_header_version version)
{
	struct addr from = { .len = sizeof(from.ss) };
	struct addr to = { .len = sizeof(to.ss) };
	struct proxy_header h = { .own = true };
	char out[PROXY_HEADER_WRITE_MOST];
	size_t len;

	if (version == PROXY_HEADER_NONE)
		return 0;
	if (version == PROXY_HEADER_V1 &&
	    getsockname(fd, &from.sa, &from.len) == 0 &&
	    getpeername(fd, &to.sa, &to.len) == 0) {
		h.own = false;
		addr_to_ip(&from, &h.from);
		addr_to_ip(&to, &h.to);
	}
	len = proxy_header_write(version, &h, out);
	if (version == PROXY_HEADER_V2)
		out[12] = 0x20 | LOCAL;
	return proxy_header_send(fd, out, len);
}
