/*
 * The side of TLS towards upstreams. See tls_client.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_problem.h"
#include "net/tls_watch.h"

enum { SESSIONS_MAX = 64 };             /* names of one client */

/* The newest session of a name. */
struct kept {
	char *name;                     /* NULL = free */
	SSL_SESSION *session;
	uint64_t used;                  /* the store's clock at its last use */
};

/* Of one context, and gone with it: what one has verified is not taken for
   verified by the next. */
struct store {
	pthread_mutex_t lock;
	struct kept v[SESSIONS_MAX];
	uint64_t clock;
};

struct tls_client {
	const struct tls_client_options *o;
	pthread_mutex_t lock;           /* of what follows */
	SSL_CTX *ctx;                   /* counted */
	struct tls_files files;
	uint8_t identity[32];
	struct tls_watch watch;
};

static int store_slot = -1;             /* of a context's ex_data */
static int name_slot = -1;              /* of an SSL's: what it is to be */

/* ----------------------------------------------------------------- sessions */

/* The one of a name; else, to be taken over, a free one or the oldest. */
static struct kept *
kept_find(struct store *store, const char *name)
{
	struct kept *oldest = &store->v[0];

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct kept *k = &store->v[i];

		if (k->name != NULL && strcmp(k->name, name) == 0)
			return k;
		if (oldest->name != NULL && (k->name == NULL ||
		    k->used < oldest->used))
			oldest = k;
	}
	return oldest;
}

static bool
kept_is(const struct kept *k, const char *name)
{
	return k->name != NULL && strcmp(k->name, name) == 0;
}

static void
kept_clear(struct kept *k)
{
	free(k->name);
	SSL_SESSION_free(k->session);
	*k = (struct kept){ 0 };
}

/*
 * With TLS 1.3 OpenSSL holds that a session is taken up once, and marks the one
 * that has been; what comes in its place is a copy, mark and all. RFC 8446 C.4
 * is about clients that do not want to be known again; between weir and its
 * servers each saved handshake counts. The mark is not part of the encoding.
 */
static SSL_SESSION *
unmarked(SSL_SESSION *session)
{
	unsigned char *bytes = NULL;
	const unsigned char *at;
	int n = i2d_SSL_SESSION(session, &bytes);
	SSL_SESSION *copy = NULL;

	if (n > 0) {
		at = bytes;
		copy = d2i_SSL_SESSION(NULL, &at, n);
		OPENSSL_clear_free(bytes, (size_t)n);
	}
	return copy;
}

/* SSL_CTX_sess_set_new_cb(3): 1 = it is ours now. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	struct store *store = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
	    store_slot);
	const char *name = SSL_get_ex_data(ssl, name_slot);
	bool marked = !SSL_SESSION_is_resumable(session);
	SSL_SESSION *keep = marked ? unmarked(session) : session;
	char *copy = store == NULL || name == NULL ? NULL : strdup(name);
	struct kept *k;

	if (keep == NULL || copy == NULL) {
		if (marked)
			SSL_SESSION_free(keep);
		free(copy);
		return 0;
	}
	pthread_mutex_lock(&store->lock);
	k = kept_find(store, name);
	kept_clear(k);
	*k = (struct kept){ copy, keep, ++store->clock };
	pthread_mutex_unlock(&store->lock);
	return marked ? 0 : 1;
}

/* A copy: the one that is kept shall not be marked. */
static void
take_up_session(SSL *ssl, const char *name)
{
	struct store *store = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
	    store_slot);
	SSL_SESSION *copy = NULL;
	struct kept *k;

	pthread_mutex_lock(&store->lock);
	k = kept_find(store, name);
	if (kept_is(k, name)) {
		k->used = ++store->clock;
		copy = SSL_SESSION_dup(k->session);
	}
	pthread_mutex_unlock(&store->lock);
	/* Without it there is a whole handshake. */
	if (copy != NULL)
		(void)SSL_set_session(ssl, copy);
	SSL_SESSION_free(copy);
}

static void
store_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	struct store *store = ptr;

	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	for (size_t i = 0; store != NULL && i < SESSIONS_MAX; i++)
		kept_clear(&store->v[i]);
	if (store != NULL)
		pthread_mutex_destroy(&store->lock);
	free(store);
}

static void
name_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	free(ptr);
}

