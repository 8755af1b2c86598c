/*
 * Keys of session tickets. See tls_tickets.h.
 *
 * The way of RFC 5077 4: a name, AES-256-CBC and HMAC-SHA-256, which OpenSSL
 * puts together; here are the keys. Secrets are changed by whoever first needs
 * one when its time is up, so nobody has to run a clock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_tickets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "net/clock.h"

enum {
	SECRET_SIZE = 32, NAME_SIZE = 16, KEY_SIZE = 32,
	N_SECRETS = 1 + TLS_TICKETS_OLD,
	KEPT_S = N_SECRETS * TLS_TICKETS_ROTATE_S
};

struct secret {
	uint8_t bytes[SECRET_SIZE];
	uint64_t number;                /* 0 = there is none */
	int64_t made_s;
};

/* Of the process, newest first. */
static struct {
	pthread_mutex_t lock;
	struct secret v[N_SECRETS];
	int64_t ahead_s;                /* tests: by so much the clock is */
} secrets = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What a secret is to a context. */
struct ticket_key {
	uint8_t name[NAME_SIZE], cipher[KEY_SIZE], mac[KEY_SIZE];
	uint64_t number;
};

/* A context's own. */
struct tickets {
	pthread_mutex_t lock;
	uint8_t identity[TLS_IDENTITY_SIZE];
	struct ticket_key v[N_SECRETS];
	EVP_CIPHER *cipher;
	EVP_KDF *kdf;
};

static int slot = -1;                   /* of a context's ex_data */

/* ----------------------------------------------------------------- secrets */

static int64_t
now_s(void)
{
	return clock_ns() / NS_PER_S + secrets.ahead_s;
}

/* Copies those that count to out, newest first; the newest is made when due. */
static int
secrets_get(struct secret out[N_SECRETS])
{
	struct secret *v = secrets.v;
	int status = 0;
	int64_t now;

	pthread_mutex_lock(&secrets.lock);
	now = now_s();
	if (v[0].number == 0 || now - v[0].made_s >= TLS_TICKETS_ROTATE_S) {
		struct secret fresh = { .number = v[0].number + 1,
		    .made_s = now };

		if (RAND_priv_bytes(fresh.bytes, SECRET_SIZE) == 1) {
			memmove(&v[1], &v[0], (N_SECRETS - 1) * sizeof(*v));
			v[0] = fresh;
		} else if (v[0].number == 0) {
			status = -1;
		}
		OPENSSL_cleanse(&fresh, sizeof(fresh));
	}
	for (size_t i = 1; i < N_SECRETS; i++)
		if (now - v[i].made_s >= KEPT_S)
			OPENSSL_cleanse(&v[i], sizeof(v[i]));
	memcpy(out, v, sizeof(secrets.v));
	pthread_mutex_unlock(&secrets.lock);
	return status;
}

_Static_assert(sizeof(secrets.v) == TLS_TICKETS_SECRETS, "it is what is taken");

void
tls_tickets_copy(uint8_t out[TLS_TICKETS_SECRETS])
{
	pthread_mutex_lock(&secrets.lock);
	memcpy(out, secrets.v, sizeof(secrets.v));
	pthread_mutex_unlock(&secrets.lock);
}

int
tls_tickets_take(const uint8_t *bytes, size_t len)
{
	if (len != sizeof(secrets.v))
		return -1;
	pthread_mutex_lock(&secrets.lock);
	memcpy(secrets.v, bytes, sizeof(secrets.v));
	pthread_mutex_unlock(&secrets.lock);
	return 0;
}

void
tls_tickets_age(int64_t seconds)
{
	pthread_mutex_lock(&secrets.lock);
	secrets.ahead_s += seconds;
	pthread_mutex_unlock(&secrets.lock);
}

/* -------------------------------------------------------------------- keys */

static int
derive(struct tickets *t, const struct secret *secret, struct ticket_key *out)
{
	uint8_t bytes[NAME_SIZE + 2 * KEY_SIZE];
	EVP_KDF_CTX *kdf = EVP_KDF_CTX_new(t->kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
		    (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)secret->bytes, SECRET_SIZE),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    t->identity, TLS_IDENTITY_SIZE),
		OSSL_PARAM_construct_end()
	};
	int good = kdf != NULL && EVP_KDF_derive(kdf, bytes, sizeof(bytes),
	    params) == 1;

	if (good) {
		memcpy(out->name, bytes, NAME_SIZE);
		memcpy(out->cipher, bytes + NAME_SIZE, KEY_SIZE);
		memcpy(out->mac, bytes + NAME_SIZE + KEY_SIZE, KEY_SIZE);
		out->number = secret->number;
	}
	EVP_KDF_CTX_free(kdf);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return good ? 0 : -1;
}

