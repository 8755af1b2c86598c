/*
 * The first message of a client: what it speaks, who it is, what it wants to be
 * set; or that it only wants somebody's query cancelled (PostgreSQL 55.2.1,
 * 55.2.8 to 55.2.11).
 *
 * SPDX-License-Identifier: MIT
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/postgres/auth.h"
#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/tls.h"
#include "proxy/shake.h"

enum {
	MAJOR = 3, MINOR_MOST = 2,
	NAME_MOST = 64,                 /* of a setting, its end included */
	IDENTITY_MOST = 255,            /* of a user or database; servers keep
					   63 bytes */
	NAMES_MOST = 16                 /* unknown options that are named */
};

/* What a StartupMessage says; pointing into it. */
struct startup {
	const char *user, *database, *options;
	const char *unknown[NAMES_MOST];        /* options of the protocol */
	unsigned n_unknown;
	bool replication;
};

/* ----------------------------------------------------------------- settings */

/* A name that a server could have; anything else it would refuse. */
static bool
is_name(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_' &&
		    name[i] != '.' && name[i] != '$')
			return false;
	return i > 0 && i < NAME_MOST;
}

/* False when out of memory or over what a client may set. */
static bool
set(struct session *s, const char *name, const char *value)
{
	return !is_name(name) || pg_state_is_fixed(name) ||
	    pg_settings_change(&pg_session(s)->startup, name, value) == 0;
}

/* The next word of options, its backslashes taken out (PostgreSQL 55.7,
   StartupMessage); NULL at the end. */
static char *
next_word(char **at)
{
	char *in = *at, *out, *word;

	while (isspace((unsigned char)*in))
		in++;
	if (*in == '\0')
		return NULL;
	for (word = out = in; *in != '\0' && !isspace((unsigned char)*in);) {
		if (*in == '\\' && in[1] != '\0')
			in++;
		*out++ = *in++;
	}
	*at = *in == '\0' ? in : in + 1;
	*out = '\0';
	return word;
}

/* "-c name=value", "-cname=value", "--name=value"; what else a server can be
   told there has no meaning for a session. */
