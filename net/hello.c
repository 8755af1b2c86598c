/*
 * ClientHellos. See hello.h.
 *
 * The records are walked as they come, with four numbers for memory; the
 * message, once it is whole, is put together and read in one piece.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/hello.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	RECORD_HEAD = 5,                /* type, version, length */
	RECORD_MAX = 1 << 14,           /* RFC 8446 5.1 */
	RECORD_HANDSHAKE = 22,
	MESSAGE_HEAD = 4,               /* type, length of three bytes */
	MESSAGE_CLIENT_HELLO = 1,
	RANDOM_LEN = 32,
	SESSION_ID_MAX = 32,
	EXT_SERVER_NAME = 0,            /* RFC 6066 3 */
	EXT_ALPN = 16,                  /* RFC 7301 3.1 */
	NAME_HOST = 0,
	LABEL_MAX = 63
};

/* --------------------------------------------------------- the first bytes */

/* Can this be byte i of a record that begins a ClientHello? Its version is of
   no meaning (RFC 8446 5.1): any from SSL 3.0 (3.0) to TLS 1.3 (3.4). */
static bool
may_begin(const unsigned char *bytes, size_t i)
{
	switch (i) {
	case 0:
		return bytes[0] == RECORD_HANDSHAKE;
	case 1:
		return bytes[1] == 3;
	case 2:
		return bytes[2] <= 4;
	case RECORD_HEAD:
		return bytes[RECORD_HEAD] == MESSAGE_CLIENT_HELLO;
	default:
		return true;            /* lengths, which may be wrong */
	}
}

static enum hello_kind
tls_kind(const unsigned char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len && i <= RECORD_HEAD; i++)
		if (!may_begin(bytes, i))
			return HELLO_KIND_OTHER;
	return i > RECORD_HEAD ? HELLO_KIND_TLS : HELLO_KIND_MORE;
}

/* A path begins with "/"; "*" is of OPTIONS and of HTTP/2's preface, RFC 9113
   3.4. CONNECT has a name. */
static enum hello_kind
http_kind(const char *bytes, size_t len)
{
	static const char *const methods[] = {
		"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ",
		"PATCH ", "TRACE ", "CONNECT ", "PRI "
	};
	size_t i, n;

	for (i = 0; i < NELEMS(methods); i++) {
		n = strlen(methods[i]);
		if (memcmp(bytes, methods[i], len < n ? len : n) != 0)
			continue;
		if (len <= n)
			return HELLO_KIND_MORE;
		return bytes[n] == '/' || bytes[n] == '*' ||
		    methods[i][0] == 'C' ? HELLO_KIND_HTTP : HELLO_KIND_OTHER;
	}
	return HELLO_KIND_OTHER;
}

enum hello_kind
hello_kind(const char *bytes, size_t len)
{
	enum hello_kind kind = tls_kind((const unsigned char *)bytes, len);

	return kind == HELLO_KIND_OTHER ? http_kind(bytes, len) : kind;
}

/* ----------------------------------------------------------------- records */

/* n bytes from `at` on, in pieces where they lie so; the buffer has them. */
static void
take(const struct buf *in, size_t at, unsigned char *out, size_t n)
{
	while (n > 0) {
		size_t len;
		const char *piece = buf_at(in, at, &len);

		if (len > n)
			len = n;
		memcpy(out, piece, len);
		at += len;
		out += len;
		n -= len;
	}
}

/* A further record, whose head is at r->at. */
static enum hello_found
begin_record(struct hello_reader *r, const struct buf *in)
{
	unsigned char head[RECORD_HEAD];
	size_t have = in->len - r->at;
	bool first = r->at == 0;

	if (have > sizeof(head))
		have = sizeof(head);
	take(in, r->at, head, have);
	/* What it is, is told by the first bytes of all, without waiting for
	   the rest of the head. */
	for (size_t i = 0; i < have; i++)
		if (i < 3 && !may_begin(head, i))
			return first ? HELLO_NOT_TLS : HELLO_BAD;
	if (have < RECORD_HEAD)
		return HELLO_MORE;
	r->left = (uint32_t)(head[3] << 8 | head[4]);
	/* RFC 8446 5.1: no handshake record is empty. */
	if (r->left == 0 || r->left > RECORD_MAX ||
	    r->at + RECORD_HEAD + r->left > HELLO_WIRE_MAX)
		return HELLO_BAD;
	r->at += RECORD_HEAD;
	return HELLO_WHOLE;
}

