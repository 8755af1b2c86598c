/*
 * net/tls_server: which certificate, whose session, which client.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net/tls_pair.h"

#include "net/tls_tickets.h"

static char folder[] = "/tmp/weir-tls-XXXXXX";
static struct cert ca, one, two, twin, wild, rsa, client, other_ca, stranger;

/* ------------------------------------------------------------------- scene */

static struct tls_server_options
options_of(const struct tls_pair *pairs, size_t n)
{
	return (struct tls_server_options){ .name = "web", .pairs = pairs,
	    .n_pairs = n, .plural = n > 1, .tickets = true,
	    .session_timeout_ms = 3600 * 1000,
	    .common.max_version = TLS_VERSION_1_3 };
}

static struct tls_server *
server_of(const struct tls_server_options *o)
{
	char why[512];
	struct tls_server *s = tls_server_new(o, why, sizeof(why));

	if (s == NULL)
		fail_msg("%s", why);
	return s;
}

static struct tls_client_options
believer(void)
{
	return (struct tls_client_options){ .verify = true, .ca = ca.crt_path,
	    .common.max_version = TLS_VERSION_1_3 };
}

static struct tls_client *
client_of(const struct tls_client_options *o)
{
	char why[512];
	struct tls_client *c = tls_client_new(o, why, sizeof(why));

	if (c == NULL)
		fail_msg("%s", why);
	return c;
}

/* The name (or "" for none) a client that asks for `name` is shown. */
static const char *
shown(struct tls_server *s, const char *name, const char *ciphers)
{
	static char text[100];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *c = SSL_new(ctx), *v = tls_server_begin(s);
	X509 *x;

	SSL_set_connect_state(c);
	if (ciphers != NULL) {
		SSL_set_max_proto_version(c, TLS1_2_VERSION);
		assert_int_equal(SSL_set_cipher_list(c, ciphers), 1);
	}
	if (name != NULL)
		SSL_set_tlsext_host_name(c, name);
	text[0] = '\0';
	if (shake(c, v).good) {
		x = SSL_get1_peer_certificate(c);
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, text, sizeof(text));
		X509_free(x);
	}
	part(c, v);
	SSL_CTX_free(ctx);
	return text;
}

/* Does a second connection take up the session of a first one? */
static bool
is_taken_up(struct tls_client *c, struct tls_server *first,
    struct tls_server *second)
{
	SSL *a = tls_client_begin(c, "one.test");
	SSL *b = tls_server_begin(first);
	struct shaken s = shake(a, b);
	bool again;

	if (!s.good)
		fail_msg("%s, %s", s.client_text, s.server_text);
	part(a, b);
	a = tls_client_begin(c, "one.test");
	b = tls_server_begin(second);
	s = shake(a, b);
	if (!s.good)
		fail_msg("%s, %s", s.client_text, s.server_text);
	again = SSL_session_reused(b);
	assert_int_equal(again, SSL_session_reused(a));
	part(a, b);
	return again;
}

/* ------------------------------------------------------------ certificates */

static void
name_asked_for_chooses_the_certificate(void **state)
{
	struct tls_pair pairs[] = { { one.crt_path, one.key_path, NULL },
		{ two.crt_path, two.key_path, NULL },
		{ wild.crt_path, wild.key_path, NULL } };
	struct tls_server_options o = options_of(pairs, 3);
	struct tls_server *s = server_of(&o);

	(void)state;
	assert_string_equal(shown(s, "one.test", NULL), "one");
	assert_string_equal(shown(s, "two.test", NULL), "two");
	assert_string_equal(shown(s, "TWO.Test", NULL), "two");
	assert_string_equal(shown(s, "two.test.", NULL), "two");
	assert_string_equal(shown(s, "also-two.test", NULL), "two");
	/* Exact before wildcard; a wildcard is one label, and not none. */
	assert_string_equal(shown(s, "a.wild.test", NULL), "wild");
	assert_string_equal(shown(s, "two.wild.test", NULL), "two");
	assert_string_equal(shown(s, "a.b.wild.test", NULL), "one");
	assert_string_equal(shown(s, "wild.test", NULL), "one");
	assert_string_equal(shown(s, "*.wild.test", NULL), "wild");
	/* The first is for the rest. */
	assert_string_equal(shown(s, "nobody.test", NULL), "one");
	assert_string_equal(shown(s, ".", NULL), "one");
	assert_string_equal(shown(s, NULL, NULL), "one");
	tls_server_free(s);
}

