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

void
version_print(FILE *out)
{
	const struct scmp_version *seccomp = seccomp_version();

	fprintf(out, "weir %s\nlibev %d.%d, libconfig %d.%d.%d, c-ares %s, "
	    "jansson %s, OpenSSL %s, libseccomp %u.%u.%u\nkernel TLS %s\n",
	    WEIR_VERSION,
	    ev_version_major(), ev_version_minor(), LIBCONFIG_VER_MAJOR,
	    LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION, ares_version(NULL),
	    jansson_version_str(), OpenSSL_version(OPENSSL_VERSION_STRING),
	    seccomp->major, seccomp->minor, seccomp->micro, tls_kernel());
}
