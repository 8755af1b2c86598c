/*
 * The process as the file wants it. See settings.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/settings.h"

#include <string.h>
#include <sys/resource.h>

#include "net/log.h"
#include "proxy/relief.h"
#include "proxy/runtime.h"

enum { FDS_OF_OUR_OWN = 32, FEW_FDS = 48 };

int
settings_open_access(const struct conf *conf, struct sink **out, char *why,
    size_t size)
{
	*out = NULL;
	if (strcmp(conf->log.access, "off") == 0)
		return 0;
	*out = sink_open(conf->log.access, why, size);
	return *out != NULL ? 0 : -1;
}

static enum resolve_families
families_of(const struct conf *conf)
{
	switch (conf->dns.families) {
	case CONF_FAMILIES_IPV4:
		return RESOLVE_IPV4;
	case CONF_FAMILIES_IPV6:
		return RESOLVE_IPV6;
	case CONF_FAMILIES_ANY:
		break;
	}
	return RESOLVE_ANY;
}

struct resolver_options
settings_resolver(const struct conf *conf)
{
	return (struct resolver_options){ .families = families_of(conf),
	    .max_ttl_ms = conf->dns.max_ttl_ms };
}

/* A part of the descriptors is kept for upstreams, so that clients alone can
   never use them up. */
void
settings_descriptors(struct runtime *rt, const struct conf *conf)
{
	struct rlimit limit = { 1024, 1024 };
	int64_t upstreams = FDS_OF_OUR_OWN;
	size_t i;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > INT32_MAX)
		limit.rlim_cur = INT32_MAX;
	for (i = 0; i < conf->n_upstreams; i++)
		upstreams += conf->upstreams[i].pool.max;
	if (upstreams > (int64_t)limit.rlim_cur / 2)
		upstreams = (int64_t)limit.rlim_cur / 2;
	rt->client_fds = (int)((int64_t)limit.rlim_cur - upstreams);
	if (rt->client_fds < FEW_FDS)
		log_warn(NULL, "%llu descriptors are permitted, of which %d "
		    "are for clients and weir itself: hardly enough",
		    (unsigned long long)limit.rlim_cur, rt->client_fds);
}

void
settings_apply(struct runtime *rt, const struct conf *conf)
{
	struct resolver_options options = settings_resolver(conf);

	settings_descriptors(rt, conf);
	log_set((enum log_level)conf->log.level,
	    conf->log.format == CONF_LOG_JSON);
	resolver_set(rt->resolver, &options);
	relief_configure(rt, conf);
	watchdog_configure(conf);
}
