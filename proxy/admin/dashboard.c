/*
 * The dashboard's page and what it may do. See dashboard.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/dashboard.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proxy/admin/caller.h"

enum {
	DIGEST = 32,
	SPELLED = (DIGEST + 2) / 3 * 4 + 1      /* in base64, with a NUL */
};

/* The hash of what stands between two tags, by which the policy knows it (CSP 3,
   2.3.1). -1: there is no such text. */
static int
hash_between(const char *from, const char *to, char spelled[SPELLED])
{
	const char *begin = strstr(dashboard_html, from), *end;
	unsigned char digest[DIGEST];

	if (begin == NULL)
		return -1;
	begin += strlen(from);
	end = strstr(begin, to);
	if (end == NULL || EVP_Digest(begin, (size_t)(end - begin), digest,
	    NULL, EVP_sha256(), NULL) != 1)
		return -1;
	EVP_EncodeBlock((unsigned char *)spelled, digest, DIGEST);
	return 0;
}

/* The page may run its one script, load nothing and send nothing elsewhere;
   whatever finds its way into it could not either. */
void
dashboard_answer(struct caller *c)
{
	char style[SPELLED], script[SPELLED], fields[512];

	if (hash_between("<style>", "</style>", style) < 0 ||
	    hash_between("<script>", "</script>", script) < 0) {
		caller_reply_error(c, 500, "the page cannot be hashed");
		return;
	}
	snprintf(fields, sizeof(fields), "Content-Security-Policy: "
	    "default-src 'none'; style-src 'sha256-%s'; "
	    "script-src 'sha256-%s'; img-src data:; connect-src 'self'; "
	    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
	    "Referrer-Policy: no-referrer\r\n", style, script);
	caller_reply(c, 200, "text/html; charset=utf-8", fields,
	    dashboard_html, dashboard_html_len);
}
