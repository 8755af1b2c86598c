/*
 * SCRAM-SHA-256. See scram.h.
 *
 * RFC 5802 3 in one view:
 *   SaltedPassword  = PBKDF2(SASLprep(password), salt, iterations)
 *   ClientKey       = HMAC(SaltedPassword, "Client Key")
 *   StoredKey       = H(ClientKey)
 *   ServerKey       = HMAC(SaltedPassword, "Server Key")
 *   AuthMessage     = client-first-bare "," server-first ","
 *                     client-final-without-proof
 *   ClientProof     = ClientKey XOR HMAC(StoredKey, AuthMessage)
 *   ServerSignature = HMAC(ServerKey, AuthMessage)
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/scram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stringprep.h>

enum {
	NONCE_BYTES = 18,               /* random ones, as PostgreSQL's are */
	NONCE_TEXT = NONCE_BYTES / 3 * 4,
	KEY_TEXT = (PG_SCRAM_KEY + 2) / 3 * 4,
	SALT_TEXT = (PG_SCRAM_SALT_MOST + 2) / 3 * 4
};

/* A piece of a message. */
struct piece {
	const char *bytes;
	size_t len;
};

/* ------------------------------------------------------------------- base64 */

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * RFC 4648 4 to the letter; EVP_DecodeBlock() passes over blanks and does not
 * say how many bytes the padding took. Returns how many, or -1: it is not, or
 * they are more than size.
 */
static int
base64_read(struct piece text, unsigned char *out, size_t size)
{
	size_t i, n = 0, digits = text.len;
	unsigned bits = 0, left = 0;

	if (text.len % 4 != 0)
		return -1;
	while (digits > 0 && text.len - digits < 2 &&
	    text.bytes[digits - 1] == '=')
		digits--;
	for (i = 0; i < digits; i++) {
		int digit = base64_digit(text.bytes[i]);

		if (digit < 0)
			return -1;
		bits = (bits << 6 | (unsigned)digit) & 0xfff;
		left += 6;
		if (left < 8)
			continue;
		left -= 8;
		if (n == size)
			return -1;
		out[n++] = (unsigned char)(bits >> left);
	}
	if ((bits & ((1u << left) - 1)) != 0)
		return -1;
	return (int)n;
}

static int
key_read(struct piece text, unsigned char key[PG_SCRAM_KEY])
{
	return base64_read(text, key, PG_SCRAM_KEY) == PG_SCRAM_KEY ? 0 : -1;
}

/* Room for as much and a NUL. */
static void
base64_write(const unsigned char *bytes, size_t len, char *out)
{
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
}

/* ------------------------------------------------------------ what it is of */

static int
hmac(const unsigned char key[PG_SCRAM_KEY], const void *text, size_t len,
    unsigned char out[PG_SCRAM_KEY])
{
	return HMAC(EVP_sha256(), key, PG_SCRAM_KEY, text, len, out, NULL) ==
	    NULL ? -1 : 0;
}

static int
digest(const unsigned char key[PG_SCRAM_KEY], unsigned char out[PG_SCRAM_KEY])
{
	return EVP_Digest(key, PG_SCRAM_KEY, out, NULL, EVP_sha256(), NULL) ==
	    1 ? 0 : -1;
}

/* The signature over all that was said, without the key's or with it: what is
   in out is XORed with it. */
static int
sign(const unsigned char key[PG_SCRAM_KEY], const char *auth, size_t len,
    unsigned char out[PG_SCRAM_KEY])
{
	unsigned char signature[PG_SCRAM_KEY];
	size_t i;

	if (hmac(key, auth, len, signature) < 0)
		return -1;
	for (i = 0; i < PG_SCRAM_KEY; i++)
		out[i] ^= signature[i];
	return 0;
}

static bool
is_ascii(const char *text)
{
	while (*text != '\0')
		if (*text++ & 0x80)
			return false;
	return true;
}

