/*
 * pool/keyhash: known answers. Those that have been published are; the others
 * were held against nutcracker (tests/real/test_nutcracker_keys.py), which
 * keeps them right where it is not installed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/keyhash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 5 };

static const char *const keys[KEYS] = {
	"a", "foobar", "123456789",
	"The quick brown fox jumps over the lazy dog", "\xc3\xa9\xff"
};

static const uint32_t answers[CONF_N_KEY_FUNCTIONS][KEYS] = {
	/* the first and fourth: the function's author */
	[CONF_KEY_ONE_AT_A_TIME] = { 0xca2e9442, 0xf952fde7, 0xc66b58c5,
	    0x519e91f5, 0x76c4a2d1 },
	/* RFC 1321 A.5: 0cc175b9... */
	[CONF_KEY_MD5] = { 0xb975c10c, 0x22f65838, 0x94e7f925, 0x9d7d109e,
	    0x88b2972a },
	/* the third: XMODEM's check value, 31c3, below what twemproxy keeps */
	[CONF_KEY_CRC16] = { 0x00007c87, 0x9effb025, 0x869031c3, 0x22a3f0c8,
	    0xe967c6b1 },
	[CONF_KEY_CRC32] = { 0x000068b7, 0x00001ef6, 0x00004bf4, 0x0000414f,
	    0x00003e6f },
	/* the third: CRC-32's check value */
	[CONF_KEY_CRC32A] = { 0xe8b7be43, 0x9ef61f95, 0xcbf43926, 0x414fa339,
	    0x3e6f1926 },
	/* the first two of each: draft-eastlake-fnv, the lower halves of 64
	   bits */
	[CONF_KEY_FNV1_64] = { 0x8601b7be, 0xa4dda9c2, 0x2bf916d6, 0x7de37ace,
	    0x93e2b058 },
	[CONF_KEY_FNV1A_64] = { 0x8601ec8c, 0xf73967e8, 0x23c6cdfc, 0xe7e47110,
	    0xc90a6c9a },
	[CONF_KEY_FNV1_32] = { 0x050c5d7e, 0x31f0b262, 0x24148816, 0xe9c86c6e,
	    0xa64224b8 },
	[CONF_KEY_FNV1A_32] = { 0xe40c292c, 0xbf9cf968, 0xbb86b11c, 0x048fff90,
	    0x3fcd169a },
	[CONF_KEY_HSIEH] = { 0x93642e87, 0x07a5862c, 0xe4fc1670, 0x1c19ee97,
	    0x35688f0e },
	[CONF_KEY_MURMUR] = { 0x4b41757c, 0xabecff17, 0xb7760690, 0x30c79125,
	    0x9d57fc04 },
	[CONF_KEY_JENKINS] = { 0xe0a38690, 0x0fdd8b60, 0x19777af6, 0x12b8163c,
	    0xd1990a2d }
};

static void
known_keys_have_known_hashes(void **state)
{
	unsigned f, k;

	(void)state;
	for (f = 0; f < CONF_N_KEY_FUNCTIONS; f++)
		for (k = 0; k < KEYS; k++)
			assert_int_equal(keyhash((enum conf_key_function)f,
			    keys[k], strlen(keys[k])), answers[f][k]);
}

/* Of exactly so many bytes, at any address: a sanitizer sees one too many. */
static void
only_the_bytes_of_a_key_count(void **state)
{
	static const char text[] = "the same bytes at another address, and no "
	    "more";
	unsigned f, n, at;

	(void)state;
	for (f = 0; f < CONF_N_KEY_FUNCTIONS; f++)
		for (n = 0; n < sizeof(text); n++) {
			uint32_t hash = keyhash((enum conf_key_function)f,
			    text, n);

			for (at = 0; at < 4; at++) {
				char *copy = malloc(at + n + 1);

				assert_non_null(copy);
				copy = realloc(copy, at + n > 0 ? at + n : 1);
				assert_non_null(copy);
				memcpy(copy + at, text, n);
				assert_int_equal(keyhash(
				    (enum conf_key_function)f, copy + at, n),
				    hash);
				free(copy);
			}
		}
}

static void
md5_has_four_parts(void **state)
{
	/* RFC 1321 A.5: "abc", 900150983cd24fb0d6963f7d28e17f72 */
	struct keyhash_md5 sum = keyhash_md5("abc", 3);

	(void)state;
	assert_int_equal(sum.part[0], 0x98500190);
	assert_int_equal(sum.part[1], 0xb04fd23c);
	assert_int_equal(sum.part[2], 0x7d3f96d6);
	assert_int_equal(sum.part[3], 0x727fe128);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_keys_have_known_hashes),
		cmocka_unit_test(only_the_bytes_of_a_key_count),
		cmocka_unit_test(md5_has_four_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
