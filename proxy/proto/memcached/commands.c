/*
 * The rows of commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/commands.h"

#include <string.h>

#include "net/err.h"

const char *const memcached_command_names[MEMCACHED_N_COMMANDS + 1] = {
	"unknown", "get", "gets", "gat", "gats", "set", "add", "replace",
	"append", "prepend", "cas", "delete", "incr", "decr", "touch", "mg",
	"ms", "md", "ma", "me", "mn", "noop", "version", "verbosity", "stats",
	"flush_all", "quit", "slabs", "lru", "lru_crawler", "cache_memlimit",
	"extstore", "refresh_certs", "watch", "shutdown", "sasl", NULL
};

#define ANY 0

#define NAMED(text, command) text, sizeof(text) - 1, MEMCACHED_##command

#define GETS(text, command, words, least, is_long) \
	{ NAMED(text, command), MEMCACHED_LINE_##words, MEMCACHED_VALUES, \
	    MEMCACHED_SHARED, least, ANY, 0, 0, is_long, NULL }
#define STORES(text, command) \
	{ NAMED(text, command), MEMCACHED_LINE_STORE, MEMCACHED_ONE_LINE, \
	    MEMCACHED_SHARED, 5, 6, 5, 0, false, NULL }
#define KEYED(text, command, least, most, noreply) \
	{ NAMED(text, command), MEMCACHED_LINE_KEY, MEMCACHED_ONE_LINE, \
	    MEMCACHED_SHARED, least, most, noreply, 0, false, NULL }
#define META(text, command, words, least, quiet) \
	{ NAMED(text, command), MEMCACHED_LINE_##words, MEMCACHED_META, \
	    MEMCACHED_SHARED, least, ANY, 0, MEMCACHED_##quiet, false, NULL }
#define FREE(text, command, shape, how, least, most, noreply, refusal) \
	{ NAMED(text, command), MEMCACHED_LINE_FREE, MEMCACHED_##shape, \
	    MEMCACHED_##how, least, most, noreply, 0, false, refusal }

/*
 * The usual first. Words and "noreply" as memcached 1.6.18 counts them
 * (process_command_ascii, set_noreply_maybe), without the terminator that it
 * counts as one; "noreply" is looked for in the last word, whatever it should
 * be, but of delete only behind the key.
 */
static const struct memcached_text rows[] = {
	GETS("get", GET, KEYS, 2, true),
	STORES("set", SET),
	META("mg", MG, META, 2, NO_EN),
	META("ms", MS, META_STORE, 2, NO_HD),
	GETS("gets", GETS, KEYS, 2, true),
	KEYED("delete", DELETE, 2, 4, 3),
	KEYED("incr", INCR, 3, 4, 3),
	KEYED("decr", DECR, 3, 4, 3),
	KEYED("touch", TOUCH, 3, 4, 3),
	STORES("add", ADD),
	{ NAMED("cas", CAS), MEMCACHED_LINE_CAS, MEMCACHED_ONE_LINE,
	    MEMCACHED_SHARED, 6, 7, 6, 0, false, NULL },
	STORES("replace", REPLACE),
	STORES("append", APPEND),
	STORES("prepend", PREPEND),
	META("md", MD, META, 2, NO_HD),
	META("ma", MA, META, 2, NO_HD_VA),
	META("me", ME, META, 1, LOUD),
	FREE("mn", MN, ONE_LINE, OURS, 1, ANY, 0, NULL),
	GETS("gat", GAT, GAT, 2, false),
	GETS("gats", GATS, GAT, 2, false),
	/* Older than any document; memcached reads it as get. */
	GETS("bget", GET, KEYS, 2, false),
	FREE("version", VERSION, ONE_LINE, SHARED, 1, ANY, 0, NULL),
	FREE("stats", STATS, STAT, SHARED, 1, ANY, 0, NULL),
	FREE("quit", QUIT, ONE_LINE, OURS, 1, ANY, 0, NULL),
	FREE("flush_all", FLUSH_ALL, ONE_LINE, SHARED, 1, 3, 2, NULL),
	FREE("verbosity", VERBOSITY, ONE_LINE, SHARED, 2, 3, 2, NULL),
	FREE("slabs", SLABS, ONE_LINE, SHARED, 1, ANY, 0, NULL),
	FREE("lru", LRU, ONE_LINE, SHARED, 2, ANY, 2, NULL),
	FREE("lru_crawler", LRU_CRAWLER, ONE_LINE, SHARED, 1, ANY, 0, NULL),
	FREE("cache_memlimit", CACHE_MEMLIMIT, ONE_LINE, SHARED, 2, 3, 2, NULL),
	FREE("extstore", EXTSTORE, ONE_LINE, SHARED, 2, ANY, 2, NULL),
	FREE("refresh_certs", REFRESH_CERTS, ONE_LINE, SHARED, 1, ANY, 2, NULL),
	/* The connection would be a stream from then on; and the server
	   would end. Both can be switched off at a memcached: its words. */
	FREE("watch", WATCH, ONE_LINE, REFUSED, 1, ANY, 0,
	    "CLIENT_ERROR watch commands not allowed\r\n"),
	FREE("shutdown", SHUTDOWN, ONE_LINE, REFUSED, 1, ANY, 0,
	    "ERROR: shutdown not enabled\r\n")
};

