/*
 * Messages of PostgreSQL's protocol, and whether what came is what must come.
 * Written for the test alone: it shares nothing with what it tests. Source:
 * PostgreSQL 55.7, Message Formats.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pg.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const setting_names[N_SETTINGS] = {
	"application_name", "TimeZone", "DateStyle"
};

void
own_token(struct client *c, char out[TOKEN_LEN + 1])
{
	struct token t = token_make();

	t.a = p1_mix(c->session + 1);
	token_text(t, out);
}

static bool
is_own(const struct client *c, const char *text)
{
	struct token t = { p1_mix(c->session + 1), 0 };
	char own[TOKEN_LEN + 1];

	token_text(t, own);
	return strncmp(text, own, TOKEN_LEN / 2) == 0;
}

static uint32_t
number_at(const char *p)
{
	uint32_t n;

	memcpy(&n, p, 4);
	return ntohl(n);
}

static void
add_message(struct bytes *b, char type, const void *body, size_t len)
{
	uint32_t size = htonl((uint32_t)len + 4);

	bytes_add(b, &type, 1);
	bytes_add(b, &size, 4);
	bytes_add(b, body, len);
}

/* -------------------------------------------------------------------- said */

/* Remembered for whoever has to find out why an answer is wrong. */
static void
note(struct client *c, char type, const char *body, size_t len)
{
	struct bytes *said = &peer(c)->said;
	size_t i;

	if (said->len > 8192) {
		memmove(said->p, said->p + 4096, said->len - 4096);
		said->len -= 4096;
	}
	bytes_print(said, "%s%c ", peer(c)->wrote ? " " : "\n", type);
	peer(c)->wrote = true;
	for (i = 0; i < len && i < 300; i++)
		bytes_add(said, body[i] >= ' ' && body[i] <= '~' ? body + i :
		    ".", 1);
}

void
send_message(struct client *c, char type, const void *body, size_t len)
{
	note(c, type, body, len);
	add_message(&c->out, type, body, len);
}

void
send_startup(struct client *c)
{
	static const char *const usual[] = { "", "UTC", "ISO, MDY" };
	struct peer *m = peer(c);
	struct bytes b = { 0 };
	uint32_t size, i;

	bytes_add(&b, "\0\3\0\0user\0alice\0database\0shop", 29);
	for (i = 0; i < N_SETTINGS; i++) {
		if (strcmp(m->start[i], usual[i]) == 0)
			continue;
		bytes_add(&b, setting_names[i], strlen(setting_names[i]) + 1);
		bytes_add(&b, m->start[i], strlen(m->start[i]) + 1);
	}
	bytes_add(&b, "", 1);
	size = htonl((uint32_t)b.len + 4);
	bytes_add(&c->out, &size, 4);
	bytes_add(&c->out, b.p, b.len);
	free(b.p);
}

/* ------------------------------------------------------------------ wanted */

void
want_message(struct client *c, char type, const void *body, size_t len)
{
	add_message(&peer(c)->want, type, body, len);
}

void
want_tag(struct client *c, const char *format, ...)
{
	char tag[64];
	va_list args;

	va_start(args, format);
	vsnprintf(tag, sizeof(tag), format, args);
	va_end(args);
	want_message(c, 'C', tag, strlen(tag) + 1);
}

/* Of it no more is written down, nor compared, than the number of columns. */
void
want_columns(struct client *c, unsigned n)
{
	char body[2] = { (char)(n >> 8), (char)n };

	want_message(c, 'T', body, sizeof(body));
}

void
want_row(struct client *c, unsigned n, ...)
{
	char head[2] = { 0, (char)n };
	struct bytes b = { 0 };
	const char *text;
	va_list args;
	uint32_t len;

	bytes_add(&b, head, sizeof(head));
	va_start(args, n);
	for (; n > 0; n--) {
		text = va_arg(args, const char *);
		len = text != NULL ? htonl((uint32_t)strlen(text)) :
		    UINT32_MAX;
		bytes_add(&b, &len, 4);
		if (text != NULL)
			bytes_add(&b, text, strlen(text));
	}
	va_end(args);
	want_message(c, 'D', b.p, b.len);
	free(b.p);
}