/*
 * SASLprep (RFC 4013), without characters that Unicode 3.2 did not have; NULL
 * when it has nothing to say: the bytes count. PostgreSQL (55.3.1) does that
 * when they are no UTF-8 or prohibited, and with what would be left empty.
 */
static char *
prepared(const char *password)
{
	char *out = NULL;

	if (is_ascii(password))
		return NULL;
	if (stringprep_profile(password, &out, "SASLprep",
	    STRINGPREP_NO_UNASSIGNED) != STRINGPREP_OK)
		return NULL;
	if (*out == '\0') {
		free(out);
		return NULL;
	}
	return out;
}

static int
keys_make(const char *password, const unsigned char *salt, size_t salt_len,
    unsigned iterations, struct pg_scram_keys *keys)
{
	unsigned char salted[PG_SCRAM_KEY];
	char *prep = prepared(password);
	const char *text = prep != NULL ? prep : password;
	int rc = -1;

	if (PKCS5_PBKDF2_HMAC(text, (int)strlen(text), salt, (int)salt_len,
	    (int)iterations, EVP_sha256(), sizeof(salted), salted) == 1 &&
	    hmac(salted, "Client Key", 10, keys->client_key) == 0)
		rc = hmac(salted, "Server Key", 10, keys->server_key);
	explicit_bzero(salted, sizeof(salted));
	if (prep != NULL) {
		explicit_bzero(prep, strlen(prep));
		free(prep);
	}
	return rc;
}

/* ------------------------------------------------------------------ secrets */

/* A number from 1 to PG_SCRAM_ITERATIONS_MOST; 0: it is none. */
static unsigned
iterations_read(struct piece text)
{
	unsigned n = 0;
	size_t i;

	if (text.len == 0 || text.len > 7 || text.bytes[0] == '0')
		return 0;
	for (i = 0; i < text.len; i++) {
		if (text.bytes[i] < '0' || text.bytes[i] > '9')
			return 0;
		n = n * 10 + (unsigned)(text.bytes[i] - '0');
	}
	return n > PG_SCRAM_ITERATIONS_MOST ? 0 : n;
}

/* What is before the next `end`, which *text moves behind; the whole of it for
   the end of the text. Its bytes are NULL: there is no such end. */
static struct piece
part_before(const char **text, char end)
{
	const char *from = *text, *to = strchr(from, end);

	if (to == NULL)
		return (struct piece){ NULL, 0 };
	*text = end == '\0' ? to : to + 1;
	return (struct piece){ from, (size_t)(to - from) };
}

int
pg_scram_secret_parse(const char *text, struct pg_scram_secret *secret)
{
	static const char method[] = "SCRAM-SHA-256$";
	struct piece iterations, salt, stored;
	int salt_len;

	if (strncmp(text, method, sizeof(method) - 1) != 0)
		return -1;
	text += sizeof(method) - 1;
	*secret = (struct pg_scram_secret){ 0 };
	iterations = part_before(&text, ':');
	salt = part_before(&text, '$');
	stored = part_before(&text, ':');
	if (iterations.bytes == NULL || salt.bytes == NULL ||
	    stored.bytes == NULL)
		return -1;
	secret->iterations = iterations_read(iterations);
	salt_len = base64_read(salt, secret->salt, sizeof(secret->salt));
	if (secret->iterations == 0 || salt_len <= 0 ||
	    key_read(stored, secret->stored_key) < 0 ||
	    key_read(part_before(&text, '\0'), secret->server_key) < 0)
		return -1;
	secret->salt_len = (unsigned)salt_len;
	return 0;
}