static void
make_slots(void)
{
	store_slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, store_free);
	name_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, name_free);
}

/* ----------------------------------------------------------------- contexts */

static int
offer(SSL_CTX *ctx, const struct tls_options *o, struct tls_wrong *wrong)
{
	size_t n;
	unsigned char *wire;
	int bad;

	if (o->n_alpn == 0)
		return 0;
	wire = tls_alpn_wire(o, &n);
	/* 0 is success. */
	bad = wire == NULL || SSL_CTX_set_alpn_protos(ctx, wire, (unsigned)n);
	free(wire);
	return bad ? tls_wrong_say(wrong, "alpn", "out of memory") : 0;
}

static int
show(SSL_CTX *ctx, const struct tls_client_options *o, int64_t *not_after_s,
    struct tls_wrong *wrong)
{
	struct tls_pair pair = { .certificate = o->certificate, .key = o->key };
	struct tls_certificate own = { 0 };
	int status;

	*not_after_s = 0;
	if (o->certificate == NULL)
		return 0;
	status = tls_certificate_read(&own, &pair, "", wrong);
	if (status == 0) {
		*not_after_s = tls_time(X509_get0_notAfter(own.x));
		status = tls_certificate_use(&own, ctx, wrong);
	}
	tls_certificate_fini(&own);
	return status;
}

static int
keep_sessions(SSL_CTX *ctx, struct tls_wrong *wrong)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return tls_wrong_say(wrong, "tls", "out of memory");
	pthread_mutex_init(&store->lock, NULL);
	if (SSL_CTX_set_ex_data(ctx, store_slot, store) != 1) {
		store_free(NULL, store, NULL, 0, 0, NULL);
		return tls_wrong_say(wrong, "tls", "out of memory");
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return 0;
}