/* Brings t->v up to date: under its lock. */
static int
refresh(struct tickets *t)
{
	struct secret now[N_SECRETS];
	struct ticket_key old[N_SECRETS];
	int status = secrets_get(now);

	memcpy(old, t->v, sizeof(old));
	for (size_t i = 0; i < N_SECRETS && status == 0; i++) {
		size_t k = 0;

		if (t->v[i].number == now[i].number)
			continue;
		while (k < N_SECRETS && old[k].number != now[i].number)
			k++;
		if (now[i].number == 0)
			OPENSSL_cleanse(&t->v[i], sizeof(t->v[i]));
		else if (k < N_SECRETS)
			t->v[i] = old[k];
		else
			status = derive(t, &now[i], &t->v[i]);
	}
	OPENSSL_cleanse(now, sizeof(now));
	OPENSSL_cleanse(old, sizeof(old));
	return status;
}

/* The newest (name NULL), or the one of a name. 0 = none, 2 = an old one. */
static int
key_find(struct tickets *t, const uint8_t *name, struct ticket_key *out)
{
	int found = 0;

	pthread_mutex_lock(&t->lock);
	if (refresh(t) == 0) {
		for (size_t i = 0; i < N_SECRETS && found == 0; i++) {
			const struct ticket_key *k = &t->v[i];

			if (k->number == 0 || (name != NULL &&
			    memcmp(k->name, name, NAME_SIZE) != 0))
				continue;
			*out = *k;
			found = i == 0 ? 1 : 2;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* --------------------------------------------------------------- callbacks */

static int
set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac,
		    KEY_SIZE),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
		    (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_end()
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): negative ends the handshake, so what
   fails is no ticket (0) rather. */
static int
give_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	/* The context may be that of the name asked for, or not yet. */
	struct tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot);
	struct ticket_key key;
	int found = t == NULL ? 0 :
	    key_find(t, encrypt ? NULL : name, &key);

	if (found == 0)
		return 0;
	if (encrypt) {
		memcpy(name, key.name, NAME_SIZE);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) != 1 ||
		    EVP_EncryptInit_ex(cipher, t->cipher, NULL, key.cipher,
		    iv) != 1 || set_mac(mac, &key) != 1)
			found = 0;
	} else if (set_mac(mac, &key) != 1 || EVP_DecryptInit_ex(cipher,
	    t->cipher, NULL, key.cipher, iv) != 1) {
		found = 0;
	}
	OPENSSL_cleanse(&key, sizeof(key));
	return found;
}

/* A session lives no longer than the certificate that the client has shown. */
static SSL_TICKET_RETURN
judge(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t length,
    SSL_TICKET_STATUS status, void *arg)
{
	X509 *shown = session == NULL ? NULL : SSL_SESSION_get0_peer(session);

	(void)name, (void)length, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (shown != NULL &&
	    X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	/*
	 * RFC 8446 C.4: with TLS 1.3 clients use a ticket once, so who comes with
	 * one needs another. It also tells a client that has sent its Finished
	 * that this has come: one under Nagle's algorithm holds its request back
	 * until then, 40 ms where nothing else is said.
	 */
	return status == SSL_TICKET_SUCCESS && SSL_version(ssl) !=
	    TLS1_3_VERSION ? SSL_TICKET_RETURN_USE :
	    SSL_TICKET_RETURN_USE_RENEW;
}

static int
make(SSL *ssl, void *arg)
{
	(void)ssl, (void)arg;
	return 1;
}

static void
tickets_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	struct tickets *t = ptr;

	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	if (t == NULL)
		return;
	EVP_CIPHER_free(t->cipher);
	EVP_KDF_free(t->kdf);
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t->v, sizeof(t->v));
	free(t);
}

static void
make_slot(void)
{
	slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tickets_free);
}

int
tls_tickets_use(SSL_CTX *ctx, const uint8_t identity[TLS_IDENTITY_SIZE])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tickets *t = calloc(1, sizeof(*t));

	pthread_once(&once, make_slot);
	if (t == NULL || slot < 0) {
		free(t);
		return -1;
	}
	pthread_mutex_init(&t->lock, NULL);
	memcpy(t->identity, identity, TLS_IDENTITY_SIZE);
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	t->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (t->cipher == NULL || t->kdf == NULL || refresh(t) == -1 ||
	    SSL_CTX_set_ex_data(ctx, slot, t) != 1) {
		tickets_free(NULL, t, NULL, 0, 0, NULL);
		return -1;
	}
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, give_key);
	return SSL_CTX_set_session_ticket_cb(ctx, make, judge, NULL) == 1 ? 0 :
	    -1;
}