/* SQLSTATE, and what the message must contain. */
void
want_error(struct client *c, const char *code, const char *part)
{
	char body[128];
	int n = snprintf(body, sizeof(body), "%s%s", code, part);

	want_message(c, 'E', body, (size_t)n);
}

struct want *
want_ready(struct client *c)
{
	struct peer *m = peer(c);

	want_message(c, 'Z', &m->status, 1);
	return want_add(&c->wants, WANT_ANSWER, &m->want);
}

void
want_or_cancelled(struct client *c, struct want *w)
{
	struct peer *m = peer(c);

	want_error(c, "57014", "");
	want_message(c, 'Z', &m->status, 1);
	w->other = m->want.p;
	w->other_len = m->want.len;
	m->want = (struct bytes){ 0 };
}

/* ------------------------------------------------------------------ judging */

/* A field of an error, by its letter; "" = has none. */
static const char *
field(const char *body, size_t len, char letter)
{
	size_t at = 0;

	while (at < len && body[at] != '\0') {
		if (body[at] == letter)
			return body + at + 1;
		at += strlen(body + at) + 1;
	}
	return "";
}

static bool
is_fatal(const char *p, size_t size)
{
	const char *severity;

	if (*p != 'E' || p[size - 1] != '\0')
		return false;
	severity = field(p + 5, size - 5, 'V');
	return strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") ==
	    0;
}

/* Size of the message at p; 0 = not whole yet, -1 = none. */
static ssize_t
message_size(const char *p, size_t n)
{
	uint32_t len;

	if (n > 0 && (*p == '\0' || strchr("RKSZENATDCI123nstGHdcVv", *p) ==
	    NULL))
		return -1;
	if (n < 5)
		return 0;
	len = number_at(p + 1);
	if (len < 4 || len > 64 << 20)
		return -1;
	return len + 1 <= n ? (ssize_t)len + 1 : 0;
}

/* Up to ReadyForQuery, or to a server's last word. */
ssize_t
pg_size_of(const struct client *c, const struct want *w, const char *p,
    size_t n)
{
	size_t at = 0;
	ssize_t size;

	(void)c;
	(void)w;
	while ((size = message_size(p + at, n - at)) > 0) {
		at += (size_t)size;
		if (p[at - (size_t)size] == 'Z' ||
		    is_fatal(p + at - size, (size_t)size))
			return (ssize_t)at;
	}
	return size;
}

bool
pg_refusal(const char *p, size_t n)
{
	ssize_t size;
	size_t at;

	for (at = 0; (size = message_size(p + at, n - at)) > 0;
	    at += (size_t)size)
		if (is_fatal(p + at, (size_t)size) || (p[at] == 'E' &&
		    strncmp(field(p + at + 5, (size_t)size - 5, 'C'), "53300",
		    5) == 0))
			return true;
	return false;
}

/* Of what may come at any time: is it this client's? */
static const char *
judge_aside(const struct client *c, const char *p, size_t size)
{
	const char *value = memchr(p + 5, '\0', size - 5);

	if (*p == 'N' && strncmp(field(p + 5, size - 5, 'M'), "weir:", 5) == 0)
		return "no notice of weir's own";
	if (*p == 'A' && (size < 10 || !is_own(c, p + 9)))
		return "a notification of one's own";
	/* After a RESET the server's own value may come. */
	if (*p == 'S' && value != NULL && strcmp(p + 5, "application_name") ==
	    0 && !is_own(c, value + 1) && (value[1] != '\0' ||
	    !peer(c)->has_reset))
		return "one's own application_name";
	return NULL;
}

static bool
is_aside(char type)
{
	return type == 'S' || type == 'N' || type == 'A';
}

