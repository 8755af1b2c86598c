/*
 * conf/tls and warn_tls: groups named tls, and what is wrong with their files.
 *
 * SPDX-License-Identifier: MIT
 */
#include <unistd.h>

#include "tests/conf/rows.h"
#include "tests/support/certs.h"

/* Errors name files as they are written: so they stand where the test runs. */
static char folder[] = "/tmp/weir-conf-XXXXXX";
static struct cert one, two, old, soon;

static const struct row rows[] = {
	{ ROW_LISTENER, "tls = { certificate = \"one.crt\"; "
	    "key = \"one.key\"; };", "" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; };", "" },
	{ ROW_LISTENER, "tls = { certificates = ( { certificate = "
	    "\"one.crt\"; key = \"one.key\"; }, { certificate = \"two.crt\"; "
	    "key = \"two.key\"; } ); min_version = \"1.3\"; "
	    "alpn = ( \"h2\", \"http/1.1\" ); tickets = false; "
	    "session_timeout = \"10m\"; max_handshakes = 100; "
	    "watch = true; };", "" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; client_auth = "
	    "\"required\"; client_ca = \"two.crt\"; };", "" },
	{ ROW_LISTENER, "tls = true;",
	    "weir.conf:1: listeners.a.tls: is a bool, expected a group: "
	    "{ key = value; ... }" },
	{ ROW_LISTENER, "tls = { };",
	    "weir.conf:1: listeners.a.tls.certificate: is missing, expected "
	    "the path of a PEM file, or certificates = ( ... )" },
	{ ROW_LISTENER, "tls = { certificates = ( ); };",
	    "weir.conf:1: listeners.a.tls.certificate: is missing, expected "
	    "the path of a PEM file, or certificates = ( ... )" },
	{ ROW_LISTENER, "tls = { certificates = ( { key = \"one.key\"; } ); };",
	    "weir.conf:1: listeners.a.tls.certificates: one has no "
	    "certificate, expected the path of a PEM file" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; certificates = "
	    "( { certificate = \"two.crt\"; } ); };",
	    "weir.conf:1: listeners.a.tls.certificates: stands beside "
	    "certificate, expected one of the two" },
	{ ROW_LISTENER, "tls = { certificates = ( { certificate = "
	    "\"one.pem\"; } );\nkey = \"one.key\"; };",
	    "weir.conf:2: listeners.a.tls.key: goes with certificate, expected "
	    "that too" },
	{ ROW_LISTENER, "tls = { certificate = \"no.crt\"; };",
	    "weir.conf:1: listeners.a.tls.certificate: \"no.crt\": No such "
	    "file or directory" },
	{ ROW_LISTENER, "tls = { certificate = \"one.crt\";\n"
	    "key = \"two.key\"; };",
	    "weir.conf:2: listeners.a.tls.key: \"two.key\" is not the key of "
	    "the first certificate in \"one.crt\"" },
	{ ROW_LISTENER, "tls = { certificate = \"one.crt\"; };",
	    "weir.conf:1: listeners.a.tls.key: \"one.crt\" holds no key that "
	    "can be read, expected \"-----BEGIN PRIVATE KEY-----\"" },
	{ ROW_LISTENER, "tls = { certificates = (\n{ certificate = "
	    "\"one.pem\"; },\n{ certificate = \"two.crt\";\n"
	    "key = \"one.key\"; } ); };",
	    "weir.conf:4: listeners.a.tls.certificates[1].key: \"one.key\" is "
	    "not the key of the first certificate in \"two.crt\"" },
	{ ROW_LISTENER, "tls = { certificate = \"cut.pem\"; };",
	    "weir.conf:1: listeners.a.tls.certificate: \"cut.pem\": its "
	    "certificate number 1 cannot be read (bad end line)" },
	{ ROW_LISTENER, "tls = { certificate = \"locked.pem\"; };",
	    "weir.conf:1: listeners.a.tls.key: \"locked.pem\" is encrypted, "
	    "expected a key without passphrase" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; min_version = "
	    "\"1.3\"; max_version = \"1.2\"; };",
	    "weir.conf:1: listeners.a.tls.max_version: is below min_version, "
	    "expected the same or above" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; min_version = "
	    "\"1.1\"; };",
	    "weir.conf:1: listeners.a.tls.min_version: unknown \"1.1\", did "
	    "you mean \"1.2\"? Expected \"1.2\" or \"1.3\"" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; ciphers = "
	    "\"HARMLESS\"; };",
	    "weir.conf:1: listeners.a.tls.ciphers: \"HARMLESS\" is not known "
	    "to this OpenSSL, expected names with \":\" between them" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; client_auth = "
	    "\"optional\"; };",
	    "weir.conf:1: listeners.a.tls.client_ca: is missing, expected the "
	    "path of a PEM file with the certificates to hold clients' "
	    "against" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; client_ca = "
	    "\"two.crt\"; };",
	    "weir.conf:1: listeners.a.tls.client_ca: is of no use while "
	    "client_auth is \"none\", expected \"optional\" or \"required\"" },
	{ ROW_LISTENER, "tls = { certificate = \"one.pem\"; ocsp = "
	    "\"one.crt\"; };",
	    "weir.conf:1: listeners.a.tls.ocsp: \"one.crt\" is no answer of "
	    "OCSP, expected one in DER, as openssl ocsp -respout writes it" },
	{ ROW_LISTENER, "certificate = \"one.pem\";",
	    "weir.conf:1: listeners.a: unknown key \"certificate\", did you "
	    "mean \"tls.certificate\"?" },

	{ ROW_UPSTREAM, "tls = { ca = \"one.crt\"; };", "" },
	{ ROW_UPSTREAM, "tls = { ca = \"one.crt\"; server_name = "
	    "\"db.internal\"; certificate = \"one.crt\"; key = "
	    "\"one.key\"; alpn = \"http/1.1\"; };", "" },
	{ ROW_UPSTREAM, "tls = { verify = false; };", "" },
	{ ROW_UPSTREAM, "tls = { verify = false; ca = \"one.crt\"; };",
	    "weir.conf:2: upstreams.x.tls.ca: is of no use while verify is "
	    "false" },
	{ ROW_UPSTREAM, "tls = { ca = \"one.key\"; };",
	    "weir.conf:2: upstreams.x.tls.ca: \"one.key\" holds no "
	    "certificate, expected \"-----BEGIN CERTIFICATE-----\"" },
	{ ROW_UPSTREAM, "tls = { key = \"one.key\"; };",
	    "weir.conf:2: upstreams.x.tls.key: goes with certificate, "
	    "expected that too" },
	{ ROW_UPSTREAM, "tls = { server_name = \"db:5432\"; };",
	    "weir.conf:2: upstreams.x.tls.server_name: \"db:5432\": no name, "
	    "expected one such as \"db.internal\", without port" },
	{ ROW_ENDPOINTS, "( \"unix:/run/x\" ); tls = { ca = \"one.crt\"; }",
	    "weir.conf:2: upstreams.x.tls.server_name: is missing: a Unix "
	    "socket has no name to verify, expected one such as "
	    "\"db.internal\", or verify = false" },
};

