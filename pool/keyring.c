/*
 * Rings of keys. See keyring.h.
 *
 * The facts are those of twemproxy's source (src/hashkit, nc_server.c and
 * nc_conf.c of 0.5.0), and tests/real/test_nutcracker_keys.py holds them
 * against the program.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/keyring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/patient.h"
#include "pool/keyhash.h"

enum {
	POINTS = 160,                   /* of a server of average weight */
	POINTS_OF_SUM = 4,              /* one MD5 gives four */
	LABEL_MAX = 273,                /* longer ones count as cut there */
	MEMCACHED_PORT = 11211
};

struct point {
	uint32_t value;
	uint32_t node;                  /* index into what it was made of */
};

struct keyring {
	enum conf_key_ring ring;
	size_t n;
	struct point v[];               /* ketama: by value */
};

/* ------------------------------------------------------------------- order */

/* A node among those that are usable. */
struct place {
	const struct keyring_node *node;
	uint32_t index;
};

/* twemproxy sorts its servers by length, then by bytes. On a modula ring that
   is the order that counts, on a ketama one it decides between equal points. */
static int
compare_places(const void *a, const void *b)
{
	const struct place *one = a, *other = b;
	size_t n = strlen(one->node->label), m = strlen(other->node->label);
	int c = n != m ? (n > m) - (n < m) :
	    memcmp(one->node->label, other->node->label, n);

	return c != 0 ? c : (one->index > other->index) -
	    (one->index < other->index);
}

static int
compare_points(const void *a, const void *b)
{
	const struct point *one = a, *other = b;

	if (one->value != other->value)
		return one->value > other->value ? 1 : -1;
	return (one->node > other->node) - (one->node < other->node);
}

/* The usable ones in their order; *n of them. */
static struct place *
put_in_order(const struct keyring_node *v, size_t all, size_t *n)
{
	struct place *places = patient_alloc((all + 1) * sizeof(*places));

	*n = 0;
	for (size_t i = 0; places != NULL && i < all; i++)
		if (v[i].usable)
			places[(*n)++] = (struct place){ &v[i], (uint32_t)i };
	if (places != NULL)
		qsort(places, *n, sizeof(*places), compare_places);
	return places;
}

/* ------------------------------------------------------------------ points */

/*
 * MD5s of one server on a ketama ring. The arithmetic is in floats, in this
 * order and with this summand, and rounds down: another way would give some
 * servers four points more or less, and move keys.
 */
static uint32_t
sums_of(unsigned weight, uint32_t total, size_t servers)
{
	float share = (float)weight / (float)total;

	return (uint32_t)floorf((float)(share * POINTS / POINTS_OF_SUM *
	    (float)servers + 0.0000000001));
}

static size_t
points_of(enum conf_key_ring ring, unsigned weight, uint32_t total, size_t n)
{
	switch (ring) {
	case CONF_RING_KETAMA:
		return (size_t)sums_of(weight, total, n) * POINTS_OF_SUM;
	case CONF_RING_MODULA:
		return weight;
	case CONF_RING_RANDOM:
		return 1;               /* weights do not count */
	}
	return 0;
}

static void
add_sums(struct keyring *r, const char *label, uint32_t order, uint32_t sums)
{
	char text[LABEL_MAX];

	for (uint32_t i = 0; i < sums; i++) {
		struct keyhash_md5 sum;

		snprintf(text, sizeof(text), "%s-%u", label, i);
		sum = keyhash_md5(text, strlen(text));
		for (size_t j = 0; j < POINTS_OF_SUM; j++)
			r->v[r->n++] = (struct point){ sum.part[j], order };
	}
}

static void
add_points(struct keyring *r, const char *label, uint32_t order, size_t n)
{
	if (r->ring == CONF_RING_KETAMA)
		add_sums(r, label, order, (uint32_t)(n / POINTS_OF_SUM));
	else
		for (; n > 0; n--)
			r->v[r->n++] = (struct point){ 0, order };
}

static struct keyring *
make(enum conf_key_ring ring, const struct place *places, size_t n)
{
	struct keyring *r;
	uint32_t total = 0;
	size_t points = 0;

	for (size_t i = 0; i < n; i++)
		total += places[i].node->weight;
	for (size_t i = 0; i < n; i++)
		points += points_of(ring, places[i].node->weight, total, n);
	r = patient_alloc(sizeof(*r) + points * sizeof(r->v[0]));
	if (r == NULL)
		return NULL;
	r->ring = ring;
	r->n = 0;
	for (size_t i = 0; i < n; i++)
		add_points(r, places[i].node->label, (uint32_t)i, points_of(
		    ring, places[i].node->weight, total, n));
	if (ring == CONF_RING_KETAMA)
		qsort(r->v, r->n, sizeof(r->v[0]), compare_points);
	for (size_t i = 0; i < r->n; i++)
		r->v[i].node = places[r->v[i].node].index;
	return r;
}

struct keyring *
keyring_new(enum conf_key_ring ring, const struct keyring_node *v, size_t n)
{
	size_t usable;
	struct place *places = put_in_order(v, n, &usable);
	struct keyring *r = places == NULL ? NULL : make(ring, places, usable);

	free(places);
	return r;
}

void
keyring_free(struct keyring *r)
{
	free(r);
}

/* ----------------------------------------------------------------- finding */

/* The first point at or after the hash; after the last one comes the first. */
static size_t
first_from(const struct keyring *r, uint32_t hash)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->v[middle].value < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n ? low : 0;
}

size_t
keyring_find(const struct keyring *r, uint32_t hash)
{
	if (r->n == 0)
		return KEYRING_NONE;
	return r->v[r->ring == CONF_RING_KETAMA ? first_from(r, hash) :
	    hash % r->n].node;
}

bool
keyring_hash_of(const struct keyring *r, size_t node, uint32_t *hash)
{
	for (size_t i = 0; i < r->n; i++) {
		*hash = r->ring == CONF_RING_KETAMA ? r->v[i].value :
		    (uint32_t)i;
		/* Of two points of one value the first has the keys. */
		if (r->v[i].node == node && keyring_find(r, *hash) == node)
			return true;
	}
	return false;
}

/* -------------------------------------------------------------------- keys */

uint32_t
keyring_hash(const struct conf_upstream *u, const void *key, size_t len)
{
	const char *tag = u->key_hash.tag;
	const char *begin = NULL, *end = NULL;

	if (tag != NULL && *tag != '\0')
		begin = memchr(key, tag[0], len);
	if (begin != NULL) {
		begin++;
		end = memchr(begin, tag[1], len -
		    (size_t)(begin - (const char *)key));
	}
	/* The first of each; nothing between them means the whole key. */
	if (end != NULL && end > begin)
		return keyhash(u->key_hash.function, begin,
		    (size_t)(end - begin));
	/* No function is asked about an empty key. */
	return len == 0 ? 0 : keyhash(u->key_hash.function, key, len);
}

char *
keyring_label(const struct conf_endpoint *e)
{
	const struct addr_text *at = &e->address;
	char *label;
	size_t size;

	if (e->named || e->srv != NULL)
		return patient_copy(e->name);
	if (!at->is_unix && at->port == MEMCACHED_PORT)
		return patient_copy(at->host);
	size = strlen(at->host) + sizeof(":65535");
	label = patient_alloc(size);
	if (label == NULL)
		return NULL;
	/* A path gets the colon that stands before a port. */
	if (at->is_unix)
		snprintf(label, size, "%s:", at->host);
	else
		snprintf(label, size, "%s:%u", at->host, at->port);
	return label;
}
