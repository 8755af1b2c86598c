/*
 * net/tls_client and tls_problem: whom a client believes, and what it says when
 * it does not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net/tls_pair.h"

static char folder[] = "/tmp/weir-tls-XXXXXX";
static struct cert ca, good, expired, early, self, foreign, other_ca, middle,
    below, numbered, forged;
static char chain[CERTS_PATH_MAX + 10], crl[CERTS_PATH_MAX + 10];

/* What a client says to a server that shows the certificate. */
struct row {
	const char *what;
	const struct cert *shown;
	const char *chain;              /* instead of the certificate's file */
	const char *name;               /* that the endpoint is written with */
	const char *server_name, *ca, *crl;
	bool unverified;
	enum tls_problem problem;
	const char *text;               /* part of it */
};

static struct shaken
meet(const struct tls_server_options *s_o, const struct tls_client_options *c_o,
    const char *name)
{
	char why[512];
	struct tls_server *s = tls_server_new(s_o, why, sizeof(why));
	struct tls_client *c = s == NULL ? NULL :
	    tls_client_new(c_o, why, sizeof(why));
	struct shaken shaken;
	SSL *a, *b;

	if (c == NULL)
		fail_msg("%s", why);
	a = tls_client_begin(c, name);
	b = tls_server_begin(s);
	assert_non_null(a);
	assert_non_null(b);
	shaken = shake(a, b);
	part(a, b);
	tls_client_free(c);
	tls_server_free(s);
	return shaken;
}

static struct tls_server_options
server_options(const struct tls_pair *pair)
{
	return (struct tls_server_options){ .name = "web", .pairs = pair,
	    .n_pairs = 1, .tickets = true, .session_timeout_ms = 60000,
	    .common.max_version = TLS_VERSION_1_3 };
}

static struct tls_client_options
client_options(void)
{
	return (struct tls_client_options){ .verify = true, .ca = ca.crt_path,
	    .common.max_version = TLS_VERSION_1_3 };
}

static void
rows_hold(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < 2 * n; i++) {
		const struct row *r = &rows[i / 2];
		struct tls_pair pair = { r->chain != NULL ? r->chain :
		    r->shown->crt_path, r->shown->key_path, NULL };
		struct tls_server_options s_o = server_options(&pair);
		struct tls_client_options c_o = client_options();
		struct shaken s;

		c_o.common.max_version = i % 2 ? TLS_VERSION_1_2 :
		    TLS_VERSION_1_3;
		c_o.verify = !r->unverified;
		c_o.ca = r->unverified ? NULL : r->ca != NULL ? r->ca :
		    ca.crt_path;
		c_o.crl = r->crl;
		c_o.server_name = r->server_name;
		s = meet(&s_o, &c_o, r->name);
		if (s.client != r->problem || (r->text != NULL &&
		    strstr(s.client_text, r->text) == NULL))
			fail_msg("%s: %s, \"%s\"", r->what,
			    tls_problem_names[s.client], s.client_text);
		/* The server hears of it, by an alert. */
		if (r->problem != TLS_PROBLEM_NONE &&
		    s.server != TLS_PROBLEM_PEER_ALERT)
			fail_msg("%s: the server says %s, \"%s\"", r->what,
			    tls_problem_names[s.server], s.server_text);
	}
}

