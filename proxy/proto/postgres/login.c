/*
 * Logging in. See login.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/escape.h"
#include "proxy/proto/postgres/scram.h"
#include "proxy/proto/postgres/secret.h"
#include "proxy/proto/postgres/wire.h"

/* Where in PostgreSQL 55.2.1 the server is. */
enum state {
	STATE_ASKED,                    /* what does it want of us? */
	STATE_ANSWERED,                 /* it has a password */
	STATE_SCRAM_FIRST,              /* it has our first message */
	STATE_SCRAM_FINAL,              /* it has our proof, we not its */
	STATE_PROVEN,                   /* we have */
	STATE_IN,                       /* AuthenticationOk */
	STATE_OVER
};

/* AuthenticationXXX by number (55.7). */
enum {
	AUTH_OK = 0,
	AUTH_CLEARTEXT = 3,
	AUTH_MD5 = 5,
	AUTH_SASL = 10,
	AUTH_SASL_CONTINUE = 11,
	AUTH_SASL_FINAL = 12
};

static const char method[] = "SCRAM-SHA-256";
static const char method_plus[] = "SCRAM-SHA-256-PLUS";

enum { OFFERS_PLAIN = 1, OFFERS_PLUS = 2 };

/* One call of pg_login_feed(). */
struct feed {
	struct pg_login *l;
	const struct pg_login_as *as;
	struct block_store *store;
	struct buf *out;
};

/* ------------------------------------------------------------ how it begins */

static size_t
pair_size(const char *name, const char *value)
{
	return value != NULL ? strlen(name) + strlen(value) + 2 : 0;
}

static int
pair_put(struct block_store *store, struct buf *out, const char *name,
    const char *value)
{
	if (value == NULL)
		return 0;
	if (buf_append(store, out, name, strlen(name) + 1) < 0)
		return -1;
	return buf_append(store, out, value, strlen(value) + 1);
}

int
pg_login_start(struct pg_login *l, const struct pg_login_as *as,
    struct block_store *store, struct buf *out)
{
	size_t size = 4 + 4 + 1 + pair_size("user", as->user) +
	    pair_size("database", as->database) +
	    pair_size("application_name", as->application_name);
	char head[8];

	pg_login_fini(l);
	if (size > PG_STARTUP_MOST)
		return -1;
	pg_set_u32(head, (uint32_t)size);
	pg_set_u32(head + 4, 3 << 16);
	if (buf_append(store, out, head, sizeof(head)) < 0 ||
	    pair_put(store, out, "user", as->user) < 0 ||
	    pair_put(store, out, "database", as->database) < 0 ||
	    pair_put(store, out, "application_name",
	    as->application_name) < 0 ||
	    buf_append(store, out, "", 1) < 0)
		return -1;
	return 0;
}

/* -------------------------------------------------------------- how it ends */

/* Others' text in l->said, cut where a character of UTF-8 begins. */
static void
quote(struct pg_login *l, const char *text)
{
	size_t len = strlen(text), cut = len;

	if (len >= sizeof(l->said))
		for (cut = sizeof(l->said) - 1; cut > sizeof(l->said) - 5 &&
		    (text[cut] & 0xc0) == 0x80; cut--)
			;
	memcpy(l->said, text, cut);
	l->said[cut] = '\0';
	escape_tame(l->said);
}

static enum pg_login_got
bad(struct pg_login *l, const char *why)
{
	snprintf(l->said, sizeof(l->said), "%s", why);
	return PG_LOGIN_BAD;
}

/* It is no fault of the server that it asks for it: it may do so of this user
   alone (pg_hba.conf), whose password is missing in weir's file. */
static enum pg_login_got
unable(struct pg_login *l, const char *why)
{
	/* invalid_authorization_specification (appendix A) */
	strcpy(l->sqlstate, "28000");
	snprintf(l->said, sizeof(l->said), "weir: %s", why);
	return PG_LOGIN_REFUSED;
}

static enum pg_login_got
malformed(struct pg_login *l, char type)
{
	snprintf(l->said, sizeof(l->said),
	    "the server sent a malformed message '%c'", type);
	return PG_LOGIN_BAD;
}

static enum pg_login_got
no_memory(struct pg_login *l)
{
	return bad(l, "out of memory");
}

