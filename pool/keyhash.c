/*
 * The hash functions. See keyhash.h.
 *
 * All results have 32 bits, also those of functions with 64 in their names:
 * twemproxy keeps the lower half, so the upper one is never computed. Where it
 * takes a byte as a `char` the sign goes along (signed_at()), as on the x86
 * machines that its users' data was spread by; keys in ASCII do not show it.
 *
 * SPDX-License-Identifier: MIT
 */
/* The functions of MD5 by name: EVP's take memory and may refuse MD5 (FIPS),
   and a key without a hash would go to a server that does not have it. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "pool/keyhash.h"

#include <openssl/md5.h>

/* The lower halves of FNV's 64-bit start and prime, and those of 32 bits
   (draft-eastlake-fnv, 5). */
#define FNV_64_START 0x84222325u
#define FNV_64_PRIME 0x000001b3u
#define FNV_32_START 0x811c9dc5u
#define FNV_32_PRIME 0x01000193u

enum { JENKINS_START = 13 };    /* libhashkit's, which twemproxy took over */

static inline uint32_t
signed_at(const unsigned char *key, size_t at)
{
	return (uint32_t)(int32_t)(signed char)key[at];
}

static inline uint32_t
little16(const unsigned char *at)
{
	return at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t
little32(const unsigned char *at)
{
	return little16(at) | little16(at + 2) << 16;
}

static inline uint32_t
rotated(uint32_t x, unsigned by)
{
	return x << by | x >> (32 - by);
}

/* --------------------------------------------------------------------- FNV */

/* FNV-1 multiplies first, FNV-1a last. */
static inline uint32_t
fnv1(const unsigned char *key, size_t len, uint32_t hash, uint32_t prime)
{
	for (size_t i = 0; i < len; i++)
		hash = hash * prime ^ signed_at(key, i);
	return hash;
}

static inline uint32_t
fnv1a(const unsigned char *key, size_t len, uint32_t hash, uint32_t prime)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ signed_at(key, i)) * prime;
	return hash;
}

static uint32_t
fnv1_64(const unsigned char *key, size_t len)
{
	return fnv1(key, len, FNV_64_START, FNV_64_PRIME);
}

static uint32_t
fnv1a_64(const unsigned char *key, size_t len)
{
	return fnv1a(key, len, FNV_64_START, FNV_64_PRIME);
}

static uint32_t
fnv1_32(const unsigned char *key, size_t len)
{
	return fnv1(key, len, FNV_32_START, FNV_32_PRIME);
}

static uint32_t
fnv1a_32(const unsigned char *key, size_t len)
{
	return fnv1a(key, len, FNV_32_START, FNV_32_PRIME);
}

/* --------------------------------------------------------------------- CRC */

/*
 * CRC-16 of XMODEM (polynomial 0x1021, most significant bit first), but
 * twemproxy lets the register grow to 32 bits: what leaves the lower 16 stays
 * in the result. Half a byte at a time, by a table of sixteen.
 */
static uint32_t
crc16(const unsigned char *key, size_t len)
{
	static const uint16_t table[16] = {
		0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
		0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef
	};
	uint32_t crc = 0;

	for (size_t i = 0; i < len; i++) {
		uint32_t high = (crc >> 12 ^ key[i] >> 4) & 15;
		/* what the upper half makes of the lower one's place */
		uint32_t low = (crc >> 8 ^ key[i] ^ table[high] >> 12) & 15;

		crc = crc << 8 ^ (uint16_t)(table[high] << 4) ^ table[low];
	}
	return crc;
}