static void
certificate_is_believed_or_refused_by_name(void **state)
{
	const struct row rows[] = {
		{ .what = "good", .shown = &good, .name = "good.test" },
		{ .what = "dot at the end", .shown = &good,
		    .name = "good.test." },
		{ .what = "wildcard", .shown = &good, .name = "a.wild.test" },
		{ .what = "server_name", .shown = &good, .name = "10.0.0.1",
		    .server_name = "good.test" },
		{ .what = "address", .shown = &numbered, .name = "127.0.0.1" },
		{ .what = "address 6", .shown = &numbered, .name = "::1" },
		{ .what = "chain", .shown = &below, .chain = chain,
		    .name = "below.test" },
		{ .what = "intermediate believed", .shown = &below,
		    .ca = middle.crt_path, .name = "below.test" },
		{ .what = "itself believed", .shown = &self,
		    .ca = self.crt_path, .name = "self.test" },
		{ .what = "not verified", .shown = &self, .unverified = true,
		    .name = "whoever.test" },
		{ .what = "Unix socket", .shown = &good, .name = "/run/s" },

		{ .what = "expired", .shown = &expired, .name = "expired.test",
		    .problem = TLS_PROBLEM_EXPIRED,
		    .text = "the certificate of \"expired\" has expired, on "
		    "20" },
		{ .what = "early", .shown = &early, .name = "early.test",
		    .problem = TLS_PROBLEM_NOT_YET_VALID,
		    .text = "is not valid before 20" },
		{ .what = "wrong name", .shown = &good, .name = "bad.test",
		    .problem = TLS_PROBLEM_WRONG_NAME,
		    .text = "is for good.test, *.wild.test, not for "
		    "bad.test" },
		{ .what = "deep wildcard", .shown = &good,
		    .name = "a.b.wild.test",
		    .problem = TLS_PROBLEM_WRONG_NAME },
		{ .what = "wrong server_name", .shown = &good,
		    .name = "good.test", .server_name = "db.test",
		    .problem = TLS_PROBLEM_WRONG_NAME },
		{ .what = "wrong address", .shown = &numbered,
		    .name = "127.0.0.2", .problem = TLS_PROBLEM_WRONG_NAME,
		    .text = "not for this address" },
		{ .what = "address by name", .shown = &good,
		    .name = "127.0.0.1", .problem = TLS_PROBLEM_WRONG_NAME },
		{ .what = "self-signed", .shown = &self, .name = "self.test",
		    .problem = TLS_PROBLEM_SELF_SIGNED,
		    .text = "signed by itself" },
		{ .what = "unknown CA", .shown = &foreign,
		    .name = "foreign.test", .problem = TLS_PROBLEM_UNKNOWN_CA,
		    .text = "not signed by a known CA" },
		{ .what = "chain without its middle", .shown = &below,
		    .name = "below.test", .problem = TLS_PROBLEM_UNKNOWN_CA },
		{ .what = "revoked", .shown = &good, .name = "good.test",
		    .crl = crl, .problem = TLS_PROBLEM_REVOKED,
		    .text = "the certificate of \"good\" has been revoked" },
		{ .what = "not of a list", .shown = &numbered, .crl = crl,
		    .name = "127.0.0.1" },
		{ .what = "no list of its CA", .shown = &below, .chain = chain,
		    .crl = crl, .name = "below.test",
		    .problem = TLS_PROBLEM_BAD_CERTIFICATE,
		    .text = "unable to get certificate CRL" },
		{ .what = "forged", .shown = &forged, .name = "forged.test",
		    .problem = TLS_PROBLEM_BAD_CERTIFICATE,
		    .text = "signature failure" },
	};

	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
literal_is_never_asked_for_by_sni(void **state)
{
	static const struct {
		const char *name, *asked;
	} rows[] = {
		{ "good.test", "good.test" }, { "good.test.", "good.test" },
		{ "127.0.0.1", NULL }, { "::1", NULL }, { "/run/s", NULL },
		{ NULL, NULL }
	};
	struct tls_client_options o = client_options();
	char why[512];
	struct tls_client *c = tls_client_new(&o, why, sizeof(why));

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < NELEMS(rows); i++) {
		SSL *a = tls_client_begin(c, rows[i].name);
		const char *asked = SSL_get_servername(a,
		    TLSEXT_NAMETYPE_host_name);

		assert_true((asked == NULL) == (rows[i].asked == NULL));
		if (asked != NULL)
			assert_string_equal(asked, rows[i].asked);
		SSL_free(a);
	}
	tls_client_free(c);
}

