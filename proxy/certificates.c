/*
 * Certificates that change while weir runs. See certificates.h.
 *
 * By looking at the names, not by inotify: those of a Kubernetes secret change
 * when a symlink somewhere above them does, and a file system over the network
 * tells nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/certificates.h"

#include <stdio.h>

#include "net/log.h"
#include "net/tls_client.h"
#include "net/tls_server.h"

static void
tell(struct runtime *rt, const char *kind, const char *name,
    enum tls_look look, const char *why)
{
	char who[120];

	snprintf(who, sizeof(who), "%s %.80s", kind, name);
	switch (look) {
	case TLS_LOOK_SAME:
		break;
	case TLS_LOOK_NEW:
		rt->tls_files_ok++;
		log_info(who, "tls: its files have changed and are in use");
		break;
	case TLS_LOOK_BAD:
		rt->tls_files_bad++;
		log_error(who, "tls: its files have changed, but cannot be "
		    "used, those before stay: %s", why);
		break;
	}
}

void
certificates_look(struct runtime *rt)
{
	const struct conf *conf = rt->gen->conf;
	char why[512] = "";

	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->tls.server != NULL && l->tls.common.watch)
			tell(rt, "listener", l->name, tls_server_look(
			    l->tls.server, why, sizeof(why)), why);
	}
	for (size_t i = 0; i < conf->n_upstreams; i++) {
		const struct conf_upstream *u = &conf->upstreams[i];

		if (u->tls.client != NULL && u->tls.common.watch)
			tell(rt, "upstream", u->name, tls_client_look(
			    u->tls.client, why, sizeof(why)), why);
	}
}