/*
 * Keys and prefixes that a binary client has stored may hold line ends, and
 * cachedump and detail dump print them as they are: "END" in such a key would
 * end the reply early, and the rest of it be the next client's. metadump and
 * mgdump encode them, but want a connection on which nothing else is owed.
 */
static const struct {
	uint8_t command;
	const char *name;
	struct memcached_text row;
} subcommands[] = {
	{ MEMCACHED_STATS, "cachedump",
	    FREE("stats", STATS, STAT, ALONE, 1, ANY, 0,
	    "CLIENT_ERROR stats cachedump not allowed\r\n") },
	{ MEMCACHED_STATS, "detail",
	    FREE("stats", STATS, STAT, ALONE, 1, ANY, 0,
	    "CLIENT_ERROR stats detail not allowed\r\n") },
	{ MEMCACHED_LRU_CRAWLER, "metadump",
	    FREE("lru_crawler", LRU_CRAWLER, DUMP, ALONE, 1, ANY, 0,
	    "ERROR metadump not allowed\r\n") },
	{ MEMCACHED_LRU_CRAWLER, "mgdump",
	    FREE("lru_crawler", LRU_CRAWLER, DUMP, ALONE, 1, ANY, 0,
	    "ERROR mgdump not allowed\r\n") },
	{ MEMCACHED_SLABS, "automove",
	    FREE("slabs", SLABS, ONE_LINE, SHARED, 1, ANY, 3, NULL) }
};

#define PACKET(command, loud, quiet, extras, optional, key, may, value) \
	{ MEMCACHED_##command, loud, MEMCACHED_##quiet, MEMCACHED_PACKET, \
	    MEMCACHED_SHARED, extras, optional, key, may, value }
#define OP_GET(command, loud, quiet, extras) \
	PACKET(command, loud, quiet, extras, false, true, true, false)
#define OP_STORE(command, loud, quiet, extras) \
	PACKET(command, loud, quiet, extras, false, true, true, true)
