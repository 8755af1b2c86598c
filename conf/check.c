/*
 * Texts of the file. See check.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "net/addr.h"
#include "net/err.h"

enum { HEALTH_PATH_MAX = 1024 };

/* A word that is not known is more likely a mistyped one than a file here. */
int
check_access(const char *value, const char **why)
{
	static const char *const words[] = {
		"off", "stdout", "stderr", "syslog"
	};
	size_t n = strlen(value);

	for (size_t i = 0; i < NELEMS(words); i++)
		if (strcmp(value, words[i]) == 0)
			return 0;
	if (strchr(value, '/') == NULL)
		*why = "expected \"off\", \"stdout\", \"stderr\", "
		    "\"syslog\" or a path, which needs a \"/\", such as "
		    "\"./access.log\"";
	else if (value[n - 1] == '/')
		*why = "a folder, expected the path of a file";
	else
		return 0;
	return -1;
}

/* RFC 9112 3.2.1: a path and perhaps a query, in the signs of RFC 3986. */
int
check_target(const char *value, const char **why)
{
	static const char signs[] = "-._~!$&'()*+,;=:@/?";
	size_t n = strlen(value);

	*why = "no target of a request, expected one such as \"/healthz\" "
	    "or \"/ready?full=1\"";
	if (*value != '/' || n > HEALTH_PATH_MAX)
		return -1;
	for (const unsigned char *c = (const unsigned char *)value;
	    *c != '\0'; c++)
		if (*c == '%' ? !isxdigit(c[1]) || !isxdigit(c[2]) :
		    *c >= 0x80 || (!isalnum(*c) && strchr(signs, *c) == NULL))
			return -1;
	return 0;
}

/* What grpc.health.v1 is asked after: "package.Service". */
int
check_service(const char *value, const char **why)
{
	*why = "is longer than 120 bytes, expected a name such as "
	    "\"shop.Orders\"";
	return strlen(value) <= 120 ? 0 : -1;
}

/* RFC 9110 7.2: a name or address, and perhaps a port. */
int
check_host(const char *value, const char **why)
{
	char text[300];
	struct addr_text t;
	const char *unused;

	*why = "no host, expected one such as \"app.internal\" or "
	    "\"app.internal:8080\"";
	if (strncmp(value, "unix:", 5) == 0 ||
	    snprintf(text, sizeof(text), "%s:80", value) >=
	    (int)sizeof(text) ||
	    (addr_text_parse(value, false, &t, &unused) == -1 &&
	    addr_text_parse(text, false, &t, &unused) == -1))
		return -1;
	addr_text_fini(&t);
	return 0;
}

/* RFC 7301 3.1: a name is 1 to 255 bytes. */
int
check_alpn(const char *value, const char **why)
{
	size_t n = strlen(value);

	if (n > 0 && n <= 255)
		return 0;
	*why = "no name of a protocol, expected one such as \"http/1.1\"";
	return -1;
}

/* A name or an address, without port. */
int
check_server_name(const char *value, const char **why)
{
	char text[300];
	struct addr_text t;
	const char *unused;
	bool v6 = strchr(value, ':') != NULL;

	*why = "no name, expected one such as \"db.internal\", without port";
	if (strncmp(value, "unix:", 5) == 0 || snprintf(text, sizeof(text),
	    v6 ? "[%s]:1" : "%s:1", value) >= (int)sizeof(text) ||
	    addr_text_parse(text, false, &t, &unused) == -1)
		return -1;
	addr_text_fini(&t);
	return 0;
}

/* Two signs that may stand in a key of any protocol. */
int
check_tag(const char *value, const char **why)
{
	if (*value == '\0' || (strlen(value) == 2 &&
	    isgraph((unsigned char)value[0]) &&
	    isgraph((unsigned char)value[1])))
		return 0;
	*why = "no tag, expected two characters such as \"{}\", or none";
	return -1;
}