int
pg_scram_secret_make(const char *password, const unsigned char *salt,
    size_t salt_len, unsigned iterations, struct pg_scram_secret *secret)
{
	struct pg_scram_keys keys;
	int rc;

	*secret = (struct pg_scram_secret){ .iterations = iterations,
	    .salt_len = (unsigned)salt_len };
	memcpy(secret->salt, salt, salt_len);
	rc = keys_make(password, salt, salt_len, iterations, &keys);
	if (rc == 0)
		rc = digest(keys.client_key, secret->stored_key);
	memcpy(secret->server_key, keys.server_key, PG_SCRAM_KEY);
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}

int
pg_scram_salt_make(const unsigned char key[PG_SCRAM_KEY], const char *user,
    unsigned char salt[PG_SCRAM_SALT])
{
	unsigned char out[PG_SCRAM_KEY];

	if (hmac(key, user, strlen(user), out) < 0)
		return -1;
	memcpy(salt, out, PG_SCRAM_SALT);
	return 0;
}

int
pg_scram_secret_mock(const unsigned char key[PG_SCRAM_KEY], const char *user,
    struct pg_scram_secret *secret)
{
	*secret = (struct pg_scram_secret){ .mock = true,
	    .iterations = PG_SCRAM_ITERATIONS, .salt_len = PG_SCRAM_SALT };
	memcpy(secret->stored_key, key, PG_SCRAM_KEY);
	memcpy(secret->server_key, key, PG_SCRAM_KEY);
	return pg_scram_salt_make(key, user, secret->salt);
}

/* ---------------------------------------------- messages: "a=value,b=value" */

struct attributes {
	const char *at, *end;
	bool more;                      /* one has to follow */
};

static struct attributes
attributes_of(const char *message, size_t len)
{
	return (struct attributes){ message, message + len, true };
}

/* The next one, which has to be that one. */
static bool
attribute_is(struct attributes *a, char name, struct piece *value)
{
	const char *comma;

	if (!a->more || a->end - a->at < 2 || a->at[0] != name ||
	    a->at[1] != '=')
		return false;
	value->bytes = a->at + 2;
	comma = memchr(value->bytes, ',', (size_t)(a->end - value->bytes));
	a->more = comma != NULL;
	if (comma == NULL)
		comma = a->end;
	value->len = (size_t)(comma - value->bytes);
	a->at = a->more ? comma + 1 : comma;
	return true;
}

/* Extensions that nobody here knows are passed over (RFC 5802 5.1), up to the
   end or to the attribute `until`. */
static bool
extensions_skip(struct attributes *a, char until)
{
	struct piece value;

	while (a->more && a->at < a->end && *a->at != until) {
		char name = *a->at;

		if (!((name >= 'a' && name <= 'z') ||
		    (name >= 'A' && name <= 'Z')) ||
		    !attribute_is(a, name, &value))
			return false;
	}
	return !a->more || a->at < a->end;
}

/* RFC 5802 7: printable, without commas; at least one. */
static bool
is_nonce(struct piece text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.bytes[i] < '!' || text.bytes[i] > '~' ||
		    text.bytes[i] == ',')
			return false;
	return text.len > 0;
}

static bool
is_same(struct piece a, struct piece b)
{
	return a.len == b.len && CRYPTO_memcmp(a.bytes, b.bytes, a.len) == 0;
}

/* NONCE_TEXT bytes and a NUL. */
static int
nonce_make(char *out)
{
	unsigned char bytes[NONCE_BYTES];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return -1;
	base64_write(bytes, sizeof(bytes), out);
	return 0;
}

/* Text to the end of what is in auth; returns how long it is then, or 0: there
   is no room. */
static unsigned
auth_add(char *auth, size_t size, unsigned len, const char *bytes, size_t n)
{
	if (n > size - len)
		return 0;
	memcpy(auth + len, bytes, n);
	return len + (unsigned)n;
}

/* ---------------------------------------------------------- channel binding */

/* The gs2 header (RFC 5802 6): of one that cannot bind to the channel, of one
   that could, and does not see it offered, and of one that does. */