#define OP_PLAIN(command, loud, quiet, how) \
	{ MEMCACHED_##command, loud, MEMCACHED_##quiet, MEMCACHED_PACKET, \
	    MEMCACHED_##how, 0, false, false, false, false }

/* By opcode; those that are missing are unknown to memcached 1.6.18 too. */
static const struct memcached_opcode opcodes[256] = {
	[0x00] = OP_GET(GET, 0x00, LOUD, 0),
	[0x01] = OP_STORE(SET, 0x01, LOUD, 8),
	[0x02] = OP_STORE(ADD, 0x02, LOUD, 8),
	[0x03] = OP_STORE(REPLACE, 0x03, LOUD, 8),
	[0x04] = OP_GET(DELETE, 0x04, LOUD, 0),
	[0x05] = OP_GET(INCR, 0x05, LOUD, 20),
	[0x06] = OP_GET(DECR, 0x06, LOUD, 20),
	[0x07] = OP_PLAIN(QUIT, 0x07, LOUD, OURS),
	[0x08] = PACKET(FLUSH_ALL, 0x08, LOUD, 4, true, false, false, false),
	[0x09] = OP_GET(GET, 0x00, NO_MISS, 0),
	[0x0a] = OP_PLAIN(NOOP, 0x0a, LOUD, OURS),
	[0x0b] = OP_PLAIN(VERSION, 0x0b, LOUD, SHARED),
	[0x0c] = OP_GET(GET, 0x0c, LOUD, 0),
	[0x0d] = OP_GET(GET, 0x0c, NO_MISS, 0),
	[0x0e] = OP_STORE(APPEND, 0x0e, LOUD, 0),
	[0x0f] = OP_STORE(PREPEND, 0x0f, LOUD, 0),
	[0x10] = { MEMCACHED_STATS, 0x10, MEMCACHED_LOUD, MEMCACHED_PACKETS,
	    MEMCACHED_SHARED, 0, false, false, true, false },
	[0x11] = OP_STORE(SET, 0x01, NO_SUCCESS, 8),
	[0x12] = OP_STORE(ADD, 0x02, NO_SUCCESS, 8),
	[0x13] = OP_STORE(REPLACE, 0x03, NO_SUCCESS, 8),
	[0x14] = OP_GET(DELETE, 0x04, NO_SUCCESS, 0),
	[0x15] = OP_GET(INCR, 0x05, NO_SUCCESS, 20),
	[0x16] = OP_GET(DECR, 0x06, NO_SUCCESS, 20),
	[0x17] = OP_PLAIN(QUIT, 0x07, NO_SUCCESS, OURS),
	[0x18] = PACKET(FLUSH_ALL, 0x08, NO_SUCCESS, 4, true, false, false,
	    false),
	[0x19] = OP_STORE(APPEND, 0x0e, NO_SUCCESS, 0),
	[0x1a] = OP_STORE(PREPEND, 0x0f, NO_SUCCESS, 0),
	[0x1c] = OP_GET(TOUCH, 0x1c, LOUD, 4),
	[0x1d] = OP_GET(GAT, 0x1d, LOUD, 4),
	[0x1e] = OP_GET(GAT, 0x1d, NO_MISS, 4),
	/* Logging in is a state of the connection, which is shared; weir says
	   what a server without SASL says, and clients go on without. */
	[0x20] = OP_PLAIN(SASL, 0x20, LOUD, REFUSED),
	[0x21] = { MEMCACHED_SASL, 0x21, MEMCACHED_LOUD, MEMCACHED_PACKET,
	    MEMCACHED_REFUSED, 0, false, true, true, true },
	[0x22] = { MEMCACHED_SASL, 0x22, MEMCACHED_LOUD, MEMCACHED_PACKET,
	    MEMCACHED_REFUSED, 0, false, true, true, true },
	[0x23] = OP_GET(GAT, 0x23, LOUD, 4),
	[0x24] = OP_GET(GAT, 0x23, NO_MISS, 4)
};

const struct memcached_text *
memcached_text_find(const char *name, size_t len)
{
	for (size_t i = 0; i < NELEMS(rows); i++)
		if (rows[i].len == len && rows[i].name[0] == name[0] &&
		    memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

const struct memcached_text *
memcached_text_sub(const struct memcached_text *row, const char *name,
    size_t len)
{
	for (size_t i = 0; i < NELEMS(subcommands); i++)
		if (subcommands[i].command == row->command &&
		    strlen(subcommands[i].name) == len &&
		    memcmp(subcommands[i].name, name, len) == 0)
			return &subcommands[i].row;
	return row;
}

const struct memcached_opcode *
memcached_opcode_find(uint8_t opcode)
{
	return &opcodes[opcode];
}