/* The message's own head, which may itself lie in several records: a byte at a
   time. */
static enum hello_found
head_byte(struct hello_reader *r, unsigned char byte)
{
	if (r->got == 0 && byte != MESSAGE_CLIENT_HELLO)
		return HELLO_BAD;
	if (r->got > 0)
		r->len = r->len << 8 | byte;
	if (r->got == MESSAGE_HEAD - 1) {
		if (r->len > HELLO_MAX - MESSAGE_HEAD)
			return HELLO_BAD;
		r->len += MESSAGE_HEAD;
	}
	return HELLO_MORE;
}

/* What there is of the present record. */
static enum hello_found
walk_record(struct hello_reader *r, const struct buf *in)
{
	uint32_t n = in->len - r->at;
	unsigned char byte;

	for (; r->got < MESSAGE_HEAD && r->left > 0 && n > 0; n--) {
		take(in, r->at, &byte, 1);
		if (head_byte(r, byte) == HELLO_BAD)
			return HELLO_BAD;
		r->at++, r->got++, r->left--;
	}
	if (r->got < MESSAGE_HEAD)
		return HELLO_MORE;
	/* RFC 8446 5.1: the end of a ClientHello is the end of its record, since
	   keys may change behind it. */
	if (r->left > r->len - r->got)
		return HELLO_BAD;
	if (n > r->left)
		n = r->left;
	r->at += n, r->got += n, r->left -= n;
	return r->got == r->len ? HELLO_WHOLE : HELLO_MORE;
}

enum hello_found
hello_walk(struct hello_reader *r, const struct buf *in)
{
	enum hello_found found = HELLO_MORE;

	if (r->got >= MESSAGE_HEAD && r->got == r->len)
		return HELLO_WHOLE;
	while (found == HELLO_MORE && r->at < in->len) {
		if (r->left == 0) {
			found = begin_record(r, in);
			if (found != HELLO_WHOLE)
				return found;
		}
		found = walk_record(r, in);
	}
	return found;
}

/* The message without the heads of the records, which have been walked. */
static void
gather(const struct hello_reader *r, const struct buf *in,
    unsigned char *message)
{
	unsigned char head[RECORD_HEAD];
	size_t at = 0, got = 0, n;

	while (got < r->len) {
		take(in, at, head, sizeof(head));
		n = (size_t)(head[3] << 8 | head[4]);
		take(in, at + RECORD_HEAD, message + got, n);
		at += RECORD_HEAD + n;
		got += n;
	}
}

/* ----------------------------------------------------------------- message */

/* Bytes that are left to be read. */
struct span {
	const unsigned char *at;
	size_t len;
};

/* A number of n bytes; -1 when there are not as many. */
static int
number(struct span *s, unsigned n, size_t *out)
{
	if (s->len < n)
		return -1;
	for (*out = 0; n > 0; n--, s->len--)
		*out = *out << 8 | *s->at++;
	return 0;
}

/* A vector (RFC 8446 3.4): its length in n bytes, then itself. */
static int
vector(struct span *s, unsigned n, struct span *out)
{
	if (number(s, n, &out->len) < 0 || out->len > s->len)
		return -1;
	out->at = s->at;
	s->at += out->len;
	s->len -= out->len;
	return 0;
}

/*
 * RFC 6066 3: at most one name of each type, and each type to come begins with
 * a length of two bytes, so that it can be passed over.
 */
static int
read_server_name(struct span ext, struct hello *h)
{
	struct span list, name;
	bool found = false;
	size_t type;

	if (vector(&ext, 2, &list) < 0 || ext.len > 0 || list.len == 0)
		return -1;
	while (list.len > 0) {
		if (number(&list, 1, &type) < 0 || vector(&list, 2, &name) < 0)
			return -1;
		if (type != NAME_HOST)
			continue;
		if (found || hello_name(name.at, name.len, h->name) < 0)
			return -1;
		found = true;
	}
	return 0;
}

/* RFC 7301 3.1: names of 1 to 255 bytes, and at least one. */
static int
read_alpn(struct span ext, struct hello *h)
{
	struct span list, name;

	if (vector(&ext, 2, &list) < 0 || ext.len > 0 || list.len == 0)
		return -1;
	h->alpn = list.at;
	h->alpn_len = list.len;
	while (list.len > 0)
		if (vector(&list, 1, &name) < 0 || name.len == 0)
			return -1;
	return 0;
}