static bool
set_options(struct session *s, char *options)
{
	char *word, *value;

	while ((word = next_word(&options)) != NULL) {
		if (strcmp(word, "-c") == 0)
			word = next_word(&options);
		else if (strncmp(word, "-c", 2) == 0 ||
		    strncmp(word, "--", 2) == 0)
			word += 2;
		else
			continue;
		value = word != NULL ? strchr(word, '=') : NULL;
		if (value == NULL)
			continue;
		*value++ = '\0';
		for (char *c = word; *c != '\0'; c++)
			if (*c == '-')
				*c = '_';
		if (!set(s, word, value))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ reading */

static bool
has_tls(const struct session *s)
{
	return s->door->conf->tls.server != NULL;
}

static bool
is_true(const char *value)
{
	static const char *const words[] = { "off", "false", "no", "0", "f", "n" };
	size_t i;

	for (i = 0; i < NELEMS(words); i++)
		if (strcasecmp(value, words[i]) == 0)
			return false;
	return true;
}

/* False: over what a client may set, or out of memory. */
static bool
take_one(struct session *s, const char *name, const char *value,
    struct startup *st)
{
	if (strcmp(name, "user") == 0)
		st->user = value;
	else if (strcmp(name, "database") == 0)
		st->database = value;
	else if (strcmp(name, "options") == 0)
		st->options = value;
	else if (strcmp(name, "replication") == 0)
		st->replication = is_true(value);
	else if (strncmp(name, "_pq_.", 5) == 0) {
		if (st->n_unknown < NAMES_MOST)
			st->unknown[st->n_unknown++] = name;
	} else
		return set(s, name, value);
	return true;
}

/* What the client could have had, and has not (55.2.1: the newest minor version
   that weir speaks, and the options that it does not know). */
static int
negotiate(struct session *s, const struct startup *st)
{
	struct block_store *store = &s->conn.w->blocks;
	char body[8 + NAMES_MOST * 80];
	size_t at = 8;
	unsigned i;

	pg_set_u32(body, (uint32_t)MAJOR << 16 | pg_session(s)->minor);
	pg_set_u32(body + 4, st->n_unknown);
	for (i = 0; i < st->n_unknown; i++) {
		size_t len = strnlen(st->unknown[i], 79);

		memcpy(body + at, st->unknown[i], len);
		body[at + len] = '\0';
		at += len + 1;
	}
	return pg_put(store, &s->conn.out, 'v', body, at);
}

/* Behind the version: names with their values, and an end. */
static void
read_startup(struct session *s, char *bytes, size_t len, unsigned minor)
{
	struct pg_session *ps = pg_session(s);
	struct startup st = { 0 };
	const char *name, *value, *database;
	size_t at = 0;

	while (at < len && bytes[at] != '\0') {
		name = pg_string(bytes, len, &at);
		value = name != NULL ? pg_string(bytes, len, &at) : NULL;
		if (value == NULL) {
			pg_say_fatal(s, "08P01", "invalid startup packet "
			    "layout: expected terminator as last byte");
			return;
		}
		if (!take_one(s, name, value, &st)) {
			pg_say_fatal(s, "54000", "weir: too many settings in "
			    "the startup packet");
			return;
		}
	}
	if (at + 1 != len) {
		pg_say_fatal(s, "08P01", "invalid startup packet layout: "
		    "expected terminator as last byte");
		return;
	}
	if (st.user == NULL || *st.user == '\0') {
		pg_say_fatal(s, "28000", "no PostgreSQL user name specified in "
		    "startup packet");
		return;
	}
	database = st.database != NULL && *st.database != '\0' ?
	    st.database : st.user;
	if (strlen(st.user) > IDENTITY_MOST ||
	    strlen(database) > IDENTITY_MOST) {
		pg_say_fatal(s, "08P01", "weir: the name of the user or of the "
		    "database is too long");
		return;
	}
	/* Its password has not been sent yet, and is not asked for. */
	if (has_tls(s) && conn_ssl(&s->conn) == NULL &&
	    pg_conf(s)->tls == PG_TLS_REQUIRE) {
		pg_auth_refuse(s, st.user, database, "no encryption, which "
		    "postgres.tls wants", "28000", "weir: no encryption: "
		    "connect with sslmode=require or better");
		return;
	}
	if (st.replication) {
		pg_say_fatal(s, "0A000", "weir does not pool replication "
		    "connections: connect to the server itself");
		return;
	}
	/* Taken apart in place: they are the message's own bytes. */
	if (st.options != NULL &&
	    !set_options(s, bytes + (st.options - bytes))) {
		pg_say_fatal(s, "54000", "weir: too many settings in the "
		    "startup packet");
		return;
	}
	ps->minor = (uint8_t)(minor > MINOR_MOST ? MINOR_MOST : minor);
	/* 3.1 is reserved: no server ever spoke it. */
	if (ps->minor == 1)
		ps->minor = 0;
	if ((minor != ps->minor || st.n_unknown > 0) &&
	    negotiate(s, &st) < 0) {
		session_reset(s);
		return;
	}
	pg_auth_begin(s, st.user, database);
}

/* ----------------------------------------------------------- other requests */

/* The deadline becomes the handshake's, for the time being. */
static void
shake(struct session *s)
{
	struct pg_session *ps = pg_session(s);

	ps->phase = PG_TLS_SHAKES;
	ps->late_ns = s->deadline.at_ns;
	shake_begin(s);
}

/* Nothing may have come behind the question: it would have been sent in the
   clear, and be taken for encrypted (CVE-2021-3935, CVE-2021-23222). */
static bool
is_alone(struct session *s)
{
	if (s->conn.in.len == 0)
		return true;
	pg_say_fatal(s, "08P01", "received unencrypted data after SSL "
	    "request");
	return false;
}

/* The answer goes out before TLS begins: what is in out then is encrypted. */
void
pg_startup_drained(struct session *s)
{
	if (pg_session(s)->phase == PG_TLS_DUE && s->conn.out.len == 0)
		shake(s);
}

/* One byte is the answer. */
static void
answer_encryption(struct session *s, bool yes)
{
	struct block_store *store = &s->conn.w->blocks;

	if (!is_alone(s))
		return;
	pg_session(s)->asked = true;
	if (buf_append(store, &s->conn.out, yes ? "S" : "N", 1) < 0) {
		session_reset(s);
		return;
	}
	if (!yes) {
		conn_send(&s->conn);
		return;
	}
	pg_session(s)->phase = PG_TLS_DUE;
	conn_flush(&s->conn);
	if (!s->closed)
		pg_startup_drained(s);
}

static void
shaken(struct session *s)
{
	struct pg_session *ps = pg_session(s);
	int64_t left_ns = ps->late_ns - s->conn.w->now_ns;

	/* One time limit for all that comes before it is let in. */
	deadline_set_ns(s->conn.w, &s->deadline, left_ns > 0 ? left_ns : 0);
	if (ps->direct && !pg_tls_is_meant(conn_ssl(&s->conn)))
		pg_say_fatal(s, "08P01", "received direct SSL connection "
		    "request without ALPN protocol negotiation extension");
	else
		ps->phase = PG_STARTUP;
}

void
pg_startup_tls(struct session *s)
{
	if (pg_session(s)->phase == PG_TLS_DUE)
		(void)is_alone(s);
	else if (conn_ssl(&s->conn) != NULL && !s->conn.securing)
		shaken(s);
}

/* A ClientHello in the place of the first message (55.2.10): 22 is a record of
   the handshake (RFC 8446 5.1), and would be a length of hundreds of MB. */
static bool
is_direct_tls(const struct session *s)
{
	char first;

	if (!has_tls(s) || pg_session(s)->asked || s->conn.in.len == 0 ||
	    conn_ssl(&s->conn) != NULL)
		return false;
	pg_copy_at(&s->conn.in, 0, &first, 1);
	return first == 0x16;
}

/* There is no answer to it: the end is. */
static void
read_cancel(struct session *s, const char *bytes, size_t len)
{
	if (len >= 8 && len <= 4 + 256)
		pg_cancel_asked(s, pg_u32(bytes), bytes + 4, len - 4);
	else
		session_close(s);
}

static void
read_first(struct session *s, char *bytes, size_t len)
{
	uint32_t version = pg_u32(bytes);

	bool secured = conn_ssl(&s->conn) != NULL;

	if (version == PG_CANCEL_REQUEST) {
		read_cancel(s, bytes + 4, len - 4);
		return;
	}
	/* Encrypted twice is no version of the protocol either. */
	if ((version == PG_SSL_REQUEST || version == PG_GSSENC_REQUEST) &&
	    !secured) {
		if (len != 4)
			pg_say_fatal(s, "08P01", "invalid length of startup "
			    "packet");
		else
			answer_encryption(s, version == PG_SSL_REQUEST &&
			    has_tls(s));
		return;
	}
	if (version >> 16 != MAJOR) {
		pg_say_fatal(s, "0A000", "unsupported frontend protocol %u.%u: "
		    "server supports 3.0 to 3.2", version >> 16,
		    version & 0xffff);
		return;
	}
	read_startup(s, bytes + 4, len - 4, version & 0xffff);
}

void
pg_startup_take(struct session *s)
{
	struct block_store *store = &s->conn.w->blocks;
	char bytes[PG_STARTUP_MOST];
	uint32_t size;
	char head[4];

	if (is_direct_tls(s)) {
		pg_session(s)->direct = true;
		shake(s);
		return;
	}
	if (s->conn.in.len < sizeof(head))
		return;
	pg_copy_at(&s->conn.in, 0, head, sizeof(head));
	size = pg_u32(head);
	if (size < 8 || size > PG_STARTUP_MOST) {
		pg_say_fatal(s, "08P01", "invalid length of startup packet");
		return;
	}
	if (s->conn.in.len < size)
		return;
	pg_copy_at(&s->conn.in, sizeof(head), bytes, size - sizeof(head));
	buf_drop(store, &s->conn.in, size);
	read_first(s, bytes, size - sizeof(head));
	explicit_bzero(bytes, size);
}
