/*
 * The side of TLS that clients come to. See tls_server.h.
 *
 * A `set` is all that was made of the files at one time: a context for each
 * choice of certificates, one in front that connections begin with. It lives as
 * long as that one, which OpenSSL counts, so connections keep the set they have
 * begun with.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_server.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "net/tls_problem.h"
#include "net/tls_tickets.h"
#include "net/tls_watch.h"

enum {
	KEPT_SESSIONS = 4096,           /* of clients without tickets */
	N_KINDS = 4,                    /* of keys: RSA, RSA-PSS, EC, Edwards */
	NAME_MAX_BYTES = 255
};

/* Certificates that stand side by side, one of a kind. */
struct choice {
	int of[N_KINDS];                /* index of a certificate; -1 = none */
};

struct site {
	struct choice choice;
	SSL_CTX *ctx;
};

struct named {
	const char *name;               /* of a certificate's names */
	size_t site;                    /* index */
};

struct set {
	const struct tls_server_options *o;     /* while it is made */
	struct tls_certificate *certificates;
	size_t n_certificates;
	struct site *sites;             /* the first is for unknown names */
	size_t n_sites;
	struct named *names;            /* sorted */
	size_t n_names;
	unsigned char *alpn;
	size_t n_alpn;
	struct tls_files files;
	uint8_t identity[TLS_IDENTITY_SIZE];
};

struct tls_server {
	const struct tls_server_options *o;
	pthread_mutex_t lock;           /* of ctx */
	SSL_CTX *ctx;                   /* the first site's; counted */
	struct tls_watch watch;
};

static int slot = -1;                   /* of a context's ex_data: its set */

/* -------------------------------------------------------- which certificate */

static int
kind_of(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return 0;
	case EVP_PKEY_RSA_PSS:
		return 1;
	case EVP_PKEY_EC:
		return 2;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return 3;
	default:
		return -1;
	}
}

static bool
has_name(const struct tls_certificate *c, const char *name)
{
	for (size_t i = 0; i < c->n_names; i++)
		if (strcmp(c->names[i], name) == 0)
			return true;
	return false;
}

/* Of each kind the first that has the name; `certain` in any case. */
static struct choice
choose(const struct set *set, const char *name, size_t certain)
{
	struct choice choice = { .of = { -1, -1, -1, -1 } };
	int certain_kind = kind_of(set->certificates[certain].key);

	if (certain_kind >= 0)
		choice.of[certain_kind] = (int)certain;
	for (size_t i = 0; name != NULL && i < set->n_certificates; i++) {
		const struct tls_certificate *c = &set->certificates[i];
		int kind = kind_of(c->key);

		if (kind >= 0 && choice.of[kind] < 0 && has_name(c, name))
			choice.of[kind] = (int)i;
	}
	return choice;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name,
	    ((const struct named *)b)->name);
}

/* And of those with one name the first in the file. */
static int
by_name_and_place(const void *a, const void *b)
{
	size_t place_a = ((const struct named *)a)->site;
	size_t place_b = ((const struct named *)b)->site;
	int order = by_name(a, b);

	return order != 0 ? order : (place_a > place_b) - (place_a < place_b);
}

static const struct named *
named_find(const struct set *set, const char *name)
{
	struct named key = { .name = name };

	return bsearch(&key, set->names, set->n_names, sizeof(key), by_name);
}

/* Exactly, else "*" for the first label (RFC 6125 6.4.3), else the first. */
static SSL_CTX *
site_for(const struct set *set, const char *asked)
{
	char name[NAME_MAX_BYTES + 1], *dot;
	size_t n = strlen(asked);
	const struct named *found;

	if (n == 0 || n > NAME_MAX_BYTES)
		return set->sites[0].ctx;
	for (size_t i = 0; i <= n; i++)
		name[i] = (char)tolower((unsigned char)asked[i]);
	/* RFC 6066 3: without the dot at the end; some send it all the same. */
	if (n > 1 && name[n - 1] == '.')
		name[n - 1] = '\0';
	found = named_find(set, name);
	dot = strchr(name, '.');
	if (found == NULL && dot != NULL && dot != name) {
		*--dot = '*';
		found = named_find(set, dot);
	}
	return set->sites[found == NULL ? 0 : found->site].ctx;
}

/* --------------------------------------------------------------- callbacks */

static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct set *set = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx;

	(void)alert;
	if (asked == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	ctx = site_for(set, asked);
	if (ctx != SSL_get_SSL_CTX(ssl) && SSL_set_SSL_CTX(ssl, ctx) == NULL)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 3.2: the server's order; nothing in common is fatal. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
    const unsigned char *offered, unsigned n_offered, void *arg)
{
	const struct set *set = arg;

	(void)ssl;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n,
	    set->alpn, (unsigned)set->n_alpn, offered, n_offered) ==
	    OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK :
	    SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 6066 8: with the certificate that is going to be shown. */
