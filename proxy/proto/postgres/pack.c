/*
 * Clients' and connections' state as JSON. See pack.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/pack.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/scram.h"

enum {
	IDENTITY_MOST = 255,            /* bytes of a user, of a database */
	NAMES_MOST = 500                /* of a list's: each is compared with
					   those before it */
};

/* -------------------------------------------------------------------- bytes */

/* The character that stands for a byte of 0. */
enum { ZERO = 0x100 };

json_t *
pg_bytes_pack(const void *bytes, size_t len)
{
	const unsigned char *in = bytes;
	char *text = malloc(2 * len + 1), *out = text;
	json_t *j;
	size_t i;

	if (text == NULL)
		return NULL;
	for (i = 0; i < len; i++) {
		unsigned c = in[i] == 0 ? ZERO : in[i];

		if (c < 0x80)
			*out++ = (char)c;
		else {
			*out++ = (char)(0xc0 | c >> 6);
			*out++ = (char)(0x80 | (c & 0x3f));
		}
	}
	j = json_stringn_nocheck(text, (size_t)(out - text));
	explicit_bzero(text, (size_t)(out - text));
	free(text);
	return j;
}

/* The byte of the character at *at, which moves behind it; -1: it stands for
   none. */
static int
next_byte(const char *text, size_t len, size_t *at)
{
	unsigned first = (unsigned char)text[(*at)++], c;

	if (first < 0x80)
		return first == 0 ? -1 : (int)first;
	if ((first & 0xe0) != 0xc0 || *at == len)
		return -1;
	c = (first & 0x1f) << 6 | ((unsigned char)text[(*at)++] & 0x3f);
	return c == ZERO ? 0 : c > 0xff ? -1 : (int)c;
}

char *
pg_bytes_unpack(const json_t *j, size_t most, size_t *len)
{
	const char *text = json_string_value(j);
	size_t text_len = json_string_length(j), at = 0, n = 0;
	char *out;
	int byte = 0;

	if (text == NULL || text_len > 2 * most)
		return NULL;
	out = malloc(text_len + 1);
	if (out == NULL)
		return NULL;
	while (at < text_len && byte >= 0) {
		byte = next_byte(text, text_len, &at);
		out[n++] = (char)byte;
	}
	out[n] = '\0';
	if (byte >= 0 && n <= most) {
		*len = n;
		return out;
	}
	explicit_bzero(out, n);
	free(out);
	return NULL;
}

/* A text: no 0 in it. */
static char *
text_unpack(const json_t *j, size_t most)
{
	size_t len;
	char *text = pg_bytes_unpack(j, most, &len);

	if (text == NULL || strlen(text) == len)
		return text;
	explicit_bzero(text, len);
	free(text);
	return NULL;
}

static json_t *
text_pack(const char *text)
{
	return pg_bytes_pack(text, strlen(text));
}

/* Takes the reference; false when out of memory. */
static bool
put(json_t *to, const char *name, json_t *value)
{
	return json_object_set_new(to, name, value) == 0;
}

static json_t *
whole(json_t *j, bool good)
{
	if (good)
		return j;
	json_decref(j);
	return NULL;
}

/* ----------------------------------------------------------------- settings */

json_t *
pg_settings_pack(const struct pg_settings *s)
{
	const char *name, *value;
	uint32_t at = 0, n = 0;

	while (pg_settings_next(s, &at, &name, &value))
		n++;
	if (n > NAMES_MOST)
		return NULL;
	return s != NULL ? pg_bytes_pack(s->text, s->len) :
	    pg_bytes_pack("", 0);
}

/* Each name with a value behind it, so that it can be read at all. */
static bool
is_paired(const char *text, size_t len)
{
	size_t ends = 0, i;

	for (i = 0; i < len; i++)
		ends += text[i] == '\0';
	return len > 0 && text[len - 1] == '\0' && ends % 2 == 0 &&
	    ends / 2 <= NAMES_MOST;
}

/* That names are there once is what comparing lists relies on. */
static bool
is_list(const struct pg_settings *s)
{
	const char *name, *value;
	uint32_t at = 0;

	while (pg_settings_next(s, &at, &name, &value))
		if (*name == '\0' || pg_settings_find(s, name) != value)
			return false;
	return true;
}

struct pg_settings *
pg_settings_come(const char *text, size_t len)
{
	struct pg_settings *s = len <= PG_SETTINGS_MOST &&
	    is_paired(text, len) ? pg_settings_of(text, len) : NULL;

	if (s != NULL && is_list(s))
		return s;
	pg_settings_drop(s);
	return NULL;
}

