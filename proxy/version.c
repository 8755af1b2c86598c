/*
 * Versions. See version.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/version.h"

#include <ares.h>
#include <ev.h>
#include <jansson.h>
#include <libconfig.h>
#include <openssl/crypto.h>
#include <seccomp.h>

#include "net/tls_kernel.h"

enum { VERSION_TEXT = 32 };

/* Of all, numbers as text. */
struct versions {
	char libev[VERSION_TEXT], libconfig[VERSION_TEXT];
	char seccomp[VERSION_TEXT];
	const char *ares, *jansson, *openssl;
};

static void
look(struct versions *v)
{
	const struct scmp_version *seccomp = seccomp_version();

	snprintf(v->libev, VERSION_TEXT, "%d.%d", ev_version_major(),
	    ev_version_minor());
	snprintf(v->libconfig, VERSION_TEXT, "%d.%d.%d", LIBCONFIG_VER_MAJOR,
	    LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION);
	snprintf(v->seccomp, VERSION_TEXT, "%u.%u.%u", seccomp->major,
	    seccomp->minor, seccomp->micro);
	v->ares = ares_version(NULL);
	v->jansson = jansson_version_str();
	v->openssl = OpenSSL_version(OPENSSL_VERSION_STRING);
}

void
version_print(FILE *out)
{
	struct versions v;

	look(&v);
	fprintf(out, "weir %s\nlibev %s, libconfig %s, c-ares %s, jansson %s, "
	    "OpenSSL %s, libseccomp %s\nkernel TLS %s\n", WEIR_VERSION,
	    v.libev, v.libconfig, v.ares, v.jansson, v.openssl, v.seccomp,
	    tls_kernel());
}

json_t *
version_json(void)
{
	struct versions v;

	look(&v);
	return json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s}",
	    "version", WEIR_VERSION, "libraries", "libev", v.libev,
	    "libconfig", v.libconfig, "c-ares", v.ares, "jansson", v.jansson,
	    "OpenSSL", v.openssl, "libseccomp", v.seccomp, "kernel_tls",
	    tls_kernel());
}