static void
what_both_cannot_do_is_named(void **state)
{
	struct tls_pair pair = { good.crt_path, good.key_path, NULL };
	struct tls_server_options s_o = server_options(&pair);
	struct tls_client_options c_o = client_options();
	struct shaken s;

	(void)state;
	s_o.common.min_version = TLS_VERSION_1_3;
	c_o.common.max_version = TLS_VERSION_1_2;
	s = meet(&s_o, &c_o, "good.test");
	assert_int_equal(s.server, TLS_PROBLEM_VERSION);
	assert_int_equal(s.client, TLS_PROBLEM_VERSION);
	s_o.common.min_version = TLS_VERSION_1_2;
	c_o.common.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
	s = meet(&s_o, &c_o, "good.test");
	assert_int_equal(s.server, TLS_PROBLEM_NO_SHARED_CIPHER);
	assert_int_equal(s.client, TLS_PROBLEM_PEER_ALERT);
	assert_non_null(strstr(s.client_text, "handshake failure"));
	c_o.common.ciphers = NULL;
	c_o.common.max_version = TLS_VERSION_1_3;
	c_o.common.groups = "secp384r1";
	s_o.common.groups = "X25519";
	s = meet(&s_o, &c_o, "good.test");
	assert_int_equal(s.server, TLS_PROBLEM_NO_SHARED_CIPHER);
}

/* What one side gets that comes from something else than TLS. */
static enum tls_problem
answer_to(bool server, const char *bytes, char *text, size_t size)
{
	struct tls_pair pair = { good.crt_path, good.key_path, NULL };
	struct tls_server_options s_o = server_options(&pair);
	struct tls_client_options c_o = client_options();
	char why[512];
	struct tls_server *s = tls_server_new(&s_o, why, sizeof(why));
	struct tls_client *c = tls_client_new(&c_o, why, sizeof(why));
	SSL *ssl = server ? tls_server_begin(s) :
	    tls_client_begin(c, "good.test");
	BIO *in = BIO_new(BIO_s_mem());
	enum tls_problem problem = TLS_PROBLEM_NONE;

	BIO_write(in, bytes, (int)strlen(bytes));
	BIO_set_mem_eof_return(in, 0);
	SSL_set_bio(ssl, in, BIO_new(BIO_s_mem()));
	assert_false(step(ssl, &problem, text, size));
	SSL_free(ssl);
	tls_client_free(c);
	tls_server_free(s);
	return problem;
}

static void
plaintext_is_recognised(void **state)
{
	static const struct {
		bool server;
		const char *bytes;
		enum tls_problem problem;
		const char *text;
	} rows[] = {
		{ true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		    TLS_PROBLEM_NOT_TLS, "plain HTTP came instead of TLS" },
		{ true, "PING\r\nPING\r\nPING\r\n", TLS_PROBLEM_NOT_TLS,
		    "what came is not TLS" },
		{ true, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
		    TLS_PROBLEM_NOT_TLS, "what came is not TLS" },
		{ true, "", TLS_PROBLEM_CLOSED, "ended" },
		{ true, "\x16\x03", TLS_PROBLEM_CLOSED, "ended" },
		{ false, "HTTP/1.1 400 Bad Request\r\n\r\n",
		    TLS_PROBLEM_NOT_TLS, "what came is not TLS" },
		{ false, "-ERR unknown command\r\n", TLS_PROBLEM_NOT_TLS,
		    "what came is not TLS" },
		{ false, "", TLS_PROBLEM_CLOSED, "ended" },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		enum tls_problem problem = answer_to(rows[i].server,
		    rows[i].bytes, text, sizeof(text));

		if (problem != rows[i].problem ||
		    strstr(text, rows[i].text) == NULL)
			fail_msg("\"%s\": %s, \"%s\"", rows[i].bytes,
			    tls_problem_names[problem], text);
	}
}

static void
problems_all_have_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_TLS_PROBLEMS; i++)
		assert_non_null(tls_problem_names[i]);
}

/* ---------------------------------------------------------------- sessions */