static const char *const gs2_headers[] = {
	[PG_SCRAM_UNBOUND] = "n,,",
	[PG_SCRAM_UNUSED] = "y,,",
	[PG_SCRAM_BOUND] = "p=tls-server-end-point,,"
};

enum { CHANNEL_MOST = PG_SCRAM_GS2_MOST + PG_SCRAM_DIGEST_MOST };

/* What is repeated in the last message: the header, and what it is bound to. */
static size_t
channel_of(const char *gs2, const struct pg_scram_binding *binding,
    unsigned char out[CHANNEL_MOST])
{
	size_t len = strlen(gs2);

	memcpy(out, gs2, len);
	if (binding->channel != PG_SCRAM_BOUND)
		return len;
	memcpy(out + len, binding->digest, binding->len);
	return len + binding->len;
}

/* ---------------------------------------------- the end that asks for proof */

static bool
gs2_read(struct pg_scram_server *s, const char *message, size_t len)
{
	bool bound = s->binding.channel == PG_SCRAM_BOUND;
	const char *gs2 = gs2_headers[bound ? PG_SCRAM_BOUND :
	    len > 0 && message[0] == 'y' ? PG_SCRAM_UNUSED :
	    PG_SCRAM_UNBOUND];

	if (len < strlen(gs2) || memcmp(message, gs2, strlen(gs2)) != 0)
		return false;
	snprintf(s->gs2, sizeof(s->gs2), "%s", gs2);
	return true;
}

/* Keeps the message without its gs2 header, and finds the nonce in it. */
static bool
client_first_read(struct pg_scram_server *s, const char *message, size_t len)
{
	struct attributes a;
	struct piece name, nonce;

	if (len > PG_SCRAM_MESSAGE_MOST || !gs2_read(s, message, len))
		return false;
	s->bare_len = (unsigned)(len - strlen(s->gs2));
	memcpy(s->auth, message + strlen(s->gs2), s->bare_len);
	a = attributes_of(s->auth, s->bare_len);
	if (!attribute_is(&a, 'n', &name) || !attribute_is(&a, 'r', &nonce) ||
	    !is_nonce(nonce) || !extensions_skip(&a, '\0'))
		return false;
	s->nonce_at = (unsigned)(nonce.bytes - s->auth);
	s->nonce_len = (unsigned)nonce.len;
	return true;
}

enum pg_scram
pg_scram_server_first(struct pg_scram_server *s,
    const struct pg_scram_secret *secret, const char *message, size_t len,
    const char *nonce, char *out, size_t size, size_t *out_len)
{
	static const struct pg_scram_binding none;

	return pg_scram_server_first_bound(s, secret, &none, message, len,
	    nonce, out, size, out_len);
}

enum pg_scram
pg_scram_server_first_bound(struct pg_scram_server *s,
    const struct pg_scram_secret *secret,
    const struct pg_scram_binding *binding, const char *message, size_t len,
    const char *nonce, char *out, size_t size, size_t *out_len)
{
	char salt[SALT_TEXT + 1], random[NONCE_TEXT + 1];
	unsigned at;
	int n;

	*s = (struct pg_scram_server){ .secret = *secret,
	    .binding = *binding };
	if (binding->channel == PG_SCRAM_UNUSED && len > 0 &&
	    message[0] == 'y')
		return PG_SCRAM_DOWNGRADED;
	if (!client_first_read(s, message, len))
		return PG_SCRAM_MALFORMED;
	if (nonce == NULL && nonce_make(random) < 0)
		return PG_SCRAM_FAILED;
	if (nonce == NULL)
		nonce = random;
	base64_write(secret->salt, secret->salt_len, salt);
	n = snprintf(out, size, "r=%.*s%s,s=%s,i=%u", (int)s->nonce_len,
	    s->auth + s->nonce_at, nonce, salt, secret->iterations);
	if (n < 0 || (size_t)n >= size)
		return PG_SCRAM_MALFORMED;
	at = auth_add(s->auth, sizeof(s->auth), s->bare_len, ",", 1);
	s->first_len = auth_add(s->auth, sizeof(s->auth), at, out, (size_t)n);
	if (s->first_len == 0)
		return PG_SCRAM_MALFORMED;
	s->nonce_at = s->bare_len + 3;
	s->nonce_len += (unsigned)strlen(nonce);
	*out_len = (size_t)n;
	return PG_SCRAM_OK;
}