static bool
is_wanted(const char *want, const char *p, size_t size)
{
	size_t wanted = (size_t)number_at(want + 1) + 1;
	const char *text;
	char part[128];

	if (*p != *want)
		return false;
	if (*p == 'T')
		return size > 7 && memcmp(p + 5, want + 5, 2) == 0;
	if (*p == 'G' || *p == 'H')
		return true;
	if (*p != 'E')
		return size == wanted && memcmp(p, want, size) == 0;
	text = field(p + 5, size - 5, 'M');
	snprintf(part, sizeof(part), "%.*s", (int)(wanted - 10), want + 10);
	return strncmp(field(p + 5, size - 5, 'C'), want + 5, 5) == 0 &&
	    strstr(text, part) != NULL;
}

/* For people: what was wanted at a place, in letters and the one at hand. */
static const char *
told(const char *want, size_t len, size_t at)
{
	static char out[600];
	size_t i, n = 0, size, shown = 0;

	for (i = 0; i < len; i += size) {
		size = (size_t)number_at(want + i + 1) + 1;
		if (n < 100)
			out[n++] = want[i];
		if (i == at && n < 100)
			out[n++] = '!';
	}
	out[n++] = ' ';
	for (i = at; i < len && shown < 200; i++, shown++)
		n += (size_t)snprintf(out + n, sizeof(out) - n, want[i] >= ' '
		    && want[i] <= '~' ? "%c" : ".", want[i]);
	out[n] = '\0';
	return out;
}

static const char *
judge_as(struct client *c, const char *want, size_t want_len, const char *p,
    size_t n, bool cancelled)
{
	size_t at = 0, w = 0, size;
	const char *why;

	while (at < n) {
		size = (size_t)number_at(p + at + 1) + 1;
		/* It may have begun, and even had its row. */
		if (cancelled && (p[at] == 'T' || (p[at] == 'D' && size > 11 +
		    TOKEN_LEN / 2 && is_own(c, p + at + 11)))) {
			at += size;
			continue;
		}
		if (is_aside(p[at])) {
			why = judge_aside(c, p + at, size);
			if (why != NULL)
				return why;
			at += size;
			continue;
		}
		if (w == want_len || !is_wanted(want + w, p + at, size))
			return told(want, want_len, w);
		at += size;
		w += (size_t)number_at(want + w + 1) + 1;
	}
	return w == want_len ? NULL : told(want, want_len, w);
}

/* AuthenticationOk, BackendKeyData, ReadyForQuery, and what the client has
   asked to be set. */
static const char *
judge_login(struct client *c, const char *p, size_t n)
{
	struct peer *m = peer(c);
	bool named = false, keyed = false;
	size_t at, size;

	if (n < 9 || memcmp(p, "R\0\0\0\10\0\0\0\0", 9) != 0)
		return "AuthenticationOk";
	for (at = 9; at < n; at += size) {
		size = (size_t)number_at(p + at + 1) + 1;
		if (p[at] == 'K' && size == 13) {
			keyed = true;
			m->pid = number_at(p + at + 5);
			memcpy(m->key, p + at + 9, 4);
		} else if (p[at] == 'S' && strcmp(p + at + 5,
		    "application_name") == 0)
			named = strcmp(p + at + 22, m->start[SET_NAME]) == 0;
		else if (p[at] == 'Z' ? p[at + 5] != 'I' : !is_aside(p[at]))
			return "a login";
	}
	return !named ? "application_name" : !keyed ? "a key" : NULL;
}

/* A line for each write. */
const char *
pg_judge(struct client *c, const struct want *w, const char *p, size_t n)
{
	static unsigned n_told;
	const char *why;

	if (w->kind == WANT_LOGIN)
		return judge_login(c, p, n);
	peer(c)->wrote = false;
	why = judge_as(c, w->text, w->len, p, n, false);
	if (why != NULL && w->other != NULL && judge_as(c, w->other,
	    w->other_len, p, n, true) == NULL)
		return NULL;
	if (why != NULL && n_told++ < FIRST_TOLD)
		fprintf(stderr, "load: session %" PRIu64 " had said%.*s\n",
		    c->session, (int)peer(c)->said.len, peer(c)->said.p);
	return why;
}