static bool
is_sqlstate(const char *code)
{
	return strlen(code) == 5 && strspn(code,
	    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

static enum pg_login_got
refused(struct pg_login *l, const char *body, size_t len)
{
	struct pg_report report;

	if (!pg_report_read(body, len, &report))
		return malformed(l, 'E');
	snprintf(l->sqlstate, sizeof(l->sqlstate), "%s",
	    is_sqlstate(report.code) ? report.code : "XX000");
	quote(l, report.message);
	return PG_LOGIN_REFUSED;
}

/* -------------------------------------------------------- passwords as such */

static enum pg_login_got
answer(struct feed *f, const char *text)
{
	f->l->state = STATE_ANSWERED;
	if (pg_put(f->store, f->out, 'p', text, strlen(text) + 1) < 0)
		return no_memory(f->l);
	return PG_LOGIN_MORE;
}

static enum pg_login_got
take_cleartext(struct feed *f, size_t len)
{
	if (len != 0)
		return malformed(f->l, 'R');
	if (f->as->password == NULL)
		return unable(f->l, "the server asks for a password, and there "
		    "is none");
	if (!f->as->secure)
		return unable(f->l, "the server asks for the password in clear "
		    "text, over a connection that others can listen to");
	return answer(f, f->as->password);
}

static enum pg_login_got
take_md5(struct feed *f, const char *salt, size_t len)
{
	const char *stored = f->as->md5;
	char made[PG_MD5_TEXT + 1], text[PG_MD5_TEXT + 1];
	enum pg_login_got got;

	if (len != PG_MD5_SALT)
		return malformed(f->l, 'R');
	if (stored == NULL && f->as->password == NULL)
		return unable(f->l, "the server asks for a password by MD5, and "
		    "there is none");
	if (stored == NULL) {
		if (pg_md5_make(f->as->password, f->as->user, made) < 0)
			return unable(f->l, "MD5 is not to be had");
		stored = made;
	}
	if (pg_md5_answer(stored, salt, text) < 0)
		return unable(f->l, "MD5 is not to be had");
	got = answer(f, text);
	explicit_bzero(made, sizeof(made));
	explicit_bzero(text, sizeof(text));
	return got;
}

/* -------------------------------------------------------------------- SCRAM */

/* Which of ours are among the names, each of them ended, and the list by an
   empty one: bits. -1: it is no such list. */
static int
offers_of(const char *names, size_t len)
{
	const char *name;
	size_t at = 0;
	int offered = 0;

	while ((name = pg_string(names, len, &at)) != NULL && *name != '\0')
		if (strcmp(name, method) == 0)
			offered |= OFFERS_PLAIN;
		else if (strcmp(name, method_plus) == 0)
			offered |= OFFERS_PLUS;
	return name != NULL && at == len ? offered : -1;
}

/* Bound to the server's certificate where both can. Where only weir can, the
   server is told, lest somebody has taken its offer out. */
static struct pg_scram_binding
binding_with(const struct pg_login_as *as, int offered)
{
	struct pg_scram_binding binding = as->binding;

	binding.channel = binding.len == 0 ? PG_SCRAM_UNBOUND :
	    (offered & OFFERS_PLUS) != 0 ? PG_SCRAM_BOUND : PG_SCRAM_UNUSED;
	return binding;
}

static enum pg_login_got
take_sasl(struct feed *f, const char *names, size_t len)
{
	char body[sizeof(method_plus) + 4 + 128];
	int offered = offers_of(names, len);
	struct pg_scram_binding binding = binding_with(f->as, offered);
	bool plus = binding.channel == PG_SCRAM_BOUND;
	size_t n, at = plus ? sizeof(method_plus) : sizeof(method);
	struct pg_login *l = f->l;

	if (offered < 0)
		return malformed(l, 'R');
	if (!plus && (offered & OFFERS_PLAIN) == 0)
		return unable(l, "the server asks for a method of SASL other "
		    "than SCRAM-SHA-256");
	if (f->as->password == NULL && f->as->keys == NULL)
		return unable(l, "the server asks for a password by SCRAM, and "
		    "there is none");
	l->scram = malloc(sizeof(*l->scram));
	if (l->scram == NULL)
		return no_memory(l);
	if (pg_scram_client_first_bound(l->scram, &binding, body + at + 4, 128,
	    &n) != PG_SCRAM_OK)
		return bad(l, l->scram->why);
	/* SASLInitialResponse (55.7) */
	memcpy(body, plus ? method_plus : method, at);
	pg_set_u32(body + at, (uint32_t)n);
	l->state = STATE_SCRAM_FIRST;
	if (pg_put(f->store, f->out, 'p', body, at + 4 + n) < 0)
		return no_memory(l);
	return PG_LOGIN_MORE;
}

static enum pg_login_got
take_challenge(struct feed *f, const char *message, size_t len)
{
	char final[PG_SCRAM_MESSAGE_MOST + 256];
	struct pg_login *l = f->l;
	size_t n;

	if (pg_scram_client_final(l->scram, f->as->password, f->as->keys,
	    f->as->memo, message, len, final, sizeof(final), &n) !=
	    PG_SCRAM_OK)
		return bad(l, l->scram->why);
	l->state = STATE_SCRAM_FINAL;
	if (pg_put(f->store, f->out, 'p', final, n) < 0)
		return no_memory(l);
	return PG_LOGIN_MORE;
}

static enum pg_login_got
take_signature(struct feed *f, const char *message, size_t len)
{
	struct pg_login *l = f->l;

	if (pg_scram_client_verify(l->scram, message, len) != PG_SCRAM_OK)
		return bad(l, l->scram->why);
	l->state = STATE_PROVEN;
	return PG_LOGIN_MORE;
}

/* ---------------------------------------------------- what it asks and says */

static enum pg_login_got
take_ok(struct feed *f, size_t len)
{
	if (len != 0)
		return malformed(f->l, 'R');
	f->l->state = STATE_IN;
	return PG_LOGIN_MORE;
}

static enum pg_login_got
out_of_place(struct pg_login *l)
{
	if (l->state == STATE_SCRAM_FIRST || l->state == STATE_SCRAM_FINAL)
		return bad(l, "the server does not prove that it knows the "
		    "password");
	return bad(l, "the server asks out of order");
}

static enum pg_login_got
take_request(struct feed *f, const char *body, size_t len)
{
	enum state state = (enum state)f->l->state;
	const char *rest = body + 4;
	char why[100];
	uint32_t number;

	if (len < 4)
		return malformed(f->l, 'R');
	number = pg_u32(body);
	len -= 4;
	if (number == AUTH_OK && (state == STATE_ASKED ||
	    state == STATE_ANSWERED || state == STATE_PROVEN))
		return take_ok(f, len);
	if (number == AUTH_SASL_CONTINUE && state == STATE_SCRAM_FIRST)
		return take_challenge(f, rest, len);
	if (number == AUTH_SASL_FINAL && state == STATE_SCRAM_FINAL)
		return take_signature(f, rest, len);
	if (state != STATE_ASKED || number == AUTH_SASL_CONTINUE ||
	    number == AUTH_SASL_FINAL)
		return out_of_place(f->l);
	if (number == AUTH_CLEARTEXT)
		return take_cleartext(f, len);
	if (number == AUTH_MD5)
		return take_md5(f, rest, len);
	if (number == AUTH_SASL)
		return take_sasl(f, rest, len);
	snprintf(why, sizeof(why), "the server asks for a way to log in that "
	    "weir does not have (%u)", number);
	return unable(f->l, why);
}

static enum pg_login_got
take_param(struct pg_login *l, const char *body, size_t len)
{
	size_t at = 0;
	char *grown;

	if (pg_string(body, len, &at) == NULL || at == 1 ||
	    pg_string(body, len, &at) == NULL || at != len)
		return malformed(l, 'S');
	if (len > PG_LOGIN_PARAMS_MOST - l->params_len)
		return bad(l, "the server has too many parameters");
	grown = realloc(l->params, l->params_len + len);
	if (grown == NULL)
		return no_memory(l);
	memcpy(grown + l->params_len, body, len);
	l->params = grown;
	l->params_len += len;
	return PG_LOGIN_MORE;
}

/* Four bytes of key in protocol 3.0; up to 256 in 3.2 (55.7), which is not
   asked for, but what stands between may know no better. */
static enum pg_login_got
take_key(struct pg_login *l, const char *body, size_t len)
{
	if (len < 8 || len > 4 + PG_LOGIN_KEY_MOST || l->key_len != 0)
		return malformed(l, 'K');
	l->pid = pg_u32(body);
	l->key_len = len - 4;
	memcpy(l->key, body + 4, l->key_len);
	return PG_LOGIN_MORE;
}

/* NegotiateProtocolVersion: the newest that it speaks, and the options that it
   does not know. We asked for the oldest, and for none: there is nothing to
   negotiate, but a server may say so. */
static enum pg_login_got
take_version(struct pg_login *l, const char *body, size_t len)
{
	size_t at = 8;
	uint32_t n;

	if (len < 8)
		return malformed(l, 'v');
	for (n = pg_u32(body + 4); n > 0; n--)
		if (pg_string(body, len, &at) == NULL)
			return malformed(l, 'v');
	return at == len ? PG_LOGIN_MORE : malformed(l, 'v');
}

static enum pg_login_got
take_notice(struct pg_login *l, const char *body, size_t len)
{
	struct pg_report report;

	return pg_report_read(body, len, &report) ? PG_LOGIN_MORE :
	    malformed(l, 'N');
}

static enum pg_login_got
take_ready(struct pg_login *l, const char *body, size_t len)
{
	if (len != 1 || body[0] != 'I')
		return malformed(l, 'Z');
	return PG_LOGIN_DONE;
}

/* Which messages there are before, and which behind AuthenticationOk. */
static enum pg_login_got
take(struct feed *f, char type, const char *body, size_t len)
{
	struct pg_login *l = f->l;
	bool in = l->state == STATE_IN;

	if (type == 'E')
		return refused(l, body, len);
	if (type == 'N')
		return take_notice(l, body, len);
	if (type == 'R' && !in)
		return take_request(f, body, len);
	if (type == 'v' && l->state == STATE_ASKED)
		return take_version(l, body, len);
	if (type == 'S' && in)
		return take_param(l, body, len);
	if (type == 'K' && in)
		return take_key(l, body, len);
	if (type == 'Z' && in)
		return take_ready(l, body, len);
	if (type < '!' || type > '~')
		return bad(l, "the answer is not PostgreSQL's");
	snprintf(l->said, sizeof(l->said),
	    "the server sent a message '%c' while it was logged in to", type);
	return PG_LOGIN_BAD;
}

/* A look at a message before all of it is there. "H", of an HTTP server, waits
   for no gigabyte. */
static bool
is_too_long(const struct pg_login *l, const struct pg_head *h)
{
	return h->size > PG_LOGIN_MESSAGE_MOST ||
	    h->size > PG_LOGIN_MOST - l->heard;
}

static enum pg_login_got
feed(struct feed *f, struct buf *in)
{
	enum pg_login_got got = PG_LOGIN_MORE;
	struct pg_login *l = f->l;
	struct pg_head head;

	while (got == PG_LOGIN_MORE) {
		enum parse read = pg_head_at(in, 0, &head);
		const char *bytes;

		if (read == PARSE_MORE)
			break;
		if (read == PARSE_BAD)
			return bad(l, "the answer is not PostgreSQL's");
		if (is_too_long(l, &head))
			return bad(l, "the answer is too long for "
			    "PostgreSQL's");
		if (in->len < head.size)
			break;
		bytes = buf_flat(f->store, in, head.size);
		if (bytes == NULL)
			return no_memory(l);
		l->heard += head.size;
		got = take(f, head.type, bytes + PG_HEAD, head.size - PG_HEAD);
		buf_drop(f->store, in, head.size);
	}
	return got;
}

static void
scram_end(struct pg_login *l)
{
	if (l->scram == NULL)
		return;
	pg_scram_client_fini(l->scram);
	free(l->scram);
	l->scram = NULL;
}

enum pg_login_got
pg_login_feed(struct pg_login *l, const struct pg_login_as *as,
    struct block_store *store, struct buf *in, struct buf *out)
{
	struct feed f = { l, as, store, out };
	enum pg_login_got got;

	if (l->state == STATE_OVER)
		return bad(l, "the login is over");
	got = feed(&f, in);
	if (got == PG_LOGIN_MORE && l->state != STATE_IN)
		return got;
	scram_end(l);
	if (got != PG_LOGIN_MORE)
		l->state = STATE_OVER;
	return got;
}

void
pg_login_forget(struct pg_login *l)
{
	scram_end(l);
	free(l->params);
	l->params = NULL;
	l->params_len = 0;
}

void
pg_login_fini(struct pg_login *l)
{
	pg_login_forget(l);
	explicit_bzero(l, sizeof(*l));
}