int
pg_settings_unpack(const json_t *j, struct pg_settings **s)
{
	size_t len;
	char *text = j != NULL ? pg_bytes_unpack(j, PG_SETTINGS_MOST, &len) :
	    NULL;
	bool is_empty = j == NULL || (text != NULL && len == 0);

	if (!is_empty && text != NULL)
		*s = pg_settings_come(text, len);
	free(text);
	return is_empty || *s != NULL ? 0 : -1;
}

/* --------------------------------------------------------------------- keys */

/* Words that stay: another version reads them. */
static const char *const kinds[] = {
	[PG_KEY_PLAIN] = "plain",
	[PG_KEY_PASSWORD] = "password",
	[PG_KEY_MD5] = "md5",
	[PG_KEY_SCRAM] = "scram"
};

json_t *
pg_key_pack(const struct pg_key *key)
{
	json_t *j;

	if (key->user_len > IDENTITY_MOST || key->database_len > IDENTITY_MOST)
		return NULL;
	j = json_object();
	return whole(j, put(j, "user", text_pack(pg_key_user(key))) &&
	    put(j, "database", text_pack(pg_key_database(key))) &&
	    put(j, "kind", json_string(kinds[key->kind])) &&
	    put(j, "secret", pg_bytes_pack(pg_key_secret(key),
	    key->secret_len)));
}

/* What a login takes it for: a text, but for keys; of a plain one nothing. */
bool
pg_key_is_secret(enum pg_key_kind kind, const char *secret, size_t len)
{
	switch (kind) {
	case PG_KEY_PLAIN:
		return len == 0;
	case PG_KEY_PASSWORD:
	case PG_KEY_MD5:
		return strlen(secret) == len;
	case PG_KEY_SCRAM:
		return len == sizeof(struct pg_scram_keys);
	}
	return false;
}

/* NELEMS: it is none. */
static size_t
kind_of(const json_t *j)
{
	const char *word = json_string_value(j);
	size_t i;

	for (i = 0; word != NULL && i < NELEMS(kinds); i++)
		if (strcmp(word, kinds[i]) == 0)
			return i;
	return NELEMS(kinds);
}

struct pg_key *
pg_key_unpack(const json_t *j)
{
	char *user = text_unpack(json_object_get(j, "user"), IDENTITY_MOST);
	char *database = text_unpack(json_object_get(j, "database"),
	    IDENTITY_MOST);
	size_t kind = kind_of(json_object_get(j, "kind")), len = 0;
	char *secret = pg_bytes_unpack(json_object_get(j, "secret"),
	    PG_STARTUP_MOST, &len);
	struct pg_key *key = NULL;

	if (user != NULL && *user != '\0' && database != NULL &&
	    *database != '\0' && secret != NULL && kind < NELEMS(kinds) &&
	    pg_key_is_secret((enum pg_key_kind)kind, secret, len))
		key = pg_key_new(user, database, (enum pg_key_kind)kind,
		    secret, len);
	if (secret != NULL)
		explicit_bzero(secret, len);
	free(secret);
	free(database);
	free(user);
	return key;
}

/* --------------------------------------------------------------- statements */

json_t *
pg_statement_pack(const struct pg_statement *st)
{
	json_t *j = json_object();

	return whole(j, put(j, "body", pg_bytes_pack(st->body, st->len)) &&
	    put(j, "id", json_integer((json_int_t)st->id)) &&
	    put(j, "flags", json_integer(st->flags)) &&
	    put(j, "shared", json_boolean(st->cached)) &&
	    put(j, "retired", json_boolean(st->retired)));
}

/* What it may leave on a session; where that is not said, anything. */
static unsigned
flags_of(const json_t *j)
{
	const json_t *flags = json_object_get(j, "flags");

	return json_is_integer(flags) ? (unsigned)json_integer_value(flags) &
	    PG_SCAN_ALL : PG_SCAN_UNSURE;
}

/* One that is retired is never prepared anew, and no connection here has it. */
static struct pg_statement *
retired(struct pg_statements *all, const char *body, size_t len)
{
	struct pg_statement *st = pg_statement_own(all, body, len);

	if (st != NULL)
		st->retired = true;
	return st;
}

struct pg_statement *
pg_statement_unpack(struct pg_statements *all, const json_t *j)
{
	json_int_t id = json_integer_value(json_object_get(j, "id"));
	bool shared = json_is_true(json_object_get(j, "shared"));
	struct pg_statement *st = NULL;
	bool is_new = true;
	size_t len;
	char *body = pg_bytes_unpack(json_object_get(j, "body"),
	    PG_NAMES_MOST_BYTES, &len);

	if (body == NULL || !pg_statement_is_body(body, len))
		goto out;
	if (json_is_true(json_object_get(j, "retired")))
		st = retired(all, body, len);
	else
		st = pg_statement_come(all, (uint64_t)id, body, len, shared,
		    &is_new);
	if (st != NULL && is_new)
		st->flags = flags_of(j);
out:
	free(body);
	return st;
}
