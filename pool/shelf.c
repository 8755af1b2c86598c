/*
 * Sites and shelves: where a worker keeps its connections. See pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
/* Keys come from clients (user names): seeded with an address that they cannot
   know, so that nobody can choose keys that collide. */
#define HASH_FUNCTION(bytes, len, hash) \
	((hash) = (unsigned)XXH64(bytes, len, (uintptr_t)site))
/* Without memory a shelf is not made; uthash would end the process. */
#define HASH_NONFATAL_OOM 1

#include "net/patient.h"
#include "pool/pool.h"

struct site *
pool_site_of(struct pool *p, const struct endpoint *e)
{
	struct list *l, *tmp;

	list_each(l, tmp, &p->sites) {
		struct site *site = container_of(l, struct site, link);

		if (site->endpoint == e)
			return site;
	}
	return NULL;
}

struct shelf *
shelf_find(struct site *site, const void *key, size_t len)
{
	struct shelf *sh;

	if (len == 0)
		return site->keyless;
	assert(key != NULL);
	HASH_FIND(hh, site->keyed, key, len, sh);
	return sh;
}

struct shelf *
shelf_get(struct site *site, const void *key, size_t key_len,
    size_t preface_len)
{
	size_t len = key_len + preface_len;
	struct shelf *sh = shelf_find(site, key, len);

	if (sh != NULL)
		return sh;
	/* The keyless one comes with the roster, which cannot fail. */
	sh = len == 0 ? patient_zeroed(sizeof(*sh)) :
	    calloc(1, sizeof(*sh) + len);
	if (sh == NULL)
		return NULL;
	sh->site = site;
	list_init(&sh->idle);
	list_init(&sh->shared);
	sh->key_len = key_len;
	sh->preface_len = preface_len;
	if (len == 0) {
		site->keyless = sh;
		return sh;
	}
	memcpy(sh->key, key, len);
	HASH_ADD_KEYPTR(hh, site->keyed, sh->key, len, sh);
	if (sh->hh.tbl == NULL) {
		free(sh);
		return NULL;
	}
	return sh;
}

void
shelf_left(struct shelf *sh)
{
	struct site *site = sh->site;

	sh->open--;
	site->open--;
	if (sh->open == 0 && shelf_is_keyed(sh)) {
		HASH_DEL(site->keyed, sh);
		/* Keys have secrets. */
		explicit_bzero(sh->key, sh->key_len + sh->preface_len);
		free(sh);
	}
	if (site->open > 0 || site->current)
		return;
	free(site->keyless);
	list_remove(&site->link);
	endpoint_drop(site->endpoint);
	free(site);
}