static void
rsa_and_ec_stand_side_by_side(void **state)
{
	struct tls_pair pairs[] = { { one.crt_path, one.key_path, NULL },
		{ rsa.crt_path, rsa.key_path, NULL } };
	struct tls_server_options o = options_of(pairs, 2);
	struct tls_server *s = server_of(&o);

	(void)state;
	assert_string_equal(shown(s, "one.test",
	    "ECDHE-RSA-AES128-GCM-SHA256"), "rsa");
	assert_string_equal(shown(s, "one.test",
	    "ECDHE-ECDSA-AES128-GCM-SHA256"), "one");
	assert_string_equal(shown(s, NULL,
	    "ECDHE-RSA-AES128-GCM-SHA256"), "rsa");
	/* A name that only one of them has. */
	assert_string_equal(shown(s, "rsa.test",
	    "ECDHE-RSA-AES128-GCM-SHA256"), "rsa");
	assert_string_equal(shown(s, "rsa.test",
	    "ECDHE-ECDSA-AES128-GCM-SHA256"), "");
	tls_server_free(s);
}

/* Of several of one kind and name. */
static void
first_in_the_file_is_shown(void **state)
{
	const struct cert *certs[] = { &two, &twin, &one, &twin };
	struct tls_pair pairs[NELEMS(certs)];
	struct tls_server_options o = options_of(pairs, NELEMS(certs));
	struct tls_server *s;

	(void)state;
	for (size_t i = 0; i < NELEMS(certs); i++)
		pairs[i] = (struct tls_pair){ certs[i]->crt_path,
		    certs[i]->key_path, NULL };
	s = server_of(&o);
	assert_string_equal(shown(s, "two.test", NULL), "two");
	assert_string_equal(shown(s, "one.test", NULL), "twin");
	tls_server_free(s);
}

static void
bad_files_are_named(void **state)
{
	struct tls_pair pairs[] = { { one.crt_path, one.key_path, NULL },
		{ two.crt_path, one.key_path, NULL } };
	struct tls_server_options o = options_of(pairs, 2);
	char why[512];

	(void)state;
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "certificates[1].key: "));
	o = options_of(pairs, 1);
	pairs[0].certificate = "/nowhere.crt";
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_string_equal(why, "certificate: \"/nowhere.crt\": No such file "
	    "or directory");
	pairs[0].certificate = one.key_path;
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "holds no certificate"));
	pairs[0] = (struct tls_pair){ one.crt_path, one.crt_path, NULL };
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "key: "));
	assert_non_null(strstr(why, "holds no key"));
	pairs[0].key = one.key_path;
	o.common.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:NONSENSE";
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "ciphers: \"NONSENSE\" is not known"));
	o.common.ciphers = NULL;
	o.common.ciphersuites = "TLS_NONSENSE";
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "ciphersuites: \"TLS_NONSENSE\""));
	o.common.ciphersuites = NULL;
	o.common.groups = "P-12";
	assert_null(tls_server_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "groups: \"P-12\""));
}

static void
answer_of_ocsp_is_stapled_while_it_is_good(void **state)
{
	static const int hours[] = { 1, -1 };
	char path[CERTS_PATH_MAX + 10];

	(void)state;
	snprintf(path, sizeof(path), "%s/one.der", folder);
	for (size_t i = 0; i < NELEMS(hours); i++) {
		struct tls_pair pair = { one.crt_path, one.key_path, path };
		struct tls_server_options o = options_of(&pair, 1);
		struct tls_client_options believes = believer();
		struct tls_client *c = client_of(&believes);
		struct tls_server *s;
		const unsigned char *staple;
		SSL *a, *b;

		cert_write_ocsp(&ca, &one, path, hours[i]);
		s = server_of(&o);
		a = tls_client_begin(c, "one.test");
		b = tls_server_begin(s);
		SSL_set_tlsext_status_type(a, TLSEXT_STATUSTYPE_ocsp);
		assert_true(shake(a, b).good);
		assert_true((SSL_get_tlsext_status_ocsp_resp(a, &staple) >
		    0) == (hours[i] > 0));
		part(a, b);
		tls_client_free(c);
		tls_server_free(s);
	}
	remove(path);
}