static void
groups_are_read_and_refused(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
contexts_are_made_unless_offline(void **state)
{
	static const char tls[] = "tls = { certificate = \"one.pem\"; };";
	char *file = row_file(ROW_LISTENER, tls);
	struct conf_input in = { .path = "weir.conf", .text = file,
	    .protos = fake_protos };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);

	(void)state;
	assert_non_null(c);
	assert_true(c->listeners[0].tls.common.on);
	assert_non_null(c->listeners[0].tls.server);
	assert_false(c->upstreams[0].tls.common.on);
	assert_null(c->upstreams[0].tls.client);
	assert_true(c->upstreams[0].tls.verify);
	conf_free(c);
	free(file);
	file = row_file(ROW_LISTENER, "tls = { certificate = \"no\"; };");
	in.text = file;
	in.offline = true;
	c = conf_load(&in, &errors);
	assert_non_null(c);
	assert_true(c->listeners[0].tls.common.on);
	assert_null(c->listeners[0].tls.server);
	conf_free(c);
	free(file);
}

static void
no_key_is_shown(void **state)
{
	struct conf *c = conf_of(ROW_LISTENER, "tls = { certificate = "
	    "\"one.crt\"; key = \"one.key\"; };");
	char *text = conf_json(c);

	(void)state;
	assert_non_null(strstr(text, "\"certificate\": \"one.crt\""));
	assert_null(strstr(text, "BEGIN"));
	free(text);
	conf_free(c);
}