static SSL_CTX *
context_new(const struct tls_client_options *o, int64_t *not_after_s,
    struct tls_wrong *wrong)
{
	SSL_CTX *ctx = tls_context_new(false, &o->common, wrong);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	if (o->verify)
		tls_problem_verify(ctx, SSL_VERIFY_PEER);
	if ((!o->verify || tls_trust(ctx, o->ca, "ca", o->crl, "crl",
	    wrong) == 0) && offer(ctx, &o->common, wrong) == 0 &&
	    show(ctx, o, not_after_s, wrong) == 0 &&
	    keep_sessions(ctx, wrong) == 0)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static void
digest_text(EVP_MD_CTX *md, const char *text)
{
	if (text != NULL)
		EVP_DigestUpdate(md, text, strlen(text));
	EVP_DigestUpdate(md, "\0", 1);
}

/* The files as they are. */
static int
note_files(const struct tls_client_options *o, struct tls_files *f,
    struct tls_wrong *wrong)
{
	*f = (struct tls_files){ 0 };
	return tls_files_note(f, TLS_FILE_CA, o->ca, "ca", wrong) == -1 ||
	    tls_files_note(f, TLS_FILE_CRL, o->crl, "crl", wrong) == -1 ||
	    tls_files_note(f, TLS_FILE_CERTIFICATE, o->certificate,
	    "certificate", wrong) == -1 ||
	    tls_files_note(f, TLS_FILE_KEY, o->key, "key", wrong) == -1 ?
	    -1 : 0;
}

/* All that it is told, and the files. */
static int
identify(const struct tls_client_options *o, struct tls_files *f,
    uint8_t out[32], struct tls_wrong *wrong)
{
	const struct tls_options *c = &o->common;
	unsigned plain[] = { o->verify, c->min_version, c->max_version };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int status = md == NULL || EVP_DigestInit_ex(md, EVP_sha256(),
	    NULL) != 1 ? tls_wrong_say(wrong, "tls", "out of memory") :
	    note_files(o, f, wrong);

	if (status == 0) {
		EVP_DigestUpdate(md, plain, sizeof(plain));
		digest_text(md, c->ciphers);
		digest_text(md, c->ciphersuites);
		digest_text(md, c->groups);
		digest_text(md, o->server_name);
		for (size_t i = 0; i < c->n_alpn; i++)
			digest_text(md, c->alpn[i]);
		EVP_DigestUpdate(md, f->held, sizeof(f->held));
		EVP_DigestFinal_ex(md, out, NULL);
	}
	EVP_MD_CTX_free(md);
	return status;
}

/* ------------------------------------------------------------------ clients */

struct tls_client *
tls_client_new(const struct tls_client_options *o, char *why, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_client *c = calloc(1, sizeof(*c));
	struct tls_wrong wrong = { "tls: out of memory" };

	pthread_once(&once, make_slots);
	if (c != NULL) {
		c->o = o;
		pthread_mutex_init(&c->lock, NULL);
		if (tls_watch_add(&c->watch, o->ca) == 0 &&
		    tls_watch_add(&c->watch, o->crl) == 0 &&
		    tls_watch_add(&c->watch, o->certificate) == 0 &&
		    tls_watch_add(&c->watch, o->key) == 0 &&
		    identify(o, &c->files, c->identity, &wrong) == 0)
			c->ctx = context_new(o, &c->files.not_after_s,
			    &wrong);
	}
	if (c != NULL && c->ctx != NULL)
		return c;
	snprintf(why, size, "%s", wrong.text);
	tls_client_free(c);
	return NULL;
}

void
tls_client_free(struct tls_client *c)
{
	if (c == NULL)
		return;
	SSL_CTX_free(c->ctx);
	tls_watch_fini(&c->watch);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* What the certificate must be for; RFC 6066 3: a literal is never asked for,
   and a name without the dot at its end. */
static int
expect(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char host[256];
	size_t n = strlen(name);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return 0;
	if (n > 1 && name[n - 1] == '.')
		n--;
	if (n >= sizeof(host))
		return -1;
	memcpy(host, name, n);
	host[n] = '\0';
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 &&
	    SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -1;
}

SSL *
tls_client_begin(struct tls_client *c, const char *name)
{
	const char *wanted = c->o->server_name != NULL ? c->o->server_name :
	    name;
	/* Endpoints that show one certificate are several servers, and need
	   not know each other's sessions. */
	char *key = strdup(name != NULL ? name : "");
	SSL_CTX *ctx;
	SSL *ssl;

	if (wanted != NULL && (*wanted == '\0' || *wanted == '/'))
		wanted = NULL;
	pthread_mutex_lock(&c->lock);
	ctx = c->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&c->lock);
	ssl = key == NULL ? NULL : SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (ssl == NULL || SSL_set_ex_data(ssl, name_slot, key) != 1) {
		free(key);
	} else if (wanted == NULL || expect(ssl, wanted) == 0) {
		SSL_set_connect_state(ssl);
		take_up_session(ssl, key);
		ERR_clear_error();
		return ssl;
	}
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}

enum tls_look
tls_client_look(struct tls_client *c, char *why, size_t size)
{
	struct tls_wrong wrong = { "" };
	struct tls_files files;
	uint8_t identity[32];
	SSL_CTX *fresh, *old;

	if (!tls_watch_look(&c->watch))
		return TLS_LOOK_SAME;
	fresh = identify(c->o, &files, identity, &wrong) == -1 ? NULL :
	    context_new(c->o, &files.not_after_s, &wrong);
	if (fresh == NULL) {
		tls_watch_refused(&c->watch);
		snprintf(why, size, "%s", wrong.text);
		return TLS_LOOK_BAD;
	}
	pthread_mutex_lock(&c->lock);
	old = c->ctx;
	c->ctx = fresh;
	c->files = files;
	memcpy(c->identity, identity, sizeof(identity));
	pthread_mutex_unlock(&c->lock);
	SSL_CTX_free(old);
	return TLS_LOOK_NEW;
}

static void
identity_of(struct tls_client *c, uint8_t out[32])
{
	memset(out, 0, 32);
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	memcpy(out, c->identity, 32);
	pthread_mutex_unlock(&c->lock);
}

bool
tls_client_alike(struct tls_client *a, struct tls_client *b)
{
	uint8_t of_a[32], of_b[32];

	identity_of(a, of_a);
	identity_of(b, of_b);
	return memcmp(of_a, of_b, sizeof(of_a)) == 0;
}

void
tls_client_files(struct tls_client *c, struct tls_files *files)
{
	pthread_mutex_lock(&c->lock);
	*files = c->files;
	pthread_mutex_unlock(&c->lock);
}

int64_t
tls_client_not_after(struct tls_client *c)
{
	struct tls_files files;

	tls_client_files(c, &files);
	return files.not_after_s;
}