/* Is it what the gs2 header was, in base64, and of our certificate? */
static bool
is_channel(const struct pg_scram_server *s, struct piece text)
{
	unsigned char said[CHANNEL_MOST], ours[CHANNEL_MOST];
	size_t len = channel_of(s->gs2, &s->binding, ours);

	return base64_read(text, said, sizeof(said)) == (int)len &&
	    CRYPTO_memcmp(said, ours, len) == 0;
}

/* The proof, and all before it at the end of auth, whose length is returned;
   0: malformed. */
static unsigned
client_final_read(struct pg_scram_server *s, const char *message, size_t len,
    unsigned char proof[PG_SCRAM_KEY])
{
	const struct piece ours = { s->auth + s->nonce_at, s->nonce_len };
	struct attributes a = attributes_of(message, len);
	struct piece channel, nonce, text;
	unsigned at;

	if (s->first_len == 0 || len > PG_SCRAM_MESSAGE_MOST ||
	    !attribute_is(&a, 'c', &channel) || !is_channel(s, channel) ||
	    !attribute_is(&a, 'r', &nonce) || !is_same(nonce, ours) ||
	    !extensions_skip(&a, 'p') || !attribute_is(&a, 'p', &text) ||
	    a.more || key_read(text, proof) < 0)
		return 0;
	at = auth_add(s->auth, sizeof(s->auth), s->first_len, ",", 1);
	return at == 0 ? 0 : auth_add(s->auth, sizeof(s->auth), at, message,
	    (size_t)(text.bytes - 3 - message));
}

enum pg_scram
pg_scram_server_final(struct pg_scram_server *s, const char *message,
    size_t len, char *out, size_t size, size_t *out_len)
{
	const struct pg_scram_secret *secret = &s->secret;
	unsigned char stored[PG_SCRAM_KEY], signature[PG_SCRAM_KEY] = { 0 };
	char text[KEY_TEXT + 1];
	unsigned auth_len;
	bool right;
	int n;

	auth_len = client_final_read(s, message, len, s->keys.client_key);
	if (auth_len == 0)
		return PG_SCRAM_MALFORMED;
	/* All of it also for nobody's secret: it must not end sooner. */
	if (sign(secret->stored_key, s->auth, auth_len,
	    s->keys.client_key) < 0 ||
	    digest(s->keys.client_key, stored) < 0 ||
	    sign(secret->server_key, s->auth, auth_len, signature) < 0)
		return PG_SCRAM_FAILED;
	right = CRYPTO_memcmp(stored, secret->stored_key, PG_SCRAM_KEY) == 0;
	if (!right || secret->mock)
		return PG_SCRAM_BAD_PROOF;
	memcpy(s->keys.server_key, secret->server_key, PG_SCRAM_KEY);
	base64_write(signature, sizeof(signature), text);
	n = snprintf(out, size, "v=%s", text);
	if (n < 0 || (size_t)n >= size)
		return PG_SCRAM_FAILED;
	*out_len = (size_t)n;
	return PG_SCRAM_OK;
}

void
pg_scram_server_fini(struct pg_scram_server *s)
{
	explicit_bzero(s, sizeof(*s));
}

/* ------------------------------------------------- the end that gives proof */

void
pg_scram_memo_wipe(struct pg_scram_memo *m)
{
	explicit_bzero(m, sizeof(*m));
}

static enum pg_scram
refuse(struct pg_scram_client *c, enum pg_scram result, const char *why)
{
	c->why = why;
	return result;
}

