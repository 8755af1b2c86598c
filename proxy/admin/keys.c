/*
 * Where a key goes. See keys.h.
 *
 * The lanes' rings are theirs alone; one is made here of the same facts, for
 * each question. It is a few hundred MD5s.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/keys.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "pool/keyring.h"
#include "pool/shards.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/json.h"
#include "proxy/admin/orders.h"
#include "proxy/live.h"

enum { UPSTREAM_MOST = 512 };

static void
put_endpoint(json_t *j, const struct shards *sh, const struct endpoint *e)
{
	json_put(j, "endpoint", e == NULL ? json_null() :
	    json_text(e->name));
	json_put(j, "resolved", e == NULL ? json_null() :
	    json_text(e->resolved));
	json_put(j, "state", e == NULL ? json_null() :
	    json_text(endpoint_state(e)));
	json_put(j, "usable", json_boolean(e != NULL &&
	    shards_takes(sh, e)));
}

/* Whose it is when nothing is down. */
static void
put_home(json_t *j, const struct live_upstream *lu, uint32_t hash)
{
	struct conf_upstream conf = *lu->conf;
	const struct endpoint *e;
	struct shards *sh;

	conf.key_hash.on_down = CONF_ON_DOWN_FAIL;
	sh = shards_new(&conf, lu->roster, NULL);
	e = sh == NULL ? NULL : shards_find(sh, hash);
	json_put(j, "home", e == NULL ? json_null() :
	    json_text(e->name));
	shards_free(sh);
}

static json_t *
where(const struct live_upstream *lu, const char *key)
{
	uint32_t hash = keyring_hash(lu->conf, key, strlen(key));
	struct shards *sh = lu->roster == NULL ? NULL :
	    shards_new(lu->conf, lu->roster, NULL);
	bool any = lu->conf->key_hash.ring == CONF_RING_RANDOM;
	json_t *j = json_object();

	json_put(j, "upstream", json_text(lu->conf->name));
	json_put(j, "key", json_text(key));
	json_put(j, "hash", json_integer(hash));
	json_put(j, "any", json_boolean(any));
	put_endpoint(j, sh, sh == NULL || any ? NULL : shards_find(sh, hash));
	if (sh != NULL && !any)
		put_home(j, lu, hash);
	else
		json_put(j, "home", json_null());
	shards_free(sh);
	return j;
}

void
keys_get(struct caller *c)
{
	char upstream[UPSTREAM_MOST], key[sizeof(c->query)];
	const struct live_upstream *lu;

	if (caller_query(c, "upstream", upstream, sizeof(upstream)) == NULL ||
	    caller_query(c, "key", key, sizeof(key)) == NULL) {
		caller_reply_error(c, 400, "expected "
		    "/key?upstream=NAME&key=KEY");
		return;
	}
	/* It would stand in the key as these three signs. */
	if (strstr(c->query, "%00") != NULL) {
		caller_reply_error(c, 400, "a key with a NUL cannot be asked "
		    "for");
		return;
	}
	lu = order_upstream(c, upstream);
	if (lu == NULL)
		return;
	if (lu->conf->balance != CONF_KEY_HASH)
		caller_reply_error(c, 400, "it does not go by keys: expected "
		    "an upstream with balance = \"key_hash\"");
	else
		caller_reply_json(c, 200, where(lu, key));
}