static bool
is_reused(struct tls_client *c, struct tls_server *s, const char *name)
{
	SSL *a = tls_client_begin(c, name), *b = tls_server_begin(s);
	struct shaken shaken = shake(a, b);
	bool reused = SSL_session_reused(a);

	if (!shaken.good)
		fail_msg("%s", shaken.client_text);
	part(a, b);
	return reused;
}

static void
session_belongs_to_its_name(void **state)
{
	struct tls_pair pair = { good.crt_path, good.key_path, NULL };
	struct tls_server_options s_o = server_options(&pair);
	struct tls_client_options c_o = client_options();
	char why[512], name[40];

	(void)state;
	for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3;
	    version++) {
		struct tls_server *s = tls_server_new(&s_o, why, sizeof(why));
		struct tls_client *c;

		c_o.common.max_version = (enum tls_version)version;
		c = tls_client_new(&c_o, why, sizeof(why));
		assert_false(is_reused(c, s, "good.test"));
		assert_true(is_reused(c, s, "good.test"));
		assert_true(is_reused(c, s, "good.test"));
		assert_false(is_reused(c, s, "a.wild.test"));
		assert_true(is_reused(c, s, "a.wild.test"));
		assert_true(is_reused(c, s, "good.test"));
		/* Bounded: the one that has not been used for longest goes. */
		for (int i = 0; i < 64; i++) {
			snprintf(name, sizeof(name), "n%d.wild.test", i);
			assert_false(is_reused(c, s, name));
		}
		assert_true(is_reused(c, s, "n63.wild.test"));
		assert_false(is_reused(c, s, "good.test"));
		tls_client_free(c);
		tls_server_free(s);
	}
}

/* --------------------------------------------------------------- configured */

static void
bad_files_are_named(void **state)
{
	struct tls_client_options o = client_options();
	char why[512];

	(void)state;
	o.ca = "/nowhere.pem";
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_string_equal(why, "ca: \"/nowhere.pem\": No such file or "
	    "directory");
	o.ca = good.key_path;
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "ca: "));
	o.ca = ca.crt_path;
	o.crl = ca.crt_path;
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "crl: "));
	o.crl = NULL;
	o.certificate = good.crt_path;
	o.key = self.key_path;
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_non_null(strstr(why, "key: "));
	assert_non_null(strstr(why, "is not the key"));
}

static void
alike_is_who_verifies_and_shows_the_same(void **state)
{
	struct tls_client_options o = client_options();
	char why[512];
	struct tls_client *a = tls_client_new(&o, why, sizeof(why));
	struct tls_client *b = tls_client_new(&o, why, sizeof(why));

	(void)state;
	assert_true(tls_client_alike(a, b));
	assert_true(tls_client_alike(NULL, NULL));
	assert_false(tls_client_alike(a, NULL));
	tls_client_free(b);
	o.server_name = "x.test";
	b = tls_client_new(&o, why, sizeof(why));
	assert_false(tls_client_alike(a, b));
	tls_client_free(b);
	o.server_name = NULL;
	o.ca = middle.crt_path;
	b = tls_client_new(&o, why, sizeof(why));
	assert_false(tls_client_alike(a, b));
	tls_client_free(b);
	tls_client_free(a);
}

static void
new_ca_is_believed_when_it_rests(void **state)
{
	struct tls_pair pair = { foreign.crt_path, foreign.key_path, NULL };
	struct tls_server_options s_o = server_options(&pair);
	struct tls_client_options c_o = client_options();
	char live[CERTS_PATH_MAX + 10], why[512], command[1000];
	struct tls_server *s = tls_server_new(&s_o, why, sizeof(why));
	struct tls_client *c;
	SSL *a, *b;

	(void)state;
	snprintf(live, sizeof(live), "%s/live.pem", folder);
	snprintf(command, sizeof(command), "cp %s %s", ca.crt_path, live);
	assert_int_equal(system(command), 0);
	c_o.ca = live;
	c = tls_client_new(&c_o, why, sizeof(why));
	a = tls_client_begin(c, "foreign.test");
	b = tls_server_begin(s);
	assert_int_equal(shake(a, b).client, TLS_PROBLEM_UNKNOWN_CA);
	part(a, b);
	snprintf(command, sizeof(command), "cp %s %s.x && mv %s.x %s",
	    other_ca.crt_path, live, live, live);
	assert_int_equal(system(command), 0);
	assert_int_equal(tls_client_look(c, why, sizeof(why)), TLS_LOOK_SAME);
	assert_int_equal(tls_client_look(c, why, sizeof(why)), TLS_LOOK_NEW);
	assert_false(is_reused(c, s, "foreign.test"));
	tls_client_free(c);
	tls_server_free(s);
	remove(live);
}