static enum pg_scram
malformed(struct pg_scram_client *c)
{
	return refuse(c, PG_SCRAM_MALFORMED, "not a message of SCRAM");
}

enum pg_scram
pg_scram_client_first(struct pg_scram_client *c, char *out, size_t size,
    size_t *out_len)
{
	static const struct pg_scram_binding none;

	return pg_scram_client_first_bound(c, &none, out, size, out_len);
}

enum pg_scram
pg_scram_client_first_bound(struct pg_scram_client *c,
    const struct pg_scram_binding *binding, char *out, size_t size,
    size_t *out_len)
{
	const char *gs2 = gs2_headers[binding->channel];
	unsigned char channel[CHANNEL_MOST];
	char nonce[NONCE_TEXT + 1];
	int n;

	*c = (struct pg_scram_client){ 0 };
	_Static_assert(sizeof(c->channel) > (CHANNEL_MOST + 2) / 3 * 4,
	    "all of it");
	base64_write(channel, channel_of(gs2, binding, channel), c->channel);
	if (nonce_make(nonce) < 0)
		return refuse(c, PG_SCRAM_FAILED, "no random bytes");
	/* 55.3.1: no name, the server has it from the startup message. */
	n = snprintf(out, size, "%sn=,r=%s", gs2, nonce);
	if (n < 0 || (size_t)n >= size)
		return refuse(c, PG_SCRAM_FAILED, "no room");
	*out_len = (size_t)n;
	c->bare_len = (unsigned)((size_t)n - strlen(gs2));
	memcpy(c->auth, out + strlen(gs2), c->bare_len);
	return PG_SCRAM_OK;
}

/* What the server asks for. */
struct challenge {
	struct piece nonce;
	unsigned iterations, salt_len;
	unsigned char salt[PG_SCRAM_SALT_MOST];
};

static enum pg_scram
challenge_read(struct pg_scram_client *c, const char *message, size_t len,
    struct challenge *asked)
{
	/* Behind "n=,r=". */
	const struct piece ours = { c->auth + 5, c->bare_len - 5 };
	struct attributes a = attributes_of(message, len);
	struct piece salt, iterations;
	int salt_len;

	if (!attribute_is(&a, 'r', &asked->nonce) ||
	    !attribute_is(&a, 's', &salt) ||
	    !attribute_is(&a, 'i', &iterations) || !extensions_skip(&a, '\0'))
		return malformed(c);
	if (!is_nonce(asked->nonce) || asked->nonce.len <= ours.len ||
	    CRYPTO_memcmp(asked->nonce.bytes, ours.bytes, ours.len) != 0)
		return refuse(c, PG_SCRAM_MALFORMED,
		    "the server's nonce does not go on from ours");
	salt_len = base64_read(salt, asked->salt, sizeof(asked->salt));
	if (salt_len <= 0)
		return refuse(c, PG_SCRAM_MALFORMED, "no salt, or a bad one");
	asked->salt_len = (unsigned)salt_len;
	asked->iterations = iterations_read(iterations);
	if (asked->iterations == 0)
		return refuse(c, PG_SCRAM_MALFORMED,
		    "iterations are none, or more than a million");
	return PG_SCRAM_OK;
}

static int
keys_find(const char *password, struct pg_scram_memo *memo,
    const struct challenge *asked, struct pg_scram_keys *keys)
{
	if (memo != NULL && memo->iterations == asked->iterations &&
	    memo->salt_len == asked->salt_len &&
	    memcmp(memo->salt, asked->salt, asked->salt_len) == 0) {
		*keys = memo->keys;
		return 0;
	}
	if (keys_make(password, asked->salt, asked->salt_len,
	    asked->iterations, keys) < 0)
		return -1;
	if (memo == NULL)
		return 0;
	*memo = (struct pg_scram_memo){ .iterations = asked->iterations,
	    .salt_len = asked->salt_len, .keys = *keys };
	memcpy(memo->salt, asked->salt, asked->salt_len);
	return 0;
}

