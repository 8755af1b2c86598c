/*
 * net/tls_peer: what is told of a client's certificate, and in which words.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/net/tls_pair.h"

#include <openssl/evp.h>

#include "net/tls_peer.h"

static char folder[] = "/tmp/weir-tls-XXXXXX";
static struct cert ca, server, plain, odd, bare;

/* The server's end of a connection by a client that shows a certificate, or
   none (NULL). */
struct scene {
	struct tls_server *s;
	struct tls_client *c;
	SSL *a, *b;
};

static struct scene
scene_of(const struct cert *shown)
{
	static struct tls_pair pair;
	static struct tls_server_options s_o;
	static struct tls_client_options c_o;
	struct scene scene;
	char why[512];

	pair = (struct tls_pair){ server.crt_path, server.key_path, NULL };
	s_o = (struct tls_server_options){ .name = "web", .pairs = &pair,
	    .n_pairs = 1, .tickets = true, .session_timeout_ms = 60000,
	    .client_auth = TLS_CLIENT_OPTIONAL, .client_ca = ca.crt_path,
	    .common.max_version = TLS_VERSION_1_3 };
	c_o = (struct tls_client_options){ .verify = true, .ca = ca.crt_path,
	    .common.max_version = TLS_VERSION_1_3 };
	if (shown != NULL) {
		c_o.certificate = shown->crt_path;
		c_o.key = shown->key_path;
	}
	scene.s = tls_server_new(&s_o, why, sizeof(why));
	scene.c = tls_client_new(&c_o, why, sizeof(why));
	assert_non_null(scene.s);
	assert_non_null(scene.c);
	scene.a = tls_client_begin(scene.c, "server.test");
	scene.b = tls_server_begin(scene.s);
	assert_true(shake(scene.a, scene.b).good);
	return scene;
}

static void
scene_end(struct scene *scene)
{
	part(scene->a, scene->b);
	tls_client_free(scene->c);
	tls_server_free(scene->s);
}

static void
facts_are_those_of_the_certificate(void **state)
{
	struct scene scene = scene_of(&plain);
	const char *text;
	unsigned char der[4096];
	int n;

	(void)state;
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_VERIFY),
	    "SUCCESS");
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SUBJECT),
	    "CN=plain");
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_ISSUER),
	    "CN=CA");
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SAN),
	    "DNS:plain.test,IP:10.0.0.1,IP:::1,URI:spiffe://a/b,"
	    "email:a@b.test");
	assert_int_equal(strlen(tls_peer_fact(scene.b,
	    TLS_PEER_FINGERPRINT)), 64);
	assert_non_null(tls_peer_fact(scene.b, TLS_PEER_SERIAL));
	text = tls_peer_fact(scene.b, TLS_PEER_CERTIFICATE);
	assert_int_equal(text[0], ':');
	n = (int)strlen(text);
	assert_int_equal(text[n - 1], ':');
	assert_true(EVP_DecodeBlock(der, (const unsigned char *)text + 1,
	    n - 2) > 100);
	assert_int_equal(der[0], 0x30);
	scene_end(&scene);
}

static void
facts_are_told_of_a_session_that_is_taken_up(void **state)
{
	struct scene scene = scene_of(&plain);

	(void)state;
	part(scene.a, scene.b);
	scene.a = tls_client_begin(scene.c, "server.test");
	scene.b = tls_server_begin(scene.s);
	assert_true(shake(scene.a, scene.b).good);
	assert_true(SSL_session_reused(scene.b));
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SUBJECT),
	    "CN=plain");
	scene_end(&scene);
}

static void
names_cannot_pass_for_others(void **state)
{
	struct scene scene = scene_of(&odd);

	(void)state;
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SUBJECT),
	    "CN=odd\\,O=boss\\0D\\0AX-Admin: 1\\C3\\A4");
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SAN),
	    "DNS:odd.test\\2CDNS:boss.test\\0D\\0AX-Admin:\\201\\22");
	scene_end(&scene);
}

static void
what_there_is_not_is_not_told(void **state)
{
	struct scene scene = scene_of(NULL);

	(void)state;
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_VERIFY), "NONE");
	for (int i = TLS_PEER_SUBJECT; i < N_TLS_PEER_FACTS; i++)
		assert_null(tls_peer_fact(scene.b, (enum tls_peer_fact)i));
	scene_end(&scene);
	scene = scene_of(&bare);
	assert_null(tls_peer_fact(scene.b, TLS_PEER_SAN));
	assert_string_equal(tls_peer_fact(scene.b, TLS_PEER_SUBJECT),
	    "CN=bare");
	scene_end(&scene);
}

static void
names_of_facts_are_found(void **state)
{
	(void)state;
	for (int i = 0; i < N_TLS_PEER_FACTS; i++)
		assert_int_equal(tls_peer_fact_find(tls_peer_fact_names[i]),
		    i);
	assert_int_equal(tls_peer_fact_find("Subject"), -1);
	assert_int_equal(tls_peer_fact_find(""), -1);
}

static int
make_all(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	ca = cert_new(folder, "ca", (struct cert_wish){ .name = "CA",
	    .is_ca = true });
	server = cert_new(folder, "server", (struct cert_wish){
	    .name = "server", .san = "DNS:server.test", .issuer = &ca });
	plain = cert_new(folder, "plain", (struct cert_wish){
	    .name = "plain", .san = "DNS:plain.test,IP:10.0.0.1,IP:::1,"
	    "URI:spiffe://a/b,email:a@b.test", .issuer = &ca });
	odd = cert_new(folder, "odd", (struct cert_wish){
	    .name = "odd,O=boss\r\nX-Admin: 1\xc3\xa4",
	    .odd_dns = "odd.test,DNS:boss.test\r\nX-Admin: 1\"",
	    .issuer = &ca });
	bare = cert_new(folder, "bare", (struct cert_wish){ .name = "bare",
	    .issuer = &ca });
	return 0;
}

static int
drop_all(void **state)
{
	(void)state;
	cert_free(&ca);
	cert_free(&server);
	cert_free(&plain);
	cert_free(&odd);
	cert_free(&bare);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_those_of_the_certificate),
		cmocka_unit_test(facts_are_told_of_a_session_that_is_taken_up),
		cmocka_unit_test(names_cannot_pass_for_others),
		cmocka_unit_test(what_there_is_not_is_not_told),
		cmocka_unit_test(names_of_facts_are_found)
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