/* ------------------------------------------------------------------ running */

/* Signed by somebody who only has the CA's name. */
static struct cert
make_forged(void)
{
	struct cert false_ca = cert_new(folder, "false_ca", (struct cert_wish){
	    .name = "CA", .is_ca = true });
	struct cert made = cert_new(folder, "forged", (struct cert_wish){
	    .name = "forged", .san = "DNS:forged.test", .issuer = &false_ca });

	cert_free(&false_ca);
	return made;
}

static int
make_all(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	ca = cert_new(folder, "ca", (struct cert_wish){ .name = "CA",
	    .is_ca = true });
	other_ca = cert_new(folder, "other_ca", (struct cert_wish){
	    .name = "Other CA", .is_ca = true });
	middle = cert_new(folder, "middle", (struct cert_wish){
	    .name = "Middle", .is_ca = true, .issuer = &ca });
	good = cert_new(folder, "good", (struct cert_wish){ .name = "good",
	    .san = "DNS:good.test,DNS:*.wild.test", .issuer = &ca });
	below = cert_new(folder, "below", (struct cert_wish){ .name = "below",
	    .san = "DNS:below.test", .issuer = &middle });
	expired = cert_new(folder, "expired", (struct cert_wish){
	    .name = "expired", .san = "DNS:expired.test", .from_days = -9,
	    .to_days = -1, .issuer = &ca });
	early = cert_new(folder, "early", (struct cert_wish){
	    .name = "early", .san = "DNS:early.test", .from_days = 2,
	    .to_days = 9, .issuer = &ca });
	self = cert_new(folder, "self", (struct cert_wish){ .name = "self",
	    .san = "DNS:self.test" });
	foreign = cert_new(folder, "foreign", (struct cert_wish){
	    .name = "foreign", .san = "DNS:foreign.test",
	    .issuer = &other_ca });
	numbered = cert_new(folder, "numbered", (struct cert_wish){
	    .name = "numbered", .san = "IP:127.0.0.1,IP:::1",
	    .issuer = &ca });
	forged = make_forged();
	snprintf(chain, sizeof(chain), "%s/chain.crt", folder);
	cert_write_chain(chain, &below, &middle);
	snprintf(crl, sizeof(crl), "%s/some.crl", folder);
	cert_write_crl(&ca, crl, &good);
	return 0;
}

static int
drop_all(void **state)
{
	struct cert *all[] = { &ca, &other_ca, &middle, &good, &below,
		&expired, &early, &self, &foreign, &numbered, &forged };

	(void)state;
	for (size_t i = 0; i < NELEMS(all); i++)
		cert_free(all[i]);
	remove(chain);
	remove(crl);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificate_is_believed_or_refused_by_name),
		cmocka_unit_test(literal_is_never_asked_for_by_sni),
		cmocka_unit_test(what_both_cannot_do_is_named),
		cmocka_unit_test(plaintext_is_recognised),
		cmocka_unit_test(problems_all_have_names),
		cmocka_unit_test(session_belongs_to_its_name),
		cmocka_unit_test(bad_files_are_named),
		cmocka_unit_test(alike_is_who_verifies_and_shows_the_same),
		cmocka_unit_test(new_ca_is_believed_when_it_rests)
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