/* RFC 8446 4.2: none comes twice. Those of GREASE (RFC 8701) are as any that is
   not known. */
static int
read_extensions(struct span all, struct hello *h)
{
	unsigned char seen[65536 / 8] = { 0 };
	struct span ext;
	size_t type;

	while (all.len > 0) {
		if (number(&all, 2, &type) < 0 || vector(&all, 2, &ext) < 0 ||
		    (seen[type / 8] & 1 << type % 8) != 0)
			return -1;
		seen[type / 8] |= (unsigned char)(1 << type % 8);
		if ((type == EXT_SERVER_NAME && read_server_name(ext, h) < 0) ||
		    (type == EXT_ALPN && read_alpn(ext, h) < 0))
			return -1;
	}
	return 0;
}

/* RFC 8446 4.1.2, RFC 5246 7.4.1.2; a hello without extensions simply ends. */
int
hello_read(const struct hello_reader *r, const struct buf *in, struct hello *h)
{
	struct span s = { h->bytes, r->len }, part;
	size_t version;

	h->name[0] = '\0';
	h->alpn = NULL;
	h->alpn_len = 0;
	gather(r, in, h->bytes);
	s.at += MESSAGE_HEAD;
	s.len -= MESSAGE_HEAD;
	if (number(&s, 2, &version) < 0 || version >> 8 != 3 ||
	    s.len < RANDOM_LEN)
		return -1;
	s.at += RANDOM_LEN;
	s.len -= RANDOM_LEN;
	if (vector(&s, 1, &part) < 0 || part.len > SESSION_ID_MAX)
		return -1;
	/* Cipher suites, then methods of compression. */
	if (vector(&s, 2, &part) < 0 || part.len == 0 || part.len % 2 != 0 ||
	    vector(&s, 1, &part) < 0 || part.len == 0)
		return -1;
	if (s.len == 0)
		return 0;
	if (vector(&s, 2, &part) < 0 || s.len > 0)
		return -1;
	return read_extensions(part, h);
}

bool
hello_offers(const struct hello *h, const char *protocol)
{
	size_t n = strlen(protocol), at = 0;

	for (; at < h->alpn_len; at += 1u + h->alpn[at])
		if (h->alpn[at] == n &&
		    memcmp(h->alpn + at + 1, protocol, n) == 0)
			return true;
	return false;
}

/* ------------------------------------------------------------------- names */

/* The length of the label at the beginning, in lower case to out; 0: none. */
static size_t
label(const char *name, size_t len, char *out)
{
	size_t n;

	for (n = 0; n < len && name[n] != '.'; n++) {
		char c = name[n];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') &&
		    c != '-' && c != '_')
			return 0;
		out[n] = c;
	}
	return n <= LABEL_MAX ? n : 0;
}

static bool
is_ipv6(const char *name, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (len >= sizeof(text) || memchr(name, ':', len) == NULL ||
	    memchr(name, '\0', len) != NULL)
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &ip) == 1;
}

int
hello_name(const void *bytes, size_t len, char out[HELLO_NAME_MAX + 1])
{
	const char *name = bytes;
	size_t at = 0, n;

	out[0] = '\0';
	if (is_ipv6(name, len))
		return 0;
	if (len > 1 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > HELLO_NAME_MAX)
		return -1;
	for (;; at++) {
		n = label(name + at, len - at, out + at);
		if (n == 0) {
			out[0] = '\0';
			return -1;
		}
		at += n;
		if (at == len)
			break;
		out[at] = '.';
	}
	out[len] = '\0';
	/* No name ends with a label of digits, and each IPv4 address does. */
	if (strspn(out + len - n, "0123456789") == n) {
		out[0] = '\0';
		return 0;
	}
	return (int)len;
}

/* ------------------------------------------------------------------ alerts */

void
hello_alert(enum hello_alert alert, char out[HELLO_ALERT_LEN])
{
	/* The version is one that each client takes before any is agreed on. */
	const char record[HELLO_ALERT_LEN] = {
		21, 3, 1, 0, 2, 2 /* fatal */, (char)alert
	};

	memcpy(out, record, HELLO_ALERT_LEN);
}