static void
warns(enum row_kind kind, const char *text, const char *wanted)
{
	struct conf *c = conf_of(kind, text);
	struct conf_errors warnings = { 0 };
	bool found = false;

	conf_warn(c, &warnings);
	for (size_t i = 0; i < warnings.n; i++) {
		if (wanted != NULL && strstr(warnings.v[i], wanted) != NULL)
			found = true;
		if (wanted == NULL && strstr(warnings.v[i], "tls") != NULL)
			fail_msg("%s", warnings.v[i]);
	}
	if (wanted != NULL && !found)
		fail_msg("%s brings no \"%s\"", text, wanted);
	conf_errors_fini(&warnings);
	conf_free(c);
}

static void
what_ends_or_is_not_verified_is_warned_of(void **state)
{
	(void)state;
	warns(ROW_LISTENER, "tls = { certificate = \"one.pem\"; };", NULL);
	warns(ROW_LISTENER, "tls = { certificate = \"old.crt\"; key = "
	    "\"old.key\"; };", "weir.conf:1: listeners.a: tls: a certificate "
	    "has expired, on 20");
	warns(ROW_LISTENER, "tls = { certificates = ( { certificate = "
	    "\"one.pem\"; }, { certificate = \"soon.crt\"; key = "
	    "\"soon.key\"; } ); };", "tls: a certificate expires within 5 "
	    "days, on 20");
	warns(ROW_UPSTREAM, "tls = { verify = false; };",
	    "upstreams.x: tls.verify is false");
	warns(ROW_UPSTREAM, "tls = { ca = \"one.crt\"; certificate = "
	    "\"old.crt\"; key = \"old.key\"; };", "has expired");
}

/* -------------------------------------------------------------------- scene */

static void
run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int
make_all(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	one = cert_new(".", "one", (struct cert_wish){ .name = "one",
	    .san = "DNS:one.test", .is_ca = true });
	two = cert_new(".", "two", (struct cert_wish){ .name = "two",
	    .san = "DNS:two.test" });
	old = cert_new(".", "old", (struct cert_wish){ .name = "old",
	    .from_days = -9, .to_days = -1 });
	soon = cert_new(".", "soon", (struct cert_wish){ .name = "soon",
	    .from_days = -9, .to_days = 5 });
	run("cat one.crt one.key >one.pem");
	run("head -n 3 one.crt >cut.pem; "
	    "echo '-----END CERTIFICATE' >>cut.pem");
	run("cp one.crt locked.pem && openssl pkey -in one.key -aes128 "
	    "-passout pass:secret >>locked.pem");
	return 0;
}

static int
drop_all(void **state)
{
	(void)state;
	cert_free(&one);
	cert_free(&two);
	cert_free(&old);
	cert_free(&soon);
	remove("one.pem");
	remove("cut.pem");
	remove("locked.pem");
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_are_read_and_refused),
		cmocka_unit_test(contexts_are_made_unless_offline),
		cmocka_unit_test(no_key_is_shown),
		cmocka_unit_test(what_ends_or_is_not_verified_is_warned_of)
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