static void
alpn_is_the_servers_choice_and_none_is_fatal(void **state)
{
	static const char *const servers[] = { "h2", "http/1.1" };
	static const char *const clients[] = { "http/1.1", "h2" };
	static const char *const others[] = { "postgresql" };
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_client_options c_o = believer();
	struct tls_server *s;
	struct tls_client *c;
	const unsigned char *chosen;
	unsigned n;
	struct shaken shaken;
	SSL *a, *b;

	(void)state;
	o.common.alpn = servers;
	o.common.n_alpn = 2;
	c_o.common.alpn = clients;
	c_o.common.n_alpn = 2;
	s = server_of(&o);
	c = client_of(&c_o);
	a = tls_client_begin(c, "one.test");
	b = tls_server_begin(s);
	assert_true(shake(a, b).good);
	SSL_get0_alpn_selected(a, &chosen, &n);
	assert_int_equal(n, 2);
	assert_memory_equal(chosen, "h2", 2);
	part(a, b);
	tls_client_free(c);
	c_o.common.alpn = others;
	c_o.common.n_alpn = 1;
	c = client_of(&c_o);
	a = tls_client_begin(c, "one.test");
	b = tls_server_begin(s);
	shaken = shake(a, b);
	assert_int_equal(shaken.server, TLS_PROBLEM_NO_SHARED_PROTOCOL);
	assert_int_equal(shaken.client, TLS_PROBLEM_NO_SHARED_PROTOCOL);
	part(a, b);
	tls_client_free(c);
	tls_server_free(s);
}

/* ---------------------------------------------------------------- sessions */

static void
session_is_taken_up_also_after_a_reload(void **state)
{
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_client_options believes = believer();

	(void)state;
	for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3;
	    version++) {
		struct tls_server *s, *reloaded;
		struct tls_client *c;

		believes.common.max_version = (enum tls_version)version;
		s = server_of(&o);
		reloaded = server_of(&o);
		c = client_of(&believes);
		assert_true(is_taken_up(c, s, s));
		assert_true(is_taken_up(c, s, reloaded));
		tls_client_free(c);
		tls_server_free(s);
		tls_server_free(reloaded);
	}
}

static void
ticket_is_good_until_two_secrets_later(void **state)
{
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_client_options believes = believer();
	struct tls_server *s = server_of(&o);
	struct tls_client *c = client_of(&believes);
	SSL_SESSION *old;
	SSL *a, *b;

	(void)state;
	a = tls_client_begin(c, "one.test");
	b = tls_server_begin(s);
	assert_true(shake(a, b).good);
	old = SSL_get1_session(a);
	part(a, b);
	for (int hours = 0; hours <= 16; hours += 4) {
		/* OpenSSL's client takes up each only once. */
		SSL_SESSION *copy = SSL_SESSION_dup(old);

		a = tls_client_begin(c, "one.test");
		b = tls_server_begin(s);
		SSL_set_session(a, copy);
		SSL_SESSION_free(copy);
		assert_true(shake(a, b).good);
		if (SSL_session_reused(b) != (hours < 12))
			fail_msg("after %d hours", hours);
		part(a, b);
		tls_tickets_age(4 * 3600);
	}
	SSL_SESSION_free(old);
	/* Nobody came for days: what there was is not good, what is new is. */
	tls_tickets_age(72 * 3600);
	assert_true(is_taken_up(c, s, s));
	tls_client_free(c);
	tls_server_free(s);
}

static void
without_tickets_sessions_are_kept(void **state)
{
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_client_options believes = believer();

	(void)state;
	o.tickets = false;
	for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3;
	    version++) {
		struct tls_server *s, *other;
		struct tls_client *c;

		believes.common.max_version = (enum tls_version)version;
		s = server_of(&o);
		other = server_of(&o);
		c = client_of(&believes);
		assert_true(is_taken_up(c, s, s));
		assert_false(is_taken_up(c, s, other));
		tls_client_free(c);
		tls_server_free(s);
		tls_server_free(other);
	}
}

/* CVE-2025-23419: whom one listener let in is nobody to the next. */
static void
ticket_of_one_listener_is_nothing_to_another(void **state)
{
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options open = options_of(&pair, 1);
	struct tls_server_options strict = options_of(&pair, 1);
	struct tls_client_options anon = believer(), known = believer();
	struct tls_server *open_s, *strict_s, *same_s;
	struct tls_client *c;
	struct shaken shaken;
	SSL *a, *b;

	(void)state;
	strict.client_auth = TLS_CLIENT_REQUIRED;
	strict.client_ca = ca.crt_path;
	known.certificate = client.crt_path;
	known.key = client.key_path;
	for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3;
	    version++) {
		anon.common.max_version = (enum tls_version)version;
		known.common.max_version = (enum tls_version)version;
		open_s = server_of(&open);
		/* Even of the same name: the file has been changed. */
		strict_s = server_of(&strict);
		same_s = server_of(&strict);
		c = client_of(&anon);
		a = tls_client_begin(c, "one.test");
		b = tls_server_begin(open_s);
		assert_true(shake(a, b).good);
		part(a, b);
		a = tls_client_begin(c, "one.test");
		b = tls_server_begin(strict_s);
		shaken = shake(a, b);
		assert_false(shaken.good);
		assert_int_equal(shaken.server, TLS_PROBLEM_NO_CERTIFICATE);
		part(a, b);
		tls_client_free(c);
		/* Who has shown one is known again there, and only there. */
		c = client_of(&known);
		assert_true(is_taken_up(c, strict_s, same_s));
		assert_false(is_taken_up(c, strict_s, open_s));
		tls_client_free(c);
		tls_server_free(open_s);
		tls_server_free(strict_s);
		tls_server_free(same_s);
	}
}