/* CRC-32 of IEEE 802.3 (reflected polynomial 0xedb88320). */
static uint32_t
crc32_of(const unsigned char *key, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= key[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

/* 15 bits of it, as old memcached clients have it ... */
static uint32_t
crc32(const unsigned char *key, size_t len)
{
	return crc32_of(key, len) >> 16 & 0x7fff;
}

/* ... and all. */
static uint32_t
crc32a(const unsigned char *key, size_t len)
{
	return crc32_of(key, len);
}

/* -------------------------------------------------------------- B. Jenkins */

/* "One-at-a-Time", Dr. Dobb's Journal, September 1997 */
static uint32_t
one_at_a_time(const unsigned char *key, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len; i++) {
		hash += signed_at(key, i);
		hash += hash << 10;
		hash ^= hash >> 6;
	}
	hash += hash << 3;
	hash ^= hash >> 11;
	return hash + (hash << 15);
}

/* lookup3's hashlittle(), public domain, with a start of its own. Between
   blocks of twelve bytes the three words are mixed by six steps ... */
static void
jenkins_mix(uint32_t v[3])
{
	static const unsigned char turns[6] = { 4, 6, 8, 16, 19, 4 };

	for (unsigned i = 0; i < 6; i++) {
		uint32_t *a = &v[i % 3], *b = &v[(i + 1) % 3];
		uint32_t *c = &v[(i + 2) % 3];

		*a = (*a - *c) ^ rotated(*c, turns[i]);
		*c += *b;
	}
}

/* ... and after the last one by seven others. */
static uint32_t
jenkins_end(uint32_t v[3])
{
	static const unsigned char turns[7] = { 14, 11, 25, 16, 4, 14, 24 };

	for (unsigned i = 0; i < 7; i++) {
		uint32_t *to = &v[(i + 2) % 3];
		uint32_t from = v[(i + 1) % 3];

		*to = (*to ^ from) - rotated(from, turns[i]);
	}
	return v[2];
}

static uint32_t
jenkins(const unsigned char *key, size_t len)
{
	uint32_t start = 0xdeadbeef + (uint32_t)len + JENKINS_START;
	uint32_t v[3] = { start, start, start };

	if (len == 0)
		return start;
	for (; len > 12; key += 12, len -= 12) {
		for (unsigned i = 0; i < 3; i++)
			v[i] += little32(key + (size_t)4 * i);
		jenkins_mix(v);
	}
	for (size_t i = 0; i < len; i++)
		v[i / 4] += (uint32_t)key[i] << i % 4 * 8;
	return jenkins_end(v);
}

/* ------------------------------------------------------------ hsieh, murmur */

/* SuperFastHash, by P. Hsieh; twemproxy's begins with 0 instead of the length. */
static uint32_t
hsieh(const unsigned char *key, size_t len)
{
	uint32_t hash = 0;

	for (; len >= 4; key += 4, len -= 4) {
		hash += little16(key);
		hash = hash << 16 ^ little16(key + 2) << 11 ^ hash;
		hash += hash >> 11;
	}
	if (len == 1) {
		hash += key[0];
		hash ^= hash << 10;
		hash += hash >> 1;
	} else if (len > 1) {
		hash += little16(key);
		hash ^= hash << (len == 2 ? 11 : 16);
		if (len == 3)
			hash ^= signed_at(key, 2) << 18;
		hash += hash >> (len == 2 ? 17 : 11);
	}
	hash ^= hash << 3;
	hash += hash >> 5;
	hash ^= hash << 4;
	hash += hash >> 17;
	hash ^= hash << 25;
	return hash + (hash >> 6);
}

/* MurmurHash2, by A. Appleby, public domain, with a seed made of the length. */
static uint32_t
murmur(const unsigned char *key, size_t len)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t hash = 0xdeadbeef * (uint32_t)len ^ (uint32_t)len;

	for (; len >= 4; key += 4, len -= 4) {
		uint32_t k = little32(key) * m;

		hash = hash * m ^ (k ^ k >> 24) * m;
	}
	if (len > 0) {
		for (size_t i = 0; i < len; i++)
			hash ^= (uint32_t)key[i] << 8 * i;
		hash *= m;
	}
	hash = (hash ^ hash >> 13) * m;
	return hash ^ hash >> 15;
}

/* --------------------------------------------------------------------- MD5 */

struct keyhash_md5
keyhash_md5(const void *bytes, size_t len)
{
	unsigned char digest[MD5_DIGEST_LENGTH];
	struct keyhash_md5 sum;
	MD5_CTX md5;

	MD5_Init(&md5);
	MD5_Update(&md5, bytes, len);
	MD5_Final(digest, &md5);
	for (size_t i = 0; i < 4; i++)
		sum.part[i] = little32(digest + 4 * i);
	return sum;
}

static uint32_t
md5(const unsigned char *key, size_t len)
{
	return keyhash_md5(key, len).part[0];
}

/* --------------------------------------------------------------------- all */

static uint32_t (*const functions[CONF_N_KEY_FUNCTIONS])
    (const unsigned char *key, size_t len) = {
	[CONF_KEY_ONE_AT_A_TIME] = one_at_a_time,
	[CONF_KEY_MD5] = md5,
	[CONF_KEY_CRC16] = crc16,
	[CONF_KEY_CRC32] = crc32,
	[CONF_KEY_CRC32A] = crc32a,
	[CONF_KEY_FNV1_64] = fnv1_64,
	[CONF_KEY_FNV1A_64] = fnv1a_64,
	[CONF_KEY_FNV1_32] = fnv1_32,
	[CONF_KEY_FNV1A_32] = fnv1a_32,
	[CONF_KEY_HSIEH] = hsieh,
	[CONF_KEY_MURMUR] = murmur,
	[CONF_KEY_JENKINS] = jenkins
};

uint32_t
keyhash(enum conf_key_function f, const void *key, size_t len)
{
	return functions[f](key, len);
}
