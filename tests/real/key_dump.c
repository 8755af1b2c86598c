/*
 * Print where weir's ring puts keys. The first line of standard input is
 *
 *	FUNCTION RING TAG SERVERS
 *
 * as numbers of their enums (TAG is "-" for none); each of so many lines then
 * has an endpoint as conf/ has it:
 *
 *	NAME HOST PORT WEIGHT USABLE            NAME "-": it has none
 *
 * a PORT of 0 makes HOST a path. The other lines are keys, in hexadecimal. The
 * answer to each is the index of its server on a line.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/keyring.h"

enum { SERVERS_MAX = 64, KEY_MAX = 1024 };

static struct keyring_node nodes[SERVERS_MAX];
static char names[SERVERS_MAX][300], hosts[SERVERS_MAX][300];

static void
fail(const char *what)
{
	fprintf(stderr, "key_dump: bad %s\n", what);
	exit(1);
}

static void
read_server(size_t i)
{
	struct conf_endpoint e = { .name = names[i],
	    .address.host = hosts[i] };
	unsigned port, usable;

	if (scanf("%299s %299s %u %u %u", names[i], hosts[i], &port,
	    &nodes[i].weight, &usable) != 5)
		fail("server");
	e.named = strcmp(names[i], "-") != 0;
	e.address.port = (uint16_t)port;
	e.address.is_unix = port == 0;
	nodes[i].usable = usable != 0;
	nodes[i].label = keyring_label(&e);
	if (nodes[i].label == NULL)
		fail("memory");
}

static size_t
read_key(unsigned char *key)
{
	char text[2 * KEY_MAX + 2];
	size_t n = 0;

	if (scanf("%2048s", text) != 1)
		return 0;
	for (; text[2 * n] != '\0'; n++) {
		unsigned byte;

		if (sscanf(text + 2 * n, "%2x", &byte) != 1)
			fail("key");
		key[n] = (unsigned char)byte;
	}
	return n;
}

int
main(void)
{
	struct conf_upstream u = { 0 };
	unsigned function, ring, servers;
	unsigned char key[KEY_MAX];
	struct keyring *r;
	char tag[3];
	size_t len;

	if (scanf("%u %u %2s %u", &function, &ring, tag, &servers) != 4 ||
	    function >= CONF_N_KEY_FUNCTIONS || servers > SERVERS_MAX)
		fail("first line");
	u.key_hash.function = (enum conf_key_function)function;
	u.key_hash.tag = strcmp(tag, "-") == 0 ? "" : tag;
	for (size_t i = 0; i < servers; i++)
		read_server(i);
	r = keyring_new((enum conf_key_ring)ring, nodes, servers);
	if (r == NULL)
		fail("memory");
	while ((len = read_key(key)) > 0)
		printf("%zd\n", (ssize_t)keyring_find(r, keyring_hash(&u, key,
		    len)));
	keyring_free(r);
	for (size_t i = 0; i < servers; i++)
		free((char *)nodes[i].label);
	return 0;
}