static int
on_status(SSL *ssl, void *arg)
{
	const struct set *set = arg;
	const X509 *shown = SSL_get_certificate(ssl);
	unsigned char *copy;

	for (size_t i = 0; i < set->n_certificates; i++) {
		const struct tls_certificate *c = &set->certificates[i];

		if (c->x != shown || c->ocsp == NULL ||
		    c->ocsp_until_s <= (int64_t)time(NULL))
			continue;
		copy = OPENSSL_memdup(c->ocsp, c->n_ocsp);
		if (copy == NULL)
			return SSL_TLSEXT_ERR_NOACK;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->n_ocsp);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

/* ----------------------------------------------------------------- identity */

/*
 * What a session must have in common with a server to be taken up there: who
 * may come in. A client that a new list revokes has to shake hands anew.
 */
static int
identify(struct set *set, struct tls_wrong *wrong)
{
	const struct tls_server_options *o = set->o;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned auth = (unsigned)o->client_auth;
	int status = md == NULL || EVP_DigestInit_ex(md, EVP_sha256(),
	    NULL) != 1 ? tls_wrong_say(wrong, "tls", "out of memory") : 0;

	if (status == 0 && (tls_files_note(&set->files, TLS_FILE_CA,
	    o->client_ca, "client_ca", wrong) == -1 ||
	    tls_files_note(&set->files, TLS_FILE_CRL, o->crl, "crl",
	    wrong) == -1))
		status = -1;
	if (status == 0) {
		EVP_DigestUpdate(md, o->name, strlen(o->name) + 1);
		EVP_DigestUpdate(md, &auth, sizeof(auth));
		EVP_DigestUpdate(md, set->files.held[TLS_FILE_CA],
		    TLS_HELD_SIZE);
		EVP_DigestUpdate(md, set->files.held[TLS_FILE_CRL],
		    TLS_HELD_SIZE);
		EVP_DigestFinal_ex(md, set->identity, NULL);
	}
	EVP_MD_CTX_free(md);
	return status;
}

/* ----------------------------------------------------------------- contexts */

static void
keep_sessions(SSL_CTX *ctx, const struct tls_server_options *o)
{
	/* What is kept here is not judged again as a ticket is: see
	   tls_tickets.c. Who shows certificates has tickets, or nothing. */
	bool kept = o->client_auth == TLS_CLIENT_NONE;

	SSL_CTX_set_session_cache_mode(ctx, kept ? SSL_SESS_CACHE_SERVER :
	    SSL_SESS_CACHE_OFF);
	SSL_CTX_sess_set_cache_size(ctx, KEPT_SESSIONS);
	SSL_CTX_set_timeout(ctx, (long)(o->session_timeout_ms / 1000));
	/* One is enough for a client that comes again; each costs. */
	SSL_CTX_set_num_tickets(ctx, o->tickets || kept ? 1 : 0);
	if (!o->tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

/* Clients of all sites are held against the same. */
static int
ask_clients(struct set *set, SSL_CTX *ctx, struct tls_wrong *wrong)
{
	const struct tls_server_options *o = set->o;
	SSL_CTX *first = set->n_sites == 0 ? NULL : set->sites[0].ctx;
	STACK_OF(X509_NAME) *names;

	if (o->client_auth == TLS_CLIENT_NONE)
		return 0;
	tls_problem_verify(ctx, SSL_VERIFY_PEER |
	    (o->client_auth == TLS_CLIENT_REQUIRED ?
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0));
	if (first == NULL)
		return tls_trust(ctx, o->client_ca, "client_ca", o->crl,
		    "crl", wrong);
	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(first));
	names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(first));
	if (names == NULL)
		return tls_wrong_say(wrong, "client_ca", "out of memory");
	SSL_CTX_set_client_CA_list(ctx, names);
	return 0;
}

static int
furnish(struct set *set, SSL_CTX *ctx, struct tls_wrong *wrong)
{
	/* What is in the file is the chain; client_ca is for clients. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_id_context(ctx, set->identity, TLS_IDENTITY_SIZE);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, set);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	SSL_CTX_set_tlsext_status_arg(ctx, set);
	if (set->n_alpn > 0)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, set);
	keep_sessions(ctx, set->o);
	if (tls_tickets_use(ctx, set->identity) == -1)
		return tls_wrong_say(wrong, "tls", "out of memory");
	return ask_clients(set, ctx, wrong);
}

/* The site of a choice, made when it is the first of its kind. -1 = wrong. */
static int
site_of(struct set *set, const struct choice *choice, struct tls_wrong *wrong)
{
	struct site *more;
	SSL_CTX *ctx;

	for (size_t i = 0; i < set->n_sites; i++)
		if (memcmp(&set->sites[i].choice, choice, sizeof(*choice)) ==
		    0)
			return (int)i;
	more = realloc(set->sites, (set->n_sites + 1) * sizeof(*more));
	if (more == NULL)
		return tls_wrong_say(wrong, "tls", "out of memory");
	set->sites = more;
	ctx = tls_context_new(true, &set->o->common, wrong);
	if (ctx == NULL)
		return -1;
	if (furnish(set, ctx, wrong) == -1)
		goto fail;
	for (size_t kind = 0; kind < N_KINDS; kind++)
		if (choice->of[kind] >= 0 && tls_certificate_use(
		    &set->certificates[choice->of[kind]], ctx, wrong) == -1)
			goto fail;
	set->sites[set->n_sites] = (struct site){ *choice, ctx };
	return (int)set->n_sites++;
fail:
	SSL_CTX_free(ctx);
	return -1;
}

/* --------------------------------------------------------------------- sets */

/* All but the first site's context: with that, or instead of it, it ends. */
static void
set_free(struct set *set)
{
	for (size_t i = 1; i < set->n_sites; i++)
		SSL_CTX_free(set->sites[i].ctx);
	for (size_t i = 0; i < set->n_certificates; i++)
		tls_certificate_fini(&set->certificates[i]);
	free(set->certificates);
	free(set->sites);
	free(set->names);
	free(set->alpn);
	free(set);
}

static void
set_ended(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	if (ptr != NULL)
		set_free(ptr);
}

static void
make_slot(void)
{
	slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, set_ended);
}

/* Before they are read: a file that is another one in between counts as what
   it was, so that the difference is told. */
static int
note_pair(struct tls_files *f, const struct tls_pair *pair, const char *prefix,
    struct tls_wrong *wrong)
{
	const struct {
		enum tls_file kind;
		const char *key, *path;
	} files[] = {
		{ TLS_FILE_CERTIFICATE, "certificate", pair->certificate },
		{ TLS_FILE_KEY, "key", pair->key },
		{ TLS_FILE_OCSP, "ocsp", pair->ocsp }
	};
	char key[64];

	for (size_t i = 0; i < NELEMS(files); i++) {
		snprintf(key, sizeof(key), "%s%s", prefix, files[i].key);
		if (tls_files_note(f, files[i].kind, files[i].path, key,
		    wrong) == -1)
			return -1;
	}
	return 0;
}

static int
read_certificates(struct set *set, struct tls_wrong *wrong)
{
	const struct tls_server_options *o = set->o;
	char prefix[40] = "";
	int64_t end;

	set->certificates = calloc(o->n_pairs, sizeof(*set->certificates));
	if (set->certificates == NULL)
		return tls_wrong_say(wrong, "tls", "out of memory");
	for (size_t i = 0; i < o->n_pairs; i++) {
		struct tls_certificate *c = &set->certificates[i];

		if (o->plural)
			snprintf(prefix, sizeof(prefix), "certificates[%zu].",
			    i);
		set->n_certificates = i + 1;
		if (note_pair(&set->files, &o->pairs[i], prefix,
		    wrong) == -1 ||
		    tls_certificate_read(c, &o->pairs[i], prefix, wrong) == -1)
			return -1;
		end = tls_time(X509_get0_notAfter(c->x));
		if (i == 0 || end < set->files.not_after_s)
			set->files.not_after_s = end;
		if (kind_of(c->key) < 0)
			return tls_wrong_say(wrong, o->plural ? prefix :
			    "key", "is of a kind that TLS has no use for, "
			    "expected RSA, EC or Ed25519");
	}
	return 0;
}

static int
read_names(struct set *set, struct tls_wrong *wrong)
{
	size_t room = 0, n = 0;
	const char *last = NULL;

	for (size_t i = 0; i < set->n_certificates; i++)
		room += set->certificates[i].n_names;
	set->names = calloc(room + 1, sizeof(*set->names));
	if (set->names == NULL)
		return tls_wrong_say(wrong, "tls", "out of memory");
	for (size_t i = 0; i < set->n_certificates; i++) {
		const struct tls_certificate *c = &set->certificates[i];

		for (size_t k = 0; k < c->n_names; k++)
			set->names[n++] = (struct named){ c->names[k], i };
	}
	qsort(set->names, n, sizeof(*set->names), by_name_and_place);
	/* The first of a name stands for it: choose() finds the others. Until
	   here `site` has been a certificate. */
	for (size_t i = 0; i < n; i++) {
		const char *name = set->names[i].name;
		struct choice choice;
		int site;

		if (last != NULL && strcmp(name, last) == 0)
			continue;
		choice = choose(set, name, set->names[i].site);
		site = site_of(set, &choice, wrong);
		if (site < 0)
			return -1;
		set->names[set->n_names++] = (struct named){ name,
		    (size_t)site };
		last = name;
	}
	return 0;
}

static int
fill(struct set *set, struct tls_wrong *wrong)
{
	const struct tls_certificate *first;
	struct choice choice;

	if (set->o->common.n_alpn > 0) {
		set->alpn = tls_alpn_wire(&set->o->common, &set->n_alpn);
		if (set->alpn == NULL)
			return tls_wrong_say(wrong, "alpn", "out of memory");
	}
	if (identify(set, wrong) == -1 ||
	    read_certificates(set, wrong) == -1)
		return -1;
	first = &set->certificates[0];
	choice = choose(set, first->n_names > 0 ? first->names[0] : NULL, 0);
	if (site_of(set, &choice, wrong) < 0)
		return -1;
	return read_names(set, wrong);
}

/* A new set, as its first site's context; NULL with *wrong filled in. */
static SSL_CTX *
set_new(const struct tls_server_options *o, struct tls_wrong *wrong)
{
	struct set *set = calloc(1, sizeof(*set));
	SSL_CTX *ctx = NULL;

	if (set == NULL) {
		(void)tls_wrong_say(wrong, "tls", "out of memory");
		return NULL;
	}
	set->o = o;
	if (fill(set, wrong) == 0 && set->n_sites > 0) {
		ctx = set->sites[0].ctx;
		set->o = NULL;
		if (SSL_CTX_set_ex_data(ctx, slot, set) == 1)
			return ctx;
		(void)tls_wrong_say(wrong, "tls", "out of memory");
	}
	if (set->n_sites > 0)
		SSL_CTX_free(set->sites[0].ctx);
	set_free(set);
	return NULL;
}

/* ------------------------------------------------------------------ servers */

static int
watch_files(struct tls_watch *w, const struct tls_server_options *o)
{
	for (size_t i = 0; i < o->n_pairs; i++)
		if (tls_watch_add(w, o->pairs[i].certificate) == -1 ||
		    tls_watch_add(w, o->pairs[i].key) == -1 ||
		    tls_watch_add(w, o->pairs[i].ocsp) == -1)
			return -1;
	return tls_watch_add(w, o->client_ca) == -1 ||
	    tls_watch_add(w, o->crl) == -1 ? -1 : 0;
}

struct tls_server *
tls_server_new(const struct tls_server_options *o, char *why, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_server *s = calloc(1, sizeof(*s));
	struct tls_wrong wrong = { "tls: out of memory" };

	pthread_once(&once, make_slot);
	if (s != NULL) {
		s->o = o;
		pthread_mutex_init(&s->lock, NULL);
		/* Before they are read: what changes meanwhile has changed. */
		if (watch_files(&s->watch, o) == 0)
			s->ctx = set_new(o, &wrong);
	}
	if (s == NULL || s->ctx == NULL) {
		snprintf(why, size, "%s", wrong.text);
		tls_server_free(s);
		return NULL;
	}
	return s;
}

void
tls_server_free(struct tls_server *s)
{
	if (s == NULL)
		return;
	SSL_CTX_free(s->ctx);
	tls_watch_fini(&s->watch);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

SSL *
tls_server_begin(struct tls_server *s)
{
	SSL_CTX *ctx;
	SSL *ssl;

	if (s == NULL)
		return NULL;
	pthread_mutex_lock(&s->lock);
	ctx = s->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&s->lock);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	ERR_clear_error();
	return ssl;
}

enum tls_look
tls_server_look(struct tls_server *s, char *why, size_t size)
{
	struct tls_wrong wrong = { "" };
	SSL_CTX *fresh, *old;

	if (!tls_watch_look(&s->watch))
		return TLS_LOOK_SAME;
	fresh = set_new(s->o, &wrong);
	if (fresh == NULL) {
		tls_watch_refused(&s->watch);
		snprintf(why, size, "%s", wrong.text);
		return TLS_LOOK_BAD;
	}
	pthread_mutex_lock(&s->lock);
	old = s->ctx;
	s->ctx = fresh;
	pthread_mutex_unlock(&s->lock);
	SSL_CTX_free(old);
	return TLS_LOOK_NEW;
}

void
tls_server_files(struct tls_server *s, struct tls_files *files)
{
	const struct set *set;

	pthread_mutex_lock(&s->lock);
	set = SSL_CTX_get_ex_data(s->ctx, slot);
	*files = set->files;
	pthread_mutex_unlock(&s->lock);
}

int64_t
tls_server_not_after(struct tls_server *s)
{
	struct tls_files files;

	tls_server_files(s, &files);
	return files.not_after_s;
}