static void
revoked_client_is_out_also_with_its_session(void **state)
{
	struct tls_pair pair = { one.crt_path, one.key_path, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_client_options known = believer();
	char crl[CERTS_PATH_MAX + 10];
	struct tls_server *before, *after;
	struct tls_client *c;
	struct shaken shaken;
	SSL *a, *b;

	(void)state;
	snprintf(crl, sizeof(crl), "%s/clients.crl", folder);
	o.client_auth = TLS_CLIENT_OPTIONAL;
	o.client_ca = ca.crt_path;
	o.crl = crl;
	known.certificate = client.crt_path;
	known.key = client.key_path;
	cert_write_crl(&ca, crl, NULL);
	before = server_of(&o);
	cert_write_crl(&ca, crl, &client);
	after = server_of(&o);
	c = client_of(&known);
	assert_true(is_taken_up(c, before, before));
	a = tls_client_begin(c, "one.test");
	b = tls_server_begin(after);
	shaken = shake(a, b);
	assert_false(shaken.good);
	assert_int_equal(shaken.server, TLS_PROBLEM_REVOKED);
	part(a, b);
	tls_client_free(c);
	tls_server_free(before);
	tls_server_free(after);
	remove(crl);
}

/* ----------------------------------------------------------------- clients */

static void
client_is_asked_as_configured(void **state)
{
	static const struct {
		enum tls_client_auth auth;
		const struct cert *shows;
		enum tls_problem server;
	} rows[] = {
		{ TLS_CLIENT_NONE, NULL, TLS_PROBLEM_NONE },
		{ TLS_CLIENT_OPTIONAL, NULL, TLS_PROBLEM_NONE },
		{ TLS_CLIENT_OPTIONAL, &client, TLS_PROBLEM_NONE },
		{ TLS_CLIENT_OPTIONAL, &stranger, TLS_PROBLEM_UNKNOWN_CA },
		{ TLS_CLIENT_REQUIRED, &client, TLS_PROBLEM_NONE },
		{ TLS_CLIENT_REQUIRED, NULL, TLS_PROBLEM_NO_CERTIFICATE },
		{ TLS_CLIENT_REQUIRED, &stranger, TLS_PROBLEM_UNKNOWN_CA },
	};
	struct tls_pair pairs[] = { { one.crt_path, one.key_path, NULL },
		{ two.crt_path, two.key_path, NULL } };

	(void)state;
	for (size_t i = 0; i < 2 * NELEMS(rows); i++) {
		struct tls_server_options o = options_of(pairs, 2);
		struct tls_client_options c_o = believer();
		struct tls_server *s;
		struct tls_client *c;
		struct shaken shaken;
		SSL *a, *b;

		o.client_auth = rows[i / 2].auth;
		if (o.client_auth != TLS_CLIENT_NONE)
			o.client_ca = ca.crt_path;
		if (rows[i / 2].shows != NULL) {
			c_o.certificate = rows[i / 2].shows->crt_path;
			c_o.key = rows[i / 2].shows->key_path;
		}
		s = server_of(&o);
		c = client_of(&c_o);
		/* The policy is that of all names. */
		a = tls_client_begin(c, i % 2 ? "one.test" : "two.test");
		b = tls_server_begin(s);
		shaken = shake(a, b);
		if (shaken.server != rows[i / 2].server)
			fail_msg("row %zu: %s (%s)", i / 2,
			    tls_problem_names[shaken.server],
			    shaken.server_text);
		part(a, b);
		tls_client_free(c);
		tls_server_free(s);
	}
}

/* ----------------------------------------------------------------- watching */

static void
copy_over(const char *from, const char *to)
{
	char command[3 * CERTS_PATH_MAX];

	snprintf(command, sizeof(command), "cp %s %s.new && mv %s.new %s",
	    from, to, to, to);
	assert_int_equal(system(command), 0);
}

static void
new_files_are_taken_when_they_rest_and_are_good(void **state)
{
	char crt[CERTS_PATH_MAX + 10], key[CERTS_PATH_MAX + 10], why[512];
	struct tls_pair pair = { crt, key, NULL };
	struct tls_server_options o = options_of(&pair, 1);
	struct tls_server *s;
	SSL *begun;

	(void)state;
	snprintf(crt, sizeof(crt), "%s/live.crt", folder);
	snprintf(key, sizeof(key), "%s/live.key", folder);
	copy_over(one.crt_path, crt);
	copy_over(one.key_path, key);
	s = server_of(&o);
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	begun = tls_server_begin(s);
	copy_over(two.crt_path, crt);
	/* Half way: the key is to follow. */
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	copy_over(two.key_path, key);
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	assert_string_equal(shown(s, NULL, NULL), "one");
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_NEW);
	assert_string_equal(shown(s, NULL, NULL), "two");
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	/* A bad one is told once. */
	copy_over(one.key_path, crt);
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_BAD);
	assert_non_null(strstr(why, "holds no certificate"));
	assert_int_equal(tls_server_look(s, why, sizeof(why)), TLS_LOOK_SAME);
	assert_string_equal(shown(s, NULL, NULL), "two");
	SSL_free(begun);
	tls_server_free(s);
	remove(crt);
	remove(key);
}