/* What was said, with our last message but for the proof, which follows it. */
static enum pg_scram
final_write(struct pg_scram_client *c, struct pg_scram_keys *keys,
    struct piece first, struct piece nonce, char *out, size_t size,
    size_t *out_len)
{
	unsigned char stored[PG_SCRAM_KEY];
	char text[KEY_TEXT + 1];
	int n, end;

	n = snprintf(c->auth + c->bare_len, sizeof(c->auth) - c->bare_len,
	    ",%.*s,c=%s,r=%.*s", (int)first.len, first.bytes, c->channel,
	    (int)nonce.len, nonce.bytes);
	if (n < 0 || (size_t)n >= sizeof(c->auth) - c->bare_len)
		return malformed(c);
	c->auth_len = c->bare_len + (unsigned)n;
	if (digest(keys->client_key, stored) < 0 || sign(stored, c->auth,
	    c->auth_len, keys->client_key) < 0)
		return refuse(c, PG_SCRAM_FAILED, "out of memory");
	base64_write(keys->client_key, PG_SCRAM_KEY, text);
	end = snprintf(out, size, "c=%s,r=%.*s,p=%s", c->channel,
	    (int)nonce.len, nonce.bytes, text);
	if (end < 0 || (size_t)end >= size)
		return refuse(c, PG_SCRAM_FAILED, "no room");
	*out_len = (size_t)end;
	return PG_SCRAM_OK;
}

enum pg_scram
pg_scram_client_final(struct pg_scram_client *c, const char *password,
    const struct pg_scram_keys *keys, struct pg_scram_memo *memo,
    const char *message, size_t len, char *out, size_t size, size_t *out_len)
{
	struct challenge asked;
	struct pg_scram_keys own;
	enum pg_scram got;

	if (c->bare_len == 0 || c->auth_len != 0 ||
	    len > PG_SCRAM_MESSAGE_MOST || memchr(message, '\0', len) != NULL)
		return malformed(c);
	got = challenge_read(c, message, len, &asked);
	if (got != PG_SCRAM_OK)
		return got;
	if (keys != NULL)
		own = *keys;
	else if (keys_find(password, memo, &asked, &own) < 0)
		return refuse(c, PG_SCRAM_FAILED, "out of memory");
	memcpy(c->server_key, own.server_key, PG_SCRAM_KEY);
	got = final_write(c, &own, (struct piece){ message, len },
	    asked.nonce, out, size, out_len);
	explicit_bzero(&own, sizeof(own));
	return got;
}

enum pg_scram
pg_scram_client_verify(struct pg_scram_client *c, const char *message,
    size_t len)
{
	unsigned char said[PG_SCRAM_KEY], signature[PG_SCRAM_KEY] = { 0 };
	struct attributes a = attributes_of(message, len);
	struct piece value;

	if (c->auth_len == 0 || len > PG_SCRAM_MESSAGE_MOST)
		return malformed(c);
	if (attribute_is(&a, 'e', &value))
		return refuse(c, PG_SCRAM_BAD_PROOF,
		    "the server does not take our proof");
	if (!attribute_is(&a, 'v', &value) || !extensions_skip(&a, '\0') ||
	    key_read(value, said) < 0)
		return malformed(c);
	if (sign(c->server_key, c->auth, c->auth_len, signature) < 0)
		return refuse(c, PG_SCRAM_FAILED, "out of memory");
	if (CRYPTO_memcmp(said, signature, sizeof(said)) != 0)
		return refuse(c, PG_SCRAM_BAD_PROOF,
		    "the server does not know the password");
	return PG_SCRAM_OK;
}

void
pg_scram_client_fini(struct pg_scram_client *c)
{
	explicit_bzero(c, sizeof(*c));
}