static void
connection_outlives_its_server(void **state)
{
	struct tls_pair pairs[] = { { one.crt_path, one.key_path, NULL },
		{ two.crt_path, two.key_path, NULL } };
	struct tls_server_options o = options_of(pairs, 2);
	struct tls_client_options believes = believer();
	struct tls_server *s = server_of(&o);
	struct tls_client *c = client_of(&believes);
	SSL *a = tls_client_begin(c, "two.test"), *b = tls_server_begin(s);

	(void)state;
	tls_server_free(s);
	tls_client_free(c);
	memset(&o, 0xff, sizeof(o));
	assert_true(shake(a, b).good);
	part(a, b);
}

/* ------------------------------------------------------------------ running */

static int
make_all(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	ca = cert_new(folder, "ca", (struct cert_wish){ .name = "CA",
	    .is_ca = true });
	other_ca = cert_new(folder, "other_ca", (struct cert_wish){
	    .name = "Other CA", .is_ca = true });
	one = cert_new(folder, "one", (struct cert_wish){ .name = "one",
	    .san = "DNS:one.test", .issuer = &ca });
	two = cert_new(folder, "two", (struct cert_wish){ .name = "two",
	    .san = "DNS:two.test,DNS:also-two.test,DNS:two.wild.test",
	    .issuer = &ca });
	twin = cert_new(folder, "twin", (struct cert_wish){ .name = "twin",
	    .san = "DNS:two.test,DNS:one.test", .issuer = &ca });
	wild = cert_new(folder, "wild", (struct cert_wish){ .name = "wild",
	    .san = "DNS:*.wild.test", .issuer = &ca });
	rsa = cert_new(folder, "rsa", (struct cert_wish){ .name = "rsa",
	    .san = "DNS:rsa.test,DNS:one.test", .rsa = true, .issuer = &ca });
	client = cert_new(folder, "client", (struct cert_wish){
	    .name = "client", .issuer = &ca });
	stranger = cert_new(folder, "stranger", (struct cert_wish){
	    .name = "stranger", .issuer = &other_ca });
	return 0;
}

static int
drop_all(void **state)
{
	struct cert *all[] = { &ca, &other_ca, &one, &two, &twin, &wild, &rsa,
		&client, &stranger };

	(void)state;
	for (size_t i = 0; i < NELEMS(all); i++)
		cert_free(all[i]);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_asked_for_chooses_the_certificate),
		cmocka_unit_test(rsa_and_ec_stand_side_by_side),
		cmocka_unit_test(first_in_the_file_is_shown),
		cmocka_unit_test(bad_files_are_named),
		cmocka_unit_test(answer_of_ocsp_is_stapled_while_it_is_good),
		cmocka_unit_test(alpn_is_the_servers_choice_and_none_is_fatal),
		cmocka_unit_test(session_is_taken_up_also_after_a_reload),
		cmocka_unit_test(ticket_is_good_until_two_secrets_later),
		cmocka_unit_test(without_tickets_sessions_are_kept),
		cmocka_unit_test(ticket_of_one_listener_is_nothing_to_another),
		cmocka_unit_test(revoked_client_is_out_also_with_its_session),
		cmocka_unit_test(client_is_asked_as_configured),
		cmocka_unit_test(
		    new_files_are_taken_when_they_rest_and_are_good),
		cmocka_unit_test(connection_outlives_its_server)
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
